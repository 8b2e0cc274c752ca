"""What admission makes of writes, as the oldest and the newest kubectl show it."""
import concurrent.futures
import json
import time

import pytest

from api import Api
from manifests import deployment, pod
from test_kubectl import ENDS, with_kubectl


@pytest.fixture(params=ENDS, ids=lambda v: f"1.{v}")
def k8s(request, cluster):
    yield from with_kubectl(cluster, request.param)


def apply(k8s, *objects):
    """What kubectl says, warnings and errors as well."""
    result = k8s.apply(*objects, check=False)
    return result.stdout + result.stderr


def read(k8s, *what):
    return json.loads(k8s.kubectl("-n", k8s.ns, "get", *what, "-o", "json"))


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


def limits(**kinds):
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": [{"type": kind, **rules} for kind, rules in kinds.items()]}}


def quota(name, hard, **spec):
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard, **spec}}


def used(k8s, name):
    return read(k8s, "quota", name).get("status", {}).get("used")


def test_limit_ranges_default_and_bound(k8s):
    apply(k8s, limits(Container={"max": {"cpu": "1"}, "min": {"cpu": "50m"}, "defaultRequest": {"cpu": "100m"}}))
    item, = read(k8s, "limits", "limits")["spec"]["limits"]
    assert item["default"] == {"cpu": "1"} and item["defaultRequest"] == {"cpu": "100m"}
    apply(k8s, pod("plain"))
    assert read(k8s, "pod", "plain")["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}
    answer = apply(k8s, pod("big", resources={"limits": {"cpu": "2"}}))
    assert 'pods "big" is forbidden: maximum cpu usage per Container is 1, but limit is 2' in answer


def test_quotas_count_refuse_and_give_back(k8s):
    apply(k8s, quota("q", {"pods": "1", "count/deployments.apps": "1", "configmaps": "3"}))
    wait_for(lambda: used(k8s, "q") is not None and int(used(k8s, "q")["configmaps"]) >= 1)  # kube-root-ca.crt
    apply(k8s, pod("one"))
    assert used(k8s, "q")["pods"] == "1"
    assert "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1" in apply(k8s, pod("two"))
    apply(k8s, deployment("web", 0))
    assert "exceeded quota: q, requested: count/deployments.apps=1" in apply(k8s, deployment("web2", 0))
    k8s.kubectl("-n", k8s.ns, "delete", "pod", "one", "--grace-period=1")
    wait_for(lambda: used(k8s, "q")["pods"] == "0")
    assert "created" in apply(k8s, pod("two"))
    assert "pods" in k8s.kubectl("-n", k8s.ns, "describe", "quota", "q")


def test_compute_quotas_want_figures(k8s):
    apply(k8s, quota("cpu", {"limits.cpu": "1"}))
    wait_for(lambda: used(k8s, "cpu") == {"limits.cpu": "0"})
    assert "failed quota: cpu: must specify limits.cpu for: main" in apply(k8s, pod("none"))
    assert "created" in apply(k8s, pod("some", resources={"limits": {"cpu": "600m"}}))
    assert "exceeded quota: cpu, requested: limits.cpu=600m, used: limits.cpu=600m, limited: limits.cpu=1" in apply(k8s, pod("more", resources={"limits": {"cpu": "600m"}}))


def test_pod_security_enforces_and_warns(k8s):
    k8s.kubectl("label", "namespace", k8s.ns, "pod-security.kubernetes.io/enforce=baseline", "pod-security.kubernetes.io/warn=restricted")
    answer = apply(k8s, pod("host", hostNetwork=True))
    assert 'pods "host" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)' in answer
    answer = apply(k8s, deployment("web", 0))
    assert 'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "main" must set' in answer
    with pytest.raises(AssertionError, match="must be one of privileged, baseline, restricted"):
        k8s.kubectl("label", "--overwrite", "namespace", k8s.ns, "pod-security.kubernetes.io/enforce=tight")


def test_priorities_of_the_system(k8s):
    assert "2000001000" in k8s.kubectl("get", "priorityclass", "system-node-critical")
    apply(k8s, pod("critical", priorityClassName="system-cluster-critical"))
    assert read(k8s, "pod", "critical")["spec"]["priority"] == 2000000000
    assert "no PriorityClass with name missing was found" in apply(k8s, pod("none", priorityClassName="missing"))


def test_a_quota_holds_against_writes_at_once(plane, api, ns, maps):
    quotas = f"/api/v1/namespaces/{ns}/resourcequotas"
    assert api("POST", quotas, quota("q", {"configmaps": "6"})).status == 201
    wait_for(lambda: api("GET", f"{quotas}/q").body.get("status", {}).get("used", {}).get("configmaps") == "1")  # kube-root-ca.crt
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: Api(plane)("POST", maps, {"metadata": {"name": f"m{i}"}}), range(24)))  # a connection each
    assert sorted(answer.status for answer in answers) == [201] * 5 + [403] * 19
    assert api("GET", f"{quotas}/q").body["status"]["used"] == {"configmaps": "6"}
    assert len(api("GET", maps).body["items"]) == 6
