"""How a build gets its files: the directory itself or a tar, what is known from before, what changes meanwhile, an agent's keys, terminals, and
what all of that may cost in memory."""
import contextlib
import io
import json
import os
import re
import socket
import subprocess
import tarfile
import threading

import pytest

from docker_engine import BIN, Answer, UnixConnection, wait_for
from test_cli import Terminal


@pytest.fixture
def directory(tmp_path):
    """`directory(Dockerfile, {name: text})` writes a context and returns its path."""
    def make(dockerfile, files=None):
        (tmp_path / "Dockerfile").write_text(dockerfile)
        for path, content in (files or {}).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        return tmp_path
    return make


def copy_is_cached(result):
    return " ---> Using cache" in result.stdout.split("COPY", 1)[1]



# -- hits and misses ---------------------------------------------------------------------------------------------------------

def test_touched_files_hit_and_changed_ones_do_not(engine, cli, directory):
    context = directory("FROM box:1\nCOPY . /app\nRUN cat /app/file\n", {"file": "one\n", "sub/other": engine.unique()})
    cli("build", "--no-cache", str(context))
    os.utime(context / "file")
    os.utime(context / "sub/other", (1, 1))
    assert copy_is_cached(cli("build", str(context)))
    # The same size, and the time that it had.
    before = os.stat(context / "file")
    (context / "file").write_text("two\n")
    os.utime(context / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = cli("build", str(context))
    assert not copy_is_cached(changed) and "\ntwo\n" in changed.stdout
    # Another file under the name, with size and time alike.
    (context / "new").write_text("six\n")
    os.utime(context / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.rename(context / "new", context / "file")
    changed = cli("build", str(context))
    assert not copy_is_cached(changed) and "\nsix\n" in changed.stdout
    os.chmod(context / "file", 0o600)
    assert not copy_is_cached(cli("build", str(context)))


def test_both_clients_find_each_others_steps(engine, directory):
    """A directory that is read where it lies and the tar of it are the same context."""
    context = directory("FROM box:1\nCOPY . /app\n", {"a/b": "x", "ignored": "y", ".dockerignore": "ignored\n"})
    (context / "link").symlink_to("a/b")
    os.mkfifo(context / "pipe")
    engine.estiba("build", "--no-cache", str(context))
    assert copy_is_cached(engine.docker("build", str(context)))


def test_a_large_file_is_copied_by_each_step_that_names_it(engine, cli, directory):
    """A large file of a tar becomes the layer's own; the next COPY of it, a bind mount that is written to and ADD have one of their own."""
    context = directory("""FROM box:1 AS one
COPY large /large
RUN --mount=type=bind,target=/mnt,rw echo changed > /mnt/large && echo changed > /large
FROM box:1
COPY large /a
COPY large /b
ADD large /c
COPY --from=one /large /d
RUN cd / && sha256sum a b c && cat d && stat -c '%a %u %h' a b c
""")
    (context / "large").write_bytes(b"0123456789abcdef" * 65536)
    os.chmod(context / "large", 0o640)
    output = cli("build", "--no-cache", str(context)).stdout
    digest = subprocess.run(["sha256sum", context / "large"], capture_output=True, text=True, check=True).stdout.split()[0]
    assert [f"{digest}  {name}" in output for name in "abc"] == [True] * 3, output
    assert "\nchanged\n640 0 1\n640 0 1\n640 0 1\n" in output, output


# -- where the context comes from ---------------------------------------------------------------------------------------------

@contextlib.contextmanager
def relay(engine, path):
    """A proxy in front of the engine's socket: who connects to the engine is this process, and what was sent is kept."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    sent = []

    def pump(source, target, keep):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    sent.append(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                upstream = socket.socket(socket.AF_UNIX)
                upstream.connect(engine.socket_path)
                threading.Thread(target=pump, args=(client, upstream, True), daemon=True).start()
                threading.Thread(target=pump, args=(upstream, client, False), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield sent
    finally:
        server.close()


def test_what_cannot_be_reached_is_sent(engine, directory, tmp_path_factory):
    """The daemon finds another process at the socket's other end, refuses the directory and gets a tar."""
    context = directory("FROM box:1\nCOPY secret-name /file\nRUN cat /file\n", {"secret-name": "by the proxy\n"})
    path = tmp_path_factory.mktemp("relay") / "docker.sock"
    with relay(engine, path) as sent:
        result = engine.estiba("build", "--no-cache", str(context), env={"DOCKER_HOST": f"unix://{path}"})
    assert "\nby the proxy\n" in result.stdout
    whole = b"".join(sent)
    assert whole.count(b"POST /build?") == 2 and b"by the proxy" in whole and b"ustar" in whole


def test_our_client_sends_no_file_to_an_engine_beside_it(engine, directory):
    context = directory("FROM box:1\nCOPY file /\nRUN cat /file\n", {"file": "read where it lies\n"})
    traced = engine.client("strace", "-f", "-e", "trace=openat,sendto,write,sendmsg", "-s", "4096", BIN / "estiba", "build", "--no-cache", str(context))
    assert "read where it lies" in traced.stdout
    assert "ustar" not in traced.stderr and '"file"' not in traced.stderr, traced.stderr


@pytest.mark.parametrize("offer", [{"fd": "1", "device": "1", "inode": "1"}, {"fd": "999", "device": "1", "inode": "1"}, {"fd": "x"}, {}])
def test_an_offer_that_is_none(engine, offer):
    head = json.dumps({"directory": offer})
    answer = engine.api("POST", "/build", f"{len(head)}\n{head}", {"Content-Type": "application/vnd.estiba.build"})
    assert answer.status == 409 and answer.headers["Estiba-Context"] == "refused" and "cannot be reached" in answer.text


@pytest.mark.parametrize("body, message", [
    ("", "the build's head is missing"),
    ("x\n{}", "the build's head has no length"),
    ("999999999999\n{}", "the build's head has no length"),
    ("10\n{}", "the build's head is cut short"),
    ("2\n{]", "JSON"),
])
def test_heads_that_are_none(engine, body, message):
    answer = engine.api("POST", "/build", body, {"Content-Type": "application/vnd.estiba.build"})
    assert answer.status == 400 and message.lower() in answer.text.lower(), answer.text


def test_a_directory_that_changes_while_a_command_runs(engine, directory):
    """What a build is made of is what was there when it began, as if it had been sent."""
    context = directory("""FROM box:1
RUN --mount=type=cache,target=/c,id=changing echo started; while [ ! -e /c/go ]; do sleep 0.1; done; rm /c/go
COPY file /
RUN cat /file
""", {"file": "as it was\n"})
    process = subprocess.Popen(engine.command(BIN / "estiba", "build", "--no-cache", str(context)), env=engine.environment(), stdout=subprocess.PIPE, text=True)
    output = []
    for line in process.stdout:
        output.append(line)
        if line.startswith("started"):
            break
    (context / "file").write_text("as it is now, and longer\n")
    for mount in (engine.data_dir / "build/mounts").iterdir():
        (mount / "go").touch()
    output += process.stdout.readlines()
    assert process.wait(60) == 0 and "as it was\n" in output, output


def test_a_file_that_nobody_may_read_and_a_device(engine, directory):
    context = directory("FROM box:1\nCOPY . /\n")
    os.mknod(context / "disk", 0o600 | 0o060000, os.makedev(7, 99))
    for cli in (engine.estiba, engine.docker):
        result = cli("build", str(context), check=False)
        assert result.returncode != 0 and "a device node cannot be in a build context" in result.stderr and "disk" in result.stderr, result.stderr
    (context / ".dockerignore").write_text("disk\n")
    assert engine.estiba("build", str(context)).returncode == 0


# -- what it costs ------------------------------------------------------------------------------------------------------------

def peak_kib(engine):
    return int(re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{engine.pid()}/status").read())[1])


class Endless(io.RawIOBase):
    """A tar with a Dockerfile and a file of `size` bytes, made as it is read."""

    def __init__(self, size):
        start = io.BytesIO()
        with tarfile.open(fileobj=start, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            entry = tarfile.TarInfo("Dockerfile")
            text = b"FROM scratch\nCOPY large /\n"
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
            start.truncate(start.tell())
        head = start.getvalue()[:1024]
        entry = tarfile.TarInfo("large")
        entry.size = size
        self.pieces = [head + entry.tobuf(tarfile.USTAR_FORMAT)] + [bytes(1 << 20)] * (size >> 20) + [bytes(1024)]

    def read(self, size=-1):
        return self.pieces.pop(0) if self.pieces else b""


def post_tar(engine, size):
    """Builds from such a tar, and reads the answer also when the engine wants no more of it."""
    connection = UnixConnection(engine.socket_path, 300)
    with contextlib.suppress(BrokenPipeError):
        connection.request("POST", "/build", Endless(size), {"Content-Type": "application/x-tar"})
    answer = connection.getresponse()
    try:
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def test_a_context_of_a_gigabyte_takes_little_memory(own_engine):
    own_engine.start()
    before = peak_kib(own_engine)
    answer = post_tar(own_engine, 1 << 30)
    assert answer.status == 200 and any("Successfully built" in line.get("stream", "") for line in answer.lines), answer.text
    grown = peak_kib(own_engine) - before
    assert grown < 64 * 1024, f"the engine took {grown} KiB more for a context of 1 GiB"


def test_a_context_that_does_not_fit(own_engine, directory):
    """A disk of 200 MiB, and a context of 300: the error names both, and nothing is left."""
    small = own_engine.data_dir / "build"
    own_engine.sandbox.inside(["mkdir", "-p", small])
    own_engine.sandbox.inside(["mount", "-t", "tmpfs", "-o", "size=200m", "small", small])
    own_engine.start()
    answer = post_tar(own_engine, 300 << 20)
    assert answer.status == 413 and "the build context does not fit: it is larger than the 136 MiB that are free" in answer.text, answer.text
    assert ".dockerignore" in answer.text
    wait_for("the end of its directory", lambda: not own_engine.sandbox.inside(["ls", small / "tmp"]).stdout.strip(), 30)
    own_engine.stop()
    own_engine.sandbox.inside(["umount", small])


# -- clients --------------------------------------------------------------------------------------------------------------------

def copied_program(context, program):
    """A dynamic program and its libraries, below the context's "root"."""
    libraries = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout)
    for path in [program, *libraries]:
        target = context / "root" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(open(path, "rb").read())
        target.chmod(0o755)


def test_an_agents_keys_are_there_for_one_command(engine, directory):
    context = directory("""FROM box:1
COPY root /
RUN --mount=type=ssh,required ssh-add -L
RUN test -z "$SSH_AUTH_SOCK" && test ! -e /run/buildkit/ssh_agent.0
RUN --mount=type=ssh,target=/agent test "$SSH_AUTH_SOCK" = /agent && ssh-add -L | cut -d' ' -f3
""")
    copied_program(context, "/usr/bin/ssh-add")
    key = context.parent / f"{context.name}-key"
    agent = context.parent / f"{context.name}-agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL)
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the-key", "-f", str(key)], check=True)
        wait_for("the agent", agent.exists, 10)
        environment = {"SSH_AUTH_SOCK": str(agent)}
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env={**os.environ, **environment})
        result = engine.estiba("build", "--no-cache", "--ssh", "default", str(context), env=environment)
        public = key.with_suffix(".pub").read_text().strip() if key.suffix else (key.parent / (key.name + ".pub")).read_text().strip()
        assert public in result.stdout and "\nthe-key\n" in result.stdout, result.stdout
        named = engine.estiba("build", "--no-cache", "--ssh", f"default={agent}", str(context))
        assert public in named.stdout
    finally:
        process.terminate()
        process.wait()
    without = engine.estiba("build", "--no-cache", str(context), check=False, env={"SSH_AUTH_SOCK": ""})
    assert without.returncode != 0 and "Dockerfile:3: ssh agent is not forwarded: give --ssh default" in without.stderr, without.stderr
    nobody = engine.estiba("build", "--ssh", "default", str(context), check=False, env={"SSH_AUTH_SOCK": ""})
    assert nobody.returncode != 0 and "there is no ssh agent: SSH_AUTH_SOCK is not set" in nobody.stderr


def test_a_terminal_shows_steps_as_they_come(engine, directory):
    context = directory("""FROM box:1
RUN --mount=type=cache,target=/c,id=terminal printf 'half a line'; while [ ! -e /c/go ]; do sleep 0.1; done; rm /c/go; echo ', and the rest'
ENV A=1
""")
    terminal = Terminal(engine, "build", "--no-cache", str(context))
    terminal.wait_for("half a line")
    assert b"Step 2/3 : RUN" in terminal.output and b"Step 3/3" not in terminal.output
    for mount in (engine.data_dir / "build/mounts").iterdir():
        (mount / "go").touch()
    assert terminal.end() == 0
    text = terminal.output.decode()
    assert "half a line, and the rest\r\n" in text and "Step 3/3 : ENV A=1\r\n" in text and re.search(r"Successfully built [0-9a-f]{12}\r\n", text), text
    assert "{" not in text.replace("${", ""), "the protocol showed through"
    for mode in ("plain", "tty", "auto"):
        assert Terminal(engine, "build", "--progress", mode, str(context)).end() == 0
    quiet = Terminal(engine, "build", "--progress", "quiet", str(context))
    assert quiet.end() == 0 and re.fullmatch(rb"sha256:[0-9a-f]{64}\r\n", quiet.output), quiet.output
    wrong = Terminal(engine, "build", "--progress", "fancy", str(context))
    assert wrong.end() != 0 and b"invalid progress mode" in wrong.output


@pytest.mark.parametrize("dockerfile", ["FROM box:1\n", "FROM box:1\nENV A=1\nRUN echo x > /x\n", "FROM box:1 AS a\nRUN echo y > /y\nFROM a\nCMD [\"x\"]\n", "FROM scratch\nCOPY Dockerfile /\n"])
@pytest.mark.parametrize("flags", [(), ("--label", "one=1", "--label", "two=2 words")])
def test_the_last_steps_id_is_the_images(engine, cli, directory, dockerfile, flags):
    context = directory(dockerfile)
    for _ in range(2):
        tag = engine.unique("same") + ":1"
        output = cli("build", "-t", tag, *flags, str(context)).stdout
        last = re.findall(r"^ ---> ([0-9a-f]{12})$", output, re.M)[-1]
        assert f"Successfully built {last}\n" in output, output
        assert engine.estiba("image", "inspect", "-f", "{{.Id}}", tag).stdout.startswith(f"sha256:{last}")
    if flags:
        assert "LABEL one=1 two=2 words" in output
        assert json.loads(engine.estiba("image", "inspect", "-f", "{{json .Config.Labels}}", tag).stdout) == {"one": "1", "two": "2 words"}
    elif dockerfile == "FROM box:1\n":
        assert engine.estiba("image", "inspect", "-f", "{{.Id}}", "box:1").stdout.startswith(f"sha256:{last}")


# -- what builder prune takes ---------------------------------------------------------------------------------------------------

def test_prune_takes_cache_mounts(own_engine, directory):
    own_engine.start()
    context = directory("FROM box:1\nRUN --mount=type=cache,target=/c,id=kept dd if=/dev/zero of=/c/file bs=1024 count=64 && echo x > /x\n")
    own_engine.estiba("build", "-t", "p:1", str(context))
    caches = own_engine.api("GET", "/system/df").body["BuildCache"]
    mount = next(cache for cache in caches if cache["Type"] == "exec.cachemount")
    assert mount["Size"] >= 65536 and 'with id "kept"' in mount["Description"] and not mount["InUse"]
    mounts = own_engine.data_dir / "build/mounts"
    assert [path.name for path in mounts.iterdir()] == [mount["ID"]]
    assert own_engine.estiba("builder", "prune", "-f", "--filter", "type=regular").stdout == "Total reclaimed space: 0B\n"
    assert own_engine.estiba("builder", "prune", "-f", "--filter", "until=24h").stdout == "Total reclaimed space: 0B\n"
    pruned = own_engine.estiba("builder", "prune", "-f", "--filter", "type=exec.cachemount").stdout
    assert mount["ID"] in pruned and not list(mounts.iterdir())
    own_engine.estiba("build", "--no-cache", "-t", "p:1", str(context))
    assert own_engine.docker("builder", "prune", "-f").stdout.count(mount["ID"]) == 1 and not list(mounts.iterdir())
    assert "Using cache" in own_engine.estiba("build", str(context)).stdout, "an image has the step"
    refused = own_engine.estiba("builder", "prune", "-f", "--filter", "color=red", check=False)
    assert refused.returncode != 0 and "invalid filter 'color'" in refused.stderr


def test_prune_leaves_a_mount_that_is_in_use(engine, directory):
    context = directory("FROM box:1\nRUN --mount=type=cache,target=/c,id=busy echo started; while [ ! -e /c/go ]; do sleep 0.1; done; rm /c/go\n")
    process = subprocess.Popen(engine.command(BIN / "estiba", "build", "--no-cache", str(context)), env=engine.environment(), stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("started"):
            break
    busy = [cache for cache in engine.api("GET", "/system/df").body["BuildCache"] if cache["InUse"]]
    assert len(busy) == 1 and 'with id "busy"' in busy[0]["Description"]
    assert busy[0]["ID"] not in engine.api("POST", "/build/prune?all=1").body["CachesDeleted"]
    (engine.data_dir / "build/mounts" / busy[0]["ID"] / "go").touch()
    process.stdout.read()
    assert process.wait(60) == 0
