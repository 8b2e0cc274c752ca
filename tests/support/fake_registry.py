"""A registry with one image that misbehaves as its repository is called: ok, lies-size, lies-digest, truncated, status-500, status-401, too-many, evil, stalls.

Run as a program: prints its port and serves until its standard input ends."""
import gzip
import hashlib
import http.server
import io
import json
import socketserver
import sys
import tarfile
import threading


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(name, repository):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        content = b"".join(hashlib.sha256(f"{repository} {i}".encode()).digest() for i in range(100_000 if repository == "stalls" else 20_000))
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Image:
    def __init__(self, repository):
        plain = layer("../evil" if repository == "evil" else "file", repository)
        self.blobs = {}
        packed = gzip.compress(plain, 1, mtime=0)
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(plain)]}}).encode()
        self.layer = digest(packed)
        size = len(packed) + (1000 if repository == "lies-size" else 0)
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": self.layer, "size": size}]}).encode()
        if repository == "lies-digest":
            packed = packed[:-9] + bytes([packed[-9] ^ 1]) + packed[-8:]
        self.blobs = {digest(config): config, self.layer: packed}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    images, seen, lock = {}, {}, threading.Lock()

    def handle_one_request(self):
        if self.rfile.peek(1)[:1] == b"\x16":  # a TLS handshake, whose line's end would never come
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            self.close_connection = True
        else:
            super().handle_one_request()

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def times(self, what):
        with self.lock:
            self.seen[what] = self.seen.get(what, 0) + 1
            return self.seen[what]

    def do_GET(self):
        parts = self.path.split("/")
        if len(parts) < 5 or parts[1] != "v2":
            return self.answer(200, b"{}")
        repository, kind, name = parts[2], parts[3], parts[4]
        with self.lock:
            image = self.images.setdefault(repository, Image(repository))
        if repository == "status-500":
            return self.answer(500, Retry_After="0")
        if repository == "status-401":
            return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}', WWW_Authenticate='Basic realm="x"')
        if repository == "too-many" and self.times("too-many") < 4:
            return self.answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', Retry_After="0")
        if kind == "manifests":
            if repository == "gone":
                return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
            return self.answer(200, image.manifest, Content_Type="application/vnd.oci.image.manifest.v1+json")
        body = image.blobs.get(name)
        if body is None:
            return self.answer(404)
        if repository == "truncated" and name == image.layer:  # always breaks off after a while, and goes on when asked
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:start + 150_000])
            self.close_connection = True
            return None
        if repository == "stalls" and name == image.layer:  # sends the first half and then nothing; the second half alone when it is asked for
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            if start:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                self.wfile.write(body[start:])
                return None
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            self.rfile.read()  # until the client has gone
            self.close_connection = True
            return None
        return self.answer(200, body)


if __name__ == "__main__":
    http.server.HTTPServer.server_bind = socketserver.TCPServer.server_bind  # its own asks DNS for the address's name
    server = http.server.ThreadingHTTPServer((sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
