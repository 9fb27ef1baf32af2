"""The rooms of the house: what may import what, that no import runs up or in a circle, and what loads no torch."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import untrain
from tests.records.samples import written

SOURCE = Path(untrain.__file__).parent
FILES = sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")])
FLOORS = """
    errors
    core
    auditing
    data models
    population
    influence
    detection methods
    report testing
    records review
    workflows experiments
    __init__
    cli
    __main__
"""
"""From the bottom up; a room may import itself and every room on a lower line, but for what `CLOSED` says."""

ROOMS = {room: floor for floor, line in enumerate(FLOORS.split("\n")) for room in line.split()}
CLOSED = {
    "auditing": {"errors", "core"},
    "report": {"errors", "core"},
    "records": {"errors", "core", "report"},
    "data": {"errors", "core"},
    "models": {"errors", "core"},
}
"""Rooms of which more is asked: the first four compute without torch and without models."""


def module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path) for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Every module of the package that a file imports: at the top, in a function or for types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "untrain")
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, (module(path) if node.level else "", node.module)))
            if base.partition(".")[0] == "untrain":
                for alias in node.names:
                    name = f"{base}.{alias.name}"
                    yield name if name in MODULES else base


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_point_down(path: Path) -> None:
    own = room(module(path))
    if path == SOURCE / "__init__.pyi":  # the names of the package root may live anywhere below it
        assert {room(name) for name in imports(path)} <= {name for name in ROOMS if ROOMS[name] < ROOMS["__init__"]}
        return
    allowed = CLOSED.get(own, {name for name in ROOMS if ROOMS[name] < ROOMS[own] and name != "__init__"})
    assert {room(name) for name in imports(path)} - {own} <= allowed


def test_every_room_has_its_floor() -> None:
    assert {room(module(path)) for path in FILES} == set(ROOMS)


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module(path): set(imports(path)) - {module(path)} for path in FILES if path.suffix == ".py"}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) >= len(graph)


@pytest.mark.parametrize(
    "statement",
    [
        "import untrain.auditing, untrain.report, untrain.data, untrain.records",
        "from untrain import forget_quality, load, write_report",
    ],
)
def test_what_needs_no_torch_does_not_load_it(statement: str) -> None:
    code = f"{statement}\nimport sys\nsys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list"], ["verify", "RECORD"]], ids=" ".join)
def test_quick_commands_load_nothing_slow(words: list[str], tmp_path: Path) -> None:
    words = [str(written(tmp_path / "record")) if word == "RECORD" else word for word in words]
    code = (
        "import sys, untrain.cli.main\n"
        "try: untrain.cli.main.main(sys.argv[1:])\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        "loaded = {'torch', 'scipy', 'sklearn'} & sys.modules.keys()\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_are_these() -> None:
    expected = """
        Adam AdamW CNN Checkpoint Constant Cosine Diagnosis Examples Experiment ForgetQuality ForgetSplit
        Forgotten MLP Method EpochFactors Noisy OneCycle Population Prepare Recipe Repaired Request ResNet18 SGD
        Splits Streams Suspects as_examples audit build_method build_scorer confidence detect doctor factory final_score
        forget forget_class forget_groups forget_ids forget_ranked forget_subjects
        forget_quality forget_ratio human_noise
        import_factory influence load mean_epsilon method_names mislabel pair_noise read_experiment read_review repair
        run_experiment split symmetric_noise verify write_report write_review
    """
    names = list(untrain.__dir__())
    assert sorted(names) == sorted(expected.split())
    for name in names:
        assert getattr(untrain, name) is not None


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="remember"):
        getattr(untrain, "remember")  # noqa: B009 (mypy knows that it is not there)
