"""Static pods: from files, by the server's node and by an agent's, and their mirrors in the API."""
import json
import os

import pytest

import cluster as support
from cluster import wait_for
from fleet import Fleet
from manifests import pod


@pytest.fixture(scope="module")
def home():
    with support.Cluster() as cluster:
        cluster.manifests = cluster.dir / "manifests"
        cluster.manifests.mkdir()
        cluster.flags["pod-manifest-path"] = cluster.manifests
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        cluster.ns = "default"
        yield cluster
        for path in cluster.manifests.iterdir():
            path.unlink()
        wait_for("the end of all static pods", lambda: not cluster.get("pods", "-A")["items"], 20, 0.1)
        cluster.stop()
        assert cluster.leftovers() == []


def write(directory, name, manifest):
    """Whole at once, as editors and configuration tools do it."""
    hidden = directory / f".{name}"
    hidden.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    os.rename(hidden, directory / name)


def running(made):
    return made["status"].get("phase") == "Running" and all(c["ready"] for c in made["status"].get("containerStatuses", []))


def mirror(cluster, name, condition=running, seconds=30):
    """Waits until the mirror is there (it may go and come) and `condition` holds; returns it."""
    def check():
        text = cluster.k("get", "pod", name, "--ignore-not-found", "-o", "json")
        made = json.loads(text) if text.strip() else None
        return made if made and condition(made) else None
    return wait_for(f"mirror {name}", check, seconds, 0.05)


def gone(cluster, name):
    return lambda: not cluster.k("get", "pod", name, "--ignore-not-found")


def node_events(cluster):
    return [e for e in cluster.get("events", "-A")["items"] if e["involvedObject"]["kind"] == "Node" and e["reason"] == "FailedValidation"]


def container(made):
    return made["status"]["containerStatuses"][0]["containerID"]


def test_a_pod_of_a_file_runs_and_its_mirror_shows_it(home):
    write(home.manifests, "web.json", pod("web", "sh", "-c", "echo $NAME of $NODE; sleep 3600", env=[
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]))
    made = mirror(home, "web-node-1")
    annotations = made["metadata"]["annotations"]
    assert annotations["kubernetes.io/config.source"] == "file"
    assert annotations["kubernetes.io/config.mirror"] == annotations["kubernetes.io/config.hash"] and len(annotations["kubernetes.io/config.hash"]) == 32
    node = home.get("node", "node-1")
    assert made["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": node["metadata"]["uid"], "controller": True}]
    assert {"operator": "Exists", "effect": "NoExecute"} in made["spec"]["tolerations"]
    assert made["spec"]["nodeName"] == "node-1" and made["status"]["qosClass"] == "BestEffort"
    wait_for("its log", lambda: home.k("logs", "web-node-1") == "web-node-1 of node-1\n", 10, 0.1)
    assert home.k("exec", "web-node-1", "--", "echo", "inside") == "inside\n"
    # kubectl looks for its events by the uid that its node knows it by.
    wait_for("its events", lambda: "Started" in home.k("describe", "pod", "web-node-1"), 10, 0.2)


def test_a_mirror_that_is_deleted_is_made_anew_and_the_pod_runs_on(home):
    before = mirror(home, "web-node-1")
    home.k("delete", "pod", "web-node-1", "--wait=false")
    after = mirror(home, "web-node-1", lambda made: made["metadata"]["uid"] != before["metadata"]["uid"] and "containerStatuses" in made["status"])
    assert container(after) == container(before) and after["status"]["containerStatuses"][0]["restartCount"] == 0
    assert after["status"]["startTime"] == before["status"]["startTime"]
    # What is changed by hand stands until then: the pod follows its file alone.
    home.k("label", "pod", "web-node-1", "more=here")
    home.k("delete", "pod", "web-node-1", "--force", "--grace-period=0")
    mirror(home, "web-node-1", lambda made: "more" not in made["metadata"]["labels"])


