"""Pull and push of a 500 MB image from and to a local registry (ours), unpacked; ours beside docker, podman and skopeo."""
import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

from engine_build import large_files
from measure import support
from peers import BOX, add, engines

REGISTRY = "127.0.0.1:5000"
NAME = f"{REGISTRY}/large:1"


@contextlib.contextmanager
def registry(peer, folder):
    process = subprocess.Popen(peer.sandbox.command([support.BIN / "estiba", "registry", "--listen", REGISTRY, "--data-dir", folder]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        support.wait_for("the registry", lambda: peer.sandbox.inside(["curl", "-s", f"http://{REGISTRY}/v2/"], check=False).returncode == 0, 20)
        yield
    finally:
        for child in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split():
            os.kill(int(child), 15)
        process.wait(30)


def measure(table, with_peers=True):
    pulls, pushes = {}, {}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, engines(with_peers) as made:
        folder = pathlib.Path(name) / "context"
        large_files(folder)
        flags = {"podman": ["--tls-verify=false"]}
        for peer in made:
            extra = flags.get(peer.name, [])
            pulls[peer.name], pushes[peer.name] = [], []
            peer.run("build", "-t", NAME, folder)
            for number in range(3):
                with registry(peer, pathlib.Path(name) / f"registry-{peer.name}-{number}"):
                    pushes[peer.name].append(peer.timed(["push", *extra, NAME])[0])
                    peer.run("rmi", "-f", NAME)
                    peer.run("image", "prune", "-f")
                    if peer.name != "podman":
                        peer.run("builder", "prune", "-af", check=False)
                    pulls[peer.name].append(peer.timed(["pull", *extra, NAME])[0])
    add(table, "pull of a 500 MB image, unpacked", pulls, "s", "2 s")
    add(table, "push of it", pushes, "s", "1 s")
