"""Less common ways of kubectl, with the oldest and the newest program."""
import json
import os
import re
import subprocess

import pytest

import cluster as support
from cluster import wait_for
from manifests import deployment, pod
from test_kubectl import fails, k8s, lines_until, running, started  # noqa: F401 (a fixture)

OBJECTS = [
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}},
    {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cj"}, "spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}}}},
    {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "ss"}, "spec": {"replicas": 0, "serviceName": "ss", "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}}},
    {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "ds"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"nodeSelector": {"no": "where"}, "containers": [{"name": "c", "image": "x"}]}}}},
    {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "ing"}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}},
    {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np"}, "spec": {"podSelector": {}}},
    {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "pdb"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "pvc"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "rq"}, "spec": {"hard": {"pods": "100"}}},
    {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "lr"}, "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]}},
    {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "hpa"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec"}, "data": {"a": "Yg=="}},
    {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "rc"}, "spec": {"replicas": 0, "selector": {"a": "b"}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}}},
    {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}},
]


def test_every_common_kind_is_applied_shown_and_described(k8s):
    kinds = [made for made in OBJECTS if k8s.minor >= 21 or made["kind"] not in ("CronJob", "PodDisruptionBudget")]
    k8s.apply(*kinds)
    stable = ",".join(made["kind"].lower() for made in kinds if made["kind"] in ("ConfigMap", "Secret", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "Role", "Lease", "LimitRange"))
    revisions = lambda: {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in k8s.get("-n", k8s.ns, stable)["items"]}
    before = revisions()
    # kubectl itself sends a PodDisruptionBudget's selector each time: its patch strategy is to replace.
    assert k8s.apply(*kinds).count("unchanged") >= len(kinds) - 1
    assert revisions() == before
    for made in kinds:
        kind, name = made["kind"].lower(), made["metadata"]["name"]
        assert re.search(rf"^{name} ", k8s.k("get", kind), re.M), kind
        assert re.search(rf"^Name: +{name}$", k8s.k("describe", kind, name), re.M), kind
    assert k8s.k("delete", ",".join(made["kind"].lower() for made in kinds), "--all").count("deleted") >= len(kinds)


def test_create_of_other_kinds(k8s):
    k = k8s.k
    k("create", "cronjob", "cj", "--image=x", "--schedule=0 0 1 1 *") if k8s.minor >= 21 else None
    k("create", "ingress", "ing", "--rule=a.b/*=svc:80") if k8s.minor >= 21 else None
    k("create", "poddisruptionbudget", "pdb", "--selector=a=b", "--min-available=1") if k8s.minor >= 21 else None
    k("create", "secret", "docker-registry", "d", "--docker-server=a", "--docker-username=b", "--docker-password=c")
    k("create", "service", "nodeport", "np", "--tcp=80:80"), k("create", "service", "externalname", "en", "--external-name=a.b")
    k("create", "clusterrole", f"{k8s.ns}-cr", "--verb=get", "--resource=nodes"), k("create", "clusterrolebinding", f"{k8s.ns}-crb", f"--clusterrole={k8s.ns}-cr", f"--serviceaccount={k8s.ns}:default")
    k("create", "priorityclass", f"{k8s.ns}-pc", "--value=10")
    assert k("auth", "can-i", "get", "nodes", f"--as=system:serviceaccount:{k8s.ns}:default").startswith("yes")
    for kind, name in (("clusterrole", "cr"), ("clusterrolebinding", "crb"), ("priorityclass", "pc")):
        k("delete", kind, f"{k8s.ns}-{name}")
    result = support.run(k8s.kubectl_command("-n", k8s.ns, "create", "-f", "-", "-o", "name"), input=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}}))
    assert re.match(r"configmap/gen-\w{5}\n", result.stdout)


def test_files_directories_and_kustomizations(k8s, tmp_path):
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {set: one}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, labels: {set: one}}\n")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\nnamePrefix: k-\n")
    assert k8s.k("apply", "-f", str(tmp_path / "a.yaml")).count("created") == 2
    assert k8s.k("apply", "-k", str(tmp_path)).count("created") == 2
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {set: one}}\n")
    pruned = k8s.k("apply", "-f", str(tmp_path / "a.yaml"), "--prune", "-l", "set=one", *(["--prune-whitelist=core/v1/ConfigMap"] if k8s.minor < 26 else ["--prune-allowlist=core/v1/ConfigMap"]))
    assert "configmap/b pruned" in pruned
    assert k8s.k("replace", "--force", "-f", str(tmp_path / "a.yaml")).endswith("configmap/a replaced\n")
    assert "deleted" in k8s.k("delete", "-f", str(tmp_path / "a.yaml"))
    assert "not found" in fails(k8s, "delete", "-f", str(tmp_path / "a.yaml")) and k8s.k("delete", "-f", str(tmp_path / "a.yaml"), "--ignore-not-found") == ""


