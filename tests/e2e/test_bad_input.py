"""Whatever is wrong is answered with the right status and reason, and names the object and the field."""
import json

import pytest

from cluster import wait_for
from manifests import config_map, deployment, pod


def post(cluster, path, body, headers=()):
    return cluster.request("POST", path, body, headers)


@pytest.fixture
def pods_path(cluster):
    return f"/api/v1/namespaces/{cluster.ns}/pods"


def test_broken_json_is_400(cluster, pods_path):
    status, body = post(cluster, pods_path, '{"kind": "Pod", ')
    assert (status, body["reason"]) == (400, "BadRequest")


def test_broken_yaml_is_400(cluster, pods_path):
    status, body = post(cluster, pods_path, "kind: Pod\n  metadata: [", ["Content-Type: application/yaml"])
    assert (status, body["reason"]) == (400, "BadRequest")


def test_unknown_kind_is_named(cluster):
    result = cluster.apply({"apiVersion": "v1", "kind": "Pood", "metadata": {"name": "x"}}, check=False)
    assert result.returncode != 0 and "Pood" in result.stderr
    assert cluster.request("GET", "/apis/nothing.example.com/v1/things")[0] == 404


def test_wrong_type_for_a_field_names_it(cluster, pods_path):
    bad = pod("x")
    bad["spec"]["containers"] = "none"
    status, body = post(cluster, pods_path, bad)
    assert status == 400 and "containers" in body["message"]


def test_missing_required_fields_are_422_with_paths(cluster, pods_path):
    bad = pod("x")
    del bad["spec"]["containers"][0]["name"]
    status, body = post(cluster, pods_path, bad)
    assert (status, body["reason"]) == (422, "Invalid")
    assert "spec.containers[0].name" in [cause["field"] for cause in body["details"]["causes"]]
    status, body = post(cluster, pods_path, {**pod("x"), "spec": {"containers": []}})
    assert status == 422 and body["details"]["causes"][0]["field"] == "spec.containers"


@pytest.mark.parametrize("name", ["Upper", "under_score", "-x", "x-", "a" * 254, "a..b"])
def test_bad_names_are_422(cluster, name):
    status, body = post(cluster, f"/api/v1/namespaces/{cluster.ns}/configmaps", config_map(name))
    assert status == 422 and body["details"]["causes"][0]["field"] == "metadata.name"


@pytest.mark.parametrize("labels", [{"a": "x y"}, {"-a": "x"}, {"a/b/c": "x"}, {"a": "x" * 64}, {"x" * 64: "a"}])
def test_bad_labels_are_422(cluster, labels):
    bad = config_map("x")
    bad["metadata"]["labels"] = labels
    status, body = post(cluster, f"/api/v1/namespaces/{cluster.ns}/configmaps", bad)
    assert status == 422 and body["details"]["causes"][0]["field"] == "metadata.labels"


def test_duplicates_are_409(cluster):
    path = f"/api/v1/namespaces/{cluster.ns}/configmaps"
    assert post(cluster, path, config_map("x"))[0] == 201
    status, body = post(cluster, path, config_map("x"))
    assert (status, body["reason"]) == (409, "AlreadyExists") and body["message"] == 'configmaps "x" already exists'


def test_stale_resource_versions_are_409(cluster):
    path = f"/api/v1/namespaces/{cluster.ns}/configmaps"
    made = post(cluster, path, config_map("x"))[1]
    assert cluster.request("PUT", path + "/x", {**made, "data": {"a": "1"}})[0] == 200
    status, body = cluster.request("PUT", path + "/x", {**made, "data": {"a": "2"}})
    assert (status, body["reason"]) == (409, "Conflict") and "the object has been modified" in body["message"]


def test_immutable_fields_are_422(cluster):
    cluster.apply(deployment("web", 0))
    path = f"/apis/apps/v1/namespaces/{cluster.ns}/deployments/web"
    status, body = cluster.request("PATCH", path, {"spec": {"selector": {"matchLabels": {"app": "other"}}, "template": {"metadata": {"labels": {"app": "other"}}}}},
                                   ["Content-Type: application/merge-patch+json"])
    assert status == 422 and "field is immutable" in json.dumps(body) and "spec.selector" in json.dumps(body)
    cluster.apply(pod("one"))
    status, body = cluster.request("PATCH", f"/api/v1/namespaces/{cluster.ns}/pods/one", {"spec": {"nodeSelector": {"a": "b"}}}, ["Content-Type: application/merge-patch+json"])
    assert status == 422


