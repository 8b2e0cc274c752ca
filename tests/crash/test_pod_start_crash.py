"""kill -9 of `estiba server` between any two steps of a pod's start. The steps are found by looking: every file and directory that a start
makes below the server's folders is one, and for each the server is killed as it appears. Whatever is half made then, the next server ends
with the pod running once and not restarted, and nothing is left behind when it is deleted."""
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import cluster as support  # noqa: E402
from cluster import wait_for  # noqa: E402
from file_steps import Steps  # noqa: E402
from manifests import config_map, pod  # noqa: E402

def manifest(name):
    return pod(name, volumes=[{"name": "m", "configMap": {"name": "m"}}, {"name": "e", "emptyDir": {"medium": "Memory"}}],
               volumeMounts=[{"name": "m", "mountPath": "/m"}, {"name": "e", "mountPath": "/e"}])


def folders(cluster):
    root = f"/proc/{cluster.sandbox.pid}/root"
    return [f"{root}{path}" for path in ("/run/estiba", "/var/log/pods", f"{cluster.data_dir}/containers", f"{cluster.data_dir}/pods") if os.path.isdir(root + str(path))]


def of_the_start(step):
    """Waiting shims, the store and the log come and go by themselves."""
    return "UID" in step or "ID" in step


def start(cluster, name, until=None):
    """Makes a pod; the steps of its start in order. With `until` the server is killed as that step is seen: whether it was."""
    steps = Steps(folders(cluster))
    server, seen = cluster.server_pid(), []
    status, body = cluster.request("POST", "/api/v1/namespaces/default/pods", manifest(name))
    assert status == 201, body
    try:
        while (step := steps.next(1)) is not None:
            if not of_the_start(step) or step in seen:
                continue
            seen.append(step)
            if step == until:
                os.kill(server, signal.SIGKILL)
                cluster.server.wait()
                return True
        return seen if until is None else False
    finally:
        steps.close()


def check(cluster, name, step):
    path = f"/api/v1/namespaces/default/pods/{name}"
    running = lambda: (p := cluster.request("GET", path)[1])["status"].get("phase") == "Running" and all(c["ready"] for c in p["status"].get("containerStatuses", [{"ready": False}])) and p
    status = wait_for(f"{name} to run, killed at {step!r}", running, 30, 0.05)["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0 and not status.get("lastState"), (step, status)


def test_a_server_killed_between_any_two_steps_of_a_pods_start():
    with support.Cluster() as cluster:
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        cluster.ns = "default"
        wait_for("the default account", lambda: cluster.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200)
        assert cluster.request("POST", "/api/v1/namespaces/default/configmaps", config_map("m", key="value"))[0] == 201
        start(cluster, "first")  # makes what every start needs once
        check(cluster, "first", "none")
        steps = start(cluster, "second")
        check(cluster, "second", "none")
        assert len(steps) > 15 and any("container.json" in step for step in steps), steps
        killed = []
        for number, step in enumerate(steps):
            if start(cluster, f"step-{number}", step):
                killed.append(step)
                cluster.start()
            check(cluster, f"step-{number}", step)
        print("\n".join(killed))
        # A step that another order of things has hidden is no failure; that most were hit is the test.
        assert len(killed) >= 0.8 * len(steps), sorted(set(steps) - set(killed))
        for number in range(0, len(steps), 7):
            assert cluster.k("exec", f"step-{number}", "--", "cat", "/m/key") == "value", steps[number]
        cluster.k("delete", "pod", "--all", timeout=60)
        time.sleep(0.5)
        cluster.stop()
        assert cluster.leftovers() == []
