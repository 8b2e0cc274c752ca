"""Objects through the API: create, update, patch, delete, dry runs, what the server itself keeps."""
import re
import time

import pytest

from api import JSON_PATCH, MERGE, STRATEGIC
from cluster import wait_for
from manifests import config_map, deployment, pod, service


@pytest.fixture
def deployments(ns):
    return f"/apis/apps/v1/namespaces/{ns}/deployments"


@pytest.fixture
def pods(plane, api, ns):
    path = f"/api/v1/namespaces/{ns}"
    wait_for("the service account", lambda: api.get(f"{path}/serviceaccounts/default").status == 200, 10)
    return f"{path}/pods"


def names(answer):
    return [item["metadata"]["name"] for item in answer.body["items"]]


# -- create and update --------------------------------------------------------------------------------------------------


def test_the_server_keeps_the_metadata(api, maps, ns):
    status, made = api("POST", maps, {"metadata": {"name": "a", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "resourceVersion": "", "selfLink": "/x",
                                                   "deletionTimestamp": "2001-01-01T00:00:00Z"}, "data": {"k": "v"}})
    meta = made["metadata"]
    assert status == 201 and (made["kind"], made["apiVersion"], meta["namespace"]) == ("ConfigMap", "v1", ns)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", meta["uid"])
    assert re.fullmatch(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])
    assert int(meta["resourceVersion"]) > 0 and "deletionTimestamp" not in meta and "selfLink" not in meta
    status, changed = api("PUT", f"{maps}/a", {**made, "metadata": {"name": "a", "uid": meta["uid"], "creationTimestamp": None}, "data": {"k": "w"}})
    assert status == 200 and changed["metadata"]["uid"] == meta["uid"] and changed["metadata"]["creationTimestamp"] == meta["creationTimestamp"]
    assert int(changed["metadata"]["resourceVersion"]) > int(meta["resourceVersion"])
    assert api.get(f"{maps}/a").body == changed


def test_a_revision_may_not_be_set_at_creation(api, maps):
    status, body = api("POST", maps, {"metadata": {"name": "a", "resourceVersion": "5"}})
    assert status == 400 and "resourceVersion should not be set on objects to be created" in body["message"]


def test_the_generation_counts_changes_of_the_spec_alone(api, deployments):
    made = api("POST", deployments, deployment("web", 0)).body
    assert made["metadata"]["generation"] == 1
    generation = lambda answer: answer.body["metadata"]["generation"]
    assert generation(api.patch(f"{deployments}/web", {"metadata": {"labels": {"a": "b"}}})) == 1
    assert generation(api.patch(f"{deployments}/web/status", {"status": {"observedGeneration": 1}})) == 1
    assert generation(api.patch(f"{deployments}/web", {"spec": {"paused": True}})) == 2
    assert generation(api.patch(f"{deployments}/web", {"spec": {"paused": True}})) == 2
    assert generation(api.patch(f"{deployments}/web", {"metadata": {"generation": 40}})) == 2


