"""What containers cost: run, exec, rm, ps, memory, ports and logs; ours beside docker and podman, in one run."""
import json
import pathlib
import time

import peers
from measure import program, support
from peers import BOX, add, engines, paired

ROUNDS = 12


def run_rm(table, made):
    for network, goal in (("bridge", "25 ms"), ("none", "15 ms")):
        took = paired(made, ROUNDS, lambda peer, number: [["run", "--rm", "--network", network if peer.name != "podman" or network == "none" else "podman", BOX, "true"]] * 2)
        add(table, f"run --rm of true, network {network}", took, "ms", goal)
    rates = {peer.name: [] for peer in made}
    for _ in range(3):
        for peer in made:
            count = 64 if peer.name == "estiba" else 16
            rates[peer.name].append(count / peer.timed(*[["run", "--rm", "--network", "none", BOX, "true"]] * count, parallel=8))
    add(table, "run --rm, 8 at once", rates, "/s", "100/s")


def lives(table, made):
    name = lambda number: f"bench-{number}"  # noqa: E731
    started = paired(made, ROUNDS, lambda peer, number: [["run", "-d", "--name", name(number), BOX, "sleep", "1000"]])
    executed = paired(made, ROUNDS, lambda peer, number: [["exec", name(number), "true"]])
    listed = paired(made, ROUNDS, lambda peer, number: [["ps"]])
    removed = paired(made, ROUNDS, lambda peer, number: [["rm", "-f", *(["-t", "0"] if peer.name == "podman" else []), name(number)]])
    add(table, "run -d", started, "ms", "20 ms")
    add(table, "exec of true", executed, "ms", "8 ms")
    add(table, "rm -f of a running one", removed, "ms", "15 ms")
    add(table, f"ps with {ROUNDS} running", listed, "ms", "3 ms")


def memory(table, made):
    idle = {peer.name: [peer.memory()] for peer in made if peer.name != "podman"}
    add(table, "memory of the engine, nothing running (PSS)", idle, "MiB", "20 MB")
    each = {}
    for peer in made:
        if peer.name == "podman":
            continue
        count = 50 if peer.name == "estiba" else 10
        for number in range(count):
            peer.run("run", "-d", "--name", f"mem-{number}", BOX, "sleep", "1000")
        time.sleep(1)
        each[peer.name] = [(peer.memory() - idle[peer.name][0]) / count]
        if peer.name == "estiba":
            listing(table, peer)
        for number in range(count):
            peer.run("rm", "-f", f"mem-{number}")
    add(table, "added by each container", each, "MiB", "1 MB")


def load(peer, *flags):
    return json.loads(support.run(peer.sandbox.command([program("api_load"), *flags]), timeout=120).stdout)


def listing(table, peer):
    rates = [result["requests"] / result["seconds"] for result in
             (load(peer, "--url=http://localhost/containers/json", f"--unix={peers.docker_engine.SOCKET}", "--connections=8", "--requests=20000") for _ in range(3))]
    table.add("GET /containers/json with 50 running", rates, "/s", "20,000/s")


def ports(table, made):
    """Requests to the published port on 127.0.0.1, as a share of those straight to the container, in turn."""
    page = program("static_page")
    shares, straight = {}, {}
    for peer in made:
        if peer.name == "podman":
            continue
        mounts = [flag for path in ("/lib", "/lib64", "/usr/lib") if pathlib.Path(path).exists() for flag in ("-v", f"{path}:{path}:ro")]
        peer.run("run", "-d", "--name", "page", "-p", "18080:80", *mounts, "-v", f"{page.parent}:/srv:ro", BOX, "/srv/static_page", "80")
        address = json.loads(peer.run("inspect", "page").stdout)[0]["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        support.wait_for("the page", lambda: peer.sandbox.inside(["curl", "-s", f"http://{address}/"], check=False).returncode == 0, 20)
        shares[peer.name], straight[peer.name] = [], []
        for _ in range(5):
            rates = [result["requests"] / result["seconds"] for result in (load(peer, f"--url=http://{where}/", "--connections=32", "--requests=20000") for where in (address, "127.0.0.1:18080"))]
            straight[peer.name].append(rates[0])
            shares[peer.name].append(rates[1] / rates[0] * 100)
        peer.run("rm", "-f", "page")
    add(table, "published port on 127.0.0.1, share of straight", shares, "%", "90 %")
    add(table, "requests straight to the container", straight, "/s", "")


LINES = 2_000_000  # of 100 bytes
WRITER = f"yes {'x' * 99} | dd bs=1000k iflag=fullblock count={LINES // 10_000} 2>/dev/null"


def logs(table, made):
    """Intake: the container's own time, less that of the same pipeline into /dev/null."""
    taken, read = {peer.name: [] for peer in made}, {peer.name: [] for peer in made}
    megabytes = LINES * 100 / 1e6
    for number in range(3):
        for peer in made:
            name, count = f"log-{number}", 1 if peer.name == "estiba" else 10
            script = WRITER if count == 1 else WRITER.replace(f"count={LINES // 10_000}", f"count={LINES // 10_000 // count}")
            bare = peer.timed(["run", "--rm", "--network", "none", BOX, "sh", "-c", f"({script}) >/dev/null"])[0]
            whole = peer.timed(["run", "--name", name, "--network", "none", "-d", BOX, "sh", "-c", script], ["wait", name])
            taken[peer.name].append(megabytes / count / max(sum(whole) - bare, 0.001))
            read[peer.name].append(megabytes / count / peer.timed(["logs", name])[0])
            peer.run("rm", "-f", name)
    add(table, "log intake from one container (100-byte lines)", taken, "MB/s", "500 MB/s")
    add(table, "logs, reading it back", read, "MB/s", "300 MB/s")


def measure(table, with_peers=True):
    with engines(with_peers) as made:
        run_rm(table, made)
        lives(table, made)
        memory(table, made)
        ports(table, made)
        logs(table, made)
