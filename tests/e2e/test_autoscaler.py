"""HorizontalPodAutoscalers by what pods use and by what extension servers tell."""
import json

import cluster as support

IMAGE = "estiba/busybox:test"


def test_a_deployment_that_burns_its_processor_grows(cluster):
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", "while true; do :; done"], "resources": {"requests": {"cpu": "20m"}, "limits": {"cpu": "60m"}}}
    cluster.kubectl("-n", cluster.ns, "create", "-f", "-", input=json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "burner"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "burner"}},
                 "template": {"metadata": {"labels": {"app": "burner"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}}}))
    cluster.kubectl("-n", cluster.ns, "rollout", "status", "deployment/burner", "--timeout=60s")
    cluster.kubectl("-n", cluster.ns, "autoscale", "deployment", "burner", "--min=1", "--max=3", "--cpu-percent=50")
    replicas = lambda: int(cluster.kubectl("-n", cluster.ns, "get", "deployment", "burner", "-o", "jsonpath={.spec.replicas}"))
    support.wait_for("more replicas", lambda: replicas() == 3, seconds=120, step=0.5)
    # The target is written before the status that tells of it.
    status = lambda: json.loads(cluster.kubectl("get", "--raw", f"/apis/autoscaling/v2/namespaces/{cluster.ns}/horizontalpodautoscalers/burner")).get("status", {})
    now = support.wait_for("the status", lambda: status().get("desiredReplicas") == 3 and status())
    assert {("AbleToScale", "True"), ("ScalingActive", "True")} <= {(c["type"], c["status"]) for c in now["conditions"]}, now
    assert now["currentMetrics"][0]["resource"]["current"]["averageUtilization"] > 50, now
    told = lambda: cluster.kubectl("-n", cluster.ns, "get", "events", "--field-selector=reason=SuccessfulRescale")
    support.wait_for("the event", lambda: "cpu resource utilization (percentage of request) above target" in told())
    cluster.kubectl("-n", cluster.ns, "delete", "hpa/burner", "deployment/burner")


def test_who_cannot_be_scaled_says_why(cluster):
    cluster.kubectl("-n", cluster.ns, "create", "-f", "-", input=json.dumps({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "lost"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nowhere"}, "maxReplicas": 3}}))
    support.wait_for("the reason", lambda: "FailedGetScale" in cluster.kubectl("-n", cluster.ns, "describe", "hpa", "lost"))
    cluster.kubectl("-n", cluster.ns, "delete", "hpa/lost")
