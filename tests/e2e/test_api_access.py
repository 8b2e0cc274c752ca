"""Who may come in, and what they may do."""
import base64
import json
import ssl
import subprocess
import time

import pytest

from api import Api
from cluster import run, wait_for
from manifests import config_map

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def account(plane, api, ns):
    """The path of the namespace's default service account."""
    path = f"/api/v1/namespaces/{ns}/serviceaccounts/default"
    wait_for("the service account", lambda: api.get(path).status == 200, 10)
    return path


def request_token(api, account, **spec):
    answer = api("POST", f"{account}/token", {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec})
    assert answer.status == 201, answer.data
    return answer.body["status"]["token"]


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encode(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(plane, text, key=None):
    """ES256 with the server's own key: openssl gives DER, a token wants two numbers of 32 bytes."""
    key = key or plane.data_dir / "pki/sa.key"
    der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=text.encode(), capture_output=True, check=True).stdout
    out, rest = b"", der[2:]
    for _ in range(2):
        size = rest[1]
        out += rest[2:2 + size].lstrip(b"\0").rjust(32, b"\0")
        rest = rest[2 + size:]
    return f"{text}.{encode(out)}"


def whoami(plane, token):
    return Api(plane, token=token)("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"})


def test_a_service_account_is_known_by_its_token(plane, api, account, ns):
    answer = whoami(plane, request_token(api, account))
    assert answer.status == 201
    user = answer.body["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{ns}:default" and user["uid"] == api.get(account).body["metadata"]["uid"]
    assert {"system:serviceaccounts", f"system:serviceaccounts:{ns}", "system:authenticated"} <= set(user["groups"])


def test_forged_expired_and_unsigned_tokens_are_refused(plane, api, account, tmp_path):
    good = request_token(api, account)
    head, claims, signature = good.split(".")
    told = decode(claims)
    assert whoami(plane, sign(plane, f"{head}.{claims}")).status == 201  # the way of signing is right
    now = int(time.time())
    stranger = tmp_path / "key.pem"
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", stranger])
    bad = {
        "expired": sign(plane, f"{head}.{encode({**told, 'exp': now - 60, 'iat': now - 7200, 'nbf': now - 7200})}"),
        "not yet": sign(plane, f"{head}.{encode({**told, 'nbf': now + 3600, 'exp': now + 7200})}"),
        "other audience": sign(plane, f"{head}.{encode({**told, 'aud': ['somebody']})}"),
        "other issuer": sign(plane, f"{head}.{encode({**told, 'iss': 'https://example.com'})}"),
        "changed": f"{head}.{encode({**told, 'sub': 'system:serviceaccount:kube-system:default'})}.{signature}",
        "none": f"{encode({'alg': 'none', 'typ': 'JWT'})}.{claims}.",
        "None with signature": f"{encode({**decode(head), 'alg': 'None'})}.{claims}.{signature}",
        "HMAC": f"{encode({**decode(head), 'alg': 'HS256'})}.{claims}.{signature}",
        "another key": sign(plane, f"{head}.{claims}", stranger),
        "cut": good[:-4], "no signature": f"{head}.{claims}", "empty parts": "..", "nonsense": "nonsense", "long": "x" * 6000,
    }
    for what, token in bad.items():
        answer = whoami(plane, token)
        assert (answer.status, answer.body["reason"]) == (401, "Unauthorized"), what


def test_a_token_dies_with_what_it_is_bound_to(plane, api, account, ns):
    path = f"/api/v1/namespaces/{ns}/secrets"
    assert api("POST", path, {"metadata": {"name": "s"}}).status == 201
    token = request_token(api, account, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "s"})
    assert whoami(plane, token).status == 201
    api("DELETE", f"{path}/s")
    assert whoami(plane, token).status == 401
    free = request_token(api, account)
    api("DELETE", account)
    assert whoami(plane, free).status == 401


def test_token_reviews_tell_who_it_is(api, account, ns):
    review = lambda token: api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": token}}).body["status"]
    good = review(request_token(api, account))
    assert good["authenticated"] and good["user"]["username"] == f"system:serviceaccount:{ns}:default"
    assert not review("nonsense").get("authenticated", False)


def test_strangers_certificates_do_not_count(plane, tmp_path):
    key, certificate = tmp_path / "k.pem", tmp_path / "c.pem"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/O=system:masters/CN=admin", "-days", "1"])
    stranger = Api(plane, anonymous=True)
    stranger.context.load_cert_chain(certificate, key)
    try:
        assert stranger.get("/api/v1/secrets").status == 401
    except (ssl.SSLError, OSError):
        pass  # refused in the handshake


def test_anonymous_callers_see_health_alone(plane):
    nobody = Api(plane, anonymous=True)
    assert nobody.get("/readyz").status == 200
    for path in ("/api/v1/secrets", "/api", "/openapi/v2", "/metrics"):
        assert nobody.get(path).status == 401, path


