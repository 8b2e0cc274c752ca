"""The engine's registry client against a registry that misbehaves, and pulls and pushes by the API."""
import pathlib
import subprocess
import sys

import pytest

import docker_engine


@pytest.fixture(scope="module")
def registry(shared_engine):
    """The address of a fake registry beside the engine."""
    program = pathlib.Path(docker_engine.__file__).with_name("fake_registry.py")
    process = subprocess.Popen(shared_engine.sandbox.command([sys.executable, program]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield f"127.0.0.1:{process.stdout.readline().strip()}"
    process.stdin.close()
    process.wait(30)


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
