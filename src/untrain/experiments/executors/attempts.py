"""What executors have in common: a job is attempted, and they tell what came of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum

from untrain.experiments.executors.claims import claimed
from untrain.experiments.work import Job, SomeWork


class Outcome(Enum):
    """What came of an attempt to do a job."""

    DONE = "done"
    """It was done here."""
    THERE = "there"
    """Its result was there."""
    NOT_YET = "not yet"
    """Another process does it, or the worker that did it was lost."""


@dataclass(frozen=True)
class Executor:
    """Where jobs are done.

    Attributes:
        workers: number of jobs that are done at once.
        attempts: from jobs that are independent of each other to an attempt at each, in any order.
    """

    workers: int
    attempts: Callable[[Sequence[Job]], Iterator[tuple[Job, Outcome]]]


def attempt(work: SomeWork, job: Job, *, claims: bool) -> Outcome:
    """Do a job unless its result is there or another process has claimed it.

    Args:
        work: experiment that the job belongs to.
        job: to be done.
        claims: whether to claim it first; without claims, somebody else must make sure that no two processes do it.

    Raises:
        UntrainError: what went wrong and in which job.
    """
    if work.done(job):
        return Outcome.THERE
    with claimed(work.path(job)) if claims else nullcontext(True) as ours:
        if not ours:
            return Outcome.NOT_YET
        if work.done(job):
            return Outcome.THERE
        work.do(job)
    return Outcome.DONE
