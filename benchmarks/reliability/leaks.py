"""What must not get out, and must not pile up: ids in records, connections, open files, threads, memory.

Who holds a directory of a request may not learn from it which examples were forgotten, unless he has the key and the
examples: no file may hold an id. No command but those that are given an address of a hub may open a connection or look
up a name. And a process that does the same many times may not hold more files and threads than after it did so once.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from reliability.children import run
from reliability.pickles import Watch
from reliability.rows import Row, Scale, counted
from reliability.verbs import VERBS, Verb, verb_of
from untrain.cli.main import main
from untrain.data import read_ids
from untrain.records import verify

_CALLS = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_REPEATED = ("detect", "repair", "forget", "convert", "sign", "report")
_MEMORY = 2**20
"""Bytes a round by which memory may grow: what the allocator keeps is not given back evenly."""


def leaks(scale: Scale, folder: Path, inputs: Path) -> Iterator[Row]:
    """Look for all of it."""
    yield _ids(inputs)
    yield _connections(folder / "connections", inputs)
    yield _repeated(folder / "repeated", inputs, scale.of(9, 60))


def _ids(inputs: Path) -> Row:
    """Ids in the files of two requests, as text in the usual encodings."""
    ids = [*read_ids(inputs / "ids.txt"), *read_ids(inputs / "more.txt")]
    files = [path for path in (inputs / "request").rglob("*") if path.is_file()]
    contents = {path: path.read_bytes() for path in files}
    found = [
        (f"{path.name} holds {name}", encoding)
        for path, data in contents.items()
        for name in ids
        for encoding in ("utf-8", "utf-16-le", "utf-16-be")
        if name.encode(encoding) in data
    ]
    asked = read_ids(inputs / "ids.txt")
    other = [*asked[1:], read_ids(inputs / "more.txt")[0]]
    known = verify(inputs / "request", ids=asked).ok and not verify(inputs / "request", ids=other).ok
    return Row(
        "ids in the files of a request that forgot them",
        3 * len(ids) * len(files),
        f"found {len(found)}",
        "0",
        not found and known,
        "with the key, `verify` tells these ids from others"
        if known
        else "`verify` does not tell these ids from others",
        counted(found),
    )


def _typed(verb: Verb, inputs: Path, home: Path) -> None:
    verb.prepare(inputs, home)
    os.chdir(home)
    with contextlib.suppress(SystemExit):
        main(verb.words(inputs))


def _connections(folder: Path, inputs: Path) -> Row:
    found = []
    for number, verb in enumerate(VERBS):

        def work(verb: Verb = verb, home: Path = folder / str(number)) -> Sequence[str]:
            watch = Watch(*_CALLS)
            watch.install()
            _typed(verb, inputs, home)
            return watch.seen

        found += [(call, verb.name) for call in run(work).answer]
    return Row(
        "commands during which a connection is opened or a name looked up",
        len(VERBS),
        f"{len({name for _, name in found})}",
        "0",
        not found,
        findings=counted(found),
    )


def _repeated(folder: Path, inputs: Path, rounds: int) -> Row:
    """Everything again and again in one process."""

    def once(number: int) -> dict[str, int]:
        for name in _REPEATED:
            _typed(verb_of(name), inputs, folder / f"{number}-{name}")
        os.chdir(folder)
        for path in folder.iterdir():
            shutil.rmtree(path)
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return {
            "files": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "bytes": pages * os.sysconf("SC_PAGESIZE"),
        }

    def work() -> list[dict[str, int]]:
        folder.mkdir(parents=True)
        return [once(number) for number in range(rounds)]

    seen = run(work, limit=1200).answer
    # What is loaded and kept once is no leak: the first third does not count.
    first, last = seen[len(seen) // 3], seen[-1]
    growth = {what: last[what] - first[what] for what in first}
    each = growth["bytes"] / max(1, len(seen) - 1 - len(seen) // 3)
    met = growth["files"] <= 0 and growth["threads"] <= 0 and each < _MEMORY
    return Row(
        f"{len(_REPEATED)} commands repeated in one process",
        rounds * len(_REPEATED),
        f"open files {growth['files']:+}, threads {growth['threads']:+}, memory {each / 2**20:+.2f} MiB a round",
        "0, 0, below 1 MiB",
        met,
    )
