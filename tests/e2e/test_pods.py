"""What a pod's containers see and how they live."""
import base64
import json
import os
import shutil

import pytest

from cluster import busybox_image, run, wait_for
from manifests import config_map, pod


def logs(cluster, name, *arguments):
    return cluster.k("logs", name, *arguments)


def test_environment_from_everywhere(cluster):
    cluster.apply(config_map("settings", colour="blue"),
                  {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"password": "s3cret"}},
                  pod("env", "sh", "-c", "echo $A $B $POD $IP $CPU $COLOUR_colour $KUBERNETES_SERVICE_HOST", restartPolicy="Never",
                      resources={"limits": {"cpu": "1500m"}},
                      envFrom=[{"prefix": "COLOUR_", "configMapRef": {"name": "settings"}}],
                      env=[{"name": "A", "value": "a"}, {"name": "B", "value": "$(A)b"},
                           {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                           {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]))
    ended = cluster.wait_ended("env")
    assert logs(cluster, "env").split() == ["a", "ab", "env", ended["status"]["podIP"], "2", "blue", "10.43.0.1"]


def test_volumes_hold_and_follow_their_sources(cluster):
    cluster.apply(config_map("files", one="1", two="2"),
                  {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"password": "s3cret"}},
                  pod("vols", volumes=[{"name": "c", "configMap": {"name": "files"}}, {"name": "s", "secret": {"secretName": "key", "defaultMode": 0o400}},
                                       {"name": "e", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                                       {"name": "d", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                                       {"name": "p", "projected": {"sources": [{"configMap": {"name": "files", "items": [{"key": "one", "path": "sub/uno"}]}},
                                                                               {"secret": {"name": "key"}}]}}],
                      volumeMounts=[{"name": n, "mountPath": f"/{n}"} for n in "csemdp"] + [{"name": "c", "mountPath": "/single", "subPath": "two"}]))
    cluster.wait_running("vols")
    sh = lambda command: cluster.k("exec", "vols", "--", "sh", "-c", command)
    assert sh("cat /c/one /s/password /p/sub/uno /p/password /single") == "1s3cret1s3cret2"
    assert sh("stat -L -c %a /s/password").strip() == "400"
    assert sh("echo x > /e/file && echo x > /m/file && cat /e/file /m/file") == "x\nx\n"
    assert "tmpfs" in sh("grep ' /m ' /proc/mounts")
    assert 'app="vols"' in sh("cat /d/labels")
    cluster.apply(config_map("files", one="new", three="3"))
    wait_for("the new content", lambda: sh("cat /c/one") == "new", 20)
    assert sh("ls /c").split() == ["one", "three"] and sh("cat /single") == "2"
    cluster.k("label", "pod", "vols", "colour=red")
    wait_for("the new label", lambda: 'colour="red"' in sh("cat /d/labels"), 20)


def test_exec_and_logs_reach_the_pod_that_has_the_name_now(cluster):
    names = [f"twin-{i}" for i in range(4)]

    def twins(which):
        cluster.apply(*[pod(name, "sh", "-c", "echo $WHICH; trap '' TERM; while :; do sleep 0.2; done", env=[{"name": "WHICH", "value": which}], terminationGracePeriodSeconds=8)
                        for name in names])
        for name in names:
            cluster.wait_running(name)
    twins("first")
    cluster.k("delete", "pod", *names, "--grace-period=0", "--force")  # the API lets go of them at once; they do not listen to TERM
    twins("second")
    for name in names:
        assert cluster.k("exec", name, "--", "sh", "-c", "echo $WHICH").strip() == "second"
        wait_for("its log", lambda: logs(cluster, name).strip() == "second")
    cluster.k("delete", "pod", *names, "--grace-period=0", "--force")


def test_images_are_volumes(cluster):
    cluster.apply(pod("box", "sleep", "1000", volumes=[{"name": "py", "image": {"reference": "estiba/python:test", "pullPolicy": "IfNotPresent"}}],
                      volumeMounts=[{"name": "py", "mountPath": "/py"}, {"name": "py", "mountPath": "/part", "subPath": "usr/bin"}]),
                  pod("never", volumes=[{"name": "v", "image": {"reference": "estiba/none:1", "pullPolicy": "Never"}}], volumeMounts=[{"name": "v", "mountPath": "/v"}]),
                  pod("unused", volumes=[{"name": "v", "image": {"reference": "estiba/none:1", "pullPolicy": "Never"}}]),
                  pod("nowhere", volumes=[{"name": "v", "image": {"reference": "estiba/python:test"}}], volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "no/such"}]))
    cluster.wait_running("box")
    sh = lambda command: cluster.k("exec", "box", "--", "sh", "-c", command)
    assert "python3" in sh("ls /part").split() and "python3" in sh("ls /py/usr/bin").split()
    assert "Read-only file system" in sh("touch /py/x 2>&1 || true") and "ermission denied" in sh("/part/python3 -c 1 2>&1 || true")
    waiting = lambda name: cluster.pod(name)["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {})
    wait_for("the image that is not pulled", lambda: waiting("never").get("reason") == "ErrImageNeverPull", 20)
    assert "estiba/none:1" in waiting("never")["message"]
    cluster.wait_running("unused")  # what no container mounts is not looked for
    wait_for("the part that is not there", lambda: "no/such" in waiting("nowhere").get("message", ""), 20)
    mounted = cluster.pod("box")["status"]["containerStatuses"][0]["volumeMounts"]
    assert {"name": "py", "mountPath": "/part"} in mounted
    cluster.k("delete", "pod", "box", "--grace-period=0", "--force")
    data = cluster.data_dir / "containers"
    wait_for("its mounts to go", lambda: not list(data.glob("*.image*")), 20)


def test_init_containers_run_in_order_before_the_main_one(cluster):
    init = lambda name, command: {"name": name, "image": "estiba/busybox:test", "command": ["sh", "-c", command], "volumeMounts": [{"name": "w", "mountPath": "/w"}]}
    cluster.apply(pod("inits", "cat", "/w/file", restartPolicy="Never", volumes=[{"name": "w", "emptyDir": {}}], volumeMounts=[{"name": "w", "mountPath": "/w"}],
                      initContainers=[init("first", "echo 1 >> /w/file"), init("second", "echo 2 >> /w/file")]))
    assert cluster.wait_ended("inits")["status"]["phase"] == "Succeeded"
    assert logs(cluster, "inits") == "1\n2\n"


def test_paths_from_the_environment_wait_for_what_they_name(cluster):
    made = pod("expr", env=[{"name": "DIR", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['dir']"}}}],
               volumes=[{"name": "e", "emptyDir": {}}], volumeMounts=[{"name": "e", "mountPath": "/sub", "subPathExpr": "$(DIR)/x"}])
    cluster.apply(made)
    # Without the annotation the path is "/x": the root of nothing that the volume holds.
    waiting = lambda p: p["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {})
    stuck = cluster.wait_pod("expr", lambda p: waiting(p).get("reason") == "CreateContainerConfigError", "CreateContainerConfigError")
    assert 'gives "/x", which must not be an absolute path' in waiting(stuck)["message"]
    cluster.k("annotate", "pod", "expr", "dir=there")
    cluster.wait_running("expr")
    assert cluster.k("exec", "expr", "--", "sh", "-c", "grep -c ' /sub ' /proc/mounts") == "1\n"


def test_the_end_of_the_log_is_the_message_of_a_failure(cluster):
    cluster.apply(pod("fails", "sh", "-c", "echo first; printf last; exit 1", restartPolicy="Never", terminationMessagePolicy="FallbackToLogsOnError"))
    ended = cluster.wait_ended("fails")
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "first\nlast"


def test_failing_init_container_fails_the_pod(cluster):
    cluster.apply(pod("badinit", restartPolicy="Never", initContainers=[{"name": "no", "image": "estiba/busybox:test", "command": ["false"]}]))
    ended = cluster.wait_ended("badinit")
    assert ended["status"]["phase"] == "Failed" and ended["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1


def test_sidecars_run_beside_and_end_with_the_pod(cluster):
    cluster.apply(pod("beside", "sh", "-c", "sleep 0.3", restartPolicy="Never",
                      initContainers=[{"name": "side", "image": "estiba/busybox:test", "restartPolicy": "Always", "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]}]))
    assert cluster.wait_ended("beside")["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize("policy,code,phase", [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")])
def test_restart_policies(cluster, policy, code, phase):
    cluster.apply(pod("once", "sh", "-c", f"exit {code}", restartPolicy=policy))
    ended = cluster.wait_ended("once")
    assert ended["status"]["phase"] == phase and ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == code


def test_restarts_back_off_and_keep_the_last_state(cluster):
    cluster.apply(pod("crash", "sh", "-c", "echo try; exit 7"))
    crashed = cluster.wait_pod("crash", lambda p: p["status"].get("containerStatuses", [{}])[0].get("restartCount", 0) >= 1
                               and p["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff", "CrashLoopBackOff")
    assert crashed["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 7
    assert logs(cluster, "crash", "--previous") == "try\n"
    assert "Back-off restarting failed container" in cluster.k("get", "events")


def test_liveness_probe_restarts_and_readiness_holds_back(cluster):
    cluster.apply(pod("probed", "sh", "-c", "touch /tmp/alive; sleep 3600",
                      livenessProbe={"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 1},
                      readinessProbe={"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}))
    pod_ = cluster.wait_pod("probed", lambda p: p["status"].get("phase") == "Running", "running")
    assert not pod_["status"]["containerStatuses"][0]["ready"]
    cluster.k("exec", "probed", "--", "touch", "/tmp/ready")
    cluster.wait_running("probed")
    cluster.k("exec", "probed", "--", "rm", "/tmp/alive")
    cluster.wait_pod("probed", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1, "restarted")


def test_http_and_tcp_probes(cluster):
    serve = ["sh", "-c", "mkdir /www; echo ok > /www/ok; exec busybox httpd -f -p 8080 -h /www"]
    cluster.apply(pod("http", *serve, ports=[{"name": "web", "containerPort": 8080}], readinessProbe={"httpGet": {"path": "/ok", "port": "web"}, "periodSeconds": 1}),
                  pod("tcp", *serve, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}),
                  pod("http-bad", *serve, readinessProbe={"httpGet": {"path": "/none", "port": 8080}, "periodSeconds": 1}))
    cluster.wait_running("http")
    cluster.wait_running("tcp")
    wait_for("the event", lambda: "statuscode: 404" in cluster.k("get", "events"), 20)
    assert not cluster.pod("http-bad")["status"]["containerStatuses"][0]["ready"]


def test_grpc_probes(cluster):
    # etcd serves gRPC's health service; Debian's comes with its libraries from the machine.
    volumes, mounts = [], []
    for name, path, target in (("usr", "/usr", "/usr"), ("lib", "/lib", "/lib"), ("lib64", "/lib64", "/lib64"), ("etcd", os.path.dirname(shutil.which("etcd")), "/etcd")):
        volumes.append({"name": name, "hostPath": {"path": path}})
        mounts.append({"name": name, "mountPath": target, "readOnly": True})
    serve = ["/etcd/etcd", "--data-dir=/tmp/etcd", "--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://127.0.0.1:2379"]
    probe = lambda **more: {"grpc": {"port": 2379, **more}, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 5}
    cluster.apply(pod("grpc", *serve, volumes=volumes, volumeMounts=mounts, livenessProbe=probe(), readinessProbe=probe()),
                  pod("grpc-bad", *serve, volumes=volumes, volumeMounts=mounts, readinessProbe=probe(service="none")))
    assert cluster.wait_running("grpc")["status"]["containerStatuses"][0]["restartCount"] == 0
    wait_for("the event", lambda: "failed with code 5: unknown service" in cluster.k("get", "events"), 20)
    assert not cluster.pod("grpc-bad")["status"]["containerStatuses"][0]["ready"]


def test_graceful_end_runs_prestop_and_hears_sigterm(cluster):
    host = cluster.dir / "shared"
    host.mkdir(exist_ok=True)
    cluster.apply(pod("ends", "sh", "-c", "trap 'echo term >> /host/order; exit 0' TERM; while :; do sleep 0.05; done", terminationGracePeriodSeconds=20,
                      volumes=[{"name": "h", "hostPath": {"path": str(host), "type": "Directory"}}], volumeMounts=[{"name": "h", "mountPath": "/host"}],
                      lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "echo prestop >> /host/order"]}}}))
    cluster.wait_running("ends")
    cluster.k("delete", "pod", "ends")
    assert (host / "order").read_text() == "prestop\nterm\n"


def test_sigkill_after_the_grace(cluster):
    cluster.apply(pod("deaf", "sh", "-c", "trap '' TERM; while :; do sleep 1; done", terminationGracePeriodSeconds=1))
    cluster.wait_running("deaf")
    cluster.k("delete", "pod", "deaf", timeout=15)


def test_logs_exec_attach_cp_and_port_forward(cluster):
    cluster.apply(pod("tools", "sh", "-c", "echo out; echo err >&2; mkdir /www; echo page > /www/index.html; exec busybox httpd -f -p 8080 -h /www"))
    cluster.wait_running("tools")
    assert sorted(logs(cluster, "tools").split()) == ["err", "out"]
    assert logs(cluster, "tools", "--tail=1").count("\n") == 1
    assert cluster.k("exec", "-i", "tools", "--", "cat", input="through stdin").startswith("through stdin")
    from cluster import run
    failed = run(cluster.kubectl_command("-n", cluster.ns, "exec", "tools", "--", "sh", "-c", "exit 42"), check=False)
    assert failed.returncode == 42
    source = cluster.dir / "cp.txt"
    source.write_text("copied")
    cluster.k("cp", str(source), f"{cluster.ns}/tools:/tmp/cp.txt")
    assert cluster.k("exec", "tools", "--", "cat", "/tmp/cp.txt") == "copied"
    import subprocess
    forward = subprocess.Popen(cluster.kubectl_command("-n", cluster.ns, "port-forward", "pod/tools", "18080:8080"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert "Forwarding" in forward.stdout.readline()
        assert cluster.sandbox.inside(["curl", "-sS", "--max-time", "5", "http://127.0.0.1:18080/"]).stdout == "page\n"
    finally:
        forward.terminate()
        forward.wait()


def test_a_restart_is_not_seen_by_who_asks_at_once(own_cluster):
    cluster = own_cluster
    cluster.import_image(busybox_image(), "estiba/busybox:test")
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("tools", "sh", "-c", "echo out; exec sleep 3600"))
    cluster.wait_running("tools")
    for end in (cluster.stop, cluster.kill9) * 3:
        end()
        cluster.start()
        assert cluster.k("exec", "tools", "--", "echo", "here").strip() == "here"
        assert cluster.k("logs", "tools").strip() == "out"


def test_logs_over_a_websocket(cluster):
    cluster.apply(pod("said", "sh", "-c", "echo a line of the log; exec sleep 3600"), {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "said"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": cluster.ns}]})
    cluster.wait_running("said")
    token = cluster.k("exec", "said", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token").strip()
    # curl shows what comes after the upgrade as it is: a frame with the protocol's base64, and the close.
    fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
              "Sec-WebSocket-Protocol: base64.binary.k8s.io", f"Authorization: Bearer {token}")
    headers = " ".join(f"-H '{field}'" for field in fields)
    url = f"https://127.0.0.1:6443/api/v1/namespaces/{cluster.ns}/pods/said/log"
    answer = cluster.sandbox.inside(["sh", "-c", f"curl -sk --http1.1 --max-time 10 {headers} {url} | tr -cd '[:print:]'"]).stdout
    assert base64.b64encode(b"a line of the log\n").decode() in answer


def test_security_context(cluster):
    cluster.apply(pod("safe", "sh", "-c", "id -u; id -g; id -G; grep CapEff /proc/self/status; touch /x || echo readonly; grep NoNewPrivs /proc/self/status", restartPolicy="Never",
                      securityContext={"runAsUser": 1234, "runAsGroup": 2345, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}))
    cluster.wait_ended("safe")
    text = logs(cluster, "safe").split("\n")
    assert text[0:2] == ["1234", "2345"] and "readonly" in text and any(line.split() == ["NoNewPrivs:", "1"] for line in text)
    assert any(line.split() == ["CapEff:", "0000000000000000"] for line in text)


def test_run_as_non_root_refuses_root(cluster):
    cluster.apply(pod("root", securityContext={"runAsNonRoot": True}))
    cluster.wait_pod("root", lambda p: p["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError",
                     "CreateContainerConfigError")


def test_limits_reach_the_control_groups(cluster):
    cluster.apply(pod("limited", "sh", "-c", "cat /proc/self/cgroup; sleep 3600", resources={"limits": {"cpu": "500m", "memory": "64Mi"}}))
    cluster.wait_running("limited")
    path = next(line.split(":", 2)[2] for line in logs(cluster, "limited").splitlines() if ":memory:" in line or line.startswith("0::"))
    assert path, path


def test_resize_in_place(cluster):
    cluster.apply(pod("grow", resources={"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}))
    first = cluster.wait_running("grow")["status"]["containerStatuses"][0]
    assert first["resources"]["limits"] == {"cpu": "100m", "memory": "64Mi"} and first["allocatedResources"] == {"cpu": "50m", "memory": "32Mi"}

    def resize(**to):
        now = cluster.pod("grow")
        now["spec"]["containers"][0]["resources"] = to
        cluster.kubectl("replace", "--raw", f"/api/v1/namespaces/{cluster.ns}/pods/grow/resize", "-f", "-", input=json.dumps(now))

    resize(requests={"cpu": "60m", "memory": "32Mi"}, limits={"cpu": "200m", "memory": "96Mi"})
    done = cluster.wait_pod("grow", lambda p: p["status"]["containerStatuses"][0]["resources"]["limits"] == {"cpu": "200m", "memory": "96Mi"}, "resized")
    assert done["status"]["containerStatuses"][0]["restartCount"] == 0 and done["metadata"]["generation"] == 2
    read = lambda path: cluster.k("exec", "grow", "--", "cat", path).strip()
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert read("/sys/fs/cgroup/memory.max") == str(96 << 20) and read("/sys/fs/cgroup/cpu.max") == "20000 100000"
    else:
        assert read("/sys/fs/cgroup/memory/memory.limit_in_bytes") == str(96 << 20) and read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") == "20000"
    # More than the machine has: the API refuses it, and the pod keeps what it has been given.
    now = cluster.pod("grow")
    now["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000", "memory": "32Mi"}, "limits": {"cpu": "1000", "memory": "96Mi"}}
    refused = run(cluster.kubectl_command("replace", "--raw", f"/api/v1/namespaces/{cluster.ns}/pods/grow/resize", "-f", "-"), check=False, input=json.dumps(now)).stderr
    assert "node didn't have enough allocatable resources: cpu, requested: 1000000" in refused, refused
    assert cluster.pod("grow")["status"]["containerStatuses"][0]["resources"]["limits"]["cpu"] == "200m"


def test_projected_token_is_accepted_by_the_api(cluster):
    cluster.apply(pod("token", "sh", "-c", "cat /var/run/secrets/kubernetes.io/serviceaccount/token; echo; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace", restartPolicy="Never"))
    cluster.wait_ended("token")
    token, namespace = logs(cluster, "token").split("\n")[:2]
    assert namespace == cluster.ns
    answer = cluster.sandbox.inside(["curl", "-sk", "-H", f"Authorization: Bearer {token}", f"https://127.0.0.1:6443/api/v1/namespaces/{cluster.ns}/pods"]).stdout
    body = json.loads(answer)
    assert body["code"] in (401, 403) and (body["code"] == 401 or f"system:serviceaccount:{cluster.ns}:default" in body["message"])


def test_a_node_refuses_what_it_has_no_place_for(cluster):
    port = [{"containerPort": 21017, "hostPort": 21017}]
    cluster.apply(pod("holder", ports=port, nodeName="node-1"))
    cluster.wait_running("holder")
    cluster.apply(pod("second", ports=port, nodeName="node-1"),
                  pod("huge", resources={"requests": {"cpu": "1000"}}, nodeName="node-1"),
                  pod("elsewhere", nodeName="node-1", nodeSelector={"disk": "tape"}))
    for name, reason in (("second", "NodePorts"), ("huge", "OutOfcpu"), ("elsewhere", "NodeAffinity")):
        status = cluster.wait_ended(name)["status"]
        assert (status["phase"], status["reason"]) == ("Failed", reason), status
        assert status["message"].startswith("Pod was rejected: ")
        events = cluster.get("-n", cluster.ns, "events", "--field-selector", f"involvedObject.name={name},reason={reason}")["items"]
        assert events, name
    cluster.k("delete", "pod", "holder", "--timeout=20s")
    cluster.apply(pod("third", ports=port, nodeName="node-1"))
    cluster.wait_running("third")


def test_a_stateful_pod_that_was_refused_is_made_again_when_there_is_a_place(cluster):
    port = [{"containerPort": 21018, "hostPort": 21018}]
    cluster.apply(pod("holder", ports=port, nodeName="node-1"))
    cluster.wait_running("holder")
    template = pod("web", ports=port, nodeName="node-1")
    cluster.apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"},
                   "spec": {"replicas": 1, "serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": template["metadata"], "spec": template["spec"]}}})
    first = wait_for("the first web-0", lambda: [p for p in cluster.get("-n", cluster.ns, "pods", "-l", "app=web")["items"]])[0]["metadata"]["uid"]
    wait_for("another web-0", lambda: [p for p in cluster.get("-n", cluster.ns, "pods", "-l", "app=web")["items"] if p["metadata"]["uid"] != first])
    cluster.k("delete", "pod", "holder", "--timeout=20s")
    cluster.wait_running("web-0", 60)
