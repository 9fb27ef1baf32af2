"""Worker processes that are lost: the run ends with a sentence, hangs never, and can be continued."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiments.tiny import TINY, results

UNGUARDED = """import untrain as un
un.run_experiment(un.read_experiment("tiny.toml"), "run", workers=2)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "script.py").write_text(UNGUARDED)
    return tmp_path


def children(process: subprocess.Popen[str]) -> list[int]:
    """Workers, without the process that watches over semaphores."""
    try:
        pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(pid) for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except FileNotFoundError:
        return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found through /proc")
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_a_worker_that_is_killed_ends_the_run(moment: str, folder: Path) -> None:
    command = [sys.executable, "-m", "untrain", "run", "tiny.toml", "--out", "run", "--workers", "2"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (workers := children(process)) or (moment == "working" and not results(folder)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(workers[-1], signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    last = error.strip().rpartition("\n")[2]
    assert process.returncode == 75
    assert last.startswith("untrain: A worker process died, perhaps for lack of memory.")
    assert "run the same command again" in last
    assert "Traceback" not in error
    if moment == "working":
        subprocess.run([*command[:-1], "1"], cwd=folder, check=True, capture_output=True, timeout=120)
        assert not list(folder.rglob(".*.claim"))


def test_a_script_without_a_guard_is_told_so(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert (
        ended.stderr.strip().rpartition("\n")[2].startswith("untrain.errors.InterruptedRunError: A worker process died")
    )
    assert "needs `if __name__ == '__main__':`, or workers=1" in ended.stderr
