"""estiba snapshot: of a server that runs, into empty places, between the embedded store and etcd, and what is refused."""
import json
import os
import stat

import pytest

from etcd import Etcd
from manifests import config_map


@pytest.fixture
def cluster(own_cluster):
    own_cluster.flags["node"] = "false"
    own_cluster.ns = "default"
    return own_cluster


def snapshot(cluster, verb, *arguments, check=True):
    return cluster.estiba("snapshot", verb, *arguments, check=check)


def here(cluster, data=None):
    return [f"--data-dir={data or cluster.data_dir}", f"--kubeconfig={cluster.kubeconfig}"]


def objects(cluster):
    items = []
    for kind in ("configmaps", "secrets", "services", "serviceaccounts", "namespaces", "clusterroles"):
        for item in cluster.get(kind, "-A")["items"]:
            del item["metadata"]["resourceVersion"]
            items.append(json.dumps(item, sort_keys=True))
    return sorted(items)


def fill(cluster):
    cluster.apply(*[config_map(f"c{number}", text="x" * 3000, number=str(number)) for number in range(50)])
    cluster.kubectl("create", "secret", "generic", "password", "--from-literal=p=hunter2")


def test_save_from_a_running_server_and_restore_elsewhere(cluster):
    cluster.start()
    fill(cluster)
    file = cluster.dir / "snapshot"
    said = snapshot(cluster, "save", file, *here(cluster)).stdout
    assert str(file) in said and "objects at revision" in said
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    before = objects(cluster)
    cluster.kubectl("delete", "configmaps", "--all")
    cluster.stop()
    again = snapshot(cluster, "restore", file, *here(cluster), check=False)
    assert again.returncode == 1 and "store.db is there already" in again.stderr and "--data-dir" in again.stderr
    os.rename(cluster.data_dir / "store", cluster.dir / "old-store")
    snapshot(cluster, "restore", file, *here(cluster))
    cluster.start()
    assert objects(cluster) == before
    # Revisions go on: what a client had seen before stays behind what comes.
    old = int(said.split("revision ")[1].split(",")[0])
    created = json.loads(cluster.kubectl("create", "configmap", "later", "-o", "json"))
    assert int(created["metadata"]["resourceVersion"]) > old


def test_save_without_a_server_and_without_a_store(cluster):
    cluster.start()
    fill(cluster)
    cluster.stop()
    assert "objects at revision" in snapshot(cluster, "save", cluster.dir / "snapshot", *here(cluster)).stdout
    missing = snapshot(cluster, "save", cluster.dir / "nothing", *here(cluster, cluster.dir / "elsewhere"), check=False)
    assert missing.returncode == 1 and "store.db is not there" in missing.stderr and not (cluster.dir / "elsewhere").exists()


def test_to_etcd_and_back(cluster):
    etcd = Etcd(cluster.sandbox, cluster.dir / "etcd")
    cluster.start()
    fill(cluster)
    running = snapshot(cluster, "copy", f"--to=etcd={etcd.url}", *here(cluster), check=False)
    assert running.returncode == 1 and "stop the server first" in running.stderr
    before = objects(cluster)
    cluster.stop()
    said = snapshot(cluster, "copy", f"--to=etcd={etcd.url}", *here(cluster)).stdout
    assert "copied" in said and etcd.url in said
    twice = snapshot(cluster, "copy", f"--to=etcd={etcd.url}", *here(cluster), check=False)
    assert twice.returncode == 1 and "keys below /estiba/ already" in twice.stderr
    cluster.flags["datastore"] = f"etcd={etcd.url}"
    cluster.start()
    assert set(before) <= set(objects(cluster))
    # A snapshot of etcd, while the server runs, restored under another prefix.
    cluster.kubectl("create", "configmap", "in-etcd")
    file = cluster.dir / "of-etcd"
    snapshot(cluster, "save", file, f"--datastore=etcd={etcd.url}", *here(cluster))
    snapshot(cluster, "restore", file, f"--datastore=etcd={etcd.url}", "--etcd-prefix=/other", *here(cluster))
    listed = [etcd.ctl("get", "--prefix", "--keys-only", f"{prefix}/registry/core/configmaps/").stdout.replace(f"{prefix}/registry", "/registry") for prefix in ("/estiba", "/other")]
    assert listed[0] == listed[1] and "in-etcd" in listed[0]
    # And back.
    cluster.stop()
    os.rename(cluster.data_dir / "store", cluster.dir / "old-store")
    snapshot(cluster, "copy", "--to=embedded", f"--datastore=etcd={etcd.url}", *here(cluster))
    cluster.flags["datastore"] = "embedded"
    cluster.start()
    assert cluster.get("configmap", "in-etcd")["metadata"]["name"] == "in-etcd"
    assert set(before) <= set(objects(cluster))


def test_damaged_and_cut_files_change_nothing(cluster):
    cluster.start()
    fill(cluster)
    file = cluster.dir / "snapshot"
    snapshot(cluster, "save", file, *here(cluster))
    whole = file.read_bytes()
    target = here(cluster, cluster.dir / "fresh")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    for bytes_, words in ((whole[: len(whole) // 2], "cut off"), (bytes(damaged), "damaged"), (b"hello", "no snapshot"), (b"", "cut off")):
        bad = cluster.dir / "bad"
        bad.write_bytes(bytes_)
        result = snapshot(cluster, "restore", bad, *target, check=False)
        assert result.returncode == 1 and str(bad) in result.stderr and words in result.stderr, result.stderr
        assert not (cluster.dir / "fresh").exists()
    absent = snapshot(cluster, "restore", cluster.dir / "absent", *target, check=False)
    assert absent.returncode == 1 and "absent" in absent.stderr
    status, answer = cluster.request("GET", "/estiba/snapshot?as=nobody", headers=["Impersonate-User: nobody"])
    assert status == 403 and "nobody" in json.dumps(answer)
