"""Fields of a pod that change how its containers run, restart, end and are told of."""
import hashlib
import io
import json
import pathlib
import tarfile

import pytest

import cluster as support
from cluster import wait_for
from manifests import pod

BOX = "estiba/busybox:test"


def main(pod_):
    return pod_["status"]["containerStatuses"][0]


def condition(pod_, kind):
    return next((c for c in pod_["status"].get("conditions", []) if c["type"] == kind), None)


def container(name, script, **more):
    return {"name": name, "image": BOX, "command": ["sh", "-c", script], **more}


# --- stop signals ---

HEARS = "for s in TERM QUIT USR1; do trap \"echo $s > /dev/termination-log; exit 0\" $s; done; echo ready; while :; do sleep 0.05; done"


def heard(cluster, name):
    """What a pod's container says of the signal that has ended it."""
    wait_for(f"{name} to listen", lambda: "ready" in cluster.k("logs", name, check=False))
    cluster.k("delete", "pod", name, "--wait=false")
    return cluster.wait_pod(name, lambda p: main(p)["state"].get("terminated"), "ended")


@pytest.fixture
def kept():
    """Metadata by which a pod stays in the API after its end until the test has looked at it."""
    return {"finalizers": ["test.estiba.dev/look"]}


def release(cluster, *names):
    for name in names:
        cluster.k("patch", "pod", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def image_with_settings(target, name, **config):
    """busybox as docker save writes it, with a configuration of its own."""
    layer = pathlib.Path(support.busybox_image()).read_bytes()
    settings = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}
    parts = {"manifest.json": json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode(), "config.json": json.dumps(settings).encode(), "layer.tar": layer}
    with tarfile.open(target, "w") as made:
        for path, data in parts.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))


def test_the_stop_signal_is_the_pods_or_the_images(cluster, kept, tmp_path):
    quits = tmp_path / "quits.tar"
    image_with_settings(quits, "estiba/quits:test", StopSignal="SIGQUIT")
    cluster.import_image(quits, "estiba/quits:test")
    made = [pod("own", "sh", "-c", HEARS, image="estiba/quits:test", os={"name": "linux"}, lifecycle={"stopSignal": "SIGUSR1"}),
            pod("image", "sh", "-c", HEARS, image="estiba/quits:test"), pod("usual", "sh", "-c", HEARS)]
    for one in made:
        one["metadata"].update(kept)
    cluster.apply(*made)
    for name, signal in (("own", "SIGUSR1"), ("image", "SIGQUIT"), ("usual", "SIGTERM")):
        assert main(cluster.wait_running(name))["stopSignal"] == signal
        assert main(heard(cluster, name))["state"]["terminated"]["message"].strip() == signal[3:]
    release(cluster, "own", "image", "usual")


@pytest.mark.parametrize("lifecycle,more,says", [
    ({"stopSignal": "SIGUSR1"}, {}, "may not be set for containers with empty `spec.os.name`"),
    ({"stopSignal": "SIGNONE"}, {"os": {"name": "linux"}}, 'Unsupported value: "SIGNONE": supported values: "SIGABRT"'),
    ({"stopSignal": "USR1"}, {"os": {"name": "linux"}}, 'Unsupported value: "USR1"'),
])
def test_stop_signals_are_checked(cluster, lifecycle, more, says):
    refused = cluster.apply(pod("bad", lifecycle=lifecycle, **more), check=False).stderr
    assert "spec.containers[0].lifecycle.stopSignal" in refused and says in refused, refused


# --- restart policies of containers ---

def test_a_container_has_a_restart_policy_of_its_own(cluster):
    made = pod("mixed", "sh", "-c", "sleep 0.2; exit 1", restartPolicy="Never")
    made["spec"]["containers"] += [container("tries", "exit 3", restartPolicy="OnFailure"), container("once", "exit 5", restartPolicy="Never")]
    cluster.apply(made)
    seen = cluster.wait_pod("mixed", lambda p: any(c["name"] == "tries" and c["restartCount"] >= 1 for c in p["status"].get("containerStatuses", []))
                            and all(c["state"].get("terminated") for c in p["status"]["containerStatuses"] if c["name"] != "tries"), "one restarted")
    assert seen["status"]["phase"] == "Running"
    assert [c["restartCount"] for c in seen["status"]["containerStatuses"] if c["name"] != "tries"] == [0, 0]


