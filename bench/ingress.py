"""The ingress against nginx and haproxy from Debian: the same backend in a pod, the same load, in turn within one run."""
import contextlib
import pathlib
import shutil
import subprocess
import tempfile

from api import Generator, inside
from measure import cpu_by_thread, program, spent, support

CONNECTIONS, REQUESTS, ROUNDS = 32, 20_000, 5
BACKEND = 8081


def rule(service):
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "bench"}, "spec": {"ingressClassName": "estiba", "rules": [{"http": {"paths": [path]}}]}}


def nginx(base, backend):
    binary = shutil.which("nginx") or next(map(str, support.CACHE.glob("nginx/usr/sbin/nginx")), None)
    (base / "nginx.conf").write_text(f"""daemon off; master_process off; worker_processes 1; pid {base}/pid; error_log {base}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {base}/a; proxy_temp_path {base}/b; fastcgi_temp_path {base}/c; uwsgi_temp_path {base}/d; scgi_temp_path {base}/e;
upstream pod {{ server {backend}; keepalive 64; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:7081; location / {{ proxy_pass http://pod; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }} }} }}""")
    return 7081, binary and [binary, "-c", base / "nginx.conf", "-p", base]


def haproxy(base, backend):
    binary = shutil.which("haproxy") or next(map(str, support.CACHE.glob("haproxy/usr/sbin/haproxy")), None)
    (base / "haproxy.cfg").write_text(f"""global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend f
  bind 127.0.0.1:7082
  http-request set-header X-Forwarded-Proto http
  default_backend b
backend b
  balance leastconn
  server pod {backend}
""")
    libraries = support.CACHE / "haproxy/usr/lib/x86_64-linux-gnu"
    return 7082, binary and ["env", f"LD_LIBRARY_PATH={libraries}", binary, "-db", "-q", "-f", base / "haproxy.cfg"]


def measure(table, cluster, pods, api):
    """Rows: keep-alive requests for 1 KB by each proxy, and its CPU for each."""
    load = Generator(cluster)
    with contextlib.ExitStack() as stack:
        backend = subprocess.Popen(cluster.sandbox.command(["nsenter", f"--net={cluster.run_dir}/netns/{pods.ip['a']}", program("static_page"), str(BACKEND), "1024"]))
        stack.callback(backend.wait)
        stack.callback(backend.kill)
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "page"}, "spec": {"ports": [{"port": 80, "targetPort": BACKEND}]}}
        api.create("/api/v1/namespaces/default/services", service)
        api.create("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
                   {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "page-x", "labels": {"kubernetes.io/service-name": "page"}}, "addressType": "IPv4",
                    "ports": [{"port": BACKEND, "protocol": "TCP"}], "endpoints": [{"addresses": [pods.ip["a"]], "conditions": {"ready": True}}]})
        api.create("/apis/networking.k8s.io/v1/namespaces/default/ingresses", rule("page"))
        proxies = {"estiba": 80}
        pids = {"estiba": [cluster.server_pid()]}
        for name, made in (("nginx", nginx), ("haproxy", haproxy)):
            base = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            base.chmod(0o755)
            port, command = made(base, f"{pods.ip['a']}:{BACKEND}")
            if not command:
                print(f"    {name} is not here: not compared")
                continue
            proxies[name] = port
            pids[name] = [stack.enter_context(inside(cluster, command))]
        for name, port in proxies.items():
            support.wait_for(name, lambda: attempt(load, port), 20)
        rates, cost = {name: [] for name in proxies}, {name: [] for name in proxies}
        for _ in range(ROUNDS):
            for name, port in proxies.items():
                before = cpu_by_thread(pids[name])
                result = load.run("/", base=f"http://127.0.0.1:{port}", connections=CONNECTIONS, requests=REQUESTS)
                rates[name].append(result["requests"] / result["seconds"])
                cost[name].append(spent(before, pids[name]) / result["requests"] * 1e6)
    middle = lambda values: sorted(values)[len(values) // 2]
    others = lambda values: ", ".join(f"{name} {middle(each):,.1f}" for name, each in values.items() if name != "estiba")
    table.add(f"ingress, HTTP keep-alive, 1 KB, {CONNECTIONS} connections", rates["estiba"], "/s", "the better", others(rates))
    table.add("the same: CPU for each request", cost["estiba"], "µs", "", others(cost))
    if len(proxies) > 1:
        best = max(middle(values) for name, values in rates.items() if name != "estiba")
        least = min(middle(values) for name, values in cost.items() if name != "estiba")
        table.add("the same: requests a second against the better", middle(rates["estiba"]) / best, "times", "1.0")
        table.add("the same: requests for the same CPU against the better", least / middle(cost["estiba"]), "times")


def attempt(load, port):
    with contextlib.suppress(AssertionError, OSError, ValueError, subprocess.SubprocessError):
        return load.run("/", base=f"http://127.0.0.1:{port}", requests=1)["requests"] == 1
    return False
