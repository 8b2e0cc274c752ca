"""Services, names and addresses, from inside and outside."""
import json

from cluster import NODE_ADDRESS, wait_for
from manifests import WEB, deployment, pod, service

# Through glibc's resolver, with the search paths that the pod was given (busybox's static one cannot resolve).
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"


def test_service_balances_by_name_and_address(cluster):
    cluster.apply(deployment("web", 2, *WEB, readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}), service("web"), pod("client", "busybox", "sleep", "3600", image="estiba/python:test"))
    cluster.k("rollout", "status", "deployment/web", "--timeout=30s")
    cluster.wait_running("client")
    get = lambda url: cluster.k("exec", "client", "--", "python3", "-c", FETCH, url).strip()
    names = {p["metadata"]["name"] for p in cluster.get("-n", cluster.ns, "pods", "-l", "app=web")["items"]}
    wait_for("both pods to answer", lambda: {get("http://web/") for _ in range(10)} == names, 10)
    assert get(f"http://web.{cluster.ns}.svc.cluster.local/") in names
    ip = cluster.get("-n", cluster.ns, "service", "web")["spec"]["clusterIP"]
    assert get(f"http://{ip}/") in names
    assert cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", f"http://{ip}/"]).stdout.strip() in names


def test_a_pod_reaches_itself_through_its_service(cluster):
    command = ("busybox", "sh", "-c", "busybox mkdir /www && busybox hostname > /www/index.html && exec busybox httpd -f -p 8080 -h /www")
    cluster.apply(deployment("web", 1, *command, image="estiba/python:test", readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), service("web"))
    cluster.k("rollout", "status", "deployment/web", "--timeout=30s")
    name = cluster.get("-n", cluster.ns, "pods")["items"][0]["metadata"]["name"]
    wait_for("the answer", lambda: cluster.k("exec", name, "--", "python3", "-c", FETCH, "http://web/", check=False).strip() == name, 10)


