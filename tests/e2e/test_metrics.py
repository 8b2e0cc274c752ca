"""What nodes and pods use, as kubectl top and the metrics API show it."""
import json
import os
import re
import time

from cluster import wait_for
from manifests import pod

BUSY = ("sh", "-c", "while :; do :; done")


def metrics(cluster, path):
    return json.loads(cluster.k("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/{path}"))


def test_pods_and_nodes_tell_what_they_use(cluster):
    cluster.apply(pod("busy", *BUSY), pod("calm"))
    cluster.wait_running("busy")
    cluster.wait_running("calm")
    use = lambda name: metrics(cluster, f"namespaces/{cluster.ns}/pods/{name}")["containers"][0]["usage"]
    cpu = lambda name: int(use(name)["cpu"].removesuffix("n"))
    wait_for("the busy one's use", lambda: cpu("busy") > 50_000_000)
    assert cpu("busy") > 10 * cpu("calm")
    assert int(use("busy")["memory"].removesuffix("Ki")) > 0
    listed = metrics(cluster, f"namespaces/{cluster.ns}/pods?labelSelector=app%3Dbusy")
    assert listed["kind"] == "PodMetricsList" and [i["metadata"]["name"] for i in listed["items"]] == ["busy"]
    assert listed["items"][0]["containers"][0]["name"] == "main"
    node = metrics(cluster, "nodes")["items"][0]
    assert node["metadata"]["name"] == "node-1" and int(node["usage"]["memory"].removesuffix("Ki")) > 1024
    assert re.search(r"busy +\d+m +\d+Mi", cluster.k("top", "pods"))
    assert re.search(r"node-1 +\d+m +\d+% +\d+Mi +\d+%", cluster.k("top", "nodes"))


def test_what_does_not_run_has_no_metrics(cluster):
    cluster.apply(pod("brief", "true", restartPolicy="Never"))
    cluster.wait_ended("brief")
    refused = cluster.request("GET", f"/apis/metrics.k8s.io/v1beta1/namespaces/{cluster.ns}/pods/brief")
    assert refused[0] == 404 and 'podmetrics.metrics.k8s.io' in str(refused) or 'pods.metrics.k8s.io' in str(refused)


def test_the_nodes_api_tells_it_to_scrapers(cluster):
    cluster.apply(pod("calm"))
    cluster.wait_running("calm")
    text = cluster.k("get", "--raw", "/api/v1/nodes/node-1/proxy/metrics/resource")
    assert re.search(rf'container_memory_working_set_bytes{{container="main",namespace="{cluster.ns}",pod="calm"}} \d+ \d+', text)
    assert re.search(r"node_cpu_usage_seconds_total \d+\.\d{9} \d+", text)
    summary = json.loads(cluster.k("get", "--raw", "/api/v1/nodes/node-1/proxy/stats/summary"))
    mine = next(p for p in summary["pods"] if p["podRef"]["namespace"] == cluster.ns)
    assert mine["memory"]["workingSetBytes"] > 0 and summary["node"]["fs"]["capacityBytes"] > 0


def test_the_nodes_api_knows_who_asks(cluster):
    """As a Prometheus does: with a service account's token, straight at the node."""
    name = cluster.ns + "-scraper"
    cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "scraper"}},
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}]},
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                   "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": cluster.ns}]})
    try:
        token = cluster.request("POST", f"/api/v1/namespaces/{cluster.ns}/serviceaccounts/scraper/token", {"spec": {"expirationSeconds": 3600}})[1]["status"]["token"]

        def ask(path, *options):
            answer = cluster.sandbox.inside(["curl", "-sk", "--max-time", "10", "-w", "\n%{http_code}", *options, f"https://127.0.0.1:10250{path}"]).stdout
            text, _, status = answer.rpartition("\n")
            return int(status), text
        bearer = ("-H", f"Authorization: Bearer {token}")
        for path in ("/metrics", "/metrics/cadvisor", "/metrics/resource", "/metrics/probes"):
            assert ask(path, *bearer)[0] == 200, path
        status, text = ask("/pods", *bearer)
        assert status == 403 and f"system:serviceaccount:{cluster.ns}:scraper" in text and "subresource(s)=[pods proxy]" in text
        assert ask("/configz", *bearer)[0] == 403 and ask("/exec/a/b/c?command=id", "-X", "POST", *bearer)[0] == 403
        assert ask("/metrics") == (401, "Unauthorized") and ask("/metrics", "-H", "Authorization: Bearer x")[0] == 401 and ask("/healthz")[0] == 401
        config = json.loads(cluster.kubectl("get", "--raw", "/api/v1/nodes/node-1/proxy/configz"))["kubeletconfig"]
        assert config["kind"] == "KubeletConfiguration" and config["clusterDomain"] == "cluster.local" and config["authorization"]["mode"] == "Webhook"
        assert '"PodList"' in cluster.kubectl("get", "--raw", "/api/v1/nodes/node-1/proxy/runningpods/")
    finally:
        cluster.kubectl("delete", "clusterrole,clusterrolebinding", name)


