"""The service catalogue: a broker of the tests' own in the cluster's sandbox (support/service_broker.py)."""
import base64
import json
import signal
import subprocess
import sys

import cluster as support
import pytest
from api import Api
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


@pytest.fixture(scope="module")
def plane():
    """A control plane with the catalogue, for this file alone: it is killed at the end."""
    with support.Cluster(node="false", **{"service-catalog": "true"}) as cluster:
        cluster.start()
        cluster.api = Api(cluster)
        yield cluster


@pytest.fixture
def broker(plane, tmp_path, worker_port):
    one = Broker(plane, tmp_path, worker_port())
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="module")
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
    assert api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "joe"}}).status == 201
    rules = [{"apiGroups": ["servicecatalog.k8s.io"], "resources": ["servicebrokers", "servicebindings"], "verbs": ["create"]}]
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    assert api("POST", f"{rbac}/roles", {"metadata": {"name": "brokers"}, "rules": rules}).status == 201
    assert api("POST", f"{rbac}/rolebindings", {"metadata": {"name": "brokers"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "brokers"},
                                                "subjects": [{"kind": "ServiceAccount", "name": "joe", "namespace": ns}]}).status == 201
    joe = Api(plane, token=api("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/joe/token", {"spec": {}}).body["status"]["token"])
    body = {"metadata": {"name": "pg"}, "spec": {"url": "http://127.0.0.1:1", "authInfo": {"basic": {"secretRef": {"name": "access"}}}}}
    refused = joe("POST", path_of(ns, "servicebrokers"), body)
    assert refused.status == 403 and f"{ns}/access" in refused.body["message"]
    refused = joe("POST", path_of(ns, "servicebindings"), binding(secretTransforms=[{"addKeysFrom": {"secretRef": {"namespace": "kube-system", "name": "other"}}}]))
    assert refused.status == 403 and "may not get Secret kube-system/other" in refused.body["message"]


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


# --- instances -------------------------------------------------------------------------------------------------------


def instance(name="db", plan="small", service="database", **spec):
    chosen = {"servicePlanExternalName": plan} if plan else {}
    return {"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ServiceInstance", "metadata": {"name": name}, "spec": {"serviceClassExternalName": service, **chosen, **spec}}


def binding(name="access", to="db", **spec):
    return {"apiVersion": "servicecatalog.k8s.io/v1beta1", "kind": "ServiceBinding", "metadata": {"name": name}, "spec": {"instanceRef": {"name": to}, **spec}}


def make(api, ns, *objects):
    for one in objects:
        made = api("POST", path_of(ns, one["kind"].lower() + "s"), one)
        assert made.status == 201, made.body
    return made.body


def secret_of(api, ns, name):
    answer = api("GET", f"/api/v1/namespaces/{ns}/secrets/{name}")
    return {key: base64.b64decode(value).decode() for key, value in answer.body["data"].items()} if answer.status == 200 else None


