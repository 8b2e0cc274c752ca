"""A real etcd (Debian's etcd-server) inside a cluster's sandbox, and further servers on it."""
import os
import pathlib
import shutil
import signal
import subprocess

import cluster as support


class Etcd:
    """One member, alone or of `cluster` ("name=peer-url,…"); its data stay over kill9() and start()."""

    def __init__(self, sandbox, directory, client_port=2379, peer_port=2380, name="one", cluster=None, flags=(), wait=True):
        self.sandbox, self.dir, self.name, self.flags = sandbox, pathlib.Path(directory), name, list(flags)
        self.url, self.peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        self.cluster = cluster or f"{name}={self.peer}"
        self.process = None
        self.start(wait)

    def start(self, wait=True):
        log = open(f"{self.dir}.log", "ab")
        self.process = subprocess.Popen(self.sandbox.command([
            "etcd", f"--name={self.name}", f"--data-dir={self.dir}", f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}", f"--listen-peer-urls={self.peer}",
            f"--initial-advertise-peer-urls={self.peer}", f"--initial-cluster={self.cluster}", *self.flags]), stdout=log, stderr=log)
        if wait:
            self.wait()

    def wait(self):
        support.wait_for("etcd", lambda: self.ctl("endpoint", "health", check=False).returncode == 0, 60, 0.1)

    def ctl(self, *arguments, check=True, **options):
        return self.sandbox.inside(["env", "ETCDCTL_API=3", "etcdctl", f"--endpoints={self.url}", *arguments], check=check, **options)

    def signal(self, number):
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        os.kill(int(children[0]), number)
        if number == signal.SIGCONT:  # nsenter stops when its child does
            self.process.send_signal(number)

    def kill9(self):
        self.signal(signal.SIGKILL)
        self.process.wait()


class Sibling(support.Cluster):
    """Another server of the same cluster: in the same sandbox, on the same etcd, with the same keys."""

    def __init__(self, first, name, port, **flags):
        self.first, self.sandbox, self.port = first, first.sandbox, port
        self.dir = first.dir / name
        self.dir.mkdir()
        self.run_dir, self.data_dir = pathlib.Path(f"/run/estiba/{name}"), self.dir / "data"
        shutil.copytree(first.data_dir / "pki", self.data_dir / "pki")
        self.kubeconfig, self.log_path = self.dir / "kubeconfig", self.dir / "server.log"
        self.kubectl_path = first.kubectl_path
        self.flags = {**first.flags, "data-dir": self.data_dir, "run-dir": self.run_dir, "write-kubeconfig": self.kubeconfig, "node-name": name, "listen": f"0.0.0.0:{port}", "node": "false", **flags}
        self.server = None

    def wait_ready(self, seconds=20):
        def ready():
            assert self.server.poll() is None, f"the server ended with {self.server.returncode}:\n{self.log()}"
            return self.sandbox.inside(["curl", "-sk", "--max-time", "2", f"https://127.0.0.1:{self.port}/readyz"], check=False).stdout == "ok"
        support.wait_for("/readyz", ready, seconds, 0.02)

    def close(self):
        self.stop()
