"""Ingresses and Gateways on every node: a server and two agents, and clients on the link beside them."""
import json
import threading

import pytest

from cluster import busybox_image, python_image, run, wait_for
from fleet import Fleet
from test_gateway import gateway, http, route, to
from test_ingress import LOAD, backend, certificate, ingress, ready

IMAGES = ((busybox_image, "estiba/busybox:test"), (python_image, "estiba/python:test"))
CLIENT = "192.168.80.254"


@pytest.fixture(scope="module")
def shared_fleet():
    with Fleet(links=(0, 0)) as fleet:
        fleet.start([(make(), name) for make, name in IMAGES])
        yield fleet


@pytest.fixture
def fleet(shared_fleet, request):
    cluster = shared_fleet.cluster
    cluster.ns = "t-" + request.node.name[5:40].replace("_", "-").rstrip("-")
    cluster.kubectl("create", "namespace", cluster.ns)
    for name in ("node-1", "node-2", "node-3"):
        shared_fleet.wait_ready(name)
    yield shared_fleet
    report = getattr(request.node, "report", None)
    if report is not None and report.failed:
        print(cluster.log()[-4000:], shared_fleet.logs())
        print(cluster.kubectl("-n", cluster.ns, "get", "all,ingress,gateway,events", "-o", "wide", check=False))
    cluster.kubectl("delete", "namespace", cluster.ns, "--wait=false")


def addresses(fleet):
    return [fleet.cluster.sandbox.address, *(fleet.agents[name].machine.address for name in ("node-2", "node-3"))]


def curl(fleet, url, *arguments):
    """(status, body) as a client on the link sees them; status 0: no answer."""
    result = run(["nsenter", "--net", "--target", str(fleet.underlay.holder.pid), "curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", *map(str, arguments), url], check=False)
    body, _, status = result.stdout.rpartition("\n")
    return int(status or 0), body


def every_node(fleet, ask, what, expected=200):
    """`ask(address)` of each node."""
    for address in addresses(fleet):
        wait_for(f"{what} at {address}", lambda: ask(address)[0] == expected, 20)


def as_node(fleet, name, *arguments):
    """kubectl by the certificate of the agent's node; its output and whether it was allowed."""
    folder = fleet.agents[name].data_dir / "agent"
    identity = ["--kubeconfig=/dev/null", f"--server={fleet.server}", f"--certificate-authority={folder}/ca.crt", f"--client-certificate={folder}/client.crt", f"--client-key={folder}/client.key"]
    result = run(fleet.cluster.sandbox.command([fleet.cluster.kubectl_path, *identity, *arguments]), check=False)
    return result.returncode == 0, result.stdout + result.stderr


def test_every_node_serves_ingresses_and_sees_the_client(fleet):
    cluster, host = fleet.cluster, "every.example"
    cluster.apply(*backend("web", 2), ingress("web", ("/", "Prefix", "web"), host=host, tls="cert"))
    ready(cluster, "web")
    every_node(fleet, lambda address: curl(fleet, f"http://{address}/", "-H", f"Host: {host}"), "the route")
    for address in addresses(fleet):
        assert curl(fleet, f"http://{address}/x", "-H", f"Host: {host}")[1] == f"web GET /x {host} {CLIENT} http 0"
    status = lambda: [one["ip"] for one in cluster.get("-n", cluster.ns, "ingress", "web")["status"]["loadBalancer"]["ingress"]]
    wait_for("the addresses of all nodes", lambda: status() == sorted(addresses(fleet)), 20)
    assert {n["metadata"]["labels"]["estiba.dev/ingress"] for n in cluster.get("nodes")["items"]} == {"true"}

    # A certificate comes, and is replaced.
    secure = lambda address, pem: curl(fleet, f"https://{host}/s", "--resolve", f"{host}:443:{address}", "--cacert", pem)
    pem = certificate(cluster, "cert", host)
    every_node(fleet, lambda address: secure(address, pem), "the certificate")
    newer = certificate(cluster, "cert", host)
    every_node(fleet, lambda address: secure(address, newer), "the new certificate")
    assert secure(addresses(fleet)[1], newer)[1] == f"web GET /s {host} {CLIENT} https 0"
    cluster.k("delete", "ingress", "web")
    every_node(fleet, lambda address: curl(fleet, f"http://{address}/", "-H", f"Host: {host}"), "the end", 0)


def test_an_agent_reads_the_certificates_that_it_serves_and_no_others(fleet):
    cluster, host = fleet.cluster, "rights.example"
    cluster.apply(ingress("web", ("/", "Prefix", "web"), host=host, tls="cert"))
    certificate(cluster, "cert", host)
    cluster.k("create", "secret", "generic", "password", "--from-literal=key=value")
    secret = lambda name, *more: as_node(fleet, "node-2", "-n", cluster.ns, "get", "secret", name, *more)
    assert secret("cert")[0]
    for said in (secret("password"), secret("--all-namespaces"), as_node(fleet, "node-2", "-n", cluster.ns, "get", "secrets"),
                 as_node(fleet, "node-2", "-n", "kube-system", "get", "secret", "cert"), as_node(fleet, "node-2", "-n", cluster.ns, "delete", "secret", "cert"),
                 as_node(fleet, "node-2", "-n", cluster.ns, "delete", "ingress", "web")):
        assert not said[0] and "forbidden" in said[1].lower(), said
    assert as_node(fleet, "node-2", "auth", "can-i", "list", "ingresses", "-A")[0]
    for verb in ("patch", "update"):  # the server that leads writes it
        assert not as_node(fleet, "node-2", "-n", cluster.ns, "auth", "can-i", verb, "ingresses", "--subresource=status")[0]
    # What is not named any more is closed again.
    cluster.k("patch", "ingress", "web", "--type=json", "-p", '[{"op": "remove", "path": "/spec/tls"}]')
    assert not secret("cert")[0]
    cluster.k("delete", "ingress", "web")


