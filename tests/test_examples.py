import importlib.util
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def output_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], same_key: None
) -> Callable[[str], str]:
    """Runs an example here, and returns what it prints; the command `untrain` is that beside this Python."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def run(example: str) -> str:
        runpy.run_path(str(ROOT / "examples" / example), run_name="__main__")
        return capfd.readouterr().out

    return run


def test_the_readme_shows_the_example_that_runs(output_of: Callable[[str], str]) -> None:
    readme = (ROOT / "README.md").read_text()
    own, shown = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert set(own.splitlines()) <= set((ROOT / "examples" / "forget_your_own.py").read_text().splitlines())
    example = (ROOT / "examples" / "forget_digits.py").read_text()
    assert shown.strip() == example.partition('"""\n\n')[2].strip()
    found = re.fullmatch(r"F = (0\.\d+) at N = 32; test accuracy (0\.\d+)\n", output_of("forget_digits.py"))
    assert found is not None
    assert float(found[2]) > 0.85


def test_the_example_repairs(output_of: Callable[[str], str]) -> None:
    found = re.search(r"accuracy on clean test data: (0\.\d+), then (0\.\d+)\n", output_of("repair_digits.py"))
    assert found is not None
    assert float(found[2]) > float(found[1]) + 0.02


def test_the_example_forgets_in_a_network_of_ones_own(output_of: Callable[[str], str]) -> None:
    found = output_of("forget_your_own.py")
    assert found.startswith("retrain - auto: it trains a new model")
    assert "\nforgotten by construction\n" in found
    assert "the record holds: True" in found


def test_the_example_forgets_in_a_table_from_python_and_from_the_shell(output_of: Callable[[str], str]) -> None:
    found = output_of("forget_tabular.py")
    assert found.startswith("forgotten by construction\n")
    assert "auto chooses " in found
    assert "examples forgotten in all: 130" in found
    assert "Nothing that was checked has changed." in found


@pytest.mark.parametrize(
    ("example", "library", "network"),
    [
        ("forget_lightning.py", "lightning", "Net"),
        ("forget_transformers.py", "transformers", "BertForSequenceClassification"),
        ("forget_skorch.py", "skorch", "Sequential"),
    ],
)
def test_the_examples_forget_in_networks_of_other_libraries(example: str, library: str, network: str) -> None:
    """In a process of its own, since these libraries change settings of the process."""
    for needed in (library, "torchvision"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed: pip install 'untrain[examples]'")
    if subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False).returncode:
        pytest.skip("the installed torchvision was built for another torch")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example)], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"{network} forgotten by construction")
