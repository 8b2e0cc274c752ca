"""kill -9 at random instants under concurrent writers: every acknowledged write is there, revisions never repeat or go
back, a watch that goes on where it was misses nothing or is told "gone".

Run it with pytest, or as a program: tests/crash/test_store_crash.py [BUILD_DIR]
"""
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KILLS = int(os.environ.get("ESTIBA_CRASH_KILLS", "50"))
WRITERS = 6


def find_program(build=None):
    """tests/store_crash of the build given, of the one that $ESTIBA_BIN is from, or of any that is there."""
    binaries = os.environ.get("ESTIBA_BIN")
    builds = [build] if build else [os.path.dirname(binaries)] if binaries else []
    builds += [os.path.join(ROOT, name) for name in ("build", "build-release")] if not build else []
    programs = [os.path.join(b, "tests", "store_crash") for b in builds]
    for program in programs:
        if os.access(program, os.X_OK):
            return program
    raise AssertionError(f"none of {', '.join(programs)} is there: build the target store_crash")


class Model:
    """What the parent knows: acknowledged writes and seen events by revision."""

    def __init__(self):
        self.log = {}  # revision -> (kind, key, value); one revision means one thing for ever
        self.acknowledged = 0

    def learn(self, revision, fact, what):
        known = self.log.setdefault(revision, fact)
        assert known == fact, f"revision {revision} was {known} and is now {fact} ({what})"

    def newest(self):
        return max(self.log, default=0)

    def keys(self, until):
        """The keys as they must be at a revision."""
        state = {}
        for revision in sorted(r for r in self.log if r <= until):
            kind, key, value = self.log[revision]
            if kind == "put":
                state[key] = (revision, value)
            else:
                state.pop(key, None)
        return state


def run_and_kill(program, directory, seed, delay):
    child = subprocess.Popen([program, "write", directory, str(WRITERS), str(seed)], stdout=subprocess.PIPE)
    # A pipe holds what was said before the kill; a thread is not needed as long as we read while the child lives.
    os.set_blocking(child.stdout.fileno(), False)
    data = bytearray()
    started = None
    try:
        deadline = time.monotonic() + 20
        while started is None or time.monotonic() < started + delay:
            assert time.monotonic() < deadline, "the store did not open in 20 s"
            assert child.poll() is None, f"the writer ended by itself with {child.returncode}: {bytes(data[-500:])}"
            chunk = os.read(child.stdout.fileno(), 1 << 20) if readable(child.stdout.fileno()) else b""
            data += chunk
            if started is None and b"\n" in data:
                started = time.monotonic()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    os.set_blocking(child.stdout.fileno(), True)
    data += child.stdout.read()
    child.stdout.close()
    return [line.split() for line in data.decode().split("\n")[:-1]]


def readable(fd):
    return bool(select.select([fd], [], [], 0.002)[0])


def check_round(model, lines, expected_start):
    start = None
    seen = None  # the last event; events come without a gap
    for words in lines:
        if words[0] == "start":
            start = seen = int(words[1])
            assert start == expected_start, f"opened at {start}, was at {expected_start}"
        elif words[0] in ("put", "del"):
            revision = int(words[1])
            assert revision > start, f"revision {revision} was given out again after a start at {start}"
            model.learn(revision, (words[0], words[2], words[3] if words[0] == "put" else None), "acknowledged")
            model.acknowledged += 1
        elif words[0] == "event":
            revision = int(words[1])
            assert revision == seen + 1, f"event {revision} follows {seen}"
            seen = revision
            model.learn(revision, (words[2], words[3], words[4] if words[2] == "put" else None), "event")
        else:
            raise AssertionError(" ".join(words))
    return seen


def check_reopened(model, program, directory, seen):
    out = subprocess.run([program, "resume", directory, str(seen)], stdout=subprocess.PIPE, check=True, timeout=20).stdout
    lines = [line.split() for line in out.decode().splitlines()]
    revision = int(next(words[1] for words in lines if words[0] == "revision"))
    found = {words[1]: (int(words[2]), words[3]) for words in lines if words[0] == "key"}
    assert revision >= model.newest(), f"the store is at {revision}, and {model.newest()} was acknowledged or seen"
    # What is newer than all we heard of was on disk but not answered yet. A removal among that shows as an absent key.
    unheard = [r for r in range(1, revision + 1) if r not in model.log]
    for key, (at, value) in found.items():
        if at in model.log:
            assert model.log[at] == ("put", key, value), f"{key}: {model.log[at]} was written at {at}, found {value}"
        else:
            model.learn(at, ("put", key, value), "found")
    expected = model.keys(revision)
    for key in found:
        assert key in expected, f"{key} was removed and is there again"
    for key, (at, value) in expected.items():
        if key in found:
            assert found[key] == (at, value), f"{key}: expected {at} {value}, found {found[key]}"
        else:
            removals = [r for r in unheard if r > at and r not in model.log]
            assert removals, f"acknowledged {key} of revision {at} is lost, the store is at {revision}"
            model.learn(removals[-1], ("del", key, None), "found missing")
    answer = lines[-1]
    assert answer == ["gone"] if seen < revision else answer == ["events", "0"], f"watch from {seen} of {revision}: {answer}"
    return revision


def crash(program, kills, seed):
    directory = tempfile.mkdtemp(prefix="estiba-crash-")
    dice = random.Random(seed)
    model, revision = Model(), 0
    try:
        for round_number in range(kills):
            lines = run_and_kill(program, directory, seed * 1000 + round_number, dice.uniform(0, 0.35))
            seen = check_round(model, lines, revision)
            if seen is None:
                continue
            revision = check_reopened(model, program, directory, seen)
        removals = sum(kind == "del" for kind, _, _ in model.log.values())
        assert removals > kills, f"only {removals} keys were removed: that proves little"
        assert model.acknowledged > kills * 5, f"only {model.acknowledged} writes were acknowledged: that proves nothing"
        return model.acknowledged, revision
    finally:
        shutil.rmtree(directory)


def run_crashes(program):
    seed = int(os.environ.get("ESTIBA_CRASH_SEED", random.randrange(1 << 20)))
    print(f"ESTIBA_CRASH_SEED={seed}")
    begun = time.monotonic()
    acknowledged, revision = crash(program, KILLS, seed)
    print(f"{KILLS} kills, {acknowledged} acknowledged writes, revision {revision}, {time.monotonic() - begun:.1f} s")


def test_kill_at_random_instants():
    run_crashes(find_program())


if __name__ == "__main__":
    run_crashes(find_program(sys.argv[1] if len(sys.argv) > 1 else None))
