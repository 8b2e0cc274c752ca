"""Runs inside the machine: swap on a RAM disk, and a node that gives pods some of it; exits with 0 when they have what --swap-behavior says."""
import json
import os
import pathlib
import subprocess

from limits import MIB, expect, group_of, pod, support

SWAP_KIB = 65536


def machine(name):
    """A line of /proc/meminfo in bytes."""
    return next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith(f"{name}:"))


def swap_on():
    modules = pathlib.Path(os.environ.get("ESTIBA_CACHE", pathlib.Path.home() / ".cache/estiba")) / "qemu/root/lib/modules"
    disk = next(modules.glob("*/kernel/drivers/block/brd.ko"))
    subprocess.run(["busybox", "insmod", disk, "rd_nr=1", f"rd_size={SWAP_KIB}"], check=True)
    for command in ("mkswap", "swapon"):
        subprocess.run([f"/usr/sbin/{command}", "/dev/ram0"], check=True, stdout=subprocess.DEVNULL)


def node(cluster, path=""):
    return cluster.kubectl("get", "--raw", f"/api/v1/nodes/node-1{path}")


def main():
    swap_on()
    with support.Cluster() as cluster:
        cluster.flags["swap-behavior"] = "LimitedSwap"
        cluster.import_image(support.busybox_image(), "estiba/busybox:test")
        try:
            cluster.start(wait=False)
            cluster.wait_ready(90)
            cluster.ns = "default"
            support.wait_for("the default service account", lambda: cluster.kubectl("get", "serviceaccount", "default", "--ignore-not-found"), 60)
            assert json.loads(node(cluster))["status"]["nodeInfo"]["swap"] == {"capacity": machine("SwapTotal")}
            hold = "x=$(head -c 8000000 /dev/zero | tr '\\0' a); while true; do sleep 1111; done"
            cluster.apply(pod("bursts", hold, {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}}),
                          pod("open", "sleep 2222", {"requests": {"memory": "32Mi"}}),
                          pod("even", "sleep 3333", {"requests": {"memory": "32Mi"}, "limits": {"memory": "32Mi"}}),
                          pod("best", "sleep 4444", {}))
            for name in ("bursts", "open", "even", "best"):
                cluster.wait_running(name, 90)
            share = lambda asked: str(asked * MIB * machine("SwapTotal") // machine("MemTotal") // 4096 * 4096)
            groups = {name: group_of(script) for name, script in (("bursts", "sleep 1111"), ("open", "sleep 2222"), ("even", "sleep 3333"), ("best", "sleep 4444"))}
            for name, limit in (("bursts", share(64)), ("open", share(32)), ("even", "0"), ("best", "0")):
                expect(groups[name] / "memory.swap.max", limit)
                expect(groups[name].parent / "memory.swap.max", "max")
            # What has been swapped is told.
            support.wait_for("the memory to be filled", lambda: int((groups["bursts"] / "memory.current").read_text()) > 6 * MIB, 60)
            try:
                (groups["bursts"] / "memory.reclaim").write_text(str(MIB))
            except BlockingIOError:
                pass  # less than that was reclaimed
            used = int((groups["bursts"] / "memory.swap.current").read_text())
            assert used > 0, "nothing was swapped"
            summary = json.loads(node(cluster, "/proxy/stats/summary"))
            shown = {one["podRef"]["name"]: one["containers"][0]["swap"] for one in summary["pods"]}
            print(json.dumps(shown), json.dumps(summary["node"]["swap"]))
            assert shown["bursts"]["swapUsageBytes"] > 0 and shown["bursts"]["swapUsageBytes"] + shown["bursts"]["swapAvailableBytes"] == int(share(64))
            assert (shown["best"]["swapUsageBytes"], shown["best"]["swapAvailableBytes"]) == (0, 0)
            assert summary["node"]["swap"]["swapUsageBytes"] > 0
            metrics = node(cluster, "/proxy/metrics/resource")
            row = next(line for line in metrics.splitlines() if line.startswith('container_swap_limit_bytes{container="main",namespace="default",pod="bursts"}'))
            assert row.split()[1] == share(64), row
            assert {line.split("{")[0].split()[0] for line in metrics.splitlines() if "_swap_" in line and not line.startswith("#")} == {
                "container_swap_limit_bytes", "container_swap_usage_bytes", "node_swap_usage_bytes", "pod_swap_usage_bytes"}
            # It stays while the container runs: of other resources a resize is made, of memory it is not.
            now = cluster.pod("bursts")
            now["spec"]["containers"][0]["resources"]["requests"]["memory"] = "80Mi"
            cluster.kubectl("replace", "--raw", "/api/v1/namespaces/default/pods/bursts/resize", "-f", "-", input=json.dumps(now))
            cluster.wait_pod("bursts", lambda p: any(c["type"] == "PodResizePending" and (c["reason"], c["message"]) == ("Infeasible", "In-place resize of containers with swap is not supported.")
                                                     for c in p["status"].get("conditions", [])), "the resize to be refused")
            expect(groups["bursts"] / "memory.swap.max", share(64))
        except BaseException:
            print(cluster.log())
            raise


main()
