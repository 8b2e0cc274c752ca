"""CertificateSigningRequests as admission sees them: who may approve and sign, and whom nobody makes a master."""
import base64

import pytest

import cluster as support
from api import Api

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def request(name, tmp_path, subject="/O=devs/CN=jane", signer="kubernetes.io/kube-apiserver-client"):
    pem = tmp_path / "request.pem"
    support.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-keyout", tmp_path / "key.pem", "-out", pem])
    return {"metadata": {"name": name}, "spec": {"request": base64.b64encode(pem.read_bytes()).decode(), "signerName": signer, "usages": ["client auth"]}}


@pytest.fixture
def jane(plane, api, ns):
    """A client that may write requests, their approvals and their status, but acts for no signer; and how to let it."""
    roles, bindings = "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    made = []

    def allow(name, rules):
        subjects = [{"kind": "ServiceAccount", "name": "jane", "namespace": ns}]
        assert api("POST", roles, {"metadata": {"name": name}, "rules": rules}).status == 201
        assert api("POST", bindings, {"metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": subjects}).status == 201
        made.extend([f"{bindings}/{name}", f"{roles}/{name}"])

    api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "jane"}})
    token = api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/jane/token", {"spec": {}}).body["status"]["token"]
    allow(f"{ns}-requests", [{"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests/approval", "certificatesigningrequests/status"], "verbs": ["*"]}])
    client = Api(plane, token=token)
    client.allow = allow
    yield client
    for path in made:
        api("DELETE", path)
    api("DELETE", f"{REQUESTS}/{ns}")


def test_nobody_asks_to_be_a_master(api, ns, tmp_path):
    refused = api("POST", REQUESTS, request(ns, tmp_path, "/O=system:masters/CN=me"))
    assert refused.status == 403 and "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed" in refused.body["message"]
    broken = request(ns, tmp_path)
    broken["spec"]["request"] = base64.b64encode(b"nothing").decode()
    assert "PEM block type must be CERTIFICATE REQUEST" in api("POST", REQUESTS, broken).body["message"], "which validation says before"
    assert api("POST", REQUESTS, request(ns, tmp_path, "/O=system:masters/CN=me", "example.com/other")).status == 201
    assert api("DELETE", f"{REQUESTS}/{ns}").status == 200


@pytest.mark.parametrize("subresource, verb, status", [
    ("approval", "approve", {"conditions": [{"type": "Approved", "status": "True", "reason": "R", "message": "m"}]}),
    ("status", "sign", {"certificate": base64.b64encode(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n").decode()})])
def test_signers_are_acted_for_by_those_who_may(api, ns, jane, tmp_path, subresource, verb, status):
    assert api("POST", REQUESTS, request(ns, tmp_path, signer="example.com/signer")).status == 201
    path = f"{REQUESTS}/{ns}/{subresource}"
    refused = jane.patch(path, {"status": status})
    assert refused.status == 403 and f'user not permitted to {verb} requests with signerName "example.com/signer"' in refused.body["message"]
    jane.allow(f"{ns}-{verb}", [{"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": ["example.com/*"], "verbs": [verb]}])
    done = jane.patch(path, {"status": status})
    assert done.status == 200, done.body
