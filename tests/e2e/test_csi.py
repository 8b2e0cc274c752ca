"""Volumes of CSI drivers, by a driver of ours whose calls are looked at: registration, inline volumes, claims, block devices, restarts."""
import json
import pathlib
import subprocess
import tempfile
import types

import pytest

import cluster as support
import fleet
from cluster import wait_for
from manifests import pod

NAME = "dirs.example.com"
SLEEP = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")


@pytest.fixture(scope="module")
def host():
    with support.Cluster() as cluster:
        cluster.ns, cluster.kubelet = "default", cluster.dir / "kubelet"
        cluster.flags["kubelet-dir"] = cluster.kubelet
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        wait_for("the node to look for plugins", (cluster.kubelet / "plugins_registry").exists)
        yield cluster
        cluster.kubectl("delete", "pods", "--all", "--all-namespaces", "--wait=true", "--timeout=60s")


class Driver:
    """The driver's process, and what the test knows of it."""

    def __init__(self, host, name, *options, spec=None):
        self.host, self.name, self.options = host, name, options
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=host.dir, prefix="driver-"))
        host.apply({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name}, "spec": {"attachRequired": False, **(spec or {})}})
        self.start()

    def start(self):
        program = support.ROOT / "tests/support/csi_driver.py"
        # After the node's mounts, as a driver's container with Bidirectional propagation sees them.
        self.process = subprocess.Popen(self.host.sandbox.command(["/usr/bin/python3", program, self.folder, self.name, self.host.kubelet, *self.options]),
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "registered\n"

    def entry(self):
        status, node = self.host.request("GET", "/apis/storage.k8s.io/v1/csinodes/node-1")
        return next((one for one in node["spec"]["drivers"] or [] if one["name"] == self.name), None) if status == 200 else None

    def calls(self, method=None):
        path = self.folder / "calls"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if method in (None, line["method"])]

    def behave(self, **methods):
        (self.folder / "behave").write_text(json.dumps(methods))

    def stop(self):
        if self.process.poll() is None:
            self.host.sandbox.inside(["kill", "-TERM", self.inner()])
            self.process.wait(20)

    def inner(self):
        """The driver's pid in the sandbox."""
        found = self.host.sandbox.inside(["pgrep", "-f", f"csi_driver.py {self.folder} "]).stdout.split()
        return found[0]


@pytest.fixture
def drivers(host):
    made = []

    def make(name, *options, **spec):
        made.append(Driver(host, name, *options, spec=spec))
        return made[-1]
    yield make
    host.kubectl("delete", "pods", "--all", "--wait=true", "--timeout=60s")
    host.kubectl("delete", "pvc,pv", "--all", "--wait=true", "--timeout=60s")
    for driver in made:
        driver.stop()
        host.kubectl("delete", "csidriver", driver.name)
    left = [line for line in host.sandbox.inside(["cat", "/proc/self/mountinfo"]).stdout.splitlines() if str(host.kubelet) in line]
    assert not left, left


def volume(name, driver, capacity="1Gi", modes=("ReadWriteOnce",), **fields):
    csi = {"driver": driver, "volumeHandle": f"handle-of-{name}", **fields.pop("csi", {})}
    return [{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
             "spec": {"capacity": {"storage": capacity}, "accessModes": list(modes), "storageClassName": "", "csi": csi, "claimRef": {"namespace": "default", "name": name}, **fields}},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
             "spec": {"accessModes": list(modes), "storageClassName": "", "volumeName": name, "resources": {"requests": {"storage": capacity}},
                      **({"volumeMode": fields["volumeMode"]} if "volumeMode" in fields else {})}}]


def using(name, claim, *command, readonly=False, **fields):
    return pod(name, *(command or SLEEP), volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": claim, "readOnly": readonly}}],
               volumeMounts=[{"name": "data", "mountPath": "/data"}], **fields)


def inside(host, name, text):
    return host.k("exec", name, "--", "sh", "-c", text).strip()


