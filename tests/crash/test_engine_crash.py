"""kill -9 of `estiba engine` at random instants while containers are made, run, removed and images are built: what runs goes on, what was
acknowledged is there, nothing half made is left, and everything can be removed."""
import os
import random
import sys
import threading
import time
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cluster as support  # noqa: E402
import docker_engine  # noqa: E402
from docker_engine import BOX  # noqa: E402

KILLS = int(os.environ.get("ESTIBA_CRASH_ENGINE_KILLS", "12"))


class Worker:
    """Makes, starts and removes containers of its own; knows what was acknowledged."""

    def __init__(self, engine, number):
        self.engine, self.dice = engine, random.Random(number)
        self.number, self.count = number, 0
        self.there, self.unsure = {}, set()  # name: running; names in a request that nobody answered

    def run(self, stopping):
        try:
            while not stopping.is_set():
                self.step()
        except OSError:
            pass
        except Exception as error:  # http.client's, when the engine dies in the middle of an answer
            if type(error).__module__ != "http.client":
                raise

    def step(self):
        if self.there and self.dice.random() < 0.4:
            name = self.dice.choice(sorted(self.there))
            self.unsure.add(name)
            answer = self.engine.api("DELETE", f"/containers/{name}?force=1")
            assert answer.status in (204, 404), answer.text
            del self.there[name]
            self.unsure.discard(name)
            return
        self.count += 1
        name = f"w{self.number}-{self.count}-{self.dice.randrange(10 ** 6)}"
        self.unsure.add(name)
        answer = self.engine.api("POST", f"/containers/create?name={name}", {"Image": BOX, "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": self.dice.choice(["none", "bridge"])}})
        assert answer.status == 201, answer.text
        self.there[name] = False
        answer = self.engine.api("POST", f"/containers/{name}/start")
        assert answer.status == 204, answer.text
        self.there[name] = True
        self.unsure.discard(name)


def build(engine, stopping, folder):
    """Builds again and again, never cached."""
    count = 0
    while not stopping.is_set():
        count += 1
        (folder / "file").write_text(f"{count} {time.monotonic()}")
        engine.estiba("build", "-t", "crash:1", folder, check=False, timeout=60)


def test_a_killed_engine_loses_nothing_and_leaves_nothing(tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {BOX}\nCOPY file /file\nRUN cat /file > /copy; sleep 0.05\nRUN cat /copy > /third\n")
    (tmp_path / "file").write_text("")
    with docker_engine.Engine() as engine:
        engine.start()
        workers = [Worker(engine, number) for number in range(2)]
        dice = random.Random(20261128)
        for _ in range(KILLS):
            stopping = threading.Event()
            threads = [threading.Thread(target=worker.run, args=(stopping,)) for worker in workers]
            threads.append(threading.Thread(target=build, args=(engine, stopping, tmp_path)))
            for thread in threads:
                thread.start()
            time.sleep(dice.uniform(0.05, 0.6))
            engine.kill9()
            stopping.set()
            for thread in threads:
                thread.join(90)
                assert not thread.is_alive()
            engine.start()
            check(engine, workers)
        engine.estiba("build", "-t", "crash:2", tmp_path)
        assert engine.estiba("run", "--rm", "crash:2", "cat", "/third").stdout == (tmp_path / "file").read_text()
        engine.remove_all()
        engine.estiba("image", "prune", "-f")
        engine.stop()
        assert engine.leftovers() == []


def check(engine, workers):
    listed = {container["Names"][0][1:]: container["State"] for container in engine.api("GET", "/containers/json?all=1").body if container["Names"]}
    for worker in workers:
        for name, running in list(worker.there.items()):
            if name in worker.unsure:
                continue
            assert name in listed, f"{name} was acknowledged and is gone"
            assert not running or listed[name] == "running", f"{name} ran and is {listed[name]}"
        for name in worker.unsure:
            if name in listed:
                worker.there[name] = False
            else:
                worker.there.pop(name, None)
        worker.unsure.clear()
    for name in listed:
        assert any(name in worker.there for worker in workers), f"{name} is of nobody"
