"""Custom resources end to end: definitions, discovery, OpenAPI, kubectl, conversion by webhook, deletion. The tests of Kubernetes'
conformance suite that concern them (docs/conformance.md) are shown here by their steps."""
import base64
import contextlib
import json
import subprocess
import sys
import uuid

import pytest

import cluster as support
from api import JSON_PATCH, STRATEGIC, facts
from cluster import wait_for

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SCHEMA = {"type": "object", "properties": {
    "spec": {"type": "object", "description": "What a CronTab shall do", "required": ["cronSpec"], "properties": {
        "cronSpec": {"type": "string", "description": "When it runs", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
        "image": {"type": "string"},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}}}},
    "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}}}
COLUMNS = [{"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"}, {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
           {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1}, {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]


def version(name="v1", storage=True, schema=SCHEMA, **more):
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}, **more}


def definition(group, *versions, scope="Namespaced", **more):
    full = {"subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
            "additionalPrinterColumns": COLUMNS, "selectableFields": [{"jsonPath": ".spec.image"}]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"crontabs.{group}"},
            "spec": {"group": group, "scope": scope, "names": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "shortNames": ["ct" + group[:6]], "categories": ["all"]},
                     "versions": list(versions) or [version(**full)], **more}}


def cron_tab(group, name="tab", **spec):
    return {"apiVersion": f"{group}/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": {"cronSpec": "* * * * */5", **spec}}


@pytest.fixture
def group(plane):
    """A group of the test's own; its definitions are gone afterwards."""
    name = "g" + uuid.uuid4().hex[:8] + ".example.com"
    yield name
    for item in plane.api.get(CRDS).body["items"]:
        if item["spec"]["group"] == name:
            plane.api("DELETE", f"{CRDS}/{item['metadata']['name']}")


@pytest.fixture
def tabs(api, group, ns):
    """The path of the CronTabs of the test's namespace, served."""
    assert api("POST", CRDS, definition(group)).status == 201
    return f"/apis/{group}/v1/namespaces/{ns}/crontabs"


def kubectl(plane, *arguments, **options):
    return support.run(plane.kubectl_command(*arguments), check=False, timeout=60, **options)


def test_an_object_can_follow_its_definition_at_once(plane, group, ns):
    manifest = json.dumps(definition(group))
    assert kubectl(plane, "apply", "-f", "-", input=manifest).returncode == 0
    applied = kubectl(plane, "-n", ns, "apply", "-f", "-", input=json.dumps(cron_tab(group)))
    assert applied.returncode == 0, applied.stderr
    waited = kubectl(plane, "wait", "--for", "condition=established", "--timeout=5s", f"crd/crontabs.{group}")
    assert waited.returncode == 0, waited.stderr
    assert kubectl(plane, "apply", "-f", "-", input=manifest).stdout.strip().endswith("unchanged")


@pytest.mark.parametrize("program", support.kubectls()[:1] + support.kubectls()[-1:], ids=lambda p: p.rsplit("/", 1)[-1])
def test_kubectl_knows_a_new_kind(plane, group, ns, program):
    before, plane.kubectl_path = plane.kubectl_path, program
    try:
        assert kubectl(plane, "create", "-f", "-", input=json.dumps(definition(group))).returncode == 0
        assert kubectl(plane, "-n", ns, "create", "-f", "-", input=json.dumps(cron_tab(group, image="a"))).returncode == 0
        shown = kubectl(plane, "-n", ns, "get", "ct" + group[:6]).stdout.splitlines()
        assert shown[0].split() == ["NAME", "SPEC", "REPLICAS", "AGE"] and shown[1].split()[:7] == ["tab", "*", "*", "*", "*", "*/5", "1"], shown
        assert "IMAGE" in kubectl(plane, "-n", ns, "get", f"crontabs.{group}", "-o", "wide").stdout
        assert f"crontab.{group}/tab" in kubectl(plane, "-n", ns, "get", "all", "-o", "name").stdout
        explained = kubectl(plane, "explain", "--api-version", f"{group}/v1", "crontabs.spec").stdout
        assert "What a CronTab shall do" in explained and "cronSpec" in explained, explained
        scaled = kubectl(plane, "-n", ns, "scale", "--replicas=3", f"crontabs.{group}/tab")
        assert scaled.returncode == 0, scaled.stderr
        assert kubectl(plane, "-n", ns, "get", f"crontabs.{group}", "tab", "-o", "jsonpath={.spec.replicas}").stdout == "3"
        bad = kubectl(plane, "-n", ns, "create", "-f", "-", input=json.dumps(cron_tab(group, "bad", replicas=11)))
        assert bad.returncode != 0 and "spec.replicas in body should be less than or equal to 10" in bad.stderr
        assert f"crontabs.{group}" in kubectl(plane, "get", "crd").stdout
    finally:
        plane.kubectl_path = before


