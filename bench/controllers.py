"""What the control plane makes of nodes without machines (`estiba simulate`): pods bound through the API, a Deployment's and a Job's time, and
what thousands of nodes and pods cost at rest. $ESTIBA_HOLLOW_PODS (default 30,000) is how many pods the last one has."""
import contextlib
import json
import os
import time

from api import Generator
from measure import KUBERNETES, Api, Watch, cpu_by_thread, spent, support

from simulator import Simulator  # of tests/support, which measure has made importable

NODES, PODS = 1000, 5000
MANY_NODES = 5000
MANY_PODS = int(os.environ.get("ESTIBA_HOLLOW_PODS", "30000"))
PATH = "/api/v1/namespaces/default"
DEPLOYMENTS, JOBS = "/apis/apps/v1/namespaces/default/deployments", "/apis/batch/v1/namespaces/default/jobs"


@contextlib.contextmanager
def hollow(**flags):
    with support.Cluster(node="false", **{"pod-cidr": "10.64.0.0/11"}) as cluster:  # a /24 for each node
        cluster.start()
        with contextlib.closing(Simulator(cluster, **flags)) as simulator:
            simulator.wait_ready(900)
            api = Api(cluster)
            support.wait_for("the default account", lambda: api.call("GET", f"{PATH}/serviceaccounts/default", check=False)[0] == 200)
            yield cluster, api, simulator


def pod_template(image="none:1", **spec):
    return {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": image, "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}], **spec}}


def deployment(name, replicas):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": pod_template()}}


def rolled_out(object, replicas):
    status, meta = object.get("status", {}), object["metadata"]
    return status.get("observedGeneration") == meta["generation"] and all(status.get(key) == replicas for key in ("replicas", "updatedReplicas", "availableReplicas"))


def glance(line):
    """A pod's event as its name, whether it has a node, and whether it runs."""
    name = line[(begin := line.index(b'"name":"') + 8):line.index(b'"', begin)]
    return {"type": "", "object": (name, b'"nodeName":"' in line, b'"phase":"Running"' in line)}


def pods_bound(table):
    """Deployments would measure their controllers as well: pods come from 32 connections of the load generator."""
    with hollow(nodes=NODES) as (cluster, api, _):
        watch, load = Watch(api, f"{PATH}/pods", glance), Generator(cluster)
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p-@N"}, "spec": pod_template()["spec"]}
        file = cluster.dir / "pod.json"
        file.write_text(json.dumps(body))
        begin = time.monotonic()
        load.run(f"{PATH}/pods", method="POST", body=file, connections=32, requests=PODS)
        bound, running = set(), set()

        def all_run(_, pod):
            name, has_node, runs = pod
            if has_node:
                bound.add(name)
            if runs:
                running.add(name)
            return len(bound) == PODS

        end = watch.when(all_run, "all pods to be bound", seconds=120)
        table.add(f"{PODS:,} pods on {NODES:,} nodes, from creation to binding", PODS / (end - begin), "/s", "5,000 /s", f"97 /s ({KUBERNETES})")
        end = watch.when(lambda kind, pod: all_run(kind, pod) and len(running) == PODS, "all pods to run", seconds=120)
        table.add("the same, until all are running and ready", PODS / (end - begin), "/s")


def workloads(table):
    with hollow(nodes=10, cpu=64) as (_, api, _simulator):
        ready, rolled, done = [], [], []
        for number in range(5):
            watch, name = Watch(api, DEPLOYMENTS), f"web-{number}"
            begin = time.monotonic()
            api.create(DEPLOYMENTS, deployment(name, 10))
            ready.append((watch.when(lambda kind, o: o["metadata"]["name"] == name and rolled_out(o, 10), "the deployment") - begin))
            begin = time.monotonic()
            api.call("PATCH", f"{DEPLOYMENTS}/{name}", {"spec": {"template": pod_template("none:2")}}, "application/strategic-merge-patch+json")
            rolled.append(watch.when(lambda kind, o: o["metadata"]["name"] == name and o["metadata"]["generation"] > 1 and rolled_out(o, 10), "the rollout", since=begin) - begin)
            api.call("DELETE", f"{DEPLOYMENTS}/{name}")
            watch, name = Watch(api, JOBS), f"work-{number}"
            begin = time.monotonic()
            template = {"spec": pod_template(restartPolicy="Never")["spec"]}
            api.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"completions": 50, "parallelism": 10, "template": template}})
            done.append(watch.when(lambda kind, o: o["metadata"]["name"] == name and any(c["type"] == "Complete" for c in o.get("status", {}).get("conditions", [])), "the job") - begin)
        table.add("Deployment of 10: created → all ready", ready, "s", "0.5 s", f"3.9–5.1 s ({KUBERNETES})")
        table.add("Deployment of 10: another image → all of it", rolled, "s", "1 s", f"5.5 s ({KUBERNETES})")
        table.add("Job of 50 completions, 10 at a time, each ends at once", done, "s", "2 s", f"26 s ({KUBERNETES})")


def many(table):
    per_node = -(-MANY_PODS // MANY_NODES) + 10
    with hollow(nodes=MANY_NODES, **{"pods-per-node": per_node}) as (cluster, api, simulator):
        begin = time.monotonic()
        parts = -(-MANY_PODS // 10_000)
        for part in range(parts):
            body = deployment(f"many-{part}", MANY_PODS // parts)
            body["spec"]["selector"]["matchLabels"]["part"] = body["spec"]["template"]["metadata"]["labels"]["part"] = str(part)
            api.create(DEPLOYMENTS, body)

        def all_ready():
            items = api.call("GET", DEPLOYMENTS)[1]["items"]
            return all(item.get("status", {}).get("availableReplicas") == MANY_PODS // parts for item in items)

        support.wait_for("the pods", all_ready, 900, 1)
        table.add(f"{MANY_PODS:,} pods of Deployments on {MANY_NODES:,} nodes, until ready", MANY_PODS / (time.monotonic() - begin), "/s")
        time.sleep(120)  # events and statuses settle, and the server lets go what it was busy with
        pids = {"server": cluster.server_pid(), "simulator": simulator.pid()}
        for name, pid in pids.items():
            table.add(f"memory (PSS) of the {name}, {MANY_NODES:,} nodes and {MANY_PODS:,} pods", support.pss_kib(pid) / 1024, "MiB", "2,048 MiB" if name == "server" else "")
        for name, pid in pids.items():
            shares = []
            for _ in range(3):
                before, begin = cpu_by_thread([pid]), time.monotonic()
                time.sleep(10)
                shares.append(spent(before, [pid]) / (time.monotonic() - begin) * 100)
            table.add(f"CPU of the {name} at rest", shares, "%", "30 %" if name == "server" else "")


def measure(table):
    workloads(table)
    pods_bound(table)
    many(table)