def test_a_changed_file_is_another_pod_and_a_removed_one_none(home):
    before = mirror(home, "web-node-1")
    write(home.manifests, "web.json", pod("web", "sh", "-c", "echo second; sleep 3600"))
    after = mirror(home, "web-node-1", lambda made: made["metadata"]["uid"] != before["metadata"]["uid"] and made["status"]["phase"] == "Running")
    assert after["metadata"]["annotations"]["kubernetes.io/config.hash"] != before["metadata"]["annotations"]["kubernetes.io/config.hash"]
    wait_for("its log", lambda: home.k("logs", "web-node-1") == "second\n", 10, 0.1)
    # The same words in another form are the same pod.
    text = json.loads((home.manifests / "web.json").read_text())
    write(home.manifests, "web.json", "# a comment\n" + json.dumps(text, indent=2))
    write(home.manifests, "other.json", pod("other"))
    mirror(home, "other-node-1")
    assert container(home.pod("web-node-1")) == container(after)
    os.unlink(home.manifests / "other.json")
    wait_for("the end of the other", gone(home, "other-node-1"), 20, 0.1)
    os.unlink(home.manifests / "web.json")
    wait_for("the end", gone(home, "web-node-1"), 20, 0.1)
    assert not [line for line in home.sandbox.processes() if "sleep 3600" in line]


