"""HTTP byte by byte over TLS, for tests of what no proper client sends: HTTP/1.1 texts, and frames of HTTP/2 (RFC 9113)."""
import contextlib
import socket
import ssl
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value, bits=7, first=0):
    """HPACK's integers (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out = bytearray([first | limit])
    value -= limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def block(*headers):
    """Header fields as literals that are not indexed."""
    text = lambda t: number(len(t)) + t.encode()
    return b"".join(b"\0" + text(name) + text(value) for name, value in headers)


def request_block(path, method="GET", **more):
    return block((":method", method), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", path), *((name.replace("_", "-"), value) for name, value in more.items()))


class Raw:
    """A TLS connection to the cluster's API with the credentials of `api`; `buffer`: of the receiving side, in bytes."""

    def __init__(self, api, alpn="http/1.1", buffer=None, timeout=20):
        context = api.make_context()
        context.set_alpn_protocols([alpn])
        with api.cluster.sandbox.network():
            plain = socket.socket()
        if buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        plain.settimeout(timeout)
        plain.connect(("127.0.0.1", 6443))
        self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.pending = b""

    def send(self, data):
        """Whether all of it went out: the other side may have ended the connection."""
        try:
            self.socket.sendall(data.encode() if isinstance(data, str) else data)
            return True
        except (OSError, ssl.SSLError):
            return False

    def read_all(self):
        """Everything until the server ends the connection."""
        out, self.pending = [self.pending], b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := self.socket.recv(65536):
                out.append(piece)
        return b"".join(out)

    def exact(self, size):
        while len(self.pending) < size:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.pending += piece
        out, self.pending = self.pending[:size], self.pending[size:]
        return out

    def line(self):
        while b"\n" not in self.pending:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.pending += piece
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawHttp2(Raw):
    """The same after the preface and the settings of HTTP/2; `window`: of each stream, in bytes. That of the connection is as good as none."""

    def __init__(self, api, window=None, **options):
        super().__init__(api, alpn="h2", **options)
        settings = struct.pack(">HI", 4, window) if window is not None else b""
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 2**16)))

    def request(self, stream, path, ended=True, **more):
        self.send(frame(HEADERS, (END_STREAM if ended else 0) | END_HEADERS, stream, request_block(path, **more)))

    def read_frame(self):
        """(kind, flags, stream, payload); acknowledges settings."""
        head = self.exact(9)
        kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
        payload = self.exact(struct.unpack(">I", b"\0" + head[:3])[0])
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        return kind, flags, stream, payload

    def read_frames(self):
        """Frames until the server ends the connection."""
        with contextlib.suppress(EOFError, ConnectionError, ssl.SSLError):
            while True:
                yield self.read_frame()
