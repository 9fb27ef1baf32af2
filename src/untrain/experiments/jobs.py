"""Doing the missing jobs of a run, stage by stage, and telling how far they are."""

import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from untrain.core.files import look_again
from untrain.errors import ConfigError
from untrain.experiments.executors.attempts import Executor, Outcome
from untrain.experiments.work import Job, SomeWork

PAUSE = 2.0
"""Seconds after which jobs that other processes do are looked at again."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: number of finished jobs, including those of earlier runs and of other processes.
        total: number of all jobs.
        seconds_left: estimated time left, None before there is an estimate.
        doing: the job that was finished last, in words.
    """

    done: int
    total: int
    seconds_left: float | None
    doing: str


@dataclass(frozen=True)
class Share:
    """A fixed part of the jobs: every process does its own, without claims. The whole is one share of one.

    Attributes:
        number: which part, from 1.
        count: number of parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """A share as `3/8`.

        Raises:
            ConfigError: it is not one.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ConfigError(f"A share is a number and how many there are, such as 3/8; got {text!r}")
        return cls(int(number), int(count))

    def of(self, jobs: Sequence[Job]) -> set[Job]:
        """The jobs of this share; each share has about as many of every pace."""
        return set(sorted(jobs, key=lambda job: job.pace)[self.number - 1 :: self.count])


def do_missing(
    work: SomeWork, executor: Executor, progress: Callable[[Progress], None], share: Share | None = None
) -> None:
    """Do every job whose result is not there, and what follows from results; return when all are there.

    Args:
        work: experiment that the jobs belong to.
        executor: attempts jobs.
        progress: called at the start and after each job.
        share: part of the jobs that is done here; other processes do the others.

    Raises:
        UntrainError: what went wrong and in which job.
        InterruptedRunError: a worker process died.
    """
    missing = _missing(work)
    while True:
        _do(work, missing, executor, progress, share or Share())
        if not (missing := _missing(work)):
            return


def _missing(work: SomeWork) -> list[list[Job]]:
    """The jobs of each stage that are not done."""
    return [stage for jobs in work.stages() if (stage := [job for job in jobs if not work.done(job)])]


def _do(
    work: SomeWork, stages: list[list[Job]], executor: Executor, progress: Callable[[Progress], None], share: Share
) -> None:
    jobs = work.jobs()
    mine = share.of(jobs)
    clock = _Clock(work, executor.workers, list(itertools.chain.from_iterable(stages)))

    def report(doing: str) -> None:
        clock.look()
        progress(Progress(len(jobs) - len(clock.left), len(jobs), clock.seconds_left(), doing))

    report("starting")
    for waiting in stages:
        while waiting:
            for job, outcome in executor.attempts([job for job in waiting if job in mine]):
                if outcome is Outcome.DONE:
                    clock.finish(job)
                if outcome is not Outcome.NOT_YET:
                    report(job.title)
            look_again(map(work.path, waiting))
            waiting = [job for job in waiting if not work.done(job)]
            if waiting:
                report(f"waiting for {waiting[0].title}")
                time.sleep(PAUSE)


class _Clock:
    """Estimates the time left from the jobs of the same pace that were finished here, and from the share of others."""

    def __init__(self, work: SomeWork, workers: int, jobs: Sequence[Job]) -> None:
        self.work, self.workers, self.jobs, self.left = work, workers, jobs, list(jobs)
        self.last = [time.monotonic()] * workers
        self.taken: dict[str, list[float]] = defaultdict(list)

    def finish(self, job: Job) -> None:
        """Note that a job was finished here."""
        now = time.monotonic()
        # Workers are not distinguished: the job is taken to have begun when the longest-running worker did.
        self.taken[job.pace].append(now - self.last.pop(0))
        self.last.append(now)

    def look(self) -> None:
        """Find out what is left: other processes finish jobs, too."""
        self.left = [job for job in self.left if not self.work.path(job).is_file()]

    def seconds_left(self) -> float | None:
        """None before there is an estimate."""
        if not self.taken:
            return None
        means = {pace: statistics.fmean(seconds) for pace, seconds in self.taken.items()}
        here = list(itertools.chain.from_iterable(self.taken.values()))
        alone = sum(means.get(job.pace, statistics.fmean(here)) for job in self.left) / self.workers
        return alone * len(here) / max(len(here), len(self.jobs) - len(self.left))
