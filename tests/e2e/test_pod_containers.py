"""What a container is started with, what its hooks and messages are, and what a pod tells of its life: as Kubernetes' own node tests look at it."""
import json

import pytest

from cluster import wait_for
from manifests import config_map, pod

BOX = "estiba/busybox:test"
LISTENER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("heard", self.path, self.headers.get("X-Kind"), flush=True)
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


def logs(cluster, name, *arguments):
    return cluster.k("logs", name, *arguments)


def field(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def resource(name, what):
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": what}}}


def test_variables_of_maps_secrets_and_each_other(cluster):
    cluster.apply(config_map("m", one="1", two="2"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"one": "s1"}},
                  pod("env", "env", restartPolicy="Never",
                      envFrom=[{"configMapRef": {"name": "m"}}, {"prefix": "p-", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "s"}}, {"prefix": "s_", "secretRef": {"name": "s"}}],
                      env=[{"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "one"}}}, {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "one"}}},
                           {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "none", "key": "one", "optional": True}}},
                           {"name": "BOTH", "value": "$(ONE);;$(SECRET);;$(NOBODY);;$$(ONE)"}]),
                  pod("args", "sh", "-c", "echo $(WORD) $0", args=["and args $(WORD)"], restartPolicy="Never", env=[{"name": "WORD", "value": "expanded"}]))
    cluster.wait_ended("env")
    said = logs(cluster, "env").splitlines()
    for line in ("one=s1", "two=2", "p-one=1", "p-two=2", "s_one=s1", "ONE=1", "SECRET=s1", "BOTH=1;;s1;;$(NOBODY);;$(ONE)"):
        assert line in said, (line, said)
    assert not [line for line in said if line.startswith("NONE")]
    cluster.wait_ended("args")
    assert logs(cluster, "args") == "expanded and args expanded\n"


def test_the_downward_api_in_variables(cluster):
    made = pod("told", "env", restartPolicy="Never", resources={"requests": {"cpu": "250m", "memory": "16Mi"}, "limits": {"cpu": "1250m", "memory": "32Mi"}},
               env=[field("NAME", "metadata.name"), field("NS", "metadata.namespace"), field("UID", "metadata.uid"), field("IP", "status.podIP"), field("HOST", "status.hostIP"),
                    field("HOSTS", "status.hostIPs"), field("NODE", "spec.nodeName"), resource("CPU", "limits.cpu"), resource("CPUR", "requests.cpu"),
                    resource("MEM", "limits.memory"), resource("MEMR", "requests.memory")])
    free = pod("free", "env", restartPolicy="Never", env=[resource("CPU", "limits.cpu"), resource("MEM", "limits.memory")])
    cluster.apply(made, free)
    there = cluster.wait_ended("told")
    said = dict(line.split("=", 1) for line in logs(cluster, "told").splitlines())
    status = there["status"]
    assert said["NAME"] == "told" and said["NS"] == cluster.ns and said["UID"] == there["metadata"]["uid"] and said["NODE"] == "node-1"
    assert said["IP"] == status["podIP"] and said["HOST"] == status["hostIP"] and said["HOSTS"] == ",".join(entry["ip"] for entry in status["hostIPs"])
    assert (said["CPU"], said["CPUR"], said["MEM"], said["MEMR"]) == ("2", "1", str(32 << 20), str(16 << 20))
    cluster.wait_ended("free")
    said = dict(line.split("=", 1) for line in logs(cluster, "free").splitlines())
    node = cluster.get("node", "node-1")["status"]["allocatable"]
    assert said["CPU"] == node["cpu"] and said["MEM"] == str(int(node["memory"].removesuffix("Ki")) * 1024)


def test_services_are_variables(cluster):
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "my-service"}, "spec": {"ports": [{"name": "web", "port": 8765, "targetPort": 8080}]}})
    cluster.apply(pod("knows", "env", restartPolicy="Never"), pod("ignores", "env", restartPolicy="Never", enableServiceLinks=False))
    cluster.wait_ended("knows")
    said = logs(cluster, "knows")
    for word in ("MY_SERVICE_SERVICE_HOST=", "MY_SERVICE_SERVICE_PORT=8765", "MY_SERVICE_SERVICE_PORT_WEB=8765", "MY_SERVICE_PORT=tcp://", "MY_SERVICE_PORT_8765_TCP_PROTO=tcp"):
        assert word in said
    cluster.wait_ended("ignores")
    assert "MY_SERVICE" not in logs(cluster, "ignores")


