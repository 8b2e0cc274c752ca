"""`estiba compose` against an engine, as people use it: projects from files, changed, watched, taken down."""
import json
import os
import select
import subprocess
import textwrap

import pytest

from cluster import BIN, wait_for


class Project:
    """A directory with Compose files and a name of its own; `project("up", "-d")` runs compose in it."""

    def __init__(self, engine, name):
        self.engine, self.name, self.dir = engine, name, engine.dir / name
        self.dir.mkdir()

    def write(self, text, file="compose.yaml"):
        path = self.dir / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def command(self, *arguments):
        return self.engine.command(BIN / "estiba", "compose", "--project-directory", self.dir, "-p", self.name, "-f", self.dir / "compose.yaml", *arguments)

    def __call__(self, *arguments, check=True, **options):
        return self.engine.client(BIN / "estiba", "compose", "--project-directory", self.dir, "-p", self.name, "-f", self.dir / "compose.yaml", *arguments, check=check, **options)

    def containers(self, service=None):
        """Container documents of the project, by name."""
        labels = [f"com.docker.compose.project={self.name}"] + ([f"com.docker.compose.service={service}"] if service else [])
        listed = self.engine.api("GET", "/containers/json?all=1&filters=" + json.dumps({"label": labels}).replace(" ", "").replace('"', "%22")).body
        return {each["Names"][0][1:]: self.engine.inspect(each["Id"]) for each in listed}

    def ids(self, service=None):
        return {name: container["Id"] for name, container in self.containers(service).items()}


@pytest.fixture
def project(engine):
    project = Project(engine, engine.unique("cp"))
    yield project
    project("down", "-v", "--remove-orphans", "-t", "0", check=False)
    assert project.containers() == {}


def test_up_changes_only_what_changed_and_down_leaves_nothing(project, engine):
    project.write("""
        services:
          web:
            image: box:1
            command: sleep 1000
            environment: {A: "${A:-one}"}
            volumes: [data:/data]
            depends_on: [db]
          db:
            image: box:1
            command: sleep 1000
        volumes: {data: }
        """)
    project("up", "-d")
    first = project.ids()
    assert sorted(first) == [f"{project.name}-db-1", f"{project.name}-web-1"]
    labels = project.containers("web")[f"{project.name}-web-1"]["Config"]["Labels"]
    assert labels["com.docker.compose.project"] == project.name and labels["com.docker.compose.service"] == "web"
    assert labels["com.docker.compose.oneoff"] == "False" and labels["com.docker.compose.project.working_dir"] == str(project.dir)
    project("exec", "-T", "web", "sh", "-c", "echo kept > /data/file; nslookup db || ping -c 1 db")
    again = project("up", "-d")
    assert project.ids() == first and "Recreate" not in again.stderr
    project("up", "-d", env={"A": "two"})
    second = project.ids()
    assert second[f"{project.name}-db-1"] == first[f"{project.name}-db-1"]
    assert second[f"{project.name}-web-1"] != first[f"{project.name}-web-1"]
    assert project("exec", "-T", "web", "cat", "/data/file").stdout == "kept\n"
    assert project("exec", "-T", "web", "sh", "-c", "echo $A").stdout == "two\n"
    project("up", "-d", "--force-recreate", "--no-deps", "web", env={"A": "two"})
    assert project.ids()[f"{project.name}-web-1"] != second[f"{project.name}-web-1"]
    listed = project("ps").stdout
    assert "SERVICE" in listed and f"{project.name}-web-1" in listed
    assert project("ps", "--services").stdout.split() == ["db", "web"]
    rows = [json.loads(line) for line in project("ps", "--format", "json").stdout.splitlines()]
    assert {row["Service"]: row["State"] for row in rows} == {"db": "running", "web": "running"}
    assert project.name in engine.estiba("compose", "ls").stdout
    project("down", "-t", "0")
    assert project.containers() == {}
    assert engine.api("GET", f"/networks/{project.name}_default").status == 404
    assert engine.api("GET", f"/volumes/{project.name}_data").status == 200
    project("down", "-v")
    assert engine.api("GET", f"/volumes/{project.name}_data").status == 404


