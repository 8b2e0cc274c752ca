"""estiba-oci by itself: runc's command line, and under podman. Everything runs in mount and network namespaces of its own."""
import errno
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from cluster import BIN

OCI = str(BIN / "estiba-oci")


class Oci:
    """A bundle with busybox, and the runtime with a state directory of its own; `within` are the words before its command line."""

    def __init__(self, base, within=()):
        self.within = list(within)
        self.base, self.bundle, self.state = base, base / "bundle", base / "state"
        binaries = self.bundle / "rootfs/bin"
        binaries.mkdir(parents=True)
        shutil.copy("/bin/busybox", binaries / "busybox")
        for applet in ("sh", "true", "sleep", "cat", "echo", "id", "hostname", "tty", "kill"):
            (binaries / applet).symlink_to("busybox")
        self("spec", "--bundle", self.bundle)

    def __call__(self, *arguments, check=True, **more):
        command = [*self.within, OCI, "--root", str(self.state), "--log", str(self.base / "log"), "--log-format", "json", *map(str, arguments)]
        wrapped = ["unshare", "--mount", "--net", "--propagation", "slave", *command] if arguments[0] == "run" else command
        done = subprocess.run(wrapped, text=True, capture_output=True, timeout=30, stdin=subprocess.DEVNULL, **more)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def configure(self, *arguments, change=lambda config: None):
        config = json.loads((self.bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=list(arguments))
        config["linux"]["cgroupsPath"] = f"/estiba-e2e-{os.getpid()}/c"
        change(config)
        (self.bundle / "config.json").write_text(json.dumps(config))

    def run(self, *arguments, change=lambda config: None, check=True):
        self.configure(*arguments, change=change)
        return self("run", "--bundle", self.bundle, "c", check=check)

    def status(self):
        return json.loads(self("state", "c").stdout)["status"]

    def clean(self):
        self("delete", "--force", "c", check=False)
        for controller in os.listdir("/sys/fs/cgroup"):
            path = f"/sys/fs/cgroup/{controller}/estiba-e2e-{os.getpid()}"
            if os.path.isdir(path):
                os.rmdir(path)
        if os.path.isdir(f"/sys/fs/cgroup/estiba-e2e-{os.getpid()}"):
            os.rmdir(f"/sys/fs/cgroup/estiba-e2e-{os.getpid()}")


@pytest.fixture
def oci(tmp_path):
    runtime = Oci(tmp_path)
    yield runtime
    runtime.clean()
    assert not [line for line in open("/proc/mounts") if str(tmp_path) in line]


def test_run_prints_and_gives_the_exit_code(oci):
    done = oci.run("sh", "-c", "hostname; id -u; exit 7", check=False)
    assert (done.stdout, done.returncode) == ("estiba\n0\n", 7)
    assert oci("list", "-q").stdout == ""


@pytest.mark.parametrize("program, code, message", [
    ("missing", 127, "exec missing: executable file not found in $PATH"),
    ("/bin", 126, "exec /bin: Permission denied"),
])
def test_run_of_what_cannot_run(oci, program, code, message):
    done = oci.run(program, check=False)
    assert done.returncode == code
    assert message in done.stderr


def test_a_container_from_create_to_delete(oci):
    oci.configure("sleep", "100")
    pid_file = oci.base / "pid"
    # The container keeps the streams that it was created with: a pipe would never end.
    subprocess.run([OCI, "--root", str(oci.state), "create", "--bundle", str(oci.bundle), "--pid-file", str(pid_file), "c"], check=True, timeout=30,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert oci.status() == "created"
    assert open(f"/proc/{pid_file.read_text()}/comm").read().strip() != "sleep"
    oci("start", "c")
    assert oci.status() == "running"
    assert oci("exec", "c", "sh", "-c", "echo $((6 * 7)); exit 3", check=False).stdout == "42\n"
    assert oci("exec", "c", "missing", check=False).returncode == 127
    assert [int(pid_file.read_text())] == json.loads(oci("ps", "--format", "json", "c").stdout)
    oci("pause", "c")
    assert oci.status() == "paused"
    oci("resume", "c")
    oci("update", "--memory", 64 << 20, "c")
    assert json.loads(oci("events", "--stats", "c").stdout)["data"]["memory"]["usage"]["limit"] == 64 << 20
    assert "stop it first" in oci("delete", "c", check=False).stderr
    oci("kill", "c", "KILL")
    deadline = time.monotonic() + 5
    while oci.status() != "stopped" and time.monotonic() < deadline:
        time.sleep(0.01)
    oci("delete", "c")
    assert "container c does not exist" in oci("state", "c", check=False).stderr


def test_errors_are_one_line_and_in_the_log(oci):
    def change(config):
        config["linux"]["namespaces"].append({"type": "moon"})
    done = oci.run("true", change=change, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert 'linux.namespaces[6].type: unknown namespace "moon"' in done.stderr
    oci("state", "nothing", check=False)
    entry = json.loads((oci.base / "log").read_text().splitlines()[-1])
    assert entry["level"] == "error" and entry["msg"] == "container nothing does not exist"


def test_a_group_that_cannot_be_had_leaves_nothing(oci):
    """In version 1 the process is there before its groups are."""
    done = oci.run("true", change=lambda config: config["linux"]["resources"].update(unified={"no.such.file": "1"}), check=False)
    assert done.returncode == 1 and "linux.resources: " in done.stderr, done.stderr
    assert os.listdir(oci.state) == [] and oci("list", "-q").stdout == ""
    assert not [path for path, folders, _ in os.walk("/sys/fs/cgroup") if path.endswith(f"/estiba-e2e-{os.getpid()}") and folders]
    # And the next of that name has a network of its own, in the group that it was given.
    done = oci.run("sh", "-c", "cat /proc/net/dev; cat /proc/self/cgroup", change=lambda config: (config["linux"]["resources"].pop("unified"), config["linux"].update(
        namespaces=[n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"])))
    assert [line.split(":")[0].strip() for line in done.stdout.splitlines() if ":" in line and "/" not in line] == ["lo"]
    assert f"/estiba-e2e-{os.getpid()}/c" in done.stdout


@pytest.mark.parametrize("without", ["", "mount_setattr"])
def test_the_runtimes_own_program_cannot_be_written_to(oci, without):
    """CVE-2019-5736: what executes /proc/self/exe in a container executes the runtime's file, which its neighbours may keep open then."""
    if without and not (BIN.parent / "tests/without_syscalls").exists():
        pytest.skip("needs the target without_syscalls")
    within = [str(BIN.parent / "tests/without_syscalls"), without, "--"] if without else []
    oci.configure("sleep", "100")
    program = oci.base / "oci"
    shutil.copy(OCI, program)
    subprocess.run([*within, program, "--root", oci.state, "create", "--bundle", oci.bundle, "c"], check=True, timeout=30, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    pid = json.loads(oci("state", "c").stdout)["pid"]
    assert open(f"/proc/{pid}/comm").read() == "oci\n"
    # Taken while it is there, as a neighbour would, and tried when nobody runs it any more.
    with open(f"/proc/{pid}/exe", "rb") as taken:
        oci("delete", "--force", "c")
        with open(taken.fileno(), "rb", closefd=False) as same:
            assert same.read(4) == b"\x7fELF"
        with pytest.raises(OSError) as refused:
            os.write(os.open(f"/proc/self/fd/{taken.fileno()}", os.O_WRONLY), b"x")
        assert refused.value.errno == (errno.EPERM if without else errno.EROFS)
    assert program.read_bytes() == pathlib.Path(OCI).read_bytes()


def test_features_and_version(oci):
    features = json.loads(oci("features").stdout)
    assert features["ociVersionMax"].startswith("1.2") and features["linux"]["mountExtensions"] == {"idmap": {"enabled": True}}
    assert {"idmap", "ridmap"} <= set(features["mountOptions"])
    assert "spec: 1.2" in oci("--version").stdout


@pytest.mark.skipif(not shutil.which("podman") or not shutil.which("conmon"), reason="needs podman and conmon")
def test_podman_runs_containers_with_it(oci):
    # podman offers --cgroups=disabled to runtimes that it knows by name.
    runtime = oci.base / "crun"
    runtime.symlink_to(OCI)
    script = """
        mount -t tmpfs podman /run && mkdir -p /run/lock
        p="podman --root $B/root --runroot /run/podman --tmpdir /run/podman-tmp --cgroup-manager cgroupfs --events-backend none --runtime $B/crun"
        options="--cgroups=disabled --network none --rootfs $B/bundle/rootfs"
        $p run --rm $options sh -c 'echo from podman; exit 4'; echo code $?
        $p run -d --name x $options sleep 100 >/dev/null && $p exec x echo from exec; $p exec x missing 2>/dev/null; echo code $?
        $p rm -f -t 0 x >/dev/null; $p ps -aq
        # A user namespace: the volume is id-mapped, its source closed to the container's root, the standard streams are the container's own.
        mkdir -m 700 $B/data && echo kept > $B/data/file && chown -R 200000:200000 $B/bundle/rootfs && chmod 755 $B
        $p run --rm --uidmap 0:200000:65536 --gidmap 0:200000:65536 -v $B/data:/data:idmap $options sh -c 'cat /proc/self/uid_map /data/file; ls -n /data/file | cut -c1-20; echo opened > /dev/stdout'
        chown -R 0:0 $B/bundle/rootfs
    """
    done = subprocess.run(["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script], env={**os.environ, "B": str(oci.base)}, text=True,
                          capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    lines = done.stdout.splitlines()
    assert lines[:4] == ["from podman", "code 4", "from exec", "code 127"], done.stderr
    assert [line.split() for line in lines[4:]] == [["0", "200000", "65536"], ["kept"], ["-rw-r--r--", "1", "0"], ["opened"]], done.stdout + done.stderr
