"""Raw sessions of the Docker API for tests: hijacked connections and their frames."""
import json
import socket
import struct


class Session:
    """A hijacked connection: what comes over it after the head of its answer."""

    def __init__(self, engine, path, body=None, upgrade=True, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(engine.socket_path)
        data = json.dumps(body).encode() if body is not None else b""
        head = f"POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        if upgrade:
            head += "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        self.socket.sendall(head.encode() + b"\r\n" + data)
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            more = self.socket.recv(4096)
            assert more, self.buffer
            self.buffer += more
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}

    def send(self, data):
        self.socket.sendall(data)

    def end_input(self):
        self.socket.shutdown(socket.SHUT_WR)

    def read_until(self, text):
        while text not in self.buffer:
            more = self.socket.recv(65536)
            assert more, f"the session ended before {text}: {self.buffer}"
            self.buffer += more
        before, self.buffer = self.buffer.split(text, 1)
        return before + text

    def rest(self):
        while more := self.socket.recv(65536):
            self.buffer += more
        rest, self.buffer = self.buffer, b""
        return rest

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def frames(data):
    """[(stream, bytes)] of Docker's multiplexed format; nothing may be left over."""
    out = []
    while data:
        stream, size = struct.unpack(">BxxxI", data[:8])
        assert len(data) >= 8 + size, "a frame is cut"
        out.append((stream, data[8:8 + size]))
        data = data[8 + size:]
    return out


def joined(data):
    """(stdout, stderr) of a multiplexed stream."""
    out = {1: b"", 2: b""}
    for stream, piece in frames(data):
        out[stream] += piece
    return out[1], out[2]


def started(engine, script, **config):
    """A running container with `sh -c script`; its name. `config` goes into the body of its creation."""
    name = created(engine, script, **config)
    assert engine.api("POST", f"/containers/{name}/start").status == 204
    return name


def created(engine, script, **config):
    name = engine.unique("s")
    command = ["sh", "-c", script] if isinstance(script, str) else script
    answer = engine.api("POST", f"/containers/create?name={name}", {"Image": "box:1", "Cmd": command, "HostConfig": {"NetworkMode": "none"}, **config})
    assert answer.status == 201, answer.text
    return name


def ended(engine, name):
    """Its exit code, once it has ended."""
    answer = engine.api("POST", f"/containers/{name}/wait")
    assert answer.status == 200, answer.text
    return answer.body["StatusCode"]


def removed(engine, *names):
    for name in names:
        engine.api("DELETE", f"/containers/{name}?force=1&v=1")
