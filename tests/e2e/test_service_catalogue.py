"""The service catalogue: a broker of the tests' own in the cluster's sandbox (support/service_broker.py)."""
import base64
import json
import signal
import subprocess
import sys

import pytest
from cluster import ROOT, wait_for

GROUP = "/apis/servicecatalog.k8s.io/v1beta1"
PLANS = [{"id": "plan-small", "name": "small", "description": "a database", "free": True, "schemas": {"service_instance": {"create": {"parameters": {"type": "object"}}}}},
         {"id": "plan-large", "name": "large", "description": "a larger one", "free": False, "maintenance_info": {"version": "1.0.0"}},
         {"id": "plan-async", "name": "slow", "description": "takes its time", "maximum_polling_duration": 3600}]
SERVICE = {"id": "service-db", "name": "database", "description": "PostgreSQL", "bindable": True, "plan_updateable": True, "bindings_retrievable": True, "tags": ["sql"],
           "metadata": {"displayName": "PostgreSQL"}, "plans": PLANS}
SINGLE = {"id": "Service_One", "name": "single", "description": "one plan", "bindable": False, "plans": [{"id": "plan-only", "name": "only", "description": "the one"}]}


class Broker:
    """The broker's process, and its folder."""

    def __init__(self, plane, folder, port, database=()):
        self.plane, self.folder, self.port, self.database = plane, folder, port, database
        self.offer(SERVICE, SINGLE)
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        command = ["/usr/bin/python3", ROOT / "tests/support/service_broker.py", self.port, self.folder, *self.database]
        self.process = subprocess.Popen(self.plane.sandbox.command(command), stderr=sys.stderr)

        def answers():
            assert self.process.poll() is None, "the broker has ended"
            return self.plane.sandbox.inside(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", self.url], check=False).stdout not in ("", "000")
        wait_for("the broker", answers, 60)
        self.forget()

    def stop(self):
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        for pid in map(int, children):
            signal.pidfd_send_signal(__import__("os").pidfd_open(pid), signal.SIGKILL)
        self.process.wait(30)

    def offer(self, *services):
        (self.folder / "catalog.json").write_text(json.dumps({"services": services}))

    def rules(self, *rules):
        (self.folder / "rules.json").write_text(json.dumps(rules))

    def requests(self, method=None, path=""):
        log = self.folder / "requests"
        all = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [one for one in all if method in (None, one["method"]) and path in one["path"]]

    def forget(self):
        (self.folder / "requests").unlink(missing_ok=True)


@pytest.fixture
def broker(plane, tmp_path, worker_port):
    one = Broker(plane, tmp_path, worker_port())
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="session")
def worker_port():
    ports = iter(range(8100, 8200))
    return lambda: next(ports)


@pytest.fixture
def offered(broker, api, ns):
    """A ServiceBroker of the test's namespace, ready."""
    made = api("POST", f"{GROUP}/namespaces/{ns}/servicebrokers", {"metadata": {"name": "pg"}, "spec": {"url": broker.url}})
    assert made.status == 201, made.body
    wait_ready(api, ns, "servicebrokers", "pg")
    return broker


def path_of(ns, plural, name=""):
    return f"{GROUP}/namespaces/{ns}/{plural}" + (f"/{name}" if name else "")


def condition(body, kind="Ready"):
    return next((one for one in body.get("status", {}).get("conditions", []) if one["type"] == kind), {})


def wait_condition(api, path, reason, kind="Ready", seconds=60):
    """Waits until the condition has that reason and returns the object."""
    def check():
        body = api("GET", path).body
        return body if condition(body, kind).get("reason") == reason else None
    try:
        return wait_for(f"{path}: {reason}", check, seconds, 0.05)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{json.dumps(api('GET', path).body.get('status'), indent=1)}") from None


def wait_ready(api, ns, plural, name, seconds=60):
    def check():
        body = api("GET", path_of(ns, plural, name)).body
        return body if condition(body).get("status") == "True" else None
    try:
        return wait_for(f"{plural}/{name} to be ready", check, seconds, 0.05)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{json.dumps(api('GET', path_of(ns, plural, name)).body.get('status'), indent=1)}") from None


def wait_gone(api, path, seconds=60):
    wait_for(f"{path} to go", lambda: api("GET", path).status == 404, seconds, 0.05)


# --- brokers ---------------------------------------------------------------------------------------------------------


