"""What `benchmarks/unfinished.py` prints of a run is what the run's results say once it is finished."""

import runpy
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from tests.docs.blocks import ROOT
from tests.experiments.runs import compared
from tests.experiments.tiny import tiny
from untrain.core.files import read_metadata
from untrain.report import ComparisonResults
from untrain.report.table import interval, number


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ComparisonResults]:
    """A run that took two chunks, and its results."""
    directory = tmp_path_factory.mktemp("run")
    experiment = msgspec.structs.replace(tiny(), forget=(0.1,), models=4, chunk=2)
    return directory, compared(experiment, directory)


def printed(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", ["unfinished.py", str(run)])
    runpy.run_path(str(ROOT / "benchmarks" / "unfinished.py"), run_name="__main__")
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    return {line[0].strip("`"): line[1:] for line in lines[2:]}


def test_a_finished_run_is_shown_as_its_results_are(
    run: tuple[Path, ComparisonResults], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, results = run
    shown = printed(directory, monkeypatch, capsys)
    assert {row.method for row in results.rows} == {*shown} - {"retrained", "original"}
    for row in results.rows:
        accuracies = [row.retain_accuracy, row.test_accuracy, row.forget_accuracy]
        assert shown[row.method] == [
            number(row.final_score, 4),
            interval(row.memory_left, 2),
            *(number(value, 1) for value in accuracies),
            number(row.seconds_per_model, 1),
        ]


def test_what_is_missing_is_left_out(
    run: tuple[Path, ComparisonResults],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = shutil.copytree(run[0], tmp_path / "part")
    before = printed(part, monkeypatch, capsys)
    for path in part.glob("populations/*/*.safetensors"):
        if read_metadata(path).get("method") == "finetune":
            path.unlink()
    after = printed(part, monkeypatch, capsys)
    assert after == {name: line for name, line in before.items() if name != "finetune"}
    for path in part.glob("populations/*/00002-00004.safetensors"):
        path.unlink()
    assert printed(part, monkeypatch, capsys)["retrain"][1] == number(None, 2)  # two models are too few for memory left
