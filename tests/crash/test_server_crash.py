"""kill -9 of `estiba server` at random instants under concurrent HTTP writers and a watcher that goes on where it was:
every acknowledged write is there with its value, what was removed stays removed, revisions never go back, and what the
watcher pieced together is what a list says.

Each object has one writer, so what it must be is known: what was acknowledged last, or what was asked for when the kill came.
"""
import http.client
import os
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cluster as support  # noqa: E402
from api import Api  # noqa: E402

KILLS = int(os.environ.get("ESTIBA_CRASH_KILLS", "50"))
WRITERS, KEYS = 4, 10
PATH = "/api/v1/namespaces/default/configmaps"
BROKEN = (OSError, http.client.HTTPException)


def value_of(item):
    return item["data"]["value"]


class History:
    """Revisions that were told, by anyone: one means one thing for ever, and they only grow."""

    def __init__(self):
        self.lock = threading.Lock()
        self.newest = 0
        self.facts = {}
        self.acknowledged = self.removed = 0

    def learn(self, revision, name, value, after=None):
        with self.lock:
            assert after is None or revision > after, f"{name}: revision {revision} was given after {after} had been told"
            known = self.facts.setdefault(revision, (name, value))
            assert known == (name, value), f"revision {revision} was {known} and is now {(name, value)}"
            self.newest = max(self.newest, revision)


class Writer:
    """Creates, changes and removes objects of its own. `state`: name to the value acknowledged, absent when removed;
    `pending`: the name and the value (None: removal) of a request that nobody answered."""

    def __init__(self, number, history):
        self.names = [f"w{number}-{i}" for i in range(KEYS)]
        self.history, self.dice = history, random.Random(number * 7919 + 1)
        self.state, self.pending, self.count = {}, None, 0

    def run(self, api, stopping):
        """Until the connection breaks or it is told to stop."""
        try:
            while not stopping.is_set():
                self.step(api)
                time.sleep(0.002)
        except BROKEN:
            pass
        finally:
            api.close()

    def step(self, api):
        name = self.dice.choice(self.names)
        self.count += 1
        value = f"{name}/{self.count}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value, "padding": "x" * self.dice.randrange(2000)}}
        floor = self.history.newest
        remove = name in self.state and self.dice.random() < 0.3
        self.pending = (name, None if remove else value)
        if remove:
            answer = api("DELETE", f"{PATH}/{name}")
        elif name in self.state:
            answer = api("PUT", f"{PATH}/{name}", body)
        else:
            answer = api("POST", PATH, body)
        assert answer.status == (201 if answer.body["kind"] == "ConfigMap" and name not in self.state else 200), (name, answer.status, answer.data)
        if remove:
            del self.state[name]
            self.history.removed += 1
        else:
            self.history.learn(int(answer.body["metadata"]["resourceVersion"]), name, value, floor)
            self.state[name] = value
        self.pending = None
        self.history.acknowledged += 1

    def check(self, found):
        """`found`: all objects by name, after a restart."""
        if self.pending:
            name, value = self.pending
            if found.get(name) == value:  # it was done though nobody heard of it
                self.state.pop(name, None)
                if value is not None:
                    self.state[name] = value
            self.pending = None
        for name in self.names:
            assert found.get(name) == self.state.get(name), f"{name}: acknowledged {self.state.get(name)}, found {found.get(name)}"


class Watcher(threading.Thread):
    """Lists once, then watches from the last revision that it saw, whatever happens; lists again only when told 410."""

    def __init__(self, cluster, history):
        super().__init__(daemon=True)
        self.cluster, self.history = cluster, history
        self.state, self.revision, self.failure, self.over = {}, None, None, False
        self.lists = self.resumed = self.events = 0

    def run(self):
        while not self.over:
            try:
                self.follow(Api(self.cluster, timeout=5))
            except BROKEN:
                time.sleep(0.02)
            except BaseException as error:  # told by the main thread
                self.failure = error
                return

    def follow(self, api):
        if self.revision is None:
            listed = api.get(PATH).body
            revision = int(listed["metadata"]["resourceVersion"])
            assert revision >= self.history.newest - 10_000
            self.state = {item["metadata"]["name"]: value_of(item) for item in listed["items"] if "value" in item.get("data", {})}
            self.revision = revision
            self.lists += 1
        else:
            self.resumed += 1
        api.close()
        for event in api.watch(PATH, resourceVersion=self.revision, allowWatchBookmarks="true", timeoutSeconds=60):
            if event["type"] == "ERROR":
                assert event["object"]["code"] == 410, event
                self.revision = None
                return
            self.take(event["type"], event["object"])

    def take(self, kind, item):
        revision = int(item["metadata"]["resourceVersion"])
        if kind == "BOOKMARK":
            assert revision >= self.revision
        else:
            assert revision > self.revision, f"event {revision} after {self.revision}"
            self.apply(kind, item["metadata"]["name"], item.get("data", {}).get("value"), revision)
        self.revision = revision

    def apply(self, kind, name, value, revision):
        if value is None:
            return  # not one of ours
        self.events += 1
        assert (name in self.state) == (kind != "ADDED"), f"{kind} {name} at {revision} though known as {self.state.get(name)}: an event is missing"
        if kind == "DELETED":
            assert self.state.pop(name) == value
        else:
            self.history.learn(revision, name, value)
            self.state[name] = value


