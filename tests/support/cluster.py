"""A cluster in namespaces of its own, for the tests and the demo.

The sandbox has network, mount, IPC, UTS and PID namespaces: a small init (pid 1) reaps what is orphaned, and when it ends the
kernel ends everything inside. A second network namespace is the outside world: it reaches the node over a veth pair.
Nothing of it touches the host's network; `leftovers()` tells what a stopped cluster left behind."""
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("ESTIBA_CACHE", pathlib.Path.home() / ".cache/estiba"))
BIN = pathlib.Path(os.environ.get("ESTIBA_BIN", ROOT / "build-release/bin"))
CLONE_NEWNET = 0x40000000
NODE_ADDRESS, OUTSIDE_ADDRESS = "192.168.77.1", "192.168.77.2"
FULL_DISK_IS_FINE = {"eviction-hard": "memory.available<50Mi", "image-gc-high-threshold": "100"}
INIT = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
print("up", flush=True)
while True:
    signal.sigwait([signal.SIGCHLD])
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


def kubectls():
    """Paths of the kubectl programs of this machine, Debian's first."""
    found = [CACHE / "kubectl-debian/usr/bin/kubectl"]
    found += sorted(pathlib.Path("/usr/lib/google-cloud-sdk/bin").glob("kubectl.1.*"))
    system = shutil.which("kubectl")
    if system:
        found.append(pathlib.Path(system))
    return [str(path) for path in found if path.exists()]


