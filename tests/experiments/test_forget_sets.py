"""An experiment that forgets easy, hard and memorized examples, and classes: what is chosen, and by which models."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.experiments.runs import compared, stopped
from tests.experiments.test_run import SMALL, comparison, numbers
from untrain.auditing import agreement, ranks
from untrain.cli.tables import print_tables
from untrain.core.randomness import Streams
from untrain.data import Examples, Splits, forget_ranked, load, split
from untrain.errors import ConfigError, InputError
from untrain.experiments import run_experiment
from untrain.experiments.comparison.work import ORIGINAL, Arm, ComparisonWork
from untrain.experiments.config import Experiment, parse, to_toml
from untrain.models import factory
from untrain.population import Engine, Population, losses, memorized
from untrain.report import ComparisonResults
from untrain.report.html import render
from untrain.report.table import order_table

RANKED = {
    "lowest-loss:0.05": ("loss", True),
    "highest-loss:0.05": ("loss", False),
    "most-memorized:0.05": ("memorization", False),
}
METHODS = ("finetune", "transpose")


def experiment() -> Experiment:
    return msgspec.structs.replace(
        comparison(SMALL), forget=(0.05, *RANKED, "class:3"), methods=METHODS, models=3, rankers=4
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ComparisonResults]:
    directory = tmp_path_factory.mktemp("ranked")
    return directory, compared(experiment(), directory)


def parts() -> Splits:
    return split(load(limit=300), 0.1, 0.1)


def values_by_hand(what: str, train: Examples) -> np.ndarray:
    """The values by which examples are ranked, from models of streams of their own."""
    build = factory(experiment().model, train.array.shape[1:], len(train.classes))
    models = Population.create(build, 4, seed=Streams(0).child("everything", what), engine=Engine(2))
    if what == "loss":
        return losses(models.train(train, experiment().recipe), train)
    return memorized(models, train, experiment().recipe)


def test_examples_are_ranked_by_other_models(finished: tuple[Path, ComparisonResults]) -> None:
    directory, results = finished
    work = ComparisonWork.stored(directory, None, "cpu")
    train = parts().train
    for setting, (what, lowest) in RANKED.items():
        expected = forget_ranked(train, values_by_hand(what, train), 0.05, lowest=lowest).forget
        assert work.sets(setting).forget.ids.tolist() == expected.ids.tolist()
        assert results.sizes.forget[setting] == len(expected)
    of_class = work.sets("class:3").forget
    assert {of_class.classes[label] for label in of_class.labels} == {"3"}
    streams = [work.streams(arm).path for arm in (ORIGINAL, Arm(None, "loss"), Arm(None, "memorization"))]
    assert len(set(streams)) == 3


def test_the_hardest_examples_have_the_highest_losses(finished: tuple[Path, ComparisonResults]) -> None:
    directory, _ = finished
    work = ComparisonWork.stored(directory, None, "cpu")
    mean = {setting: losses(work.originals, work.sets(setting).forget).mean() for setting in ("0.05", *RANKED)}
    assert mean["lowest-loss:0.05"] < mean["0.05"] < mean["highest-loss:0.05"]


def test_the_orders_follow_from_the_rows(finished: tuple[Path, ComparisonResults]) -> None:
    _, results = finished
    assert [(order.forget, order.measure) for order in results.orders] == [
        (setting, measure) for measure in ("memory left", "F") for setting in ("0.05", *RANKED, "class:3")
    ]
    rows = {(row.forget, row.method): row for row in results.rows}
    for order in results.orders[:5]:
        assert set(order.ranks) == set(METHODS)
        left, at_first = ([rows[forget, name].memory_left for name in order.ranks] for forget in (order.forget, "0.05"))
        values, first = ([value for value in side if value] for side in (left, at_first))
        assert list(order.ranks.values()) == ranks(values, np.abs)
        assert order.agreement == agreement(first, values, np.abs)
    for order in results.orders[5:]:
        best = min(order.ranks, key=lambda name: order.ranks[name].value)
        assert rows[order.forget, best].forget_quality == max(
            rows[order.forget, name].forget_quality for name in METHODS
        )


def test_the_report_and_the_terminal_show_the_orders(
    finished: tuple[Path, ComparisonResults], capsys: pytest.CaptureFixture[str]
) -> None:
    _, results = finished
    of_one = msgspec.structs.replace(results, rows=tuple(row for row in results.rows if row.forget == "0.05"))
    page = render(msgspec.structs.replace(of_one, shown=results.shown[:1]))
    assert "highest-loss:0.05, by memory left" in page
    assert f"{results.orders[3].agreement:.2f}" in page
    assert "two draws of the same setting" in page
    print_tables(results)
    assert "most-memorized:0.05" in capsys.readouterr().out
    assert order_table(msgspec.structs.replace(results, orders=()))[1] == []


def test_a_stopped_run_goes_on_to_the_same_results(finished: tuple[Path, ComparisonResults], tmp_path: Path) -> None:
    stopped(experiment(), tmp_path, lambda progress: progress.done == 6)
    again = run_experiment(experiment(), tmp_path, workers=1)
    assert numbers(again) == numbers(finished[1])


def test_other_rankers_are_other_forget_sets(finished: tuple[Path, ComparisonResults]) -> None:
    directory, _ = finished
    few, many = (
        ComparisonWork(msgspec.structs.replace(experiment(), rankers=rankers).resolved(), directory)
        for rankers in (4, 6)
    )
    for setting in RANKED:
        assert few.fingerprint(Arm(setting, "reference")) != many.fingerprint(Arm(setting, "reference"))
    assert few.fingerprint(Arm("0.05", "reference")) == many.fingerprint(Arm("0.05", "reference"))


def test_a_configuration_without_rankers_is_that_of_the_default() -> None:
    written = to_toml(comparison(SMALL))
    assert "rankers = 16" in written
    assert parse(written.replace("rankers = 16\n", ""), "here") == comparison(SMALL)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"forget": ("highest-loss:1.5",)}, InputError, r"forget ratio must be between 0 and 1, got 1\.5"),
        ({"forget": ("most-memorized:0.0001",)}, InputError, "None of the 240 examples would be forgotten"),
        ({"forget": ("class:x",)}, InputError, "must be one of 0, 1.*got 'x'"),
        ({"forget": ("subject:ann",)}, InputError, "no groups"),
    ],
)
def test_what_cannot_be_forgotten_is_refused_before_anything_is_computed(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_experiment(msgspec.structs.replace(experiment(), **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_odd_number_of_rankers_is_refused() -> None:
    with pytest.raises(ConfigError, match="rankers"):
        parse(to_toml(comparison(SMALL)).replace("rankers = 16", "rankers = 5"), "here")
