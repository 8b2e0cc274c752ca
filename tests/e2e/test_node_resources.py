"""What a node gives pods of its machine."""
import contextlib
import json
import os
import pathlib

import grpc
import pytest

import cluster as support
import pod_resources
from cluster import wait_for
from device_plugin import Plugin
from manifests import pod

LOCAL_NODES = support.ROOT / "examples/node-groups/local-nodes"


def memory_kib():
    return next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))


def test_what_is_reserved_is_not_the_pods(own_cluster):
    own_cluster.ns = "default"
    own_cluster.flags.update({"system-reserved": "cpu=100m,memory=64Mi", "kube-reserved": "cpu=150m", "max-pods": 3})
    own_cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    own_cluster.start()
    status = wait_for("the node's status", lambda: next((node["status"] for node in own_cluster.get("nodes")["items"] if node["status"].get("allocatable")), None))
    assert status["capacity"]["cpu"] == str(os.cpu_count()) and status["allocatable"]["cpu"] == f"{os.cpu_count() * 1000 - 250}m"
    kib = lambda text: int(text.removesuffix("Ki"))
    assert kib(status["capacity"]["memory"]) - kib(status["allocatable"]["memory"]) >= 64 * 1024
    assert status["allocatable"]["pods"] == "3"
    large = pod("large", "sleep", "1000")
    large["spec"]["containers"][0]["resources"] = {"requests": {"cpu": f"{os.cpu_count() * 1000 - 200}m"}}
    # One that names its node itself meets the node's own check.
    named = {**large, "metadata": {"name": "named"}, "spec": {**large["spec"], "nodeName": "node-1"}}
    own_cluster.apply(large, named)
    wait_for("the scheduler's verdict", lambda: "Insufficient cpu" in own_cluster.k("get", "pod", "large", "-o", "jsonpath={.status.conditions[*].message}"))
    wait_for("the node's", lambda: own_cluster.k("get", "pod", "named", "-o", "jsonpath={.status.reason}") == "OutOfcpu")


@pytest.mark.parametrize("shares, cpus", [(1, 0), (4, 750)])
def test_local_nodes_share_the_machine(tmp_path, shares, cpus):
    """Each tells of its part: the rest is reserved."""
    agent = tmp_path / "estiba"
    agent.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\nexec sleep 1000\n')
    agent.chmod(0o755)
    with contextlib.closing(support.Sandbox()) as sandbox:
        provider = lambda command: sandbox.inside(["env", f"DIR={tmp_path}/nodes", f"SHARES={shares}", "ESTIBA_NODES_GROUP=g", "ESTIBA_NODES_NAME=n", "ESTIBA_NODES_TOKEN=t", "ESTIBA_NODES_SERVER=https://s",
                                                   "ESTIBA_NODES_LABELS=", f"ESTIBA_NODES_ESTIBA={agent}", f"ESTIBA_NODES_COMMAND={command}", LOCAL_NODES])
        provider("create")
        arguments = wait_for("the agent to start", lambda: (tmp_path / "arguments").exists() and (tmp_path / "arguments").read_text().splitlines())
        provider("delete")
    assert f"--system-reserved=cpu={os.cpu_count() * cpus}m,memory={memory_kib() * (shares - 1) // shares}Ki" in arguments


def test_swap_is_told_and_given_by_version_2_alone(own_cluster):
    swap = next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith("SwapTotal"))
    own_cluster.start()
    node = lambda path="": own_cluster.kubectl("get", "--raw", f"/api/v1/nodes/node-1{path}")
    info = wait_for("the node to tell of itself", lambda: json.loads(node())["status"].get("nodeInfo"))
    assert info.get("swap") == ({"capacity": swap} if swap else None)
    told = json.loads(node("/proxy/stats/summary"))["node"]["swap"]
    assert told["swapUsageBytes"] + told["swapAvailableBytes"] == swap
    assert "# TYPE node_swap_usage_bytes gauge\nnode_swap_usage_bytes " in node("/proxy/metrics/resource")
    own_cluster.stop()
    if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return  # tests/vm/swap.py
    own_cluster.flags["swap-behavior"] = "LimitedSwap"
    size = own_cluster.log_path.stat().st_size
    own_cluster.start(wait=False)
    assert own_cluster.server.wait(30) != 0
    assert "--swap-behavior=LimitedSwap needs control groups of version 2" in own_cluster.log_path.read_text()[size:]


