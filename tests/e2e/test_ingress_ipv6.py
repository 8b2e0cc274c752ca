"""Ingresses by IPv6: listeners, clients' addresses, backends and hosts that are addresses."""
import pytest

from cluster import NODE_ADDRESS, OUTSIDE_ADDRESS, wait_for
from manifests import service
from test_dual_stack import DUAL, NODE6, OUTSIDE6, made
from test_gateway import gateway, http, route, to
from test_ingress import backend, certificate, curl, ingress, ready


@pytest.fixture(scope="module", params=["both", "six"])
def cluster(request):
    flags = DUAL if request.param == "both" else {"pod-cidr": "fd00:42::/56", "service-cidr": "fd00:43::/112", "advertise-address": NODE6}
    with made(only=request.param == "six", **flags) as cluster:
        cluster.ns = "default"
        cluster.both = request.param == "both"
        deployed, _ = backend("web")
        cluster.apply(deployed, service("web", ipFamilies=["IPv6"]))  # endpoints of IPv6 alone
        ready(cluster, "web")
        yield cluster


def ask(cluster, target, *arguments):
    return curl(cluster, f"http://[{NODE6}]{target}", "-g", *arguments)


def test_clients_and_backends_by_ipv6(cluster):
    host = "six.example"
    cluster.apply(ingress("web", ("/", "Prefix", "web"), host=host, tls="cert"))
    wait_for("the route", lambda: ask(cluster, "/", "-H", f"Host: {host}")[0] == 200, 20)
    assert ask(cluster, "/x", "-H", f"Host: {host}")[1] == f"web GET /x {host} {OUTSIDE6} http 0"
    assert ask(cluster, "/x", "-H", f"Host: {host}", "-H", "X-Forwarded-For: 2001:db8::9")[1] == f"web GET /x {host} 2001:db8::9, {OUTSIDE6} http 0"
    pem = certificate(cluster, "cert", host)
    secure = lambda *arguments: curl(cluster, f"https://{host}/s", "--resolve", f"{host}:443:[{NODE6}]", "--cacert", pem, *arguments)
    wait_for("the certificate", lambda: secure()[0] == 200, 20)
    for protocol in ("--http1.1", "--http2"):
        assert secure(protocol)[1] == f"web GET /s {host} {OUTSIDE6} https 0"
    status = lambda: {one["ip"] for one in cluster.get("-n", cluster.ns, "ingress", "web")["status"]["loadBalancer"]["ingress"]}
    wait_for("the addresses", lambda: status() == ({NODE6, NODE_ADDRESS} if cluster.both else {NODE6}), 20)
    if cluster.both:  # the same listener; the client's address is as it is, not mapped into IPv6
        assert curl(cluster, f"http://{NODE_ADDRESS}/x", "-H", f"Host: {host}")[1] == f"web GET /x {host} {OUTSIDE_ADDRESS} http 0"
    cluster.k("delete", "ingress", "web")


def test_a_host_that_is_an_address(cluster):
    cluster.apply(ingress("any", ("/", "Prefix", "web")), gateway("gw", http(8090)), route("web", "named.example", {"backendRefs": [to("web")]}))
    wait_for("the route", lambda: ask(cluster, "/")[0] == 200, 20)
    assert ask(cluster, "/x")[1] == f"web GET /x [{NODE6}] {OUTSIDE6} http 0"
    assert ask(cluster, "/x", "-H", f"Host: [{NODE6.upper()}]:80")[1] == f"web GET /x [{NODE6.upper()}]:80 {OUTSIDE6} http 0"
    wait_for("the listener", lambda: ask(cluster, ":8090/", "-H", "Host: named.example:8090")[0] == 200, 20)
    assert ask(cluster, ":8090/")[0] == 404
    cluster.k("delete", "ingress", "any")
    cluster.k("delete", "gateway", "gw")
