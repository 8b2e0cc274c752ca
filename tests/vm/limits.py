"""Runs inside the machine: a cluster with pods that have limits; exits with 0 when the kernel's files say what the manifests do."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cluster as support  # noqa: E402

GROUPS = pathlib.Path("/sys/fs/cgroup")
MIB = 1 << 20


def pod(name, script, resources):

    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "main", "image": "estiba/busybox:test", "command": ["/bin/sh", "-c", script], "resources": resources}]}}


def group_of(script):
    """The folder of the group whose process runs `script`."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and script in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
            path = (entry / "cgroup").read_text().strip().removeprefix("0::")
            if "estiba" in path:
                return GROUPS / path.lstrip("/")
    raise AssertionError(f"no process in a control group runs {script!r}")


def expect(path, value):
    seen = path.read_text().strip()
    print(f"{path}: {seen}")
    assert seen == value, f"{path} is {seen}, not {value}"


def main():
    assert (GROUPS / "cgroup.controllers").exists(), "no cgroup version 2"
    pathlib.Path("/proc/sys/vm/nr_hugepages").write_text("8")
    with support.Cluster() as cluster:
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        try:
            print(f"the server is ready after {cluster.start():.2f} s")
            cluster.ns = "default"
            support.wait_for("the default service account", lambda: cluster.kubectl("get", "serviceaccount", "default", "--ignore-not-found"), 30)
            cluster.apply(pod("limited", "sleep 1234", {"requests": {"cpu": "250m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "48Mi"}}),
                          pod("pages", "sleep 4321", {"limits": {"memory": "16Mi", "hugepages-2Mi": "4Mi"}}),
                          pod("greedy", "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done", {"limits": {"memory": "24Mi"}}))
            cluster.wait_running("limited", 60)
            group = group_of("sleep 1234")
            expect(group / "memory.max", str(48 * MIB))
            expect(group / "cpu.max", "50000 100000")
            expect(group / "cpu.weight", "10")  # 250m: 256 shares
            assert int((group / "memory.current").read_text()) > 0
            # Reservations are counted, too; a pod that asks for no pages gets none of any size, and says so in its own group.
            cluster.wait_running("pages", 60)
            pages = group_of("sleep 4321")
            for place in (pages, pages.parent):
                for file in ("max", "rsvd.max"):
                    expect(place / f"hugetlb.2MB.{file}", str(4 * MIB))
                    expect(place / f"hugetlb.1GB.{file}", "0")
                    expect(group.parent / f"hugetlb.2MB.{file}", "0")
            ended = cluster.wait_ended("greedy", 60)["status"]["containerStatuses"][0]["state"]["terminated"]
            print(json.dumps(ended))
            assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137), ended
            assert cluster.pod("limited")["status"]["phase"] == "Running"
            cluster.k("delete", "pod", "limited", "greedy", "pages")
            support.wait_for("the group's removal", lambda: not group.exists(), 20)
        except BaseException:
            print(cluster.log())
            raise


if __name__ == "__main__":
    main()
