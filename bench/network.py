"""Services, their load, and names: what tests/programs/network_load.cpp measures, in the networks of two pods."""
import contextlib
import json
import socket
import statistics
import subprocess
import time

import ingress
from api import Generator
from measure import KUBERNETES, Api, cpu_by_thread, network_of, pod, program, running_cluster, support

SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def service(name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


def endpoints(name, *addresses):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]}


class Pods:
    """Two pods that answer with their names on port 8080, and what runs in the network of either."""

    def __init__(self, cluster, api, stack):
        self.cluster, self.path, self.ip = cluster, program("network_load"), {}
        for name in ("a", "b"):
            api.create("/api/v1/namespaces/default/pods", pod(name))
        for name in ("a", "b"):
            self.ip[name] = support.wait_for(f"pod {name}", lambda: cluster.get("pod", name)["status"].get("podIP"))
            server = subprocess.Popen(self.inside(name, "serve", 8080, name))
            stack.callback(server.wait)
            stack.callback(server.kill)

    def inside(self, name, *arguments):
        return self.cluster.sandbox.command(["nsenter", f"--net={self.cluster.run_dir}/netns/{self.ip[name]}", self.path, *arguments])

    def run(self, name, *arguments):
        return json.loads(support.run(self.inside(name, *arguments), timeout=60).stdout)

    def answer(self, address):
        with contextlib.suppress(OSError), network_of(self.cluster.sandbox.pid), socket.create_connection((address, 80), 1) as connection:
            connection.sendall(b"?")
            return connection.recv(16).decode()


def follow(table, api, pods, address, present):
    """Times from the beginning of the request that changes the endpoints to the first answer of the new one."""
    times = []
    for round in range(20):
        name = "ba"[round % 2]
        begin = time.perf_counter()
        api.call("PATCH", f"{SLICES}/followed-x", {"endpoints": endpoints("", pods.ip[name])["endpoints"]}, media="application/merge-patch+json")
        while pods.answer(address) != name:
            pass
        times.append((time.perf_counter() - begin) * 1000)
    goal = "10 ms" if present == 1 else "20 ms"
    others = f"447 ms, from ready to traffic ({KUBERNETES})" if present == 1 else ""
    table.add(f"endpoint changed → traffic, {present:,} services", times, "ms", goal, others)


def create(table, api, pods, present):
    """Times from the beginning of the request that makes a Service, whose endpoints are there, to the first answer at its address."""
    times = []
    for round in range(20):
        name = f"made-{present}-{round}"
        api.create(SLICES, endpoints(name, pods.ip["a"]))
        begin = time.perf_counter()
        address = api.create(SERVICES, service(name))["spec"]["clusterIP"]
        while pods.answer(address) != "a":
            pass
        times.append((time.perf_counter() - begin) * 1000)
    table.add(f"Service created → traffic, {present:,} services", times, "ms", "10 ms" if present == 1 else "20 ms")


def names(table, cluster, pods):
    """Answers a second while the one who asks has the other core, and how many the thread that answers gives in a second of its CPU."""
    pid, answers, of_a_core = cluster.server_pid(), [], []
    for _ in range(5):
        before = thread_cpu(pid, "estiba-dns")
        answers.append(pods.run("b", "dns", "10.43.0.10", "followed.default.svc.cluster.local", 2))
        of_a_core.append(answers[-1]["answers"] / (thread_cpu(pid, "estiba-dns") - before))
    table.add("DNS answers a second of CPU, on one core", of_a_core, "/s", "100,000 /s")
    table.add("DNS answers, 64 under way, asked from the same machine", [r["per_second"] for r in answers], "/s")
    table.add("DNS answer, alone: p99", [r["p99_us"] / 1000 for r in answers], "ms", "0.2 ms")


def thread_cpu(pid, name):
    times = cpu_by_thread([pid])
    return sum(seconds for (_, task), seconds in times.items() if open(f"/proc/{pid}/task/{task}/comm").read().strip() == name)


def measure(table):
    loaded = [json.loads(support.run(["unshare", "--net", program("network_load"), "services", 10000, 5]).stdout) for _ in range(3)]
    table.add("10,000 services, 50,000 endpoints: load", [r["loaded_s"] for r in loaded], "s", "2 s")
    table.add("the same: memory of ours beside the objects", [r["resident_kib"] / 1024 for r in loaded], "MiB", "60 MB")
    table.add("the same: one change, written", [r["change_us"] / 1000 for r in loaded], "ms")
    with running_cluster() as cluster, contextlib.ExitStack() as stack:
        api = Api(cluster)
        pods = Pods(cluster, api, stack)
        address = api.create(SERVICES, service("followed"))["spec"]["clusterIP"]
        api.create(SLICES, endpoints("followed", pods.ip["a"]))
        support.wait_for("the service", lambda: pods.answer(address) == "a")
        follow(table, api, pods, address, 1)
        create(table, api, pods, 1)
        straight, through = [], []
        for _ in range(5):
            straight.append(pods.run("b", "connect", pods.ip["a"], 8080, 2)["per_second"])
            api.call("PATCH", f"{SLICES}/followed-x", {"endpoints": endpoints("", pods.ip["a"])["endpoints"]}, media="application/merge-patch+json")
            support.wait_for("the pod", lambda: pods.answer(address) == "a")
            through.append(pods.run("b", "connect", address, 80, 2)["per_second"])
        table.add("connections straight to a pod", straight, "/s")
        table.add("connections through the ClusterIP", through, "/s")
        table.add("the same against straight", statistics.median(through) / statistics.median(straight) * 100, "%", "95 %")
        names(table, cluster, pods)
        ingress.measure(table, cluster, pods, api)
        load = Generator(cluster)
        for path, made in ((SERVICES, service("load-@N")), (SLICES, endpoints("load-@N", *(f"10.42.9.{10 + i}" for i in range(5))))):
            body = cluster.dir / "body.json"
            body.write_text(json.dumps(made))
            load.run(path, method="POST", body=body, connections=16, requests=10000)
        follow(table, api, pods, address, 10000)
        create(table, api, pods, 10000)