@pytest.fixture(scope="module")
def postgres(plane):
    """A PostgreSQL server in the cluster's sandbox: its socket's folder and its port."""
    programs = sorted(__import__("pathlib").Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: ./dev setup")
    import os
    import pwd
    import shutil
    import tempfile
    folder = __import__("pathlib").Path(tempfile.mkdtemp(prefix="estiba-pg-", dir="/tmp"))
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "env", "LC_ALL=C", f"HOME={folder}"]
    run = lambda *command: plane.sandbox.inside([*as_user, *command])  # noqa: E731
    run(programs[-1] / "initdb", "-D", folder / "data", "--auth-local=trust", "--auth-host=scram-sha-256", "-U", "postgres", "-N", "-E", "UTF8")
    log = open(folder / "log", "ab")
    options = ["-k", folder, "-p", "5433", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20"]
    server = subprocess.Popen(plane.sandbox.command([*as_user, programs[-1] / "postgres", "-D", folder / "data", *options]), stdout=log, stderr=log)
    try:
        wait_for("PostgreSQL", lambda: plane.sandbox.inside(["psql", "-h", folder, "-p", "5433", "-U", "postgres", "-c", "select 1"], check=False).returncode == 0, 120, 0.2)
        yield str(folder), "5433"
    finally:
        for pid in open(f"/proc/{server.pid}/task/{server.pid}/children").read().split():
            os.kill(int(pid), signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder)


@pytest.fixture
def databases(plane, tmp_path, worker_port, postgres, api, ns):
    """A ServiceBroker whose instances are databases, ready; `.sql(text)` asks as the server's administrator."""
    one = Broker(plane, tmp_path, worker_port(), postgres)
    one.sql = lambda text: plane.sandbox.inside(["psql", "-X", "-A", "-t", "-h", postgres[0], "-p", postgres[1], "-U", "postgres", "-c", text]).stdout.split()
    try:
        assert api("POST", path_of(ns, "servicebrokers"), {"metadata": {"name": "pg"}, "spec": {"url": one.url}}).status == 201
        wait_ready(api, ns, "servicebrokers", "pg")
        yield one
    finally:
        one.stop()


def test_a_database_from_claim_to_end(databases, api, ns, plane):
    made = make(api, ns, instance(parameters={"encoding": "UTF8"}))
    assert made["metadata"]["finalizers"] == ["kubernetes-incubator/service-catalog"] and made["spec"]["userInfo"]["groups"]
    external = made["spec"]["externalID"]
    found = wait_ready(api, ns, "serviceinstances", "db")
    assert condition(found)["reason"] == "ProvisionedSuccessfully"
    status = found["status"]
    assert (status["provisionStatus"], status["deprovisionStatus"], status["lastConditionState"]) == ("Provisioned", "Required", "Ready")
    assert status["userSpecifiedClassName"] == "ServiceClass/database" and status["userSpecifiedPlanName"] == "small" and status["dashboardURL"] == f"http://dashboard/{external}"
    assert status["externalProperties"]["servicePlanExternalID"] == "plan-small" and status["externalProperties"]["parameters"] == {"encoding": "UTF8"}
    assert status["reconciledGeneration"] == found["metadata"]["generation"] and "currentOperation" not in status and not status["asyncOpInProgress"]
    name = "db_" + external.replace("-", "_")
    assert name in databases.sql("select datname from pg_database")

    request = databases.requests("PUT")[0]
    assert request["path"] == f"/v2/service_instances/{external}?accepts_incomplete=true"
    context = request["body"]["context"]
    assert context["platform"] == "kubernetes" and context["namespace"] == ns and context["instance_name"] == "db" and context["clusterid"]
    assert (request["body"]["service_id"], request["body"]["plan_id"], request["body"]["parameters"]) == ("service-db", "plan-small", {"encoding": "UTF8"})
    platform, identity = request["headers"]["X-Broker-API-Originating-Identity"].split()
    assert platform == "kubernetes" and json.loads(base64.b64decode(identity)) == made["spec"]["userInfo"]

    make(api, ns, binding(secretName="credentials"))
    wait_ready(api, ns, "servicebindings", "access")
    access = secret_of(api, ns, "credentials")
    assert json.loads(access["options"]) == {"sslmode": "disable"} and access["port"] == "5433"
    # What the Secret holds opens the database, and nothing else does.
    connect = lambda password, text: plane.sandbox.inside(["env", f"PGPASSWORD={password}", "psql", "-X", "-A", "-t", "-h", access["host"], "-p", access["port"], "-U", access["username"], "-d", access["database"], "-c", text], check=False)  # noqa: E731,E501
    assert connect(access["password"], "create table notes (text text); insert into notes values ('kept'); select text from notes").stdout.split()[-1] == "kept"
    assert connect("wrong", "select 1").returncode != 0
    assert "db" in plane.kubectl("-n", ns, "get", "serviceinstances") and "credentials" in plane.kubectl("-n", ns, "get", "servicebindings")

    # The instance waits for its binding; the binding takes its role and its Secret with it.
    assert api("DELETE", path_of(ns, "serviceinstances", "db")).status == 200
    wait_condition(api, path_of(ns, "serviceinstances", "db"), "DeprovisionBlockedByExistingCredentials")
    refused = api("POST", path_of(ns, "servicebindings"), binding("late"))
    assert refused.status == 403 and "being deleted" in refused.body["message"]
    assert access["username"] in databases.sql("select rolname from pg_roles")
    assert api("DELETE", path_of(ns, "servicebindings", "access")).status == 200
    wait_gone(api, path_of(ns, "servicebindings", "access"))
    assert secret_of(api, ns, "credentials") is None and access["username"] not in databases.sql("select rolname from pg_roles")
    wait_gone(api, path_of(ns, "serviceinstances", "db"))
    assert name not in databases.sql("select datname from pg_database")
    assert databases.requests("DELETE")[-1]["path"] == f"/v2/service_instances/{external}?service_id=service-db&plan_id=plan-small&accepts_incomplete=true"


def test_a_namespace_takes_its_databases_with_it(databases, api, ns):
    """Broker, class, credentials and all: each stays until it is needed no longer."""
    (databases.folder / "credentials").write_text("me:secret")
    assert api("POST", f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "broker"}, "stringData": {"username": "me", "password": "secret"}}).status == 201
    assert api.patch(path_of(ns, "servicebrokers", "pg"), {"spec": {"authInfo": {"basic": {"secretRef": {"name": "broker"}}}}}).status == 200
    external = make(api, ns, instance(), binding())["spec"]["externalID"]
    wait_ready(api, ns, "servicebindings", "access")
    before = len(databases.sql("select datname from pg_database where datname like 'db_%'"))
    assert api("DELETE", f"/api/v1/namespaces/{ns}").status == 200
    wait_gone(api, f"/api/v1/namespaces/{ns}", 120)
    assert len(databases.sql("select datname from pg_database where datname like 'db_%'")) == before - 1 and external
    assert json.loads((databases.folder / "state.json").read_text())["instances"] == {}


