"""What Services promise beyond balancing: names, types that change, affinity, policies of where traffic comes from, host ports."""
from cluster import NODE_ADDRESS, wait_for
from manifests import WEB, deployment, pod, service

PYTHON = "estiba/python:test"
# Answers what it is told, or its name, by TCP and by UDP on each port.
ECHO = """
import socket, sys, threading
def tcp(port):
    s = socket.create_server(("", port), backlog=64)
    while True:
        c, peer = s.accept(); c.sendall((socket.gethostname() + " " + peer[0]).encode()); c.close()
def udp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", port))
    while True:
        data, peer = s.recvfrom(2000); s.sendto(("udp " + socket.gethostname() + " " + peer[0]).encode(), peer)
for port in sys.argv[1:]:
    for serve in (tcp, udp): threading.Thread(target=serve, args=(int(port),)).start()
"""
ASK = """
import socket, sys
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM); s.settimeout(2)
s.connect((host, port))
if kind == "udp": s.send(b"x")
print(s.recv(2000).decode())
"""


def echo(name, *ports, **spec):
    return pod(name, "python3", "-c", ECHO, *map(str, ports), image=PYTHON, readinessProbe={"tcpSocket": {"port": ports[0]}, "periodSeconds": 1}, **spec)


def ask(cluster, kind, host, port, client="client"):
    """The answer as a pod hears it, or ""."""
    return cluster.k("exec", client, "--", "python3", "-c", ASK, kind, host, str(port), check=False).strip()


def from_node(cluster, kind, host, port):
    return cluster.sandbox.inside(["python3", "-c", ASK, kind, host, str(port)], check=False).stdout.strip()


def from_outside(cluster, kind, host, port):
    return cluster.sandbox.outside(["python3", "-c", ASK, kind, host, str(port)], check=False).stdout.strip()


def ready(cluster, *names):
    for name in names:
        cluster.wait_pod(name, lambda p: any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", [])), "readiness")


def client():
    return pod("client", "busybox", "sleep", "3600", image=PYTHON)


def test_pods_and_the_node_reach_pods_by_tcp_and_udp(cluster):
    cluster.apply(echo("a", 7000), client())
    ready(cluster, "a", "client")
    ip = cluster.pod("a")["status"]["podIP"]
    own = cluster.pod("client")["status"]["podIP"]
    assert ask(cluster, "tcp", ip, 7000) == f"a {own}" and ask(cluster, "udp", ip, 7000) == f"udp a {own}"
    assert from_node(cluster, "tcp", ip, 7000).startswith("a ") and from_node(cluster, "udp", ip, 7000).startswith("udp a ")


def test_ports_of_one_number_and_several_ports(cluster):
    both = service("both", selector={"app": "a"}, ports=[{"name": "t", "port": 80, "targetPort": 7000}, {"name": "u", "port": 80, "targetPort": 7000, "protocol": "UDP"},
                                                        {"name": "more", "port": 81, "targetPort": 7001}])
    cluster.apply(echo("a", 7000, 7001), both, client())
    ready(cluster, "a", "client")
    wait_for("TCP", lambda: ask(cluster, "tcp", "both", 80).startswith("a "), 10)
    assert ask(cluster, "udp", "both", 80).startswith("udp a ") and ask(cluster, "tcp", "both", 81).startswith("a ")
    cluster.k("delete", "pod", "a", "--grace-period=0", "--force")
    wait_for("nobody", lambda: ask(cluster, "tcp", "both", 80) == "", 10)


def test_a_hand_written_set_of_slices_is_one_service(cluster):
    one = service("one", ports=[{"name": "x", "port": 80}, {"name": "y", "port": 81}])
    del one["spec"]["selector"]
    cluster.apply(echo("a", 7000), echo("b", 7001), client(), one)
    ready(cluster, "a", "b", "client")
    address = lambda name: cluster.pod(name)["status"]["podIP"]
    part = lambda name, ports, *pods: {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "one"}},
                                       "addressType": "IPv4", "ports": ports, "endpoints": [{"addresses": [address(p)]} for p in pods]}
    cluster.apply(part("one-x", [{"name": "x", "port": 7000}], "a"), part("one-y", [{"name": "y", "port": 7001}], "b"))
    wait_for("both ports", lambda: ask(cluster, "tcp", "one", 80).startswith("a ") and ask(cluster, "tcp", "one", 81).startswith("b "), 10)
    cluster.k("delete", "endpointslice", "one-x")
    wait_for("one of them", lambda: ask(cluster, "tcp", "one", 80) == "" and ask(cluster, "tcp", "one", 81).startswith("b "), 10)


