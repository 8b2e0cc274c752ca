"""`estiba VERB` and `docker VERB` against one made-up daemon: the same exit code, the same output byte for byte, and requests that mean
the same. No engine is needed, so that the whole surface is compared in seconds."""
import datetime
import json
import os
import shlex
import subprocess
import time

import pytest

import docker_engine
from cluster import BIN
from fake_docker import FakeDaemon, frame

NOW = int(time.time())
ID, OTHER = "4f" * 32, "ab" * 32


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


def done(query, body):
    return 204, ""


CONTAINERS = [
    {"Id": ID, "Names": ["/web", "/other/alias"], "Image": "miapp-django:1.0", "ImageID": "sha256:" + OTHER, "Command": "python manage.py runserver 0.0.0.0:8000",
     "Created": NOW - 330, "Labels": {"a.c": "1"}, "State": "running", "Status": "Up 5 minutes", "SizeRw": 1093, "SizeRootFs": 125000000,
     "Ports": [{"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": 8000, "Type": "tcp"}, {"PrivatePort": 90, "Type": "udp"}, {"PrivatePort": 443, "Type": "tcp"},
               {"IP": "0.0.0.0", "PrivatePort": 8001, "PublicPort": 8001, "Type": "tcp"}, {"PrivatePort": 444, "Type": "tcp"}],
     "HostConfig": {"NetworkMode": "red-demo"}, "NetworkSettings": {"Networks": {"red-demo": {}}},
     "Mounts": [{"Type": "volume", "Name": "datos-con-un-nombre-largo", "Source": "", "Destination": "/app/data", "Driver": "local", "Mode": "z", "RW": True, "Propagation": ""}]},
    {"Id": OTHER, "Names": ["/db"], "Image": "sha256:" + OTHER, "ImageID": "sha256:" + OTHER, "Command": "sh", "Created": NOW - 86400 * 20, "Ports": [], "Labels": {},
     "State": "exited", "Status": "Exited (0) 2 weeks ago", "HostConfig": {"NetworkMode": "default"}, "NetworkSettings": {"Networks": {}}, "Mounts": []},
]
IMAGES = [
    {"Id": "sha256:" + ID, "ParentId": "", "RepoTags": ["miapp-django:1.0"], "RepoDigests": ["miapp-django@sha256:" + OTHER], "Created": NOW - 4000, "Size": 125000000,
     "SharedSize": -1, "VirtualSize": 125000000, "Labels": {"x": "y"}, "Containers": -1},
    {"Id": "sha256:" + OTHER, "ParentId": "", "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"], "Created": NOW - 86400 * 400, "Size": 1093, "SharedSize": -1,
     "VirtualSize": 1093, "Labels": None, "Containers": -1},
]
CONTAINER = {
    "Id": ID, "Created": iso(NOW - 300), "Path": "sh", "Args": ["-c", "x<y&z"], "Image": "sha256:" + OTHER, "Name": "/web", "RestartCount": 0, "Mounts": [],
    "State": {"Status": "running", "Running": True, "Paused": False, "Restarting": False, "Dead": False, "Pid": 12, "ExitCode": 0, "Error": "", "StartedAt": iso(NOW - 299),
              "FinishedAt": "0001-01-01T00:00:00Z"},
    "HostConfig": {"Binds": None, "NetworkMode": "default", "AutoRemove": False, "PidsLimit": None, "Memory": 0, "NanoCpus": 1500000000},
    "Config": {"Hostname": "x", "Tty": False, "OpenStdin": False, "Env": ["A=1", "B=2"], "Cmd": ["sh", "-c", "x"], "Image": "box:1", "Volumes": None, "Entrypoint": None, "Labels": {"a": "b", "k": "v"}},
    "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}, "Networks": {"bridge": {"IPAddress": "172.17.0.2", "Gateway": "172.17.0.1"}}},
}
PULL = (b'{"status":"Pulling from library/box","id":"1"}\r\n{"status":"Pulling fs layer","progressDetail":{},"id":"aa"}\r\n'
        b'{"status":"Downloading","progressDetail":{"current":10,"total":100},"progress":"x","id":"aa"}\r\n{"status":"Pull complete","progressDetail":{},"id":"aa"}\r\n'
        b'{"status":"Digest: sha256:1"}\r\n{"status":"Status: Downloaded newer image for box:1"}\r\n')
