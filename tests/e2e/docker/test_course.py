"""The course's own example, with our client and with Debian's docker, to the last step: the image that was built starts in a pod without a pull."""
import pathlib
import sys

import pytest

import cluster as support
import docker_engine

sys.path.insert(0, str(support.ROOT / "examples"))
import course  # noqa: E402


@pytest.fixture(scope="module")
def prepared(shared_engine):
    course.prepare(shared_engine)
    with course.registry(shared_engine):
        yield shared_engine


@pytest.mark.parametrize("client,port", [("estiba", 8000), ("docker", 8001)])
def test_the_course_from_folder_to_registry(prepared, engine, client, port):
    example = course.Course(engine, engine.cli(client), "estiba" if client == "estiba" else "docker", suffix=f"-{client}", port=port)
    example.run()
    left = [container["Names"] for container in engine.api("GET", "/containers/json?all=1").body]
    assert f"/{example.web}" not in str(left) and f"/{example.backend}" not in str(left)


def test_what_was_built_starts_in_a_pod_without_a_pull(tmp_path):
    """One server with the docker socket: the builder and the pods share one content store."""
    with support.Cluster(**{"docker-socket": docker_engine.SOCKET}) as cluster:
        cluster.import_image(support.busybox_image(), "box:1", "--cmd", '["sh"]', "--env", "PATH=/bin")
        cluster.start()
        assert docker_engine.ServerEngine(cluster).api("GET", "/_ping").status == 200  # as soon as /readyz says so
        (tmp_path / "Dockerfile").write_text('FROM box:1\nCOPY hello /hello\nCMD ["sh", "-c", "cat /hello; sleep 1000"]\n')
        (tmp_path / "hello").write_text("built here\n")
        cluster.sandbox.inside([support.BIN / "estiba", "build", "-t", "built:1", tmp_path], env={**__import__("os").environ, "DOCKER_HOST": f"unix://{docker_engine.SOCKET}"})
        cluster.ns = "default"
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "built"},
                       "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "built:1", "imagePullPolicy": "Never"}]}})
        cluster.wait_running("built")
        assert cluster.k("logs", "built") == "built here\n"
        cluster.k("delete", "pod", "built", "--wait=true", "--force", "--grace-period=0")
        cluster.stop()


def test_the_example_names_nothing_that_it_must_not_copy():
    ignored = (pathlib.Path(support.ROOT) / "examples/django/.dockerignore").read_text().split()
    assert ".env" in ignored and ".git" in ignored
