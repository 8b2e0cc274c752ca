"""Device plugins: what they offer stands in the Node, and containers get what they answer."""
import json
import os
import pathlib
import stat

import grpc
import pytest

import cluster as support
from cluster import wait_for
from device_plugin import Plugin, register
from manifests import pod
from plugin_registration import Registration

GPU = "example.com/gpu"


@pytest.fixture(scope="module")
def host():
    with support.Cluster() as cluster:
        cluster.folder = pathlib.Path(cluster.dir) / "device-plugins"
        cluster.cdi = pathlib.Path(cluster.dir) / "cdi"
        cluster.cdi.mkdir()
        cluster.flags["device-plugin-dir"], cluster.flags["cdi-spec-dirs"], cluster.ns = cluster.folder, cluster.cdi, "default"
        cluster.flags["kubelet-dir"] = cluster.dir / "kubelet"
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        wait_for("the node to listen for plugins", (cluster.folder / "kubelet.sock").exists)
        yield cluster
        cluster.kubectl("delete", "pods", "--all", "--all-namespaces", "--wait=true", "--timeout=60s")


@pytest.fixture
def plugins(host):
    """plugins(resource, devices, …) makes a plugin that ends with the test; a container gets a file of its devices, a variable and /dev/full as /dev/gpu."""
    made = []
    for name in ("shared",):
        (host.dir / name).mkdir(exist_ok=True)
        (host.dir / name / "driver").write_text("driver 7\n")

    def answer(ids):
        return {"envs": {"GPUS": ",".join(ids)}, "mounts": [{"container_path": "/driver", "host_path": str(host.dir / "shared"), "read_only": True}],
                "devices": [{"container_path": "/dev/gpu", "host_path": "/dev/full", "permissions": "rw"}], "annotations": {"example.com/ids": ",".join(ids)}}

    def make(resource, devices, answer=answer, **more):
        made.append(Plugin(host.folder, resource, {name: True for name in devices} if not isinstance(devices, dict) else devices, answer, **more))
        return made[-1]
    yield make
    host.kubectl("delete", "pods", "--all", "--wait=true", "--timeout=60s")
    for plugin in made:
        plugin.close()


def told(host, resource):
    status = host.request("GET", "/api/v1/nodes/node-1")[1]["status"]  # empty until the node has told of itself
    return status.get("capacity", {}).get(resource), status.get("allocatable", {}).get(resource)


def asking(name, count, resource=GPU, command=("sh", "-c", "trap 'exit 1' TERM; while :; do sleep 0.1; done"), **fields):
    made = pod(name, *command, **fields)
    made["spec"]["terminationGracePeriodSeconds"] = 0
    made["spec"]["containers"][0]["resources"] = {"limits": {resource: str(count)}}
    return made


def inside(host, name, text, container="main"):
    return host.k("exec", name, "-c", container, "--", "sh", "-c", text).strip()


def test_a_container_gets_its_devices(host, plugins):
    plugin = plugins(GPU, ["gpu-0", "gpu-1", "gpu-2"])
    wait_for("the node to tell of them", lambda: told(host, GPU) == ("3", "3"))
    host.apply(asking("two", 2), asking("one", 1))
    host.wait_running("two")
    host.wait_running("one")
    ids = {name: inside(host, name, "echo $GPUS").split(",") for name in ("two", "one")}
    assert len(ids["two"]) == 2 and sorted(ids["two"] + ids["one"]) == ["gpu-0", "gpu-1", "gpu-2"], ids
    assert inside(host, "one", "cat /driver/driver; touch /driver/new 2>/dev/null || echo read-only; test -c /dev/gpu && echo device") == "driver 7\nread-only\ndevice"
    assert inside(host, "one", "head -c 1 /dev/gpu | wc -c; echo x > /dev/gpu || true") == "1", "the group lets it be used"
    assert sorted(what for what in plugin.asked) == sorted(("allocate", sorted(given)) for given in ids.values())
    # A fourth waits, with the scheduler's words, until one is free.
    host.apply(asking("late", 1))
    wait_for("the scheduler's verdict", lambda: "Insufficient example.com/gpu" in host.k("get", "pod", "late", "-o", "jsonpath={.status.conditions[*].message}"))
    host.k("delete", "pod", "one", "--wait=true")
    host.wait_running("late")
    assert inside(host, "late", "echo $GPUS").split(",") == ids["one"]


def test_a_plugin_may_prefer_and_prepare(host, plugins):
    plugin = plugins("example.com/nic", ["a", "b", "c", "d"], prefer=lambda available, must, size: (must + available[::-1])[:size], pre_start=True)
    wait_for("the node to tell of them", lambda: told(host, "example.com/nic") == ("4", "4"))
    host.apply(asking("picky", 2, "example.com/nic"))
    host.wait_running("picky")
    assert inside(host, "picky", "echo $GPUS") == "c,d"
    assert plugin.asked == [("allocate", ["c", "d"]), ("start", ["c", "d"])]


