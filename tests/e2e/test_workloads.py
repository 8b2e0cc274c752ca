"""StatefulSets, DaemonSets and ReplicationControllers, as kubectl users know them."""

from cluster import wait_for
from manifests import deployment, pod


def workload(kind, name, *command, spec=(), version="apps/v1", **pod_spec):
    made = pod(name, *command, **pod_spec)
    selector = {"app": name} if version == "v1" else {"matchLabels": {"app": name}}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name},
            "spec": {"selector": selector, "template": {"metadata": {"labels": {"app": name}}, "spec": made["spec"]}, **dict(spec)}}


def headless(name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": [{"port": 80}]}}


def field(cluster, what, path):
    return cluster.k("get", what, "-o", "jsonpath={" + path + "}")


def pods(cluster, app):
    return cluster.k("get", "pods", "-l", f"app={app}", "-o", "name").split()


def test_stateful_set_keeps_names_and_rolls_back(cluster):
    cluster.apply(headless("db"), workload("StatefulSet", "db", "sh", "-c", "hostname -f; sleep 3600", spec={"replicas": 3, "serviceName": "db"}, env=[{"name": "V", "value": "1"}]))
    cluster.k("rollout", "status", "sts/db", "--timeout=60s")
    assert field(cluster, "sts/db", ".status.readyReplicas") == "3"
    assert pods(cluster, "db") == ["pod/db-0", "pod/db-1", "pod/db-2"]
    assert cluster.k("logs", "db-1").startswith("db-1.db." + cluster.ns)
    assert "Create Pod db-2 in StatefulSet db successful" in cluster.k("describe", "sts", "db")
    first = field(cluster, "sts/db", ".status.currentRevision")

    cluster.k("set", "env", "sts/db", "V=2")
    cluster.k("rollout", "status", "sts/db", "--timeout=60s")
    assert field(cluster, "sts/db", ".status.currentRevision") != first
    assert cluster.k("exec", "db-0", "--", "sh", "-c", "echo $V").strip() == "2"
    assert [line.split()[0] for line in cluster.k("rollout", "history", "sts/db").splitlines()[2:] if line] == ["1", "2"]
    cluster.k("rollout", "undo", "sts/db")
    cluster.k("rollout", "status", "sts/db", "--timeout=60s")
    wait_for("the first revision again", lambda: field(cluster, "sts/db", ".status.currentRevision") == first, 10)
    assert cluster.k("exec", "db-2", "--", "sh", "-c", "echo $V").strip() == "1"
    assert [line.split()[0] for line in cluster.k("rollout", "history", "sts/db").splitlines()[2:] if line] == ["2", "3"]

    uid = cluster.pod("db-1")["metadata"]["uid"]
    cluster.k("delete", "pod", "db-1")
    wait_for("db-1 again", lambda: field(cluster, "sts/db", ".status.readyReplicas") == "3" and cluster.pod("db-1")["metadata"]["uid"] != uid, 30)
    cluster.k("scale", "sts/db", "--replicas=1")
    wait_for("one pod", lambda: pods(cluster, "db") == ["pod/db-0"], 30)


def test_stateful_set_makes_claims_and_gives_them_to_the_collector(cluster):
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}]
    cluster.apply(workload("StatefulSet", "kept", spec={"replicas": 1, "serviceName": "kept", "volumeClaimTemplates": claims}),
                  workload("StatefulSet", "gone", spec={"replicas": 1, "serviceName": "gone", "volumeClaimTemplates": claims,
                                                        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}))
    wait_for("the claims", lambda: set(cluster.k("get", "pvc", "-o", "name").split()) == {"persistentvolumeclaim/data-kept-0", "persistentvolumeclaim/data-gone-0"}, 20)
    wait_for("its owner", lambda: field(cluster, "pvc/data-gone-0", ".metadata.ownerReferences[*].kind") == "StatefulSet", 10)
    cluster.k("delete", "sts", "kept", "gone")
    wait_for("one claim", lambda: cluster.k("get", "pvc", "-o", "name").split() == ["persistentvolumeclaim/data-kept-0"], 20)


