"""Bodies, patches, selectors and expressions made to cost much: the right status comes back, and memory stays bounded."""
import contextlib
import gzip
import json
import os
import urllib.parse

import pytest

from api import APPLY, JSON_PATCH, MERGE, STRATEGIC
from cluster import pss_kib
from manifests import config_map
from raw_http import Raw

YAML = "application/yaml"
MIB = 1 << 20
LIMIT = 3 * MIB  # of a request's body


def cpu_seconds(pid):
    """CPU that the process has used until now."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def bounded(plane, mib=24, seconds=5):
    """The server grows by no more than `mib` and computes for no longer than `seconds`: what is refused must not cost."""
    before, began = pss_kib(plane.server_pid()), cpu_seconds(plane.server_pid())
    yield
    used = cpu_seconds(plane.server_pid()) - began
    assert used < seconds, f"the server computed for {used:.1f} s"
    grown = (pss_kib(plane.server_pid()) - before) / 1024
    assert grown < mib, f"the server grew by {grown:.1f} MiB"
    assert plane.api.get("/readyz").status == 200


def refused(answer, *statuses, told=4096):
    """The Status of a refusal, which repeats no more than `told` bytes of what was sent."""
    assert answer.status in statuses, (answer.status, answer.data[:400])
    status = answer.body
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status)
    assert len(answer.data) < told, "a refusal repeats more than a little of what was sent"
    return status


def nested(depth, left="[", right="]", middle=""):
    return left * depth + middle + right * depth


# -- size -------------------------------------------------------------------------------------------------------------


def test_objects_of_3_mb_and_more_are_413(plane, api, maps):
    def text(size):
        frame = json.dumps(config_map("big", k=""))
        return frame.replace('"k": ""', '"k": "' + "x" * (size - len(frame)) + '"')

    with bounded(plane):
        for size in (LIMIT + 1, 4 * MIB):
            status = refused(api("POST", maps, text(size)), 413)
            assert status["reason"] == "RequestEntityTooLarge" and str(LIMIT) in status["message"]
        # What fits the limit of requests is still no ConfigMap of that size.
        assert refused(api("POST", maps, text(LIMIT)), 422)["reason"] == "Invalid"
        with Raw(api) as raw:
            raw.send(f"POST {maps} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(64):
                if not raw.send(f"{MIB:x}\r\n" + "x" * MIB + "\r\n"):
                    break
            assert raw.read_all().startswith(b"HTTP/1.1 413 ")
    assert api("POST", maps, config_map("a")).status == 201
    with bounded(plane):
        for kind in (MERGE, STRATEGIC, JSON_PATCH, APPLY):
            refused(api.patch(f"{maps}/a", text(LIMIT + 1), kind, fieldManager="t"), 413)
        refused(api("PUT", f"{maps}/a", text(LIMIT + 1)), 413)
        refused(api("DELETE", f"{maps}/a", text(LIMIT + 1)), 413)


def test_small_patches_cannot_make_large_objects(plane, api, maps):
    """Objects that grow by patches meet the same limits as those that are sent."""
    assert api("POST", maps, config_map("grows")).status == 201
    with bounded(plane, mib=48):
        last = None
        for i in range(8):
            last = api.patch(f"{maps}/grows", {"data": {f"k{i}": "x" * 500_000}})
            if last.status != 200:
                break
        assert refused(last, 422)["reason"] == "Invalid"
        last = None
        for i in range(8):
            last = api.patch(f"{maps}/grows", {"metadata": {"annotations": {f"a{i}": "x" * 200_000}}})
            if last.status != 200:
                break
        assert "metadata.annotations" in refused(last, 422)["message"]


# -- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["data", "metadata", "unknown"])
@pytest.mark.parametrize("form", ["[]", "{}"])
def test_json_10_000_levels_deep_is_400(plane, api, maps, where, form):
    deep = nested(10_000) if form == "[]" else nested(10_000, '{"a":', "}", "1")
    with bounded(plane):
        status = refused(api("POST", maps, f'{{"metadata": {{"name": "a"}}, "{where}": {deep}}}'), 400)
        assert "nested too deeply" in status["message"]
        for kind in (MERGE, STRATEGIC, APPLY):
            refused(api.patch(f"{maps}/a", f'{{"{where}": {deep}}}', kind, fieldManager="t"), 400)
        refused(api.patch(f"{maps}/a", f'[{{"op": "add", "path": "/data", "value": {deep}}}]', JSON_PATCH), 400)
        refused(api("DELETE", f"{maps}/a", f'{{"{where}": {deep}}}'), 400)
        refused(api("POST", maps, nested(100_000)), 400)


def test_duplicate_keys_are_told_or_refused(api, maps):
    text = '{"metadata": {"name": "a", "name": "b"}, "data": {"k": "1", "k": "2"}}'
    status = refused(api("POST", maps, text, fieldValidation="Strict"), 400)
    assert 'duplicate field "metadata.name"' in status["message"] and 'duplicate field "data.k"' in status["message"]
    answer = api("POST", maps, text)
    assert answer.status == 201 and answer.body["metadata"]["name"] == "b" and answer.body["data"] == {"k": "2"}
    assert {'299 - "duplicate field \\"metadata.name\\""', '299 - "duplicate field \\"data.k\\""'} <= set(answer.headers.get_all("Warning"))


def test_many_duplicate_keys_are_told_in_few_words(plane, api, maps):
    text = '{"metadata": {"name": "a"}, "data": {' + ",".join(['"k": "1"'] * 200_000) + "}}"
    with bounded(plane, mib=64):
        refused(api("POST", maps, text, fieldValidation="Strict"), 400)
        answer = api("POST", maps, text)
        assert answer.status == 201 and answer.body["data"] == {"k": "1"}
        assert sum(map(len, answer.headers.get_all("Warning"))) < 4096
        unknown = json.dumps({"metadata": {"name": "b"}, **{f"unknown-{i}": 1 for i in range(100_000)}})
        refused(api("POST", maps, unknown, fieldValidation="Strict"), 400)
        answer = api("POST", maps, unknown)
        assert answer.status == 201 and sum(map(len, answer.headers.get_all("Warning"))) < 4096


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\xe2\x82"])
def test_invalid_utf_8_is_no_text(api, maps, bad):
    """Whatever comes out is UTF-8: the body is refused, or the bytes become U+FFFD as Kubernetes' decoder makes them."""
    body = b'{"metadata": {"name": "a"}, "data": {"k": "[' + bad + b']"}}'
    answer = api("POST", maps, body)
    if answer.status != 201:
        refused(answer, 400)
    else:
        assert "\ufffd" in answer.body["data"]["k"]
    json.loads(api("GET", maps).data.decode())
    refused(api("POST", maps, b"metadata: {name: b}\ndata: {k: '" + bad + b"'}", {"Content-Type": YAML}), 400)
    refused(api("POST", maps, b'{"metadata": {"name": "' + bad + b'"}}'), 400, 422)
    answer = api.get(maps, labelSelector=b"a=" + bad)
    refused(answer, 400)


