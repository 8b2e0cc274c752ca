"""An operator as people write them with kopf (from PyPI): for each Backup there is a CronJob, and the Backup's status tells of it.

kopf asks of an API server what operators ask: kinds found by discovery, watches that go on where they ended, finalizers, merge patches of
objects and of their status, events, owner references, and peering by a custom resource."""
import asyncio
import json
import os
import ssl
import urllib.error
import urllib.request

import kopf


@kopf.on.startup()
def configure(memo, settings: kopf.OperatorSettings, **_):
    memo.server, memo.token = os.environ["API_SERVER"], os.environ["API_TOKEN"]
    memo.tls = ssl.create_default_context(cafile=os.environ["API_CA"])
    settings.persistence.finalizer = "example.org/backup-operator"
    settings.peering.mandatory = True
    settings.peering.name = "backups"


async def call(memo, method, path, body=None, kind="application/json"):
    """The API by plain HTTPS, as a service account."""
    def ask():
        request = urllib.request.Request(memo.server + path, json.dumps(body).encode() if body else None, {"Authorization": f"Bearer {memo.token}", "Content-Type": kind}, method=method)
        try:
            return json.loads(urllib.request.urlopen(request, context=memo.tls, timeout=10).read())
        except urllib.error.HTTPError as error:
            raise kopf.PermanentError(f"{method} {path}: {error.code} {error.read().decode()}") from error
    return await asyncio.to_thread(ask)


def cron_job(name, spec):
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "estiba/busybox:test", "command": ["true"]}]}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
            "spec": {"schedule": spec["schedule"], "suspend": True, "jobTemplate": {"spec": {"template": {"spec": pod}}}}}


@kopf.on.create("example.org", "v1", "backups")
@kopf.on.resume("example.org", "v1", "backups")
async def created(name, namespace, spec, body, memo, patch, **_):
    made = cron_job(name, spec)
    kopf.adopt(made, owner=body)
    made = await call(memo, "PATCH", f"/apis/batch/v1/namespaces/{namespace}/cronjobs/{name}?fieldManager=backups&force=true", made, "application/apply-patch+yaml")
    patch.status["cronJob"], patch.status["schedule"] = made["metadata"]["name"], made["spec"]["schedule"]
    kopf.info(body, reason="Scheduled", message=f"runs at {made['spec']['schedule']}")


@kopf.on.update("example.org", "v1", "backups", field="spec.schedule")
async def changed(name, namespace, new, body, memo, patch, **_):
    await call(memo, "PATCH", f"/apis/batch/v1/namespaces/{namespace}/cronjobs/{name}", {"spec": {"schedule": new}}, "application/merge-patch+json")
    patch.status["schedule"] = new


@kopf.on.delete("example.org", "v1", "backups")
async def deleted(name, namespace, memo, **_):
    farewell = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-farewell"}}
    await call(memo, "POST", f"/api/v1/namespaces/{namespace}/configmaps", farewell)
