"""The Container Runtime Interface, by a gRPC client that is not ours: beside Docker in `estiba engine`, and beside the node's own pods in
`estiba server`."""
import json
import pathlib
import uuid

import grpc
import pytest
import websocket

import cluster as support
import cri as client
import docker_engine
from cluster import wait_for

SOCKET = "/run/estiba/cri.sock"
READY, RUNNING, EXITED = 0, 1, 2
CREATED_EVENT, STARTED_EVENT, STOPPED_EVENT, DELETED_EVENT = range(4)
POD, CONTAINER, NODE, TARGET = range(4)


class Host:
    """A machine with a CRI socket: what runs it, and a client."""

    def __init__(self, owner):
        self.owner, self.sandbox, self.cri = owner, owner.sandbox, None
        self.connect()

    def connect(self):
        if self.cri:
            self.cri.close()
        self.cri = client.Cri(f"/proc/{self.sandbox.pid}/root{SOCKET}")

    def pod(self, **config):
        name = "p-" + uuid.uuid4().hex[:8]
        linux = {"security_context": {"namespace_options": {"pid": CONTAINER, **config.pop("namespaces", {})}}}
        config = {"metadata": {"name": name, "uid": "u" + name, "namespace": "default"}, "hostname": name, "log_directory": f"/var/log/pods/{name}", "linux": linux, **config}
        return self.cri.RunPodSandbox(config=config).pod_sandbox_id

    def create(self, pod, command, name="main", **config):
        security = {"namespace_options": {"pid": CONTAINER, **config.pop("namespaces", {})}, **config.pop("security", {})}
        config = {"metadata": {"name": name}, "image": {"image": docker_engine.BOX}, "command": command, "log_path": f"{name}/0.log", "linux": {"security_context": security}, **config}
        return self.cri.CreateContainer(pod_sandbox_id=pod, config=config).container_id

    def start(self, pod, command, **config):
        container = self.create(pod, command, **config)
        self.cri.StartContainer(container_id=container)
        return container

    def status(self, container):
        return self.cri.ContainerStatus(container_id=container).status

    def ended(self, container):
        return wait_for("the container's end", lambda: (s := self.status(container)).state == EXITED and s, 30)

    def log(self, container):
        """[(stream, text)] of the container's CRI log."""
        lines = self.sandbox.inside(["cat", self.status(container).log_path]).stdout.splitlines()
        return [(line.split(" ", 3)[1], line.split(" ", 3)[3]) for line in lines]

    def run(self, container, *command):
        return self.cri.ExecSync(container_id=container, cmd=command, timeout=20)

    def ip(self, pod):
        return self.cri.PodSandboxStatus(pod_sandbox_id=pod).status.network.ip

    def remove_all(self):
        for pod in self.cri.ListPodSandbox().items:
            self.cri.RemovePodSandbox(pod_sandbox_id=pod.id)


@pytest.fixture(scope="module")
def host():
    with docker_engine.Engine(**{"cri-socket": SOCKET, "cdi-spec-dirs": "/run/estiba/cdi"}) as engine:
        engine.start()
        found = Host(engine)
        yield found
        found.remove_all()
        found.cri.close()
        engine.stop()
        assert engine.leftovers() == []


@pytest.fixture
def pod(host):
    made = host.pod()
    yield made
    host.cri.RemovePodSandbox(pod_sandbox_id=made)


def code(call, **fields):
    with pytest.raises(grpc.RpcError) as caught:
        call(**fields)
    return caught.value.code()


def test_the_runtime_says_what_it_is(host):
    version = host.cri.Version(version="v1")
    assert (version.runtime_name, version.runtime_api_version) == ("estiba", "v1")
    status = host.cri.Status(verbose=True)
    assert {c.type: c.status for c in status.status.conditions} == {"RuntimeReady": True, "NetworkReady": True}
    assert "socket" in json.loads(status.info["config"])
    assert host.cri.RuntimeConfig().linux.cgroup_driver == 1
    assert docker_engine.BOX in " ".join(tag for image in host.cri.ListImages().images for tag in image.repo_tags)


