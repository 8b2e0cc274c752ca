"""2,000 pods made and deleted, 20 at a time: what is left behind of processes, mounts, namespaces, groups, interfaces, nftables elements,
descriptors and memory."""
import os
import time

from measure import running_cluster
import soak  # tests/support/soak.py, which measure has made reachable

COUNT = int(os.environ.get("ESTIBA_SOAK", "2000"))
AT_ONCE = 20


def measure(table):
    with running_cluster() as cluster:
        soak.prepare(cluster)
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
