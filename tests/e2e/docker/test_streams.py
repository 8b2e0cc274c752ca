"""Attach: hijacked connections, frames, terminals, half-closed input, detach keys, WebSockets."""
import base64
import os
import socket

import pytest

from streaming import Session, created, ended, frames, joined, removed, started


def test_output_is_framed_and_complete(engine):
    name = created(engine, "echo out; echo err >&2; head -c 300000 /dev/zero; exit 3")
    with Session(engine, f"/v1.43/containers/{name}/attach?stream=1&stdout=1&stderr=1") as session:
        assert session.status == 101
        assert session.headers["upgrade"] == "tcp"
        assert session.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
        assert engine.api("POST", f"/containers/{name}/start").status == 204
        out, err = joined(session.rest())
    assert out == b"out\n" + bytes(300000)
    assert err == b"err\n"
    assert ended(engine, name) == 3
    removed(engine, name)


def test_old_clients_get_200_and_the_old_type(engine):
    name = created(engine, "echo old")
    with Session(engine, f"/v1.24/containers/{name}/attach?stream=1&stdout=1", upgrade=False) as session:
        assert session.status == 200
        assert session.headers["content-type"] == "application/vnd.docker.raw-stream"
        engine.api("POST", f"/containers/{name}/start")
        assert frames(session.rest()) == [(1, b"old\n")]
    removed(engine, name)


def test_half_closed_input_still_has_its_output(engine):
    name = created(engine, ["wc", "-c"], OpenStdin=True, StdinOnce=True, AttachStdin=True)
    with Session(engine, f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1") as session:
        engine.api("POST", f"/containers/{name}/start")
        session.send(b"x" * 200000)
        session.end_input()
        assert joined(session.rest())[0].strip() == b"200000"
    removed(engine, name)


def test_output_before_is_replayed_and_goes_on(engine):
    name = started(engine, "echo one; read word; echo two $word", OpenStdin=True)
    with Session(engine, f"/containers/{name}/attach?logs=1&stream=1&stdin=1&stdout=1") as session:
        while b"one" not in session.buffer:
            session.buffer += session.socket.recv(4096)
        session.send(b"words\n")
        assert joined(session.rest())[0] == b"one\ntwo words\n"
    with Session(engine, f"/containers/{name}/attach?logs=1&stdout=1") as session:
        assert joined(session.rest())[0] == b"one\ntwo words\n"
    removed(engine, name)


def test_a_terminal_is_raw_and_has_a_size(engine):
    name = created(engine, "read line; stty size; echo got $line", Tty=True, OpenStdin=True, AttachStdin=True)
    with Session(engine, f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1") as session:
        assert session.headers["content-type"] == "application/vnd.docker.raw-stream"
        engine.api("POST", f"/containers/{name}/start")
        assert engine.api("POST", f"/containers/{name}/resize?h=33&w=99").status == 200
        session.send(b"hello\r")
        rest = session.rest()
    assert b"got hello" in rest and b"\r\n" in rest
    removed(engine, name)


@pytest.mark.parametrize("keys,typed", [("", b"\x10\x11"), ("ctrl-a,x", b"\x01x")])
def test_detach_keys_leave_the_container_running(engine, keys, typed):
    name = started(engine, "cat", Tty=True, OpenStdin=True)
    with Session(engine, f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&detachKeys={keys}") as session:
        session.send(b"still here\r")
        session.read_until(b"still here")
        session.send(typed)
        session.rest()
    assert engine.inspect(name)["State"]["Running"]
    assert engine.api("POST", f"/containers/{name}/attach?stream=1&detachKeys=ctrl-!").status == 400
    removed(engine, name)


def test_several_clients_see_the_same(engine):
    name = created(engine, "echo shared")
    path = f"/containers/{name}/attach?stream=1&stdout=1"
    with Session(engine, path) as one, Session(engine, path) as two:
        engine.api("POST", f"/containers/{name}/start")
        assert joined(one.rest())[0] == joined(two.rest())[0] == b"shared\n"
    removed(engine, name)


def test_a_slow_reader_loses_nothing(engine):
    name = created(engine, "i=0; while [ $i -lt 40 ]; do head -c 100000 /dev/zero; i=$((i+1)); done")
    with Session(engine, f"/containers/{name}/attach?stream=1&stdout=1") as session:
        engine.api("POST", f"/containers/{name}/start")
        # Nothing is read until the container waits for us or has ended; either way all of it comes.
        assert len(joined(session.rest())[0]) == 4000000
    removed(engine, name)


def test_a_failed_start_ends_the_session(engine):
    name = created(engine, ["/no/such/program"])
    with Session(engine, f"/containers/{name}/attach?stream=1&stdout=1&stderr=1") as session:
        assert engine.api("POST", f"/containers/{name}/start").status in (400, 404, 500)
        assert session.rest() == b""
    removed(engine, name)


def test_websocket(engine):
    name = created(engine, "echo over a websocket")
    key = base64.b64encode(os.urandom(16)).decode()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(engine.socket_path)
    connection.sendall((f"GET /containers/{name}/attach/ws?stream=1&stdout=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(4096)
    assert data.startswith(b"HTTP/1.1 101"), data
    engine.api("POST", f"/containers/{name}/start")
    while b"over a websocket\n" not in data:
        more = connection.recv(4096)
        assert more, data
        data += more
    connection.close()
    removed(engine, name)


def test_run_and_attach_by_clients(engine, cli):
    assert cli("run", "--rm", "--network", "none", "box:1", "echo", "hello").stdout == "hello\n"
    result = cli("run", "--rm", "--network", "none", "box:1", "sh", "-c", "echo oops >&2; exit 7", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (7, "", "oops\n")
    piped = cli("run", "--rm", "-i", "--network", "none", "box:1", "cat", input="a\nb\n")
    assert piped.stdout == "a\nb\n"
    name = engine.unique("a")
    cli("create", "--name", name, "--network", "none", "box:1", "sh", "-c", "echo from start -a; exit 4")
    result = cli("start", "-a", name, check=False)
    assert (result.returncode, result.stdout) == (4, "from start -a\n")
    cli("rm", name)


def test_much_output_through_a_client(engine, cli):
    script = "i=0; while [ $i -lt 5000 ]; do echo this is line number $i of all that must arrive; i=$((i+1)); done"
    lines = cli("run", "--rm", "--network", "none", "box:1", "sh", "-c", script).stdout.splitlines()
    assert lines == [f"this is line number {i} of all that must arrive" for i in range(5000)]


def test_buildkit_clients_read_what_to_do(engine):
    result = engine.docker("build", "-", input="FROM box:1\n", env={"DOCKER_BUILDKIT": "1"}, check=False)
    assert result.returncode != 0
    assert "DOCKER_BUILDKIT=0" in result.stderr + result.stdout
    answer = engine.api("POST", "/session")
    assert answer.status == 400 and "DOCKER_BUILDKIT=0" in answer.body["message"]
