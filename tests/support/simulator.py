"""`estiba simulate` beside a cluster's server: hollow nodes, in the sandbox's namespaces."""
import os
import signal
import subprocess

from cluster import BIN, wait_for


class Simulator:
    def __init__(self, cluster, **flags):
        self.log_path = cluster.dir / f"simulate-{flags.get('name-prefix', 'hollow-')}.log"
        command = [BIN / "estiba", "simulate", f"--kubeconfig={cluster.kubeconfig}", "--server=https://127.0.0.1:6443", *[f"--{name}={value}" for name, value in flags.items()]]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(cluster.sandbox.command(command), stdout=log, stderr=log)

    def log(self):
        return self.log_path.read_text(errors="replace")[-8000:]

    def wait_ready(self, seconds=120):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the simulator ended with {self.process.returncode}:\n{self.log()}")
            return "ready" in self.log()
        wait_for("the hollow nodes", ready, seconds, 0.02)
        return self

    def pid(self):
        """As the host sees it (nsenter forks)."""
        return int(wait_for("the simulator's process", lambda: open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split(), 5)[0])

    def stop(self, number=signal.SIGTERM, seconds=60):
        """Returns its exit code."""
        if self.process.poll() is None:
            os.kill(self.pid(), number)
        return self.process.wait(seconds)

    def close(self):
        """The nodes need not be taken out of a cluster that ends."""
        self.stop(signal.SIGKILL)

    def __enter__(self):
        return self.wait_ready()

    def __exit__(self, *_):
        self.stop()
