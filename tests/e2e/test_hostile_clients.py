"""Clients that send or read as no proper one does: each gets what it deserves, the others notice nothing, and memory stays bounded."""
import concurrent.futures
import contextlib
import json
import re

import pytest

from api import Api
from cluster import Cluster, pss_kib, wait_for
from manifests import config_map
from raw_http import CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, Raw, RawHttp2, frame, request_block

MIB = 1 << 20


@pytest.fixture(scope="module")
def hasty():
    """A control plane that waits no longer than four seconds for a client."""
    with Cluster(node="false", **{"request-timeout": "4s"}) as cluster:
        cluster.start()
        cluster.api = Api(cluster)
        yield cluster


@contextlib.contextmanager
def bounded(cluster, mib):
    before = pss_kib(cluster.server_pid())
    yield
    grown = (pss_kib(cluster.server_pid()) - before) / 1024
    assert grown < mib, f"the server grew by {grown:.1f} MiB"
    assert cluster.api.get("/readyz").status == 200


def statuses(text):
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", text, re.M)]


def sockets(cluster):
    """Connections that the server has open on its port."""
    return int(cluster.sandbox.inside(["sh", "-c", "ss -Htn state established sport = :6443 | wc -l"]).stdout)


# -- paths ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(plane, api, ns):
    """Somebody who may read ConfigMaps of one namespace and nothing else."""
    account = f"/api/v1/namespaces/{ns}/serviceaccounts/default"
    wait_for("the service account", lambda: api.get(account).status == 200, 10)
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    assert api("POST", f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]}).status == 201
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": ns}
    assert api("POST", f"{rbac}/rolebindings", {"metadata": {"name": "r"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": [subject]}).status == 201
    token = api("POST", f"{account}/token", {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}}).body["status"]["token"]
    assert api("POST", f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "hidden"}}).status == 201
    assert api("POST", f"/api/v1/namespaces/{ns}/configmaps", config_map("a", k="shown")).status == 201
    return Api(plane, token=token)


def test_path_tricks_reach_nothing_else(reader, ns):
    maps, secrets = f"/api/v1/namespaces/{ns}/configmaps", f"/api/v1/namespaces/{ns}/secrets"
    assert reader.get(f"{maps}/a").body["data"] == {"k": "shown"} and reader.get(f"{secrets}/s").status == 403
    tricks = [
        f"{maps}/../secrets/s", f"{maps}/..%2fsecrets%2fs", f"{maps}/%2e%2e/secrets/s", f"{maps}/%2e%2e%2fsecrets%2fs", f"{maps}/.%2e/secrets/s", f"{maps}/..;/secrets/s", f"{maps}/..%5csecrets%5cs",
        f"/{maps}/a", f"//{maps[1:]}/a", f"/api//v1/namespaces/{ns}/configmaps/a", f"{maps}//a", f"/api/v1/namespaces/{ns}//secrets/s", f"/api/v1/./namespaces/{ns}/secrets/s",
        f"{maps}/a%2fstatus", f"{maps}%2fa", f"/api%2fv1/namespaces/{ns}/secrets/s", f"{maps}/a%00", f"{maps}/a%00/../../secrets/s", f"{maps}/%252e%252e/secrets/s", f"{maps}/a/../../secrets/s",
        f"/healthz/../api/v1/namespaces/{ns}/secrets/s", f"/readyz/..%2f..%2fapi%2fv1%2fnamespaces%2f{ns}%2fsecrets%2fs", f"/api/v1/namespaces/{ns}%2fsecrets/s", f"/api/v1/namespaces/{ns}/secrets%2fs",
        f"/api/v1/namespaces/{ns}/configmaps/../../../../../etc/passwd", f"/api/v1/NAMESPACES/{ns}/secrets/s", f"/api/v1/namespaces/{ns}/Secrets/s", f"/api/v1/namespaces/{ns}/secrets/s/", f"/api/v1/namespaces/{ns}/secrets/s?a=/configmaps/",
        f"/api/v1/namespaces/{ns}/secrets/s#/configmaps/a", f"/api/v1/watch/../namespaces/{ns}/secrets/s", f"/api/v1/watch/namespaces/{ns}/secrets/s", f"/api/v1/namespaces/{ns}/configmaps/a/proxy/../../../secrets/s",
        f"/apis//v1/namespaces/{ns}/secrets/s", f"/apis/%20/v1/namespaces/{ns}/secrets/s", f"/api/v1/namespaces/{ns}/services/x/proxy/../../../secrets/s", f"/%2fapi/v1/namespaces/{ns}/secrets/s",
    ]
    for path in tricks:
        with Raw(reader) as raw:
            raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader.token}\r\nConnection: close\r\n\r\n")
            text = raw.read_all()
        assert statuses(text)[0] in (301, 400, 403, 404, 405), (path, text[:300])
        assert b"hidden" not in text and b"aGlkZGVu" not in text, path
        with RawHttp2(reader) as raw:
            raw.request(1, path, authorization=f"Bearer {reader.token}")
            body = b""
            for kind, flags, stream, payload in raw.read_frames():
                body += payload if kind == DATA else b""
                if stream == 1 and (flags & END_STREAM and kind in (DATA, HEADERS) or kind == RST_STREAM):
                    break
        assert b"hidden" not in body and b"aGlkZGVu" not in body, path


