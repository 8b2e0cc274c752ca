"""Tokens: bootstrap tokens, keys that are rotated, the documents of OIDC discovery, and users of an OpenID Connect provider."""
import base64
import json
import subprocess
import sys
import time

import pytest

from api import Api
from cluster import Cluster, NODE_ADDRESS, run, wait_for

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
TOKEN_REVIEW = "/apis/authentication.k8s.io/v1/tokenreviews"
PORT = 9500

PROVIDER = r"""
import http.server, ssl, sys
directory, port = sys.argv[1], int(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = {"/.well-known/openid-configuration": "configuration", "/keys": "keys"}.get(self.path)
        text = open(f"{directory}/{name}", "rb").read() if name else b""
        self.send_response(200 if name else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{directory}/tls.crt", f"{directory}/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("up", flush=True)
server.serve_forever()
"""


def encode(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def whoami(cluster, token):
    answer = Api(cluster, token=token)("POST", REVIEW, {})
    return answer.body["status"]["userInfo"] if answer.status == 201 else answer.status


def request_token(api, **spec):
    answer = api("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": spec})
    assert answer.status == 201, answer.data
    return answer.body["status"]["token"]


def test_a_bootstrap_token_lets_a_new_node_in(plane, api):
    secret = {"metadata": {"name": "bootstrap-token-07401b"}, "type": "bootstrap.kubernetes.io/token",
              "stringData": {"token-id": "07401b", "token-secret": "f395accd246ae52d", "usage-bootstrap-authentication": "true", "expiration": "2999-01-01T00:00:00Z",
                             "auth-extra-groups": "system:bootstrappers:worker"}}
    path = "/api/v1/namespaces/kube-system/secrets"
    assert api("POST", path, secret).status == 201
    token = "07401b.f395accd246ae52d"
    assert whoami(plane, token) == {"username": "system:bootstrap:07401b", "groups": ["system:bootstrappers", "system:bootstrappers:worker", "system:authenticated"]}
    assert whoami(plane, "07401b.f395accd246ae52e") == 401
    assert api("POST", TOKEN_REVIEW, {"spec": {"token": token}}).body["status"]["user"]["username"] == "system:bootstrap:07401b"
    assert Api(plane, token=token).get("/api/v1/secrets").status == 403, "it may nothing by itself"
    api.patch(f"{path}/bootstrap-token-07401b", {"stringData": {"expiration": "2001-01-01T00:00:00Z"}})
    assert whoami(plane, token) == 401
    wait_for("the expired token's end", lambda: api.get(f"{path}/bootstrap-token-07401b").status == 404, 10, 0.05)


def test_who_verifies_tokens_elsewhere_finds_the_keys(plane, api):
    document = api.get("/.well-known/openid-configuration").body
    assert document["issuer"] == "https://kubernetes.default.svc.cluster.local" and document["jwks_uri"].endswith("/openid/v1/jwks")
    assert document["id_token_signing_alg_values_supported"] == ["ES256"] and document["subject_types_supported"] == ["public"]
    answer = api.get("/openid/v1/jwks")
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    wait_for("the service account", lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200, 10)
    token = request_token(api, audiences=["vault"], expirationSeconds=1200)
    head, claims, _ = token.split(".")
    assert decode(head)["kid"] in [key["kid"] for key in answer.body["keys"]]
    told = decode(claims)
    assert told["aud"] == ["vault"] and told["exp"] - told["iat"] == 1200 and told["kubernetes.io"]["serviceaccount"]["name"] == "default"
    assert whoami(plane, token) == 401, "it is for others"
    review = api("POST", TOKEN_REVIEW, {"spec": {"token": token, "audiences": ["vault", "other"]}}).body["status"]
    assert review["authenticated"] and review["audiences"] == ["vault"]
    assert not api("POST", TOKEN_REVIEW, {"spec": {"token": token, "audiences": ["other"]}}).body["status"].get("authenticated")
    # Service accounts may read both without further rights.
    account = Api(plane, token=request_token(api))
    assert account.get("/openid/v1/jwks").status == 200 and account.get("/.well-known/openid-configuration").status == 200


