"""Work done in children that are forked from this process, so that a crash, a hang or a kill is seen and costs little.

This process imports what the work needs and computes nothing: a thread pool that had been started would be missing in
its children.
"""

import gc
import json
import mmap
import os
import re
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from untrain.errors import UntrainError

T = TypeVar("T")

_CRASH = 70
"""Exit status of a child whose work raised what nobody caught."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: exit status, or less than 0: the signal.
        out: what it printed.
        err: what it printed as errors.
        answer: what its work returned, as JSON has it; None if it did not return.
        seconds: that it took.
        hung: whether it was stopped since it took too long.
    """

    code: int
    out: str
    err: str
    answer: Any
    seconds: float
    hung: bool

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


class Watch:
    """Events of which an audit hook was told; it cannot be taken away again, so it is for children."""

    def __init__(self, *names: str) -> None:
        self.seen: list[str] = []
        self._names = names

    def install(self) -> None:
        """Listen from now on."""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in self._names:
            self.seen.append(f"{event} {arguments!r:.80}")


class Counter:
    """A number that a child sets and its parent reads, even after the child is dead."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def value(self) -> int:
        """The number."""
        return int(struct.unpack("q", self._memory[:])[0])

    @value.setter
    def value(self, number: int) -> None:
        self._memory[:] = struct.pack("q", number)


def run(
    work: Callable[[], Any],
    *,
    limit: float = 120.0,
    kill_after: float | None = None,
    memory: int | None = None,
    alive: Counter | None = None,
) -> Ended:
    """Do something in a child.

    Args:
        work: returns what JSON can hold; SystemExit ends the child with its code.
        limit: seconds after which it counts as hung and is stopped.
        kill_after: seconds after which it is killed, however far it is.
        memory: bytes that it may have beyond what it starts with.
        alive: while this number changes, the limit starts anew.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as answer:
        sys.stdout.flush()
        sys.stderr.flush()
        start = time.monotonic()
        child = os.fork()
        if not child:
            _be_child(work, (out.fileno(), err.fileno(), answer.fileno()), memory)
        hung = _wait(child, start, limit, kill_after, alive)
        _, status = os.waitpid(child, 0)
        seconds = time.monotonic() - start
        texts = []
        for file in (out, err, answer):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
    returned = json.loads(texts[2]) if texts[2] else None
    return Ended(os.waitstatus_to_exitcode(status), texts[0], texts[1], returned, seconds, hung)


def _wait(child: int, start: float, limit: float, kill_after: float | None, alive: Counter | None) -> bool:
    """Wait until a child has ended, or end it; whether it hung."""
    descriptor = os.pidfd_open(child)
    try:
        seen = alive.value if alive else 0
        deadline = start + (limit if kill_after is None else kill_after)
        while True:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if ready:
                return False
            if alive and alive.value != seen:
                seen, deadline = alive.value, time.monotonic() + limit
                continue
            os.kill(child, signal.SIGKILL)
            return kill_after is None
    finally:
        os.close(descriptor)


def _be_child(work: Callable[[], Any], streams: tuple[int, int, int], memory: int | None) -> None:
    code = _CRASH
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, stream in enumerate(streams[:2], 1):
            os.dup2(stream, number)
        if memory is not None:
            limit = _size() + memory
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        # Streams that a test runner has put in place are not those of a command.
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        try:
            answer = json.dumps(work())
            os.write(streams[2], answer.encode())
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 (a child never returns)
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _size() -> int:
    """Bytes of address space of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def each(
    items: Sequence[T],
    attempt: Callable[[T], Any],
    *,
    begin: Callable[[], None] = lambda: None,
    limit: float = 10.0,
    memory: int | None = None,
) -> list[Any]:
    """What `attempt` says of each of many items, in one child as long as it lives.

    Args:
        items: may be anything.
        attempt: returns what JSON can hold.
        begin: is called first in each child.
        limit: seconds an item.
        memory: bytes that the child may have beyond what it starts with.

    Returns:
        For each item what `attempt` returned; `crash: ...` or `hang` where the child died.
    """
    found: list[Any] = []
    place = Counter()
    while len(found) < len(items):
        with tempfile.TemporaryFile() as lines:

            def work(first: int = len(found), descriptor: int = lines.fileno()) -> None:
                begin()
                for number in range(first, len(items)):
                    place.value = number
                    os.write(descriptor, json.dumps(attempt(items[number])).encode() + b"\n")

            ended = run(work, limit=limit, memory=memory, alive=place)
            lines.seek(0)
            found += [json.loads(line) for line in lines]
        if len(found) < len(items):
            found.append("hang" if ended.hung else f"crash: {ended.code}, {ended.err.strip().splitlines()[-1:]}")
    return found


def verdict(work: Callable[[], object]) -> str:
    """`accepted`, `refused` with an error of untrain's, or else what came.

    Returns:
        One of the two words, or a text that begins with `untidy`, if the error is not one line, or with `other`.
    """
    try:
        work()
    except UntrainError as error:
        return "refused" if "\n" not in str(error) else f"untidy: {tidy(str(error))[:160]}"
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        where = traceback.extract_tb(error.__traceback__)
        last = next((frame for frame in reversed(where) if "/untrain/" in frame.filename), where[-1])
        place = f"{os.path.basename(last.filename)}:{last.lineno}"
        return f"other: {type(error).__name__} at {place}: {tidy(str(error))[:120]}"
    return "accepted"


def tidy(text: str) -> str:
    """A text in which what differs from one run to the next, and what cannot be printed, is written out."""
    plain = text.encode("unicode_escape").decode("ascii")
    return re.sub(r"/\S*/reliability\d*/", "TMP/", plain)


def settle() -> None:
    """Leave nothing that was made so far to the garbage collectors of children, which would copy all of it."""
    gc.collect()
    gc.freeze()


def peak() -> int:
    """Bytes that this process had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
