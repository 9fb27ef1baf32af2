"""How far a long computation is, told to whoever listens; no function passes a callable along for it.

Work is counted in passes of one example through one model, forwards and backwards. Whoever knows what is coming plans
it, whoever does it advances. What is planned and not done when its part ends is skipped, as a training that has
converged early; what is done beyond it is not counted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[float, float], None]
"""Called with the work that is done and all that is planned."""


class _Course:
    """The work that a listener is told of."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.total = self.done = self.limit = 0.0

    def plan(self, work: float) -> None:
        if self.limit == self.total:  # what happens within a part was planned with it
            self.total += work
            self.limit = self.total

    def move(self, done: float) -> None:
        """Go on to what is done in all, within the present part."""
        done = min(done, self.limit)
        if done > self.done:
            self.done = done
            self._listener(done, self.total)


_course: ContextVar[_Course | None] = ContextVar("course", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` called from within."""
    token = _course.set(_Course(listener))
    try:
        yield
    finally:
        _course.reset(token)


def plan(work: float) -> None:
    """Announce work that is going to be done."""
    course = _course.get()
    if course is not None:
        course.plan(work)


def advance(work: float) -> None:
    """Tell the listener, if there is one, that work was done.

    >>> told = []
    >>> with listening(lambda *numbers: told.append(numbers)):
    ...     plan(4)
    ...     advance(1)
    ...     with part(2):
    ...         advance(0.5)
    >>> told
    [(1.0, 4.0), (1.5, 4.0), (3.0, 4.0)]
    """
    course = _course.get()
    if course is not None:
        course.move(course.done + work)


@contextmanager
def part(work: float) -> Iterator[None]:
    """Do a part of what was planned: when it ends, that much is done, whatever was advanced within."""
    course = _course.get()
    if course is None:
        yield
        return
    outer, end = course.limit, min(course.done + work, course.limit)
    course.limit = end
    try:
        yield
    finally:
        course.limit = outer
        course.move(end)
