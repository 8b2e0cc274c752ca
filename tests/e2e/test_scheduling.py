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


def test_pods_spread_over_zones(nodes, place):
    constraint = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "s"}}}
    zones = [NODES[place(f"s{i}", {"app": "s"}, topologySpreadConstraints=[constraint])] for i in range(6)]
    assert sorted(zones) == ["a"] * 3 + ["b"] * 3
    one_more = place("s6", {"app": "s"}, topologySpreadConstraints=[constraint], nodeSelector={ZONE: "a"})
    assert NODES[one_more] == "a", "the selector leaves one zone to compare"
    message = place("s7", {"app": "s"}, topologySpreadConstraints=[{**constraint, "nodeAffinityPolicy": "Ignore"}], nodeSelector={ZONE: "a"})
    assert message.startswith("0/4 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, 2 node(s) didn't match pod topology "
                              "spread constraints. preemption: "), message
    message = place("s8", {"app": "s"}, topologySpreadConstraints=[{**constraint, "topologyKey": "rack"}])
    assert message.startswith("0/4 nodes are available: 4 node(s) didn't match pod topology spread constraints (missing required label)."), message


def test_replicas_go_apart_by_default(nodes, place):
    labels = {"app": "r"}
    deployment = {"metadata": {"name": "r"}, "spec": {"replicas": 4, "selector": {"matchLabels": labels}, "template": {
        "metadata": {"labels": labels}, "spec": {"tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "image": "none"}]}}}}
    assert nodes("POST", f"/apis/apps/v1/namespaces/{nodes.ns}/deployments", deployment).status == 201

    def placed():
        items = nodes.get(f"/api/v1/namespaces/{nodes.ns}/pods", labelSelector="app=r").body["items"]
        names = [item["spec"].get("nodeName") for item in items]
        return names if len(names) == 4 and all(names) else None

    assert set(support.wait_for("four replicas", placed)) == set(NODES)


def test_claims_that_wait_get_a_volume_where_the_pod_goes(nodes, place):
    name = nodes.ns  # what is of the cluster is of this test by its name
    storage = {"metadata": {"name": name}, "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}
    assert nodes("POST", "/apis/storage.k8s.io/v1/storageclasses", storage).status == 201
    in_b = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["b"]}]}]}}
    volume = {"metadata": {"name": name}, "spec": {"storageClassName": name, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"],
                                                   "hostPath": {"path": "/none"}, "nodeAffinity": in_b}}
    claim = {"metadata": {"name": "c"}, "spec": {"storageClassName": name, "accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}}}
    uses = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}
    message = place("p", **uses)
    assert message.startswith('0/4 nodes are available: persistentvolumeclaim "c" not found. preemption: 0/4 nodes are available: 4 Preemption is not'), message
    assert nodes("POST", f"/api/v1/namespaces/{nodes.ns}/persistentvolumeclaims", claim).status == 201

    def says(text):
        return lambda: any(text in message for message in reasons(nodes, "p"))

    support.wait_for("the lack of a volume", says("4 node(s) didn't find available persistent volumes to bind"))
    assert nodes("POST", "/api/v1/persistentvolumes", volume).status == 201
    where = support.wait_for("the pod's node", lambda: nodes.get(f"/api/v1/namespaces/{nodes.ns}/pods/p").body["spec"].get("nodeName"))
    assert NODES[where] == "b"
    assert nodes.get(f"/api/v1/namespaces/{nodes.ns}/persistentvolumeclaims/c").body["spec"]["volumeName"] == name
    message = place("q", **uses)
    assert message.startswith("0/4 nodes are available: 4 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
                              "already in-use by another pod."), message
    for path in (f"/api/v1/namespaces/{nodes.ns}/pods/p?gracePeriodSeconds=0", f"/api/v1/persistentvolumes/{name}",
                 f"/apis/storage.k8s.io/v1/storageclasses/{name}"):
        nodes("DELETE", path)