class Crash:
    def __init__(self, cluster, seed):
        self.cluster, self.dice = cluster, random.Random(seed)
        self.history = History()
        self.writers = [Writer(i, self.history) for i in range(WRITERS)]
        self.watcher = Watcher(cluster, self.history)
        self.markers = 0

    def ready(self):
        def answers():
            assert self.cluster.server.poll() is None, f"the server ended by itself:\n{self.cluster.log()}"
            try:
                return Api(self.cluster, timeout=5).get("/readyz").status == 200
            except BROKEN:
                return False
        support.wait_for("/readyz", answers, 20, 0.02)

    def verify(self):
        listed = Api(self.cluster).get(PATH).body
        revision = int(listed["metadata"]["resourceVersion"])
        assert revision >= self.history.newest, f"the server is at {revision}, {self.history.newest} was told"
        found = {}
        for item in listed["items"]:
            if "value" in item.get("data", {}):
                found[item["metadata"]["name"]] = value_of(item)
                self.history.learn(int(item["metadata"]["resourceVersion"]), item["metadata"]["name"], value_of(item))
        for writer in self.writers:
            writer.check(found)
        assert self.watcher.failure is None, self.watcher.failure
        return found

    def catch_up(self):
        """No writer runs: the watcher comes to what a list says."""
        self.markers += 1
        name = f"marker-{self.markers}"
        made = Api(self.cluster)("POST", PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": name}})
        assert made.status == 201, made.data
        support.wait_for(f"the watcher to see {name}", lambda: self.watcher.failure or name in self.watcher.state, 20)
        found = self.verify()
        assert self.watcher.state == found

    def write(self, seconds):
        """All writers for so long; returns how to stop them."""
        stopping = threading.Event()
        failures = []

        def work(writer):
            try:
                writer.run(Api(self.cluster, timeout=10), stopping)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(writer,)) for writer in self.writers]
        for thread in threads:
            thread.start()
        time.sleep(seconds)

        def finish(stop):
            if stop:
                stopping.set()
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive(), "a writer hangs"
            assert not failures, failures[0]
        return finish

    def round(self, number):
        self.cluster.start(wait=False)
        if number % 8 == 7:  # while it starts
            time.sleep(self.dice.uniform(0, 0.3))
            return self.cluster.kill9()
        self.ready()
        self.verify()
        finish = self.write(self.dice.uniform(0.02, 0.5))
        if number % 10 == 3:  # what the watcher saw, without a kill between
            finish(stop=True)
            self.catch_up()
            finish = self.write(self.dice.uniform(0.02, 0.2))
        self.cluster.kill9()
        finish(stop=False)

    def run(self, kills):
        self.cluster.start()
        self.watcher.start()
        self.cluster.kill9()
        for number in range(kills):
            self.round(number)
        self.cluster.start(wait=False)
        self.ready()
        self.verify()
        self.write(0.3)(stop=True)
        self.catch_up()
        self.watcher.over = True


def test_kill_the_server_at_random_instants():
    seed = int(os.environ.get("ESTIBA_CRASH_SEED", random.randrange(1 << 20)))
    print(f"ESTIBA_CRASH_SEED={seed}")
    begun = time.monotonic()
    with support.Cluster(node="false") as cluster:
        crash = Crash(cluster, seed)
        crash.run(KILLS)
        watcher, history = crash.watcher, crash.history
        print(f"{KILLS} kills, {history.acknowledged} acknowledged writes ({history.removed} removals), revision {history.newest}; the watcher saw {watcher.events} events, "
              f"went on {watcher.resumed} times, listed {watcher.lists} times; {time.monotonic() - begun:.1f} s")
        assert history.acknowledged > KILLS * 5 and history.removed > KILLS, "too little was written: that proves nothing"
