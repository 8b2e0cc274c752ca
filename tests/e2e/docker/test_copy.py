"""Files in and out of containers: archive, cp, diff, export, commit."""
import base64
import io
import json
import os
import tarfile
import urllib.parse

from streaming import created, ended, removed, started


def archive(engine, name, path):
    """(status, PathStat or None, {member: TarInfo or bytes})"""
    answer = engine.api("GET", f"/containers/{name}/archive?path={urllib.parse.quote(path)}")
    if answer.status != 200:
        return answer.status, answer.body["message"], {}
    stat = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    members = {}
    with tarfile.open(fileobj=io.BytesIO(answer.data)) as tar:
        for member in tar:
            members[member.name] = tar.extractfile(member).read() if member.isreg() else member
    return 200, stat, members


def put(engine, name, path, data, query=""):
    return engine.api("PUT", f"/containers/{name}/archive?path={urllib.parse.quote(path)}{query}", data, {"Content-Type": "application/x-tar"})


def tar_of(*members, mode="w"):
    """`members`: (name, content) or a TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            info.uid, info.gid, info.mode = 1001, 1002, 0o640
            tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


SCRIPT = "mkdir -p /d/sub; echo text > /d/file; ln -s file /d/link; ln /d/file /d/twin; ln -s /etc /d/abs; ln -s ../../../../../../etc/shadow /d/out; "


def test_out_of_running_and_stopped_ones(engine):
    running = started(engine, SCRIPT + "touch /ready; sleep 1000")
    engine.docker("exec", running, "sh", "-c", "until [ -e /ready ]; do sleep 0.02; done")
    stopped = started(engine, SCRIPT)
    ended(engine, stopped)
    for name in (running, stopped):
        status, stat, members = archive(engine, name, "/d")
        assert status == 200 and stat["name"] == "d" and stat["mode"] >> 31 == 1
        assert set(members) == {"d", "d/sub", "d/file", "d/link", "d/twin", "d/abs", "d/out"}
        assert members["d/file"] == b"text\n" and members["d/link"].linkname == "file" and members["d/twin"].islnk()
        assert set(archive(engine, name, "/d/.")[2]) == {".", "sub", "file", "link", "twin", "abs", "out"}
        status, stat, members = archive(engine, name, "/d/link")
        assert stat["linkTarget"] == "/d/file" and members["link"].issym()
        assert archive(engine, name, "/d/out")[1]["linkTarget"] == "/etc/shadow"
        head = engine.api("HEAD", f"/containers/{name}/archive?path=/d/file")
        assert json.loads(base64.b64decode(head.headers["X-Docker-Container-Path-Stat"]))["size"] == 5
        status, message, _ = archive(engine, name, "/nope")
        assert status == 404 and message == f"Could not find the file /nope in container {name}"
        assert archive(engine, name, "/d/file/x")[0] == 400
    assert engine.api("GET", f"/containers/{running}/archive?path=").status == 400
    removed(engine, running, stopped)


def test_in(engine):
    running = started(engine, "mkdir -p /in; touch /in/ready; sleep 1000", User="7:8")
    engine.docker("exec", running, "sh", "-c", "mkdir -p /in; ls /in", check=False)
    stopped = created(engine, "ls -ln /tmp; cat /tmp/a/b")
    for name in (running, stopped):
        assert put(engine, name, "/tmp", tar_of(("a/b", b"content"), link("a/up", "../../../x"))).status == 200
        _, _, members = archive(engine, name, "/tmp/a")
        assert members["a/b"] == b"content" and members["a/up"].linkname == "../../../x"
        assert put(engine, name, "/tmp", tar_of(("packed", b"z" * 100000), mode="w:gz")).status == 200
        assert archive(engine, name, "/tmp/packed")[2]["packed"] == b"z" * 100000
        answer = put(engine, name, "/tmp", tar_of(("a", b"file")), "&noOverwriteDirNonDir=1")
        assert answer.status == 400 and "cannot overwrite directory" in answer.body["message"]
        assert put(engine, name, "/nope", tar_of()).status == 404
        answer = put(engine, name, "/etc/passwd", tar_of())
        assert answer.status == 400 and answer.body["message"] == "extraction point is not a directory"
        assert put(engine, name, "/tmp", b"this is no tar at all" * 100).status == 400
        assert put(engine, name, "/tmp", tar_of(("cut", b"x" * 5000))[:2048]).status == 400
    removed(engine, running)
    engine.api("POST", f"/containers/{stopped}/start")
    ended(engine, stopped)
    removed(engine, stopped)


def test_owners(engine):
    name = created(engine, "true", User="7:8")
    assert put(engine, name, "/tmp", tar_of(("kept", b""))).status == 200
    assert put(engine, name, "/tmp", tar_of(("given", b"")), "&copyUIDGID=1").status == 200
    answer = engine.api("GET", f"/containers/{name}/archive?path=/tmp/.")
    with tarfile.open(fileobj=io.BytesIO(answer.data)) as tar:
        owners = {member.name: (member.uid, member.gid) for member in tar}
    assert owners["kept"] == (1001, 1002) and owners["given"] == (7, 8)
    removed(engine, name)


def test_hostile_archives_stay_inside(engine):
    name = started(engine, "ln -s / /host; ln -s ../../../../../../../../tmp /climb; touch /ready; sleep 1000")
    engine.docker("exec", name, "sh", "-c", "until [ -e /ready ]; do sleep 0.02; done")
    mark = "estiba-escape-" + engine.unique()
    assert put(engine, name, "/", tar_of((f"../../../tmp/{mark}", b"x"))).status == 400
    assert put(engine, name, "/", tar_of(link("esc", "/tmp"), (f"esc/{mark}", b"x"))).status == 200
    assert put(engine, name, "/climb", tar_of((f"/{mark}-2", b"x"))).status == 200
    assert put(engine, name, "/", tar_of(link("hard", "../../etc/shadow", tarfile.LNKTYPE))).status == 400
    device = tarfile.TarInfo("disk")
    device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 8, 0
    assert put(engine, name, "/tmp", tar_of(device)).status == 400
    assert mark not in " ".join(os.listdir("/tmp"))
    assert mark in engine.docker("exec", name, "ls", "/tmp").stdout
    # A file that something is mounted on is not pulled away from under it.
    assert put(engine, name, "/etc", tar_of(("hosts", b"mine"))).status != 200
    assert "mine" not in engine.docker("exec", name, "cat", "/etc/hosts").stdout
    removed(engine, name)


def test_volumes_and_read_only_roots(engine):
    volume = engine.unique("vol")
    host = {"NetworkMode": "none", "Binds": [f"{volume}:/data", f"{volume}:/ro:ro"], "ReadonlyRootfs": True, "Tmpfs": {"/run": ""}}
    name = started(engine, "echo kept > /data/file; sleep 1000", HostConfig=host)
    for state in ("running", "stopped"):
        assert put(engine, name, "/data", tar_of((state, b"in the volume"))).status == 200, state
        assert archive(engine, name, f"/data/{state}")[2][state] == b"in the volume"
        answer = put(engine, name, "/ro", tar_of(("no", b"")))
        assert answer.status == 403 and answer.body["message"] == "mounted volume is marked read-only", (state, answer.text)
        answer = put(engine, name, "/tmp", tar_of(("no", b"")))
        assert answer.status == 403 and answer.body["message"] == "container rootfs is marked read-only", (state, answer.text)
        engine.api("POST", f"/containers/{name}/stop?t=0")
    removed(engine, name)
    engine.api("DELETE", f"/volumes/{volume}")


def test_changes(engine):
    name = started(engine, "echo x >> /etc/passwd; rm /etc/group; mkdir /new; echo y > /new/file")
    ended(engine, name)
    changes = {change["Path"]: change["Kind"] for change in engine.api("GET", f"/containers/{name}/changes").body}
    assert changes == {"/etc": 0, "/etc/group": 2, "/etc/passwd": 0, "/new": 1, "/new/file": 1}
    assert "A /new/file" in engine.docker("diff", name).stdout.splitlines()
    removed(engine, name)
    untouched = started(engine, "true")
    ended(engine, untouched)
    assert engine.api("GET", f"/containers/{untouched}/changes").body is None
    removed(engine, untouched)


def test_export(engine):
    volume = engine.unique("vol")
    for state in ("running", "stopped"):
        name = started(engine, "echo exported > /file; echo no > /data/secret; touch /ready; sleep 1000",
                       HostConfig={"NetworkMode": "none", "Binds": [f"{volume}:/data"]})
        engine.docker("exec", name, "sh", "-c", "until [ -e /ready ]; do sleep 0.02; done")
        if state == "stopped":
            engine.api("POST", f"/containers/{name}/stop?t=0")
        answer = engine.api("GET", f"/containers/{name}/export")
        assert answer.status == 200
        with tarfile.open(fileobj=io.BytesIO(answer.data)) as tar:
            members = {member.name: member for member in tar}
            assert tar.extractfile("file").read() == b"exported\n"
        assert "bin/busybox" in members and "data" in members and "data/secret" not in members
        assert not any(member.startswith("proc/") for member in members)
        removed(engine, name)
    engine.api("DELETE", f"/volumes/{volume}")


def test_commit(engine):
    name = started(engine, "echo committed > /file; rm /etc/group; sleep 1000", Env=["A=1"], Labels={"from": "container"})
    engine.docker("exec", name, "sh", "-c", "until [ -e /file ]; do sleep 0.02; done")
    tag = engine.unique("made") + ":2"
    repo, version = tag.split(":")
    changes = urllib.parse.quote('CMD ["cat", "/file"]')
    answer = engine.api("POST", f"/commit?container={name}&repo={repo}&tag={version}&author=me&comment=why&changes={changes}", {})
    assert answer.status == 201 and answer.body["Id"].startswith("sha256:"), answer.text
    assert engine.inspect(name)["State"]["Running"] and not engine.inspect(name)["State"]["Paused"]
    assert engine.docker("run", "--rm", "--network", "none", tag).stdout == "committed\n"
    assert engine.docker("run", "--rm", "--network", "none", tag, "sh", "-c", "echo $A; ls /etc/group", check=False).stdout == "1\n"
    assert engine.docker("commit", "-m", "again", name).stdout.startswith("sha256:")
    assert engine.api("POST", f"/commit?container={name}&repo=UPPER").status == 400
    assert engine.api("POST", "/commit?container=nosuch").status == 404
    removed(engine, name)


def test_cp_by_clients(engine, cli, tmp_path):
    name = created(engine, "cat /tmp/sent/a /tmp/sent/deep/b")
    tree = tmp_path / "sent"
    (tree / "deep").mkdir(parents=True)
    (tree / "a").write_text("A\n")
    (tree / "deep/b").write_text("B\n")
    inside = f"/var/tmp/{engine.unique('cp')}"  # seen by client and test alike
    os.makedirs(inside)
    try:
        import shutil
        shutil.copytree(tree, f"{inside}/sent")
        cli("cp", f"{inside}/sent", f"{name}:/tmp/")
        cli("start", "-a", name)
        assert cli("logs", name).stdout == "A\nB\n"
        cli("cp", f"{name}:/tmp/sent/deep", f"{inside}/back")
        assert open(f"{inside}/back/b").read() == "B\n"
        cli("cp", f"{name}:/tmp/sent/a", f"{inside}/single")
        assert open(f"{inside}/single").read() == "A\n"
        cli("cp", f"{inside}/sent/a", f"{name}:/tmp/renamed")
        assert archive(engine, name, "/tmp/renamed")[2]["renamed"] == b"A\n"
        assert cli("cp", f"{name}:/nope", inside, check=False).returncode != 0
    finally:
        shutil.rmtree(inside)
    removed(engine, name)
