"""The rooms of the house: what may import what, that no import runs up or in a circle, and what loads no torch."""

import ast
import functools
import graphlib
import subprocess
import sys
import textwrap
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


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Every module of the package that a file imports: at the top, in a function or for types alone."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
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
    graph = {module(path): imports(path) - {module(path)} for path in FILES if path.suffix == ".py"}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) >= len(graph)


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_needs_no_torch_does_not_load_it() -> None:
    run("""
        import sys
        import untrain.auditing, untrain.report, untrain.data, untrain.records
        assert 'torch' not in sys.modules, 'rooms'
        from untrain import forget_quality, load, write_report
        assert 'torch' not in sys.modules, 'names of the package'
        assert 'scipy.stats' not in sys.modules
    """)


def test_quick_commands_load_nothing_slow(tmp_path: Path) -> None:
    record = str(written(tmp_path / "record"))
    run(f"""
        import sys, untrain.cli.main
        for words in (["--help"], ["--version"], ["list"], ["verify", {record!r}]):
            try:
                untrain.cli.main.main(words)
            except SystemExit as ended:
                assert not ended.code, (words, ended.code)
            loaded = {{'torch', 'scipy', 'sklearn'}} & sys.modules.keys()
            assert not loaded, (words, loaded)
    """)


def test_commands_that_train_load_no_compiler_and_no_large_statistics() -> None:
    """Both take about as long to load as torch does."""
    run("""
        import sys
        import numpy as np
        from untrain.data import Examples
        from untrain.models import MLP, factory
        from untrain.population import SGD, Population, Recipe
        import untrain.workflows.audit, untrain.workflows.forget, untrain.workflows.repair
        examples = Examples.of(np.zeros((4, 2), dtype=np.float32), [0, 1, 0, 1])
        recipe = Recipe(optimizer=SGD(lr=0.1), epochs=1, batch_size=2)
        Population.create(factory(MLP(widths=(2,)), (2,), 2), 2).train(examples, recipe).accuracy(examples)
        loaded = {'torch._dynamo', 'scipy.stats', 'sklearn'} & sys.modules.keys()
        assert not loaded, loaded
    """)


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
