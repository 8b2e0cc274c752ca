"""From exec to /readyz, and to a Service that answers from its pod."""
import http.client
import shutil
import ssl
import subprocess
import tempfile
import time

from measure import KUBERNETES, Api, end_pods, network_of, support

ROUNDS = 10
WEB = ["sh", "-c", "mkdir -p /www && echo here > /www/index.html && exec busybox httpd -f -p 8080 -h /www"]


def until_ready(cluster):
    """Starts the server and asks /readyz every millisecond; seconds since its exec."""
    tls = ssl._create_unverified_context()
    with network_of(cluster.sandbox.pid):
        begin = time.monotonic()
        cluster.start(wait=False)
        while time.monotonic() < begin + 20:
            connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=tls, timeout=5)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return time.monotonic() - begin
            except OSError:
                pass
            finally:
                connection.close()
            if cluster.server.poll() is not None:
                break
            time.sleep(0.001)
    raise AssertionError(f"not ready:\n{cluster.log()}")


def until_served():
    with support.Cluster() as cluster:
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        begin = time.monotonic()
        until_ready(cluster)
        api = Api(cluster)
        api.create("/api/v1/namespaces/default/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                   "spec": {"clusterIP": "10.43.0.77", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}})
        api.create("/api/v1/namespaces/default/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
                   "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "web", "image": "estiba/busybox:test", "command": WEB}]}})
        with network_of(cluster.sandbox.pid):
            while True:
                connection = http.client.HTTPConnection("10.43.0.77", 80, timeout=0.2)
                try:
                    connection.request("GET", "/")
                    if connection.getresponse().read() == b"here\n":
                        break
                except (OSError, http.client.HTTPException):
                    if time.monotonic() > begin + 30:
                        raise AssertionError(f"the service does not answer:\n{cluster.log()}") from None
                finally:
                    connection.close()
                time.sleep(0.001)
        seconds = time.monotonic() - begin
        end_pods(cluster)
    return seconds


def podman_run(rounds=5):
    """Milliseconds that podman takes to start a container of the same files, run a program that ends at once, and remove it."""
    with tempfile.TemporaryDirectory() as folder:
        podman = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--cgroup-manager", "cgroupfs"]
        try:
            subprocess.run([*podman, "import", "-q", support.busybox_image(), "bench"], check=True, capture_output=True, timeout=60)
            times = []
            for _ in range(rounds):
                begin = time.monotonic()
                subprocess.run([*podman, "run", "--rm", "--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "bench", "true"], check=True, capture_output=True, timeout=60)
                times.append((time.monotonic() - begin) * 1000)
            return times
        finally:
            subprocess.run([*podman, "system", "reset", "--force"], check=False, capture_output=True)


def measure(table):
    first, again = [], []
    for _ in range(ROUNDS):
        with support.Cluster() as cluster:
            first.append(until_ready(cluster) * 1000)
    with support.Cluster() as cluster:
        until_ready(cluster)
        for _ in range(ROUNDS):
            cluster.stop()
            again.append(until_ready(cluster) * 1000)
    table.add("exec to /readyz, first start with new certificates", first, "ms", "300 ms", f"4,600 ms ({KUBERNETES})")
    table.add("exec to /readyz, restart", again, "ms", "100 ms")
    table.add("exec to a Service that answers from its pod", [until_served() * 1000 for _ in range(5)], "ms", "1,000 ms", f"13,900 ms ({KUBERNETES})")
    if not shutil.which("podman"):
        print("    podman is not here (apt-get install podman): not compared")
        return
    try:
        table.add("peer: podman run --rm --network=none true", podman_run(), "ms")
    except subprocess.SubprocessError as error:
        print(f"    podman does not work here: {(getattr(error, 'stderr', None) or b'').decode().strip()[-200:]}")