def test_a_catalogue_becomes_classes_and_plans(offered, api, ns, plane):
    broker = api("GET", path_of(ns, "servicebrokers", "pg")).body
    assert broker["metadata"]["finalizers"] == ["kubernetes-incubator/service-catalog"]
    assert broker["spec"]["relistBehavior"] == "Duration" and broker["status"]["lastConditionState"] == "Ready" and broker["status"]["lastCatalogRetrievalTime"]
    request = offered.requests("GET", "/v2/catalog")[0]
    assert request["headers"]["X-Broker-API-Version"] == "2.17" and request["headers"]["X-Broker-API-Request-Identity"]

    classes = {one["spec"]["externalName"]: one for one in api("GET", path_of(ns, "serviceclasses")).body["items"]}
    database = classes["database"]
    assert database["metadata"]["name"] == "service-db" and classes["single"]["metadata"]["name"] == "z53zervicez5fzz4fzne"
    assert database["spec"] == {"serviceBrokerName": "pg", "externalName": "database", "externalID": "service-db", "description": "PostgreSQL", "bindable": True,
                                "bindingRetrievable": True, "planUpdatable": True, "externalMetadata": {"displayName": "PostgreSQL"}, "tags": ["sql"]}
    assert database["metadata"]["ownerReferences"][0]["uid"] == broker["metadata"]["uid"]
    # sha224 of the names, as the project's clients look for them
    assert database["metadata"]["labels"]["servicecatalog.k8s.io/spec.externalID"] == __import__("hashlib").sha224(b"service-db").hexdigest()
    plans = {one["spec"]["externalName"]: one["spec"] for one in api("GET", path_of(ns, "serviceplans")).body["items"]}
    assert plans["large"]["maintenanceInfo"] == {"version": "1.0.0"} and plans["large"]["free"] is False and plans["slow"]["maximumPollingDuration"] == 3600
    assert plans["small"]["serviceClassRef"] == {"name": "service-db"} and plans["small"]["instanceCreateParameterSchema"] == {"type": "object"}

    table = plane.kubectl("-n", ns, "get", "servicebrokers,serviceclasses,serviceplans")
    assert "EXTERNAL-NAME" in table and broker["spec"]["url"] in table
    assert plane.kubectl("-n", ns, "get", "svcat", "-o", "name").count("serviceplan.servicecatalog.k8s.io/") == 4


def test_relisting_follows_the_catalogue(offered, api, ns):
    offered.offer({**SERVICE, "description": "newer", "plans": PLANS[1:]})
    assert api.patch(path_of(ns, "servicebrokers", "pg"), {"spec": {"relistRequests": 1}}).status == 200
    wait_for("the new description", lambda: api("GET", path_of(ns, "serviceclasses", "service-db")).body["spec"]["description"] == "newer", 60)
    wait_gone(api, path_of(ns, "serviceplans", "plan-small"))
    wait_gone(api, path_of(ns, "serviceclasses", "z53zervicez5fzz4fzne"))
    # What is applied again without the field does not take the number back.
    assert api("PUT", path_of(ns, "servicebrokers", "pg"), {**(was := api("GET", path_of(ns, "servicebrokers", "pg")).body), "spec": {"url": was["spec"]["url"]}}).body["spec"]["relistRequests"] == 1
    assert api("DELETE", path_of(ns, "servicebrokers", "pg")).status == 200
    wait_gone(api, path_of(ns, "servicebrokers", "pg"))
    assert api("GET", path_of(ns, "serviceplans")).body["items"] == []


def test_restrictions_choose_classes_and_plans(broker, api, ns):
    spec = {"url": broker.url, "catalogRestrictions": {"serviceClass": ["spec.externalName in (database)"], "servicePlan": ["spec.free=true", "name!=plan-async"]}}
    assert api("POST", path_of(ns, "servicebrokers"), {"metadata": {"name": "pg"}, "spec": spec}).status == 201
    wait_ready(api, ns, "servicebrokers", "pg")
    names = lambda plural: [one["metadata"]["name"] for one in api("GET", path_of(ns, plural)).body["items"]]  # noqa: E731
    assert names("serviceclasses") == ["service-db"] and names("serviceplans") == ["plan-small"]


@pytest.mark.parametrize("kind, data, text", [("basic", {"username": "me", "password": "secret"}, "me:secret"), ("bearer", {"token": "t0ken"}, "t0ken")])
def test_cluster_brokers_and_credentials(broker, api, ns, kind, data, text):
    (broker.folder / "credentials").write_text(text)
    name, path = f"{ns}-{kind}", f"{GROUP}/clusterservicebrokers"
    broker.offer({**SERVICE, "id": f"{ns}-service", "plans": [{**PLANS[0], "id": f"{ns}-plan"}]})
    spec = {"url": broker.url, "authInfo": {kind: {"secretRef": {"namespace": ns, "name": "access"}}}}
    assert api("POST", path, {"metadata": {"name": name}, "spec": spec}).status == 201
    try:
        found = wait_condition(api, f"{path}/{name}", "ErrorGettingAuthCredentials")
        assert f"{ns}/access" in condition(found)["message"]
        assert api("POST", f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "access"}, "stringData": data}).status == 201
        wait_condition(api, f"{path}/{name}", "FetchedCatalog")
        assert api("GET", f"{GROUP}/clusterserviceplans/{ns}-plan").body["spec"]["clusterServiceClassRef"] == {"name": f"{ns}-service"}
    finally:
        api("DELETE", f"{path}/{name}")
        wait_gone(api, f"{path}/{name}")
    assert api("GET", f"{GROUP}/clusterserviceclasses/{ns}-service").status == 404


