"""The builder, by our own CLI and by Debian's classic one: stages, heredocs, caches, secrets, what is ignored, and bad input."""
import json
import os
import signal
import socket
import stat
import subprocess
import tarfile
import time
import urllib.parse

import pytest

from docker_engine import BIN, BOX, wait_for


@pytest.fixture
def context(tmp_path):
    """`context(Dockerfile, {name: text})` writes a context and returns its path."""
    def make(dockerfile, files=None, name="Dockerfile"):
        directory = tmp_path / f"context-{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        if dockerfile is not None:
            (directory / name).write_text(dockerfile)
        for path, content in (files or {}).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(content)
        return directory
    return make


class Built:
    """A build's result, and the files of its image."""

    def __init__(self, engine, result, tag):
        self.engine, self.tag, self.output, self.errors, self.code = engine, tag, result.stdout, result.stderr, result.returncode

    @property
    def both(self):
        return self.output + self.errors

    def read(self, *command):
        """What a command prints in the image."""
        words = json.dumps(command)
        output = self.engine.estiba("build", "--no-cache", "--network", "none", "-", input=f"FROM {self.tag}\nUSER 0\nRUN {words}\n").stdout
        return output.split(" ---> Running in ")[1].split("\n", 1)[1].split("Removing intermediate container ")[0]

    @property
    def id(self):
        return image_id(self.engine, self.tag)

    @property
    def image(self):
        """The image's configuration."""
        return json.loads((self.engine.data_dir / "images/blobs/sha256" / self.id.removeprefix("sha256:")).read_text())


def image_id(engine, tag):
    index = json.loads((engine.data_dir / "images/index.json").read_text())
    found = [image["id"] for image in index["images"] if f"docker.io/library/{tag}" in image["tags"]]
    assert len(found) == 1, index
    return found[0]


@pytest.fixture
def build(engine, cli):
    """`build(directory, *flags)` with each of the two clients; fails the test when the build fails, unless check=False."""
    def go(directory, *flags, check=True, tag=None, client=None, **options):
        tag = tag or engine.unique("built") + ":1"
        result = (client or cli)("build", "-t", tag, *flags, str(directory), check=False, **options)
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return Built(engine, result, tag)
    return go