def test_dependencies_wait_for_health_and_completion(project):
    project.write("""
        services:
          web:
            image: box:1
            command: sh -c "cat /shared/made /shared/ready && sleep 1000"
            volumes: [shared:/shared]
            depends_on:
              db: {condition: service_healthy}
              job: {condition: service_completed_successfully}
          db:
            image: box:1
            command: sh -c "sleep 1; touch /shared/ready; sleep 1000"
            volumes: [shared:/shared]
            healthcheck: {test: "test -f /shared/ready", interval: 200ms, retries: 100}
          job:
            image: box:1
            command: sh -c "echo done > /shared/made"
            volumes: [shared:/shared]
          fails:
            image: box:1
            command: sh -c "exit 3"
            profiles: [bad]
          waits:
            image: box:1
            command: sleep 1000
            profiles: [bad]
            depends_on: {fails: {condition: service_completed_successfully}}
        volumes: {shared: }
        """)
    project("up", "-d", "--wait")
    wait_for("its output", lambda: "done" in project("logs", "--no-log-prefix", "web").stdout)
    assert project.containers("waits") == {}
    failed = project("--profile", "bad", "up", "-d", check=False)
    assert failed.returncode == 1 and "didn't complete successfully: exit 3" in failed.stderr, failed.stderr


def test_scale_names_and_logs_with_prefixes(project):
    project.write("""
        services:
          web:
            image: box:1
            command: sh -c "echo started; echo wrong >&2; sleep 1000"
        """)
    project("up", "-d", "--scale", "web=3")
    assert sorted(project.ids()) == [f"{project.name}-web-{n}" for n in (1, 2, 3)]

    def logged():
        lines = project("logs").stdout.splitlines()
        return lines if len(lines) == 3 else None
    lines = wait_for("three lines on stdout", logged)
    assert sorted(lines) == [f"web-{n}  | started" for n in (1, 2, 3)]
    project("scale", "web=1")
    assert list(project.ids()) == [f"{project.name}-web-1"]
    project("stop", "-t", "0")
    assert project.containers()[f"{project.name}-web-1"]["State"]["Status"] == "exited"
    project("start")
    project("pause")
    assert project.containers()[f"{project.name}-web-1"]["State"]["Status"] == "paused"
    project("unpause")
    project("restart", "-t", "0")
    project("kill")
    wait_for("the end", lambda: project.containers()[f"{project.name}-web-1"]["State"]["Status"] == "exited")
    project("rm", "-f")
    assert project.containers() == {}


def test_up_in_the_foreground_shows_output_and_ends_with_the_first(project):
    project.write("""
        services:
          one: {image: "box:1", command: sh -c "echo from one; sleep 1; exit 7"}
          two: {image: "box:1", command: sh -c "echo from two; sleep 1000", stop_grace_period: 1s}
        """)
    ended = project("up", "--abort-on-container-exit", check=False)
    assert ended.returncode == 7, ended.stderr
    assert "one-1  | from one" in ended.stdout and "two-1  | from two" in ended.stdout and "one-1 exited with code 7" in ended.stdout
    assert all(each["State"]["Status"] == "exited" for each in project.containers().values())


