"""Claims: held by one process at a time, kept while it lives, and taken over when it does not."""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.runs import wait_for
from untrain.experiments.executors import claims
from untrain.experiments.executors.claims import claimed, sweep_claims

HOLDER = """import sys, time
from pathlib import Path
from untrain.experiments.executors.claims import claimed
with claimed(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "populations" / "00000-00002.safetensors"


@pytest.fixture
def claim(result: Path) -> Path:
    return result.with_name(f".{result.name}.claim")


@pytest.fixture
def holder(result: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the claim."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(result)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()
        process.wait()


class Clock:
    """The clock of the process that looks at claims."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(claims, "time", clock)
    return clock


def write(claim: Path, machine: str) -> None:
    claim.parent.mkdir(exist_ok=True)
    claim.write_text(json.dumps({"machine": machine}))


def is_renewed(claim: Path, before: int) -> bool:
    return claim.stat().st_mtime_ns != before


def is_taken_over(result: Path) -> bool:
    with claimed(result) as ours:
        return ours


def test_one_at_a_time(result: Path, claim: Path) -> None:
    with claimed(result) as first:
        assert json.loads(claim.read_text())["process"] == os.getpid()
        with claimed(result) as second, claimed(result.with_name("other")) as other:
            assert (first, second, other) == (True, False, True)
    assert not list(result.parent.iterdir())
    with claimed(result) as again:
        assert again


def test_a_claim_is_released_when_the_job_fails(result: Path, claim: Path) -> None:
    with pytest.raises(KeyboardInterrupt), claimed(result):
        raise KeyboardInterrupt
    assert not claim.exists()


def test_the_claim_of_a_killed_process_is_taken_over_at_once(result: Path, holder: subprocess.Popen[str]) -> None:
    with claimed(result) as ours:
        assert not ours
    holder.kill()
    holder.wait()
    with claimed(result) as ours:
        assert ours


def test_the_claim_of_a_paused_process_is_taken_over_when_it_expires(
    result: Path, clock: Clock, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGSTOP)
    assert not is_taken_over(result)
    clock.now += claims.EXPIRES - 1
    assert not is_taken_over(result)
    clock.now += 2
    assert is_taken_over(result)


def test_renewals_keep_a_claim(result: Path, claim: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEWED", 0.01)
    with claimed(result):
        for _ in range(3):
            assert not is_taken_over(result)
            before = claim.stat().st_mtime_ns
            wait_for(functools.partial(is_renewed, claim, before))
            clock.now += claims.EXPIRES + 1


def test_who_was_paused_neither_renews_nor_removes_the_claim_of_a_successor(
    result: Path, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEWED", 0.01)
    paused = claimed(result)
    with paused as ours:
        assert ours
        claim.unlink()
        write(claim, "the successor")
        os.utime(claim, (1e9, 1e9))
        before = claim.stat().st_mtime_ns
        time.sleep(0.1)
    assert claim.stat().st_mtime_ns == before


def test_the_claim_of_a_successor_is_not_removed_for_an_abandoned_one(
    result: Path, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes see at once that a claim is abandoned, and the first of them takes over."""

    def is_unlocked(_: int) -> bool:
        write(claim.with_name("new"), "the successor")
        claim.with_name("new").replace(claim)
        return True

    write(claim, claims._machine())
    monkeypatch.setattr(claims, "_is_unlocked", is_unlocked)
    assert not is_taken_over(result)
    assert "the successor" in claim.read_text()


def test_a_claim_that_is_released_while_it_is_looked_at_is_free(
    result: Path, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system has no content of a file that another machine removed, though it is open."""

    def read(file: int, size: int) -> bytes:
        claim.unlink()
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    write(claim, "another")
    monkeypatch.setattr(os, "read", read)
    assert is_taken_over(result)
    assert not claim.exists()


def test_who_lost_its_claim_ends_its_job_although_the_claim_cannot_be_written(
    result: Path, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system writes what is in a file when it is closed, and says then that the file was removed."""
    close = os.close

    def close_removed(file: int) -> None:
        close(file)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with claimed(result) as ours:
        claim.unlink()
        monkeypatch.setattr(os, "close", close_removed)
    monkeypatch.undo()
    assert ours


@pytest.mark.parametrize("content", ['{"machine": "another"}', "", "no JSON"])
@pytest.mark.parametrize("ahead", [-1e9, -claims.EXPIRES - 1, 0.0, 3600.0, 1e9])
def test_of_another_machine_renewals_alone_tell_whatever_its_clock_shows(
    ahead: float, content: str, result: Path, claim: Path, clock: Clock
) -> None:
    """Its lock cannot be seen on every file system, and the file may have the time of its clock."""
    claim.parent.mkdir()
    claim.write_text(content)
    start = time.time() + ahead
    for renewal in range(20):
        clock.now += claims.RENEWED
        os.utime(claim, (start + renewal * claims.RENEWED,) * 2)
        assert not is_taken_over(result)
    clock.now += claims.EXPIRES - 1
    assert not is_taken_over(result)
    clock.now += 2
    assert is_taken_over(result)


def test_a_claim_that_was_taken_over_elsewhere_is_looked_at_anew(result: Path, claim: Path, clock: Clock) -> None:
    write(claim, "the first")
    assert not is_taken_over(result)
    clock.now += claims.EXPIRES + 1
    write(claim.with_name("new"), "the second")
    claim.with_name("new").replace(claim)
    assert not is_taken_over(result)
    clock.now += claims.EXPIRES + 1
    assert is_taken_over(result)


def test_what_is_left_beside_results_is_swept(result: Path, claim: Path) -> None:
    write(claim, "dead")
    result.write_text("done")
    sweep_claims(result.parents[1])
    assert list(result.parent.iterdir()) == [result]