def test_rules_by_exit_code_decide_before_the_policy(cluster):
    """An exit that a rule names restarts a container that else never does; another ends the pod."""
    script = "n=$(cat /data/n 2>/dev/null || echo 0); echo $((n+1)) > /data/n; [ $n = 0 ] && exit 42; exit 7"
    made = pod("ruled", "sh", "-c", script, restartPolicy="Never", volumes=[{"name": "data", "emptyDir": {}}], volumeMounts=[{"name": "data", "mountPath": "/data"}])
    made["spec"]["containers"][0].update(restartPolicy="Never", restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}])
    made["spec"]["initContainers"] = [container("first", "n=$(cat /data/i 2>/dev/null || echo 0); echo $((n+1)) > /data/i; [ $n = 0 ] && exit 9; exit 0", restartPolicy="Never",
                                                restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0, 1]}}], volumeMounts=[{"name": "data", "mountPath": "/data"}])]
    cluster.apply(made)
    ended = cluster.wait_ended("ruled")
    assert ended["status"]["phase"] == "Failed"
    assert (main(ended)["restartCount"], main(ended)["state"]["terminated"]["exitCode"], main(ended)["lastState"]["terminated"]["exitCode"]) == (1, 7, 42)
    first = ended["status"]["initContainerStatuses"][0]
    assert (first["restartCount"], first["state"]["terminated"]["exitCode"]) == (1, 0)


def test_one_exit_restarts_all_containers(cluster):
    """KEP 5532: all are killed and removed, and the pod begins with its init containers again, in the same sandbox."""
    count = "n=$(cat /data/{0} 2>/dev/null || echo 0); echo $((n+1)) > /data/{0}; "
    mounts = [{"name": "data", "mountPath": "/data"}]
    made = pod("again", "sh", "-c", count.format("main") + "[ $n = 0 ] && { until [ -e /data/beside ]; do sleep 0.05; done; exit 88; }; sleep 3600", restartPolicy="Never",
               volumes=[{"name": "data", "emptyDir": {}}], volumeMounts=mounts)
    made["spec"]["containers"][0].update(restartPolicy="Never", restartPolicyRules=[{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}])
    made["spec"]["containers"].append(container("beside", count.format("beside") + "sleep 3600", volumeMounts=mounts))
    made["spec"]["initContainers"] = [container("init", count.format("init"), volumeMounts=mounts),
                                      container("side", count.format("side") + "sleep 3600", restartPolicy="Always", volumeMounts=mounts)]
    cluster.apply(made)
    again = cluster.wait_pod("again", lambda p: p["status"].get("phase") == "Running" and all(c["restartCount"] == 1 and c["state"].get("running") for c in p["status"]["containerStatuses"]), "all again")
    assert {name: cluster.k("exec", "again", "-c", "main", "--", "cat", f"/data/{name}").strip() for name in ("init", "side", "main", "beside")} == dict.fromkeys(("init", "side", "main", "beside"), "2")
    for status in again["status"]["containerStatuses"] + again["status"]["initContainerStatuses"]:
        assert status["lastState"]["terminated"]["reason"] == "RestartingAllContainers" and status["lastState"]["terminated"]["exitCode"] == 137, status
    assert condition(again, "AllContainersRestarting")["status"] == "False"


def test_a_container_killed_by_its_probe_starts_again_whatever_code_it_ends_with(cluster):
    """With OnFailure an exit by 0 is an end, but not when a probe has caused it."""
    script = "[ -e /data/ran ] && touch /data/well; touch /data/ran; trap 'exit 0' TERM; while :; do sleep 0.05; done"
    cluster.apply(pod("polite", "sh", "-c", script, restartPolicy="OnFailure", volumes=[{"name": "data", "emptyDir": {}}], volumeMounts=[{"name": "data", "mountPath": "/data"}],
                      livenessProbe={"exec": {"command": ["test", "-e", "/data/well"]}, "periodSeconds": 1, "failureThreshold": 1}))
    again = cluster.wait_pod("polite", lambda p: p["status"].get("containerStatuses") and main(p)["restartCount"] == 1 and main(p)["state"].get("running"), "restarted")
    assert again["status"]["phase"] == "Running" and main(again)["lastState"]["terminated"]["exitCode"] == 0