@pytest.mark.parametrize("when", ["postStart", "preStop"])
def test_hooks_by_command_and_by_http(cluster, when):
    cluster.apply(pod("listener", "python3", "-c", LISTENER, image="estiba/python:test"))
    address = cluster.wait_running("listener")["status"]["podIP"]
    # The listener answers as soon as it has bound its port.
    cluster.apply(pod("calls", "sh", "-c", f"until wget -q -O /dev/null http://{address}:8080/up; do sleep 0.1; done", restartPolicy="Never"))
    cluster.wait_ended("calls")
    by_http = {"httpGet": {"host": address, "port": 8080, "path": "/by-http", "httpHeaders": [{"name": "X-Kind", "value": "hook"}]}}
    by_command = {"exec": {"command": ["wget", "-q", "-O", "/dev/null", f"http://{address}:8080/by-command"]}}
    cluster.apply(pod("http", lifecycle={when: by_http}), pod("command", lifecycle={when: by_command}))
    cluster.wait_running("http")
    cluster.wait_running("command")
    heard = lambda: [line for line in logs(cluster, "listener").splitlines() if "/up" not in line]
    if when == "preStop":
        assert heard() == []
        cluster.k("delete", "pod", "http", "command")
    wait_for("both hooks", lambda: sorted(heard()) == ["heard /by-command None", "heard /by-http hook"], 20, 0.2)


def test_messages_of_ended_containers(cluster):
    def ends(name, command, **more):
        return pod(name, "sh", "-c", command, restartPolicy="Never", **more)
    custom = ends("custom", "echo -n DONE > /dev/termination-custom-log", securityContext={"runAsUser": 1000})
    custom["spec"]["containers"][0]["terminationMessagePath"] = "/dev/termination-custom-log"
    cluster.apply(custom, ends("file", "echo -n OK > /dev/termination-log", terminationMessagePolicy="FallbackToLogsOnError"),
                  ends("quiet", "echo said", terminationMessagePolicy="FallbackToLogsOnError"), ends("log", "echo -n DONE; exit 1", terminationMessagePolicy="FallbackToLogsOnError"))
    for name, message in (("custom", "DONE"), ("file", "OK"), ("quiet", None), ("log", "DONE")):
        ended = cluster.wait_ended(name)["status"]["containerStatuses"][0]["state"]["terminated"]
        assert ended.get("message") == message, name


def test_hosts_files(cluster):
    hostile = {"name": "own", "image": BOX, "command": ["sleep", "1000"], "volumeMounts": [{"name": "h", "mountPath": "/etc/hosts"}]}
    made = pod("aliased", hostAliases=[{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}], volumes=[{"name": "h", "hostPath": {"path": "/etc/hosts", "type": "File"}}])
    made["spec"]["containers"].append(hostile)
    cluster.apply(made, pod("host", hostNetwork=True))
    there = cluster.wait_running("aliased")
    text = cluster.k("exec", "aliased", "-c", "main", "--", "cat", "/etc/hosts")
    assert "123.45.67.89\tfoo\tbar" in text and f"{there['status']['podIP']}\taliased" in text and text.startswith("# Kubernetes-managed hosts file")
    assert "Kubernetes-managed" not in cluster.k("exec", "aliased", "-c", "own", "--", "cat", "/etc/hosts")
    cluster.wait_running("host")
    assert "# Kubernetes-managed hosts file" in cluster.k("exec", "host", "--", "cat", "/etc/hosts")


