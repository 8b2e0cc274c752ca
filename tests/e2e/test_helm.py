"""Helm 3, the real one (from PyPI), against a cluster with a node: releases come, change, fail, go back and go."""
import json
import os
import subprocess

import pytest
from cluster import CACHE, wait_for

HELM = CACHE / "helm/bin/helm"
pytestmark = pytest.mark.skipif(not HELM.exists(), reason="Helm could not be had from PyPI: ./dev setup")

CHART = """apiVersion: v2
name: shop
version: 0.1.0
appVersion: "1"
"""
VALUES = """greeting: hello
replicas: 2
command: [sleep, "1000"]
ready: ["true"]
"""
CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: carts.helm.example.com}
spec:
  group: helm.example.com
  names: {kind: Cart, plural: carts, singular: cart}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer, minimum: 1}}}}}}
"""
OBJECTS = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-settings
data:
  greeting: {{ .Values.greeting | quote }}
  release: {{ printf "%s revision %d" .Release.Name .Release.Revision }}
  found: {{ (lookup "v1" "Namespace" "" "default").metadata.name | default "nothing" }}
  cron: {{ .Capabilities.APIVersions.Has "batch/v1/CronJob" | quote }}
  version: {{ .Capabilities.KubeVersion.Minor | quote }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  progressDeadlineSeconds: 600
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      annotations: {greeting: {{ .Values.greeting | quote }}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: estiba/busybox:test
        command: {{ .Values.command | toJson }}
        readinessProbe: {exec: {command: {{ .Values.ready | toJson }}}, periodSeconds: 1}
---
apiVersion: helm.example.com/v1
kind: Cart
metadata: {name: {{ .Release.Name }}}
spec: {size: {{ .Values.replicas }}}
"""
HOOKS = """apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations: {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: "estiba/busybox:test", command: ["true"]}]
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-test
  annotations: {"helm.sh/hook": test}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "estiba/busybox:test", command: [echo, "the shop answers"]}]
"""


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chart") / "shop"
    for name, text in {"Chart.yaml": CHART, "values.yaml": VALUES, "crds/carts.yaml": CRD, "templates/objects.yaml": OBJECTS,
                       "templates/hooks.yaml": HOOKS, "templates/NOTES.txt": "Greets with {{ .Values.greeting }}.\n"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def helm(cluster, tmp_path):
    """helm VERB … in the test's namespace; with check=False, the whole outcome."""
    env = {**os.environ, **{f"HELM_{kind}_HOME": str(tmp_path / kind) for kind in ("CACHE", "CONFIG", "DATA")}}

    def call(*args, check=True):
        done = subprocess.run(cluster.sandbox.command([HELM, "--kubeconfig", cluster.kubeconfig, "-n", cluster.ns, *args]), capture_output=True, text=True, env=env, timeout=120)
        assert not check or done.returncode == 0, f"helm {' '.join(map(str, args))}\n{done.stdout}\n{done.stderr}"
        return done.stdout if check else done

    return call


def settings(cluster, release):
    return json.loads(cluster.k("get", "configmap", f"{release}-settings", "-o", "json"))["data"]


def test_a_release_lives(cluster, helm, chart):
    assert "Greets with hello." in helm("install", "shop", chart, "--wait", "--wait-for-jobs", "--timeout=60s")
    assert settings(cluster, "shop") == {"greeting": "hello", "release": "shop revision 1", "found": "default", "cron": "true", "version": "36"}
    assert cluster.k("get", "deployment", "shop", "-o", "jsonpath={.status.readyReplicas}") == "2"
    assert cluster.k("get", "cart", "shop", "-o", "jsonpath={.spec.size}") == "2"
    assert [(r["name"], r["revision"], r["status"]) for r in json.loads(helm("list", "-o", "json"))] == [("shop", "1", "deployed")]
    assert json.loads(helm("status", "shop", "-o", "json"))["info"]["status"] == "deployed"
    assert "Phase:          Succeeded" in helm("test", "shop", "--logs", "--timeout=60s")

    helm("upgrade", "shop", chart, "--set", "greeting=hi,replicas=3", "--wait", "--timeout=60s")
    assert settings(cluster, "shop")["greeting"] == "hi"
    assert cluster.k("get", "deployment", "shop", "-o", "jsonpath={.status.readyReplicas} {.spec.template.metadata.annotations.greeting}") == "3 hi"

    helm("rollback", "shop", "1", "--wait", "--timeout=60s")
    assert settings(cluster, "shop")["greeting"] == "hello"
    assert [(r["revision"], r["status"]) for r in json.loads(helm("history", "shop", "-o", "json"))] == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert cluster.k("get", "deployment", "shop", "-o", "jsonpath={.spec.replicas}") == "2"

    helm("uninstall", "shop", "--wait", "--timeout=60s")
    assert json.loads(helm("list", "-a", "-o", "json")) == []
    wait_for("the pods' end", lambda: not json.loads(cluster.k("get", "pods", "-l", "app=shop", "-o", "json"))["items"])
    assert cluster.k("get", "secrets", "-l", "owner=helm", "-o", "name") == ""


def test_a_failed_upgrade_goes_back(cluster, helm, chart):
    helm("install", "shop", chart, "--wait", "--timeout=60s", "--set", "replicas=1")
    failed = helm("upgrade", "shop", chart, "--atomic", "--timeout=4s", "--set", "greeting=broken,replicas=1", "--set-json", 'ready=["false"]', check=False)
    assert failed.returncode and "rolled back due to atomic being set" in failed.stderr
    assert settings(cluster, "shop")["greeting"] == "hello"
    assert json.loads(helm("history", "shop", "-o", "json"))[-1]["status"] == "deployed"
    wait_for("the old pod alone", lambda: len(json.loads(cluster.k("get", "pods", "-l", "app=shop", "-o", "json"))["items"]) == 1)


def test_what_the_server_refuses_is_told(cluster, helm, chart):
    refused = helm("install", "shop", chart, "--set", "replicas=0", check=False)
    assert refused.returncode and "spec.size in body should be greater than or equal to 1" in refused.stderr
    refused = helm("install", "Shop", chart, check=False)
    assert refused.returncode


def test_dry_runs_and_adoption(cluster, helm, chart):
    assert "shop revision 1" in helm("install", "shop", chart, "--dry-run=server")
    assert cluster.k("get", "configmap", "shop-settings", "--ignore-not-found") == ""
    cluster.k("create", "configmap", "shop-settings")
    refused = helm("install", "shop", chart, check=False)
    assert refused.returncode and "cannot be imported into the current release" in refused.stderr
    helm("install", "shop", chart, "--take-ownership", "--wait", "--timeout=60s")
    assert settings(cluster, "shop")["greeting"] == "hello"
