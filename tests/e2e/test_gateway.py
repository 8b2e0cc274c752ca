"""Gateway API by the server itself: its kinds are there, and what they say is served."""
import json
import subprocess
import threading
import time

import pytest

from cluster import NODE_ADDRESS, wait_for
from test_ingress import LOAD, backend, certificate, curl, ready

GROUP = "gateway.networking.k8s.io"


def gateway(name="gw", *listeners, **spec):
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": {"name": name}, "spec": {"gatewayClassName": "estiba", "listeners": list(listeners), **spec}}


def http(port, **more):
    return {"name": f"http-{port}", "protocol": "HTTP", "port": port, **more}


def to(name, **more):
    return {"name": name, "port": 80, **more}


def route(name, host, *rules, parent="gw"):
    return {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": {"name": name}, "spec": {"parentRefs": [{"name": parent}], "hostnames": [host], "rules": list(rules)}}


@pytest.fixture
def port(cluster):
    """A port of the node for this test alone, so that Gateways of tests do not meet."""
    return 20000 + int(cluster.ns[2:6], 16) % 8000


def asker(cluster, host, port):
    return lambda path, *arguments: curl(cluster, f"http://{NODE_ADDRESS}:{port}{path}", "-H", f"Host: {host}", *arguments)


def conditions(status):
    return {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}


def test_kinds_and_class_are_there(cluster):
    assert {"gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "tcproutes", "referencegrants"} <= {line.split()[0] for line in cluster.kubectl("api-resources", "--api-group", GROUP, "--no-headers").splitlines()}
    wait_for("the class", lambda: conditions(cluster.get("gatewayclass", "estiba")["status"]) == {"Accepted": ("True", "Accepted")}, 10)
    assert "parentRefs" in cluster.kubectl("explain", "httproute.spec")


def test_status_tells_what_is_served(cluster, port):
    host = f"{cluster.ns}.example"
    cluster.apply(*backend("web"), gateway("gw", http(port), {"name": "udp", "protocol": "UDP", "port": port + 1}), route("web", host, {"backendRefs": [to("web")]}), route("lost", host, {"backendRefs": [to("nosuch")]}))
    ready(cluster, "web")
    status = lambda: cluster.get("-n", cluster.ns, "gateway", "gw")["status"]
    wait_for("the Gateway", lambda: conditions(status()) == {"Accepted": ("True", "ListenersNotValid"), "Programmed": ("True", "Programmed")}, 10)
    assert status()["addresses"] == [{"type": "IPAddress", "value": NODE_ADDRESS}]
    listeners = {one["name"]: one for one in status()["listeners"]}
    assert listeners[f"http-{port}"]["attachedRoutes"] == 2
    assert conditions(listeners["udp"])["Accepted"] == ("False", "UnsupportedProtocol")
    parents = lambda name: [conditions(one) for one in cluster.get("-n", cluster.ns, "httproute", name).get("status", {}).get("parents", [])]
    wait_for("the route", lambda: parents("web") == [{"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}], 10)
    wait_for("the lost one", lambda: parents("lost") == [{"Accepted": ("True", "Accepted"), "ResolvedRefs": ("False", "BackendNotFound")}], 10)
    assert NODE_ADDRESS in cluster.k("get", "gateway", "gw")


def test_canaries_and_filters(cluster, port):
    host = f"{cluster.ns}.example"
    cluster.apply(*backend("old"), *backend("new"), gateway("gw", http(port)), route(
        "web", host,
        {"backendRefs": [to("old", weight=80), to("new", weight=20)]},
        {"matches": [{"headers": [{"name": "x-canary", "value": "always"}]}], "backendRefs": [to("new")]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/moved"}}], "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}], "backendRefs": [to("old")],
         "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2"}}},
                     {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "X-Via", "value": "estiba"}]}}]},
        {"matches": [{"path": {"type": "Exact", "value": "/hang"}}], "backendRefs": [to("old")], "timeouts": {"request": "300ms"}}))
    ready(cluster, "old", "new")
    ask = asker(cluster, host, port)
    wait_for("the route", lambda: ask("/")[0] == 200, 10)
    script = f"""
import http.client
c = http.client.HTTPConnection({NODE_ADDRESS!r}, {port}, timeout=10); n = 0
for _ in range(500):
    c.request("GET", "/", headers={{"Host": {host!r}}}); n += c.getresponse().read().startswith(b"new ")
print(n)
"""
    share = int(cluster.sandbox.outside(["python3", "-c", script]).stdout)
    assert 50 <= share <= 160, "a fifth of 500, five standard deviations around it"
    assert all(ask("/", "-H", "X-Canary: always")[1].startswith("new ") for _ in range(10))
    assert "301" in ask("/moved/x", "-i")[1].splitlines()[0] and f"https://{host}/moved/x" in ask("/moved/x", "-i")[1]
    status, body = ask("/api/items?q=1", "-i")
    assert status == 200 and "old GET /v2/items?q=1" in body and "x-via: estiba" in body.lower()
    assert ask("/hang")[0] == 504
    cluster.k("delete", "httproute", "web")
    wait_for("no route", lambda: ask("/")[0] == 404, 10)


