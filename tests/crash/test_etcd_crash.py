"""The store on etcd: its process and etcd are killed at random instants under concurrent writers. Every acknowledged write is there,
a revision means one thing for ever, and a watch has every event of every acknowledged write, in order and once."""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import test_store_crash as embedded

ROUNDS = int(os.environ.get("ESTIBA_CRASH_KILLS", "50")) // 5


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


class Etcd:
    def __init__(self, directory):
        self.directory, self.process = directory, None
        self.url, self.peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))

    def start(self):
        self.process = subprocess.Popen(["etcd", "--name=one", f"--data-dir={self.directory}/data", f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
                                         f"--listen-peer-urls={self.peer}", f"--initial-advertise-peer-urls={self.peer}", f"--initial-cluster=one={self.peer}",
                                         "--heartbeat-interval=50", "--election-timeout=500"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def write_under_kills(program, etcd, seed, dice, kills):
    """The writer's lines; etcd is killed and started `kills` times meanwhile, and then the writer."""
    child = subprocess.Popen([program, "write", f"etcd={etcd.url}", str(embedded.WRITERS), str(seed)], stdout=subprocess.PIPE)
    os.set_blocking(child.stdout.fileno(), False)
    data = bytearray()

    def read_for(seconds, until=lambda: False):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            assert child.poll() is None, f"the writer ended by itself with {child.returncode}: {bytes(data[-500:])}"
            if embedded.readable(child.stdout.fileno()):
                data.extend(os.read(child.stdout.fileno(), 1 << 20))
    try:
        read_for(30, lambda: data.count(b"\n") > 20)
        for _ in range(kills):
            read_for(dice.uniform(0, 0.5))
            etcd.kill()
            etcd.start()
            lines = data.count(b"\nput")
            read_for(30, lambda: data.count(b"\nput") > lines + 20)
        read_for(dice.uniform(0, 0.3))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    os.set_blocking(child.stdout.fileno(), True)
    data += child.stdout.read()
    child.stdout.close()
    return [line.split() for line in data.decode().split("\n")[:-1]]


def check_round(model, lines):
    start = seen = 0
    events, acknowledged = set(), []
    for words in lines:
        if words[0] == "start":
            start = seen = int(words[1])
            assert start >= model.newest(), f"opened at {start}, and {model.newest()} was acknowledged or seen"
        elif words[0] in ("put", "del"):
            model.learn(int(words[1]), (words[0], words[2], words[3] if words[0] == "put" else None), "acknowledged")
            model.acknowledged += 1
            acknowledged.append(int(words[1]))
        elif words[0] == "event":
            revision = int(words[1])
            assert revision > seen, f"event {revision} follows {seen}"
            seen = revision
            events.add(revision)
            model.learn(revision, (words[2], words[3], words[4] if words[2] == "put" else None), "event")
        else:
            # What was under way when etcd died is refused, and says that it may have taken place.
            assert words[0] == "error" and "etcd" in " ".join(words), " ".join(words)
    lost = [revision for revision in acknowledged if start < revision <= seen and revision not in events]
    assert not lost, f"events that a watch never had: {lost}"


def check_state(model, program, etcd):
    """What is there is what was written; only writes that nobody heard of may come on top."""
    out = subprocess.run([program, "resume", f"etcd={etcd.url}", "0"], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    lines = [line.split() for line in out.decode().splitlines()]
    revision = int(next(words[1] for words in lines if words[0] == "revision"))
    found = {words[1]: (int(words[2]), words[3]) for words in lines if words[0] == "key"}
    assert revision >= model.newest()
    for key, (at, value) in found.items():
        model.learn(at, ("put", key, value), "found")
    expected = model.keys(revision)
    unheard = [r for r in range(1, revision + 1) if r not in model.log]
    for key, (at, value) in expected.items():
        if key not in found:
            assert any(r > at for r in unheard), f"acknowledged {key} of revision {at} is lost, the store is at {revision}"
        else:
            assert found[key] == (at, value), f"{key}: expected {at} {value}, found {found[key]}"
    # A key that nobody heard of being removed: what removed it has no other trace.
    for key in set(expected) - set(found):
        model.learn(next(r for r in reversed(unheard) if r > expected[key][0] and r not in model.log), ("del", key, None), "found missing")


def run_crashes(program):
    seed = int(os.environ.get("ESTIBA_CRASH_SEED", random.randrange(1 << 20)))
    print(f"ESTIBA_CRASH_SEED={seed}")
    dice, model = random.Random(seed), embedded.Model()
    directory = tempfile.mkdtemp(prefix="estiba-crash-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    etcd = Etcd(directory)
    etcd.start()
    try:
        for number in range(ROUNDS):
            check_round(model, write_under_kills(program, etcd, seed * 1000 + number, dice, number % 3))
            check_state(model, program, etcd)
        assert model.acknowledged > ROUNDS * 20, f"only {model.acknowledged} writes were acknowledged: that proves nothing"
        print(f"{ROUNDS} kills of the writer, {model.acknowledged} acknowledged writes, revision {model.newest()}")
    finally:
        etcd.kill()
        shutil.rmtree(directory)


def test_kill_the_writer_and_etcd_at_random_instants():
    run_crashes(embedded.find_program())


if __name__ == "__main__":
    run_crashes(embedded.find_program(sys.argv[1] if len(sys.argv) > 1 else None))
