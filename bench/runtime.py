"""The OCI runtime alone: `run` of a static true from a prepared bundle with namespaces of its own, beside Debian's runc and crun, in pairs."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from measure import ROOT, support

INSIDE = ROOT / "bench/inside.py"
ROUNDS, AT_ONCE, MANY = 30, 8, 64
GROUP = f"estiba-bench-{os.getpid()}"


def programs():
    """[(name, path)]: ours, and those of the others that are here."""
    found = [("estiba-oci", str(support.BIN / "estiba-oci"))]
    for name in ("runc", "crun"):
        path = shutil.which(name) or next((str(p) for p in (support.CACHE / "peers").glob(f"usr/*bin/{name}")), None)
        if path:
            found.append((name, path))
    return found


class Bundles:
    """Bundles that share one root file system; each has a control group of its own, so that any number runs at once."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        binaries = self.folder / "rootfs/bin"
        binaries.mkdir(parents=True)
        shutil.copy("/bin/busybox", binaries / "busybox")
        (binaries / "true").symlink_to("busybox")
        for name in ("proc", "sys", "dev"):
            (self.folder / "rootfs" / name).mkdir()
        made = self.folder / "made"
        made.mkdir()
        subprocess.run([support.BIN / "estiba-oci", "spec", "--bundle", made], check=True)
        self.config = json.loads((made / "config.json").read_text())
        self.config["ociVersion"] = "1.0.2"  # what all of them know
        self.config["root"] = {"path": str(self.folder / "rootfs"), "readonly": True}
        self.config["process"].update(terminal=False, args=["/bin/true"])
        self.count = 0

    def command(self, name, program):
        """`run` of a new container."""
        self.count += 1
        bundle = self.folder / f"b{self.count}"
        bundle.mkdir()
        self.config["linux"]["cgroupsPath"] = f"/{GROUP}/{name.split()[0]}-{self.count}"
        (bundle / "config.json").write_text(json.dumps(self.config))
        return [*program.split(), "--root", str(self.folder / f"state-{name.split()[0]}"), "run", "--bundle", str(bundle), f"c{self.count}"]


def timed(sandbox, commands, parallel=0):
    result = subprocess.run(sandbox.command([sys.executable, INSIDE]), input=json.dumps({"commands": commands, "parallel": parallel}), capture_output=True, text=True, timeout=300)
    if result.returncode:
        raise AssertionError(result.stderr)
    return json.loads(result.stdout)


def measure(table):
    sandbox, folder = support.Sandbox(), tempfile.mkdtemp(prefix="estiba-bench-")
    try:
        # Debian's crun refuses a machine that has both versions of control groups.
        for line in open("/proc/self/mounts"):
            if line.split()[2] == "cgroup2" and line.split()[1] != "/sys/fs/cgroup":
                sandbox.inside(["umount", line.split()[1]])
        bundles, made = Bundles(folder), programs()
        timed(sandbox, [bundles.command(*one) for one in made])  # pages of the programs
        took = timed(sandbox, [bundles.command(*one) for _ in range(ROUNDS) for one in made])
        rates = {name: [] for name, _ in made}
        for _ in range(3):
            for name, program in made:
                rates[name].append(MANY / timed(sandbox, [bundles.command(name, program) for _ in range(MANY)], AT_ONCE))
        for at, (name, _) in enumerate(made):
            values = sorted(1000 * seconds for seconds in took[at::len(made)])
            table.add(f"run of a static true, {name}", values, "ms", "5 ms" if at == 0 else "", "runc 31 ms, crun 11 ms on a quiet machine" if at == 0 else "")
        for at, (name, _) in enumerate(made):
            table.add(f"run of a static true, {AT_ONCE} at once, {name}", rates[name], "/s", "", "runc 75 /s, crun 179 /s" if at == 0 else "")
    finally:
        sandbox.close()
        shutil.rmtree(folder, ignore_errors=True)
        for controller in pathlib.Path("/sys/fs/cgroup").iterdir():
            with contextlib.suppress(OSError):
                for path, _, _ in os.walk(controller / GROUP, topdown=False):
                    os.rmdir(path)