def cpu_list(text):
    """"0-2,5" → [0, 1, 2, 5]."""
    ends = [part.split("-") for part in text.strip().split(",") if part]
    return [cpu for first, *last in ends for cpu in range(int(first), int((last or [first])[0]) + 1)]


ONLINE = cpu_list(pathlib.Path("/sys/devices/system/cpu/online").read_text())
FIRST = ONLINE[0]


@pytest.fixture(scope="module")
def pinned():
    """A node on which containers may have CPUs for themselves, all but the first, and must have their devices beside them."""
    if len(ONLINE) < 2 or sorted(os.sched_getaffinity(0)) != ONLINE:
        pytest.skip("it takes two CPUs, all of them ours")
    with support.Cluster() as cluster:
        cluster.ns, cluster.kubelet = "default", pathlib.Path(cluster.dir) / "kubelet"
        cluster.flags.update({"cpu-manager-policy": "static", "reserved-cpus": FIRST, "memory-manager-policy": "Static", "topology-manager-policy": "single-numa-node", "kubelet-dir": cluster.kubelet,
                              "device-plugin-dir": pathlib.Path(cluster.dir) / "device-plugins"})
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        wait_for("the node to listen for plugins", (cluster.flags["device-plugin-dir"] / "kubelet.sock").exists)
        yield cluster


@pytest.fixture
def host(pinned):
    yield pinned
    pinned.kubectl("delete", "pods", "--all", "--wait=true", "--timeout=60s")


def guaranteed(name, cpu="1", **limits):
    made = pod(name, "sleep", "1000")
    made["spec"]["terminationGracePeriodSeconds"] = 0
    made["spec"]["containers"][0]["resources"] = {"limits": {"cpu": cpu, "memory": "32Mi", **limits}}
    return made


def runs_on(host, name):
    """Where processes of the pod's container may run."""
    return cpu_list(host.k("exec", name, "--", "sh", "-c", "sed -n 's/^Cpus_allowed_list:\\t//p' /proc/1/status"))


def test_whole_cpus_are_a_containers_own(host):
    host.apply(guaranteed("shares", "500m"))
    host.wait_running("shares")
    assert runs_on(host, "shares") == ONLINE
    host.apply(guaranteed("owns"))
    host.wait_running("owns")
    own = runs_on(host, "owns")
    assert len(own) == 1 and own[0] != FIRST
    rest = [cpu for cpu in ONLINE if cpu not in own]
    wait_for("the others to leave it", lambda: runs_on(host, "shares") == rest)
    [given] = [container for container in pod_resources.ask(host.kubelet, "Get", pod_name="owns", pod_namespace="default").pod_resources.containers]
    assert list(given.cpu_ids) == own and [(row.memory_type, row.size) for row in given.memory] == [("memory", 32 << 20)]
    nodes = host.k("exec", "owns", "--", "sh", "-c", "sed -n 's/^Mems_allowed_list:\\t//p' /proc/1/status")
    assert cpu_list(nodes) == [node.ID for node in given.memory[0].topology.nodes]
    # A restart of the server gives and takes nothing.
    host.kill9()
    host.start()
    host.k("delete", "pod", "shares", "--wait=true")
    host.apply(guaranteed("shares", "500m"))
    host.wait_running("shares")
    assert runs_on(host, "shares") == rest and runs_on(host, "owns") == own
    host.k("delete", "pod", "owns", "--wait=true")
    wait_for("the others to have it back", lambda: runs_on(host, "shares") == ONLINE)


