"""`estiba engine` in namespaces of its own, and the clients that speak to it: Debian's docker, a newer docker where the machine has
one, our own CLI, and raw requests."""
import contextlib
import dataclasses
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

import cluster as support
from cluster import BIN, CACHE, ROOT, Sandbox, run, wait_for  # noqa: F401

SOCKET = "/run/estiba/docker.sock"
DEBIAN_DOCKER = CACHE / "docker-debian/usr/bin/docker"
BOX = "box:1"  # the busybox image that every engine of the tests has


def dockers():
    """Paths of the docker clients of this machine, Debian's first."""
    found = [DEBIAN_DOCKER]
    system = shutil.which("docker")
    if system:
        found.append(pathlib.Path(system))
    return [str(path) for path in found if pathlib.Path(path).exists()]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclasses.dataclass
class Answer:
    """An HTTP answer. Unpacks as (status, body): parsed JSON where the body is JSON, else text."""
    status: int
    headers: object
    data: bytes

    @property
    def text(self):
        return self.data.decode(errors="replace")

    @property
    def body(self):
        kind = self.headers.get("Content-Type", "")
        return json.loads(self.data) if self.data and kind.startswith("application/json") else self.text

    @property
    def lines(self):
        """A stream of JSON messages."""
        return [json.loads(line) for line in self.text.splitlines() if line.strip()]

    def __iter__(self):
        return iter((self.status, self.body))


