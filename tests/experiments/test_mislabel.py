"""Runs with wrong labels: rows follow from what is stored, and what is stored from the public functions."""

import csv
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

from tests.experiments.clocks import untimed
from untrain.core.files import read_arrays
from untrain.detection import detect
from untrain.errors import ConfigError, InputError
from untrain.experiments import Mislabel, Noise, packaged, read_experiment, run_experiment
from untrain.experiments.mislabel.work import MislabelWork
from untrain.methods import Request, build_method
from untrain.population import Engine, Population
from untrain.report import MislabelResults, mislabel_grids, mislabel_verdict, read_results
from untrain.report.results import PublishedMislabel

SMALL = Path(__file__).parent / "mislabel.toml"
CLOCKS = {"seconds", "spread"}  # a spread has that of the seconds, too
PUBLISHED = resources.files("untrain.experiments") / "published" / "mislabel.csv"


def small(**changes: Any) -> Mislabel:
    found = read_experiment(str(SMALL))
    assert isinstance(found, Mislabel)
    return msgspec.structs.replace(found, **changes)


def run(experiment: Mislabel, directory: Path, workers: int = 1) -> MislabelResults:
    results = run_experiment(experiment, directory, workers=workers)
    assert isinstance(results, MislabelResults)
    return results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MislabelResults]:
    directory = tmp_path_factory.mktemp("run")
    return directory, run(small(), directory)


def test_every_row_has_what_it_promises(finished: tuple[Path, MislabelResults]) -> None:
    directory, results = finished
    assert results == read_results(directory)
    on_disk = msgspec.json.decode((directory / "results.json").read_bytes())
    assert (on_disk["schema"], on_disk["kind"]) == (1, "mislabel")
    common = {"dataset", "noise", "noise_ratio", "scorer", "method", "target"}
    for row in on_disk["rows"]:
        assert row.keys() >= common
        if row["method"] is None:
            assert row.keys() >= {"auc", "precision", "recall", "accuracy", "estimated_noise_ratio"}
            assert row["target"] is None
        else:
            assert "test_accuracy" in row
            assert row["target"] in (None, "mislabelled", "detected")
    assert {(row.noise, row.noise_ratio) for row in results.rows} == {
        ("symmetric", 0.0), ("symmetric", 0.2), ("pair", 0.25),
    }  # fmt: skip
    targets = {(row.target, row.scorer) for row in results.rows if row.method == "ssse"}
    assert targets == {("mislabelled", None), ("detected", "loss")}


def test_a_row_is_the_mean_of_what_the_public_functions_give(finished: tuple[Path, MislabelResults]) -> None:
    directory, results = finished
    work = MislabelWork(small().resolved(), directory)
    train, test = work.parts
    setting = work.settings[1]
    found: dict[str, list[list[float]]] = {"loss": [], "neighbours": []}
    after = []
    for seed in range(2):
        noisy = work.noisy(setting, seed)
        assert noisy.mislabelled.sum() == round(0.2 * len(train))
        build = work.build_for(train)
        model = Population.create(build, 1, seed=work._seed("model", seed), engine=Engine())
        model.train(noisy.examples, work.experiment.recipe)
        wrong = noisy.mislabelled
        for scorer, ratio in (("loss", noisy.ratio), ("neighbours", None)):
            suspects = detect(model, noisy.examples, scorer=scorer, noise_ratio=ratio)
            flagged = np.isin(np.arange(len(wrong)), suspects.flagged)
            metrics = [metric(wrong, flagged) for metric in (precision_score, recall_score, accuracy_score)]
            found[scorer].append([roc_auc_score(wrong, suspects.scores), *(100 * value for value in metrics)])
        forget, retain = (noisy.examples.select(np.flatnonzero(part)) for part in (wrong, ~wrong))
        request = Request(forget, retain, work.experiment.recipe)
        after.append(100 * build_method("retrain").forget(model.clone(), request).accuracy(test)[0])
    for scorer, values in found.items():
        row = next(row for row in results.detections if (row.scorer, row.noise_ratio) == (scorer, 0.2))
        got = [row.auc, row.precision, row.recall, row.accuracy]
        assert got == pytest.approx(np.mean(values, axis=0), abs=1e-5)
        assert row.spread["auc"] == pytest.approx(np.std([value[0] for value in values], ddof=1), abs=1e-5)
    row = next(
        row for row in results.rows if (row.method, row.target, row.noise_ratio) == ("retrain", "mislabelled", 0.2)
    )
    assert row.test_accuracy == pytest.approx(np.mean(after), abs=1e-5)


