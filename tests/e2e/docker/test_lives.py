"""What happens to containers over time: restart policies, health, and an engine that ends, is killed, or comes back after a reboot."""
import json
import os
import shutil
import signal
import time
import urllib.parse

import pytest

from docker_engine import wait_for

BOX = "box:1"


def run(engine, *command, **body):
    name = engine.unique("life")
    answer = engine.api("POST", f"/containers/create?name={name}", {"Image": BOX, "Cmd": list(command), **body})
    assert answer.status == 201, answer.text
    answer = engine.api("POST", f"/containers/{name}/start")
    assert answer.status == 204, answer.text
    return name


def state(engine, name):
    return engine.inspect(name)["State"]


def policy(name, retries=0, **more):
    return {"RestartPolicy": {"Name": name, "MaximumRetryCount": retries}, "NetworkMode": "none", **more}


def remove(engine, *names):
    for name in names:
        assert engine.api("DELETE", f"/containers/{name}?force=1&v=1").status == 204


def test_on_failure_tries_as_often_as_it_was_told(engine):
    name = run(engine, "sh", "-c", "exit 5", HostConfig=policy("on-failure", 2))
    wait_for("the last try", lambda: state(engine, name)["Status"] == "exited" and engine.inspect(name)["RestartCount"] == 2)
    assert state(engine, name)["ExitCode"] == 5
    remove(engine, name)
    name = run(engine, "true", HostConfig=policy("on-failure", 2))
    wait_for("its end", lambda: state(engine, name)["Status"] == "exited")
    assert engine.inspect(name)["RestartCount"] == 0
    remove(engine, name)


def test_always_goes_on_until_it_is_stopped(engine):
    name = run(engine, "true", HostConfig=policy("always"))
    wait_for("some restarts", lambda: engine.inspect(name)["RestartCount"] >= 3)
    assert engine.api("POST", f"/containers/{name}/stop?t=0").status in (204, 304)
    count = engine.inspect(name)["RestartCount"]
    assert state(engine, name)["Status"] == "exited"
    time.sleep(0.5)  # it must not come back
    assert engine.inspect(name)["RestartCount"] == count and state(engine, name)["Status"] == "exited"
    remove(engine, name)


def test_a_kill_from_inside_is_answered_by_the_policy_and_one_by_the_user_is_not(engine):
    name = run(engine, "sleep", "1000", HostConfig=policy("unless-stopped"))
    pid = state(engine, name)["Pid"]
    engine.sandbox.inside(["kill", "-9", str(pid)])
    wait_for("another process", lambda: state(engine, name)["Running"] and state(engine, name)["Pid"] not in (0, pid))
    assert engine.api("POST", f"/containers/{name}/kill").status == 204
    assert state(engine, name)["Status"] == "exited"
    remove(engine, name)


def health(test, **more):
    return {"Test": ["CMD-SHELL", test], "Interval": 50_000_000, "Timeout": 5_000_000_000, "Retries": 2, **more}


def test_health(engine):
    name = run(engine, "sleep", "1000", Healthcheck=health("echo fine; test ! -e /broken"), HostConfig={"NetworkMode": "none"})
    wait_for("healthy", lambda: state(engine, name)["Health"]["Status"] == "healthy")
    log = state(engine, name)["Health"]["Log"]
    assert log[0]["ExitCode"] == 0 and log[0]["Output"] == "fine\n"
    assert "(healthy)" in engine.docker("ps", "--filter", f"name={name}", "--format", "{{.Status}}").stdout
    pid = state(engine, name)["Pid"]
    engine.sandbox.inside(["touch", f"/proc/{pid}/root/broken"])
    wait_for("unhealthy", lambda: state(engine, name)["Health"]["Status"] == "unhealthy")
    assert state(engine, name)["Health"]["FailingStreak"] >= 2
    assert state(engine, name)["Pid"] == pid  # nobody asked for more
    remove(engine, name)


