"""Servers on a real etcd: objects are there, two servers serve the same ones and one leads, etcd and servers are killed under way."""
import json
import os
import signal
import subprocess
import threading

import pytest

import cluster as support
from api import Api
from etcd import Etcd, Sibling
from manifests import config_map, deployment

LEASE = ("-n", "kube-system", "lease", "kube-controller-manager")


@pytest.fixture
def etcd(own_cluster):
    etcd = Etcd(own_cluster.sandbox, own_cluster.dir / "etcd")
    own_cluster.flags["datastore"] = f"etcd={etcd.url}"
    own_cluster.ns = "default"
    return etcd


def without_node(cluster):
    cluster.flags["node"] = "false"
    cluster.start()
    return cluster


def service_port(cluster):
    return cluster.get("-n", "default", "endpoints", "kubernetes")["subsets"][0]["ports"][0]["port"]


def holder(cluster):
    return cluster.get(*LEASE)["spec"].get("holderIdentity", "").rpartition("_")[0]


def test_pods_run_with_their_objects_in_etcd_and_a_restart_finds_them(own_cluster, etcd):
    cluster = own_cluster
    cluster.import_image(support.busybox_image(), "estiba/busybox:test")
    cluster.start()
    cluster.apply(deployment("web", 1), config_map("settings", a="1"))
    cluster.kubectl("-n", "default", "rollout", "status", "deployment/web", "--timeout=60s")
    keys = etcd.ctl("get", "--prefix", "--keys-only", "/estiba/registry/").stdout.split()
    assert "/estiba/registry/core/configmaps/default/settings" in keys and any("/pods/default/web-" in key for key in keys)
    cluster.stop()
    cluster.start()
    assert cluster.get("-n", "default", "configmap", "settings")["data"] == {"a": "1"}
    cluster.kubectl("-n", "default", "rollout", "status", "deployment/web", "--timeout=60s")


def test_two_servers_serve_the_same_objects_and_each_sees_what_the_other_answered(own_cluster, etcd):
    first = without_node(own_cluster)
    with Sibling(first, "second", 7443) as second:
        second.start()
        first.kubectl("create", "configmap", "counter", "--from-literal=n=0")
        for number in range(1, 15):
            writer, reader = (first, second) if number % 2 else (second, first)
            writer.kubectl("patch", "configmap", "counter", "--type=merge", "-p", json.dumps({"data": {"n": str(number)}}))
            assert reader.get("configmap", "counter")["data"]["n"] == str(number)
            listed = reader.get("configmaps", "--field-selector=metadata.name=counter")
            assert listed["items"][0]["data"]["n"] == str(number)
        second.kubectl("delete", "configmap", "counter")
        assert "NotFound" in support.run(first.kubectl_command("get", "configmap", "counter"), check=False).stderr


def test_one_server_leads_and_the_other_takes_over_when_it_is_killed(own_cluster, etcd):
    first = without_node(own_cluster)
    support.wait_for("a leader", lambda: holder(first) == "node-1")
    with Sibling(first, "second", 7443) as second:
        second.start()
        first.kubectl("create", "namespace", "early")
        support.wait_for("its account", lambda: second.get("-n", "early", "serviceaccounts")["items"])
        assert holder(second) == "node-1" and service_port(second) == 6443
        first.kill9()
        second.kubectl("create", "namespace", "late")
        support.wait_for("another leader", lambda: holder(second) == "second", 60, 0.2)
        support.wait_for("its account", lambda: second.get("-n", "late", "serviceaccounts")["items"])
        support.wait_for("Service kubernetes", lambda: service_port(second) == 7443)
        # A server that ends gives the lease back.
        first.start()
        second.stop()
        support.wait_for("the first again", lambda: holder(first) == "node-1", 10, 0.1)


