"""Kernels without newer features, forced: a seccomp filter answers chosen system calls as kernels before them do (tests/programs/without_syscalls.cpp)."""
import errno
import json
import os
import platform
import subprocess
import sys

import pytest

from cluster import BIN, Cluster, busybox_image, wait_for
from manifests import config_map, pod
from test_oci import OCI, Oci

PROGRAM = BIN.parent / "tests/without_syscalls"
# Docs: docs/kernels.md. What is told from what by an argument has a name of its own.
FEATURES = ["openat2", "clone3", "pidfd_open", "pidfd_send_signal", "setns-pidfd", "open_tree", "move_mount", "mount_setattr",
            "close_range", "close_range-cloexec", "statx", "faccessat2", "copy_file_range"]
ALL = ",".join(FEATURES)
NEVER_USED = ["io_uring_setup", "fsopen", "fsmount", "fspick", "landlock_create_ruleset", "epoll_pwait2", "pidfd_getfd", "quotactl_fd", "memfd_secret",
              "process_madvise", "futex_waitv", "cachestat", "map_shadow_stack", "fchmodat2"]
OLDEST = ",".join(FEATURES + NEVER_USED)
EACH = [*FEATURES, pytest.param(ALL, id="all"), pytest.param(OLDEST, id="oldest")]

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="needs the target without_syscalls")


def without(names):
    return [str(PROGRAM), names, "--"]


@pytest.fixture
def oci_without(tmp_path):
    made = []

    def make(names):
        made.append(Oci(tmp_path, without(names)))
        return made[0]
    yield make
    for oci in made:
        oci.clean()
    assert not [line for line in open("/proc/mounts") if str(tmp_path) in line]


