"""What must not get out, and must not pile up: ids in records, connections, open files, threads, memory.

Who holds a directory of a request may not learn from it which examples were forgotten, unless he has the key and the
examples: no file may hold an id. No command but those that are given an address of a hub may open a connection or look
up a name. And a process that does the same many times may not hold more files and threads than after it did so once.
"""

import contextlib
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from tests.reliability.children import Watch, run
from tests.reliability.commands import VERBS, Verb, verb_of
from tests.reliability.conftest import Report
from untrain.cli.main import main
from untrain.data import read_ids
from untrain.records import verify

_CALLS = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_REPEATED = ("detect", "repair", "forget", "convert", "sign", "report")
_MEMORY = 2**20
"""Bytes a round by which memory may grow: what the allocator keeps is not given back evenly."""


def test_no_file_of_a_request_holds_an_id(inputs: Path, report: Report) -> None:
    ids = [*read_ids(inputs / "ids.txt"), *read_ids(inputs / "more.txt")]
    files = [path for path in (inputs / "request").rglob("*") if path.is_file()]
    contents = {path: path.read_bytes() for path in files}
    encodings = ("utf-8", "utf-16-le", "utf-16-be")
    findings = [
        (f"{path.name} holds {name}", encoding)
        for path, data in contents.items()
        for name in ids
        for encoding in encodings
        if name.encode(encoding) in data
    ]
    what = "ids in the files of a request that forgot them (with the key, `verify` tells these ids from others)"
    report(what, len(encodings) * len(ids) * len(files), {"found": findings})


def test_with_the_key_verify_tells_the_ids_from_others(inputs: Path) -> None:
    asked = read_ids(inputs / "ids.txt")
    assert verify(inputs / "request", ids=asked).ok
    assert not verify(inputs / "request", ids=[*asked[1:], read_ids(inputs / "more.txt")[0]]).ok


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_no_command_opens_a_connection(verb: Verb, tmp_path: Path, inputs: Path, report: Report) -> None:
    def work() -> list[str]:
        watch = Watch(*_CALLS)
        watch.install()
        _typed(verb, inputs, tmp_path / "home")
        return watch.seen

    findings = [(call, verb.name) for call in run(work).answer]
    report("commands during which a connection is opened or a name looked up", 1, {"opened": findings})


def test_an_audit_hook_sees_a_name_that_is_looked_up() -> None:
    def work() -> list[str]:
        watch = Watch(*_CALLS)
        watch.install()
        socket.getaddrinfo("127.0.0.1", 80)
        return watch.seen

    assert run(work).answer


def test_commands_repeated_in_one_process_leave_nothing_open(
    full: bool, tmp_path: Path, inputs: Path, report: Report
) -> None:
    rounds = 60 if full else 9

    def once(number: int) -> dict[str, int]:
        for name in _REPEATED:
            _typed(verb_of(name), inputs, tmp_path / f"{number}-{name}")
        os.chdir(tmp_path)
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return {
            "open files": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "bytes": pages * os.sysconf("SC_PAGESIZE"),
        }

    counts = run(lambda: [once(number) for number in range(rounds)], limit=1200).answer
    # What is loaded and kept once is no leak: the first third does not count.
    first, last = counts[len(counts) // 3], counts[-1]
    growth = {name: last[name] - first[name] for name in first}
    memory = growth.pop("bytes") / (len(counts) - 1 - len(counts) // 3)
    findings = [(f"{name} {more:+}", "") for name, more in growth.items() if more > 0]
    findings += [(f"memory {memory / 2**20:+.2f} MiB a round", "")] * (memory >= _MEMORY)
    what = f"{len(_REPEATED)} commands repeated in one process: open files, threads and memory (below 1 MiB a round)"
    report(what, rounds * len(_REPEATED), {"that grow": findings}, {"MiB a round": memory / 2**20})


def _typed(verb: Verb, inputs: Path, home: Path) -> None:
    verb.prepare(inputs, home)
    os.chdir(home)
    with contextlib.suppress(SystemExit):
        main(verb.words(inputs))
