"""Containers by the API and by Docker's own client: what can be asked of them, and what is refused with which words."""
import json
import os
import re
import time
import urllib.parse

import pytest

from docker_engine import wait_for

BOX = "box:1"


def create(engine, *command, name=None, **body):
    host = body.pop("HostConfig", {})
    name = name or engine.unique("c")
    answer = engine.api("POST", f"/containers/create?name={name}", {"Image": BOX, "Cmd": list(command) or ["sleep", "1000"], "HostConfig": host, **body})
    assert answer.status == 201, answer.text
    return name


def start(engine, *command, **body):
    name = create(engine, *command, **body)
    answer = engine.api("POST", f"/containers/{name}/start")
    assert answer.status == 204, answer.text
    return name


def finished(engine, name):
    answer = engine.api("POST", f"/containers/{name}/wait")
    assert answer.status == 200, answer.text
    return answer.body["StatusCode"]


def remove(engine, *names):
    for name in names:
        assert engine.api("DELETE", f"/containers/{name}?force=1&v=1").status == 204


def output(engine, *command, **body):
    """Runs a command that writes into a bind; what it wrote."""
    folder = engine.dir / engine.unique("out")
    folder.mkdir()
    folder.chmod(0o777)
    host = body.pop("HostConfig", {})
    host.setdefault("Binds", []).append(f"{folder}:/out")
    host.setdefault("NetworkMode", "none")
    name = start(engine, "sh", "-c", f"({command[0]}) >/out/text 2>&1", HostConfig=host, **body)
    finished(engine, name)
    remove(engine, name)
    return (folder / "text").read_text()


def test_a_life(engine):
    name = create(engine, "sleep", "1000")
    assert engine.inspect(name)["State"]["Status"] == "created"
    assert engine.api("POST", f"/containers/{name}/start").status == 204
    assert engine.api("POST", f"/containers/{name}/start").status == 304
    state = engine.inspect(name)["State"]
    assert state["Running"] and state["Pid"] > 0 and state["StartedAt"] > "2020"
    assert engine.api("POST", f"/containers/{name}/pause").status == 204
    assert engine.inspect(name)["State"]["Paused"]
    assert engine.api("POST", f"/containers/{name}/pause").status == 409
    assert engine.api("POST", f"/containers/{name}/unpause").status == 204
    assert engine.api("POST", f"/containers/{name}/unpause").status == 409
    assert engine.api("POST", f"/containers/{name}/stop?t=0").status == 204
    assert engine.api("POST", f"/containers/{name}/stop?t=0").status == 304
    assert engine.inspect(name)["State"]["ExitCode"] == 137
    assert engine.api("POST", f"/containers/{name}/restart?t=0").status == 204
    assert engine.inspect(name)["State"]["Running"]
    answer = engine.api("DELETE", f"/containers/{name}")
    assert answer.status == 409 and answer.body["message"] == f'cannot remove container "{name}": container is running: stop the container before removing or force remove'
    remove(engine, name)
    answer = engine.api("GET", f"/containers/{name}/json")
    assert answer.status == 404 and answer.body["message"] == f"No such container: {name}"


def test_names_and_ids(engine):
    name = create(engine)
    full = engine.inspect(name)["Id"]
    assert engine.inspect(full[:12])["Name"] == "/" + name
    answer = engine.api("POST", f"/containers/create?name={name}", {"Image": BOX})
    assert answer.status == 409
    assert answer.body["message"] == (f'Conflict. The container name "/{name}" is already in use by container "{full}". '
                                      "You have to remove (or rename) that container to be able to reuse that name.")
    other = engine.unique("renamed")
    assert engine.api("POST", f"/containers/{name}/rename?name={other}").status == 204
    assert engine.inspect(other)["Id"] == full
    assert engine.api("GET", f"/containers/{name}/json").status == 404
    remove(engine, other)
    answer = engine.api("POST", "/containers/create?name=a/b", {"Image": BOX})
    assert answer.status == 400 and "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in answer.body["message"]
    made_up = engine.api("POST", "/containers/create", {"Image": BOX}).body["Id"]
    assert re.fullmatch(r"/[a-z]+_[a-z]+\d*", engine.inspect(made_up)["Name"])
    remove(engine, made_up)


