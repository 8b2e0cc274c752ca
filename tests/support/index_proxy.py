"""A small HTTP CONNECT proxy that listens in a sandbox's network and connects from the test's own: how `pip install` in a container reaches the
package index, though the sandbox has no way out. Only port 443 is let through."""
import contextlib
import select
import socket
import threading


class IndexProxy:
    """`with IndexProxy(sandbox, address) as proxy:` `proxy.url` is for HTTPS_PROXY; `proxy.hosts` is what was asked for."""

    def __init__(self, sandbox, address):
        with sandbox.network():
            self.listener = socket.create_server((address, 0))
        self.url = f"http://{address}:{self.listener.getsockname()[1]}"
        self.hosts = set()
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError, ValueError), client:
            head = b""
            while b"\r\n\r\n" not in head and len(head) < 65536:
                piece = client.recv(4096)
                if not piece:
                    return
                head += piece
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            host, _, port = target.rpartition(":")
            if method != "CONNECT" or port != "443":
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            self.hosts.add(host)
            with socket.create_connection((host, 443), 30) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._copy(client, server)

    @staticmethod
    def _copy(left, right):
        other = {left: right, right: left}
        while other:
            for ready in select.select(list(other), [], [], 300)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                other[ready].sendall(data)
