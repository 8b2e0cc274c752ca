"""IPv6 and both families at once: pods, services, node ports, policies, names, and nodes that reach each other by IPv6."""
import contextlib
import ipaddress
import json

import pytest

import cluster as support
from cluster import BIN, Sandbox, run, wait_for
from fleet import Fleet, Machine
from manifests import deployment, pod, service

PYTHON = "estiba/python:test"
DUAL = {"pod-cidr": "10.42.0.0/16,fd00:42::/56", "service-cidr": "10.43.0.0/16,fd00:43::/112"}
NODE6, OUTSIDE6 = "2001:db8:77::1", "2001:db8:77::2"
# Tells its name and who asks, by both families.
SERVE = """
import http.server, socket, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (socket.gethostname() + " " + self.client_address[0].removeprefix("::ffff:")).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True
Server(("::", 8080), Handler).serve_forever()
"""
# The answer, or "refused", or "timeout".
FETCH = """
import socket, sys, urllib.request
try: print(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode())
except OSError as error: print("refused" if "refused" in str(error) else "timeout" if "timed out" in str(error) else error)
"""
LOOKUP = "import socket, sys; print(*sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)}))"


class SixSandbox(Sandbox):
    """Its link to the outside has IPv6 addresses too, or only those."""

    def __init__(self, only=False):
        self.only = only
        super().__init__()

    def connect(self):
        super().connect()
        self.outside(["ip", "address", "add", f"{OUTSIDE6}/64", "dev", "eth0", "nodad"])
        self.inside(["sh", "-c", f"ip address add {NODE6}/64 dev eth0 nodad && ip -6 route add default via {OUTSIDE6}"])
        if self.only:
            self.inside(["ip", "-4", "address", "flush", "dev", "eth0"])


@contextlib.contextmanager
def made(only=False, **flags):
    with support.Cluster(sandbox=SixSandbox(only), **flags) as cluster:
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.import_image(support.python_image(), PYTHON)
        cluster.start()
        yield cluster


@pytest.fixture(scope="module")
def dual():
    with made(**DUAL) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def six():
    with made(only=True, **{"pod-cidr": "fd00:42::/56", "service-cidr": "fd00:43::/112", "advertise-address": NODE6}) as cluster:
        yield cluster


@contextlib.contextmanager
def namespace(cluster, request):
    cluster.ns = "t-" + request.node.name[5:40].replace("_", "-").rstrip("-")
    cluster.kubectl("create", "namespace", cluster.ns)
    yield cluster
    report = getattr(request.node, "report", None)
    if report is not None and report.failed:
        print(cluster.log()[-6000:])
        print(cluster.kubectl("-n", cluster.ns, "get", "all,endpointslices,events", "-o", "wide", check=False))
        print(cluster.sandbox.inside(["sh", "-c", "ip -6 route; ip -6 address; ip -6 neigh; nft list table ip6 estiba"], check=False).stdout[-6000:])
    cluster.kubectl("delete", "namespace", cluster.ns, "--wait=false")


@pytest.fixture
def cluster(dual, request):
    with namespace(dual, request) as found:
        yield found


@pytest.fixture
def cluster6(six, request):
    with namespace(six, request) as found:
        yield found


def web(name, **spec):
    return pod(name, "python3", "-c", SERVE, image=PYTHON, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}, **spec)


def client(name="client", **spec):
    return pod(name, "busybox", "sleep", "3600", image=PYTHON, **spec)