@pytest.mark.parametrize("body, status, message", [
    ({"Image": "nothing:1"}, 404, "No such image: nothing:1"),
    ({"Image": ""}, 400, "no image specified"),
    ({"Image": "UPPER"}, 400, "invalid reference format"),
    ({"Image": BOX, "Env": "A=b"}, 400, "Config.Env: an array is expected"),
    ({"Image": BOX, "HostConfig": {"Memory": 1}}, 400, "Minimum memory limit allowed is 6MB"),
    ({"Image": BOX, "HostConfig": {"Binds": ["/a:b:c:d"]}}, 400, "invalid volume specification: '/a:b:c:d'"),
    ({"Image": BOX, "HostConfig": {"RestartPolicy": {"Name": "x"}}}, 400, "invalid restart policy: unknown policy 'x'"),
    ({"Image": BOX, "HostConfig": {"LogConfig": {"Type": "journald"}}}, 400, "logger: no log driver named 'journald' is registered"),
    ({"Image": BOX, "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}}, 400, 'invalid port range: "99999"'),
    # Not 404: Docker's client would take the image for missing and pull it (test_container_input.py shows it).
    ({"Image": BOX, "HostConfig": {"NetworkMode": "container:no-such-one"}}, 400, "No such container: no-such-one"),
    ({"Image": BOX, "StopSignal": "SIGNOTHING"}, 400, "invalid signal: SIGNOTHING"),
])
def test_refused_creations(engine, body, status, message):
    name = engine.unique("refused")
    answer = engine.api("POST", f"/containers/create?name={name}", body)
    assert answer.status == status, answer.text
    assert answer.body["message"].startswith(message), answer.body["message"]
    # The name is free again.
    assert engine.api("POST", f"/containers/create?name={name}", {"Image": BOX}).status == 201
    remove(engine, name)


@pytest.mark.parametrize("command, code, words", [
    (["no-such-program"], 127, 'exec: "no-such-program": executable file not found in $PATH'),
    (["/no/such"], 127, "no such file or directory"),
    (["/etc"], 126, "permission denied"),
])
def test_commands_that_cannot_start(engine, command, code, words):
    name = create(engine, *command)
    answer = engine.api("POST", f"/containers/{name}/start")
    assert answer.status == 400 and words in answer.body["message"]
    state = engine.inspect(name)["State"]
    assert state["ExitCode"] == code and words in state["Error"] and state["Status"] == "created"
    remove(engine, name)


def test_waits(engine):
    name = create(engine, "sh", "-c", "exit 3")
    connection, answer = engine.stream("POST", f"/containers/{name}/wait?condition=next-exit")
    assert answer.status == 200  # before it has been started
    engine.api("POST", f"/containers/{name}/start")
    assert json.loads(answer.read())["StatusCode"] == 3
    connection.close()
    assert finished(engine, name) == 3
    connection, answer = engine.stream("POST", f"/containers/{name}/wait?condition=removed")
    remove(engine, name)
    assert json.loads(answer.read())["StatusCode"] == 3
    connection.close()
    assert engine.api("POST", f"/containers/{name}/wait").status == 404


def test_auto_remove(engine):
    name = create(engine, "true", HostConfig={"AutoRemove": True}, Volumes={"/data": {}})
    volume = engine.inspect(name)["Mounts"][0]["Name"]
    connection, answer = engine.stream("POST", f"/containers/{name}/wait?condition=removed")
    engine.api("POST", f"/containers/{name}/start")
    assert json.loads(answer.read())["StatusCode"] == 0
    connection.close()
    assert engine.api("GET", f"/containers/{name}/json").status == 404
    assert not (engine.data_dir / "volumes" / volume).exists()


def test_kill_and_signals(engine):
    name = start(engine, "sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.05; done")
    assert engine.api("POST", f"/containers/{name}/kill?signal=NOPE").status == 400
    # The trap may not be set yet: the shell ignores USR1 as pid 1 until it is.
    wait_for("the signal to end it", lambda: engine.api("POST", f"/containers/{name}/kill?signal=SIGUSR1").status == 409 or not engine.inspect(name)["State"]["Running"])
    assert finished(engine, name) == 7
    answer = engine.api("POST", f"/containers/{name}/kill")
    assert answer.status == 409 and "is not running" in answer.body["message"]
    remove(engine, name)


def test_lists(engine):
    label = engine.unique("label")
    labels = {"test": label}
    up = start(engine, Labels=labels)
    down = create(engine, Labels={**labels, "kind": "down"})

    def names(all=1, **filters):
        filters.setdefault("label", [f"test={label}"])
        answer = engine.api("GET", f"/containers/json?all={all}&filters=" + urllib.parse.quote(json.dumps(filters)))
        assert answer.status == 200, answer.text
        return [item["Names"][0][1:] for item in answer.body]

    assert names() == [down, up]
    assert names(all=0) == [up]
    assert names(status=["created"]) == [down]
    assert names(name=[f"^/{up}$"]) == [up]
    assert names(label=[f"test={label}", "kind"]) == [down]
    assert names(before=[down]) == [up] and names(since=[up]) == [down]
    assert names(ancestor=[BOX]) == [down, up] and names(ancestor=["other:1"]) == []
    assert names(network=["bridge"]) == [down, up]
    assert names(health=["none"]) == [down, up]
    answer = engine.api("GET", "/containers/json?filters=" + urllib.parse.quote('{"nonsense":["1"]}'))
    assert answer.status == 400 and answer.body["message"] == "invalid filter 'nonsense'"
    item = next(item for item in engine.api("GET", "/containers/json?all=1&size=1").body if item["Names"] == ["/" + up])
    assert item["State"] == "running" and item["Status"].startswith("Up ") and item["SizeRootFs"] > 0
    # A change is seen at once, whatever is cached.
    engine.api("POST", f"/containers/{up}/pause")
    assert names(status=["paused"]) == [up]
    remove(engine, up, down)
    assert names() == []


def test_the_image_column_shows_the_id_once_the_tag_has_moved(engine):
    tag = engine.unique("moving") + ":1"
    archive = engine.dir / "moving.tar"
    import tarfile
    import io
    for text in (b"one", b"two"):
        with tarfile.open(archive, "w") as tar:
            info = tarfile.TarInfo("text")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        engine.import_image(archive, tag)
        if text == b"one":
            answer = engine.api("POST", "/containers/create", {"Image": tag})
            assert answer.status == 201, answer.text
            ident = answer.body["Id"]
            shown = lambda: next(item for item in engine.api("GET", "/containers/json?all=1").body if item["Id"] == ident)  # noqa: E731
            assert shown()["Image"] == tag
    assert shown()["Image"] == shown()["ImageID"] != tag
    remove(engine, ident)


def test_what_is_configured_is_so_inside(engine):
    assert output(engine, "id -u; id -g; id -G", User="1000:1001").split()[:2] == ["1000", "1001"]
    assert output(engine, "pwd", WorkingDir="/some/where").strip() == "/some/where"
    assert output(engine, "hostname; cat /etc/hostname", Hostname="given").split() == ["given", "given"]
    assert output(engine, "env", Env=["A=b c"]).splitlines().count("A=b c") == 1
    text = output(engine, "touch /x; echo $?; touch /tmp/y; echo $?; grep ' /tmp ' /proc/mounts",
                  HostConfig={"ReadonlyRootfs": True, "Tmpfs": {"/tmp": "size=1m,mode=1777"}})
    assert "Read-only file system" in text and "size=1024k" in text
    text = output(engine, "grep -E 'Cap(Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status",
                  HostConfig={"CapDrop": ["ALL"], "CapAdd": ["CHOWN"], "SecurityOpt": ["no-new-privileges"]})
    assert "CapEff:\t0000000000000001" in text and "NoNewPrivs:\t1" in text and "Seccomp:\t2" in text
    assert "Seccomp:\t0" in output(engine, "grep Seccomp: /proc/self/status", HostConfig={"SecurityOpt": ["seccomp=unconfined"]})
    assert output(engine, "ulimit -n", HostConfig={"Ulimits": [{"Name": "nofile", "Soft": 123, "Hard": 456}]}).strip() == "123"
    assert "size=2048k" in output(engine, "grep /dev/shm /proc/mounts", HostConfig={"ShmSize": 2 << 20})
    assert "10.1.2.3\tdb" in output(engine, "cat /etc/hosts", HostConfig={"ExtraHosts": ["db:10.1.2.3"]})
    assert output(engine, "cat /proc/sys/kernel/msgmax", HostConfig={"Sysctls": {"kernel.msgmax": "4096"}}).strip() == "4096"
    assert output(engine, "cat /proc/self/oom_score_adj", HostConfig={"OomScoreAdj": 300}).strip() == "300"
    assert "sleep" not in output(engine, "ls /proc | grep -c '^[0-9]'", HostConfig={"Init": True})


def test_limits(engine):
    host = {"Memory": 32 << 20, "PidsLimit": 20, "NanoCpus": 500_000_000}
    name = start(engine, HostConfig=host)
    shown = engine.inspect(name)
    assert shown["HostConfig"]["Memory"] == 32 << 20 and shown["HostConfig"]["MemorySwap"] == 64 << 20
    answer = engine.api("POST", f"/containers/{name}/update", {"Memory": 64 << 20, "MemorySwap": 128 << 20, "RestartPolicy": {"Name": "always"}})
    assert answer.status == 200, answer.text
    shown = engine.inspect(name)["HostConfig"]
    assert shown["Memory"] == 64 << 20 and shown["RestartPolicy"]["Name"] == "always" and shown["NanoCpus"] == 500_000_000
    assert engine.api("POST", f"/containers/{name}/update", {"Memory": 1}).status == 400
    remove(engine, name)


def test_shared_namespaces(engine):
    first = start(engine, "sh", "-c", "hostname >/tmp/h; sleep 1000", Hostname="first", HostConfig={"IpcMode": "shareable"})
    mode = f"container:{first}"
    text = output(engine, "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; ls /proc | grep -c '^[0-9]'; hostname", HostConfig={"NetworkMode": mode, "IpcMode": mode, "PidMode": mode})
    pid = engine.inspect(first)["State"]["Pid"]
    own = [engine.sandbox.inside(["readlink", f"/proc/{pid}/ns/{kind}"]).stdout.strip() for kind in ("net", "ipc")]
    lines = text.split()
    assert lines[:2] == own and int(lines[2]) > 1 and lines[3] == "first"
    remove(engine, first)


def test_volumes(engine):
    volume = engine.unique("vol")
    first = create(engine, "sh", "-c", "echo kept >/data/file", HostConfig={"Binds": [f"{volume}:/data"]}, Volumes={"/anonymous": {}})
    engine.api("POST", f"/containers/{first}/start")
    assert finished(engine, first) == 0
    mounts = {mount["Destination"]: mount for mount in engine.inspect(first)["Mounts"]}
    assert mounts["/data"]["Name"] == volume and mounts["/data"]["RW"] and mounts["/anonymous"]["Type"] == "volume"
    assert output(engine, "cat /data/file", HostConfig={"Mounts": [{"Type": "volume", "Source": volume, "Target": "/data", "ReadOnly": True}]}) == "kept\n"
    assert output(engine, "cat /data/file; touch /data/x", HostConfig={"VolumesFrom": [first + ":ro"]}).startswith("kept\n")
    # What the image has where an empty volume is mounted is copied into it.
    assert "busybox" in output(engine, "ls -l /bin", HostConfig={"Binds": [f"{engine.unique('copy')}:/bin"]})
    remove(engine, first)


def test_prune(engine):
    label = engine.unique("prune")
    names = [create(engine, "true", Labels={"p": label}) for _ in range(2)]
    up = start(engine, Labels={"p": label})
    ids = {engine.inspect(name)["Id"] for name in names}
    answer = engine.api("POST", "/containers/prune?filters=" + urllib.parse.quote(json.dumps({"label": [f"p={label}"]})))
    assert answer.status == 200 and set(answer.body["ContainersDeleted"]) == ids
    assert engine.inspect(up)["State"]["Running"]
    remove(engine, up)


def test_events(engine):
    begin = time.time()
    name = start(engine, "true", Labels={"a": "b"})
    finished(engine, name)
    remove(engine, name)
    filters = urllib.parse.quote(json.dumps({"type": ["container"], "container": [name]}))
    answer = engine.api("GET", f"/events?since={begin - 1:.6f}&until={time.time() + 0.1:.6f}&filters={filters}")
    assert answer.status == 200, answer.text
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert [event["Action"] for event in events] == ["create", "start", "die", "destroy"]
    assert events[2]["Actor"]["Attributes"]["exitCode"] == "0" and events[0]["Actor"]["Attributes"]["a"] == "b"


def test_docker_sees_it_all(engine):
    """The unmodified client, which is strict about what it reads."""
    name = engine.unique("cli")
    engine.docker("create", "--name", name, "--label", "x=y", "--memory", "64m", "--cpus", "0.5", "--cap-drop", "ALL", "--ulimit", "nofile=100:200",
                  "--tmpfs", "/scratch", "--shm-size", "1m", "--restart", "on-failure:3", "--stop-timeout", "1", "-e", "A=b", BOX, "sleep", "1000")
    engine.docker("start", name)
    assert name in engine.docker("ps", "--format", "{{.Names}} {{.Status}} {{.Image}} {{.Command}}").stdout
    assert engine.docker("inspect", "-f", "{{.State.Status}} {{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}", name).stdout.split() == ["running", str(64 << 20), "on-failure"]
    engine.docker("update", "--memory", "80m", "--memory-swap", "160m", name)
    engine.docker("pause", name)
    engine.docker("unpause", name)
    engine.docker("stop", name)
    assert engine.docker("wait", name).stdout.strip() == "137"
    engine.docker("rm", name)
    result = engine.docker("start", name, check=False)
    assert result.returncode == 1 and f"No such container: {name}" in result.stderr
    assert "Server Version: 28" in engine.docker("info").stdout
    assert "Estiba" in engine.docker("version").stdout


def test_disk_usage(engine):
    name = start(engine, "sh", "-c", "head -c 100000 /dev/zero >/grown; sleep 1000", Volumes={"/data": {}})
    wait_for("the file", lambda: next(item for item in engine.api("GET", "/containers/json?size=1").body if item["Names"] == ["/" + name])["SizeRw"] >= 100000)
    usage = engine.api("GET", "/system/df").body
    assert usage["LayersSize"] > 0 and any(BOX in image["RepoTags"] for image in usage["Images"])
    assert next(item for item in usage["Containers"] if item["Names"] == ["/" + name])["SizeRw"] >= 100000
    volume = engine.inspect(name)["Mounts"][0]["Name"]
    assert next(item for item in usage["Volumes"] if item["Name"] == volume)["UsageData"]["RefCount"] == 1
    assert "Images" not in engine.api("GET", "/system/df?type=volume").body
    assert engine.api("GET", "/system/df?type=nonsense").status == 400
    assert "Local Volumes" in engine.docker("system", "df").stdout
    remove(engine, name)


def test_swarm_and_plugins_answer_as_outside_a_swarm(engine):
    for path in ("/services", "/nodes", "/tasks", "/secrets", "/configs", "/swarm"):
        answer = engine.api("GET", path)
        assert answer.status == 503 and answer.body["message"].startswith("This node is not a swarm manager.")
    assert engine.api("GET", "/plugins").body == []
    assert engine.docker("node", "ls", check=False).returncode == 1


def test_versions(engine):
    answer = engine.api("HEAD", "/_ping")
    assert answer.status == 200 and answer.headers["Api-Version"] == "1.50" and answer.headers["Builder-Version"] == "1"
    assert engine.api("GET", "/v1.24/containers/json").status == 200
    answer = engine.api("GET", "/v1.23/containers/json")
    assert answer.status == 400 and "is too old. Minimum supported API version is 1.24" in answer.body["message"]
    answer = engine.api("GET", "/v1.51/containers/json")
    assert answer.status == 400 and "is too new. Maximum supported API version is 1.50" in answer.body["message"]
    assert engine.api("GET", "/nothing").body == {"message": "page not found"}