def test_tls_and_another_namespace(cluster, port):
    host = f"{cluster.ns}.example"
    pem = certificate(cluster, "cert", host)
    cluster.apply(*backend("web"), gateway("gw", {"name": "https", "protocol": "HTTPS", "port": port, "hostname": host, "tls": {"certificateRefs": [{"name": "cert"}]}}),
                  route("web", host, {"backendRefs": [to("web")]}))
    ready(cluster, "web")
    ask = lambda: curl(cluster, f"https://{host}:{port}/", "--resolve", f"{host}:{port}:{NODE_ADDRESS}", "--cacert", pem)
    wait_for("the answer", lambda: ask()[0] == 200, 10)
    assert " https " in ask()[1]
    # A route of another namespace: not before the listener allows it.
    other = cluster.ns + "-b"
    cluster.kubectl("create", "namespace", other)
    try:
        made = route("other", host, {"filters": [{"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}}}], "matches": [{"path": {"type": "Exact", "value": "/other"}}]})
        made["metadata"]["namespace"], made["spec"]["parentRefs"][0]["namespace"] = other, cluster.ns
        cluster.kubectl("create", "-f", "-", input=json.dumps(made))
        accepted = lambda: [conditions(one)["Accepted"] for one in cluster.get("-n", other, "httproute", "other").get("status", {}).get("parents", [])]
        wait_for("the refusal", lambda: accepted() == [("False", "NotAllowedByListeners")], 10)
        cluster.k("patch", "gateway", "gw", "--type=json", "-p", '[{"op": "add", "path": "/spec/listeners/0/allowedRoutes", "value": {"namespaces": {"from": "All"}}}]')
        wait_for("the permission", lambda: accepted() == [("True", "Accepted")], 10)
    finally:
        cluster.kubectl("delete", "namespace", other, "--wait=false")


def test_weights_shift_without_a_failed_request(cluster, port):
    host = f"{cluster.ns}.example"
    shares = lambda old, new: route("web", host, {"backendRefs": [to("old", weight=old), to("new", weight=new)]})
    cluster.apply(*backend("old", 2), *backend("new", 2), gateway("gw", http(port)), shares(100, 0))
    ready(cluster, "old", "new")
    wait_for("the route", lambda: asker(cluster, host, port)("/")[0] == 200, 10)
    results = []
    script = LOAD.replace("sys.argv[1], 80", f"sys.argv[1], {port}")
    load = threading.Thread(target=lambda: results.append(json.loads(cluster.sandbox.outside(["python3", "-c", script, NODE_ADDRESS, host, "5"]).stdout)))
    load.start()
    for old, new in ((75, 25), (50, 50), (25, 75), (0, 100)):
        time.sleep(0.5)
        cluster.apply(shares(old, new))
    cluster.k("delete", "deployment", "old")
    load.join()
    assert results and results[0]["failures"] == 0, results
    assert set(results[0]["seen"]) == {"old", "new"}


def test_wrong_routes_are_refused(cluster):
    def refused(made, message):
        result = cluster.apply(made, check=False)
        assert result.returncode and message in result.stderr, result.stderr
    host = "a.example"
    refused(route("r", host, {"matches": [{"path": {"type": "PathPrefix", "value": "x"}}], "backendRefs": [to("web")]}), "must be an absolute path")
    refused(route("r", host, {"backendRefs": [{"name": "web"}]}), "Must have port for Service reference")
    refused(route("r", host, {"filters": [{"type": "RequestRedirect"}]}), "filter.requestRedirect must be specified")
    refused(gateway("g", {"name": "a", "protocol": "HTTP", "port": 80, "tls": {"certificateRefs": [{"name": "x"}]}}), "tls must not be specified")


GRPC_SERVER = """
import grpc, sys
from concurrent import futures
def talk(requests, context):
    yield b"welcome"
    for one in requests: yield b"heard " + one
def fail(request, context): context.abort(grpc.StatusCode.NOT_FOUND, "no " + request.decode())
def get(request, context): return sys.argv[2].encode() + b" " + request
methods = {"Get": grpc.unary_unary_rpc_method_handler(get), "Fail": grpc.unary_unary_rpc_method_handler(fail), "Talk": grpc.stream_stream_rpc_method_handler(talk)}
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Cart", methods),))
server.add_insecure_port("0.0.0.0:" + sys.argv[1])
server.start()
server.wait_for_termination()
"""
GRPC_CLIENT = """
import grpc, json, queue, sys
channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.default_authority", sys.argv[2]), ("grpc.enable_http_proxy", 0)])
def code(call):
    try: return call().decode()
    except grpc.RpcError as error: return error.code().name + " " + error.details()
get = channel.unary_unary("/shop.Cart/Get")
said = {"get": code(lambda: get(b"x", timeout=5)), "canary": code(lambda: get(b"x", timeout=5, metadata=[("x-canary", "1")])),
        "large": code(lambda: str(len(get(b"x" * 2_000_000, timeout=5))).encode()), "fail": code(lambda: channel.unary_unary("/shop.Cart/Fail")(b"cart", timeout=5)),
        "elsewhere": code(lambda: channel.unary_unary("/shop.Order/Get")(b"x", timeout=5))}
questions, heard = queue.Queue(), []
try:
    for answer in channel.stream_stream("/shop.Cart/Talk")(iter(questions.get, None), timeout=5):
        heard.append(answer.decode())
        questions.put(b"more" if len(heard) < 4 else None)
    said["talk"] = heard
except grpc.RpcError as error:
    said["talk"] = heard + [str(error)]
print(json.dumps(said))
"""


def elsewhere(name, port, **more):
    """A Service of what listens on a port of the node."""
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80, "targetPort": port, **more}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
             "ports": [{"port": port, "protocol": "TCP"}], "endpoints": [{"addresses": [NODE_ADDRESS]}]}]


def test_grpc(cluster, port):
    host = f"{cluster.ns}.example"
    servers = [subprocess.Popen(cluster.sandbox.command(["/usr/bin/python3", "-c", GRPC_SERVER, str(number), name])) for number, name in ((port + 1, "one"), (port + 2, "two"))]
    try:
        grpc_route = {"apiVersion": f"{GROUP}/v1", "kind": "GRPCRoute", "metadata": {"name": "rpc"}, "spec": {"parentRefs": [{"name": "gw"}], "hostnames": [host], "rules": [
            {"matches": [{"method": {"service": "shop.Cart"}}], "backendRefs": [to("one")]},
            {"matches": [{"method": {"service": "shop.Cart", "method": "Get"}, "headers": [{"name": "x-canary", "value": "1"}]}], "backendRefs": [to("two")]}]}}
        ingress_rule = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "rpc"}, "spec": {"ingressClassName": "estiba", "rules": [
            {"host": host, "http": {"paths": [{"path": "/shop.Cart", "pathType": "Prefix", "backend": {"service": {"name": "h2c", "port": {"number": 80}}}}]}}]}}
        cluster.apply(*elsewhere("one", port + 1), *elsewhere("two", port + 2), *elsewhere("h2c", port + 1, appProtocol="kubernetes.io/h2c"), gateway("gw", http(port)), grpc_route, ingress_rule)

        def said(at):
            result = cluster.sandbox.outside(["/usr/bin/python3", "-c", GRPC_CLIENT, f"{NODE_ADDRESS}:{at}", host], check=False)
            return json.loads(result.stdout or '{"get": "%s"}' % result.stderr[-200:].replace('"', "'"))

        wait_for("the servers by way of the Gateway", lambda: said(port)["get"] == "one x", 20)
        expected = {"get": "one x", "canary": "two x", "large": "2000004", "fail": "NOT_FOUND no cart", "talk": ["welcome", "heard more", "heard more", "heard more"]}
        answers = said(port)
        assert answers.pop("elsewhere").startswith("UNIMPLEMENTED") and answers == expected
        answers = said(80)
        assert answers.pop("elsewhere").startswith("UNIMPLEMENTED") and answers == expected | {"canary": "one x"}, "a Service's appProtocol says it to an Ingress"
        parents = lambda: [conditions(one) for one in cluster.get("-n", cluster.ns, "grpcroute", "rpc").get("status", {}).get("parents", [])]
        wait_for("the route's status", lambda: parents() == [{"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}], 10)
        cluster.k("delete", "gateway", "gw")
        wait_for("no status", lambda: not parents(), 10)
    finally:
        for server in servers:
            server.terminate()
            server.wait(10)
