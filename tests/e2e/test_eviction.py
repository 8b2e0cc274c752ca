"""Evictions: pressure by thresholds that nothing can meet, the limits of local storage, and what the node does about each."""
import contextlib
import json

import pytest

import cluster as support
from cluster import wait_for
from manifests import pod

# More than any machine has: pressure from the first look on.
ABSURD = "100000Gi"


@contextlib.contextmanager
def short_of(hard, **flags):
    """A cluster whose node is short of what `hard` says."""
    with support.Cluster(**{"eviction-hard": hard, "eviction-pressure-transition-period": "1s", "minimum-image-ttl-duration": "1h", **flags}) as cluster:
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        cluster.ns = "default"
        yield cluster


def conditions(cluster):
    return {c["type"]: c for c in cluster.get("node", "node-1")["status"]["conditions"]}


def taints(cluster):
    return [taint["key"] for taint in cluster.get("node", "node-1")["spec"].get("taints", [])]


def metrics(cluster):
    text = cluster.kubectl("get", "--raw", "/api/v1/nodes/node-1/proxy/metrics")
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}


def restart(cluster, **flags):
    cluster.stop()
    cluster.flags.update(flags)
    cluster.start()


def condition(made, kind):
    return next((c for c in made["status"].get("conditions", []) if c["type"] == kind), None)


def evicted(cluster, name, seconds=40):
    return cluster.wait_pod(name, lambda made: made["status"].get("reason") == "Evicted", "evicted", seconds)


def test_a_pod_is_evicted_for_memory_and_others_are_refused():
    with short_of("") as cluster:
        cluster.apply(pod("low", "sleep", "3600", volumes=[{"name": "scratch", "emptyDir": {}}], volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}]),
                      {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000},
                      pod("high", priorityClassName="high"), pod("vital", priorityClassName="system-node-critical"))
        for name in ("low", "high", "vital"):
            cluster.wait_running(name)
        low = cluster.pod("low")["metadata"]["uid"]
        assert conditions(cluster)["MemoryPressure"]["status"] == "False"
        restart(cluster, **{"eviction-hard": f"memory.available<{ABSURD}"})
        made = evicted(cluster, "low")
        assert made["status"]["phase"] == "Failed"
        assert made["status"]["message"].startswith("The node was low on resource: memory. Threshold quantity: 100000Gi, available: ")
        disruption = condition(made, "DisruptionTarget")
        assert (disruption["status"], disruption["reason"], disruption["message"]) == ("True", "TerminationByKubelet", made["status"]["message"])
        # It ends by itself, with what it had on the disk; then the next one goes, and the vital one stays.
        made = cluster.wait_pod("low", lambda p: p["status"]["containerStatuses"][0]["state"].get("terminated"), "terminated")
        assert made["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
        wait_for("the volumes of the evicted pod to go", lambda: not (cluster.data_dir / "pods" / low).exists(), 20, 0.1)
        evicted(cluster, "high")
        assert cluster.pod("vital")["status"]["phase"] == "Running"

        wait_for("the condition", lambda: conditions(cluster)["MemoryPressure"]["status"] == "True", 15, 0.2)
        assert conditions(cluster)["MemoryPressure"]["reason"] == "KubeletHasInsufficientMemory"
        wait_for("the taint", lambda: "node.kubernetes.io/memory-pressure" in taints(cluster), 15, 0.2)
        events = cluster.get("events", "-A")["items"]
        reasons = {(e["involvedObject"]["kind"], e["reason"]) for e in events}
        assert {("Pod", "Evicted"), ("Node", "EvictionThresholdMet"), ("Node", "NodeHasInsufficientMemory")} <= reasons

        # Bound by hand, past the scheduler: only who asks for nothing is refused.
        cluster.apply(pod("nothing", nodeName="node-1"), pod("tolerant", nodeName="node-1", tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]))
        made = cluster.wait_ended("nothing")
        assert (made["status"]["reason"], made["status"]["message"]) == ("Evicted", "Pod was rejected: The node had condition: [MemoryPressure]. ")
        assert "containerStatuses" not in made["status"] or not made["status"]["containerStatuses"][0].get("containerID")
        # The tolerant one was taken, and is evicted as the others are.
        assert evicted(cluster, "tolerant")["status"]["message"].startswith("The node was low on resource: memory.")

        # Each is counted; the figures that they went by were fresh.
        measured = metrics(cluster)
        assert measured['kubelet_evictions{eviction_signal="memory.available"}'] == 3
        assert measured['kubelet_eviction_stats_age_seconds_count{eviction_signal="memory.available"}'] == 3
        assert measured['kubelet_eviction_stats_age_seconds_bucket{eviction_signal="memory.available",le="10"}'] == 3

        # What nobody can be blamed for is not told again and again.
        told = cluster.log_path.read_text().count("short of a resource")
        assert told == 1

        # Relieved, all is as it was.
        restart(cluster, **{"eviction-hard": ""})
        wait_for("the end of the pressure", lambda: conditions(cluster)["MemoryPressure"]["status"] == "False", 20, 0.2)
        wait_for("the end of the taint", lambda: "node.kubernetes.io/memory-pressure" not in taints(cluster), 20, 0.2)
        cluster.apply(pod("after"))
        cluster.wait_running("after")
        assert cluster.pod("low")["status"]["reason"] == "Evicted" and condition(cluster.pod("low"), "DisruptionTarget")
        cluster.k("delete", "pod", "--all", timeout=60)
        cluster.stop()
        assert cluster.leftovers() == []


