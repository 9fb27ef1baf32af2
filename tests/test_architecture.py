"""The rooms of the house: which module may import which, and that what needs no torch does not load it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import untrain

SOURCE = Path(untrain.__file__).parent
# From the bottom up; a room may import itself, and what its line lists.
MAY_IMPORT = {
    "errors": set(),
    "printable": set(),
    "randomness": set(),
    "files": {"errors"},
    "auditing": {"errors"},
    "data": {"errors", "randomness"},
    "models": {"errors"},
    "population": {"errors", "randomness", "files", "auditing", "data", "models"},
    "influence": {"errors", "data", "models", "population"},
    "registry": {"errors"},
    "detection": {"errors", "randomness", "files", "data", "models", "population", "influence", "registry"},
    "methods": {"errors", "randomness", "data", "models", "population", "influence", "registry"},
    "report": {"errors", "printable", "files"},
    "records": {"errors", "files", "report", "__init__"},
    "experiments": {
        "errors", "randomness", "files", "auditing", "data", "models", "population", "methods", "detection", "report",
        "__init__",
    },
    "testing": {"errors", "randomness", "data", "models", "population", "methods"},
    "environment": {"__init__"},
    "weights": {"errors", "files", "population"},
    "converting": {"errors", "files"},
    "choosing": {"errors", "data", "population", "methods"},
    "comparing": {"errors", "auditing", "data", "population", "records"},
    "repairing": {
        "errors", "randomness", "data", "models", "population", "methods", "detection", "choosing", "comparing",
    },
    "asking": {
        "errors", "randomness", "data", "models", "population", "methods", "records", "comparing", "weights",
    },
    "forgetting": {
        "errors", "auditing", "models", "population", "methods", "records", "report", "environment", "asking",
        "choosing", "comparing", "weights",
    },
    "proving": {
        "errors", "randomness", "files", "auditing", "models", "population", "methods", "records", "environment",
        "weights", "asking", "choosing", "comparing",
    },
    "diagnosing": {"errors", "data", "models", "population", "asking", "choosing", "comparing"},
    "hub": {"errors", "files", "records", "weights"},
    "commands": {
        "errors", "printable", "files", "data", "models", "population", "detection", "repairing", "report", "records",
        "environment", "weights", "converting", "choosing", "forgetting", "proving", "diagnosing", "hub",
    },
    "cli": {"errors", "printable", "experiments", "report", "methods", "detection", "commands", "__init__"},
    "__main__": {"cli"},
    "__init__": None,
}  # fmt: skip


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "untrain":
                found.add(parts[1] if len(parts) > 1 else "__init__")
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_point_down(path: Path) -> None:
    allowed = MAY_IMPORT[room(path)]
    if allowed is not None:
        assert imported_rooms(path) - {room(path)} <= allowed


@pytest.mark.parametrize(
    "statement",
    [
        "import untrain.auditing, untrain.report, untrain.data, untrain.records",
        "from untrain import forget_quality, load, write_report",
        "import untrain.cli, contextlib\nwith contextlib.suppress(SystemExit): untrain.cli.main(['--help'])",
    ],
)
def test_what_needs_no_torch_does_not_load_it(statement: str) -> None:
    code = f"{statement}\nimport sys\nsys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_public_names_are_these() -> None:
    expected = """
        Adam AdamW CNN Constant Cosine Diagnosis Examples Experiment ForgetQuality ForgetSplit Forgotten MLP Method
        PerEpoch Noisy Population Recipe Repaired Request ResNet18 SGD Splits Streams Suspects as_examples audit
        build_method build_scorer confidence detect doctor factory final_score forget forget_groups forget_ids
        forget_quality forget_ratio human_noise
        import_factory load mean_epsilon method_names mislabel pair_noise read_experiment read_review repair
        run_experiment split symmetric_noise verify write_report write_review
    """
    assert sorted(untrain.__all__) == sorted(expected.split())
    for name in untrain.__all__:
        assert getattr(untrain, name) is not None


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'remember'"):
        _ = untrain.remember
