"""2,000 pods made and deleted, 20 at a time: what is left behind of processes, mounts, namespaces, groups, interfaces, nftables elements,
descriptors and memory, at once and when their events and the history are gone (after five minutes)."""
import os
import time

from measure import running_cluster
import soak  # tests/support/soak.py, which measure has made reachable

COUNT = int(os.environ.get("ESTIBA_SOAK", "2000"))
AT_ONCE = 20


def measure(table):
    with running_cluster() as cluster:
        soak.prepare(cluster)
        soak.wave(cluster, [f"first-{n}" for n in range(AT_ONCE)])
        heap_before = soak.heap(cluster)
        begin, course = time.monotonic(), []

        def each(done):
            if done % 200 == 0:
                course.append(soak.memory(cluster))
                print(f"    {done} pods, server {course[-1]:.1f} MiB", flush=True)

        before, after, memory_before, memory_after = soak.soak(cluster, COUNT // AT_ONCE, AT_ONCE, each)
        table.add(f"pods made and deleted, {AT_ONCE} at a time", COUNT / (time.monotonic() - begin), "/s")
        for kind, count in after.items():
            table.add(f"{kind} left behind", count - before[kind], "", "0")
        table.add("memory (PSS) of the server before", memory_before, "MiB")
        table.add("memory (PSS) of the server after", memory_after, "MiB")
        table.add("  on the way, every 200 pods", course or [memory_after], "MiB")
        table.add("heap allocated before", heap_before, "MiB")
        table.add("heap allocated after", soak.heap(cluster), "MiB")
        table.add("  once events and history are gone", soak.forgotten(cluster, heap_before + 0.5), "MiB")
        time.sleep(25)  # two renewals of the node's Lease: memory is given back then
        table.add("  memory (PSS) of the server then", soak.memory(cluster), "MiB")
