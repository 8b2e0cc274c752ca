"""Exec: creation, start with and without a client, exit codes, users, terminals, what goes wrong."""
import docker_engine
import pytest

from streaming import Session, joined, removed, started


@pytest.fixture(scope="module")
def box(shared_engine):
    name = started(shared_engine, "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done")
    yield name
    removed(shared_engine, name)


def make(engine, box, command, **config):
    answer = engine.api("POST", f"/containers/{box}/exec", {"Cmd": command, "AttachStdout": True, "AttachStderr": True, **config})
    assert answer.status == 201, answer.text
    return answer.body["Id"]


def run(engine, box, command, **config):
    """(exit code, stdout, stderr)"""
    exec_id = make(engine, box, command, **config)
    with Session(engine, f"/exec/{exec_id}/start", {"Detach": False}) as session:
        assert session.status == 101
        out, err = joined(session.rest())
    # Asked at once: the exit code is known before the stream ends.
    facts = engine.api("GET", f"/exec/{exec_id}/json").body
    assert facts["Running"] is False
    return facts["ExitCode"], out, err


def test_output_and_exit_code(engine, box):
    assert run(engine, box, ["sh", "-c", "echo out; echo err >&2; exit 9"]) == (9, b"out\n", b"err\n")
    assert run(engine, box, ["sh", "-c", "kill -9 $$"])[0] == 137


def test_environment_user_and_directory(engine, box):
    assert run(engine, box, ["sh", "-c", "echo $A-$PWD"], Env=["A=b"], WorkingDir="/tmp")[1] == b"b-/tmp\n"
    assert run(engine, box, ["id", "-u"], User="1234:5678")[1] == b"1234\n"
    assert run(engine, box, ["id", "-g"], User="1234:5678")[1] == b"5678\n"


def test_inspection(engine, box):
    exec_id = make(engine, box, ["sleep", "1000"], User="0", AttachStdin=True)
    facts = engine.api("GET", f"/exec/{exec_id}/json").body
    assert facts["Running"] is False and facts["ExitCode"] is None
    assert facts["ProcessConfig"] == {"tty": False, "entrypoint": "sleep", "arguments": ["1000"], "privileged": False, "user": "0"}
    assert facts["OpenStdin"] and facts["ContainerID"] == engine.inspect(box)["Id"]
    assert exec_id in engine.inspect(box)["ExecIDs"]
    assert engine.api("POST", f"/exec/{exec_id}/start", {"Detach": True}).status == 200
    facts = engine.api("GET", f"/exec/{exec_id}/json").body
    assert facts["Running"] is True and facts["Pid"] > 0
    again = engine.api("POST", f"/exec/{exec_id}/start", {"Detach": True})
    assert again.status == 409
    assert engine.api("POST", f"/containers/{box}/exec", {"Cmd": ["kill", "-9", "-1"]}).status == 201


def test_detached(engine, box):
    exec_id = make(engine, box, ["sh", "-c", "echo nobody hears; exit 5"])
    answer = engine.api("POST", f"/exec/{exec_id}/start", {"Detach": True})
    assert answer.status == 200 and answer.data == b""
    docker_engine.wait_for("the exit code", lambda: engine.api("GET", f"/exec/{exec_id}/json").body["ExitCode"] == 5, 30)


def test_goes_on_when_its_client_goes(engine, box):
    mark = "/tmp/" + engine.unique("mark")
    exec_id = make(engine, box, ["sh", "-c", f"read x; i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; touch {mark}"], AttachStdin=True)
    with Session(engine, f"/exec/{exec_id}/start", {}) as session:
        session.send(b"go\n")
    docker_engine.wait_for("its end", lambda: engine.api("GET", f"/exec/{exec_id}/json").body["ExitCode"] == 0, 30)
    assert run(engine, box, ["ls", mark])[0] == 0


def test_terminal(engine, box):
    exec_id = make(engine, box, ["sh", "-c", "read x; stty size 2>/dev/null || echo $x"], Tty=True, AttachStdin=True, ConsoleSize=[40, 120])
    assert engine.api("POST", f"/exec/{exec_id}/resize?h=41&w=121").status == 200
    with Session(engine, f"/exec/{exec_id}/start", {"Tty": True, "ConsoleSize": [42, 122]}) as session:
        assert session.headers["content-type"] == "application/vnd.docker.raw-stream"
        assert engine.api("POST", f"/exec/{exec_id}/resize?h=43&w=123").status == 200
        session.send(b"typed\r")
        assert b"typed" in session.rest()
    assert engine.api("POST", f"/exec/{exec_id}/resize?h=x&w=1").status == 400


def test_what_does_not_exist(engine, box):
    code, out, _ = run(engine, box, ["nosuch"])
    assert code == 127
    assert b'exec: "nosuch": executable file not found in $PATH' in out
    code, out, _ = run(engine, box, ["/etc"])
    assert code == 126
    code, out, _ = run(engine, box, ["true"], User="nosuch")
    assert code == 126 and b"nosuch" in out


def test_refusals(engine, box):
    def message(answer, status):
        assert answer.status == status, answer.text
        return answer.body["message"]
    assert message(engine.api("POST", "/containers/nosuch/exec", {"Cmd": ["true"]}), 404) == "No such container: nosuch"
    assert "No exec command specified" in message(engine.api("POST", f"/containers/{box}/exec", {"Cmd": []}), 400)
    assert message(engine.api("POST", "/exec/nosuch/start", {}), 404) == "No such exec instance: nosuch"
    stopped = started(engine, "true")
    engine.api("POST", f"/containers/{stopped}/wait")
    assert "is not running" in message(engine.api("POST", f"/containers/{stopped}/exec", {"Cmd": ["true"]}), 409)
    removed(engine, stopped)
    paused = started(engine, "sleep 1000")
    assert engine.api("POST", f"/containers/{paused}/pause").status == 204
    assert "is paused" in message(engine.api("POST", f"/containers/{paused}/exec", {"Cmd": ["true"]}), 409)
    engine.api("POST", f"/containers/{paused}/unpause")
    removed(engine, paused)


def test_by_clients(engine, cli, box):
    assert cli("exec", box, "echo", "hi").stdout == "hi\n"
    result = cli("exec", box, "sh", "-c", "echo no >&2; exit 12", check=False)
    assert (result.returncode, result.stderr) == (12, "no\n")
    assert cli("exec", "-i", box, "cat", input="through\n").stdout == "through\n"
    assert cli("exec", "-w", "/tmp", "-e", "X=1", "-u", "7", box, "sh", "-c", "pwd; echo $X; id -u").stdout == "/tmp\n1\n7\n"
    assert cli("exec", box, "nosuch", check=False).returncode == 127
    assert cli("exec", "-d", box, "true").stdout == ""


def test_killed_with_its_container(engine):
    name = started(engine, "sleep 1000")
    exec_id = make(engine, name, ["sleep", "1000"])
    with Session(engine, f"/exec/{exec_id}/start", {}) as session:
        assert engine.api("POST", f"/containers/{name}/kill").status == 204
        session.rest()
    removed(engine, name)
