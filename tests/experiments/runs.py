"""Runs of experiments: to the end, stopped on the way, or watched from another process."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from untrain.errors import InterruptedRunError
from untrain.experiments import Progress, run_experiment
from untrain.experiments.config import Experiment
from untrain.report import ComparisonResults


def compared(experiment: Experiment, directory: Path) -> ComparisonResults:
    """The results of a comparison by one process."""
    results = run_experiment(experiment, directory, workers=1)
    assert isinstance(results, ComparisonResults)
    return results


def stopped(experiment: Experiment, directory: Path, when: Callable[[Progress], bool]) -> None:
    """Run by one process until `when` is true, and stop as by Ctrl-C."""

    def stop(progress: Progress) -> None:
        if when(progress):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="run the same command again"):
        run_experiment(experiment, directory, workers=1, progress=stop)


def wait_for(what: Callable[[], object]) -> None:
    """Wait until something is true; two minutes at most."""
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.002)