LOGS = {"headers": {"Content-Type": "application/vnd.docker.multiplexed-stream"}, "body": frame(1, b"one\n") + frame(2, b"err\n") + frame(1, b"two\n")}
STATS = {
    "id": ID, "name": "/web", "read": iso(NOW), "pids_stats": {"current": 3}, "memory_stats": {"usage": 150000000, "limit": 2000000000, "stats": {"inactive_file": 20000000}},
    "cpu_stats": {"cpu_usage": {"total_usage": 2000000000}, "system_cpu_usage": 20000000000, "online_cpus": 2},
    "precpu_stats": {"cpu_usage": {"total_usage": 1000000000}, "system_cpu_usage": 10000000000, "online_cpus": 2}, "networks": {"eth0": {"rx_bytes": 1500, "tx_bytes": 999}},
    "blkio_stats": {"io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "read", "value": 1500000}, {"major": 8, "minor": 0, "op": "Write", "value": 10}]}}
EVENT = {"status": "start", "id": ID, "from": "box:1", "Type": "container", "Action": "start", "Actor": {"ID": ID, "Attributes": {"image": "box:1", "name": "web"}}, "scope": "local",
         "time": NOW, "timeNano": NOW * 10**9 + 123}
NETWORKS = [{"Name": "red-demo", "Id": ID, "Created": iso(NOW), "Scope": "local", "Driver": "bridge", "EnableIPv4": True, "EnableIPv6": False, "Internal": False, "Labels": {"l": "1"}, "IPAM": {}},
            {"Name": "bridge", "Id": OTHER, "Created": iso(NOW), "Scope": "local", "Driver": "bridge", "EnableIPv4": True, "EnableIPv6": False, "Internal": False, "Labels": {}, "IPAM": {}}]
ANSWERS = {
    "GET /containers/json": CONTAINERS, "GET /images/json": IMAGES, "GET /containers/web/json": CONTAINER, f"GET /containers/{ID}/json": CONTAINER, "GET /networks": NETWORKS,
    "GET /volumes": {"Volumes": [{"Name": "datos", "Driver": "local", "Mountpoint": "/var/x", "Scope": "local", "Labels": {"b": "1"}, "Options": None, "CreatedAt": iso(NOW)},
                                 {"Name": "abc", "Driver": "local", "Mountpoint": "/var/y", "Scope": "local", "Labels": None, "Options": None}], "Warnings": None},
    "GET /images/box:1/history": [{"Id": "sha256:" + ID, "Created": NOW - 4000, "CreatedBy": "/bin/sh -c #(nop)  CMD [\"python\" \"manage.py\" \"runserver\"]", "Tags": ["box:1"], "Size": 0, "Comment": ""},
                                  {"Id": "<missing>", "Created": NOW - 91000, "CreatedBy": "COPY . . # buildkit", "Tags": None, "Size": 125000, "Comment": "buildkit.dockerfile.v0"}],
    "GET /containers/web/top": {"Titles": ["UID", "PID", "CMD"], "Processes": [["root", "1", "sh -c x"], ["root", "12345", "sleep 1000000"]]},
    "GET /containers/web/changes": [{"Kind": 0, "Path": "/etc"}, {"Kind": 1, "Path": "/etc/new"}, {"Kind": 2, "Path": "/gone"}],
    "GET /containers/web/logs": LOGS, f"GET /containers/{ID}/logs": LOGS, "GET /containers/web/stats": STATS, "GET /containers/4f4f4f4f4f4f/stats": STATS,
    "GET /containers/abababababab/stats": {**STATS, "id": OTHER, "name": "/db"},
    "GET /version": {"Platform": {"Name": "Estiba"}, "Version": "0.2", "ApiVersion": "1.50", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64", "Components": []},
    "GET /info": {"ID": "x", "Containers": 3, "ServerVersion": "0.2", "OSType": "linux", "Swarm": {"LocalNodeState": "inactive"}, "RegistryConfig": {"IndexConfigs": {}}},
    "GET /events": json.dumps(EVENT).encode() + b"\n",
    "GET /system/df": {"LayersSize": 200000000, "Images": [{**IMAGES[0], "SharedSize": 1000, "Containers": 1}, {**IMAGES[1], "SharedSize": 0, "Containers": 0}], "Containers": CONTAINERS,
                       "Volumes": [{"Name": "datos", "Driver": "local", "Mountpoint": "/x", "Scope": "local", "Labels": None, "Options": None, "UsageData": {"Size": 12345678, "RefCount": 1}}],
                       "BuildCache": [{"ID": "abc", "Type": "regular", "InUse": False, "Shared": False, "Size": 5000, "CreatedAt": iso(NOW - 100), "LastUsedAt": None, "UsageCount": 2}]},
    "POST /containers/create": lambda query, body: (201, {"Id": ID, "Warnings": ["careful"]}),
    f"POST /containers/{ID}/wait": {"StatusCode": 3}, "POST /containers/web/wait": {"StatusCode": 3},
    f"POST /containers/{ID}/attach": {"hijack": lambda connection, stream: connection.sendall(frame(1, b"hello\n") + frame(2, b"oops\n"))},
    "POST /containers/web/exec": lambda query, body: (201, {"Id": "ee"}), "GET /exec/ee/json": {"ID": "ee", "Running": False, "ExitCode": 7},
    "POST /exec/ee/start": {"hijack": lambda connection, stream: connection.sendall(frame(1, b"exec\n"))},
    "POST /containers/web/update": {"Warnings": []}, "POST /networks/create": lambda query, body: (201, {"Id": ID, "Warning": ""}), "POST /volumes/create": lambda query, body: (201, {"Name": "datos"}),
    "POST /networks/red-demo/connect": "", "POST /networks/red-demo/disconnect": "", "DELETE /volumes/datos": done, "DELETE /containers/web": done,
    **{f"POST /containers/{name}/{verb}": done for name in ("web", ID) for verb in ("start", "stop", "restart", "kill", "pause", "unpause", "rename")},
    "POST /containers/prune": {"ContainersDeleted": [ID], "SpaceReclaimed": 12345}, "POST /images/prune": {"ImagesDeleted": [{"Untagged": "a:1"}, {"Deleted": "sha256:" + ID}], "SpaceReclaimed": 5},
    "POST /networks/prune": {"NetworksDeleted": ["n"]}, "POST /volumes/prune": {"VolumesDeleted": ["v"], "SpaceReclaimed": 7},
    "DELETE /images/box:1": [{"Untagged": "box:1"}, {"Deleted": "sha256:" + ID}], "POST /images/create": PULL, "POST /images/load": b'{"stream":"Loaded image: box:1\\n"}\r\n',
    **{f"POST /images/{name}/push": b'{"status":"The push refers to repository [docker.io/library/box]"}\r\n{"status":"Preparing","progressDetail":{},"id":"aa"}\r\n'
                                    b'{"errorDetail":{"message":"denied: no"},"error":"denied: no"}\r\n' for name in ("box", "docker.io/library/box")},
    "POST /images/box:1/tag": lambda query, body: (201, ""), "POST /commit": lambda query, body: (201, {"Id": "sha256:" + ID}),
    "GET /images/get": {"headers": {"Content-Type": "application/x-tar"}, "body": b"tar-bytes"}, "GET /containers/web/export": {"headers": {"Content-Type": "application/x-tar"}, "body": b"tar-bytes"},
    "GET /images/box:1/json": {"Id": "sha256:" + ID, "RepoTags": ["box:1"], "Created": iso(NOW), "Architecture": "amd64", "Os": "linux", "Size": 5, "Config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
                               "RootFS": {"Type": "layers", "Layers": ["sha256:1"]}},
    "GET /networks/red-demo": NETWORKS[0], "GET /volumes/datos": {"Name": "datos", "Driver": "local", "Mountpoint": "/x", "Labels": {}, "Options": {}, "Scope": "local"},
}

# What every docker prints as we do.
ALIKE = r"""
ps -aq
ps --format '{{.Names}}'
ps --format 'table {{.ID}}\t{{.Names}}\t{{.Label "a.c"}}\t{{.Mounts}}'
ps --format '{{json .Names}} {{upper .Image}} {{.Status}}'
ps
ps -a --no-trunc
ps -s
ps -n 3 -f status=running -f name=x
images
images -q
images --digests
images --no-trunc
images --format '{{.Repository}}:{{.Tag}} {{.Size}} {{.CreatedSince}}'
history box:1
history --no-trunc box:1
history -H=false box:1
history -q box:1
network ls
network ls -q --no-trunc
volume ls
volume ls -q
top web
top web -ef
diff web
logs web
logs --tail 5 -t web
stats --no-stream web
system df
events
events --format '{{.Action}} {{.Actor.Attributes.name}}'
inspect web
inspect -f '{{.State.Status}} {{.Id}}' web
inspect -f '{{json .Config.Labels}}' web
inspect -f '{{range $p, $c := .NetworkSettings.Ports}}{{$p}}={{(index $c 0).HostPort}} {{end}}' web
inspect -f '{{range .Config.Env}}{{println .}}{{end}}' web
inspect -f '{{.HostConfig.Binds}} {{.Config.Volumes}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCPUs}}' web
inspect -f '{{if .State.Health}}x{{else}}none{{end}}' web
image inspect -f '{{.Config.Cmd}} {{.RepoTags}}' box:1
port web
port web 80
run box:1 true
run -d box:1
run --rm -e A=1 -p 8080:80 -v /a:/b -m 64m --cpus 0.5 --name x box:1 sh -c "echo hi"
run -d --network red-demo --network-alias web --restart always -l a=b box:1
run --network none --read-only --tmpfs /tmp:size=1m --cap-add NET_ADMIN --ulimit nofile=10:20 --shm-size 1g box:1
run --health-cmd 'curl x' --health-interval 5s --init --user 1:2 -w /x -h hh --dns 1.1.1.1 --add-host a:1.2.3.4 --log-opt max-size=1m box:1
run --mount type=volume,src=a,dst=/b,readonly --mount type=bind,source=/x,target=/y,bind-propagation=rslave --entrypoint /e --stop-signal KILL --stop-timeout 3 --group-add 5 --pids-limit 9 box:1
run -p 80-82:90-92/udp -p 127.0.0.1::53 -P --expose 1-3 --link a:b --volumes-from x --ipc host --pid host --uts host --privileged box:1
run --gpus all --memory-swappiness 5 --blkio-weight 10 --device-read-bps /dev/sda:1m --cpuset-cpus 0 --cgroup-parent /x --ip 10.0.0.1 --network n box:1
create box:1 x
start web
start -a web
stop web
stop -t 5 web
kill -s HUP web
pause web
unpause web
rm -fv web
rename web b
wait web
update -m 64m --cpus 2 --restart no web
exec web ls
exec -e A=1 -w /x -u 5 --privileged web ls -l
commit -m x -a y -c 'CMD ["x"]' -p=false web a/b:c
tag box:1 a/b:c
rmi box:1
pull box:1
pull box
pull -q box:1
push box:1
save box:1
export web
load
network connect --alias a --ip 10.1.0.5 red-demo web
network disconnect -f red-demo web
volume create
volume create datos --label a=b -o type=tmpfs
volume rm datos
container prune -f
image prune -f
image prune -af
network prune -f
info -f '{{.ServerVersion}} {{.Containers}}'
version -f '{{.Server.Version}}'
cp web:/x web:/y
cp a b
"""

# What docker 28 prints as we do; older ones differ.
NEWER = r"""
ps --format json
ps -f bad
ps --format '{{.Foo}}'
ps --format '{{.Foo'
images --format json
history --format json box:1
network ls --format json
volume ls --format json
stats --no-stream
stats --no-stream --format json web
system df --format json
system df -v
inspect nothere
inspect --type foo datos
port web 81
port web x
run --restart=always --rm box:1
run -p x:80 box:1
run -m abc box:1
run --pull foo box:1
run -d -a stdout box:1
create --restart foo:x box:1
restart -s INT web
rename a
network create n
network create --subnet 10.1.0.0/24 --gateway 10.1.0.1 --ip-range 10.1.0.0/25 --internal -o a=b --label c=d --ipv6 n
network create --gateway 10.1.0.1 n
volume prune -af
container prune
ps --foo
ps -Z
ps -n x
ps extra
foo
image foo
network
"""


def commands(text):
    return [line for line in text.strip().splitlines() if line]


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    directory = tmp_path_factory.mktemp("alike")
    daemon = FakeDaemon(directory / "docker.sock", ANSWERS)
    (directory / "docker").symlink_to(BIN / "estiba")  # called by this name it behaves, and speaks of itself, as docker

    def run(program, arguments):
        daemon.requests.clear()
        env = {**os.environ, "DOCKER_HOST": f"unix://{directory}/docker.sock", "DOCKER_CONFIG": str(directory / "config"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        result = subprocess.run([program or directory / "docker", *arguments], env=env, capture_output=True, input=b"", timeout=60)
        return result.returncode, result.stdout.decode(), result.stderr.decode(), meanings(daemon.requests)

    yield run
    daemon.close()


def meaning(value):
    """A request without what says nothing: empty values, and what one client spells out and another leaves to the daemon."""
    if isinstance(value, dict):
        out = {key: meaning(each) for key, each in value.items()}
        ignored = {"ConsoleSize", "CheckDuplicate", "MacAddress"} | ({"MemorySwappiness"} if out.get("MemorySwappiness") == -1 else set())
        return {key: each for key, each in out.items() if each not in (None, 0, "", False, [], {}) and key not in ignored}
    if isinstance(value, list):
        return [meaning(each) for each in value]
    return value.removeprefix("docker.io/library/").removeprefix("docker.io/").removeprefix("CAP_") if isinstance(value, str) else value


def meanings(requests):
    """What changes something, without what is only asked."""
    out = []
    for method, path, query, body, _ in requests:
        if method in ("GET", "HEAD"):
            continue
        try:
            body = meaning(json.loads(body)) if body else None
        except ValueError:
            body = body.decode(errors="replace")
        query = {key: meaning(value) for key, value in query.items() if value not in ("", "not-running")}
        wait = path.endswith("/wait")  # the container may be named by its id, and a detached run need not wait
        out += [] if wait else [(method, path.replace("docker.io/library/", ""), json.dumps(query, sort_keys=True), json.dumps(body or None, sort_keys=True))]
    return sorted(out)


def compare(talk, docker, line):
    arguments = shlex.split(line)
    theirs, ours = talk(docker, arguments), talk(None, arguments)
    assert ours[0] == theirs[0], f"exit codes; they: {theirs}, we: {ours}"
    assert ours[1] == theirs[1]
    assert ours[2] == theirs[2]
    assert ours[3] == theirs[3]


def is_newer(path):
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.split()
    return len(version) > 2 and int(version[2].split(".")[0]) >= 28


@pytest.mark.parametrize("line", commands(ALIKE))
def test_alike(talk, line):
    for docker in docker_engine.dockers():
        compare(talk, docker, line)


@pytest.mark.parametrize("line", commands(NEWER))
def test_alike_with_new_docker(talk, line):
    newer = [docker for docker in docker_engine.dockers() if is_newer(docker)]
    if not newer:
        pytest.skip("this machine has no docker 28")
    compare(talk, newer[0], line)
