import ast
import inspect
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.experiments.tiny import TINY
from tests.typed import call
from untrain.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def output_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], same_key: None
) -> Callable[[str], str]:
    """Runs an example here, and returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(example: str) -> str:
        runpy.run_path(str(ROOT / "examples" / example), run_name="__main__")
        return capfd.readouterr().out

    return run


def output_of_process(example: str, beside: Sequence[Path] = ()) -> str:
    """What an example prints in a process of its own.

    Args:
        example: its file.
        beside: folders of further modules.
    """
    modules = os.pathsep.join([*map(str, beside), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": modules},
    )  # fmt: skip
    return done.stdout


def test_the_example_compares_a_method_with_retraining(output_of: Callable[[str], str]) -> None:
    printed = re.fullmatch(r"F = (0\.\d+) at N = 32; test accuracy (0\.\d+)\n", output_of("forget_digits.py"))
    assert printed is not None
    assert float(printed[2]) > 0.85


def test_the_example_repairs(output_of: Callable[[str], str]) -> None:
    found = re.search(r"accuracy on clean test data: (0\.\d+), then (0\.\d+)\n", output_of("repair_digits.py"))
    assert found is not None
    assert float(found[2]) > float(found[1]) + 0.02


def test_the_example_draws_wrong_labels(
    output_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(sys, "argv", ["wrong_labels.py", "wrong.png"])
    printed = output_of("wrong_labels.py")
    words = re.match(r"366 labels are wrong; (\d+) were flagged, (\d+) of them rightly", printed)
    assert words is not None
    assert int(words[2]) > 0.9 * int(words[1])
    assert (tmp_path / "wrong.png").stat().st_size > 1000


def test_the_example_forgets_in_a_network_of_ones_own(output_of: Callable[[str], str]) -> None:
    found = output_of("forget_your_own.py")
    assert found.startswith("retrain - auto: it trains a new model")
    assert "\nforgotten by construction\n" in found
    assert "the record holds: True" in found


def test_the_example_forgets_in_a_table_from_python_and_from_the_shell(
    output_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands run here, where torch is imported already."""

    def run(words: list[str], check: bool) -> None:
        assert (words[0], check) == ("untrain", True)
        assert call(*words[1:]) == 0

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    found = output_of("forget_tabular.py")
    assert found.startswith("forgotten by construction\n")
    assert "auto chooses " in found
    assert "examples forgotten in all: 130" in found
    assert "Nothing that was checked has changed." in found


@pytest.mark.examples
@pytest.mark.parametrize(
    ("example", "library", "network"),
    [
        ("forget_lightning.py", "lightning", "Net"),
        ("forget_transformers.py", "transformers", "BertForSequenceClassification"),
        ("forget_pictures.py", "transformers", "ViTForImageClassification"),
        ("forget_skorch.py", "skorch", "Sequential"),
        ("forget_torchvision.py", "torchvision", "ResNet"),
        ("forget_timm.py", "timm", "ResNet"),
    ],
)
def test_the_examples_forget_in_networks_of_other_libraries(example: str, library: str, network: str) -> None:
    tried = subprocess.run([sys.executable, "-c", f"import {library}"], capture_output=True, check=False, text=True)
    if tried.returncode:
        pytest.skip(f"{library} cannot be imported here: {tried.stderr.strip().splitlines()[-1]}")
    assert output_of_process(example).startswith(f"{network} forgotten by construction")


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


RESNETS = {
    "torchvision": ("torchvision/models.py", "def resnet18(num_classes): return network(3, num_classes)"),
    "timm": ("timm/__init__.py", "def create_model(name, num_classes): return network(3, num_classes)"),
}


@pytest.mark.examples
@pytest.mark.parametrize("library", RESNETS)
def test_the_examples_of_picture_libraries_run_with_our_own_resnet(library: str, tmp_path: Path) -> None:
    """Those libraries are often there for another torch, or not at all."""
    file, function = RESNETS[library]
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").touch()
    (tmp_path / file).write_text(f"from untrain.models.resnet import resnet18 as network\n{function}\n")
    assert output_of_process(f"forget_{library}.py", beside=[tmp_path]) == "ResNet forgotten by construction\n"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_have_one_outcome(example: Path) -> None:
    """A request without a seed draws one, and might keep the original on an unlucky day."""
    calls = [node for node in ast.walk(ast.parse(example.read_text())) if isinstance(node, ast.Call)]
    requests = [call for call in calls if ast.unparse(call.func) == "un.forget"]
    assert all("seed" in {keyword.arg for keyword in call.keywords} for call in requests)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("forget_*.py")), ids=lambda path: path.stem)
def test_examples_are_short(example: Path) -> None:
    lines = [line for line in example.read_text().splitlines() if line.strip()]
    assert len(lines) <= (60 if example.stem in {"forget_your_own", "forget_tabular"} else 24)
