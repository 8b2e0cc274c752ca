"""Other people's engines on our runtime: Debian's podman and containerd start, enter, pause and stop containers with `estiba-oci`."""
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import cluster as support

OCI = support.BIN / "estiba-oci"
CONTAINERD = support.CACHE / "containerd-debian/usr/bin"


@pytest.fixture
def sandbox():
    made = support.Sandbox()
    made.inside(["mount", "-t", "tmpfs", "run", "/run"])
    yield made
    made.close()


@pytest.fixture
def folder():
    path = pathlib.Path("/var/tmp") / f"estiba-runtimes-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_podman_runs_on_it(sandbox, folder):
    base = ["podman", "--root", folder / "root", "--runroot", "/run/podman-root", "--tmpdir", "/run/podman-tmp", "--cgroup-manager", "cgroupfs", "--runtime", OCI,
            "--storage-driver", "overlay", "--events-backend", "file"]

    def podman(*arguments, **options):
        return sandbox.inside([*base, *arguments], timeout=120, **options)

    podman("import", "--change", 'CMD ["sh"]', support.busybox_image(), "box:1")
    assert podman("run", "--rm", "--network", "none", "box:1", "echo", "hello").stdout == "hello\n"
    assert podman("run", "--rm", "--network", "none", "box:1", "sh", "-c", "exit 3", check=False).returncode == 3
    podman("run", "-d", "--network", "none", "--memory", "64m", "--name", "lives", "box:1", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    try:
        assert podman("exec", "lives", "echo", "inside").stdout == "inside\n"
        podman("pause", "lives")
        assert podman("inspect", "-f", "{{.State.Status}}", "lives").stdout == "paused\n"
        podman("unpause", "lives")
        podman("stop", "-t", "20", "lives")
        assert podman("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "lives").stdout == "exited 0\n"
        podman("start", "lives")
        assert podman("top", "lives", "args", check=False).returncode == 0
    finally:
        podman("rm", "-f", "-t", "1", "lives")
        podman("rmi", "-f", "box:1")


def test_containerd_runs_on_it(sandbox, folder):
    address = "/run/containerd-test.sock"
    config = folder / "config.toml"
    config.write_text(f'version = 2\nroot = "{folder}/root"\nstate = "/run/containerd-state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{address}"\n')
    environment = {**os.environ, "PATH": f"{CONTAINERD}:{os.environ['PATH']}"}
    log = open(folder / "log", "wb")
    daemon = subprocess.Popen(sandbox.command([CONTAINERD / "containerd", "--config", config]), env=environment, stdout=log, stderr=log)
    try:
        def ctr(*arguments, **options):
            return sandbox.inside([CONTAINERD / "ctr", "--address", address, *arguments], env=environment, timeout=120, **options)

        support.wait_for("containerd", lambda: ctr("version", check=False).returncode == 0, 30, 0.1)
        sandbox.inside([support.BIN / "estiba", "image", "import", "--data-dir", folder / "store", "--cmd", '["sh"]', "--env", "PATH=/bin", support.busybox_image(), "box:1"])
        sandbox.inside([support.BIN / "estiba", "image", "export", "--data-dir", folder / "store", "-o", folder / "box.tar", "box:1"])
        ctr("images", "import", folder / "box.tar")
        image = next(line for line in ctr("images", "list", "-q").stdout.split() if "box" in line)
        run = ["run", "--runc-binary", OCI]
        assert ctr(*run, "--rm", image, "once", "echo", "hello").stdout == "hello\n"
        assert ctr(*run, "--rm", image, "fails", "sh", "-c", "exit 5", check=False).returncode == 5
        ctr(*run, "-d", image, "lives", "sleep", "1000")
        assert "RUNNING" in ctr("tasks", "list").stdout
        # ctr 1.6 does not wait for the last output of an exec, so its effect and its exit code are looked at.
        assert ctr("tasks", "exec", "--exec-id", "e1", "lives", "sh", "-c", "echo inside > /tmp/note; exit 4", check=False).returncode == 4
        ctr("tasks", "exec", "--exec-id", "e2", "lives", "grep", "-q", "inside", "/tmp/note")
        ctr("tasks", "pause", "lives")
        assert "PAUSED" in ctr("tasks", "list").stdout
        ctr("tasks", "resume", "lives")
        ctr("tasks", "kill", "-s", "SIGKILL", "lives")
        support.wait_for("its end", lambda: "STOPPED" in ctr("tasks", "list").stdout, 20, 0.1)
        ctr("tasks", "rm", "lives", check=False)
        ctr("containers", "rm", "lives")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{(folder / 'log').read_text(errors='replace')[-3000:]}") from None
    finally:
        for child in open(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read().split():
            os.kill(int(child), signal.SIGTERM)
        daemon.wait(30)
        log.close()