def test_services_made_at_two_servers_at_once_share_no_address_and_no_port(own_cluster, etcd):
    own_cluster.flags["service-cidr"] = "10.43.0.0/25"  # few enough that servers choose the same ones
    first = without_node(own_cluster)
    services, wanted = "/api/v1/namespaces/default/services", 40
    made, refused, winners = [], [], [0] * wanted

    def make(server, name):
        client = Api(server)
        for number in range(wanted):
            spec = {"type": "NodePort", "ports": [{"port": 80}]}
            answer = client("POST", services, {"metadata": {"name": f"{name}-{number}"}, "spec": spec})
            (made if answer.status == 201 else refused).append(answer.body)
            # One port that both ask for.
            asked = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000 + number}]}
            answer = client("POST", services, {"metadata": {"name": f"{name}-asked-{number}"}, "spec": asked})
            winners[number] += answer.status == 201
            if answer.status == 201:
                client("DELETE", f"{services}/{name}-asked-{number}")
            elif "provided port is already allocated" not in answer.body["message"]:
                refused.append(answer.body)

    with Sibling(first, "second", 7443) as second:
        second.start()
        workers = [threading.Thread(target=make, args=(server, name)) for server, name in ((first, "a"), (second, "b"))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(made) == 2 * wanted and not refused and all(winners), refused[:2]
        for server in (first, second):
            there = server.get("-n", "default", "services")["items"]
            addresses = [item["spec"]["clusterIP"] for item in there]
            ports = [port["nodePort"] for item in there for port in item["spec"]["ports"] if "nodePort" in port]
            assert len(set(addresses)) == len(addresses) and len(set(ports)) == len(ports)
            assert {item["metadata"]["name"] for item in server.get("ipaddresses")["items"]} == set(addresses)
        keys = etcd.ctl("get", "--prefix", "--keys-only", "/estiba/registry/ranges/nodeports/").stdout.split()
        assert {int(key.rpartition("/")[2]) for key in keys} == set(ports)
        # What a server that knows nothing of reservations has left behind is made at the next start.
        lost = addresses[0]
        etcd.ctl("del", f"/estiba/registry/networking.k8s.io/ipaddresses/{lost}")
        etcd.ctl("del", keys[0])
        support.wait_for("the address again", lambda: lost in {item["metadata"]["name"] for item in second.get("ipaddresses")["items"]})
        first.stop()
        first.start()
        assert keys[0] in etcd.ctl("get", "--keys-only", keys[0]).stdout


def test_no_acknowledged_write_is_lost_when_etcd_is_killed(own_cluster, etcd):
    cluster = without_node(own_cluster)
    cluster.request("GET", "/version")  # writes the client's files
    acknowledged, stop = [], threading.Event()

    def write(worker):
        number = 0
        while not stop.is_set():
            name = f"w{worker}-{number}"
            number += 1
            try:
                status, _ = cluster.request("POST", "/api/v1/namespaces/default/configmaps", config_map(name, n=str(number)))
            except AssertionError:
                continue
            if status == 201:
                acknowledged.append(name)

    workers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for _ in range(3):
        before = len(acknowledged)
        support.wait_for("writes", lambda: len(acknowledged) > before + 10, 60)
        etcd.kill9()
        etcd.start()
    before = len(acknowledged)
    support.wait_for("writes after the last kill", lambda: len(acknowledged) > before + 10, 60)
    stop.set()
    for worker in workers:
        worker.join()
    there = {item["metadata"]["name"] for item in cluster.get("-n", "default", "configmaps")["items"]}
    assert set(acknowledged) <= there
    keys = etcd.ctl("get", "--prefix", "--keys-only", "/estiba/registry/core/configmaps/default/").stdout.split()
    assert there == {key.rpartition("/")[2] for key in keys}


def refused(cluster, *flags):
    return cluster.sandbox.inside(["timeout", "60", support.BIN / "estiba", "server", f"--data-dir={cluster.dir}/no", "--run-dir=/run/estiba/no", "--node=false", *flags], check=False)


@pytest.mark.parametrize("flags, words", [
    (["--datastore=etcd=10.0.0.1:2379"], ["--datastore", "https://HOST:2379", "10.0.0.1:2379"]),
    (["--datastore=mysql"], ["--datastore", "mysql"]),
    (["--datastore=etcd=http://127.0.0.1:1", "--etcd-prefix=estiba"], ["--etcd-prefix", "/estiba"]),
    (["--datastore=etcd=https://127.0.0.1:1", "--etcd-certfile=/etc/hosts"], ["--etcd-keyfile"]),
    (["--datastore=etcd=https://127.0.0.1:1", "--etcd-cafile=/nowhere/ca.crt"], ["--etcd-cafile", "/nowhere/ca.crt"]),
    (["--datastore=etcd=http://127.0.0.1:1"], ["http://127.0.0.1:1", "refused"]),
])
def test_what_cannot_be_used_is_named(own_cluster, flags, words):
    result = refused(own_cluster, *flags)
    assert result.returncode == 1 and all(word in result.stderr for word in words), result.stderr

@pytest.fixture
def three(own_cluster):
    """Three members; the server knows them all."""
    peers = ",".join(f"m{number}=http://127.0.0.1:{2380 + 10 * number}" for number in range(3))
    members = [Etcd(own_cluster.sandbox, own_cluster.dir / f"etcd-{number}", 2379 + 10 * number, 2380 + 10 * number, f"m{number}", peers, wait=False) for number in range(3)]
    for member in members:
        member.wait()
    own_cluster.flags["datastore"] = "etcd=" + ",".join(member.url for member in members)
    own_cluster.ns = "default"
    return members


def test_members_fail_one_after_the_other_and_then_the_majority(own_cluster, three):
    cluster = without_node(own_cluster)
    cluster.kubectl("create", "configmap", "counter", "--from-literal=n=0")
    watch = subprocess.Popen(cluster.kubectl_command("get", "configmap", "counter", "--watch", "-o", "jsonpath={.data.n} "), stdout=subprocess.PIPE)
    seen = os.read(watch.stdout.fileno(), 1000)  # it watches
    for number, member in enumerate(three, 1):
        member.kill9()
        # A write that was under way when its member died may be refused; it is tried again, as clients do.
        support.wait_for("a write", lambda: support.run(cluster.kubectl_command("patch", "configmap", "counter", "--type=merge", "-p", json.dumps({"data": {"n": str(number)}})), check=False).returncode == 0, 120, 0.2)
        assert cluster.get("configmap", "counter")["data"]["n"] == str(number)
        member.start()
    three[0].kill9()
    three[1].kill9()
    status, answer = cluster.request("GET", "/api/v1/namespaces/default/configmaps/counter")
    assert status in (503, 504) and "etcd" in answer["message"], answer
    assert cluster.request("GET", "/readyz", raw=True)[0] == 500
    assert cluster.request("GET", "/livez", raw=True)[0] == 200
    # A read of any age is served from memory.
    assert cluster.request("GET", "/api/v1/namespaces/default/configmaps/counter?resourceVersion=0")[0] == 200
    three[0].start()
    support.wait_for("the API", lambda: cluster.request("GET", "/api/v1/namespaces/default/configmaps/counter")[0] == 200, 60, 0.5)
    cluster.kubectl("patch", "configmap", "counter", "--type=merge", "-p", '{"data":{"n":"last"}}')
    while b"last" not in seen:
        part = os.read(watch.stdout.fileno(), 1000)
        assert part, seen
        seen += part
    watch.kill()
    assert seen.split() == [b"0", b"1", b"2", b"3", b"last"]


def test_a_member_that_hangs_is_left(request, own_cluster, three):
    cluster = without_node(own_cluster)
    cluster.kubectl("create", "configmap", "counter", "--from-literal=n=0")
    for number, member in enumerate(three, 1):
        request.addfinalizer(lambda member=member: member.signal(signal.SIGCONT))
        member.signal(signal.SIGSTOP)
        support.wait_for("a write", lambda: support.run(cluster.kubectl_command("patch", "configmap", "counter", "--type=merge", "-p", json.dumps({"data": {"n": str(number)}})), check=False).returncode == 0, 120, 0.2)
        support.wait_for("a read", lambda: cluster.request("GET", "/api/v1/namespaces/default/configmaps/counter")[1].get("data") == {"n": str(number)}, 120, 0.2)
        member.signal(signal.SIGCONT)


def test_an_object_that_etcd_does_not_take_and_an_etcd_that_is_full(own_cluster):
    etcd = Etcd(own_cluster.sandbox, own_cluster.dir / "etcd", flags=["--max-request-bytes=200000", "--quota-backend-bytes=6000000"])
    own_cluster.flags["datastore"] = f"etcd={etcd.url}"
    cluster = without_node(own_cluster)
    path = "/api/v1/namespaces/default/configmaps"
    status, answer = cluster.request("POST", path, config_map("large", text="x" * 300_000))
    assert status == 413 and "--max-request-bytes" in answer["message"], answer
    for number in range(100):
        status, answer = cluster.request("POST", path, config_map(f"c{number}", text="x" * 150_000))
        if status != 201:
            break
    assert status == 507 and "NOSPACE" in answer["message"] and "alarm disarm" in answer["message"], (status, answer)
    assert cluster.request("GET", f"{path}/c0")[0] == 200
