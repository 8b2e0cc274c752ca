"""Logs: streams, tail, times, follow, rotation, details."""
import threading
import time
import urllib.parse

import docker_engine

from streaming import ended, frames, joined, removed, started


def logs(engine, name, query="stdout=1&stderr=1", version=""):
    answer = engine.api("GET", f"{version}/containers/{name}/logs?{query}")
    assert answer.status == 200, answer.text
    return answer


def text(engine, name, query="stdout=1&stderr=1"):
    out, err = joined(logs(engine, name, query).data)
    return (out + err).decode()


def test_streams_and_frames(engine):
    name = started(engine, "echo one; echo two >&2; printf 'no newline'")
    ended(engine, name)
    answer = logs(engine, name, version="/v1.43")
    assert answer.headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
    assert sorted(frames(answer.data)) == [(1, b"no newline"), (1, b"one\n"), (2, b"two\n")]
    assert text(engine, name, "stderr=1") == "two\n"
    assert logs(engine, name, version="/v1.41").headers["Content-Type"] == "application/vnd.docker.raw-stream"
    removed(engine, name)


def test_tail_and_times(engine):
    name = started(engine, "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done")
    ended(engine, name)
    assert text(engine, name, "stdout=1&tail=2") == "line 8\nline 9\n"
    assert text(engine, name, "stdout=1&tail=0") == ""
    assert text(engine, name, "stdout=1&tail=all").count("\n") == 9
    assert text(engine, name, "stdout=1&tail=nonsense").count("\n") == 9
    stamped = text(engine, name, "stdout=1&timestamps=1").splitlines()
    assert all(line[10] == "T" and line[29] == "Z" and line[31:].startswith("line") for line in stamped)
    now = time.time()
    for since, lines in ((now + 100, 0), (f"{now - 1000:.9f}", 9), ("1h", 9), (urllib.parse.quote("2001-01-01T00:00:00Z"), 9)):
        assert text(engine, name, f"stdout=1&since={since}").count("\n") == lines, since
    assert text(engine, name, f"stdout=1&until={now - 1000}") == ""
    assert text(engine, name, f"stdout=1&until={now + 1000}").count("\n") == 9
    middle = stamped[4].split(" ")[0]
    assert text(engine, name, f"stdout=1&since={urllib.parse.quote(middle)}").endswith("line 9\n")
    assert engine.api("GET", f"/containers/{name}/logs?stdout=1&since=yesterday").status == 400
    removed(engine, name)


def test_follow_ends_with_the_container(engine):
    name = started(engine, "echo begin; while [ ! -e /go ]; do sleep 0.05; done; echo end")
    connection, answer = engine.stream("GET", f"/containers/{name}/logs?stdout=1&follow=1")
    first = answer.read(14)
    assert first[8:] == b"begin\n"
    engine.docker("exec", name, "touch", "/go")
    assert joined(answer.read())[0] == b"end\n"
    connection.close()
    removed(engine, name)


def test_follow_ends_with_the_removal_and_with_until(engine):
    name = started(engine, "echo begin; sleep 1000")
    got = []
    connection, answer = engine.stream("GET", f"/containers/{name}/logs?stdout=1&follow=1")
    reader = threading.Thread(target=lambda: got.append(answer.read()))
    reader.start()
    assert text(engine, name, f"stdout=1&follow=1&until={time.time() + 0.5}") == "begin\n"
    removed(engine, name)
    reader.join(30)
    assert not reader.is_alive() and joined(got[0])[0] == b"begin\n"
    connection.close()


def test_long_lines_and_rotation(engine):
    name = started(engine, "i=0; while [ $i -lt 20000 ]; do echo this is line number $i of many; i=$((i+1)); done; head -c 100000 /dev/zero | tr '\\0' x; echo",
                   HostConfig={"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"max-size": "200k", "max-file": "4"}}})
    ended(engine, name)
    lines = text(engine, name, "stdout=1").splitlines()
    assert lines[-1] == "x" * 100000
    numbers = [int(line.split()[4]) for line in lines[:-1]]
    assert numbers == list(range(numbers[0], 20000)) and 1000 < len(numbers) < 20000
    assert text(engine, name, "stdout=1&tail=5000").splitlines()[0] == "this is line number 15001 of many"
    removed(engine, name)


def test_details(engine):
    name = started(engine, "echo x", Labels={"app": "shop", "other": "1"}, Env=["REGION=eu"],
                   HostConfig={"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"labels": "app,missing", "env": "REGION"}}})
    ended(engine, name)
    assert text(engine, name, "stdout=1&details=1") == "REGION=eu,app=shop x\n"
    removed(engine, name)


def test_refusals(engine):
    name = started(engine, "echo x", HostConfig={"NetworkMode": "none", "LogConfig": {"Type": "none"}})
    ended(engine, name)
    answer = engine.api("GET", f"/containers/{name}/logs?stdout=1")
    assert answer.status == 501 and answer.body["message"] == "configured logging driver does not support reading"
    answer = engine.api("GET", f"/containers/{name}/logs")
    assert answer.status == 400 and answer.body["message"] == "Bad parameters: you must choose at least one stream"
    assert engine.api("GET", "/containers/nosuch/logs?stdout=1").status == 404
    removed(engine, name)


def test_by_clients(engine, cli):
    name = started(engine, "echo out; echo err >&2; sleep 1000")
    docker_engine.wait_for("its output", lambda: cli("logs", name).stdout == "out\n", 30)
    assert cli("logs", name).stderr == "err\n"
    assert cli("logs", "--tail", "1", "-t", name).stdout.endswith("Z out\n") or cli("logs", "--tail", "1", name).stderr == "err\n"
    assert cli("logs", "--since", "1h", name).stdout == "out\n"
    removed(engine, name)


def test_events(engine):
    since = time.time() - 1
    name = started(engine, "exit 3", Labels={"kind": "event-test"})
    ended(engine, name)
    removed(engine, name)
    filters = urllib.parse.quote('{"container":["%s"]}' % name)
    events = engine.api("GET", f"/events?since={since}&until={time.time() + 0.2}&filters={filters}").lines
    actions = [event["Action"] for event in events]
    assert [action for action in actions if action in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]
    die = next(event for event in events if event["Action"] == "die")
    assert die["Type"] == "container" and die["Actor"]["Attributes"]["exitCode"] == "3" and die["Actor"]["Attributes"]["kind"] == "event-test"
    only = urllib.parse.quote('{"event":["die"],"label":["kind=event-test"],"type":["container"]}')
    assert {e["Action"] for e in engine.api("GET", f"/events?since={since}&until={time.time()}&filters={only}").lines} == {"die"}
    assert engine.api("GET", f"/events?since={time.time()}&until=1").status == 400
    assert engine.api("GET", "/events?filters=" + urllib.parse.quote('{"nosuch":["x"]}')).status == 400
