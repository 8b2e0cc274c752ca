"""Admission webhooks end to end, with a real HTTPS server and kubectl: the cases of Kubernetes' conformance suite (AdmissionWebhook)
by their steps, and webhooks that hang, answer rubbish or call back."""
import base64
import contextlib
import json
import subprocess
import sys
import time
import uuid

import pytest

import cluster as support
from api import JSON_PATCH, STRATEGIC
from cluster import wait_for

CONFIGS = "/apis/admissionregistration.k8s.io/v1/"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PORT = 9444


class Webhooks:
    """The server of tests/support/admission_webhook.py, and configurations for it that apply to one namespace."""

    def __init__(self, plane, ns, certificate, log):
        self.api, self.ns, self.log = plane.api, ns, log
        self.ca = base64.b64encode(certificate.read_bytes()).decode()
        self.made = []

    def client(self, name, do):
        text = base64.urlsafe_b64encode(json.dumps(do).encode()).decode().rstrip("=")
        return {"url": f"https://127.0.0.1:{PORT}/{name}/{text}", "caBundle": self.ca}

    def hook(self, name, do, resources=("configmaps",), groups=("",), versions=("v1",), operations=("CREATE", "UPDATE"), **more):
        return {"name": f"{name}.hooks.example.com", "clientConfig": self.client(name, do), "sideEffects": "None", "admissionReviewVersions": ["v1", "v1beta1"],
                "rules": [{"operations": list(operations), "apiGroups": list(groups), "apiVersions": list(versions), "resources": list(resources)}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.ns}}, **more}

    def register(self, kind, *hooks, status=201):
        name = f"{kind[:3].lower()}-{uuid.uuid4().hex[:8]}"
        plural = f"{kind.lower()}webhookconfigurations"
        answer = self.api("POST", CONFIGS + plural, {"metadata": {"name": name}, "webhooks": list(hooks)})
        assert answer.status == status, answer.body
        if status == 201:
            self.made.append(CONFIGS + f"{plural}/{name}")
            return self.made[-1]
        return answer.body

    def reviews(self, name=None):
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [line for line in lines if name is None or line["webhook"] == name]

    def create(self, name="x", labels=None, data=None, **query):
        return self.api("POST", f"/api/v1/namespaces/{self.ns}/configmaps", {"metadata": {"name": name, "labels": labels or {}}, "data": data or {"a": "b"}}, **query)