def test_what_takes_long_is_polled(offered, api, ns):
    external = make(api, ns, instance(plan="slow"))["spec"]["externalID"]
    found = wait_condition(api, path_of(ns, "serviceinstances", "db"), "Provisioning")
    wait_for("the broker's words", lambda: "(working)" in condition(api("GET", path_of(ns, "serviceinstances", "db")).body)["message"])
    assert found["status"]["asyncOpInProgress"] and found["status"]["currentOperation"] == "Provision" and found["status"]["lastOperation"] == f"PUT-{external}"
    refused = api.patch(path_of(ns, "serviceinstances", "db"), {"spec": {"parameters": {"a": 1}}})
    assert refused.status == 403 and "in progress" in refused.body["message"]
    poll = wait_for("a poll", lambda: offered.requests("GET", "last_operation"))[0]
    assert poll["path"] == f"/v2/service_instances/{external}/last_operation?service_id=service-db&plan_id=plan-async&operation=PUT-{external}"
    (offered.folder / "finish").touch()
    wait_ready(api, ns, "serviceinstances", "db")
    (offered.folder / "finish").unlink()

    make(api, ns, binding())
    wait_condition(api, path_of(ns, "servicebindings", "access"), "Binding")
    assert secret_of(api, ns, "access") is None
    (offered.folder / "finish").touch()
    wait_ready(api, ns, "servicebindings", "access")
    assert secret_of(api, ns, "access")["username"]
    assert offered.requests("GET", "service_bindings")[-1]["path"].endswith("?service_id=service-db&plan_id=plan-async")
    (offered.folder / "finish").unlink()
    assert api("DELETE", path_of(ns, "servicebindings", "access")).status == 200
    wait_condition(api, path_of(ns, "servicebindings", "access"), "Unbinding")
    assert secret_of(api, ns, "access") is None
    (offered.folder / "finish").touch()
    wait_gone(api, path_of(ns, "servicebindings", "access"))
    assert api("DELETE", path_of(ns, "serviceinstances", "db")).status == 200
    wait_gone(api, path_of(ns, "serviceinstances", "db"))
    assert json.loads((offered.folder / "state.json").read_text())["instances"] == {}


