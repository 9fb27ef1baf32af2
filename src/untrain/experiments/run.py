"""Running an experiment: finished jobs are kept, missing ones are done, results are made from what is stored.

`run_experiment` begins or continues a run and writes its results. `work_on` helps: any number of processes and machines
may do jobs of one run directory, and the last one writes the results.
"""

import fcntl
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import torch

from untrain.core.environment import processor_kind
from untrain.core.files import check_writable, sweep, toml_text, unwritable, write_file
from untrain.errors import ConfigError, ContinuedWarning, InterruptedRunError
from untrain.experiments.comparison.results import comparison_results
from untrain.experiments.comparison.work import ComparisonWork
from untrain.experiments.config import (
    AnyExperiment,
    BaseExperiment,
    Experiment,
    differences,
    parse,
    read_text,
    to_toml,
)
from untrain.experiments.executors.attempts import Executor
from untrain.experiments.executors.claims import claimed, sweep_claims
from untrain.experiments.executors.processes import available_cores, in_processes, one_thread
from untrain.experiments.jobs import PAUSE, Progress, Share, do_missing
from untrain.experiments.mislabel.results import mislabel_results
from untrain.experiments.mislabel.work import MislabelWork
from untrain.experiments.work import SomeWork
from untrain.report.html import write_report
from untrain.report.results import Results, results_text

_ENVIRONMENT = "environment.toml"


