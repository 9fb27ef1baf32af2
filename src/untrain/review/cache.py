"""What is made once and kept beside the review: thumbnails and features."""

import contextlib
import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

NAME = "pictures.sqlite"
FILES = (NAME, f"{NAME}-journal")
"""Files of the cache in the directory of the review."""


class Cache:
    """Bytes by name in one file. A file that is damaged, or of other data, is made anew.

    Args:
        directory: of the review; where nothing can be written, the cache lives in memory.
        digest: of the data that the bytes are made from.
    """

    def __init__(self, directory: Path, digest: str) -> None:
        self._lock = threading.Lock()
        path = directory / NAME
        try:
            self._database = _opened(str(path), digest)
        except sqlite3.Error:
            with contextlib.suppress(OSError):
                path.unlink()
            try:
                self._database = _opened(str(path), digest)
            except sqlite3.Error:
                self._database = _opened(":memory:", digest)
        weakref.finalize(self, self._database.close)

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The bytes of this name; they are made at the first call."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            row = self._database.execute("SELECT content FROM made WHERE name = ?", (name,)).fetchone()
            if row is not None:
                return bytes(row[0])
        content = make()
        with self._lock, contextlib.suppress(sqlite3.Error), self._database:
            self._database.execute("INSERT OR REPLACE INTO made VALUES (?, ?)", (name, content))
        return content

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _opened(path: str, digest: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, timeout=5)
    try:
        database.execute("PRAGMA synchronous = OFF")  # what a crash of the machine takes is made again
        database.execute("CREATE TABLE IF NOT EXISTS made (name TEXT PRIMARY KEY, content BLOB NOT NULL)")
        row = database.execute("SELECT content FROM made WHERE name = 'digest'").fetchone()
        if row is None or row[0] != digest.encode():
            with database:
                database.execute("DELETE FROM made")
                database.execute("INSERT INTO made VALUES ('digest', ?)", (digest.encode(),))
    except sqlite3.Error:
        database.close()
        raise
    return database
