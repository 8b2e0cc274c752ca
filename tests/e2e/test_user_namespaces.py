"""Pods with `hostUsers: false`: whoever is root in them is nobody on the node, or they do not start."""
import json
import os

import cluster as support
from cluster import wait_for
from manifests import config_map, pod

PER_POD = 65536


def logs(cluster, name):
    return cluster.k("logs", name)


def state(p, kind="waiting"):
    return p["status"].get("containerStatuses", [{}])[0].get("state", {}).get(kind, {})


def id_map(cluster, name):
    """(inside, outside, size) of the pod's user namespace, the same for users and groups."""
    lines = cluster.k("exec", name, "--", "cat", "/proc/self/uid_map", "/proc/self/gid_map").splitlines()
    assert len(lines) == 2 and lines[0] == lines[1], lines
    return tuple(map(int, lines[0].split()))


def owners(cluster, mark):
    """Users, as the node sees them, of the processes that have `mark` in their command line."""
    script = ("import os,sys\nfor p in filter(str.isdigit, os.listdir('/proc')):\n try:\n  words = open(f'/proc/{p}/cmdline').read().split(chr(0))\n"
              "  if sys.argv[1] in words and int(p) != os.getpid(): print(os.stat(f'/proc/{p}').st_uid, open(f'/proc/{p}/status').read().split('Groups:')[1].splitlines()[0].split())\n except OSError: pass")
    return cluster.sandbox.inside(["python3", "-c", script, mark]).stdout.splitlines()


def test_root_in_a_pod_is_nobody_on_the_node(cluster):
    cluster.apply(pod("one", "sleep", "31001", hostUsers=False), pod("two", "sleep", "31002", hostUsers=False), pod("plain", "sleep", "31003"))
    for name in ("one", "two", "plain"):
        cluster.wait_running(name)
    one, two = id_map(cluster, "one"), id_map(cluster, "two")
    for inside, outside, size in (one, two):
        assert inside == 0 and size == PER_POD and outside >= PER_POD and outside % PER_POD == 0
    assert one[1] != two[1]
    assert id_map(cluster, "plain")[1:] == (0, 4294967295)
    assert cluster.k("exec", "one", "--", "id", "-u").strip() == "0"
    # An exec is among them: its words are the same.
    assert {line.split()[0] for line in owners(cluster, "31001")} == {str(one[1])}
    assert {line.split()[0] for line in owners(cluster, "31002")} == {str(two[1])}
    assert {line.split()[0] for line in owners(cluster, "31003")} == {"0"}


def test_users_and_groups_are_those_of_the_mapping(cluster):
    made = pod("app", "sh", "-c", "id; sleep 31004", hostUsers=False)
    made["spec"]["securityContext"] = {"runAsUser": 1000, "runAsGroup": 2000, "supplementalGroups": [3000]}
    beyond = pod("beyond", hostUsers=False)
    beyond["spec"]["securityContext"] = {"runAsUser": 70000}
    cluster.apply(made, beyond)
    cluster.wait_running("app")
    first = id_map(cluster, "app")[1]
    said = logs(cluster, "app")
    assert "uid=1000" in said and "gid=2000" in said and "3000" in said
    [seen] = owners(cluster, "31004")
    assert seen.split()[0] == str(first + 1000) and f"'{first + 3000}'" in seen, seen
    refused = cluster.wait_pod("beyond", lambda p: state(p).get("reason") == "CreateContainerConfigError", "refused for its user")
    assert "70000" in state(refused)["message"]


