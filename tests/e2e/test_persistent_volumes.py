"""Persistent volumes: claims of the default class, ephemeral ones and volumes made by hand, as pods see them."""
import json

import cluster as support

IMAGE = "estiba/busybox:test"


def claim(name, **spec):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}}


def pod(name, command, volume):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "volumes": [{"name": "data", **volume}],
                     "containers": [{"name": "c", "image": IMAGE, "command": ["sh", "-c", command], "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}}


def of_claim(name, **more):
    return {"persistentVolumeClaim": {"claimName": name, **more}}


def create(cluster, *objects):
    cluster.kubectl("-n", cluster.ns, "create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def phase(cluster, kind, name):
    return cluster.kubectl("-n", cluster.ns, "get", kind, name, "-o", "jsonpath={.status.phase}", check=False)


def ends_as(cluster, name, wanted):
    support.wait_for(f"{name} to be {wanted}", lambda: phase(cluster, "pod", name) == wanted, seconds=60)
    return cluster.kubectl("-n", cluster.ns, "logs", name)


def test_what_a_pod_writes_the_next_one_reads(cluster):
    create(cluster, claim("data"))
    assert phase(cluster, "pvc", "data") == "Pending", "the default class waits for a pod"
    create(cluster, pod("writer", "echo kept > /data/file; sync", of_claim("data")))
    ends_as(cluster, "writer", "Succeeded")
    volume = cluster.kubectl("-n", cluster.ns, "get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    cluster.kubectl("-n", cluster.ns, "delete", "pod", "writer")
    create(cluster, pod("reader", "cat /data/file; echo no > /data/file", of_claim("data", readOnly=True)))
    assert ends_as(cluster, "reader", "Failed").startswith("kept\n"), "it is mounted for reading"
    # While a pod is there its claim stays; afterwards nothing of it is left.
    cluster.kubectl("-n", cluster.ns, "delete", "pvc", "data", "--wait=false")
    assert phase(cluster, "pvc", "data") == "Bound"
    cluster.kubectl("-n", cluster.ns, "delete", "pod", "reader")
    support.wait_for("the volume to go", lambda: volume not in cluster.kubectl("get", "pv", "-o", "name"))
    left = cluster.sandbox.inside(["sh", "-c", f"find / -xdev -name '{volume}' -not -path '/proc/*' 2>/dev/null"], check=False).stdout
    assert not left, left


def test_an_ephemeral_volume_goes_with_its_pod(cluster):
    template = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    create(cluster, pod("scratch", "echo here > /data/file && cat /data/file && sleep 1000", {"ephemeral": {"volumeClaimTemplate": template}}))
    support.wait_for("the pod to run", lambda: phase(cluster, "pod", "scratch") == "Running")
    assert phase(cluster, "pvc", "scratch-data") == "Bound"
    support.wait_for("its log", lambda: cluster.kubectl("-n", cluster.ns, "logs", "scratch") == "here\n")
    cluster.kubectl("-n", cluster.ns, "delete", "pod", "scratch")
    support.wait_for("the claim to go", lambda: not phase(cluster, "pvc", "scratch-data"))


def test_a_volume_made_by_hand_is_kept(cluster):
    name = cluster.ns
    create(cluster, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                     "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
                              "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": f"/tmp/{name}", "type": "DirectoryOrCreate"}}},
           claim("manual", storageClassName=name))
    support.wait_for("the claim to be bound", lambda: phase(cluster, "pvc", "manual") == "Bound")
    line = cluster.kubectl("-n", cluster.ns, "get", "pvc", "manual", "--no-headers").split()
    assert line[1:5] == ["Bound", name, "5Gi", "RWO"], line
    create(cluster, pod("writer", "echo kept > /data/file", of_claim("manual")))
    ends_as(cluster, "writer", "Succeeded")
    assert cluster.sandbox.inside(["cat", f"/tmp/{name}/file"]).stdout == "kept\n"
    cluster.kubectl("-n", cluster.ns, "delete", "pod", "writer")
    cluster.kubectl("-n", cluster.ns, "delete", "pvc", "manual")
    support.wait_for("the volume to be released", lambda: phase(cluster, "pv", name) == "Released")
    cluster.kubectl("delete", "pv", name)
    assert cluster.sandbox.inside(["cat", f"/tmp/{name}/file"]).stdout == "kept\n"
    cluster.sandbox.inside(["rm", "-r", f"/tmp/{name}"])


def test_an_attributes_class_is_kept_while_a_claim_names_it(cluster):
    name = cluster.ns

    def is_there():
        return bool(cluster.kubectl("get", "vac", name, "--ignore-not-found", "-o", "name"))

    create(cluster, {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": name}, "driverName": "none.example.com", "parameters": {"iops": "1"}},
           {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name, "volumeAttributesClassName": name,
                     "persistentVolumeReclaimPolicy": "Retain", "csi": {"driver": "none.example.com", "volumeHandle": "h"}}},
           claim("classed", storageClassName=name, volumeAttributesClassName=name))
    support.wait_for("the claim to be bound", lambda: phase(cluster, "pvc", "classed") == "Bound", seconds=60)
    current = ("-n", cluster.ns, "get", "pvc", "classed", "-o", "jsonpath={.status.currentVolumeAttributesClassName}")
    support.wait_for("its class to be told", lambda: cluster.kubectl(*current) == name, seconds=60)
    cluster.kubectl("delete", "vac", name, "--wait=false")
    cluster.kubectl("-n", cluster.ns, "delete", "pvc", "classed")
    assert is_there(), "the volume still has it"
    cluster.kubectl("delete", "pv", name)
    support.wait_for("the class to go", lambda: not is_there(), seconds=60)


def test_a_pod_whose_claim_cannot_be_had_says_so(cluster):
    create(cluster, claim("never", storageClassName="no-such-class"), pod("waits", "true", of_claim("never")))
    support.wait_for("the reason", lambda: "pod has unbound immediate PersistentVolumeClaims" in cluster.kubectl("-n", cluster.ns, "get", "events"))
    assert phase(cluster, "pod", "waits") == "Pending"
    support.wait_for("the claim's", lambda: 'storageclass.storage.k8s.io "no-such-class" not found' in cluster.kubectl("-n", cluster.ns, "describe", "pvc", "never"))
    cluster.kubectl("-n", cluster.ns, "delete", "pod", "waits")
