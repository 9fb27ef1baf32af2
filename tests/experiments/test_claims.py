"""Claims: held by one process at a time, kept while it lives, and taken over when it does not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def write(claim: Path, machine: str) -> None:
    claim.parent.mkdir(exist_ok=True)
    claim.write_text(json.dumps({"machine": machine}))


def age(claim: Path, seconds: float) -> None:
    os.utime(claim, (time.time() - seconds,) * 2)


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
    result: Path, claim: Path, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGSTOP)
    with claimed(result) as ours:
        assert not ours
    age(claim, claims.EXPIRES + 1)
    with claimed(result) as ours:
        assert ours


def test_renewals_keep_a_claim(result: Path, claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEWED", 0.01)
    with claimed(result):
        age(claim, claims.EXPIRES + 100)
        deadline = time.monotonic() + 30
        while claim.stat().st_mtime < time.time() - claims.EXPIRES and time.monotonic() < deadline:
            time.sleep(0.01)
        with claimed(result) as ours:
            assert not ours


def test_who_was_paused_neither_renews_nor_removes_the_claim_of_a_successor(
    result: Path, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEWED", 0.01)
    paused = claimed(result)
    with paused as ours:
        assert ours
        claim.unlink()
        write(claim, "the successor")
        age(claim, 50)
        before = claim.stat().st_mtime_ns
        time.sleep(0.1)
    assert claim.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, False), (claims.EXPIRES - 10, False), (claims.EXPIRES + 1, True)]
)
@pytest.mark.parametrize("content", ['{"machine": "another"}', "", "no JSON"])
def test_of_another_machine_time_alone_tells(
    seconds: float, expected: bool, content: str, result: Path, claim: Path
) -> None:
    """Its lock cannot be seen on every file system."""
    claim.parent.mkdir()
    claim.write_text(content)
    age(claim, seconds)
    with claimed(result) as ours:
        assert ours == expected


def test_the_clock_of_the_file_system_counts(result: Path, claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(claim, "another")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with claimed(result) as ours:
        assert not ours


def test_what_is_left_beside_results_is_swept(result: Path, claim: Path) -> None:
    write(claim, "dead")
    result.write_text("done")
    sweep_claims(result.parents[1])
    assert list(result.parent.iterdir()) == [result]
