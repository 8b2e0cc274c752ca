"""A conversion webhook for tests, run inside of a cluster's sandbox: `python3 conversion_webhook.py CERTIFICATE KEY PORT`.
It converts CronTabs between v1 (spec.host as one text) and v2 (spec.hosts as a list); names that begin with "bad" are refused."""
import http.server
import json
import os
import ssl
import sys
import threading


def convert(obj, wanted):
    out = json.loads(json.dumps(obj))
    out["apiVersion"] = wanted
    spec = out.setdefault("spec", {})
    if wanted.endswith("/v2") and "host" in spec:
        spec["hosts"] = spec.pop("host").split(",")
    if wanted.endswith("/v1") and "hosts" in spec:
        spec["host"] = ",".join(spec.pop("hosts"))
    return out


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        bad = any(o["metadata"]["name"].startswith("bad") for o in request["objects"])
        response = {"uid": request["uid"], "result": {"status": "Failed", "message": "cannot convert it"} if bad else {"status": "Success"}}
        if not bad:
            response["convertedObjects"] = [convert(o, request["desiredAPIVersion"]) for o in request["objects"]]
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    # It ends with the test that holds its standard input.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print("up", flush=True)
    server.serve_forever()
