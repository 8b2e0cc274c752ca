#!/usr/bin/env python3
"""Writes what bench/results/*.json hold as the table of docs/performance.md, between its two markers."""
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
ORDER = ("start", "pods", "memory", "full-node", "logs", "soak", "runtime", "api", "objects", "network", "scheduler", "controllers", "engine", "engine-build", "engine-images")


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def main():
    lines = []
    for name in ORDER:
        path = ROOT / f"bench/results/{name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text())
        lines += [f"### `./dev bench {name}`", "", f"{result['machine']}.", "", "| | median | min – max | n | goal | others |", "|---|---:|---:|---:|---:|---|"]
        for row in result["rows"]:
            spread = f"{number(row['min'])} – {number(row['max'])}" if row["rounds"] > 1 else ""
            lines.append(f"| {row['what'].strip()} | {number(row['median'])} {row['unit']} | {spread} | {row['rounds']} | {row['goal']} | {row['others']} |")
        lines.append("")
    page = ROOT / "docs/performance.md"
    before, begin, rest = page.read_text().partition("<!-- results -->\n")
    _, end, after = rest.partition("<!-- end of results -->\n")
    page.write_text(before + begin + "\n" + "\n".join(lines) + end + after)


if __name__ == "__main__":
    main()