@pytest.fixture
def webhooks(plane, ns, tmp_path):
    key, certificate, log = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "log"
    support.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                 "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate])
    script = support.ROOT / "tests/support/admission_webhook.py"
    process = subprocess.Popen(plane.sandbox.command([sys.executable, "-B", script, certificate, key, PORT, log]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    hooks = Webhooks(plane, ns, certificate, log)
    try:
        assert process.stdout.readline().strip() == "up"
        yield hooks
    finally:
        for path in hooks.made:
            plane.api("DELETE", path)
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def patch(**data):
    return {"patch": [{"op": "add", "path": f"/data/{key}", "value": value} for key, value in data.items()]}


def test_webhooks_are_in_discovery(api):
    assert any(group["name"] == "admissionregistration.k8s.io" for group in api.get("/apis").body["groups"])
    names = {resource["name"] for resource in api.get(CONFIGS).body["resources"]}
    assert {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} <= names


def test_a_validating_webhook_denies_with_its_words(plane, api, ns, webhooks):
    webhooks.register("Validating", webhooks.hook("deny", {"allowed": False, "status": {"message": "the configmap contains unwanted key and value", "code": 409, "reason": "Conflict"}},
                                                  objectSelector={"matchLabels": {"webhook": "deny"}}))
    webhooks.register("Validating", webhooks.hook("mute", {"allowed": False}, objectSelector={"matchLabels": {"webhook": "mute"}}))
    refused = webhooks.create(labels={"webhook": "deny"})
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["message"] == 'admission webhook "deny.hooks.example.com" denied the request: the configmap contains unwanted key and value'
    mute = webhooks.create(labels={"webhook": "mute"})
    assert mute.status == 400 and mute.body["message"] == 'admission webhook "mute.hooks.example.com" denied the request without explanation' and "reason" not in mute.body
    shown = support.run(plane.kubectl_command("-n", ns, "create", "-f", "-"), check=False,
                        input=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": {"webhook": "mute"}}}))
    assert shown.returncode != 0 and 'admission webhook "mute.hooks.example.com" denied the request without explanation' in shown.stderr
    # Updates too, by PUT and by PATCH; what the selectors do not cover passes.
    assert webhooks.create().status == 201
    path = f"/api/v1/namespaces/{ns}/configmaps/x"
    assert api.patch(path, {"metadata": {"labels": {"webhook": "deny"}}}).status == 409
    whole = api.get(path).body
    whole["metadata"]["labels"] = {"webhook": "deny"}
    assert api("PUT", path, whole).status == 409
    assert api("PATCH", path, [{"op": "add", "path": "/data/c", "value": "d"}], {"Content-Type": JSON_PATCH}).status == 200


def test_what_a_webhook_is_told(api, ns, webhooks):
    webhooks.register("Validating", webhooks.hook("told", {}, operations=["*"]))
    assert webhooks.create(fieldManager="me", dryRun="All").status == 201
    assert webhooks.create().status == 201
    assert api.patch(f"/api/v1/namespaces/{ns}/configmaps/x", {"data": {"a": "c"}}).status == 200
    assert api("DELETE", f"/api/v1/namespaces/{ns}/configmaps/x", {"propagationPolicy": "Background"}).status == 200
    dry, create, update, delete = (line["review"]["request"] for line in webhooks.reviews("told"))
    assert webhooks.reviews("told")[0]["path"].endswith("?timeout=10s")
    assert dry["dryRun"] is True and dry["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"], "fieldManager": "me", "fieldValidation": "Warn"}
    assert create["kind"] == create["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert create["resource"] == create["requestResource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (create["name"], create["namespace"], create["operation"], create["dryRun"]) == ("x", ns, "CREATE", False)
    assert "system:masters" in create["userInfo"]["groups"] and create["oldObject"] is None and create["object"]["data"] == {"a": "b"}
    assert update["operation"] == "UPDATE" and update["options"]["kind"] == "PatchOptions"
    assert update["object"]["data"] == {"a": "c"} and update["oldObject"]["data"] == {"a": "b"} and update["oldObject"]["metadata"]["resourceVersion"]
    assert delete["operation"] == "DELETE" and delete["object"] is None and delete["oldObject"]["data"] == {"a": "c"}
    assert delete["options"] == {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "propagationPolicy": "Background"}


def test_connections_are_kept_between_calls(webhooks):
    webhooks.register("Validating", webhooks.hook("kept", {}))
    for number in range(5):
        assert webhooks.create(f"x{number}").status == 201
    assert len({line["connection"] for line in webhooks.reviews("kept")}) == 1


def test_mutating_webhooks_change_objects_and_defaults_follow(api, ns, webhooks):
    webhooks.register("Mutating", webhooks.hook("one", patch(**{"mutation-stage-1": "yes"})), webhooks.hook("two", patch(**{"mutation-stage-2": "yes"})))
    assert webhooks.create().body["data"] == {"a": "b", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}
    container = {"name": "webhook-added-init-container", "image": "busybox"}
    webhooks.register("Mutating", webhooks.hook("pods", {"patch": [{"op": "add", "path": "/spec/initContainers", "value": [container]}]}, resources=["pods"], operations=["CREATE"]))
    api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = api("POST", f"/api/v1/namespaces/{ns}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}})
    assert pod.status == 201, pod.body
    added = pod.body["spec"]["initContainers"][0]
    assert added["name"] == "webhook-added-init-container" and added["terminationMessagePolicy"] == "File" and added["imagePullPolicy"] == "Always"
    # The mutating plugins have passed over it again: it has the token as well.
    assert [mount["mountPath"] for mount in added["volumeMounts"]] == ["/var/run/secrets/kubernetes.io/serviceaccount"]


def test_a_webhook_is_asked_again_when_another_has_changed_the_object(webhooks):
    webhooks.register("Mutating", webhooks.hook("first", {}, reinvocationPolicy="IfNeeded"), webhooks.hook("never", {}),
                      webhooks.hook("second", patch(late="yes")), webhooks.hook("last", {}, reinvocationPolicy="IfNeeded"))
    assert webhooks.create().status == 201
    assert [line["webhook"] for line in webhooks.reviews()] == ["first", "never", "second", "last", "first"]
    assert webhooks.reviews()[-1]["review"]["request"]["object"]["data"]["late"] == "yes"


def test_bad_patches_are_the_servers_errors(webhooks):
    webhooks.register("Mutating", webhooks.hook("no", {"patch": [{"op": "remove", "path": "/data/none"}]}, objectSelector={"matchLabels": {"w": "missing"}}))
    webhooks.register("Mutating", webhooks.hook("kind", {"patch": [{"op": "replace", "path": "/kind", "value": "Secret"}]}, objectSelector={"matchLabels": {"w": "kind"}}))
    webhooks.register("Mutating", webhooks.hook("type", {"patch": [{"op": "replace", "path": "/data", "value": 5}]}, objectSelector={"matchLabels": {"w": "type"}}))
    webhooks.register("Mutating", webhooks.hook("gone", {"patch": [{"op": "add", "path": "/data", "value": {}}]}, operations=["DELETE"]))
    for label in ("missing", "kind", "type"):
        answer = webhooks.create(labels={"w": label})
        assert answer.status == 500 and answer.body["message"].startswith("Internal error occurred: ") and answer.body["reason"] == "InternalError", answer.body
    assert webhooks.create().status == 201
    answer = webhooks.api("DELETE", f"/api/v1/namespaces/{webhooks.ns}/configmaps/x")
    assert answer.status == 500 and "attempted to modify the object, which is not supported for this operation" in answer.body["message"]


def test_configurations_themselves_are_exempt(api, webhooks):
    everything = {"groups": ["*"], "versions": ["*"], "resources": ["*"], "operations": ["*"], "objectSelector": {"matchLabels": {"exempt": webhooks.ns}}}
    hook = webhooks.hook("all", {"allowed": False}, **everything)
    del hook["namespaceSelector"]
    webhooks.register("Validating", hook)
    webhooks.register("Mutating", dict(hook, name="other.hooks.example.com"))
    body = {"metadata": {"name": f"e-{webhooks.ns}", "labels": {"exempt": webhooks.ns}}, "webhooks": []}
    for plural in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        assert api("POST", CONFIGS + plural, body).status == 201
        assert api("DELETE", CONFIGS + f"{plural}/{body['metadata']['name']}").status == 200
    # Other objects of the cluster are not, whatever namespaces are selected.
    assert "denied the request" in api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", body).body["message"]


def test_failures_are_closed_or_open_as_the_policy_says(webhooks):
    broken = {"url": "https://127.0.0.1:9/none", "caBundle": webhooks.ca}
    closed = webhooks.register("Validating", webhooks.hook("closed", {}, clientConfig=broken))
    answer = webhooks.create()
    assert (answer.status, answer.body["reason"]) == (500, "InternalError")
    assert answer.body["message"].startswith('Internal error occurred: failed calling webhook "closed.hooks.example.com": failed to call webhook: Post "https://127.0.0.1:9/none?timeout=10s"')
    webhooks.api("DELETE", closed)
    webhooks.register("Mutating", webhooks.hook("open", {}, clientConfig=broken, failurePolicy="Ignore"))
    assert webhooks.create().status == 201


def test_a_service_that_is_not_there_is_named(webhooks):
    webhooks.register("Validating", webhooks.hook("lost", {}, clientConfig={"service": {"namespace": webhooks.ns, "name": "nope", "path": "/x"}}))
    assert 'failed to call webhook: service "nope" not found' in webhooks.create().body["message"]


def test_timeouts_are_honoured(webhooks):
    slow = webhooks.register("Validating", webhooks.hook("slow", {"sleep": 3}, timeoutSeconds=1))
    begun = time.monotonic()
    answer = webhooks.create()
    assert time.monotonic() - begun < 3
    assert answer.status == 500 and "context deadline exceeded" in answer.body["message"] and "?timeout=1s" in answer.body["message"]
    webhooks.api("DELETE", slow)
    webhooks.register("Validating", webhooks.hook("ignored", {"sleep": 3}, timeoutSeconds=1, failurePolicy="Ignore"))
    webhooks.register("Validating", webhooks.hook("patient", {"sleep": 1}, timeoutSeconds=10))
    assert webhooks.create().status == 201


def test_validating_webhooks_are_asked_at_once(webhooks):
    webhooks.register("Validating", *(webhooks.hook(f"slow{n}", {"sleep": 2}, timeoutSeconds=5) for n in range(6)))
    assert webhooks.create().status == 201
    assert len({line["connection"] for line in webhooks.reviews()}) == 6, "one after the other they would share one"


@pytest.mark.parametrize("raw, why", [
    ("", "failed to call webhook"), ("hello", "failed to call webhook"), ("[]", "failed to call webhook"), ("{}", "webhook response was absent"),
    ('{"response":5}', "webhook response was absent"), ('{"response":{"uid":"1","allowed":true}}', "expected response.uid="),
    ('{"response":{"allowed":"yes"}}', "response.allowed is no boolean"), ("[" * 5000, "failed to call webhook"), ('{"response":{"allowed":true,"allowed":', "failed to call webhook")])
def test_rubbish_is_no_answer(webhooks, raw, why):
    webhooks.register("Mutating", webhooks.hook("rubbish", {"raw": raw}))
    answer = webhooks.create()
    assert answer.status == 500 and 'failed calling webhook "rubbish.hooks.example.com"' in answer.body["message"] and why in answer.body["message"], answer.body


def test_answers_without_end_are_cut_off(webhooks):
    webhooks.register("Validating", webhooks.hook("endless", {"fill": 64 << 20}))
    answer = webhooks.create()
    assert answer.status == 500 and "failed to call webhook" in answer.body["message"]
    for status, why in ((404, "could not find the requested resource"), (500, "an error on the server"), (302, "status 302")):
        made = webhooks.register("Mutating", webhooks.hook("http", {"http": status}))
        assert why in webhooks.create().body["message"]
        webhooks.api("DELETE", made)


def test_connections_evictions_and_tokens_can_be_denied(api, ns, webhooks):
    api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "default"}})
    assert api("POST", f"/api/v1/namespaces/{ns}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}).status == 201
    pod = f"/api/v1/namespaces/{ns}/pods/p"
    webhooks.register("Validating", webhooks.hook("attach", {"allowed": False, "status": {"message": "attaching to pod 'p' is not allowed"}},
                                                  resources=["pods/attach", "pods/exec", "pods/proxy", "pods/eviction", "serviceaccounts/token"], operations=["CONNECT", "CREATE"]))
    for path, body in ((f"{pod}/attach?stdin=true&container=c", None), (f"{pod}/exec?command=sh&command=-c&tty=true", None), (f"{pod}/proxy/a/b", None), (f"{pod}/eviction", {"metadata": {"name": "p"}}),
                       (f"/api/v1/namespaces/{ns}/serviceaccounts/default/token", {"spec": {}})):
        assert "attaching to pod 'p' is not allowed" in api("POST", path, body).body["message"], path
    attach, execute, proxy, evict, token = (line["review"]["request"] for line in webhooks.reviews("attach"))
    assert attach["operation"] == "CONNECT" and attach["kind"] == {"group": "", "version": "v1", "kind": "PodAttachOptions"} and attach["subResource"] == "attach"
    assert attach["object"] == {"kind": "PodAttachOptions", "apiVersion": "v1", "stdin": True, "container": "c"} and attach["name"] == "p" and attach["options"] is None
    assert execute["object"]["command"] == ["sh", "-c"] and execute["object"]["tty"] is True and proxy["object"] == {"kind": "PodProxyOptions", "apiVersion": "v1", "path": "/a/b"}
    assert evict["kind"] == {"group": "policy", "version": "v1", "kind": "Eviction"} and evict["operation"] == "CREATE" and token["kind"]["kind"] == "TokenRequest"


def test_a_webhook_may_call_the_server_back(api, ns, webhooks):
    api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "hook"}})
    api("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings", {"metadata": {"name": "hook"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
                                                                                     "subjects": [{"kind": "ServiceAccount", "name": "hook", "namespace": ns}]})
    token = api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/hook/token", {"spec": {}}).body["status"]["token"]
    webhooks.register("Mutating", webhooks.hook("back", {"callback": {"path": f"/api/v1/namespaces/{ns}/configmaps", "token": token}}))
    assert webhooks.create().status == 201
    assert api.get(f"/api/v1/namespaces/{ns}/configmaps/callback").status == 200
    assert [line["review"]["request"]["name"] for line in webhooks.reviews("back")] == ["x", "callback"]


def test_warnings_reach_the_client(plane, ns, webhooks):
    webhooks.register("Validating", webhooks.hook("warn", {"warnings": ["mind the gap", "x" * 5000], "audit": {"k": "v"}}, operations=["CREATE", "DELETE"]))
    warnings = webhooks.create().headers.get_all("Warning")
    assert warnings[0] == '299 - "mind the gap"' and len(warnings[1]) < 300
    shown = support.run(plane.kubectl_command("-n", ns, "delete", "configmap", "x"), check=False)
    assert shown.returncode == 0 and "Warning: mind the gap" in shown.stderr


def test_calls_are_counted_under_kubernetes_names(api, webhooks):
    webhooks.register("Validating", webhooks.hook("counted", {"allowed": False, "status": {"code": 409}}, objectSelector={"matchLabels": {"count": "deny"}}), webhooks.hook("fine", {}))
    assert webhooks.create(labels={"count": "deny"}).status == 409 and webhooks.create().status == 201
    text = api.get("/metrics").data.decode()
    for line in ('apiserver_admission_webhook_rejection_count{name="counted.hooks.example.com",type="validating",operation="CREATE",error_type="no_error",rejection_code="409"} 1',
                 'apiserver_admission_webhook_request_total{name="fine.hooks.example.com",type="validating",operation="CREATE",code="200",rejected="false"} 2',
                 'apiserver_admission_webhook_admission_duration_seconds_count{name="fine.hooks.example.com",type="validating",operation="CREATE",rejected="false"} 2'):
        assert line in text, [have for have in text.splitlines() if "admission_webhook" in have]


def test_dry_runs_need_webhooks_without_side_effects(api, webhooks):
    webhooks.register("Validating", webhooks.hook("dry", {}, sideEffects="NoneOnDryRun"))
    assert webhooks.create(dryRun="All").status == 201
    assert webhooks.api.get(f"/api/v1/namespaces/{webhooks.ns}/configmaps/x").status == 404


def test_match_conditions_choose_requests(webhooks):
    conditions = [{"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}, {"name": "user", "expression": "'system:masters' in request.userInfo.groups"},
                  {"name": "may", "expression": "authorizer.group('').resource('configmaps').namespace(request.namespace).check('create').allowed()"}]
    webhooks.register("Mutating", webhooks.hook("some", patch(added="yes"), matchConditions=conditions))
    assert "added" not in webhooks.create("skip-me").body["data"]
    assert webhooks.create("other").body["data"]["added"] == "yes"
    wrong = webhooks.register("Validating", webhooks.hook("wrong", {}, matchConditions=[{"name": "c", "expression": "object.spec.nothing == 1"}]))
    answer = webhooks.create("third")
    assert answer.status == 403 and "no such key: spec" in answer.body["message"], answer.body
    webhooks.api("DELETE", wrong)
    webhooks.register("Validating", webhooks.hook("wrong", {"allowed": False}, failurePolicy="Ignore", matchConditions=[{"name": "c", "expression": "object.spec.nothing == 1"}]))
    assert webhooks.create("third").status == 201


def test_custom_resources_in_every_version(api, ns, webhooks):
    group = f"g{uuid.uuid4().hex[:6]}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"data": {"type": "object", "properties": {
        "key1": {"type": "string"}, "mutation-stage-1": {"type": "string"}, "mutation-stage-2": {"type": "string"}, "late": {"type": "string", "default": "d"}}}}}}
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v2")]
    definition = {"metadata": {"name": f"tests.{group}"}, "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "tests", "kind": "Test"}, "versions": versions}}
    assert api("POST", CRDS, definition).status == 201
    try:
        rules = {"resources": ["tests"], "groups": [group], "versions": ["v1"]}
        webhooks.register("Mutating", webhooks.hook("cr", patch(**{"mutation-stage-1": "yes", "mutation-stage-2": "yes", "pruned": "yes"}), **rules))
        webhooks.register("Mutating", webhooks.hook("exact", patch(key1="changed"), matchPolicy="Exact", **rules))
        webhooks.register("Validating", webhooks.hook("deny", {"allowed": False, "status": {"message": "the custom resource contains unwanted data"}}, operations=["*"],
                                                      objectSelector={"matchLabels": {"deny": "yes"}}, **rules))
        one, two = (f"/apis/{group}/{version}/namespaces/{ns}/tests" for version in ("v1", "v2"))
        made = api("POST", two, {"apiVersion": f"{group}/v2", "kind": "Test", "metadata": {"name": "a"}, "data": {"key1": "v"}})
        assert made.status == 201 and made.body["apiVersion"] == f"{group}/v2", made.body
        assert made.body["data"] == {"key1": "v", "mutation-stage-1": "yes", "mutation-stage-2": "yes", "late": "d"}
        request = webhooks.reviews("cr")[0]["review"]["request"]
        assert request["resource"]["version"] == "v1" and request["requestResource"]["version"] == "v2" and request["object"]["apiVersion"] == f"{group}/v1"
        assert api("POST", one, {"metadata": {"name": "b"}, "data": {}}).body["data"]["key1"] == "changed"
        assert "unwanted data" in api("POST", two, {"metadata": {"name": "c", "labels": {"deny": "yes"}}, "data": {}}).body["message"]
        labelled = api.patch(f"{two}/a", {"metadata": {"labels": {"deny": "yes"}}})
        assert "unwanted data" in labelled.body["message"]
        selected = {"webhooks": [{"name": "deny.hooks.example.com", "objectSelector": {"matchLabels": {"deny": None}}}]}
        assert api.patch(webhooks.made[-1], selected, STRATEGIC).status == 200
        assert "unwanted data" in api("DELETE", f"{two}/a").body["message"]
        api("DELETE", webhooks.made[-1])
        assert api("DELETE", f"{two}/a").status == 200
    finally:
        api("DELETE", f"{CRDS}/tests.{group}")
        wait_for("the definition to go", lambda: api.get(f"{CRDS}/tests.{group}").status == 404)


def test_definitions_can_be_denied(api, webhooks):
    hook = webhooks.hook("crd", {"allowed": False, "status": {"message": "the crd contains unwanted label"}}, resources=["*"], groups=["apiextensions.k8s.io"], versions=["*"],
                         operations=["CREATE"], objectSelector={"matchLabels": {"crd": webhooks.ns}})
    del hook["namespaceSelector"]
    webhooks.register("Validating", hook)
    body = {"metadata": {"name": "tests.denied.example.com", "labels": {"crd": webhooks.ns}}, "spec": {"group": "denied.example.com", "scope": "Cluster", "names": {"plural": "tests", "kind": "Test"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}
    assert "the crd contains unwanted label" in api("POST", CRDS, body).body["message"]


def test_configurations_can_be_listed_updated_and_patched(plane, api, ns, webhooks):
    hook = webhooks.hook("deny", {"allowed": False}, operations=["CREATE"])
    path = webhooks.register("Validating", hook)
    collection = path.rsplit("/", 1)[0]
    assert api.patch(path, {"metadata": {"labels": {"list": ns}}}).status == 200
    assert [item["metadata"]["generation"] for item in api.get(collection, labelSelector=f"list={ns}").body["items"]] == [1]
    assert webhooks.create().status == 400
    whole = api.get(path).body
    whole["webhooks"][0]["rules"][0]["operations"] = ["UPDATE"]
    updated = api("PUT", path, whole)
    assert updated.status == 200 and updated.body["metadata"]["generation"] == 2
    assert webhooks.create().status == 201
    assert api("PATCH", path, [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}], {"Content-Type": JSON_PATCH}).status == 200
    assert webhooks.create("y").status == 400
    assert api("DELETE", collection, labelSelector=f"list={ns}").status == 200
    assert webhooks.create("y").status == 201
    shown = support.run(plane.kubectl_command("get", "validatingwebhookconfigurations", "-o", "wide"), check=False)
    assert shown.returncode == 0


def test_wrong_configurations_are_refused_with_their_fields(webhooks):
    good = webhooks.hook("good", {})
    bad = dict(good, name="x", timeoutSeconds=31, sideEffects="Some", admissionReviewVersions=["v9"], clientConfig={},
               matchConditions=[{"name": "a b", "expression": "object.x +"}, {"name": "ok", "expression": "'text'"}],
               rules=[{"operations": ["*", "CREATE"], "apiGroups": ["*", "a"], "apiVersions": [], "resources": ["pods/*", "pods/log"], "scope": "None"}])
    message = webhooks.register("Mutating", good, good, bad, status=422)["message"]
    for part in ('webhooks[1].name: Duplicate value: "good.hooks.example.com"', 'webhooks[2].name: Invalid value: "x": should be a domain with at least three segments separated by dots',
                 "webhooks[2].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds", 'webhooks[2].sideEffects: Unsupported value: "Some"',
                 "webhooks[2].clientConfig: Required value: exactly one of url or service is required", "must include at least one of v1, v1beta1",
                 'webhooks[2].matchConditions[0].expression: Invalid value: "object.x +": compilation failed: ERROR: <input>:1:',
                 'webhooks[2].matchConditions[1].expression: Invalid value: "\'text\'": must evaluate to bool but got string', "webhooks[2].matchConditions[0].name: Invalid value",
                 "webhooks[2].rules[0].operations: Invalid value", "if '*' is present, must not specify other operations", "webhooks[2].rules[0].apiVersions: Required value",
                 "webhooks[2].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log", 'webhooks[2].rules[0].scope: Unsupported value: "None"'):
        assert part in message, (part, message)


def test_a_webhook_that_undoes_every_change_makes_no_loop_spin(api, ns, webhooks):
    """What the Deployment's controller asks of its ReplicaSet comes to nothing; it must not ask without a pause."""
    webhooks.register("Mutating", webhooks.hook("undo", {"patch": [{"op": "replace", "path": "/spec/replicas", "value": 0}]}, groups=["apps"], resources=["replicasets"]))
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    deployment = {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}}
    assert api("POST", f"/apis/apps/v1/namespaces/{ns}/deployments", deployment).status == 201
    wait_for("the first attempts", lambda: len(webhooks.reviews("undo")) >= 2)
    time.sleep(3)
    assert len(webhooks.reviews("undo")) < 40
    assert api.get(f"/apis/apps/v1/namespaces/{ns}/replicasets").body["items"][0]["spec"]["replicas"] == 0
    status = api.get(f"/apis/apps/v1/namespaces/{ns}/deployments/web").body["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]}["Available"] == "False" and not status.get("replicas")
