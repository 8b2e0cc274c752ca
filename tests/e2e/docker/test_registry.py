"""`estiba registry` with the clients that people have: skopeo, podman, curl, and our own pull."""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

import cluster as support
from cluster import BIN, Sandbox, run, wait_for


class Registry:
    """`with Registry() as registry:` has namespaces of its own; start() serves on localhost:5000 there."""

    def __init__(self, *flags):
        self.sandbox = Sandbox()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="estiba-registry-", dir="/var/tmp"))
        self.data_dir, self.log_path, self.flags, self.process = self.dir / "data", self.dir / "registry.log", flags, None

    def start(self, *more):
        with open(self.log_path, "ab") as log:
            size = self.log_path.stat().st_size
            command = [BIN / "estiba", "registry", "--data-dir", self.data_dir, *self.flags, *more]
            self.process = subprocess.Popen(self.sandbox.command(command), stdout=log, stderr=log)

        def ready():
            text = self.log_path.read_text()[size:]
            assert self.process.poll() is None, text
            return "registry: ready" in text
        wait_for("the registry", ready, 60)

    def pid(self):
        return int(open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()[0])

    def end(self, sig=signal.SIGTERM):
        os.kill(self.pid(), sig)
        return self.process.wait(60)

    def estiba(self, *arguments, **options):
        return self.sandbox.inside([BIN / "estiba", *arguments], **options)

    def skopeo(self, *arguments, **options):
        return self.sandbox.inside(["skopeo", "--insecure-policy", *arguments], **options)

    def podman(self, *arguments, **options):
        store = ["--root", self.dir / "podman", "--runroot", self.dir / "podman-run", "--storage-driver", "vfs", "--events-backend", "none"]
        policy = self.dir / "home/.config/containers"
        if not policy.exists():
            policy.mkdir(parents=True)
            (policy / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        return self.sandbox.inside(["podman", *store, *arguments], env={**os.environ, "HOME": str(self.dir / "home"), "TMPDIR": str(self.dir)}, **options)

    def import_image(self, name, data_dir=None):
        self.estiba("image", "import", "--data-dir", data_dir or self.data_dir, "--cmd", '["sh"]', support.busybox_image(), name)

    def images(self, data_dir=None):
        return self.estiba("image", "list", "--digests", "--data-dir", data_dir or self.data_dir).stdout

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, bytes) of a raw request."""
        with self.sandbox.network():
            connection = http.client.HTTPConnection("localhost", 5000, timeout=60)
            connection.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def blobs(self):
        return sorted(path.name for path in (self.data_dir / "images/blobs/sha256").iterdir())

    def close(self):
        if self.process and self.process.poll() is None:
            self.end()
        self.sandbox.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def registry(request):
    with Registry() as registry:
        yield registry
        report = getattr(request.node, "report", None)
        if report is not None and report.failed and registry.log_path.exists():
            print(registry.log_path.read_text(errors="replace")[-4000:])


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_skopeo_pushes_and_pulls_and_the_engine_has_it(registry):
    registry.start()
    registry.import_image("box:1", registry.dir / "elsewhere")
    # In this order: skopeo would reuse the other's zstd layer, which Docker's form cannot have.
    for form, kind in (("v2s2", "docker"), ("oci", "oci")):
        archive = registry.dir / f"{kind}-box.tar"
        registry.estiba("image", "export", "--data-dir", registry.dir / "elsewhere", "--format", kind, "-o", archive, "box:1")
        registry.skopeo("copy", "--format", form, "--dest-tls-verify=false", f"{kind}-archive:{archive}", f"docker://localhost:5000/team/box:{form}")
        inspected = json.loads(registry.skopeo("inspect", "--tls-verify=false", f"docker://localhost:5000/team/box:{form}").stdout)
        assert inspected["RepoTags"] and form in inspected["RepoTags"]
        copied = registry.dir / f"{form}.tar"
        registry.skopeo("copy", "--src-tls-verify=false", f"docker://localhost:5000/team/box:{form}", f"oci-archive:{copied}:x")
        assert copied.stat().st_size > 100_000
        # As if it had been pulled: unpacked, under the name that a pull would give it.
        assert any(line.split()[:2] == ["localhost:5000/team/box", form] for line in registry.images().splitlines()), registry.images()
    registry.skopeo("delete", "--tls-verify=false", "docker://localhost:5000/team/box:oci")
    assert registry.skopeo("inspect", "--tls-verify=false", "docker://localhost:5000/team/box:oci", check=False).returncode
    assert not any(line.split()[:2] == ["localhost:5000/team/box", "oci"] for line in registry.images().splitlines())


def test_podman_pushes_and_pulls(registry):
    registry.start()
    registry.import_image("localhost:5000/box:1")
    registry.podman("pull", "--tls-verify=false", "localhost:5000/box:1")
    registry.podman("tag", "localhost:5000/box:1", "localhost:5000/again/box:2")
    registry.podman("push", "--tls-verify=false", "localhost:5000/again/box:2")
    registry.podman("rmi", "-f", "localhost:5000/again/box:2", "localhost:5000/box:1")
    registry.podman("pull", "--tls-verify=false", "localhost:5000/again/box:2")
    assert json.loads(registry.ask("GET", "/v2/_catalog")[2])["repositories"] == ["again/box", "box"]


def test_what_is_here_is_served_without_a_push_and_ours_pulls_it(registry):
    registry.start()
    for name in ("localhost:5000/box:1", "hub-box:2"):
        registry.import_image(name)
    other = registry.dir / "other"
    registry.estiba("image", "pull", "--data-dir", other, "localhost:5000/box:1", "localhost:5000/hub-box:2")
    assert "localhost:5000/hub-box" in registry.images(other)
    registry.end()
    registry.start("--images=false")
    result = registry.estiba("image", "pull", "--data-dir", registry.dir / "third", "localhost:5000/box:1", check=False)
    assert result.returncode == 1 and "is not in the registry" in result.stderr


def test_users_need_their_password(registry):
    users = registry.dir / "users"
    users.write_text("ana:$2y$04$abcdefghijklmnopqrstuur1fPvYSLqVPEjartMXetgMlaM7yj35C\n")
    registry.start("--htpasswd", users)
    registry.import_image("localhost:5000/box:1")
    assert registry.skopeo("inspect", "--tls-verify=false", "docker://localhost:5000/box:1", check=False).returncode
    assert registry.skopeo("inspect", "--tls-verify=false", "--creds", "ana:falso", "docker://localhost:5000/box:1", check=False).returncode
    registry.skopeo("inspect", "--tls-verify=false", "--creds", "ana:secreto", "docker://localhost:5000/box:1")
    registry.podman("login", "--tls-verify=false", "--authfile", registry.dir / "auth.json", "-u", "ana", "-p", "secreto", "localhost:5000")
    status, headers, _ = registry.ask("GET", "/v2/")
    assert status == 401 and headers["WWW-Authenticate"].startswith("Basic realm=")
    token = base64.b64encode(b"ana:secreto").decode()
    assert registry.ask("GET", "/v2/", headers={"Authorization": f"Basic {token}"})[0] == 200
    refused = registry.estiba("image", "pull", "--data-dir", registry.dir / "other", "localhost:5000/box:1", check=False)
    assert refused.returncode == 1
    registry.estiba("image", "pull", "--data-dir", registry.dir / "other", "--login", "ana:secreto", "localhost:5000/box:1")
    users.write_text("ana:$apr1$x$y\n")
    registry.end()
    bad = registry.estiba("registry", "--data-dir", registry.data_dir, "--htpasswd", users, check=False)
    assert bad.returncode == 1 and "line 1" in bad.stderr and "htpasswd -B" in bad.stderr


def test_tls(registry):
    certificate, key = registry.dir / "cert.pem", registry.dir / "key.pem"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate])
    registry.start("--tls-certificate", certificate, "--tls-key", key)
    registry.import_image("localhost:5000/box:1")
    trusted = registry.dir / "trusted"
    trusted.mkdir()
    shutil.copy(certificate, trusted / "ca.crt")
    registry.skopeo("copy", "--src-cert-dir", trusted, "docker://localhost:5000/box:1", f"oci-archive:{registry.dir}/out.tar:x")
    registry.skopeo("copy", "--dest-cert-dir", trusted, f"oci-archive:{registry.dir}/out.tar:x", "docker://localhost:5000/pushed:1")
    assert "localhost:5000/pushed" in registry.images()
    # On loopback addresses our own client takes any certificate, as dockerd does.
    registry.estiba("image", "pull", "--data-dir", registry.dir / "other", "localhost:5000/pushed:1")
    half = registry.estiba("registry", "--tls-key", key, "--listen", "127.0.0.1:0", check=False)
    assert half.returncode == 1 and "together" in half.stderr


def test_uploads_are_resumed_and_a_killed_server_leaves_nothing_broken(registry):
    registry.start()
    data = os.urandom(3_000_000)
    _, headers, _ = registry.ask("POST", "/v2/a/blobs/uploads/")
    where = headers["Location"]
    # A connection that breaks in the middle of a chunk.
    with registry.sandbox.network():
        connection = http.client.HTTPConnection("localhost", 5000, timeout=60)
        connection.connect()
    connection.putrequest("PATCH", where)
    connection.putheader("Content-Length", "2000000")
    connection.endheaders()
    connection.send(data[:1_200_000])
    connection.close()

    def resumed_at():
        status, headers, _ = registry.ask("GET", where)
        assert status == 204
        size = int(headers["Range"].split("-")[1]) + 1
        return size if size == 1_200_000 else None
    size = wait_for("what arrived of the broken chunk", resumed_at)
    wait_for("the end of the broken request", lambda: registry.ask("PATCH", where, data[:10], {"Content-Range": "0-9"})[0] == 416)

    def goes_on():
        return registry.ask("PATCH", where, data[size:2_500_000], {"Content-Range": f"{size}-2499999"})[0] == 202
    wait_for("the end of the broken request", goes_on)
    assert registry.ask("PUT", where + "?digest=" + digest(data), data[2_500_000:])[0] == 201
    assert registry.ask("GET", "/v2/a/blobs/" + digest(data))[2] == data
    status, headers, part = registry.ask("GET", "/v2/a/blobs/" + digest(data), headers={"Range": "bytes=1999990-2000009"})
    assert (status, part) == (206, data[1_999_990:2_000_010]) and headers["Content-Range"] == "bytes 1999990-2000009/3000000"
    # Killed with an upload under way: the client goes on where it was.
    data = data[::-1]
    _, headers, _ = registry.ask("POST", "/v2/a/blobs/uploads/")
    where = headers["Location"]
    assert registry.ask("PATCH", where, data[:1_500_000])[0] == 202
    registry.end(signal.SIGKILL)
    registry.start()
    status, headers, _ = registry.ask("GET", where)
    assert (status, headers["Range"]) == (204, "0-1499999")
    assert registry.ask("GET", where.replace("/a/", "/b/"))[0] == 404
    assert registry.ask("PATCH", where, data[:9], {"Content-Range": "0-8"})[0] == 416
    assert registry.ask("PATCH", where, data[1_500_000:2_000_000], {"Content-Range": "1500000-1999999"})[0] == 202
    registry.end()  # and once more, in order
    registry.start()
    assert registry.ask("PUT", where + "?digest=" + digest(data), data[2_000_000:])[0] == 201
    assert registry.ask("GET", "/v2/a/blobs/" + digest(data))[2] == data
    assert registry.ask("GET", where)[0] == 404
    for left in ("images/tmp", "registry/uploads"):
        wait_for("the leftovers to go", lambda: list((registry.data_dir / left).iterdir()) == [])


def test_many_push_at_once(registry):
    registry.start()
    shared = os.urandom(500_000)

    def push(number):
        own = os.urandom(200_000)
        for blob in (shared, own):
            assert registry.ask("POST", f"/v2/many/r{number % 3}/blobs/uploads/?digest={digest(blob)}", blob)[0] == 201
        config = json.dumps({"architecture": "none", "os": "none", "n": number}).encode()
        assert registry.ask("POST", f"/v2/many/r{number % 3}/blobs/uploads/?digest={digest(config)}", config)[0] == 201
        layers = [{"mediaType": "application/octet-stream", "digest": digest(blob), "size": len(blob)} for blob in (shared, own)]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                               "config": {"mediaType": "application/x.test", "digest": digest(config), "size": len(config)}, "layers": layers}).encode()
        path = f"/v2/many/r{number % 3}/manifests/t{number}"
        assert registry.ask("PUT", path, manifest, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})[0] == 201
        assert registry.ask("GET", path)[2] == manifest
        assert registry.ask("GET", f"/v2/many/r{number % 3}/blobs/{digest(own)}")[2] == own

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(24)))
    assert json.loads(registry.ask("GET", "/v2/_catalog")[2])["repositories"] == ["many/r0", "many/r1", "many/r2"]
    assert len(json.loads(registry.ask("GET", "/v2/many/r1/tags/list")[2])["tags"]) == 8


def test_deleting_gives_the_disk_back(registry):
    registry.start("--grace=0")
    registry.import_image("box:1", registry.dir / "elsewhere")
    archive = registry.dir / "box.tar"
    registry.estiba("image", "export", "--data-dir", registry.dir / "elsewhere", "--format", "oci", "-o", archive, "box:1")
    registry.skopeo("copy", "--dest-tls-verify=false", f"oci-archive:{archive}", "docker://localhost:5000/box:1")
    assert registry.blobs()
    registry.skopeo("delete", "--tls-verify=false", "docker://localhost:5000/box:1")
    assert registry.blobs() == [] and "box" not in registry.images()
    assert list((registry.data_dir / "images/layers").iterdir()) == []


def test_a_second_registry_and_bad_flags_are_named(registry):
    registry.start()
    second = registry.estiba("registry", "--data-dir", registry.data_dir, "--listen", "127.0.0.1:0", check=False)
    assert second.returncode == 1 and "another registry serves" in second.stderr
    taken = registry.estiba("registry", "--data-dir", registry.dir / "other", check=False)
    assert taken.returncode == 1 and "127.0.0.1:5000" in taken.stderr and "in use" in taken.stderr
    for flags, why in ((["--listen", "x"], "ADDRESS:PORT"), (["now"], "no arguments"), (["--lisen", "x"], "--listen"), (["--grace=-1"], "seconds")):
        bad = registry.estiba("registry", *flags, check=False)
        assert bad.returncode == 1 and why in bad.stderr, bad.stderr
    assert registry.end() == 0