def test_clean_data_have_nothing_to_rank_or_forget(finished: tuple[Path, MislabelResults]) -> None:
    _, results = finished
    clean = [row for row in results.rows if row.noise_ratio == 0]
    assert all(row.auc is None and row.recall is None for row in clean if row.method is None)
    assert all(row.test_accuracy is None for row in clean if row.target is not None)
    assert (next(row for row in clean if row.method == "original").test_accuracy or 0) > 80


def test_two_processes_give_the_numbers_of_one_and_a_second_call_does_nothing(
    finished: tuple[Path, MislabelResults], tmp_path: Path
) -> None:
    directory, results = finished
    assert untimed(run(small(), tmp_path / "run", workers=2), CLOCKS) == untimed(results, CLOCKS)
    before = {file: file.stat().st_mtime_ns for file in directory.rglob("0*.safetensors")}
    assert len(before) == 6
    assert run_experiment(small(), directory, workers=1) == results
    assert {file: file.stat().st_mtime_ns for file in directory.rglob("0*.safetensors")} == before


def test_scores_are_drawn_as_they_were_found(finished: tuple[Path, MislabelResults]) -> None:
    _, results = finished
    assert [histogram.scorer for histogram in results.shown] == ["loss", "neighbours", "auto"]
    for histogram in results.shown:
        assert sum(histogram.wrong) == round(0.2 * results.sizes.train)
        assert sum(histogram.correct) == results.sizes.train - sum(histogram.wrong)
        assert len(histogram.edges) == len(histogram.correct) + 1


def test_the_page_and_the_tables_hold_every_figure(finished: tuple[Path, MislabelResults]) -> None:
    directory, results = finished
    page = (directory / "report.html").read_text()
    grids = list(mislabel_grids(results))
    assert page.count("<script") == 1  # that which sorts
    assert page.count("<table") == 1
    assert len(grids) == 3 + 5 + 2
    assert grids[0].heads == ("0", "0.2", "pair 0.25")
    row = next(row for row in results.detections if (row.scorer, row.noise_ratio) == ("loss", 0.2))
    assert grids[0].lines[0][1][1].plain == f"{row.auc:.3f}"
    assert f"<td>{row.auc:.3f} ± " in page
    assert page.count("<svg") == 3
    assert results.found is not None
    assert results.found.scorer == "auto"
    for example in results.found.examples:
        assert page.count(example.image) == 1
        assert (example.label != example.true_label) == (f"<b>{example.label} → {example.true_label}</b>" in page)
    assert "auto, which was not told the noise ratio, found" in mislabel_verdict(results)


def test_what_cannot_be_known_is_refused_and_said(tmp_path: Path) -> None:
    noise = (Noise(ratios=(0.5,)),)
    data = msgspec.structs.replace(small().data, classes=("0", "1"))
    asked = small(data=data, noise=noise, scorers=("auto",), told=(), forgotten=("auto",), seeds=1, shown=None)
    results = run(asked, tmp_path)
    (row,) = results.detections
    assert row.auc is None
    assert "cannot be told right from wrong" in (row.note or "")
    assert all(row.test_accuracy is None for row in results.rows if row.target == "detected")
    assert (row.note or "")[:20] in (tmp_path / "report.html").read_text()


def test_published_figures_stand_beside_ours_and_the_doubtful_ones_are_marked(tmp_path: Path) -> None:
    noise = (Noise(ratios=(0.1,)),)
    results = run(
        small(noise=noise, seeds=1, published="mislabel", methods=("ssse:study",), scorers=("loss",), shown=None),
        tmp_path,
    )
    lines = list(csv.DictReader(PUBLISHED.read_text().splitlines()))
    loss, original, known, detected = results.rows
    theirs = next(
        line for line in lines if (line["noise_ratio"], line["scorer"], line["method"]) == ("0.1", "loss", "")
    )
    assert loss.published == PublishedMislabel(
        auc=float(theirs["auc"]), accuracy=float(theirs["accuracy"]), precision=float(theirs["precision"])
    )
    assert [row.published for row in (original, known, detected)] == [
        PublishedMislabel(test_accuracy=accuracy, doubtful=True) for accuracy in (99.6, 97.6, 97.6)
    ]
    assert "97.6†" in (tmp_path / "report.html").read_text()


