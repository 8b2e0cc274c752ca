"""What the API server costs and carries. The load comes from tests/programs/api_load.cpp on the same two cores, so requests a
second are those of server and client together; CPU is the server's alone."""
import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from measure import KUBERNETES, Api, cpu_by_thread, pod, program, running_cluster, spent, support

NAMESPACE, LOADED = "/api/v1/namespaces/default", "/api/v1/namespaces/loaded"
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load-@N"}, "data": {"text": "x" * 900}}
CREATIONS = ((1, 1000), (16, 4000), (64, 8000))  # at a time, in all
CONFIG_MAPS, PODS = 10_000, 5_000  # what is there meanwhile
PUBLISHED_CREATES = {1: "231/s", 16: "716/s", 64: "894/s"}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PROTOBUF = "application/vnd.kubernetes.protobuf"


class Generator:
    def __init__(self, cluster):
        self.cluster, self.path, self.next, self.made_first = cluster, program("api_load"), 0, 0

    def run(self, path, watch=0, popen=False, base="https://127.0.0.1:6443", **options):
        files = {"ca": "ca.crt", "cert": "admin.crt", "key": "admin.key"} if base.startswith("https") else {}
        flags = {"url": base + path, **{key: self.cluster.dir / name for key, name in files.items()}, **options}
        if watch:
            flags["watch"] = watch
        command = self.cluster.sandbox.command([self.path, *(f"--{key}={value}" for key, value in flags.items())])
        if popen:
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return json.loads(support.run(command, timeout=120).stdout)

    def costed(self, path, **options):
        """The same with the server's CPU in µs a request as "cpu_us"."""
        pids = [self.cluster.server_pid()]
        before = cpu_by_thread(pids)
        result = self.run(path, **options)
        result["cpu_us"] = spent(before, pids) / result["requests"] * 1e6
        return result

    def creating(self, connections, requests, path=f"{LOADED}/configmaps", content=CONFIG_MAP):
        first, self.next = self.next, self.next + requests
        return self.sending("POST", path, content, connections=connections, requests=requests, first=first)

    def sending(self, method, path, content, **options):
        body = self.cluster.dir / "body.json"
        body.write_text(json.dumps(content))
        return self.costed(path, method=method, body=body, **options)


def rate(result):
    return result["requests"] / result["seconds"]


def get(table, load):
    path = f"{NAMESPACE}/services/kubernetes"
    load.run(path, requests=2000)
    one = [load.costed(path, requests=5000) for _ in range(5)]
    table.add("GET of one object: CPU of the server", [r["cpu_us"] for r in one], "µs", "25 µs", f"1,000 µs ({KUBERNETES})")
    table.add("GET of one object, one connection: p50", [r["p50_us"] for r in one], "µs", "100 µs", "1,100-1,900 µs")
    many = [load.costed(path, requests=20000, connections=16) for _ in range(3)]
    table.add("GET of one object, 16 connections", [rate(r) for r in many], "/s", "43,000/s", "1,077/s")
    table.add("GET of one object, 16 connections: CPU of the server", [r["cpu_us"] for r in many], "µs")