def run_experiment(
    experiment: AnyExperiment,
    directory: str | Path,
    *,
    data_dir: str | Path | None = None,
    workers: int | None = None,
    device: str | None = None,
    executor: Literal["processes", "ray"] = "processes",
    ray_address: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Results:
    """Run an experiment in a directory, or continue it there, and write `results.json` and `report.html`.

    Args:
        experiment: the experiment.
        directory: directory of the run; it is made if it is missing.
        data_dir: directory of the parquet data; default the environment variable `UNTRAIN_DATA`.
        workers: number of processes; default one per core, or one on a GPU. On Ray, most jobs at once; default all that
            the cluster has room for.
        device: `cpu` or `cuda`; default a GPU if there is one.
        executor: `processes` of this machine, or `ray` for the workers of a Ray cluster (extra `ray`).
        ray_address: address of the cluster; default one that runs on this machine, or else a new one.
        progress: called at the start and after each job.

    Returns:
        The results, as `results.json` holds them.

    Raises:
        ConfigError: the directory holds a run of another configuration, or another process has begun or continued it.
        InputError: the data are missing or cannot be used.
        InterruptedRunError: the run was stopped; the same call continues it.
    """
    _check_workers(workers)
    with _prepared(experiment, Path(directory), data_dir, device) as work:
        with _stoppable(work), _executor(work, workers, executor, ray_address) as where:
            do_missing(work, where, progress)
        return _write_results(work)


def prepare_run(
    experiment: AnyExperiment,
    directory: str | Path,
    *,
    data_dir: str | Path | None = None,
    device: str | None = None,
) -> None:
    """Write the configuration of a run, and do none of its jobs: `work_on` does them, in any number of processes.

    The device must be of the type on which the jobs will be done, since the engine is measured on it.

    Args:
        experiment: the experiment.
        directory: directory of the run; it is made if it is missing.
        data_dir: directory of the parquet data; default the environment variable `UNTRAIN_DATA`.
        device: `cpu` or `cuda`; default a GPU if there is one.

    Raises:
        ConfigError: the directory holds a run of another configuration, or another process has begun or continued it.
        InputError: the data are missing or cannot be used.
    """
    with _prepared(experiment, Path(directory), data_dir, device):
        pass


def work_on(
    directory: str | Path,
    *,
    data_dir: str | Path | None = None,
    workers: int = 1,
    device: str | None = None,
    share: Share | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Do jobs of a run until all are done, beside any number of other processes that call this.

    Each process claims a job before it does it, takes over what others left, and waits where they do what is missing.
    The last one writes `results.json` and `report.html`.

    Args:
        directory: directory of the run, on a disk that all processes share.
        data_dir: directory of the parquet data; default the environment variable `UNTRAIN_DATA`.
        workers: number of processes that this one starts; 1 computes in this process.
        device: `cpu`, `cuda` or `cuda:1`; default a GPU if there is one.
        share: a fixed part of the jobs, instead of claims; the first share writes the results.
        progress: called at the start, after each job, and while this process waits.

    Raises:
        ConfigError: the directory holds no run, or one that was begun with other versions, data or type of device; or
            `workers` is below 1.
        InputError: the data are missing or cannot be used.
        InterruptedRunError: this was stopped, or a worker process died; the same call continues.
    """
    _check_workers(workers)
    directory = Path(directory)
    path = directory / "experiment.toml"
    if not path.is_file():
        raise ConfigError(
            f"{directory} holds no run: `untrain run EXPERIMENT --out {directory} --workers 0` begins one"
        )
    _check_folders(directory)
    work = _work(parse(read_text(path), str(path)), directory, data_dir, device)
    work.check()
    if (directory / _ENVIRONMENT).is_file() and (difference := _difference(work)):
        raise ConfigError(f"{directory} was begun with {difference} here: use the same, or let `untrain run` go on")
    _tell_processors(work)
    with _stoppable(work):
        with in_processes(work, workers, claims=share is None) as executor:
            do_missing(work, executor, progress, share)
        while (share is None or share.number == 1) and not _is_written(work):
            with claimed(directory / "results.json") as ours:
                if ours:
                    if not _is_written(work):  # as another process may have done just before this claim
                        _write_results(work)
                    return
            time.sleep(PAUSE)


@contextmanager
def _prepared(
    experiment: AnyExperiment, directory: Path, data_dir: str | Path | None, device: str | None
) -> Iterator[ComparisonWork | MislabelWork]:
    """The work of a run whose configuration is stored; no other process begins or continues it meanwhile."""
    work = _work(experiment, directory, data_dir, device)
    work.check()
    with _locked(directory):
        _configure(work)
        _tell_processors(work)
        yield work


def _executor(
    work: SomeWork, workers: int | None, executor: str, ray_address: str | None
) -> AbstractContextManager[Executor]:
    if executor == "ray":
        from untrain.experiments.executors.ray import on_ray

        return on_ray(work, workers, ray_address)
    return in_processes(work, workers or (1 if work.device_type == "cuda" else available_cores()), claims=True)


@contextmanager
def _stoppable(work: SomeWork) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"Stopped. Finished jobs are kept in {work.directory}: run the same command again to continue"
        ) from None


def _write_results(work: ComparisonWork | MislabelWork) -> Results:
    results = comparison_results(work) if isinstance(work, ComparisonWork) else mislabel_results(work)
    write_file(work.directory / "results.json", results_text(results))
    write_report(work.directory)
    sweep_claims(work.directory)
    return results


def _is_written(work: SomeWork) -> bool:
    """Whether the report was written after every job."""
    report = work.directory / "report.html"
    newest: int = max(work.path(job).stat().st_mtime_ns for job in work.jobs())
    return report.is_file() and report.stat().st_mtime_ns >= newest


def _device(name: str | None) -> str:
    """The device of this name, if it is here; without a name a GPU if there is one.

    Raises:
        ConfigError: it is not.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{number}" for number in range(gpus))]
    if name is not None and name not in known:
        raise ConfigError(f"There is no device {name!r} here; device (--device) is one of {', '.join(known)}.")
    return name or ("cuda" if gpus else "cpu")


def _work(
    experiment: AnyExperiment, directory: Path, data_dir: str | Path | None, device: str | None
) -> ComparisonWork | MislabelWork:
    device = _device(device)
    data_dir = None if data_dir is None else str(data_dir)
    if isinstance(experiment, Experiment):
        return ComparisonWork(experiment.resolved(), directory, data_dir, device)
    return MislabelWork(experiment.resolved(), directory, data_dir, device)


def _check_workers(workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise ConfigError(f"A run needs at least one worker, got {workers}.")


def _check_folders(directory: Path) -> None:
    for folder in (directory, *directory.glob("*"), *directory.glob("*/*")):
        if folder == directory or folder.is_dir():
            check_writable(folder)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the directory of a run; the lock ends with the process, however it ends."""
    _check_folders(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / ".lock").open("a")
    except OSError as error:
        raise unwritable(directory, error) from error
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
        _note_environment(work)
        write_file(path, to_toml(work.experiment))
    stored = type(work).stored(work.directory, work.data_dir, work.device).experiment
    if different := differences(stored, _with_measured(work.experiment, stored)):
        raise ConfigError(
            f"{work.directory} holds a run of another configuration (there and here: {different[0]}): "
            "choose another --out"
        )
    work.experiment = stored
    _note_environment(work)


def _note_environment(work: SomeWork) -> None:
    """Store what other processes must share, and warn if it is no longer that with which the run was begun."""
    path = work.directory / _ENVIRONMENT
    if not path.is_file():
        write_file(path, toml_text(work.basis))
    elif difference := _difference(work):
        warnings.warn(
            f"{work.directory} was begun with {difference} here. Finished jobs do not fit, so all are done again.",
            ContinuedWarning,
            stacklevel=5,
        )
        write_file(path, toml_text(work.basis))


def _difference(work: SomeWork) -> str | None:
    """In what this process differs from the one that began the run, in words; None if in nothing that counts."""
    path = work.directory / _ENVIRONMENT
    try:
        begun = msgspec.toml.decode(read_text(path), type=dict[str, str])
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; delete it, and continue with `untrain run`") from error
    return work.difference(begun)


def _tell_processors(work: SomeWork) -> None:
    """Warn if finished jobs were done on another kind of processor than this."""
    kind = processor_kind(work.device)
    others = {other: count for other, count in work.processors().items() if other != kind}
    if others:
        done = " and ".join(f"{count} on {other}" for other, count in others.items())
        warnings.warn(
            f"Jobs of {work.directory} were done elsewhere: {done}; this is {kind}. Results in float32 depend on the "
            "processor in their last bits, so the report will say that kinds are mixed.",
            ContinuedWarning,
            stacklevel=3,
        )


def _check_new(directory: Path) -> None:
    sweep(directory, ["experiment.toml", _ENVIRONMENT])
    if others := sorted(file.name for file in directory.iterdir() if file.name not in (".lock", _ENVIRONMENT)):
        raise ConfigError(f"{directory} is not the directory of a run, it holds {others[0]}: choose another --out")


def _with_measured(experiment: BaseExperiment, stored: BaseExperiment) -> BaseExperiment:
    """The experiment with what was measured when the stored run began."""
    if isinstance(experiment, Experiment) and isinstance(stored, Experiment) and experiment.engine is None:
        return msgspec.structs.replace(experiment, engine=stored.engine)
    return experiment