def test_a_full_disk_takes_ended_containers_and_unused_images_before_pods():
    with short_of("", **{"minimum-image-ttl-duration": "0s"}) as cluster:
        ended = pod("ended", "sh", "-c", "head -c 3000000 /dev/zero > /big; true", restartPolicy="Never")
        cluster.apply(ended, pod("stays", priorityClassName="system-node-critical"), pod("goes"))
        cluster.wait_ended("ended")
        cluster.wait_running("stays")
        cluster.wait_running("goes")
        restart(cluster, **{"eviction-hard": f"nodefs.available<{ABSURD}"})
        made = evicted(cluster, "goes")
        assert made["status"]["message"].startswith("The node was low on resource: ephemeral-storage. Threshold quantity: 100000Gi, available: ")
        wait_for("the condition", lambda: conditions(cluster)["DiskPressure"]["status"] == "True", 15, 0.2)
        assert conditions(cluster)["DiskPressure"]["reason"] == "KubeletHasDiskPressure"
        # What the ended one wrote is gone; how it ended is still told.
        big = lambda: [path for path in cluster.data_dir.glob("containers/*/upper/big")]
        wait_for("the end of what ended containers wrote", lambda: not big(), 20, 0.2)
        assert cluster.pod("ended")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
        # Under this pressure all but the critical are refused.
        cluster.apply(pod("refused", nodeName="node-1", tolerations=[{"operator": "Exists"}], resources={"requests": {"cpu": "1m"}}))
        assert cluster.wait_ended("refused")["status"]["message"] == "Pod was rejected: The node had condition: [DiskPressure]. "
        assert cluster.pod("stays")["status"]["phase"] == "Running"
        cluster.k("delete", "pod", "--all", timeout=60)
        cluster.stop()
        assert cluster.leftovers() == []


