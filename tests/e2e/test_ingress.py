"""Ingress by the server itself: real clients from outside the node."""
import base64
import json
import re
import threading
import time

import pytest

from cluster import NODE_ADDRESS, run, wait_for
from manifests import deployment, service

# Answers with its name, what it saw of the client, and echoes a WebSocket's frames; keeps connections.
BACKEND = r'''
import base64, hashlib, http.server, os, socket, socketserver, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key.encode()).digest()) + b"\r\n\r\n")
            while True:
                data = self.connection.recv(65536)
                if not data: break
                self.connection.sendall(data)
            self.close_connection = True
            return
        if self.path == "/hang": time.sleep(3600)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = " ".join([os.environ["NAME"], self.command, self.path, self.headers.get("Host", ""), self.headers.get("X-Forwarded-For", ""), self.headers.get("X-Forwarded-Proto", ""), str(len(body))]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_POST = do_GET
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128
Server(("::", 8080), Handler).serve_forever()
'''


def backend(name, replicas=1):
    return [deployment(name, replicas, "python3", "-c", BACKEND, image="estiba/python:test", env=[{"name": "NAME", "value": name}],
                       readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), service(name)]


def ingress(name, *paths, host=None, tls=None, **spec):
    rule = {"http": {"paths": [{"path": path, "pathType": kind, "backend": {"service": {"name": to, "port": {"number": 80}}}} for path, kind, to in paths]}}
    if host:
        rule["host"] = host
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": tls}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": {"ingressClassName": "estiba", "rules": [rule], **spec}}


def curl(cluster, url, *arguments):
    """(status, body) as a client outside sees them; status 0: no answer."""
    result = cluster.sandbox.outside(["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", *arguments, url], check=False)
    body, _, status = result.stdout.rpartition("\n")
    return int(status or 0), body


def certificate(cluster, name, host):
    """A self-signed certificate as a Secret; the path of its PEM file."""
    crt, key = cluster.dir / f"{name}.crt", cluster.dir / f"{name}.key"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout", key, "-out", crt])
    data = {"tls.crt": base64.b64encode(crt.read_bytes()).decode(), "tls.key": base64.b64encode(key.read_bytes()).decode()}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls", "data": data})
    return crt


@pytest.fixture
def host(cluster):
    """A host name of the test's own, so that tests do not meet."""
    return f"{cluster.ns}.example"


def ready(cluster, *names):
    for name in names:
        cluster.k("rollout", "status", f"deployment/{name}", "--timeout=30s")


def test_paths_and_hosts_lead_to_services(cluster, host):
    cluster.apply(*backend("web"), *backend("api"), ingress("web", ("/", "Prefix", "web"), ("/api", "Prefix", "api"), ("/exact", "Exact", "api"), host=host))
    ready(cluster, "web", "api")
    ask = lambda path, *arguments: curl(cluster, f"http://{NODE_ADDRESS}{path}", "-H", f"Host: {host}", *arguments)
    wait_for("the route", lambda: ask("/")[0] == 200, 10)
    assert ask("/x?q=1")[1] == f"web GET /x?q=1 {host} 192.168.77.2 http 0"
    assert ask("/api/v1")[1].startswith("api GET /api/v1")
    assert ask("/exact")[1].startswith("api ") and ask("/exact/x")[1].startswith("web ")
    assert ask("/upload", "--data-binary", "@/usr/bin/python3")[1].startswith("web POST /upload")
    assert curl(cluster, f"http://{NODE_ADDRESS}/", "-H", "Host: elsewhere.example")[0] == 404
    status = lambda: cluster.get("-n", cluster.ns, "ingress", "web")["status"]
    wait_for("the status", lambda: status() == {"loadBalancer": {"ingress": [{"ip": NODE_ADDRESS}]}}, 10)
    assert NODE_ADDRESS in cluster.k("get", "ingress")
    # The backend goes, and comes again.
    cluster.k("scale", "deployment/api", "--replicas=0")
    wait_for("no endpoint", lambda: ask("/api")[0] == 503, 15)
    cluster.k("delete", "ingress", "web")
    wait_for("the end", lambda: ask("/")[0] in (404, 0), 10)


