"""Forms and documents: discovery, OpenAPI, Tables, protobuf, YAML; the official Python client."""
import gzip
import json
import os
import pathlib

import pytest

import cluster as support
from manifests import config_map, deployment, pod, service

PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


def reference():
    """The facts about Kubernetes 1.36, where they lie beside the repository."""
    places = [os.environ.get("ESTIBA_REFERENCE"), support.ROOT.parent / "shared/reference"]
    for place in places:
        path = pathlib.Path(place or "/nonexistent") / "kubernetes-1.36/resources.tsv"
        if path.exists():
            return path
    pytest.skip("no reference beside the repository; ESTIBA_REFERENCE names it")


def expected_resources():
    """(group version, resource or resource/subresource) to its facts."""
    lines = reference().read_text().split("\n")
    out = {}
    for line in lines[1:]:
        if not line:
            continue
        row = dict(zip(lines[0].split("\t"), line.split("\t")))
        where = f"{row['group']}/{row['version']}" if row["group"] else row["version"]
        out[where, row["resource"]] = {"kind": row["kind"], "namespaced": row["scope"] == "Namespaced", "singular": row["singular"], "short": sorted(filter(None, row["short_names"].split(","))),
                                       "categories": sorted(filter(None, row["categories"].split(","))), "verbs": sorted(row["verbs"].split(","))}
        for sub in filter(None, row["subresources"].split(";")):
            name, _, rest = sub.rstrip(")").partition("(")
            kind, _, verbs = rest.partition(":")
            out[where, f"{row['resource']}/{name}"] = {"kind": kind, "namespaced": row["scope"] == "Namespaced", "singular": "", "short": [], "categories": [], "verbs": sorted(verbs.split(","))}
    return out


def fact(kind, namespaced, item, singular):
    return {"kind": kind, "namespaced": namespaced, "singular": item.get(singular, ""), "short": sorted(item.get("shortNames", [])), "categories": sorted(item.get("categories", [])),
            "verbs": sorted(item["verbs"])}


def of_kubernetes_itself(found):
    """Without metrics.k8s.io, which an extension server answers there, and the Gateway API, which are definitions everywhere."""
    assert found["metrics.k8s.io/v1beta1", "pods"]["kind"] == "PodMetrics" and found["gateway.networking.k8s.io/v1", "gateways"]["kind"] == "Gateway"
    return {key: value for key, value in found.items() if not key[0].startswith(("metrics.k8s.io/", "gateway.networking.k8s.io/"))}


def test_legacy_discovery_tells_all_resources(api):
    expected, found = expected_resources(), {}
    versions = [f"/api/{version}" for version in api.get("/api").body["versions"]]
    for group in api.get("/apis").body["groups"]:
        assert api.get(f"/apis/{group['name']}").body["preferredVersion"] == group["preferredVersion"]
        versions += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    for path in versions:
        listed = api.get(path).body
        for item in listed["resources"]:
            found[listed["groupVersion"], item["name"]] = fact(item["kind"], item["namespaced"], item, "singularName")
    assert of_kubernetes_itself(found) == expected


