"""Pods with `hostUsers: false`: root in the pod is nobody on the node, or the pod does not start."""
from cluster import wait_for
from manifests import pod


def test_a_pod_whose_user_namespace_cannot_be_made_does_not_start(cluster):
    cluster.apply(pod("users", hostUsers=False))
    said = lambda: cluster.k("get", "events", "--field-selector", "involvedObject.name=users,reason=FailedCreatePodSandBox")
    wait_for("an event about the field", lambda: "spec.hostUsers" in said())
    waiting = wait_for("a reason in the status", lambda: cluster.pod("users")["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting"))
    wait_for("the reason", lambda: cluster.pod("users")["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreatePodSandboxError")
    assert "spec.hostUsers" in cluster.pod("users")["status"]["containerStatuses"][0]["state"]["waiting"]["message"], waiting
