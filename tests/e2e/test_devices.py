"""Devices by claims: from a driver's ResourceSlice through the scheduler to a container, and back (Dynamic Resource Allocation)."""
import json
import pathlib
import time

import pytest

import cluster as support
from cluster import wait_for
from dra_driver import HEALTHY, UNHEALTHY, Driver
from manifests import pod

WAITS = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")


@pytest.fixture(scope="module")
def host():
    with support.Cluster() as cluster:
        cluster.ns, cluster.cdi = "default", pathlib.Path(cluster.dir) / "cdi"
        cluster.cdi.mkdir()
        cluster.flags["kubelet-dir"], cluster.flags["cdi-spec-dirs"] = cluster.dir / "kubelet", cluster.cdi
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        cluster.request("GET", "/readyz")  # has its certificates written, before drivers' threads ask
        cluster.apply({"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"},
                       "spec": {"selectors": [{"cel": {"expression": "device.driver.endsWith('.example.com')"}}]}})
        yield cluster


@pytest.fixture
def drivers(host):
    made = []

    def make(name, devices, **more):
        made.append(Driver(host, name, [{"name": each} if isinstance(each, str) else each for each in devices], **more))
        return made[-1]
    yield make
    host.kubectl("delete", "pods,resourceclaims,resourceclaimtemplates", "--all", "--wait=true", "--timeout=60s")
    for driver in made:
        driver.close()
    host.kubectl("delete", "resourceslices", "--all", "--wait=true", "--timeout=60s")


def requests(*exactly):
    return {"devices": {"requests": [{"name": f"r{i}", "exactly": {"deviceClassName": "gpu", **more}} for i, more in enumerate(exactly)]}}


def claim(name, *exactly):
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name}, "spec": requests(*exactly)}


def template(name, *exactly):
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": name}, "spec": {"spec": requests(*exactly)}}


def using(name, source, command=WAITS, request=None):
    made = pod(name, *command)
    made["spec"]["terminationGracePeriodSeconds"] = 30  # with 0 the API lets go of the pod at once, before the node has put anything away
    made["spec"]["resourceClaims"] = [{"name": "gpu", **source}]
    made["spec"]["containers"][0]["resources"] = {"claims": [{"name": "gpu", **({"request": request} if request else {})}]}
    return made


def inside(host, name, text):
    return host.k("exec", name, "--", "sh", "-c", text).strip()


def get(host, kind, name):
    return host.request("GET", f"/apis/resource.k8s.io/v1/namespaces/default/{kind}/{name}")


def status(host, name):
    return host.request("GET", f"/api/v1/namespaces/default/pods/{name}")[1]["status"]


def message(host, name):
    return host.k("get", "pod", name, "-o", "jsonpath={.status.conditions[*].message}")


