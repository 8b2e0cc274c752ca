"""CertificateSigningRequests: who may approve and sign, whom nobody makes a master, and what the cluster signs itself."""
import base64
import re

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
    ("status", "sign", {})])
def test_signers_are_acted_for_by_those_who_may(api, ns, jane, tmp_path, subresource, verb, status):
    if subresource == "status":  # any certificate will do: the cluster's own
        authority = api("GET", "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt").body["data"]["ca.crt"]
        status = {"certificate": base64.b64encode(authority.encode()).decode()}
    assert api("POST", REQUESTS, request(ns, tmp_path, signer="example.com/signer")).status == 201
    path = f"{REQUESTS}/{ns}/{subresource}"
    refused = jane.patch(path, {"status": status})
    assert refused.status == 403 and f'user not permitted to {verb} requests with signerName "example.com/signer"' in refused.body["message"]
    jane.allow(f"{ns}-{verb}", [{"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": ["example.com/*"], "verbs": [verb]}])
    done = jane.patch(path, {"status": status})
    assert done.status == 200, done.body


def certificate_of(plane, name, tmp_path):
    """The file of the certificate that was issued, once it is there."""
    text = support.wait_for("the certificate", lambda: plane.kubectl("get", "csr", name, "-o", "jsonpath={.status.certificate}"))
    path = tmp_path / "certificate.pem"
    path.write_bytes(base64.b64decode(text))
    return path


def with_certificate(plane, certificate, key, *arguments):
    """kubectl by a certificate alone."""
    text = plane.kubeconfig.read_text()
    authority = base64.b64decode(re.search(r"certificate-authority-data: (\S+)", text).group(1))
    ca = certificate.parent / "ca.pem"
    ca.write_bytes(authority)
    address = re.search(r"server: (\S+)", text).group(1)
    return support.run(plane.sandbox.command([support.kubectls()[0], "--kubeconfig=/dev/null", f"--server={address}", f"--certificate-authority={ca}", f"--client-certificate={certificate}", f"--client-key={key}", *arguments]), check=False)


def test_an_approved_request_becomes_a_user(plane, api, ns, tmp_path):
    body = request(ns, tmp_path)
    body["spec"]["expirationSeconds"] = 3600
    assert api("POST", REQUESTS, body).status == 201
    assert plane.kubectl("get", "csr", ns, "--no-headers").split()[-1] == "Pending"
    assert "approved" in plane.kubectl("certificate", "approve", ns)
    certificate = certificate_of(plane, ns, tmp_path)
    assert plane.kubectl("get", "csr", ns, "--no-headers").split()[-1] == "Approved,Issued"
    text = support.run(["openssl", "x509", "-in", certificate, "-noout", "-text"]).stdout
    assert "TLS Web Client Authentication" in text and "CA:FALSE" in text, text
    plane.kubectl("create", "rolebinding", "jane", "--clusterrole=view", "--group=devs", "-n", ns)
    seen = with_certificate(plane, certificate, tmp_path / "key.pem", "get", "configmaps", "-n", ns)
    assert seen.returncode == 0 and "kube-root-ca.crt" in seen.stdout, seen.stderr
    refused = with_certificate(plane, certificate, tmp_path / "key.pem", "get", "nodes")
    assert 'User "jane" cannot list resource "nodes"' in refused.stderr
    assert api("DELETE", f"{REQUESTS}/{ns}").status == 200


def test_a_request_that_its_signer_must_not_sign_fails(plane, api, ns, tmp_path):
    body = request(ns, tmp_path)
    body["spec"]["usages"] = ["client auth", "server auth"]
    assert api("POST", REQUESTS, body).status == 201
    plane.kubectl("certificate", "approve", ns)
    support.wait_for("the failure", lambda: plane.kubectl("get", "csr", ns, "--no-headers").split()[-1] == "Approved,Failed")
    failed = [c for c in api("GET", f"{REQUESTS}/{ns}").body["status"]["conditions"] if c["type"] == "Failed"][0]
    assert failed["reason"] == "SignerValidationFailure" and failed["message"] == "invalid usage for client certificate: server auth"
    assert failed["lastUpdateTime"] and failed["lastTransitionTime"]
    assert api("DELETE", f"{REQUESTS}/{ns}").status == 200


def test_a_joining_node_is_approved_and_signed(plane, api, ns, tmp_path):
    """Whoever may join asks for a node's certificate, as `kubeadm join` does."""
    plane.kubectl("create", "serviceaccount", "joiner", "-n", ns)
    token = api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/joiner/token", {"spec": {}}).body["status"]["token"]
    bindings = [f"{ns}-join", f"{ns}-approve"]
    roles = ["system:node-bootstrapper", "system:certificates.k8s.io:certificatesigningrequests:nodeclient"]
    for binding, role in zip(bindings, roles):
        plane.kubectl("create", "clusterrolebinding", binding, f"--clusterrole={role}", f"--serviceaccount={ns}:joiner")
    body = request(ns, tmp_path, f"/O=system:nodes/CN=system:node:{ns}", "kubernetes.io/kube-apiserver-client-kubelet")
    body["spec"]["usages"] = ["digital signature", "client auth"]
    assert Api(plane, token=token)("POST", REQUESTS, body).status == 201
    certificate = certificate_of(plane, ns, tmp_path)
    whoami = with_certificate(plane, certificate, tmp_path / "key.pem", "auth", "can-i", "get", f"nodes/{ns}")
    assert whoami.stdout.strip() == "yes", whoami.stderr
    condition = api("GET", f"{REQUESTS}/{ns}").body["status"]["conditions"][0]
    assert condition["reason"] == "AutoApproved" and condition["message"] == "Auto approving kubelet client certificate after SubjectAccessReview."
    for binding in bindings:
        plane.kubectl("delete", "clusterrolebinding", binding)
    assert api("DELETE", f"{REQUESTS}/{ns}").status == 200
