"""A small extension API server (wardle.example.com/v1alpha1, kind Flunder) for the tests of aggregation: HTTPS, and it believes whoever
shows a certificate of the front proxy's CA. It runs in the cluster's network as a program of its own:
extension_server.py PORT CERTIFICATE KEY FRONT_PROXY_CA [legacy]"""
import http.server
import json
import ssl
import sys
import threading
import time

GROUP, VERSION = "wardle.example.com", "v1alpha1"
PREFIX = f"/apis/{GROUP}/{VERSION}"
VERBS = ["create", "delete", "get", "list", "watch"]
FLUNDERS, CHANGED = {}, threading.Condition()
EVENTS = []


def flunder(ns, name):
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": name, "namespace": ns, "uid": name, "resourceVersion": str(len(EVENTS)), "creationTimestamp": "2026-01-01T00:00:00Z"}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, status, body, kind="application/json"):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def status(self, code, reason):
        self.send(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code})

    def who(self):
        extra = {key.lower(): self.headers.get_all(key) for key in self.headers.keys() if key.lower().startswith("x-remote-extra-")}
        return {"user": self.headers.get("X-Remote-User"), "uid": self.headers.get("X-Remote-Uid"), "groups": self.headers.get_all("X-Remote-Group"), "extra": extra,
                "authorization": self.headers.get("Authorization"), "host": self.headers.get("Host")}

    def do_GET(self):
        path = self.path.split("?")[0].rstrip("/")
        aggregated = "as=APIGroupDiscoveryList" in self.headers.get("Accept", "") and LEGACY is False
        resource = {"resource": "flunders", "responseKind": {"group": "", "version": "", "kind": "Flunder"}, "scope": "Namespaced", "singularResource": "flunder", "verbs": VERBS, "shortNames": ["flu"]}
        if path == "/apis" and aggregated:
            item = {"metadata": {"name": GROUP}, "versions": [{"version": VERSION, "resources": [resource], "freshness": "Current"}]}
            return self.send(200, {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [item]}, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        if path == PREFIX:
            rows = [{"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder", "verbs": VERBS, "shortNames": ["flu"]},
                    {"name": "flunders/status", "singularName": "", "namespaced": True, "kind": "Flunder", "verbs": ["get"]}]
            return self.send(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": rows})
        if path == "/openapi/v3":
            return self.send(200, {"paths": {PREFIX[1:]: {"serverRelativeURL": f"/openapi/v3{PREFIX}?hash=1"}}})
        if path == f"/openapi/v3{PREFIX}":
            return self.send(200, {"openapi": "3.0.0", "info": {"title": "wardle", "version": "1"}, "paths": {}, "components": {"schemas": {"com.example.wardle.v1alpha1.Flunder": {"type": "object", "description": "A flunder is a fish.", "x-kubernetes-group-version-kind": [{"group": GROUP, "version": VERSION, "kind": "Flunder"}]}}}})
        if path == "/openapi/v2":
            return self.send(200, {"swagger": "2.0", "info": {"title": "wardle", "version": "1"}, "paths": {PREFIX + "/": {"get": {"responses": {"200": {"description": "OK"}}}}, "/other": {}},
                                   "definitions": {"com.example.wardle.v1alpha1.Flunder": {"type": "object"}}})
        parts = path[len(PREFIX) + 1:].split("/")
        if path == f"{PREFIX}/whoami":
            return self.send(200, self.who())
        if path == f"{PREFIX}/moved":
            self.send_response(302)
            self.send_header("Location", "https://elsewhere.invalid/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if "watch=" in self.path:
            return self.watch()
        if parts[0] == "namespaces" and len(parts) == 4:
            found = FLUNDERS.get((parts[1], parts[3]))
            return self.send(200, found) if found else self.status(404, "NotFound")
        items = [value for (ns, _), value in FLUNDERS.items() if parts[0] != "namespaces" or ns == parts[1]]
        self.send(200, {"kind": "FlunderList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {"resourceVersion": str(len(EVENTS))}, "items": items})

    def watch(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        at, end = 0, time.monotonic() + 5
        while time.monotonic() < end:
            with CHANGED:
                CHANGED.wait(0.2)
                fresh, at = EVENTS[at:], len(EVENTS)
            for event in fresh:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ns = self.path[len(PREFIX):].split("/")[2]
        with CHANGED:
            made = {**flunder(ns, body["metadata"]["name"]), **{key: value for key, value in body.items() if key not in ("metadata",)}}
            FLUNDERS[(ns, made["metadata"]["name"])] = made
            EVENTS.append({"type": "ADDED", "object": made})
            CHANGED.notify_all()
        self.send(201, made)

    def do_DELETE(self):
        parts = self.path.split("?")[0][len(PREFIX) + 1:].split("/")
        gone = FLUNDERS.pop((parts[1], parts[3]), None)
        self.send(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}) if gone else self.status(404, "NotFound")

    def parse_request(self):
        # As with client-go's delegating authenticator: identities in headers count only with the front proxy's certificate.
        if not super().parse_request():
            return False
        if not self.connection.getpeercert():
            self.status(401, "Unauthorized")
            return False
        return True

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    port, certificate, key, front_ca = sys.argv[1:5]
    LEGACY = len(sys.argv) > 5
    server = http.server.ThreadingHTTPServer(("", int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(front_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("up", flush=True)
    server.serve_forever()
