"""What every benchmark uses: numbers with their spread, a table of them, the API spoken straight from Python, and what
processes cost."""
import contextlib
import ctypes
import datetime
import http.client
import json
import os
import pathlib
import platform
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
import cluster as support  # noqa: E402

RESULTS = ROOT / "bench/results"
KUBERNETES = "Kubernetes 1.36, published in the issue"
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


class Table:
    """Rows of one benchmark: what, unit, median, min, max of its values, the goal and what others were published to need."""

    def __init__(self, name):
        self.name, self.rows = name, []

    def add(self, what, values, unit, goal="", others=""):
        values = [values] if isinstance(values, (int, float)) else list(values)
        row = {"what": what, "unit": unit, "median": statistics.median(values), "min": min(values), "max": max(values), "rounds": len(values),
               "goal": goal, "others": others}
        self.rows.append(row)
        print(self._line(row), flush=True)

    @staticmethod
    def _number(value):
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"

    def _line(self, row):
        numbers = "".join(f"{self._number(row[key]):>10}" for key in ("median", "min", "max"))
        return f"{row['what']:<58}{numbers} {row['unit']:<7}{row['rounds']:>3}  {row['goal']:<12} {row['others']}".rstrip()

    def text(self):
        head = f"{'':<58}{'median':>10}{'min':>10}{'max':>10} {'':<7}{'n':>3}  {'goal':<12} others"
        return "\n".join([f"# {self.name}: {machine()}", head, *map(self._line, self.rows)]) + "\n"

    def write(self):
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{self.name}.json").write_text(json.dumps({"name": self.name, "machine": machine(), "rows": self.rows}, indent=1) + "\n")
        (RESULTS / f"{self.name}.txt").write_text(self.text())


def machine():
    load = os.getloadavg()[0]
    return f"{datetime.datetime.now():%Y-%m-%d %H:%M}, {os.cpu_count()} cores, Linux {platform.release()}, load {load:.1f} at the end"


@contextlib.contextmanager
def network_of(pid):
    """This thread is in the network namespace of a process meanwhile: sockets made here stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if _libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)


class Api:
    """A kept connection to a cluster's API server with the administrator's certificate."""

    def __init__(self, cluster):
        self.cluster = cluster
        cluster.request("GET", "/version", raw=True)  # writes the certificates
        self.tls = ssl.create_default_context(cafile=str(cluster.dir / "ca.crt"))
        self.tls.check_hostname = False
        self.tls.load_cert_chain(cluster.dir / "admin.crt", cluster.dir / "admin.key")
        self.connection = self.connect()

    def connect(self):
        connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=self.tls, timeout=60)
        with network_of(self.cluster.sandbox.pid):
            connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def call(self, method, path, body=None, media="application/json", check=True):
        headers = {"Content-Type": media} if body is not None else {}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if check and answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return answer.status, json.loads(text)

    def create(self, path, body):
        """Creates, waiting for what must be there before (a new namespace's service account)."""
        end = time.monotonic() + 10
        while True:
            status, answer = self.call("POST", path, body, check=False)
            if status < 300:
                return answer
            if status != 403 or time.monotonic() > end:
                raise AssertionError(f"POST {path}: {status} {answer}")
            time.sleep(0.002)


class Watch:
    """A watch in a thread of its own; `events` holds (time of arrival, type, object). `parse` makes {"type", "object"} of an event's line:
    where thousands come, whoever looks at a few bytes of each leaves the cores to what is measured."""

    def __init__(self, api, path, parse=json.loads):
        self.connection, self.parse = api.connect(), parse
        self.events, self.changed = [], threading.Condition()
        version = api.call("GET", path)[1]["metadata"]["resourceVersion"]
        self.connection.request("GET", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=3600")
        self.answer = self.connection.getresponse()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while line := self.answer.readline():
                now = time.monotonic()
                event = self.parse(line)
                with self.changed:
                    self.events.append((now, event["type"], event["object"]))
                    self.changed.notify_all()

    def when(self, condition, what, since=0.0, seconds=60):
        """The time at which the first event after `since` arrived for which condition(type, object) holds."""
        end, seen = time.monotonic() + seconds, 0
        with self.changed:
            while True:
                for at, kind, value in self.events[seen:]:
                    if at >= since and condition(kind, value):
                        return at
                seen = len(self.events)
                if not self.changed.wait(max(0, end - time.monotonic())):
                    raise AssertionError(f"waited {seconds} s for {what}")

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.connection.close()


@contextlib.contextmanager
def running_cluster(image=True):
    """A started cluster with the busybox image; its log is shown if something fails."""
    with support.Cluster() as cluster:
        try:
            if image:
                cluster.import_image(support.busybox_image(), "estiba/busybox:test")
            cluster.start()
            yield cluster
        except BaseException:
            print(cluster.log()[-4000:], file=sys.stderr)
            raise
        finally:
            end_pods(cluster)


def end_pods(cluster):
    """Deletes all pods, so that nothing of the cluster outlives it."""
    with contextlib.suppress(Exception):
        cluster.kubectl("delete", "deployments,pods", "--all", "--all-namespaces", "--wait=true", "--timeout=30s")


def runs_ours(pid):
    """Whether the process runs a program of ours; by the file, since a shim's has a mount of its own (os/own_program.h) and so no path."""
    with contextlib.suppress(OSError):
        return any(os.path.samefile(f"/proc/{pid}/exe", support.BIN / name) for name in ("estiba", "estiba-oci"))
    return False


def ours(cluster):
    """Pids of all processes of this cluster that run a program of ours, not those of containers."""
    pids = []
    outermost = os.stat("/proc/self/ns/net").st_ino
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if runs_ours(entry) and os.stat(f"/proc/{entry}/ns/net").st_ino != outermost:
                    pids.append(int(entry))
    return pids


def cpu_by_thread(pids):
    """User and system time of every thread, by the scheduler's own nanoseconds: {(pid, thread): seconds}."""
    out = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    out[pid, int(task)] = int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) / 1e9
    return out


def spent(before, pids):
    """Seconds of CPU since `before` (cpu_by_thread); what ended meanwhile does not count."""
    return sum(seconds - before.get(thread, 0) for thread, seconds in cpu_by_thread(pids).items())


def wake_ups(pids):
    """Voluntary context switches by thread: {(pid, thread, name): count}."""
    out = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    status = open(f"/proc/{pid}/task/{task}/status").read()
                    name = status.split("\n", 1)[0].split("\t")[1]
                    out[pid, int(task), name] = int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return out


def pod(name, **labels):
    """A pod whose process obeys SIGTERM at once."""
    command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench", **labels}},
            "spec": {"containers": [{"name": "main", "image": "estiba/busybox:test", "command": command}]}}


def program(name):
    """A helper program of tests/programs, built when it is missing."""
    build = ROOT / "build-release"
    subprocess.run(["ninja", "-C", str(build), "--quiet", name], check=True, stdout=subprocess.DEVNULL)
    return build / "tests" / name