def test_open_paths_open_nothing_else(plane):
    nobody = Api(plane, anonymous=True)
    for path in ("/readyz/../metrics", "/readyz/..%2fmetrics", "/healthz/%2e%2e/api/v1/secrets", "//metrics", "/version/../metrics", "/version%2f..%2fmetrics", "/livez/../../api/v1/secrets", "/readyz%2f..%2fmetrics", "/readyz/ping/../../metrics"):
        with Raw(nobody) as raw:
            raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = raw.read_all()
        assert statuses(text)[0] in (400, 401, 403, 404), (path, text[:300])
        assert b"apiserver_request" not in text and b'"items"' not in text


# -- request smuggling ------------------------------------------------------------------------------------------------


def test_a_request_has_one_end(api, ns):
    """What two readers of HTTP could understand as two requests is none: nothing after it is served."""
    path = f"/api/v1/namespaces/{ns}/configmaps"
    hidden = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n" + '{"metadata":{"name":"stolen"}}'[:29] + "}"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunked = "0\r\n\r\n" + hidden
    sized = f"Content-Length: {len(chunked)}\r\n"
    tricks = {
        "both": head + sized + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
        "both, the other way": head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunked,
        "two lengths": head + "Content-Length: 0\r\n" + sized + "\r\n" + chunked,
        "a list of lengths": head + f"Content-Length: 0, {len(chunked)}\r\n\r\n" + chunked,
        "a signed length": head + "Content-Length: +0\r\n\r\n" + hidden,
        "a hexadecimal length": head + "Content-Length: 0x0\r\n\r\n" + hidden,
        "an empty length": head + "Content-Length: \r\n\r\n" + hidden,
        "a length beyond 64 bits": head + "Content-Length: 18446744073709551616\r\n\r\n" + hidden,
        "twice chunked": head + "Transfer-Encoding: chunked, chunked\r\n\r\n" + chunked,
        "two encodings": head + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
        "an unknown encoding": head + "Transfer-Encoding: xchunked\r\n\r\n" + chunked,
        "a vertical tab": head + "Transfer-Encoding: \x0bchunked\r\n" + sized + "\r\n" + chunked,
        "a space before the colon": head + "Transfer-Encoding : chunked\r\n" + sized + "\r\n" + chunked,
        "a folded line": head + "X: y\r\n Transfer-Encoding: chunked\r\n" + sized + "\r\n" + chunked,
        "a bare line feed": head + "X: y\nTransfer-Encoding: chunked\r\n" + sized + "\r\n" + chunked,
        "a bare carriage return": head + "X: y\rTransfer-Encoding: chunked\r\n" + sized + "\r\n" + chunked,
        "a null": head + "X: \0\r\n" + sized + "\r\n" + chunked,
        "no host": f"POST {path} HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + hidden,
        "a negative chunk": head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + hidden,
        "a chunk beyond 64 bits": head + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + hidden,
        "a chunk longer than it says": head + "Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n" + hidden,
        "a chunk's size with a line feed": head + "Transfer-Encoding: chunked\r\n\r\n0\n\n" + hidden,
        "HTTP/1.0 in chunks": f"POST {path} HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n" + sized + "\r\n" + chunked,
        "HTTP/0.9": f"GET {path}\r\n\r\n" + hidden,
        "a request line in two": f"POST {path}\r\nX: y HTTP/1.1\r\nHost: x\r\n\r\n" + hidden,
    }
    for what, text in tricks.items():
        with Raw(api) as raw:
            raw.send(text)
            answer = raw.read_all()
        assert statuses(answer) == [400], (what, answer[:300])
    assert "stolen" not in [item["metadata"]["name"] for item in api.get(path).body["items"]]


