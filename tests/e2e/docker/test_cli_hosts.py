"""Ways to the daemon: plain TCP, TLS with certificates of both sides, ssh; and logging in to a registry through it."""
import contextlib
import os
import subprocess

import pytest

from cluster import run, wait_for
from docker_engine import BIN, BOX, SOCKET


@contextlib.contextmanager
def beside(engine, *command):
    """A program in the engine's namespaces, meanwhile."""
    process = subprocess.Popen(engine.sandbox.command(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        for child in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split():
            os.kill(int(child), 15)
        process.wait(30)


def listens(engine, port):
    """Waits until somebody does, without connecting."""
    wait_for(f"port {port}", lambda: f":{port:04X} " in engine.sandbox.inside(["cat", "/proc/net/tcp", "/proc/net/tcp6"]).stdout and " 0A " in engine.sandbox.inside(["sh", "-c", f"grep -h ':{port:04X} ' /proc/net/tcp /proc/net/tcp6"]).stdout)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder as `docker --tlsverify` wants it (ca.pem, cert.pem, key.pem), with server.pem for the daemon's side and other/, which the CA does not know."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for where in (folder, folder / "other"):
        where.mkdir(exist_ok=True)
        run(["openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=ca", "-keyout", where / "ca-key.pem", "-out", where / "ca.pem"])
        for name, more in (("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
            run(["openssl", "req", "-new", *key, "-subj", f"/CN={name}", "-keyout", where / f"{name}-key.pem", "-out", where / f"{name}.csr"])
            (where / "extensions").write_text(more + "\n")
            run(["openssl", "x509", "-req", "-in", where / f"{name}.csr", "-CA", where / "ca.pem", "-CAkey", where / "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", where / "extensions",
                 "-out", where / f"{name}-cert.pem"])
        (where / "server.pem").write_text((where / "server-cert.pem").read_text() + (where / "server-key.pem").read_text())
        (where / "client-cert.pem").rename(where / "cert.pem")
        (where / "client-key.pem").rename(where / "key.pem")
    return folder


def test_plain_tcp(engine, cli):
    with beside(engine, "socat", "TCP-LISTEN:2375,bind=127.0.0.1,fork,reuseaddr", f"UNIX-CONNECT:{SOCKET}"):
        listens(engine, 2375)
        for host in ("tcp://127.0.0.1:2375", "tcp://127.0.0.1"):
            assert cli("run", "--rm", "--network", "none", BOX, "echo", "by tcp", env={"DOCKER_HOST": host}).stdout == "by tcp\n"
        result = cli("-H", "tcp://127.0.0.1:1", "ps", check=False)
        assert result.returncode == 1 and "Cannot connect to the Docker daemon at tcp://127.0.0.1:1" in result.stderr


def test_tls_verifies_both_sides(engine, cli, certificates):
    listen = f"OPENSSL-LISTEN:2376,bind=127.0.0.1,fork,reuseaddr,cert={certificates}/server.pem,cafile={certificates}/ca.pem,verify=1"
    with beside(engine, "socat", listen, f"UNIX-CONNECT:{SOCKET}"):
        listens(engine, 2376)
        host = {"DOCKER_HOST": "tcp://127.0.0.1:2376"}
        # By flags, and by the environment.
        flags = ["--tlsverify", "--tlscacert", certificates / "ca.pem", "--tlscert", certificates / "cert.pem", "--tlskey", certificates / "key.pem"]
        assert cli(*flags, "version", "--format", "{{.Server.Os}}", env=host).stdout == "linux\n"
        verified = {**host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
        assert cli("run", "--rm", "-i", "--network", "none", BOX, "cat", env=verified, input="through TLS\n").stdout == "through TLS\n"
        # A server that the CA does not know; with --tls alone it is not asked.
        other = certificates / "other"
        result = cli("--tlsverify", "--tlscacert", other / "ca.pem", "--tlscert", certificates / "cert.pem", "--tlskey", certificates / "key.pem", "ps", env=host, check=False)
        assert result.returncode == 1 and "certificate" in result.stderr, result.stderr
        assert cli("--tls", "--tlscacert", other / "ca.pem", "--tlscert", certificates / "cert.pem", "--tlskey", certificates / "key.pem", "ps", "-q", "--filter", "name=nothing", env=host).stdout == ""
        # A client that the server does not know.
        result = cli("--tlsverify", "--tlscacert", certificates / "ca.pem", "--tlscert", other / "cert.pem", "--tlskey", other / "key.pem", "ps", env=host, check=False)
        assert result.returncode == 1 and result.stderr


def test_ssh(engine, cli, tmp_path):
    """A made-up ssh that notes how it was called and runs the command here."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "docker").symlink_to(BIN / "estiba")
    (bin / "ssh").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nwhile [ "$1" != docker ]; do shift; done\nexport DOCKER_HOST=unix://{SOCKET}\nexec "$@"\n')
    (bin / "ssh").chmod(0o755)
    env = {"DOCKER_HOST": "ssh://ana@far.example:2222", "PATH": f"{bin}:{os.environ['PATH']}"}
    assert cli("run", "--rm", "-i", "--network", "none", BOX, "cat", env=env, input="by ssh\n").stdout == "by ssh\n"
    calls = (tmp_path / "calls").read_text()
    assert "-l ana" in calls and "-p 2222" in calls and "far.example" in calls and "docker system dial-stdio" in calls
    # One that cannot be reached.
    (bin / "ssh").write_text("#!/bin/sh\necho 'ssh: no route' >&2\nexit 255\n")
    result = cli("ps", env=env, check=False)
    assert result.returncode == 1 and result.stderr


def test_login_is_checked_by_the_daemon(engine, cli, tmp_path):
    users = tmp_path / "users"
    users.write_text("ana:$2y$04$abcdefghijklmnopqrstuur1fPvYSLqVPEjartMXetgMlaM7yj35C\n")
    users.chmod(0o644)
    with beside(engine, BIN / "estiba", "registry", "--listen", "127.0.0.1:5055", "--data-dir", tmp_path / "registry", "--htpasswd", users):
        listens(engine, 5055)
        where = "127.0.0.1:5055"
        config = tmp_path / "config"
        config.mkdir()
        wrong = cli("--config", config, "login", "-u", "ana", "--password-stdin", where, input="falso", check=False)
        assert wrong.returncode == 1 and "401 Unauthorized" in wrong.stderr
        assert not (config / "config.json").exists() or where not in (config / "config.json").read_text()
        right = cli("--config", config, "login", "-u", "ana", "--password-stdin", where, input="secreto")
        assert "Login Succeeded" in right.stdout
        assert where in (config / "config.json").read_text()
        name = f"{where}/{engine.unique('login')}:1"
        engine.estiba("tag", BOX, name)
        assert cli("push", name, check=False).returncode == 1  # with another, empty configuration
        cli("--config", config, "push", name)
        engine.estiba("rmi", name)
        answer = engine.api("POST", "/auth", {"username": "ana", "password": "secreto", "serveraddress": where})
        assert (answer.status, answer.body["Status"]) == (200, "Login Succeeded")
        answer = engine.api("POST", "/auth", {"username": "ana", "password": "x", "serveraddress": f"http://{where}/v2/"})
        assert answer.status == 401 and "401 Unauthorized" in answer.body["message"]
        assert engine.api("POST", "/auth", {"serveraddress": where}).status == 400
    assert engine.api("POST", "/auth", {"username": "a", "password": "b", "serveraddress": "127.0.0.1:1"}).status >= 500