def test_a_type_changes_to_an_external_name_and_back(cluster):
    cluster.apply(echo("a", 7000), client(), service("changes", port=80, target=7000, selector={"app": "a"}), service("target", port=80, target=7000, selector={"app": "a"}))
    ready(cluster, "a", "client")
    name = f"changes.{cluster.ns}.svc.cluster.local"
    dig = lambda: cluster.sandbox.inside(["dig", "+short", "+time=2", "@10.43.0.10", name]).stdout.split()
    spec = lambda: cluster.get("-n", cluster.ns, "service", "changes")["spec"]
    wait_for("its own address", lambda: dig() == [spec().get("clusterIP")], 10)
    cluster.k("patch", "service", "changes", "-p", '{"spec": {"type": "ExternalName", "externalName": "target.%s.svc.cluster.local", "clusterIP": null, "clusterIPs": null}}' % cluster.ns)
    wait_for("the other's name", lambda: dig()[:1] == [f"target.{cluster.ns}.svc.cluster.local."], 10)
    assert ask(cluster, "tcp", "changes", 80).startswith("a ")
    cluster.k("patch", "service", "changes", "-p", '{"spec": {"type": "NodePort", "externalName": null}}')
    wait_for("an address again", lambda: dig() == [spec()["clusterIP"]], 10)
    port = spec()["ports"][0]["nodePort"]
    wait_for("the node's port", lambda: from_outside(cluster, "tcp", NODE_ADDRESS, port).startswith("a "), 10)
    cluster.k("patch", "service", "changes", "-p", '{"spec": {"type": "ExternalName", "externalName": "target.%s.svc.cluster.local", "clusterIP": null, "clusterIPs": null}}' % cluster.ns)
    wait_for("the port to be closed", lambda: from_outside(cluster, "tcp", NODE_ADDRESS, port) == "", 10)


def test_affinity_is_turned_on_and_off(cluster):
    web = deployment("web", 3, "python3", "-c", ECHO, "7000", image=PYTHON, readinessProbe={"tcpSocket": {"port": 7000}, "periodSeconds": 1})
    cluster.apply(web, client(), service("web", port=80, target=7000, type="NodePort", sessionAffinity="ClientIP"))
    cluster.k("rollout", "status", "deployment/web", "--timeout=60s")
    ready(cluster, "client")
    port = cluster.get("-n", cluster.ns, "service", "web")["spec"]["ports"][0]["nodePort"]
    ways = [lambda: ask(cluster, "tcp", "web", 80), lambda: ask(cluster, "tcp", NODE_ADDRESS, port)]
    seen = lambda way, times: {way().split()[0] for _ in range(times)}
    for way in ways:
        wait_for("an answer", way, 10)
        assert len(seen(way, 12)) == 1
    cluster.k("patch", "service", "web", "-p", '{"spec": {"sessionAffinity": "None"}}')
    for way in ways:
        wait_for("several answer", lambda: len(seen(way, 8)) > 1, 20)
    cluster.k("patch", "service", "web", "-p", '{"spec": {"sessionAffinity": "ClientIP"}}')
    for way in ways:
        wait_for("one answers", lambda: len(seen(way, 8)) == 1, 20)


def test_a_local_policy_is_for_clients_outside_alone(cluster):
    """kube-proxy's rule: the cluster's own clients of an external address are led to every endpoint."""
    cluster.apply(echo("a", 7000), client(), service("local", port=8090, target=7000, selector={"app": "a"}, type="LoadBalancer", externalTrafficPolicy="Local"))
    ready(cluster, "a", "client")
    own = cluster.pod("client")["status"]["podIP"]
    port = cluster.get("-n", cluster.ns, "service", "local")["spec"]["ports"][0]["nodePort"]
    for to in (8090, port):
        wait_for("an answer outside", lambda: from_outside(cluster, "tcp", NODE_ADDRESS, to).startswith("a "), 10)
        assert not from_outside(cluster, "tcp", NODE_ADDRESS, to).endswith(" " + NODE_ADDRESS), "the client's address is kept"
        assert ask(cluster, "tcp", NODE_ADDRESS, to) == f"a {own}"
        assert from_node(cluster, "tcp", NODE_ADDRESS, to).startswith("a ")
    # An endpoint that is on no node of this cluster: nothing for those outside, for the others it is one like any other.
    away = service("away", port=8091, target=7000, type="LoadBalancer", externalTrafficPolicy="Local")
    del away["spec"]["selector"]
    cluster.apply(away, {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "away", "labels": {"kubernetes.io/service-name": "away"}}, "addressType": "IPv4",
                         "ports": [{"port": 7000}], "endpoints": [{"addresses": [cluster.pod("a")["status"]["podIP"]], "nodeName": "elsewhere"}]})
    port = cluster.get("-n", cluster.ns, "service", "away")["spec"]["ports"][0]["nodePort"]
    wait_for("an answer inside", lambda: ask(cluster, "tcp", NODE_ADDRESS, port).startswith("a "), 10)
    assert from_node(cluster, "tcp", NODE_ADDRESS, port).startswith("a ") and from_outside(cluster, "tcp", NODE_ADDRESS, port) == ""


