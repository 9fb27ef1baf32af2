"""`models = "auto"`: a run that adds models until it can say something, and says what."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from tests.experiments.runs import compared, stopped
from tests.experiments.test_run import SMALL, comparison, numbers
from untrain.auditing import RankEnergies, rank_energies, standing
from untrain.cli.run import run
from untrain.cli.tables import print_tables
from untrain.core.files import read_arrays
from untrain.errors import ConfigError, InputError
from untrain.experiments import run_experiment
from untrain.experiments.comparison.scores import ending_of, energies_of
from untrain.experiments.comparison.work import Arm, ComparisonWork
from untrain.experiments.config import Experiment, parse, to_toml
from untrain.population import Engine
from untrain.report import ComparisonResults, read_results
from untrain.report.html import render

METHODS = ("conv-noise", "conv-noise:small", "ssd")
"""The first two are the same, by the preset of the experiment; the last does nothing, so that its models are one."""


def experiment(**changes: object) -> Experiment:
    auto = msgspec.structs.replace(
        comparison(SMALL), models="auto", most_models=24, tolerance=1e-3, chunk=8, engine=Engine(8), methods=METHODS,
        settings={"ssd": {"selection": 1e30}},
    )  # fmt: skip
    return msgspec.structs.replace(auto, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ComparisonResults]:
    directory = tmp_path_factory.mktemp("auto")
    return directory, compared(experiment(), directory)


def confidences(directory: Path, models: int) -> dict[str, np.ndarray]:
    work = ComparisonWork.stored(directory, None, "cpu")
    return {name: work.figures(Arm("0.05", name), models).confidences for name in ("reference", *METHODS)}


def test_equal_methods_are_not_separable(finished: tuple[Path, ComparisonResults]) -> None:
    directory, results = finished
    (end,) = results.endings
    assert (end.reason, end.models, end.looks, end.most_models) == ("not separable", 24, (16, 24), 24)
    assert (end.alpha, end.tolerance, end.constant) == (0.05, 1e-3, ("ssd",))
    stored = confidences(directory, 24)
    now = standing(
        rank_energies([stored[name] for name in METHODS[:2]], stored["reference"]), 0.05 * 8 / 24, 1e-3, last=True
    )
    assert end.order == tuple(METHODS[k] for k in now.order)
    assert {frozenset(pair) for pair in end.undecided} == {frozenset(METHODS[:2])}
    assert {row.models for row in results.rows} == {24}
    assert results == read_results(directory)


def test_models_are_added_and_none_is_made_twice(finished: tuple[Path, ComparisonResults]) -> None:
    directory, _ = finished
    work = ComparisonWork.stored(directory, None, "cpu")
    for name in ("reference", *METHODS):
        files = sorted((directory / "populations" / work.fingerprint(Arm("0.05", name))).iterdir())
        assert [file.stem for file in files] == ["00000-00008", "00008-00016", "00016-00024"]
        seconds = [file.stat().st_mtime_ns for file in files]
        first_look = (directory / "scores").iterdir()
        assert max(seconds[:2]) < min(file.stat().st_mtime_ns for file in first_look) < seconds[2]
    fixed = ComparisonWork(experiment(models=24).resolved(), directory)
    for stage in fixed.stages()[:3]:  # a fixed number of models has the same files, up to the ranking
        assert all(map(fixed.done, stage))


def ending_at_16(directory: Path, methods: tuple[str, ...], **changes: object) -> str | None:
    stored = {name: arm[:16] for name, arm in confidences(directory, 24).items()}
    names, energies = energies_of({name: stored[name] for name in methods}, stored["reference"], np.zeros(16, np.intp))
    end = ending_of(experiment(**changes), "0.05", 16, methods, names, energies)
    return None if end is None else end.reason


def test_a_wide_tolerance_ends_at_the_first_look(finished: tuple[Path, ComparisonResults]) -> None:
    assert ending_at_16(finished[0], METHODS) is None
    assert ending_at_16(finished[0], METHODS, tolerance=0.99) == "precise enough"
    assert ending_at_16(finished[0], ("ssd",)) == "not separable"  # its models never vary


def test_a_look_computes_the_rank_energy_of_a_method_once(
    finished: tuple[Path, ComparisonResults], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pass over the methods serves both the neighbors in the ranking and the reason to stop."""
    shutil.copytree(finished[0], tmp_path / "run")
    for file in (tmp_path / "run" / "scores").iterdir():
        if "ending" in read_arrays(file)[1]:
            file.unlink()
    compared_at_once = []

    def counted(arms: Sequence[npt.NDArray[np.float64]], *given: Any, **options: Any) -> RankEnergies:
        compared_at_once.append(len(arms))
        return rank_energies(arms, *given, **options)

    monkeypatch.setattr("untrain.experiments.comparison.scores.rank_energies", counted)
    again = run_experiment(experiment(), tmp_path / "run", workers=1)
    assert compared_at_once == [2, 2]  # at 16 and 24 models; those of ssd do not vary
    assert numbers(again) == numbers(finished[1])


