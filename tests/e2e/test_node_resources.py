"""What a node gives pods of its machine."""
import contextlib
import os

import pytest

import cluster as support
from cluster import wait_for
from manifests import pod

LOCAL_NODES = support.ROOT / "examples/node-groups/local-nodes"


def memory_kib():
    return next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))


def test_what_is_reserved_is_not_the_pods(own_cluster):
    own_cluster.ns = "default"
    own_cluster.flags.update({"system-reserved": "cpu=100m,memory=64Mi", "kube-reserved": "cpu=150m", "max-pods": 3})
    own_cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    own_cluster.start()
    status = wait_for("the node's status", lambda: (told := own_cluster.request("GET", "/api/v1/nodes/node-1")[1].get("status", {})).get("allocatable") and told)
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