class Engine:
    """`with Engine() as engine:` makes the namespaces; start() the engine. Its data is on disk below /var/tmp."""

    names = itertools.count(1)

    def __init__(self, verb="engine", **flags):
        self.sandbox = Sandbox()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="estiba-engine-", dir="/var/tmp"))
        self.run_dir, self.data_dir = pathlib.Path("/run/estiba"), self.dir / "data"
        self.log_path = self.dir / "engine.log"
        self.verb = verb
        self.flags = {"data-dir": self.data_dir, "run-dir": self.run_dir, "docker-socket": SOCKET, **flags}
        self.process = None
        self.docker_path = dockers()[0]
        self.before = support.Cluster.host_facts()
        (self.dir / "docker-config").mkdir()
        self.import_image(support.busybox_image(), BOX)

    # -- the engine ---------------------------------------------------------------------------------------------------

    def start(self):
        """Starts it; returns the seconds until /_ping answered."""
        flags = [f"--{name}={value}" for name, value in self.flags.items() if value is not None]
        log = open(self.log_path, "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(self.sandbox.command([BIN / "estiba", self.verb, *flags]), stdout=log, stderr=log)
        log.close()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the engine ended with {self.process.returncode}:\n{self.log()}")
            try:
                return self.api("GET", "/_ping", timeout=2).status == 200
            except OSError:
                return False
        wait_for("/_ping", ready, 30, 0.005)
        return time.monotonic() - begin

    def pid(self):
        """The engine's pid as the host sees it (nsenter forks)."""
        return int(wait_for("the engine's process", lambda: open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split(), 5)[0])

    def kill9(self):
        os.kill(self.pid(), signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; containers go on."""
        if self.process and self.process.poll() is None:
            os.kill(self.pid(), signal.SIGTERM)
            self.process.wait(60)

    def restart(self):
        self.stop()
        return self.start()

    def log(self):
        return self.log_path.read_text(errors="replace")[-20000:] if self.log_path.exists() else ""

    # -- clients ------------------------------------------------------------------------------------------------------

    @property
    def socket_path(self):
        """The socket as this process reaches it, whatever its mount namespace."""
        return f"/proc/{self.sandbox.pid}/root{SOCKET}"

    def environment(self, **more):
        return {**os.environ, "DOCKER_HOST": f"unix://{SOCKET}", "DOCKER_CONFIG": str(self.dir / "docker-config"), "DOCKER_BUILDKIT": "0", "LC_ALL": "C.UTF-8", **more}

    def command(self, program, *arguments):
        return self.sandbox.command([program, *arguments])

    def client(self, program, *arguments, check=True, env=None, timeout=120, **options):
        """Runs a client program beside the engine; the finished process, with text in stdout and stderr."""
        return run(self.command(program, *arguments), check=check, env=self.environment(**(env or {})), timeout=timeout, **options)

    def docker(self, *arguments, **options):
        """Debian's docker client."""
        return self.client(self.docker_path, *arguments, **options)

    def estiba(self, *arguments, **options):
        """Our own client."""
        return self.client(BIN / "estiba", *arguments, **options)

    def cli(self, name):
        """docker() or estiba(), by name, for tests that run with both."""
        return {"docker": self.docker, "estiba": self.estiba}[name]

    def api(self, method, path, body=None, headers=None, timeout=60):
        """A raw request: body is bytes, text, or a value that is sent as JSON. An Answer."""
        connection = UnixConnection(self.socket_path, timeout)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)) and not hasattr(body, "read"):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def stream(self, method, path, body=None, timeout=60):
        """The same, not read: (connection, answer); close the connection."""
        connection = UnixConnection(self.socket_path, timeout)
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"} if body is not None else {})
        return connection, connection.getresponse()

    def inspect(self, name):
        answer = self.api("GET", f"/containers/{urllib.parse.quote(name)}/json")
        assert answer.status == 200, answer.text
        return answer.body

    def fetch(self, url, seconds=3):
        """Fetches inside the engine's network; the body, or None where the request failed."""
        result = self.sandbox.inside(["curl", "-sS", "--max-time", seconds, url], check=False)
        return result.stdout if result.returncode == 0 else None

    def unique(self, prefix="test"):
        """A name that nothing else in this engine has."""
        return f"{prefix}-{next(Engine.names)}-{os.urandom(2).hex()}"

    # -- images -------------------------------------------------------------------------------------------------------

    def import_image(self, archive, name, *arguments, env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",), cmd='["sh"]'):
        """Into the content store directly; works with and without a running engine."""
        flags = [flag for value in env for flag in ("--env", value)]
        return self.sandbox.inside([BIN / "estiba", "image", "import", "--data-dir", self.data_dir, "--cmd", cmd, *flags, *arguments, archive, name])

    # -- what is left -------------------------------------------------------------------------------------------------

    def shims(self):
        """Waiting shims, which an engine may keep while it runs."""
        return [line for line in self.sandbox.processes() if "estiba-oci shim" in line]

    def remove_all(self):
        """Removes every container, network and volume, by the API alone."""
        for container in self.api("GET", "/containers/json?all=1").body:
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for network in self.api("GET", "/networks").body:
            if network["Name"] not in ("bridge", "host", "none"):
                self.api("DELETE", f"/networks/{network['Id']}")
        self.api("POST", "/volumes/prune?filters=" + urllib.parse.quote('{"all":["true"]}'))

    def leftovers(self):
        """What is still there though everything was removed and the engine has stopped, as a list of sentences."""
        with contextlib.suppress(AssertionError):  # waiting shims see the end of the engine a moment later
            wait_for("the end of all processes", lambda: not self.sandbox.processes(), 10, 0.05)
        found = [f"process {line}" for line in self.sandbox.processes()]
        for line in self.sandbox.inside(["cat", "/proc/self/mountinfo"]).stdout.splitlines():
            path = line.split()[4]
            if str(self.dir) in path or path.startswith(("/run/estiba/", "/var/lib/estiba/")):
                found.append(f"mount {path}")
        links = json.loads(self.sandbox.inside(["ip", "-j", "link"]).stdout)
        found += [f"interface {link['ifname']}" for link in links if link["ifname"] not in ("lo", "eth0")]
        found += [f"nftables {line}" for line in self.sandbox.inside(["nft", "list", "tables"]).stdout.splitlines() if "estiba" in line]
        found += [f"network namespace {name}" for name in self.sandbox.inside(["sh", "-c", "ls /run/estiba/netns 2>/dev/null"], check=False).stdout.split()]
        containers = self.data_dir / "containers"
        found += [f"container directory {path.name}" for path in (containers.iterdir() if containers.exists() else ())]
        now = support.Cluster.host_facts()
        found += [f"mount of the host {path}" for path in sorted(now["mount"] - self.before["mount"]) if str(self.dir) in path]
        return found

    def close(self):
        with contextlib.suppress(Exception):
            if self.process and self.process.poll() is None:
                self.remove_all()
        with contextlib.suppress(Exception):
            self.stop()
        self.sandbox.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ServerEngine(Engine):
    """The Docker API of a running `estiba server`: the same clients on a cluster's own containers and images."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.sandbox, self.dir, self.run_dir, self.data_dir, self.log_path = cluster.sandbox, cluster.dir, cluster.run_dir, cluster.data_dir, cluster.log_path
        self.docker_path = dockers()[0]
        (self.dir / "docker-config").mkdir(exist_ok=True)

    def close(self):
        self.remove_all()
