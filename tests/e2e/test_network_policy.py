"""NetworkPolicies with real pods: who reaches whom, through addresses, services and names."""
import json
import subprocess

from cluster import BIN, NODE_ADDRESS, OUTSIDE_ADDRESS, wait_for
from manifests import WEB, pod, service

import pytest


def policy(name, selector, **spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": {"podSelector": selector, **spec}}


def app(name):
    return {"matchLabels": {"app": name}}


def in_namespace(name):
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


DNS = {"to": [{"namespaceSelector": in_namespace("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=1).read().decode())"


class Pods:
    """A server `web` with a service, and the clients `friend` and `stranger`."""

    def __init__(self, cluster):
        self.cluster = cluster
        web = pod("web", *WEB, ports=[{"name": "http", "containerPort": 8080}], readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1})
        clients = [pod(name, "busybox", "sleep", "3600", image="estiba/python:test") for name in ("friend", "stranger")]
        cluster.apply(web, service("web"), *clients)
        for name in ("web", "friend", "stranger"):
            cluster.wait_running(name)
        self.ip = cluster.pod("web")["status"]["podIP"]
        wait_for("web", lambda: self.gets("friend") and self.gets("stranger"), 10)

    def gets(self, client, url=None):
        return self.cluster.k("exec", client, "--", "python3", "-c", FETCH, url or f"http://{self.ip}:8080/", check=False).strip() == "web"

    def see(self, **expected):
        """Waits until exactly this is so: which clients get an answer."""
        wait_for(f"{expected}", lambda: all(self.gets(client) == wanted for client, wanted in expected.items()), 15)


@pytest.fixture
def pods(cluster):
    return Pods(cluster)


def test_ingress_by_pod_and_port_changed_and_removed(cluster, pods):
    cluster.apply(policy("deny", {}))
    pods.see(friend=False, stranger=False)
    assert cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", f"http://{pods.ip}:8080/"]).stdout.strip() == "web", "the node itself, as for probes"
    cluster.apply(policy("allow", app("web"), ingress=[{"from": [{"podSelector": app("friend")}], "ports": [{"port": "http"}]}]))
    pods.see(friend=True, stranger=False)
    assert pods.gets("friend", "http://web/") and not pods.gets("stranger", "http://web/"), "through the service"
    cluster.apply(policy("allow", app("web"), ingress=[{"from": [{"podSelector": app("stranger")}], "ports": [{"port": 8000, "endPort": 8090}]}]))
    pods.see(friend=False, stranger=True)
    cluster.apply(policy("allow", app("web"), ingress=[{"ports": [{"port": 8081}]}]))
    pods.see(friend=False, stranger=False)
    cluster.k("label", "pod", "web", "app-", "--overwrite")
    cluster.k("delete", "networkpolicy", "deny")
    pods.see(friend=True, stranger=True)
    assert cluster.pod("web")["status"]["containerStatuses"][0]["ready"]


def test_ingress_by_namespace(cluster, pods):
    other = cluster.ns + "-other"
    cluster.kubectl("create", "namespace", other)
    try:
        ns, cluster.ns = cluster.ns, other
        cluster.apply(pod("friend", "busybox", "sleep", "3600", image="estiba/python:test"))
        cluster.wait_running("friend")
        elsewhere = Elsewhere(cluster, pods.ip, other)
        cluster.ns = ns
        cluster.apply(policy("allow", app("web"), ingress=[{"from": [{"namespaceSelector": in_namespace(other), "podSelector": app("friend")}]}]))
        pods.see(friend=False, stranger=False)
        assert elsewhere.gets()
        cluster.apply(policy("allow", app("web"), ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]))
        wait_for("the new policy", lambda: not elsewhere.gets(), 10)
        cluster.kubectl("label", "namespace", other, "team=blue")
        wait_for("the namespace's label", elsewhere.gets, 10)
        pods.see(friend=False)
    finally:
        cluster.kubectl("delete", "namespace", other, "--wait=false")


class Elsewhere:
    """The pod `friend` of another namespace."""

    def __init__(self, cluster, ip, ns):
        self.cluster, self.ip, self.ns = cluster, ip, ns

    def gets(self):
        return self.cluster.kubectl("-n", self.ns, "exec", "friend", "--", "python3", "-c", FETCH, f"http://{self.ip}:8080/", check=False).strip() == "web"


def test_egress_and_names(cluster, pods):
    cluster.apply(policy("closed", app("friend"), policyTypes=["Egress"]))
    pods.see(friend=False, stranger=True)
    assert not pods.gets("friend", "http://web/")
    cluster.apply(policy("closed", app("friend"), policyTypes=["Egress"], egress=[DNS, {"to": [{"podSelector": app("web")}], "ports": [{"port": 8080}]}]))
    wait_for("the service by its name", lambda: pods.gets("friend", "http://web/"), 15)
    cluster.apply(policy("closed", app("friend"), policyTypes=["Egress"], egress=[{"to": [{"podSelector": app("web")}]}]))
    wait_for("names to be closed", lambda: not pods.gets("friend", "http://web/"), 15)
    pods.see(friend=True)


def test_blocks_of_addresses_and_the_outside(cluster, pods):
    cluster.apply(service("outer", type="NodePort") | {"spec": {"type": "NodePort", "selector": {"app": "web"}, "externalTrafficPolicy": "Local", "ports": [{"port": 80, "targetPort": 8080}]}})
    port = cluster.get("-n", cluster.ns, "service", "outer")["spec"]["ports"][0]["nodePort"]
    url = f"http://{NODE_ADDRESS}:{port}/"
    outside = lambda: (cluster.fetch(url, 1) or "").strip() == "web"
    wait_for("the node port", outside, 10)
    cluster.apply(policy("allow", app("web"), ingress=[{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [OUTSIDE_ADDRESS + "/32"]}}]}]))
    wait_for("the exception", lambda: not outside(), 10)
    pods.see(friend=True, stranger=True)
    friend = cluster.pod("friend")["status"]["podIP"]
    cluster.apply(policy("allow", app("web"), ingress=[{"from": [{"ipBlock": {"cidr": OUTSIDE_ADDRESS.rsplit(".", 1)[0] + ".0/24"}}, {"ipBlock": {"cidr": friend + "/32"}}]}]))
    wait_for("the outside", outside, 10)
    pods.see(friend=True, stranger=False)