def test_lone_surrogates_and_zeros_do_not_break_what_is_stored(api, maps):
    for text in (r'{"metadata": {"name": "a"}, "data": {"k": "\ud800"}}', r'{"metadata": {"name": "b"}, "data": {"k": "\u0000"}}', r'{"metadata": {"name": "c"}, "data": {"k": "\udc00\ud800"}}'):
        answer = api("POST", maps, text)
        assert answer.status in (201, 400), answer.data
    json.loads(api("GET", maps).data.decode())


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400, "1" + "0" * 1_000_000, "9223372036854775808", "-9223372036854775809", "1e19", "0.1", "1e-400", "4294967296"])
def test_huge_numbers_are_400_with_their_field(plane, api, ns, number):
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    head = '{"metadata": {"name": "a"}, "spec": {"replicas": '
    tail = ', "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}'
    with bounded(plane):
        # The number is told as it was sent.
        status = refused(api("POST", path, head + number + tail), 400, told=4096 + len(number))
        assert "replicas" in status["message"] or "number" in status["message"], status
        for parameter in ("limit", "timeoutSeconds", "gracePeriodSeconds"):
            method = "DELETE" if parameter == "gracePeriodSeconds" else "GET"
            if len(number) < 1000 and number not in ("4294967296",):
                refused(api(method, path, **{parameter: number}), 400)


