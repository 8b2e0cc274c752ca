"""Server-side apply and the owners of fields, by the API and by unmodified kubectl."""
import json

import pytest

import cluster as support
from api import JSON_PATCH, STRATEGIC
from manifests import config_map, deployment
from test_kubectl import ENDS, with_kubectl

APPLY = "application/apply-patch+yaml"


@pytest.fixture
def deployments(ns):
    return f"/apis/apps/v1/namespaces/{ns}/deployments"


def owners(obj):
    """{(manager, operation, subresource): fieldsV1}"""
    return {(e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"] for e in obj["metadata"].get("managedFields", [])}


def configuration(name, **spec):
    made = deployment(name, 0)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {**made["spec"], **spec}}


def apply(api, path, body, manager="tester", **query):
    return api.patch(path, body, APPLY, fieldManager=manager, **query)


def test_apply_creates_then_changes(api, deployments):
    made = apply(api, f"{deployments}/web", configuration("web", replicas=2))
    assert made.status == 201 and made.body["spec"]["replicas"] == 2
    entry, = made.body["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"], entry["fieldsType"]) == ("tester", "Apply", "apps/v1", "FieldsV1") and entry["time"]
    again = apply(api, f"{deployments}/web", configuration("web", replicas=2))
    assert again.status == 200 and again.body["metadata"]["resourceVersion"] == made.body["metadata"]["resourceVersion"]
    assert again.body["metadata"]["managedFields"] == made.body["metadata"]["managedFields"]
    changed = apply(api, f"{deployments}/web", configuration("web", replicas=3))
    assert changed.body["spec"]["replicas"] == 3 and changed.body["metadata"]["generation"] == 2


def test_yaml_is_applied_as_well(api, maps):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: text\ndata:\n  a: \"1\"\n"
    answer = apply(api, f"{maps}/text", text)
    assert answer.status == 201 and answer.body["data"] == {"a": "1"}
    assert owners(answer.body) == {("tester", "Apply", ""): {"f:data": {"f:a": {}}}}


def test_conflicts_name_owner_and_field(api, deployments):
    assert api("POST", deployments, configuration("web", replicas=2), fieldManager="kubectl-client-side-apply").status == 201
    status, body = apply(api, f"{deployments}/web", configuration("web", replicas=5))
    assert status == 409 and body["reason"] == "Conflict"
    assert body["message"] == 'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas'
    assert body["details"]["causes"] == [{"reason": "FieldManagerConflict", "message": 'conflict with "kubectl-client-side-apply" using apps/v1', "field": ".spec.replicas"}]
    forced = apply(api, f"{deployments}/web", configuration("web", replicas=5), force="true")
    assert forced.status == 200 and forced.body["spec"]["replicas"] == 5
    assert "f:replicas" not in owners(forced.body)[("kubectl-client-side-apply", "Update", "")]["f:spec"]


def test_options_are_checked(api, maps):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    status, answer = api.patch(f"{maps}/a", body, APPLY)
    assert status == 422 and answer["message"] == 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    api("POST", maps, body)
    status, answer = api.patch(f"{maps}/a", {}, STRATEGIC, force="true")
    assert status == 422 and answer["message"] == 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    status, answer = apply(api, f"{maps}/a", body, "m" * 129)
    assert status == 422 and "fieldManager: Too long" in answer["message"]
    status, answer = api("POST", maps, {"metadata": {"name": "b"}}, fieldManager="a\x07")
    assert status == 422 and answer["message"].startswith('CreateOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value') and "invalid character U+0007 (at position 1)" in answer["message"]
    status, answer = apply(api, f"{maps}/a", {**body, "metadata": {"name": "a", "managedFields": [{"manager": "x"}]}})
    assert status == 400 and answer["message"] == "metadata.managedFields must be nil"
    status, answer = apply(api, f"{maps}/a", {**body, "dat": {}})
    assert status == 400 and answer["message"].endswith("Kind=ConfigMap): .dat: field not declared in schema")


def test_owners_share_and_let_go(api, maps):
    both = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1", "y": "1"}}
    one = {**both, "data": {"x": "1"}}
    assert apply(api, f"{maps}/a", both, "first").status == 201
    assert apply(api, f"{maps}/a", one, "second").status == 200
    after = apply(api, f"{maps}/a", {k: v for k, v in both.items() if k != "data"}, "first").body
    assert after["data"] == {"x": "1"} and set(owners(after)) == {("second", "Apply", "")}
    gone = apply(api, f"{maps}/a", {k: v for k, v in both.items() if k != "data"}, "second").body
    assert "data" not in gone and "managedFields" not in gone["metadata"]