def test_tls_by_server_name(cluster, host):
    cluster.apply(*backend("web"), ingress("web", ("/", "Prefix", "web"), host=host, tls="cert"))
    ready(cluster, "web")
    pem = certificate(cluster, "cert", host)
    ask = lambda *arguments: curl(cluster, f"https://{host}/secure", "--resolve", f"{host}:443:{NODE_ADDRESS}", "--cacert", pem, *arguments)
    wait_for("the certificate", lambda: ask()[0] == 200, 10)
    assert ask("--http1.1")[1] == f"web GET /secure {host} 192.168.77.2 https 0"
    assert ask("--http2", "-d", "12345")[1] == f"web POST /secure {host} 192.168.77.2 https 5"
    # No certificate is for this name.
    assert curl(cluster, "https://other.example/", "--resolve", f"other.example:443:{NODE_ADDRESS}", "-k")[0] == 0
    # A new one takes its place at once, without a restart.
    pem = certificate(cluster, "cert", host)
    wait_for("the new certificate", lambda: ask()[0] == 200, 10)


def test_a_connection_serves_the_hosts_of_its_certificate_alone(cluster, host):
    one, both, two = f"one.{host}", f"both.{host}", f"two.{host}"
    made = ingress("web", ("/", "Prefix", "web"))
    made["spec"]["rules"] = [{**made["spec"]["rules"][0], "host": each} for each in (one, both, two)]
    made["spec"]["tls"] = [{"hosts": [one, both], "secretName": "one"}, {"hosts": [two], "secretName": "two"}]
    cluster.apply(*backend("web"), made)
    ready(cluster, "web")
    certificate(cluster, "one", one)
    certificate(cluster, "two", two)
    ask = lambda name, asked, *arguments: curl(cluster, f"https://{name}/", "--resolve", f"{name}:443:{NODE_ADDRESS}", "-k", "-H", f"Host: {asked}", *arguments)[0]
    wait_for("both certificates", lambda: ask(one, one) == ask(two, two) == 200, 10)
    for protocol in ("--http1.1", "--http2"):
        assert [ask(one, asked, protocol) for asked in (one, both, two, f"{two}:443", "elsewhere.example")] == [200, 200, 421, 421, 404]
        assert [ask(two, asked, protocol) for asked in (one, both, two)] == [421, 421, 200]
    assert curl(cluster, f"http://{NODE_ADDRESS}/", "-H", f"Host: {two}")[0] == 200, "without TLS there is nothing to tell them apart by"


def test_a_client_may_send_so_many_requests(cluster, host):
    limited = ingress("limited", ("/", "Prefix", "web"), host=f"limited.{host}")
    limited["metadata"]["annotations"] = {"estiba.dev/rate-limit": "1/h", "estiba.dev/rate-limit-burst": "3"}
    cluster.apply(*backend("web"), ingress("free", ("/", "Prefix", "web"), host=host), limited)
    ready(cluster, "web")
    ask = lambda name, *arguments: curl(cluster, f"http://{NODE_ADDRESS}/", "-H", f"Host: {name}", *arguments)
    wait_for("the route", lambda: ask(host)[0] == 200, 10)
    wait_for("the limit", lambda: ask(f"limited.{host}")[0] == 429, 10)
    assert 0 < int(re.search(r"retry-after: (\d+)", ask(f"limited.{host}", "-D", "-")[1].lower())[1]) <= 3600
    assert ask(host)[0] == 200
    cluster.k("annotate", "ingress", "limited", "estiba.dev/rate-limit-")
    cluster.k("annotate", "ingress", "limited", "estiba.dev/rate-limit-burst-")
    wait_for("no limit", lambda: ask(f"limited.{host}")[0] == 200, 10)


TLS_LOAD = """
import hashlib, http.client, json, socket, ssl, sys, threading, time
tls, failed, seen, stop = ssl._create_unverified_context(), [], set(), time.monotonic() + 40
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = tls.wrap_socket(socket.create_connection((sys.argv[1], 443), 10), server_hostname=self.host)
        seen.add(hashlib.sha256(self.sock.getpeercert(True)).hexdigest())
def work(keep):
    connection = Connection(sys.argv[2], 443)
    while time.monotonic() < stop and not failed and len(seen) < int(sys.argv[3]):
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200: failed.append(answer.status)
        except Exception as error:
            failed.append(repr(error))
        if not keep: connection.close()
threads = [threading.Thread(target=work, args=(keep,)) for keep in (True, False, True, False)]
[t.start() for t in threads]; [t.join() for t in threads]
print(json.dumps({"failed": failed, "certificates": len(seen)}))
"""


