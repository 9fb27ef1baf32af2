import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "reliability"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark uses fork, inotify and /proc")
@pytest.mark.skipif(not importlib.util.find_spec("cryptography"), reason="signatures are attacked, too: untrain[sign]")
def test_a_sample_of_every_family_of_attacks_finds_nothing() -> None:
    # In a process of its own, since it forks: the threads of this one would be missing in its children.
    words = [sys.executable, "-W", "error", str(BENCHMARK), "--short"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("target:") >= 35
