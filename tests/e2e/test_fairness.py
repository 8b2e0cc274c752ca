"""Priority and fairness: who is let in, who waits, and who is told to come again."""
import json

import pytest

from api import Api
from cluster import wait_for

BASE = "/apis/flowcontrol.apiserver.k8s.io/v1"


@pytest.fixture
def level(api, ns):
    """Makes a priority level and a FlowSchema that sends a user's requests to it; takes both away."""
    made = []

    def make(user, **limited):
        name = f"{ns}-{user}"
        body = {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}
        assert (answer := api("POST", f"{BASE}/prioritylevelconfigurations", body)).status == 201, answer.data
        rules = [{"subjects": [{"kind": "User", "user": {"name": user}}], "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}]}]
        schema = {"metadata": {"name": name}, "spec": {"priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 20, "distinguisherMethod": {"type": "ByUser"}, "rules": rules}}
        schema = api("POST", f"{BASE}/flowschemas", schema).body
        made.append(name)
        wait_for("the schema to hold", lambda: api("GET", "/api/v1/namespaces/default", headers={"Impersonate-User": user}).headers["X-Kubernetes-PF-FlowSchema-UID"] == schema["metadata"]["uid"], 10, 0.05)
        return schema
    yield make
    for name in made:
        api("DELETE", f"{BASE}/flowschemas/{name}")
        api("DELETE", f"{BASE}/prioritylevelconfigurations/{name}")


def test_every_cluster_has_its_schemas_and_levels(plane, api):
    wait_for("the objects", lambda: len(api.get(f"{BASE}/flowschemas").body["items"]) >= 11, 10)
    schemas = {item["metadata"]["name"]: item for item in api.get(f"{BASE}/flowschemas").body["items"]}
    assert {"exempt", "catch-all", "probes", "system-leader-election", "system-node-high", "system-nodes", "kube-controller-manager", "kube-scheduler", "kube-system-service-accounts",
            "service-accounts", "global-default"} <= set(schemas)
    levels = {item["metadata"]["name"] for item in api.get(f"{BASE}/prioritylevelconfigurations").body["items"]}
    assert {"exempt", "catch-all", "system", "node-high", "leader-election", "workload-high", "workload-low", "global-default"} <= levels
    assert schemas["catch-all"]["spec"]["matchingPrecedence"] == 10000
    found = lambda: [one for one in api.get(f"{BASE}/flowschemas/service-accounts").body.get("status", {}).get("conditions", []) if one["type"] == "Dangling"]
    assert wait_for("the condition", found, 10)[0]["status"] == "False"
    assert plane.kubectl("get", "flowschemas", "probes").splitlines()[1].split()[:4] == ["probes", "exempt", "2", "<none>"]
    assert api("DELETE", f"{BASE}/flowschemas/exempt").status == 200
    wait_for("it to come back", lambda: api.get(f"{BASE}/flowschemas/exempt").status == 200, 10, 0.05)


def test_answers_say_to_what_the_request_belonged(plane, api):
    wait_for("the objects", lambda: len(api.get(f"{BASE}/flowschemas").body["items"]) >= 11, 10)
    uid = lambda resource, name: api.get(f"{BASE}/{resource}/{name}").body["metadata"]["uid"]
    def told(path, **headers):
        answer = api("GET", path, headers=headers)
        return answer.headers["X-Kubernetes-PF-FlowSchema-UID"], answer.headers["X-Kubernetes-PF-PriorityLevel-UID"]
    wait_for("the objects' names in headers", lambda: told("/api/v1/namespaces")[0], 10)
    assert told("/api/v1/namespaces") == (uid("flowschemas", "exempt"), uid("prioritylevelconfigurations", "exempt"))
    assert told("/api/v1/namespaces", **{"Impersonate-User": "jane"}) == (uid("flowschemas", "global-default"), uid("prioritylevelconfigurations", "global-default"))
    account = {"Impersonate-User": "system:serviceaccount:kube-system:x"}
    assert told("/api/v1/namespaces", **account) == (uid("flowschemas", "kube-system-service-accounts"), uid("prioritylevelconfigurations", "workload-high"))
    assert told("/readyz") == (uid("flowschemas", "exempt"), uid("prioritylevelconfigurations", "exempt"))
    probe = Api(plane, anonymous=True).get("/readyz")
    assert probe.headers["X-Kubernetes-PF-FlowSchema-UID"] == uid("flowschemas", "probes")


def test_a_level_without_seats_refuses(api, ns, level):
    schema = level("nobody", nominalConcurrencyShares=0, borrowingLimitPercent=0, limitResponse={"type": "Reject"})
    for path in ("/api/v1/namespaces", f"/api/v1/namespaces/{ns}/configmaps?watch=1&timeoutSeconds=1"):
        answer = api("GET", path, headers={"Impersonate-User": "nobody"})
        assert (answer.status, answer.headers["Retry-After"], answer.headers["X-Kubernetes-PF-FlowSchema-UID"]) == (429, "1", schema["metadata"]["uid"])
        assert answer.data == b"Too many requests, please try again later.\n"
    assert api("GET", "/api/v1/namespaces", headers={"Impersonate-User": "somebody"}).status == 403, "others are let in, to be refused by name"


class HalfRequest:
    """A creation whose body has not come whole yet: it holds its seat."""

    def __init__(self, api, path, user, name):
        self.body = json.dumps({"metadata": {"name": name}}).encode()
        self.connection = api.connect()
        self.connection.putrequest("POST", path)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(self.body)), "Impersonate-User": user}.items():
            self.connection.putheader(key, value)
        self.connection.endheaders()
        self.connection.send(self.body[:5])

    def finish(self):
        self.connection.send(self.body[5:])
        response = self.connection.getresponse()
        response.read()
        self.connection.close()
        return response.status


@pytest.mark.parametrize("queue", [True, False])
def test_who_finds_no_seat_waits_or_is_refused(plane, api, ns, level, queue):
    user = f"busy-{queue}".lower()
    response = {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 1}} if queue else {"type": "Reject"}
    level(user, nominalConcurrencyShares=1, borrowingLimitPercent=0, limitResponse=response)
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings"
    assert api("POST", rbac, {"metadata": {"name": user}, "roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": [{"kind": "User", "name": user}]}).status == 201
    path = f"/api/v1/namespaces/{ns}/configmaps"
    # One share of all shares is three seats.
    other = Api(plane)
    ask = lambda: other("GET", path, headers={"Impersonate-User": user}).status
    held = [HalfRequest(api, path, user, f"m{i}") for i in range(3)]
    if queue:
        held.append(HalfRequest(api, path, user, "waits"))
        waited = f'apiserver_flowcontrol_requests_total{{outcome="waited",priority_level="{ns}-{user}"'
        wait_for("one to wait", lambda: waited in other.get("/metrics").data.decode(), 10, 0.05)
    wait_for("the level to be full", lambda: ask() == 429, 10, 0.05)
    assert other("GET", path).status == 200, "who is exempt notices nothing"
    # All go on as seats become free.
    assert [one.finish() for one in held] == [201] * len(held)
    wait_for("seats", lambda: ask() == 200, 10, 0.05)
    assert f'apiserver_flowcontrol_requests_total{{outcome="refused",priority_level="{ns}-{user}"' in other.get("/metrics").data.decode()
    # A watch holds its seat only until it has begun.
    watches = [other.watch(path, headers={"Impersonate-User": user}, timeoutSeconds=10) for _ in range(5)]
    assert all(next(watch)["type"] == "ADDED" for watch in watches)
    assert ask() == 200
    for watch in watches:
        watch.close()
