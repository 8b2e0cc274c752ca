"""docs/conformance.md names tests that exist: ours in this tree, Kubernetes' in its list of conformance tests.

What concerns Kubernetes' list runs when the folder with the facts is there: $ESTIBA_REFERENCE, or shared/reference beside this repository.
"""
import os
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/conformance.md"
MARKS = r" \[(Privileged:ClusterAdmin|Serial|LinuxOnly|NodeConformance|Slow|Disruptive|Conformance|FeatureGate:\w+|MinimumKubeletVersion:[\d.]+)\]"


def rows():
    """(area, Kubernetes' test, ours, the suite's result) of the page's tables."""
    area = None
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            area = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if area and area.startswith("sig-") and line.startswith("| ") and len(cells) == 3 and cells[0] != "Kubernetes' test":
            yield area, *cells


def kubernetes_tests():
    for folder in (os.environ.get("ESTIBA_REFERENCE"), ROOT / "../shared/reference", ROOT / "../../shared/reference"):
        path = folder and Path(folder) / "kubernetes-1.36/conformance.yaml"
        if path and path.exists():
            return [test["codename"] for test in yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
    pytest.skip("the facts of Kubernetes are not here (ESTIBA_REFERENCE)")


def test_every_test_of_ours_exists():
    files = {path.name: path.read_text() for folder in ("tests", "src") for path in (ROOT / folder).rglob("*") if path.name.endswith((".py", "_test.cpp"))}
    named = [(cells[1], test) for cells in rows() for test in re.findall(r"`([^`]+)`", cells[2])]
    assert len(named) > 100
    for row, test in named:
        file, _, name = test.partition("::")
        assert file in files, (row, test)
        pattern = rf"^def {name}\(" if file.endswith(".py") else rf"^TEST(_F|_P)?\(\w+, {name}\)"
        assert re.search(pattern, files[file], re.M), (row, test)


def test_every_row_is_a_conformance_test_and_has_a_result():
    known = {re.sub(MARKS, "", name) for name in kubernetes_tests()}
    seen = set()
    for area, theirs, ours, result in rows():
        assert f"[{area}] {theirs}" in known, theirs
        assert (area, theirs) not in seen, theirs
        seen.add((area, theirs))
        assert "`" in ours and re.fullmatch(r"passed|\*\*failed\*\*.*|not run.*", result), theirs
    areas = ("sig-api-machinery", "sig-auth", "sig-instrumentation", "sig-cli", "sig-apps", "sig-network", "sig-node", "sig-scheduling", "sig-storage")
    whole = {name for name in known if name.startswith(tuple(f"[{area}]" for area in areas))}
    assert whole == {f"[{area}] {theirs}" for area, theirs in seen if area in areas}
