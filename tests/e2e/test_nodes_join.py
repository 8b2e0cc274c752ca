"""How machines join: tokens, what is refused and why, labels and taints, and certificates that are renewed."""
import re
import subprocess

import pytest

from cluster import wait_for
from fleet import Fleet


@pytest.fixture(scope="module")
def fleet():
    with Fleet(links=(), node="false", token="abcdef.0123456789abcdef", **{"cluster-signing-duration": "40s"}) as fleet:
        fleet.cluster.start()
        yield fleet


@pytest.fixture(scope="module")
def machine(fleet):
    return fleet.machine(9)


def test_tokens_are_made_listed_and_deleted(fleet):
    token = fleet.token("--description", "for a test", "--ttl", "1h")
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}@sha256:[0-9a-f]{64}", token)
    estiba = lambda *arguments, **options: fleet.cluster.estiba("token", *arguments, "--kubeconfig", fleet.cluster.kubeconfig, **options)
    assert re.search(rf"^{token[:6]} +20\S+Z +for a test$", estiba("list").stdout, re.M)
    assert re.search(r"^abcdef +never +", estiba("list").stdout, re.M), "the server's --token"
    estiba("delete", token)
    assert token[:6] not in estiba("list").stdout
    gone = estiba("delete", token, check=False)
    assert gone.returncode == 1 and f"there is no token {token[:6]}" in gone.stderr


@pytest.mark.parametrize("token, says", [
    ("fedcba.0123456789abcdef", "token fedcba is not known to https://192.168.80.1:6443, or has expired; `estiba token create`"),
    ("abcdef.fedcba9876543210", "does not know the secret of token abcdef: the token is mistyped"),
    ("abcdef.0123456789abcdef@sha256:" + "0" * 64, "the token is for a cluster with the CA sha256:0000"),
    ("abcdef.0123456789", "--token: a token has the form"),
])
def test_a_token_that_does_not_fit_is_named(fleet, machine, token, says):
    assert says in fleet.agent(machine, "stranger", token).refused()


def test_a_wrong_secret_under_the_right_ca_is_refused(fleet, machine):
    hash = fleet.token().partition("@")[2]
    assert "does not accept the token: it is mistyped or has expired" in fleet.agent(machine, "stranger", f"abcdef.fedcba9876543210@{hash}").refused()


def test_without_a_token_or_a_server_it_says_what_is_missing(fleet, machine):
    agent = fleet.agent(machine, "stranger")
    agent.flags["token"] = None
    assert "--token is needed the first time" in agent.refused()
    agent = fleet.agent(machine, "stranger")
    agent.flags["server"] = "https://192.168.80.200:6443"
    agent.start(wait=False)
    agent.wait_log("is https://192.168.80.200:6443 right, does the server run, and is its port open to this machine?")
    agent.stop()


def test_joining_by_the_servers_token_with_labels_and_taints(fleet, machine):
    agent = fleet.agent(machine, "node-9", "abcdef.0123456789abcdef", **{"node-labels": "disk=ssd,node.kubernetes.io/rack=7", "register-with-taints": "only=tests:NoSchedule"})
    agent.start()
    node = fleet.node("node-9")
    assert node["metadata"]["labels"]["disk"] == "ssd" and node["metadata"]["labels"]["node.kubernetes.io/rack"] == "7"
    assert {"key": "only", "value": "tests", "effect": "NoSchedule"} in node["spec"]["taints"]
    fleet.wait_ready("node-9")

    # The name is taken while it lives.
    other = fleet.agent(fleet.machine(10), "node-9")
    assert "a node named node-9 is in the cluster and alive" in other.refused()

    # Certificates hold for 40 s here; both are replaced in time, while everything goes on.
    def serial():
        client = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", agent.data_dir / "agent/client.crt"], capture_output=True, text=True).stdout
        serving = machine.inside(["sh", "-c", f"openssl s_client -connect {machine.address}:10250 </dev/null 2>/dev/null | openssl x509 -noout -serial"], check=False).stdout
        return client, serving
    before = serial()
    wait_for("new certificates", lambda: all(old != new for old, new in zip(before, serial())), 60, 1)
    wait_for("the end of the old ones and a node that lives", lambda: fleet.ready("node-9") == "True", 5)
    assert '"PodList"' in fleet.cluster.kubectl("get", "--raw", "/api/v1/nodes/node-9/proxy/pods")
    agent.stop()

    # The directory is that node's; without its key nobody else may have the name meanwhile, and it needs no token any more.
    agent.flags["node-name"] = "node-8"
    assert "is of system:node:node-9: start with that --node-name" in agent.refused()
    agent.flags.update({"node-name": "node-9", "token": None})
    agent.start()
