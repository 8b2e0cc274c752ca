"""Validating and mutating admission policies end to end, with kubectl: the cases of Kubernetes' conformance suite by their steps."""
import json
import uuid

import pytest

import cluster as support
from api import STRATEGIC

ADMISSION = "/apis/admissionregistration.k8s.io/v1/"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Policies:
    """Policies and bindings that apply to one namespace."""

    def __init__(self, api, ns):
        self.api, self.ns, self.made = api, ns, []

    def post(self, plural, name, spec, status=201):
        answer = self.api("POST", ADMISSION + plural, {"metadata": {"name": name}, "spec": spec})
        assert answer.status == status, answer.body
        if status == 201:
            self.made.append(ADMISSION + f"{plural}/{name}")
        return answer

    def constraints(self, resources, groups=("",), versions=("v1",), operations=("CREATE", "UPDATE")):
        return {"resourceRules": [{"apiGroups": list(groups), "apiVersions": list(versions), "resources": list(resources), "operations": list(operations)}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.ns}}}

    def validating(self, *expressions, resources=("configmaps",), groups=("",), actions=("Deny",), binding=None, name=None, **more):
        name = name or f"vap-{uuid.uuid4().hex[:8]}"
        validations = [{"expression": e} if isinstance(e, str) else e for e in expressions]
        self.post("validatingadmissionpolicies", name, {"matchConstraints": self.constraints(resources, groups), "validations": validations, **more})
        self.post("validatingadmissionpolicybindings", f"{name}-binding", {"policyName": name, "validationActions": list(actions), **(binding or {})})
        return name

    def mutating(self, *mutations, resources=("configmaps",), groups=("",), binding=None, name=None, **more):
        name = name or f"map-{uuid.uuid4().hex[:8]}"
        made = [{"patchType": "JSONPatch", "jsonPatch": {"expression": m}} if m.startswith("[") else {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": m}} for m in mutations]
        self.post("mutatingadmissionpolicies", name, {"matchConstraints": self.constraints(resources, groups), "mutations": made, "reinvocationPolicy": "Never", **more})
        self.post("mutatingadmissionpolicybindings", f"{name}-binding", {"policyName": name, **(binding or {})})
        return name

    def create(self, name="x", labels=None, data=None, **query):
        return self.api("POST", f"/api/v1/namespaces/{self.ns}/configmaps", {"metadata": {"name": name, "labels": labels or {}}, "data": data or {"a": "b"}}, **query)

    def deployment(self, name, replicas, **metadata):
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
        return self.api("POST", f"/apis/apps/v1/namespaces/{self.ns}/deployments",
                        {"metadata": {"name": name, **metadata}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}})


@pytest.fixture
def policies(api, ns):
    made = Policies(api, ns)
    yield made
    for path in reversed(made.made):
        api("DELETE", path)


def test_a_policy_refuses_deployments(plane, ns, policies):
    name = policies.validating({"expression": "object.spec.replicas > 1", "messageExpression": "'wants replicas > 1, got ' + string(object.spec.replicas)"},
                               {"expression": "namespaceObject.metadata.name == request.namespace", "message": "unexpected namespace"}, resources=["deployments"], groups=["apps"])
    assert policies.deployment("replicated", 2).status == 201
    refused = policies.deployment("single", 1)
    text = f"ValidatingAdmissionPolicy '{name}' with binding '{name}-binding' denied request: wants replicas > 1, got 1"
    assert (refused.status, refused.body["reason"]) == (422, "Invalid")
    assert refused.body["message"] == f'deployments.apps "single" is forbidden: {text}'
    assert refused.body["details"]["causes"] == [{"message": text}] and refused.body["details"]["group"] == "apps"
    shown = support.run(plane.kubectl_command("-n", ns, "create", "deployment", "single", "--image=busybox"), check=False)
    assert shown.returncode != 0 and text in shown.stderr
    scaled = support.run(plane.kubectl_command("-n", ns, "scale", "--replicas=1", "deployment/replicated"), check=False)
    assert scaled.returncode == 0, "the rules do not name the subresource"


def test_variables_are_lazy_and_build_on_each_other(policies):
    variables = [{"name": "bad", "expression": "1 / 0 == 0"}, {"name": "replicas", "expression": "object.spec.replicas"},
                 {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"}]
    name = policies.validating("variables.replicas > 1", "variables.oddReplicas || variables.replicas < 0", resources=["deployments"], groups=["apps"], variables=variables)
    assert policies.deployment("three", 3).status == 201
    assert "failed expression: variables.oddReplicas || variables.replicas < 0" in policies.deployment("two", 2).body["message"]
    assert "failed expression: variables.replicas > 1" in policies.deployment("one", 1).body["message"]
    policies.api.patch(ADMISSION + f"validatingadmissionpolicies/{name}", {"spec": {"validations": [{"expression": "variables.bad"}]}})
    assert "composited variable \"bad\" fails to evaluate: division by zero" in policies.deployment("four", 4).body["message"]


def test_actions_deny_warn_and_audit(plane, policies):
    name = policies.validating({"expression": "object.data.a != 'bad'", "message": "bad", "reason": "Forbidden"}, actions=["Warn", "Audit"],
                               auditAnnotations=[{"key": "seen", "valueExpression": "'value is ' + object.data.a"}])
    answer = policies.create(data={"a": "bad"})
    assert answer.status == 201
    assert answer.headers.get_all("Warning") == [f"299 - \"Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}-binding': bad\""]
    log = plane.log_path.read_text()
    assert "validation.policy.admission.k8s.io/validation_failure" in log and "value is bad" in log
    assert policies.api.patch(ADMISSION + f"validatingadmissionpolicybindings/{name}-binding", {"spec": {"validationActions": ["Deny"]}}).status == 200
    refused = policies.create("y", data={"a": "bad"})
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")


def test_failures_of_expressions_follow_the_failure_policy(policies):
    name = policies.validating("object.nothing.there == 1")
    assert "expression 'object.nothing.there == 1' resulted in error: no such key: nothing" in policies.create().body["message"]
    assert policies.api.patch(ADMISSION + f"validatingadmissionpolicies/{name}", {"spec": {"failurePolicy": "Ignore"}}).status == 200
    assert policies.create().status == 201


def test_expressions_without_end_are_stopped(policies):
    long = [{"name": f"k{i}", "value": "v" * 50} for i in range(200)]
    policies.validating("object.data.all(a, object.data.all(b, object.data.all(c, object.data[a] + object.data[b] != object.data[c] + 'x')))")
    answer = policies.create(data={item["name"]: item["value"] for item in long})
    assert answer.status == 422 and "cost limit exceeded" in answer.body["message"] or "cost budget" in answer.body["message"], answer.body


def test_parameters(api, ns, policies):
    path = f"/api/v1/namespaces/{ns}/configmaps"
    limits = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
    for name, limit in (("limit-3", "3"), ("limit-5", "5")):
        assert api("POST", path, {"metadata": {"name": name, "labels": {"limits": "yes"}}, "data": {"max": limit}}).status == 201
    expression = {"expression": "object.spec.replicas <= int(params.data.max)", "messageExpression": "'at most ' + params.data.max + ' of ' + params.metadata.name"}
    name = policies.validating(expression, resources=["deployments"], groups=["apps"], binding={"paramRef": {"name": "limit-3", "parameterNotFoundAction": "Deny"}}, **limits)
    binding = ADMISSION + f"validatingadmissionpolicybindings/{name}-binding"
    assert "at most 3 of limit-3" in policies.deployment("four", 4).body["message"]
    assert policies.deployment("three", 3).status == 201
    ref = lambda **values: api.patch(binding, {"spec": {"paramRef": {"name": None, "selector": None, **values}}})
    assert ref(selector={"matchLabels": {"limits": "yes"}}).status == 200
    assert "at most 3 of limit-3" in policies.deployment("four", 4).body["message"]
    assert "at most 5" not in policies.deployment("six", 6).body["message"], "the first refusal is told"
    assert ref(name="none").status == 200
    missing = policies.deployment("four", 4)
    assert f"ValidatingAdmissionPolicy '{name}' with binding '{name}-binding' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction" in missing.body["message"]
    assert ref(name="none", parameterNotFoundAction="Allow").status == 200
    assert policies.deployment("four", 4).status == 201
    unknown = policies.validating("true", paramKind={"apiVersion": "none.example.com/v1", "kind": "None"}, binding={"paramRef": {"name": "x", "parameterNotFoundAction": "Deny"}})
    assert f"'{unknown}' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'none.example.com/v1, Kind=None'" in policies.create().body["message"]


def test_authorizer_and_match_conditions(policies):
    policies.validating("authorizer.group('').resource('configmaps').namespace('default').check('get').allowed() && authorizer.requestResource.check('create').allowed()",
                        "!authorizer.serviceAccount('default', 'nobody').group('').resource('secrets').check('list').allowed()",
                        "request.userInfo.username != ''", "request.operation == 'CREATE' && oldObject == null",
                        matchConditions=[{"name": "not-skipped", "expression": "object.metadata.name != 'skipped'"}])
    assert policies.create("seen").status == 201
    policies.validating("false", matchConditions=[{"name": "only", "expression": "object.metadata.name == 'only'"}])
    assert policies.create("skipped").status == 201 and policies.create("only").status == 422


def test_rules_exclude_and_name_resources(api, ns, policies):
    constraints = policies.constraints(["configmaps"], operations=["*"])
    constraints["excludeResourceRules"] = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["*"], "operations": ["*"], "resourceNames": ["free"]}]
    policies.validating("request.operation == 'DELETE' && oldObject.metadata.name == 'free'", matchConstraints=constraints)
    assert policies.create("bound").status == 422 and policies.create("free").status == 201
    assert api("DELETE", f"/api/v1/namespaces/{ns}/configmaps/free").status == 200


def test_types_are_checked(api, ns, policies):
    name = f"vap-{uuid.uuid4().hex[:8]}"
    made = policies.post("validatingadmissionpolicies", name, {"matchConstraints": policies.constraints(["deployments"], ["apps"]), "validations": [
        {"expression": "object.spec.replicas > '1'", "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas"},
        {"expression": "object.metadata.namespace == 'x' && object.spec.template.spec.containers.all(c, c.imagee != '')"},
        {"expression": "variables.x > 1"}], "variables": [{"name": "x", "expression": "object.spec.replicas"}]}).body
    status = made["status"]
    assert status["observedGeneration"] == 1
    warnings = {w["fieldRef"]: w["warning"] for w in status["typeChecking"]["expressionWarnings"]}
    assert sorted(warnings) == ["spec.validations[0].expression", "spec.validations[0].messageExpression", "spec.validations[1].expression"]
    assert warnings["spec.validations[0].expression"].startswith("apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'")
    assert "undefined field 'imagee'" in warnings["spec.validations[1].expression"]
    fixed = api.patch(ADMISSION + f"validatingadmissionpolicies/{name}", {"spec": {"validations": [{"expression": "object.spec.replicas > 1"}]}})
    assert fixed.body["status"] == {"observedGeneration": 2, "typeChecking": {}}


def test_types_of_custom_resources_are_checked(api, ns, policies):
    group = f"g{uuid.uuid4().hex[:6]}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"maxReplicas": {"type": "integer"}}}}}}
    definition = {"metadata": {"name": f"limits.{group}"}, "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "limits", "kind": "Limit"},
                  "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}}
    assert api("POST", CRDS, definition).status == 201
    name = f"vap-{uuid.uuid4().hex[:8]}"
    try:
        made = policies.post("validatingadmissionpolicies", name, {"matchConstraints": policies.constraints(["limits"], [group]), "validations": [
            {"expression": "object.spec.maxReplicas < 10"}, {"expression": "object.spec.minReplicas > 1"}]}).body
        warnings = made["status"]["typeChecking"]["expressionWarnings"]
        assert [w["fieldRef"] for w in warnings] == ["spec.validations[1].expression"] and "undefined field 'minReplicas'" in warnings[0]["warning"]
    finally:
        api("DELETE", f"{CRDS}/limits.{group}")


def test_policies_are_objects_like_others(plane, api, policies):
    name = policies.validating("true")
    path = ADMISSION + f"validatingadmissionpolicies/{name}"
    spec = api.get(path).body["spec"]
    assert spec["failurePolicy"] == "Fail" and spec["matchConstraints"]["matchPolicy"] == "Equivalent" and spec["matchConstraints"]["objectSelector"] == {}
    assert spec["matchConstraints"]["resourceRules"][0]["scope"] == "*"
    condition = {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = api.patch(f"{path}/status", {"status": {"conditions": [condition]}})
    assert status.status == 200 and status.body["status"]["conditions"][0]["type"] == "Ready" and status.body["metadata"]["generation"] == 1
    assert api.patch(path, {"metadata": {"labels": {"of": policies.ns}}}, STRATEGIC).body["status"]["conditions"]
    assert [i["metadata"]["name"] for i in api.get(ADMISSION + "validatingadmissionpolicies", labelSelector=f"of={policies.ns}").body["items"]] == [name]
    for plural in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        assert support.run(plane.kubectl_command("get", plural), check=False).returncode == 0
    assert api("DELETE", ADMISSION + "validatingadmissionpolicies", labelSelector=f"of={policies.ns}").status == 200
    assert policies.create().status == 201


def test_wrong_policies_are_refused_with_their_fields(policies):
    wrong = {"failurePolicy": "Fail", "paramKind": {"apiVersion": "a/b/c", "kind": "X"}, "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["LOOK"]}]},
             "variables": [{"name": "in", "expression": "1"}, {"name": "x", "expression": "nothing"}],
             "validations": [{"expression": "object.x"}, {"expression": "object.x == ", "message": "a\nb", "reason": "Whatever", "messageExpression": "1"}],
             "auditAnnotations": [{"key": "k", "valueExpression": "1"}, {"key": "k", "valueExpression": "'a'"}], "matchConditions": [{"name": "c", "expression": "variables.x"}]}
    message = policies.post("validatingadmissionpolicies", "wrong.example.com", wrong, status=422).body["message"]
    for part in ('spec.paramKind.apiVersion: Invalid value: "a/b/c"', 'spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "LOOK"', 'spec.variables[0].name: Invalid value: "in": must be a valid CEL identifier',
                 'spec.variables[1].expression: Invalid value: "nothing": compilation failed: ERROR: <input>:1:1: undeclared reference to \'nothing\'',
                 'spec.validations[0].expression: Invalid value: "object.x": must evaluate to bool but got dyn', "spec.validations[1].expression: Invalid value", "spec.validations[1].message: Invalid value",
                 'spec.validations[1].reason: Unsupported value: "Whatever"', 'spec.validations[1].messageExpression: Invalid value: "1": must evaluate to string but got int',
                 'spec.auditAnnotations[1].key: Duplicate value: "k"', "spec.auditAnnotations[0].valueExpression: Invalid value", "spec.matchConditions[0].expression: Invalid value"):
        assert part in message, (part, message)
    binding = policies.post("validatingadmissionpolicybindings", "wrong", {"policyName": "p", "validationActions": ["Deny", "Warn"], "paramRef": {"name": "a", "selector": {}}}, status=422).body["message"]
    for part in ("spec.validationActions: Invalid value", "spec.paramRef.name: Forbidden: name and selector are mutually exclusive", "spec.paramRef.parameterNotFoundAction: Required value"):
        assert part in binding, (part, binding)


def test_mutating_policies_apply_configurations(policies):
    policies.mutating("Object{metadata: Object.metadata{labels: {'my-foo-annotation': 'myAnnotationValue'}}, spec: Object.spec{replicas: object.spec.replicas + 1}}",
                      "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{initContainers: [Object.spec.template.spec.initContainers{"
                      "name: 'mesh-proxy', image: 'mesh/proxy:v1.0.0', restartPolicy: 'Always'}]}}}}", resources=["deployments"], groups=["apps"])
    made = policies.deployment("d", 1)
    assert made.status == 201, made.body
    assert made.body["spec"]["replicas"] == 2 and made.body["metadata"]["labels"] == {"my-foo-annotation": "myAnnotationValue"}
    added = made.body["spec"]["template"]["spec"]["initContainers"]
    assert [(c["name"], c["restartPolicy"], c["imagePullPolicy"]) for c in added] == [("mesh-proxy", "Always", "IfNotPresent")]
    assert [c["name"] for c in made.body["spec"]["template"]["spec"]["containers"]] == ["c"]


def test_mutating_policies_patch(policies):
    policies.mutating("[JSONPatch{op: 'test', path: '/data/a', value: 'b'}, JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('example.com/x'), value: variables.v}, "
                      "JSONPatch{op: 'add', path: '/metadata/annotations', value: {'by': request.userInfo.username}}]", variables=[{"name": "v", "expression": "'seen-' + object.data.a"}])
    made = policies.create(labels={"k": "v"})
    assert made.status == 201, made.body
    assert made.body["metadata"]["labels"] == {"k": "v", "example.com/x": "seen-b"} and made.body["metadata"]["annotations"]["by"]
    assert policies.create("y", data={"a": "other"}).body["data"] == {"a": "other"}, "a failed test leaves the object alone"


def test_mutating_policies_with_parameters_and_conditions(api, ns, policies):
    path = f"/api/v1/namespaces/{ns}/configmaps"
    assert api("POST", path, {"metadata": {"name": "p", "labels": {"skip": "me"}}, "data": {"env": "prod"}}).status == 201
    policies.mutating("Object{data: Object.data{env: params.data.env}}", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}, binding={"paramRef": {"name": "p", "parameterNotFoundAction": "Deny"}},
                      matchConditions=[{"name": "not-skipped", "expression": "!has(object.metadata.labels) || !('skip' in object.metadata.labels)"}])
    assert policies.create().body["data"] == {"a": "b", "env": "prod"}
    assert policies.create("y", labels={"skip": "me"}).body["data"] == {"a": "b"}
    api("DELETE", f"{path}/p")
    refused = policies.create("z")
    assert refused.status == 403 and "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction" in refused.body["message"], refused.body


def test_mutations_that_cannot_be_are_told(policies):
    name = policies.mutating("Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: [Object.spec.template.spec.containers{name: 'c', command: ['x']}]}}}}",
                             resources=["deployments"], groups=["apps"])
    refused = policies.deployment("d", 1)
    assert refused.status == 403 and refused.body["reason"] == "Invalid"
    assert refused.body["message"].startswith(f"policy '{name}' with binding '{name}-binding' denied request: error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ")
    other = policies.mutating("Object{data: Object.spec{x: 'y'}}")
    assert f"policy '{other}' with binding '{other}-binding' denied request: type mismatch: unexpected type name \"Object.spec\", expected \"Object.data\"" in policies.create().body["message"]
    policies.api.patch(ADMISSION + f"mutatingadmissionpolicies/{other}", {"spec": {"failurePolicy": "Ignore"}})
    assert policies.create().status == 201


def test_mutating_policies_are_asked_again(policies):
    policies.mutating("[JSONPatch{op: 'add', path: '/data/count', value: has(object.data.count) ? object.data.count + 'i' : 'i'}]", name="a-" + policies.ns, reinvocationPolicy="IfNeeded")
    policies.mutating("Object{data: Object.data{late: 'yes'}}", name="b-" + policies.ns)
    assert policies.create().body["data"] == {"a": "b", "count": "ii", "late": "yes"}


def test_what_policies_change_is_validated(policies):
    policies.mutating("Object{data: Object.data{added: 'yes'}}")
    policies.validating({"expression": "object.data.added == 'yes'", "message": "not the final object"})
    assert policies.create().status == 201
    policies.mutating("[JSONPatch{op: 'add', path: '/data/bad~1key', value: 'x'}]")
    refused = policies.create("y")
    assert refused.status == 422 and "data[bad/key]" in refused.body["message"]


def test_custom_kinds_are_changed_and_pruned(api, ns, policies):
    group = f"g{uuid.uuid4().hex[:6]}.example.com"
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}, "color": {"type": "string"}}}}}}
    definition = {"metadata": {"name": f"things.{group}"}, "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                  "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}}
    assert api("POST", CRDS, definition).status == 201
    try:
        policies.mutating("Object{spec: Object.spec{color: 'red'}}", resources=["things"], groups=[group])
        made = api("POST", f"/apis/{group}/v1/namespaces/{ns}/things", {"metadata": {"name": "t"}, "spec": {"size": 1}})
        assert made.status == 201 and made.body["spec"] == {"size": 1, "color": "red"}, made.body
    finally:
        api("DELETE", f"{CRDS}/things.{group}")


def test_wrong_mutating_policies_are_refused_with_their_fields(policies):
    wrong = {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["DELETE"]}]}, "mutations": [
        {"patchType": "JSONPatch", "jsonPatch": {"expression": "'x'"}}, {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "[JSONPatch{op: 'add'}]"}, "jsonPatch": {"expression": "[]"}},
        {"patchType": "JSONPatch"}]}
    message = policies.post("mutatingadmissionpolicies", "wrong", wrong, status=422).body["message"]
    for part in ('spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE"', "spec.reinvocationPolicy: Required value", "spec.mutations[0].jsonPatch.expression: Invalid value: \"'x'\": must evaluate to list(JSONPatch) but got string",
                 "spec.mutations[1].applyConfiguration.expression: Invalid value", "must evaluate to Object but got list(JSONPatch)", "spec.mutations[1].jsonPatch: Invalid value: \"{jsonPatch}\"",
                 "spec.mutations[2].jsonPatch: Required value: must be specified when patchType is JSONPatch"):
        assert part in message, (part, message)