def test_a_container_gets_the_device_of_its_claim(host, drivers):
    driver = drivers("one.example.com", [{"name": "gpu-0", "attributes": {"size": {"int": 1}}}, {"name": "gpu-1", "attributes": {"size": {"int": 2}}}])
    host.apply(template("big", {"selectors": [{"cel": {"expression": "device.attributes['one.example.com'].size > 1"}}]}), using("p", {"resourceClaimTemplateName": "big"}))
    host.wait_running("p")
    assert inside(host, "p", "echo $GPU_R0; test -c /dev/gpu-1 && echo device; test -e /dev/gpu-0 || echo alone") == "gpu-1\ndevice\nalone"
    name = status(host, "p")["resourceClaimStatuses"][0]["resourceClaimName"]
    made = get(host, "resourceclaims", name)[1]
    assert made["status"]["reservedFor"][0]["name"] == "p" and made["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
    # Another pod waits for it, with the reason, and gets it when the first has gone.
    host.apply(using("q", {"resourceClaimTemplateName": "big"}))
    wait_for("the scheduler's verdict", lambda: "cannot allocate all claims" in message(host, "q"))
    host.k("delete", "pod", "p", "--wait=true")
    host.wait_running("q")
    assert inside(host, "q", "echo $GPU_R0") == "gpu-1"
    wait_for("the claim to go with its pod", lambda: get(host, "resourceclaims", name)[0] == 404)
    assert driver.asked[:2] == [("prepare", name), ("unprepare", name)]


def test_containers_share_a_claim_and_name_its_requests(host, drivers):
    driver = drivers("two.example.com", ["gpu-0", "gpu-1"], service="v1beta1.DRAPlugin", health=False)
    host.apply(claim("c", {}, {}), using("p", {"resourceClaimName": "c"}, request="r1"), using("q", {"resourceClaimName": "c"}))
    host.wait_running("p")
    host.wait_running("q")
    assert inside(host, "p", "echo $GPU_R0,$GPU_R1") == ",gpu-1"
    assert inside(host, "q", "echo $GPU_R0,$GPU_R1") == "gpu-0,gpu-1"
    host.k("delete", "pod", "p", "--wait=true")
    assert ("unprepare", "c") not in driver.asked, "the other one still uses it"
    assert inside(host, "q", "test -c /dev/gpu-0 && echo there") == "there"
    host.k("delete", "pod", "q", "--wait=true")
    wait_for("the claim to be free", lambda: "allocation" not in get(host, "resourceclaims", "c")[1].get("status", {}))
    assert driver.asked.count(("prepare", "c")) == 1 and driver.asked.count(("unprepare", "c")) == 1


def test_a_pod_that_has_ended_gives_its_devices_back_first(host, drivers):
    driver = drivers("three.example.com", ["gpu-0"])
    ends = using("p", {"resourceClaimTemplateName": "t"}, command=("sh", "-c", "echo $GPU_R0"))
    ends["spec"]["restartPolicy"] = "Never"
    host.apply(template("t", {}), ends)
    wait_for("the pod to end", lambda: status(host, "p")["phase"] == "Succeeded")
    assert [what for what, _ in driver.asked] == ["prepare", "unprepare"], "put away before the end was told"
    wait_for("its claim to go", lambda: not json.loads(host.k("get", "resourceclaims", "-o", "json"))["items"])
    assert host.k("logs", "p").strip() == "gpu-0"


def test_what_a_driver_refuses_is_said_and_tried_again(host, drivers):
    driver = drivers("four.example.com", ["gpu-0"])
    driver.refuses = "the fan is stuck"
    host.apply(claim("c", {}), using("p", {"resourceClaimName": "c"}))
    wait_for("the event", lambda: "NodePrepareResources failed for ResourceClaim c: the fan is stuck" in host.k("get", "events", "--field-selector=reason=FailedPrepareDynamicResources", "-o", "jsonpath={.items[*].message}"))
    assert status(host, "p")["phase"] == "Pending"
    driver.refuses = ""
    host.wait_running("p")


def test_prepared_devices_outlive_the_server(host, drivers):
    driver = drivers("five.example.com", ["gpu-0"])
    host.apply(claim("c", {}), using("p", {"resourceClaimName": "c"}))
    host.wait_running("p")
    host.kill9()
    host.start()
    assert driver.registration.told.get(timeout=30) == "", "registered again"
    host.wait_running("p")
    assert inside(host, "p", "echo $GPU_R0") == "gpu-0"
    host.k("delete", "pod", "p", "--wait=true")
    assert driver.asked == [("prepare", "c"), ("unprepare", "c")], driver.asked


def test_a_pod_that_ends_while_no_server_runs_gives_its_devices_back_first(host, drivers):
    driver = drivers("eight.example.com", ["gpu-0"])
    gate = host.dir / "gate"
    gate.mkdir()
    ends = using("p", {"resourceClaimName": "c"}, command=("sh", "-c", "until test -e /gate/open; do sleep 0.05; done"))
    ends["spec"]["restartPolicy"] = "Never"
    ends["spec"]["volumes"] = [{"name": "gate", "hostPath": {"path": str(gate)}}]
    ends["spec"]["containers"][0]["volumeMounts"] = [{"name": "gate", "mountPath": "/gate"}]
    host.apply(claim("c", {}), ends)
    host.wait_running("p")
    host.kill9()
    (gate / "open").touch()
    time.sleep(0.5)  # the container ends meanwhile; should it take longer, it ends a little later
    host.start()
    wait_for("the pod to end", lambda: status(host, "p")["phase"] == "Succeeded", 60)
    assert driver.asked == [("prepare", "c"), ("unprepare", "c")], driver.asked


def test_a_pod_whose_driver_has_gone_may_go(host, drivers):
    driver = drivers("nine.example.com", ["gpu-0"])
    host.apply(claim("c", {}))
    driver.refuses = "not yet"
    host.apply(using("p", {"resourceClaimName": "c"}))
    wait_for("the node to ask", lambda: driver.asked)
    driver.registration.close()  # not registered any more: for the next pod, nobody is asked
    def missed(name):
        return "DRA driver nine.example.com is not registered" in host.k("get", "events", f"--field-selector=involvedObject.name={name}", "-o", "jsonpath={.items[*].message}")
    wait_for("the node to know", lambda: missed("p"), 60)
    host.apply(using("q", {"resourceClaimName": "c"}))
    wait_for("the event", lambda: missed("q"), 60)
    host.k("delete", "pod", "q", "--wait=true", "--timeout=60s")
    driver.refuses = ""
    driver.close()
    driver.open()
    host.wait_running("p")


def test_health_of_devices_is_told(host, drivers):
    driver = drivers("six.example.com", ["gpu-0"])
    host.apply(claim("c", {}), using("p", {"resourceClaimName": "c"}))
    host.wait_running("p")

    def told():
        [container] = status(host, "p")["containerStatuses"]
        return [(each["name"], one["health"], one.get("message")) for each in container.get("allocatedResourcesStatus", []) for one in each["resources"]]
    wait_for("the device to be in the status", lambda: told() == [("claim:gpu", "Unknown", None)])
    driver.tell("gpu-0", HEALTHY)
    wait_for("it to be healthy", lambda: told() == [("claim:gpu", "Healthy", None)])
    driver.tell("gpu-0", UNHEALTHY, "too hot")
    wait_for("it to be unhealthy", lambda: told() == [("claim:gpu", "Unhealthy", "too hot")])


def test_a_driver_that_serves_nothing_known_is_refused(host, drivers):
    from plugin_registration import Registration
    registration = Registration(host.dir / "kubelet/plugins_registry", "odd.sock", "DRAPlugin", "odd.example.com", "/odd", ["v9.DRAPlugin"])
    told = registration.told.get(timeout=30)
    registration.close()
    (host.dir / "kubelet/plugins_registry/odd.sock").unlink(missing_ok=True)
    assert "none of the services supported by the plugin (v9.DRAPlugin)" in told


def test_alternatives_constraints_and_a_pod_that_is_bound_by_hand(host, drivers):
    drivers("seven.example.com", [{"name": name, "attributes": {"root": {"string": root}}} for name, root in (("a0", "a"), ("b0", "b"), ("b1", "b"))])
    wanted = claim("pair", {"count": 2})
    wanted["spec"]["devices"]["constraints"] = [{"matchAttribute": "seven.example.com/root"}]
    host.apply(wanted, using("p", {"resourceClaimName": "pair"}))
    host.wait_running("p")
    assert inside(host, "p", "ls /dev | grep -E '^[ab][01]'") == "b0\nb1"
    other = claim("some")
    other["spec"]["devices"]["requests"] = [{"name": "r", "firstAvailable": [{"name": "two", "deviceClassName": "gpu", "count": 2}, {"name": "one", "deviceClassName": "gpu"}]}]
    host.apply(other, using("q", {"resourceClaimName": "some"}))
    host.wait_running("q")
    assert inside(host, "q", "echo $GPU_R_ONE") == "a0"
    bound = using("hand", {"resourceClaimName": "some"})
    bound["spec"]["nodeName"] = "node-1"
    host.apply(bound)
    host.wait_running("hand")
    assert len(get(host, "resourceclaims", "some")[1]["status"]["reservedFor"]) == 2
