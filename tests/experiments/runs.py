"""Runs of experiments: to the end, stopped on the way, or in another process that is watched."""

import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import ModuleType

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


def start(work: Callable[[], object]) -> ForkProcess:
    """Do something in a process that starts at once, since it has everything that this one imported."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def as_script(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Workers that are started by this test begin with a script, as if it had called what the test calls."""
    script = ModuleType("__main__")
    script.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "__main__", script)


def wait_for(what: Callable[[], object]) -> None:
    """Wait until something is true; two minutes at most."""
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.002)