def test_roles_allow_what_they_say_and_no_more(plane, api, account, maps, ns):
    mine = Api(plane, token=request_token(api, account))
    assert mine.get(maps).status == 403 and mine.get("/api/v1/nodes").status == 403
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create"], "resourceNames": []}, {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get", "list", "watch"]},
             {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"]}]
    assert api("POST", f"{RBAC}/namespaces/{ns}/roles", {"metadata": {"name": "r"}, "rules": rules}).status == 201
    binding = {"metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": ns}]}
    assert api("POST", f"{RBAC}/namespaces/{ns}/rolebindings", binding).status == 201
    assert mine("POST", maps, config_map("a")).status == 201 and mine.get(f"{maps}/a").status == 200
    assert mine.get(maps).status == 403 and mine("DELETE", f"{maps}/a").status == 403 and mine("PUT", f"{maps}/a", config_map("a")).status == 403
    base = f"/api/v1/namespaces/{ns}/secrets"
    assert mine.get(f"{base}/one").status == 404 and mine.get(f"{base}/two").status == 403 and mine.get(base).status == 403
    # Who may read one name may list and watch that name, as extension servers and nodes do.
    for query, status in (({"fieldSelector": "metadata.name=one"}, 200), ({"fieldSelector": "metadata.name=two"}, 403), ({"fieldSelector": "metadata.name!=two"}, 403)):
        assert mine.get(base, **query).status == status and mine.get(base, watch=1, timeoutSeconds=1, **query).status == status, query
    scale = f"/apis/apps/v1/namespaces/{ns}/deployments/x"
    assert mine.get(f"{scale}/scale").status == 404 and mine.get(scale).status == 403
    assert mine.get("/api/v1/namespaces/default/configmaps/a").status == 403
    may = lambda **attributes: mine("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"namespace": ns, **attributes}}}).body["status"]["allowed"]
    assert may(verb="create", resource="configmaps") and not may(verb="delete", resource="configmaps") and may(verb="get", resource="secrets", name="one")
    assert api("DELETE", f"{RBAC}/namespaces/{ns}/rolebindings/b").status == 200
    assert mine.get(f"{maps}/a").status == 403


def test_nobody_gives_more_than_they_have(plane, api, account, ns):
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "get", "update", "patch"]}]
    assert api("POST", f"{RBAC}/namespaces/{ns}/roles", {"metadata": {"name": "keeper"}, "rules": rules}).status == 201
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": ns}
    api("POST", f"{RBAC}/namespaces/{ns}/rolebindings", {"metadata": {"name": "keeper"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "keeper"}, "subjects": [subject]})
    mine = Api(plane, token=request_token(api, account))
    more = {"metadata": {"name": "more"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    assert mine("POST", f"{RBAC}/namespaces/{ns}/roles", more).status == 403
    admin = {"metadata": {"name": "me"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [subject]}
    assert mine("POST", f"{RBAC}/namespaces/{ns}/rolebindings", admin).status == 403


def test_callers_act_as_others_where_they_may(plane, api, account, ns):
    who = lambda caller, **headers: caller("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, {"Content-Type": "application/json", **{"Impersonate-" + k: v for k, v in headers.items()}})
    assert who(api, User="jane", Group="devs").body["status"]["userInfo"] == {"username": "jane", "groups": ["devs", "system:authenticated"]}
    assert api("GET", "/api/v1/secrets", headers={"Impersonate-User": "jane"}).status == 403
    mine = Api(plane, token=request_token(api, account))
    assert who(mine, User="jane").status == 403 and who(mine, Group="system:masters").status == 400
    for name, rule in (("u", {"apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"], "verbs": ["impersonate"]}),):
        api("POST", f"{RBAC}/clusterroles", {"metadata": {"name": f"{ns}-{name}"}, "rules": [rule]})
        api("POST", f"{RBAC}/clusterrolebindings", {"metadata": {"name": f"{ns}-{name}"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{ns}-{name}"},
                                                    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": ns}]})
    assert who(mine, User="jane").body["status"]["userInfo"]["username"] == "jane"
    assert who(mine, User="eve").status == 403 and who(mine, User="jane", Group="system:masters").status == 403
    api("DELETE", f"{RBAC}/clusterroles/{ns}-u"), api("DELETE", f"{RBAC}/clusterrolebindings/{ns}-u")


def test_a_cluster_has_kubernetes_roles_and_mends_them(cluster):
    names = cluster.k("get", "clusterroles", "-o", "name").split()
    for name in ("admin", "edit", "view", "cluster-admin", "system:node", "system:discovery", "system:kube-scheduler", "system:controller:job-controller"):
        assert f"clusterrole.rbac.authorization.k8s.io/{name}" in names
    may = lambda role, *what: cluster.kubectl("auth", "can-i", *what, "--as", f"{role}-user", "-n", cluster.ns, check=False).strip()
    for role in ("view", "edit", "admin"):
        cluster.k("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}-user")
    assert [may(role, "get", "pods") for role in ("view", "edit", "admin")] == ["yes"] * 3
    assert [may(role, "create", "deployments") for role in ("view", "edit", "admin")] == ["no", "yes", "yes"]
    assert [may(role, "create", "roles") for role in ("view", "edit", "admin")] == ["no", "no", "yes"]
    assert [may(role, "get", "secrets") for role in ("view", "edit", "admin")] == ["no", "yes", "yes"]
    # An administrator of a namespace gives what he has, and no more.
    as_admin = ("--as", "admin-user")
    cluster.k("create", "role", "reader", "--verb=get", "--resource=pods", *as_admin)
    refused = run(cluster.kubectl_command("-n", cluster.ns, "create", "role", "nodes", "--verb=delete", "--resource=nodes", *as_admin), check=False)
    assert refused.returncode and "attempting to grant RBAC permissions not currently held" in refused.stderr
