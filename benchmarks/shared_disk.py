"""Whether two machines never hold one claim on a disk that they share, and how soon one sees what the other did.

    python benchmarks/shared_disk.py DIR 7000          # on the first machine, which waits for the second
    python benchmarks/shared_disk.py DIR FIRST:7000    # on the second, with its own mount of the same directory

Two mounts of one machine will do, if they share no cache (`-o nosharecache` on Linux). Needs no data; takes minutes.
"""

import argparse
import functools
import os
import random
import shutil
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from untrain.core.files import look_again, write_file
from untrain.experiments.executors.claims import claimed

ROUNDS, RENEWALS, RESULTS = 2000, 50, 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, help="directory that both machines share")
    parser.add_argument("address", help="port to wait at, or HOST:PORT of the machine that waits")
    arguments = parser.parse_args()
    directory, address = arguments.directory / "shared-disk", arguments.address
    is_first = ":" not in address
    other = _waited_for(int(address)) if is_first else _reached(address)
    claims = _claims(directory / "claims" / "result", functools.partial(_exchange, other))
    print(f"{ROUNDS} claims at the same moment: {claims['10']} here, {claims['01']} there, {claims['11']} by both")
    if is_first:
        _write(directory, functools.partial(_exchange, other))
        shutil.rmtree(directory)
    else:
        _look(directory, functools.partial(_exchange, other))


def _waited_for(port: int) -> socket.socket:
    with socket.create_server(("", port)) as server:
        return server.accept()[0]


def _reached(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)))


def _exchange(other: socket.socket, word: str = "") -> str:
    """Tell the other machine a word and hear its own, so that both are here at the same moment."""
    other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    other.sendall(f"{word:32}".encode())
    return other.recv(32, socket.MSG_WAITALL).decode().strip()


def _claims(result: Path, exchange: Callable[[str], str]) -> Counter[str]:
    """Rounds by who held the claim: `10` this machine, `01` the other."""
    held: Counter[str] = Counter()
    for _ in range(ROUNDS):
        exchange("claim")
        time.sleep(random.random() / 1000)  # noqa: S311 (a moment, not a secret)
        with claimed(result) as ours:
            word = "1" if ours else "0"
            held[word + exchange(word)] += 1
    return held


def _write(directory: Path, exchange: Callable[[str], str]) -> None:
    """Renew a file, then write results that the other machine has looked for."""
    renewed = directory / "renewed"
    with renewed.open("w") as file:
        exchange("")
        for _ in range(RENEWALS):
            os.utime(file.fileno())
            exchange(str(os.fstat(file.fileno()).st_mtime_ns))
            exchange("")
    for number in range(2 * RESULTS):
        exchange("")
        write_file(directory / str(number), "result")
        exchange("")
        exchange("")


def _look(directory: Path, exchange: Callable[[str], str]) -> None:
    exchange("")
    opened = 0
    for _ in range(RENEWALS):
        time_there = exchange("")
        with (directory / "renewed").open() as file:
            opened += str(os.fstat(file.fileno()).st_mtime_ns) == time_there
        exchange("")
    print(f"renewals seen at once: {opened} of {RENEWALS}")
    for does_open in (False, True):
        seconds = [_seconds_until_seen(directory / str(number + RESULTS * does_open), does_open, exchange)
                   for number in range(RESULTS)]  # fmt: skip
        how = "the directory is opened first" if does_open else "only the name is asked for"
        print(f"a result is seen after {statistics.median(seconds):.2f} s (at most {max(seconds):.2f}) where {how}")


def _seconds_until_seen(result: Path, does_open: bool, exchange: Callable[[str], str]) -> float:
    assert not result.is_file()
    exchange("")
    exchange("")
    start = time.monotonic()
    while not result.is_file():
        time.sleep(0.01)
        if does_open:
            look_again([result])
    seconds = time.monotonic() - start
    exchange("")
    return seconds


if __name__ == "__main__":
    main()