def test_a_driver_stands_in_the_api_while_it_is_there(host, drivers):
    driver = drivers(NAME, "max_volumes=3", "topology.example.com/zone=z1")
    assert driver.entry() == {"name": NAME, "nodeID": "the-node", "topologyKeys": ["topology.example.com/zone"], "allocatable": {"count": 3}}
    node = host.get("node", "node-1")
    assert node["metadata"]["labels"]["topology.example.com/zone"] == "z1"
    assert json.loads(node["metadata"]["annotations"]["csi.volume.kubernetes.io/nodeid"]) == {NAME: "the-node"}
    owner = host.get("csinode", "node-1")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Node", "node-1", node["metadata"]["uid"])
    driver.stop()
    wait_for("it to go from CSINode", lambda: driver.entry() is None)
    wait_for("the annotation to go", lambda: "csi.volume.kubernetes.io/nodeid" not in host.get("node", "node-1")["metadata"].get("annotations", {}))


def test_an_inline_volume_knows_its_pod(host, drivers):
    driver = drivers(NAME, volumeLifecycleModes=["Ephemeral"], podInfoOnMount=True, tokenRequests=[{"audience": "vault"}])
    host.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"password": "s3cret"}},
               pod("inline", *SLEEP, volumeMounts=[{"name": "data", "mountPath": "/data"}],
                   volumes=[{"name": "data", "csi": {"driver": NAME, "volumeAttributes": {"size": "7"}, "nodePublishSecretRef": {"name": "key"}}}]))
    host.wait_running("inline")
    context = json.loads(inside(host, "inline", "cat /data/context"))
    tokens = json.loads(context.pop("csi.storage.k8s.io/serviceAccount.tokens"))
    uid = host.pod("inline")["metadata"]["uid"]
    assert context == {"size": "7", "csi.storage.k8s.io/pod.name": "inline", "csi.storage.k8s.io/pod.namespace": "default", "csi.storage.k8s.io/pod.uid": uid,
                       "csi.storage.k8s.io/serviceAccount.name": "default", "csi.storage.k8s.io/ephemeral": "true"}
    assert list(tokens) == ["vault"] and tokens["vault"]["token"].count(".") == 2 and tokens["vault"]["expirationTimestamp"].endswith("Z")
    [published] = driver.calls("NodePublishVolume")
    target = f"{host.kubelet}/pods/{uid}/volumes/kubernetes.io~csi/data/mount"
    assert published["target_path"] == target and published["secrets"] == {"password": "s3cret"} and published["volume_id"].startswith("csi-")
    record = json.loads((host.kubelet / f"pods/{uid}/volumes/kubernetes.io~csi/data/vol_data.json").read_text())
    assert record["driverName"] == NAME and record["volumeHandle"] == published["volume_id"] and record["volumeLifecycleMode"] == "Ephemeral"
    host.k("delete", "pod", "inline", "--wait=true")
    assert driver.calls("NodeUnpublishVolume") == [{"method": "NodeUnpublishVolume", "volume_id": published["volume_id"], "target_path": target}]
    assert not (host.kubelet / f"pods/{uid}").exists()


def test_a_claim_is_staged_once_and_published_to_each_pod(host, drivers):
    driver = drivers(NAME, "stage", "stats")
    host.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "stage"}, "stringData": {"a": "b"}},
               *volume("shared", NAME, mountOptions=["noatime"], csi={"fsType": "ext4", "volumeAttributes": {"color": "red"}, "nodeStageSecretRef": {"name": "stage", "namespace": "default"}}),
               using("first", "shared"), using("second", "shared", readonly=True))
    host.wait_running("first")
    host.wait_running("second")
    inside(host, "first", "echo kept > /data/file")
    assert inside(host, "second", "cat /data/file; touch /data/new 2>/dev/null || echo read-only") == "kept\nread-only"
    staged = driver.calls("NodeStageVolume")[0]
    assert len(driver.calls("NodeStageVolume")) == 1 and staged["secrets"] == {"a": "b"} and staged["volume_context"] == {"color": "red"} and staged["volume_capability"] == {"mount": {"fs_type": "ext4", "mount_flags": ["noatime"]}, "access_mode": {"mode": 1}}
    assert staged["staging_target_path"].startswith(f"{host.kubelet}/plugins/kubernetes.io/csi/{NAME}/") and staged["staging_target_path"].endswith("/globalmount")
    assert [(one["staging_target_path"], one.get("readonly", False)) for one in sorted(driver.calls("NodePublishVolume"), key=lambda one: one.get("readonly", False))] == [
        (staged["staging_target_path"], False), (staged["staging_target_path"], True)]
    host.k("delete", "pod", "first", "--wait=true")
    assert not driver.calls("NodeUnstageVolume"), "the second pod still has it"
    host.k("delete", "pod", "second", "--wait=true")
    wait_for("it to be unstaged", lambda: driver.calls("NodeUnstageVolume"))
    assert (driver.folder / "volumes/handle-of-shared/file").read_text() == "kept\n", "nothing in it was deleted"
    wait_for("its directory to go", lambda: not (host.kubelet / "plugins/kubernetes.io/csi" / NAME).exists())


