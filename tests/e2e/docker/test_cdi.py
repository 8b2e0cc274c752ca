"""CDI devices: `--device vendor.com/class=name`, DeviceRequests of the driver cdi, and what /info tells of them."""
import json

import pytest

from docker_engine import BOX

FILE = {"cdiVersion": "1.0.0", "kind": "vendor.com/card",
        "devices": [{"name": "a", "containerEdits": {"env": ["CARD=a"], "deviceNodes": [{"path": "/dev/card", "hostPath": "/dev/full"}]}}, {"name": "b:1", "containerEdits": {"env": ["OTHER=b"]}}]}
SHOW = ("sh", "-c", "echo $CARD $OTHER; test -c /dev/card && echo device")


@pytest.fixture
def cards(engine):
    """The devices vendor.com/card=a and vendor.com/card=b:1."""
    engine.sandbox.inside(["mkdir", "-p", "/run/estiba/cdi"])
    engine.sandbox.inside(["tee", "/run/estiba/cdi/vendor.json"], input=json.dumps(FILE))
    yield
    engine.sandbox.inside(["rm", "-r", "/run/estiba/cdi"])


def test_devices_are_named_beside_paths(engine, cards):
    run = lambda *flags: engine.estiba("run", "--rm", "--network", "none", *flags, BOX, *SHOW).stdout
    assert run("--device", "vendor.com/card=a", "--device", "vendor.com/card=b:1", "--device", "/dev/zero:/dev/z") == "a b\ndevice\n"
    assert "CARD" not in engine.estiba("run", "--rm", "--network", "none", BOX, "env").stdout
    missing = engine.estiba("run", "--rm", "--network", "none", "--device", "vendor.com/card=z", BOX, "true", check=False)
    assert missing.returncode == 125 and "unresolvable CDI devices vendor.com/card=z: no file in /run/estiba/cdi or /run/estiba/cdi-later" in missing.stderr, missing


def test_requests_of_the_api(engine, cards):
    request = {"Driver": "cdi", "DeviceIDs": ["vendor.com/card=a"]}
    status, body = engine.api("POST", "/containers/create", {"Image": BOX, "Cmd": ["sh", "-c", "test $CARD = a"], "HostConfig": {"NetworkMode": "none", "DeviceRequests": [request]}})
    assert status == 201, body
    try:
        shown = engine.api("GET", f"/containers/{body['Id']}/json").body["HostConfig"]["DeviceRequests"]
        assert [one["DeviceIDs"] for one in shown] == [["vendor.com/card=a"]]
        assert engine.api("POST", f"/containers/{body['Id']}/start").status == 204
        assert engine.api("POST", f"/containers/{body['Id']}/wait").body["StatusCode"] == 0
    finally:
        engine.api("DELETE", f"/containers/{body['Id']}?force=1")
    info = engine.api("GET", "/info").body
    assert info["CDISpecDirs"] == ["/run/estiba/cdi", "/run/estiba/cdi-later"]
    assert info["DiscoveredDevices"] == [{"Source": "cdi", "ID": "vendor.com/card=a"}, {"Source": "cdi", "ID": "vendor.com/card=b:1"}]


@pytest.mark.parametrize("request_, words", [({"Driver": "nvidia", "Capabilities": [["gpu"]]}, 'could not select device driver "nvidia" with capabilities: [["gpu"]]'),
                                             ({"Driver": "cdi"}, "needs DeviceIDs"), ({"Driver": "cdi", "DeviceIDs": ["gpu"]}, '"gpu" is no name of a CDI device')])
def test_requests_that_make_no_sense(engine, request_, words):
    answer = engine.api("POST", "/containers/create", {"Image": BOX, "HostConfig": {"DeviceRequests": [request_]}})
    assert answer.status == 400 and words in answer.body["message"], answer.text


def test_compose_names_devices(engine, cards, tmp_path):
    (tmp_path / "compose.yaml").write_text(json.dumps({"name": engine.unique("cdi"), "services": {"s": {"image": BOX, "network_mode": "none", "command": [word.replace("$", "$$") for word in SHOW], "devices": ["vendor.com/card=a", "vendor.com/card=b:1"]}}}))
    compose = lambda *words: engine.estiba("compose", "-f", tmp_path / "compose.yaml", *words)
    try:
        compose("up", "-d")
        compose("wait", "s")
        assert "a b" in compose("logs", "--no-log-prefix", "s").stdout
    finally:
        compose("down", "-t", "0")
