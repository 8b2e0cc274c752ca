"""Connections of whose bytes no HTTP is read (TLSRoute, TCPRoute), the PROXY protocol, retries, and endpoints that are passed over."""
import contextlib
import json
import subprocess

import pytest

from cluster import NODE_ADDRESS, Cluster, wait_for
from test_gateway import GROUP, conditions, elsewhere, gateway, http, port, route, to  # noqa: F401
from test_ingress import backend, certificate, curl, ready

# Answers each connection's first line with its name and that line, over TLS if there is a certificate.
LINES = r'''
import socketserver, ssl, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(sys.argv[2].encode() + b" " + line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
server = Server(("0.0.0.0", int(sys.argv[1])), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
'''
# Says a line at a port, over TLS for a server name if there is one, and prints what comes back.
SAY = r'''
import socket, ssl, sys
address, port, line, name, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
s = socket.create_connection((address, port), 5)
s.settimeout(5)
if name:
    context = ssl.create_default_context(cafile=ca)
    s = context.wrap_socket(s, server_hostname=name)
s.sendall(line.encode().decode("unicode_escape").encode() + b"\n")
said = b""
while said.count(b"\n") <= line.count("\\n"):
    piece = s.recv(4096)
    if not piece: break
    said += piece
print(said.decode(), end="")
'''
# Answers 200 or what it is told to.
STATUS = r'''
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_GET(self):
        self.send_response(int(sys.argv[2])); self.send_header("Content-Length", "0"); self.end_headers()
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
'''


@contextlib.contextmanager
def running(cluster, *programs):
    """Python programs on the node, each with its arguments."""
    started = [subprocess.Popen(cluster.sandbox.command(["/usr/bin/python3", "-c", *map(str, program)])) for program in programs]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def say(cluster, port, line="hello", name="", ca=""):
    """What a client outside hears, or "" where it is turned away."""
    return cluster.sandbox.outside(["/usr/bin/python3", "-c", SAY, NODE_ADDRESS, str(port), line, name, str(ca)], check=False).stdout


