"""Where pods go in a cluster of several nodes: Node objects that no kubelet stands behind, so that placements and events are all there is."""
import uuid

import pytest

import cluster as support
from api import MERGE, Api

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
NODES = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}


@pytest.fixture(scope="module")
def nodes():
    """A control plane with the nodes above; what is called is its API."""
    with support.Cluster(node="false") as cluster:
        cluster.start()
        api = Api(cluster)
        for name, zone in NODES.items():
            node = {"metadata": {"name": name, "labels": {HOST: name, ZONE: zone}}}
            assert api("POST", "/api/v1/nodes", node).status == 201
            status = {"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]}}
            assert api("PATCH", f"/api/v1/nodes/{name}/status", status, {"Content-Type": MERGE}).status == 200
        yield api


@pytest.fixture
def place(nodes):
    """A function that makes a pod, waits for a decision about it, and returns the node or why there is none."""
    ns = "t-" + uuid.uuid4().hex[:8]
    assert nodes("POST", "/api/v1/namespaces", {"metadata": {"name": ns}}).status == 201
    support.wait_for("the namespace's account", lambda: nodes.get(f"/api/v1/namespaces/{ns}/serviceaccounts/default").status == 200)
    nodes.ns = ns

    def make(name, labels=None, **spec):
        pod = {"metadata": {"name": name, "labels": labels or {}}, "spec": {"containers": [{"name": "c", "image": "none"}], **spec}}
        # Nobody keeps these nodes ready.
        pod["spec"]["tolerations"] = [{"operator": "Exists"}]
        answer = nodes("POST", f"/api/v1/namespaces/{ns}/pods", pod)
        assert answer.status == 201, answer.data

        def decided():
            body = nodes.get(f"/api/v1/namespaces/{ns}/pods/{name}").body
            if body["spec"].get("nodeName"):
                return body["spec"]["nodeName"]
            return next((c["message"] for c in body["status"].get("conditions", []) if c["type"] == "PodScheduled"), None)

        return support.wait_for(f"a decision about {name}", decided)

    yield make
    nodes("DELETE", f"/api/v1/namespaces/{ns}")


def reasons(api, name):
    """The messages of the pod's FailedScheduling events."""
    items = api.get(f"/api/v1/namespaces/{api.ns}/events", fieldSelector=f"involvedObject.name={name},reason=FailedScheduling").body["items"]
    return [item["message"] for item in items]


def affinity(kind, key, app):
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def test_pods_keep_away_from_each_other(nodes, place):
    spec = affinity("podAntiAffinity", HOST, "w")
    assert {place(f"w{i}", {"app": "w"}, **spec) for i in range(4)} == set(NODES)
    message = place("w4", {"app": "w"}, **spec)
    assert message.startswith("0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules. preemption: 0/4 nodes are available: "), message
    assert support.wait_for("the event", lambda: reasons(nodes, "w4")) == [message]


def test_pods_go_where_the_wanted_one_is(nodes, place):
    message = place("fan", **affinity("podAffinity", ZONE, "star"))
    assert message.startswith("0/4 nodes are available: 4 node(s) didn't match pod affinity rules. preemption:"), message
    star = place("star", {"app": "star"})

    def followed():
        return nodes.get(f"/api/v1/namespaces/{nodes.ns}/pods/fan").body["spec"].get("nodeName")

    assert NODES[support.wait_for("the one that waits", followed)] == NODES[star]


def test_the_first_of_a_group_may_come(nodes, place):
    spec = affinity("podAffinity", ZONE, "g")
    assert len({NODES[place(f"g{i}", {"app": "g"}, **spec)] for i in range(5)}) == 1
