import pytest

import cluster as support  # noqa: F401
import docker_engine


@pytest.fixture(scope="session")
def shared_engine():
    """One engine for all tests of this folder that do not end it."""
    with docker_engine.Engine(**{"cdi-spec-dirs": "/run/estiba/cdi,/run/estiba/cdi-later"}) as engine:
        engine.start()
        yield engine


@pytest.fixture
def engine(shared_engine, request):
    """The shared engine; its log is shown when a test fails. Use names from `engine.unique()`, never count what others may have made."""
    size = shared_engine.log_path.stat().st_size
    yield shared_engine
    report = getattr(request.node, "report", None)
    if report is not None and report.failed:
        print(shared_engine.log_path.read_text(errors="replace")[size:][-6000:])


@pytest.fixture
def own_engine():
    """An engine that the test may break; not started."""
    with docker_engine.Engine() as engine:
        yield engine


@pytest.fixture(params=["estiba", "docker"])
def cli(engine, request):
    """`cli("run", …)` once with our client and once with Debian's."""
    return engine.cli(request.param)
