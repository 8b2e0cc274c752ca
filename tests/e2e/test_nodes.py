"""Nodes of other machines: `estiba agent` joins over the network, runs pods, and outlives its own and the server's absence."""
import re
import subprocess

import pytest

from cluster import busybox_image, python_image, run, wait_for
from fleet import Fleet
from manifests import WEB, config_map, deployment, pod, service

IMAGES = ((busybox_image, "estiba/busybox:test"), (python_image, "estiba/python:test"))
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"


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
        print(cluster.kubectl("-n", cluster.ns, "get", "all,events", "-o", "wide", check=False))
    cluster.kubectl("delete", "namespace", cluster.ns, "--wait=false")


def on(node, made):
    (made["spec"]["template"]["spec"] if "template" in made["spec"] else made["spec"])["nodeName"] = node
    return made


def get(cluster, name, url):
    """What the pod gets from the URL, or nothing."""
    return cluster.k("exec", name, "--", "python3", "-c", FETCH, url, check=False).strip()


def test_an_agent_is_a_node_like_the_servers_own(fleet):
    cluster = fleet.cluster
    nodes = {n["metadata"]["name"]: n for n in cluster.get("nodes")["items"]}
    assert set(nodes) == {"node-1", "node-2", "node-3"}
    assert len({n["spec"]["podCIDR"] for n in nodes.values()}) == 3
    assert nodes["node-1"]["spec"]["podCIDR"] == "10.42.0.0/24"
    assert nodes["node-2"]["status"]["addresses"][0]["address"] == fleet.agents["node-2"].machine.address
    cluster.apply(config_map("settings", key="one"),
                  on("node-2", pod("p", "sh", "-c", "echo hello; cat /etc/settings/key; echo; exec sleep 3600", env=[{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "key"}}}],
                                   volumeMounts=[{"name": "s", "mountPath": "/etc/settings"}], volumes=[{"name": "s", "configMap": {"name": "settings"}}])))
    status = cluster.wait_running("p")["status"]
    assert status["hostIP"] == fleet.agents["node-2"].machine.address
    assert status["podIP"].startswith(nodes["node-2"]["spec"]["podCIDR"].rsplit(".", 1)[0])
    wait_for("the log", lambda: cluster.k("logs", "p").strip() == "hello\none", 5)
    assert cluster.k("exec", "p", "--", "sh", "-c", "echo $KEY; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace").strip() == f"one\n{cluster.ns}"
    cluster.apply(config_map("settings", key="two"))
    wait_for("the new content", lambda: cluster.k("exec", "p", "--", "cat", "/etc/settings/key").strip() == "two", 15)
    wait_for("kubectl top", lambda: "p" in cluster.k("top", "pod", check=False), 15, 0.5)
    wait_for("kubectl top of all nodes", lambda: set(nodes) <= set(re.findall(r"^\S+", cluster.kubectl("top", "node", check=False), re.M)), 15, 0.5)
    cluster.k("delete", "pod", "p", timeout=30)