def stream_route(kind, name, backends, section, hostnames=None, version="v1"):
    spec = {"parentRefs": [{"name": "gw", "sectionName": section}], "rules": [{"backendRefs": backends}]}
    return {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": name}, "spec": spec | ({"hostnames": hostnames} if hostnames else {})}


def parents(cluster, kind, name):
    return [conditions(one) for one in cluster.get("-n", cluster.ns, kind, name).get("status", {}).get("parents", [])]


GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def test_tls_routes_pass_through_or_end_here_beside_https(cluster, port):  # noqa: F811
    passes, ends, web = (f"{name}.{cluster.ns}.example" for name in ("passes", "ends", "web"))
    pem = {name: certificate(cluster, name.split(".")[0], name) for name in (passes, ends, web)}
    key = pem[passes].with_suffix(".key")
    listener = lambda name, protocol, hostname, **tls: {"name": name, "protocol": protocol, "port": port, "hostname": hostname, "tls": tls}
    with running(cluster, (LINES, port + 1, "through", pem[passes], key), (LINES, port + 2, "plain")):
        cluster.apply(*elsewhere("through", port + 1), *elsewhere("plain", port + 2), *backend("web"),
                      gateway("gw", listener("passes", "TLS", passes, mode="Passthrough"), listener("ends", "TLS", ends, mode="Terminate", certificateRefs=[{"name": "ends"}]),
                              listener("web", "HTTPS", web, certificateRefs=[{"name": "web"}])),
                      stream_route("TLSRoute", "passes", [to("through")], "passes", [passes]), stream_route("TLSRoute", "ends", [to("plain")], "ends", [ends], version="v1alpha3"),
                      route("web", web, {"backendRefs": [to("web")]}))
        ready(cluster, "web")
        wait_for("what passes through", lambda: say(cluster, port, name=passes, ca=pem[passes]) == "through hello\n", 20)
        wait_for("what ends here", lambda: say(cluster, port, name=ends, ca=pem[ends]) == "plain hello\n", 10)
        assert curl(cluster, f"https://{web}:{port}/x", "--resolve", f"{web}:{port}:{NODE_ADDRESS}", "--cacert", pem[web])[1].startswith("web GET /x ")
        assert say(cluster, port, name=f"other.{cluster.ns}.example", ca=pem[passes]) == ""
        for name in ("passes", "ends"):
            wait_for("the status", lambda: parents(cluster, "tlsroute", name) == [GOOD], 10)
        listeners = {one["name"]: one for one in cluster.get("-n", cluster.ns, "gateway", "gw")["status"]["listeners"]}
        assert {name: [kind["kind"] for kind in one["supportedKinds"]] for name, one in listeners.items()} == {"passes": ["TLSRoute"], "ends": ["TLSRoute", "TCPRoute"], "web": ["HTTPRoute", "GRPCRoute"]}
        assert all(one["attachedRoutes"] == 1 for one in listeners.values())
        cluster.k("delete", "tlsroute", "passes")
        wait_for("no route", lambda: say(cluster, port, name=passes, ca=pem[passes]) == "", 10)
    refused = cluster.apply(stream_route("TLSRoute", "bad", [to("through")], "passes", ["192.0.2.1"]), check=False)
    assert refused.returncode and "Hostnames cannot contain an IP" in refused.stderr


def test_tcp_routes_and_what_backends_are_told(cluster, port):  # noqa: F811
    with running(cluster, (LINES, port + 1, "one"), (LINES, port + 2, "two")):
        cluster.apply(*elsewhere("one", port + 1), *elsewhere("two", port + 2), gateway("gw", {"name": "db", "protocol": "TCP", "port": port}),
                      stream_route("TCPRoute", "db", [to("one", weight=0), to("two")], "db", version="v1alpha2"))
        wait_for("the connection", lambda: say(cluster, port) == "two hello\n", 20)
        wait_for("the status", lambda: parents(cluster, "tcproute", "db") == [GOOD], 10)
        cluster.k("annotate", "service", "two", "estiba.dev/proxy-protocol=v1")
        wait_for("the header", lambda: say(cluster, port).startswith("two PROXY TCP4 192.168.77.2 "), 10)
        assert say(cluster, port).split() [4] == NODE_ADDRESS
        cluster.apply(stream_route("TCPRoute", "db", [to("nosuch")], "db", version="v1alpha2"))
        wait_for("the problem", lambda: parents(cluster, "tcproute", "db") == [GOOD | {"ResolvedRefs": ("False", "BackendNotFound")}], 10)
        wait_for("no connection", lambda: say(cluster, port) == "", 10)


def test_failing_endpoints_are_tried_again_and_passed_over(cluster, port):  # noqa: F811
    host = f"{cluster.ns}.example"
    with running(cluster, (STATUS, port + 1, 200), (STATUS, port + 2, 503)):
        service, good = elsewhere("web", port + 1)
        bad = json.loads(json.dumps(good).replace("web-1", "web-2").replace(str(port + 1), str(port + 2)))
        service["metadata"]["annotations"] = {"estiba.dev/eject-after": "0"}
        rule = lambda **more: route("web", host, {"backendRefs": [to("web")], **more})
        cluster.apply(service, good, bad, gateway("gw", http(port)), rule())
        script = f"""
import http.client
c = http.client.HTTPConnection({NODE_ADDRESS!r}, {port}, timeout=10); seen = []
for _ in range(100):
    c.request("GET", "/", headers={{"Host": {host!r}}}); answer = c.getresponse(); answer.read(); seen.append(answer.status)
print(*seen)
"""
        seen = lambda: cluster.sandbox.outside(["/usr/bin/python3", "-c", script], check=False).stdout.split()
        wait_for("both endpoints", lambda: set(seen()) == {"200", "503"}, 20)
        cluster.apply(rule(retry={"codes": [503], "attempts": 1, "backoff": "1ms"}))
        wait_for("every request to be answered", lambda: seen() == ["200"] * 100, 20)
        cluster.apply(rule())
        cluster.k("annotate", "service", "web", "estiba.dev/eject-after=5", "--overwrite")
        # After five failures in a row of its own, the endpoint is asked no more.
        wait_for("one endpoint alone", lambda: seen() == ["200"] * 100, 20)


def test_a_load_balancer_says_whom_it_speaks_for():
    with Cluster(**{"ingress-proxy-protocol-from": "192.168.77.0/24"}) as cluster:
        cluster.start()
        with running(cluster, (LINES, 8181, "lines")):
            cluster.ns = "default"
            cluster.apply(*elsewhere("lines", 8181), gateway("gw", {"name": "db", "protocol": "TCP", "port": 5432}), stream_route("TCPRoute", "db", [to("lines")], "db", version="v1alpha2"))
            cluster.k("annotate", "service", "lines", "estiba.dev/proxy-protocol=v1")
            header = "PROXY TCP4 203.0.113.9 198.51.100.1 4711 5432"
            wait_for("the header", lambda: say(cluster, 5432, header + "\\r\\nhello") == f"lines {header}\nlines hello\n", 20)
            assert say(cluster, 5432) == "", "without one nobody of these is served"