def test_generate_name_gives_different_names(api, maps):
    found = {api("POST", maps, {"metadata": {"generateName": "job-"}}).body["metadata"]["name"] for _ in range(20)}
    assert len(found) == 20 and all(re.fullmatch(r"job-[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in found)


def test_an_update_of_what_is_not_there_is_404_and_one_of_another_name_400(api, maps):
    assert api("PUT", f"{maps}/none", config_map("none")).status == 404
    api("POST", maps, config_map("a"))
    status, body = api("PUT", f"{maps}/a", config_map("b"))
    assert status == 400 and "does not match" in body["message"]
    status, body = api("POST", maps, {"metadata": {"name": "c", "namespace": "other"}})
    assert status == 400 and "namespace" in body["message"]


def test_an_update_with_another_uid_conflicts(api, maps):
    made = api("POST", maps, config_map("a")).body
    made["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    status, body = api("PUT", f"{maps}/a", made)
    assert (status, body["reason"]) in ((409, "Conflict"), (422, "Invalid")) and "uid" in body["message"].lower()


def test_immutable_config_maps_stay(api, maps):
    api("POST", maps, {**config_map("a", k="v"), "immutable": True})
    status, body = api.patch(f"{maps}/a", {"data": {"k": "w"}})
    assert status == 422 and "immutable" in body["message"]
    assert api.patch(f"{maps}/a", {"metadata": {"labels": {"a": "b"}}}).status == 200


def test_unknown_fields_warn_fail_or_are_ignored(api, maps):
    bad = {**config_map("a"), "dta": {"k": "v"}}
    answer = api("POST", maps, bad)
    assert answer.status == 201 and answer.headers.get_all("Warning") == ['299 - "unknown field \\"dta\\""']
    assert "dta" not in answer.body
    strict = api("PUT", f"{maps}/a", bad, fieldValidation="Strict")
    assert strict.status == 400 and 'strict decoding error: unknown field "dta"' in strict.body["message"]
    ignored = api("PUT", f"{maps}/a", bad, fieldValidation="Ignore")
    assert ignored.status == 200 and ignored.headers.get_all("Warning") is None
    assert api("PUT", f"{maps}/a", bad, fieldValidation="Sometimes").status in (400, 422)
    twice = api("PUT", f"{maps}/a", '{"metadata":{"name":"a"},"data":{"k":"1","k":"2"}}', fieldValidation="Strict")
    assert twice.status == 400 and 'duplicate field "data.k"' in twice.body["message"]
    patched = api.patch(f"{maps}/a", {"nothing": 1}, fieldValidation="Strict")
    assert patched.status in (400, 422) and 'unknown field "nothing"' in patched.body["message"]


# -- patches ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def web(api, deployments):
    """A Deployment with two containers; its path."""
    made = deployment("web", 0, env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], ports=[{"containerPort": 80}, {"containerPort": 81}])
    made["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "estiba/busybox:test"})
    assert api("POST", deployments, made).status == 201
    # The controllers have had their first say: they do not write in between what a test reads and writes.
    wait_for("the controllers", lambda: api.get(f"{deployments}/web").body.get("status", {}).get("observedGeneration") == 1, 10)
    time.sleep(0.1)
    return f"{deployments}/web"


def containers(answer):
    assert answer.status == 200, answer.data
    return {container["name"]: container for container in answer.body["spec"]["template"]["spec"]["containers"]}


def of_containers(*patches, **spec):
    return {"spec": {"template": {"spec": {"containers": list(patches), **spec}}}}


def test_strategic_patches_merge_lists_by_their_keys(api, web):
    found = containers(api.patch(web, of_containers({"name": "main", "image": "new:1", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}), STRATEGIC))
    assert list(found) == ["main", "side"] and found["main"]["image"] == "new:1"
    assert {e["name"]: e["value"] for e in found["main"]["env"]} == {"A": "1", "B": "3", "C": "4"}
    found = containers(api.patch(web, of_containers({"name": "main", "ports": [{"containerPort": 81, "name": "admin"}, {"containerPort": 82}]}), STRATEGIC))
    assert {p["containerPort"]: p.get("name") for p in found["main"]["ports"]} == {80: None, 81: "admin", 82: None}


def test_strategic_patches_delete_and_replace_by_directive(api, web):
    found = containers(api.patch(web, of_containers({"name": "main", "env": [{"name": "A", "$patch": "delete"}]}), STRATEGIC))
    assert found["main"]["env"] == [{"name": "B", "value": "2"}]
    found = containers(api.patch(web, of_containers({"name": "main", "ports": [{"$patch": "replace"}, {"containerPort": 90}]}), STRATEGIC))
    assert [p["containerPort"] for p in found["main"]["ports"]] == [90]
    found = containers(api.patch(web, of_containers({"name": "side", "$patch": "delete"}), STRATEGIC))
    assert list(found) == ["main"]
    found = containers(api.patch(web, of_containers({"name": "two", "image": "x:1"}, **{"$setElementOrder/containers": [{"name": "two"}, {"name": "main"}]}), STRATEGIC))
    assert list(found) == ["two", "main"]
    answer = api.patch(web, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, STRATEGIC)
    assert answer.body["spec"]["strategy"] == {"type": "Recreate"}


def test_strategic_patches_delete_from_primitive_lists(api, maps):
    api("POST", maps, {"metadata": {"name": "a", "finalizers": ["x.y/one", "x.y/two"]}})
    answer = api.patch(f"{maps}/a", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.y/one"]}}, STRATEGIC)
    assert answer.body["metadata"]["finalizers"] == ["x.y/two"]
    answer = api.patch(f"{maps}/a", {"metadata": {"finalizers": ["x.y/three"]}}, STRATEGIC)
    assert sorted(answer.body["metadata"]["finalizers"]) == ["x.y/three", "x.y/two"]
    api.patch(f"{maps}/a", {"metadata": {"finalizers": None}})


def test_merge_patches_replace_lists_and_remove_by_null(api, web):
    found = containers(api.patch(web, of_containers({"name": "only", "image": "x:1"})))
    assert list(found) == ["only"]
    api.patch(web, {"metadata": {"labels": {"a": "1", "b": "2"}}})
    assert api.patch(web, {"metadata": {"labels": {"a": None}}}).body["metadata"]["labels"] == {"b": "2"}


def test_json_patches_test_and_change(api, web):
    image = "/spec/template/spec/containers/0/image"
    answer = api.patch(web, [{"op": "test", "path": "/spec/replicas", "value": 0}, {"op": "replace", "path": image, "value": "n:2"}, {"op": "copy", "from": "/metadata/name", "path": "/metadata/labels"}], JSON_PATCH)
    assert answer.status in (400, 422)  # labels cannot be a string; nothing is half done
    assert containers(api.get(web))["main"]["image"] == "estiba/busybox:test"
    answer = api.patch(web, [{"op": "test", "path": "/spec/replicas", "value": 0}, {"op": "replace", "path": image, "value": "n:2"}, {"op": "add", "path": "/metadata/annotations", "value": {"a.b/c": "1"}},
                             {"op": "remove", "path": "/spec/template/spec/containers/1"}], JSON_PATCH)
    assert list(containers(answer)) == ["main"] and containers(answer)["main"]["image"] == "n:2"
    answer = api.patch(web, [{"op": "remove", "path": "/metadata/annotations/a.b~1c"}], JSON_PATCH)
    assert answer.status == 200 and "a.b/c" not in answer.body["metadata"].get("annotations", {})
    assert api.patch(web, [{"op": "test", "path": "/spec/replicas", "value": 9}], JSON_PATCH).status == 422
    assert api.patch(web, [{"op": "remove", "path": "/spec/nothing"}], JSON_PATCH).status == 422
    assert api.patch(web, {"op": "remove"}, JSON_PATCH).status == 400


def test_patches_of_a_stale_revision_conflict_and_unknown_types_are_415(api, maps):
    made = api("POST", maps, config_map("a")).body
    api.patch(f"{maps}/a", {"data": {"k": "1"}})
    status, body = api.patch(f"{maps}/a", {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"k": "2"}})
    assert (status, body["reason"]) == (409, "Conflict")
    assert api.patch(f"{maps}/a", {}, "text/plain").status == 415
    assert api.patch(f"{maps}/none", {"data": {}}).status == 404
    status, body = api.patch(f"{maps}/a", {"metadata": {"name": "b"}})
    assert status in (400, 422)


# -- delete -------------------------------------------------------------------------------------------------------------


def owned(api, maps, name, owner):
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}
    assert api("POST", maps, {"metadata": {"name": name, "ownerReferences": [reference]}}).status == 201


def gone(api, path):
    return lambda: api.get(path).status == 404


def test_background_deletion_removes_what_is_owned_afterwards(api, maps):
    owned(api, maps, "child", api("POST", maps, config_map("owner")).body)
    status, body = api("DELETE", f"{maps}/owner", {"propagationPolicy": "Background"})
    assert (status, body["status"]) == (200, "Success") and body["details"]["name"] == "owner" and body["details"]["uid"]
    assert api.get(f"{maps}/owner").status == 404
    wait_for("the child to go", gone(api, f"{maps}/child"), 15)


def test_foreground_deletion_removes_what_is_owned_first(api, maps):
    owned(api, maps, "child", api("POST", maps, config_map("owner")).body)
    api.patch(f"{maps}/child", {"metadata": {"finalizers": ["x.y/hold"]}})
    status, body = api("DELETE", f"{maps}/owner", {"propagationPolicy": "Foreground"})
    assert status == 200 and body["metadata"]["finalizers"] == ["foregroundDeletion"] and body["metadata"]["deletionTimestamp"]
    wait_for("the child to be deleted", lambda: "deletionTimestamp" in api.get(f"{maps}/child").body["metadata"], 15)
    assert api.get(f"{maps}/owner").status == 200
    api.patch(f"{maps}/child", {"metadata": {"finalizers": None}})
    wait_for("the owner to go", gone(api, f"{maps}/owner"), 15)


def test_orphaned_objects_stay(api, maps):
    owned(api, maps, "child", api("POST", maps, config_map("owner")).body)
    assert api("DELETE", f"{maps}/owner", propagationPolicy="Orphan").status == 200
    wait_for("the owner to go", gone(api, f"{maps}/owner"), 15)
    child = api.get(f"{maps}/child")
    assert child.status == 200 and not child.body["metadata"].get("ownerReferences")
    assert api("DELETE", f"{maps}/child", {"propagationPolicy": "Sideways"}).status in (400, 422)


def test_preconditions_hold_deletions_back(api, maps):
    made = api("POST", maps, config_map("a")).body["metadata"]
    status, body = api("DELETE", f"{maps}/a", {"preconditions": {"uid": "other"}})
    assert (status, body["reason"]) == (409, "Conflict") and made["uid"] in body["message"]
    assert api("DELETE", f"{maps}/a", {"preconditions": {"resourceVersion": "1"}}).status == 409
    assert api("DELETE", f"{maps}/a", {"preconditions": {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}}).status == 200


def test_finalizers_keep_an_object_until_they_are_gone(api, maps):
    api("POST", maps, {"metadata": {"name": "a", "finalizers": ["x.y/one"]}, "data": {"k": "1"}})
    status, body = api("DELETE", f"{maps}/a")
    assert status == 200 and body["metadata"]["deletionTimestamp"]
    assert api.patch(f"{maps}/a", {"data": {"k": "2"}}).status == 200
    assert api.patch(f"{maps}/a", {"metadata": {"finalizers": ["x.y/one", "x.y/two"]}}).status in (403, 422)
    assert api.patch(f"{maps}/a", {"metadata": {"finalizers": []}}).status == 200
    assert api.get(f"{maps}/a").status == 404


def test_a_scheduled_pod_gets_its_grace(api, pods):
    api("POST", pods, pod("a", terminationGracePeriodSeconds=7, nodeName="elsewhere"))
    status, body = api("DELETE", f"{pods}/a")
    assert status == 200 and body["metadata"]["deletionGracePeriodSeconds"] == 7
    assert api("DELETE", f"{pods}/a", {"gracePeriodSeconds": 3}).body["metadata"]["deletionGracePeriodSeconds"] == 3
    assert api("DELETE", f"{pods}/a", {"gracePeriodSeconds": 30}).body["metadata"]["deletionGracePeriodSeconds"] == 3
    assert api("DELETE", f"{pods}/a", gracePeriodSeconds=0).status == 200
    assert api.get(f"{pods}/a").status == 404


def test_collections_are_deleted_by_selector(api, maps):
    for name, app in (("a", "x"), ("b", "x"), ("c", "y")):
        api("POST", maps, {"metadata": {"name": name, "labels": {"app": app}}})
    answer = api("DELETE", maps, labelSelector="app=x", dryRun="All")
    assert answer.status == 200 and {"a", "b", "c"} <= set(names(api.get(maps)))
    answer = api("DELETE", maps, labelSelector="app=x")
    assert answer.status == 200
    left = names(api.get(maps))
    assert "c" in left and "a" not in left and "b" not in left


# -- dry runs, subresources ---------------------------------------------------------------------------------------------


def test_dry_runs_answer_and_change_nothing(api, maps):
    status, body = api("POST", maps, config_map("a", k="v"), dryRun="All")
    assert status == 201 and body["metadata"]["uid"] and api.get(f"{maps}/a").status == 404
    made = api("POST", maps, config_map("a", k="v")).body
    assert api("POST", maps, config_map("a"), dryRun="All").status == 409
    assert api("PUT", f"{maps}/a", config_map("a", k="w"), dryRun="All").body["data"] == {"k": "w"}
    for kind, patch in ((MERGE, {"data": {"k": "w"}}), (STRATEGIC, {"data": {"k": "w"}}), (JSON_PATCH, [{"op": "replace", "path": "/data/k", "value": "w"}])):
        assert api.patch(f"{maps}/a", patch, kind, dryRun="All").body["data"] == {"k": "w"}
    assert api("DELETE", f"{maps}/a", {"dryRun": ["All"]}).status == 200
    assert api("DELETE", f"{maps}/a", dryRun="All").status == 200
    assert api.get(f"{maps}/a").body == made
    assert api("POST", maps, config_map("b"), dryRun="Some").status in (400, 422)


def test_a_dry_run_of_a_service_takes_no_address(api, ns):
    path = f"/api/v1/namespaces/{ns}/services"
    status, body = api("POST", path, service("web"), dryRun="All")
    assert status == 201, body
    assert api("POST", path, service("web", clusterIP="10.43.7.7"), dryRun="All").status == 201
    assert api("POST", path, service("web", clusterIP="10.43.7.7")).status == 201


def test_the_status_is_a_door_of_its_own(api, deployments, web):
    api.patch(web, {"status": {"replicas": 9}})
    assert api.get(web).body.get("status", {}).get("replicas", 0) == 0
    whole = api.get(web).body
    answer = api("PUT", f"{web}/status", {**whole, "spec": {**whole["spec"], "replicas": 5}, "status": {"replicas": 4}, "metadata": {"name": "web", "labels": {"new": "1"}}})
    assert answer.status == 200 and answer.body["status"]["replicas"] == 4 and answer.body["spec"]["replicas"] == 0
    assert api.get(f"{web}/status").status == 200


def test_scale_reads_and_writes_replicas(api, web):
    status, body = api.get(f"{web}/scale")
    assert status == 200 and (body["kind"], body["apiVersion"], body["spec"].get("replicas", 0), body["status"]["selector"]) == ("Scale", "autoscaling/v1", 0, "app=web")
    body["spec"]["replicas"] = 2
    assert api("PUT", f"{web}/scale", body).body["spec"]["replicas"] == 2
    assert api.patch(f"{web}/scale", {"spec": {"replicas": 3}}).body["spec"]["replicas"] == 3
    assert api.get(web).body["spec"]["replicas"] == 3
    assert api("PUT", f"{web}/scale", body).status == 409
    assert api.patch(f"{web}/scale", {"spec": {"replicas": -1}}).status == 422


def test_a_pod_is_bound_once(api, pods):
    made = pod("a", nodeSelector={"nowhere": "yes"})
    assert api("POST", pods, made).status == 201
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"apiVersion": "v1", "kind": "Node", "name": "elsewhere"}}
    assert api("POST", f"{pods}/a/binding", binding).status == 201
    bound = api.get(f"{pods}/a").body
    assert bound["spec"]["nodeName"] == "elsewhere"
    assert {c["type"]: c["status"] for c in bound["status"]["conditions"]}["PodScheduled"] == "True"
    status, body = api("POST", f"{pods}/a/binding", binding)
    assert status == 409 and "already assigned to node" in body["message"]
    api("DELETE", f"{pods}/a", gracePeriodSeconds=0)


def test_a_namespace_takes_its_objects_with_it(api, maps, ns):
    api("POST", maps, config_map("a"))
    assert api("DELETE", f"/api/v1/namespaces/{ns}").status == 200
    status, body = api("POST", maps, config_map("b"))
    assert status in (403, 404) and ns in body["message"]
    wait_for("the namespace to go", gone(api, f"/api/v1/namespaces/{ns}"), 20)
    assert api.get(maps).body["items"] == []


def test_the_servers_own_service_comes_back(api):
    path = "/api/v1/namespaces/default/services/kubernetes"
    before = api.get(path).body
    assert api("DELETE", path).status == 200
    after = wait_for("the service", lambda: api.get(path).status == 200 and api.get(path).body, 10)
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"] and after["metadata"]["uid"] != before["metadata"]["uid"]
    for _ in range(20):  # no controller takes its endpoints away
        slices = api.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices").body["items"]
        assert [s["endpoints"] for s in slices if s["metadata"]["name"] == "kubernetes"]