def test_the_filter_takes_calls_away():
    numbers = {"x86_64": (437, 435), "aarch64": (437, 435)}[platform.machine()]
    code = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); print([c.syscall(n, -1, 0, 0, 0) and ctypes.get_errno() for n in {numbers}])"
    assert subprocess.run([*without("openat2,clone3"), sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == f"{[errno.ENOSYS] * 2}\n"
    assert "no call nothing" in subprocess.run([*without("nothing"), "true"], capture_output=True, text=True).stderr


def with_mounts(oci):
    """A configuration with everything that is mounted in ways of its own, in a root whose links lead out of it."""
    root = oci.bundle / "rootfs"
    for name in ("data", "data/below", "tree", "outside"):
        (oci.base / name).mkdir()
    (oci.base / "data/file").write_text("kept\n")
    (oci.base / "one").write_text("a file\n")
    (root / "etc").mkdir()
    (root / "etc/hosts").write_text("of the image\n")
    (root / "secrets").mkdir()
    (root / "secrets/key").write_text("hidden\n")
    (root / "out").symlink_to("../" * 20 + str(oci.base / "outside"))
    (root / "absolute").symlink_to(oci.base / "outside")
    (root / "made").symlink_to("/new/deep")
    (root / "dev").mkdir()
    (root / "dev/shm").symlink_to(oci.base / "outside")

    def change(config):
        config["root"]["readonly"] = True
        config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/dev/shm"]
        config["mounts"] += [
            {"destination": "/rw", "type": "bind", "source": str(oci.base / "data"), "options": ["bind", "rprivate"]},
            {"destination": "/ro", "type": "bind", "source": str(oci.base / "data"), "options": ["rbind", "ro", "nosuid", "nodev", "noexec"]},
            {"destination": "/tree", "type": "bind", "source": str(oci.base / "tree"), "options": ["rbind", "rro"]},
            {"destination": "/etc/hosts", "type": "bind", "source": str(oci.base / "one"), "options": ["bind", "ro"]},
            {"destination": "/out/x", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]},
            {"destination": "/absolute/y", "type": "bind", "source": str(oci.base / "one"), "options": ["bind"]},
            {"destination": "/made/z", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}]
        config["linux"]["maskedPaths"] = ["/secrets", "/proc/version", "/missing"]
        config["linux"]["readonlyPaths"] = ["/rw/below", "/proc/sys"]
    return change


SCRIPT = r"""
for dir in / /ro /tree /made/z /rw/below /proc/sys; do touch $dir/new 2>/dev/null && echo "$dir is writable"; done
touch /tree/below/new 2>/dev/null && echo "what is below a tree is writable"
touch /rw/written || echo not written; cat /rw/file /etc/hosts /absolute/y; cp /bin/busybox /rw/program; /ro/program true 2>/dev/null && echo executed
cat /secrets/key 2>/dev/null; cat /proc/version; touch /out/x/inside || echo no tmpfs
cat /proc/self/cgroup | grep -c estiba-e2e; ls /proc/self/fd | wc -l; echo done
"""


@pytest.mark.parametrize("names", EACH)
def test_a_container_lives(oci_without, names):
    oci = oci_without(names)
    change = with_mounts(oci)
    for applet in ("touch", "cp", "grep", "ls", "wc"):
        (oci.bundle / "rootfs/bin" / applet).symlink_to("busybox")
    (oci.base / "tree/below").mkdir()
    inside = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", 'mount -t tmpfs inner "$1/tree/below"; shift; exec "$@"', "sh", str(oci.base)]
    oci.configure("sh", "-c", SCRIPT, change=change)
    with open(os.devnull) as nothing:
        extra = os.open(oci.base / "one", os.O_RDONLY)
        os.set_inheritable(extra, True)
        done = subprocess.run([*inside, *oci.within, OCI, "--root", str(oci.state), "run", "--bundle", str(oci.bundle), "c"], stdin=nothing, capture_output=True,
                              text=True, timeout=60, close_fds=False)
        os.close(extra)
    assert done.stdout.splitlines() == ["kept", "a file", "a file", "0", "4", "done"], done.stdout + done.stderr
    assert (oci.base / "data/written").exists() and os.listdir(oci.base / "outside") == []
    assert (oci.base / "one").read_text() == "a file\n"

    # The life of one that runs on.
    oci.configure("sleep", "100", change=lambda config: None)
    subprocess.run([*oci.within, OCI, "--root", str(oci.state), "create", "--bundle", str(oci.bundle), "c"], check=True, timeout=30, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert oci.status() == "created"
    oci("start", "c")
    done = oci("exec", "c", "sh", "-c", "hostname; echo $((6 * 7)); exit 3", check=False)
    assert (done.stdout, done.returncode) == ("estiba\n42\n", 3), done.stderr
    # The number inside is the pid namespace's.
    assert 1 < int(oci("exec", "c", "sh", "-c", "echo $$").stdout) < 100
    assert oci("exec", "--tty", "c", "tty").stdout.strip() == "/dev/pts/0"
    oci("pause", "c")
    assert oci.status() == "paused"
    oci("resume", "c")
    oci("kill", "c", "KILL")
    wait_for("the container's end", lambda: oci.status() == "stopped")
    oci("delete", "c")

    # One that is deleted while it runs, and one whose program ends at a signal that is passed on.
    subprocess.run([*oci.within, OCI, "--root", str(oci.state), "create", "--bundle", str(oci.bundle), "c"], check=True, timeout=30, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    oci("start", "c")
    oci("delete", "--force", "c")
    assert "does not exist" in oci("state", "c", check=False).stderr


@pytest.mark.parametrize("names", EACH)
def test_a_terminal_and_a_hook(oci_without, names):
    oci = oci_without(names)
    for applet in ("test", "stty"):
        (oci.bundle / "rootfs/bin" / applet).symlink_to("busybox")

    def change(config):
        config["process"]["terminal"] = True
        config["process"]["consoleSize"] = {"width": 91, "height": 17}
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {oci.base}/told"], "timeout": 30}]}
    done = oci.run("sh", "-c", "tty; test -c /dev/console && stty size; exit 5", change=change, check=False)
    assert (done.stdout.split(), done.returncode) == (["/dev/pts/0", "17", "91"], 5), done.stderr
    assert json.loads((oci.base / "told").read_text())["status"] == "creating"


def test_a_hook_that_hangs_is_ended_without_pidfds(oci_without):
    oci = oci_without(ALL)
    done = oci.run("true", change=lambda config: config.update(hooks={"prestart": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}), check=False)
    assert done.returncode == 1 and "prestart hook /bin/sleep: did not end within 1 s" in done.stderr


MAPS = [{"containerID": 0, "hostID": 300000, "size": 65536}]


def in_user_namespace(config):
    config["linux"]["namespaces"] = [*config["linux"]["namespaces"], {"type": "user"}]
    config["linux"].update(uidMappings=MAPS, gidMappings=MAPS)


@pytest.mark.parametrize("names", EACH)
def test_a_user_namespace(oci_without, names):
    oci = oci_without(names)
    subprocess.run(["chown", "-hR", "300000:300000", oci.bundle / "rootfs"], check=True)
    for folder in (oci.base, *oci.base.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    oci.configure("sleep", "100", change=in_user_namespace)
    subprocess.run([*oci.within, OCI, "--root", str(oci.state), "create", "--bundle", str(oci.bundle), "c"], check=True, timeout=30, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    oci("start", "c")
    done = oci("exec", "c", "sh", "-c", "id -u; cat /proc/self/uid_map; echo $$")
    first, second, third = done.stdout.splitlines()
    assert first == "0" and second.split() == ["0", "300000", "65536"] and int(third) < 100, done.stderr
    oci("delete", "--force", "c")


@pytest.mark.parametrize("names", ["open_tree", "move_mount", "mount_setattr", ALL])
def test_id_mapped_mounts_say_what_they_need(oci_without, names):
    oci = oci_without(names)
    mount = {"destination": "/data", "type": "bind", "source": str(oci.base), "options": ["bind"], "uidMappings": MAPS, "gidMappings": MAPS}
    done = oci.run("true", change=lambda config: config["mounts"].append(mount), check=False)
    assert done.returncode == 1
    assert 'id-mapped mounts need Linux 5.12; without them leave out uidMappings, gidMappings and "idmap"' in done.stderr


def test_time_namespaces_say_what_they_need(oci_without):
    oci = oci_without("unshare-time")
    done = oci.run("true", change=lambda config: config["linux"]["namespaces"].append({"type": "time"}), check=False)
    assert done.returncode == 1
    assert 'linux.namespaces: time namespaces need Linux 5.6 (CONFIG_TIME_NS); without it leave "time" out' in done.stderr


@pytest.mark.parametrize("names", [OLDEST], ids=["oldest"])
def test_a_server_and_its_pods(names):
    """Server, shims and containers, with image layers, volumes of every way of mounting, exec, a shared pid namespace, and the end of all."""
    with Cluster(prefix=without(names)) as cluster:
        cluster.start()
        cluster.import_image(busybox_image(), "estiba/busybox:test")
        mounts = [{"name": "c", "mountPath": "/c"}, {"name": "c", "mountPath": "/single", "subPath": "one"}, {"name": "e", "mountPath": "/e"},
                  {"name": "e", "mountPath": "/read", "readOnly": True, "recursiveReadOnly": "Enabled"}, {"name": "m", "mountPath": "/m"}]
        cluster.kubectl("create", "namespace", "old")
        cluster.ns = "old"
        cluster.apply(config_map("files", one="1"),
                      pod("box", "sleep", "1000", shareProcessNamespace=True, volumeMounts=mounts,
                          volumes=[{"name": "c", "configMap": {"name": "files"}}, {"name": "e", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}],
                          securityContext={"readOnlyRootFilesystem": True}),
                      pod("short", "sh", "-c", "echo from a pod; exit 3", restartPolicy="Never"))
        cluster.wait_running("box")
        assert cluster.wait_ended("short")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
        assert cluster.k("logs", "short") == "from a pod\n"
        sh = lambda command: cluster.k("exec", "box", "--", "sh", "-c", command)
        assert sh("cat /c/one /single; echo x > /e/file; cat /read/file; touch /new /read/new 2>/dev/null || echo refused") == "11x\nrefused\n"
        assert int(sh("echo $$")) < 100
        # The shims outlive the server, and the next one finds them.
        cluster.stop()
        cluster.start()
        assert sh("cat /e/file") == "x\n"
        cluster.k("delete", "pod", "box", "--grace-period=1")
        status = cluster.get("nodes", "node-1")["status"]
        assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
        # What cannot be done is told.
        assert not any(handler.get("features", {}).get("userNamespaces") for handler in status["runtimeHandlers"])
        assert "id-mapped mounts need Linux 5.12" in cluster.log_path.read_text()
        cluster.apply(pod("mapped", "true", hostUsers=False, restartPolicy="Never"))
        wait_for("what user namespaces need", lambda: "this node does not support user namespaces" in cluster.k("get", "events"), 60)
