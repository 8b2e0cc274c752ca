"""Node autoscaling: pods that no node takes bring nodes, nodes that nobody needs go, and nothing is left of them."""
import json
import os

import pytest

import cluster as support
from cluster import ROOT, Cluster, busybox_image, cgroups_of, wait_for
from fleet import GRACE, LEASE
from manifests import WEB, deployment

LOCAL = ROOT / "examples/node-groups/local-nodes"
HERE = {"nodeSelector": {"estiba.io/node-group": "workers"}, "terminationGracePeriodSeconds": 1}


def groups(path, command, env=None, **more):
    """Writes the file that --node-groups names: one group, as large as this machine."""
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    group = {"name": "workers", "max": 2, "exec": {"command": [str(word) for word in command], "env": env or {}, "timeout": "60s"},
             "template": {"allocatable": {"cpu": os.cpu_count(), "memory": f"{memory}Ki"}}}
    path.write_text(json.dumps({"apiVersion": "estiba.io/v1", "kind": "NodeGroups", "scanInterval": "1s", "initialBackoff": "2s", "groups": [group],
                                "scaleDown": {"unneededTime": "3s", "delayAfterAdd": "1s", "delayAfterFailure": "2s"}, **more}))
    return path


@pytest.fixture
def local():
    with Cluster(**{"node-monitor-grace-period": GRACE, "node-lease-duration": LEASE}) as cluster:
        cluster.ns = "default"
        cluster.nodes = cluster.dir / "nodes"
        image = busybox_image()
        cluster.flags["node-groups"] = groups(
            cluster.dir / "groups.json", [LOCAL, "--eviction-hard=memory.available<50Mi", "--image-gc-high-threshold=100", f"--node-lease-duration={LEASE}"],
            {"DIR": str(cluster.nodes), "IMAGES": f"{image}=estiba/busybox:test"})
        cluster.import_image(image, "estiba/busybox:test")
        cluster.start()
        try:
            yield cluster
        finally:
            for path in cluster.nodes.glob("*/"):
                support.remove_cgroups(cgroups_of(path / "data", path.name))


def part(name, replicas, thousandths):
    """A Deployment whose pods ask for such a part of a node each."""
    return deployment(name, replicas, *WEB, resources={"requests": {"cpu": f"{os.cpu_count() * thousandths}m"}}, **HERE)


def half(replicas):
    """No two of its pods fit on one node."""
    return part("web", replicas, 600)


def node_of(cluster, name):
    """Where the Deployment's only pod runs."""
    pods = [pod for pod in cluster.get("pods", "-l", f"app={name}")["items"] if not pod["metadata"].get("deletionTimestamp")]
    return pods[0]["spec"].get("nodeName") if len(pods) == 1 and pods[0]["status"]["phase"] == "Running" else None


def workers(cluster):
    return [node["metadata"]["name"] for node in cluster.get("nodes", "-l", "estiba.io/node-group=workers")["items"]]


def events(cluster, reason, ns="default"):
    return [event["message"] for event in cluster.get("events", "-n", ns)["items"] if event["reason"] == reason]


def available(cluster, count):
    return lambda: cluster.get("deployment", "web")["status"].get("availableReplicas", 0) == count


def show(cluster):
    """For whoever reads a failure."""
    logs = "\n".join(f"--- {path.parent.name}\n{path.read_text(errors='replace')[-3000:]}" for path in cluster.nodes.glob("*/log"))
    return f"{cluster.log()[-6000:]}\n{logs}\n{cluster.kubectl('get', 'nodes,pods,events', '-A', '-o', 'wide', check=False)}"


