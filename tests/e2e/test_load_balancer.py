"""Load balancers' addresses of a pool, announced by ARP and neighbour discovery: several nodes and a client on one link."""
import json
import sys

import pytest

import cluster as support
from cluster import BIN, run, wait_for
from fleet import Fleet
from manifests import service
from test_dual_stack import DUAL, PYTHON, DualMachine, at, ready, web

POOL = ["192.168.80.100-192.168.80.105", "2001:db8:80::100-2001:db8:80::105"]
# Asks everybody on the link who has an address, as often as said, and prints the Ethernet addresses that answer, one line a question.
ASK = """
import ipaddress, socket, struct, sys, time
about, times = ipaddress.ip_address(sys.argv[1]), int(sys.argv[2])
four = about.version == 4
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806 if four else 0x86dd))
s.bind(("eth0", 0x0806 if four else 0x86dd))
own = s.getsockname()[4]
if four:
    frame = b"\\xff" * 6 + own + bytes.fromhex("08060001080006040001") + own + ipaddress.ip_address(sys.argv[3]).packed + bytes(6) + about.packed
else:
    mine = ipaddress.ip_address(sys.argv[3]).packed
    group = bytes.fromhex("ff0200000000000000000001ff") + about.packed[13:]
    message = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + about.packed + b"\\1\\1" + own
    total = sum(struct.unpack("!%dH" % (36 + len(message) // 2 - 16), mine + group + struct.pack("!IHBB", len(message), 0, 0, 58) + message))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    message = message[:2] + struct.pack("!H", ~total & 0xffff) + message[4:]
    frame = b"\\x33\\x33" + group[12:] + own + bytes.fromhex("86dd60000000") + struct.pack("!HBB", len(message), 58, 255) + mine + group + message
for _ in range(times):
    s.send(frame)
    end, found = time.monotonic() + 0.5, []
    while (left := end - time.monotonic()) > 0:
        s.settimeout(left)
        try: got = s.recv(2048)
        except TimeoutError: break
        if got[:6] != own: continue
        if four and got[20:22] == b"\\0\\2" and got[28:32] == about.packed: found.append(got[22:28].hex(":"))
        if not four and got[54] == 136 and got[62:78] == about.packed: found.append(got[6:12].hex(":"))
    print(*found)
"""


class Client(DualMachine):
    def fetch(self, url, seconds=3):
        """The body, or curl's exit code."""
        result = self.inside(["curl", "-sS", "--max-time", seconds, url], check=False)
        return result.stdout if result.returncode == 0 else result.returncode

    def answers(self, address, times=1):
        """Of each question the Ethernet addresses that have answered."""
        own = self.address6 if ":" in address else self.address
        return [line.split() for line in self.inside([sys.executable, "-c", ASK, address, times, own]).stdout.splitlines()]

    def announcer(self, address, seconds=30):
        """The one who answers for an address, once there is exactly one."""
        def one():
            [found] = self.answers(address)
            return found[0] if len(found) == 1 else None
        return wait_for(f"one who announces {address}", one, seconds)


@pytest.fixture(scope="module")
def fleet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleet.Machine", DualMachine)
        with Fleet(**DUAL, **{"load-balancer-pool": ",".join(POOL)}) as made:
            made.start([(support.busybox_image(), "estiba/busybox:test"), (support.python_image(), PYTHON)])
            for name in ("node-1", "node-2", "node-3"):
                made.wait_ready(name)
            made.client = Client(made.underlay, 200)
            made.stack.callback(made.client.close)
            made.cluster.ns = "default"
            wait_for("the service account", lambda: made.cluster.kubectl("get", "serviceaccount", "default", check=False), 10)
            yield made


@pytest.fixture
def cluster(fleet, request):
    cluster = fleet.cluster
    cluster.ns = "t-" + request.node.name[5:40].replace("_", "-").rstrip("-")
    cluster.kubectl("create", "namespace", cluster.ns)
    wait_for("the service account", lambda: cluster.k("get", "serviceaccount", "default", check=False), 10)
    yield cluster
    report = getattr(request.node, "report", None)
    if report is not None and report.failed:
        print(cluster.log()[-6000:], fleet.logs())
        print(cluster.k("get", "all,endpointslices,events", "-o", "wide", check=False))
    cluster.kubectl("delete", "namespace", cluster.ns, "--wait=true")


def machines(fleet):
    """The nodes' names by their Ethernet addresses."""
    found = {"node-1": fleet.cluster.sandbox, **{name: agent.machine for name, agent in fleet.agents.items()}}
    return {json.loads(machine.inside(["ip", "-j", "link", "show", "eth0"]).stdout)[0]["address"]: name for name, machine in found.items()}


def addresses(cluster, name):
    return [i["ip"] for i in cluster.get("-n", cluster.ns, "service", name)["status"].get("loadBalancer", {}).get("ingress", [])]


def balanced(cluster, name, count=2, **spec):
    cluster.apply(service(name, type="LoadBalancer", **({"ipFamilyPolicy": "RequireDualStack"} if count == 2 else {}), **spec))
    return wait_for("addresses", lambda: found if len(found := addresses(cluster, name)) == count else None, 20)


def reached(fleet, address, text, seconds=30):
    wait_for(f"an answer of {text} at {address}", lambda: str(fleet.client.fetch(at(address, 80))).startswith(text + " "), seconds)


