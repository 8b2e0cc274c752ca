"""What many objects and many watchers cost the server: memory an object, CPU for an event delivered and for a long list."""
import json
import re

from api import NAMESPACE, Generator
from measure import Api, cpu_by_thread, running_cluster, spent

CONFIG_MAPS, PODS = 10_000, 5_000
WATCHERS, EVENTS = 500, 200
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
FORMS = {
    "JSON": "application/json",
    "Table": "application/json;as=Table;v=v1;g=meta.k8s.io",
    "metadata only": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
}


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "x" * 900}}


def applied_pod(name):
    """A pod as kubectl apply makes it, which no scheduler takes."""
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": "many"}},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
                                                               "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}}
    body["metadata"]["annotations"] = {APPLIED: json.dumps(body)}
    return body


def pss(cluster):
    text = open(f"/proc/{cluster.server_pid()}/smaps_rollup").read()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) / 1024


def fill(load, path, body, count, first=0):
    file = load.cluster.dir / "many.json"
    file.write_text(json.dumps(body))
    return load.costed(path, method="POST", body=file, connections=16, requests=count, first=first)


def memory(table, cluster, load):
    before = pss(cluster)
    fill(load, f"{NAMESPACE}/configmaps", config_map("many-@N"), CONFIG_MAPS)
    middle = pss(cluster)
    table.add(f"memory (PSS) of the server for {CONFIG_MAPS:,} ConfigMaps of 1 KiB", middle - before, "MiB")
    fill(load, f"{NAMESPACE}/pods", applied_pod("many-@N"), PODS)
    table.add(f"memory (PSS) of the server for {PODS:,} pods that wait", pss(cluster) - middle, "MiB")


def lists(table, load):
    for limit, rounds in ((500, 30), (PODS, 6)):
        results = [load.costed(f"{NAMESPACE}/pods?limit={limit}", requests=rounds) for _ in range(3)]
        table.add(f"LIST of {limit:,} pods: CPU of the server", [r["cpu_us"] / 1000 for r in results], "ms")


def fan_out(table, load, api):
    first = 0
    for form, accept in FORMS.items():
        version = api.call("GET", f"{NAMESPACE}/secrets?limit=1")[1]["metadata"]["resourceVersion"]
        watchers = load.run(f"{NAMESPACE}/secrets?watch=1&resourceVersion={version}", watch=EVENTS, popen=True, connections=WATCHERS, accept=accept)
        assert watchers.stdout.readline() == "watching\n"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "seen-@N"}, "stringData": {"text": "x" * 700}}
        file = load.cluster.dir / "secret.json"
        file.write_text(json.dumps(secret))
        before = cpu_by_thread([load.cluster.server_pid()])
        load.run(f"{NAMESPACE}/secrets", method="POST", body=file, connections=1, requests=EVENTS, first=first)
        result = json.loads(watchers.communicate(timeout=120)[0])
        cpu = spent(before, [load.cluster.server_pid()])
        table.add(f"WATCH as {form}, {EVENTS} changes seen by {WATCHERS}: CPU an event", cpu / result["events"] * 1e6, "µs")
        first += EVENTS


def measure(table):
    with running_cluster(image=False) as cluster:
        api, load = Api(cluster), Generator(cluster)
        memory(table, cluster, load)  # first: what the watchers leave free would hide it
        lists(table, load)
        fan_out(table, load, api)
