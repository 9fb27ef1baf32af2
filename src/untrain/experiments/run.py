"""Running an experiment: finished jobs are kept, missing ones are done, results are made from what is stored."""

import fcntl
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from untrain.core.files import check_writable, sweep, write_file
from untrain.errors import ConfigError, InputError, InterruptedRunError
from untrain.experiments.comparison.results import comparison_results
from untrain.experiments.comparison.work import ComparisonWork
from untrain.experiments.config import AnyExperiment, BaseExperiment, Experiment, differences, to_toml
from untrain.experiments.executors.processes import available_cores, do_jobs, one_thread
from untrain.experiments.mislabel.results import mislabel_results
from untrain.experiments.mislabel.work import MislabelWork
from untrain.experiments.work import Job, SomeWork
from untrain.report.html import write_report
from untrain.report.results import Results, results_text


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: number of finished jobs, including those of earlier runs.
        total: number of all jobs.
        seconds_left: estimated time left, None before there is an estimate.
        doing: the job that was finished last, in words.
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
) -> Results:
    """Run an experiment in a directory, or continue it there, and write `results.json` and `report.html`.

    Args:
        experiment: the experiment.
        directory: directory of the run; it is made if it is missing.
        data_dir: directory of the parquet data; default the environment variable `UNTRAIN_DATA`.
        workers: number of processes; default one per core, or one on a GPU.
        device: `cpu` or `cuda`; default a GPU if there is one.
        progress: called at the start and after each job.

    Returns:
        The results, as `results.json` holds them.

    Raises:
        ConfigError: the directory holds a run of another configuration, or another process works in it.
        InputError: the data are missing or cannot be used.
        InterruptedRunError: the run was stopped; the same call continues it.
    """
    directory = Path(directory)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    work = _work(experiment, directory, None if data_dir is None else str(data_dir), device)
    if workers is None:
        workers = 1 if work.device_type == "cuda" else available_cores()
    if workers < 1:
        raise ConfigError(f"expected at least one worker, got {workers}")
    work.check()
    with _locked(directory):
        _configure(work)
        try:
            _do_all(work, workers, progress)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"Stopped. Finished jobs are kept in {directory}: run the same command again to continue"
            ) from None
        results = comparison_results(work) if isinstance(work, ComparisonWork) else mislabel_results(work)
        write_file(directory / "results.json", results_text(results))
        write_report(directory)
    return results


def _work(
    experiment: AnyExperiment, directory: Path, data_dir: str | None, device: str
) -> ComparisonWork | MislabelWork:
    if isinstance(experiment, Experiment):
        return ComparisonWork(experiment.resolved(), directory, data_dir, device)
    return MislabelWork(experiment.resolved(), directory, data_dir, device)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the directory of a run; the lock ends with the process, however it ends."""
    for folder in (directory, *directory.glob("*"), *directory.glob("*/*")):
        if folder == directory or folder.is_dir():
            check_writable(folder)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / ".lock").open("a")
    except OSError as error:
        raise InputError(f"{directory} cannot be written to: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"Another process works in {directory}: wait for it, or choose another --out") from None
        yield


def _configure(work: SomeWork) -> None:
    """Store the configuration of a new run, and take what the run holds; refuse another one.

    What is stored is what every worker reads: numbers have the types of their fields there, whoever wrote them.
    """
    path = work.directory / "experiment.toml"
    if not path.is_file():
        _check_new(work.directory)
        with one_thread():
            work.experiment = work.prepared()
        write_file(path, to_toml(work.experiment))
    stored = type(work).stored(work.directory, work.data_dir, work.device).experiment
    if different := differences(stored, _with_measured(work.experiment, stored)):
        raise ConfigError(
            f"{work.directory} holds a run of another configuration (there and here: {different[0]}): "
            "choose another --out"
        )
    work.experiment = stored


def _check_new(directory: Path) -> None:
    sweep(directory, ["experiment.toml"])
    if others := sorted(file.name for file in directory.iterdir() if file.name != ".lock"):
        raise ConfigError(f"{directory} is not the directory of a run, it holds {others[0]}: choose another --out")


def _with_measured(experiment: BaseExperiment, stored: BaseExperiment) -> BaseExperiment:
    """The experiment with what was measured when the stored run began."""
    if isinstance(experiment, Experiment) and isinstance(stored, Experiment) and experiment.engine is None:
        return msgspec.structs.replace(experiment, engine=stored.engine)
    return experiment


def _do_all(work: SomeWork, workers: int, progress: Callable[[Progress], None]) -> None:
    """Do what is missing, and then what follows from its results, if anything."""
    missing = _missing(work)
    while True:
        _do(work, missing, workers, progress)
        if not (missing := _missing(work)):
            return


def _missing(work: SomeWork) -> list[list[Job]]:
    """The jobs of each stage that are not done."""
    return [stage for jobs in work.stages() if (stage := [job for job in jobs if not work.done(job)])]


def _do(work: SomeWork, stages: list[list[Job]], workers: int, progress: Callable[[Progress], None]) -> None:
    total = len(work.jobs())
    clock = _Clock(workers, list(itertools.chain.from_iterable(stages)))

    def report(doing: str) -> None:
        progress(Progress(total - len(clock.left), total, clock.seconds_left(), doing))

    def finished(job: Job) -> None:
        clock.finish(job)
        report(job.title)

    report("starting")
    for jobs in stages:
        do_jobs(work, jobs, workers, finished)


class _Clock:
    """Estimates the time left from finished jobs of the same pace."""

    def __init__(self, workers: int, jobs: list[Job]) -> None:
        self.workers, self.left = workers, list(jobs)
        self.last = [time.monotonic()] * workers
        self.taken: dict[str, list[float]] = defaultdict(list)

    def finish(self, job: Job) -> None:
        self.left.remove(job)
        now = time.monotonic()
        # Workers are not distinguished: the job is taken to have begun when the longest-running worker did.
        self.taken[job.pace].append(now - self.last.pop(0))
        self.last.append(now)

    def seconds_left(self) -> float | None:
        if not self.taken:
            return None
        means = {pace: statistics.fmean(seconds) for pace, seconds in self.taken.items()}
        overall = statistics.fmean(itertools.chain.from_iterable(self.taken.values()))
        return sum(means.get(job.pace, overall) for job in self.left) / self.workers
