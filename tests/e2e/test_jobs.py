"""Jobs and CronJobs with the real kubectl, and what their pods see."""
import json

from cluster import wait_for


def job(name, *command, containers=None, template=None, **spec):
    body = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "estiba/busybox:test", "command": list(command) or ["true"]}], **(template or {})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": body}, **spec}}


def status(cluster, name):
    return json.loads(cluster.k("get", "job", name, "-o", "json"))["status"]


def condition(cluster, name, kind):
    return next((c for c in status(cluster, name).get("conditions", []) if c["type"] == kind and c["status"] == "True"), None)


def pods_of(cluster, name):
    return json.loads(cluster.k("get", "pods", "-l", f"job-name={name}", "-o", "json"))["items"]


def test_a_job_runs_to_its_end(cluster):
    cluster.apply(job("count", "sh", "-c", "echo done", completions=6, parallelism=3))
    assert "condition met" in cluster.k("wait", "--for=condition=complete", "job/count", "--timeout=60s")
    ended = status(cluster, "count")
    assert ended["succeeded"] == 6 and "active" not in ended and ended["completionTime"]
    assert [c["type"] for c in ended["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    pods = pods_of(cluster, "count")
    assert len(pods) == 6 and not any(p["metadata"].get("finalizers") for p in pods)
    assert cluster.k("logs", "job/count").strip() == "done"
    assert "6/6" in cluster.k("get", "job", "count")
    cluster.k("delete", "job", "count")
    wait_for("its pods' end", lambda: not pods_of(cluster, "count"))


def test_an_indexed_job_tells_each_pod_its_index(cluster):
    cluster.apply(job("index", "sh", "-c", "echo $JOB_COMPLETION_INDEX $(hostname)", completions=3, parallelism=3, completionMode="Indexed"))
    cluster.k("wait", "--for=condition=complete", "job/index", "--timeout=60s")
    assert status(cluster, "index")["completedIndexes"] == "0-2"
    said = {cluster.k("logs", p["metadata"]["name"]).strip() for p in pods_of(cluster, "index")}
    assert said == {f"{i} index-{i}" for i in range(3)}


def test_a_job_that_fails_says_why(cluster):
    cluster.apply(job("fails", "false", backoffLimit=0))
    wait_for("the failure", lambda: condition(cluster, "fails", "Failed"))
    assert condition(cluster, "fails", "Failed")["reason"] == "BackoffLimitExceeded" and status(cluster, "fails")["failed"] == 1
    wait_for("the event", lambda: "Job has reached the specified backoff limit" in cluster.k("describe", "job", "fails"))


def test_an_exit_code_ends_the_job_by_its_policy(cluster):
    cluster.apply(job("policy", "sh", "-c", "exit 42", backoffLimit=5,
                      podFailurePolicy={"rules": [{"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [42]}}]}))
    wait_for("the failure", lambda: condition(cluster, "policy", "Failed"))
    assert condition(cluster, "policy", "Failed")["reason"] == "PodFailurePolicy" and len(pods_of(cluster, "policy")) == 1


def test_a_job_is_suspended_and_resumed(cluster):
    cluster.apply(job("pause", "sleep", "1000", parallelism=2, completions=2))
    wait_for("two pods", lambda: status(cluster, "pause").get("ready") == 2)
    cluster.k("patch", "job", "pause", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    wait_for("no pods", lambda: not pods_of(cluster, "pause"))
    assert condition(cluster, "pause", "Suspended") and "failed" not in status(cluster, "pause")
    cluster.k("patch", "job", "pause", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    wait_for("two pods again", lambda: status(cluster, "pause").get("ready") == 2)
    cluster.k("delete", "job", "pause")


def test_a_finished_job_goes_by_itself(cluster):
    cluster.apply(job("brief", ttlSecondsAfterFinished=0))
    wait_for("its end", lambda: "brief" not in cluster.k("get", "jobs"))


def test_a_cron_job_starts_jobs(cluster):
    template = job("unused", "true")["spec"]
    cluster.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {"schedule": "@every 1s", "jobTemplate": {"spec": template}}})
    jobs = lambda: [j for j in json.loads(cluster.k("get", "jobs", "-o", "json"))["items"] if j["metadata"].get("ownerReferences", [{}])[0].get("name") == "tick"]
    wait_for("a job that has ended", lambda: any(j["status"].get("succeeded") for j in jobs()))
    cluster.k("patch", "cronjob", "tick", "-p", '{"spec":{"suspend":true}}')
    cluster.k("delete", "cronjob", "tick")
    wait_for("its jobs' end", lambda: not jobs())
