"""The server's own life: starts, ends, crashes, and what it refuses."""
import json
import pathlib
import signal
import subprocess
import time

import pytest

import cluster as support
from api import Api
from manifests import config_map, deployment, pod


def refused(cluster, *flags):
    return cluster.sandbox.inside(["timeout", "10", support.BIN / "estiba", "server", *flags], check=False)


def test_a_second_server_on_the_same_data_is_refused(own_cluster):
    own_cluster.start()
    result = refused(own_cluster, f"--data-dir={own_cluster.data_dir}", "--run-dir=/run/estiba/second", "--listen=127.0.0.1:7443", f"--write-kubeconfig={own_cluster.dir}/k2", "--node=false")
    assert result.returncode == 1 and str(own_cluster.data_dir) in result.stderr and "another" in result.stderr


def test_a_port_that_is_taken_is_named(own_cluster):
    own_cluster.start()
    result = refused(own_cluster, f"--data-dir={own_cluster.dir}/second", "--run-dir=/run/estiba/second", "--node=false", f"--write-kubeconfig={own_cluster.dir}/k2")
    assert result.returncode == 1 and "6443" in result.stderr


def test_an_unreadable_configuration_names_file_line_and_key(own_cluster):
    config = own_cluster.dir / "config.yaml"
    config.write_text("node-name: x\npod-cdir: 10.0.0.0/8\n")
    result = refused(own_cluster, f"--config={config}")
    assert result.returncode == 1 and f"{config}:2: pod-cdir" in result.stderr


def test_two_servers_side_by_side(own_cluster):
    own_cluster.start()
    with support.Cluster() as other:
        other.start()
        own_cluster.kubectl("create", "namespace", "only-here")
        assert "only-here" not in other.kubectl("get", "namespaces")


def test_sigterm_leaves_containers_and_a_restart_finds_them(own_cluster):
    cluster = own_cluster
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("stays", "sh", "-c", "while :; do date +%s >> /tmp/beats; sleep 0.1; done"))
    before = cluster.wait_running("stays")
    cluster.stop()
    assert cluster.server.returncode == 0
    assert any("date +%s" in line for line in cluster.sandbox.processes())
    cluster.start()
    after = cluster.wait_running("stays")
    for key in ("containerID", "restartCount"):
        assert before["status"]["containerStatuses"][0][key] == after["status"]["containerStatuses"][0][key]
    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert cluster.k("exec", "stays", "--", "sh", "-c", "echo fine").strip() == "fine"
    cluster.k("delete", "pod", "stays")
    cluster.stop()
    assert cluster.leftovers() == []


def test_what_ends_while_no_server_runs_is_seen_afterwards(own_cluster):
    cluster = own_cluster
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("short", "sh", "-c", "sleep 1; echo done; exit 5", restartPolicy="Never"))
    cluster.wait_pod("short", lambda p: p["status"].get("phase") == "Running", "running")
    cluster.kill9()
    time.sleep(1.5)
    cluster.start()
    ended = cluster.wait_ended("short")
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 5
    assert cluster.k("logs", "short") == "done\n"


def test_kill_9_at_any_time_of_a_rollout_ends_in_the_wanted_state(own_cluster):
    cluster = own_cluster
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    cluster.start()
    cluster.ns = "default"
    for round_ in range(4):
        cluster.apply(deployment("web", 3, "sh", "-c", f"trap 'exit 0' TERM; echo {round_}; while :; do sleep 0.1; done"))
        time.sleep(0.05 + 0.1 * round_)
        cluster.kill9()
        cluster.start()
        cluster.k("rollout", "status", "deployment/web", "--timeout=60s")
    support.wait_for("three pods", lambda: len(cluster.get("-n", "default", "pods")["items"]) == 3, 30)
    cluster.k("delete", "deployment", "web")
    support.wait_for("no pods", lambda: not cluster.get("-n", "default", "pods")["items"], 30)
    cluster.stop()
    assert cluster.leftovers() == []


def test_a_full_disk_is_told_and_survived(own_cluster):
    cluster = own_cluster
    small = pathlib.Path("/var/lib/estiba/small")
    cluster.sandbox.inside(["sh", "-c", f"mkdir -p {small} && mount -t tmpfs -o size=24m small {small}"])
    cluster.flags.update({"data-dir": small, "node": "false"})
    cluster.start()
    cluster.ns = "default"
    acknowledged = []
    for i in range(60):
        status, body = cluster.request("POST", "/api/v1/namespaces/default/configmaps", json.dumps(config_map(f"big-{i}", data="x" * 900_000)))
        if status == 201:
            acknowledged.append(f"big-{i}")
        else:
            break
    assert status in (500, 507), body
    assert "space" in body["message"] or "full" in body["message"]
    assert cluster.request("GET", "/readyz", raw=True)[0] == 200
    names = {item["metadata"]["name"] for item in cluster.request("GET", "/api/v1/namespaces/default/configmaps")[1]["items"]}
    assert set(acknowledged) <= names
    cluster.kill9()
    cluster.sandbox.inside(["mount", "-o", "remount,size=256m", small])
    cluster.start()
    names = {item["metadata"]["name"] for item in cluster.request("GET", "/api/v1/namespaces/default/configmaps")[1]["items"]}
    assert set(acknowledged) <= names
    assert cluster.request("POST", "/api/v1/namespaces/default/configmaps", config_map("again"))[0] == 201


def test_memory_is_given_back_after_a_burst(own_cluster):
    """4,000 objects come and go; what is theirs goes with them, when the node's Lease is renewed."""
    own_cluster.start()
    client = Api(own_cluster)
    client("POST", "/api/v1/namespaces", {"metadata": {"name": "burst"}})
    before = support.pss_kib(own_cluster.server_pid())
    for i in range(4000):
        client("POST", "/api/v1/namespaces/burst/configmaps", config_map(f"map-{i}", text="x" * 4000))
    full = support.pss_kib(own_cluster.server_pid())
    assert full > before + 12 * 1024
    client("DELETE", "/api/v1/namespaces/burst")
    support.wait_for("the namespace to go", lambda: client("GET", "/api/v1/namespaces/burst").status == 404, 60)
    support.wait_for("memory to be given back", lambda: support.pss_kib(own_cluster.server_pid()) < (before + full) // 2, 60)


def test_version_and_help(own_cluster):
    assert own_cluster.estiba("version").stdout.startswith("estiba ")
    text = own_cluster.estiba("server", "--help").stdout
    assert "--data-dir" in text and "/var/lib/estiba" in text
    assert own_cluster.estiba("sever", check=False).stderr.startswith("estiba: there is no verb \"sever\"; did you mean 'server'?")
