"""Stats and top."""
import json

import docker_engine

from streaming import ended, removed, started


def test_one_shot_and_two_cycles(engine):
    name = started(engine, "while :; do :; done", HostConfig={"NetworkMode": "none", "Memory": 64 << 20, "PidsLimit": 50})
    one = engine.api("GET", f"/containers/{name}/stats?stream=false&one-shot=true").body
    assert one["id"] == engine.inspect(name)["Id"] and one["name"] == f"/{name}"
    assert one["memory_stats"]["limit"] == 64 << 20 and one["memory_stats"]["usage"] > 0
    assert one["pids_stats"] == {"current": 1, "limit": 50}
    assert one["precpu_stats"]["cpu_usage"]["total_usage"] == 0 and one["preread"] == "0001-01-01T00:00:00Z"
    assert "networks" not in one
    two = engine.api("GET", f"/containers/{name}/stats?stream=false").body
    assert two["cpu_stats"]["cpu_usage"]["total_usage"] > two["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert two["cpu_stats"]["system_cpu_usage"] > two["precpu_stats"]["system_cpu_usage"] > 0
    assert two["cpu_stats"]["online_cpus"] >= 1 and two["memory_stats"]["stats"]
    assert engine.api("GET", f"/containers/{name}/stats?one-shot=true").status == 400
    removed(engine, name)


def test_stream_ends_with_removal(engine):
    name = started(engine, "sleep 1000")
    connection, answer = engine.stream("GET", f"/containers/{name}/stats")
    first = json.loads(answer.readline())
    assert first["memory_stats"]["usage"] > 0
    second = json.loads(answer.readline())
    assert second["preread"] == first["read"]
    removed(engine, name)
    answer.read()  # to its end
    connection.close()


def test_stopped_ones_have_zeros(engine):
    name = started(engine, "true")
    ended(engine, name)
    stats = engine.api("GET", f"/containers/{name}/stats?stream=false").body
    assert stats["memory_stats"] == {} and stats["read"] == "0001-01-01T00:00:00Z"
    assert engine.api("GET", "/containers/nosuch/stats").status == 404
    removed(engine, name)


def test_networks(engine):
    name = started(engine, "sleep 1000", HostConfig={"NetworkMode": "bridge"})
    stats = engine.api("GET", f"/containers/{name}/stats?stream=false&one-shot=1").body
    assert set(stats["networks"]) == {"eth0"} and stats["networks"]["eth0"]["rx_bytes"] >= 0
    removed(engine, name)


def test_by_clients(engine, cli):
    name = started(engine, "sleep 1000", HostConfig={"NetworkMode": "none", "Memory": 32 << 20})
    line = cli("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", name).stdout.strip()
    assert line.startswith(name) and "/ 32MiB" in line and line.endswith(" 1")
    removed(engine, name)


def test_top(engine, cli):
    name = started(engine, "sleep 1234 & sleep 4321; wait")
    commands = lambda: [row[-1] for row in engine.api("GET", f"/containers/{name}/top").body["Processes"]]  # noqa: E731
    # The shell's children are copies of it until they have become their programs.
    docker_engine.wait_for("both programs", lambda: {"sleep 1234", "sleep 4321"} <= set(commands()), 30)
    table = engine.api("GET", f"/containers/{name}/top").body
    assert table["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"] and len(table["Processes"]) == 3
    assert engine.api("GET", f"/containers/{name}/top?ps_args=aux").body["Titles"][-1] == "COMMAND"
    assert "sleep 1234" in cli("top", name).stdout
    refused = engine.api("GET", f"/containers/{name}/top?ps_args=-o%20pid%3Dx")
    assert refused.status == 400
    removed(engine, name)
    stopped = started(engine, "true")
    ended(engine, stopped)
    answer = engine.api("GET", f"/containers/{stopped}/top")
    assert answer.status == 409 and "is not running" in answer.body["message"]
    removed(engine, stopped)