def test_a_soft_threshold_waits_and_gives_grace():
    with short_of("", **{"eviction-soft": f"pid.available<{ABSURD}", "eviction-soft-grace-period": "pid.available=3s", "eviction-max-pod-grace-period": "5"}) as cluster:
        wait_for("the condition", lambda: conditions(cluster)["PIDPressure"]["status"] == "True", 15, 0.1)
        cluster.apply(pod("polite", "sh", "-c", "trap 'echo bye; exit 7' TERM; echo here; while :; do sleep 0.1; done", terminationGracePeriodSeconds=20,
                          tolerations=[{"operator": "Exists"}], priorityClassName="system-node-critical"))
        cluster.wait_running("polite")
        restart(cluster, **{"eviction-soft": "", "eviction-soft-grace-period": ""})
        wait_for("the end of the pressure", lambda: conditions(cluster)["PIDPressure"]["status"] == "False", 20, 0.1)
        cluster.apply(pod("trapped", "sh", "-c", "trap 'echo bye; exit 7' TERM; echo here; while :; do sleep 0.1; done", terminationGracePeriodSeconds=20))
        cluster.wait_running("trapped")
        wait_for("its trap", lambda: cluster.k("logs", "trapped") == "here\n", 10, 0.1)
        restart(cluster, **{"eviction-soft": f"pid.available<{ABSURD}", "eviction-soft-grace-period": "pid.available=3s"})
        made = evicted(cluster, "trapped")
        assert made["status"]["message"].startswith("The node was low on resource: pids. Threshold quantity: 100000Gi, available: ")
        made = cluster.wait_pod("trapped", lambda p: p["status"]["containerStatuses"][0]["state"].get("terminated"), "terminated")
        assert made["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7, "it had time to end by itself"
        cluster.k("delete", "pod", "--all", timeout=60)


@pytest.fixture(scope="module")
def limited():
    with short_of("") as cluster:
        yield cluster


WRITES = "sleep 1; head -c 6000000 /dev/zero > {}/big; sleep 3600"


@pytest.mark.parametrize("name, where, limits, volume, says", [
    ("volume", "/scratch", {}, {"sizeLimit": "2Mi"}, 'Usage of EmptyDir volume "scratch" exceeds the limit "2Mi". '),
    ("layer", "", {"ephemeral-storage": "2Mi"}, {}, "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "),
    ("whole", "/scratch", {"ephemeral-storage": "2Mi"}, {}, "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "),
])
def test_a_pod_that_writes_more_than_it_may_is_evicted(limited, name, where, limits, volume, says):
    limited.apply(pod(name, "sh", "-c", WRITES.format(where), resources={"limits": limits}, volumes=[{"name": "scratch", "emptyDir": volume}],
                      volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}]))
    made = evicted(limited, name)
    assert made["status"]["phase"] == "Failed" and made["status"]["message"] == says
    assert condition(made, "DisruptionTarget") is None, "it was its own fault"
    uid = made["metadata"]["uid"]
    wait_for("what it wrote to go", lambda: not (limited.data_dir / "pods" / uid).exists() and not list(limited.data_dir.glob("containers/*/upper/big")), 20, 0.2)
    limited.k("delete", "pod", name, timeout=30)


def test_one_container_may_be_over_its_own_limit_alone(limited):
    made = pod("pair", "sh", "-c", WRITES.format(""), resources={"limits": {"ephemeral-storage": "2Mi"}})
    made["spec"]["containers"].append({"name": "calm", "image": "estiba/busybox:test", "command": ["sleep", "3600"], "resources": {"limits": {"ephemeral-storage": "1Gi"}}})
    limited.apply(made)
    assert evicted(limited, "pair")["status"]["message"] == 'Container main exceeded its local ephemeral storage limit "2Mi". '


def test_evictions_by_limits_are_counted(limited):
    counted = {name.split('"')[1]: value for name, value in metrics(limited).items() if name.startswith("kubelet_evictions{")}
    assert set(counted) == {"emptydirfs.limit", "ephemeralpodfs.limit", "ephemeralcontainerfs.limit"} and min(counted.values()) >= 1


def test_who_stays_within_his_limits_stays(limited):
    limited.apply(pod("modest", "sh", "-c", WRITES.format("/scratch"), resources={"limits": {"ephemeral-storage": "50Mi"}}, volumes=[{"name": "scratch", "emptyDir": {"sizeLimit": "20Mi"}}],
                      volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}]))
    limited.wait_running("modest")
    limited.apply(pod("witness", "sh", "-c", WRITES.format(""), resources={"limits": {"ephemeral-storage": "2Mi"}}))
    evicted(limited, "witness")  # the node has looked since
    assert limited.pod("modest")["status"]["phase"] == "Running"


@pytest.mark.parametrize("flag, value, says", [
    ("eviction-hard", "memory<1Gi", '--eviction-hard: "memory" is not a signal'),
    ("eviction-soft", "memory.available<1Gi", "--eviction-soft: memory.available needs a grace period in --eviction-soft-grace-period"),
    ("image-gc-low-threshold", "90", "--image-gc-low-threshold (90) must be below --image-gc-high-threshold (85)"),
])
def test_a_wrong_flag_is_named(limited, flag, value, says):
    refused = limited.estiba("server", f"--{flag}={value}", check=False)
    assert refused.returncode and says in refused.stderr