def test_volumes_are_the_pods_own_and_the_disk_has_its_ids(cluster):
    host = cluster.dir / f"host-{cluster.ns}"
    host.mkdir()
    (host / "roots").write_text("of root")
    os.chmod(host / "roots", 0o600)
    (host / "users").write_text("of a user")
    os.chown(host / "users", 1000, 2000)
    volumes = {"empty": {"emptyDir": {}}, "memory": {"emptyDir": {"medium": "Memory"}}, "map": {"configMap": {"name": "m"}}, "secret": {"secret": {"secretName": "s", "defaultMode": 0o400}},
               "told": {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
               "all": {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "m"}}]}},
               "host": {"hostPath": {"path": str(host), "type": "Directory"}}, "image": {"image": {"reference": "estiba/busybox:test"}}}
    script = """
      for v in empty memory host; do echo $v >/v/$v/made && stat -c "$v %u %g" /v/$v/made; done
      cat /v/map/word /v/secret/word /v/told/name /v/host/roots; echo; test -s /v/all/token && echo token
      stat -c '%n %u %g' /v/secret/..data/word /v/host/roots /v/host/users /v/image/bin/busybox /etc/hosts /dev/shm /bin/busybox
      echo x > /dev/shm/x && echo shared; echo y >> /etc/hosts && echo hosts; echo out >/dev/stdout; touch /new && stat -c 'new %u' /new; sleep 3600"""
    made = pod("vols", "sh", "-c", script, hostUsers=False, volumeMounts=[{"name": name, "mountPath": f"/v/{name}"} for name in volumes])
    made["spec"]["volumes"] = [{"name": name, **source} for name, source in volumes.items()]
    cluster.apply(config_map("m", word="mapped "), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"word": "hidden "}}, made)
    cluster.wait_running("vols")
    said = wait_for("all that it says", lambda: "new 0" in logs(cluster, "vols") and logs(cluster, "vols")).splitlines()
    for line in ("empty 0 0", "memory 0 0", "host 0 0", "mapped hidden volsof root", "token", "/v/secret/..data/word 0 0", "/v/host/roots 0 0", "/v/host/users 1000 2000", "/v/image/bin/busybox 0 0",
                 "/etc/hosts 0 0", "/dev/shm 0 0", "/bin/busybox 0 0", "shared", "hosts", "out", "new 0"):
        assert line in said, (line, said)
    # On the disk the ids are those of inside; only what is in the container's own layer is of the node's ids.
    assert (host / "made").stat().st_uid == 0
    uid = cluster.pod("vols")["metadata"]["uid"]
    assert (cluster.data_dir / "pods" / uid / "volumes/empty/made").stat().st_uid == 0
    container = cluster.pod("vols")["status"]["containerStatuses"][0]["containerID"].removeprefix("estiba://")
    first = id_map(cluster, "vols")[1]
    assert (cluster.data_dir / "containers" / container / "upper/new").stat().st_uid == first
    mapping = json.loads((cluster.data_dir / "pods" / uid / "userns").read_text())
    assert mapping["uidMappings"] == mapping["gidMappings"] == [{"hostId": first, "containerId": 0, "length": PER_POD}]


def test_the_group_of_volumes(cluster):
    made = pod("grouped", "sh", "-c", "stat -c '%u %g %a' /v; id -G; echo x > /v/made && stat -c '%u %g' /v/made; sleep 3600", hostUsers=False, volumeMounts=[{"name": "v", "mountPath": "/v"}])
    made["spec"].update(volumes=[{"name": "v", "emptyDir": {}}], securityContext={"fsGroup": 4000, "runAsUser": 1000, "runAsGroup": 1000})
    cluster.apply(made)
    cluster.wait_running("grouped")
    lines = wait_for("what it says", lambda: len(logs(cluster, "grouped").splitlines()) == 3 and logs(cluster, "grouped")).splitlines()
    assert lines[0].startswith("0 4000 2777") and "4000" in lines[1].split() and lines[2] == "1000 4000", lines