def ready(cluster, *names):
    return [cluster.wait_pod(name, lambda p: any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", [])), "readiness") for name in names]


def ips(found):
    return [ip["ip"] for ip in found["status"]["podIPs"]]


def at(address, port=8080):
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def fetch(cluster, url, source="client"):
    return cluster.k("exec", source, "--", "python3", "-c", FETCH, url, check=False).strip()


def reaches(cluster, url, name, source="client"):
    wait_for(f"{name} at {url}", lambda: fetch(cluster, url, source).startswith(name), 15, 0.1)


def family(address):
    return ipaddress.ip_address(address).version


def addresses(cluster, name):
    return cluster.get("-n", cluster.ns, "service", name)["spec"]["clusterIPs"]


def test_a_pod_has_an_address_of_each_family(cluster):
    show = "echo $IPS; echo $HOSTS; cat /etc/hosts; cat /etc/resolv.conf; exec sleep 3600"
    field = lambda path: {"valueFrom": {"fieldRef": {"fieldPath": path}}}
    cluster.apply(pod("p", "sh", "-c", show, env=[{"name": "IPS", **field("status.podIPs")}, {"name": "HOSTS", **field("status.hostIPs")}]), pod("host", hostNetwork=True))
    found = cluster.wait_running("p")
    four, sixth = ips(found)
    assert found["status"]["podIP"] == four
    node = cluster.get("node", "node-1")
    assert [family(r.split("/")[0]) for r in node["spec"]["podCIDRs"]] == [4, 6]
    assert ipaddress.ip_address(four) in ipaddress.ip_network(node["spec"]["podCIDRs"][0])
    assert ipaddress.ip_address(sixth) in ipaddress.ip_network(node["spec"]["podCIDRs"][1])
    assert node["spec"]["podCIDRs"][1].endswith("/64")
    hosts = [h["ip"] for h in found["status"]["hostIPs"]]
    assert hosts == [support.NODE_ADDRESS, NODE6]
    lines = wait_for("the output", lambda: cluster.k("logs", "p").splitlines(), 5)
    assert lines[0] == f"{four},{sixth}" and lines[1] == ",".join(hosts)
    assert f"{four}\tp" in lines and f"{sixth}\tp" in lines
    assert [line for line in lines if line.startswith("nameserver")] == ["nameserver 10.43.0.10"]
    assert ips(cluster.wait_running("host")) == hosts


def test_pods_talk_by_both_families(cluster):
    cluster.apply(web("a"), client())
    a, c = ready(cluster, "a", "client")
    for address, own in zip(ips(a), ips(c)):
        assert fetch(cluster, at(address)) == f"a {own}", "as it is, without translation"
        gateway = cluster.sandbox.inside(["curl", "-s", "-m", "3", at(address)]).stdout
        assert gateway.startswith("a "), "from the node"
    # To the outside, under the node's address.
    outside = cluster.sandbox.outside(["ip", "-6", "route", "show"]).stdout
    assert "fd00:42" not in outside
    answer = cluster.k("exec", "client", "--", "busybox", "ping", "-6", "-c", "1", "-W", "2", OUTSIDE6, check=False)
    assert "1 packets received" in answer, answer


def test_a_service_of_both_families_leads_to_its_pods_by_both(cluster):
    cluster.apply(deployment("web", 2, "python3", "-c", SERVE, image=PYTHON, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), client(),
                  service("web", ipFamilyPolicy="RequireDualStack", type="NodePort"), service("four", selector={"app": "web"}), service("head", selector={"app": "web"}, clusterIP="None", ipFamilyPolicy="PreferDualStack"))
    cluster.k("rollout", "status", "deployment/web", "--timeout=60s")
    ready(cluster, "client")
    both = addresses(cluster, "web")
    assert [family(a) for a in both] == [4, 6]
    for address in both:
        names = set()
        wait_for("both pods", lambda: names.add(fetch(cluster, at(address, 80)).split()[0]) or len(names) == 2, 15, 0.05)
        assert all(name.startswith("web-") for name in names)
    slices = cluster.get("-n", cluster.ns, "endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
    assert sorted(s["addressType"] for s in slices) == ["IPv4", "IPv6"]
    assert [family(a) for a in addresses(cluster, "four")] == [4]
    lookup = lambda name: cluster.k("exec", "client", "--", "python3", "-c", LOOKUP, name).split()
    assert lookup("web") == sorted(both)
    assert lookup("four") == addresses(cluster, "four")
    pods = cluster.get("-n", cluster.ns, "pods", "-l", "app=web")["items"]
    assert lookup("head") == sorted(ip for p in pods for ip in ips(p))
    # By the node's port: from outside and from the node, by each family.
    port = cluster.get("-n", cluster.ns, "service", "web")["spec"]["ports"][0]["nodePort"]
    for address in (support.NODE_ADDRESS, NODE6):
        wait_for("the node port", lambda: (cluster.fetch(at(address, port)) or "").startswith("web-"), 10)
        assert cluster.sandbox.inside(["curl", "-s", "-m", "3", at(address, port)]).stdout.startswith("web-")
    # A name for an address.
    reverse = ipaddress.ip_address(both[1]).reverse_pointer
    assert cluster.sandbox.inside(["dig", "+short", "@fd00:43::a", reverse, "PTR"]).stdout == f"web.{cluster.ns}.svc.cluster.local.\n"
    # No endpoints: refused at once, by both.
    cluster.k("scale", "deployment/web", "--replicas=0")
    for address in both:
        wait_for("a refusal", lambda: fetch(cluster, at(address, 80)) == "refused", 15)


def test_a_service_gets_and_gives_up_its_second_family(cluster):
    cluster.apply(web("a"), client(), service("a"))
    ready(cluster, "a", "client")
    [first] = addresses(cluster, "a")
    reaches(cluster, at(first, 80), "a")
    cluster.k("patch", "service", "a", "-p", json.dumps({"spec": {"ipFamilyPolicy": "PreferDualStack"}}))
    both = addresses(cluster, "a")
    assert both[0] == first and family(both[1]) == 6
    reaches(cluster, at(both[1], 80), "a")
    refused = cluster.k("patch", "service", "a", "-p", json.dumps({"spec": {"clusterIPs": [both[1], both[0]]}}), check=False)
    assert addresses(cluster, "a") == both, refused
    cluster.k("patch", "service", "a", "-p", json.dumps({"spec": {"ipFamilyPolicy": "SingleStack"}}))
    assert addresses(cluster, "a") == [first]
    wait_for("a refusal", lambda: fetch(cluster, at(both[1], 80)) == "refused", 15)
    reaches(cluster, at(first, 80), "a")
    assert cluster.kubectl("get", "ipaddresses", both[1], check=False) == ""


def test_policies_are_for_both_families(cluster):
    cluster.apply(web("a"), client(), client("friend"))
    a, c, f = ready(cluster, "a", "client", "friend")
    four, sixth = ips(a)
    for address in (four, sixth):
        reaches(cluster, at(address), "a")
    policy = lambda peers: {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
                            "spec": {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{"from": peers}]}}
    cluster.apply(policy([{"podSelector": {"matchLabels": {"app": "friend"}}}]))
    for address in (four, sixth):
        wait_for("the policy", lambda: fetch(cluster, at(address)) == "timeout", 15)
        assert fetch(cluster, at(address), "friend").startswith("a ")
    flows = lambda: json.loads(cluster.estiba("network", "flows", "--kubeconfig", cluster.kubeconfig, "-n", cluster.ns, "-o", "json").stdout)["flows"]
    wait_for("what was denied", lambda: [x for x in flows() if x["verdict"] == "denied" and x["destination"]["address"] == sixth], 5)
    # Blocks are of one family.
    cluster.apply(policy([{"ipBlock": {"cidr": ips(c)[1] + "/128"}}]))
    wait_for("the block", lambda: fetch(cluster, at(sixth)).startswith("a "), 15)
    assert fetch(cluster, at(four)) == "timeout"
    assert fetch(cluster, at(sixth), "friend") == "timeout"
    cluster.apply(policy([{"ipBlock": {"cidr": "fd00:42::/56", "except": [ips(c)[1] + "/128"]}}]))
    wait_for("the exception", lambda: fetch(cluster, at(sixth)) == "timeout", 15)
    assert fetch(cluster, at(sixth), "friend").startswith("a ")


def test_a_bridge_that_was_removed_comes_back(cluster):
    cluster.apply(web("a"), client())
    a, _ = ready(cluster, "a", "client")
    cluster.sandbox.inside(["ip", "link", "delete", "estiba0"])
    for address in ips(a):
        reaches(cluster, at(address), "a")
    cluster.sandbox.inside(["ip", "link", "set", "estiba0", "down"])
    for address in ips(a):
        reaches(cluster, at(address), "a")


def test_a_pods_link_that_was_removed_comes_back(cluster):
    cluster.apply(web("a"), client())
    a, _ = ready(cluster, "a", "client")
    link = "ev" + ipaddress.ip_address(ips(a)[0]).packed.hex()
    for harm in (["delete", link], ["set", link, "down"], ["set", link, "nomaster"]):
        cluster.sandbox.inside(["ip", "link", *harm])
        for address in ips(a):
            reaches(cluster, at(address), "a")
    # The pod itself may do it, with the rights for it.
    cluster.sandbox.inside(["nsenter", f"--net=/run/estiba/netns/{ips(a)[0]}", "ip", "link", "delete", "eth0"])
    for address in ips(a):
        reaches(cluster, at(address), "a")
    assert cluster.pod("a")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_cluster_of_ipv6_alone(cluster6):
    cluster = cluster6
    cluster.apply(web("a"), client(), service("a", type="NodePort"))
    a, _ = ready(cluster, "a", "client")
    [own] = ips(a)
    assert family(own) == 6 and a["status"]["podIP"] == own
    [address] = addresses(cluster, "a")
    assert family(address) == 6
    reaches(cluster, at(own), "a")
    reaches(cluster, at(address, 80), "a")
    reaches(cluster, "http://a/", "a")
    port = cluster.get("-n", cluster.ns, "service", "a")["spec"]["ports"][0]["nodePort"]
    wait_for("the node port", lambda: (cluster.fetch(at(NODE6, port)) or "").startswith("a "), 10)
    kubernetes = cluster.get("-n", "default", "service", "kubernetes")["spec"]
    assert kubernetes["clusterIPs"] == ["fd00:43::1"] and kubernetes["ipFamilies"] == ["IPv6"]
    code = "import ssl, urllib.request; c = ssl.create_default_context(cafile='/var/run/secrets/kubernetes.io/serviceaccount/ca.crt'); print(urllib.request.urlopen('https://kubernetes.default/readyz', context=c).read().decode())"
    assert cluster.k("exec", "client", "--", "python3", "-c", code).strip() == "ok"
    assert cluster.k("logs", "a", check=False) == "" and "a" in cluster.k("exec", "a", "--", "busybox", "hostname")


class DualMachine(Machine):
    """Its address on the link is there as IPv6 too: 2001:db8:8<link>::<number>."""

    @property
    def address6(self):
        return f"2001:db8:8{self.link}::{self.number}"

    def connect(self):
        super().connect()
        self.underlay.inside(f"sysctl -qw net.ipv6.conf.all.forwarding=1; ip address replace 2001:db8:8{self.link}::fe/64 dev br{self.link} nodad")
        self.inside(["sh", "-c", f"ip address add {self.address6}/64 dev eth0 nodad && ip -6 route add default via 2001:db8:8{self.link}::fe"])


@pytest.mark.parametrize("links", [(0,), (1,)], ids=["on one link", "behind a router"])
def test_nodes_reach_each_others_pods_by_both(monkeypatch, links):
    monkeypatch.setattr("fleet.Machine", DualMachine)
    images = [(support.busybox_image(), "estiba/busybox:test"), (support.python_image(), PYTHON)]
    with Fleet(links=links, **DUAL) as fleet:
        try:
            fleet.start(images)
            fleet.wait_ready("node-2")
            cluster = fleet.cluster
            cluster.ns = "default"
            wait_for("the service account", lambda: cluster.kubectl("get", "serviceaccount", "default", check=False), 10)
            cluster.apply(web("a", nodeName="node-2"), client(nodeName="node-1"), client("far", nodeName="node-2"), service("a", ipFamilyPolicy="RequireDualStack"))
            a, c, far = ready(cluster, "a", "client", "far")
            node = fleet.node("node-2")
            assert [x["address"] for x in node["status"]["addresses"] if x["type"] == "InternalIP"] == [fleet.agents["node-2"].machine.address, fleet.agents["node-2"].machine.address6]
            assert node["spec"]["podCIDRs"] == ["10.42.1.0/24", "fd00:42:0:1::/64"]
            for address, own in zip(ips(a), ips(c)):
                wait_for(f"the way to {address}", lambda: fetch(cluster, at(address)) == f"a {own}", 15)
            for address in addresses(cluster, "a"):
                reaches(cluster, at(address, 80), "a")
                reaches(cluster, at(address, 80), "a", "far")
            policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
                      "spec": {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "far"}}}]}]}}
            cluster.apply(policy)
            wait_for("the policy", lambda: fetch(cluster, at(ips(a)[1])) == "timeout", 15)
            assert fetch(cluster, at(ips(a)[1]), "far").startswith("a ")
        except BaseException:
            print(fleet.cluster.log()[-4000:], fleet.logs())
            print(fleet.cluster.sandbox.inside(["sh", "-c", "ip -6 route; ip -d link show estiba-vxlan; ip -6 neigh; bridge fdb show dev estiba-vxlan"], check=False).stdout)
            raise