def test_daemon_set_follows_the_node(cluster):
    cluster.apply(workload("DaemonSet", "agent", spec={"minReadySeconds": 0}, nodeSelector={"daemons": "yes"}, env=[{"name": "V", "value": "1"}]))
    wait_for("the status", lambda: field(cluster, "ds/agent", ".status.observedGeneration") == "1", 20)
    assert field(cluster, "ds/agent", ".status.desiredNumberScheduled") == "0"
    cluster.kubectl("label", "node", "node-1", "daemons=yes")
    try:
        assert "successfully rolled out" in cluster.k("rollout", "status", "ds/agent", "--timeout=60s")
        wait_for("its pod", lambda: field(cluster, "ds/agent", ".status.numberReady") == "1", 30)
        cluster.kubectl("cordon", "node-1")  # daemons are placed nevertheless
        try:
            cluster.k("set", "env", "ds/agent", "V=2")
            cluster.k("rollout", "status", "ds/agent", "--timeout=60s")
            name, = pods(cluster, "agent")
            assert cluster.k("exec", name, "--", "sh", "-c", "echo $V").strip() == "2"
        finally:
            cluster.kubectl("uncordon", "node-1")
        cluster.k("rollout", "undo", "ds/agent")
        cluster.k("rollout", "status", "ds/agent", "--timeout=60s")
        name, = pods(cluster, "agent")
        assert cluster.k("exec", name, "--", "sh", "-c", "echo $V").strip() == "1"
        assert [line.split()[0] for line in cluster.k("rollout", "history", "ds/agent").splitlines()[2:] if line] == ["2", "3"]
    finally:
        cluster.kubectl("label", "node", "node-1", "daemons-")
    wait_for("no pod", lambda: not pods(cluster, "agent"), 30)


def test_replication_controller_keeps_its_number(cluster):
    cluster.apply(workload("ReplicationController", "rc", version="v1", spec={"replicas": 2}))
    wait_for("two pods", lambda: field(cluster, "rc/rc", ".status.readyReplicas") == "2", 30)
    lost = pods(cluster, "rc")[0]
    cluster.k("delete", lost)
    wait_for("another one", lambda: field(cluster, "rc/rc", ".status.readyReplicas") == "2" and lost not in pods(cluster, "rc"), 30)
    cluster.k("scale", "rc/rc", "--replicas=1")
    wait_for("one pod", lambda: len(pods(cluster, "rc")) == 1, 30)


def test_disruption_budget_lets_go_one_after_the_other(cluster):
    # Pods that nobody replaces: nothing else changes what the budget allows.
    made = lambda name: pod(name, labels={"app": "web"})  # noqa: E731
    cluster.apply(made("first"), made("second"), {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
                                                  "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}})
    allowed = lambda: field(cluster, "pdb/web", ".status.disruptionsAllowed")  # noqa: E731
    wait_for("one allowed", lambda: allowed() == "1", 30)
    evict = lambda name, **options: cluster.request(
        "POST", f"/api/v1/namespaces/{cluster.ns}/pods/{name}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options})
    assert evict("first", dryRun=["All"])[0] == 201
    assert evict("first")[0] == 201
    status, refused = evict("second")
    assert status == 429 and refused["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused["details"]["causes"][0]["message"] == "The disruption budget web needs 1 healthy pods and has 1 currently"
    cluster.apply(made("third"))
    wait_for("one allowed again", lambda: allowed() == "1", 30)
    assert field(cluster, "pdb/web", ".status.conditions[0].reason") == "SufficientPods"


def test_custom_kinds_bring_their_permissions_into_edit(cluster):
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": cluster.ns, "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
            "rules": [{"apiGroups": [cluster.ns], "resources": ["farms"], "verbs": ["get"]}]}
    has = lambda name: cluster.ns in cluster.kubectl("get", "clusterrole", name, "-o", "jsonpath={.rules[*].apiGroups}")
    cluster.apply(role)
    try:
        for name in ("edit", "admin"):
            wait_for(f"the rule in {name}", lambda: has(name), 10)
        assert not has("view")
    finally:
        cluster.kubectl("delete", "clusterrole", cluster.ns)
    wait_for("the rule gone", lambda: not has("admin"), 10)
    assert "configmaps" in cluster.kubectl("get", "clusterrole", "admin", "-o", "jsonpath={.rules[*].resources}")