def waiting_pod(name):
    """A pod as kubectl apply makes it, which no scheduler takes: some 2 KB as it is stored."""
    body = pod(name)
    body["metadata"]["labels"] = {"app": "many", "pod-template-hash": "569479fd49"}
    body["spec"] |= {"schedulerName": "nobody", "containers": [body["spec"]["containers"][0] | {"ports": [{"containerPort": 8080, "name": "http"}], "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}
    body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(body)}
    return body


def pss(cluster):
    return support.pss_kib(cluster.server_pid()) / 1024


def fill(load):
    """What is there while the rest is measured."""
    load.creating(16, CONFIG_MAPS, f"{NAMESPACE}/configmaps")
    load.creating(16, PODS, f"{NAMESPACE}/pods", waiting_pod("waiting-@N"))


def lists(table, load):
    """Returns how many bytes all pods are as JSON."""
    path = f"{NAMESPACE}/pods"
    for what, goal, published, limit, rounds, accept in (("500 pods", "1 ms", "27 ms", 500, 50, "application/json"), ("5,000 pods", "8 ms", "210 ms", PODS, 8, "application/json"),
                                                         ("5,000 pods as Table", "15 ms", "270 ms", PODS, 8, TABLE)):
        load.run(f"{path}?limit={limit}", requests=2, accept=accept)
        results = [load.costed(f"{path}?limit={limit}", requests=rounds, accept=accept) for _ in range(3)]
        size = results[0]["bytes"] / results[0]["requests"] / 1e6
        table.add(f"LIST of {what} ({size:.1f} MB): CPU of the server", [r["cpu_us"] / 1000 for r in results], "ms", goal, published)
        table.add(f"LIST of {what}: p50", [r["p50_us"] / 1000 for r in results], "ms")
        if what == "5,000 pods":
            whole = results[0]["bytes"] // results[0]["requests"]
            results = [load.costed(f"{path}?limit={limit}", requests=rounds, accept=PROTOBUF) for _ in range(3)]
            size = results[0]["bytes"] / results[0]["requests"] / 1e6
            table.add(f"LIST of {what} as protobuf ({size:.1f} MB): CPU of the server", [r["cpu_us"] / 1000 for r in results], "ms")
    return whole


def create(table, load):
    for connections, requests in CREATIONS:
        results = [load.creating(connections, requests) for _ in range(3)]
        table.add(f"CREATE of 1 KiB, durable, {connections} at a time", [rate(r) for r in results], "/s", {1: "460/s", 16: "5,700/s", 64: "13,400/s"}[connections], PUBLISHED_CREATES[connections])
        table.add(f"CREATE of 1 KiB, durable, {connections} at a time: CPU", [r["cpu_us"] for r in results], "µs", "100 µs", "1,450-2,950 µs")


def patch(table, load, requests=1500):
    """Each patch changes an object that create() made."""
    url, first = f"{LOADED}/configmaps/load-@N", load.made_first
    change = {"metadata": {"labels": {"round": "@N"}}, "data": {"text": "y" * 900}}
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load-@N", "labels": {"round": "@N"}}, "data": {"applied": "z" * 100}}
    for what, media, content, query, goal, published in (("merge", "application/merge-patch+json", change, "", "150 µs", "3,400 µs"), ("strategic", "application/strategic-merge-patch+json", change, "", "200 µs", "4,600 µs"),
                                                         ("apply", "application/apply-patch+yaml", applied, "?fieldManager=bench&force=true", "300 µs", "4,000 µs")):
        results = []
        for _ in range(3):
            results.append(load.sending("PATCH", url + query, content, type=media, connections=4, requests=requests, first=first))
            first += requests
        table.add(f"PATCH ({what}), 4 at a time: CPU of the server", [r["cpu_us"] for r in results], "µs", goal, published)


def fan_out(table, load, api, connections=1000, events=1000):
    """One object is changed again and again while many watch it. Delays are those from the sending of the change to the event's arrival."""
    path = f"{LOADED}/secrets"
    api.create(path, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "watched"}, "stringData": {"text": "x" * 700}})
    version = api.call("GET", f"{path}?limit=1")[1]["metadata"]["resourceVersion"]
    watchers = load.run(f"{path}?watch=1&resourceVersion={version}", watch=events, popen=True, connections=connections)
    assert watchers.stdout.readline() == "watching\n"
    before = cpu_by_thread([load.cluster.server_pid()])
    load.sending("PATCH", f"{path}/watched", {"metadata": {"annotations": {"sent": "@T"}}}, type="application/merge-patch+json", requests=events)
    result = json.loads(watchers.communicate(timeout=300)[0])
    cpu = spent(before, [load.cluster.server_pid()])
    table.add(f"WATCH, {events:,} updates seen by {connections:,} watches", result["events"] / result["seconds"], "/s", "300,000/s", "14,300/s")
    table.add("  delay of an event: p99", result["p99_us"] / 1000, "ms", "20 ms", "244 ms")
    table.add("  CPU of the server for each event delivered", cpu / result["events"] * 1e6, "µs", "1.5 µs", "33 µs")