def test_node_port_from_outside_and_inside(cluster):
    cluster.apply(deployment("web", 2, *WEB, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), service("web", type="NodePort"))
    cluster.k("rollout", "status", "deployment/web", "--timeout=30s")
    port = cluster.get("-n", cluster.ns, "service", "web")["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    wait_for("both pods to answer", lambda: len({cluster.fetch(f"http://{NODE_ADDRESS}:{port}/") for _ in range(12)} - {None}) == 2, 10)
    assert cluster.sandbox.inside(["curl", "-sS", "--max-time", "3", f"http://127.0.0.1:{port}/"]).stdout


def test_a_load_balancer_has_the_nodes_address(cluster):
    cluster.apply(deployment("web", 2, *WEB, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), service("web", port=8088, type="LoadBalancer"))
    cluster.k("rollout", "status", "deployment/web", "--timeout=30s")
    status = lambda: cluster.get("-n", cluster.ns, "service", "web")["status"]["loadBalancer"]
    wait_for("the address", lambda: status().get("ingress") == [{"ip": NODE_ADDRESS, "ipMode": "VIP"}], 10)
    wait_for("both pods to answer", lambda: len({cluster.fetch(f"http://{NODE_ADDRESS}:8088/") for _ in range(12)} - {None}) == 2, 10)
    cluster.k("patch", "service", "web", "-p", '{"spec": {"type": "ClusterIP"}}')
    wait_for("no address", lambda: not status().get("ingress"), 10)
    wait_for("the port to be closed", lambda: cluster.fetch(f"http://{NODE_ADDRESS}:8088/", 1) is None, 10)


def test_health_checks_of_a_local_load_balancer(cluster):
    cluster.apply(deployment("web", 1, *WEB, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), service("web", port=8089, type="LoadBalancer", externalTrafficPolicy="Local"))
    cluster.k("rollout", "status", "deployment/web", "--timeout=30s")
    port = cluster.get("-n", cluster.ns, "service", "web")["spec"]["healthCheckNodePort"]
    def check():
        result = cluster.sandbox.outside(["curl", "-sS", "--max-time", "3", "-w", " %{http_code}", f"http://{NODE_ADDRESS}:{port}/healthz"], check=False)
        body, _, status = result.stdout.rpartition(" ")
        return int(status or 0), json.loads(body or "{}").get("localEndpoints")
    wait_for("the endpoint", lambda: check() == (200, 1), 10)
    cluster.k("scale", "deployment/web", "--replicas=0")
    wait_for("no endpoint", lambda: check() == (503, 0), 15)
    cluster.k("delete", "service", "web")
    wait_for("the port to be closed", lambda: check()[0] == 0, 10)


def test_the_doctor_tells_what_is_wrong(cluster):
    result = cluster.estiba("doctor", check=False)
    assert result.returncode == 0, result.stdout
    assert "ok       forwarding" in result.stdout and "10.42.0.0/16 and 10.43.0.0/16 are used by nobody else" in result.stdout
    result = cluster.estiba("doctor", "--pod-cidr", "192.168.0.0/16", check=False)
    assert result.returncode == 1 and "the network 192.168.77.0/24 at eth0 has addresses of --pod-cidr" in result.stdout
    cluster.sandbox.inside(["nft", "add table ip other; add chain ip other f { type filter hook forward priority 0; policy accept; }"])
    try:
        cluster.sandbox.inside(["nft", "add chain ip other g { type filter hook forward priority 300; policy drop; }; insert rule ip other g accept"])
        assert "the chain ip other g drops packets" in cluster.estiba("doctor").stdout
    finally:
        cluster.sandbox.inside(["nft", "delete table ip other"])


def test_services_without_endpoints_refuse(cluster):
    cluster.apply(service("nobody"))
    ip = cluster.get("-n", cluster.ns, "service", "nobody")["spec"]["clusterIP"]
    def refused():
        result = cluster.sandbox.inside(["curl", "-sS", "--max-time", "2", f"http://{ip}/"], check=False)
        return "refused" in result.stderr.lower() or "could not connect" in result.stderr.lower() or "couldn't connect" in result.stderr.lower()
    wait_for("the refusal", refused, 10)


def test_names_of_headless_services_and_pods(cluster):
    cluster.apply(deployment("db", 2), service("db", clusterIP="None"), pod("client"))
    cluster.k("rollout", "status", "deployment/db", "--timeout=30s")
    cluster.wait_running("client")
    ips = {p["status"]["podIP"] for p in cluster.get("-n", cluster.ns, "pods", "-l", "app=db")["items"]}
    dig = lambda *what: set(cluster.sandbox.inside(["dig", "+short", "+time=2", "@10.43.0.10", *what]).stdout.split())
    wait_for("all addresses", lambda: dig(f"db.{cluster.ns}.svc.cluster.local") == ips, 10)
    ip = sorted(ips)[0]
    assert dig(f"{ip.replace('.', '-')}.{cluster.ns}.pod.cluster.local") == {ip}
    assert dig(f"none.{cluster.ns}.svc.cluster.local") == set()
    assert "10.43.0.1" in dig("kubernetes.default.svc.cluster.local")
    assert "db" in cluster.k("exec", "client", "--", "nslookup", f"db.{cluster.ns}.svc.cluster.local")


def test_endpoints_follow_readiness(cluster):
    cluster.apply(pod("web", "sh", "-c", "sleep 3600", readinessProbe={"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1, "failureThreshold": 1}), service("web"))
    cluster.wait_pod("web", lambda p: p["status"].get("podIP"), "an address")
    addresses = lambda: [e["addresses"][0] for s in cluster.get("-n", cluster.ns, "endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
                         for e in s["endpoints"] or [] if e["conditions"]["ready"]]
    wait_for("the pod's process", lambda: cluster.pod("web")["status"]["phase"] == "Running", 10)
    assert addresses() == []
    cluster.k("exec", "web", "--", "touch", "/tmp/ready")
    wait_for("the endpoint", lambda: addresses() == [cluster.pod("web")["status"]["podIP"]], 10)
    cluster.k("exec", "web", "--", "rm", "/tmp/ready")
    wait_for("no endpoint", lambda: addresses() == [], 10)


def test_host_network_pods_see_the_node(cluster):
    cluster.apply(pod("host", "ip", "-4", "address", restartPolicy="Never", hostNetwork=True))
    ended = cluster.wait_ended("host")
    assert NODE_ADDRESS in cluster.k("logs", "host") and ended["status"]["podIP"] == NODE_ADDRESS


def test_a_pods_rates_are_those_of_its_annotations(cluster):
    cluster.apply(pod("slow", annotations={"kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "4M"}),
                  pod("wrong", annotations={"kubernetes.io/egress-bandwidth": "fast"}))
    address = cluster.wait_running("slow")["status"]["podIP"]
    rates = lambda *command: [q["options"]["rate"] for q in json.loads(cluster.sandbox.inside([*command, "tc", "-j", "qdisc"]).stdout) if q["kind"] == "tbf"]
    assert 10_000_000 // 8 in rates()
    assert rates("nsenter", f"--net=/run/estiba/netns/{address}") == [4_000_000 // 8]
    said = 'the annotation kubernetes.io/egress-bandwidth must be bits a second from 1k to 1P, as 10M, not "fast"'
    wait_for("the event", lambda: said in cluster.k("get", "events", "--field-selector=involvedObject.name=wrong"), 20)
    assert cluster.pod("wrong")["status"]["phase"] == "Pending"