@pytest.mark.parametrize("policy, features, fs_type, owner, told", [
    ("File", (), "", "2000", None), ("None", (), "ext4", "0", None), ("ReadWriteOnceWithFSType", (), "ext4", "2000", None),
    ("ReadWriteOnceWithFSType", (), "", "0", None), ("File", ("mount_group",), "ext4", "0", "2000")])
def test_the_group_of_a_volume_is_as_its_driver_wants_it(host, drivers, policy, features, fs_type, owner, told):
    driver = drivers(NAME, *features, fsGroupPolicy=policy)
    host.apply(*volume("grouped", NAME, csi={"fsType": fs_type} if fs_type else {}),
               {**using("grouped", "grouped"), "spec": {**using("grouped", "grouped")["spec"], "securityContext": {"fsGroup": 2000}}})
    host.wait_running("grouped")
    assert inside(host, "grouped", "stat -c %g /data") == owner
    assert driver.calls("NodePublishVolume")[-1]["volume_capability"]["mount"].get("volume_mount_group") == told


def test_a_block_volume_is_a_device(host, drivers):
    driver = drivers(NAME, "stage")
    host.apply(*volume("raw", NAME, volumeMode="Block"))
    made = using("raw", "raw")
    made["spec"]["containers"][0]["volumeDevices"] = [{"name": "data", "devicePath": "/dev/raw"}]
    del made["spec"]["containers"][0]["volumeMounts"]
    host.apply(made)
    host.wait_running("raw")
    assert inside(host, "raw", "test -b /dev/raw && echo hello > /dev/raw && head -c 5 /dev/raw") == "hello"
    assert driver.calls("NodePublishVolume")[0]["volume_capability"]["block"] == {}
    host.k("delete", "pod", "raw", "--wait=true")
    assert (driver.folder / "volumes/handle-of-raw").read_bytes()[:5] == b"hello"
    wait_for("it to be unstaged", lambda: driver.calls("NodeUnstageVolume"))


def test_what_is_mounted_is_known_after_a_restart(host, drivers):
    driver = drivers(NAME, "stage")
    host.apply(*volume("kept", NAME), *volume("gone", NAME), using("kept", "kept"), using("gone", "gone"))
    host.wait_running("kept")
    host.wait_running("gone")
    inside(host, "kept", "echo 1 > /data/file")
    host.kill9()
    before = len(driver.calls("NodePublishVolume"))
    host.start()
    host.k("delete", "pod", "gone", "--wait=false")
    wait_for("the pod to go", lambda: "gone" not in host.k("get", "pods", "-o", "name"))
    assert inside(host, "kept", "cat /data/file") == "1" and len(driver.calls("NodePublishVolume")) == before
    host.k("delete", "pod", "kept", "--wait=true")
    wait_for("both to be unstaged", lambda: len(driver.calls("NodeUnstageVolume")) == 2)


def test_pods_that_go_while_no_server_runs_leave_nothing(host, drivers):
    driver = drivers(NAME, "stage")
    host.apply(*volume("orphan", NAME), using("orphan", "orphan"))
    host.wait_running("orphan")
    uid = host.pod("orphan")["metadata"]["uid"]
    host.k("delete", "pod", "orphan", "--force", "--grace-period=0", "--wait=false")
    host.kill9()
    host.start()
    wait_for("it to be unstaged", lambda: driver.calls("NodeUnstageVolume"))
    wait_for("its directory to go", lambda: not (host.kubelet / f"pods/{uid}").exists())


