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

from measure import KUBERNETES, Api, cpu_by_thread, pod, program, running_cluster, spent, support

NAMESPACE = "/api/v1/namespaces/default"
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load-@N"}, "data": {"text": "x" * 900}}
CREATIONS = ((1, 1000), (16, 4000), (64, 8000))  # at a time, in all


class Generator:
    def __init__(self, cluster):
        self.cluster, self.path, self.next = cluster, program("api_load"), 0

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

    def creating(self, connections, requests):
        body = self.cluster.dir / "body.json"
        body.write_text(json.dumps(CONFIG_MAP))
        first, self.next = self.next, self.next + requests
        return self.costed(f"{NAMESPACE}/configmaps", method="POST", body=body, connections=connections, requests=requests, first=first)


def rate(result):
    return result["requests"] / result["seconds"]


def get(table, load):
    path = f"{NAMESPACE}/services/kubernetes"
    load.run(path, requests=2000)
    one = [load.costed(path, requests=5000) for _ in range(5)]
    table.add("GET of one object: CPU of the server", [r["cpu_us"] for r in one], "µs", "40 µs", f"1,000 µs ({KUBERNETES})")
    table.add("GET of one object, one connection: p50", [r["p50_us"] for r in one], "µs")
    many = [load.costed(path, requests=20000, connections=16) for _ in range(3)]
    table.add("GET of one object, 16 connections", [rate(r) for r in many], "/s")
    table.add("GET of one object, 16 connections: CPU of the server", [r["cpu_us"] for r in many], "µs")


def list_pods(table, load, api):
    for i in range(500):
        body = pod(f"waiting-{i}")
        body["spec"]["schedulerName"] = "nobody"
        api.create(f"{NAMESPACE}/pods", body)
    load.run(f"{NAMESPACE}/pods", requests=10)
    results = [load.costed(f"{NAMESPACE}/pods", requests=50) for _ in range(3)]
    table.add("LIST of 500 pods: p50", [r["p50_us"] / 1000 for r in results], "ms")
    table.add("LIST of 500 pods: CPU of the server", [r["cpu_us"] / 1000 for r in results], "ms")
    api.call("DELETE", f"{NAMESPACE}/pods?gracePeriodSeconds=0")


def create(table, load):
    for connections, requests in CREATIONS:
        results = [load.creating(connections, requests) for _ in range(3)]
        table.add(f"CREATE of 1 KiB, durable, {connections} at a time", [rate(r) for r in results], "/s")
        table.add(f"CREATE of 1 KiB, durable, {connections} at a time: CPU", [r["cpu_us"] for r in results], "µs")


def fan_out(table, load, api, connections=100, events=500):
    version = api.call("GET", f"{NAMESPACE}/configmaps?limit=1")[1]["metadata"]["resourceVersion"]
    watchers = load.run(f"{NAMESPACE}/configmaps?watch=1&resourceVersion={version}", watch=events, popen=True, connections=connections)
    assert watchers.stdout.readline() == "watching\n"
    before = cpu_by_thread([load.cluster.server_pid()])
    load.creating(8, events)
    result = json.loads(watchers.communicate(timeout=60)[0])
    cpu = spent(before, [load.cluster.server_pid()])
    table.add(f"WATCH, {events} creations seen by {connections} watches", result["events"] / result["seconds"], "/s")
    table.add("  CPU of the server for each event delivered", cpu / result["events"] * 1e6, "µs")


def nginx(table, cluster, load, size):
    """nginx serving a file of the same size over TLS: what this machine can do at most with such a request."""
    binary = shutil.which("nginx") or next(map(str, support.CACHE.glob("nginx/usr/sbin/nginx")), None)
    if not binary:
        print("    nginx is not here (apt-get install nginx-light): not compared")
        return
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder)
        base.chmod(0o755)
        (base / "file").write_text("x" * size)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", base / "key", "-out", base / "crt",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        (base / "conf").write_text(f"""daemon off; master_process off; worker_processes 1; pid {base}/pid; error_log {base}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {base}/a; proxy_temp_path {base}/b; fastcgi_temp_path {base}/c; uwsgi_temp_path {base}/d; scgi_temp_path {base}/e;
server {{ listen 127.0.0.1:7443 ssl; ssl_certificate {base}/crt; ssl_certificate_key {base}/key; root {base}; }} }}""")
        with inside(cluster, [binary, "-c", base / "conf", "-p", base]) as pid:
            support.wait_for("nginx", lambda: (base / "pid").exists(), 10)
            flags = {"base": "https://127.0.0.1:7443", "ca": base / "crt", "requests": 5000}
            load.run("/file", **flags)
            results = []
            for _ in range(3):
                before = cpu_by_thread([pid])
                result = load.run("/file", **flags)
                result["cpu_us"] = spent(before, [pid]) / result["requests"] * 1e6
                results.append(result)
            table.add(f"peer: nginx, a file of {size} bytes over TLS: CPU", [r["cpu_us"] for r in results], "µs")
            table.add("peer: nginx, one connection: p50", [r["p50_us"] for r in results], "µs")


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
        size = len(json.dumps(api.call("GET", f"{NAMESPACE}/services/kubernetes")[1]))
        get(table, load)
        nginx(table, cluster, load, size)
        create(table, load)
        etcd(table, cluster, load)
        fan_out(table, load, api)
        list_pods(table, load, api)