def test_health_checks_are_told_and_listed_as_execs(engine):
    since = engine.api("GET", "/info").body["SystemTime"]
    name = run(engine, "sleep", "1000", Healthcheck=health("test -e /go || exit 3", Interval=20_000_000), HostConfig={"NetworkMode": "none"})
    wait_for("failures", lambda: state(engine, name)["Health"]["FailingStreak"] >= 2)
    pid = state(engine, name)["Pid"]
    engine.sandbox.inside(["touch", f"/proc/{pid}/root/go"])
    wait_for("healthy", lambda: state(engine, name)["Health"]["Status"] == "healthy")
    until = engine.api("GET", "/info").body["SystemTime"]
    filters = urllib.parse.quote(json.dumps({"container": [name]}))
    events = engine.api("GET", f"/events?since={urllib.parse.quote(since)}&until={urllib.parse.quote(until)}&filters={filters}", timeout=20).lines
    by_exec = {}
    for event in events:
        if "execID" in event["Actor"]["Attributes"]:
            by_exec.setdefault(event["Actor"]["Attributes"]["execID"], []).append(event)
    whole = [told for told in by_exec.values() if len(told) == 3]
    assert whole, events
    command = "/bin/sh -c test -e /go || exit 3"
    for told in whole:
        assert [event["Action"] for event in told] == [f"exec_create: {command}", f"exec_start: {command}", "exec_die"]
    codes = [told[2]["Actor"]["Attributes"]["exitCode"] for told in whole]
    assert "3" in codes and "0" in codes, codes
    remove(engine, name)
    # While one runs, the container lists it, and it can be asked about.
    name = run(engine, "sleep", "1000", Healthcheck=health("sleep 1000", Interval=20_000_000, Timeout=60_000_000_000), HostConfig={"NetworkMode": "none"})
    ids = wait_for("the check", lambda: engine.inspect(name)["ExecIDs"])
    exec = engine.api("GET", f"/exec/{ids[0]}/json").body
    assert exec["Running"] and exec["ContainerID"] == engine.inspect(name)["Id"] and exec["ProcessConfig"]["arguments"][-1] == "sleep 1000"
    remove(engine, name)


def test_on_unhealthy_starts_it_again(engine):
    name = run(engine, "sleep", "1000", Healthcheck=health("test ! -e /broken"), StopTimeout=0, HostConfig=policy("on-unhealthy"))
    wait_for("healthy", lambda: state(engine, name)["Health"]["Status"] == "healthy")
    pid = state(engine, name)["Pid"]
    engine.sandbox.inside(["touch", f"/proc/{pid}/root/broken"])
    wait_for("a restart", lambda: state(engine, name)["Running"] and state(engine, name)["Pid"] not in (0, pid))
    assert engine.inspect(name)["RestartCount"] >= 1
    remove(engine, name)


def test_a_check_that_hangs_counts_as_failed(engine):
    name = run(engine, "sleep", "1000", Healthcheck=health("sleep 1000", Timeout=50_000_000), HostConfig={"NetworkMode": "none"})
    wait_for("unhealthy", lambda: state(engine, name)["Health"]["Status"] == "unhealthy")
    assert state(engine, name)["Health"]["Log"][-1]["ExitCode"] == -1
    assert state(engine, name)["Health"]["Log"][-1]["Output"].startswith("Health check exceeded timeout")
    remove(engine, name)


def test_stop_timeouts(engine):
    name = run(engine, "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", StopTimeout=1)
    begin = time.monotonic()
    assert engine.api("POST", f"/containers/{name}/stop").status == 204
    assert time.monotonic() - begin >= 0.9
    assert state(engine, name)["ExitCode"] == 137
    remove(engine, name)


def test_containers_outlive_the_engine(own_engine):
    engine = own_engine
    engine.start()
    up = run(engine, "sleep", "1000")
    ends = run(engine, "sh", "-c", "while [ ! -e /end ]; do sleep 0.05; done; exit 4")
    down = run(engine, "true")
    wait_for("its end", lambda: state(engine, down)["Status"] == "exited")
    before = {name: engine.inspect(name) for name in (up, down)}
    pid, ending = state(engine, up)["Pid"], state(engine, ends)["Pid"]
    engine.kill9()
    engine.sandbox.inside(["touch", f"/proc/{ending}/root/end"])
    wait_for("its end", lambda: not engine.sandbox.inside(["test", "-e", f"/proc/{ending}/root/end"], check=False).returncode == 0)
    engine.start()
    assert state(engine, up)["Pid"] == pid and state(engine, up)["StartedAt"] == before[up]["State"]["StartedAt"]
    assert engine.inspect(up)["NetworkSettings"]["IPAddress"] == before[up]["NetworkSettings"]["IPAddress"]
    assert state(engine, down) == before[down]["State"]
    wait_for("the end that nobody saw", lambda: state(engine, ends)["Status"] == "exited")
    assert state(engine, ends)["ExitCode"] == 4
    assert engine.api("POST", f"/containers/{up}/stop?t=0").status == 204
    remove(engine, up, ends, down)
    engine.stop()
    assert engine.leftovers() == []