def test_plans_and_parameters_change(offered, api, ns):
    make(api, ns, instance(parameters={"a": 1}))
    wait_ready(api, ns, "serviceinstances", "db")
    assert api.patch(path_of(ns, "serviceinstances", "db"), {"spec": {"servicePlanExternalName": "large"}}).status == 200
    wait_for("the new plan", lambda: (one := api("GET", path_of(ns, "serviceinstances", "db")).body["status"])["externalProperties"]["servicePlanExternalName"] == "large" and "currentOperation" not in one, 60)
    body = offered.requests("PATCH")[-1]["body"]
    assert body["plan_id"] == "plan-large" and body["maintenance_info"] == {"version": "1.0.0"} and "parameters" not in body
    assert body["previous_values"] == {"service_id": "service-db", "plan_id": "plan-small"}
    assert condition(api("GET", path_of(ns, "serviceinstances", "db")).body)["reason"] == "InstanceUpdatedSuccessfully"
    assert api.patch(path_of(ns, "serviceinstances", "db"), {"spec": {"parameters": {"a": 2}}}).status == 200
    wait_for("the parameters", lambda: api("GET", path_of(ns, "serviceinstances", "db")).body["status"]["externalProperties"].get("parameters") == {"a": 2}, 60)
    body = offered.requests("PATCH")[-1]["body"]
    assert body["parameters"] == {"a": 2} and "plan_id" not in body
    # A plan that the broker refuses is said to be refused, and the one before is not forgotten.
    offered.rules({"method": "PATCH", "status": 400, "body": {"description": "too small"}})
    assert api.patch(path_of(ns, "serviceinstances", "db"), {"spec": {"servicePlanExternalName": "small"}}).status == 200
    found = wait_condition(api, path_of(ns, "serviceinstances", "db"), "ClusterServiceBrokerReturnedFailure", "Failed")
    assert "too small" in condition(found)["message"] and found["status"]["externalProperties"]["servicePlanExternalName"] == "large"
    for change, words in (({"servicePlanExternalName": "small", "serviceClassExternalName": "single"}, "class cannot be changed"), ({"externalID": "other"}, "externalID")):
        refused = api.patch(path_of(ns, "serviceinstances", "db"), {"spec": change})
        assert refused.status == 403 and words in refused.body["message"]
    assert api.patch(path_of(ns, "serviceinstances", "db"), {"spec": {"updateRequests": 1}}).status == 200
    wait_ready(api, ns, "serviceinstances", "db")
    assert offered.requests("PATCH")[-1]["body"]["plan_id"] == "plan-small"


MITIGATED = {"500": {"status": 500, "body": {"description": "broken"}}, "an answer that is none": {"status": 201, "body": "<html>", "after": True},
             "another success": {"status": 204, "body": "", "after": True}}


@pytest.mark.parametrize("case", MITIGATED)
def test_orphans_are_removed_and_asked_for_again(offered, api, ns, case):
    offered.rules({"method": "PUT", "path": "service_instances", **MITIGATED[case]})
    external = make(api, ns, instance())["spec"]["externalID"]
    wait_ready(api, ns, "serviceinstances", "db")
    asked = [(one["method"], one["path"].split("?")[0]) for one in offered.requests(path=external)]
    assert asked == [(method, f"/v2/service_instances/{external}") for method in ("PUT", "DELETE", "PUT")]
    reasons = {one["reason"] for one in api("GET", f"/api/v1/namespaces/{ns}/events?fieldSelector=involvedObject.name=db").body["items"]}
    assert {"ProvisionCallFailed", "StartingInstanceOrphanMitigation", "OrphanMitigationSuccessful"} <= reasons
    # The same for a binding.
    offered.rules({"method": "PUT", "path": "service_bindings", **MITIGATED[case]})
    make(api, ns, binding())
    wait_ready(api, ns, "servicebindings", "access")
    assert [one["method"] for one in offered.requests(path="service_bindings")] == ["PUT", "DELETE", "PUT"]


def test_what_was_refused_needs_no_end(offered, api, ns):
    offered.rules({"method": "PUT", "status": 400, "body": {"error": "Bad", "description": "no such thing"}})
    make(api, ns, instance())
    found = wait_condition(api, path_of(ns, "serviceinstances", "db"), "ClusterServiceBrokerReturnedFailure", "Failed")
    assert "no such thing" in condition(found, "Failed")["message"] and found["status"]["deprovisionStatus"] == "NotRequired" and found["status"]["lastConditionState"] == "Failed"
    assert api("DELETE", path_of(ns, "serviceinstances", "db")).status == 200
    wait_gone(api, path_of(ns, "serviceinstances", "db"))
    assert offered.requests("DELETE") == []


def test_failures_that_pass(offered, api, ns):
    """Refusals that are tried again: a broker that is busy, a stale catalogue, a connection that is lost after the work was done; and an end that fails at first."""
    offered.rules({"method": "PUT", "status": 422, "body": {"error": "ConcurrencyError"}}, {"method": "PUT", "status": 422, "body": {"error": "MaintenanceInfoConflict"}},
                  {"method": "PUT", "drop": True, "after": True}, {"method": "DELETE", "status": 500, "times": 2})
    external = make(api, ns, instance())["spec"]["externalID"]
    wait_ready(api, ns, "serviceinstances", "db", 120)
    assert [one["method"] for one in offered.requests(path=external)] == ["PUT"] * 4
    assert len(offered.requests("GET", "/v2/catalog")) == 2  # the first one, and what the second refusal asked for
    assert api("DELETE", path_of(ns, "serviceinstances", "db")).status == 200
    wait_gone(api, path_of(ns, "serviceinstances", "db"), 120)
    assert [one["method"] for one in offered.requests("DELETE", external)] == ["DELETE"] * 3