def test_http2_cannot_smuggle_either(api, ns):
    """Fields of HTTP/1.1's framing, line ends in values, and lengths that do not fit are malformed (RFC 9113, 8.1.1)."""
    path = f"/api/v1/namespaces/{ns}/configmaps"
    bad = [{"transfer_encoding": "chunked"}, {"connection": "close"}, {"x": "a\r\nb: c"}, {"X": "upper"}, {"content_length": "5"}, {"te": "gzip"}, {"x y": "z"}, {":method": "GET"}, {"content_length": "-1"}]
    for more in bad:
        with RawHttp2(api) as raw:
            raw.request(1, path, **more)
            ended = []
            for kind, flags, stream, payload in raw.read_frames():
                ended.append((kind, flags, stream))
                if kind == GOAWAY or stream == 1 and kind == RST_STREAM or stream == 1 and kind == HEADERS:
                    break
        assert ended[-1][0] in (GOAWAY, RST_STREAM), (more, ended)


# -- requests that do not come to their end ---------------------------------------------------------------------------


def test_half_sent_requests_are_answered_or_ended(hasty):
    path = "/api/v1/namespaces/default/configmaps"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        enter = lambda raw, text: (raw.send(text), stack.enter_context(raw))[1]
        silent = [enter(Raw(hasty.api), text) for text in ("G", f"GET {path} HTTP/1.1\r\nHost: x\r\nX: ")]
        bodies = [enter(Raw(hasty.api), text) for text in (head, head + '{"metadata":', head.replace("Content-Length: 1000", "Transfer-Encoding: chunked") + "5\r\n{")]
        heads = [enter(RawHttp2(hasty.api), text) for text in (frame(HEADERS, END_STREAM, 1, request_block(path)[:20]), frame(HEADERS, END_STREAM | END_HEADERS, 1, request_block(path))[:30])]
        half = enter(RawHttp2(hasty.api), frame(HEADERS, END_HEADERS, 1, request_block(path, "POST", content_type="application/json")) + frame(DATA, 0, 1, b'{"metadata":'))
        # Others are served meanwhile.
        assert hasty.api("POST", path, config_map("meanwhile")).status == 201
        for raw in silent:
            assert raw.read_all() == b""
        for raw in bodies:
            text = raw.read_all()
            assert statuses(text) == [504] and b'"reason":"Timeout"' in text, text
        for raw in heads:
            list(raw.read_frames())  # to its end
        for kind, _, stream, payload in half.read_frames():
            if kind == DATA and stream == 1:
                break
        assert json.loads(payload)["code"] == 504
    assert [item["metadata"]["name"] for item in hasty.api.get(path).body["items"] if item["metadata"]["name"] != "kube-root-ca.crt"] == ["meanwhile"]
    hasty.api("DELETE", f"{path}/meanwhile")


def test_many_half_sent_requests_leave_room_for_others(hasty):
    """More than all seats of a level: what waits for its body gives way after the time limit."""
    path = "/api/v1/namespaces/default/configmaps"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n" + '{"metadata":{"name":"x'
    with contextlib.ExitStack() as stack, bounded(hasty, 48):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            raws = list(pool.map(lambda _: stack.enter_context(Raw(hasty.api)), range(800)))
        for raw in raws:
            raw.send(head)
        assert hasty.api("POST", path, config_map("room")).status == 201
        assert {tuple(statuses(raw.read_all())) for raw in raws} <= {(504,), (429,), ()}
    hasty.api("DELETE", f"{path}/room")


# -- floods -----------------------------------------------------------------------------------------------------------


def flood(cluster, pieces, mib=24):
    """Sends pieces until the server ends the connection, which it must before they do."""
    with bounded(cluster, mib), RawHttp2(cluster.api) as raw:
        for piece in pieces:
            if not raw.send(piece):
                break
        kinds = {}
        for kind, _, _, payload in raw.read_frames():
            kinds[kind] = payload
        return kinds


def test_rapid_resets_end_the_connection(plane, ns):
    """CVE-2023-44487: streams that are opened only to be reset."""
    opened = lambda i: frame(HEADERS, END_STREAM | END_HEADERS, i, request_block(f"/api/v1/namespaces/{ns}/configmaps", x=str(i))) + frame(RST_STREAM, 0, i, b"\0\0\0\x08")
    flood(plane, (b"".join(opened(i) for i in range(k, k + 200, 2)) for k in range(1, 400_000, 200)))


def test_continuations_without_end_end_the_connection(plane):
    """CVE-2024-24549 and its like: a header block that goes on and on."""
    first = frame(HEADERS, END_STREAM, 1, request_block("/readyz"))
    flood(plane, (first if i == 0 else frame(CONTINUATION, 0, 1, b"\0\x01a\x7f\xe1\x7f" + b"b" * 16_000)[: 9 + 6 + 16_000] for i in range(20_000)))
    flood(plane, (first if i == 0 else frame(CONTINUATION, 0, 1) * 1000 for i in range(1000)))