def test_aggregated_discovery_tells_the_same(api):
    expected, found = expected_resources(), {}
    for path in ("/api", "/apis"):
        answer = api("GET", path, headers={"Accept": AGGREGATED})
        assert answer.headers["Content-Type"].startswith("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        assert (answer.body["kind"], answer.body["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
        for group in answer.body["items"]:
            name = group["metadata"].get("name")
            for version in group["versions"]:
                where = f"{name}/{version['version']}" if name else version["version"]
                for item in version["resources"]:
                    namespaced = item["scope"] == "Namespaced"
                    found[where, item["resource"]] = fact(item["responseKind"]["kind"], namespaced, item, "singularResource")
                    for sub in item.get("subresources", []):
                        found[where, f"{item['resource']}/{sub['subresource']}"] = fact(sub["responseKind"]["kind"], namespaced, sub, "")
        again = api("GET", path, headers={"Accept": AGGREGATED, "If-None-Match": answer.headers["ETag"]})
        assert again.status == 304 and again.data == b""
    assert of_kubernetes_itself(found) == expected


def test_every_resource_is_served(api, ns):
    """What discovery tells can be listed, and its Table has columns."""
    for (where, name), item in expected_resources().items():
        if "list" not in item["verbs"] or "/" in name:
            continue
        path = f"/api/{where}/{name}" if "/" not in where else f"/apis/{where}/{name}"
        answer = api.get(path)
        assert answer.status == 200 and answer.body["kind"] == item["kind"] + "List" and answer.body["apiVersion"] == where, (path, answer.data[:300])
        table = api("GET", path, headers={"Accept": TABLE}).body
        assert table["kind"] == "Table" and table["columnDefinitions"][0]["name"].lower() == "name" or name in ("events", "componentstatuses"), (path, table)


def test_version_health_and_metrics(api):
    version = api.get("/version").body
    assert version["major"] == "1" and version["minor"] == "36" and version["gitVersion"].startswith("v1.36")
    for path in ("/livez", "/readyz", "/healthz"):
        assert (api.get(path).status, api.get(path).data) == (200, b"ok")
    assert api.get("/readyz?verbose").data.endswith(b"readyz check passed\n")
    assert api.get("/metrics").status == 200


def test_openapi_v2(api):
    document = api.get("/openapi/v2")
    body = document.body
    assert body["swagger"] == "2.0" and body["definitions"]["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert "/api/v1/namespaces/{namespace}/pods" in body["paths"]
    for accept in ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"):
        packed = api("GET", "/openapi/v2", headers={"Accept": accept})
        assert packed.status == 200 and packed.data.startswith(b"\x0a\x032.0\x12"), accept
        assert "protobuf" in packed.headers["Content-Type"]
    assert api("GET", "/openapi/v2", headers={"If-None-Match": document.headers["ETag"]}).status == 304


def test_openapi_v3(api):
    paths = api.get("/openapi/v3").body["paths"]
    assert {"api/v1", "apis/apps/v1"} <= set(paths)
    core = api.get(paths["api/v1"]["serverRelativeURL"]).body
    assert core["openapi"].startswith("3.0") and "io.k8s.api.core.v1.Pod" in core["components"]["schemas"]
    assert "/api/v1/namespaces/{namespace}/pods" in core["paths"]
    for entry in paths.values():
        assert api.get(entry["serverRelativeURL"]).status == 200


# -- forms of objects -------------------------------------------------------------------------------------------------


def test_tables_have_kubernetes_columns(api, ns):
    base = f"/api/v1/namespaces/{ns}"
    api("POST", f"{base}/services", service("web"))
    api("POST", f"/apis/apps/v1/namespaces/{ns}/deployments", deployment("web", 0))
    columns = {f"{base}/pods": "Name Ready Status Restarts Age IP Node", f"{base}/services": "Name Type Cluster-IP External-IP Port(s) Age Selector",
               f"/apis/apps/v1/namespaces/{ns}/deployments": "Name Ready Up-to-date Available Age Containers Images Selector", "/api/v1/nodes": "Name Status Roles Age Version",
               f"{base}/configmaps": "Name Data Age", f"{base}/secrets": "Name Type Data Age", "/api/v1/namespaces": "Name Status Age"}
    for path, expected in columns.items():
        table = api("GET", path, headers={"Accept": TABLE}).body
        found = [column["name"] for column in table["columnDefinitions"]]
        assert found[:len(expected.split())] == expected.split(), path
    table = api("GET", f"{base}/services/web", headers={"Accept": TABLE}).body
    assert table["rows"][0]["cells"][:2] == ["web", "ClusterIP"] and table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    whole = api("GET", f"{base}/services/web?includeObject=Object", headers={"Accept": TABLE}).body
    assert whole["rows"][0]["object"]["kind"] == "Service"
    assert api("GET", f"{base}/services/web?includeObject=None", headers={"Accept": TABLE}).body["rows"][0].get("object") is None


def test_metadata_alone(api, maps):
    api("POST", maps, config_map("a", k="v"))
    listed = api("GET", maps, headers={"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}).body
    assert listed["kind"] == "PartialObjectMetadataList" and all("data" not in item for item in listed["items"])
    one = api("GET", f"{maps}/a", headers={"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}).body
    assert one["kind"] == "PartialObjectMetadata" and "data" not in one and one["metadata"]["name"] == "a"


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    assert len(data) < 128 * 128
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def envelope(kind, raw, version="v1"):
    return b"k8s\0" + field(1, field(1, version) + field(2, kind)) + field(2, raw)


def test_protobuf_goes_in_and_comes_out(api, maps, ns):
    body = envelope("ConfigMap", field(1, field(1, "a") + field(3, ns)) + field(2, field(1, "k") + field(2, "v")))
    answer = api("POST", maps, body, {"Content-Type": PROTOBUF, "Accept": PROTOBUF})
    assert answer.status == 201 and answer.headers["Content-Type"] == PROTOBUF and answer.data.startswith(b"k8s\0")
    assert field(2, field(1, "k") + field(2, "v")) in answer.data
    assert api.get(f"{maps}/a").body["data"] == {"k": "v"}
    assert api("GET", maps, headers={"Accept": PROTOBUF + ",application/json"}).data.startswith(b"k8s\0" + field(1, field(1, "v1") + field(2, "ConfigMapList")))
    # With a subject of its own a failed request answers in the form that was asked for, too.
    missing = api("GET", f"{maps}/none", headers={"Accept": PROTOBUF})
    assert missing.status == 404 and missing.data.startswith(b"k8s\0" + field(1, field(1, "v1") + field(2, "Status")))
    assert api("POST", maps, b"k8s\0\xff\xff\xff", {"Content-Type": PROTOBUF}).status == 400
    assert api("POST", maps, b"nonsense", {"Content-Type": PROTOBUF}).status == 400
    options = envelope("DeleteOptions", field(4, "Background"))
    assert api("DELETE", f"{maps}/a", options, {"Content-Type": PROTOBUF}).status == 200


def test_yaml_goes_in_and_comes_out(api, maps):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: |\n    one\n    two\n"
    answer = api("POST", maps, text, {"Content-Type": "application/yaml", "Accept": "application/yaml"})
    assert answer.status == 201 and answer.headers["Content-Type"] == "application/yaml" and b"\nkind: ConfigMap\n" in b"\n" + answer.data
    assert api.get(f"{maps}/a").body["data"]["k"] == "one\ntwo\n"


def test_what_cannot_be_made_is_406_and_what_cannot_be_read_415(api, maps):
    assert api("GET", maps, headers={"Accept": "text/html"}).status == 406
    assert api("POST", maps, "x", {"Content-Type": "text/plain"}).status == 415
    assert api("PUT", maps, config_map("a")).status == 405


def test_large_answers_are_packed_where_asked(api, maps):
    api("POST", maps, config_map("big", k="x" * 300_000)), api("POST", maps, config_map("small", k="x" * 100_000))
    for path, form in ((f"{maps}/big", "application/json"), (maps, "application/json"), (f"{maps}/big", "application/vnd.kubernetes.protobuf"), ("/openapi/v2", "application/json")):
        plain = api("GET", path, headers={"Accept": form})
        packed = api("GET", path, headers={"Accept": form, "Accept-Encoding": "deflate, gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed.headers.get_all("Vary"), path
        assert len(packed.data) < len(plain.data) / 2 and gzip.decompress(packed.data) == plain.data
    assert "Content-Encoding" not in api("GET", f"{maps}/small", headers={"Accept-Encoding": "gzip"}).headers
    status, body = api("POST", maps, config_map("huge", k="x" * 4_000_000))
    assert status in (413, 422), body


# -- the official client ----------------------------------------------------------------------------------------------


def test_the_python_client_works(plane, ns):
    kubernetes = pytest.importorskip("kubernetes")
    with plane.sandbox.network():
        client = kubernetes.config.new_client_from_config(str(plane.kubeconfig))
        client.configuration.host = "https://127.0.0.1:6443"
        core, apps = kubernetes.client.CoreV1Api(client), kubernetes.client.AppsV1Api(client)
        made = core.create_namespaced_config_map(ns, config_map("a", k="v"))
        assert core.read_namespaced_config_map("a", ns).metadata.uid == made.metadata.uid
        made.data = {"k": "w"}
        assert core.replace_namespaced_config_map("a", ns, made).data == {"k": "w"}
        assert core.patch_namespaced_config_map("a", ns, {"data": {"l": "x"}}).data == {"k": "w", "l": "x"}
        with pytest.raises(kubernetes.client.ApiException) as conflict:
            core.replace_namespaced_config_map("a", ns, made)
        assert conflict.value.status == 409
        events = kubernetes.watch.Watch().stream(core.list_namespaced_config_map, ns, timeout_seconds=5, resource_version=made.metadata.resource_version)
        first = next(events)
        assert (first["type"], first["object"].data) == ("MODIFIED", {"k": "w"})
        apps.create_namespaced_deployment(ns, deployment("web", 0))
        apps.patch_namespaced_deployment_scale("web", ns, {"spec": {"replicas": 2}})
        assert apps.read_namespaced_deployment("web", ns).spec.replicas == 2
        apps.delete_namespaced_deployment("web", ns, propagation_policy="Foreground")
        core.delete_namespaced_config_map("a", ns)
        assert "a" not in [item.metadata.name for item in core.list_namespaced_config_map(ns).items]
        assert kubernetes.client.VersionApi(client).get_code().minor == "36"
        assert "pods" in [r.name for r in core.get_api_resources().resources]
