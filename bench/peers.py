"""The engines that are compared, each in namespaces of its own: ours, and Debian's docker and podman, unpacked or installed by './dev bench'."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from measure import ROOT, runs_ours, support
import docker_engine

PEERS = support.CACHE / "peers"
INSIDE = ROOT / "bench/inside.py"
BOX = docker_engine.BOX


class Peer:
    """What the benchmarks ask of an engine. `program` is its client, `sandbox` where it runs."""

    name = ""

    def verb(self, *arguments):
        return [str(self.program), *map(str, arguments)]

    def timed(self, *commands, parallel=0):
        """Seconds of each command (lists of words), or of all of them with `parallel` at a time."""
        request = {"commands": [self.verb(*command) for command in commands], "parallel": parallel, "env": self.env}
        result = subprocess.run(self.sandbox.command([sys.executable, INSIDE]), input=json.dumps(request), capture_output=True, text=True, timeout=900)
        if result.returncode:
            raise AssertionError(f"{self.name}: {result.stderr}")
        return json.loads(result.stdout)

    def run(self, *arguments, check=True, **options):
        return support.run(self.sandbox.command(self.verb(*arguments)), check=check, env={**os.environ, **self.env}, **options)


class Ours(Peer):
    name = "estiba"

    def __init__(self):
        self.engine = docker_engine.Engine()
        self.sandbox, self.program = self.engine.sandbox, support.BIN / "estiba"
        self.env = {"DOCKER_HOST": f"unix://{docker_engine.SOCKET}", "DOCKER_CONFIG": str(self.engine.dir / "docker-config")}
        self.engine.start()

    def memory(self):
        return sum(support.pss_kib(pid) for pid in descendants(self.sandbox.pid) if runs_ours(pid)) / 1024

    def close(self):
        self.engine.close()


class Docker(Peer):
    name = "docker"

    def __init__(self):
        self.sandbox = support.Sandbox()
        self.dir = pathlib.Path("/var/tmp") / f"bench-docker-{os.getpid()}"
        self.dir.mkdir(parents=True)
        self.program = PEERS / "usr/bin/docker"
        path = f"{PEERS}/usr/bin:{PEERS}/usr/sbin:{os.environ['PATH']}:/usr/sbin:/sbin"
        self.env = {"DOCKER_HOST": f"unix://{self.dir}/docker.sock", "DOCKER_CONFIG": str(self.dir), "PATH": path, "DOCKER_BUILDKIT": "1"}
        self.sandbox.inside(["sh", "-c", "mount -t tmpfs run /run && mkdir -p /run/containerd"])
        log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen(self.sandbox.command([PEERS / "usr/sbin/dockerd", "--data-root", self.dir / "data", "--exec-root", "/run/docker", "-p", "/run/docker.pid", "-H",
                                                               self.env["DOCKER_HOST"], "--storage-driver", "overlay2"]), env={**os.environ, **self.env}, stdout=log, stderr=log)
        try:
            support.wait_for("dockerd", lambda: self.process.poll() is None and self.run("version", check=False).returncode == 0, 60, 0.2)
            self.run("import", "--change", 'CMD ["sh"]', "--change", "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin", support.busybox_image(), BOX)
        except BaseException:
            print((self.dir / "log").read_text(errors="replace")[-3000:], file=sys.stderr)
            self.close()
            raise

    def memory(self):
        return sum(support.pss_kib(pid) for pid in descendants(self.sandbox.pid) if program_of(pid) in ("dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy")) / 1024

    def close(self):
        with contextlib.suppress(Exception):
            for name in self.run("ps", "-aq").stdout.split():
                self.run("rm", "-f", name)
        for child in children(self.process.pid):
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.sandbox.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Podman(Peer):
    name = "podman"

    def __init__(self):
        self.sandbox = support.Sandbox()
        self.dir = pathlib.Path("/var/tmp") / f"bench-podman-{os.getpid()}"
        (self.dir / "root").mkdir(parents=True)
        self.program = shutil.which("podman")
        self.env = {"TMPDIR": str(self.dir)}
        self.flags = ["--root", self.dir / "root", "--runroot", "/run/podman-bench", "--tmpdir", "/run/podman-tmp", "--cgroup-manager", "cgroupfs", "--runtime",
                      os.environ.get("BENCH_PODMAN_RUNTIME", "runc"), "--storage-driver", "overlay", "--events-backend", "file"]
        self.sandbox.inside(["sh", "-c", "mount -t tmpfs run /run"])
        self.run("import", "--change", 'CMD ["sh"]', "--change", "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin", support.busybox_image(), BOX)

    def verb(self, *arguments):
        return [str(self.program), *map(str, self.flags), *map(str, arguments)]

    def memory(self):
        return 0.0

    def close(self):
        with contextlib.suppress(Exception):
            self.run("rm", "-af", "-t", "0")
        self.sandbox.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def children(pid):
    with contextlib.suppress(OSError):
        return [int(child) for child in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    return []


def descendants(pid):
    out, todo = [], [pid]
    namespace = os.readlink(f"/proc/{pid}/ns/net")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/mnt") == os.readlink(f"/proc/{pid}/ns/mnt") or os.readlink(f"/proc/{entry}/ns/net") == namespace:
                    out.append(int(entry))
    while todo:
        for child in children(todo.pop()):
            todo.append(child)
            if child not in out:
                out.append(child)
    return out


def program_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(os.readlink(f"/proc/{pid}/exe")).name.removesuffix(" (deleted)")
    return ""


@contextlib.contextmanager
def engines(peers=True):
    """Ours and, with `peers`, those of others that start on this machine."""
    made = []
    try:
        for kind in (Ours, Docker, Podman) if peers else (Ours,):
            try:
                made.append(kind())
            except (AssertionError, OSError) as error:
                if kind is Ours:
                    raise
                print(f"bench: {kind.name} does not start here and is not compared: {str(error)[:300]}", file=sys.stderr)
        yield made
    finally:
        for peer in made:
            peer.close()


def paired(peers, rounds, commands, tidy=None):
    """Milliseconds of `commands(peer, round)` for each peer, taken in turn: {name: [ms…]}."""
    out = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers:
            out[peer.name] += [seconds * 1000 for seconds in peer.timed(*commands(peer, number))]
            if tidy:
                tidy(peer, number)
            time.sleep(0.02)
    return out


def add(table, what, took, unit, goal):
    """A row: ours, and what the peers needed in the same run."""
    import statistics
    others = ", ".join(f"{name} {statistics.median(values):,.1f}" for name, values in took.items() if name != "estiba" and values)
    table.add(what, took["estiba"], unit, goal, others)
