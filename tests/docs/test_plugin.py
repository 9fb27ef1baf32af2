"""The example of a plug-in is built, installed beside untrain, and used by its names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

pytest.importorskip("hatchling", reason="hatchling builds the package: pip install 'untrain[dev]'")
USE = """
import untrain as un
from untrain.testing import check_method

check_method(un.build_method("shrink:strong"))
digits = un.split(un.load("digits", limit=300))
build = un.factory(un.MLP(widths=(16,)), (1, 8, 8), 10)
recipe = un.Recipe(optimizer=un.Adam(lr=3e-3), epochs=10)
model = un.Population.create(build, 1).train(digits.train, recipe)
done = un.forget(model, digits.train, digits.train.ids[:3], method="shrink", max_accuracy_drop=1.0)
print(done.record.applied.method)
noisy = un.mislabel(digits.train, un.symmetric_noise(10, 0.1))
suspects = un.detect(model, noisy.examples, scorer="disagreement", noise_ratio=0.1)
print(noisy.mislabelled[suspects.flagged].mean() > 0.5)
"""


def test_the_example_plugin_is_installed_and_used(tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
            "--target", str(target), str(ROOT / "examples" / "plugin"),
        ],
        check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    path = os.pathsep.join([str(target), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    listed = subprocess.run(
        [sys.executable, "-m", "untrain", "list"], check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert "example: shrunk weights" in listed
    assert "example: strongest other class" in listed
    used = subprocess.run(
        [sys.executable, "-c", USE], check=True, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert used.stdout.split() == ["shrink", "True"]
