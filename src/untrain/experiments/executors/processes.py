"""Doing jobs: in this process, or in worker processes of one thread each.

Processes use the cores of a shared machine better than threads do. The numbers of a job do not depend on the
process that does it.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from untrain.errors import InterruptedRunError
from untrain.experiments.executors.attempts import Executor, Outcome, attempt
from untrain.experiments.work import Job, SomeWork

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STOPS = (signal.SIGINT, signal.SIGTERM)
_work: SomeWork | None = None


def available_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread and repeatable kernels, as workers do, so that the numbers are the same."""
    import torch

    before = torch.get_num_threads(), torch.backends.cudnn.deterministic
    use_one_thread()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.deterministic = before[1]


def use_one_thread() -> None:
    """Compute with one thread and repeatable kernels from now on."""
    import torch

    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic = True


@contextmanager
def in_processes(work: SomeWork, workers: int, *, claims: bool) -> Iterator[Executor]:
    """Attempt jobs in processes; results that are stored before an interruption are kept.

    Args:
        work: experiment that the jobs belong to; worker processes read it from its directory, and the data themselves.
        workers: number of processes; 1 computes in this process.
        claims: whether each job is claimed first, since other processes work in the directory.

    Raises:
        InterruptedRunError: a worker process died.
    """
    if workers == 1:
        with one_thread():
            yield Executor(1, lambda jobs: ((job, attempt(work, job, claims=claims)) for job in jobs))
        return
    # A worker is sent the names of directories alone. More than a pipe holds would block the start, for ever if the
    # worker dies before it has read everything.
    origin = type(work), work.directory, work.data_dir, work.device
    context = multiprocessing.get_context("spawn")
    with _environment_of_one_thread(), ProcessPoolExecutor(workers, context, _start_worker, origin) as pool:
        processes: list[BaseProcess] = []

        def attempts(jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
            with _stops_deferred():  # a process that is stopped while it starts would print a traceback
                waiting = {pool.submit(_attempt, job, claims): job for job in jobs}
                processes[:] = (pool._processes or {}).values()
            for future in as_completed(waiting):
                yield waiting[future], future.result()

        try:
            yield Executor(workers, attempts)
        except BaseException as error:
            for process in processes:  # one that has not started yet ignores milder signals
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, BrokenProcessPool):
                raise
            raise InterruptedRunError(
                "A worker process died, perhaps for lack of memory. Finished jobs are kept: run the same command again "
                "(a script that calls this needs `if __name__ == '__main__':`, or workers=1)"
            ) from error


def _attempt(job: Job, claims: bool) -> Outcome:
    assert _work is not None  # noqa: S101 (set when the worker started)
    return attempt(_work, job, claims=claims)


def _start_worker(kind: type[SomeWork], directory: Path, data_dir: str | None, device: str) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it receives the same signal
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)  # inherited from the parent's start
    threading.Thread(target=_die_with_parent, daemon=True).start()
    use_one_thread()
    _work = kind.stored(directory, data_dir, device)


@contextmanager
def _stops_deferred() -> Iterator[None]:
    """Delay signals that stop the program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with_parent() -> None:
    """Exit when the parent ends: a parent that was killed cannot stop its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment_of_one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
