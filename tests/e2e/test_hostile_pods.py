"""Pods that mean harm or cannot be: what they want is refused or bounded and said so, their neighbours go on, and they can be deleted."""
import pathlib
import subprocess
import sys
import time

import pytest

import cluster as support
from cluster import wait_for
from manifests import pod

BOX = "estiba/busybox:test"


def state(p):
    """(where, reason, message) of the first container."""
    found = p["status"].get("containerStatuses", [{}])[0].get("state", {})
    kind = next(iter(found), "")
    return kind, found.get(kind, {}).get("reason", ""), found.get(kind, {}).get("message", "")


def says(cluster, name, *words, seconds=30):
    """Waits until the container's state or an event about the pod has all these words."""
    def told():
        text = " ".join(state(cluster.pod(name))) + cluster.k("get", "events", "--field-selector", f"involvedObject.name={name}")
        return all(word in text for word in words)
    wait_for(f"{name} to say {words}", told, seconds, 0.5)


def goes(cluster, *names, seconds=60):
    cluster.k("delete", "pod", *names, timeout=seconds)


@pytest.mark.parametrize("spec,words", [
    ({"command": ["/etc/passwd"]}, ["/etc/passwd", "ermission denied"]),
    ({"command": ["/proc/self/exe/../x"]}, ["/proc/self/exe/../x"]),
    ({"workingDir": "/etc/passwd"}, ["/etc/passwd"]),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/nowhere", "type": "Directory"}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}, ["FailedMount", "/nowhere"]),
    ({"env": [{"name": "LONG", "value": "x" * 200_000}]}, ["too long"]),
    ({"env": [{"name": f"V{n}", "value": "x" * 100_000} for n in range(24)]}, ["too long"]),
])
def test_what_cannot_start_says_why(cluster, spec, words):
    made = pod("cannot", restartPolicy="Never", **{k: v for k, v in spec.items() if k != "command"})
    if "command" in spec:
        made["spec"]["containers"][0]["command"] = spec["command"]
    status, body = cluster.request("POST", f"/api/v1/namespaces/{cluster.ns}/pods", made)
    assert status == 201, body
    says(cluster, "cannot", *words)
    goes(cluster, "cannot")


def test_a_great_environment_that_fits_arrives(cluster):
    made = pod("great", "sh", "-c", "env | grep -c ^V; echo ${#V7}", restartPolicy="Never", env=[{"name": f"V{n}", "value": "x" * 60_000} for n in range(20)])
    status, body = cluster.request("POST", f"/api/v1/namespaces/{cluster.ns}/pods", made)
    assert status == 201, body
    cluster.wait_ended("great")
    assert cluster.k("logs", "great").split() == ["20", "60000"]


def test_ten_thousand_mounts(cluster):
    count = 10_000
    made = pod("mounts", "sh", "-c", "wc -l < /proc/mounts; exec sleep 1000", volumes=[{"name": "v", "emptyDir": {}}],
               volumeMounts=[{"name": "v", "mountPath": f"/v/{n % 100}/{n}"} for n in range(count)])
    status, body = cluster.request("POST", f"/api/v1/namespaces/{cluster.ns}/pods", made)
    assert status == 201, body
    ended = cluster.wait_pod("mounts", lambda p: p["status"].get("phase") == "Running" or state(p)[0] in ("waiting", "terminated") and "mount" in state(p)[2], "running, or refused by name", 120)
    if ended["status"]["phase"] == "Running":
        wait_for("its word", lambda: (text := cluster.k("logs", "mounts").strip()) and int(text) > count, 30)
    goes(cluster, "mounts", seconds=120)


ENDLESS = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        try:
            while True: self.wfile.write(b"x" * 65536)
        except OSError: pass
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def test_probes_that_answer_without_end(cluster):
    cluster.apply(pod("endless", "python3", "-c", ENDLESS, image="estiba/python:test", readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}),
                  pod("talks", readinessProbe={"exec": {"command": ["sh", "-c", "yes | head -c 200000000"]}, "periodSeconds": 1, "timeoutSeconds": 5}),
                  pod("hangs", readinessProbe={"exec": {"command": ["sleep", "1000"]}, "periodSeconds": 1}))
    before = support.pss_kib(cluster.server_pid())
    says(cluster, "hangs", "Unhealthy", "Readiness probe", seconds=60)
    time.sleep(3)
    assert support.pss_kib(cluster.server_pid()) < before + 100 * 1024, "what a probe answers is not kept"
    for name in ("endless", "talks", "hangs"):
        assert cluster.pod(name)["status"]["containerStatuses"][0]["restartCount"] == 0
    goes(cluster, "endless", "talks", "hangs")


