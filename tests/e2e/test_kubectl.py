"""Unmodified kubectl, verb by verb: all with the oldest and the newest program of this machine, the everyday ones with every one."""
import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

import cluster as support
from cluster import wait_for
from manifests import WEB, config_map, deployment, pod, service


def version_of(path):
    text = support.run([path, "version", "--client", "-o", "json"], check=False).stdout
    match = re.search(r'"gitVersion":\s*"v1\.(\d+)', text)
    return int(match.group(1)) if match else 0


PROGRAMS = {}
for program in support.kubectls():
    PROGRAMS.setdefault(version_of(program), program)
ORDERED = sorted(PROGRAMS)
ENDS = sorted({ORDERED[0], ORDERED[-1]}) if ORDERED else []


def with_kubectl(cluster, version):
    before = cluster.kubectl_path
    cluster.kubectl_path, cluster.minor = PROGRAMS[version], version
    yield cluster
    cluster.kubectl_path = before


@pytest.fixture(params=ENDS, ids=lambda v: f"1.{v}")
def k8s(request, cluster):
    yield from with_kubectl(cluster, request.param)


@pytest.fixture(params=ORDERED, ids=lambda v: f"1.{v}")
def every(request, cluster):
    yield from with_kubectl(cluster, request.param)


@contextlib.contextmanager
def started(cluster, *arguments, **options):
    """kubectl in the test's namespace as a process that the block talks to."""
    process = subprocess.Popen(cluster.kubectl_command("-n", cluster.ns, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        os.set_blocking(process.stdout.fileno(), True)
        process.communicate()


def lines_until(process, pattern, seconds=20):
    """What the process prints until a line matches."""
    seen, end = "", time.monotonic() + seconds
    os.set_blocking(process.stdout.fileno(), False)
    while time.monotonic() < end:
        select.select([process.stdout.fileno()], [], [], 0.2)
        with contextlib.suppress(BlockingIOError):
            seen += os.read(process.stdout.fileno(), 65536).decode()
        if re.search(pattern, seen, re.M):
            return seen
        if process.poll() is not None and not select.select([process.stdout.fileno()], [], [], 0)[0]:
            break
    raise AssertionError(f"no {pattern!r} in {seen!r} (exit {process.poll()})")


def fails(cluster, *arguments):
    result = support.run(cluster.kubectl_command("-n", cluster.ns, *arguments), check=False, timeout=60)
    assert result.returncode != 0, result.stdout
    return result.stderr


def running(cluster, name="box", *command, **spec):
    cluster.apply(pod(name, *command, **spec))
    return cluster.wait_running(name)


# -- with every program -----------------------------------------------------------------------------------------------


def test_everyday_commands(every):
    made = config_map("conf", colour="blue")
    assert "configmap/conf created" in every.apply(made)
    assert "configmap/conf unchanged" in every.apply(made)
    made["data"] = {"shape": "round"}
    assert "configmap/conf configured" in every.apply(made)
    assert json.loads(every.k("get", "configmap", "conf", "-o", "json"))["data"] == {"shape": "round"}  # colour was pruned
    running(every, "box", "sh", "-c", "echo hello; sleep 3600")
    assert re.match(r"NAME +READY +STATUS +RESTARTS +AGE\nbox +1/1 +Running +0 +\S+\n", every.k("get", "pods"))
    wide = every.k("get", "pods", "-o", "wide").splitlines()
    assert wide[0].split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"] and "node-1" in wide[1]
    assert every.k("logs", "box") == "hello\n"
    assert every.k("exec", "box", "--", "sh", "-c", "echo to $0 from; exit 0", "here") == "to here from\n"
    assert support.run(every.kubectl_command("-n", every.ns, "exec", "-i", "box", "--", "cat"), input="through\n", timeout=30).stdout == "through\n"
    assert support.run(every.kubectl_command("-n", every.ns, "exec", "box", "--", "sh", "-c", "exit 7"), check=False).returncode == 7
    assert "Node:" in every.k("describe", "pod", "box") and "node-1" in every.k("describe", "pod", "box")
    assert "pods" in every.k("api-resources")
    assert "containers" in every.k("explain", "pod.spec")
    assert 'pod "box" deleted' in every.k("delete", "pod", "box", "--grace-period=1")
    assert 'pods "box" not found' in fails(every, "get", "pod", "box")


# -- reading ----------------------------------------------------------------------------------------------------------


def test_get_in_all_forms(k8s):
    running(k8s, labels={"app": "box", "tier": "one"})
    get = lambda *arguments: k8s.k("get", *arguments)
    assert get("pods", "-o", "name") == "pod/box\n"
    assert get("pod", "box", "-o", "jsonpath={.spec.containers[0].name}") == "main"
    assert get("pods", "-o", "custom-columns=N:.metadata.name,T:.metadata.labels.tier").split() == ["N", "T", "box", "one"]
    assert get("pods", "-o", "go-template={{range .items}}{{.metadata.name}}{{end}}") == "box"
    assert "\n  name: box\n" in get("pod", "box", "-o", "yaml")
    assert get("pods", "-L", "tier", "--show-labels", "--no-headers").split()[-2:] == ["one", "app=box,tier=one"]
    assert get("pods", "-l", "tier=two") == "" and get("pods", "-l", "tier in (one)", "-o", "name") == "pod/box\n"
    assert get("pods", "--field-selector", "status.phase=Running", "-o", "name") == "pod/box\n"
    assert get("pods", "--sort-by", ".metadata.creationTimestamp", "-o", "name") == "pod/box\n"
    assert get("po/box", "cm/kube-root-ca.crt", "-o", "name") == "pod/box\nconfigmap/kube-root-ca.crt\n"
    assert k8s.ns in k8s.kubectl("get", "pods", "-A") and "pod/box" in get("all")
    assert get("--raw", f"/api/v1/namespaces/{k8s.ns}/pods/box").startswith("{")
    assert get("pods", "--chunk-size=1", "-o", "name") == "pod/box\n"
    assert "NotFound" in fails(k8s, "get", "pod", "none") and "doesn't have a resource type" in fails(k8s, "get", "wombats")


def test_get_watches(k8s):
    with started(k8s, "get", "pods", "-w") as watching:
        time.sleep(0.3)
        k8s.apply(pod("box"))
        seen = lines_until(watching, r"^box +1/1 +Running")
        assert seen.startswith("NAME ") and seen.count("NAME ") == 1
        k8s.k("delete", "pod", "box", "--wait=false")
        lines_until(watching, r"Terminating|Completed|Error")
    with started(k8s, "get", "configmaps", "--watch-only", "-o", "name") as watching:
        wait_for("the watch", lambda: k8s.apply(config_map("c" + str(time.monotonic_ns()))) and select.select([watching.stdout.fileno()], [], [], 0.3)[0], 20)
        lines_until(watching, "^configmap/c")


def test_describe(k8s):
    k8s.apply(deployment("web", 1, *WEB, readinessProbe={"tcpSocket": {"port": 8080}}, env=[{"name": "A", "value": "1"}]), service("web"))
    k8s.k("rollout", "status", "deployment/web", "--timeout=30s")
    name = k8s.get("-n", k8s.ns, "pods")["items"][0]["metadata"]["name"]
    text = k8s.k("describe", "pod", name)
    for part in ("Status: +Running", "Controlled By: +ReplicaSet/web-", "Ready +True", "A: +1", "Readiness: +tcp-socket", "Scheduled", "Started"):
        assert re.search(part, text), (part, text)
    text = k8s.k("describe", "deployment", "web")
    assert re.search(r"1 desired \| 1 updated \| 1 total \| 1 available", text) and re.search(r"ScalingReplicaSet", text), text
    ip = k8s.pod(name)["status"]["podIP"]
    assert wait_for("the endpoint", lambda: f"{ip}:8080" in k8s.k("describe", "service", "web"), 10)
    text = k8s.kubectl("describe", "node", "node-1")
    for part in (r"Ready +True", "InternalIP", "Capacity:", name, "Allocated resources"):
        assert re.search(part, text), (part, text)
    assert re.search(r"Status: +Active", k8s.kubectl("describe", "namespace", k8s.ns))
    assert "Data" in k8s.k("describe", "configmap", "kube-root-ca.crt") and "default" in k8s.k("describe", "serviceaccounts")


def test_documentation_and_discovery(k8s):
    text = k8s.k("explain", "pod.spec.containers")
    assert "image" in text and "FIELD" in text and "<string>" in text
    assert "replicas" in k8s.k("explain", "deployments.spec") and "KIND:" in k8s.k("explain", "service", "--recursive")
    assert "does not exist" in fails(k8s, "explain", "pod.spec.nothing")
    rows = {row.split()[0]: row for row in k8s.k("api-resources").splitlines()}
    assert " deploy " in rows["deployments"] and "Deployment" in rows["deployments"]
    assert k8s.k("api-resources", "--namespaced=false", "-o", "name").split().count("nodes") == 1
    assert "pods.metrics.k8s.io" in k8s.k("api-resources", "-o", "name")
    assert {"v1", "apps/v1", "rbac.authorization.k8s.io/v1"} <= set(k8s.k("api-versions").split())
    assert "is running at" in k8s.k("cluster-info")
    assert "1.36" in k8s.k("version", "-o", "json")


def test_events(k8s):
    running(k8s)
    wait_for("the events", lambda: "Scheduled" in k8s.k("get", "events") and "Started" in k8s.k("get", "events"), 10)
    if k8s.minor >= 26:
        assert "Started" in k8s.k("events", "--for", "pod/box")


# -- making and changing ----------------------------------------------------------------------------------------------


def test_apply_prunes_what_it_no_longer_names(k8s):
    made = deployment("web", 0, env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    k8s.apply(made)
    k8s.k("label", "deployment", "web", "other=kept")
    del made["spec"]["template"]["spec"]["containers"][0]["env"][0]
    made["metadata"]["annotations"] = {"note": "x"}
    assert "configured" in k8s.apply(made)
    found = k8s.get("-n", k8s.ns, "deployment", "web")
    assert found["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "B", "value": "2"}] and found["metadata"]["labels"] == {"other": "kept"}
    assert "unchanged" in k8s.apply(made)
    if shutil.which("diff"):
        text = json.dumps(made)
        diff = lambda t: support.run(k8s.kubectl_command("-n", k8s.ns, "diff", "-f", "-"), input=t, check=False)
        assert (diff(text).returncode, diff(text).stdout) == (0, "")
        changed = diff(text.replace('"note": "x"', '"note": "y"'))
        assert changed.returncode == 1 and re.search(r"^\+ +note: \"?y", changed.stdout, re.M), changed
    apply = lambda *arguments: support.run(k8s.kubectl_command("-n", k8s.ns, "apply", "-f", "-", *arguments), input=json.dumps({**made, "metadata": {"name": "two"}}))
    assert "created (server dry run)" in apply("--dry-run=server").stdout and "not found" in fails(k8s, "get", "deployment", "two")


def test_create_and_expose(k8s):
    k = k8s.k
    k("create", "deployment", "web", "--image=estiba/busybox:test", "--replicas=1", "--", "sleep", "3600")
    k("create", "configmap", "c", "--from-literal=a=1")
    k("create", "secret", "generic", "s", "--from-literal=password=x")
    k("create", "service", "clusterip", "direct", "--tcp=80:8080")
    k("create", "serviceaccount", "robot"), k("create", "quota", "q", "--hard=pods=10"), k("create", "job", "j", "--image=estiba/busybox:test", "--", "true")
    k("expose", "deployment", "web", "--port=80", "--target-port=8080")
    k("create", "role", "r", "--verb=get", "--resource=pods"), k("create", "rolebinding", "rb", "--role=r", f"--serviceaccount={k8s.ns}:robot")
    assert k8s.get("-n", k8s.ns, "secret", "s")["data"] == {"password": "eA=="}
    exposed = k8s.get("-n", k8s.ns, "service", "web")["spec"]
    assert exposed["ports"][0]["targetPort"] == 8080 and exposed["selector"] == {"app": "web"}
    k("rollout", "status", "deployment/web", "--timeout=30s")
    assert k("auth", "can-i", "get", "pods", f"--as=system:serviceaccount:{k8s.ns}:robot") == "yes\n"
    assert "already exists" in fails(k8s, "create", "configmap", "c")
    if k8s.minor >= 24:
        assert k("create", "token", "robot").count(".") == 2


def test_run_and_attach(k8s):
    assert "pod/once created" in k8s.k("run", "once", "--image=estiba/busybox:test", "--restart=Never", "--", "sh", "-c", "echo ran")
    k8s.wait_ended("once")
    assert k8s.k("logs", "once") == "ran\n"
    result = support.run(k8s.kubectl_command("-n", k8s.ns, "run", "piped", "-i", "--rm", "--quiet", "--image=estiba/busybox:test", "--restart=Never", "--", "sh", "-c", "read x; echo got $x"), input="word\n", timeout=60)
    assert "got word" in result.stdout
    assert "not found" in fails(k8s, "get", "pod", "piped")


def test_scale_and_set_image(k8s):
    k8s.apply(deployment("web", 1, "sleep", "3600"))
    k8s.k("scale", "deployment/web", "--replicas=2")
    k8s.k("rollout", "status", "deployment/web", "--timeout=30s")
    assert k8s.get("-n", k8s.ns, "deployment", "web")["status"]["readyReplicas"] == 2
    fails(k8s, "scale", "deployment/web", "--current-replicas=5", "--replicas=1")
    k8s.k("set", "image", "deployment/web", "main=estiba/python:test"), k8s.k("set", "env", "deployment/web", "A=1")
    k8s.k("set", "resources", "deployment/web", "--requests=cpu=10m")
    container = k8s.get("-n", k8s.ns, "deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"], container["resources"]) == ("estiba/python:test", [{"name": "A", "value": "1"}], {"requests": {"cpu": "10m"}})


def test_rollouts(k8s):
    k = k8s.k
    k8s.apply(deployment("web", 2, "sh", "-c", "trap 'exit 0' TERM; echo one; while :; do sleep 0.1; done"))
    assert "successfully rolled out" in k("rollout", "status", "deployment/web", "--timeout=30s")
    k8s.apply(deployment("web", 2, "sh", "-c", "trap 'exit 0' TERM; echo two; while :; do sleep 0.1; done"))
    k("annotate", "deployment/web", "kubernetes.io/change-cause=second")
    assert "successfully rolled out" in k("rollout", "status", "deployment/web", "--timeout=30s")
    wait_for("the history", lambda: re.search(r"1 .*\n2 +second", k("rollout", "history", "deployment/web")), 10)
    assert "echo two" in k("rollout", "history", "deployment/web", "--revision=2") or "Pod Template" in k("rollout", "history", "deployment/web", "--revision=2")
    assert "rolled back" in k("rollout", "undo", "deployment/web")
    k("rollout", "status", "deployment/web", "--timeout=30s")
    assert "echo one" in json.dumps(k8s.get("-n", k8s.ns, "deployment", "web")["spec"])
    assert "paused" in k("rollout", "pause", "deployment/web") and k8s.get("-n", k8s.ns, "deployment", "web")["spec"]["paused"]
    assert "resumed" in k("rollout", "resume", "deployment/web")
    before = {p["metadata"]["uid"] for p in k8s.get("-n", k8s.ns, "pods")["items"]}
    assert "restarted" in k("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in k("rollout", "status", "deployment/web", "--timeout=30s")
    wait_for("new pods alone", lambda: not before & {p["metadata"]["uid"] for p in k8s.get("-n", k8s.ns, "pods")["items"]}, 15)


def test_label_annotate_patch_edit_replace(k8s, tmp_path):
    k = k8s.k
    k8s.apply(config_map("c", a="1"))
    k("label", "configmap", "c", "x=1", "y=2"), k("label", "configmap", "c", "x-"), k("annotate", "configmap", "c", "note=hi")
    assert "--overwrite" in fails(k8s, "label", "configmap", "c", "y=3")
    k("patch", "configmap", "c", "-p", '{"data":{"b":"2"}}'), k("patch", "configmap", "c", "--type=merge", "-p", '{"data":{"a":null}}')
    k("patch", "configmap", "c", "--type=json", "-p", '[{"op":"add","path":"/data/c","value":"3"}]')
    found = k8s.get("-n", k8s.ns, "configmap", "c")
    assert found["data"] == {"b": "2", "c": "3"} and found["metadata"]["labels"] == {"y": "2"} and found["metadata"]["annotations"]["note"] == "hi"
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/b: \"2\"/b: \"edited\"/' \"$1\"\n")
    editor.chmod(0o755)
    assert "edited" in k("edit", "configmap", "c", env={**os.environ, "KUBE_EDITOR": str(editor)})
    found = k8s.get("-n", k8s.ns, "configmap", "c")
    assert found["data"]["b"] == "edited"
    found["data"] = {"z": "9"}
    support.run(k8s.kubectl_command("-n", k8s.ns, "replace", "-f", "-"), input=json.dumps(found))
    assert k8s.get("-n", k8s.ns, "configmap", "c")["data"] == {"z": "9"}


def test_delete_by_label_and_wait(k8s):
    for name in ("a", "b"):
        k8s.apply(pod(name, "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done", labels={"app": "x"}))
    assert k8s.k("wait", "--for=condition=Ready", "pod", "-l", "app=x", "--timeout=30s").count("condition met") == 2
    assert k8s.k("delete", "pods", "-l", "app=x").count("deleted") == 2
    assert k8s.k("get", "pods") == ""
    k8s.apply(pod("c", "sleep", "3600"), deployment("web", 1, "sleep", "3600"))
    k8s.k("wait", "--for=condition=available", "deployment/web", "--timeout=30s")
    with started(k8s, "wait", "--for=delete", "pod/c", "--timeout=30s") as waiting:
        k8s.k("delete", "pod", "c", "--now", "--wait=false")
        assert waiting.wait(30) == 0
    assert "timed out" in fails(k8s, "wait", "--for=condition=Never", "deployment/web", "--timeout=1s")
    k8s.k("delete", "deployment", "web", "--cascade=" + ("orphan"))
    assert "replicaset.apps/web-" in k8s.k("get", "replicasets", "-o", "name")


# -- into containers --------------------------------------------------------------------------------------------------


def test_logs(k8s):
    both = pod("box", "sh", "-c", "for i in 1 2 3; do echo line $i; done; sleep 2; echo late; sleep 3600")
    both["spec"]["containers"].append({"name": "side", "image": "estiba/busybox:test", "command": ["sh", "-c", "echo aside; sleep 3600"]})
    k8s.apply(both)
    k8s.wait_running("box")
    logs = lambda *arguments: k8s.k("logs", "box", *arguments)
    with started(k8s, "logs", "-f", "box", "-c", "main") as following:
        assert "line 3" in lines_until(following, "^late$")
        assert following.poll() is None
    assert logs("-c", "side") == "aside\n" and "aside" in logs("--all-containers") and logs("-c", "main", "--tail=1") == "late\n"
    assert logs("-c", "main", "--since=1h").startswith("line 1\n") and re.match(r"\d{4}-\d\d-\d\dT\S+Z line 1\n", logs("-c", "main", "--timestamps"))
    assert logs("-c", "main", "--limit-bytes=6") == "line 1"
    assert "container none is not valid" in fails(k8s, "logs", "box", "-c", "none")
    time.sleep(1.1)
    assert logs("-c", "main", "--since=1s") == ""
    k8s.apply(pod("again", "sh", "-c", "echo x >> /w/n; wc -l < /w/n; [ $(wc -l < /w/n) -lt 2 ] && exit 1; sleep 3600", volumes=[{"name": "w", "emptyDir": {}}], volumeMounts=[{"name": "w", "mountPath": "/w"}]))
    k8s.wait_pod("again", lambda p: p["status"].get("containerStatuses", [{}])[0].get("restartCount") == 1 and p["status"]["containerStatuses"][0]["ready"], "restarted")
    assert (k8s.k("logs", "again", "-p").strip(), k8s.k("logs", "again").strip()) == ("1", "2")


def test_exec_with_a_terminal(k8s):
    running(k8s)
    primary, secondary = pty.openpty()
    process = subprocess.Popen(k8s.kubectl_command("-n", k8s.ns, "exec", "-it", "box", "--", "sh"), stdin=secondary, stdout=secondary, stderr=secondary, start_new_session=True)
    os.close(secondary)
    seen = ""

    def expect(pattern):
        nonlocal seen
        end = time.monotonic() + 20
        while not re.search(pattern, seen):
            assert time.monotonic() < end, f"no {pattern!r} in {seen!r}"
            if select.select([primary], [], [], 0.2)[0]:
                seen += os.read(primary, 65536).decode()

    try:
        expect("[#$] ")
        os.write(primary, b"test -t 0 && echo is-a-$((1+1))-tty; stty size\n")
        expect(r"is-a-2-tty\r\n")
        os.write(primary, b"sleep 100\n")
        time.sleep(0.5)
        os.write(primary, b"\x03")  # ^C ends the sleep, not the shell
        os.write(primary, b"echo still-$((40+2))\n")
        expect(r"still-42\r\n")
        os.write(primary, b"exit 3\n")
        assert process.wait(20) == 3
    finally:
        process.kill()
        process.wait()
        os.close(primary)


def test_attach(k8s):
    running(k8s, "box", "sh", "-c", "while read x; do echo got $x; done", stdin=True)
    with started(k8s, "attach", "-i", "box", stdin=subprocess.PIPE) as attached:
        def answered():
            attached.stdin.write("word\n")
            attached.stdin.flush()
            return select.select([attached.stdout.fileno()], [], [], 0.5)[0]
        wait_for("an answer", answered, 20)
        lines_until(attached, "^got word$")


def test_cp(k8s, tmp_path):
    running(k8s)
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/one").write_bytes(os.urandom(300_000))
    (tmp_path / "dir/two words").write_text("2")
    k8s.k("cp", str(tmp_path / "dir"), "box:/tmp/dir")
    assert k8s.k("exec", "box", "--", "cat", "/tmp/dir/two words") == "2"
    k8s.k("cp", "box:/tmp/dir", str(tmp_path / "back"))
    assert (tmp_path / "back/one").read_bytes() == (tmp_path / "dir/one").read_bytes() and (tmp_path / "back/two words").read_text() == "2"


def test_port_forward(k8s):
    k8s.apply(deployment("web", 1, *WEB, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}), service("web"))
    k8s.k("rollout", "status", "deployment/web", "--timeout=30s")
    with started(k8s, "port-forward", "service/web", ":80") as forwarding:
        port = re.search(r"127\.0\.0\.1:(\d+)", lines_until(forwarding, r"127\.0\.0\.1:\d+")).group(1)
        for _ in range(5):
            assert k8s.sandbox.inside(["curl", "-sS", "--max-time", "5", f"http://127.0.0.1:{port}/"]).stdout.startswith("web-")
        with k8s.sandbox.network(), socket.create_connection(("127.0.0.1", int(port)), 5) as one, socket.create_connection(("127.0.0.1", int(port)), 5) as two:
            for connection in (two, one):
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.")


def test_debug_with_an_ephemeral_container(k8s):
    if k8s.minor < 23:
        pytest.skip("debug came with 1.23")
    running(k8s)
    result = support.run(k8s.kubectl_command("-n", k8s.ns, "debug", "box", "--image=estiba/busybox:test", "-c", "helper", "--", "sh", "-c", "echo helped; sleep 3600"), check=False)
    assert result.returncode == 0, result.stderr
    assert [c["name"] for c in k8s.pod("box")["spec"]["ephemeralContainers"]] == ["helper"]
    told = lambda p: (p["status"].get("ephemeralContainerStatuses") or [{}])[0].get("state", {}).get("running")
    k8s.wait_pod("box", told, "the helper running")
    assert k8s.k("logs", "box", "-c", "helper") == "helped\n" and k8s.k("exec", "box", "-c", "helper", "--", "hostname").strip() == "box"


# -- the node and rights ----------------------------------------------------------------------------------------------


def test_cordon_drain_and_taints(k8s):
    k = k8s.kubectl
    k8s.apply(deployment("web", 1, "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"))
    k8s.k("rollout", "status", "deployment/web", "--timeout=30s")
    name = k8s.get("-n", k8s.ns, "pods")["items"][0]["metadata"]["name"]
    try:
        assert "cordoned" in k("cordon", "node-1") and "SchedulingDisabled" in k("get", "nodes")
        assert "evicted" in k("drain", "node-1", "--pod-selector=app=web", "--ignore-daemonsets", "--force", "--timeout=30s")
        wait_for("its replacement", lambda: [p["metadata"]["name"] for p in k8s.get("-n", k8s.ns, "pods")["items"]] not in ([], [name]), 10)
        assert all(p["status"]["phase"] == "Pending" for p in k8s.get("-n", k8s.ns, "pods")["items"] if "deletionTimestamp" not in p["metadata"])
        assert "uncordoned" in k("uncordon", "node-1")
        k8s.k("rollout", "status", "deployment/web", "--timeout=30s")
        k("taint", "node", "node-1", "test=yes:NoSchedule")
        k8s.apply(pod("held"), pod("bears", tolerations=[{"key": "test", "operator": "Exists"}]))
        k8s.wait_running("bears")
        assert k8s.pod("held")["status"]["phase"] == "Pending"
        k("taint", "node", "node-1", "test-")
        k8s.wait_running("held")
    finally:
        k("uncordon", "node-1", check=False)
        k("taint", "node", "node-1", "test-", check=False)


def test_rights(k8s):
    assert k8s.k("auth", "can-i", "delete", "pods") == "yes\n"
    result = support.run(k8s.kubectl_command("-n", k8s.ns, "auth", "can-i", "get", "secrets", "--as=jane"), check=False)
    assert (result.returncode, result.stdout.split()[0]) == (1, "no")
    assert "*.*" in k8s.k("auth", "can-i", "--list")
    assert "Forbidden" in fails(k8s, "get", "secrets", "--as=jane", "--as-group=devs")
    if k8s.minor >= 28:
        assert "system:masters" in k8s.k("auth", "whoami")


def test_top_tells_what_pods_use(k8s):
    running(k8s)
    wait_for("the pod's use", lambda: "box" in k8s.k("top", "pods"), 20)