class Provider:
    """An OpenID Connect provider in the cluster's network; `sign` makes its tokens."""

    def __init__(self, cluster, directory):
        self.cluster, self.directory, self.issuer, self.keys, self.process = cluster, directory, f"https://{NODE_ADDRESS}:{PORT}", {}, None
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=provider", "-addext", f"subjectAltName=IP:{NODE_ADDRESS}", "-keyout", directory / "tls.key", "-out", directory / "tls.crt", "-days", "2"])
        self.add_key("k1")
        (directory / "configuration").write_text(json.dumps({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}))

    def add_key(self, name, *kind):
        run(["openssl", "genrsa", "-out", self.directory / f"{name}.pem", "2048"])
        modulus = bytes.fromhex(run(["openssl", "rsa", "-in", self.directory / f"{name}.pem", "-noout", "-modulus"]).stdout.strip().split("=")[1])
        self.keys[name] = {"kty": "RSA", "use": "sig", "kid": name, "alg": "RS256", "n": encode(modulus), "e": "AQAB"}
        self.publish()

    def publish(self):
        (self.directory / "keys").write_text(json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "unused"}, *self.keys.values()]}))

    def start(self):
        self.process = subprocess.Popen(self.cluster.sandbox.command([sys.executable, "-c", PROVIDER, self.directory, PORT]), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"

    def sign(self, key="k1", alg="RS256", head=None, **claims):
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "estiba", "sub": "u-1", "exp": now + 600, "iat": now, "email": "jane@example.com", "email_verified": True, "hd": "example.com", **claims}
        text = encode({"alg": alg, "kid": key, **(head or {})}) + "." + encode({name: value for name, value in claims.items() if value is not None})
        digest = {"RS256": "-sha256", "RS384": "-sha384"}[alg]
        signature = subprocess.run(["openssl", "dgst", digest, "-sign", str(self.directory / f"{key}.pem")], input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{encode(signature)}"


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """A cluster of its own that accepts an OpenID Connect provider's tokens, and signs by another key than it did first."""
    directory = tmp_path_factory.mktemp("provider")
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", directory / "old.pem"])
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", directory / "new.pem"])
    with Cluster(node="false") as cluster:
        made = Provider(cluster, directory)
        cluster.flags |= {"oidc-issuer-url": made.issuer, "oidc-client-id": "estiba", "oidc-username-claim": "email", "oidc-username-prefix": "oidc:", "oidc-groups-claim": "teams",
                          "oidc-groups-prefix": "oidc:", "oidc-required-claim": "hd=example.com", "oidc-ca-file": directory / "tls.crt", "oidc-signing-algs": "RS256,RS384",
                          "service-account-signing-key-file": directory / "old.pem"}
        cluster.start()
        yield made


def test_a_provider_s_users_come_in_by_their_tokens(provider):
    cluster = provider.cluster
    assert whoami(cluster, provider.sign()) == 401, "the provider does not answer yet"
    provider.start()
    user = wait_for("the keys", lambda: isinstance(now := whoami(cluster, provider.sign(teams=["dev", "ops"])), dict) and now, 20, 0.2)
    assert user["username"] == "oidc:jane@example.com" and user["groups"] == ["oidc:dev", "oidc:ops", "system:authenticated"]
    assert whoami(cluster, provider.sign(teams="one"))["groups"] == ["oidc:one", "system:authenticated"]
    assert whoami(cluster, provider.sign(aud=["x", "estiba"], alg="RS384"))["username"] == "oidc:jane@example.com"
    assert whoami(cluster, provider.sign(jti="t1"))["extra"] == {"authentication.kubernetes.io/credential-id": ["JTI=t1"]}
    now = int(time.time())
    good = provider.sign()
    for what, token in {
        "expired": provider.sign(exp=now - 1), "no end": provider.sign(exp=None), "not yet": provider.sign(nbf=now + 3600), "other audience": provider.sign(aud="other"), "no audience": provider.sign(aud=None),
        "unverified email": provider.sign(email_verified=False), "no email": provider.sign(email=None), "required claim": provider.sign(hd="evil.com"), "no required claim": provider.sign(hd=None),
        "teams of another kind": provider.sign(teams={"a": 1}),
        "none": encode({"alg": "none"}) + "." + good.split(".")[1] + ".", "HMAC": encode({"alg": "HS256", "kid": "k1"}) + "." + ".".join(good.split(".")[1:]),
        "changed": ".".join([good.split(".")[0], encode({**decode(good.split(".")[1]), "email": "root@example.com"}), good.split(".")[2]]),
    }.items():
        assert whoami(cluster, token) == 401, what
    admin = Api(cluster)
    review = lambda **spec: admin("POST", TOKEN_REVIEW, {"spec": {"token": good, **spec}}).body["status"]
    assert review()["user"]["username"] == "oidc:jane@example.com"
    assert not review(audiences=["elsewhere"]).get("authenticated")
    # A new key is found when a token names it; a key that is no longer published is forgotten with that.
    provider.add_key("k2")
    assert wait_for("the new key", lambda: isinstance(now := whoami(cluster, provider.sign("k2")), dict) and now, 10, 0.2)["username"] == "oidc:jane@example.com"
    del provider.keys["k1"]
    provider.add_key("k3")
    wait_for("the newest key", lambda: isinstance(whoami(cluster, provider.sign("k3")), dict), 10, 0.2)
    assert whoami(cluster, good) == 401


def test_service_accounts_keys_are_rotated(provider):
    cluster, directory = provider.cluster, provider.directory
    api = Api(cluster)
    wait_for("the service account", lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200, 10)
    old = request_token(api)
    keys = lambda: {key["kid"] for key in Api(cluster).get("/openid/v1/jwks").body["keys"]}
    before = keys()
    assert whoami(cluster, old)["username"] == "system:serviceaccount:default:default"
    cluster.stop()
    cluster.flags |= {"service-account-signing-key-file": directory / "new.pem", "service-account-key-file": directory / "old.pem"}
    cluster.start()
    api = Api(cluster)
    assert whoami(cluster, old)["username"] == "system:serviceaccount:default:default", "what was signed before holds on"
    new = request_token(api)
    assert new.split(".")[0] != old.split(".")[0] and whoami(cluster, new)["username"] == "system:serviceaccount:default:default"
    assert before < keys() and len(keys()) == 3
    cluster.stop()
    del cluster.flags["service-account-key-file"]
    cluster.start()
    assert whoami(cluster, old) == 401 and whoami(cluster, new)["username"] == "system:serviceaccount:default:default"
