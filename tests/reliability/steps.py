"""Every call by which Python changes the file system below a folder: counted, and one of them made to fail or be fatal.

Files are written through `open`, so what is opened for writing gets a raw file of this module, whose `write` is what
would be the system call. What a library writes by calls of its own is not seen; untrain hands bytes to Python.
"""

import builtins
import io
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.children import Counter

Fault = Callable[[int, str], str]
"""From the number of a call and what it does to `go`, or `half`: write half of it; `die`: the same, and be killed."""

_CALLS = {
    "mkdir": "mkdir", "unlink": "unlink", "remove": "unlink", "rmdir": "rmdir", "rename": "rename", "replace": "rename",
}  # fmt: skip


def go_on(number: int, call: str) -> str:
    """Nothing goes wrong."""
    return "go"


class Steps:
    """Counts the calls of this process from `install` on, and lets a fault decide about each.

    Args:
        root: calls outside it are not counted.
        fault: what is to go wrong.
        reached: is set to the number of each call before it is made.
    """

    def __init__(self, root: Path, fault: Fault, reached: Counter | None = None) -> None:
        self.root, self.fault, self.reached = os.path.realpath(root), fault, reached
        self.names: list[str] = []

    def at(self, call: str, path: Any) -> str:
        """Note a call, and what is to become of it."""
        real = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.path.abspath(os.fsdecode(path))
        if not f"{real}/".startswith(f"{self.root}/"):
            return "go"
        self.names.append(f"{call} {re.sub(r'[.][0-9a-f]+[.]tmp', '.TOKEN.tmp', os.path.relpath(real, self.root))}")
        if self.reached is not None:
            self.reached.value = len(self.names)
        return self.fault(len(self.names), call)

    def install(self) -> None:
        """Put this between the process and its file system, for good: a child does it."""
        for name, call in _CALLS.items():
            setattr(os, name, self._guarded(getattr(os, name), call))
        plain = os.fsync

        def fsync(fd: Any) -> None:
            self.at("fsync", fd if isinstance(fd, int) else fd.fileno())
            plain(fd)

        os.fsync = fsync
        builtins.open = io.open = self._open(io.open)

    def _guarded(self, plain: Callable[..., Any], call: str) -> Callable[..., Any]:
        def guarded(path: Any, *more: Any, **named: Any) -> Any:
            # What stands in a folder that is removed as a whole comes by its name in an open folder.
            folder = named.get("dir_fd")
            self.at(call, path if folder is None else os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path))
            return plain(path, *more, **named)

        return guarded

    def _open(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wxa+"):
                return plain(file, mode, *more, **named)
            self.at("open", file)
            raw = _Raw(self, file, mode.replace("b", "").replace("t", ""), named.get("opener"))
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, named.get("encoding") or "utf-8")

        return opened


class _Raw(io.FileIO):
    """A file whose every write is a step."""

    def __init__(self, steps: Steps, file: Any, mode: str, opener: Any) -> None:
        super().__init__(file, mode, opener=opener)
        self._steps, self._path, self._mode = steps, os.fsdecode(file), mode

    def write(self, data: Any) -> int:
        done = self._steps.at("write", self._path)
        if done == "go":
            return super().write(data)
        written = super().write(memoryview(data)[: len(data) // 2])
        if done == "die":
            die()
        return written

    def fileno(self) -> int:
        # Pillow would write past Python where it is given a descriptor; it opens for reading, too, as nobody else does.
        if "+" in self._mode:
            raise io.UnsupportedOperation("fileno")
        return super().fileno()


def die() -> None:
    """Be killed, as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
