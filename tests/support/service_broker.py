"""A service broker (Open Service Broker API 2.17) for tests that hands out databases of a real PostgreSQL server.
Run inside of a cluster's sandbox: `python3 service_broker.py PORT FOLDER [SOCKET_FOLDER DATABASE_PORT]`.

FOLDER holds `catalog.json` (what GET /v2/catalog answers), `requests` (a line of JSON for each request), `rules.json` (a list of what
requests shall meet instead of the usual: {method, path: a regular expression, status, body, headers, times, sleep, after: true to do the
work and then answer so, drop: true to hang up}) and, if it is there, `credentials` ("user:password", or a bearer token) that requests must
have. Plans whose id ends with `-async` take their time: until the file `finish` is there. Without a database server it remembers only
identifiers. What has been made is asked of the server, or kept in `state.json`, so that it outlives this process."""
import base64
import hashlib
import http.server
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

folder = pathlib.Path(sys.argv[2])
database = sys.argv[3:5]
lock = threading.RLock()


def read(name, otherwise):
    path = folder / name
    return json.loads(path.read_text()) if path.exists() else otherwise


def sql(text, name="postgres"):
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", database[0], "-p", database[1], "-U", "postgres", "-d", name, "-c", text]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def sql_name(prefix, identifier):
    return prefix + re.sub(r"[^a-z0-9]", "_", identifier.lower())


def state():
    return read("state.json", {"instances": {}, "bindings": {}, "operations": {}})


def save(all):
    (folder / "state.part").write_text(json.dumps(all))
    (folder / "state.part").rename(folder / "state.json")


def provision(identifier, body):
    with lock:
        all = state()
        known = all["instances"].get(identifier)
        wanted = {key: body.get(key) for key in ("service_id", "plan_id", "parameters")}
        if known is not None:
            return 200 if {key: known.get(key) for key in wanted} == wanted else 409
        name = sql_name("db_", identifier)
        if database and name not in sql("select datname from pg_database"):
            sql(f"create database {name}")
        all["instances"][identifier] = wanted
        save(all)
        return 201


def deprovision(identifier):
    with lock:
        all = state()
        if database:
            sql(f"drop database if exists {sql_name('db_', identifier)} with (force)")
        gone = all["instances"].pop(identifier, None) is None
        save(all)
        return 410 if gone else 200


def credentials_of(instance, binding):
    name, user = sql_name("db_", instance), sql_name("u_", binding)
    password = hashlib.sha256(("test" + binding).encode()).hexdigest()[:24]
    return {"host": "127.0.0.1", "port": int(database[1]) if database else 5432, "username": user, "password": password, "database": name,
            "options": {"sslmode": "disable"}}


def bind(instance, binding, body):
    with lock:
        all = state()
        if instance not in all["instances"]:
            return 404
        if binding in all["bindings"]:
            return 200
        access = credentials_of(instance, binding)
        if database:
            if access["username"] not in sql("select rolname from pg_roles"):
                sql(f"create role {access['username']} login password '{access['password']}'")
            sql(f"grant all on database {access['database']} to {access['username']}")
            sql(f"grant all on schema public to {access['username']}", access["database"])
        all["bindings"][binding] = {"instance": instance, "parameters": body.get("parameters")}
        save(all)
        return 201


def unbind(instance, binding):
    with lock:
        all = state()
        gone = all["bindings"].pop(binding, None) is None
        if database and not gone:
            access = credentials_of(instance, binding)
            sql(f"drop owned by {access['username']} cascade", access["database"])
            sql(f"drop role {access['username']}")
        save(all)
        return 410 if gone else 200


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def rule(self):
        with lock:
            rules = read("rules.json", [])
            for rule in rules:
                if rule.get("times", 1) and rule.get("method", self.command) == self.command and re.search(rule.get("path", ""), self.path):
                    rule["times"] = rule.get("times", 1) - 1
                    (folder / "rules.part").write_text(json.dumps(rules))
                    (folder / "rules.part").rename(folder / "rules.json")
                    return rule
        return None

    def answer(self, status, body, headers=()):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **dict(headers)}.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def allowed(self):
        path = folder / "credentials"
        if not path.exists():
            return True
        wanted = path.read_text()
        expected = "Basic " + base64.b64encode(wanted.encode()).decode() if ":" in wanted else "Bearer " + wanted
        return self.headers.get("Authorization") == expected

    def act(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        with lock, open(folder / "requests", "a") as log:
            print(json.dumps({"method": self.command, "path": self.path, "body": body, "headers": dict(self.headers)}), file=log)
        if not self.allowed():
            return self.answer(401, {"description": "who are you?"})
        if not self.headers.get("X-Broker-API-Version", "").startswith("2."):
            return self.answer(412, {"description": "X-Broker-API-Version is needed"})
        rule = self.rule()
        status, answer = (0, {}) if rule and not rule.get("after") else self.usual(body)
        if not rule:
            return self.answer(status, answer)
        time.sleep(rule.get("sleep", 0))
        if rule.get("drop"):
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        return self.answer(rule.get("status", status), rule.get("body", answer), rule.get("headers", {}).items())

    def usual(self, body):
        url = urllib.parse.urlsplit(self.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        parts = [urllib.parse.unquote(part) for part in url.path.strip("/").split("/")]
        if parts == ["v2", "catalog"]:
            return 200, read("catalog.json", {"services": []})
        instance, binding = parts[2], parts[4] if len(parts) > 4 and parts[3] == "service_bindings" else None
        plan = body.get("plan_id") or query.get("plan_id", "")
        if parts[-1] == "last_operation":
            if not (folder / "finish").exists():
                return 200, {"state": "in progress", "description": "working"}
            return self.last_operation(query.get("operation", ""), instance, binding)
        slow = plan.endswith("-async") and query.get("accepts_incomplete") == "true"
        if self.command == "GET":
            return 200, {"credentials": credentials_of(instance, binding)}
        if slow:
            with lock:
                all = state()
                name = f"{self.command}-{binding or instance}"
                all["operations"][name] = body
                save(all)
            return 202, {"operation": name}
        if self.command == "PATCH":
            with lock:
                all = state()
                all["instances"][instance].update({key: body[key] for key in ("plan_id", "parameters") if key in body})
                save(all)
            return 200, {}
        if binding:
            status = bind(instance, binding, body) if self.command == "PUT" else unbind(instance, binding)
            return status, {"credentials": credentials_of(instance, binding)} if self.command == "PUT" and status < 300 else {}
        status = provision(instance, body) if self.command == "PUT" else deprovision(instance)
        return status, {"dashboard_url": f"http://dashboard/{instance}"} if self.command == "PUT" else {}

    def last_operation(self, operation, instance, binding):
        with lock:
            body = state()["operations"].get(operation)
        if body is None:
            return 400, {"description": f"no operation {operation}"}
        if operation.startswith("PUT"):
            status = bind(instance, binding, body) if binding else provision(instance, body)
        elif operation.startswith("DELETE"):
            status = unbind(instance, binding) if binding else deprovision(instance)
        else:
            status = 200
        return 200, {"state": "succeeded" if status in (200, 201, 410) else "failed", "description": str(status)}

    do_GET = do_PUT = do_PATCH = do_DELETE = act


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
