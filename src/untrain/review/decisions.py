"""The decisions of a review: every one is written at once to the review file, which several windows may share."""

import datetime
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from untrain.detection import Answer, ReviewFile


class Decisions:
    """The answers of a review file, as they are at this moment.

    A change is written before it is acknowledged: the file is replaced atomically and flushed to the disk. Before that
    it is read again if somebody else has changed it, and the directory is locked meanwhile, so that two servers and a
    spreadsheet can work on one file.

    Args:
        path: of the review file.

    Raises:
        InputError: see `ReviewFile.read`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._version = ""
        self._file = self._read()

    @property
    def file(self) -> ReviewFile:
        """The review file as it is now.

        Raises:
            InputError: somebody has changed it into something else.
        """
        with self._lock:
            if _signature(self._path) != self._version:
                self._file = self._read()
            return self._file

    @property
    def version(self) -> str:
        """Changes whenever the file does."""
        with self._lock:
            return self._version if self.file else ""

    def decide(self, answers: Mapping[str, Answer], new_rows: Mapping[str, Mapping[str, str]]) -> None:
        """Write answers; the time is added here, and what is known of a conflict stays.

        Args:
            answers: by id.
            new_rows: cells by column of those ids that the file may not have yet.

        Raises:
            InputError: the file cannot be written or was changed into something else; nothing is changed then.
        """
        with self._lock, _locked(self._path.parent):
            file = self.file
            now = _now(file.answers)
            stamped = {
                name: answer._replace(
                    conflict=file.answers.get(name, Answer()).conflict, decided=now if answer.wrong else ""
                )
                for name, answer in answers.items()
            }
            changed = file.with_answers(stamped, new_rows)
            changed.write()
            self._file, self._version = changed, _signature(self._path)

    def _read(self) -> ReviewFile:
        self._version = _signature(self._path)
        return ReviewFile.read(self._path)


def _now(answers: Mapping[str, Answer]) -> str:
    """The time as a text, later than that of every answer, so that their order is known."""
    now = datetime.datetime.now(datetime.UTC)
    latest = max((moment for answer in answers.values() if (moment := moment_of(answer))), default=now)
    step = datetime.timedelta(milliseconds=1)
    return max(now, latest + step).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(answer: Answer) -> datetime.datetime | None:
    """When the answer was given, or None where that cannot be known."""
    if not answer.decided:
        return None
    try:
        moment = datetime.datetime.fromisoformat(answer.decided)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _signature(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "none"
    return f"{state.st_mtime_ns}-{state.st_ino}-{state.st_size}"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory, so that other processes that write to it wait."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
