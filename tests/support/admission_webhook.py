"""Admission webhooks for tests, run inside of a cluster's sandbox: `python3 admission_webhook.py CERTIFICATE KEY PORT LOG`.
What a webhook does stands in its path, as a base64url JSON object: /<name>/<text>. Its members: `allowed`, `status`, `warnings`,
`audit`, `patch` (a list of operations), `sleep` (seconds), `raw` (the answer's body as it is), `http` (the answer's status), `fill`
(bytes of white space), `callback` (path and token: a ConfigMap `callback` is created there before other objects are answered for). Every review is written to LOG, a line of JSON each,
with the number of its connection."""
import base64
import http.client
import http.server
import itertools
import json
import os
import ssl
import sys
import threading
import time

numbers = itertools.count()
lock = threading.Lock()


def call_back(to):
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, timeout=10, context=ssl._create_unverified_context())
    body = json.dumps({"metadata": {"name": "callback"}})
    connection.request("POST", to["path"], body, {"Authorization": "Bearer " + to["token"], "Content-Type": "application/json"})
    assert connection.getresponse().status == 201
    connection.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: apart, the second waits for the first one's delayed acknowledgement

    def setup(self):
        super().setup()
        self.number = next(numbers)

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.split("?")[0].strip("/").split("/")
        do = json.loads(base64.urlsafe_b64decode(path[1] + "==")) if len(path) > 1 else {}
        with lock, open(sys.argv[4], "a") as log:
            print(json.dumps({"webhook": path[0], "connection": self.number, "path": self.path, "review": review}), file=log)
        time.sleep(do.get("sleep", 0))
        if "callback" in do and review["request"]["name"] != "callback":
            call_back(do["callback"])
        response = {"uid": review["request"]["uid"], "allowed": do.get("allowed", True)}
        for key, name in (("status", "status"), ("warnings", "warnings"), ("audit", "auditAnnotations")):
            if key in do:
                response[name] = do[key]
        if "patch" in do:
            response.update(patchType="JSONPatch", patch=base64.b64encode(json.dumps(do["patch"]).encode()).decode())
        answer = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})
        body = do.get("raw", answer).encode() + b" " * do.get("fill", 0)
        self.send_response(do.get("http", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that hang up


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[3])), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    # It ends with the test that holds its standard input.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print("up", flush=True)
    server.serve_forever()
