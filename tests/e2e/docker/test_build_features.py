"""The builder's smaller promises: flags of COPY and RUN, stages side by side, contexts from elsewhere, limits, proxies, remarks."""
import contextlib
import hashlib
import io
import json
import subprocess
import tarfile

import pytest

from docker_engine import wait_for


@pytest.fixture
def build(engine, cli, tmp_path):
    """`build(Dockerfile, files, *flags)` with each of the two clients; the output of a build without cache."""
    def go(dockerfile, files=None, *flags, check=True, client=None):
        (tmp_path / "Dockerfile").write_text(dockerfile)
        for path, content in (files or {}).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        result = (client or cli)("build", "--no-cache", *flags, str(tmp_path), check=check)
        return result.stdout + result.stderr
    return go


def test_flags_of_copy(build):
    output = build("""FROM box:1
COPY --link --chmod=0640 --chown=12:34 a /linked/
COPY --exclude=*.tmp --exclude=sub/skip src /src
COPY --parents src/./sub/keep src/top.tmp /parents/
RUN stat -c '%n %a %u:%g' /linked/a && find /src /parents -type f | sort | sed 's/^/found /'
""", {"a": "", "src/top.tmp": "", "src/x": "", "src/sub/keep": "", "src/sub/skip": ""})
    assert "/linked/a 640 12:34" in output
    assert [line for line in output.splitlines() if line.startswith("found ")] == [
        "found /parents/src/top.tmp", "found /parents/sub/keep", "found /src/sub/keep", "found /src/x"], output


def test_stages_run_side_by_side(build):
    """Each waits for what the other does meanwhile."""
    meet = "RUN --mount=type=cache,target=/c,id=meet touch /c/{0}; for i in $(seq 300); do [ -e /c/{1} ] && break; sleep 0.1; done; [ -e /c/{1} ] && echo met > /{0}"
    output = build(f"""FROM box:1 AS one
{meet.format("one", "two")}
FROM box:1 AS two
{meet.format("two", "one")}
FROM box:1
COPY --from=one /one /
COPY --from=two /two /
RUN --mount=type=cache,target=/c,id=meet rm -f /c/one /c/two && cat /one /two
""")
    assert output.count("\nmet\n") == 1 and "met\nmet\n" in output, output


def test_a_locked_mount_is_for_one_at_a_time(build):
    hold = "RUN --mount=type=cache,target=/c,id=held,sharing={0} {1} mkdir /c/held && sleep 0.3 && rmdir /c/held && touch /{2}"
    for sharing in ("locked", "private"):
        output = build(f"FROM box:1 AS one\n{hold.format(sharing, '', 'one')}\nFROM box:1 AS two\n{hold.format(sharing, '', 'two')}\n"
                       "FROM box:1\nCOPY --from=one /one /\nCOPY --from=two /two /\n")
        assert "Successfully built" in output, output


def test_predefined_arguments_and_proxies(build, engine):
    output = build("FROM box:1\nARG TARGETARCH\nARG TARGETPLATFORM\nRUN echo on $TARGETARCH $TARGETPLATFORM by $HTTP_PROXY\n", None, "-t", "proxied:1",
                   "--build-arg", "HTTP_PROXY=http://user:secret@proxy", "--build-arg", "unused=1")
    assert "on amd64 linux/amd64 by http://user:secret@proxy" in output or "on arm64 linux/arm64 by http://user:secret@proxy" in output
    assert "[Warning] One or more build-args [unused] were not consumed" in output
    assert "secret" not in engine.estiba("history", "--no-trunc", "proxied:1").stdout + engine.estiba("image", "inspect", "proxied:1").stdout


def test_limits_of_commands(build):
    output = build("FROM box:1\nRUN ulimit -n; df -k /dev/shm | tail -1 | awk '{print \"shm\", $2}'\n", None, "--ulimit", "nofile=321:654", "--shm-size", "3m")
    assert "\n321\n" in output and "\nshm 3072\n" in output, output


def test_arguments_that_change_nothing_or_cannot(build):
    assert "Successfully built" in build("FROM box:1\n", None, "--cache-from", "box:1", "--rm", "--force-rm")
    output = build("FROM no.such.host.invalid/image:1\n", None, "--pull", check=False)
    assert "no.such.host.invalid" in output and "Dockerfile:1" in output, output