def test_a_definition_is_published_and_withdrawn_within_a_second(api, group, ns):
    def served():
        groups = {g["name"] for g in api.get("/apis").body["groups"]}
        definitions = api.get("/openapi/v2").body["definitions"]
        return group in groups, ".".join(reversed(group.split("."))) + ".v1.CronTab" in definitions, api.get(f"/openapi/v3/apis/{group}/v1").status == 200

    assert served() == (False, False, False)
    assert api("POST", CRDS, definition(group)).status == 201
    assert served() == (True, True, True)
    listed = api.get(f"/apis/{group}/v1").body["resources"]
    assert [r["name"] for r in listed] == ["crontabs", "crontabs/status", "crontabs/scale"] and listed[0]["categories"] == ["all"]
    document = api.get(f"/openapi/v3/apis/{group}/v1").body
    schema = document["components"]["schemas"][".".join(reversed(group.split("."))) + ".v1.CronTab"]
    assert schema["properties"]["spec"]["properties"]["cronSpec"]["description"] == "When it runs"
    assert schema["x-kubernetes-group-version-kind"] == [{"group": group, "kind": "CronTab", "version": "v1"}]
    aggregated = api("GET", "/apis", headers={"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}).body
    assert any(item["metadata"].get("name") == group for item in aggregated["items"])
    assert api("DELETE", f"{CRDS}/crontabs.{group}").status == 200
    wait_for("the definition to go", lambda: api.get(f"{CRDS}/crontabs.{group}").status == 404)
    assert served() == (False, False, False)
    assert api.get(f"/apis/{group}/v1/namespaces/{ns}/crontabs").status == 404


def test_every_verb_works(api, group, ns, tabs):
    created = api("POST", tabs, cron_tab(group, image="a"))
    assert created.status == 201 and created.body["spec"]["replicas"] == 1 and created.body["metadata"]["generation"] == 1
    watch = api.watch(tabs, resourceVersion=created.body["metadata"]["resourceVersion"], timeoutSeconds=20)
    changed = api.patch(f"{tabs}/tab", {"spec": {"replicas": 2}})
    assert changed.status == 200 and changed.body["metadata"]["generation"] == 2
    assert api.patch(f"{tabs}/tab", [{"op": "replace", "path": "/spec/replicas", "value": 3}], JSON_PATCH).body["spec"]["replicas"] == 3
    assert api.patch(f"{tabs}/tab", {"spec": {"replicas": 2}}, STRATEGIC).status == 415
    status = api.patch(f"{tabs}/tab/status", {"status": {"replicas": 5, "selector": "a=b"}, "spec": {"replicas": 9}})
    assert status.body["status"]["replicas"] == 5 and status.body["spec"]["replicas"] == 3 and status.body["metadata"]["generation"] == 3
    scale = api.get(f"{tabs}/tab/scale").body
    assert scale["kind"] == "Scale" and scale["spec"] == {"replicas": 3} and scale["status"] == {"replicas": 5, "selector": "a=b"}
    assert facts(event for _, event in zip(range(3), watch)) == [("MODIFIED", "tab")] * 3
    api("POST", tabs, cron_tab(group, "other", image="b"))
    assert [i["metadata"]["name"] for i in api.get(tabs, fieldSelector="spec.image=b").body["items"]] == ["other"]
    assert api.get(tabs).body["kind"] == "CronTabList"
    assert api("DELETE", tabs).status == 200 and api.get(tabs).body["items"] == []


def test_unknown_and_duplicate_fields_are_told_as_asked(api, group, tabs):
    body = '{"apiVersion":"%s/v1","kind":"CronTab","metadata":{"name":"x"},"spec":{"cronSpec":"* * * * *","nope":1,"image":"a","image":"b"}}' % group
    strict = api("POST", tabs, body, fieldValidation="Strict")
    assert strict.status == 400 and 'strict decoding error: unknown field "spec.nope", duplicate field "spec.image"' in strict.body["message"]
    warned = api("POST", tabs, body, fieldValidation="Warn")
    assert warned.status == 201 and len(warned.headers.get_all("Warning")) == 2 and "nope" not in warned.body["spec"]
    ignored = api("POST", tabs, body.replace('"x"', '"y"'), fieldValidation="Ignore")
    assert ignored.status == 201 and ignored.headers.get_all("Warning") is None


def test_roles_apply_to_custom_kinds(plane, api, group, ns, tabs):
    rules = [{"apiGroups": [group], "resources": ["crontabs"], "verbs": ["get", "list"]}]
    assert api("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles", {"metadata": {"name": "r"}, "rules": rules}).status == 201
    subject = [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {"metadata": {"name": "r"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": subject}
    assert api("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings", binding).status == 201
    jane = {"Impersonate-User": "jane"}
    assert api("GET", tabs, headers=jane).status == 200
    assert api("POST", tabs, cron_tab(group), {**jane, "Content-Type": "application/json"}).status == 403


def test_the_objects_go_with_their_definition_namespace_and_owner(api, group, ns, tabs):
    owner = api("POST", tabs, cron_tab(group, "owner")).body
    reference = [{"apiVersion": f"{group}/v1", "kind": "CronTab", "name": "owner", "uid": owner["metadata"]["uid"]}]
    owned = {"metadata": {"name": "owned", "ownerReferences": reference}}
    maps = f"/api/v1/namespaces/{ns}/configmaps"
    assert api("POST", maps, owned).status == 201
    below = cron_tab(group, "below")
    below["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owned", "uid": api.get(f"{maps}/owned").body["metadata"]["uid"]}]
    assert api("POST", tabs, below).status == 201
    assert api("DELETE", f"{tabs}/owner").status == 200
    wait_for("the owned ConfigMap to go", lambda: api.get(f"{maps}/owned").status == 404)
    wait_for("what the ConfigMap owned to go", lambda: api.get(f"{tabs}/below").status == 404)
    other = "t-" + uuid.uuid4().hex[:8]
    assert api("POST", "/api/v1/namespaces", {"metadata": {"name": other}}).status == 201
    there = f"/apis/{group}/v1/namespaces/{other}/crontabs"
    assert api("POST", there, cron_tab(group)).status == 201
    api("DELETE", f"/api/v1/namespaces/{other}")
    wait_for("the namespace to go", lambda: api.get(f"/api/v1/namespaces/{other}").status == 404)
    assert api.get(there).body["items"] == []
    held = cron_tab(group, "held")
    held["metadata"]["finalizers"] = ["example.com/held"]
    assert api("POST", tabs, held).status == 201
    assert api("DELETE", f"{CRDS}/crontabs.{group}").status == 200
    wait_for("the object to be deleted", lambda: api.get(f"{tabs}/held").body["metadata"].get("deletionTimestamp"))
    assert api("POST", tabs, cron_tab(group, "late")).status == 405
    assert any(c["type"] == "Terminating" for c in api.get(f"{CRDS}/crontabs.{group}").body["status"]["conditions"])
    assert api.patch(f"{tabs}/held", {"metadata": {"finalizers": []}}).status == 200
    wait_for("the definition to go", lambda: api.get(f"{CRDS}/crontabs.{group}").status == 404)


def test_names_are_taken_over_when_they_become_free(api, group):
    assert api("POST", CRDS, definition(group)).status == 201
    second = definition(group)
    second["metadata"]["name"] = f"others.{group}"
    second["spec"]["names"].update({"plural": "others", "singular": "other", "shortNames": []})
    conditions = lambda: {c["type"]: c["status"] for c in api.get(f"{CRDS}/others.{group}").body["status"]["conditions"]}
    assert api("POST", CRDS, second).status == 201
    assert conditions() == {"NamesAccepted": "False", "Established": "False"}
    api("DELETE", f"{CRDS}/crontabs.{group}")
    wait_for("the names to be accepted", lambda: conditions() == {"NamesAccepted": "True", "Established": "True"})


def test_the_python_client_works_with_definitions_and_objects(plane, group, ns):
    kubernetes = pytest.importorskip("kubernetes")
    with plane.sandbox.network():
        client = kubernetes.config.new_client_from_config(str(plane.kubeconfig))
        client.configuration.host = "https://127.0.0.1:6443"
        kubernetes.client.ApiextensionsV1Api(client).create_custom_resource_definition(definition(group))
        objects = kubernetes.client.CustomObjectsApi(client)
        objects.create_namespaced_custom_object(group, "v1", ns, "crontabs", cron_tab(group))
        assert objects.get_namespaced_custom_object(group, "v1", ns, "crontabs", "tab")["spec"]["replicas"] == 1
        assert objects.patch_namespaced_custom_object_status(group, "v1", ns, "crontabs", "tab", {"status": {"replicas": 1}})["status"] == {"replicas": 1}
        assert len(objects.list_cluster_custom_object(group, "v1", "crontabs")["items"]) == 1


@contextlib.contextmanager
def webhook(plane, tmp_path):
    """The conversion webhook of tests/support, as a clientConfig."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    support.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                 "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate])
    script = support.ROOT / "tests/support/conversion_webhook.py"
    process = subprocess.Popen(plane.sandbox.command([sys.executable, "-B", script, certificate, key, 9443]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "up"
        yield {"url": "https://127.0.0.1:9443/convert", "caBundle": base64.b64encode(certificate.read_bytes()).decode()}
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def test_a_webhook_converts_between_versions(plane, api, group, ns, tmp_path):
    spec = lambda **properties: {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    v1, v2 = spec(host={"type": "string"}), spec(hosts={"type": "array", "items": {"type": "string"}})
    with webhook(plane, tmp_path) as config:
        conversion = {"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1", "v1beta1"]}}
        made = definition(group, version("v1", True, v1), version("v2", False, v2), conversion=conversion)
        assert api("POST", CRDS, made).status == 201
        one, two = (f"/apis/{group}/{v}/namespaces/{ns}/crontabs" for v in ("v1", "v2"))
        body = lambda name, v, s: {"apiVersion": f"{group}/{v}", "kind": "CronTab", "metadata": {"name": name}, "spec": s}
        assert api("POST", one, body("a", "v1", {"host": "x,y"})).status == 201
        assert api("POST", two, body("b", "v2", {"hosts": ["p", "q"]})).body["spec"] == {"hosts": ["p", "q"]}
        assert api.get(f"{two}/a").body["spec"] == {"hosts": ["x", "y"]}
        assert api.get(f"{one}/b").body["spec"] == {"host": "p,q"}
        assert [i["spec"] for i in api.get(two).body["items"]] == [{"hosts": ["x", "y"]}, {"hosts": ["p", "q"]}]
        assert [e["object"]["spec"] for _, e in zip(range(2), api.watch(two, timeoutSeconds=20))] == [{"hosts": ["x", "y"]}, {"hosts": ["p", "q"]}]
        assert api.patch(f"{two}/a", {"spec": {"hosts": ["z"]}}).body["spec"] == {"hosts": ["z"]}
        assert api.get(f"{one}/a").body["spec"] == {"host": "z"}
        # A list in which the versions are mixed: the storage version has changed between the writes.
        changed = api.patch(f"{CRDS}/crontabs.{group}", {"spec": {"versions": [version("v1", False, v1), version("v2", True, v2)]}})
        assert changed.status == 200 and changed.body["status"]["storedVersions"] == ["v1", "v2"]
        assert api("POST", two, body("c", "v2", {"hosts": ["c"]})).status == 201
        assert [i["spec"] for i in api.get(one).body["items"]] == [{"host": "z"}, {"host": "p,q"}, {"host": "c"}]
        assert api("POST", two, body("bad", "v2", {"hosts": ["c"]})).status == 201
        refused = api.get(f"{one}/bad")
        assert refused.status == 500 and f"conversion webhook for {group}/v2, Kind=CronTab failed: cannot convert it" in refused.body["message"]
    gone = api.get(f"{one}/c")
    assert gone.status == 500 and "conversion webhook for" in gone.body["message"] and "Post \"https://127.0.0.1:9443/convert\"" in gone.body["message"]
    # What the webhook cannot convert can still be deleted, and the definition with it.
    assert api("DELETE", f"{CRDS}/crontabs.{group}").status == 200
    wait_for("the definition to go", lambda: api.get(f"{CRDS}/crontabs.{group}").status == 404)


def test_a_migration_frees_an_old_version(api, group, ns):
    migrations, name = "/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations", f"crontabs.{group}"
    assert api("POST", CRDS, definition(group, version("v1", True), version("v2", False))).status == 201
    assert api("POST", f"/apis/{group}/v1/namespaces/{ns}/crontabs", cron_tab(group)).status == 201
    assert api.patch(f"{CRDS}/{name}", {"spec": {"versions": [version("v1", False), version("v2", True)]}}).status == 200
    only = {"spec": {"versions": [version("v2", True)]}}
    assert api.patch(f"{CRDS}/{name}", only).status == 422, "objects may be stored in it"
    migration = {"apiVersion": "storagemigration.k8s.io/v1beta1", "kind": "StorageVersionMigration", "metadata": {"name": name},
                 "spec": {"resource": {"group": group, "resource": "crontabs"}}}
    assert api("POST", migrations, migration).status == 201

    def conditions():
        return {each["type"]: each["status"] for each in api.get(f"{migrations}/{name}").body.get("status", {}).get("conditions", [])}

    wait_for("the migration", lambda: conditions() == {"Running": "False", "Succeeded": "True"}, seconds=60)
    assert api.get(f"{CRDS}/{name}").body["status"]["storedVersions"] == ["v2"]
    assert api.patch(f"{CRDS}/{name}", only).status == 200
    assert api.get(f"/apis/{group}/v2/namespaces/{ns}/crontabs/tab").body["spec"]["cronSpec"] == "* * * * */5"
    assert api("DELETE", f"{migrations}/{name}").status == 200


def test_fields_are_selected_in_the_version_that_is_asked_for(plane, api, group, ns, tmp_path):
    spec = lambda **properties: {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    v1, v2 = spec(host={"type": "string"}), spec(hosts={"type": "array", "items": {"type": "string"}})
    with webhook(plane, tmp_path) as config:
        conversion = {"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]}}
        asked = {**version("v1", False, v1), "selectableFields": [{"jsonPath": ".spec.host"}]}
        assert api("POST", CRDS, definition(group, asked, version("v2", True, v2), conversion=conversion)).status == 201
        one, two = (f"/apis/{group}/{v}/namespaces/{ns}/crontabs" for v in ("v1", "v2"))
        put = lambda name, *hosts: api("POST", two, {"apiVersion": f"{group}/v2", "kind": "CronTab", "metadata": {"name": name}, "spec": {"hosts": hosts}})
        start = [put("a", "x", "y"), put("b", "z"), put("c", "x", "y")][-1].body["metadata"]["resourceVersion"]
        names = lambda **query: [item["metadata"]["name"] for item in api.get(one, **query).body["items"]]
        assert names(fieldSelector="spec.host=x") == [] and names(fieldSelector="spec.host=x\\,y") == ["a", "c"]
        assert names(fieldSelector="spec.host!=z,metadata.name!=c") == ["a"]
        seen = [api.watch(one, fieldSelector="spec.host=z", timeoutSeconds=20, **query) for query in ({}, {"resourceVersion": start})]
        assert facts([next(seen[0])]) == [("ADDED", "b")]
        api.patch(f"{two}/a", {"spec": {"hosts": ["z"]}})
        api.patch(f"{two}/b", {"metadata": {"labels": {"k": "v"}}})
        api.patch(f"{two}/b", {"spec": {"hosts": ["q"]}})
        api("DELETE", one, fieldSelector="spec.host=z")
        assert names() == ["b", "c"]
        for events in seen:
            told = [next(events) for _ in range(4)]
            assert facts(told) == [("ADDED", "a"), ("MODIFIED", "b"), ("DELETED", "b"), ("DELETED", "a")]
            assert [event["object"]["spec"]["host"] for event in told] == ["z"] * 4
        api("DELETE", f"{CRDS}/crontabs.{group}")


def test_deprecated_versions_warn(api, group, ns):
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    made = definition(group, version("v1", True, schema), version("v1beta1", False, schema, deprecated=True, deprecationWarning="use v1"))
    assert api("POST", CRDS, made).status == 201
    assert "use v1" in api.get(f"/apis/{group}/v1beta1/namespaces/{ns}/crontabs").headers["Warning"]
    assert api.get(f"/apis/{group}/v1/namespaces/{ns}/crontabs").headers["Warning"] is None
    assert [v["version"] for v in api.get(f"/apis/{group}").body["versions"]] == ["v1", "v1beta1"]


def test_definitions_survive_a_restart(own_cluster):
    own_cluster.flags["node"] = "false"
    own_cluster.start()
    from api import Api
    api = Api(own_cluster)
    group = "restart.example.com"
    assert api("POST", CRDS, definition(group)).status == 201
    path = f"/apis/{group}/v1/namespaces/default/crontabs"
    assert api("POST", path, cron_tab(group)).status == 201
    api.close()
    own_cluster.stop()
    own_cluster.start()
    api = Api(own_cluster)
    assert api.get(f"{path}/tab").body["spec"]["replicas"] == 1
    api.close()