# --- users and groups ---

def image_with_a_member(target):
    """busybox, whose user alice (1000) is of the group extra (5000) too."""
    with tarfile.open(support.busybox_image()) as source, tarfile.open(target, "w") as made:
        for entry in source:
            text = {"./etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:alice:/home:/bin/sh\n", "./etc/group": b"root:x:0:\nalice:x:1000:\nextra:x:5000:alice\n"}.get(entry.name)
            if text:
                entry.size = len(text)
            made.addfile(entry, io.BytesIO(text) if text else source.extractfile(entry) if entry.isfile() else None)


def test_groups_of_the_image_and_whom_a_container_runs_as(cluster, tmp_path):
    """The image's /etc/group is read or left out; the status says which numbers came out of it."""
    image_with_a_member(tmp_path / "members.tar")
    cluster.import_image(tmp_path / "members.tar", "estiba/members:test")
    for policy, groups in (("Merge", [1000, 3003, 5000]), ("Strict", [1000, 3003])):
        name = policy.lower()
        made = pod(name, "sh", "-c", "id -G; sleep 3600", image="estiba/members:test")
        made["spec"]["securityContext"] = {"runAsUser": 1000, "supplementalGroups": [3003], "supplementalGroupsPolicy": policy}
        cluster.apply(made)
        assert main(cluster.wait_running(name))["user"]["linux"] == {"uid": 1000, "gid": 1000, "supplementalGroups": groups}
        wait_for("the groups", lambda: cluster.k("logs", name))
        assert sorted(map(int, cluster.k("logs", name).split())) == groups


def test_a_volume_is_given_to_the_group_each_time_or_when_its_root_is_not_yet_its(cluster):
    """fsGroupChangePolicy: what is in a volume already is given to the pod's group, unless its root shows that this was done."""
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    cluster.apply(claim)

    def run(name, script, **security):
        made = pod(name, "sh", "-c", script, restartPolicy="Never", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}], volumeMounts=[{"name": "data", "mountPath": "/data"}])
        made["spec"]["securityContext"] = security
        cluster.apply(made)
        cluster.wait_ended(name)
        said = cluster.k("logs", name).split()
        cluster.k("delete", "pod", name)
        return said

    assert run("first", "cd /data; mkdir sub; echo 1 > sub/file; chmod 600 sub/file; stat -c %g:%a sub/file") == ["0:600"]
    assert run("second", "cd /data; stat -c %g:%a sub/file; stat -c %g:%a sub", fsGroup=1234) == ["1234:660", "1234:2775"]
    assert run("third", "cd /data; stat -c %g sub/file; chgrp 0 sub/file", fsGroup=1234, fsGroupChangePolicy="OnRootMismatch") == ["1234"]
    assert run("fourth", "cd /data; stat -c %g sub/file", fsGroup=1234, fsGroupChangePolicy="OnRootMismatch") == ["0"]
    assert run("fifth", "cd /data; stat -c %g sub/file", fsGroup=1235, fsGroupChangePolicy="OnRootMismatch") == ["1235"]


# --- resources ---

V2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()


def group(cluster, name, container=False):
    """What the control group of a pod, or of its first container, is limited to: memory and a CPU quota in microseconds of 100 ms, and its shares."""
    pod_ = cluster.pod(name)
    path = f"pod{pod_['metadata']['uid']}"
    if container:
        path += "/" + main(pod_)["containerID"].removeprefix("estiba://")
    read = lambda controller, file: next(p for root in cluster.cgroups() for p in root.rglob(file) if str(p.parent).endswith(path) and (V2 or f"/{controller}/" in str(p))).read_text().split()[0]
    if V2:
        return read("", "memory.max"), read("", "cpu.max"), read("", "cpu.weight")
    return read("memory", "memory.limit_in_bytes"), read("cpu", "cpu.cfs_quota_us"), read("cpu", "cpu.shares")