def test_a_claim_is_written_by_the_pods_root(cluster):
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    def user(name, script, **more):
        made = pod(name, "sh", "-c", script, restartPolicy="Never", volumeMounts=[{"name": "v", "mountPath": "/v"}], **more)
        made["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
        return made
    cluster.apply(claim, user("writes", "echo kept > /v/file && chown 5:6 /v/file", hostUsers=False))
    assert cluster.wait_ended("writes")["status"]["phase"] == "Succeeded", logs(cluster, "writes")
    # Another pod, with other ids or those of the node, finds what was written as it was written.
    cluster.apply(user("reads", "cat /v/file; stat -c '%u %g' /v/file", hostUsers=False), user("plain", "stat -c '%u %g' /v/file"))
    cluster.wait_ended("reads")
    assert logs(cluster, "reads") == "kept\n5 6\n"
    cluster.wait_ended("plain")
    assert logs(cluster, "plain") == "5 6\n"


def test_no_way_out_for_a_privileged_container(cluster):
    """All capabilities, but of the pod's user namespace alone: what is the machine's stays refused."""
    disk = next((line.split()[2] for line in open("/proc/self/mountinfo") if " / / " in line), "254:0")
    major, minor = disk.split(":")
    script = f"""
      try() {{ "$@" >/dev/null 2>&1 && echo "did: $*" || echo "refused: $*"; }}
      try mount -t tmpfs none /mnt
      try ip address add 10.99.0.1/32 dev lo
      try mknod /disk b {major} {minor}
      try mount -t ext4 /dev/vda /mnt
      try sh -c 'echo 1 > /proc/sys/kernel/sysrq'
      try sh -c 'echo x > /proc/sys/kernel/core_pattern'
      try ls /proc/1/root/var/lib/estiba
      try dmesg -c
      try hostname inside
      echo end; sleep 3600"""
    made = pod("mighty", "sh", "-c", "mkdir -p /mnt; " + script, hostUsers=False, securityContext={"privileged": True}, shareProcessNamespace=True)
    cluster.apply(made)
    cluster.wait_running("mighty")
    lines = wait_for("the end of its tries", lambda: "end\n" in logs(cluster, "mighty") and logs(cluster, "mighty")).splitlines()
    assert "did: mount -t tmpfs none /mnt" in lines and "did: ip address add 10.99.0.1/32 dev lo" in lines and "did: hostname inside" in lines, lines
    refused = [line for line in lines if line.startswith("refused: ")]
    assert len(refused) == 6, lines


def test_what_goes_into_a_running_pod(cluster, tmp_path):
    made = pod("box", "sh", "-c", "sleep 31005", hostUsers=False, readinessProbe={"exec": {"command": ["sh", "-c", "test $(id -u) = 0"]}, "periodSeconds": 1},
               lifecycle={"postStart": {"exec": {"command": ["touch", "/hooked"]}}})
    web = pod("web", "sh", "-c", "mkdir /www; echo served > /www/index.html; exec busybox httpd -f -p 80 -h /www", hostUsers=False, readinessProbe={"httpGet": {"port": 80, "path": "/"}, "periodSeconds": 1})
    cluster.apply(made, web)
    cluster.wait_running("box")
    cluster.wait_running("web")
    first = id_map(cluster, "box")[1]
    assert cluster.k("exec", "box", "--", "sh", "-c", "stat -c %u /hooked; cat /proc/self/uid_map").split() == ["0", "0", str(first), str(PER_POD)]
    assert cluster.k("exec", "box", "--", "wget", "-qO-", cluster.pod("web")["status"]["podIP"]) == "served\n"
    (tmp_path / "file").write_text("copied\n")
    cluster.k("cp", str(tmp_path / "file"), "box:/tmp/file")
    assert cluster.k("exec", "box", "--", "stat", "-c", "%u", "/tmp/file").strip() == "0"
    cluster.k("cp", "box:/tmp/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "copied\n"
    ephemeral = {"spec": {"ephemeralContainers": [{"name": "helper", "image": "estiba/busybox:test", "targetContainerName": "main",
                                                "command": ["sh", "-c", "cat /proc/self/uid_map; ps | grep -c '[s]leep 31005'; sleep 3600"]}]}}
    status, answer = cluster.request("PATCH", f"/api/v1/namespaces/{cluster.ns}/pods/box/ephemeralcontainers", ephemeral, ["Content-Type: application/strategic-merge-patch+json"])
    assert status == 200, answer
    said = wait_for("the helper's words", lambda: len(cluster.k("logs", "box", "-c", "helper", check=False).split()) == 4 and cluster.k("logs", "box", "-c", "helper"))
    assert said.split() == ["0", str(first), str(PER_POD), "1"], "it is in the pod's user namespace and among the processes of its target"


def test_kernel_parameters_and_a_shared_process_namespace(cluster):
    made = pod("set", "sh", "-c", "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start; ps | grep -c 'estiba-init'; hostname; sleep 3600", hostUsers=False, shareProcessNamespace=True)
    made["spec"]["securityContext"] = {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}, {"name": "net.ipv4.ip_unprivileged_port_start", "value": "77"}]}
    cluster.apply(made)
    cluster.wait_running("set")
    lines = wait_for("what it says", lambda: "set\n" in logs(cluster, "set") and logs(cluster, "set")).splitlines()
    assert lines[:2] == ["1", "77"] and int(lines[2]) >= 1 and lines[3] == "set"


def test_pod_security_relaxes_for_what_is_honoured(cluster):
    cluster.kubectl("label", "namespace", cluster.ns, "pod-security.kubernetes.io/enforce=restricted")
    try:
        def strict(name, **more):
            made = pod(name, "sh", "-c", "id -u; cat /proc/self/uid_map; sleep 3600", securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, **more)
            made["spec"]["securityContext"] = {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}
            return made
        refused = cluster.apply(strict("plain"), check=False)
        assert refused.returncode and "runAsNonRoot" in refused.stderr
        cluster.apply(strict("mapped", hostUsers=False))
        cluster.wait_running("mapped")
        words = wait_for("what it says", lambda: logs(cluster, "mapped").split())
        assert words[0] == "0" and int(words[2]) >= PER_POD, "what is allowed to be root is root of its own user namespace only"
    finally:
        cluster.kubectl("label", "namespace", cluster.ns, "pod-security.kubernetes.io/enforce-")