def test_kernel_parameters_and_users(cluster):
    made = pod("set", "sh", "-c", "cat /proc/sys/kernel/shm_rmid_forced; id -u; id -g; ip link add dummy1 type dummy 2>&1 || true; touch /writable && echo written", restartPolicy="Never",
               securityContext={"privileged": False, "readOnlyRootFilesystem": False})
    made["spec"]["securityContext"] = {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}
    users = pod("users", "sh", "-c", "id", restartPolicy="Never")
    users["spec"]["securityContext"] = {"runAsUser": 1001, "runAsGroup": 2002, "supplementalGroups": [3003]}
    own = pod("own", "id", restartPolicy="Never", securityContext={"runAsUser": 65534, "runAsGroup": 2003})
    cluster.apply(made, users, own)
    cluster.wait_ended("set")
    said = logs(cluster, "set")
    assert said.startswith("1\n0\n0\n") and "Operation not permitted" in said and said.endswith("written\n")
    cluster.wait_ended("users")
    assert "uid=1001" in logs(cluster, "users") and "gid=2002" in logs(cluster, "users") and "3003" in logs(cluster, "users")
    cluster.wait_ended("own")
    assert "uid=65534" in logs(cluster, "own") and "gid=2003" in logs(cluster, "own")


def test_a_runtime_class_adds_its_overhead(cluster):
    classes = [{"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": f"{cluster.ns}-{name}"}, "handler": "estiba-oci", **more}
               for name, more in (("plain", {}), ("costly", {"overhead": {"podFixed": {"cpu": "10m", "memory": "1Mi"}}}))]
    cluster.apply(*classes)
    try:
        cluster.apply(*(pod(name, runtimeClassName=f"{cluster.ns}-{name}") for name in ("plain", "costly")))
        assert "overhead" not in cluster.wait_running("plain")["spec"]
        assert cluster.wait_running("costly")["spec"]["overhead"] == {"cpu": "10m", "memory": "1Mi"}
    finally:
        cluster.kubectl("delete", "runtimeclass", *(c["metadata"]["name"] for c in classes))


def test_generations_are_seen(cluster):
    made = pod("counted")
    made["metadata"]["generation"] = 100
    cluster.apply(made)
    assert cluster.wait_running("counted")["metadata"]["generation"] == 1
    for n in range(2, 7):
        cluster.k("patch", "pod", "counted", "--type=merge", "-p", json.dumps({"spec": {"activeDeadlineSeconds": 10000 - n}}))
    seen = lambda p: (p["metadata"]["generation"], p["status"].get("observedGeneration"), {c.get("observedGeneration") for c in p["status"]["conditions"]})
    cluster.wait_pod("counted", lambda p: seen(p)[:2] == (6, 6), "its generation seen")
    cluster.k("label", "pod", "counted", "x=y")
    assert cluster.pod("counted")["metadata"]["generation"] == 6, "labels are no spec"
    cluster.k("delete", "pod", "counted", "--wait=false")
    left = json.loads(cluster.k("get", "pod", "counted", "-o", "json", check=False) or "{}")
    assert not left or left["metadata"]["generation"] == 7


def test_a_deadline_can_be_brought_forward(cluster):
    cluster.apply(pod("late", activeDeadlineSeconds=3600))
    cluster.wait_running("late")
    cluster.k("patch", "pod", "late", "--type=merge", "-p", '{"spec":{"activeDeadlineSeconds":1}}')
    ended = cluster.wait_ended("late")
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_pods_life_in_the_api(cluster):
    path = f"/api/v1/namespaces/{cluster.ns}/pods"
    cluster.apply(pod("lives"), *(pod(f"many-{n}", labels={"set": "many"}) for n in range(3)))
    there = cluster.wait_running("lives")
    assert there["status"]["hostIP"] == cluster.get("node", "node-1")["status"]["addresses"][0]["address"]
    patched = cluster.request("PATCH", f"{path}/lives/status", {"status": {"conditions": [{"type": "Own", "status": "True", "message": "patched"}]}},
                              headers=["Content-Type: application/strategic-merge-patch+json"])
    assert patched[0] == 200 and any(c["type"] == "Own" for c in patched[1]["status"]["conditions"])
    cluster.k("label", "pod", "lives", "colour=red")
    assert cluster.k("get", "pods", "-l", "colour=red", "-o", "name") == "pod/lives\n"
    cluster.k("delete", "pods", "-l", "set=many", timeout=30)
    assert cluster.k("get", "pods", "-o", "name") == "pod/lives\n"
    cluster.k("delete", "pod", "lives", timeout=30)


