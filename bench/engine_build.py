"""What builds cost: the course's Django image, 20 stages, many files and large ones; ours beside docker (BuildKit) and podman."""
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from measure import ROOT, support
from peers import BOX, add, engines

sys.path.insert(0, str(ROOT / "tests/support"))
import debian_images  # noqa: E402
from index_proxy import IndexProxy  # noqa: E402


def build(peer, folder, tag, *flags, cold=False):
    """Seconds of a build; `cold` without its cache."""
    extra = ["--no-cache"] if cold else []
    if peer.name == "podman":
        extra += [] if cold else ["--layers"]
    return peer.timed(["build", *extra, "-t", tag, *flags, folder])[0]


def both(table, made, what, make, rounds, goals, *flags, unit="s"):
    """Cold (without the cache) and cached, in turn. Nothing is deleted between the rounds: without a journal ext4 steps over every inode that
    was deleted in the last minutes when it makes a new one, which costs whoever comes next seconds, whatever engine it is."""
    tag = what.split()[0].rstrip(":")
    cold, cached = {peer.name: [] for peer in made}, {peer.name: [] for peer in made}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = pathlib.Path(name) / "context"
        make(folder)
        for number in range(rounds):
            for peer in made:
                cold[peer.name].append(build(peer, folder, f"{tag}:1", *flags, cold=True))
                cached[peer.name].append(build(peer, folder, f"{tag}:1", *flags))
                cached[peer.name].append(build(peer, folder, f"{tag}:1", *flags))
        for peer in made:
            peer.run("rmi", "-f", f"{tag}:1", check=False)
    add(table, f"{what}: cold", cold, unit, goals[0])
    if goals[1]:
        add(table, f"{what}: cached", cached, unit, goals[1])


def stages(folder):
    folder.mkdir()
    text = "".join(f"FROM {BOX} AS s{i}\nRUN echo {i} > /out{i}\n" for i in range(20))
    (folder / "Dockerfile").write_text(text + f"FROM {BOX}\n" + "".join(f"COPY --from=s{i} /out{i} /\n" for i in range(20)))


def many_files(folder):
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {BOX}\nCOPY files /files\n")
    for i in range(100):
        part = folder / "files" / f"d{i}"
        part.mkdir(parents=True)
        for j in range(100):
            (part / f"f{j}").write_bytes(f"{i} {j} ".encode() * 40)


def large_files(folder):
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {BOX}\nCOPY files /files\n")
    (folder / "files").mkdir()
    block = bytes(range(256)) * 4096
    for i in range(10):
        with open(folder / "files" / f"f{i}", "wb") as out:
            for j in range(50):
                out.write(i.to_bytes(4, "little") + j.to_bytes(4, "little") + block[8:])


def django(table, made):
    """The course's image; what pip itself takes is measured by the same command in a container with the same base."""
    import statistics
    base = [peer for peer in made if peer.name == "estiba"]
    peer = base[0]
    debian_images.load(peer.engine)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, IndexProxy(peer.sandbox, support.NODE_ADDRESS) as proxy:
        folder = pathlib.Path(name) / "app"
        shutil.copytree(ROOT / "examples/django", folder)
        pips, colds, cached = [], [], []
        for _ in range(3):
            pips.append(peer.timed(["run", "--rm", "-e", f"HTTPS_PROXY={proxy.url}", "-v", f"{folder}:/app", "python:3.11-slim", "pip", "install", "--no-cache-dir", "-r",
                                    "/app/requirements.txt"])[0])
            colds.append(build(peer, folder, "django:1", "--build-arg", f"HTTPS_PROXY={proxy.url}", cold=True))
            cached += [build(peer, folder, "django:1", "--build-arg", f"HTTPS_PROXY={proxy.url}") for _ in range(3)]
    table.add("Django image: cold", colds, "s", "pip + 0.5 s", f"pip itself {statistics.median(pips):.2f}")
    table.add("Django image: cached", cached, "s", "0.03 s")


def measure(table, with_peers=True):
    with engines(with_peers) as made:
        both(table, made, "stages of 20 trivial steps", stages, 3, ("1 s", "0.03 s"))
        both(table, made, "files: COPY of 10,000 small ones", many_files, 3, ("1 s", "0.15 s"))
        both(table, made, "large: COPY of 500 MB", large_files, 3, ("1.5 s", ""))
        django(table, [peer for peer in made if peer.name == "estiba"])
