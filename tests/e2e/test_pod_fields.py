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
