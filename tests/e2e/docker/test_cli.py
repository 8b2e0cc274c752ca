"""Our client on a running engine: what needs a real container, a terminal or signals. What it prints is compared in test_cli_alike.py."""
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from cluster import wait_for
from docker_engine import BIN, BOX


class Terminal:
    """A client with a terminal of its own."""

    def __init__(self, engine, *arguments, rows=24, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            command = [str(each) for each in engine.command(BIN / "estiba", *arguments)]
            os.execvpe(command[0], command, engine.environment(TERM="xterm"))
        self.output, self.over = b"", False
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text if isinstance(text, bytes) else text.encode())

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            piece = b""
        self.output += piece
        self.over = not piece
        return bool(piece)

    def wait_for(self, text, seconds=30):
        """Reads until `text` has come."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.output:
            assert time.monotonic() < deadline and not self.over, f"{text!r} did not come: {self.output!r}"
            self.read(0.2)

    def end(self, seconds=30):
        """The exit code, after the rest of the output."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            alive = self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self.read(0):
                    pass
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if not alive and self.over:
                time.sleep(0.02)
        raise AssertionError(f"the client did not end: {self.output!r}")

    def close(self):
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(engine):
    made = []

    def make(*arguments, **options):
        made.append(Terminal(engine, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def container(engine):
    """Makes running containers, removed at the end: container("sleep", "1000")."""
    names = []

    def make(*command, flags=()):
        name = engine.unique("cli")
        engine.estiba("run", "-d", "--network", "none", "--name", name, *flags, BOX, *command)
        names.append(name)
        return name

    yield make
    for name in names:
        engine.estiba("rm", "-f", name, check=False)


def test_output_and_exit_code(engine):
    result = engine.estiba("run", "--rm", "--network", "none", BOX, "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_codes_of_what_cannot_run(engine):
    for command, code in (("/no/such/program", 127), ("/etc", 126)):
        result = engine.estiba("run", "--rm", "--network", "none", BOX, command, check=False)
        assert result.returncode == code and result.stderr.startswith("estiba: Error response from daemon: "), result
    assert engine.estiba("run", "--rm", "--pull", "never", "nothere:1", check=False).returncode == 125
    assert engine.estiba("run", "--nonsense", BOX, check=False).returncode == 125


def test_input_is_passed_and_ends(engine):
    data = os.urandom(3_000_000)
    process = subprocess.run(engine.command(BIN / "estiba", "run", "--rm", "-i", "--network", "none", BOX, "cat"), input=data, capture_output=True, env=engine.environment(), timeout=60)
    assert process.returncode == 0, process.stderr
    assert process.stdout == data


def test_cidfile(engine, tmp_path):
    path = tmp_path / "cid"
    engine.estiba("run", "--rm", "--network", "none", "--cidfile", path, BOX, "true")
    assert len(path.read_text()) == 64
    again = engine.estiba("run", "--rm", "--network", "none", "--cidfile", path, BOX, "true", check=False)
    assert again.returncode == 125 and "container ID file found" in again.stderr
    engine.estiba("run", "--cidfile", tmp_path / "other", "--pull", "never", "nothere:1", check=False)
    assert not (tmp_path / "other").exists()


def test_signals_are_passed_on(engine):
    name = engine.unique("cli")
    script = "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(engine.command(BIN / "estiba", "run", "--rm", "--network", "none", "--name", name, BOX, "sh", "-c", script), stdout=subprocess.PIPE, env=engine.environment())
    assert process.stdout.readline() == b"ready\n"
    client = wait_for("the client's process", lambda: open(f"/proc/{process.pid}/task/{process.pid}/children").read().split(), 10)
    os.kill(int(client[0]), signal.SIGTERM)
    assert process.stdout.read() == b"got TERM\n"
    assert process.wait(30) == 9


def test_terminal(engine, terminal):
    shell = terminal("run", "-it", "--rm", "--network", "none", BOX, "sh", rows=31, columns=97)
    shell.type("stty size; tty\r")
    shell.wait_for("31 97")
    shell.resize(20, 50)
    wait_for("the new size", lambda: (shell.type("stty size\r"), shell.read(0.5), b"20 50" in shell.output)[2], 30)
    shell.type("exit 4\r")
    assert shell.end() == 4
    assert b"/dev/pts/" in shell.output


def test_a_terminal_shows_bars_of_pull_and_push(engine, terminal, tmp_path):
    command = [BIN / "estiba", "registry", "--listen", "127.0.0.1:5056", "--data-dir", tmp_path / "registry"]
    registry = subprocess.Popen(engine.sandbox.command(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the registry", lambda: engine.fetch("http://127.0.0.1:5056/v2/") == "{}")
        name = f"127.0.0.1:5056/{engine.unique('bars')}:1"
        (tmp_path / "Dockerfile").write_text(f"FROM {BOX}\nCOPY Dockerfile noise /\n")
        (tmp_path / "noise").write_bytes(os.urandom(30_000_000))
        engine.estiba("build", "-q", "-t", name, tmp_path)
        push = terminal("push", name, columns=130)
        assert push.end() == 0, push.output
        # A line for each layer, drawn again in place.
        assert b"Pushing [====" in push.output and b"\x1b[" in push.output and b"Pushed" in push.output, push.output[-2000:]
        assert b"digest: sha256:" in push.output
        engine.estiba("rmi", name)
        engine.estiba("builder", "prune", "-af")
        pull = terminal("pull", name, columns=130)
        assert pull.end() == 0, pull.output
        assert b"\x1b[" in pull.output and b"Pull complete" in pull.output and b"Status: Downloaded newer image" in pull.output, pull.output[-2000:]
        assert b"[====" in pull.output
        plain = engine.estiba("pull", name)  # no terminal: no bars, no colours
        assert "\x1b" not in plain.stdout and "[==" not in plain.stdout
        engine.estiba("rmi", name)
    finally:
        for child in open(f"/proc/{registry.pid}/task/{registry.pid}/children").read().split():
            os.kill(int(child), signal.SIGTERM)
        registry.wait(30)


def test_init_reaps_and_passes_signals_on(engine, container):
    def zombies(name):
        states = engine.estiba("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat").stdout.splitlines()
        return [line for line in states if line.rsplit(")", 1)[1].split()[0] == "Z"]

    orphans = "for i in 1 2 3; do sh -c 'sleep 0.2 & exit 0'; done; touch /made; exec sleep 1000"
    without = container("sh", "-c", orphans)
    wait_for("zombies", lambda: len(zombies(without)) == 3)
    with_init = container("sh", "-c", orphans, flags=["--init"])
    wait_for("the orphans", lambda: engine.estiba("exec", with_init, "test", "-e", "/made", check=False).returncode == 0)
    wait_for("their end", lambda: not any("(sleep)" in line and " 0.2" in line for line in engine.estiba("top", with_init).stdout.splitlines()) and not zombies(with_init))
    time.sleep(0.3)
    assert zombies(with_init) == []
    name = container("sh", "-c", "trap 'exit 9' USR1; touch /ready; while :; do sleep 0.05; done", flags=["--init"])
    wait_for("the trap", lambda: engine.estiba("exec", name, "test", "-e", "/ready", check=False).returncode == 0)
    engine.estiba("kill", "-s", "USR1", name)
    assert engine.estiba("wait", name).stdout == "9\n"
    dies = container("sh", "-c", "kill -9 $$", flags=["--init"])
    assert engine.estiba("wait", dies).stdout == "137\n"


def test_detach_and_attach(engine, terminal):
    name = engine.unique("cli")
    shell = terminal("run", "-it", "--network", "none", "--name", name, BOX, "sh")
    shell.type("echo first-$((1+1))\r")
    shell.wait_for("first-2")
    shell.type(b"\x10\x11")
    assert shell.end() == 0
    assert engine.inspect(name)["State"]["Running"]
    again = terminal("attach", "--detach-keys", "ctrl-a,d", name)
    again.type("echo second-$((1+2))\r")
    again.wait_for("second-3")
    again.type(b"\x01d")
    assert again.end() == 1 and b"read escape sequence" in again.output
    engine.estiba("rm", "-f", name)


def test_exec(engine, container, terminal):
    name = container("sleep", "1000")
    result = engine.estiba("exec", "-e", "A=one", "-w", "/tmp", name, "sh", "-c", "echo $A $PWD; exit 6", check=False)
    assert (result.returncode, result.stdout) == (6, "one /tmp\n")
    data = os.urandom(200_000)
    process = subprocess.run(engine.command(BIN / "estiba", "exec", "-i", name, "cat"), input=data, capture_output=True, env=engine.environment(), timeout=60)
    assert process.stdout == data
    assert engine.estiba("exec", name, "/no/such/program", check=False).returncode in (126, 127)
    shell = terminal("exec", "-it", name, "sh")
    shell.type("echo in-$((2+3))\r")
    shell.wait_for("in-5")
    # Its terminal has the size of ours, and follows it.
    shell.type("stty size\r")
    shell.wait_for("24 80")
    shell.resize(33, 111)
    wait_for("the new size", lambda: (shell.type("stty size\r"), shell.read(0.5), b"33 111" in shell.output)[2], 30)
    shell.type("exit 3\r")
    assert shell.end() == 3
    assert engine.estiba("exec", "-t", name, "true", check=False).returncode == 0


def test_start_attached_and_wait(engine):
    name = engine.unique("cli")
    engine.estiba("create", "--name", name, "--network", "none", BOX, "sh", "-c", "echo again; exit 5")
    for _ in range(2):
        result = engine.estiba("start", "-a", name, check=False)
        assert (result.returncode, result.stdout) == (5, "again\n"), result.stderr
    assert engine.estiba("wait", name).stdout == "5\n"
    assert engine.estiba("logs", name).stdout == "again\nagain\n"
    assert engine.estiba("rm", name).stdout == name + "\n"
    assert engine.estiba("rm", name, check=False).stderr == f"Error response from daemon: No such container: {name}\n"


def test_copy(engine, container, tmp_path):
    name = container("sleep", "1000")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "file").write_text("content")
    (tree / "file").chmod(0o640)
    (tree / "sub/link").symlink_to("../file")
    os.link(tree / "file", tree / "sub/hard")
    engine.estiba("cp", tree, f"{name}:/tmp/new")
    assert engine.estiba("exec", name, "cat", "/tmp/new/sub/link", "/tmp/new/sub/hard").stdout == "contentcontent"
    engine.estiba("cp", tree, f"{name}:/tmp")
    engine.estiba("cp", f"{tree}/.", f"{name}:/tmp/new")
    assert sorted(engine.estiba("exec", name, "ls", "/tmp/tree", "/tmp/new").stdout.split()) == sorted(["/tmp/new:", "file", "sub", "/tmp/tree:", "file", "sub"])
    engine.estiba("cp", f"{name}:/tmp/tree", tmp_path / "back")
    assert (tmp_path / "back/sub/hard").read_text() == "content" and os.readlink(tmp_path / "back/sub/link") == "../file"
    assert (tmp_path / "back/file").stat().st_mode & 0o777 == 0o640
    engine.estiba("cp", f"{name}:/tmp/tree/file", tmp_path)
    assert (tmp_path / "file").read_text() == "content"
    assert engine.estiba("cp", f"{name}:/no/such", tmp_path, check=False).returncode == 1
    assert engine.estiba("cp", f"{name}:/tmp/tree", tmp_path / "file", check=False).stderr == "cannot copy directory\n"


def test_logs(engine, container):
    name = container("sh", "-c", "echo one; echo two >&2; echo three")
    engine.estiba("wait", name)
    result = engine.estiba("logs", name)
    assert (result.stdout, result.stderr) == ("one\nthree\n", "two\n")
    last = engine.estiba("logs", "--tail", "1", name)
    assert last.stdout + last.stderr in ("three\n", "two\n")  # two pipes have no order between them
    assert engine.estiba("logs", "-t", name).stdout.splitlines()[0].endswith("Z one")
    assert engine.estiba("logs", "--until", "1h", name).stdout == ""


def test_logs_of_a_terminal_are_no_frames(engine, container):
    name = container("sh", "-c", "echo raw", flags=("-t",))
    engine.estiba("wait", name)
    shown = subprocess.run(engine.command(BIN / "estiba", "logs", name), capture_output=True, env=engine.environment(), timeout=60)
    assert (shown.stdout, shown.stderr) == (b"raw\r\n", b"")


def test_tables_are_those_of_docker(engine, container):
    """The same engine by both clients."""
    name = container("sleep", "1000", flags=("-l", "role=db"))
    for arguments in (("ps", "-a", "--filter", f"name={name}", "--format", "{{.ID}} {{.Image}} {{.Command}} {{.Names}} {{.State}} {{.Label \"role\"}}"), ("inspect", name), ("top", name),
                      ("inspect", "-f", "{{json .Config}}", name),
                      ("inspect", "-f", "{{.State.Status}} {{.HostConfig.NetworkMode}} {{.Config.Cmd}}", name), ("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"),
                      ("version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}")):
        assert engine.estiba(*arguments).stdout == engine.docker(*arguments).stdout, arguments


def test_nobody_listens(engine):
    result = engine.estiba("ps", env={"DOCKER_HOST": "unix:///nowhere/docker.sock"}, check=False)
    assert result.returncode == 1 and result.stderr.startswith("Cannot connect to the Docker daemon at unix:///nowhere/docker.sock. Is the docker daemon running?")
