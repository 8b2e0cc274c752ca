"""Hollow nodes behind a real control plane, seen by kubectl: what is asked of pods there happens, without a machine."""
import pytest

import cluster as support
from simulator import Simulator

NODES = 20


@pytest.fixture(scope="module")
def hollow():
    with support.Cluster(node="false") as cluster:
        cluster.start()
        cluster.ns = "default"
        support.wait_for("the default account", lambda: "default" in cluster.k("get", "serviceaccounts", "-o", "name"))
        with Simulator(cluster, nodes=NODES, cpu=4, **{"pods-per-node": 10, "job-time": "100ms"}) as simulator:
            cluster.simulator = simulator
            yield cluster


def pod_spec(**more):
    return {"containers": [{"name": "main", "image": "example.com/none:1"}], **more}


def test_nodes_have_capacity_and_stay_ready(hollow):
    nodes = hollow.get("nodes", "-l", "type=hollow")["items"]
    assert len(nodes) == NODES
    assert {node["status"]["allocatable"]["pods"] for node in nodes} == {"10"}
    assert {node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes} == {"zone-1", "zone-2", "zone-3"}
    assert hollow.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=20s").count("condition met") == NODES
    leases = hollow.get("-n", "kube-node-lease", "leases")["items"]
    assert len(leases) == NODES


def test_a_deployment_gets_ready_rolls_and_goes(hollow):
    hollow.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                  "spec": {"replicas": 40, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec()}}})
    hollow.k("rollout", "status", "deployment/web", "--timeout=60s")
    pods = hollow.get("pods", "-l", "app=web")["items"]
    assert len({pod["status"]["podIP"] for pod in pods}) == 40
    assert len({pod["spec"]["nodeName"] for pod in pods}) == NODES  # spread evenly
    hollow.k("set", "image", "deployment/web", "main=example.com/none:2")
    hollow.k("rollout", "status", "deployment/web", "--timeout=60s")
    hollow.k("delete", "deployment", "web", "--timeout=30s")
    support.wait_for("the pods to go", lambda: not hollow.get("pods", "-l", "app=web")["items"])


def test_jobs_end_and_fail_as_they_are_told(hollow):
    def job(name, **annotations):
        template = {"metadata": {"annotations": annotations}, "spec": pod_spec(restartPolicy="Never")}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"completions": 12, "parallelism": 6, "backoffLimit": 0, "template": template}}
    hollow.apply(job("good"), job("bad", **{"simulate.estiba.io/exit-code": "3"}))
    hollow.k("wait", "--for=condition=Complete", "job/good", "--timeout=60s")
    hollow.k("wait", "--for=condition=Failed", "job/bad", "--timeout=60s")
    assert hollow.get("job", "good")["status"]["succeeded"] == 12


def test_a_deleted_pod_ends_and_a_full_cluster_says_so(hollow):
    hollow.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": pod_spec()},
                 {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "huge"}, "spec": {"containers": [{"name": "c", "image": "none", "resources": {"requests": {"cpu": "5"}}}]}})
    hollow.wait_running("one")
    hollow.k("delete", "pod", "one", "--timeout=20s")
    huge = hollow.wait_pod("huge", lambda pod: pod["status"].get("conditions"), "judged")
    assert "20 Insufficient cpu" in huge["status"]["conditions"][0]["message"]


def test_it_takes_its_nodes_along_and_another_finds_its_own_again(hollow):
    with Simulator(hollow, nodes=3, **{"name-prefix": "other-", "keep": "true"}) as other:
        assert other.stop() == 0
    assert len(hollow.get("nodes")["items"]) == NODES + 3
    with Simulator(hollow, nodes=3, **{"name-prefix": "other-"}) as other:
        assert other.stop() == 0, other.log()
    assert len(hollow.get("nodes")["items"]) == NODES


def test_wrong_flags_are_named(hollow):
    for flag, words in (("--nodes=0", "--nodes must be between 1 and 100000"), ("--lease-duration=soon", "--lease-duration must be a duration"),
                        ("--cpu=much", "--cpu"), ("--kubeconfig=/nowhere", "/nowhere")):
        result = hollow.estiba("simulate", flag, check=False)
        assert result.returncode == 1 and words in result.stderr, result.stderr


def test_objects_at_rest_are_held_as_text_and_still_known():
    """Typed structs of objects that nobody looks at are let go; controllers and scheduler go on as if nothing had been."""
    def decoded():
        return int(next(line.split()[1] for line in cluster.kubectl("get", "--raw", "/metrics").splitlines() if line.startswith("estiba_decoded_objects ")))

    def available():
        return cluster.get("deployment", "web")["status"].get("availableReplicas")

    with support.Cluster(node="false") as cluster:
        cluster.start()
        cluster.ns = "default"
        support.wait_for("the default account", lambda: "default" in cluster.k("get", "serviceaccounts", "-o", "name"))
        with Simulator(cluster, nodes=40, cpu=7, **{"pods-per-node": 110}):
            asking = pod_spec()
            asking["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}  # 70 fill a node
            cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                           "spec": {"replicas": 2800, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": asking}}})
            support.wait_for("the pods", lambda: available() == 2800, 120)
            support.wait_for("most structs to go", lambda: decoded() < 1000, 120)
            # The scheduler still knows that the nodes are full, and of what.
            cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "late"}, "spec": asking})
            late = cluster.wait_pod("late", lambda pod: pod["status"].get("conditions"), "judged")
            assert "40 Insufficient cpu" in late["status"]["conditions"][0]["message"]
            cluster.k("scale", "deployment", "web", "--replicas=2700")
            cluster.wait_running("late")
            support.wait_for("the others to go", lambda: available() == 2700 and len(cluster.get("pods", "-l", "app=web")["items"]) == 2700, 60)
            # The controllers know their pods.
            victim = cluster.get("pods", "-l", "app=web", "--field-selector=spec.nodeName=hollow-7")["items"][0]["metadata"]["name"]
            cluster.k("delete", "pod", victim)
            support.wait_for("another one", lambda: available() == 2700 and victim not in cluster.k("get", "pods", "-o", "name"), 60)
