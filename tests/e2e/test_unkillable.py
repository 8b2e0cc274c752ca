"""Processes that cannot be killed: their pod waits for them, nothing else does, and it goes when they can."""
import pathlib
import subprocess
import time

import pytest

import cluster as support
from cluster import wait_for
from manifests import pod


@pytest.fixture
def machine(own_cluster):
    own_cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    own_cluster.start()
    own_cluster.ns = "default"
    return own_cluster


@pytest.fixture
def deaf(machine):
    """The directory of a file system that never answers who reads its file; `begun()` says whether anybody has, `end()` ends it."""
    class Deaf:
        directory = "/run/estiba-deaf"

        def __init__(self):
            machine.sandbox.inside(["mkdir", "-p", self.directory])
            script = pathlib.Path(support.__file__).with_name("deaf_fuse.py")
            self.log = machine.dir / "deaf.log"
            self.process = subprocess.Popen(machine.sandbox.command(["/usr/bin/python3", script, self.directory]), stdout=open(self.log, "w"), stderr=subprocess.STDOUT)
            wait_for("the file system", lambda: "mounted" in self.log.read_text(), 20)

        def begun(self):
            return "reading" in self.log.read_text()

        def end(self):
            if self.process.poll() is None:
                for line in machine.sandbox.processes():
                    if "deaf_fuse.py" in line:
                        machine.sandbox.inside(["kill", "-9", line.split()[0]], check=False)
                self.process.wait(20)
                machine.sandbox.inside(["umount", "-l", self.directory], check=False)
    made = Deaf()
    yield made
    made.end()


def blocked(cluster):
    """Processes of pods that wait in the kernel and have been killed."""
    return [line for line in cluster.sandbox.inside(["ps", "-eo", "pid,stat,args"]).stdout.splitlines() if "cat /deaf/file" in line and line.split()[1].startswith("D")]


def test_a_process_that_waits_in_the_kernel_holds_up_its_pod_alone(machine, deaf):
    cluster = machine
    stuck = pod("stuck", "sh", "-c", "exec cat /deaf/file", terminationGracePeriodSeconds=1, volumes=[{"name": "deaf", "hostPath": {"path": deaf.directory}}], volumeMounts=[{"name": "deaf", "mountPath": "/deaf"}])
    cluster.apply(stuck, pod("calm"))
    cluster.wait_running("calm")
    wait_for("the process to read", deaf.begun, 60)
    cluster.k("delete", "pod", "stuck", "--wait=false")
    wait_for("the process to be killed, in vain", lambda: blocked(cluster), 60, 0.2)

    def others_go_on(name):
        cluster.apply(pod(name))
        cluster.wait_running(name, 60)
        assert cluster.k("exec", name, "--", "echo", "fine") == "fine\n" and cluster.k("exec", "calm", "--", "echo", "fine") == "fine\n"
        cluster.k("delete", "pod", name, timeout=60)
        assert cluster.pod("stuck")["metadata"]["deletionTimestamp"], "it is not gone while its process is there"
        assert cluster.pod("calm")["status"]["containerStatuses"][0]["restartCount"] == 0
    others_go_on("before")
    # A server that ends meanwhile ends, and the next one knows.
    begun = time.monotonic()
    cluster.stop()
    assert time.monotonic() - begun < 90
    cluster.start()
    others_go_on("after")
    assert blocked(cluster)
    deaf.end()
    wait_for("the pod to go", lambda: not cluster.k("get", "pod", "stuck", "--ignore-not-found"), 120, 0.5)
    cluster.k("delete", "pod", "calm", timeout=60)
    cluster.stop()
    assert cluster.leftovers() == []


def test_an_exec_that_cannot_be_killed_ends_no_other(machine, deaf):
    """A probe and a client whose command waits in the kernel: they time out or go away, and the container can be ended by its pod's end."""
    cluster = machine
    probe = {"exec": {"command": ["cat", "/deaf/file"]}, "timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 1000}
    cluster.apply(pod("probed", readinessProbe=probe, terminationGracePeriodSeconds=1, volumes=[{"name": "deaf", "hostPath": {"path": deaf.directory}}], volumeMounts=[{"name": "deaf", "mountPath": "/deaf"}]))
    cluster.wait_pod("probed", lambda p: p["status"].get("containerStatuses", [{}])[0].get("state", {}).get("running"), "running", 60)
    wait_for("the probe to read", deaf.begun, 60)
    wait_for("the probe to time out", lambda: 'command timed out: "cat /deaf/file" timed out after 1s' in cluster.k("get", "events", "--field-selector", "involvedObject.name=probed,reason=Unhealthy"), 60, 0.5)
    assert cluster.k("exec", "probed", "--", "echo", "fine") == "fine\n"
    cluster.apply(pod("next"))
    cluster.wait_running("next", 60)
    cluster.k("delete", "pod", "probed", "next", "--wait=false")
    wait_for("the other to go", lambda: not cluster.k("get", "pod", "next", "--ignore-not-found"), 90, 0.5)
    deaf.end()
    wait_for("the pod to go", lambda: not cluster.k("get", "pod", "probed", "--ignore-not-found"), 120, 0.5)
    cluster.stop()
    assert cluster.leftovers() == []


def test_a_probe_that_takes_too_long_is_killed(machine):
    cluster = machine
    probe = {"exec": {"command": ["sleep", "4321"]}, "timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 1000}
    cluster.apply(pod("slow", readinessProbe=probe, terminationGracePeriodSeconds=1))
    failures = lambda: sum(e.get("count", 1) for e in cluster.get("events", "--field-selector", "involvedObject.name=slow,reason=Unhealthy")["items"])
    wait_for("five failures", lambda: failures() >= 5, 90, 0.5)
    assert len([line for line in cluster.sandbox.processes() if "sleep 4321" in line]) <= 1
    cluster.k("delete", "pod", "slow", timeout=60)
    cluster.stop()
    assert cluster.leftovers() == []
