"""Every operation on every kind whose life needs no node, as Kubernetes' conformance tests go through them: one row a kind."""
import itertools
import json

import pytest

import cluster as support
from api import JSON_PATCH

LABEL = "test"
POD = {"containers": [{"name": "c", "image": "x"}]}
DEVICES = {"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": "a.example.com"}}]}}
CSR = {"request": None, "signerName": "example.com/signer", "usages": ["digital signature"], "expirationSeconds": 3600}
READY = {"conditions": [{"type": "Ready", "status": "True", "reason": "Tested", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


def signing_request():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    import base64
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def row(path, body, change, status=None, namespaced=True, name="a"):
    """`change` is a merge patch of the object, `status` one of its status subresource."""
    return pytest.param(path, body, change, status, namespaced, name, id=path.split("/", 1)[1] if path.startswith("api/") else path.split("/", 2)[1] + "/" + path.split("/")[-1])


NOTE = {"metadata": {"annotations": {"changed": "yes"}}}
ROWS = [
    row("api/v1/configmaps", {"data": {"k": "v"}}, {"data": {"k": "w"}}),
    row("api/v1/secrets", {"data": {"k": "dg=="}}, {"data": {"k": "dw=="}}),
    row("api/v1/serviceaccounts", {"automountServiceAccountToken": False}, {"automountServiceAccountToken": True}),
    row("api/v1/podtemplates", {"template": {"spec": POD}}, {"template": {"metadata": {"labels": {"a": "b"}}}}),
    row("api/v1/limitranges", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}, {"spec": {"limits": [{"type": "Container", "max": {"cpu": "3"}}]}}),
    row("api/v1/resourcequotas", {"spec": {"hard": {"pods": "2"}}}, {"spec": {"hard": {"pods": "3"}}}, {"hard": {"pods": "7"}}),
    row("api/v1/endpoints", {"subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}]}, {"subsets": [{"addresses": [{"ip": "10.1.1.2"}], "ports": [{"port": 80}]}]}),
    row("api/v1/services", {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}, {"spec": {"sessionAffinity": "ClientIP"}}, {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}),
    row("api/v1/replicationcontrollers", {"spec": {"replicas": 0, "selector": {"a": "b"}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}}, NOTE, {"replicas": 0, "conditions": [{"type": "X", "status": "True"}]}),
    row("api/v1/persistentvolumeclaims", {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}}, NOTE, {"phase": "Lost"}),
    row("api/v1/persistentvolumes", {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}}, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}, {"phase": "Failed", "message": "x"}, False),
    row("apis/apps/v1/controllerrevisions", {"revision": 1, "data": {"a": 1}}, {"revision": 2}),
    row("apis/apps/v1/deployments", {"spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}}, {"spec": {"minReadySeconds": 1}}, {"conditions": [{"type": "X", "status": "True"}]}),
    row("apis/apps/v1/replicasets", {"spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}}, {"spec": {"minReadySeconds": 1}}, {"replicas": 0, "conditions": [{"type": "X", "status": "True"}]}),
    row("apis/apps/v1/statefulsets", {"spec": {"replicas": 0, "serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}}, {"spec": {"minReadySeconds": 1}}, {"replicas": 0, "conditions": [{"type": "X", "status": "True"}]}),
    row("apis/apps/v1/daemonsets", {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}}, {"spec": {"minReadySeconds": 1}}, {"conditions": [{"type": "X", "status": "True"}]}),
    row("apis/batch/v1/cronjobs", {"spec": {"schedule": "1 1 1 1 1", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}}}, {"spec": {"schedule": "2 2 2 2 2"}}, {"lastScheduleTime": "2026-01-01T00:00:00Z"}),
    row("apis/batch/v1/jobs", {"spec": {"suspend": True, "template": {"spec": {**POD, "restartPolicy": "Never"}}}}, {"spec": {"backoffLimit": 3}}, {"conditions": [{"type": "X", "status": "True"}]}),
    row("apis/autoscaling/v2/horizontalpodautoscalers", {"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}}, {"spec": {"maxReplicas": 4}}, {"desiredReplicas": 2, "conditions": []}),
    row("apis/policy/v1/poddisruptionbudgets", {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}}, {"spec": {"minAvailable": 2}}, {"disruptionsAllowed": 1, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}),
    row("apis/coordination.k8s.io/v1/leases", {"spec": {"holderIdentity": "h", "leaseDurationSeconds": 30, "acquireTime": "0001-01-01T00:00:02.000000Z"}}, {"spec": {"holderIdentity": "i"}}),
    row("apis/discovery.k8s.io/v1/endpointslices", {"addressType": "IPv4", "endpoints": []}, {"endpoints": [{"addresses": ["10.1.1.1"]}]}),
    row("apis/networking.k8s.io/v1/ingresses", {"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}, {"spec": {"ingressClassName": "c"}}, {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}),
    row("apis/networking.k8s.io/v1/networkpolicies", {"spec": {"podSelector": {}}}, {"spec": {"policyTypes": ["Egress"]}}),
    row("apis/networking.k8s.io/v1/ingressclasses", {"spec": {"controller": "example.com/c"}}, NOTE, None, False),
    row("apis/networking.k8s.io/v1/ipaddresses", {"spec": {"parentRef": {"group": "g", "resource": "r", "namespace": "n", "name": "b"}}}, NOTE, None, False, "203.0.113.7"),
    row("apis/networking.k8s.io/v1/servicecidrs", {"spec": {"cidrs": ["203.0.113.0/24"]}}, NOTE, READY, False),
    row("apis/node.k8s.io/v1/runtimeclasses", {"handler": "h"}, NOTE, None, False),
    row("apis/scheduling.k8s.io/v1/priorityclasses", {"value": 10}, {"description": "x"}, None, False),
    row("apis/storage.k8s.io/v1/storageclasses", {"provisioner": "example.com/p"}, {"allowVolumeExpansion": True}, None, False),
    row("apis/storage.k8s.io/v1/csidrivers", {"spec": {"attachRequired": False}}, NOTE, None, False),
    row("apis/storage.k8s.io/v1/csinodes", {"spec": {"drivers": []}}, {"spec": {"drivers": [{"name": "d.example.com", "nodeID": "n"}]}}, None, False),
    row("apis/storage.k8s.io/v1/csistoragecapacities", {"storageClassName": "c", "capacity": "1Gi"}, {"capacity": "2Gi"}),
    row("apis/storage.k8s.io/v1/volumeattributesclasses", {"driverName": "d.example.com", "parameters": {"a": "b"}}, NOTE, None, False),
    row("apis/storage.k8s.io/v1/volumeattachments", {"spec": {"attacher": "d.example.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}, NOTE, {"attached": True}, False),
    row("apis/resource.k8s.io/v1/deviceclasses", {"spec": {"selectors": [{"cel": {"expression": "true"}}]}}, {"spec": {"selectors": [{"cel": {"expression": "false"}}]}}, None, False, "a.example.com"),
    row("apis/resource.k8s.io/v1/resourceclaims", {"spec": DEVICES}, NOTE, {"devices": []}),
    row("apis/resource.k8s.io/v1/resourceclaimtemplates", {"spec": {"spec": DEVICES}}, NOTE),
    row("apis/resource.k8s.io/v1/resourceslices", {"spec": {"driver": "d.example.com", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}}, {"spec": {"pool": {"generation": 2}}}, None, False),
    row("apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", {"spec": {"matchingPrecedence": 9000, "priorityLevelConfiguration": {"name": "global-default"}}}, {"spec": {"matchingPrecedence": 9001}}, READY, False),
    row("apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations", {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}}}}, {"spec": {"limited": {"nominalConcurrencyShares": 4}}}, READY, False),
    row("apis/certificates.k8s.io/v1/certificatesigningrequests", {"spec": CSR}, NOTE, {"conditions": [{"type": "Failed", "status": "True", "reason": "R", "message": "m"}]}, False),
    row("apis/events.k8s.io/v1/events", {"eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reason": "r", "type": "Normal", "reportingController": "c", "reportingInstance": "i", "regarding": {"kind": "Pod", "namespace": None, "name": "p"}}, {"note": "n"}),
    row("api/v1/events", {"involvedObject": {"kind": "Pod", "namespace": None, "name": "p"}, "reason": "r", "type": "Normal", "source": {"component": "c"}}, {"message": "m"}),
    row("api/v1/nodes", {"spec": {"podCIDR": "10.99.0.0/24"}}, {"spec": {"unschedulable": True}}, {"capacity": {"cpu": "4"}}, False),
    row("apis/policy/v1/poddisruptionbudgets", {"spec": {"maxUnavailable": "10%", "selector": {}}}, NOTE),
    row("apis/rbac.authorization.k8s.io/v1/roles", {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}, NOTE),
    row("apis/rbac.authorization.k8s.io/v1/rolebindings", {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": []}, {"subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"}]}),
]


def holds(object, change):
    """Whether what was written stands in the object, defaults aside."""
    if isinstance(change, dict) and change:
        return isinstance(object, dict) and all(holds(object.get(key), value) for key, value in change.items())
    if isinstance(change, list) and change:
        return isinstance(object, list) and len(object) == len(change) and all(map(holds, object, change))
    return object == change or (not change and not object)


def filled(body, ns):
    """The row's body, with what differs from run to run."""
    if "request" in body.get("spec", {}):
        body = {**body, "spec": {**body["spec"], "request": signing_request()}}
    for member in {"regarding", "involvedObject"} & set(body):
        body = {**body, member: {**body[member], "namespace": ns}}
    return body


@pytest.fixture
def account(api, ns):
    """Pods need their namespace's service account."""
    support.wait_for("the service account", lambda: api.get(f"/api/v1/namespaces/{ns}/serviceaccounts/default").status == 200)


def in_discovery(api, path):
    group_version, _, plural = path.rpartition("/")
    if path.startswith("apis/"):
        group, version = group_version.split("/")[1:]
        assert group in [g["name"] for g in api.get("/apis").body["groups"]]
        assert version in [v["version"] for v in api.get(f"/apis/{group}").body["versions"]]
    return {r["name"]: set(r["verbs"]) for r in api.get(f"/{group_version}").body["resources"]}, plural


@pytest.mark.parametrize("path,body,change,status,namespaced,name", ROWS)
def test_a_kind_goes_through_all_operations(api, ns, path, body, change, status, namespaced, name):
    resources, plural = in_discovery(api, path)
    assert resources[plural] >= {"create", "get", "list", "watch", "update", "patch", "delete", "deletecollection"}
    group_version = path.rpartition("/")[0]
    where = f"/{group_version}/namespaces/{ns}/{plural}" if namespaced else f"/{group_version}/{plural}"
    label = f"{LABEL}={ns}"
    name = name if namespaced or name[0].isdigit() else f"{ns}.{name}" if "." in name else f"{ns}-{name}"
    wanted = filled(body, ns)
    made = api("POST", where, {**wanted, "metadata": {"name": name, "labels": {LABEL: ns}}})
    assert made.status == 201, made.data
    version = made.body["metadata"]["resourceVersion"]
    assert made.body["metadata"]["uid"] and holds(made.body, wanted)

    assert api.get(f"{where}/{name}").body["metadata"]["uid"] == made.body["metadata"]["uid"]
    for every in {where, f"/{path}"}:
        listed = api.get(every, labelSelector=label)
        assert [item["metadata"]["name"] for item in listed.body["items"]] == [name] and listed.body["kind"].endswith("List")
    events = api.watch(where, labelSelector=label, resourceVersion=version, timeoutSeconds=20)

    patched = api.patch(f"{where}/{name}", change)
    assert patched.status == 200 and holds(patched.body, change), patched.data
    assert int(patched.body["metadata"]["resourceVersion"]) > int(version)
    while True:
        current = api.get(f"{where}/{name}").body
        current["metadata"].setdefault("annotations", {})["updated"] = "yes"
        updated = api("PUT", f"{where}/{name}", current)
        if updated.status != 409:  # a controller may have written meanwhile
            break
    assert updated.status == 200 and updated.body["metadata"]["annotations"]["updated"] == "yes", updated.data

    if status is not None:
        assert {"get", "patch", "update"} <= resources[f"{plural}/status"]
        answer = api.patch(f"{where}/{name}/status", {"metadata": {"annotations": {"through": "status"}}, "status": status})
        assert answer.status == 200 and holds(answer.body["status"], status), answer.data
        shown = api.get(f"{where}/{name}/status")
        assert shown.status == 200 and shown.body["kind"] == made.body["kind"]
        answer = api("PUT", f"{where}/{name}/status", {**shown.body, "metadata": {**shown.body["metadata"], "resourceVersion": None}})
        assert answer.status == 200, answer.data

    extra = f"{name}9" if name[0].isdigit() else f"{name}b"
    if name[0].isdigit():
        extra = "203.0.113.8"
    assert api("POST", where, {**filled(body, ns), "metadata": {"name": extra, "labels": {LABEL: ns}}}).status == 201
    assert api("DELETE", f"{where}/{name}", {"propagationPolicy": "Background", "gracePeriodSeconds": 0}).status in (200, 202)
    seen = [(e["type"], e["object"]["metadata"]["name"]) for e in itertools.takewhile(lambda e: e["object"]["metadata"]["name"] != extra, events)]
    assert ("MODIFIED", name) in seen
    removed = api("DELETE", where, {"propagationPolicy": "Background", "gracePeriodSeconds": 0}, labelSelector=label)
    assert removed.status == 200, removed.data
    left = api.get(where, labelSelector=label).body["items"]
    for item in left:  # what others hold: a claim or a volume by its protection
        assert item["metadata"].get("deletionTimestamp") and item["metadata"].get("finalizers"), item
        api.patch(f"{where}/{item['metadata']['name']}", {"metadata": {"finalizers": None}})
    assert api.get(where, labelSelector=label).body["items"] == []


def test_a_status_that_is_not_there_yet_can_be_patched_by_its_path(api, ns):
    where = f"/apis/resource.k8s.io/v1/namespaces/{ns}/resourceclaims"
    assert api("POST", where, {"metadata": {"name": "c"}, "spec": DEVICES}).status == 201
    add = [{"op": "add", "path": "/status/allocation", "value": {"devices": {}}}]
    answer = api.patch(f"{where}/c/status", json.dumps(add), JSON_PATCH)
    assert answer.status == 200 and "allocation" in answer.body["status"], answer.data
    harmless = api.patch(f"{where}/c", json.dumps([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]), JSON_PATCH)
    assert harmless.status == 200, harmless.data


def test_the_range_of_service_addresses_is_an_object(api):
    answer = api.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
    assert answer.status == 200 and answer.body["spec"]["cidrs"] == ["10.43.0.0/16"], answer.data
    assert [(c["type"], c["status"]) for c in answer.body["status"]["conditions"]] == [("Ready", "True")]


def test_events_are_found_by_who_reports_them_in_both_groups(api, ns):
    new, old = f"/apis/events.k8s.io/v1/namespaces/{ns}/events", f"/api/v1/namespaces/{ns}/events"
    api("POST", new, {"metadata": {"name": "new"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reason": "r", "type": "Normal",
                      "reportingController": "rc", "reportingInstance": "i", "regarding": {"kind": "Pod", "namespace": ns, "name": "p"}})
    api("POST", old, {"metadata": {"name": "old"}, "involvedObject": {"kind": "Pod", "namespace": ns, "name": "p"}, "reason": "r", "source": {"component": "sc"}})
    names = lambda path, selector: [item["metadata"]["name"] for item in api.get(path, fieldSelector=selector).body["items"]]
    assert names(old, "involvedObject.name=p") == names(new, "regarding.name=p") == ["new", "old"]
    assert names(old, "source=rc") == names(old, "reportingComponent=rc") == names(new, "reportingController=rc") == ["new"]
    assert names(old, "source=sc") == ["old"] and names(new, "reportingController=sc") == []
    assert api.get(new, fieldSelector="involvedObject.name=p").status == api.get(old, fieldSelector="regarding.name=p").status == 400
    assert api.get(new, fieldSelector="source=rc").status == 400


@pytest.mark.parametrize("kind", ["configmaps", "secrets"])
def test_an_empty_key_is_refused(api, ns, kind):
    answer = api("POST", f"/api/v1/namespaces/{ns}/{kind}", {"metadata": {"name": "e"}, "data": {"": "dg=="}})
    assert answer.status == 422 and "data" in answer.body["message"]


def test_an_answer_that_nothing_lists_has_no_table(api):
    review = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    refused = api("POST", path, review, {"Accept": table, "Content-Type": "application/json"})
    assert refused.status == 406 and refused.body["reason"] == "NotAcceptable", refused.data
    assert api("POST", path, review, {"Accept": f"{table},application/json", "Content-Type": "application/json"}).status == 201


def test_a_pod_asks_for_a_runtime_class_that_is_there(api, ns, account):
    pod = {"metadata": {"name": "p"}, "spec": {**POD, "runtimeClassName": "none"}}
    answer = api("POST", f"/api/v1/namespaces/{ns}/pods", pod)
    assert answer.status == 403 and 'RuntimeClass "none" not found' in answer.body["message"], answer.data
    cls = f"rc-{ns}"
    assert api("POST", "/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": cls}, "handler": "h"}).status == 201
    pod["spec"]["runtimeClassName"] = cls
    assert api("POST", f"/api/v1/namespaces/{ns}/pods", pod).status == 201
    assert api("DELETE", f"/apis/node.k8s.io/v1/runtimeclasses/{cls}").status == 200
    pod["metadata"]["name"] = "q"
    assert api("POST", f"/api/v1/namespaces/{ns}/pods", pod).status == 403


def test_pods_have_their_class_of_service(api, ns, account):
    for name, resources, expected in (("a", {}, "BestEffort"), ("b", {"requests": {"cpu": "1"}}, "Burstable"),
                                      ("c", {"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "1", "memory": "1Mi"}}, "Guaranteed")):
        pod = {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x", "resources": resources}]}}
        assert api("POST", f"/api/v1/namespaces/{ns}/pods", pod).body["status"]["qosClass"] == expected


# -- definitions --------------------------------------------------------------------------------------------------------


def definition(group, plural, versions, **spec):
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string", "description": "Text of a."}}}}}}
    return {"metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "singular": plural[:-1], "kind": plural[:-1].capitalize()},
                     "versions": [{"name": name, "served": True, "storage": i == 0, "schema": schema} for i, name in enumerate(versions)], **spec}}


def published(api, group):
    """Kinds by version, as both documents of OpenAPI tell of a group."""
    v2 = api.get("/openapi/v2").body["definitions"]
    found = {(k["version"], k["kind"]) for one in v2.values() for k in one.get("x-kubernetes-group-version-kind", []) if k["group"] == group and not k["kind"].endswith("List")}
    v3 = {path.rpartition("/")[2] for path in api.get("/openapi/v3").body["paths"] if path.startswith(f"apis/{group}/")}
    # The two documents are read one after the other: while a change is on its way they may differ.
    return {pair for pair in found if pair[1] in ("Foo", "Bar")} if v3 == {version for version, _ in found} else None


def test_definitions_are_published_as_they_are_served(api, ns):
    where, one, two = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f"{ns}.one.example.com", f"{ns}.two.example.com"
    for made in (definition(one, "foos", ["v1", "v2"]), definition(one, "bars", ["v1"]), definition(two, "foos", ["v1"])):
        assert api("POST", where, made).status == 201
    shown = lambda group, *pairs: support.wait_for(f"{group} as {pairs}", lambda: published(api, group) == set(pairs), 10)
    shown(one, ("v1", "Foo"), ("v2", "Foo"), ("v1", "Bar")), shown(two, ("v1", "Foo"))
    api.patch(f"{where}/foos.{one}", json.dumps([{"op": "replace", "path": "/spec/versions/1/name", "value": "v3"}]), JSON_PATCH)
    shown(one, ("v1", "Foo"), ("v3", "Foo"), ("v1", "Bar"))
    api.patch(f"{where}/foos.{one}", json.dumps([{"op": "replace", "path": "/spec/versions/1/served", "value": False}]), JSON_PATCH)
    shown(one, ("v1", "Foo"), ("v1", "Bar"))
    for name in (f"foos.{one}", f"bars.{one}", f"foos.{two}"):
        api("DELETE", f"{where}/{name}")
    shown(one), shown(two)


def test_definitions_are_listed_watched_and_have_a_status(api, ns):
    where, group = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f"{ns}.example.com"
    for plural in ("foos", "bars"):
        made = definition(group, plural, ["v1"])
        made["metadata"]["labels"] = {LABEL: ns}
        assert api("POST", where, made).status == 201
    assert [item["metadata"]["name"] for item in api.get(where, labelSelector=f"{LABEL}={ns}").body["items"]] == [f"bars.{group}", f"foos.{group}"]
    condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = api.get(f"{where}/foos.{group}/status").body
    status["status"]["conditions"].append(condition)
    events = api.watch(where, labelSelector=f"{LABEL}={ns}", resourceVersion=status["metadata"]["resourceVersion"], timeoutSeconds=20)
    assert "StatusUpdate" in [c["type"] for c in api("PUT", f"{where}/foos.{group}/status", status).body["status"]["conditions"]]
    assert api.patch(f"{where}/foos.{group}/status", {"metadata": {"annotations": {"a": "b"}}, "status": {"conditions": [condition]}}).status == 200
    assert api("DELETE", where, labelSelector=f"{LABEL}={ns}").status == 200
    assert {event["object"]["metadata"]["name"] for event in itertools.islice(events, 4)} >= {f"foos.{group}"}
    support.wait_for("the definitions' end", lambda: api.get(where, labelSelector=f"{LABEL}={ns}").body["items"] == [], 20)


def test_explain_tells_of_what_every_object_has(plane, api, ns):
    group = f"{ns}.example.com"
    assert api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(group, "foos", ["v1"])).status == 201
    explain = lambda *path: support.run(plane.kubectl_command("explain", *path), check=False)
    support.wait_for("the kind", lambda: explain(f"foos.spec.a", f"--api-version={group}/v1").returncode == 0, 15, 0.3)
    assert "APIVersion defines" in explain("foos", f"--api-version={group}/v1").stdout
    metadata = explain("foos.metadata", f"--api-version={group}/v1").stdout
    assert "Standard object's metadata" in metadata and "CreationTimestamp is a timestamp" in metadata, metadata
    assert "Text of a." in explain("foos.spec.a", f"--api-version={group}/v1").stdout
    missing = explain("foos.spec.b", f"--api-version={group}/v1")
    assert missing.returncode and 'field "b" does not exist' in missing.stderr
    api("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/foos.{group}")


# -- namespaces, accounts, reviews --------------------------------------------------------------------------------------


def test_a_namespace_is_updated_patched_and_finalized(api, ns):
    path = f"/api/v1/namespaces/{ns}"
    assert api.patch(path, {"metadata": {"labels": {"a": "b"}}}).body["metadata"]["labels"]["a"] == "b"
    current = api.get(path).body
    current["metadata"]["labels"]["c"] = "d"
    assert api("PUT", path, current).body["metadata"]["labels"]["c"] == "d"
    condition = {"type": "StatusPatch", "status": "True", "reason": "E2E", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    assert api.patch(f"{path}/status", {"status": {"conditions": [condition]}}).body["status"]["conditions"] == [{k: v for k, v in condition.items() if v}]
    current = api.get(path).body
    current["spec"]["finalizers"].append("e2e.example.com/hold")
    assert api("PUT", f"{path}/finalize", current).body["spec"]["finalizers"] == ["kubernetes", "e2e.example.com/hold"]
    current = api.get(path).body
    current["spec"]["finalizers"].remove("e2e.example.com/hold")
    assert api("PUT", f"{path}/finalize", current).body["spec"]["finalizers"] == ["kubernetes"]


def test_who_does_not_want_a_token_gets_none(api, ns, account):
    for name, value in (("with", True), ("without", False)):
        assert api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": name}, "automountServiceAccountToken": value}).status == 201
    for i, (name, own, mounted) in enumerate((("default", None, True), ("with", None, True), ("without", None, False), ("default", False, False), ("with", False, False), ("without", True, True))):
        spec = {**POD, "serviceAccountName": name, **({} if own is None else {"automountServiceAccountToken": own})}
        made = api("POST", f"/api/v1/namespaces/{ns}/pods", {"metadata": {"name": f"p{i}"}, "spec": spec}).body
        mounts = [m["mountPath"] for m in made["spec"]["containers"][0].get("volumeMounts", [])]
        assert ("/var/run/secrets/kubernetes.io/serviceaccount" in mounts) == mounted, (name, own)


def test_reviews_answer_for_others_and_oneself(api, ns):
    api("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles", {"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]})
    api("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
        {"metadata": {"name": "r"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"}]})
    spec = lambda verb: {"user": "u", "resourceAttributes": {"verb": verb, "resource": "pods", "namespace": ns}}
    group = "/apis/authorization.k8s.io/v1"
    for path in (f"{group}/subjectaccessreviews", f"{group}/namespaces/{ns}/localsubjectaccessreviews"):
        body = lambda verb: {"metadata": {"namespace": ns}, "spec": spec(verb)} if "local" in path else {"spec": spec(verb)}
        allowed = support.wait_for("the role", lambda: (answer := api("POST", path, body("get"))).body["status"]["allowed"] and answer)
        assert allowed.status == 201 and not api("POST", path, body("delete")).body["status"]["allowed"]
    mine = api("POST", f"{group}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}})
    assert mine.status == 201 and mine.body["status"]["allowed"]


# -- pods that no node is asked for -------------------------------------------------------------------------------------


def test_a_pod_may_name_a_csi_volume(api, ns, account):
    csi = {"driver": "d.example.com", "readOnly": True, "fsType": "ext4", "volumeAttributes": {"a": "b"}}
    made = api("POST", f"/api/v1/namespaces/{ns}/pods", {"metadata": {"name": "p"}, "spec": {**POD, "volumes": [{"name": "v", "csi": csi}]}})
    assert made.status == 201 and made.body["spec"]["volumes"][0]["csi"] == csi, made.data


def test_a_pods_kernel_parameters_are_names(api, ns, account):
    sysctls = [{"name": name, "value": "1"} for name in ("foo-", "kernel.shmmax", "safe-and-unsafe", "bar..")]
    answer = api("POST", f"/api/v1/namespaces/{ns}/pods", {"metadata": {"name": "p"}, "spec": {**POD, "securityContext": {"sysctls": sysctls}}})
    assert answer.status == 422
    for i, wrong in ((0, "foo-"), (3, "bar..")):
        assert f'spec.securityContext.sysctls[{i}].name: Invalid value: "{wrong}"' in answer.body["message"]
    assert "sysctls[1]" not in answer.body["message"] and "sysctls[2]" not in answer.body["message"]