def test_unknown_fields_warn_or_fail(cluster, pods_path):
    bad = pod("x")
    bad["spec"]["replcas"] = 3
    status, body = post(cluster, pods_path + "?fieldValidation=Strict", bad)
    assert status == 400 and 'unknown field "spec.replcas"' in body["message"]
    assert post(cluster, pods_path + "?dryRun=All&fieldValidation=Ignore", bad)[0] == 201


def test_missing_things_are_404_with_their_name(cluster):
    status, body = cluster.request("GET", f"/api/v1/namespaces/{cluster.ns}/pods/none")
    assert (status, body["message"], body["details"]["name"]) == (404, 'pods "none" not found', "none")
    status, body = post(cluster, "/api/v1/namespaces/none/pods", pod("x"))
    assert status == 404 and 'namespaces "none" not found' in body["message"]


def test_unknown_callers_are_401_and_strangers_403(cluster):
    answer = cluster.sandbox.inside(["curl", "-sk", "https://127.0.0.1:6443/api/v1/pods"]).stdout
    assert json.loads(answer)["code"] == 401
    answer = cluster.sandbox.inside(["curl", "-sk", "-H", "Authorization: Bearer nonsense", "https://127.0.0.1:6443/api/v1/pods"]).stdout
    assert json.loads(answer)["code"] == 401
    wait_for("the service account", lambda: cluster.request("GET", f"/api/v1/namespaces/{cluster.ns}/serviceaccounts/default")[0] == 200, 10)
    status, token = cluster.request("POST", f"/api/v1/namespaces/{cluster.ns}/serviceaccounts/default/token", {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}})
    assert status == 201
    ask = lambda path: json.loads(cluster.sandbox.inside(["curl", "-sk", "-H", f"Authorization: Bearer {token['status']['token']}", f"https://127.0.0.1:6443{path}"]).stdout)
    body = ask(f"/api/v1/namespaces/{cluster.ns}/secrets")
    assert body["code"] == 403 and f'User "system:serviceaccount:{cluster.ns}:default" cannot list resource "secrets"' in body["message"]
    cluster.k("create", "role", "reader", "--verb=list", "--resource=secrets")
    cluster.k("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={cluster.ns}:default")
    assert ask(f"/api/v1/namespaces/{cluster.ns}/secrets")["kind"] == "SecretList"


def test_images_that_are_not_there(cluster):
    cluster.apply(pod("never", image="estiba/nothing:1", imagePullPolicy="Never"), pod("pull", image="127.0.0.1:5/none:1"), pod("bad", image="x/UPPER:1"))
    waiting = lambda p: p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] if p["status"].get("containerStatuses") else ""
    cluster.wait_pod("never", lambda p: waiting(p) == "ErrImageNeverPull", "ErrImageNeverPull")
    cluster.wait_pod("pull", lambda p: waiting(p) in ("ErrImagePull", "ImagePullBackOff"), "ErrImagePull")
    cluster.wait_pod("bad", lambda p: waiting(p) == "InvalidImageName", "InvalidImageName")


def test_a_command_that_does_not_exist(cluster):
    cluster.apply(pod("nocmd", "/no/such/program"))

    def told(p):
        status = (p["status"].get("containerStatuses") or [{}])[0]
        last = status.get("lastState", {}).get("terminated") or status.get("state", {}).get("terminated") or {}
        return last.get("reason") == "StartError" and "/no/such/program" in last.get("message", "") and status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"

    cluster.wait_pod("nocmd", told, "StartError and CrashLoopBackOff")


def test_memory_beyond_the_limit_is_oomkilled(cluster):
    cluster.apply(pod("greedy", "sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}", restartPolicy="Never", resources={"limits": {"memory": "32Mi"}}))
    ended = cluster.wait_ended("greedy")
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"


def test_missing_config_holds_the_container_back_and_is_followed(cluster):
    cluster.apply(pod("waits", env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "a"}}}]))
    cluster.wait_pod("waits", lambda p: p["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError",
                     "CreateContainerConfigError")
    assert 'configmap "later" not found' in cluster.pod("waits")["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    cluster.apply(config_map("later", a="1"))
    cluster.wait_running("waits")