def test_a_pod_with_two_containers_and_its_logs(host, pod):
    server = host.start(pod, ["sh", "-c", "echo served > /index.html; echo up; exec httpd -f -p 8080 -h /"], name="server")
    other = host.start(pod, ["sh", "-c", "i=0; until wget -q -O - http://127.0.0.1:8080/index.html; do i=$((i+1)); [ $i -lt 100 ] || exit 9; sleep 0.1; done; echo problem >&2; exit 3"], name="other")
    status = host.ended(other)
    assert (status.exit_code, status.reason) == (3, "Error")
    log = host.log(other)
    assert ("stdout", "served") in log and log[-1] == ("stderr", "problem")
    assert host.log(server) == [("stdout", "up")]
    assert sorted(c.metadata.name for c in host.cri.ListContainers(filter={"pod_sandbox_id": pod}).containers) == ["other", "server"]
    assert {s.attributes.id for s in host.cri.ListContainerStats().stats} == {server}
    neighbour = host.pod()
    reader = host.start(neighbour, ["sleep", "1000"])
    assert host.run(reader, "wget", "-q", "-O", "-", f"http://{host.ip(pod)}:8080/index.html").stdout == b"served\n"
    # The client rotates: the old file goes on under its new name until the runtime is told.
    path = host.status(server).log_path
    host.sandbox.inside(["mv", path, path + ".old"])
    host.cri.ReopenContainerLog(container_id=server)
    assert host.sandbox.inside(["test", "-f", path], check=False).returncode == 0
    host.cri.RemovePodSandbox(pod_sandbox_id=neighbour)


def test_security_mounts_and_devices(host, pod):
    directory = pathlib.Path("/run/estiba/shared-" + pod[:8])
    container = host.start(pod, ["sleep", "1000"], security={"run_as_user": {"value": 1000}, "readonly_rootfs": True, "capabilities": {"drop_capabilities": ["ALL"]}, "no_new_privs": True, "seccomp": {"profile_type": 0}},
                           mounts=[{"container_path": "/data", "host_path": str(directory)}, {"container_path": "/ro", "host_path": str(directory), "readonly": True}],
                           devices=[{"container_path": "/dev/zeros", "host_path": "/dev/zero", "permissions": "r"}],
                           envs=[{"key": "GREETING", "value": "hello"}], working_dir="/data")
    assert host.run(container, "id", "-u").stdout == b"1000\n"
    assert host.run(container, "sh", "-c", "echo $GREETING; pwd").stdout == b"hello\n/data\n"
    assert host.run(container, "sh", "-c", "touch /x").exit_code != 0
    assert host.run(container, "sh", "-c", "touch /ro/x").exit_code != 0
    proc = host.run(container, "cat", "/proc/self/status").stdout.decode()
    assert "CapBnd:\t0000000000000000" in proc and "NoNewPrivs:\t1" in proc and "Seccomp:\t2" in proc
    assert host.run(container, "sh", "-c", "head -c 3 /dev/zeros | wc -c").stdout.strip() == b"3"
    host.sandbox.inside(["sh", "-c", f"chmod 777 {directory}"])
    assert host.run(container, "touch", "/data/x").exit_code == 0
    host.sandbox.inside(["rm", "-r", directory])


def test_cdi_devices(host, pod):
    host.sandbox.inside(["mkdir", "-p", "/run/estiba/cdi"])
    host.sandbox.inside(["tee", "/run/estiba/cdi/vendor.yaml"], input="""
cdiVersion: 0.8.0
kind: vendor.com/card
devices:
- {name: a, containerEdits: {env: [A=1], deviceNodes: [{path: /dev/card, hostPath: /dev/zero, permissions: r}]}}
- {name: b, containerEdits: {env: [B=2]}}
""")
    container = host.start(pod, ["sleep", "1000"], CDI_devices=[{"name": "vendor.com/card=a"}], annotations={"cdi.k8s.io/plugin": "vendor.com/card=b,vendor.com/card=a"})
    assert host.run(container, "sh", "-c", "echo $A$B; head -c 3 /dev/card | wc -c").stdout == b"12\n3\n"
    for wrong, words in (({"CDI_devices": [{"name": "vendor.com/card=c"}]}, "unresolvable CDI devices vendor.com/card=c"), ({"annotations": {"cdi.k8s.io/plugin": "card"}}, 'annotation cdi.k8s.io/plugin: "card"')):
        with pytest.raises(grpc.RpcError) as caught:
            host.create(pod, ["true"], name="wrong", **wrong)
        assert words in caught.value.details()


