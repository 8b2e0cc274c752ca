"""How many pods a second the scheduler places in a cluster of 5,000 nodes, by what they ask: tests/programs/scheduler_bench.cpp, one thread,
with an API in memory instead of a server."""
import json

from measure import program, support

NODES = 5000
WORKLOADS = (  # name, what it is called, pods, goal
    ("basic", "pods that ask for resources alone", 5000, "13,500 /s"),
    ("node-affinity", "with required node affinity", 5000, "11,000 /s"),
    ("spread", "spread over zones", 5000, "4,250 /s"),
    ("anti-affinity", "one a host", 2000, "3,000 /s"),
    ("pod-affinity", "near their like", 5000, "1,750 /s"),
    ("preemption", "in a full cluster, by preemption", 1000, "8,000 /s"),
)


def measure(table):
    path = program("scheduler_bench")
    for name, what, pods, goal in WORKLOADS:
        runs = [json.loads(support.run([path, f"--workload={name}", f"--nodes={NODES}", f"--pods={pods}"]).stdout) for _ in range(3)]
        table.add(f"{NODES:,} nodes, {what}", [run["pods"] / run["seconds"] for run in runs], "/s", goal)