def test_logs_of_owners_and_labels(k8s):
    k8s.apply(deployment("web", 2, "sh", "-c", "echo from $HOSTNAME; sleep 3600"), pod("ends", "sh", "-c", "echo 1; sleep 1; echo 2", restartPolicy="Never"))
    k8s.k("rollout", "status", "deployment/web", "--timeout=30s")
    assert k8s.k("logs", "deployment/web").startswith("from web-")
    prefixed = k8s.k("logs", "-l", "app=web", "--prefix")
    assert len(re.findall(r"^\[pod/web-\S+/main\] from web-", prefixed, re.M)) == 2
    k8s.wait_pod("ends", lambda p: p["status"].get("phase") in ("Running", "Succeeded"), "running")
    assert k8s.k("logs", "-f", "ends") == "1\n2\n"  # and ends with it


def test_logs_that_are_not_there(k8s):
    k8s.apply(pod("bad", image="estiba/none:1", imagePullPolicy="Never"), pod("far", nodeSelector={"no": "where"}))
    running(k8s)
    k8s.wait_pod("bad", lambda p: "ErrImageNeverPull" in json.dumps(p["status"]), "ErrImageNeverPull")
    assert 'container "main" in pod "bad" is waiting to start: ErrImageNeverPull' in fails(k8s, "logs", "bad")
    assert 'previous terminated container "main" in pod "box" not found' in fails(k8s, "logs", "-p", "box")
    assert "does not have a host assigned" in fails(k8s, "logs", "far")
    assert "not running" in fails(k8s, "exec", "bad", "--", "true")


def test_debug_of_a_node(k8s):
    # Its hostPath volume has the type "", which means that nothing is checked.
    made = re.search(r"node-debugger-\S+", k8s.k("debug", "node/node-1", "--image=estiba/busybox:test", "--", "ls", "/host/proc")).group(0)
    ended = k8s.wait_ended(made)
    assert ended["status"]["phase"] == "Succeeded" and "cpuinfo" in k8s.k("logs", made)


def test_exec_that_cannot_run(k8s):
    running(k8s)
    result = support.run(k8s.kubectl_command("-n", k8s.ns, "exec", "box", "--", "/no/such"), check=False, timeout=30)
    assert result.returncode != 0 and "no such file" in result.stderr.lower() + result.stdout.lower(), result
    assert "none" in fails(k8s, "exec", "box", "-c", "none", "--", "true")
    k8s.apply(pod("later", initContainers=[{"name": "wait", "image": "estiba/busybox:test", "command": ["sleep", "3600"]}]))
    k8s.wait_pod("later", lambda p: p["status"].get("initContainerStatuses", [{}])[0].get("state", {}).get("running"), "initialising")
    fails(k8s, "exec", "later", "-c", "main", "--", "true")
    assert k8s.k("exec", "later", "-c", "wait", "--", "echo", "in") == "in\n"
    data = bytes(range(256)) * 4000
    done = subprocess.run(k8s.kubectl_command("-n", k8s.ns, "exec", "-i", "box", "--", "sh", "-c", "cat; echo err >&2"), input=data, capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == (data, b"err\n")


def test_many_execs_at_once(k8s):
    running(k8s)
    processes = [subprocess.Popen(k8s.kubectl_command("-n", k8s.ns, "exec", "box", "--", "sh", "-c", f"sleep 0.3; echo {i}; exit {i}"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for i in range(8)]
    for i, process in enumerate(processes):
        assert process.communicate(timeout=60)[0] == f"{i}\n" and process.returncode == i


def test_waiting_for_a_field(k8s):
    if k8s.minor < 23:
        pytest.skip("--for=jsonpath came with 1.23")
    k8s.apply(pod("box"))
    assert "condition met" in k8s.k("wait", "--for=jsonpath={.status.phase}=Running", "pod/box", "--timeout=30s")


def test_proxy(k8s):
    with started(k8s, "proxy", "--port=0") as proxying:
        port = re.search(r"127\.0\.0\.1:(\d+)", lines_until(proxying, r"127\.0\.0\.1:\d+")).group(1)
        assert '"gitVersion"' in k8s.sandbox.inside(["curl", "-sS", "--max-time", "5", f"http://127.0.0.1:{port}/version"]).stdout


def test_clients_that_go_away_leave_nothing_behind(k8s):
    running(k8s, "box", "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    descriptors = lambda: len(os.listdir(f"/proc/{k8s.server_pid()}/fd"))
    before = descriptors()
    for _ in range(5):
        with started(k8s, "logs", "-f", "box") as following:
            lines_until(following, "tick")
        with started(k8s, "get", "pods", "-w") as watching:
            lines_until(watching, "box")
    wait_for("the connections to be closed", lambda: descriptors() <= before + 2, 15)
