"""Running an experiment: what is done is kept, what is missing is done, results are made from what is stored."""

import fcntl
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from untrain.core.files import check_writable, sweep, write_file
from untrain.errors import ConfigError, InputError, InterruptedRunError
from untrain.experiments.comparison.results import comparison_results
from untrain.experiments.comparison.work import ComparisonWork
from untrain.experiments.config import AnyExperiment, Declared, Experiment, differences, parse, read_text, to_toml
from untrain.experiments.executors.processes import available_cores, do_jobs, one_thread
from untrain.experiments.mislabel.results import mislabel_results
from untrain.experiments.mislabel.work import MislabelWork
from untrain.experiments.work import Job, Work


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: finished pieces of work, those of earlier runs included.
        total: all pieces.
        seconds_left: an estimate, None before there is one.
        doing: a few words.
    """

    done: int
    total: int
    seconds_left: float | None
    doing: str


def run_experiment(
    experiment: AnyExperiment,
    directory: str | Path,
    *,
    data_dir: str | Path | None = None,
    workers: int | None = None,
    device: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Run an experiment in a directory, or continue it there, and write `results.json` and `report.html`.

    Args:
        experiment: what to do.
        directory: of the run; made if it is not there.
        data_dir: where parquet data lie; default the variable `UNTRAIN_DATA`.
        workers: processes; default one a core, one on a GPU.
        device: `cpu` or `cuda`; default a GPU if there is one.
        progress: called when work begins and after each piece.

    Returns:
        The content of `results.json`.

    Raises:
        ConfigError: the directory holds a run of another configuration, or another process works in it.
        InputError: the data are missing or not usable.
        InterruptedRunError: it was stopped; the same call continues it.
    """
    import torch

    directory = Path(directory)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    work = _work(experiment, directory, None if data_dir is None else str(data_dir), device)
    if workers is None:
        workers = 1 if work.kind == "cuda" else available_cores()
    if workers < 1:
        raise ConfigError(f"expected at least one worker, got {workers}")
    work.check()
    with _locked(directory):
        _settle(work)
        try:
            _do_missing(work, workers, progress)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"stopped; finished work is kept in {directory}, run the same command again"
            ) from None
        found = msgspec.json.encode(
            comparison_results(work) if isinstance(work, ComparisonWork) else mislabel_results(work)
        )
        write_file(directory / "results.json", msgspec.json.format(found, indent=1))
        from untrain.report import write_report

        write_report(directory)
    plain: dict[str, Any] = msgspec.json.decode(found)
    return plain


def _work(
    experiment: AnyExperiment, directory: Path, data_dir: str | None, device: str
) -> ComparisonWork | MislabelWork:
    if isinstance(experiment, Experiment):
        return ComparisonWork(experiment.resolved(), directory, data_dir, device)
    return MislabelWork(experiment.resolved(), directory, data_dir, device)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the run's directory; the lock ends with the process, however it ends."""
    for folder in (directory, *directory.glob("*"), *directory.glob("*/*")):
        if folder == directory or folder.is_dir():
            check_writable(folder)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / ".lock").open("a")
    except OSError as error:
        raise InputError(f"cannot write in {directory}: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another process works in {directory}: wait for it, or choose another --out") from None
        yield


def _settle(work: Work[Any, Any]) -> None:
    """Settle the configuration: that of the run that is there, or a new one, which is stored."""
    path = work.directory / "experiment.toml"
    if path.is_file():
        there = parse(read_text(path), str(path))
        work.experiment = _continued(work.experiment, there)
        if unlike := differences(there, work.experiment):
            raise ConfigError(
                f"{work.directory} holds a run of another configuration (there and asked: {unlike[0]}): "
                "choose another --out"
            )
        return
    sweep(work.directory, [path.name])
    if others := sorted(file.name for file in work.directory.iterdir() if file.name != ".lock"):
        raise ConfigError(f"expected an empty directory or that of a run, got {work.directory} with {others[0]}")
    with one_thread():
        work.experiment = work.settled()
    write_file(path, to_toml(work.experiment))


def _continued(asked: Declared, there: Declared) -> Declared:
    """What was asked for, with what was measured when the run began."""
    if isinstance(asked, Experiment) and isinstance(there, Experiment) and asked.engine is None:
        return msgspec.structs.replace(asked, engine=there.engine)
    return asked


def _do_missing(work: Work[Any, Any], workers: int, progress: Callable[[Progress], None]) -> None:
    jobs = work.jobs()
    missing = [job for job in jobs if not work.done(job)]
    clock = _Clock(workers, missing)

    def report(doing: str) -> None:
        progress(Progress(len(jobs) - len(clock.left), len(jobs), clock.seconds_left(), doing))

    def finished(job: Job) -> None:
        clock.finish(job)
        report(job.title)

    report("starting")
    for stage in sorted({job.stage for job in missing}):
        do_jobs(work, [job for job in missing if job.stage == stage], workers, finished)


class _Clock:
    """Estimates the time left: jobs of a method take about as long as those of it that are finished."""

    def __init__(self, workers: int, jobs: list[Job]) -> None:
        self.workers, self.left = workers, list(jobs)
        self.last = [time.monotonic()] * workers
        self.taken: dict[str, list[float]] = defaultdict(list)

    def finish(self, job: Job) -> None:
        self.left.remove(job)
        now = time.monotonic()
        # Workers are not told apart: whoever finished has been busy since the longest-waiting one began.
        self.taken[job.kind].append(now - self.last.pop(0))
        self.last.append(now)

    def seconds_left(self) -> float | None:
        known = [seconds for each in self.taken.values() for seconds in each]
        if not known:
            return None
        mean = sum(known) / len(known)
        of = {name: sum(each) / len(each) for name, each in self.taken.items()}
        return sum(of.get(job.kind, mean) for job in self.left) / self.workers
