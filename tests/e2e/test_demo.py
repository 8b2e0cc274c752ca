"""The demo is the main job: it must pass as a person runs it, with the oldest and the newest kubectl of the machine."""
import os
import subprocess

import pytest

import cluster as support


@pytest.mark.parametrize("kubectl", sorted({support.kubectls()[0], support.kubectls()[-1]}) if support.kubectls() else [])
def test_the_demo_passes_and_leaves_nothing(kubectl):
    environment = {**os.environ, "KUBECTL": kubectl, "ESTIBA_BIN": str(support.BIN)}
    result = subprocess.run(["/usr/bin/python3", support.ROOT / "examples/demo.py"], env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
    assert result.stdout.count("nothing is left behind") == 2 and ", 0 failed" in result.stdout
