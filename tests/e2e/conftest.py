import pathlib
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cluster as support  # noqa: E402
from api import Api  # noqa: E402


@pytest.fixture(scope="session")
def shared():
    """One cluster for all tests that do not end servers."""
    with support.Cluster() as cluster:
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        cluster.import_image(support.python_image(), "estiba/python:test")
        cluster.start()
        yield cluster


@pytest.fixture
def cluster(shared, request):
    """The shared cluster, with a namespace of the test's own as `cluster.ns`; its server's log is shown when a test fails."""
    shared.ns = "t-" + uuid.uuid4().hex[:8]
    shared.kubectl("create", "namespace", shared.ns)
    size = shared.log_path.stat().st_size
    yield shared
    report = getattr(request.node, "report", None)
    if report is not None and report.failed:
        print(shared.log_path.read_text(errors="replace")[size:][-6000:])
        print(shared.kubectl("-n", shared.ns, "get", "all,events", "-o", "wide", check=False))
    shared.kubectl("delete", "namespace", shared.ns, "--wait=false")


@pytest.fixture(scope="session")
def plane():
    """A cluster without a node, for what concerns the API alone; `plane.api` is the administrator's client."""
    with support.Cluster(node="false") as cluster:
        cluster.start()
        cluster.api = Api(cluster)
        yield cluster


@pytest.fixture
def ns(plane, request):
    """A namespace of the test's own in the plane, by its name."""
    name = "t-" + uuid.uuid4().hex[:8]
    assert plane.api("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
    size = plane.log_path.stat().st_size
    yield name
    report = getattr(request.node, "report", None)
    if report is not None and report.failed:
        print(plane.log_path.read_text(errors="replace")[size:][-6000:])
    plane.api("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def api(plane):
    return plane.api


@pytest.fixture
def maps(ns):
    """The path of the ConfigMaps of the test's namespace."""
    return f"/api/v1/namespaces/{ns}/configmaps"


@pytest.fixture
def own_cluster():
    """A cluster that the test may break; not started."""
    with support.Cluster() as cluster:
        yield cluster


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.report = outcome.get_result()