def test_init_containers_hand_theirs_on(host, plugins):
    plugins("example.com/disk", ["a", "b", "c"])
    wait_for("the node to tell of them", lambda: told(host, "example.com/disk") == ("3", "3"))
    limits = lambda count: {"limits": {"example.com/disk": str(count)}}
    made = asking("chain", 1, "example.com/disk")
    first = {**made["spec"]["containers"][0], "name": "first", "command": ["sh", "-c", "echo $GPUS > /dev/termination-log"], "resources": limits(2)}
    side = {**made["spec"]["containers"][0], "name": "side", "restartPolicy": "Always", "resources": limits(1)}
    second = {**made["spec"]["containers"][0], "name": "second", "resources": limits(1)}
    made["spec"]["initContainers"] = [first, side]
    made["spec"]["containers"].append(second)
    host.apply(made)
    host.wait_running("chain")
    initial = json.loads(host.k("get", "pod", "chain", "-o", "json"))["status"]["initContainerStatuses"][0]["state"]["terminated"]["message"].strip().split(",")
    given = [inside(host, "chain", "echo $GPUS", name) for name in ("side", "main", "second")]
    assert len(initial) == 2 and sorted(given) == ["a", "b", "c"] and given[0] in initial, (initial, given)


def test_devices_that_fail_are_not_given(host, plugins):
    resource = "example.com/tpu"
    plugin = plugins(resource, {"a": True, "b": False})
    wait_for("one that is well", lambda: told(host, resource) == ("2", "1"))
    plugin.set({"a": False, "b": True, "c": True})
    wait_for("two that are well", lambda: told(host, resource) == ("3", "2"))
    host.apply(asking("well", 2, resource))
    host.wait_running("well")
    assert inside(host, "well", "echo $GPUS") == "b,c"
    plugin.close()
    wait_for("none without the plugin", lambda: told(host, resource) == ("3", "0"))
    assert inside(host, "well", "echo $GPUS") == "b,c", "who has some keeps them"


def test_what_a_plugin_cannot_give_fails_the_pod(host, plugins):
    def broken(ids):
        raise ValueError("the card is on fire")
    plugins("example.com/card", ["a"], answer=broken)
    wait_for("the node to tell of it", lambda: told(host, "example.com/card") == ("1", "1"))
    host.apply(asking("burning", 1, "example.com/card"))
    wait_for("the pod to fail", lambda: host.k("get", "pod", "burning", "-o", "jsonpath={.status.phase}/{.status.reason}") == "Failed/UnexpectedAdmissionError")
    assert "the card is on fire" in host.k("get", "pod", "burning", "-o", "jsonpath={.status.message}")
    host.k("delete", "pod", "burning", "--wait=true")
    assert host.request("GET", "/api/v1/nodes/node-1")[1]["status"]["allocatable"]["example.com/card"] == "1"


@pytest.mark.parametrize("resource, version, endpoint, words", [
    ("gpu", "v1beta1", "x.sock", "invalid name of device plugin resource"), ("kubernetes.io/gpu", "v1beta1", "x.sock", "invalid name"),
    ("requests.example.com/gpu", "v1beta1", "x.sock", "invalid name"), ("example.com/gpu", "v1alpha", "x.sock", "is not supported by kubelet"),
    ("example.com/gpu", "v1beta1", "../x.sock", "invalid endpoint"), ("example.com/gpu", "v1beta1", "", "invalid endpoint")])
def test_registrations_that_make_no_sense_are_refused(host, resource, version, endpoint, words):
    with pytest.raises(grpc.RpcError) as caught:
        register(host.folder, resource, endpoint, version)
    assert words in caught.value.details()


