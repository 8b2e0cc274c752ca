"""A Docker daemon that answers from a table and keeps the requests: what two clients ask and what they make of the answers can be compared."""
import json
import socket
import threading
import urllib.parse


def frame(stream, data):
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class FakeDaemon:
    """`answers` maps "METHOD /path" (without version) to a JSON value, bytes, or a function of (query, body) that gives (status, value).
    Requests are kept in `requests` as (method, path, query, body)."""

    def __init__(self, path, answers):
        self.path, self.answers, self.requests = str(path), answers, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.listener.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        stream = connection.makefile("rb")
        with connection, stream:
            while True:
                try:
                    line = stream.readline()
                    if not line:
                        return
                    method, target, _ = line.decode().split(" ", 2)
                    headers = {}
                    while (header := stream.readline()) not in (b"\r\n", b""):
                        key, _, value = header.decode().partition(":")
                        headers[key.strip().lower()] = value.strip()
                    body = self.read_body(stream, headers)
                    if not self.answer(connection, stream, method, target, headers, body):
                        return
                except (OSError, ValueError):
                    return

    @staticmethod
    def read_body(stream, headers):
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
            return body
        return stream.read(int(headers.get("content-length", 0)))

    def answer(self, connection, stream, method, target, headers, body):
        url = urllib.parse.urlsplit(target)
        path = urllib.parse.unquote(url.path)
        if path.startswith("/v1."):
            path = path[path.index("/", 1):]
        query = {k: v for k, v in urllib.parse.parse_qsl(url.query, keep_blank_values=True)}
        if path == "/_ping":
            connection.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nOSType: linux\r\nDocker-Experimental: false\r\nBuilder-Version: 1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n" + (b"OK" if method == "GET" else b""))
            return True
        self.requests.append((method, path, query, body, headers))
        found = self.answers.get(f"{method} {path}")
        status, extra = 200, ""
        if callable(found):
            found = found(query, body)
            if isinstance(found, tuple):
                status, found = found[:2]
        elif found is None:
            status, found = 404, {"message": f"No such thing: {path}"}
        if isinstance(found, dict) and "hijack" in found:
            connection.sendall(f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {found.get('type', 'application/vnd.docker.multiplexed-stream')}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
            found["hijack"](connection, stream)
            return False
        if isinstance(found, dict) and "headers" in found:
            extra = "".join(f"{k}: {v}\r\n" for k, v in found["headers"].items())
            found = found["body"]
        kind = "" if "Content-Type" in extra else "Content-Type: application/json\r\n"
        data = found if isinstance(found, bytes) else b"" if found == "" else json.dumps(found).encode() + b"\n"
        connection.sendall(f"HTTP/1.1 {status} X\r\nApi-Version: 1.50\r\nOstype: linux\r\n{kind}{extra}Content-Length: {len(data)}\r\n\r\n".encode() + (data if method != "HEAD" else b""))
        return True
