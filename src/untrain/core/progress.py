"""How far a long computation is, told to whoever listens; no function passes a callable along for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
"""Called with the parts that are done and the number of all."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` called from within."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def advance(done: int, total: int) -> None:
    """Tell the listener, if there is one, how many parts are done.

    >>> told = []
    >>> with listening(lambda *parts: told.append(parts)):
    ...     advance(1, 3)
    >>> told
    [(1, 3)]
    """
    listener = _listener.get()
    if listener is not None:
        listener(done, total)
