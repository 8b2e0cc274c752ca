"""`estiba server --scheduler-config`: profiles by name, and what is wrong in the file."""
import uuid

import cluster as support
from api import MERGE, Api

HEADER = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
PROFILES = """
profiles:
- schedulerName: default-scheduler
- schedulerName: pack
  plugins:
    score:
      disabled: [{name: "*"}]
      enabled: [{name: NodeResourcesFit, weight: 5}]
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated}}
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: Exists}]}]
"""


def test_pods_are_placed_by_the_profile_that_they_name(tmp_path):
    path = tmp_path / "scheduler.yaml"
    path.write_text(HEADER + PROFILES)
    with support.Cluster(node="false", **{"scheduler-config": path}) as cluster:
        cluster.start()
        api, ns = Api(cluster), "t-" + uuid.uuid4().hex[:8]
        for name, labels in {"a": {"pool": "x"}, "b": {"pool": "x"}, "c": {}}.items():
            assert api("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}}).status == 201
            status = {"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]}}
            assert api("PATCH", f"/api/v1/nodes/{name}/status", status, {"Content-Type": MERGE}).status == 200
        assert api("POST", "/api/v1/namespaces", {"metadata": {"name": ns}}).status == 201
        support.wait_for("the namespace's account", lambda: api.get(f"/api/v1/namespaces/{ns}/serviceaccounts/default").status == 200)

        def place(name, cpu, **spec):
            container = {"name": "c", "image": "none", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
            pod = {"metadata": {"name": name}, "spec": {"containers": [container], "tolerations": [{"operator": "Exists"}], **spec}}
            assert api("POST", f"/api/v1/namespaces/{ns}/pods", pod).status == 201
            return support.wait_for(f"a node for {name}", lambda: api.get(f"/api/v1/namespaces/{ns}/pods/{name}").body["spec"].get("nodeName"))

        assert place("first", "1", nodeSelector={"pool": "x"}) in ("a", "b")
        full = api.get(f"/api/v1/namespaces/{ns}/pods/first").body["spec"]["nodeName"]
        assert [place(f"pack-{i}", "500m", schedulerName="pack") for i in range(3)] == [full] * 3, "the fullest of the pool"
        assert place("usual", "500m") != full, "the emptiest"

        def told():
            events = api.get(f"/api/v1/namespaces/{ns}/events").body["items"]
            return {e["involvedObject"]["name"]: e["source"].get("component") or e["reportingComponent"] for e in events if e["reason"] == "Scheduled"}

        support.wait_for("events of both", lambda: {"pack-0", "usual"} <= told().keys())
        assert told()["pack-0"] == "pack" and told()["usual"] == "default-scheduler"


def test_a_file_with_faults_ends_the_start(tmp_path):
    path = tmp_path / "scheduler.yaml"
    path.write_text(HEADER + "percentageOfNodesToScore: 101\nprofile: []\n")
    with support.Cluster(node="false", **{"scheduler-config": path}) as cluster:
        cluster.start(wait=False)
        assert cluster.server.wait(30) != 0
        line = cluster.log().strip().splitlines()[-1]
        assert f"--scheduler-config {path}: profile: unknown field; percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]" in line