def test_images_are_mounted(host, pod):
    mounts = [{"container_path": "/box", "image": {"image": docker_engine.BOX}, "readonly": True}, {"container_path": "/names", "image": {"image": docker_engine.BOX}, "image_sub_path": "etc/passwd"}]
    container = host.start(pod, ["sleep", "1000"], mounts=mounts)
    assert b"root:" in host.run(container, "cat", "/box/etc/passwd").stdout and b"root:" in host.run(container, "cat", "/names").stdout
    assert b"Read-only file system" in host.run(container, "sh", "-c", "touch /box/x 2>&1 || true").stdout
    assert code(host.create, pod=pod, command=["true"], name="none", mounts=[{"container_path": "/v", "image": {"image": "none:1"}}]) == grpc.StatusCode.UNKNOWN
    both = [{"container_path": "/v", "host_path": "/tmp", "image": {"image": docker_engine.BOX}}]
    assert code(host.create, pod=pod, command=["true"], name="both", mounts=both) == grpc.StatusCode.INVALID_ARGUMENT


def test_user_namespaces(host):
    assert [(h.name, h.features.user_namespaces) for h in host.cri.Status().runtime_handlers] == [("", True)]
    ids, others = ([{"host_id": first, "container_id": 0, "length": 65536}] for first in (655360, 720896))
    options = {"userns_options": {"mode": POD, "uids": ids, "gids": ids}}
    mapped = host.pod(namespaces=options)
    directory = f"/run/estiba/shared-{mapped[:8]}"
    container = host.start(mapped, ["sleep", "1000"], namespaces=options, mounts=[
        {"container_path": "/usual", "host_path": directory}, {"container_path": "/own", "host_path": directory, "uidMappings": ids, "gidMappings": ids},
        {"container_path": "/anothers", "host_path": directory, "uidMappings": others, "gidMappings": others}])
    assert host.run(container, "cat", "/proc/self/uid_map").stdout.split() == [b"0", b"655360", b"65536"]
    assert host.run(container, "sh", "-c", "id -u; stat -c %u /usual /own /anothers; touch /own/made").stdout.split() == [b"0", b"0", b"0", b"65534"]
    assert host.sandbox.inside(["stat", "-c", "%u", f"{directory}/made"]).stdout == "0\n"
    assert host.run(container, "sh", "-c", "ip address add 10.99.0.1/32 dev lo 2>&1; echo x > /proc/sys/kernel/core_pattern").exit_code != 0
    host.cri.RemovePodSandbox(pod_sandbox_id=mapped)
    host.sandbox.inside(["rm", "-r", directory])
    for wrong in ({"mode": POD}, {"mode": NODE, "uids": ids, "gids": ids}):
        assert code(host.pod, namespaces={"userns_options": wrong}) == grpc.StatusCode.INVALID_ARGUMENT
    for kind in ("network", "pid", "ipc"):
        assert code(host.pod, namespaces={kind: NODE, **options}) == grpc.StatusCode.INVALID_ARGUMENT


def test_namespaces_of_the_host_and_of_the_pod(host):
    on_host = host.pod(namespaces={"network": NODE, "pid": POD})
    container = host.start(on_host, ["sleep", "1000"], namespaces={"network": NODE, "pid": POD})
    host.start(on_host, ["sleep", "2000"], name="second", namespaces={"network": NODE, "pid": POD})
    assert support.NODE_ADDRESS in host.run(container, "ip", "address").stdout.decode()
    assert "sleep 2000" in host.run(container, "ps").stdout.decode()
    assert host.ip(on_host) == ""
    alone = host.pod()
    first = host.start(alone, ["sleep", "3000"])
    watcher = host.start(alone, ["sleep", "4000"], name="watcher", namespaces={"pid": TARGET, "target_id": first})
    assert "sleep 3000" in host.run(watcher, "ps").stdout.decode()
    assert "sleep 4000" not in host.run(host.start(alone, ["sleep", "5000"], name="third"), "ps").stdout.decode()
    for made in (on_host, alone):
        host.cri.RemovePodSandbox(pod_sandbox_id=made)