def test_huge_quantities_are_bounded(plane, api, ns):
    path = f"/api/v1/namespaces/{ns}/pods"
    pod = lambda amount: {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"memory": amount}}}]}}
    with bounded(plane):
        for amount in ("9" * 100_000, "1e" + "9" * 30, "-" + "1" * 1000, "1" * 100_000 + "Ki", "0." + "0" * 100_000 + "1"):
            answer = api("POST", path, pod(amount), dryRun="All")
            assert answer.status in (201, 400, 422), answer.data[:300]
            if answer.status == 201:
                assert len(answer.data) < 200_000
            else:
                refused(answer, 400, 422, told=4096 + 4 * len(amount))


# -- compression ------------------------------------------------------------------------------------------------------


def test_a_gzip_bomb_is_not_unpacked(plane, api, maps):
    bomb = gzip.compress(b"\0" * (256 * MIB), 9)
    body = gzip.compress(json.dumps(config_map("packed")).encode())
    with bounded(plane):
        for encoding in ("gzip", "x-gzip", "deflate", "br", "gzip, gzip"):
            refused(api("POST", maps, bomb, {"Content-Type": "application/json", "Content-Encoding": encoding}), 400, 415)
            refused(api("POST", maps, body, {"Content-Type": "application/json", "Content-Encoding": encoding}), 400, 415)


# -- YAML -------------------------------------------------------------------------------------------------------------


def laughs(levels, width=9):
    lines = ["a0: &a0 [" + ",".join(["lol"] * width) + "]"]
    lines += [f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}"] * width) + "]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("method", ["POST", "apply"])
def test_yaml_aliases_that_explode_are_400(plane, api, maps, method):
    def send(text):
        if method == "POST":
            return api("POST", maps, text, {"Content-Type": YAML})
        return api.patch(f"{maps}/a", text, APPLY, fieldManager="t")

    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    with bounded(plane, mib=64):
        for levels in (9, 30, 2000):
            assert "aliasing" in refused(send(head + laughs(levels)), 400)["message"]
        # One long text, many times.
        text = head + "x: &x '" + "y" * 100_000 + "'\ndata: {" + ", ".join(f"k{i}: *x" for i in range(20_000)) + "}"
        refused(send(text), 400, 413, 422)
        refused(send(head + "a: &a [*a]"), 400)
        refused(send(head + "data: &d\n  <<: *d"), 400)
        refused(send(head + "data: " + nested(10_000)), 400)
        refused(send(head + "data:\n" + "".join(" " * i + "- \n" for i in range(1000)) + nested(5000, "{a: ", "}")), 400)


# -- patches ----------------------------------------------------------------------------------------------------------


