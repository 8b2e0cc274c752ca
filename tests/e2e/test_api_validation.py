"""What may not be is refused with 422 (or 400 where it cannot even be read), naming the field."""
import json

import pytest

from cluster import run, wait_for
from manifests import deployment, service

CORE, APPS, RBAC = "/api/v1/namespaces/{ns}/", "/apis/apps/v1/namespaces/{ns}/", "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/"


def named(**members):
    return {"metadata": {"name": "x"}, **members}


def in_pod(**container):
    return named(spec={"serviceAccountName": "default", "automountServiceAccountToken": False, "containers": [{"name": "a", "image": "x", **container}]})


def changed(made, **spec):
    made["spec"].update(spec)
    return made


TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
CASES = [
    ("services", named(spec={}), "spec.ports"),
    ("services", named(spec={"ports": [{"port": 0}]}), "spec.ports[0].port"),
    ("services", named(spec={"ports": [{"port": 80}, {"port": 81}]}), "spec.ports[0].name"),
    ("services", service("x", clusterIP="10.43.0.1"), "spec.clusterIPs"),
    ("services", service("x", clusterIP="10.99.0.1"), "spec.clusterIPs"),
    ("services", named(spec={"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}), "spec.ports[0].nodePort"),
    ("services", named(spec={"type": "Everywhere", "ports": [{"port": 80}]}), "spec.type"),
    ("configmaps", named(data={"a/b": "c"}), "data[a/b]"),
    ("configmaps", named(data={"..": "c"}), "data[..]"),
    ("configmaps", named(data={"a": "c"}, binaryData={"a": "AAAA"}), "data[a]"),
    ("configmaps", {"metadata": {}}, "metadata.name"),
    ("configmaps", {"metadata": {"name": "x", "finalizers": ["a b"]}}, "metadata.finalizers[0]"),
    ("configmaps", {"metadata": {"name": "x", "annotations": {"a": "x" * 300_000}}}, "metadata.annotations"),
    ("configmaps", {"metadata": {"name": "x", "ownerReferences": [{"kind": "a"}]}}, "metadata.ownerReferences[0].name"),
    ("secrets", named(type="kubernetes.io/tls", data={}), "data[tls.crt]"),
    ("secrets", named(type="kubernetes.io/dockerconfigjson", data={}), "data[.dockerconfigjson]"),
    ("pods", in_pod(env=[{"name": "", "value": "1"}]), "spec.containers[0].env[0].name"),
    ("pods", in_pod(ports=[{"containerPort": 70000}]), "spec.containers[0].ports[0].containerPort"),
    ("pods", in_pod(volumeMounts=[{"name": "v", "mountPath": "/x"}]), "spec.containers[0].volumeMounts[0].name"),
    ("pods", in_pod(imagePullPolicy="Maybe"), "spec.containers[0].imagePullPolicy"),
    ("pods", in_pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}), "spec.containers[0].resources.requests"),
    ("pods", changed(in_pod(), containers=[{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]), "spec.containers[1].name"),
    ("pods", changed(in_pod(), restartPolicy="Sometimes"), "spec.restartPolicy"),
    ("pods", changed(in_pod(), volumes=[{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]), "spec.volumes[1].name"),
    (APPS + "deployments", named(spec={"selector": {"matchLabels": {"app": "y"}}, "template": TEMPLATE}), "spec.template.metadata.labels"),
    (APPS + "deployments", named(spec={"template": TEMPLATE}), "spec.selector"),
    (APPS + "deployments", changed(deployment("x", 0), replicas=-1), "spec.replicas"),
    (APPS + "deployments", named(spec={"selector": {"matchLabels": {"app": "x"}}, "template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}), "spec.template.spec.restartPolicy"),
    ("/apis/batch/v1/namespaces/{ns}/jobs", named(spec={"template": TEMPLATE}), "spec.template.spec.restartPolicy"),
    ("/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses", named(spec={"rules": [{"http": {"paths": [{"backend": {}}]}}]}), "spec.rules[0].http.paths[0].pathType"),
    ("/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets", named(spec={"minAvailable": 1, "maxUnavailable": 1}), "spec"),
    (RBAC + "roles", named(rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": []}]), "rules[0].verbs"),
    (RBAC + "rolebindings", named(roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Job", "name": "x"}), "roleRef.kind"),
    ("/api/v1/namespaces", {"metadata": {"name": "a.b"}}, "metadata.name"),
]


@pytest.mark.parametrize("path,body,field", CASES, ids=[f"{path.split('/')[-1]}-{field}" for path, _, field in CASES])
def test_the_field_is_named(api, ns, path, body, field):
    if path == "pods":
        wait_for("the service account", lambda: api.get(CORE.format(ns=ns) + "serviceaccounts/default").status == 200, 10)
    path = (path if path.startswith("/") else CORE + path).format(ns=ns)
    status, answer = api("POST", path, body, dryRun="All")
    assert (status, answer.get("reason")) == (422, "Invalid"), answer
    assert field in [cause.get("field") for cause in answer["details"]["causes"]] and field in answer["message"]


@pytest.mark.parametrize("resource,body,told", [
    ("configmaps", "[]", "object"), ("configmaps", "", "empty"), ("configmaps", '{"metadata":' * 5000, "deep"), ("configmaps", {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}}, "Secret"),
    ("configmaps", {"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "x"}}, "v2"), ("configmaps", named(data={"a": 5}), "data.a"),
    ("secrets", named(data={"a": "***"}), "data.a"), ("pods", in_pod(resources={"limits": {"cpu": "abc"}}), "spec.containers[0].resources.limits.cpu"), ("services", named(spec={"ports": "x"}), "ports"),
])
def test_what_cannot_be_read_is_400(api, ns, resource, body, told):
    status, answer = api("POST", (CORE + resource).format(ns=ns), body, dryRun="All")
    assert (status, answer["reason"]) == (400, "BadRequest") and told in answer["message"], answer


def test_a_node_without_csi_drivers_has_an_empty_list(api):
    for drivers in (None, []):
        status, _ = api("POST", "/apis/storage.k8s.io/v1/csinodes", named(spec={"drivers": drivers}), dryRun="All")
        assert status == 201


def test_what_is_set_once_stays(api, ns):
    services = CORE.format(ns=ns) + "services"
    made = api("POST", services, service("web")).body
    for patch in ({"spec": {"clusterIP": "10.43.9.9", "clusterIPs": ["10.43.9.9"]}}, {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}):
        assert api.patch(f"{services}/web", patch).status == 422
    # An update that does not tell the address keeps it.
    status, body = api("PUT", f"{services}/web", service("web", 81))
    assert status == 200 and body["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    bindings = RBAC.format(ns=ns) + "rolebindings"
    api("POST", bindings, named(roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}))
    assert api.patch(f"{bindings}/x", {"roleRef": {"name": "other"}}).status == 422
    secrets = CORE.format(ns=ns) + "secrets"
    api("POST", secrets, named(type="Opaque"))
    status, body = api.patch(f"{secrets}/x", {"type": "example.com/other"})
    assert status == 422 and body["details"]["causes"][0]["field"] == "type"
    status, body = api("DELETE", "/api/v1/namespaces/default")
    assert (status, body["reason"]) == (403, "Forbidden")


# What people get wrong most often, as kubectl shows it. The reasons stand on lines of their own when there are several.
MISTAKES = [
    ({"kind": "Pod", "spec": {"containers": [{"image": "x"}]}}, "spec.containers[0].name: Required value"),
    ({"kind": "Pod", "spec": {"containers": [{"name": "X", "image": "x"}]}}, "spec.containers[0].name: Invalid value: \"X\": a lowercase RFC 1123 label must consist of"),
    ({"kind": "Pod", "spec": {"containers": [{"name": "a", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}}, "spec.containers[0].volumeMounts[0].name: Not found: \"v\""),
    ({"kind": "Pod", "spec": {"containers": [{"name": "a", "image": "x", "resources": {"limits": {"gpu": "1"}}}]}}, "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers"),
    ({"kind": "Pod", "spec": {"containers": [{"name": "a", "image": "x", "livenessProbe": {}}]}}, "spec.containers[0].livenessProbe: Required value: must specify a handler type"),
    ({"kind": "Service", "spec": {"ports": [{"port": 80, "nodePort": 30080}]}}, "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
    ({"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"selector": {"matchLabels": {"app": "y"}}, "template": TEMPLATE}}, "spec.template.metadata.labels: Invalid value: {\"app\":\"x\"}: `selector` does not match template `labels`"),
    ({"kind": "CronJob", "apiVersion": "batch/v1", "spec": {"schedule": "* * *", "jobTemplate": {"spec": {"template": TEMPLATE}}}}, "spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]"),
    ({"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "spec": {"rules": [{"host": "1.2.3.4"}]}}, "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address"),
    ({"kind": "PersistentVolumeClaim", "spec": {"accessModes": ["ReadWriteOnce"]}}, "spec.resources[storage]: Required value"),
    ({"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "spec": {"podSelector": {}, "ingress": [{"from": [{}]}]}}, "spec.ingress[0].from[0]: Required value: must specify a peer"),
    ({"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 3, "maxReplicas": 2}}, "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`"),
]


@pytest.mark.parametrize("body,told", MISTAKES, ids=[f"{body['kind']}-{told.split(':')[0]}" for body, told in MISTAKES])
def test_kubectl_shows_what_is_wrong(plane, api, ns, body, told):
    wait_for("the service account", lambda: api.get(CORE.format(ns=ns) + "serviceaccounts/default").status == 200, 10)
    manifest = json.dumps({"apiVersion": "v1", **named(**body)})
    done = run(plane.kubectl_command("-n", ns, "create", "--validate=false", "-f", "-"), check=False, input=manifest)
    assert done.returncode != 0 and told in done.stderr, done.stderr


def test_what_is_doubtful_is_told_and_accepted(plane, api, ns):
    wait_for("the service account", lambda: api.get(CORE.format(ns=ns) + "serviceaccounts/default").status == 200, 10)
    pod = in_pod(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])
    done = run(plane.kubectl_command("-n", ns, "create", "--dry-run=server", "-f", "-"), input=json.dumps({"apiVersion": "v1", "kind": "Pod", **pod}))
    assert "Warning: spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply" in done.stderr