def test_cpus_of_ones_own_are_not_resized(host):
    host.apply(guaranteed("fixed"))
    host.wait_running("fixed")
    own = runs_on(host, "fixed")
    for resources, reason in (({"cpu": "500m", "memory": "32Mi"}, "Infeasible"), ({"cpu": "1", "memory": "64Mi"}, None)):
        now = json.loads(host.k("get", "pod", "fixed", "-o", "json"))
        now["spec"]["containers"][0]["resources"] = {"limits": resources, "requests": resources}
        host.kubectl("replace", "--raw", "/api/v1/namespaces/default/pods/fixed/resize", "-f", "-", input=json.dumps(now))
        told = lambda p: next((c["reason"] for c in p["status"].get("conditions", []) if c["type"] == "PodResizePending"), None) == reason
        host.wait_pod("fixed", lambda p: told(p) and (reason or p["status"]["containerStatuses"][0]["resources"]["limits"]["memory"] == "64Mi"), f"{resources} to be {reason or 'in force'}")
    assert runs_on(host, "fixed") == own


def test_devices_and_cpus_lie_together(host):
    folder = host.flags["device-plugin-dir"]
    near = Plugin(folder, "example.com/near", {"b": True}, lambda ids: {"envs": {"CARDS": ",".join(ids)}}, numa={"b": 0})
    far = Plugin(folder, "example.com/far", {"a": True}, lambda ids: {}, numa={"a": 7})
    offers = lambda: host.request("GET", "/api/v1/nodes/node-1")[1]["status"]["allocatable"]
    wait_for("the node to tell of them", lambda: offers().get("example.com/near") == "1" and offers().get("example.com/far") == "1")
    host.apply(guaranteed("together", "500m", **{"example.com/near": "1"}), guaranteed("apart", "500m", **{"example.com/far": "1"}))
    host.wait_running("together")
    assert pod_resources.of_container(pod_resources.ask(host.kubelet, "Get", pod_name="together", pod_namespace="default").pod_resources) == ({"example.com/near": [("b", [0])]}, [])
    assert host.k("exec", "together", "--", "sh", "-c", "echo $CARDS").strip() == "b"
    wait_for("the pod to fail", lambda: host.k("get", "pod", "apart", "-o", "jsonpath={.status.phase}/{.status.reason}") == "Failed/TopologyAffinityError")
    assert host.k("get", "pod", "apart", "-o", "jsonpath={.status.message}") == "Pod was rejected: Resources cannot be allocated with Topology locality"
    listed = {one.name: one for one in pod_resources.ask(host.kubelet, "List").pod_resources}
    assert set(listed) == {"together"}, "those that hold something yet"
    there = pod_resources.ask(host.kubelet, "GetAllocatableResources")
    assert sorted((row.resource_name, row.device_ids[0], [node.ID for node in row.topology.nodes]) for row in there.devices) == [
        ("example.com/far", "a", [7]), ("example.com/near", "b", [0])]
    assert list(there.cpu_ids) == ONLINE[1:]
    with pytest.raises(grpc.RpcError) as caught:
        pod_resources.ask(host.kubelet, "Get", pod_name="nobody", pod_namespace="default")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND and "pod nobody in namespace default not found" in caught.value.details()
    for plugin in (near, far):
        plugin.close()


def test_another_policy_than_before_is_refused(host):
    """Until the file is removed, which is for a node without pods."""
    host.stop()
    policy = host.flags.pop("cpu-manager-policy")
    size = host.log_path.stat().st_size
    host.start(wait=False)
    assert host.server.wait(30) == 1
    told = host.log_path.read_text()[size:]
    assert f'{host.data_dir}/placement.json: --cpu-manager-policy was "static" and is "none" now: drain this node and remove the file' in told, told
    host.flags["cpu-manager-policy"] = policy
    host.start()