def test_every_node_serves_gateways(fleet):
    cluster, host, port = fleet.cluster, "gateway.example", 8090
    infra = cluster.ns + "-i"
    cluster.kubectl("create", "namespace", infra)
    secure = {"name": "https", "protocol": "HTTPS", "port": port + 1, "hostname": host, "tls": {"certificateRefs": [{"name": "cert", "namespace": infra}]}}
    cluster.apply(*backend("web"), gateway("gw", http(port), secure), route("web", host, {"backendRefs": [to("web")]}))
    ready(cluster, "web")
    every_node(fleet, lambda address: curl(fleet, f"http://{address}:{port}/", "-H", f"Host: {host}"), "the route")
    ns, cluster.ns = cluster.ns, infra
    pem = certificate(cluster, "cert", host)
    cluster.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant", "metadata": {"name": "g"},
                   "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": ns}], "to": [{"group": "", "kind": "Secret"}]}})
    cluster.ns = ns
    every_node(fleet, lambda address: curl(fleet, f"https://{host}:{port + 1}/", "--resolve", f"{host}:{port + 1}:{address}", "--cacert", pem), "the certificate of another namespace")
    status = lambda: [one["value"] for one in cluster.get("-n", ns, "gateway", "gw")["status"]["addresses"]]
    wait_for("the addresses of all nodes", lambda: status() == sorted(addresses(fleet)), 20)
    cluster.kubectl("delete", "namespace", infra, "--wait=false")
    cluster.k("delete", "gateway", "gw")


def test_an_agent_serves_on_while_the_server_is_away(fleet):
    cluster, host = fleet.cluster, "away.example"
    made, *rest = backend("web", 2)
    made["spec"]["template"]["spec"]["nodeName"] = "node-3"
    cluster.apply(made, *rest, ingress("web", ("/", "Prefix", "web"), host=host, tls="cert"))
    ready(cluster, "web")
    pem = certificate(cluster, "cert", host)
    agent = fleet.agents["node-2"].machine.address
    asks = {"http": lambda: curl(fleet, f"http://{agent}/", "-H", f"Host: {host}"), "https": lambda: curl(fleet, f"https://{host}/", "--resolve", f"{host}:443:{agent}", "--cacert", pem)}
    for scheme, ask in asks.items():
        wait_for(scheme, lambda: ask()[0] == 200, 20)
    results = []
    load = threading.Thread(target=lambda: results.append(json.loads(run(["nsenter", "--net", "--target", str(fleet.underlay.holder.pid), "python3", "-c", LOAD, agent, host, "8"]).stdout)))
    load.start()
    cluster.kill9()
    for ask in asks.values():
        assert ask()[0] == 200
    cluster.start()
    load.join()
    assert results[0]["failures"] == 0 and results[0]["seen"], results
    # What changes afterwards reaches it.
    pem = certificate(cluster, "cert", host)
    wait_for("the new certificate", lambda: asks["https"]()[0] == 200, 40)
    fleet.wait_ready("node-2", seconds=60)
    cluster.k("delete", "ingress", "web")


def test_a_node_that_serves_none_says_so_when_it_starts(fleet):
    cluster, host, agent = fleet.cluster, "none.example", fleet.agents["node-3"]
    agent.stop()
    agent.flags["ingress"] = "false"
    agent.start()
    try:
        label = lambda: fleet.node("node-3")["metadata"]["labels"].get("estiba.dev/ingress")
        wait_for("the label to go", lambda: label() is None, 20)
        cluster.apply(*backend("web"), ingress("web", ("/", "Prefix", "web"), host=host))
        ready(cluster, "web")
        ask = lambda address: curl(fleet, f"http://{address}/", "-H", f"Host: {host}")[0]
        server, other, without = addresses(fleet)
        wait_for("the others", lambda: ask(server) == 200 and ask(other) == 200, 20)
        assert ask(without) == 0
        status = lambda: [one["ip"] for one in cluster.get("-n", cluster.ns, "ingress", "web")["status"].get("loadBalancer", {}).get("ingress", [])]
        wait_for("the addresses", lambda: status() == [server, other], 20)
        cluster.k("delete", "ingress", "web")
    finally:
        agent.stop()
        del agent.flags["ingress"]
        agent.start()
    wait_for("the label", lambda: label() == "true", 20)


def test_a_cluster_may_keep_certificates_from_agents():
    with Fleet(links=(0,), **{"ingress-on-agents": "false"}) as fleet:
        fleet.start()
        cluster = fleet.cluster
        cluster.ns = "default"
        cluster.apply(ingress("web", ("/", "Prefix", "web"), host="none.example", tls="cert"))
        certificate(cluster, "cert", "none.example")
        assert not as_node(fleet, "node-2", "get", "secret", "cert")[0]
        assert "estiba.dev/ingress" not in fleet.node("node-2")["metadata"]["labels"]
        wait_for("the server's own", lambda: curl(fleet, f"http://{cluster.sandbox.address}/", "-H", "Host: none.example")[0] == 503, 20)
        assert curl(fleet, f"http://{fleet.agents['node-2'].machine.address}/", "-H", "Host: none.example")[0] == 0