def run(command, check=True, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\nexit {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def wait_for(what, condition, seconds=30, step=0.02):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}; last seen: {value!r}")
        time.sleep(step)


class Sandbox:
    """The namespaces. `command(...)` gives a command line that runs inside; `outside(...)` in the outer network."""

    def __init__(self):
        self.init = self._hold(["--pid", "--fork", "--mount-proc"])
        self.pid = int(open(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read().split()[0])
        self.inside(["sh", "-c", "ip link set lo up; for d in /run/estiba /var/lib/estiba /var/log/pods /var/log/containers /etc/estiba; do mkdir -p $d; mount -t tmpfs estiba-test $d; done"])
        self.connect()

    def connect(self):
        """Gives the machine its network: eth0, whose other end is the outside world's."""
        self.world = self._hold([])
        self.outside(["sh", "-c", f"ip link set lo up && ip link add eth0 type veth peer name eth0 netns {self.pid} && ip address add {OUTSIDE_ADDRESS}/24 dev eth0 && ip link set eth0 up"])
        self.inside(["sh", "-c", f"ip address add {NODE_ADDRESS}/24 dev eth0 && ip link set eth0 up && ip route add default via {OUTSIDE_ADDRESS}"])

    @staticmethod
    def _hold(extra):
        process = subprocess.Popen(["unshare", "--net", "--mount", "--ipc", "--uts", "--propagation", "private", *extra, sys.executable, "-c", INIT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout.readline().strip() == "up"
        return process

    def command(self, command):
        return ["nsenter", "--net", "--mount", "--ipc", "--uts", "--pid", "--target", str(self.pid), *map(str, command)]

    def inside(self, command, **options):
        return run(self.command(command), **options)

    def outside(self, command, **options):
        return run(["nsenter", "--net", "--target", str(self.world.pid), *map(str, command)], **options)

    @contextlib.contextmanager
    def network(self):
        """The calling thread is in the node's network meanwhile: the sockets it makes are there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as own, open(f"/proc/{self.pid}/ns/net") as node:
            if libc.setns(node.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if libc.setns(own.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")

    def processes(self):
        """Command lines of what runs inside, but for pid 1 and the asking one."""
        script = "import os\nfor p in os.listdir('/proc'):\n if p.isdigit() and int(p) not in (1,os.getpid()):\n  try: print(p, open(f'/proc/{p}/cmdline').read().replace(chr(0),' '))\n  except OSError: pass"
        lines = self.inside([sys.executable, "-c", script]).stdout.splitlines()
        return [line for line in lines if "python3 -c import os" not in line]

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.init.wait()
        self.world.kill()
        self.world.wait()


def cgroups_of(data_dir, node_name):
    """The control groups of a node's pods: their root is named after its data directory and its name."""
    value = 2166136261
    for byte in f"{data_dir}|{node_name}".encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    name = "estiba-" + value.to_bytes(4, "little").hex()
    return sorted(base / name for base in pathlib.Path("/sys/fs/cgroup").iterdir() if (base / name).is_dir())


def remove_cgroups(roots):
    """A test that failed, or that ends while pods run, leaves groups without processes."""
    for root in roots:
        for path, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)


class Cluster:
    prefix = ()  # words before the server's command line

    def __init__(self, kubectl=None, sandbox=None, prefix=(), **flags):
        self.sandbox = sandbox or Sandbox()
        self.prefix = prefix
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="estiba-"))
        self.run_dir, self.data_dir = pathlib.Path("/run/estiba"), self.dir / "data"
        self.kubeconfig = self.dir / "kubeconfig"
        self.log_path = self.dir / "server.log"
        self.kubectl_path = kubectl or kubectls()[0]
        # How full the disk of a developer's machine is must not decide over tests.
        self.flags = {**FULL_DISK_IS_FINE, "data-dir": self.data_dir, "run-dir": self.run_dir, "write-kubeconfig": self.kubeconfig, "node-name": "node-1",
                      "advertise-address": NODE_ADDRESS, "device-plugin-dir": "", "kubelet-dir": "", **flags}
        self.server = None
        self.before = self.host_facts()

    # -- the server ---------------------------------------------------------------------------------------------------

    def start(self, wait=True):
        """Starts `estiba server`; returns the seconds until /readyz said yes."""
        flags = [f"--{name}={value}" for name, value in self.flags.items()]
        log = open(self.log_path, "ab")
        begin = time.monotonic()
        self.server = subprocess.Popen(self.sandbox.command([*self.prefix, BIN / "estiba", "server", *flags]), stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return time.monotonic() - begin

    def wait_ready(self, seconds=20):
        def ready():
            if self.server.poll() is not None:
                raise AssertionError(f"the server ended with {self.server.returncode}:\n{self.log()}")
            return self.sandbox.inside(["curl", "-sk", "--max-time", "2", "https://127.0.0.1:6443/readyz"], check=False).stdout == "ok"
        wait_for("/readyz", ready, seconds, 0.005)

    def server_pid(self):
        """The server's pid as the host sees it (nsenter forks)."""
        return int(wait_for("the server's process", lambda: open(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read().split(), 5)[0])

    def kill9(self):
        os.kill(self.server_pid(), signal.SIGKILL)
        self.server.wait()

    def stop(self):
        """SIGTERM; containers go on."""
        if self.server and self.server.poll() is None:
            os.kill(self.server_pid(), signal.SIGTERM)
            self.server.wait(30)

    def log(self):
        return self.log_path.read_text(errors="replace")[-20000:] if self.log_path.exists() else ""

    # -- clients ------------------------------------------------------------------------------------------------------

    def estiba(self, *arguments, **options):
        return self.sandbox.inside([BIN / "estiba", *arguments], **options)

    def kubectl_command(self, *arguments):
        return self.sandbox.command([self.kubectl_path, "--kubeconfig", self.kubeconfig, "--cache-dir", self.dir / "kubectl-cache", *arguments])

    def kubectl(self, *arguments, **options):
        return run(self.kubectl_command(*arguments), timeout=options.pop("timeout", 120), **options).stdout

    def apply(self, *objects, check=True):
        """kubectl apply of Python values in the test's namespace."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        result = run(self.kubectl_command("-n", self.ns, "apply", "-f", "-"), input=text, check=check, timeout=60)
        return result.stdout if check else result

    def k(self, *arguments, **options):
        """kubectl in the test's namespace."""
        return self.kubectl("-n", self.ns, *arguments, **options)

    def pod(self, name):
        return self.get("-n", self.ns, "pod", name)

    def wait_pod(self, name, condition, what, seconds=30):
        """Waits until condition(pod) holds and returns the pod."""
        def check():
            pod = self.pod(name)
            return pod if condition(pod) else None
        try:
            return wait_for(f"pod {name}: {what}", check, seconds, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.pod(name).get('status'), indent=1)}") from None

    def wait_running(self, name, seconds=30):
        return self.wait_pod(name, lambda pod: pod["status"].get("phase") == "Running" and all(c["ready"] for c in pod["status"].get("containerStatuses", [])), "running and ready", seconds)

    def wait_ended(self, name, seconds=30):
        return self.wait_pod(name, lambda pod: pod["status"].get("phase") in ("Succeeded", "Failed"), "ended", seconds)

    def request(self, method, path, body=None, headers=(), raw=False):
        """A bare API request with the administrator's certificate: (status, parsed body)."""
        if not (self.dir / "admin.crt").exists():
            import base64
            import re
            text = self.kubeconfig.read_text()
            for key, name in (("client-certificate-data", "admin.crt"), ("client-key-data", "admin.key"), ("certificate-authority-data", "ca.crt")):
                (self.dir / name).write_bytes(base64.b64decode(re.search(key + r": (\S+)", text).group(1)))
        command = ["curl", "-sS", "--max-time", "20", "--cert", self.dir / "admin.crt", "--key", self.dir / "admin.key", "--cacert", self.dir / "ca.crt", "-X", method,
                   "-w", "\n%{http_code}", f"https://127.0.0.1:6443{path}"]
        for header in headers:
            command += ["-H", header]
        options = {}
        if body is not None:
            command += ["--data-binary", "@-"]
            options["input"] = body if isinstance(body, str) else json.dumps(body)
            if not any(header.lower().startswith("content-type") for header in headers):
                command += ["-H", "Content-Type: application/json"]
        text, _, status = self.sandbox.inside(command, **options).stdout.rpartition("\n")
        return int(status), text if raw else (json.loads(text) if text.startswith(("{", "[")) else text)

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def fetch(self, url, seconds=3):
        """Fetches from the outside world; the body, or None where the request failed."""
        result = self.sandbox.outside(["curl", "-sS", "--max-time", seconds, url], check=False)
        return result.stdout if result.returncode == 0 else None

    # -- images -------------------------------------------------------------------------------------------------------

    def import_image(self, archive, name, *arguments):
        return self.estiba("image", "import", "--data-dir", self.data_dir, *arguments, archive, name)

    # -- what is left -------------------------------------------------------------------------------------------------

    def cgroups(self):
        return cgroups_of(self.flags["data-dir"], self.flags["node-name"])

    @staticmethod
    def host_facts():
        return {"mount": {line.split()[4] for line in open("/proc/self/mountinfo")}, "interface": set(os.listdir("/sys/class/net"))}

    def leftovers(self):
        """What is still there though all was deleted and the server has stopped, as a list of sentences."""
        with contextlib.suppress(AssertionError):  # waiting shims see the end of the server a moment later
            wait_for("the end of all processes", lambda: not self.sandbox.processes(), 10, 0.05)
        found = [f"process {line}" for line in self.sandbox.processes()]
        mounts = self.sandbox.inside(["cat", "/proc/self/mountinfo"]).stdout
        for line in mounts.splitlines():
            path = line.split()[4]
            if str(self.dir) in path or (path.startswith("/run/estiba/") or path.startswith("/var/lib/estiba/")):
                found.append(f"mount {path}")
        links = json.loads(self.sandbox.inside(["ip", "-j", "link"]).stdout)
        found += [f"interface {link['ifname']}" for link in links if link["ifname"] not in ("lo", "eth0")]
        tables = self.sandbox.inside(["nft", "list", "tables"]).stdout
        found += [f"nftables {line}" for line in tables.splitlines() if "estiba" in line]
        namespaces = self.sandbox.inside(["sh", "-c", "ls /run/estiba/netns 2>/dev/null"], check=False).stdout.split()
        found += [f"network namespace {name}" for name in namespaces]
        found += [f"control group {path}" for path in self.cgroups()]
        now = self.host_facts()
        for kind in now:
            found += [f"{kind} of the host {name}" for name in sorted(now[kind] - self.before[kind])]
        return found

    def close(self):
        self.stop()
        self.sandbox.close()
        remove_cgroups(self.cgroups())
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def pss_kib(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def image_made_once(name, make):
    """The tar `name` below $ESTIBA_CACHE/images; where it is missing, make(path) writes it. Test programs that run at once wait for each other."""
    target = CACHE / "images" / f"{name}.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = target.with_suffix(".partial.tar")
            make(partial)
            partial.rename(target)
    return target


def debian_root(target, packages, excluded):
    """Writes the root file system of Debian packages as a tar, without the paths of `excluded`."""
    places = [pathlib.Path("/etc/apt/sources.list"), *(path for glob in ("*.list", "debian*.sources") for path in sorted(pathlib.Path("/etc/apt/sources.list.d").glob(glob)))]
    sources = [str(path) for path in places if path.exists() and path.stat().st_size]
    excludes = [f"--dpkgopt=path-exclude={what}" for what in excluded]
    run(["mmdebstrap", "--variant=extract", "--include=" + ",".join(packages), *excludes, "bookworm", target, *sources], timeout=1800)


def debian_image(name, packages, files=()):
    """A root file system of Debian packages as a tar, made once and cached; the key is its recipe."""
    key = hashlib.sha256(repr((packages, files)).encode()).hexdigest()[:12]
    return image_made_once(f"{name}-{key}", lambda target: debian_root(target, packages, [f"/usr/share/{what}/*" for what in ("doc", "man", "locale")]))


def busybox_image():
    """A tiny root file system of busybox alone, as a tar."""
    def make(target):
        with tempfile.TemporaryDirectory() as root:
            base = pathlib.Path(root)
            base.chmod(0o755)
            for part in ("bin", "etc", "tmp", "root", "var", "home"):
                (base / part).mkdir()
            shutil.copy("/bin/busybox", base / "bin/busybox")
            for applet in run(["/bin/busybox", "--list"]).stdout.split():
                if applet != "busybox":
                    (base / "bin" / applet).symlink_to("busybox")
            (base / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n")
            (base / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
            run(["tar", "-C", root, "--owner=0", "--group=0", "--numeric-owner", "-cf", target, "."])

    return image_made_once("busybox-2", make)


def python_image():
    return debian_image("python", ("python3-minimal", "libpython3-stdlib", "busybox-static", "dash", "libc-bin", "base-passwd"))