def test_control_c_stops_what_up_started(project, engine):
    project.write("""
        services:
          web: {image: "box:1", command: sh -c "echo ready; sleep 1000", stop_grace_period: 1s}
        """)
    process = subprocess.Popen(project.command("up"), env=engine.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while "ready" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        inside = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
        subprocess.run(["kill", "-INT", inside[0]], check=True)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "Gracefully Stopping" in err, (out, err)
    assert project.containers()[f"{project.name}-web-1"]["State"]["Status"] == "exited"


def test_run_exec_and_cp(project):
    project.write("""
        services:
          web:
            image: box:1
            command: sleep 1000
            environment: {A: "1"}
            secrets: [token, {source: other, target: renamed}]
            configs: [{source: conf, target: /etc/app.conf}]
        secrets:
          token: {file: ./token.txt}
          other: {content: inline secret}
        configs:
          conf: {content: "key=value"}
        """)
    project.write("from file", "token.txt")
    out = project("run", "--rm", "-T", "-e", "B=2", "web", "sh", "-c", "echo $A $B; exit 5", check=False)
    assert out.stdout == "1 2\n" and out.returncode == 5, (out.stdout, out.stderr)
    assert project.containers() == {}
    project("up", "-d")
    shown = project("exec", "-T", "web", "sh", "-c", "cat /run/secrets/token; echo; cat /run/secrets/renamed; echo; cat /etc/app.conf").stdout
    assert shown.splitlines() == ["from file", "inline secret", "key=value"]
    assert project("exec", "-T", "web", "sh", "-c", "exit 9", check=False).returncode == 9
    project.write("copied", "file.txt")
    project("cp", project.dir / "file.txt", "web:/tmp/file.txt")
    project("cp", "web:/tmp/file.txt", project.dir / "back.txt")
    assert (project.dir / "back.txt").read_text() == "copied"
    missing = project("exec", "-T", "wbe", "true", check=False)
    assert missing.returncode == 1 and "no such service: wbe" in missing.stderr


def test_networks_aliases_and_published_ports(project, engine):
    project.write("""
        services:
          web:
            image: box:1
            command: sh -c "mkdir /w && echo hello > /w/index.html && httpd -f -p 80 -h /w"
            ports: ["127.0.0.1:18480:80"]
            networks: {back: {aliases: [site]}, front: }
          client:
            image: box:1
            command: sleep 1000
            networks: [back]
          alone:
            image: box:1
            command: sleep 1000
            networks: [other]
        networks:
          back: {internal: true}
          front: {ipam: {config: [{subnet: 10.219.7.0/24}]}}
          other:
        """)
    project("up", "-d")
    wait_for("the published port", lambda: engine.fetch("http://127.0.0.1:18480/") == "hello\n")
    for name in ("web", "site"):
        assert project("exec", "-T", "client", "wget", "-qO-", f"http://{name}/").stdout == "hello\n"
    assert project("exec", "-T", "alone", "wget", "-T", "2", "-qO-", "http://web/", check=False).returncode != 0
    assert project("port", "web", "80").stdout == "127.0.0.1:18480\n"
    networks = project.containers("web")[f"{project.name}-web-1"]["NetworkSettings"]["Networks"]
    assert networks[f"{project.name}_front"]["IPAddress"].startswith("10.219.7.")


def test_build_and_orphans_and_dry_run(project, engine):
    project.write("""
        services:
          app: {build: {context: ./app, args: {WHO: world}}, command: sleep 1000}
          old: {image: "box:1", command: sleep 1000}
        """)
    project.write("FROM box:1\nARG WHO\nRUN echo hello $WHO > /greeting\n", "app/Dockerfile")
    said = project("--dry-run", "up", "-d")
    assert "DRY-RUN" in said.stderr and project.containers() == {}
    project("up", "-d", timeout=300)
    assert project("exec", "-T", "app", "cat", "/greeting").stdout == "hello world\n"
    first = project.ids("app")
    assert f"{project.name}-app" in project("images").stdout
    project.write("FROM box:1\nRUN echo changed > /greeting\n", "app/Dockerfile")
    project.write('services:\n  app: {build: ./app, command: sleep 1000}\n')
    warned = project("up", "-d", "--build", timeout=300)
    assert "Found orphan containers" in warned.stderr and project.ids("app") != first
    assert project("exec", "-T", "app", "cat", "/greeting").stdout == "changed\n"
    project("up", "-d", "--remove-orphans")
    assert project.ids("old") == {}
    project("down", "-t", "0", "--rmi", "local")
    assert engine.api("GET", f"/images/{project.name}-app/json").status == 404


def test_bad_projects_are_named(project, engine):
    for text, why in (("services: {web: {image: x, prots: [80]}}", 'services.web.prots: unknown key; did you mean "ports"?'),
                      ("services: {web: {image: x, depends_on: [databas]}, database: {image: x}}", 'did you mean "database"?'),
                      ("services: {web: {image: 'x:${T'}}", "invalid interpolation format"),
                      ("services:\n  web:\n\timage: x\n", "YAML line"),
                      ("services: {web: {image: 'box:1', networks: [out]}}\nnetworks: {out: {external: true}}", "network out declared as external, but could not be found"),
                      ("services: {web: {image: 'box:1', container_name: only, scale: 2}}", "cannot be scaled")):
        project.write(text)
        result = project("up", "-d", check=False)
        assert result.returncode == 1 and why in result.stderr, (text, result.stderr)
    unsupported = project("watch", check=False)
    assert unsupported.returncode == 1 and "not supported" in unsupported.stderr
    assert "did you mean" in engine.estiba("compose", "upp", check=False).stderr
    assert project.containers() == {}


def test_a_project_of_docker_compose_is_seen(project, engine):
    """Containers with the labels that docker compose v2 sets are a project's, whoever made them."""
    labels = {"com.docker.compose.project": project.name, "com.docker.compose.service": "web", "com.docker.compose.container-number": "1",
              "com.docker.compose.oneoff": "False", "com.docker.compose.config-hash": "0" * 64, "com.docker.compose.version": "2.29.1"}
    flags = [flag for name, value in labels.items() for flag in ("--label", f"{name}={value}")]
    engine.docker("run", "-d", "--name", f"{project.name}-web-1", *flags, "box:1", "sleep", "1000")
    by_name = engine.estiba("compose", "-p", project.name, "ps", "--format", "json")
    assert json.loads(by_name.stdout)["Name"] == f"{project.name}-web-1"
    project.write('services:\n  web: {image: "box:1", command: sleep 2000}\n')
    first = project.ids()
    project("up", "-d", "-t", "0")
    assert list(project.ids()) == list(first) and project.ids() != first
    engine.estiba("compose", "-p", project.name, "down", "-t", "0")
    assert project.containers() == {}


def test_services_without_dependencies_start_together(project):
    # Each of two completes only when the other has started beside it, before what depends on them starts.
    meet = 'sh -c "touch /meet/$$MINE; while [ ! -e /meet/$$OTHER ]; do sleep 0.1; done"'
    project.write(f"""
        services:
          left: &pair
            image: box:1
            command: {meet}
            volumes: ["meet:/meet"]
            environment: {{MINE: left, OTHER: right}}
          right:
            <<: *pair
            environment: {{MINE: right, OTHER: left}}
          afterleft: &after {{image: "box:1", command: sleep 1000, depends_on: {{left: {{condition: service_completed_successfully}}}}, stop_grace_period: 1s}}
          afterright: {{<<: *after, depends_on: {{right: {{condition: service_completed_successfully}}}}}}
          aaa: {{<<: *after, depends_on: [afterleft, afterright]}}
        volumes: {{meet: }}
        """)
    said = project("up", "-d").stderr
    assert all(each["State"]["Running"] for service in ("afterleft", "afterright", "aaa") for each in project.containers(service).values()), said
    at = {name: said.index(f"{project.name}-{name}-1  Starting") for name in ("left", "right", "afterleft", "afterright", "aaa")}
    assert at["aaa"] > max(at["afterleft"], at["afterright"]) and at["afterleft"] > at["left"] and at["afterright"] > at["right"], said
    ended = project("stop").stderr
    first = ended.index(f"{project.name}-aaa-1  Stopped")
    assert first < ended.index(f"{project.name}-afterleft-1  Stopping") and first < ended.index(f"{project.name}-afterright-1  Stopping"), ended
    assert project("--parallel", "x", "ps", check=False).returncode == 1


def test_up_shows_output_before_all_have_started(project):
    project.write("""
        services:
          early: {image: "box:1", command: sh -c "echo early words; sleep 1000", stop_grace_period: 1s}
          never: {image: "box:1", command: "false"}
          late: {image: "box:1", command: sleep 1000, depends_on: {gate: {condition: service_completed_successfully}}}
          gate:
            image: box:1
            command: sh -c "while [ ! -e /gate/open ]; do sleep 0.1; done; exit 5"
            volumes: ["gate:/gate"]
        volumes: {gate: }
        """)
    process = subprocess.Popen(project.command("up"), env=project.engine.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while "early words" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        assert project.containers("late")[f"{project.name}-late-1"]["State"]["Status"] == "created"
        wait_for("the gate", lambda: project("exec", "-T", "gate", "touch", "/gate/open", check=False).returncode == 0)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1 and "dependency failed to start" in err and "exit 5" in err, (out, err)
    assert "Attaching to " in err
    # What an earlier start wrote is not shown again.
    project.write("""
        services:
          early: {image: "box:1", command: sh -c "echo early words; sleep 1000", stop_grace_period: 1s}
          once: {image: "box:1", command: sh -c "echo once more; sleep 1"}
        """)
    project("up", "-d", "once")
    wait_for("the end", lambda: project.containers("once")[f"{project.name}-once-1"]["State"]["Status"] == "exited")
    again = project("up", "--abort-on-container-exit")
    assert again.stdout.count("once-1   | once more") == 1, again.stdout


def test_tags_take_away_and_replace(project):
    project.write("""
        services:
          web: {image: "box:1", command: sleep 1000, ports: ["8000:80"], environment: {A: "1", B: "2"}}
        """)
    over = project.write("""
        services:
          web: {ports: !override ["9000:90"], environment: {A: !reset null}}
        """, "over.yaml")
    shown = json.loads(project("-f", over, "config", "--format", "json").stdout)["services"]["web"]
    assert [each["published"] for each in shown["ports"]] == ["9000"] and shown["environment"] == {"B": "2"}


def test_progress_on_a_terminal_rewrites_its_rows(project):
    project.write("""
        services:
          web: {image: "box:1", command: sleep 1000, stop_grace_period: 1s}
        """)

    def on_terminal(*arguments):
        master, slave = os.openpty()
        try:
            process = subprocess.Popen(project.command(*arguments), env=project.engine.environment(), stdout=subprocess.PIPE, stderr=slave)
            said = b""
            while process.poll() is None or select.select([master], [], [], 0)[0]:
                if select.select([master], [], [], 0.1)[0]:
                    said += os.read(master, 100_000)  # a terminal holds 4 KiB
            process.communicate(timeout=100)
            return said.decode()
        finally:
            os.close(slave)
            os.close(master)
    said = on_terminal("up", "-d")
    row = f"Container {project.name}-web-1  "
    assert said.index("\u283f " + row + "Creating") < said.index("\u2714 " + row + "Created") < said.index("\u2714 " + row + "Started"), said
    assert said.count("\n") == 2 and "\x1b[1A\x1b[2K" in said, said
    assert "\x1b" not in on_terminal("--progress", "plain", "stop")