def test_a_service_is_reached_by_addresses_that_exactly_one_node_announces(fleet, cluster):
    cluster.apply(web("a", nodeName="node-2"))
    ready(cluster, "a")
    both = balanced(cluster, "a")
    assert both[0].startswith("192.168.80.10") and both[1].startswith("2001:db8:80::10")
    status = cluster.get("-n", cluster.ns, "service", "a")["status"]
    assert all(ingress["ipMode"] == "VIP" for ingress in status["loadBalancer"]["ingress"]), status
    nodes = machines(fleet)
    for address in both:
        reached(fleet, address, "a")
        node = nodes[fleet.client.announcer(address)]
        answers = fleet.client.answers(address, 6)
        assert all(len(found) == 1 and nodes[found[0]] == node for found in answers), answers
        wait_for("the event", lambda: f'announcing from node "{node}" with protocol "layer2"' in cluster.k("get", "events", "--field-selector=reason=nodeAssigned"), 10)
        # Where no port is, a client is told so, and at once.
        assert fleet.client.fetch(at(address, 81)) == 7
        # Nodes and pods are led to it without asking the link.
        assert cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", at(address, 80)]).stdout.startswith("a ")
    # No machine has the addresses.
    for machine in [cluster.sandbox] + [agent.machine for agent in fleet.agents.values()]:
        held = machine.inside(["ip", "-o", "address"]).stdout
        assert not any(f" {address}/" in held for address in both)
    cluster.k("delete", "service", "a")
    for address in both:
        wait_for("silence", lambda: fleet.client.answers(address) == [[]], 15)


def test_a_lost_nodes_addresses_are_taken_over(fleet, cluster):
    cluster.apply(web("a", nodeName="node-1"))
    ready(cluster, "a")
    nodes = machines(fleet)
    # One that an agent announces: the order of the nodes is another one for each address.
    for number in range(3):
        both = balanced(cluster, "a" if not number else f"a{number}", selector={"app": "a"})
        chosen = [address for address in both if nodes[fleet.client.announcer(address)] != "node-1"]
        if chosen:
            break
    assert chosen, "no address is announced by an agent"
    address = chosen[0]
    reached(fleet, address, "a")
    lost = nodes[fleet.client.announcer(address)]
    agent = fleet.agents[lost]
    agent.machine.unplug()
    try:
        def another():
            [found] = fleet.client.answers(address)
            return len(found) == 1 and nodes[found[0]] != lost
        wait_for("another node that announces it", another, 30)
        assert fleet.ready(lost) == "True", "nobody had to wait for the node to be given up"
        reached(fleet, address, "a")
    finally:
        agent.machine.plug()
    # Both believe to announce it for a moment.
    wait_for("one of both", lambda: all(len(found) == 1 for found in fleet.client.answers(address, 4)), 60)
    reached(fleet, address, "a")
    # A program that is killed is as lost as its machine, though its kernel lives.
    lost = nodes[fleet.client.announcer(address)]
    if lost != "node-1":
        fleet.agents[lost].kill9()
        wait_for("another node that announces it", another, 30)
        reached(fleet, address, "a")
        fleet.agents[lost].start()
        fleet.wait_ready(lost)
        wait_for("one of both", lambda: all(len(found) == 1 for found in fleet.client.answers(address, 4)), 60)


def test_local_traffic_is_announced_where_an_endpoint_is_and_keeps_its_client(fleet, cluster):
    nodes = machines(fleet)
    cluster.apply(web("a", nodeName="node-3"))
    ready(cluster, "a")
    both = balanced(cluster, "a", externalTrafficPolicy="Local")
    clients = {4: fleet.client.address, 6: fleet.client.address6}
    for address in both:
        wait_for("the endpoint's node", lambda: nodes[fleet.client.announcer(address)] == "node-3", 30)
        own = clients[6 if ":" in address else 4]
        wait_for("the client's address", lambda: fleet.client.fetch(at(address, 80)) == f"a {own}", 20)
    cluster.apply({**web("b", nodeName="node-2", labels={"app": "a"})})
    ready(cluster, "b")
    cluster.k("delete", "pod", "a", "--wait=false")
    for address in both:
        wait_for("the other endpoint's node", lambda: nodes[fleet.client.announcer(address)] == "node-2", 30)
        own = clients[6 if ":" in address else 4]
        wait_for("the client's address", lambda: fleet.client.fetch(at(address, 80)) == f"b {own}", 20)
    cluster.k("delete", "pod", "b", "--wait=false")
    for address in both:
        wait_for("silence", lambda: fleet.client.answers(address) == [[]], 30)


def test_wishes_and_a_pool_that_is_used_up(fleet, cluster):
    [wished] = balanced(cluster, "wished", 1, loadBalancerIP="192.168.80.103")
    assert wished == "192.168.80.103"
    for number in range(6):
        cluster.apply(service(f"s{number}", type="LoadBalancer"))
    message = lambda: cluster.k("get", "events", "--field-selector=reason=AllocationFailed")
    wait_for("the event", lambda: "no IPv4 address of the pool " + ",".join(POOL) + f" is free for the service {cluster.ns}/s" in message(), 20)
    assert "--load-balancer-pool" in message()
    given = lambda: {i: addresses(cluster, f"s{i}") for i in range(6)}
    wait_for("five of six", lambda: sum(map(len, given().values())) == 5, 20)
    cluster.k("delete", "service", "wished")
    wait_for("the sixth", lambda: sum(map(len, given().values())) == 6, 20)
    assert len({found[0] for found in given().values()}) == 6


def test_a_pool_with_the_machines_own_address_is_refused():
    with support.Cluster(**{"load-balancer-pool": "192.168.77.0/29"}) as cluster:
        flags = [f"--{name}={value}" for name, value in cluster.flags.items()]
        result = run(cluster.sandbox.command([BIN / "estiba", "server", *flags]), check=False, timeout=60)
        assert result.returncode == 1
        assert "--load-balancer-pool has 192.168.77.1, an address of this machine: leave it out" in result.stderr
