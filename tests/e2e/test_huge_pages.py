"""Huge pages: what a node has of them, what pods may have, and file systems of them. The machine keeps some for the time of these tests."""
import json
import pathlib

import pytest

from cluster import Cluster, busybox_image, python_image, wait_for
from manifests import pod

KEPT = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
PAGES, MI = 16, 1 << 20
MAP = """
import mmap, os, sys
with open("/pages/file", "w+b") as file:
    os.ftruncate(file.fileno(), int(sys.argv[1]) << 20)
    try:
        memory = mmap.mmap(file.fileno(), int(sys.argv[1]) << 20)
    except OSError as error:
        sys.exit(print(error.strerror) or 3)
    memory[:5] = b"huge!"
    print(memory[:5].decode(), open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read().strip())
"""


@pytest.fixture(scope="module")
def kept():
    """How many pages the machine keeps meanwhile."""
    if not KEPT.exists():
        pytest.skip("the kernel has no huge pages of 2 MiB")
    before = KEPT.read_text()
    KEPT.write_text(str(int(before) + PAGES))
    count = int(KEPT.read_text())
    if count < int(before) + PAGES:
        KEPT.write_text(before)
        pytest.skip(f"the machine has no {PAGES} huge pages in one piece")
    yield count
    KEPT.write_text(before)


@pytest.fixture(scope="module")
def huge(kept):
    with Cluster() as cluster:
        cluster.import_image(busybox_image(), "estiba/busybox:test")
        cluster.import_image(python_image(), "estiba/python:test")
        cluster.start()
        cluster.ns = "huge"
        cluster.kubectl("create", "namespace", "huge")
        yield cluster


def using(name, amount, medium="HugePages", size=4, **more):
    return pod(name, "python3", "-c", MAP, str(size), image="estiba/python:test", restartPolicy="Never", volumes=[{"name": "p", "emptyDir": {"medium": medium}}],
               volumeMounts=[{"name": "p", "mountPath": "/pages"}], resources={"limits": {"hugepages-2Mi": amount, "memory": "64Mi"}}, **more)


def test_the_node_offers_its_pages(huge, kept):
    status = huge.get("nodes", "node-1")["status"]
    assert status["capacity"]["hugepages-2Mi"] == status["allocatable"]["hugepages-2Mi"] == f"{2 * kept}Mi"
    # They are nobody else's memory.
    amounts = [int(status[part]["memory"].removesuffix("Ki")) for part in ("capacity", "allocatable")]
    sizes = [folder.name.removeprefix("hugepages-").removesuffix("kB") for folder in KEPT.parent.parent.iterdir()]
    assert amounts[0] - amounts[1] == sum(int(size) * int((KEPT.parent.parent / f"hugepages-{size}kB/nr_hugepages").read_text()) for size in sizes)


@pytest.mark.parametrize("medium", ["HugePages", "HugePages-2Mi"])
def test_a_pod_maps_pages_of_its_volume(huge, kept, medium):
    name = medium.lower()
    huge.apply(using(name, "8Mi", medium), pod(f"{name}-look", "sh", "-c", "grep ' /pages ' /proc/mounts", restartPolicy="Never", image="estiba/busybox:test",
                                             volumes=[{"name": "p", "emptyDir": {"medium": medium}}], volumeMounts=[{"name": "p", "mountPath": "/pages"}],
                                             resources={"limits": {"hugepages-2Mi": "2Mi", "memory": "64Mi"}}))
    assert huge.wait_ended(name)["status"]["phase"] == "Succeeded", huge.k("logs", name)
    word, free = huge.k("logs", name).split()
    assert word == "huge!" and int(free) < kept
    huge.wait_ended(f"{name}-look")
    assert huge.k("logs", f"{name}-look").split()[:3] == ["hugetlbfs", "/pages", "hugetlbfs"] and "pagesize=2M" in huge.k("logs", f"{name}-look")
    huge.k("delete", "pod", name, f"{name}-look")
    wait_for("the pages to be free again", lambda: int((KEPT.parent / "free_hugepages").read_text()) == kept)


def test_more_than_its_limit_is_refused_where_the_kernel_counts(huge, kept):
    huge.apply(using("greedy", "2Mi", size=6))
    ended = huge.wait_ended("greedy")
    controllers = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    counted = "hugetlb" in controllers.read_text() if controllers.exists() else any(
        line.split()[2] == "cgroup" and "hugetlb" in line.split()[3].split(",") for line in open("/proc/mounts"))
    logs = huge.k("logs", "greedy").strip()
    assert (ended["status"]["phase"], logs) == (("Failed", "Cannot allocate memory") if counted else ("Succeeded", logs))
    if not counted:
        assert logs.startswith("huge! ") and "huge pages of containers are not limited" in huge.log_path.read_text()


def test_what_cannot_be_is_told(huge, kept):
    everything = pod("everything", resources={"limits": {"hugepages-2Mi": f"{2 * kept + 2}Mi", "memory": "64Mi"}})
    placed = json.loads(json.dumps(everything))
    placed["metadata"]["name"], placed["spec"]["nodeName"] = "placed", "node-1"
    without = pod("without", volumes=[{"name": "p", "emptyDir": {"medium": "HugePages"}}], volumeMounts=[{"name": "p", "mountPath": "/pages"}])
    other = using("other", "2Mi", "HugePages-1Gi")
    huge.apply(everything, placed, without, other)
    wait_for("the scheduler's word", lambda: "Insufficient hugepages-2Mi" in huge.pod("everything")["status"].get("conditions", [{}])[0].get("message", ""))
    assert huge.wait_ended("placed")["status"]["reason"] == "OutOfhugepages-2Mi"
    for name, medium in (("without", "HugePages"), ("other", "HugePages-1Gi")):
        wait_for("the event", lambda: f"medium {medium}: hugePages storage requested, but there is no resource request for huge pages" in
                 huge.k("get", "events", "--field-selector", f"involvedObject.name={name},reason=FailedMount"))
