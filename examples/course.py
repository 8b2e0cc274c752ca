"""The course's application, from a developer's folder to a running pod: build, volume, network, database, application, a look inside, registry.

`Course(engine, cli, …)` runs the steps with one client: our own or Docker's. The end-to-end test and the demo share it."""
import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import debian_images
from cluster import BIN, wait_for
from index_proxy import IndexProxy

HERE = pathlib.Path(__file__).resolve().parent
PASSWORD = "only-for-the-example"
REGISTRY = "127.0.0.1:5000"


class Course:
    """`cli(*arguments)` runs a verb and returns the finished process; `step` and `show` tell a person what happens."""

    def __init__(self, engine, cli, name, step=lambda text: None, show=lambda text: None, suffix="", port=8000):
        self.engine, self.run_cli, self.program, self.step, self.show = engine, cli, name, step, show
        self.image, self.volume, self.network = f"miapp-django{suffix}:1.0", f"datos{suffix}", f"red-demo{suffix}"
        self.backend, self.web, self.port = f"backend{suffix}", f"web{suffix}", port
        self.alias = [] if not suffix else ["--network-alias", "backend"]
        self.times = {}

    def cli(self, *arguments, show=True, **options):
        if show:
            self.step(" ".join([self.program, *map(str, arguments)]))
        begin = time.monotonic()
        result = self.run_cli(*arguments, **options)
        self.times[arguments[0]] = time.monotonic() - begin
        return result

    def page(self, path="", data=None):
        """The page as somebody on this machine sees it through the published port; None while nobody answers."""
        form = ["-d", data] if data else []
        result = self.engine.sandbox.inside(["curl", "-sS", "--max-time", "5", *form, f"http://127.0.0.1:{self.port}/{path}"], check=False)
        return result.stdout if result.returncode == 0 else None

    # -- the steps ----------------------------------------------------------------------------------------------------

    def build(self):
        """pip's way to the index leads through a proxy in the sandbox: nothing else there has a way out."""
        with tempfile.TemporaryDirectory() as folder, IndexProxy(self.engine.sandbox, self.proxy_address()) as proxy:
            context = pathlib.Path(folder) / "miapp"
            shutil.copytree(HERE / "django", context)
            (context / ".env").write_text("SECRET=must not be copied\n")
            result = self.cli("build", "-t", self.image, "--build-arg", f"HTTPS_PROXY={proxy.url}", context, timeout=300)
            self.show("\n".join(line for line in (result.stdout + result.stderr).splitlines() if "Collecting" not in line and "Downloading" not in line)[-3000:])
        history = self.cli("history", "--no-trunc", self.image, show=False).stdout
        assert proxy.url not in history, history

    @staticmethod
    def proxy_address():
        return "192.168.77.1"

    def resources(self):
        self.show(self.cli("volume", "create", self.volume).stdout)
        self.show(self.cli("network", "create", self.network).stdout)

    def database(self):
        self.show(self.cli("run", "-d", "--network", self.network, "--name", self.backend, *self.alias, "-e", f"POSTGRES_PASSWORD={PASSWORD}", "-e", "POSTGRES_DB=shop",
                           "postgres").stdout)
        ask = ("exec", self.backend, "psql", "-h", "127.0.0.1", "-U", "postgres", "-d", "shop", "-Atc", "select 1")
        wait_for("PostgreSQL", lambda: self.run_cli(*ask, check=False, env={"PGPASSWORD": PASSWORD}).returncode == 0 or self.ready(), 180, 0.1)

    def ready(self):
        """psql over the network asks for the password; over the socket it does not."""
        return self.run_cli("exec", self.backend, "sh", "-c", "psql -U postgres -d shop -Atc 'select 1' && pg_isready -h 127.0.0.1", check=False).returncode == 0

    def application(self):
        self.show(self.cli("run", "-d", "--network", self.network, "--name", self.web, "-p", f"{self.port}:8000", "-v", f"{self.volume}:/app/data",
                           "-e", f"DATABASE_PASSWORD={PASSWORD}", self.image).stdout)
        self.show(self.cli("exec", self.web, "python", "manage.py", "migrate").stdout.splitlines()[-1])
        wait_for("the page", lambda: self.page("health/") == "ok\n", 180, 0.05)
        for article in ("mate", "bombilla"):
            answer = json.loads(self.page("orders/", f"article={article}"))
            assert answer["article"] == article, answer
        page = self.page()
        self.show(page)
        assert page.startswith("2 orders | visit 1 |"), page

    def look(self):
        listed = self.cli("ps").stdout
        self.show(listed)
        assert self.web in listed and self.image in listed and f"0.0.0.0:{self.port}->8000/tcp" in listed, listed
        self.show(self.follow())
        inside = self.interactive(["exec", "-it", self.web, "bash"], "id -un; ls; exit\n")
        self.show(inside)
        assert "root" in inside and "manage.py" in inside and ".env" not in inside and "requirements.txt" in inside, inside
        stats = self.cli("stats", "--no-stream", self.web, self.backend).stdout
        self.show(stats)
        assert self.web in stats and "MiB" in stats, stats
        details = json.loads(self.cli("inspect", self.web).stdout)[0]
        self.show(json.dumps({key: details["State"][key] for key in ("Status", "Running", "Pid")}))
        assert details["State"]["Running"] and details["Mounts"][0]["Name"] == self.volume, details["Mounts"]

    def follow(self):
        """`logs -f`, until the line of the last request is there."""
        self.step(f"{self.program} logs -f {self.web}")
        program = BIN / "estiba" if self.program == "estiba" else self.engine.docker_path
        process = subprocess.Popen(self.engine.command(program, "logs", "-f", self.web), env=self.engine.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if '"GET / HTTP/1.1" 200' in line:
                    break
        finally:
            for child in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split():
                with contextlib.suppress(ProcessLookupError):
                    __import__("os").kill(int(child), 15)
            process.wait(30)
            process.stdout.close()
        assert any("GET / HTTP/1.1" in line for line in lines), lines
        return "\n".join(lines[-4:])

    def interactive(self, arguments, text):
        """A command on a terminal of its own, as a person types it."""
        self.step(" ".join([self.program, *arguments]))
        program = BIN / "estiba" if self.program == "estiba" else self.engine.docker_path
        typed = "".join(f"sleep 1; printf '%s\\n' {json.dumps(line)}; " for line in text.splitlines())
        words = " ".join(json.dumps(str(word)) for word in self.engine.command(program, *arguments))
        result = subprocess.run(["sh", "-c", f"({typed} sleep 1) | script -qec '{words}' /dev/null"], env=self.engine.environment(TERM="xterm"), capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def stop_and_start(self):
        self.cli("stop", "-t", "3", self.web)
        assert self.page() is None
        self.cli("start", self.web)
        page = wait_for("the page again", self.page, 180, 0.05)
        self.show(page)
        assert page.startswith("2 orders | visit 2 |"), page

    def without_network(self):
        addresses = self.cli("run", "--rm", "--network", "none", self.image, "ip", "addr").stdout
        self.show(addresses)
        assert "lo:" in addresses and "eth0" not in addresses, addresses

    def push(self):
        """To `estiba registry` and back; the image is the same one."""
        name = f"{REGISTRY}/{self.image}"
        self.cli("tag", self.image, name)
        self.show(self.cli("push", name).stdout.splitlines()[-1])
        before = json.loads(self.cli("inspect", name, show=False).stdout)[0]["Id"]
        self.cli("rmi", name)
        self.show(self.cli("pull", name).stdout.splitlines()[-1])
        assert json.loads(self.cli("inspect", name, show=False).stdout)[0]["Id"] == before
        return name

    def remove(self):
        self.cli("rm", "-f", self.web, self.backend)
        self.cli("network", "rm", self.network)
        self.cli("volume", "rm", self.volume)

    def run(self):
        """All of it but the pod; the image's name in the registry."""
        self.build()
        self.resources()
        self.database()
        self.application()
        self.look()
        self.stop_and_start()
        self.without_network()
        name = self.push()
        self.remove()
        return name


@contextlib.contextmanager
def registry(engine):
    """`estiba registry` beside the engine, with a store of its own, so that what is pulled really came over the wire."""
    log = open(engine.dir / "registry.log", "ab")
    process = subprocess.Popen(engine.sandbox.command([BIN / "estiba", "registry", "--listen", REGISTRY, "--data-dir", engine.dir / "registry"]), stdout=log, stderr=log)
    try:
        wait_for("the registry", lambda: engine.fetch(f"http://{REGISTRY}/v2/", 1) is not None, 20, 0.02)
        yield
    finally:
        for child in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split():
            with contextlib.suppress(ProcessLookupError):
                __import__("os").kill(int(child), 15)
        process.wait(30)
        log.close()


def prepare(engine):
    debian_images.load(engine)