def test_status_and_scale_have_owners_of_their_own(api, deployments):
    apply(api, f"{deployments}/web", configuration("web", replicas=1))
    status = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "status": {"conditions": [{"type": "Custom", "status": "True"}]}}
    answer = apply(api, f"{deployments}/web/status", status, "reporter")
    assert answer.status == 200
    assert "k:{\"type\":\"Custom\"}" in owners(answer.body)[("reporter", "Apply", "status")]["f:status"]["f:conditions"]
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 4}}
    refused = apply(api, f"{deployments}/web/scale", scale, "scaler")
    assert refused.status == 409 and ".spec.replicas" in refused.body["message"]
    done = apply(api, f"{deployments}/web/scale", scale, "scaler", force="true")
    assert done.status == 200 and done.body["kind"] == "Scale" and done.body["spec"]["replicas"] == 4
    after = api.get(f"{deployments}/web").body
    assert owners(after)[("scaler", "Apply", "scale")] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(after)[("tester", "Apply", "")]["f:spec"]
    api("PUT", f"{deployments}/web/scale", {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web"}, "spec": {"replicas": 5}}, fieldManager="putter")
    assert owners(api.get(f"{deployments}/web").body)[("putter", "Update", "scale")] == {"f:spec": {"f:replicas": {}}}


def test_managed_fields_can_be_reset(api, maps):
    api("POST", maps, config_map("a", x="1"))
    assert owners(api.get(f"{maps}/a").body)
    for value in ([{}], []):
        api.patch(f"{maps}/a", [{"op": "add", "path": "/metadata/managedFields", "value": value}], JSON_PATCH)
        assert "managedFields" not in api.get(f"{maps}/a").body["metadata"]
    conflict = apply(api, f"{maps}/a", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "2"}})
    assert conflict.status == 409 and conflict.body["message"] == 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.x'


def test_who_may_not_create_may_not_create_by_apply(plane, api, ns, maps):
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]
    api("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles", {"metadata": {"name": "patcher"}, "rules": rules})
    api("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
        {"metadata": {"name": "patcher"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "patcher"}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "paula"}]})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    as_paula = {"Content-Type": APPLY, "Impersonate-User": "paula"}
    refused = api("PATCH", f"{maps}/a", json.dumps(body), as_paula, fieldManager="paula")
    assert refused.status == 403 and 'cannot create resource "configmaps"' in refused.body["message"]
    api("POST", maps, {"metadata": {"name": "a"}})
    assert api("PATCH", f"{maps}/a", json.dumps(body), as_paula, fieldManager="paula").status == 200


def test_components_are_named_as_kubernetes_names_them(plane, api, ns, deployments):
    api("POST", deployments, configuration("web", replicas=1))
    support.wait_for("the ReplicaSet", lambda: api.get(f"/apis/apps/v1/namespaces/{ns}/replicasets").body["items"], 10)
    made = api.get(f"/apis/apps/v1/namespaces/{ns}/replicasets").body["items"][0]
    assert ("kube-controller-manager", "Update", "") in owners(made)


# -- kubectl ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=ENDS)
def kubectl(plane, ns, request):
    plane.ns = ns
    for one in with_kubectl(plane, request.param):
        yield one


def manifest(tmp_path, **spec):
    path = tmp_path / "web.json"
    path.write_text(json.dumps(configuration("web", **spec)))
    return path


def shown(kubectl):
    """The deployment with its managedFields: from 1.21 on kubectl hides them unless asked."""
    flags = ["--show-managed-fields"] if kubectl.minor >= 21 else []
    return json.loads(kubectl.k("get", "deployment", "web", "-o", "json", *flags))


def fails(kubectl, *arguments):
    result = support.run(kubectl.kubectl_command("-n", kubectl.ns, *arguments), check=False, timeout=60)
    assert result.returncode != 0
    return result.stderr


def test_kubectl_applies_and_forces(kubectl, tmp_path):
    assert "serverside-applied" in kubectl.k("apply", "--server-side", "-f", manifest(tmp_path, replicas=2))
    assert "serverside-applied" in kubectl.k("apply", "--server-side", "-f", manifest(tmp_path, replicas=2))
    kubectl.k("patch", "deployment", "web", "-p", '{"spec":{"replicas":4}}', "--field-manager", "someone")
    error = fails(kubectl, "apply", "--server-side", "-f", manifest(tmp_path, replicas=2))
    assert 'Apply failed with 1 conflict: conflict with "someone" using apps/v1: .spec.replicas' in error and "--force-conflicts" in error
    kubectl.k("apply", "--server-side", "--force-conflicts", "-f", manifest(tmp_path, replicas=2))
    after = shown(kubectl)
    assert after["spec"]["replicas"] == 2 and ("kubectl", "Apply", "") in owners(after) and not [o for o in owners(after) if o[0] == "someone"]
    assert "dry run" in kubectl.k("apply", "--server-side", "--dry-run=server", "-f", manifest(tmp_path, replicas=3))


def test_kubectl_migrates_from_client_side_apply(kubectl, tmp_path):
    kubectl.k("apply", "-f", manifest(tmp_path, replicas=2))
    before = shown(kubectl)
    assert ("kubectl-client-side-apply", "Update", "") in owners(before)
    kubectl.k("apply", "--server-side", "-f", manifest(tmp_path, replicas=3, paused=True))
    after = shown(kubectl)
    assert after["spec"]["replicas"] == 3 and ("kubectl", "Apply", "") in owners(after)
    last = json.loads(after["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert last["spec"]["replicas"] == 3
    # Back to the client's way: the annotation tells it what to take out.
    kubectl.k("apply", "-f", manifest(tmp_path, replicas=4))
    back = json.loads(kubectl.k("get", "deployment", "web", "-o", "json"))
    assert back["spec"]["replicas"] == 4 and not back["spec"].get("paused")