def resize(cluster, name, edit):
    """Writes a pod's resize subresource, which old kubectls cannot patch."""
    now = cluster.pod(name)
    edit(now["spec"])
    cluster.kubectl("replace", "--raw", f"/api/v1/namespaces/{cluster.ns}/pods/{name}/resize", "-f", "-", input=json.dumps(now))


def set_main(**resources):
    return lambda spec: spec["containers"][0].update(resources=resources)


def test_a_pod_has_resources_of_its_own(cluster):
    """KEP 2837: the pod's group, its class, and the limit that a container without one sees are those of the pod."""
    made = pod("whole")
    made["spec"]["resources"] = {"requests": {"cpu": "200m", "memory": "96Mi"}, "limits": {"cpu": "200m", "memory": "96Mi"}}
    made["spec"]["containers"].append(container("small", "sleep 3600", resources={"limits": {"memory": "32Mi"}, "requests": {"memory": "16Mi"}}))
    cluster.apply(made)
    there = cluster.wait_running("whole")["status"]
    assert there["qosClass"] == "Guaranteed"
    assert there["resources"] == {"requests": {"cpu": "200m", "memory": "96Mi"}, "limits": {"cpu": "200m", "memory": "96Mi"}} and there["allocatedResources"] == {"cpu": "200m", "memory": "96Mi"}
    assert group(cluster, "whole")[:2] == (str(96 << 20), "20000") and group(cluster, "whole", True)[:2] == (str(96 << 20), "20000")
    assert cluster.k("exec", "whole", "--", "cat", "/proc/1/oom_score_adj").strip() in ("-997", "0")  # a machine may not let it be lowered
    # and they are changed in place
    resize(cluster, "whole", lambda spec: spec.update(resources={"requests": {"cpu": "300m", "memory": "128Mi"}, "limits": {"cpu": "300m", "memory": "128Mi"}}))
    cluster.wait_pod("whole", lambda p: p["status"]["resources"]["limits"] == {"cpu": "300m", "memory": "128Mi"} and not condition(p, "PodResizeInProgress"), "resized")
    assert group(cluster, "whole")[:2] == (str(128 << 20), "30000") and group(cluster, "whole", True)[:2] == (str(128 << 20), "30000")
    assert [c["restartCount"] for c in cluster.pod("whole")["status"]["containerStatuses"]] == [0, 0]


def test_the_overhead_of_a_runtime_class_is_the_pods(cluster):
    name = f"{cluster.ns}-costly"
    cluster.apply({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "estiba-oci", "overhead": {"podFixed": {"cpu": "50m", "memory": "8Mi"}}})
    try:
        cluster.apply(pod("costly", runtimeClassName=name, resources={"requests": {"cpu": "100m", "memory": "24Mi"}, "limits": {"cpu": "150m", "memory": "24Mi"}}))
        there = cluster.wait_running("costly")["status"]
        assert there["allocatedResources"] == {"cpu": "150m", "memory": "32Mi"}
        assert group(cluster, "costly")[:2] == (str(32 << 20), "20000") and group(cluster, "costly", True)[:2] == (str(24 << 20), "15000")
    finally:
        cluster.kubectl("delete", "runtimeclass", name)