def test_source_ranges_fence_a_load_balancer(cluster):
    cluster.apply(echo("a", 7000), client(), service("fenced", port=8092, target=7000, selector={"app": "a"}, type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"]))
    ready(cluster, "a", "client")
    port = cluster.get("-n", cluster.ns, "service", "fenced")["spec"]["ports"][0]["nodePort"]
    wait_for("the node's port, which has no fence", lambda: from_outside(cluster, "tcp", NODE_ADDRESS, port).startswith("a "), 10)
    wait_for("the balancer's address", lambda: cluster.get("-n", cluster.ns, "service", "fenced")["status"]["loadBalancer"].get("ingress"), 10)
    closed = lambda: from_outside(cluster, "tcp", NODE_ADDRESS, 8092) == "" and ask(cluster, "tcp", NODE_ADDRESS, 8092) == ""
    wait_for("the fence", closed, 10)
    cluster.k("patch", "service", "fenced", "-p", '{"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24", "192.168.77.0/24"]}}')
    wait_for("an answer", lambda: from_outside(cluster, "tcp", NODE_ADDRESS, 8092).startswith("a "), 10)
    assert ask(cluster, "tcp", NODE_ADDRESS, 8092) == "", "the pods' addresses are not among them"


def test_host_ports_are_on_the_address_that_they_ask_for(cluster):
    at = lambda **port: [{"containerPort": 7000, "hostPort": 7654, **port}]
    cluster.apply(echo("loop", 7000, ports=at(hostIP="127.0.0.1")), echo("node", 7000, ports=at(hostIP=NODE_ADDRESS)), echo("udp", 7000, ports=at(hostIP=NODE_ADDRESS, protocol="UDP")))
    ready(cluster, "loop", "node", "udp")
    wait_for("one", lambda: from_node(cluster, "tcp", "127.0.0.1", 7654).startswith("loop "), 10)
    wait_for("another", lambda: from_outside(cluster, "tcp", NODE_ADDRESS, 7654).startswith("node "), 10)
    wait_for("the third", lambda: from_outside(cluster, "udp", NODE_ADDRESS, 7654).startswith("udp udp "), 10)
    assert from_node(cluster, "tcp", NODE_ADDRESS, 7654).startswith("node ")


def test_a_pods_own_name_and_subdomain(cluster):
    headless = service("group", clusterIP="None", selector={"app": "member"})
    cluster.apply(headless, pod("member", "busybox", "sleep", "3600", image=PYTHON, hostname="one", subdomain="group"))
    ready(cluster, "member")
    ip, full = cluster.pod("member")["status"]["podIP"], f"one.group.{cluster.ns}.svc.cluster.local"
    hosts = [line.split() for line in cluster.k("exec", "member", "--", "busybox", "cat", "/etc/hosts").splitlines() if line and not line.startswith("#")]
    assert [ip, full, "one"] in hosts and any(line[0] == "127.0.0.1" and "localhost" in line for line in hosts)
    resolve = lambda name: cluster.k("exec", "member", "--", "python3", "-c", "import socket, sys; print(socket.gethostbyname(sys.argv[1]))", name, check=False).strip()
    wait_for("its name", lambda: cluster.sandbox.inside(["dig", "+short", "+time=2", "@10.43.0.10", full]).stdout.split() == [ip], 10)
    for name in ("group", f"group.{cluster.ns}", f"group.{cluster.ns}.svc", "one.group"):
        wait_for(name, lambda: resolve(name) == ip, 10)
    assert resolve("kubernetes.default") == "10.43.0.1"


def test_a_pod_may_have_name_servers_of_its_own(cluster):
    cluster.apply(pod("own", dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.53"], "searches": ["example.test"], "options": [{"name": "ndots", "value": "3"}]}))
    ready(cluster, "own")
    lines = cluster.k("exec", "own", "--", "cat", "/etc/resolv.conf").splitlines()
    assert sorted(lines) == ["nameserver 192.0.2.53", "options ndots:3", "search example.test"]
