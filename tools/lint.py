#!/usr/bin/env python3
"""Checks the tree's own rules: layers (layers.txt against every #include), line counts, and, with --headers, that every header
compiles alone. Prints one line a finding and exits with 1 if there is any."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
GENERATED = ("model/types/", "model/tables")  # made from the schemas at build time; they belong to model


def read_layers():
    layers = {}
    for line in (ROOT / "layers.txt").read_text().splitlines():
        if ":" in line and not line.startswith("#"):
            name, _, deps = line.partition(":")
            deps = deps.split()
            for dep in deps:
                if dep not in layers:
                    sys.exit(f"layers.txt: {name} names {dep}, which is not above it")
            layers[name] = set(deps) | {name}
    return layers


def layer_of(path, layers):
    """The longest layer name that is a prefix of a path relative to src/."""
    best = None
    for name in layers:
        if str(path).startswith(name + "/") and (best is None or len(name) > len(best)):
            best = name
    return best


def check_includes(layers):
    findings = []
    for file in sorted([*SRC.rglob("*.h"), *SRC.rglob("*.cpp")]):
        relative = file.relative_to(SRC)
        own = layer_of(relative, layers)
        if own is None:
            if relative != pathlib.Path("main.cpp"):
                findings.append(f"src/{relative}: its folder is no layer of layers.txt")
            continue
        test = file.name.endswith("_test.cpp")
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = layer_of(match.group(1), layers)
            if target is None:
                findings.append(f'src/{relative}:{number}: "{match.group(1)}" is in no layer; write the path from src/')
            elif target not in layers[own] and not test:
                findings.append(f"src/{relative}:{number}: {own} may not include {target} (layers.txt)")
    return findings


def check_lengths():
    findings = []
    for file in sorted([*SRC.rglob("*.h"), *SRC.rglob("*.cpp")]):
        count = len(file.read_text().splitlines())
        if count > 900:
            findings.append(f"{file.relative_to(ROOT)}: {count} lines; cut it where it naturally parts")
    return findings


def check_headers():
    """Compiles every header by itself, without the precompiled one. A stamp below build/lint/ with the header's dependencies
    beside it spares those of which nothing changed since they last compiled."""
    flags = ["-std=c++23", "-stdlib=libc++", "-fno-exceptions", "-fno-rtti", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wno-pragma-once-outside-header", "-xc++",
             f"-I{SRC}", f"-I{ROOT}/build/generated", f"-I{ROOT}/build-release/generated"]
    stamps = ROOT / "build" / "lint"
    own_time = pathlib.Path(__file__).stat().st_mtime_ns

    def unchanged(stamp, dependencies):
        try:
            checked = stamp.stat().st_mtime_ns
            names = dependencies.read_text().replace("\\\n", " ").split()[1:]
            return checked > own_time and all(os.stat(name).st_mtime_ns < checked for name in names)
        except OSError:
            return False

    def compile_one(header):
        stamp = stamps / header.relative_to(SRC).with_suffix(".checked")
        dependencies = stamp.with_suffix(".d")
        if unchanged(stamp, dependencies):
            return None
        stamp.parent.mkdir(parents=True, exist_ok=True)
        started = time.time_ns()
        result = subprocess.run(["clang++-22", *flags, "-MMD", "-MF", str(dependencies), str(header)], capture_output=True, text=True)
        if result.returncode:
            return f"{header.relative_to(ROOT)} does not compile alone:\n{result.stderr}"
        stamp.touch()
        os.utime(stamp, ns=(started, started))
        return None

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [finding for finding in pool.map(compile_one, sorted(SRC.rglob("*.h"))) if finding]


def main():
    findings = check_includes(read_layers()) + check_lengths()
    if "--headers" in sys.argv:
        findings += check_headers()
    print("\n".join(findings) if findings else "lint: layers and lengths are in order")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