def tar_of(mode, files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_on_stdin(engine, cli, mode, tmp_path):
    data = tar_of(mode, {"sub/Docker.file": b"FROM box:1\nCOPY file /\nRUN cat /file\n", "file": b"from standard input\n"})
    path = tmp_path / "context"
    path.write_bytes(data)
    with open(path) as stdin:
        assert "\nfrom standard input\n" in cli("build", "--no-cache", "-f", "sub/Docker.file", "-", stdin=stdin).stdout


@pytest.mark.parametrize("mode, name", [("w:bz2", "bzip2"), ("w:xz", "xz")])
def test_other_compression_is_named(engine, mode, name):
    answer = engine.api("POST", "/build", tar_of(mode, {"Dockerfile": b"FROM box:1\n"}), {"Content-Type": "application/x-tar"})
    assert answer.status >= 400 and f"compressed by {name}, which is not offered: use gzip, zstd or none" in answer.text


@contextlib.contextmanager
def served(engine, directory):
    """The directory by HTTP, where the engine reaches it."""
    server = subprocess.Popen(engine.command("/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", "-d", str(directory), "8099"), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for("the web server", lambda: engine.fetch("http://127.0.0.1:8099/") is not None, 20)
        yield "http://127.0.0.1:8099"
    finally:
        for pid in open(f"/proc/{server.pid}/task/{server.pid}/children").read().split():
            subprocess.run(["kill", pid], check=False)
        server.wait()


def test_contexts_and_files_from_the_web(engine, cli, tmp_path):
    (tmp_path / "context.tar.gz").write_bytes(tar_of("w:gz", {"Dockerfile": b"FROM box:1\nCOPY file /\nRUN cat /file\n", "file": b"fetched as a tar\n"}))
    (tmp_path / "Alone").write_text("FROM box:1\nRUN echo fetched alone\n")
    (tmp_path / "data").write_text("added\n")
    digest = hashlib.sha256(b"added\n").hexdigest()
    with served(engine, tmp_path) as url:
        assert "\nfetched as a tar\n" in cli("build", "--no-cache", f"{url}/context.tar.gz").stdout
        assert "\nfetched alone\n" in cli("build", "--no-cache", f"{url}/Alone").stdout
        add = f"FROM box:1\nADD --checksum=sha256:{{}} {url}/data /d/\nRUN cat /d/data && stat -c %a /d/data\n"
        assert "\nadded\n600\n" in cli("build", "--no-cache", "-", input=add.format(digest)).stdout
        wrong = cli("build", "--no-cache", "-", input=add.format("0" * 64), check=False)
        assert wrong.returncode != 0 and f"Dockerfile:2: digest mismatch sha256:{digest}: sha256:{'0' * 64}" in wrong.stderr, wrong.stderr
        missing = cli("build", f"{url}/nothing", check=False)
        assert missing.returncode != 0 and "nothing" in missing.stderr
    refused = cli("build", "git://example.invalid/x.git", check=False)
    assert refused.returncode != 0


def test_another_escape(build):
    output = build("# escape=`\nFROM box:1\nRUN echo one `\n  two\nENV P=c:\\dir\nRUN echo \"$P\"\n")
    assert "one two" in output and "c:\\dir" in output, output


@pytest.mark.parametrize("dockerfile, remark", [
    ("FROM box:1 AS Upper\nUSER 1\n", "1: StageNameCasing"),
    ("FROM box:1 as lower\nUSER 1\n", "1: FromAsCasing"),
    ("FROM box:1 AS a\nFROM box:1 AS a\nUSER 1\n", "2: DuplicateStageName"),
    ("FROM box:1\nMAINTAINER me\n", "2: MaintainerDeprecated"),
    ("FROM box:1\nENV a b\n", "2: LegacyKeyValueFormat"),
    ("FROM box:1\nRUN true && apt-get upgrade || true\n", "2: UpgradeInBuild"),
    ("FROM box:1\nADD Dockerfile /\n", "2: AddInsteadOfCopy"),
    ("FROM box:1\nCMD ['a', 'b']\n", "2: JSONArgsInvalid"),
    ("FROM box:1\nCMD sleep 1\n", "2: JSONArgsRecommended"),
    ("FROM box:1\nWORKDIR here\n", "2: WorkdirRelativePath"),
])
def test_remarks(build, engine, dockerfile, remark):
    assert f"[Warning] Dockerfile:{remark}" in build(dockerfile, client=engine.estiba)
    rule = remark.split(": ")[1]
    assert f"{rule}: " not in build(f"# check=skip={rule}\n" + dockerfile, client=engine.estiba)


def test_dropped_proxy_values_do_not_miss_the_cache(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM box:1\nRUN echo a step\n")
    engine.estiba("build", "--build-arg", "HTTP_PROXY=http://one", str(tmp_path))
    assert json.dumps(engine.estiba("build", "--build-arg", "HTTP_PROXY=http://two", str(tmp_path)).stdout).count("Using cache") == 1