def test_a_failing_command_is_told_and_its_pod_deleted(cluster):
    cluster.apply(pod("fails", "false"))
    failed = cluster.wait_pod("fails", lambda p: any(c.get("lastState", {}).get("terminated") or c["state"].get("terminated") for c in p["status"].get("containerStatuses", [])), "a terminated state")
    state = failed["status"]["containerStatuses"][0]
    assert (state["state"].get("terminated") or state["lastState"]["terminated"])["reason"] == "Error"
    cluster.k("delete", "pod", "fails", timeout=30)


def test_init_containers_that_fail_are_tried_again(cluster):
    cluster.apply(pod("held", initContainers=[{"name": "no", "image": BOX, "command": ["false"]}]))
    held = cluster.wait_pod("held", lambda p: p["status"].get("initContainerStatuses", [{}])[0].get("restartCount", 0) >= 2, "tried again", 60)
    assert held["status"]["phase"] == "Pending" and held["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    assert {c["type"]: c["status"] for c in held["status"]["conditions"]}["Initialized"] == "False"


@pytest.mark.parametrize("probe", ["exec", "http", "tcp"])
def test_a_liveness_that_holds_restarts_nothing_and_one_that_fails_does(cluster, probe):
    serve = ["sh", "-c", "mkdir /www; echo ok > /www/ok; echo ok > /tmp/ok; busybox httpd -f -p 8080 -h /www & echo $! > /tmp/pid; exec sleep 1000"]
    check = {"exec": {"exec": {"command": ["cat", "/tmp/ok"]}}, "http": {"httpGet": {"path": "/ok", "port": 8080}}, "tcp": {"tcpSocket": {"port": 8080}}}[probe]
    cluster.apply(pod("probed", *serve, livenessProbe={**check, "periodSeconds": 1, "initialDelaySeconds": 1, "failureThreshold": 1}))
    cluster.wait_running("probed")
    wait_for("a few checks", lambda: f'probe_type="Liveness",result="successful"}}' in cluster.k("get", "--raw", "/api/v1/nodes/node-1/proxy/metrics/probes"), 10, 0.5)
    assert cluster.pod("probed")["status"]["containerStatuses"][0]["restartCount"] == 0
    for count in (1, 2):
        cluster.k("exec", "probed", "--", "sh", "-c", "rm -f /tmp/ok /www/ok; kill $(cat /tmp/pid) || true")
        cluster.wait_pod("probed", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == count and p["status"]["containerStatuses"][0]["state"].get("running"), "restarted", 60)


def test_readiness_waits_for_its_delay_and_may_never_come(cluster):
    cluster.apply(pod("slow", readinessProbe={"exec": {"command": ["true"]}, "initialDelaySeconds": 2, "periodSeconds": 1}),
                  pod("never", readinessProbe={"exec": {"command": ["false"]}, "periodSeconds": 1}))
    ready = cluster.wait_running("slow")
    transition = next(c for c in ready["status"]["conditions"] if c["type"] == "Ready")["lastTransitionTime"]
    started = ready["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert transition > started and ready["status"]["containerStatuses"][0]["restartCount"] == 0
    wait_for("failed checks", lambda: "Readiness probe failed" in cluster.k("get", "events"), 20, 0.5)
    never = cluster.pod("never")["status"]["containerStatuses"][0]
    assert not never["ready"] and never["restartCount"] == 0


def test_taints_evict_and_let_stay(cluster):
    cluster.apply(pod("goes", tolerations=[{"key": "test", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]),
                  pod("stays", tolerations=[{"key": "test", "operator": "Exists", "effect": "NoExecute"}]),
                  pod("saved", tolerations=[{"key": "test", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600}]))
    for name in ("goes", "stays", "saved"):
        cluster.wait_running(name)
    # Only these three may be judged: pods of other tests are not on this node while this one runs (one file, one cluster).
    cluster.kubectl("taint", "node", "node-1", "test=now:NoExecute")
    try:
        wait_for("its eviction", lambda: "goes" not in cluster.k("get", "pods", "-o", "name"), 30, 0.2)
    finally:
        cluster.kubectl("taint", "node", "node-1", "test=now:NoExecute-")
    assert {"pod/stays", "pod/saved"} <= set(cluster.k("get", "pods", "-o", "name").split())