def test_a_pod_that_has_ended_has_no_volume(host, drivers):
    driver = drivers(NAME, "stage")
    host.apply(*volume("short", NAME), using("short", "short", "sh", "-c", "echo done > /data/file", restartPolicy="Never"))
    host.wait_ended("short")
    wait_for("it to be unstaged", lambda: driver.calls("NodeUnstageVolume"))
    assert host.k("get", "pod", "short", "-o", "jsonpath={.status.phase}") == "Succeeded"


def test_absent_and_failing_drivers_are_named(host, drivers):
    driver = drivers(NAME)
    host.apply(*volume("absent", "nobody.example.com"), using("absent", "absent"), *volume("failing", NAME), using("other", "failing"))
    wait_for("the event", lambda: "driver name nobody.example.com not found in the list of registered CSI drivers" in host.k("get", "events", "--field-selector=involvedObject.name=absent"))
    host.wait_running("other")
    driver.behave(NodePublishVolume="the disk is on fire")
    host.apply(*volume("burning", NAME), using("burning", "burning"))
    wait_for("the event", lambda: "rpc error: code = Internal desc = the disk is on fire" in host.k("get", "events", "--field-selector=involvedObject.name=burning"))
    for name in ("absent", "burning"):
        host.k("delete", "pod", name, "--wait=true")


def test_a_pod_does_not_wait_for_a_driver_that_hangs(host, drivers):
    driver = drivers(NAME)
    driver.behave(NodePublishVolume=None)
    host.apply(*volume("hung", NAME), using("hung", "hung"), pod("free", *SLEEP))
    wait_for("the call", lambda: driver.calls("NodePublishVolume"))
    host.wait_running("free")
    host.k("delete", "pod", "hung", "--wait=true", "--timeout=30s")
    assert driver.calls("NodeUnpublishVolume"), "what was begun is undone"


def test_a_driver_that_comes_late_is_not_waited_for_in_vain(host, drivers):
    driver = drivers(NAME)
    driver.stop()
    host.apply(*volume("late", NAME), using("late", "late"))
    wait_for("the event", lambda: "not found in the list of registered CSI drivers" in host.k("get", "events", "--field-selector=involvedObject.name=late"))
    driver.start()
    host.wait_running("late")


def test_one_pod_alone_has_a_volume_of_one_pod(host, drivers):
    drivers(NAME, "multi_writer")
    host.apply(*volume("single", NAME, modes=["ReadWriteOncePod"]), using("one", "single"))
    host.wait_running("one")
    second = using("two", "single")
    second["spec"]["nodeName"] = "node-1"  # past the scheduler, which says so as well
    host.apply(second)
    wait_for("the event", lambda: "uses the ReadWriteOncePod access mode and is already in use by another pod" in host.k("get", "events", "--field-selector=involvedObject.name=two"))
    host.k("delete", "pod", "one", "--wait=true")
    host.wait_running("two", seconds=60)


def grow(host, name):
    """What external-resizer writes, and that the node has made of it what it should."""
    host.kubectl("patch", "pv", name, "--type=merge", "-p", json.dumps({"spec": {"capacity": {"storage": "2Gi"}}}))
    status = {"status": {"conditions": [{"type": "FileSystemResizePending", "status": "True"}], "allocatedResourceStatuses": {"storage": "NodeResizePending"},
                         "allocatedResources": {"storage": "2Gi"}}}
    assert host.request("PATCH", f"/api/v1/namespaces/default/persistentvolumeclaims/{name}/status", status, ["Content-Type: application/merge-patch+json"])[0] == 200
    wait_for("the claim's new capacity", lambda: host.get("pvc", "-n", "default", name)["status"]["capacity"]["storage"] == "2Gi")