def test_headers_that_unpack_to_much_are_refused(plane):
    """An HPACK bomb: one long field in the table, named again and again by one byte."""
    bomb = request_block("/readyz") + b"\x40\x01x" + b"\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 12_000
    with bounded(plane, 24), RawHttp2(plane.api) as raw:
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, bomb))
        for kind, _, stream, _ in raw.read_frames():
            if kind in (GOAWAY, RST_STREAM) or kind == HEADERS and stream == 1:
                break
        assert kind in (GOAWAY, RST_STREAM, HEADERS)


@pytest.mark.parametrize("what", ["ping", "settings", "empty data", "priority"])
def test_frames_that_cost_answers_are_bounded(plane, what):
    """CVE-2019-9512, 9515, 9518: frames that are cheap to send, by a client that reads no answer."""
    piece = {"ping": frame(PING, 0, 0, b"12345678"), "settings": frame(SETTINGS, 0, 0), "empty data": frame(DATA, 0, 1), "priority": frame(2, 0, 1, b"\0\0\0\0\x10")}[what] * 1000
    with bounded(plane, 24), RawHttp2(plane.api, buffer=4096, timeout=2) as raw:
        if what == "empty data":
            raw.send(frame(HEADERS, END_HEADERS, 1, request_block("/api/v1/namespaces/default/configmaps", "POST", content_type="application/json")))
        for _ in range(400):
            if not raw.send(piece):
                break


# -- watchers ---------------------------------------------------------------------------------------------------------


def test_clients_that_never_read_hold_little(hasty):
    """Watches whose events nobody takes: each holds a piece, not all that it was to be told, and is given up after a while."""
    path = "/api/v1/namespaces/default/configmaps"
    assert hasty.api("POST", path, config_map("busy", k="x")).status == 201
    with contextlib.ExitStack() as stack:
        with bounded(hasty, 64):
            one = [stack.enter_context(Raw(hasty.api, buffer=4096)) for _ in range(60)]
            for raw in one:
                raw.send(f"GET {path}?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"200" in raw.line()
            many = stack.enter_context(RawHttp2(hasty.api, buffer=4096, window=16_384))
            for i in range(100):
                many.request(2 * i + 1, f"{path}?watch=1&resourceVersion=0")
            lists = stack.enter_context(RawHttp2(hasty.api, buffer=4096, window=0))
            events = hasty.api.watch(path, fieldSelector="metadata.name=busy", timeoutSeconds=60)
            next(events)
            before = sockets(hasty)
            for i in range(120):
                assert hasty.api.patch(f"{path}/busy", {"data": {"k": str(i) * 100_000}}).status == 200
                assert next(events)["object"]["data"]["k"].startswith(str(i))
            for i in range(100):
                lists.request(2 * i + 1, path)
        wait_for("the end of those who never read", lambda: sockets(hasty) <= before - 60, 20, 0.2)
    hasty.api("DELETE", f"{path}/busy")


WATCHERS, STREAMS = 5_000, 250


def test_a_watcher_costs_little(plane, ns):
    """100,000 watchers are 400 connections of 250 streams: what one costs, measured on 5,000, says that they fit into 1.2 GB."""
    path = f"/api/v1/namespaces/{ns}/configmaps"
    pid = plane.server_pid()
    watched = lambda name: {"metadata": {"name": name, "labels": {"app": "watched"}}}
    assert plane.api("POST", path, watched("first")).status == 201
    before = pss_kib(pid)
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(RawHttp2(plane.api)) for _ in range(WATCHERS // STREAMS)]

        def opened(raw):
            for i in range(STREAMS):
                raw.request(2 * i + 1, f"{path}?watch=1&labelSelector=app%3Dwatched")
            return events_of(raw, STREAMS)

        def events_of(raw, count):
            got = 0
            while got < count:
                kind, _, _, payload = raw.read_frame()
                got += payload.count(b'{"type":"ADDED"') if kind == DATA else 0
            return got

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(opened, raws)) == WATCHERS
            each = (pss_kib(pid) - before) / WATCHERS
            assert each < 12, f"a watcher costs {each:.1f} KiB"
            # All of them are told.
            assert plane.api("POST", path, watched("second")).status == 201
            assert sum(pool.map(lambda raw: events_of(raw, STREAMS), raws)) == WATCHERS
        # One more stream than was agreed on ends the connection, not the server.
        raws[0].request(2 * STREAMS + 1, f"{path}?watch=1")
        for kind, _, stream, _ in raws[0].read_frames():
            if kind == GOAWAY or stream == 2 * STREAMS + 1:
                break
        assert kind in (GOAWAY, RST_STREAM)
