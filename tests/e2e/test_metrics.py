"""What nodes and pods use, as kubectl top and the metrics API show it."""
import json
import re

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