def test_a_restart_keeps_what_was_given(host, plugins):
    resource = "example.com/fpga"
    plugin = plugins(resource, ["a", "b"])
    wait_for("the node to tell of them", lambda: told(host, resource) == ("2", "2"))
    host.apply(asking("kept", 1, resource))
    host.wait_running("kept")
    before = inside(host, "kept", "echo $GPUS")
    host.kill9()
    host.start()
    wait_for("the plugin's socket to go", lambda: not (host.folder / plugin.endpoint).exists())
    wait_for("the node to know of the resource, and that no plugin is there", lambda: told(host, resource) == ("0", "0"))
    assert stat.S_ISSOCK(os.stat(host.folder / "kubelet.sock").st_mode), "here they register again"
    plugin.close()
    again = plugins(resource, ["a", "b"])
    wait_for("the node to tell of them again", lambda: told(host, resource) == ("2", "2"))
    inside(host, "kept", "kill -TERM 1")
    # Its container starts again with the device that the pod has, and the other one is the other pod's.
    wait_for("the container's restart", lambda: host.k("get", "pod", "kept", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") != "0")
    host.wait_running("kept")
    assert inside(host, "kept", "echo $GPUS") == before and again.asked == []
    host.apply(asking("other", 1, resource))
    host.wait_running("other")
    assert inside(host, "other", "echo $GPUS") == ({"a", "b"} - {before}).pop()


@pytest.fixture
def registered(host):
    """registered(kind, name, endpoint, versions) registers by a socket in plugins_registry, which goes with the test."""
    made, folder = [], host.dir / "kubelet/plugins_registry"
    wait_for("the node to look for plugins", folder.exists)

    def make(kind, name, endpoint, versions=("v1beta1",)):
        made.append(Registration(folder, f"reg-{len(made)}.sock", kind, name, endpoint, versions))
        return made[-1]
    yield make
    for registration in made:
        registration.close()


def test_a_plugin_may_register_by_a_socket_of_its_own(host, plugins, registered):
    resource = "example.com/npu"
    plugin = plugins(resource, ["a", "b"], registers=False, pre_start=True)
    assert registered("DevicePlugin", resource, host.folder / plugin.endpoint).told.get(timeout=20) == ""
    wait_for("the node to tell of them", lambda: told(host, resource) == ("2", "2"))
    host.apply(asking("npu", 2, resource))
    host.wait_running("npu")
    assert inside(host, "npu", "echo $GPUS") == "a,b" and plugin.asked == [("allocate", ["a", "b"]), ("start", ["a", "b"])]


@pytest.mark.parametrize("kind, name, versions, words", [
    ("Toaster", "example.com/x", ["v1beta1"], 'no handler registered for plugin type "Toaster"'), ("DevicePlugin", "", ["v1beta1"], "has no name"),
    ("DevicePlugin", "gpu", ["v1beta1"], "invalid name of device plugin resource"), ("DevicePlugin", "example.com/x", ["v7"], "none of its API versions (v7)"),
    ("DevicePlugin", "example.com/x", ["v1beta1"], "connect to")])
def test_plugins_that_make_no_sense_are_told_so(host, registered, kind, name, versions, words):
    assert words in registered(kind, name, host.folder / "nobody.sock", versions).told.get(timeout=20)


def test_a_plugin_that_is_not_ready_is_asked_again(host, plugins, registered):
    resource = "example.com/late"
    registration = registered("DevicePlugin", resource, host.folder / (resource.replace("/", "-") + ".sock"))
    assert "connect to" in registration.told.get(timeout=20)
    plugins(resource, ["a"], registers=False)
    wait_for("its registration", lambda: registration.told.get(timeout=20) == "")
    wait_for("the node to tell of it", lambda: told(host, resource) == ("1", "1"))


def test_cdi_devices_of_a_plugin(host, plugins):
    """A plugin names CDI devices, in its answer's field and by annotation; what their files say is done to the container."""
    made = host.cdi / "made"
    devices = {"one": {"env": ["CARD=one"], "deviceNodes": [{"path": "/dev/card", "hostPath": "/dev/full"}], "additionalGids": [4711],
                       "hooks": [{"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", f"cat > {made}"]}]},
               "two": {"mounts": [{"hostPath": str(host.cdi), "containerPath": "/opt/cdi", "options": ["ro", "bind"]}]}}
    (host.cdi / "vendor.json").write_text(json.dumps({"cdiVersion": "1.0.0", "kind": "vendor.com/card", "containerEdits": {"env": ["DRIVER=7"]},
                                                      "devices": [{"name": name, "containerEdits": edits} for name, edits in devices.items()]}))
    plugins("example.com/cdi", ["a", "b"], answer=lambda ids: {"cdi_devices": [{"name": "vendor.com/card=one"}], "annotations": {"cdi.k8s.io/example": "vendor.com/card=two"}})
    plugins("example.com/gone", ["a"], answer=lambda ids: {"cdi_devices": [{"name": "vendor.com/card=three"}]})
    wait_for("the node to tell of them", lambda: told(host, "example.com/cdi") == ("2", "2") and told(host, "example.com/gone") == ("1", "1"))
    pretender = asking("pretender", 1, "example.com/cdi")
    pretender["spec"]["containers"][0].pop("resources")
    pretender["metadata"]["annotations"] = {"cdi.k8s.io/mine": "vendor.com/card=one"}
    host.apply(asking("edited", 1, "example.com/cdi"), pretender, asking("lost", 1, "example.com/gone"))
    host.wait_running("edited")
    assert inside(host, "edited", "echo $DRIVER $CARD; test -c /dev/card && echo x > /dev/card; test -f /opt/cdi/vendor.json && echo mounted; touch /opt/cdi/x || echo read-only; id -G") == "7 one\nmounted\nread-only\n0 4711"
    assert json.loads(made.read_text())["status"] == "creating"
    host.wait_running("pretender")
    assert inside(host, "pretender", "echo $CARD; ls /dev/card 2>/dev/null || true") == "", "a pod's own annotations give it no device"
    message = wait_for("the reason", lambda: host.k("get", "pod", "lost", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"))
    assert f"unresolvable CDI devices vendor.com/card=three: no file in {host.cdi} says what they are" in message
    assert host.k("get", "pod", "lost", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}") == "CreateContainerError"
