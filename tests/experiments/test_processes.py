"""Worker processes that are lost: the run ends with a sentence, hangs never, and can be continued."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiments.runs import as_script
from tests.experiments.tiny import JOBS, TINY, tiny
from untrain.errors import InterruptedRunError
from untrain.experiments import Progress, run_experiment

UNGUARDED = """import untrain as un
un.run_experiment(un.read_experiment("tiny.toml"), "run", workers=2)
"""


def children(process: subprocess.Popen[str]) -> list[int]:
    """Workers, without the process that watches over semaphores."""
    try:
        pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(pid) for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except FileNotFoundError:
        return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found through /proc")
def test_a_worker_that_is_killed_while_it_starts_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    command = [sys.executable, "-m", "untrain", "run", "tiny.toml", "--out", "run", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (workers := children(process)):
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


def test_a_worker_that_is_killed_at_work_ends_the_run(tmp_path: Path) -> None:
    def kill_a_worker(progress: Progress) -> None:
        if progress.done >= 3:
            for process in multiprocessing.active_children():
                if process.pid and process.is_alive():
                    os.kill(process.pid, signal.SIGKILL)
                    return

    with pytest.raises(InterruptedRunError, match=r"A worker process died, .* run the same command again"):
        run_experiment(tiny(), tmp_path, workers=2, progress=kill_a_worker)
    done: list[int] = []
    run_experiment(tiny(), tmp_path, workers=1, progress=lambda progress: done.append(progress.done))
    assert 3 <= done[0] < done[-1] == JOBS
    assert not list(tmp_path.rglob(".*.claim"))


def test_a_script_without_a_guard_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "script.py").write_text(UNGUARDED)
    monkeypatch.chdir(tmp_path)
    as_script(monkeypatch, tmp_path / "script.py")
    with pytest.raises(InterruptedRunError, match=r"needs `if __name__ == '__main__':`, or workers=1"):
        run_experiment(tiny(), "run", workers=2)