def test_a_volume_that_has_grown_is_made_larger(host, drivers):
    driver = drivers(NAME, "stage", "expand")
    host.apply(*volume("grows", NAME), using("grows", "grows"))
    host.wait_running("grows")
    grow(host, "grows")
    status = host.get("pvc", "-n", "default", "grows")["status"]
    assert not status.get("conditions") and not status.get("allocatedResourceStatuses"), status
    [call] = driver.calls("NodeExpandVolume")
    assert call["capacity_range"]["required_bytes"] == str(2 << 30) and call["volume_path"].endswith("/mount") and call["staging_target_path"].endswith("/globalmount")
    wait_for("the event", lambda: "FileSystemResizeSuccessful" in host.k("get", "events"))


def attachment(host, name):
    """The VolumeAttachment of a PersistentVolume, or None."""
    found = [one for one in host.get("volumeattachments")["items"] if one["spec"]["source"].get("persistentVolumeName") == name]
    return found[0] if found else None


def attacher_says(host, name, **status):
    """What a driver's external-attacher writes."""
    path = f"/apis/storage.k8s.io/v1/volumeattachments/{attachment(host, name)['metadata']['name']}/status"
    assert host.request("PATCH", path, {"status": status}, ["Content-Type: application/merge-patch+json"])[0] == 200


def test_a_volume_is_attached_before_it_is_mounted(host, drivers):
    driver = drivers(NAME, "stage", attachRequired=True)
    host.apply(*volume("disk", NAME), using("disk", "disk"))
    made = wait_for("the controller to ask for it", lambda: attachment(host, "disk"))
    assert made["spec"] == {"attacher": NAME, "nodeName": "node-1", "source": {"persistentVolumeName": "disk"}}
    unique = f"kubernetes.io/csi/{NAME}^handle-of-disk"
    wait_for("the node to say that it uses it", lambda: host.get("node", "node-1")["status"].get("volumesInUse") == [unique])
    attacher_says(host, "disk", attached=False, attachError={"time": "2026-01-01T00:00:00Z", "message": "the cable is too short"})
    wait_for("the event", lambda: 'AttachVolume.Attach failed for volume "disk" : the cable is too short' in host.k("get", "events"))
    assert not driver.calls("NodeStageVolume")
    attacher_says(host, "disk", attached=True, attachError=None, attachmentMetadata={"device": "/dev/x"})
    host.wait_running("disk")
    assert driver.calls("NodeStageVolume")[0]["publish_context"] == driver.calls("NodePublishVolume")[0]["publish_context"] == {"device": "/dev/x"}
    wait_for("the node's list", lambda: host.get("node", "node-1")["status"].get("volumesAttached") == [{"name": unique, "devicePath": ""}])
    host.k("delete", "pod", "disk", "--wait=true")
    wait_for("it to be detached", lambda: attachment(host, "disk") is None)
    assert driver.calls("NodeUnstageVolume"), "not before it was unstaged"
    wait_for("the node's lists to be empty", lambda: not {"volumesInUse", "volumesAttached"} & set(host.get("node", "node-1")["status"]))


def test_a_pod_that_waits_for_its_attachment_may_go(host, drivers):
    drivers(NAME, attachRequired=True)
    host.apply(*volume("never", NAME), using("never", "never"))
    wait_for("the controller to ask for it", lambda: attachment(host, "never"))
    host.k("delete", "pod", "never", "--wait=true", "--timeout=30s")
    wait_for("nobody to ask for it", lambda: attachment(host, "never") is None)