def test_resizes_wait_for_room_and_the_higher_priority_gets_it_first(cluster):
    """What does not fit now is deferred, keeps what it has, and is granted when another pod needs less: by priority, not by who came first."""
    allocatable = cluster.get("node", "node-1")["status"]["allocatable"]["cpu"]
    free = int(allocatable[:-1]) if allocatable.endswith("m") else int(allocatable) * 1000
    name = f"{cluster.ns}-high"
    cluster.apply({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000, "preemptionPolicy": "Never"})
    try:
        asks = lambda cpu: {"requests": {"cpu": f"{cpu}m"}}
        cluster.apply(pod("holder", resources=asks(free - 250)), pod("low", resources=asks(100)), pod("high", resources=asks(100), priorityClassName=name))
        for one in ("holder", "low", "high"):
            cluster.wait_running(one, 90)
        for one in ("low", "high"):
            resize(cluster, one, set_main(requests={"cpu": "250m"}))
            waits = cluster.wait_pod(one, lambda p: condition(p, "PodResizePending"), "PodResizePending")
            told = condition(waits, "PodResizePending")
            assert (told["status"], told["reason"], told["observedGeneration"]) == ("True", "Deferred", 2)
            assert told["message"] == f"Node didn't have enough resource: cpu, requested: 250, used: {free - 150}, capacity: {free}"
            assert main(waits)["allocatedResources"] == {"cpu": "100m"} and main(waits)["resources"]["requests"] == {"cpu": "100m"}
        resize(cluster, "holder", set_main(requests={"cpu": f"{free - 400}m"}))
        granted = cluster.wait_pod("high", lambda p: main(p)["resources"]["requests"] == {"cpu": "250m"}, "resized")
        assert not condition(granted, "PodResizePending")
        assert condition(cluster.pod("low"), "PodResizePending")["reason"] == "Deferred"
        cluster.k("delete", "pod", "holder")
        cluster.wait_pod("low", lambda p: main(p)["resources"]["requests"] == {"cpu": "250m"} and not condition(p, "PodResizePending"), "resized")
        reasons = {event["reason"]: event["message"] for event in cluster.get("-n", cluster.ns, "events", "--field-selector", "involvedObject.name=low")["items"]}
        assert reasons["ResizeDeferred"].startswith('Pod resize Deferred: {"containers":[{"name":"main","resources":{"requests":{"cpu":"250m"}}}],"generation":2,"error":"Node didn')
        assert {"ResizeStarted", "ResizeCompleted"} <= set(reasons)
    finally:
        cluster.kubectl("delete", "priorityclass", name)


def test_the_scheduler_counts_what_a_pod_has_until_it_has_given_it_back(cluster):
    """What a resize is to take away stays taken while it cannot be: a pod that would need it waits, and is placed when it is free."""
    allocatable = cluster.get("node", "node-1")["status"]["allocatable"]["memory"]
    free = int(allocatable.removesuffix("Ki")) >> 10
    big, small = f"{free - 200}Mi", "20Mi"
    asks = lambda amount: {"requests": {"memory": amount}, "limits": {"memory": amount}}
    cluster.apply(pod("keeper", "sh", "-c", "dd if=/dev/zero of=/dev/shm/fill bs=1M count=40 2>/dev/null; echo full; sleep 3600", resources=asks(big)))
    cluster.wait_running("keeper", 90)
    wait_for("the memory to be filled", lambda: "full" in cluster.k("logs", "keeper"))
    resize(cluster, "keeper", set_main(**asks(small)))
    cluster.wait_pod("keeper", lambda p: (condition(p, "PodResizeInProgress") or {}).get("reason") == "Error", "an error")
    cluster.apply(pod("waiter", resources=asks("400Mi")))
    waits = cluster.wait_pod("waiter", lambda p: (condition(p, "PodScheduled") or {}).get("status") == "False", "no place")
    assert "Insufficient memory" in condition(waits, "PodScheduled")["message"]
    cluster.k("exec", "keeper", "--", "rm", "/dev/shm/fill")
    cluster.wait_pod("keeper", lambda p: main(p)["resources"]["limits"] == {"memory": small}, "resized", 60)
    cluster.wait_running("waiter", 90)


def test_a_memory_limit_below_what_is_used_is_an_error_that_is_told(cluster):
    cluster.apply(pod("full", "sh", "-c", "dd if=/dev/zero of=/dev/shm/fill bs=1M count=40 2>/dev/null; echo full; sleep 3600", resources={"requests": {"memory": "80Mi"}, "limits": {"memory": "80Mi"}}))
    cluster.wait_running("full")
    wait_for("the memory to be filled", lambda: "full" in cluster.k("logs", "full"))
    resize(cluster, "full", set_main(requests={"memory": "20Mi"}, limits={"memory": "20Mi"}))
    told = condition(cluster.wait_pod("full", lambda p: (condition(p, "PodResizeInProgress") or {}).get("reason") == "Error", "an error"), "PodResizeInProgress")
    assert "cannot decrease memory limits: " in told["message"] and 'attempting to set container "main" memory limit (20971520) below current usage (' in told["message"]
    there = cluster.pod("full")
    assert main(there)["allocatedResources"] == {"memory": "20Mi"} and main(there)["resources"]["limits"] == {"memory": "80Mi"} and main(there)["restartCount"] == 0
    cluster.k("exec", "full", "--", "rm", "/dev/shm/fill")
    cluster.wait_pod("full", lambda p: main(p)["resources"]["limits"] == {"memory": "20Mi"} and not condition(p, "PodResizeInProgress"), "resized", 60)