def test_a_command_by_its_url(host, pod):
    container = host.start(pod, ["sleep", "1000"])
    url = host.cri.Exec(container_id=container, cmd=["sh", "-c", "echo from inside; exit 7"], stdout=True, stderr=True).url
    with host.sandbox.network():
        socket = websocket.create_connection(url.replace("http://", "ws://"), subprotocols=["v4.channel.k8s.io"], timeout=20)
    heard = {}
    while frame := socket.recv():
        heard[frame[0]] = heard.get(frame[0], b"") + frame[1:]
    socket.close()
    assert heard[1] == b"from inside\n"
    assert json.loads(heard[3])["reason"] == "NonZeroExitCode"
    assert code(host.cri.ExecSync, container_id=container, cmd=["sleep", "100"], timeout=1) == grpc.StatusCode.DEADLINE_EXCEEDED


def test_errors_and_what_is_repeated(host, pod):
    assert code(host.cri.ContainerStatus, container_id="none") == grpc.StatusCode.NOT_FOUND
    assert code(host.cri.CheckpointContainer, container_id="none") == grpc.StatusCode.UNIMPLEMENTED
    assert code(host.cri.RunPodSandbox, config={}) == grpc.StatusCode.INVALID_ARGUMENT
    for call in (host.cri.StopPodSandbox, host.cri.RemovePodSandbox):
        call(pod_sandbox_id="none")
    host.cri.StopContainer(container_id="none", timeout=1)
    host.cri.RemoveContainer(container_id="none")
    container = host.start(pod, ["sleep", "1000"])
    host.cri.StopPodSandbox(pod_sandbox_id=pod)
    host.cri.StopPodSandbox(pod_sandbox_id=pod)
    assert host.status(container).exit_code == 137
    assert host.cri.PodSandboxStatus(pod_sandbox_id=pod).status.state != READY
    host.cri.RemovePodSandbox(pod_sandbox_id=pod)
    assert not host.cri.ListContainers(filter={"id": container}).containers


def test_events_tell_a_pods_life(host):
    events = host.cri.events()
    next_event = lambda: (e := next(events)) and (e.container_id, e.container_event_type)  # noqa: E731
    pod = host.pod()
    assert [next_event(), next_event()] == [(pod, CREATED_EVENT), (pod, STARTED_EVENT)]
    container = host.start(pod, ["true"])
    assert [next_event() for _ in range(3)] == [(container, CREATED_EVENT), (container, STARTED_EVENT), (container, STOPPED_EVENT)]
    host.cri.RemovePodSandbox(pod_sandbox_id=pod)
    assert [next_event() for _ in range(3)] == [(pod, STOPPED_EVENT), (container, DELETED_EVENT), (pod, DELETED_EVENT)]
    events.cancel()


def test_pods_outlive_a_killed_server(host, pod):
    container = host.start(pod, ["sleep", "1000"])
    address = host.ip(pod)
    host.owner.kill9()
    host.owner.start()
    host.connect()
    assert host.status(container).state == RUNNING
    assert host.ip(pod) == address
    assert host.run(container, "echo", "still here").stdout == b"still here\n"


def test_docker_and_the_cri_do_not_see_each_other(host, pod):
    host.start(pod, ["sleep", "1000"])
    assert host.owner.docker("ps", "-aq").stdout == ""
    host.owner.docker("run", "-d", "--name", "dockers", docker_engine.BOX, "sleep", "1000")
    assert all(p.metadata.name.startswith("p-") for p in host.cri.ListPodSandbox().items)
    host.owner.docker("rm", "-f", "dockers")


def test_beside_a_cluster():
    with support.Cluster(**{"cri-socket": SOCKET}) as cluster:
        cluster.import_image(support.busybox_image(), docker_engine.BOX)
        cluster.start()
        host = Host(cluster)
        pod = host.pod()
        container = host.start(pod, ["sleep", "1000"])
        cluster.kubectl("run", "ours", "--image", docker_engine.BOX, "--image-pull-policy=Never", "--", "sleep", "1000")
        cluster.kubectl("wait", "pod/ours", "--for=condition=Ready", "--timeout=60s")
        assert len(host.cri.ListPodSandbox().items) == 1
        cluster.stop()
        cluster.start()
        host.connect()
        assert host.status(container).state == RUNNING
        assert host.run(container, "true").exit_code == 0
        host.cri.RemovePodSandbox(pod_sandbox_id=pod)
        cluster.kubectl("delete", "pod", "ours", "--now")
        host.cri.close()
