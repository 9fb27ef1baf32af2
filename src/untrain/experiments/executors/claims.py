"""Claims: which process does a job, among any number of processes and machines that share a directory.

A claim is a file beside the job's result, created exclusively. Its holder renews its time of modification while it
works. A claim counts as abandoned when a process has looked at it for `EXPIRES` seconds by its own clock and saw no
renewal, or at once when its holder ran on this machine and its lock is free. Times of files are only ever compared with
earlier times of the same file, so the clocks of machines and of the file system may differ.

A claim saves work and protects nothing. Where two processes do the same job after all, because one was paused past its
claim or both saw the same claim expire, the first result stays, and the other is dropped: on the same kind of processor
it is the same.
"""

import contextlib
import errno
import fcntl
import functools
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from untrain.errors import InputError

EXPIRES = 120.0
"""Seconds without a renewal after which a claim is taken over; more than a network file system caches times."""

RENEWED = 15.0
"""Seconds between two renewals."""

_RELEASED = (errno.ENOENT, errno.ESTALE)
"""What a file system says of a file that another process removed a moment ago."""

_seen: dict[Path, tuple[tuple[int, int], float]] = {}
"""The last renewal of each claim of others, and when this process saw it first by its own clock."""


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the claim to make the file at `path`, if no other process holds it.

    Yields:
        Whether the claim is held.

    Raises:
        InputError: the file system refused, with its reason.
    """
    claim = path.with_name(f".{path.name}.claim")
    try:
        file = _created(claim)
        if file is None and not _is_held(claim):
            file = _created(claim)
    except OSError as error:
        raise InputError(f"{claim} cannot be created: {error.strerror or error}") from error
    if file is None:
        yield False
        return
    released = threading.Event()
    renewing = threading.Thread(target=_renew, args=(file, released), daemon=True)
    renewing.start()
    try:
        yield True
    finally:
        released.set()
        renewing.join()
        _release(claim, file)


def sweep_claims(directory: Path) -> None:
    """Remove the claims that killed processes left beside finished results."""
    for claim in directory.rglob(".*.claim"):
        claim.unlink(missing_ok=True)


def _created(claim: Path) -> int | None:
    """An open new claim, or None if there is one.

    It is locked before it says whose it is, so a claim of this machine that is not locked has lost its holder.
    """
    claim.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(claim, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    except FileExistsError:
        return None
    with contextlib.suppress(OSError):  # where a file system has no locks, time alone tells
        fcntl.flock(file, fcntl.LOCK_EX)
    os.write(file, json.dumps({"machine": _machine(), "host": platform.node(), "process": os.getpid()}).encode())
    return file


def _is_held(claim: Path) -> bool:
    """Whether a process holds a claim; one that was abandoned is removed."""
    try:
        with _opened(claim) as file:
            if not _is_abandoned(claim, file):
                return True
            _remove(claim, file)
    except OSError as error:
        if error.errno not in _RELEASED:
            raise
    return False


def _is_abandoned(claim: Path, file: int) -> bool:
    if _machine() in os.read(file, 4096).decode(errors="replace") and _is_unlocked(file):
        return True
    renewal, now = _renewal(file), time.monotonic()
    last, since = _seen.get(claim, (None, now))
    if renewal != last:
        _seen[claim] = renewal, now
    return renewal == last and now - since > EXPIRES


def _remove(claim: Path, file: int) -> None:
    """Remove a claim if it is still the open file, and not already that of another process."""
    with _opened(claim) as present:
        if _renewal(present) == _renewal(file):
            os.unlink(claim)


@contextmanager
def _opened(claim: Path) -> Iterator[int]:
    """An open claim: a network file system asks its server for the times of a file when it is opened."""
    file = os.open(claim, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        yield file
    finally:
        os.close(file)


def _renewal(file: int) -> tuple[int, int]:
    """Which file it is, and when it was renewed; a removed file's number may be given to the next one."""
    state = os.fstat(file)
    return state.st_ino, state.st_mtime_ns


def _is_unlocked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _renew(file: int, released: threading.Event) -> None:
    """Renew an open claim; one that was taken over is another file, which this does not touch."""
    while not released.wait(RENEWED):
        with contextlib.suppress(OSError):
            os.utime(file)


def _release(claim: Path, file: int) -> None:
    with contextlib.suppress(OSError):  # a network file system writes upon closing, to what may be removed
        try:
            _remove(claim, file)
        finally:
            os.close(file)


@functools.cache
def _machine() -> str:
    """The running system; two processes see each other's locks where it is the same."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