def test_removal_at_the_end_holds_across_a_kill_of_the_engine(own_engine):
    """A container of --rm goes on without its engine; its end removes it, seen or unseen, and nothing of it stays on disk."""
    engine = own_engine
    engine.start()
    wait = "while [ ! -e /end ]; do sleep 0.05; done; echo over"
    seen, unseen = (run(engine, "sh", "-c", wait, HostConfig={"AutoRemove": True}) for _ in range(2))
    ending = {name: state(engine, name)["Pid"] for name in (seen, unseen)}
    end = lambda name: engine.sandbox.inside(["touch", f"/proc/{ending[name]}/root/end"])  # noqa: E731
    engine.kill9()
    end(unseen)
    wait_for("its end", lambda: engine.sandbox.inside(["test", "-e", f"/proc/{ending[unseen]}/root/end"], check=False).returncode != 0)
    engine.start()
    assert state(engine, seen)["Pid"] == ending[seen]
    wait_for("the removal", lambda: engine.api("GET", f"/containers/{unseen}/json").status == 404)
    end(seen)
    wait_for("the removal", lambda: engine.api("GET", f"/containers/{seen}/json").status == 404)
    wait_for("an empty disk", lambda: [p.name for p in (engine.data_dir / "containers").iterdir() if p.name != ".removed"] == [])
    assert list((engine.data_dir / "docker/containers").iterdir()) == []
    engine.stop()
    assert engine.leftovers() == []


def test_a_reboot_lets_the_policies_act(own_engine):
    engine = own_engine
    engine.start()
    always = run(engine, "sleep", "1000", HostConfig={"RestartPolicy": {"Name": "always"}})
    stopped = run(engine, "sleep", "1000", HostConfig={"RestartPolicy": {"Name": "unless-stopped"}})
    engine.api("POST", f"/containers/{stopped}/stop?t=0")
    plain = run(engine, "sleep", "1000")
    gone = run(engine, "sleep", "1000", HostConfig={"AutoRemove": True})
    engine.stop()
    reboot(engine)
    engine.start()
    wait_for("the policy", lambda: state(engine, always)["Running"])
    assert state(engine, stopped)["Status"] == "exited"
    assert state(engine, plain)["Status"] == "exited" and state(engine, plain)["ExitCode"] == 255
    assert engine.api("GET", f"/containers/{gone}/json").status == 404
    assert engine.api("POST", f"/containers/{plain}/start").status == 204
    remove(engine, always, stopped, plain)


def reboot(engine):
    """What a reboot does to us: processes and the run directory are gone."""
    engine.sandbox.inside(["sh", "-c", f"""
        for p in /proc/[0-9]*; do p=${{p#/proc/}}; [ $p != 1 ] && [ $p != $$ ] && kill -9 $p 2>/dev/null; done
        sleep 0.2
        for m in $(cut -d' ' -f2 /proc/mounts | grep -E '^(/run/estiba/|{engine.data_dir}/)' | sort -r); do umount -l $m; done
        rm -rf /run/estiba/* /run/estiba/.[a-z]* 2>/dev/null; true"""])


def test_a_creation_that_was_cut_short_leaves_nothing(own_engine):
    engine = own_engine
    engine.start()
    engine.stop()
    ident = "ab" * 32
    records = engine.data_dir / "docker/containers"
    root = engine.data_dir / "containers" / ident
    root.mkdir(parents=True)
    (root / "keep").write_text("")
    half = "cd" * 32
    (records / f"{half}.json").write_text(json.dumps({"version": 1, "id": half, "name": "half", "status": "created", "creating": True}))
    (records / ("ef" * 32 + ".json")).write_text("{ not json")
    engine.start()
    assert not root.exists() and not (records / f"{half}.json").exists()
    assert engine.api("GET", "/containers/json?all=1").body == []
    assert "record cannot be read" in engine.log()
