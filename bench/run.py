#!/usr/bin/env python3
"""./dev bench [--no-peers] [start|pods|memory|full-node|logs|soak|runtime|api|objects|network|scheduler|controllers|engine|engine-build|engine-images …]: measures and prints medians with their spread; bench/results/ keeps them.

Each benchmark makes a cluster in namespaces of its own. Nothing else should run on the machine meanwhile: the load at the end is
written down beside the numbers."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
os.environ.setdefault("ESTIBA_BIN", str(pathlib.Path(__file__).resolve().parent.parent / "build-release/bin"))
import api  # noqa: E402
import controllers  # noqa: E402
import engine  # noqa: E402
import engine_build  # noqa: E402
import engine_images  # noqa: E402
import measure  # noqa: E402
import network  # noqa: E402
import objects  # noqa: E402
import pods  # noqa: E402
import runtime  # noqa: E402
import scheduler  # noqa: E402
import soaking  # noqa: E402
import start  # noqa: E402

BENCHMARKS = {"start": start.measure, "pods": pods.measure, "memory": pods.measure_memory, "full-node": pods.measure_full_node,
              "logs": pods.measure_logs, "soak": soaking.measure, "runtime": runtime.measure, "api": api.measure, "objects": objects.measure,
              "network": network.measure, "scheduler": scheduler.measure, "controllers": controllers.measure, "engine": engine.measure, "engine-build": engine_build.measure, "engine-images": engine_images.measure}


def main():
    names = [name for name in sys.argv[1:] if name != "--no-peers"] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"bench: no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for name in names:
        table = measure.Table(name)
        print(f"== {name}", flush=True)
        BENCHMARKS[name](table, *([False] if "--no-peers" in sys.argv and name.startswith("engine") else []))
        table.write()
        print()
        print(table.text(), flush=True)


if __name__ == "__main__":
    main()