# --- names, environments, devices, profiles, and what cannot be honoured ---

def events(cluster, name):
    return {event["reason"]: event["message"] for event in cluster.get("-n", cluster.ns, "events", "--field-selector", f"involvedObject.name={name}")["items"]}


def test_a_host_name_as_it_is_asked_for(cluster):
    cluster.apply(pod("named", "sh", "-c", "hostname; grep named /etc/hosts", restartPolicy="Never", hostname="other", subdomain="sub", hostnameOverride="www.named.example"))
    cluster.wait_ended("named")
    name, hosts = cluster.k("logs", "named").splitlines()
    assert name == "www.named.example" and hosts.split()[1:] == ["www.named.example"]


def test_a_sidecars_port_of_the_node(cluster):
    made = pod("beside")
    made["spec"]["initContainers"] = [container("side", "mkdir /www; echo side > /www/index.html; exec busybox httpd -f -p 8080 -h /www", restartPolicy="Always", ports=[{"containerPort": 8080, "hostPort": 21019}])]
    cluster.apply(made)
    address = cluster.wait_running("beside")["status"]["hostIP"]
    wait_for("the page", lambda: cluster.fetch(f"http://{address}:21019/") == "side\n")


def test_variables_from_a_file_that_an_init_container_writes(cluster):
    """KEP 3721: the file need not be mounted where its values are used."""
    def made(name, text, **reference):
        one = pod(name, "sh", "-c", "echo [$WORD]", restartPolicy="Never", volumes=[{"name": "conf", "emptyDir": {}}],
                  env=[{"name": "WORD", "valueFrom": {"fileKeyRef": {"volumeName": "conf", "path": "my.env", "key": "WORD", **reference}}}])
        one["spec"]["initContainers"] = [container("writes", f"printf %s \"{text}\" > /conf/my.env", volumeMounts=[{"name": "conf", "mountPath": "/conf"}])]
        return one
    cluster.apply(made("there", "# words\nOTHER='x'\nWORD='two words'\n"), made("free", "OTHER='x'\n", optional=True), made("none", "OTHER='x'\n"), made("wrong", "WORD=x\n"))
    for name, says in (("there", "[two words]\n"), ("free", "[]\n")):
        cluster.wait_ended(name)
        assert cluster.k("logs", name) == says
    for name, why in (("none", 'environment variable key "WORD" not found in file "my.env" of volume "conf"'), ("wrong", "line 1: value must be enclosed in single quotes")):
        waits = main(cluster.wait_pod(name, lambda p: main(p)["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError", "waiting"))
        assert why in waits["state"]["waiting"]["message"]


def test_a_block_device_of_a_volume(cluster, tmp_path):
    """A device of the machine as a local volume: it is a device in the container too, and no file system."""
    device = f"/tmp/{cluster.ns}-device"
    cluster.sandbox.inside(["mknod", device, "b", "7", "200"])
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": cluster.ns},
              "spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Block", "storageClassName": "", "local": {"path": device}, "claimRef": {"name": "raw", "namespace": cluster.ns},
                       "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}]}}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "raw"},
             "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Block", "storageClassName": "", "volumeName": cluster.ns, "resources": {"requests": {"storage": "1Mi"}}}}
    try:
        made = pod("raw", "sh", "-c", "ls -l /dev/raw0", restartPolicy="Never", volumes=[{"name": "raw", "persistentVolumeClaim": {"claimName": "raw"}}])
        made["spec"]["containers"][0]["volumeDevices"] = [{"name": "raw", "devicePath": "/dev/raw0"}]
        mounted = pod("mounted", restartPolicy="Never", volumes=[{"name": "raw", "persistentVolumeClaim": {"claimName": "raw"}}], volumeMounts=[{"name": "raw", "mountPath": "/raw"}])
        cluster.apply(volume, claim, made, mounted)
        cluster.wait_ended("raw")
        said = cluster.k("logs", "raw")
        assert said.startswith("b") and "7, 200" in said, said
        waits = main(cluster.wait_pod("mounted", lambda p: main(p)["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError", "waiting"))
        assert "volume raw has volumeMode Block, but is specified in volumeMounts" in waits["state"]["waiting"]["message"]
    finally:
        cluster.k("delete", "pod", "raw", "mounted", "--ignore-not-found")
        cluster.kubectl("delete", "pv", cluster.ns, "--wait=false")
        cluster.sandbox.inside(["rm", "-f", device])


def test_a_seccomp_profile_of_the_node(cluster):
    folder = pathlib.Path(cluster.data_dir) / "seccomp/own"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "no-mkdir.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    bound = lambda path: {"seccompProfile": {"type": "Localhost", "localhostProfile": path}}
    cluster.apply(pod("bound", "sh", "-c", "mkdir /tmp/a; echo $?", restartPolicy="Never", securityContext=bound("own/no-mkdir.json")), pod("none", securityContext=bound("own/none.json")))
    cluster.wait_ended("bound")
    assert cluster.k("logs", "bound").endswith("\n1\n")
    waits = main(cluster.wait_pod("none", lambda p: main(p)["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError", "waiting"))
    assert 'localhostProfile "own/none.json": there is no such file' in waits["state"]["waiting"]["message"]


def test_a_debug_container_sees_the_processes_of_its_target(cluster):
    cluster.apply(pod("watched", "sleep", "3601"))
    now = cluster.wait_running("watched")
    now["spec"]["ephemeralContainers"] = [{"name": "debug", "image": BOX, "command": ["sh", "-c", "ps; sleep 3600"], "targetContainerName": "main"}]
    cluster.kubectl("replace", "--raw", f"/api/v1/namespaces/{cluster.ns}/pods/watched/ephemeralcontainers", "-f", "-", input=json.dumps(now))
    wait_for("the list of processes", lambda: "sleep 3601" in cluster.k("logs", "watched", "-c", "debug", check=False))


def test_what_a_node_cannot_honour_is_named(cluster):
    name = f"{cluster.ns}-other"
    cluster.apply({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "gvisor"})
    try:
        armoured, labelled, claiming = pod("armoured", securityContext={"appArmorProfile": {"type": "RuntimeDefault"}}), pod("labelled", securityContext={"seLinuxOptions": {"level": "s0:c0,c1"}}), pod("claiming")
        claiming["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimName": "gpu"}]
        claiming["spec"]["nodeName"] = "node-1"
        cluster.apply(armoured, labelled, claiming, pod("elsewhere", runtimeClassName=name), pod("windows", os={"name": "windows"}, nodeName="node-1"),
                      pod("shared", volumes=[{"name": "v", "nfs": {"server": "x", "path": "/"}}], volumeMounts=[{"name": "v", "mountPath": "/v"}]))
        for refused, reason, says in (("armoured", "AppArmor", "spec.containers[0].securityContext.appArmorProfile"), ("windows", "PodOSNotSupported", "OS field")):
            status = cluster.wait_ended(refused)["status"]
            assert status["phase"] == "Failed" and status["reason"] == reason and says in status["message"], status
        told = condition(cluster.wait_running("labelled"), "estiba.dev/FieldsNotHonoured")
        assert told["status"] == "True" and told["message"] == "spec.containers[0].securityContext.seLinuxOptions: this node does not use SELinux"
        assert events(cluster, "labelled")["FieldsNotHonoured"] == told["message"]
        wait_for("the event", lambda: "Failed to prepare dynamic resources: " in events(cluster, "claiming").get("FailedPrepareDynamicResources", ""))
        wait_for("the event", lambda: 'no runtime for handler "gvisor" is configured' in events(cluster, "elsewhere").get("FailedCreatePodSandBox", ""))
        wait_for("the event", lambda: "nfs: this node knows" in events(cluster, "shared").get("FailedMount", ""))
    finally:
        cluster.kubectl("delete", "runtimeclass", name)
