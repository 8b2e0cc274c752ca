"""The engine's registry client against a registry that misbehaves, and pulls and pushes by the API."""
import contextlib
import os
import pathlib
import subprocess
import sys

import pytest

import cluster as support
import docker_engine
from docker_engine import wait_for


@contextlib.contextmanager
def fake_registry(engine, address="127.0.0.1"):
    """The address of a fake registry beside the engine."""
    program = pathlib.Path(docker_engine.__file__).with_name("fake_registry.py")
    process = subprocess.Popen(engine.sandbox.command([sys.executable, program, address]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield f"{address}:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        process.wait(30)


@pytest.fixture(scope="module")
def registry(shared_engine):
    with fake_registry(shared_engine) as address:
        yield address


def pull(engine, registry, repository):
    return engine.api("POST", f"/images/create?fromImage={registry}/{repository}&tag=1", timeout=120)


def gone(engine, registry, repository):
    return engine.api("GET", f"/images/{registry}/{repository}:1/json").status == 404


def test_progress_is_told_as_dockerd_does(engine, registry):
    answer = pull(engine, registry, "ok")
    assert answer.status == 200, answer.text
    lines = answer.lines
    assert lines[0] == {"status": "Pulling from ok", "id": "1"}
    statuses = [line["status"] for line in lines]
    for status in ("Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Extracting", "Pull complete"):
        assert status in statuses, statuses
    assert statuses[-2].startswith("Digest: sha256:")
    assert statuses[-1] == f"Status: Downloaded newer image for {registry}/ok:1"
    figures = [line for line in lines if line["status"] == "Downloading"][-1]
    assert figures["progressDetail"]["current"] == figures["progressDetail"]["total"] and figures["progress"].startswith("[====")
    again = pull(engine, registry, "ok").lines
    assert again[-1]["status"] == f"Status: Image is up to date for {registry}/ok:1"
    digest = statuses[-2].removeprefix("Digest: ")
    assert engine.api("GET", f"/images/{registry}/ok@{digest}/json").status == 200
    remote = engine.api("GET", f"/distribution/{registry}/ok:1/json")
    assert remote.status == 200 and remote.body["Descriptor"]["digest"] == digest and remote.body["Platforms"] == [{"architecture": "amd64", "os": "linux"}]


def test_a_download_that_breaks_off_goes_on(engine, registry):
    answer = pull(engine, registry, "truncated")
    assert answer.status == 200 and "Downloaded newer image" in answer.text, answer.text


def test_too_many_requests_are_waited_out(engine, registry):
    answer = pull(engine, registry, "too-many")
    assert answer.status == 200 and "Downloaded newer image" in answer.text, answer.text


@pytest.mark.parametrize("repository, says", [
    ("lies-size", "bytes that the manifest declares"),
    ("lies-digest", "digest mismatch"),
    ("evil", '".." is not allowed'),
])
def test_lies_and_hostile_layers_leave_nothing(engine, registry, repository, says):
    answer = pull(engine, registry, repository)
    assert says in answer.lines[-1]["error"] and answer.lines[-1]["errorDetail"]["message"] == answer.lines[-1]["error"], answer.text
    assert gone(engine, registry, repository)


@pytest.mark.parametrize("repository, status, says", [
    ("status-500", 500, "answered 500"),
    ("status-401", 404, "pull access denied for"),
    ("gone", 404, "not found: manifest unknown"),
])
def test_refusals_have_their_status(engine, registry, repository, status, says):
    answer = pull(engine, registry, repository)
    assert answer.status == status and says in answer.body["message"], answer.text


def test_a_registry_that_is_down(engine):
    answer = engine.api("POST", "/images/create?fromImage=127.0.0.1:1/x&tag=1")
    assert answer.status == 500 and "onnection refused" in answer.body["message"]


def test_pushing_what_is_not_there(engine):
    answer = engine.api("POST", "/images/127.0.0.1:1/nothing/push?tag=1", headers={"X-Registry-Auth": "e30="})
    assert answer.status == 404 and "An image does not exist locally with the tag" in answer.text


def test_a_killed_engine_goes_on_with_a_download(own_engine):
    engine = own_engine
    engine.start()
    with fake_registry(engine) as registry:
        connection, _ = engine.stream("POST", f"/images/create?fromImage={registry}/stalls&tag=1")
        partial = engine.data_dir / "images/partial"

        def received():
            return [path for path in partial.iterdir() if path.stat().st_size > 1_000_000]
        left = wait_for("half of the layer", received)
        engine.kill9()
        connection.close()
        assert left[0].stat().st_size > 1_000_000
        engine.start()
        # The registry never sends the second half to who begins anew.
        answer = pull(engine, registry, "stalls")
        assert "Downloaded newer image" in answer.text, answer.text
        first = [line for line in answer.lines if line["status"] == "Downloading"]
        assert not first or first[0]["progressDetail"]["current"] > 1_000_000
        assert list(partial.iterdir()) == []


def test_what_was_downloaded_and_is_damaged_goes(own_engine):
    engine = own_engine
    engine.start()
    with fake_registry(engine) as registry:
        connection, _ = engine.stream("POST", f"/images/create?fromImage={registry}/stalls&tag=1")
        partial = engine.data_dir / "images/partial"
        left = wait_for("half of the layer", lambda: [path for path in partial.iterdir() if path.stat().st_size > 1_000_000])[0]
        engine.kill9()
        connection.close()
        with open(left, "r+b") as file:
            file.seek(1000)
            file.write(b"damaged")
        engine.start()
        answer = pull(engine, registry, "stalls")
        assert "error" in answer.lines[-1] and "Downloaded" not in answer.text, answer.text
        assert list(partial.iterdir()) == []
        assert gone(engine, registry, "stalls")


def test_an_insecure_registry_speaks_https_or_http(tmp_path):
    address = support.NODE_ADDRESS
    with docker_engine.Engine(**{"insecure-registry": address}) as engine:
        engine.start()
        with fake_registry(engine, address) as plain:
            assert "Downloaded newer image" in pull(engine, plain, "ok").text
        certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        support.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=other", "-keyout", key, "-out", certificate])
        command = [docker_engine.BIN / "estiba", "registry", "--listen", f"{address}:5443", "--data-dir", engine.dir / "registry", "--tls-certificate", certificate, "--tls-key", key]
        server = subprocess.Popen(engine.sandbox.command(command), stderr=subprocess.DEVNULL)
        try:
            wait_for("the registry", lambda: engine.sandbox.inside(["curl", "-sk", f"https://{address}:5443/v2/"], check=False).returncode == 0)
            name = f"{address}:5443/box:1"
            engine.estiba("tag", docker_engine.BOX, name)
            engine.estiba("push", name)
            engine.estiba("rmi", name)
            engine.estiba("pull", name)
        finally:
            for child in open(f"/proc/{server.pid}/task/{server.pid}/children").read().split():
                os.kill(int(child), 15)
            server.wait(30)


def test_a_registry_with_a_certificate_that_nobody_knows_is_refused(engine, tmp_path):
    address = support.NODE_ADDRESS
    with fake_registry(engine, address) as plain:  # and one without any, where HTTP was not allowed
        answer = pull(engine, plain, "ok")
        assert answer.status >= 400 and "Downloaded" not in answer.text, answer.text
