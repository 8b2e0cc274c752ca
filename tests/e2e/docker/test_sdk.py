"""The Python SDK (package python3-docker) drives the engine as it drives Docker's."""
import io
import tarfile
import threading

import docker
import pytest

from docker_engine import BOX


@pytest.fixture(scope="module")
def sdk(shared_engine):
    client = docker.DockerClient(base_url=f"unix://{shared_engine.socket_path}", version="auto", timeout=60)
    yield client
    client.close()


def test_it_negotiates_and_pings(sdk):
    assert sdk.ping()
    version = sdk.version()
    assert version["ApiVersion"] == "1.50" and version["MinAPIVersion"] == "1.24" and version["Os"] == "linux"
    info = sdk.info()
    assert info["Containers"] >= 0 and info["OSType"] == "linux" and info["NCPU"] >= 1


def test_run_gives_the_output_and_raises_on_failure(sdk, engine):
    assert sdk.containers.run(BOX, ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as error:
        sdk.containers.run(BOX, ["sh", "-c", "echo no >&2; exit 3"], remove=True)
    assert error.value.exit_status == 3 and b"no" in error.value.stderr
    with pytest.raises(docker.errors.APIError):
        sdk.containers.run(BOX, ["no-such-program"], remove=True)


def test_a_container_lives_and_ends(sdk, engine):
    name = engine.unique("sdk")
    container = sdk.containers.run(BOX, ["sh", "-c", "echo up; trap 'exit 7' TERM; while :; do sleep 0.1; done"], name=name, detach=True, environment={"A": "b"}, labels={"sdk": "yes"})
    try:
        assert sdk.containers.get(name).id == container.id
        assert container in sdk.containers.list(filters={"label": "sdk=yes"})
        code, output = container.exec_run(["sh", "-c", "echo $A"])
        assert (code, output) == (0, b"b\n")
        code, (out, err) = container.exec_run(["sh", "-c", "echo o; echo e >&2; exit 4"], demux=True)
        assert (code, out, err) == (4, b"o\n", b"e\n")
        assert container.stats(stream=False)["memory_stats"]["usage"] > 0
        assert container.top()["Titles"]
        container.pause()
        container.reload()
        assert container.status == "paused"
        container.unpause()
        container.rename(name + "-new")
        container.stop(timeout=5)
        container.reload()
        assert container.status == "exited" and container.wait()["StatusCode"] == 7
        assert container.logs() == b"up\n"
        container.start()
        container.reload()
        assert container.status == "running" and container.name == name + "-new"
    finally:
        container.remove(force=True)
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get(container.id)


def test_logs_follow_until_the_end(sdk, engine):
    container = sdk.containers.run(BOX, ["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.1; done"], detach=True)
    try:
        assert b"".join(container.logs(stream=True, follow=True)) == b"line 1\nline 2\nline 3\n"
    finally:
        container.remove(force=True)


def test_files_go_in_and_out(sdk, engine):
    container = sdk.containers.create(BOX, ["sleep", "100"])
    try:
        pack = io.BytesIO()
        with tarfile.open(fileobj=pack, mode="w") as tar:
            entry = tarfile.TarInfo("note")
            entry.size, entry.uid, entry.mode = 5, 1000, 0o640
            tar.addfile(entry, io.BytesIO(b"hello"))
        assert container.put_archive("/tmp", pack.getvalue())
        stream, stat = container.get_archive("/tmp/note")
        assert stat["name"] == "note" and stat["size"] == 5
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            member = tar.getmember("note")
            assert (member.uid, member.mode & 0o777, tar.extractfile(member).read()) == (1000, 0o640, b"hello")
        assert {"Path": "/tmp/note", "Kind": 1} in container.diff()
    finally:
        container.remove(force=True)


def test_images_are_built_tagged_and_removed(sdk, engine):
    repository = engine.unique("built")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in (("Dockerfile", f"FROM {BOX}\nCOPY word /word\nENV FROM=build\nCMD cat /word\n"), ("word", "from the context\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    context.seek(0)
    image, logs = sdk.images.build(fileobj=context, custom_context=True, tag=f"{repository}:1", rm=True)
    assert any("Successfully built" in line.get("stream", "") for line in logs)
    assert f"{repository}:1" in image.tags and "FROM=build" in image.attrs["Config"]["Env"]
    assert sdk.containers.run(f"{repository}:1", remove=True) == b"from the context\n"
    assert image.tag(repository, "2")
    assert image.history()[0]["CreatedBy"]
    saved = b"".join(image.save(named=True))
    sdk.images.remove(f"{repository}:1")
    sdk.images.remove(f"{repository}:2")
    with pytest.raises(docker.errors.ImageNotFound):
        sdk.images.get(f"{repository}:1")
    assert sdk.images.load(saved)[0].id == image.id
    sdk.images.remove(image.id, force=True)


def test_networks_and_volumes(sdk, engine):
    network_name, volume_name = engine.unique("net"), engine.unique("vol")
    network, volume = sdk.networks.create(network_name, labels={"a": "b"}), sdk.volumes.create(volume_name)
    try:
        server = sdk.containers.run(BOX, ["sh", "-c", "echo page > /data/index.html; exec httpd -f -p 80 -h /data"], detach=True, network=network_name, name=engine.unique("web"),
                                    volumes={volume_name: {"bind": "/data", "mode": "rw"}})
        try:
            answer = sdk.containers.run(BOX, ["sh", "-c", f"for i in $(seq 50); do wget -qO- http://{server.name}/ && exit; sleep 0.1; done; exit 1"], network=network_name, remove=True)
            assert answer.endswith(b"page\n")
            network.reload()
            assert server.id in [container.id for container in network.containers]
            with pytest.raises(docker.errors.APIError):
                volume.remove()
        finally:
            server.remove(force=True)
    finally:
        network.remove()
        volume.remove()
    assert volume_name not in [each.name for each in sdk.volumes.list()]


def test_events_are_told(sdk, engine):
    name, seen = engine.unique("told"), []
    stream = sdk.events(decode=True, filters={"container": name})

    def listen():
        for event in stream:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                break

    listener = threading.Thread(target=listen)
    listener.start()
    sdk.containers.run(BOX, ["true"], name=name, remove=True)
    listener.join(30)
    stream.close()
    assert not listener.is_alive() and seen[:1] == ["create"] and [action for action in seen if action in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"], seen