def test_a_pod_is_isolated_before_its_first_packet(cluster, pods):
    cluster.apply(policy("closed", app("eager"), policyTypes=["Egress"]))
    script = f"import socket, sys\ntry: socket.create_connection(('{pods.ip}', 8080), 1)\nexcept TimeoutError: sys.exit(0)\nsys.exit(7)"
    command = ("python3", "-c", script)
    cluster.apply(*(pod(name, *command, image="estiba/python:test", restartPolicy="Never") for name in ("eager", "free")))
    assert cluster.wait_ended("free")["status"]["phase"] == "Failed", "the test can fail"
    assert cluster.wait_ended("eager")["status"]["phase"] == "Succeeded", cluster.k("logs", "eager")


def test_flows_tell_who_talks_to_whom_and_what_is_denied(cluster, pods):
    cluster.apply(policy("only-friend", app("web"), ingress=[{"from": [{"podSelector": app("friend")}]}]))
    pods.see(friend=True, stranger=False)
    assert pods.gets("friend", "http://web/")

    def flows(*arguments):
        result = cluster.estiba("network", "flows", "--kubeconfig", cluster.kubeconfig, "-o", "json", "--namespace", cluster.ns, *arguments)
        return json.loads(result.stdout)["flows"]

    def of(found, source, **wanted):
        return [flow for flow in found if flow["source"].get("name") == source and flow["destination"].get("name") == "web" and flow["destination"].get("port") == 8080
                and all(flow.get(key) == value for key, value in wanted.items())]

    found = flows()
    by_service = [flow for flow in of(found, "friend", verdict="accepted") if flow.get("by", {}).get("kind") == "service"]
    assert by_service and by_service[0]["by"] | {"address": ""} == {"address": "", "port": 80, "kind": "service", "namespace": cluster.ns, "name": "web"}
    straight = [flow for flow in of(found, "friend", verdict="accepted", answered=True) if "by" not in flow]
    assert straight and straight[0]["packets"] > 4 and straight[0]["bytes"] > 200 and straight[0]["since"].endswith("Z")
    assert straight[0]["source"]["node"] == "node-1" and straight[0]["protocol"] == "tcp"
    denied = of(found, "stranger", verdict="denied")
    assert len(denied) == 1 and denied[0]["policies"] == [f"{cluster.ns}/only-friend"] and denied[0]["packets"] >= 1, denied
    assert not of(flows("--pod", "friend"), "stranger")
    table = cluster.estiba("network", "flows", "--kubeconfig", cluster.kubeconfig, "--pod", "stranger").stdout.splitlines()
    assert table[0].split()[:2] == ["SOURCE", "DESTINATION"] and any(line.startswith(f"{cluster.ns}/stranger") and f"denied by {cluster.ns}/only-friend" in line for line in table)

    watching = subprocess.Popen(cluster.sandbox.command([BIN / "estiba", "network", "flows", "--kubeconfig", cluster.kubeconfig, "--pod", "stranger", "--watch"]), stdout=subprocess.PIPE, text=True)
    try:
        lines = iter(watching.stdout.readline, "")
        assert next(lines).startswith("SOURCE")
        cluster.k("exec", "stranger", "--", "python3", "-c", FETCH, f"http://{NODE_ADDRESS}:1/", check=False)
        assert not pods.gets("stranger")
        packets = int(denied[0]["packets"])
        grown = lambda line: "denied" in line and f"{cluster.ns}/web:8080" in line and int(line.split()[3]) > packets
        assert any(grown(line) for _, line in zip(range(20), lines))
    finally:
        watching.kill()
        watching.wait()

    result = cluster.estiba("network", "flows", "--output", "yaml", check=False)
    assert result.returncode == 1 and "--output is json or nothing, not" in result.stderr