def test_nodes_of_this_machine_come_and_go_with_the_pods_that_need_them(local):
    try:
        assert workers(local) == []
        local.apply(half(2))
        wait_for("the pods on nodes of their own", available(local, 2), 120, 0.3)
        names = workers(local)
        assert len(names) == 2 and {pod["spec"]["nodeName"] for pod in local.get("pods", "-l", "app=web")["items"]} == set(names)
        assert any("pod triggered scale-up: [{workers 0->2 (max: 2)}]" in message for message in events(local, "TriggeredScaleUp"))
        address = local.get("pods", "-l", "app=web")["items"][0]["status"]["podIP"]
        assert wait_for("an answer of a pod on another node", lambda: local.sandbox.inside(["curl", "-s", "--max-time", "5", f"http://{address}:8080"], check=False).stdout, 20, 0.2)
        status = local.get("configmap", "cluster-autoscaler-status", "-n", "kube-system")["data"]["status"]
        assert "cloudProviderTarget: 2" in status, status

        # A server that starts anew finds them.
        local.stop()
        local.start()
        wait_for("both nodes", lambda: len(workers(local)) == 2 and available(local, 2)(), 30, 0.2)
        local.apply(half(3))
        wait_for("the reason", lambda: any("max node group size reached" in message for message in events(local, "NotTriggerScaleUp")), 30, 0.2)
        assert sorted(workers(local)) == sorted(names)

        # What is left on a node that is hardly used moves, as its budget allows.
        local.apply(half(1))
        wait_for("one node to go", lambda: len(workers(local)) == 1, 90, 0.3)
        stays = node_of(local, "web")
        local.apply(part("other", 1, 600))
        other = wait_for("another node", lambda: node_of(local, "other"), 90, 0.3)
        local.kubectl("cordon", stays)
        local.apply(part("small", 1, 200), {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "small"},
                                            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "small"}}}})
        assert wait_for("the small one", lambda: node_of(local, "small"), 60, 0.3) == other
        local.kubectl("uncordon", stays)
        local.k("delete", "deployment", "other")
        wait_for("the small one to move", lambda: node_of(local, "small") == stays, 90, 0.3)
        wait_for("its node to go", lambda: workers(local) == [stays], 60, 0.3)
        assert "deleting pod for node scale down" in events(local, "ScaleDown")

        local.k("delete", "deployment", "small")
        local.apply(half(0))
        wait_for("the other node to go", lambda: not workers(local), 90, 0.3)
        wait_for("the machines to go", lambda: not list(local.nodes.glob("*/")), 30, 0.1)
        assert any("node removed by cluster autoscaler" in message for message in events(local, "ScaleDown"))
    except AssertionError as error:
        raise AssertionError(f"{error}\n{show(local)}") from None
    local.k("delete", "deployment", "web", "--wait=false")
    wait_for("no pods", lambda: not local.get("pods")["items"], 30, 0.2)
    local.stop()
    assert local.leftovers() == []
    for name in {*names, other}:
        assert cgroups_of(local.nodes / name / "data", name) == []


def test_a_provider_that_fails_is_told_of_and_left_alone_for_a_while(tmp_path):
    calls = tmp_path / "calls"
    provider = tmp_path / "provider"
    provider.write_text(f"""#!/bin/sh
echo "$ESTIBA_NODES_COMMAND $ESTIBA_NODES_NAME" >>{calls}
case $ESTIBA_NODES_COMMAND in
list) echo '{{"nodes":[]}}' ;;
create) cat >{tmp_path}/request; echo "the zone has no room" >&2; exit 3 ;;
esac
""")
    provider.chmod(0o755)
    with Cluster(node="false", **{"node-groups": groups(tmp_path / "groups.json", [provider])}) as cluster:
        cluster.ns = "default"
        cluster.start()
        wait_for("the account of pods", lambda: cluster.get("serviceaccounts")["items"], 20)
        cluster.apply(half(1))
        wait_for("the failure", lambda: any("create ended with 3: the zone has no room" in message for message in events(cluster, "FailedToScaleUpGroup", "kube-system")), 60, 0.2)
        wait_for("what the pod is told", lambda: any("1 in backoff after failed scale-up" in message for message in events(cluster, "NotTriggerScaleUp")), 30, 0.2)
        wait_for("another try", lambda: calls.read_text().count("create") >= 2, 60, 0.2)
        made = {line.split()[1] for line in calls.read_text().splitlines() if line.startswith("create")}
        wait_for("what was begun to be removed", lambda: made <= {line.split()[1] for line in calls.read_text().splitlines() if line.startswith("delete")} | {max(made)}, 30, 0.2)
        request = json.loads((tmp_path / "request").read_text())
        assert request["kind"] == "NodeGroupRequest" and request["command"] == "create" and request["group"]["name"] == "workers"
        assert request["server"] == "https://192.168.77.1:6443" and "@sha256:" in request["token"] and request["name"].startswith("workers-")
        status, metrics = cluster.request("GET", "/metrics", raw=True)
        assert status == 200 and 'cluster_autoscaler_failed_scale_ups_total{reason="cloudProviderError"}' in metrics


def test_a_server_does_not_wait_for_a_provider_that_hangs(tmp_path):
    begun, provider = tmp_path / "begun", tmp_path / "provider"
    provider.write_text(f"""#!/bin/sh
[ $ESTIBA_NODES_COMMAND = create ] || exec echo '{{"nodes":[]}}'
touch {begun}
exec sleep 3600
""")
    provider.chmod(0o755)
    path = groups(tmp_path / "groups.json", [provider])
    path.write_text(path.read_text().replace('"timeout": "60s"', '"timeout": "1h"'))
    with Cluster(node="false", **{"node-groups": path}) as cluster:
        cluster.ns = "default"
        cluster.start()
        wait_for("the account of pods", lambda: cluster.get("serviceaccounts")["items"], 20)
        cluster.apply(half(1))
        wait_for("the provider to be asked", begun.exists, 60, 0.1)
        cluster.stop()
        assert cluster.server.returncode == 0


def test_a_file_that_makes_no_sense_is_refused(tmp_path):
    path = groups(tmp_path / "groups.json", ["nodes"])
    with Cluster(node="false", **{"node-groups": path}) as cluster:
        cluster.start(wait=False)
        assert cluster.server.wait(30) != 0
        assert f'--node-groups {path}: groups[0].exec.command[0]: Invalid value: "nodes": must be an absolute path' in cluster.log().replace('\\"', '"')
