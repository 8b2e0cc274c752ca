"""Pods that come and go, and what a node holds: nothing may be left of those that went."""
import json
import os
import time

from cluster import pss_kib, wait_for

PODS = "/api/v1/namespaces/default/pods"
SETTLED = 30  # seconds until what is done after the answer is done


def pod(name):
    """With all that a pod may leave behind: a file system in memory, files of a ConfigMap, a token, a place in a Service, and a process that has children."""
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("map", "memory", "disk")]
    container = {"name": "main", "image": "estiba/busybox:test", "volumeMounts": mounts, "ports": [{"containerPort": 80}],
                 "command": ["sh", "-c", "sleep 1000 & sleep 1000 & trap 'exit 0' TERM; echo started; echo x > /memory/x; echo x > /disk/x; wait"]}
    volumes = [{"name": "map", "configMap": {"name": "soak"}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}, {"name": "disk", "emptyDir": {}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "soak"}},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": [container], "volumes": volumes}}


def prepare(cluster):
    def make(path, body):
        status, answer = cluster.request("POST", f"/api/v1/namespaces/default/{path}", body)
        assert status == 201, answer
    wait_for("the default account", lambda: cluster.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200)
    make("configmaps", {"metadata": {"name": "soak"}, "data": {"key": "value"}})
    make("services", {"metadata": {"name": "soak"}, "spec": {"selector": {"app": "soak"}, "ports": [{"port": 80}]}})


def wave(cluster, names):
    """Makes these pods, waits until all run, deletes them and waits until all are gone."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod(name) for name in names]})
    cluster.kubectl("create", "-f", "-", input=text)
    listed = lambda: cluster.request("GET", f"{PODS}?labelSelector=app=soak")[1]["items"]
    wait_for("all pods to run", lambda: sum(item["status"].get("phase") == "Running" for item in listed()) == len(names), 60, 0.05)
    status, answer = cluster.request("DELETE", f"{PODS}?labelSelector=app=soak")
    assert status == 200, answer
    wait_for("all pods to go", lambda: not listed(), 60, 0.05)


def holdings(cluster):
    """What the node holds, by kind; of everything but memory a list or a count that must be as before."""
    inside = lambda *command: cluster.sandbox.inside(list(command), check=False).stdout
    server = cluster.server_pid()
    groups = sum(len(folders) for root in cluster.cgroups() for _, folders, _ in os.walk(root))
    tree = lambda path: int(inside("sh", "-c", f"find {path} 2>/dev/null | wc -l").strip())
    return {"processes": len(cluster.sandbox.processes()), "mounts": inside("cat", "/proc/self/mountinfo").count("\n"),
            "interfaces": len(json.loads(inside("ip", "-j", "link"))), "addresses": inside("ip", "-4", "route").count("\n"),
            "network namespaces": inside("sh", "-c", "ls /run/estiba/netns 2>/dev/null").count("\n"), "control groups": groups,
            "nftables": inside("nft", "list", "ruleset").count(","), "descriptors": len(os.listdir(f"/proc/{server}/fd")), "threads": len(os.listdir(f"/proc/{server}/task")),
            "files of pods": tree("/run/estiba/pods /run/estiba/volumes"), "files of containers": tree(f"{cluster.data_dir}/containers {cluster.data_dir}/pods"),
            "logs": tree("/var/log/pods /var/log/containers")}


def memory(cluster):
    """MiB that the server has for itself (PSS)."""
    return pss_kib(cluster.server_pid()) / 1024


def heap(cluster):
    """MiB that the server's program has allocated, whatever its allocator keeps beside it."""
    text = cluster.kubectl("get", "--raw", "/metrics")
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("estiba_heap_allocated_bytes ")) / 2**20


def forgotten(cluster, megabytes, seconds=420):
    """MiB allocated once the pods' events are deleted and the store's five minutes of history are over, as soon as that is at most so much."""
    status, answer = cluster.request("DELETE", "/api/v1/namespaces/default/events")
    assert status == 200, answer
    end = time.monotonic() + seconds
    while (now := heap(cluster)) > megabytes and time.monotonic() < end:
        time.sleep(5)
    return now


def soak(cluster, waves, at_once, each=lambda done: None):
    """(holdings before, holdings after, MiB before, MiB after) of `waves` times `at_once` pods; a first wave makes what is made once."""
    wave(cluster, [f"warm-{n}" for n in range(at_once)])
    before = settled(cluster, None)
    memory_before = memory(cluster)
    for number in range(waves):
        wave(cluster, [f"soak-{number}-{n}" for n in range(at_once)])
        each((number + 1) * at_once)
    return before, settled(cluster, before), memory_before, memory(cluster)


def settled(cluster, wanted):
    """Holdings that are at most as wanted (threads may have ended), or (None) that stay the same for a second; what they are after SETTLED
    seconds if that never happens."""
    end, last = time.monotonic() + SETTLED, None
    while time.monotonic() < end:
        now = holdings(cluster)
        if all(count <= wanted[kind] for kind, count in now.items()) if wanted else now == last:
            return now
        last = now
        time.sleep(1)
    return last