def test_containers_have_cadvisors_names_and_probes_are_counted(cluster):
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    cluster.apply(pod("metered", "sh", "-c", "head -c 1000000 /dev/zero > /file; exec sleep 1000", livenessProbe=probe))
    cluster.wait_running("metered")
    raw = lambda path: cluster.k("get", "--raw", f"/api/v1/nodes/node-1/proxy/metrics/{path}")
    fs = rf'container_fs_usage_bytes{{container="main",device="[^"]+",id="[^"]+",image="[^"]+",name="[0-9a-f]{{64}}",namespace="{cluster.ns}",pod="metered"}} ([0-9.e+]+) '
    wait_for("the written file", lambda: (m := re.search(fs, raw("cadvisor"))) and float(m[1]) >= 1_000_000)
    text = raw("cadvisor")
    # As the recording rules of kubernetes-mixin select: by container and image for containers, without them for pods.
    mine = [line for line in text.splitlines() if f'namespace="{cluster.ns}",pod="metered"' in line]
    value = lambda name, *parts: [float(line.rsplit(" ", 2)[1]) for line in mine if line.startswith(name + "{") and all(part in line for part in parts)]
    assert value("container_cpu_usage_seconds_total", 'container="main"', 'cpu="total"')[0] > 0
    assert value("container_memory_working_set_bytes", 'container="main"') and value("container_memory_working_set_bytes", 'container=""', 'image=""')
    assert len(value("container_network_receive_bytes_total", 'container=""', 'interface="eth0"')) == 1
    assert value("container_start_time_seconds", 'container="main"')[0] > 1e9
    assert re.search(r"^machine_cpu_cores \d+$", text, re.M) and re.search(r"^# TYPE container_cpu_usage_seconds_total counter$", text, re.M)
    wait_for("a counted probe", lambda: re.search(rf'prober_probe_total{{container="main",namespace="{cluster.ns}",pod="metered",pod_uid="[^"]+",probe_type="Liveness",result="successful"}} \d+', raw("probes")))
    assert f'prober_probe_duration_seconds_count{{container="main",namespace="{cluster.ns}",pod="metered",probe_type="Liveness"}}' in raw("probes")


def test_the_server_tells_what_it_costs_itself(cluster):
    told = dict(line.rsplit(" ", 1) for line in cluster.k("get", "--raw", "/metrics").splitlines() if line.startswith(("process_", "estiba_heap_")))
    value = {name: float(text) for name, text in told.items()}
    process = f"/proc/{cluster.server_pid()}"
    with open(f"{process}/status") as status:
        resident = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
    assert abs(value["process_resident_memory_bytes"] - resident) < resident / 2
    assert value["process_virtual_memory_bytes"] > value["process_resident_memory_bytes"] > value["estiba_heap_allocated_bytes"] > 1 << 20
    assert value["estiba_heap_free_bytes"] > 0 and value["process_cpu_seconds_total"] > 0
    assert abs(value["process_open_fds"] - len(os.listdir(f"{process}/fd"))) <= 10 < value["process_max_fds"]
    assert time.time() - 3600 < value["process_start_time_seconds"] <= time.time() + 1
    of_node = cluster.k("get", "--raw", "/api/v1/nodes/node-1/proxy/metrics")
    assert "\nprocess_cpu_seconds_total " in of_node, "the node's API tells them too"
