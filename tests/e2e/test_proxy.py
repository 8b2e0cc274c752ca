"""The proxy subresources of pods, services and nodes, with a server in a pod (as conformance's "Proxy version v1")."""
import json

import pytest

from api import Api
from cluster import run, wait_for
from manifests import pod, service

# Tells what it was asked; HTTP on 8080, HTTPS on 8443 with the certificate in $PEM.
SERVER = r"""
import http.server, json, os, ssl, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        if self.headers.get("Upgrade"):
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            self.wfile.flush()
            while data := self.connection.recv(4096):
                self.connection.sendall(data.upper())
            self.close_connection = True
            return
        if self.headers.get("Transfer-Encoding"):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, kind, extra = 200, "application/json", {}
        text = json.dumps({"method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "size": len(body),
                           "tls": isinstance(self.connection, ssl.SSLSocket)})
        if self.path.startswith("/html"):
            kind, text = "text/html", '<a href="/rewriteme">test</a>'
        elif self.path.startswith("/moved"):
            status, extra = 302, {"Location": "/there"}
        elif self.path.startswith("/teapot"):
            status = 418
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer
    def log_message(self, *arguments): pass
plain = http.server.ThreadingHTTPServer(("", 8080), Handler)
secure = http.server.ThreadingHTTPServer(("", 8443), Handler)
open("/tmp/pem", "w").write(os.environ["PEM"])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/pem")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=plain.serve_forever, daemon=True).start()
secure.serve_forever()
"""


def self_signed(tmp_path):
    pem = tmp_path / "pem"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=nobody", "-keyout", tmp_path / "key", "-out", tmp_path / "crt"])
    pem.write_text((tmp_path / "key").read_text() + (tmp_path / "crt").read_text())
    return pem.read_text()


@pytest.fixture
def echo(cluster, tmp_path):
    """A pod and a service "echo"; the value is an API client and the namespace's path."""
    made = pod("echo", "python3", "-c", SERVER, image="estiba/python:test", env=[{"name": "PEM", "value": self_signed(tmp_path)}],
               ports=[{"containerPort": 8080}, {"containerPort": 8443, "name": "tls"}], readinessProbe={"tcpSocket": {"port": 8443}, "periodSeconds": 1})
    ports = [{"name": "web", "port": 80, "targetPort": 8080}, {"name": "secure", "port": 443, "targetPort": "tls"}]
    cluster.apply(made, service("echo", ports=ports))
    cluster.wait_running("echo")
    api = Api(cluster)
    base = f"/api/v1/namespaces/{cluster.ns}"
    wait_for("the service's endpoints", lambda: api.get(f"{base}/services/echo:web/proxy/").status == 200, 15)
    return api, base


def test_every_form_of_a_name_leads_where_it_should(echo):
    api, base = echo
    for name, tls in {"pods/echo": False, "pods/echo:8080": False, "pods/http:echo:8080": False, "pods/https:echo:8443": True,
                      "services/echo:web": False, "services/http:echo:web": False, "services/echo:80": False, "services/https:echo:secure": True,
                      "services/https:echo:443": True}.items():
        answer = api.get(f"{base}/{name}/proxy/some/path?q=1")
        assert answer.status == 200, (name, answer.data)
        assert (answer.body["path"], answer.body["tls"]) == ("/some/path?q=1", tls), name
    assert api.get(f"{base}/services/echo:81/proxy/").body["message"] == 'no service port 81 found for service "echo"'
    assert api.get(f"{base}/services/echo:81/proxy/").status == 503
    assert api.get(f"{base}/pods/none/proxy/").status == 404
    assert api.get(f"{base}/pods/ftp:echo:21/proxy/").status == 400
    refused = api.get(f"{base}/pods/echo:9/proxy/")
    assert refused.status == 503 and "error trying to reach service" in refused.body["message"]


@pytest.mark.parametrize("kind", ["pods/echo", "services/echo:web"])
def test_every_method_passes(echo, kind):
    api, base = echo
    for method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"):
        answer = api(method, f"{base}/{kind}/proxy/some/path/with/{method}?x=%2F", body=None if method in ("GET", "HEAD") else "body")
        assert answer.status == 200, (method, answer.data)
        if method != "HEAD":
            assert (answer.body["method"], answer.body["path"]) == (method, f"/some/path/with/{method}?x=%2F")
            assert answer.body["size"] == (0 if method == "GET" else 4)
        # Without a slash after proxy, browsers are sent to one.
        bare = api(method, f"{base}/{kind}/proxy?method={method}")
        assert bare.status == (301 if method in ("GET", "HEAD") else 200), method
        if method == "GET":
            assert bare.headers["Location"] == f"{base}/{kind}/proxy/?method=GET"


def test_bodies_stream_and_answers_are_rewritten_for_the_way_back(echo):
    api, base = echo
    proxy = f"{base}/pods/echo/proxy"
    large = b"x" * 20_000_000
    assert api("POST", f"{proxy}/up", body=large).body["size"] == len(large), "more than the API's own limit"
    connection = api.connect()
    connection.request("POST", f"{proxy}/chunked", body=(b"piece" for _ in range(1000)), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["size"] == 5000
    connection.close()
    assert api.get(f"{proxy}/html").data.decode() == f'<a href="{proxy}/rewriteme">test</a>'
    assert api.get(f"{proxy}/moved").headers["Location"] == f"{proxy}/there"
    assert api.get(f"{proxy}/teapot").status == 418
    seen = api("GET", f"{proxy}/a/../b", headers={"Authorization": "Bearer x", "X-Remote-User": "root", "Impersonate-User": "kubernetes-admin", "Impersonate-Group": "system:masters", "X-Own": "1"}).body
    assert seen["path"] == "/b"
    assert not {"authorization", "x-remote-user", "impersonate-user"} & set(seen["headers"]), "what names the caller stays here"
    assert seen["headers"]["x-own"] == "1" and seen["headers"]["x-forwarded-uri"] == f"{proxy}/a/../b"


def test_an_upgrade_passes_both_ways(echo):
    api, base = echo
    for name in ("pods/echo:8080", "pods/https:echo:8443", "services/echo:web"):
        connection = api.connect()
        connection.connect()
        stream = connection.sock
        stream.sendall(f"GET {base}/{name}/proxy/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.recv(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        for text in (b"hello", b"again"):
            stream.sendall(text)
            got = b""
            while len(got) < len(text):
                got += stream.recv(100)
            assert got == text.upper()
        stream.close()


def test_each_verb_needs_its_own_permission_on_the_subresource(cluster, echo):
    api, base = echo
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.ns}"
    rules = [{"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}, {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}]
    assert api("POST", f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules}).status == 201
    assert api("POST", f"{rbac}/rolebindings", {"metadata": {"name": "r"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "jane"}]}).status == 201
    jane = {"Impersonate-User": "jane"}
    ask = lambda method, name: api(method, f"{base}/{name}/proxy/", headers=jane).status
    assert [ask(method, "pods/echo") for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")] == [200, 200, 403, 403, 403, 403, 403]
    assert ask("GET", "services/echo:web") == 403
    assert api("GET", "/api/v1/nodes/node-1/proxy/metrics", headers=jane).status == 403


def test_a_node_s_own_api_is_reached(cluster):
    api = Api(cluster)
    assert api.get("/api/v1/nodes/node-1/proxy/healthz").data == b"ok"
    assert api.get("/api/v1/nodes/node-1:10250/proxy/healthz").data == b"ok"
    assert api.get("/api/v1/nodes/node-1/proxy/pods").body["kind"] == "PodList"
    assert api.get("/api/v1/nodes/none/proxy/").status == 404