def test_what_is_wrong_is_told_by_file_and_field_and_disturbs_no_other(home):
    reference = pod("reads", volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    bad = pod("bad")
    bad["spec"]["containers"][0]["imagePullPolicy"] = "Sometimes"
    nameless = pod("nameless")
    del nameless["spec"]["containers"][0]["name"]
    write(home.manifests, "good.json", pod("good"))
    for name, manifest, says in (
            ("reference.json", reference, "static pods may not reference secrets"),
            ("account.json", pod("account", serviceAccountName="default"), "static pods may not reference serviceaccounts"),
            ("bad.json", bad, "spec.containers[0].imagePullPolicy"),
            ("nameless.json", nameless, "spec.containers[0].name"),
            ("two.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\n", "document"),
            ("no.yaml", "a: [", "YAML line 2, column 1"),
            ("twin.json", pod("good", "sleep", "1000"), f"is in {home.manifests}/good.json already")):
        write(home.manifests, name, manifest)
        message = wait_for(f"an event about {name}", lambda: next((e["message"] for e in node_events(home) if f"{home.manifests}/{name}: " in e["message"]), None), 15, 0.1)
        assert says in message
    (home.manifests / "folder").mkdir()
    mirror(home, "good-node-1")
    assert [made["metadata"]["name"] for made in home.get("pods", "-A")["items"]] == ["good-node-1"]
    # Mended, it runs.
    bad["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    write(home.manifests, "bad.json", bad)
    mirror(home, "bad-node-1")
    (home.manifests / "folder").rmdir()
    for path in home.manifests.iterdir():
        path.unlink()
    for name in ("good-node-1", "bad-node-1"):
        wait_for(f"the end of {name}", gone(home, name), 20, 0.1)


def test_critical_pods_find_room(home):
    """Pods end so that a static one can run: as few as can be, guaranteed ones last, critical ones never."""
    allocatable = home.get("node", "node-1")["status"]["allocatable"]["cpu"]
    cpu = int(allocatable[:-1]) if allocatable.endswith("m") else int(allocatable) * 1000
    part = lambda percent: {"cpu": f"{cpu * percent // 100}m"}
    ends = {"terminationGracePeriodSeconds": 1}
    sure = {"cpu": part(40)["cpu"], "memory": "20Mi"}
    home.apply(pod("sure", resources={"requests": sure, "limits": sure}, **ends), pod("burst", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", resources={"requests": part(30)}, **ends),
               pod("light", **ends), pod("vital", resources={"requests": part(10)}, priorityClassName="system-cluster-critical", **ends))
    for name in ("sure", "burst", "light", "vital"):
        home.wait_running(name)
    write(home.manifests, "needy.json", pod("needy", resources={"requests": part(40)}))
    needy = mirror(home, "needy-node-1")
    gone_ = home.pod("burst")
    assert (gone_["status"]["phase"], gone_["status"]["reason"], gone_["status"]["message"]) == ("Failed", "Preempting", "Preempted in order to admit critical pod")
    disruption = next(c for c in gone_["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (disruption["status"], disruption["reason"], disruption["message"]) == ("True", "TerminationByKubelet", "Pod was preempted by Kubelet to accommodate a critical pod.")
    ended = gone_["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    assert ended <= needy["status"]["containerStatuses"][0]["state"]["running"]["startedAt"], "it started before there was room"
    told = wait_for("the event", lambda: [e for e in home.get("events")["items"] if e["reason"] == "Preempting"], 20, 0.2)
    assert [(e["involvedObject"]["name"], e["type"], e["message"]) for e in told] == [("burst", "Warning", "Preempted in order to admit critical pod")]
    for name in ("sure", "light", "vital"):
        assert running(home.pod(name)), name
    metrics = home.k("get", "--raw", "/api/v1/nodes/node-1/proxy/metrics")
    assert 'kubelet_preemptions{preemption_signal="cpu"} 1' in metrics.splitlines()
    # The same holds for pods of the API that name their node; one for which all would not do fails, and nobody ends for its sake.
    home.apply(pod("too-much", resources={"requests": part(95)}, priorityClassName="system-node-critical", nodeName="node-1"))
    failed = home.wait_pod("too-much", lambda p: p["status"]["phase"] == "Failed", "refused")
    assert failed["status"]["reason"] == "UnexpectedAdmissionError"
    assert failed["status"]["message"].startswith("Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: ")
    for name in ("sure", "light", "vital"):
        assert running(home.pod(name)), name
    home.apply(pod("node-vital", resources={"requests": part(45)}, priorityClassName="system-node-critical", nodeName="node-1"))
    home.wait_running("node-vital")
    assert home.pod("sure")["status"]["reason"] == "Preempting" and running(home.pod("vital")) and running(home.pod("light"))
    os.unlink(home.manifests / "needy.json")
    wait_for("its end", gone(home, "needy-node-1"), 20, 0.1)
    for name in ("sure", "burst", "light", "vital", "too-much", "node-vital"):
        home.k("delete", "pod", name)


def test_a_server_that_comes_back_finds_its_static_pods(home):
    write(home.manifests, "kept.json", pod("kept", "sh", "-c", "echo $$; exec sleep 3600", priorityClassName="system-node-critical"))
    write(home.manifests, "late.json", pod("late"))
    before = mirror(home, "kept-node-1")
    assert before["spec"]["priority"] == 2000001000
    mirror(home, "late-node-1")
    home.kill9()
    os.unlink(home.manifests / "late.json")
    home.start()
    wait_for("the end of what has no file any more", gone(home, "late-node-1"), 20, 0.1)
    after = mirror(home, "kept-node-1")
    assert container(after) == container(before) and after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    os.unlink(home.manifests / "kept.json")
    wait_for("the end", gone(home, "kept-node-1"), 20, 0.1)


def test_an_agent_runs_them_while_its_server_is_away():
    with Fleet(links=(0,)) as fleet:
        manifests = fleet.cluster.dir / "manifests"
        manifests.mkdir()
        fleet.cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        fleet.start()
        agent = fleet.agents["node-2"]
        agent.import_image(support.busybox_image(), "estiba/busybox:test")
        fleet.wait_ready("node-2")
        agent.stop()
        fleet.cluster.stop()
        # The machine comes up alone: what has a file runs.
        agent.flags["pod-manifest-path"] = manifests
        write(manifests, "alone.json", pod("alone", "sh", "-c", "echo 1 > /tmp/here; sleep 4321"))
        agent.start(wait=False)
        there = lambda: [line for line in agent.machine.processes() if "sleep 4321" in line]
        wait_for("the static pod without a server", there, 30, 0.1)
        write(manifests, "second.json", pod("second", "sleep", "1234"))
        wait_for("a second one", lambda: [line for line in agent.machine.processes() if "sleep 1234" in line], 20, 0.1)
        fleet.cluster.start()
        fleet.cluster.ns = "default"
        made = mirror(fleet.cluster, "alone-node-2", seconds=60)
        assert made["status"]["podIP"] and made["metadata"]["ownerReferences"][0]["uid"] == fleet.node("node-2")["metadata"]["uid"]
        mirror(fleet.cluster, "second-node-2", seconds=60)
        assert len(there()) == 1
        for path in manifests.iterdir():
            path.unlink()
        wait_for("the end", lambda: not fleet.cluster.get("pods", "-A")["items"], 20, 0.1)
        assert not there()