def test_a_provisioner_hears_which_node_was_chosen(host, drivers):
    """Classes that wait for the first consumer: scheduler and binder tell the driver's provisioner, topology decides about nodes."""
    driver = drivers(NAME, "topology.example.com/zone=z1")
    for name, zone in (("here", "z1"), ("elsewhere", "z2")):
        host.apply({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": NAME, "volumeBindingMode": "WaitForFirstConsumer",
                    "allowedTopologies": [{"matchLabelExpressions": [{"key": "topology.example.com/zone", "values": [zone]}]}]})
        [_, claim] = volume(name, NAME)
        host.apply({**claim, "spec": {**claim["spec"], "storageClassName": name, "volumeName": ""}}, using(name, name))
    wait_for("the annotations", lambda: (host.get("pvc", "-n", "default", "here")["metadata"].get("annotations") or {}).get("volume.kubernetes.io/selected-node") == "node-1")
    wait_for("the provisioner's name", lambda: host.get("pvc", "-n", "default", "here")["metadata"]["annotations"].get("volume.kubernetes.io/storage-provisioner") == NAME)
    wait_for("the reason", lambda: "didn't find available persistent volumes to bind" in json.dumps(host.pod("elsewhere")["status"]))
    # What external-provisioner makes.
    [made, _] = volume("here", NAME)
    made["spec"].update(storageClassName="here", nodeAffinity={"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "topology.example.com/zone", "operator": "In", "values": ["z1"]}]}]}})
    host.apply(made)
    host.wait_running("here")
    assert len(driver.calls("NodePublishVolume")) == 1
    host.kubectl("delete", "storageclass", "here", "elsewhere")


def test_a_node_takes_as_many_volumes_as_its_driver_says(host, drivers):
    drivers(NAME, "max_volumes=1")
    host.apply(*volume("v1", NAME), *volume("v2", NAME), using("v1", "v1"))
    host.wait_running("v1")
    host.apply(using("v2", "v2"))
    wait_for("the reason", lambda: "node(s) exceed max volume count" in json.dumps(host.pod("v2")["status"]))
    host.k("delete", "pod", "v1", "--wait=true")
    host.wait_running("v2")


def test_how_full_a_volume_is_stands_in_the_nodes_figures(host, drivers):
    driver = drivers(NAME, "stats")
    host.apply(*volume("full", NAME), using("full", "full"))
    host.wait_running("full")

    def told():
        pods = host.request("GET", "/api/v1/nodes/node-1/proxy/stats/summary")[1]["pods"]
        return [one for pod in pods if pod["podRef"]["name"] == "full" for one in pod.get("volume", [])]
    [figures] = wait_for("the figures", told)
    assert figures.pop("time") and figures == {"availableBytes": 700, "capacityBytes": 1000, "usedBytes": 300, "inodesFree": 7, "inodes": 10, "inodesUsed": 3, "name": "data",
                                               "pvcRef": {"name": "full", "namespace": "default"}}
    metrics = host.request("GET", "/api/v1/nodes/node-1/proxy/metrics", raw=True)[1]
    assert 'kubelet_volume_stats_used_bytes{namespace="default",persistentvolumeclaim="full"} 300\n' in metrics
    assert len(driver.calls("NodeGetVolumeStats")) == 1, "once a minute"


def test_a_node_that_has_joined_has_the_rights_that_it_needs():
    """Everything that reads or writes the API for a volume, by an agent's identity."""
    with fleet.Fleet(links=()) as machines:
        host, kubelet = machines.cluster, pathlib.Path("/var/lib/estiba/kubelet")
        host.ns = "default"
        host.start()
        agent = machines.agent(machines.machine(2), "node-2", **{"kubelet-dir": kubelet})
        agent.import_image(support.busybox_image(), "estiba/busybox:test")
        agent.start()
        there = types.SimpleNamespace(dir=host.dir, apply=host.apply, kubelet=kubelet, sandbox=agent.machine)
        wait_for("the node to look for plugins", lambda: agent.machine.inside(["test", "-d", kubelet / "plugins_registry"], check=False).returncode == 0)
        driver = Driver(there, NAME, "stage", "expand", "topology.example.com/zone=z2", spec={"attachRequired": True, "tokenRequests": [{"audience": "x"}]})
        assert host.get("csinode", "node-2")["spec"]["drivers"][0]["topologyKeys"] == ["topology.example.com/zone"]
        made = using("far", "far", nodeName="node-2")
        host.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"p": "q"}},
                   *volume("far", NAME, csi={"nodeStageSecretRef": {"name": "key", "namespace": "default"}}), made)
        wait_for("the controller to ask for it", lambda: attachment(host, "far"))
        attacher_says(host, "far", attached=True)
        host.wait_running("far", seconds=60)
        assert driver.calls("NodeStageVolume")[0]["secrets"] == {"p": "q"} and "serviceAccount.tokens" in json.dumps(driver.calls("NodePublishVolume"))
        grow(host, "far")
        host.k("delete", "pod", "far", "--wait=true")
        wait_for("it to be detached", lambda: attachment(host, "far") is None)
        driver.stop()