def test_different_methods_are_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    methods = ("finetune", "conv-noise")
    nearly_nothing = {"finetune": {"recipe": {"optimizer": {"lr": 1e-3}}}}
    path = tmp_path / "own.toml"
    path.write_text(to_toml(experiment(methods=methods, settings=nearly_nothing, originals=1, models=2)))
    run(str(path), models="auto", out=tmp_path / "run", workers=1)
    printed = capsys.readouterr().out
    results = read_results(tmp_path / "run")
    assert isinstance(results, ComparisonResults)
    (end,) = results.endings
    assert (end.reason, end.models, end.looks, end.undecided) == ("ranked", 16, (16,), ())
    for text in ("ranked: every method differs", "N = 16", ", ".join(end.order)):
        assert text in " ".join(printed.split())
    assert "ranked: every method differs" in (tmp_path / "run" / "report.html").read_text()


def test_a_stopped_run_ends_alike(finished: tuple[Path, ComparisonResults], tmp_path: Path) -> None:
    stopped(experiment(), tmp_path, lambda progress: "ranking of 16 models" in progress.doing)
    assert not (tmp_path / "results.json").exists()
    again = run_experiment(experiment(), tmp_path, workers=1)
    assert numbers(again) == numbers(finished[1])
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    run_experiment(experiment(), tmp_path, workers=1)
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}


def test_a_damaged_look_is_done_again(finished: tuple[Path, ComparisonResults]) -> None:
    directory, results = finished
    for file in (directory / "scores").iterdir():
        if "ending" in read_arrays(file)[1]:
            file.write_bytes(b"damaged")
    assert numbers(run_experiment(experiment(), directory, workers=1)) == numbers(results)


def test_settings_may_end_at_different_numbers(finished: tuple[Path, ComparisonResults]) -> None:
    """The page and the terminal give the number of each setting."""
    _, results = finished
    (end,), (shown,) = results.endings, results.shown
    more = tuple(msgspec.structs.replace(row, forget="0.1", models=16, buckets=6) for row in results.rows)
    both = msgspec.structs.replace(
        results,
        rows=(*results.rows, *more),
        shown=(shown, msgspec.structs.replace(shown, forget="0.1")),
        endings=(end, msgspec.structs.replace(end, forget="0.1", models=16, reason="precise enough")),
    )
    page = render(both)
    for text in ("<b>16 to 24</b>models per side", "N = 24, not separable", "N = 16, precise enough"):
        assert text in page
    print_tables(both)


def test_what_cannot_grow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"At most 24 models, added 32 at a time.*allow at least 32"):
        experiment(chunk=32).resolved()
    with pytest.raises(ConfigError, match="17 originals for 16 models"):
        experiment(originals=17).resolved()
    with pytest.raises(ConfigError, match="models"):
        parse(to_toml(experiment()).replace('"auto"', '"many"'), "here")
    for wrong in ("many", "1", "-3", "2.5"):
        with pytest.raises(ConfigError, match=f"a whole number from 2, or auto, got '{wrong}'"):
            run("digits", models=wrong, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