def test_whoever_may_not_read_a_secret_cannot_have_it_sent(api, ns, plane):
    from api import Api
    assert api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "joe"}}).status == 201
    rules = [{"apiGroups": ["servicecatalog.k8s.io"], "resources": ["servicebrokers"], "verbs": ["create"]}]
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    assert api("POST", f"{rbac}/roles", {"metadata": {"name": "brokers"}, "rules": rules}).status == 201
    assert api("POST", f"{rbac}/rolebindings", {"metadata": {"name": "brokers"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "brokers"},
                                                "subjects": [{"kind": "ServiceAccount", "name": "joe", "namespace": ns}]}).status == 201
    joe = Api(plane, token=api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/joe/token", {"spec": {}}).body["status"]["token"])
    body = {"metadata": {"name": "pg"}, "spec": {"url": "http://127.0.0.1:1", "authInfo": {"basic": {"secretRef": {"name": "access"}}}}}
    refused = joe("POST", path_of(ns, "servicebrokers"), body)
    assert refused.status == 403 and f"{ns}/access" in refused.body["message"]


BAD = {"html": ("<html>hello</html>", "ErrorFetchingCatalog", "begins with \"<html>"),
       "no services": ({}, "ErrorFetchingCatalog", "no array \"services\""),
       "ids twice": ({"services": [SERVICE, {**SINGLE, "id": "service-db"}]}, "ErrorFetchingCatalog", "\"service-db\" is in the catalogue twice"),
       "plan names twice": ({"services": [{**SERVICE, "plans": [PLANS[0], {**PLANS[1], "name": "small"}]}]}, "ErrorFetchingCatalog", "\"small\" is in the catalogue twice"),
       "no plans": ({"services": [{**SERVICE, "plans": []}]}, "ErrorFetchingCatalog", "has no plans")}


@pytest.mark.parametrize("case", BAD)
def test_bad_catalogues_are_told(broker, api, ns, case):
    body, reason, text = BAD[case]
    broker.rules({"method": "GET", "path": "catalog", "status": 200, "body": body, "times": 1000})
    assert api("POST", path_of(ns, "servicebrokers"), {"metadata": {"name": "pg"}, "spec": {"url": broker.url}}).status == 201
    found = wait_condition(api, path_of(ns, "servicebrokers", "pg"), reason)
    assert text in condition(found)["message"] and condition(found)["status"] == "False"
    events = lambda: api("GET", f"/api/v1/namespaces/{ns}/events?fieldSelector=involvedObject.name=pg").body["items"]  # noqa: E731
    wait_for("the event", lambda: any(one["reason"] == reason and one["type"] == "Warning" for one in events()))
    assert api("GET", path_of(ns, "serviceclasses")).body["items"] == []
    broker.rules()
    wait_ready(api, ns, "servicebrokers", "pg")


def test_a_broker_that_is_not_there(broker, api, ns):
    broker.stop()
    assert api("POST", path_of(ns, "servicebrokers"), {"metadata": {"name": "pg"}, "spec": {"url": broker.url}}).status == 201
    found = wait_condition(api, path_of(ns, "servicebrokers", "pg"), "ErrorFetchingCatalog")
    assert str(broker.port) in condition(found)["message"]
    broker.start()
    wait_ready(api, ns, "servicebrokers", "pg")
    bad = {"metadata": {"name": "x"}, "spec": {"url": "https://127.0.0.1:6443", "relistBehavior": "Manual"}}
    assert api("POST", path_of(ns, "servicebrokers"), bad).status == 201
    found = wait_condition(api, path_of(ns, "servicebrokers", "x"), "ErrorFetchingCatalog")
    assert "certificate" in condition(found)["message"]
    pem = base64.b64encode(b"nothing").decode()
    assert api.patch(path_of(ns, "servicebrokers", "x"), {"spec": {"caBundle": pem}}).status == 200
    wait_for("the bundle's error", lambda: "caBundle" in condition(api("GET", path_of(ns, "servicebrokers", "x")).body)["message"], 60)
