"""An HTTPS client of a cluster's API for tests: raw requests with every header in reach, watches, and the official Python
client. Sockets are made in the sandbox's network; everything else stays in the test's process."""
import base64
import dataclasses
import http.client
import json
import re
import ssl
import tempfile
import time
import urllib.parse

JSON = "application/json"
MERGE, STRATEGIC, JSON_PATCH = "application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclasses.dataclass
class Answer:
    status: int
    headers: object
    data: bytes

    @property
    def body(self):
        return json.loads(self.data)

    def __iter__(self):
        return iter((self.status, self.body))


class Connection(http.client.HTTPSConnection):
    """Connects, at first and again, in the sandbox's network."""

    def __init__(self, sandbox, port=6443, **options):
        super().__init__("127.0.0.1", port, **options)
        self.sandbox = sandbox

    def connect(self):
        with self.sandbox.network():
            super().connect()


class Api:
    """`token` instead of the administrator's certificate; `anonymous=True` for neither."""

    def __init__(self, cluster, token=None, anonymous=False, timeout=20):
        self.cluster, self.token, self.timeout = cluster, token, timeout
        self.connection, self.used = None, 0.0
        self.anonymous = anonymous
        self.context = self.make_context()

    def make_context(self):
        """TLS with the credentials of this client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        text = self.cluster.kubeconfig.read_text()
        part = lambda key: base64.b64decode(re.search(key + r": (\S+)", text).group(1))
        context.load_verify_locations(cadata=part("certificate-authority-data").decode())
        if self.token is None and not self.anonymous:
            with tempfile.NamedTemporaryFile() as pem:
                pem.write(part("client-certificate-data") + part("client-key-data"))
                pem.flush()
                context.load_cert_chain(pem.name)
        return context

    def connect(self):
        return Connection(self.cluster.sandbox, getattr(self.cluster, "port", 6443), timeout=self.timeout, context=self.context)

    def _send(self, connection, method, path, body, headers):
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        given = {"Content-Type": JSON} if body is not None else {}
        given.update(headers or {})
        if self.token is not None:
            given["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, body.encode() if isinstance(body, str) else body, given)
        return connection.getresponse()

    def __call__(self, method, path, body=None, headers=None, **query):
        """One request over a kept connection. Keyword arguments are the query's."""
        if query:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode(query)
        # The server closes what is idle for long, perhaps while the next request is on its way.
        if self.connection is not None and time.monotonic() - self.used > 15:
            self.close()
        if self.connection is None:
            self.connection = self.connect()
        self.used = time.monotonic()
        try:
            response = self._send(self.connection, method, path, body, headers)
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def get(self, path, **query):
        return self("GET", path, **query)

    def patch(self, path, body, kind=MERGE, **query):
        return self("PATCH", path, body, {"Content-Type": kind}, **query)

    def watch(self, path, headers=None, **query):
        """Yields events until the server ends the watch; its own connection. A refusal is an ERROR event with the Status, too."""
        connection = self.connect()
        try:
            query = {"watch": "1", **query}
            response = self._send(connection, "GET", f"{path}?{urllib.parse.urlencode(query)}", None, headers)
            if response.status != 200:
                yield {"type": "ERROR", "object": json.loads(response.read())}
                return
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


def facts(events):
    """What a test compares of a watch: (type, name) pairs."""
    return [(event["type"], event["object"]["metadata"].get("name")) for event in events]