def test_parameters_come_from_secrets(offered, api, ns):
    source = lambda key: {"secretKeyRef": {"name": "more", "key": key}}  # noqa: E731
    make(api, ns, instance(parameters={"a": 1}, parametersFrom=[source("json")]))
    path = path_of(ns, "serviceinstances", "db")
    assert "Secret" in condition(wait_condition(api, path, "ErrorWithParameters"))["message"]
    data = {"json": '{"password": "hidden"}', "list": "[1]", "twice": '{"a": 2}'}
    assert api("POST", f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "more"}, "stringData": data}).status == 201
    wait_ready(api, ns, "serviceinstances", "db")
    assert offered.requests("PUT")[0]["body"]["parameters"] == {"a": 1, "password": "hidden"}
    told = api("GET", path).body["status"]["externalProperties"]
    assert told["parameters"] == {"a": 1, "password": "<redacted>"} and len(told["parameterChecksum"]) == 64
    for name, key, words in (("x", "list", "holds no JSON object"), ("y", "none", "is not there"), ("z", "twice", "duplicate entry for parameter \"a\"")):
        make(api, ns, instance(name, parameters={"a": 1}, parametersFrom=[source(key)]))
        message = condition(wait_condition(api, path_of(ns, "serviceinstances", name), "ErrorWithParameters"))["message"]
        assert words in message and "hidden" not in message


def test_classes_and_plans_are_found(offered, api, ns):
    make(api, ns, instance("one", plan=None, service="single"))
    found = wait_ready(api, ns, "serviceinstances", "one")
    assert found["spec"]["servicePlanExternalName"] == "only" and found["spec"]["servicePlanRef"] == {"name": "plan-only"}
    make(api, ns, instance("many", plan=None), instance("none", plan="huge"), instance("early", service="later", plan="p"),
         {**instance("by-id"), "spec": {"serviceClassExternalID": "service-db", "servicePlanExternalID": "plan-large"}},
         {**instance("by-name"), "spec": {"serviceClassName": "service-db", "servicePlanName": "plan-small"}})
    for name, reason, words in (("many", "ReferencesNonexistentServicePlan", "choose one of large, slow, small"), ("none", "ReferencesNonexistentServicePlan", "\"huge\""),
                                ("early", "ReferencesNonexistentServiceClass", "\"later\"")):
        assert words in condition(wait_condition(api, path_of(ns, "serviceinstances", name), reason))["message"]
    for name in ("by-id", "by-name"):
        wait_ready(api, ns, "serviceinstances", name)
    # What waits for a class is provisioned when it comes.
    offered.offer(SERVICE, SINGLE, {"id": "service-later", "name": "later", "plans": [{"id": "plan-p", "name": "p"}]})
    assert api.patch(path_of(ns, "servicebrokers", "pg"), {"spec": {"relistRequests": 1}}).status == 200
    wait_ready(api, ns, "serviceinstances", "early")
    # What is offered no longer stays for those who have it, and for nobody else.
    offered.offer(SERVICE)
    assert api.patch(path_of(ns, "servicebrokers", "pg"), {"spec": {"relistRequests": 2}}).status == 200
    wait_for("the mark", lambda: api("GET", path_of(ns, "serviceclasses", "service-later")).body.get("status", {}).get("removedFromBrokerCatalog"), 60)
    make(api, ns, instance("late", service="later", plan="p"))
    wait_condition(api, path_of(ns, "serviceinstances", "late"), "ReferencesDeletedServiceClass")
    assert api("DELETE", path_of(ns, "servicebrokers", "pg")).status == 200
    wait_condition(api, path_of(ns, "servicebrokers", "pg"), "DeletionBlockedByExistingInstances")
    for name in ("late", "early", "one", "many", "none", "by-id", "by-name"):
        assert api("DELETE", path_of(ns, "serviceinstances", name)).status == 200
        wait_gone(api, path_of(ns, "serviceinstances", name))
    wait_gone(api, path_of(ns, "servicebrokers", "pg"))
    for spec in ({}, {"serviceClassName": "a", "clusterServiceClassName": "b"}, {"serviceClassName": "a", "servicePlanExternalName": "p"}):
        assert api("POST", path_of(ns, "serviceinstances"), {"metadata": {"name": "bad"}, "spec": spec}).status == 403