def test_floods_of_log_are_rotated_and_hold_nobody_up(cluster):
    cluster.apply(pod("flood", "sh", "-c", "yes this is a line of a flood of log lines | head -c 24000000; echo; echo last; exec sleep 1000"), pod("calm", "sh", "-c", "echo calm; exec sleep 1000"))
    wait_for("its last line", lambda: cluster.k("logs", "flood", "--tail=1", check=False) == "last\n", 90, 0.5)
    assert cluster.k("logs", "calm") == "calm\n"
    folder = cluster.sandbox.inside(["sh", "-c", f"du -sm /var/log/pods/{cluster.ns}_flood_*"]).stdout.split()[0]
    assert int(folder) <= 64, "ten megabytes a file, five files, and what the heads of the lines take"
    goes(cluster, "flood", "calm")


def test_processes_are_bounded_and_end_with_their_pod():
    with support.Cluster(**{"pod-max-pids": "150"}) as cluster:
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.import_image(support.python_image(), "estiba/python:test")
        cluster.start()
        cluster.ns = "default"
        bomb = "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done"
        zombies = "import os, time\nfor n in range(100):\n  if os.fork() == 0: os._exit(0)\nprint('made', flush=True)\ntime.sleep(1000)"
        deaf = "trap '' TERM INT HUP; for n in $(seq 50); do (trap '' TERM; while :; do sleep 1; done) & done; echo made; while :; do sleep 1; done"
        cluster.apply(pod("bomb", "sh", "-c", bomb), pod("zombies", "python3", "-c", zombies, image="estiba/python:test"), pod("deaf", "sh", "-c", deaf), pod("calm", "sh", "-c", "echo calm; exec sleep 1000"))
        for name in ("zombies", "deaf"):
            wait_for(f"{name} to be made", lambda: "made" in cluster.k("logs", name, check=False), 30)
        cluster.wait_running("calm")
        time.sleep(2)
        groups = [path for root in cluster.cgroups() for path in pathlib.Path(root).rglob("pids.current") if path.parent.name.startswith("pod")]
        counts = sorted(int(path.read_text()) for path in groups)
        assert len(counts) == 4 and max(counts) <= 150, counts
        assert cluster.k("exec", "calm", "--", "echo", "fine") == "fine\n"
        goes(cluster, "bomb", "zombies", "deaf", "calm")
        cluster.stop()
        assert cluster.leftovers() == []


def test_a_killed_shim_is_replaced(cluster):
    cluster.apply(pod("orphan", "sh", "-c", "echo up; exec sleep 1000"))
    there = cluster.wait_running("orphan")
    shims = [line.split()[0] for line in cluster.sandbox.processes() if " shim " in line and there["metadata"]["uid"] in line]
    assert len(shims) == 1, cluster.sandbox.processes()
    cluster.sandbox.inside(["kill", "-9", *shims])
    again = cluster.wait_pod("orphan", lambda p: p["status"]["containerStatuses"][0]["restartCount"] >= 1 and state(p)[0] == "running", "running again", 60)
    assert again["metadata"]["uid"] == there["metadata"]["uid"]
    assert cluster.k("exec", "orphan", "--", "echo", "fine") == "fine\n"
    goes(cluster, "orphan")


@pytest.fixture
def machine():
    """A cluster whose directories are small file systems of their own."""
    with support.Cluster() as cluster:
        base = pathlib.Path("/var/lib/estiba/small")
        cluster.sandbox.inside(["sh", "-c", f"mkdir -p {base}/run {base}/data && mount -t tmpfs -o size=16m run {base}/run && mount -t tmpfs -o size=256m data {base}/data"])
        cluster.data_dir, cluster.run_dir, cluster.ns = base / "data", base / "run", "default"
        cluster.flags.update({"data-dir": base / "data", "run-dir": base / "run"})
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.start()
        yield cluster