def nginx(table, cluster, load, size, list_size):
    """nginx serving files of the same sizes over TLS: what this machine can do at most with such requests."""
    binary = shutil.which("nginx") or next(map(str, support.CACHE.glob("nginx/usr/sbin/nginx")), None)
    if not binary:
        print("    nginx is not here (apt-get install nginx-light): not compared")
        return
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder)
        base.chmod(0o755)
        (base / "file").write_text("x" * size)
        (base / "list").write_text("x" * list_size)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", base / "key", "-out", base / "crt",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        (base / "conf").write_text(f"""daemon off; master_process off; worker_processes 1; pid {base}/pid; error_log {base}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {base}/a; proxy_temp_path {base}/b; fastcgi_temp_path {base}/c; uwsgi_temp_path {base}/d; scgi_temp_path {base}/e;
server {{ listen 127.0.0.1:7443 ssl; ssl_certificate {base}/crt; ssl_certificate_key {base}/key; root {base}; }} }}""")
        with inside(cluster, [binary, "-c", base / "conf", "-p", base]) as pid:
            support.wait_for("nginx", lambda: (base / "pid").exists(), 10)
            flags = {"base": "https://127.0.0.1:7443", "ca": base / "crt"}

            def costed(path, requests):
                load.run(path, requests=2, **flags)
                for _ in range(3):
                    before = cpu_by_thread([pid])
                    result = load.run(path, requests=requests, **flags)
                    yield result | {"cpu_us": spent(before, [pid]) / result["requests"] * 1e6}

            small, large = list(costed("/file", 5000)), list(costed("/list", 8))
            table.add(f"peer: nginx, a file of {size} bytes over TLS: CPU", [r["cpu_us"] for r in small], "µs")
            table.add("peer: nginx, one connection: p50", [r["p50_us"] for r in small], "µs")
            table.add(f"peer: nginx, a file of {list_size / 1e6:.1f} MB over TLS: CPU", [r["cpu_us"] / 1000 for r in large], "ms")


@contextlib.contextmanager
def inside(cluster, command):
    """A program that runs in the cluster's namespaces meanwhile; its pid."""
    holder = subprocess.Popen(cluster.sandbox.command(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = lambda: open(f"/proc/{holder.pid}/task/{holder.pid}/children").read().split()
    try:
        yield int(support.wait_for(f"{command[0]} to start", children, 5)[0])  # nsenter forks
    finally:
        for child in children():
            os.kill(int(child), signal.SIGTERM)
        holder.wait(20)


def etcd(table, cluster, load):
    """Durable puts of the same size into etcd through its JSON gateway."""
    if not shutil.which("etcd"):
        print("    etcd is not here (apt-get install etcd-server): not compared")
        return
    url = "http://127.0.0.1:7379"
    put = {"key": base64.b64encode(b"/registry/configmaps/default/load").decode(), "value": base64.b64encode(json.dumps(CONFIG_MAP).encode()).decode()}
    body = cluster.dir / "put.json"
    body.write_text(json.dumps(put))
    with inside(cluster, ["etcd", "--data-dir", cluster.dir / "etcd", "--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:7380"]):
        support.wait_for("etcd", lambda: "true" in cluster.sandbox.inside(["curl", "-s", f"{url}/health"], check=False).stdout, 20)
        for connections, requests in CREATIONS:
            results = [load.run("/v3/kv/put", base=url, method="POST", body=body, connections=connections, requests=requests) for _ in range(3)]
            table.add(f"peer: etcd, durable puts of 1 KiB as JSON, {connections} at a time", [rate(r) for r in results], "/s")


def measure(table):
    with running_cluster(image=False) as cluster:
        api = Api(cluster)
        load = Generator(cluster)
        api.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "loaded"}})
        fill(load)
        what = f"memory (PSS) of the server with {PODS:,} pods and {CONFIG_MAPS:,} ConfigMaps"
        table.add(what, pss(cluster), "MiB", "60 MB", "665 MB")
        size = len(json.dumps(api.call("GET", f"{NAMESPACE}/services/kubernetes")[1]))
        get(table, load)
        nginx(table, cluster, load, size, lists(table, load))
        load.made_first = load.next
        create(table, load)
        patch(table, load)
        fan_out(table, load, api)
        api.call("DELETE", f"{LOADED}/configmaps")
        time.sleep(25)  # memory is given back when the node's Lease is renewed
        table.add("the same after the whole load", pss(cluster), "MiB", "80 MB", "915 MB")
        etcd(table, cluster, load)