def test_streams_of_a_pod_on_an_agent_pass_through_the_server(fleet, tmp_path):
    """logs -f, exec with input and exit codes, cp, attach and port-forward: kubectl asks the server, which asks the agent's port 10250."""
    cluster = fleet.cluster
    cluster.apply(on("node-2", pod("tools", "sh", "-c", "echo out; echo err >&2; mkdir /www; echo page > /www/index.html; exec busybox httpd -f -p 8080 -h /www")),
                  on("node-3", pod("echo", "sh", "-c", "echo ready; while read -r line; do echo heard $line; done", stdin=True)))
    cluster.wait_running("tools")
    cluster.wait_running("echo")
    wait_for("both streams", lambda: sorted(cluster.k("logs", "tools").split()) == ["err", "out"], 10)
    assert cluster.k("logs", "tools", "--tail=1", "--timestamps").count("Z ") == 1
    assert cluster.k("exec", "-i", "tools", "--", "cat", input="x" * 300000 + "end").endswith("xend")
    assert run(cluster.kubectl_command("-n", cluster.ns, "exec", "tools", "--", "sh", "-c", "echo said >&2; exit 42"), check=False).returncode == 42
    (tmp_path / "file").write_bytes(bytes(range(256)) * 4000)
    cluster.k("cp", str(tmp_path / "file"), f"{cluster.ns}/tools:/tmp/file")
    cluster.k("cp", f"{cluster.ns}/tools:/tmp/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    forward = subprocess.Popen(cluster.kubectl_command("-n", cluster.ns, "port-forward", "pod/tools", "18080:8080"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    follow = subprocess.Popen(cluster.kubectl_command("-n", cluster.ns, "logs", "-f", "echo"), stdout=subprocess.PIPE, text=True)
    attached = subprocess.Popen(cluster.kubectl_command("-n", cluster.ns, "attach", "-i", "echo"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert "Forwarding" in forward.stdout.readline()
        assert [cluster.sandbox.inside(["curl", "-sS", "--max-time", "5", "http://127.0.0.1:18080/"]).stdout for _ in range(2)] == ["page\n"] * 2
        assert follow.stdout.readline() == "ready\n"
        attached.stdin.write("hello\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == follow.stdout.readline() == "heard hello\n"
    finally:
        for process in (forward, follow, attached):
            process.kill()
            process.wait()


def test_its_api_answers_the_server_alone(fleet):
    address = fleet.agents["node-2"].machine.address
    answer = fleet.cluster.sandbox.inside(["curl", "-sk", "--max-time", "5", "-w", "%{http_code}", "-o", "/dev/null", f"https://{address}:10250/pods"]).stdout
    assert answer == "401"
    key = fleet.agents["node-3"].data_dir / "agent/client"
    answer = fleet.cluster.sandbox.inside(["curl", "-sk", "--max-time", "5", "--cert", f"{key}.crt", "--key", f"{key}.key", "-w", "%{http_code}", "-o", "/dev/null", f"https://{address}:10250/pods"]).stdout
    assert answer == "403", "another node has no business there"
    assert '"PodList"' in fleet.cluster.kubectl("get", "--raw", "/api/v1/nodes/node-2/proxy/pods")


def test_a_volume_of_a_node_goes_with_its_claim(fleet):
    cluster = fleet.cluster
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    cluster.apply(claim, pod("p", "sh", "-c", "echo kept > /data/file; exec sleep 3600", nodeSelector={"kubernetes.io/hostname": "node-2"},
                             volumeMounts=[{"name": "d", "mountPath": "/data"}], volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]))
    cluster.wait_running("p")
    volumes = fleet.agents["node-2"].data_dir / "persistent-volumes"
    wait_for("the file", lambda: [path.read_text() for path in volumes.glob("*/file")] == ["kept\n"], 5)
    cluster.k("delete", "pod", "p", timeout=30)
    cluster.k("delete", "pvc", "data", timeout=30)
    wait_for("the directory's end", lambda: not list(volumes.iterdir()), 20)
    wait_for("the volume's end", lambda: not cluster.get("pv")["items"], 20)


def test_pods_reach_each_other_wherever_they_run(fleet):
    cluster = fleet.cluster
    cluster.apply(*[on(node, deployment(f"web-{node[-1]}", 1, *WEB, labels={"app": "web"}, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1})) for node in ("node-1", "node-2", "node-3")])
    for n in "123":
        cluster.k("label", "pod", "-l", f"app=web-{n}", "web=yes")
    cluster.apply(service("web", selector={"web": "yes"}, type="NodePort"), *[on(f"node-{n}", pod(f"client-{n}", "busybox", "sleep", "3600", image="estiba/python:test")) for n in "123"])
    for n in "123":
        cluster.k("rollout", "status", f"deployment/web-{n}", "--timeout=60s")
        cluster.wait_running(f"client-{n}")
    pods = {p["metadata"]["name"]: p["status"]["podIP"] for p in cluster.get("-n", cluster.ns, "pods", "-l", "web=yes")["items"]}
    for n in "123":
        client = f"client-{n}"
        for name, ip in pods.items():
            wait_for(f"{name} from {client}", lambda: get(cluster, client, f"http://{ip}:8080/") == name, 15)
        wait_for(f"all pods by the service from {client}", lambda: {get(cluster, client, "http://web/") for _ in range(10)} == set(pods), 20)
    port = cluster.get("-n", cluster.ns, "service", "web")["spec"]["ports"][0]["nodePort"]
    for agent in fleet.agents.values():
        answers = lambda: {run(["nsenter", "--net", "--target", str(fleet.underlay.holder.pid), "curl", "-s", "--max-time", "3", f"http://{agent.machine.address}:{port}/"], check=False).stdout.strip() for _ in range(12)}
        wait_for(f"all pods by the port of {agent.name}", lambda: answers() == set(pods), 20)
    # Whom a pod hears: the other pod, not its node.
    peer = "import socket; s = socket.create_server(('', 9000)); print('up', flush=True); c, a = s.accept(); print(a[0], flush=True); c.close()"
    cluster.apply(on("node-2", pod("listener", "python3", "-c", peer, image="estiba/python:test", restartPolicy="Never")))
    wait_for("the listener", lambda: "up" in cluster.k("logs", "listener", check=False), 20)
    cluster.k("exec", "client-3", "--", "python3", "-c", f"import socket; socket.create_connection(('{cluster.pod('listener')['status']['podIP']}', 9000), 3)")
    wait_for("whom it heard", lambda: cluster.pod("client-3")["status"]["podIP"] in cluster.k("logs", "listener"), 10)


def test_a_network_policy_holds_across_nodes(fleet):
    cluster = fleet.cluster
    cluster.apply(on("node-2", pod("web", *WEB)), *[on(node, pod(f"client-{who}", "busybox", "sleep", "3600", image="estiba/python:test", labels={"who": who})) for who, node in (("friend", "node-3"), ("stranger", "node-3"))])
    for name in ("web", "client-friend", "client-stranger"):
        cluster.wait_running(name)
    url = f"http://{cluster.pod('web')['status']['podIP']}:8080/"
    for who in ("friend", "stranger"):
        wait_for(f"the answer to {who}", lambda: get(cluster, f"client-{who}", url) == "web", 10)
    cluster.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "friends"},
                   "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"who": "friend"}}}]}]}})
    wait_for("the stranger to be shut out", lambda: get(cluster, "client-stranger", url) != "web", 15)
    assert get(cluster, "client-friend", url) == "web"


def test_a_restart_touches_no_pod(fleet):
    cluster, agent = fleet.cluster, fleet.agents["node-2"]
    cluster.apply(on("node-2", pod("p", "sh", "-c", "echo $$; exec sleep 3600")))
    before = cluster.wait_running("p")["status"]["containerStatuses"][0]
    for end in (agent.stop, agent.kill9):
        end()
        agent.start()
        assert cluster.k("exec", "p", "--", "echo", "here").strip() == "here", "who asks at once waits until the node knows its pods"
    assert cluster.wait_running("p")["status"]["containerStatuses"][0] == before
    assert cluster.k("exec", "p", "--", "echo", "here").strip() == "here"
    assert fleet.ready("node-2") == "True"


def test_it_carries_on_while_the_server_is_away(fleet):
    cluster, agent = fleet.cluster, fleet.agents["node-2"]
    cluster.apply(on("node-2", pod("p", "sh", "-c", "while test ! -e /tmp/end; do sleep 0.1; done; exit 7", restartPolicy="Never")), on("node-2", pod("stays")))
    for name in ("p", "stays"):
        cluster.wait_running(name)
    cluster.stop()
    # The container ends while nobody is told.
    shim = agent.machine.inside(["sh", "-c", "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q 'test ! -e /tmp/end' && touch $p/root/tmp/end && break; done; sleep 1"])
    assert agent.process.poll() is None, shim
    cluster.start()
    assert cluster.wait_ended("p")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
    assert cluster.wait_running("stays")["status"]["containerStatuses"][0]["restartCount"] == 0
    fleet.wait_ready("node-2")


def test_a_lost_node_and_its_return(fleet):
    cluster, agent = fleet.cluster, fleet.agents["node-3"]
    cluster.apply(on("node-3", pod("web", *WEB)), service("web"))
    cluster.wait_running("web")
    ready = lambda: [e["addresses"][0] for s in cluster.get("-n", cluster.ns, "endpointslices", "-l", "kubernetes.io/service-name=web")["items"] for e in s["endpoints"] or [] if e["conditions"]["ready"]]
    wait_for("the endpoint", lambda: len(ready()) == 1, 10)
    agent.kill9()
    fleet.wait_ready("node-3", "Unknown")
    wait_for("the endpoint to leave", lambda: ready() == [], 15)
    assert any(t["key"] == "node.kubernetes.io/unreachable" for t in fleet.node("node-3")["spec"]["taints"])
    agent.start()
    fleet.wait_ready("node-3")
    wait_for("the endpoint's return", lambda: len(ready()) == 1, 15)
    wait_for("no taint", lambda: "taints" not in fleet.node("node-3")["spec"], 10)


def test_a_partition_heals(fleet):
    cluster, machine = fleet.cluster, fleet.agents["node-3"].machine
    cluster.apply(on("node-3", pod("p")))
    before = cluster.wait_running("p")["status"]["containerStatuses"][0]
    machine.unplug()
    try:
        fleet.wait_ready("node-3", "Unknown")
    finally:
        machine.plug()
    fleet.wait_ready("node-3", seconds=60)
    assert cluster.wait_running("p", 60)["status"]["containerStatuses"][0] == before
    wait_for("kubectl exec", lambda: cluster.k("exec", "p", "--", "echo", "here", check=False).strip() == "here", 30)


def test_a_node_that_moves_stays_in_the_cluster(fleet):
    cluster, agent = fleet.cluster, fleet.agents["node-2"]
    cluster.apply(on("node-2", pod("web", *WEB)), on("node-3", pod("client", "busybox", "sleep", "3600", image="estiba/python:test")))
    for name in ("web", "client"):
        cluster.wait_running(name)
    url = f"http://{cluster.pod('web')['status']['podIP']}:8080/"
    wait_for("the answer", lambda: get(cluster, "client", url) == "web", 10)
    agent.machine.take("192.168.80.77")
    wait_for("the new address", lambda: fleet.node("node-2")["status"]["addresses"][0]["address"] == "192.168.80.77", 60, 0.2)
    wait_for("the answer at the new address", lambda: get(cluster, "client", url) == "web", 30)
    wait_for("kubectl exec by the new certificate", lambda: cluster.k("exec", "web", "--", "echo", "here", check=False).strip() == "here", 30)
    wait_for("the pod's new host", lambda: cluster.pod("web")["status"]["hostIP"] == "192.168.80.77", 20)


def test_nodes_behind_a_router_are_reached_by_vxlan():
    with Fleet(links=(0, 1)) as fleet:
        fleet.start([(make(), name) for make, name in IMAGES])
        cluster = fleet.cluster
        cluster.ns = "default"
        routes = lambda machine: machine.inside(["ip", "route", "show", "proto", "207"]).stdout
        wait_for("a tunnel to the far node alone", lambda: re.fullmatch(r"10\.42\.1\.0/24 via 192\.168\.80\.2 dev eth0 onlink\s*10\.42\.2\.0/24 via 10\.42\.2\.0 dev estiba-vxlan onlink\s*", routes(cluster.sandbox)), 10)
        assert "mtu 1450" in cluster.sandbox.inside(["ip", "link", "show", "estiba-vxlan"]).stdout
        for node in "123":
            cluster.apply(on(f"node-{node}", pod(f"web-{node}", "busybox", "sh", "-c", "busybox mkdir /www && busybox hostname > /www/index.html && busybox dd if=/dev/zero of=/www/large bs=1M count=4 2>/dev/null; exec busybox httpd -f -p 8080 -h /www", labels={"web": "yes"},
                                                 readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}, image="estiba/python:test")))
        cluster.apply(service("web", selector={"web": "yes"}))
        for node in "123":
            cluster.wait_running(f"web-{node}")
        pods = {f"web-{node}": cluster.pod(f"web-{node}")["status"]["podIP"] for node in "123"}
        size = "import sys, urllib.request; print(len(urllib.request.urlopen(sys.argv[1], timeout=10).read()))"
        for client in pods:
            for name, ip in pods.items():
                wait_for(f"{name} from {client}", lambda: get(cluster, client, f"http://{ip}:8080/") == name, 15)
                # Packets as large as the pods' own links take: the tunnel says what it can carry.
                assert cluster.k("exec", client, "--", "python3", "-c", size, f"http://{ip}:8080/large").strip() == str(4 << 20), (client, name)
            wait_for(f"all by the service from {client}", lambda: {get(cluster, client, "http://web/") for _ in range(10)} == set(pods), 20)
        # From the node itself, too.
        assert cluster.sandbox.inside(["curl", "-s", "--max-time", "5", f"http://{pods['web-3']}:8080/"]).stdout.strip() == "web-3"
        assert "here" in cluster.k("exec", "web-3", "--", "busybox", "echo", "here")