def test_combinations_that_cannot_be(cluster):
    for more in ({"hostNetwork": True}, {"hostPID": True}, {"hostIPC": True}):
        result = cluster.apply(pod("no", hostUsers=False, **more), check=False)
        assert result.returncode and "when `hostUsers` is false" in result.stderr, result.stderr


def test_the_node_says_what_it_can(cluster):
    status = cluster.get("node", "node-1")["status"]
    [handler] = status["runtimeHandlers"]
    assert handler.get("name", "") == "" and handler["features"] == {"recursiveReadOnlyMounts": True, "userNamespaces": True}
    assert status["features"] == {"supplementalGroupsPolicy": True}


def test_a_restart_of_the_server_keeps_pods_and_ids(own_cluster):
    cluster = own_cluster
    cluster.flags["user-namespace-ids-per-pod"] = 2 * PER_POD
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("first", "sleep", "31006", hostUsers=False), pod("second", hostUsers=False))
    for name in ("first", "second"):
        cluster.wait_running(name)
    assert id_map(cluster, "first")[2] == 2 * PER_POD and id_map(cluster, "first")[1] % (2 * PER_POD) == 0
    before = {name: (id_map(cluster, name), cluster.pod(name)["status"]["containerStatuses"][0]["containerID"]) for name in ("first", "second")}
    cluster.kill9()
    cluster.flags["user-namespace-ids-per-pod"] = PER_POD
    cluster.start()
    for name, (ids, container) in before.items():
        assert cluster.wait_running(name)["status"]["containerStatuses"][0]["containerID"] == container
        assert id_map(cluster, name) == ids
    cluster.apply(pod("third", hostUsers=False))
    cluster.wait_running("third")
    third = id_map(cluster, "third")[1]
    assert all(third + PER_POD <= first or first + size <= third for (_, first, size), _ in before.values())
    # A container that starts anew has the pod's ids again; so has a whole sandbox whose shim was killed.
    cluster.sandbox.inside(["sh", "-c", "kill -9 $(pgrep -xf 'sleep 31006')"])
    cluster.wait_pod("first", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1 and p["status"]["containerStatuses"][0]["ready"], "restarted")
    assert id_map(cluster, "first") == before["first"][0]
    uid = cluster.pod("second")["metadata"]["uid"]
    cluster.sandbox.inside(["sh", "-c", f"kill -9 $(pgrep -f '[e]stiba-oci shim {uid}')"])
    cluster.wait_pod("second", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1 and p["status"]["containerStatuses"][0]["ready"], "in a new sandbox")
    assert id_map(cluster, "second") == before["second"][0]
    # The ids of who has gone are the next pod's.
    cluster.k("delete", "pod", "first", "second", "third")
    cluster.apply(pod("next", hostUsers=False))
    cluster.wait_running("next")
    assert id_map(cluster, "next")[1] in {third, *(ids[1] for ids, _ in before.values())}
    cluster.k("delete", "pod", "next")
    cluster.stop()
    assert not cluster.leftovers()


def test_a_pod_whose_user_namespace_cannot_be_made_does_not_start(own_cluster):
    """ramfs cannot be mounted with other ids: so the node offers none, says so, and runs no pod that asks for one."""
    cluster = own_cluster
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    cluster.sandbox.inside(["mount", "-t", "ramfs", "ramfs", str(cluster.run_dir)])
    cluster.start()
    cluster.ns = "default"
    cluster.apply(pod("users", hostUsers=False), pod("plain"))
    said = lambda: cluster.k("get", "events", "--field-selector", "involvedObject.name=users,reason=FailedCreatePodSandBox")
    wait_for("an event about the field", lambda: "spec.hostUsers" in said() and "ramfs" in said())
    there = cluster.wait_pod("users", lambda p: state(p).get("reason") == "CreatePodSandboxError", "a reason in the status")
    assert "spec.hostUsers" in state(there)["message"] and there["status"]["phase"] == "Pending"
    cluster.wait_running("plain")
    assert cluster.get("node", "node-1")["status"]["runtimeHandlers"][0]["features"]["userNamespaces"] is False
    cluster.k("delete", "pod", "users", "plain")
