"""A comparison of almost nothing, whose jobs take long enough to be hit and whose clocks tell the same in every run."""

import contextlib
import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from untrain.core.files import Arrays
from untrain.experiments import jobs
from untrain.experiments.comparison import work as comparison
from untrain.experiments.comparison.work import ComparisonJob, ComparisonWork, RankingJob
from untrain.experiments.config import Experiment, parse
from untrain.population.engine import seconds_of

TINY = """name = "tiny"
title = "Almost nothing"
methods = ["finetune"]
forget = [0.05, 0.1]
models = 3
chunk = 1
data = { limit = 200 }
model = { name = "mlp", widths = [4] }
recipe = { epochs = 1, batch_size = 32, optimizer = { name = "sgd", lr = 0.1 } }
engine = { width = 1 }
"""
CLOCK = "untrain.experiments.comparison.work.seconds_of"
JOBS = 1 + 2 * (1 + 3 * 3) + 2 * 2 + 2


def tiny() -> Experiment:
    experiment = parse(TINY, "tiny")
    assert isinstance(experiment, Experiment)
    return experiment


class Slow(ComparisonWork):
    """Takes its time for each job and has no real clock. One job dies of each file `TRAP` that it finds and removes."""

    def _make(self, job: ComparisonJob) -> tuple[Arrays, dict[str, str]]:
        count = itertools.count()
        vars(comparison)["seconds_of"] = lambda _: float(next(count))
        if trap := os.environ.get("TRAP"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(trap)
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        return super()._make(job)


class Deadly(ComparisonWork):
    """Kills its process at the last stage."""

    def _make(self, job: ComparisonJob) -> tuple[Arrays, dict[str, str]]:
        if isinstance(job, RankingJob):
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._make(job)


def files(run: Path) -> dict[str, bytes]:
    """What a run left, hidden files included, but not what NFS keeps of removed files while they are open."""
    ignored = (".lock", ".nfs*")
    paths = (path for path in run.rglob("*") if path.is_file() and not any(map(path.match, ignored)))
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def results(run: Path) -> list[Path]:
    """The files of finished jobs."""
    return sorted(run.rglob("[!.]*.safetensors"))


def small_report(run: Path) -> None:
    """Instead of `write_report`, which takes seconds."""
    (run / "report.html").write_text("report")


def run_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this test, jobs can be hit, clocks tell the same in every run, and reports are small."""
    monkeypatch.setattr(jobs, "PAUSE", 0.05)
    monkeypatch.setattr(CLOCK, seconds_of)  # put back after the test
    monkeypatch.setattr("untrain.experiments.run.ComparisonWork", Slow)
    monkeypatch.setattr("untrain.experiments.run.write_report", small_report)