def test_labels_that_people_got_wrong_come_from_a_column(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    true = np.arange(120) % 2
    given = np.where(generator.random(120) < 0.15, 1 - true, true)
    columns = {f"x{i}": 2.0 * true + generator.normal(size=120) for i in range(3)}
    pq.write_table(pa.table({**columns, "label": true, "crowd_label": given}), tmp_path / "crowd.parquet")
    data = msgspec.structs.replace(small().data, source=str(tmp_path / "crowd.parquet"), classes=None, per_class=None)
    asked = small(data=data, noise=(Noise(kind="column", column="crowd_label"),), seeds=1, shown=None)
    results = run(asked, tmp_path / "run")
    work = MislabelWork(asked.resolved(), tmp_path / "run")
    noisy = work.noisy(work.settings[0], 0)
    rows = [int(name.rpartition("/")[2]) for name in noisy.examples.ids]
    assert noisy.examples.inputs.shape[1] == 3
    assert noisy.examples.labels.tolist() == given[rows].tolist()
    assert noisy.true_labels.tolist() == true[rows].tolist()
    assert results.rows[0].noise == "column"
    assert results.rows[0].noise_ratio == pytest.approx(noisy.ratio, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scorers": ("loss", "luck")}, "'luck'"),
        ({"told": ("margin",)}, "names 'margin', which is none of the scorers loss, neighbours, auto"),
        ({"forgotten": ("margin",)}, "names 'margin'"),
        ({"settings": {"margin": {}}}, "`settings` names 'margin'"),
        ({"settings": {"loss": {"depth": 1}}}, "unknown field `depth`"),
        ({"methods": ("retrain", "retrain")}, "methods .* not distinct"),
        ({"published": "table9"}, "'table9'"),
    ],
)
def test_faults_are_named_before_anything_is_done(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_experiment(small(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_judges_models_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    experiment = small()
    judging = msgspec.structs.replace(experiment.recipe, keep_best_from_epoch=1)
    with pytest.raises(ConfigError, match="leave `keep_best_from_epoch` and `until_converged` out"):
        run_experiment(msgspec.structs.replace(experiment, recipe=judging), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_noise_must_say_what_its_kind_needs() -> None:
    with pytest.raises(ConfigError, match=r"kind pair .* nothing else, got none: set `ratios` alone"):
        Noise(kind="pair")
    with pytest.raises(ConfigError, match=r"kind matrix .* got ratios: set `matrix` alone"):
        Noise(kind="matrix", ratios=(0.1,))
    with pytest.raises(ConfigError, match="square"):
        Noise(kind="matrix", matrix=((1.0, 0.0), (1.0,)))
    with pytest.raises(InputError, match="rows of probabilities"):
        MislabelWork(small(noise=(Noise(kind="matrix", matrix=((1.0,),)),)).resolved(), Path()).check()


def test_stored_files_are_whole(finished: tuple[Path, MislabelResults]) -> None:
    directory, _ = finished
    for file in directory.rglob("0*.safetensors"):
        arrays, metadata = read_arrays(file)
        assert metadata["format"] == "untrain.mislabel.1"
        assert 0 <= arrays["noise_ratio"][0] <= 1


@pytest.mark.parametrize("name", ["mislabel-mnist", "mislabel-mnist-code", "mislabel-mnist10", "mislabel-digits"])
def test_packaged_experiments_look_for_wrong_labels_and_repair(name: str) -> None:
    assert name in packaged()
    experiment = read_experiment(name)
    assert isinstance(experiment, Mislabel)
    resolved = experiment.resolved()
    assert {"loss", "auto"} <= set(resolved.scorers)
    assert {"mislabelled", "auto"} <= set(resolved.forgotten)
    assert "auto" not in resolved.told


def test_the_studys_setting_is_as_it_says() -> None:
    experiment = read_experiment("mislabel-mnist")
    assert isinstance(experiment, Mislabel)
    assert msgspec.to_builtins(experiment.model) == {"name": "mlp", "widths": (50, 50), "standardize": False}
    assert (experiment.data.classes, experiment.data.per_class) == (("0", "1"), 1000)
    recipe = msgspec.to_builtins(experiment.recipe)
    assert (recipe["epochs"], recipe["batch_size"]) == (20, 32)
    assert recipe["optimizer"] == {
        "name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0,
    }  # fmt: skip
    assert experiment.noise[0].ratios == (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