def test_certificates_change_without_a_failed_request(cluster, host):
    cluster.apply(*backend("web"), ingress("web", ("/", "Prefix", "web"), host=host, tls="cert"))
    ready(cluster, "web")
    certificate(cluster, "cert", host)
    wait_for("the certificate", lambda: curl(cluster, f"https://{host}/", "--resolve", f"{host}:443:{NODE_ADDRESS}", "-k")[0] == 200, 10)
    results = []
    load = threading.Thread(target=lambda: results.append(json.loads(cluster.sandbox.outside(["python3", "-c", TLS_LOAD, NODE_ADDRESS, host, "5"]).stdout)))
    load.start()
    for _ in range(4):
        time.sleep(0.6)
        certificate(cluster, "cert", host)
    load.join()
    assert results == [{"failed": [], "certificates": 5}], "on kept connections and on new ones"


def test_websocket(cluster, host):
    cluster.apply(*backend("web"), ingress("web", ("/", "Prefix", "web"), host=host))
    ready(cluster, "web")
    script = f"""
import socket, sys
s = socket.create_connection(({NODE_ADDRESS!r}, 80), 10)
s.sendall(b"GET /chat HTTP/1.1\\r\\nHost: {host}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n")
head = b""
while b"\\r\\n\\r\\n" not in head:
    got = s.recv(4096)
    if not got: break
    head += got
print(head.split(b"\\r\\n")[0].decode(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head)
s.sendall(b"\\x81\\x85\\x00\\x00\\x00\\x00hello")
print(s.recv(100))
"""
    said = lambda: cluster.sandbox.outside(["python3", "-c", script], check=False).stdout
    wait_for("the echo", lambda: "101 Switching Protocols True" in said() and "hello" in said(), 15)


def test_a_backend_that_hangs_does_not_hold_the_others(cluster, host):
    cluster.apply(*backend("web"), ingress("web", ("/", "Prefix", "web"), host=host))
    ready(cluster, "web")
    ask = lambda path, *arguments: curl(cluster, f"http://{NODE_ADDRESS}{path}", "-H", f"Host: {host}", *arguments)
    wait_for("the route", lambda: ask("/")[0] == 200, 10)
    hanging = threading.Thread(target=lambda: ask("/hang", "--max-time", "2"))
    hanging.start()
    assert all(ask("/")[0] == 200 for _ in range(10))
    hanging.join()


LOAD = """
import http.client, sys, threading, time
failed, seen, stop = [], {}, time.monotonic() + float(sys.argv[3])
def work():
    connection = None
    while time.monotonic() < stop:
        try:
            if connection is None: connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=10)
            connection.request("GET", "/", headers={"Host": sys.argv[2]})
            answer = connection.getresponse()
            body = answer.read().decode()
            if answer.status != 200: failed.append((answer.status, body))
            else: seen[body.split()[0]] = seen.get(body.split()[0], 0) + 1
        except Exception as error:
            failed.append(repr(error)); connection = None
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
import json; print(json.dumps({"failed": failed[:5], "failures": len(failed), "seen": seen}))
"""


def test_routes_and_pods_change_without_a_failed_request(cluster, host):
    cluster.apply(*backend("old", 2), *backend("new", 2), ingress("web", ("/", "Prefix", "old"), host=host))
    ready(cluster, "old", "new")
    wait_for("the route", lambda: curl(cluster, f"http://{NODE_ADDRESS}/", "-H", f"Host: {host}")[0] == 200, 10)
    results = []
    load = threading.Thread(target=lambda: results.append(json.loads(cluster.sandbox.outside(["python3", "-c", LOAD, NODE_ADDRESS, host, "6"]).stdout)))
    load.start()
    for to in ("new", "old", "new", "old", "new"):
        time.sleep(0.4)
        cluster.apply(ingress("web", ("/", "Prefix", to), host=host))
    cluster.k("scale", "deployment/new", "--replicas=3")
    load.join()
    assert results and results[0]["failures"] == 0, results
    assert set(results[0]["seen"]) == {"old", "new"}
