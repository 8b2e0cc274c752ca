"""A public operator framework (kopf, from PyPI) runs an operator of the tests' against the server, as a service account with a role of its own."""
import base64
import json
import os
import subprocess

import pytest
from cluster import CACHE, ROOT, wait_for

KOPF = CACHE / "kopf"
pytestmark = pytest.mark.skipif(not (KOPF / "kopf").exists(), reason="kopf could not be had from PyPI: ./dev setup")


def definition(group, kind, plural, scope, schema):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                     "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}} if group == "example.org" else None,
                                   "schema": {"openAPIV3Schema": {"type": "object", **schema}}}]}}


FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
BACKUPS = definition("example.org", "Backup", "backups", "Namespaced",
                     {"properties": {"spec": {"type": "object", "required": ["schedule"], "properties": {"schedule": {"type": "string"}}}, "status": FREE}})
PEERINGS = definition("kopf.dev", "KopfPeering", "kopfpeerings", "Namespaced", {"properties": {"status": FREE}})
# What kopf's documentation has a cluster role for: it looks for kinds and namespaces.
WATCHES = [{"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "watch"]},
           {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}]
RULES = [{"apiGroups": ["example.org"], "resources": ["backups", "backups/status"], "verbs": ["list", "watch", "get", "patch"]},
         {"apiGroups": ["kopf.dev"], "resources": ["kopfpeerings"], "verbs": ["list", "watch", "get", "patch"]},
         {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["create", "get", "patch"]},
         {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
         {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]


@pytest.fixture
def operator(plane, ns, api, tmp_path):
    """Starts the operator and gives its log; ended and started again by calling it."""
    for one in (BACKUPS, PEERINGS):
        assert api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", one).status in (201, 409)
    wait_for("the kinds", lambda: all(api("GET", f"/apis/{group}/v1/namespaces/{ns}/{plural}").status == 200 for group, plural in (("example.org", "backups"), ("kopf.dev", "kopfpeerings"))))
    assert api("POST", f"/apis/kopf.dev/v1/namespaces/{ns}/kopfpeerings", {"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "backups"}}).status == 201
    assert api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "operator"}}).status == 201
    rbac, subjects = "/apis/rbac.authorization.k8s.io/v1", [{"kind": "ServiceAccount", "name": "operator", "namespace": ns}]
    for kind, at, rules in (("Role", f"{rbac}/namespaces/{ns}/", RULES), ("ClusterRole", f"{rbac}/", WATCHES)):
        assert api("POST", f"{at}{kind.lower()}s", {"metadata": {"name": f"operator-{ns}"}, "rules": rules}).status == 201
        assert api("POST", f"{at}{kind.lower()}bindings", {"metadata": {"name": f"operator-{ns}"}, "subjects": subjects, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": f"operator-{ns}"}}).status == 201
    token = api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/operator/token", {"spec": {}}).body["status"]["token"]
    config = json.loads(plane.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    kubeconfig, ca, log = tmp_path / "kubeconfig", tmp_path / "ca.crt", tmp_path / "log"
    kubeconfig.write_text(json.dumps(config))
    ca.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    env = {**os.environ, "PYTHONPATH": str(KOPF), "KUBECONFIG": str(kubeconfig), "API_SERVER": config["clusters"][0]["cluster"]["server"], "API_TOKEN": token, "API_CA": str(ca)}
    command = plane.sandbox.command(["/usr/bin/python3", "-m", "kopf", "run", "--namespace", ns, "--verbose", ROOT / "tests/support/backup_operator.py"])
    running = []

    def restart():
        stop()
        running.append(subprocess.Popen(command, env=env, stdout=open(log, "ab"), stderr=subprocess.STDOUT))

    def stop():
        while running:
            process = running.pop()
            children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
            for child in children:
                os.kill(int(child), 15)
            process.wait(30)

    restart()
    restart.stop = stop
    try:
        yield restart
    finally:
        stop()
        print(log.read_text()[-6000:])


def test_an_operator_keeps_its_promise(operator, api, ns):
    path, cron_jobs = f"/apis/example.org/v1/namespaces/{ns}/backups", f"/apis/batch/v1/namespaces/{ns}/cronjobs"
    backup = {"apiVersion": "example.org/v1", "kind": "Backup", "metadata": {"name": "nightly"}, "spec": {"schedule": "0 3 * * *"}}
    made = api("POST", path, backup).body
    status = lambda: api("GET", f"{path}/nightly").body.get("status", {})  # noqa: E731
    wait_for("the status", lambda: status().get("schedule") == "0 3 * * *", 60)
    found = api("GET", f"{cron_jobs}/nightly").body
    assert found["spec"]["schedule"] == "0 3 * * *" and found["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert api("GET", f"{path}/nightly").body["metadata"]["finalizers"] == ["example.org/backup-operator"]
    wait_for("the event", lambda: any(e["reason"] == "Scheduled" for e in api("GET", f"/api/v1/namespaces/{ns}/events?fieldSelector=involvedObject.name=nightly").body["items"]))

    change = lambda schedule: api.patch(f"{path}/nightly", {"spec": {"schedule": schedule}})  # noqa: E731
    assert change("0 4 * * *").status == 200
    wait_for("the change", lambda: status().get("schedule") == "0 4 * * *" and api("GET", f"{cron_jobs}/nightly").body["spec"]["schedule"] == "0 4 * * *")

    # What changes while the operator is away is caught up with.
    operator.stop()
    assert change("0 5 * * *").status == 200
    assert api("DELETE", f"{path}/nightly").status == 200
    assert api("GET", f"{path}/nightly").body["metadata"]["deletionTimestamp"]
    operator()
    wait_for("its end", lambda: api("GET", f"{path}/nightly").status == 404, 60)
    assert api("GET", f"/api/v1/namespaces/{ns}/configmaps/nightly-farewell").status == 200
    wait_for("the CronJob's end", lambda: api("GET", f"{cron_jobs}/nightly").status == 404)