def test_secrets_of_bindings(offered, api, ns):
    make(api, ns, instance(), instance("one", plan=None, service="single"))
    for name in ("db", "one"):
        wait_ready(api, ns, "serviceinstances", name)
    assert api("POST", f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "taken"}, "stringData": {"mine": "1"}}).status == 201
    make(api, ns, binding("a", secretName="taken"), binding("b", to="one"), binding("c", to="nobody"))
    found = wait_condition(api, path_of(ns, "servicebindings", "a"), "ErrorInjectingBindResult")
    assert f"Secret {ns}/taken is not owned" in condition(found)["message"] and offered.requests("PUT", "service_bindings") == []
    wait_condition(api, path_of(ns, "servicebindings", "b"), "ErrorNonbindableServiceClass")
    wait_condition(api, path_of(ns, "servicebindings", "c"), "ReferencesNonexistentInstance")
    transforms = [{"renameKey": {"from": "username", "to": "PGUSER"}}, {"addKey": {"key": "mode", "jsonPathExpression": "{.options.sslmode}"}}, {"addKey": {"key": "text", "stringValue": "hello"}},
                  {"addKey": {"key": "bytes", "value": base64.b64encode(b"raw").decode()}}, {"addKeysFrom": {"secretRef": {"name": "taken", "namespace": ns}}}, {"removeKey": {"key": "options"}}]
    make(api, ns, binding("d", secretTransforms=transforms, parameters={"role": "reader"}))
    wait_ready(api, ns, "servicebindings", "d")
    secret = secret_of(api, ns, "d")
    assert (secret["mode"], secret["text"], secret["bytes"], secret["mine"]) == ("disable", "hello", "raw", "1") and secret["PGUSER"].startswith("u_") and not {"username", "options"} & set(secret)
    assert offered.requests("PUT", "service_bindings")[-1]["body"]["parameters"] == {"role": "reader"}
    assert api("DELETE", f"/api/v1/namespaces/{ns}/secrets/taken").status == 200
    wait_ready(api, ns, "servicebindings", "a", 120)
    # A binding is what it is: a changed spec is put back.
    assert api.patch(path_of(ns, "servicebindings", "d"), {"spec": {"secretName": "other"}}).body["spec"]["secretName"] == "d"
    # Somebody else's Secret stays when the binding goes.
    for name in ("a", "b", "c", "d"):
        assert api("DELETE", path_of(ns, "servicebindings", name)).status == 200
        wait_gone(api, path_of(ns, "servicebindings", name))
    assert secret_of(api, ns, "d") is None


def test_nothing_is_lost_when_the_server_is_killed(plane, databases, api, ns):
    """Killed while the broker works on each request, the server goes on where it was."""
    steps = [("PUT", "service_instances/[^/]*$|accepts", lambda: make(api, ns, instance()), lambda: wait_ready(api, ns, "serviceinstances", "db", 120)),
             ("PUT", "service_bindings", lambda: make(api, ns, binding()), lambda: wait_ready(api, ns, "servicebindings", "access", 120)),
             ("DELETE", "service_bindings", lambda: api("DELETE", path_of(ns, "servicebindings", "access")), lambda: wait_gone(api, path_of(ns, "servicebindings", "access"), 120)),
             ("DELETE", "service_instances", lambda: api("DELETE", path_of(ns, "serviceinstances", "db")), lambda: wait_gone(api, path_of(ns, "serviceinstances", "db"), 120))]
    counted = lambda: len([one for one in databases.sql("select datname from pg_database") if one.startswith("db_")])  # noqa: E731
    before = counted()
    for method, path, act, check in steps:
        databases.forget()
        databases.rules({"method": method, "path": path, "after": True, "sleep": 2})
        act()
        wait_for("the request", lambda: databases.requests(method), 60)  # noqa: B023
        plane.kill9()
        plane.start()
        api.connection = None
        check()
    assert counted() == before and json.loads((databases.folder / "state.json").read_text())["bindings"] == {}