class SixMachine(DualMachine):
    """It has no IPv4 address at all."""

    def connect(self):
        super().connect()
        self.inside(["ip", "-4", "address", "flush", "dev", "eth0"])


@pytest.mark.parametrize("links", [(0,), (1,)], ids=["on one link", "behind a router"])
def test_nodes_of_ipv6_alone(monkeypatch, links):
    monkeypatch.setattr("fleet.Machine", SixMachine)
    monkeypatch.setattr(Fleet, "server", property(lambda fleet: f"https://[{fleet.cluster.sandbox.address6}]:6443"))
    images = [(support.busybox_image(), "estiba/busybox:test"), (support.python_image(), PYTHON)]
    six = {"pod-cidr": "fd00:42::/56", "service-cidr": "fd00:43::/112", "advertise-address": "2001:db8:80::1", "listen": "[::]:6443"}
    with Fleet(links=links, **six) as fleet:
        try:
            fleet.start(images)
            fleet.wait_ready("node-2")
            cluster = fleet.cluster
            cluster.ns = "default"
            wait_for("the service account", lambda: cluster.kubectl("get", "serviceaccount", "default", check=False), 10)
            cluster.apply(web("a", nodeName="node-2"), client(nodeName="node-1"), client("far", nodeName="node-2"), service("a", type="NodePort"))
            a, c, _ = ready(cluster, "a", "client", "far")
            node = fleet.node("node-2")
            assert [x["address"] for x in node["status"]["addresses"] if x["type"] == "InternalIP"] == [fleet.agents["node-2"].machine.address6]
            assert node["spec"]["podCIDRs"] == ["fd00:42:0:1::/64"]
            [address], [own] = ips(a), ips(c)
            wait_for(f"the way to {address}", lambda: fetch(cluster, at(address)) == f"a {own}", 15)
            [front] = addresses(cluster, "a")
            for pod_name in ("client", "far"):
                reaches(cluster, at(front, 80), "a", pod_name)
                reaches(cluster, "http://a/", "a", pod_name)
            # A node port of either node, from outside, leads to the pod of one of them.
            port = cluster.get("-n", cluster.ns, "service", "a")["spec"]["ports"][0]["nodePort"]
            for machine in (cluster.sandbox, fleet.agents["node-2"].machine):
                fetched = fleet.underlay.inside(f"curl -sS --retry 5 --retry-connrefused --max-time 10 '{at(machine.address6, port)}'").stdout
                assert fetched.startswith("a "), fetched
            # What the server asks of a node goes by IPv6 too.
            assert cluster.k("exec", "far", "--", "busybox", "hostname").strip() == "far"
            policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
                      "spec": {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "far"}}}]}]}}
            cluster.apply(policy)
            wait_for("the policy", lambda: fetch(cluster, at(address)) == "timeout", 15)
            assert fetch(cluster, at(address), "far").startswith("a ")
        except BaseException:
            print(fleet.cluster.log()[-4000:], fleet.logs())
            print(fleet.cluster.sandbox.inside(["sh", "-c", "ip -6 route; ip -d link show estiba-vxlan; ip -6 neigh; bridge fdb show dev estiba-vxlan"], check=False).stdout)
            raise


def test_ipv6_that_the_kernel_has_not_is_named():
    with support.Cluster(sandbox=SixSandbox(), **DUAL) as cluster:
        cluster.sandbox.inside(["sh", "-c", "mkdir /run/estiba/empty && mount --bind /run/estiba/empty /proc/sys/net/ipv6"])
        result = run(cluster.sandbox.command([BIN / "estiba", "server", *[f"--{name}={value}" for name, value in cluster.flags.items()]]), check=False, timeout=60)
        assert result.returncode == 1
        assert "this kernel has no IPv6: boot it without ipv6.disable=1, or leave the IPv6 ranges out of --pod-cidr and --service-cidr" in result.stderr
