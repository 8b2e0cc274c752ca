"""Devices that are tainted: pods that use them go, and no others come. No driver runs, so the pods stay where they are sent and do not start."""
import json

from cluster import wait_for
from manifests import pod

DRIVER = "taints.example.com"


def claim(name):
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "tainted"}}]}}}


def using(name):
    return pod(name, resourceClaims=[{"name": "gpu", "resourceClaimName": name}])


def test_a_rule_drives_pods_out_and_keeps_others_away(cluster):
    def get(*arguments):
        return json.loads(cluster.kubectl("-n", cluster.ns, "get", *arguments, "-o", "json"))

    cluster.apply(
        {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "tainted"},
         "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]}},
        {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "tainted"},
         "spec": {"driver": DRIVER, "allNodes": True, "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "g1"}, {"name": "g2"}]}})
    rule = {"apiVersion": "resource.k8s.io/v1beta2", "kind": "DeviceTaintRule", "metadata": {"name": "maintenance"},
            "spec": {"deviceSelector": {"driver": DRIVER}, "taint": {"key": "example.com/maintenance", "effect": "NoExecute"}}}
    try:
        made = json.dumps({"apiVersion": "v1", "kind": "List", "items": [claim("first"), using("first"), claim("second")]})
        cluster.kubectl("-n", cluster.ns, "create", "-f", "-", input=made)
        wait_for("the pod to have a node", lambda: get("pod", "first")["spec"].get("nodeName"), seconds=60)
        cluster.apply(rule)
        wait_for("the pod to go", lambda: "first" not in cluster.kubectl("-n", cluster.ns, "get", "pods", "-o", "name"), seconds=60)
        wait_for("its event", lambda: "DeviceTaintManagerEviction" in [event["reason"] for event in get("events")["items"]], seconds=60)
        wait_for("the rule to be told", lambda: json.loads(cluster.kubectl("get", "devicetaintrule", "maintenance", "-o", "json")).get("status", {}).get("conditions"), seconds=60)
        cluster.kubectl("-n", cluster.ns, "create", "-f", "-", input=json.dumps(using("second")))
        wait_for("the scheduler to refuse", lambda: [c for c in get("pod", "second").get("status", {}).get("conditions", []) if c.get("reason") == "Unschedulable"], seconds=60)
        cluster.kubectl("delete", "devicetaintrule", "maintenance")
        wait_for("the next pod to have a node", lambda: get("pod", "second")["spec"].get("nodeName"), seconds=60)
    finally:
        for kind, name in (("devicetaintrule", "maintenance"), ("resourceslice", "tainted"), ("deviceclass", "tainted")):
            cluster.kubectl("delete", kind, name, "--ignore-not-found")
