"""Doing jobs on a Ray cluster (https://docs.ray.io): no shared disk is needed.

A worker reads configuration and data itself and is sent the files that its job reads; results come back as bytes, and
this process stores them. A job whose worker or node was lost is tried again.
"""

import functools
import os
import signal
import socket
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from untrain.core.extras import extra
from untrain.core.files import write_file
from untrain.errors import ConfigError, InterruptedRunError, UntrainError, first_line
from untrain.experiments.config import parse, to_toml
from untrain.experiments.executors.attempts import Executor, Outcome
from untrain.experiments.executors.processes import use_one_thread
from untrain.experiments.work import Job, SomeWork

TRIES = 3
"""A job whose workers were lost so many times ends the run: it may need more memory than there is."""

_Setup = tuple[type[SomeWork], str, str | None, str, tuple[tuple[str, str], ...]]
"""Kind of work, configuration, directory of the data, device, and the basis that a worker must share."""


@contextmanager
def on_ray(work: SomeWork, workers: int | None, address: str | None) -> Iterator[Executor]:
    """Attempt jobs on a Ray cluster, one CPU or one GPU each.

    Args:
        work: experiment that the jobs belong to. Every worker has untrain and the data, below the same directory.
        workers: most jobs that are done at once; default all that the cluster has room for.
        address: of the cluster, as `ray.init` takes it; default one that runs on this machine, or else a new one.

    Raises:
        NotSupportedError: the extra is not installed.
        ConfigError: there is no such cluster, it has no device of the type, or its versions or data differ.
        InterruptedRunError: the workers of a job were lost again and again.
    """
    # Ray must not send the working directory, another environment, or statistics of its use.
    os.environ |= {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    ray = extra("ray", "ray")
    _connect(ray, address)
    try:
        needed = "GPU" if work.device_type == "cuda" else "CPU"
        room = int(ray.cluster_resources().get(needed, 0))
        if not room:
            raise ConfigError(f"The Ray cluster has no {needed}: choose another --ray-address or --device")
        workers = min(workers or room, room)
        yield Executor(workers, _Tasks(ray, work, workers).attempts)
    finally:
        ray.shutdown()


def _connect(ray: ModuleType, address: str | None) -> None:
    on_stop = signal.getsignal(signal.SIGTERM)
    try:
        if address is not None and address not in ("auto", "local"):
            _reach(address)
        ray.init(address, log_to_driver=False, logging_level="error", include_dashboard=False)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise ConfigError(f"There is no Ray cluster {where} that can be used: {first_line(error)}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_stop)  # Ray puts its own in this place


def _reach(address: str) -> None:
    """Make sure that something answers; Ray would try for minutes.

    Raises:
        OSError, ValueError: nothing does, or it is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), 10).close()


class _Tasks:
    """Jobs of one work as tasks of a cluster."""

    def __init__(self, ray: ModuleType, work: SomeWork, workers: int) -> None:
        self.ray, self.work, self.workers = ray, work, workers
        basis = tuple(work.basis.items())
        setup: _Setup = (type(work), to_toml(work.experiment), work.data_dir, work.device, basis)
        self.setup = ray.put(setup)
        # Lost workers are counted here: Ray would retry without an end where memory is short.
        options = {"num_cpus": 1, "num_gpus": int(work.device_type == "cuda"), "max_retries": 0}
        self.task = ray.remote(**options)(_make)
        self.lost: Counter[Job] = Counter()

    def attempts(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """See `Executor`."""
        waiting, running = deque(jobs), dict[object, Job]()
        sent = dict[Job, object]()
        while waiting or running:
            while waiting and len(running) < self.workers:
                job = waiting.popleft()
                if self.work.done(job):
                    yield job, Outcome.THERE
                    continue
                needs = self.work.needs(job)
                for needed in needs:
                    if needed not in sent:
                        sent[needed] = self.ray.put(self.work.path(needed).read_bytes())
                running[self.task.remote(self.setup, job, needs, *(sent[needed] for needed in needs))] = job
            finished, _ = self.ray.wait(list(running)) if running else ([], [])
            for reference in finished:
                job = running.pop(reference)
                yield job, self._outcome(reference, job)

    def _outcome(self, reference: object, job: Job) -> Outcome:
        try:
            content = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UntrainError):
                raise error.cause from None
            raise
        except self.ray.exceptions.RayError as error:
            self.lost[job] += 1
            if self.lost[job] == TRIES:
                raise InterruptedRunError(
                    f"{TRIES} workers were lost over {job.title}, perhaps for lack of memory. Finished jobs are kept: "
                    f"run the same command again (Ray says: {first_line(error)})"
                ) from error
            return Outcome.NOT_YET
        self.work.keep(job, content)
        return Outcome.DONE


def _make(setup: _Setup, job: Job, needs: Sequence[Job], *contents: bytes) -> bytes:
    """Do a job in a worker, in a directory that holds the files that it reads."""
    use_one_thread()
    work = _work(setup)
    with tempfile.TemporaryDirectory() as directory:
        work.directory = Path(directory)
        for needed, content in zip(needs, contents, strict=True):
            write_file(work.path(needed), content)
        made: bytes = work.make(job)
    return made


@functools.lru_cache(1)
def _work(setup: _Setup) -> SomeWork:
    """The work of a worker, which reads its data once.

    Raises:
        ConfigError: versions, type of device or data differ from those of the run.
    """
    kind, experiment, data_dir, device, basis = setup
    work: SomeWork = kind(parse(experiment, "the experiment").resolved(), Path(), data_dir, device)
    if difference := work.difference(dict(basis)):
        raise ConfigError(f"The run has {difference} on a worker: install the same on every machine of the cluster")
    return work
