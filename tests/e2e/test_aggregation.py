"""APIServices: what is served here, and an extension server that answers a group of its own."""
import base64
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from api import facts
from cluster import NODE_ADDRESS, run, wait_for

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NAME, PREFIX = "v1alpha1.wardle.example.com", "/apis/wardle.example.com/v1alpha1"
AGGREGATED = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "support/extension_server.py"


def condition(service):
    return next((one for one in service.get("status", {}).get("conditions", []) if one["type"] == "Available"), {})


def certificate(directory, name):
    """A CA, and a certificate of it for a service's name."""
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=extension-ca", "-keyout", directory / "ca.key", "-out", directory / "ca.crt", "-days", "2"])
    run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=extension", "-keyout", directory / "tls.key", "-out", directory / "tls.csr"])
    (directory / "san").write_text(f"subjectAltName=DNS:{name}")
    run(["openssl", "x509", "-req", "-in", directory / "tls.csr", "-CA", directory / "ca.crt", "-CAkey", directory / "ca.key", "-CAcreateserial", "-out", directory / "tls.crt", "-days", "2", "-extfile", directory / "san"])


class Extension:
    """The extension server as a process in the cluster's network, with its Service and APIService."""

    def __init__(self, plane, api, ns, directory, port):
        self.plane, self.api, self.ns, self.directory, self.port, self.process = plane, api, ns, directory, port, None
        certificate(directory, f"wardle.{ns}.svc")

    def start(self, *arguments):
        command = [sys.executable, PROGRAM, self.port, self.directory / "tls.crt", self.directory / "tls.key", self.plane.data_dir / "pki/front-proxy-ca.crt", *arguments]
        self.process = subprocess.Popen(self.plane.sandbox.command(command), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"

    def stop(self):
        if self.process:
            for child in open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split():
                os.kill(int(child), signal.SIGKILL)
            self.process.wait()
            self.process = None

    def register(self, **spec):
        base = f"/api/v1/namespaces/{self.ns}"
        assert self.api("POST", f"{base}/services", {"metadata": {"name": "wardle"}, "spec": {"ports": [{"name": "https", "port": 443}]}}).status == 201
        slice_ = {"metadata": {"name": "wardle-1", "labels": {"kubernetes.io/service-name": "wardle"}}, "addressType": "IPv4",
                  "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}], "ports": [{"name": "https", "port": self.port, "protocol": "TCP"}]}
        assert self.api("POST", f"/apis/discovery.k8s.io/v1/namespaces/{self.ns}/endpointslices", slice_).status == 201
        self.announce(**spec)

    def announce(self, **spec):
        bundle = base64.b64encode((self.directory / "ca.crt").read_bytes()).decode()
        spec = {"group": "wardle.example.com", "version": "v1alpha1", "groupPriorityMinimum": 2000, "versionPriority": 200, "caBundle": bundle,
                "service": {"namespace": self.ns, "name": "wardle"}, **spec}
        answer = self.api("POST", SERVICES, {"metadata": {"name": NAME}, "spec": {key: value for key, value in spec.items() if value is not None}})
        assert answer.status == 201, answer.data

    def wait(self, status, reason=None):
        def check():
            now = condition(self.api.get(f"{SERVICES}/{NAME}").body)
            return now if now.get("status") == status and reason in (None, now.get("reason")) else None
        return wait_for(f"Available={status} {reason}", check, 20, 0.05)


@pytest.fixture
def extension(plane, api, ns, tmp_path, request):
    made = Extension(plane, api, ns, tmp_path, 9400 + os.getpid() % 500)
    yield made
    api("DELETE", f"{SERVICES}/{NAME}")
    wait_for("the group's end", lambda: api.get("/apis/wardle.example.com").status == 404, 10, 0.05)
    made.stop()


def test_every_group_that_is_served_has_an_api_service(plane, api):
    listed = lambda: {item["metadata"]["name"]: item for item in api.get(SERVICES).body["items"]}
    wait_for("the APIServices", lambda: "v1.apps" in listed() and "v1.storage.k8s.io" in listed(), 10)
    services = listed()
    groups = [(group["name"], version["version"]) for group in api.get("/apis").body["groups"] for version in group["versions"]] + [("", "v1")]
    # apiregistration.k8s.io registers itself nowhere, as in Kubernetes.
    assert {f"{version}.{group}" for group, version in groups if group != "apiregistration.k8s.io"} <= set(services)
    core = services["v1."]
    assert (core["spec"]["groupPriorityMinimum"], core["spec"]["versionPriority"]) == (18000, 1)
    assert core["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "onstart"
    assert {key: condition(core)[key] for key in ("status", "reason")} == {"status": "True", "reason": "Local"}
    table = plane.kubectl("get", "apiservice", "v1.apps")
    assert table.splitlines()[1].split()[:3] == ["v1.apps", "Local", "True"]


def test_custom_kinds_come_and_go_with_their_api_service(plane, api):
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "boats.sea.example.com"},
           "spec": {"group": "sea.example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
                    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert api("POST", path, crd).status == 201
    service = wait_for("its APIService", lambda: (answer := api.get(f"{SERVICES}/v1.sea.example.com")).status == 200 and answer.body, 10, 0.05)
    assert (service["spec"]["groupPriorityMinimum"], service["spec"]["versionPriority"]) == (1000, 100)
    assert service["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "true"
    assert api("DELETE", f"{path}/boats.sea.example.com").status == 200
    wait_for("its end", lambda: api.get(f"{SERVICES}/v1.sea.example.com").status == 404, 10, 0.05)


def test_an_extension_server_answers_its_group(plane, api, ns, extension):
    extension.start()
    extension.register()
    assert extension.wait("True")["reason"] == "Passed"
    # Discovery, all forms of it.
    assert api.get("/apis/wardle.example.com").body["preferredVersion"]["groupVersion"] == "wardle.example.com/v1alpha1"
    assert "wardle.example.com" in [group["name"] for group in api.get("/apis").body["groups"]]
    assert api.get(PREFIX).body["resources"][0]["name"] == "flunders"
    item = next(one for one in api("GET", "/apis", headers=AGGREGATED).body["items"] if one["metadata"].get("name") == "wardle.example.com")
    assert item["versions"][0]["freshness"] == "Current" and item["versions"][0]["resources"][0]["resource"] == "flunders"
    assert api.get("/openapi/v3").body["paths"][PREFIX[1:]]["serverRelativeURL"].startswith(f"/openapi/v3{PREFIX}")
    assert "com.example.wardle.v1alpha1.Flunder" in api.get(f"/openapi/v3{PREFIX}").body["components"]["schemas"]
    v2 = api("GET", "/openapi/v2", headers={"Accept": "application/json"}).body
    assert PREFIX + "/" in v2["paths"] and "/other" not in v2["paths"] and "com.example.wardle.v1alpha1.Flunder" in v2["definitions"]
    # kubectl, as with any other kind.
    assert "flunders" in plane.kubectl("api-resources", "--api-group=wardle.example.com")
    manifest = {"apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder", "metadata": {"name": "f1", "namespace": ns}, "spec": {"reference": "r"}}
    run(plane.kubectl_command("create", "--validate=false", "-f", "-"), input=json.dumps(manifest))
    assert json.loads(plane.kubectl("-n", ns, "get", "flu", "f1", "-o", "json"))["spec"] == {"reference": "r"}
    assert "flunder.wardle.example.com/f1" in plane.kubectl("-n", ns, "get", "flunders", "-o", "name")
    # Events as they come.
    watch = api.watch(f"{PREFIX}/namespaces/{ns}/flunders")
    assert facts([next(watch)]) == [("ADDED", "f1")]
    second = {**manifest, "metadata": {"name": "f2", "namespace": ns}}
    assert api("POST", f"{PREFIX}/namespaces/{ns}/flunders", second).status == 201
    assert facts([next(watch)]) == [("ADDED", "f2")]
    watch.close()
    plane.kubectl("-n", ns, "delete", "flunder", "f1", "--wait=false")
    assert api.get(f"{PREFIX}/namespaces/{ns}/flunders/f1").status == 404
    table = plane.kubectl("get", "apiservice", NAME).splitlines()[1].split()
    assert table[1:3] == [f"{ns}/wardle", "True"]


def test_the_caller_s_identity_goes_with_the_request(plane, api, ns, extension):
    extension.start()
    extension.register()
    extension.wait("True")
    seen = api("GET", f"{PREFIX}/whoami", headers={"X-Remote-User": "eve", "X-Remote-Group": "system:masters", "X-Remote-Extra-Scopes": "all"}).body
    assert (seen["user"], seen["authorization"]) == ("kubernetes-admin", None)
    assert seen["groups"] == ["system:masters", "system:authenticated"] and list(seen["extra"]) == ["x-remote-extra-authentication.kubernetes.io%2fcredential-id"]
    assert seen["extra"].popitem()[1][0].startswith("X509SHA256=")
    as_jane = {"Impersonate-User": "jane", "Impersonate-Uid": "u1", "Impersonate-Group": "devs", "Impersonate-Extra-acme.com%2fscopes": "view"}
    refused = api("GET", f"{PREFIX}/whoami", headers=as_jane)
    assert refused.status == 403 and 'User "jane" cannot list resource "whoami" in API group "wardle.example.com"' in refused.body["message"]
    rules = [{"apiGroups": ["wardle.example.com"], "resources": ["whoami"], "verbs": ["list"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    name = f"whoami-{ns}"
    api("POST", f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    api("POST", f"{rbac}/clusterrolebindings", {"metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": name}, "subjects": [{"kind": "Group", "name": "devs"}]})
    seen = api("GET", f"{PREFIX}/whoami", headers=as_jane).body
    assert (seen["user"], seen["uid"], seen["groups"]) == ("jane", "u1", ["devs", "system:authenticated"])
    assert seen["extra"] == {"x-remote-extra-acme.com%2fscopes": ["view"]}
    for kind in ("clusterroles", "clusterrolebindings"):
        api("DELETE", f"{rbac}/{kind}/{name}")
    assert api.get(f"{PREFIX}/moved").status == 502, "a backend may not send clients elsewhere"
    told = api.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication").body["data"]
    assert told["requestheader-client-ca-file"] == (plane.data_dir / "pki/front-proxy-ca.crt").read_text()
    assert json.loads(told["requestheader-username-headers"]) == ["X-Remote-User"] and "BEGIN CERTIFICATE" in told["client-ca-file"]


def test_what_is_missing_is_told_and_answered_with_503(plane, api, ns, extension):
    extension.announce()
    assert extension.wait("False", "ServiceNotFound")["message"] == f'service/wardle in "{ns}" is not present'
    assert api.get(f"{PREFIX}/namespaces/{ns}/flunders").status == 503
    base = f"/api/v1/namespaces/{ns}"
    api("POST", f"{base}/services", {"metadata": {"name": "wardle"}, "spec": {"ports": [{"name": "https", "port": 444}]}})
    extension.wait("False", "ServicePortError")
    api.patch(f"{base}/services/wardle", {"spec": {"ports": [{"name": "https", "port": 443}]}})
    extension.wait("False", "EndpointsNotFound")
    slice_ = {"metadata": {"name": "wardle-1", "labels": {"kubernetes.io/service-name": "wardle"}}, "addressType": "IPv4",
              "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": False}}], "ports": [{"name": "https", "port": extension.port}]}
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices"
    assert api("POST", slices, slice_).status == 201
    extension.wait("False", "MissingEndpoints")
    api.patch(f"{slices}/wardle-1", {"endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}]})
    extension.wait("False", "FailedDiscoveryCheck")
    # The group stands in discovery, empty and stale.
    item = next(one for one in api("GET", "/apis", headers=AGGREGATED).body["items"] if one["metadata"].get("name") == "wardle.example.com")
    assert item["versions"] == [{"version": "v1alpha1", "resources": [], "freshness": "Stale"}]
    extension.start("legacy")
    extension.wait("True")
    item = next(one for one in api("GET", "/apis", headers=AGGREGATED).body["items"] if one["metadata"].get("name") == "wardle.example.com")
    resource = item["versions"][0]["resources"][0]
    assert (resource["resource"], resource["scope"], resource["subresources"][0]["subresource"]) == ("flunders", "Namespaced", "status")
    extension.stop()
    api.patch(f"{SERVICES}/{NAME}", {"spec": {"versionPriority": 201}})
    extension.wait("False", "FailedDiscoveryCheck")
    assert api.get(f"{PREFIX}/namespaces/{ns}/flunders").status == 503
    item = next(one for one in api("GET", "/apis", headers=AGGREGATED).body["items"] if one["metadata"].get("name") == "wardle.example.com")
    assert item["versions"][0]["freshness"] == "Stale" and item["versions"][0]["resources"], "what it said last"


def test_only_the_right_server_is_believed(api, extension, tmp_path):
    extension.start()
    other = tmp_path / "other"
    other.mkdir()
    certificate(other, "other")
    extension.register(caBundle=base64.b64encode((other / "ca.crt").read_bytes()).decode())
    assert "certificate" in extension.wait("False", "FailedDiscoveryCheck")["message"]
    api.patch(f"{SERVICES}/{NAME}", {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}})
    extension.wait("True")


@pytest.mark.parametrize("spec, field", [
    ({"group": "other.example.com"}, "metadata.name"),
    ({"groupPriorityMinimum": 0}, "spec.groupPriorityMinimum"),
    ({"versionPriority": 1001}, "spec.versionPriority"),
    ({"service": {"name": "s"}}, "spec.service.namespace"),
    ({"service": {"name": "s", "namespace": "n", "port": 70000}}, "spec.service.port"),
    ({"service": {"name": "s", "namespace": "n"}, "caBundle": "YQ==", "insecureSkipTLSVerify": True}, "spec.insecureSkipTLSVerify"),
    ({"caBundle": "YQ=="}, "spec.caBundle"),
    ({"insecureSkipTLSVerify": True}, "spec.insecureSkipTLSVerify"),
])
def test_what_is_wrong_is_named(api, spec, field):
    spec = {"group": "a.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10, **spec}
    answer = api("POST", SERVICES, {"metadata": {"name": "v1.a.example.com"}, "spec": spec})
    assert answer.status == 422 and field in [cause["field"] for cause in answer.body["details"]["causes"]], answer.data