def test_stages_settings_and_their_image(build, context):
    built = build(context("""ARG BASE=box:1
FROM ${BASE} AS base
ARG VERSION=1.0
ENV GREETING="hello there" VERSION=${VERSION}
WORKDIR /app
COPY main.txt ./
RUN echo "$GREETING $VERSION" > out && cat main.txt >> out
FROM box:1 AS unused
RUN exit 1
FROM box:1
COPY --from=base /app/out /result/
LABEL a=1 b="two words"
EXPOSE 80 53/udp
VOLUME /data
USER 1000:1000
WORKDIR relative
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["cat"]
CMD ["/result/out"]
""", {"main.txt": "from the context\n"}), "--build-arg", "VERSION=2.5", "--label", "c=3")
    assert "Successfully built" in built.output and f"Successfully tagged {built.tag}" in built.output
    assert built.read("cat", "/result/out") == "hello there 2.5\nfrom the context\n"
    config = built.image["config"]
    assert config["Entrypoint"] == ["cat"] and config["Cmd"] == ["/result/out"] and config["User"] == "1000:1000"
    assert config["WorkingDir"] == "/relative" and config["StopSignal"] == "SIGINT"
    assert config["Labels"] == {"a": "1", "b": "two words", "c": "3"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp"} and list(config["Volumes"]) == ["/data"]
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    assert not [e for e in config["Env"] if e.startswith("GREETING")]


def test_everything_is_cached_the_second_time(build, context):
    directory = context("FROM box:1\nRUN cat /proc/sys/kernel/random/uuid > /when\nCOPY . /app\nENV A=1\nRUN echo $A\n", {"file": "one"})
    first = build(directory)
    os.utime(directory / "file")  # touched, with the same bytes
    second = build(directory)
    assert second.output.count("Using cache") == 4, second.output
    assert first.id == second.id
    (directory / "file").write_text("two")
    third = build(directory)
    assert third.read("cat", "/when") == first.read("cat", "/when")
    assert third.read("cat", "/app/file") == "two"
    fresh = build(directory, "--no-cache")
    assert "Using cache" not in fresh.output
    assert fresh.read("cat", "/when") != first.read("cat", "/when")


def test_the_cache_outlives_the_engine(own_engine, context):
    own_engine.start()
    directory = context("FROM box:1\nRUN cat /proc/sys/kernel/random/uuid > /when\n")
    assert own_engine.docker("build", "-t", "a:1", str(directory)).returncode == 0
    own_engine.restart()
    assert "Using cache" in own_engine.docker("build", "-t", "b:1", str(directory)).stdout
    # What images have goes with "all" only.
    assert not own_engine.api("POST", "/build/prune").body["CachesDeleted"]
    assert "Using cache" in own_engine.docker("build", "-t", "b:1", str(directory)).stdout
    pruned = own_engine.api("POST", "/build/prune?all=1")
    assert pruned.status == 200 and pruned.body["CachesDeleted"]
    assert "Using cache" not in own_engine.docker("build", "-t", "c:1", str(directory)).stdout


def test_what_is_ignored_stays_out(build, context):
    built = build(context("FROM box:1\nCOPY . /app\nRUN cd /app && find . | sort > /list\n", {
        ".dockerignore": "# secrets\n*.env\n**/node_modules\ndocs\n!docs/kept.md\nDockerfile\n.dockerignore\n",
        "a.env": "x", "keep.txt": "x", "web/node_modules/big.js": "x", "web/index.js": "x", "docs/a.md": "x", "docs/kept.md": "x"}))
    assert built.read("cat", "/list").split() == [".", "./docs", "./docs/kept.md", "./keep.txt", "./web", "./web/index.js"]


def test_owners_modes_links_and_wildcards(build, context):
    directory = context("""FROM box:1
RUN mkdir -p /etc /real && echo 'app:x:123:456::/:/bin/sh' >> /etc/passwd && echo 'app:x:456:' >> /etc/group && ln -s /real /link
COPY --chown=app --chmod=640 a.txt /owned
COPY *.txt /all/
COPY deep /link/deep
COPY --chown=7:8 a.txt b.txt /into/
COPY a.txt /real/renamed
RUN stat -c '%n %u %g %a' /owned /all/a.txt /into /into/b.txt /real/deep/x/y && readlink /real/deep/inner && cat /link/renamed
""", {"a.txt": "A\n", "b.txt": "B\n", "deep/x/y": "y"})
    (directory / "deep/inner").symlink_to("x/y")
    output = build(directory, "--no-cache").output
    for line in ("/owned 123 456 640", "/all/a.txt 0 0 644", "/into 7 8 755", "/into/b.txt 7 8 644", "/real/deep/x/y 0 0 644", "x/y"):
        assert f"\n{line}\n" in output, output


def test_archives_are_unpacked_by_add_only(build, context, tmp_path):
    directory = context("FROM box:1\nADD files.tar.gz /unpacked/\nCOPY files.tar.gz /kept/\nRUN cat /unpacked/dir/file && ls /kept\n")
    (tmp_path / "file").write_text("inside\n")
    with tarfile.open(directory / "files.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "file", "dir/file")
    assert "inside\nfiles.tar.gz\n" in build(directory, "--no-cache").output


def test_heredocs(build, context):
    built = build(context("""FROM box:1
ARG NAME=world
RUN <<EOF
set -e
echo "one $NAME" > /out
echo two >> /out
EOF
RUN cat <<A > /second && echo done
hello $NAME
A
COPY <<EOF /third
it's "$NAME" \\$HOME
EOF
COPY <<'RAW' /fourth
$NAME
RAW
COPY --chmod=755 <<one <<two /many/
1
one
2
two
RUN <<SCRIPT
#!/bin/cat
just a script
SCRIPT
"""), "--no-cache")
    assert built.read("cat", "/out", "/second", "/third", "/fourth", "/many/one", "/many/two") == \
        "one world\ntwo\nhello world\nit's \"world\" $HOME\n$NAME\n1\n2\n"
    assert "just a script" in built.output


def test_mounts_of_run(engine, context, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t-value")
    directory = context("""FROM box:1 AS other
RUN mkdir /d && echo other > /d/file
FROM box:1
RUN --mount=type=cache,target=/cache echo x >> /cache/lines; wc -l < /cache/lines > /count
RUN --mount=type=secret,id=key,required sha256sum /run/secrets/key > /sum && stat -c %a /run/secrets/key > /mode
RUN --mount=type=secret,id=key,env=KEY echo ${#KEY} > /length
RUN --mount=type=bind,source=src,target=/mnt/src --mount=type=bind,from=other,source=/d,target=/mnt/d cat /mnt/src/a /mnt/d/file > /bound
RUN --mount=type=tmpfs,target=/mnt/t touch /mnt/t/x && mount | grep -c ' /mnt/t type tmpfs'
RUN test ! -e /mnt && test ! -e /run/secrets && test ! -e /cache
""", {"src/a": "from the context\n"})
    tag = engine.unique("mounts") + ":1"
    result = engine.estiba("build", "-t", tag, "--secret", f"id=key,src={secret}", str(directory), check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    built = Built(engine, result, tag)
    assert built.read("cat", "/count", "/mode", "/length", "/bound") == "1\n400\n12\nfrom the context\nother\n"
    again = engine.estiba("build", "--no-cache", "-t", tag, "--secret", f"id=key,src={secret}", str(directory))
    assert built.read("cat", "/count").strip() == "2"  # a cache mount outlives its build
    # The secret is nowhere: not in the output, the history, the image's files or the builder's.
    assert "s3cr3t-value" not in result.stdout + again.stdout + engine.log()
    assert "s3cr3t-value" not in json.dumps(built.image)
    found = engine.sandbox.inside(["grep", "-rl", "s3cr3t-value", engine.data_dir, "/run/estiba"], check=False).stdout
    assert found == ""
    missing = engine.estiba("build", "--no-cache", str(directory), check=False)
    assert missing.returncode == 1 and "secret key: not found; give it with --secret id=key,src=FILE" in missing.stderr


def test_triggers_of_a_base_image(build, context, engine):
    base = build(context("FROM box:1\nONBUILD COPY . /src\nONBUILD RUN cat /src/file\n"))
    built = build(context(f"FROM {base.tag}\n", {"file": "triggered\n"}), "--no-cache")
    assert "Executing 2 build triggers" in built.output and "triggered" in built.output
    assert not built.image["config"].get("OnBuild")


def test_networks_and_hosts(build, context):
    built = build(context("FROM box:1\nRUN grep -c extra /etc/hosts && cat /proc/net/dev\nRUN --network=none ls /sys/class/net\n"), "--add-host", "extra:1.2.3.4",
                  "--no-cache")
    assert "eth0" in built.output
    assert "\nlo\n" in built.output


def test_dockerfile_elsewhere_and_on_stdin(engine, context, tmp_path):
    directory = context(None, {"file": "content\n"})
    other = tmp_path / "Other"
    other.write_text("FROM box:1\nCOPY file /\nRUN cat /file\n")
    for cli in (engine.estiba, engine.docker):
        assert "content" in cli("build", "--no-cache", "-f", str(other), str(directory)).stdout
        assert "content" in cli("build", "--no-cache", "-f", "-", str(directory), input=other.read_text()).stdout
        assert "alone" in cli("build", "--no-cache", "-", input="FROM box:1\nRUN echo alone\n").stdout


def test_a_tar_as_the_context(engine, context, tmp_path):
    directory = context("FROM box:1\nCOPY file /\nRUN cat /file\n", {"file": "in a tar\n"})
    archive = tmp_path / "context.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory, ".")
    answer = engine.api("POST", "/build?nocache=1&q=0", archive.read_bytes(), {"Content-Type": "application/x-tar"})
    assert answer.status == 200 and any("in a tar" in line.get("stream", "") for line in answer.lines), answer.text
    assert any(line.get("aux", {}).get("ID", "").startswith("sha256:") for line in answer.lines)


def test_iidfile_quiet_and_target(build, engine, context, tmp_path):
    directory = context("FROM box:1 AS first\nRUN echo 1 > /n\nFROM first AS second\nRUN echo 2 > /n\n")
    built = build(directory, "--iidfile", str(tmp_path / "id"), "--target", "first", "-q")
    assert built.output.strip() == (tmp_path / "id").read_text().strip() == built.id
    assert built.read("cat", "/n") == "1\n"
    wrong = build(directory, "--target", "secnd", check=False)
    assert wrong.code == 1 and "failed to reach build target secnd in Dockerfile (did you mean second?)" in wrong.errors


def test_images_are_reproducible(engine, context, own_engine):
    own_engine.start()
    dockerfile = "FROM box:1\nRUN echo x > /x && mkdir -p /d/e\nCOPY . /app\nWORKDIR /made\n"
    ids = []
    for _ in range(2):
        directory = context(dockerfile, {"file": "same"})
        own_engine.estiba("build", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-t", "r:1", str(directory))
        ids.append(image_id(own_engine, "r:1"))
    assert ids[0] == ids[1]


# -- bad input ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, message", [
    ("FROM box:1\n\nRNU echo hi\n", 'Dockerfile:3: unknown instruction: RNU (did you mean RUN?), in "RNU echo hi"'),
    ("FROM box:1\nCOPY --form=x a b\n", 'Dockerfile:2: unknown flag: --form (did you mean from?), in "COPY --form=x a b"'),
    ("FROM box:1\nCOPY missing /\n", "Dockerfile:2: COPY failed: file not found in build context or excluded by .dockerignore: stat missing: file does not exist"),
    ("FROM box:1\nCOPY ../../etc/passwd /\n", "Dockerfile:2: COPY failed: forbidden path outside the build context"),
    ("FROM\n", "Dockerfile:1: FROM requires either one or three arguments"),
    ("FROM ${NOTHING}\n", "Dockerfile:1: base name (${NOTHING}) should not be blank"),
    ("FROM box:1 AS a\nCOPY --from=b /x /x\nFROM box:1 AS b\nCOPY --from=a /x /x\n", "circular dependency detected on stage: b"),
    ("FROM box:1 AS a\nCOPY --from=a /x /x\n", "Dockerfile:2: circular dependency detected on stage: a"),
    ("FROM box:1\nARG 1=\n", None),
    ("FROM box:1\nARG a$b=1\n", "Dockerfile:2: ARG name"),
    ("FROM box:1\nADD https://github.com/x/y.git /y\n", "Dockerfile:2: ADD from a Git repository is not offered"),
    ("FROM --platform=linux/s390x box:1\n", "Dockerfile:1: the platform linux/s390x is not offered"),
    ("", "cannot be empty"),
])
def test_dockerfile_errors(build, context, text, message):
    built = build(context(text), check=message is None)
    if message:
        assert built.code != 0 and message in built.errors, built.both


def test_a_command_that_fails(build, context):
    built = build(context("FROM box:1 AS maker\nRUN echo about to fail && exit 7\n"), check=False)
    assert built.code == 7
    assert "about to fail" in built.output
    assert "Dockerfile:2: stage maker: The command '/bin/sh -c echo about to fail && exit 7' returned a non-zero code: 7" in built.errors
    quiet = build(context("FROM box:1\nRUN echo the last words; exit 3\n"), "-q", check=False)
    assert quiet.code == 3 and "the last words" in quiet.errors


def test_a_missing_program_and_a_missing_dockerfile(build, context):
    built = build(context('FROM box:1\nRUN ["/no/such/program"]\n'), check=False)
    assert built.code != 0 and "Dockerfile:2" in built.errors and "/no/such/program" in built.errors
    assert build(context(None), check=False).code != 0


def test_odd_files_in_the_context(build, context):
    directory = context("FROM box:1\nCOPY . /app\nRUN cd /app && stat -c '%n %F' pipe out && ls\n", {"file": "x"})
    os.mkfifo(directory / "pipe")
    (directory / "out").symlink_to("/etc/passwd")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "sock"))
    built = build(directory, "--no-cache")
    listener.close()
    assert "pipe fifo" in built.output and "out symbolic link" in built.output and "sock" not in built.output.split("fifo")[1]
    through = build(context("FROM box:1\nCOPY out /stolen\n"), check=False)
    assert through.code != 0
    (directory / "Dockerfile").write_text("FROM box:1\nCOPY out /stolen\n")
    through = build(directory, check=False)
    assert through.code != 0 and "file not found in build context" in through.errors, through.both


def hostile(add):
    import io
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        text = b"FROM box:1\nCOPY . /app\n"
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
        add(tar)
    return data.getvalue()


def member(name, **fields):
    entry = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(entry, key, value)
    return lambda tar: tar.addfile(entry)


@pytest.mark.parametrize("add, message", [
    (member("../escape"), '\\"..\\" is not allowed in a build context'),
    (member("disk", type=tarfile.BLKTYPE, devmajor=8), "a device node cannot be in a build context"),
    (member("hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is not in the context before it"),
])
def test_hostile_tars(engine, add, message):
    answer = engine.api("POST", "/build", hostile(add), {"Content-Type": "application/x-tar"})
    assert answer.status == 400 and message in answer.text, answer.text


def test_links_of_a_tar_stay_inside(engine):
    answer = engine.api("POST", "/build", hostile(member("Dockerfile2", type=tarfile.SYMTYPE, linkname="/etc/passwd")), {"Content-Type": "application/x-tar"})
    assert answer.status == 200
    answer = engine.api("POST", "/build?dockerfile=Dockerfile2", hostile(member("Dockerfile2", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
                        {"Content-Type": "application/x-tar"})
    assert answer.status in (400, 404) and "Cannot locate specified Dockerfile" in answer.text, answer.text
    cut = hostile(member("x"))[:520]
    answer = engine.api("POST", "/build", cut, {"Content-Type": "application/x-tar"})
    assert answer.status == 400, answer.text


def test_what_is_refused(engine, context):
    answer = engine.api("POST", "/build?version=2&remote=client-session")
    assert answer.status == 400 and "DOCKER_BUILDKIT=0" in answer.text
    directory = context("FROM box:1\n")
    result = engine.estiba("build", "--squash", str(directory), check=False)
    assert result.returncode != 0 and "--squash is not offered" in result.stderr
    result = engine.estiba("build", "-t", "Not:A:Name", str(directory), check=False)
    assert result.returncode != 0 and "invalid" in result.stderr
    result = engine.estiba("build", str(directory / "none"), check=False)
    assert result.returncode != 0 and "not found" in result.stderr


def test_warnings_name_their_lines(build, context):
    built = build(context("FROM box\nENV DB_PASSWORD=x\nRUN true\n".replace("FROM box", "FROM box:1"), {"a": ""}))
    assert "[Warning] Dockerfile:2: SecretsUsedInArgOrEnv" in built.output
    assert "[Warning] Dockerfile:1: RunsAsRoot" in built.output


def test_a_client_that_goes_away_ends_its_build(engine, context):
    directory = context("FROM box:1\nRUN echo started; sleep 4711\n")
    process = subprocess.Popen(engine.command(BIN / "estiba", "build", str(directory)), env=engine.environment(), stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "started" in line:
            break

    def sleepers():
        return [line for line in engine.sandbox.processes() if "sleep 4711" in line and "echo" not in line]
    wait_for("the command", sleepers, 30)
    # nsenter forks: the client is its child.
    children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)
    process.wait()
    wait_for("the end of the command", lambda: not sleepers(), 30)
    wait_for("the end of its directory", lambda: not list((engine.data_dir / "build/tmp").iterdir()), 30)


def test_a_killed_engine_leaves_nothing_of_a_build(own_engine, context):
    own_engine.start()
    directory = context("FROM box:1\nRUN echo started; sleep 4712\n")
    process = subprocess.Popen(own_engine.command(BIN / "estiba", "build", str(directory)), env=own_engine.environment(), stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "started" in line:
            break
    own_engine.kill9()
    process.wait()
    own_engine.start()
    assert not list((own_engine.data_dir / "build/tmp").iterdir())
    wait_for("the end of the command", lambda: not [line for line in own_engine.sandbox.processes() if "sleep 4712" in line], 30)
    assert own_engine.estiba("build", "-q", "-", input="FROM box:1\nRUN true\n").returncode == 0