def test_json_patches_that_double_what_is_there_end(plane, api, maps):
    assert api("POST", maps, config_map("a", k="x" * 1000)).status == 201
    with bounded(plane, mib=64):
        doubling = [{"op": "add", "path": "/data/l", "value": ["x" * 1000]}] + [{"op": "copy", "from": "/data", "path": f"/data/c{i}"} for i in range(60)]
        refused(api.patch(f"{maps}/a", doubling, JSON_PATCH), 400, 413, 422)
        copies = [{"op": "copy", "from": "/data/k", "path": f"/data/c{i}"} for i in range(9_999)]
        refused(api.patch(f"{maps}/a", copies, JSON_PATCH), 413, 422)
        many = [{"op": "test", "path": "/data/k", "value": "x"}] * 10_001
        status = refused(api.patch(f"{maps}/a", many, JSON_PATCH), 413)
        assert "10000" in status["message"]
        inwards = [{"op": "copy", "from": "/metadata", "path": "/metadata/annotations"}] * 600
        refused(api.patch(f"{maps}/a", inwards, JSON_PATCH), 400, 413, 422)
        shifting = [{"op": "add", "path": "/metadata/finalizers", "value": []}] + [{"op": "add", "path": "/metadata/finalizers/0", "value": "a/b"}] * 9_999
        answer = api.patch(f"{maps}/a", shifting, JSON_PATCH)
        assert answer.status in (200, 400, 413, 422)
        refused(api.patch(f"{maps}/a", [{"op": "add", "path": "/data" + "/a" * 500_000, "value": "x"}], JSON_PATCH), 400, 422, told=3 * MIB)
    assert api.get(f"{maps}/a").body["data"] == {"k": "x" * 1000}


def test_large_lists_merge_in_reasonable_time(plane, api, ns):
    """Merging by key is no comparison of everything with everything."""
    path = f"/api/v1/namespaces/{ns}/services"
    port = lambda i: {"name": f"p{i}", "port": i + 1}
    assert api("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": [port(0)], "clusterIP": "None"}}).status == 201
    many = {"spec": {"ports": [port(i) for i in range(20_000)]}}
    with bounded(plane, mib=96, seconds=10):
        for kind in (STRATEGIC, MERGE):
            assert api.patch(f"{path}/s", many, kind, dryRun="All").status in (200, 413, 422)
        many |= {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
        assert api.patch(f"{path}/s", many, APPLY, dryRun="All", fieldManager="t", force="true").status in (200, 413, 422)
        order = {"spec": {"$setElementOrder/ports": [{"port": i + 1} for i in range(20_000)], "ports": many["spec"]["ports"]}}
        assert api.patch(f"{path}/s", order, STRATEGIC, dryRun="All").status in (200, 400, 413, 422)


# -- selectors --------------------------------------------------------------------------------------------------------


def test_selectors_of_1_mb_are_refused_or_answered(plane, api, maps):
    """In a URL they are more than a head may hold; in a body they are read in a time that grows with their length."""
    selectors = {"long value": "a=" + "x" * MIB, "many": ",".join(f"k{i}=v" for i in range(130_000)), "values": "a in (" + ",".join(f"v{i}" for i in range(150_000)) + ")", "signs": "!" * MIB, "open": "a in (" * 170_000}
    with bounded(plane, mib=48):
        for what, selector in selectors.items():
            for parameter in ("labelSelector", "fieldSelector"):
                answer = plane.api("GET", maps + "?" + urllib.parse.urlencode({parameter: selector}))
                assert answer.status in (414, 431), what
        short = ",".join(f"k{i}!=v" for i in range(3_000))
        assert api("GET", maps, labelSelector=short).status == 200
        refused(api("GET", maps, labelSelector="a=" + "x" * 40_000), 400, told=100_000)
        refused(api("GET", maps, fieldSelector="a=" + "x" * 40_000), 400)


def test_selectors_of_1_mb_in_objects_are_bounded(plane, api, ns):
    path = f"/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies"
    policy = lambda name, selector: {"metadata": {"name": name}, "spec": {"podSelector": selector}}
    with bounded(plane, mib=96, seconds=10):
        refused(api("POST", path, policy("a", {"matchLabels": {"a": "x" * MIB}})), 422, told=3 * MIB)
        many = {"matchExpressions": [{"key": "a", "operator": "In", "values": [f"v{i}" for i in range(100_000)]}]}
        assert api("POST", path, policy("b", many), dryRun="All").status in (201, 413, 422)
        wide = {"matchLabels": {f"k{i}": "v" for i in range(60_000)}}
        assert api("POST", path, policy("c", wide), dryRun="All").status in (201, 413, 422)
