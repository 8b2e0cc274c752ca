"""What depends on control groups, on a kernel with version 2 alone: one machine for all of it (tests/vm/run)."""
import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TESTS = pathlib.Path(os.environ.get("ESTIBA_BIN", ROOT / "build-release/bin")).resolve().parent / "tests"
PROGRAMS = ("os_test", "runtime_test", "engine_test", "image_test")
# What the machine's kernel cannot: every name here is a test that does not run on cgroup version 2.
LACKING = {
    "NetlinkTest.SetsMapsAndIntervalsOfNftables": "no inet and ip tables of nftables",
    "ContainerTest.TimeNamespaceWithOffset*": "no time namespaces",
}


@pytest.fixture(scope="module")
def output():
    """What the unit tests printed in the machine, by program."""
    missing = [name for name in PROGRAMS if not (TESTS / name).exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not built in {TESTS}: ninja -C build-release unit_tests")
    # ext4, because this kernel cannot mount a tmpfs with other ids.
    script = "cat /sys/fs/cgroup/cgroup.subtree_control /proc/mounts\ntruncate -s 900M /mnt/disk && mkfs.ext4 -qF /mnt/disk && mount -o loop /mnt/disk /tmp && stat -f -c 'below /tmp: %T' /tmp\n"
    for name in PROGRAMS:
        only = "*UserNamespace*:" if name == "image_test" else ""  # its others have nothing to do with control groups
        script += f"echo '== {name}'; {ROOT}/tests/isolate {TESTS / name} --gtest_color=no '--gtest_filter={only}-{':'.join(LACKING)}'; echo \"exit $?\"\n"
    done = subprocess.run([HERE / "run", "--timeout", "400", "sh", "-c", script], capture_output=True, text=True, timeout=450, cwd=ROOT)
    if "cannot be had" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    parts = re.split(r"^== (\w+)\n", done.stdout, flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


def test_the_machine_has_version_2_alone_with_its_controllers(output):
    assert {"cpu", "io", "memory", "pids"} <= set(output[""].splitlines()[0].split())
    assert " cgroup2 " in output[""] and " cgroup " not in output[""]
    assert "below /tmp: ext2/ext3" in output[""]


@pytest.mark.parametrize("program", PROGRAMS)
def test_unit_tests_pass_on_version_2(output, program):
    text = output[program]
    assert text.rstrip().endswith("exit 0"), text[-8000:]
    assert re.search(r"^\[  PASSED  \] \d+ tests?\b", text, re.M)
    # A test that skipped itself has shown nothing.
    assert "[  SKIPPED ]" not in text, text[-8000:]


@pytest.mark.skipif(not os.environ.get("ESTIBA_TEST_QEMU"), reason="an emulated machine takes a minute or more: ESTIBA_TEST_QEMU=1 runs it")
@pytest.mark.parametrize("script", ("limits.py", "swap.py"))
def test_pods_get_their_limits_on_version_2(script):
    done = subprocess.run([HERE / "run", "--kind", "qemu", "--timeout", "240", "python3", HERE / script], capture_output=True, text=True, timeout=320, cwd=ROOT)
    if "cannot be had" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
