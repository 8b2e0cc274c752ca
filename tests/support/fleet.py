"""A cluster of several machines: a server and agents, each in namespaces of its own, on links that the test makes.

Link N is a bridge with the network 192.168.{80+N}.0/24 in one more network namespace, which also routes between the links (its own
address on each is .254). A machine's eth0 is on one of them."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from cluster import BIN, FULL_DISK_IS_FINE, Cluster, Sandbox, cgroups_of, remove_cgroups, run, wait_for

GRACE, LEASE = "8s", "4s"  # a lost node is noticed after 8 s; nodes tell that they live every second


class Underlay:
    def __init__(self, links=1):
        self.holder = Sandbox._hold([])
        self.inside("ip link set lo up; sysctl -qw net.ipv4.ip_forward=1")
        for link in range(links):
            self.inside(f"ip link add br{link} type bridge forward_delay 0 && ip address add 192.168.{80 + link}.254/24 dev br{link} && ip link set br{link} up")

    def inside(self, script):
        return run(["nsenter", "--net", "--target", str(self.holder.pid), "sh", "-c", script])

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Machine(Sandbox):
    def __init__(self, underlay, number, link=0):
        self.underlay, self.number, self.link = underlay, number, link
        self.address = f"192.168.{80 + link}.{number}"
        self.port = f"port{link}-{number}"
        super().__init__()

    def connect(self):
        self.world = self.underlay.holder
        self.underlay.inside(f"ip link add {self.port} type veth peer name eth0 netns {self.pid} && ip link set {self.port} master br{self.link} up")
        self.take(self.address)

    def take(self, address):
        """The machine has this address from now on, and no other."""
        self.address = address
        self.inside(["sh", "-c", f"ip address flush dev eth0; ip address add {address}/24 dev eth0 && ip link set eth0 up && ip route replace default via 192.168.{80 + self.link}.254"])

    def unplug(self):
        self.underlay.inside(f"ip link set {self.port} nomaster")

    def plug(self):
        self.underlay.inside(f"ip link set {self.port} master br{self.link}")

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.init.wait()


class Agent:
    """`estiba agent` on a machine."""

    def __init__(self, server, token, machine, name, **flags):
        self.machine, self.name = machine, name
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="estiba-agent-"))
        self.data_dir, self.log_path = self.dir / "data", self.dir / "agent.log"
        self.flags = {**FULL_DISK_IS_FINE, "server": server, "token": token, "data-dir": self.data_dir, "run-dir": "/run/estiba", "device-plugin-dir": "", "kubelet-dir": "", "node-name": name,
                      "node-lease-duration": LEASE, "config": "/dev/null", **flags}
        self.process = None

    def command(self):
        return self.machine.command([BIN / "estiba", "agent", *[f"--{key}={value}" for key, value in self.flags.items() if value is not None]])

    def start(self, wait=True):
        size = self.log_path.stat().st_size if self.log_path.exists() else 0
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        if wait:
            self.wait_log("ready", size)
        return self

    def wait_log(self, text, since=0, seconds=30):
        def there():
            if self.process.poll() is not None:
                raise AssertionError(f"agent {self.name} ended with {self.process.returncode}:\n{self.log()}")
            return text in self.log_path.read_text(errors="replace")[since:]
        wait_for(f"{text!r} in the log of {self.name}", there, seconds, 0.05)

    def refused(self, seconds=20):
        """Starts it and returns what it says when it gives up."""
        result = run(self.command(), check=False, timeout=seconds)
        assert result.returncode, result.stderr
        return result.stderr

    def pid(self):
        return int(wait_for("the agent's process", lambda: open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split(), 5)[0])

    def end(self, number):
        if self.process and self.process.poll() is None:
            os.kill(self.pid(), number)
            self.process.wait(30)

    def stop(self):
        self.end(signal.SIGTERM)

    def kill9(self):
        self.end(signal.SIGKILL)

    def log(self):
        return self.log_path.read_text(errors="replace")[-8000:] if self.log_path.exists() else ""

    def import_image(self, archive, name):
        return self.machine.inside([BIN / "estiba", "image", "import", "--data-dir", self.data_dir, archive, name])

    def close(self):
        self.stop()
        remove_cgroups(cgroups_of(self.data_dir, self.name))
        shutil.rmtree(self.dir, ignore_errors=True)


class Fleet:
    """node-1 is the server's own; `links` says on which link each further machine is."""

    def __init__(self, links=(0, 0), **flags):
        self.stack = contextlib.ExitStack()
        self.underlay = Underlay(max((0, *links)) + 1)
        self.stack.callback(self.underlay.close)
        machine = Machine(self.underlay, 1)
        self.stack.callback(machine.close)
        self.cluster = Cluster(sandbox=machine, **{"advertise-address": machine.address, "node-monitor-grace-period": GRACE, "node-lease-duration": LEASE, **flags})
        self.stack.callback(self.cluster.close)
        self.agents = {}
        self.links = links

    @property
    def server(self):
        return f"https://{self.cluster.sandbox.address}:6443"

    def token(self, *arguments):
        return self.cluster.estiba("token", "create", "--kubeconfig", self.cluster.kubeconfig, *arguments).stdout.strip()

    def machine(self, number, link=0):
        machine = Machine(self.underlay, number, link)
        self.stack.callback(machine.close)
        return machine

    def agent(self, machine, name, token=None, **flags):
        """Not started."""
        agent = Agent(self.server, token or self.token(), machine, name, **flags)
        self.stack.callback(agent.close)
        self.agents[name] = agent
        return agent

    def start(self, images=()):
        for archive, name in images:
            self.cluster.import_image(archive, name)
        self.cluster.start()
        for number, link in enumerate(self.links, 2):
            agent = self.agent(self.machine(number, link), f"node-{number}")
            for archive, name in images:
                agent.import_image(archive, name)
            agent.start()

    def node(self, name):
        return self.cluster.get("node", name)

    def ready(self, name):
        """The status of the Node's condition Ready."""
        return next((c["status"] for c in self.node(name)["status"]["conditions"] if c["type"] == "Ready"), None)

    def wait_ready(self, name, status="True", seconds=30):
        wait_for(f"node {name} to be ready: {status}", lambda: self.ready(name) == status, seconds, 0.1)

    def logs(self):
        return "\n".join(f"--- {name}\n{agent.log()}" for name, agent in self.agents.items())

    def close(self):
        self.stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