@pytest.mark.parametrize("place,harm", [("run", "full"), ("run", "read-only"), ("data", "full")])
def test_full_and_readonly_directories_are_told_and_got_over(machine, place, harm):
    cluster, folder = machine, f"/var/lib/estiba/small/{place}"
    cluster.apply(pod("before"))
    cluster.wait_running("before")
    inside = lambda command: cluster.sandbox.inside(["sh", "-c", command], check=False)
    if harm == "read-only":
        inside(f"mount -o remount,ro {folder}")
    elif place == "run":
        inside(f"dd if=/dev/zero of={folder}/filler bs=4k; dd if=/dev/zero of={folder}/filler2 bs=512")
    else:
        # The store has room for its own files, images and volumes have not.
        inside(f"head -c {8 << 20} /dev/zero > {folder}/reserve; dd if=/dev/zero of={folder}/filler bs=64k; rm {folder}/reserve")
    if place == "run":
        cluster.apply(pod("after"))
        says(cluster, "after", "Failed", "ead-only" if harm == "read-only" else "No space left")
    inside(f"mount -o remount,rw {folder}; rm -f {folder}/filler {folder}/filler2")
    wait_for("the pod to be made", lambda: cluster.request("POST", "/api/v1/namespaces/default/pods", pod("after"))[0] in (201, 409), 30, 0.5)
    cluster.wait_running("after", 90)
    assert cluster.pod("before")["status"]["containerStatuses"][0]["restartCount"] == 0
    goes(cluster, "before", "after")
    cluster.stop()
    assert [left for left in cluster.leftovers() if left not in (f"mount {cluster.run_dir}", f"mount {cluster.data_dir}")] == []


def test_a_data_directory_that_cannot_be_written_is_named(own_cluster):
    cluster, folder = own_cluster, "/var/lib/estiba/readonly"
    cluster.sandbox.inside(["sh", "-c", f"mkdir -p {folder} && mount -t tmpfs -o ro readonly {folder}"])
    cluster.flags["data-dir"] = folder
    cluster.start(wait=False)
    assert cluster.server.wait(20) != 0
    assert folder in cluster.log() and "ead-only" in cluster.log()


def test_a_clock_that_jumps_ends_nothing(own_cluster, tmp_path, monkeypatch):
    cluster, later, shift = own_cluster, tmp_path / "later.so", tmp_path / "shift"
    source = pathlib.Path(support.__file__).with_name("later.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", later, source], check=True)
    shift.write_text("0")
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    monkeypatch.setenv("LD_PRELOAD", str(later))
    monkeypatch.setenv("LATER_FILE", str(shift))
    cluster.start()
    monkeypatch.delenv("LD_PRELOAD")
    cluster.ns = "default"
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    cluster.apply(pod("steady", livenessProbe=probe, readinessProbe=probe))
    cluster.wait_running("steady")
    for number, seconds in enumerate((2 * 3600, 5, 5 * 86400)):
        shift.write_text(str(seconds))
        time.sleep(3)
        name = f"during-{number}"
        cluster.apply(pod(name, readinessProbe=probe))
        cluster.wait_running(name)
        assert cluster.k("exec", "steady", "--", "echo", "fine") == "fine\n"
        steady = cluster.pod("steady")
        assert steady["status"]["containerStatuses"][0]["restartCount"] == 0 and steady["status"]["containerStatuses"][0]["ready"]
        goes(cluster, name)
        node = cluster.get("node", "node-1")
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True" and not node["spec"].get("taints")
    goes(cluster, "steady")
    cluster.stop()
    assert cluster.leftovers() == []


def test_the_shims_program_is_out_of_reach_of_its_pod(cluster):
    """A container that executes /proc/self/exe before it is itself has the shim's file in its hands: what it opens of it can never be written to."""
    script = "printf '#!/proc/self/exe --version\\n' > /x; chmod +x /x; exec sleep 1000"
    cluster.apply(pod("owner", "sh", "-c", script))
    cluster.wait_running("owner")
    assert "estiba-oci version" in cluster.k("exec", "owner", "--", "/x")
    # While it runs nobody can write to it anyway; what it is on is read-only, and nobody else's.
    look = ("import os\nfor p in filter(str.isdigit, os.listdir('/proc')):\n try:\n  if open(f'/proc/{p}/comm').read() == 'estiba-shim\\n':\n"
            "   print(os.statvfs(f'/proc/{p}/exe').f_flag & os.ST_RDONLY, os.readlink(f'/proc/{p}/exe'))\n except OSError:\n  pass")
    shims = cluster.sandbox.inside([sys.executable, "-c", look]).stdout.splitlines()
    assert shims and all(line.startswith("1 ") for line in shims), shims
    goes(cluster, "owner")
