import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.tiny import TINY
from untrain.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]


def test_the_example_compares_a_method_with_retraining() -> None:
    printed = re.fullmatch(r"F = (0\.\d+) at N = 32; test accuracy (0\.\d+)\n", output_of("forget_digits.py"))
    assert printed is not None
    assert float(printed[2]) > 0.85


def test_the_example_repairs() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "repair_digits.py")], check=True, capture_output=True, text=True
    )
    found = re.search(r"accuracy on clean test data: (0\.\d+), then (0\.\d+)\n", done.stdout)
    assert found is not None
    assert float(found[2]) > float(found[1]) + 0.02


def test_the_example_draws_wrong_labels(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "wrong_labels.py"), str(tmp_path / "wrong.png")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    words = re.match(r"366 labels are wrong; (\d+) were flagged, (\d+) of them rightly", done.stdout)
    assert words is not None
    assert int(words[2]) > 0.9 * int(words[1])
    assert (tmp_path / "wrong.png").stat().st_size > 1000


def output_of(example: str) -> str:
    """What an example prints; the command `untrain` is that beside this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example)],
        check=True, capture_output=True, text=True, env={**os.environ, "PATH": path},
    )  # fmt: skip
    return done.stdout


def test_the_example_forgets_in_a_network_of_ones_own() -> None:
    found = output_of("forget_your_own.py")
    assert found.startswith("retrain - auto: it trains a new model")
    assert "\nforgotten by construction\n" in found
    assert "the record holds: True" in found


def test_the_example_forgets_in_a_table_from_python_and_from_the_shell() -> None:
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
    for needed in (library, "torchvision"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed: pip install 'untrain[examples]'")
    if subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False).returncode:
        pytest.skip("the installed torchvision was built for another torch")
    assert output_of(example).startswith(f"{network} forgotten by construction")


SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""


def test_the_example_for_slurm_prepares_and_does_a_run(tmp_path: Path) -> None:
    """With one task, whose options are left out."""
    (tmp_path / "tiny.toml").write_text(TINY)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in (("srun", SRUN), ("untrain", f'#!/bin/sh\nexec {sys.executable} -m untrain "$@"\n')):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environment = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "EXPERIMENT": "tiny.toml", "RUN": "run"}
    done = subprocess.run(
        ["bash", str(ROOT / "examples" / "slurm.sh")], cwd=tmp_path, env={**os.environ, **environment},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "prepared: untrain work run\nall jobs are done: untrain report run\n"
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("name", ["skypilot.yaml", "skypilot-ray.yaml"])
def test_the_examples_for_skypilot_use_options_that_exist(name: str) -> None:
    yaml = pytest.importorskip("yaml")
    task = yaml.safe_load((ROOT / "examples" / name).read_text())
    subprocess.run(["bash", "-n", "-c", task["setup"] + task["run"]], check=True)
    for command, options in re.findall(r"untrain (run|work)(.*?)[;&\n]", task["run"]):
        names = {parameter.replace("_", "-") for parameter in inspect.signature(COMMANDS[command]).parameters}
        assert set(re.findall(r"--([a-z-]+)", options)) <= names
