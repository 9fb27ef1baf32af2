"""Whole runs of a very small experiment: complete, repeatable, resumable, and careful with what is there."""

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.experiments.clocks import untimed
from tests.experiments.runs import as_script, compared, start, stopped, wait_for
from untrain.auditing import final_score, forget_quality, memory_of_method, rank_energy, rank_energy_difference, spread
from untrain.cli.tables import print_tables
from untrain.core.files import read_arrays
from untrain.data import forget_ratio, load, split
from untrain.errors import ConfigError, InputError, InterruptedRunError, NotSupportedError
from untrain.experiments import Progress, read_experiment, run_experiment
from untrain.experiments.comparison.results import RetrainingCurve, published_figures
from untrain.experiments.comparison.work import ORIGINAL, Arm, ComparisonWork
from untrain.experiments.config import Data, Experiment, differences, to_toml
from untrain.experiments.mislabel.work import MislabelWork
from untrain.experiments.run import prepare_run
from untrain.models import PooledCNN
from untrain.population import Engine, Population
from untrain.report import ComparisonResults, Results, read_results, verdict
from untrain.report.results import parse_results, results_text
from untrain.report.table import ranked

SMALL = Path(__file__).parent / "small.toml"
CLOCKS = {"seconds_per_model", "speedup", "same_cost_score", "same_cost_test_accuracy"}
KEYS = {
    "dataset", "forget_ratio", "method", "models", "forget_quality", "final_score", "ceiling", "epsilon_mean",
    "retain_accuracy", "test_accuracy", "forget_accuracy", "seconds_per_model", "buckets", "capped", "speedup",
}  # fmt: skip
"""Of the rows on the disk; other programs read them."""
MEASURED = {
    "memory_left", "told_apart", "told_different", "memory_models", "rank_energy", "rank_energy_models",
    "apart_from_next", "memory_spread", "test_accuracy_spread", "epochs",
}  # fmt: skip
"""Keys of rows that version 0.1 did not write."""


def comparison(path: Path) -> Experiment:
    found = read_experiment(str(path))
    assert isinstance(found, Experiment)
    return found


def small() -> Experiment:
    return comparison(SMALL)


def numbers(results: Results) -> dict[str, object]:
    return untimed(results, CLOCKS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ComparisonResults]:
    directory = tmp_path_factory.mktemp("run")
    return directory, compared(small(), directory)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ComparisonResults]:
    """Enough models for every statistic; `finetune` does nearly nothing, and `ssd` nothing at all, to every model."""
    directory = tmp_path_factory.mktemp("measured")
    experiment = msgspec.structs.replace(
        small(),
        models=20,
        chunk=10,
        engine=Engine(10),
        methods=("finetune", "ssd", "transpose", "conv-noise"),
        settings={"finetune": {"recipe": {"optimizer": {"lr": 1e-9}}}, "ssd": {"selection": 1e30}},
    )
    return directory, compared(experiment, directory)


def stored(directory: Path, name: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an arm, from its files."""
    work = ComparisonWork(comparison(directory / "experiment.toml"), directory)
    files = sorted((directory / "populations" / work.fingerprint(Arm("0.05", name))).iterdir())
    assert len(files) == 2
    arrays = [read_arrays(file)[0] for file in files]
    return {key: np.concatenate([part[key] for part in arrays]) for key in arrays[0]}


def test_a_device_that_is_not_here_is_refused(tmp_path: Path) -> None:
    for device in ("gpu", "cuda:99", "meta"):
        with pytest.raises(ConfigError, match=f"no device '{device}' here; device .* is one of cpu"):
            prepare_run(small(), tmp_path / "run", device=device)
    assert not (tmp_path / "run").exists()


def test_results_have_what_they_promise(finished: tuple[Path, ComparisonResults]) -> None:
    directory, results = finished
    assert results == read_results(directory)
    on_disk = msgspec.json.decode((directory / "results.json").read_bytes())
    assert (on_disk["schema"], on_disk["kind"], on_disk["experiment"]) == (1, "comparison", "small")
    assert all(row.keys() >= KEYS for row in on_disk["rows"])
    assert [row.method for row in results.rows] == ["finetune", "transpose", "short-retrain:half", "retrain"]
    for row in results.rows:
        assert (row.models, row.forget_ratio, row.forget_examples) == (4, 0.05, 12)
        assert len(row.epsilon) == 12
        assert 0 <= row.test_accuracy <= 100
        assert row.seconds_per_model > 0
    assert (directory / "report.html").is_file()
    assert not list(directory.rglob("*.tmp"))


def test_rows_follow_from_what_is_stored(finished: tuple[Path, ComparisonResults]) -> None:
    """A row is made again by hand from the files of its arm."""
    directory, results = finished
    reference = stored(directory, "reference")
    for row in results.rows:
        mine = stored(directory, row.method)
        quality = forget_quality(mine["confidences"], reference["confidences"])
        assert row.forget_quality == quality.score
        assert row.final_score == final_score(
            quality.score, mine["accuracy/retain"], reference["accuracy/retain"],
            mine["accuracy/test"], reference["accuracy/test"],
        )  # fmt: skip
        assert row.test_accuracy == pytest.approx(100 * mine["accuracy/test"].mean())
    retrain = next(row for row in results.rows if row.method == "retrain")
    assert {row.ceiling for row in results.rows} == {retrain.forget_quality}
    for row in results.rows:
        assert row.speedup == retrain.seconds_per_model / row.seconds_per_model
    assert not np.array_equal(stored(directory, "retrain")["confidences"], reference["confidences"])


def test_memory_and_rank_energy_follow_from_what_is_stored(measured: tuple[Path, ComparisonResults]) -> None:
    directory, results = measured
    work = ComparisonWork(comparison(directory / "experiment.toml"), directory)
    (file,) = (directory / "populations" / work.fingerprint(ORIGINAL)).iterdir()
    original = Population.load(file, work.build_for(work.splits.train), engine=Engine())
    of_original = original.confidences(forget_ratio(work.splits.train, 0.05).forget)[0]
    confidences = {name: stored(directory, name)["confidences"] for name in work.methods}
    for row in results.rows:
        memory = memory_of_method(confidences[row.method], confidences["reference"], of_original)
        assert (row.memory_left, row.told_apart, row.told_different, row.memory_models) == (
            memory.left, memory.told_apart, memory.told_different, 20,
        )  # fmt: skip
        if row.method != "ssd":
            assert row.rank_energy == rank_energy(confidences[row.method], confidences["reference"]).total
            assert row.rank_energy_models == 20
    *rows, last = ranked(results.rows)
    assert last.apart_from_next is None
    for row, below in zip(rows, [*rows[1:], last], strict=True):
        expected = None
        if "ssd" not in (row.method, below.method):
            one, two = confidences[row.method], confidences[below.method]
            difference = rank_energy_difference(one, two, confidences["reference"])
            expected = difference.low > 0 or difference.high < 0
        assert row.apart_from_next == expected


def test_models_that_do_not_vary_have_no_rank_energy(measured: tuple[Path, ComparisonResults]) -> None:
    row = next(row for row in measured[1].rows if row.method == "ssd")
    assert (row.rank_energy, row.rank_energy_models, row.apart_from_next) == (None, None, None)


@pytest.mark.parametrize(("method", "tolerance"), [("ssd", 1e-4), ("finetune", 0.3)])
def test_a_method_that_does_nothing_remembers(
    measured: tuple[Path, ComparisonResults], method: str, tolerance: float
) -> None:
    """Fine-tuning without learning still moves the running means of batch normalization."""
    row, retrain = (row for name in (method, "retrain") for row in measured[1].rows if row.method == name)
    assert row.memory_left is not None
    assert row.memory_left.value == pytest.approx(1, abs=tolerance)
    assert f"remembers the examples: memory left is {row.memory_left:.2f}" in verdict([row, retrain])


def test_unlearned_models_come_from_several_originals(tmp_path: Path) -> None:
    experiment = msgspec.structs.replace(
        small(), originals=3, models=8, chunk=4, engine=Engine(1), methods=("finetune", "ssd"),
        settings={"finetune": {"recipe": {"optimizer": {"lr": 1e-9}}}, "ssd": {"selection": 1e30}},
    )  # fmt: skip
    results = compared(experiment, tmp_path)
    work = ComparisonWork.stored(tmp_path, None, "cpu")
    assert len(work.originals) == 3
    of_originals = work.originals.confidences(work.sets("0.05").forget)
    assert len({row.tobytes() for row in of_originals}) == 3
    origins = np.arange(8) % 3
    ssd, reference = (stored(tmp_path, name)["confidences"] for name in ("ssd", "reference"))
    np.testing.assert_allclose(ssd, of_originals[origins], atol=1e-4)  # it does nothing
    expected = memory_of_method(ssd, reference, of_originals, origins=origins)
    row = next(row for row in results.rows if row.method == "ssd")
    assert (row.memory_left, row.memory_spread, row.originals) == (expected.left, expected.spread, 3)
    assert row.rank_energy is None
    finetune = next(row for row in results.rows if row.method == "finetune")
    confidences = stored(tmp_path, "finetune")["confidences"]
    assert finetune.rank_energy == rank_energy(confidences, reference, origins=origins).total
    assert finetune.test_accuracy_spread == spread(100 * stored(tmp_path, "finetune")["accuracy/test"], origins)
    assert "start from 3 originals in turn" in (tmp_path / "report.html").read_text()


def test_results_say_how_many_epochs_a_method_took(tmp_path: Path) -> None:
    """The medium form of Table 1, cut down to digits and to one method of the study."""
    medium = read_experiment("table1-cifar10-medium")
    assert isinstance(medium, Experiment)
    specs = ("transpose", "transpose:study", "renew")
    experiment = msgspec.structs.replace(
        medium,
        data=Data(limit=250), model=PooledCNN((4, 4)), methods=specs, models=3, chunk=2, forget=(0.05,),
        engine=Engine(1), published=None, recipe=msgspec.structs.replace(medium.recipe, epochs=2),
        settings={"transpose:study": {"recipe": {"epochs": 7, "optimizer": {"lr": 0.05}}}},
    )  # fmt: skip
    results = compared(experiment, tmp_path)
    rows = {row.method: row for row in results.rows}
    taken = stored(tmp_path, "transpose:study")["epochs"]
    assert taken.shape == (3,)
    assert rows["transpose:study"].epochs == taken.mean()
    assert 3 <= taken.min() <= taken.max() <= 7
    assert {row.epochs for row in results.rows if row.method != "transpose:study"} == {None}
    assert "until accuracy had converged" in (tmp_path / "report.html").read_text()


def test_one_original_says_so(finished: tuple[Path, ComparisonResults], capsys: pytest.CaptureFixture[str]) -> None:
    directory, results = finished
    assert "start from one original" in (directory / "report.html").read_text()
    print_tables(results)
    assert "start from one original" in capsys.readouterr().out


def test_few_models_have_only_what_they_allow(finished: tuple[Path, ComparisonResults]) -> None:
    for row in finished[1].rows:
        assert row.memory_left is not None
        assert row.memory_models == 4
        assert (row.told_apart, row.told_different, row.rank_energy, row.apart_from_next) == (None, None, None, None)


def test_results_of_the_first_version_are_read(
    measured: tuple[Path, ComparisonResults], capsys: pytest.CaptureFixture[str]
) -> None:
    content = msgspec.json.decode(results_text(measured[1]))
    assert all(row.keys() >= MEASURED for row in content["rows"])
    content["rows"] = [{key: row[key] for key in row.keys() - MEASURED} for row in content["rows"]]
    old = parse_results(msgspec.json.encode(content), "here")
    assert isinstance(old, ComparisonResults)
    assert {getattr(row, key) for row in old.rows for key in MEASURED} == {None}
    print_tables(old)
    assert "conv-noise" in capsys.readouterr().out
    scored = [row for row in old.rows if row.final_score > 0]
    assert "memory left was not measured" in verdict(scored)


def test_the_split_is_that_of_the_library(finished: tuple[Path, ComparisonResults]) -> None:
    _, results = finished
    parts = split(load(limit=300), 0.1, 0.1)
    sets = forget_ratio(parts.train, 0.05)
    assert results.sizes.train == len(parts.train)
    shown = {example.id for entry in results.shown for example in entry.examples}
    assert shown <= set(sets.forget.ids)


def test_two_processes_give_the_numbers_of_one(finished: tuple[Path, ComparisonResults], tmp_path: Path) -> None:
    again = run_experiment(small(), tmp_path / "again", workers=2)
    assert numbers(again) == numbers(finished[1])


def test_whole_numbers_written_by_hand_are_those_of_the_workers(tmp_path: Path) -> None:
    """A recipe of 1 epoch is that of 1.0 epochs, as a worker reads it."""
    recipe = msgspec.structs.replace(small().recipe, epochs=1)
    experiment = msgspec.structs.replace(small(), recipe=recipe, methods=("finetune",), models=2)
    run_experiment(experiment, tmp_path, workers=1)
    work = ComparisonWork.stored(tmp_path, None, "cpu")
    assert all(map(work.done, work.jobs()))


def test_another_seed_gives_other_numbers(finished: tuple[Path, ComparisonResults], tmp_path: Path) -> None:
    other = run_experiment(msgspec.structs.replace(small(), seed=1), tmp_path / "other", workers=1)
    assert numbers(other)["rows"] != numbers(finished[1])["rows"]


def test_a_finished_run_does_nothing_again(finished: tuple[Path, ComparisonResults]) -> None:
    directory, results = finished
    before = {file: file.stat().st_mtime_ns for file in directory.rglob("*.safetensors")}
    seen: list[Progress] = []
    assert run_experiment(small(), directory, workers=1, progress=seen.append) == results
    assert [(step.done, step.total) for step in seen] == [(17, 17)]
    assert before == {file: file.stat().st_mtime_ns for file in directory.rglob("*.safetensors")}


def test_a_finished_run_scores_nothing_again(
    finished: tuple[Path, ComparisonResults], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    directory, results = finished
    for name in ("forget_quality", "memory_of_method", "rank_energy", "rank_energies"):
        monkeypatch.setattr(f"untrain.experiments.comparison.scores.{name}", never)
    assert run_experiment(small(), directory, workers=1) == results
    scores = sorted((directory / "scores").iterdir())
    assert len(scores) == 4 + 1  # of each method, and the ranking
    for file in scores:
        file.unlink()
    with pytest.raises(AssertionError):
        run_experiment(small(), directory, workers=1)
    monkeypatch.undo()
    assert run_experiment(small(), directory, workers=1) == results


@pytest.mark.parametrize("name", ["table1-cifar10-small", "digits", "mislabel-digits"])
def test_work_is_sent_as_its_configuration(name: str, tmp_path: Path) -> None:
    experiment = read_experiment(name).resolved()
    kind = ComparisonWork if isinstance(experiment, Experiment) else MislabelWork
    (tmp_path / "experiment.toml").write_text(to_toml(experiment))
    work = kind.stored(tmp_path, None, "cpu")
    if name.endswith("digits"):  # whose data are embedded
        work.check()
        assert work.jobs()
    sent = pickle.dumps(work)
    assert len(sent) < 32_000
    again = pickle.loads(sent)  # noqa: S301 (written here)
    assert again.experiment == work.experiment
    assert not differences(again.experiment, experiment)
    assert (again.directory, again.data_dir, again.device) == (tmp_path, None, "cpu")


def test_a_worker_that_dies_before_it_has_read_its_work_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that no pipe holds at once, and a script whose workers die while they start."""
    experiment = msgspec.structs.replace(small(), title="x" * 200_000)
    (tmp_path / "script.py").write_text("import os\nos._exit(3)\n")
    as_script(monkeypatch, tmp_path / "script.py")
    with pytest.raises(InterruptedRunError, match="A worker process died"):
        run_experiment(experiment, tmp_path / "run", workers=2)


def test_damaged_and_missing_pieces_are_done_again(finished: tuple[Path, ComparisonResults]) -> None:
    directory, results = finished
    files = sorted(directory.rglob("0*.safetensors"))
    data = bytearray(files[0].read_bytes())
    data[-3] ^= 1
    files[0].write_bytes(data)
    files[3].unlink()
    files[3].with_name(f".{files[3].name}.123.tmp").write_text("half")
    assert numbers(run_experiment(small(), directory, workers=1)) == numbers(results)
    assert not list(directory.rglob("*.tmp"))


def test_a_run_killed_before_it_had_a_configuration_begins_anew(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / ".experiment.toml.77.tmp").write_text("half")
    run_experiment(msgspec.structs.replace(small(), methods=("finetune",)), directory, workers=1)
    assert not list(directory.glob("*.tmp"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"models": 6}, "models: 4 and 6"), ({"engine": Engine(1)}, "engine.width: 2 and 1")],
)
def test_another_configuration_is_refused(
    finished: tuple[Path, ComparisonResults], changes: dict[str, object], message: str
) -> None:
    directory, _ = finished
    before = (directory / "experiment.toml").read_bytes()
    with pytest.raises(ConfigError, match=f"another configuration .*{message}.*--out"):
        run_experiment(msgspec.structs.replace(small(), **changes), directory)
    assert (directory / "experiment.toml").read_bytes() == before


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"run contains the link '\.lock'"):
        run_experiment(small(), tmp_path / "run")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("folder", ["populations", "populations/0"])
def test_folders_of_a_run_that_are_links_are_not_followed(tmp_path: Path, folder: str) -> None:
    link = tmp_path / "run" / folder
    link.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=f"contains the link '{link.name}'"):
        run_experiment(small(), tmp_path / "run")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_engine_is_measured_once_and_kept(tmp_path: Path) -> None:
    open_ = msgspec.structs.replace(small(), engine=None, methods=("finetune",))
    run_experiment(open_, tmp_path, workers=1)
    kept = comparison(tmp_path / "experiment.toml")
    assert kept.engine is not None
    assert "time against the best before" in kept.engine.reason
    run_experiment(open_, tmp_path, workers=1)
    assert comparison(tmp_path / "experiment.toml") == kept


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"forget": (0.0001,)}, InputError, r"0\.0001: None of the 240 examples .* name at least one"),
        ({"forget": ("ids:/no/such/file",)}, InputError, "/no/such/file cannot be read as a text file"),
        ({"methods": ("amnesia",)}, ConfigError, "no method 'amnesia', only bad-teacher"),
        (
            {"preset": "small", "settings": {"transpose": {"x": 1}}},
            ConfigError,
            "settings of transpose .*unknown field `x`",
        ),
    ],
)
def test_wrong_requests_leave_nothing_behind(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_experiment(msgspec.structs.replace(small(), **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["experiment.toml", "environment.toml"])
def test_a_run_that_was_killed_while_it_began_is_begun_again(tmp_path: Path, name: str) -> None:
    """All that it left is half a file, whose writer is dead."""
    left = tmp_path / f".{name}.{0:016x}.tmp"
    left.write_text("half")
    prepare_run(small(), tmp_path, device="cpu")
    assert not left.exists()


def test_foreign_directories_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("somebody's")
    with pytest.raises(ConfigError, match=r"not the directory of a run, it holds results\.json"):
        run_experiment(small(), tmp_path, workers=1)
    assert (tmp_path / "results.json").read_text() == "somebody's"


def test_what_cannot_work_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    from untrain.models import CNN, MLP

    with pytest.raises(NotSupportedError, match="transpose changes convolutions"):
        run_experiment(msgspec.structs.replace(small(), model=MLP()), tmp_path / "mlp")
    pq.write_table(pa.table({"x": list(range(60)), "label": [0, 1] * 30}), tmp_path / "t.parquet")
    table = msgspec.structs.replace(small(), data=Data(source=str(tmp_path / "t.parquet")), model=CNN())
    with pytest.raises(InputError, match="channels x height x width"):
        run_experiment(table, tmp_path / "table")
    with pytest.raises(ConfigError, match="at least one worker"):
        run_experiment(small(), tmp_path / "none", workers=0)
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def test_a_training_that_diverged_is_named(tmp_path: Path) -> None:
    wild = {"finetune": {"recipe": {"optimizer": {"lr": 1e30}}}}
    with pytest.raises(InputError, match=r"finetune, forgetting 0\.05, models 0 to 1: The logits are NaN or infinite"):
        run_experiment(msgspec.structs.replace(small(), settings=wild), tmp_path, workers=1)


@pytest.mark.parametrize(("sign", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_stopping_by_a_signal_says_how_to_go_on(tmp_path: Path, sign: signal.Signals, workers: int) -> None:
    process = subprocess.Popen(
        command(tmp_path / "run", workers), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and pieces(tmp_path) < 2:
        time.sleep(0.005)
    process.send_signal(sign)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 75
    assert "run the same command again" in error
    assert "Traceback" not in error


def test_stopping_keeps_what_is_finished(finished: tuple[Path, ComparisonResults], tmp_path: Path) -> None:
    stopped(small(), tmp_path, lambda progress: progress.done == 4)
    assert len(list(tmp_path.rglob("0*.safetensors"))) == 4
    assert numbers(run_experiment(small(), tmp_path, workers=1)) == numbers(finished[1])


def command(directory: Path, workers: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "untrain",
        "run",
        str(SMALL),
        "--out",
        str(directory),
        "--workers",
        str(workers),
    ]


def pieces(directory: Path) -> int:
    return len(list(directory.rglob("0*.safetensors")))


def kill_at_random(directory: Path, workers: int, generator: random.Random) -> bool:
    """Start the run and kill it, with its workers left to notice, about when it has done another piece.

    Returns:
        Whether it was still at work.
    """
    wanted = pieces(directory) + generator.randint(1, 2)
    process = start(lambda: run_experiment(small(), directory, workers=workers))
    wait_for(lambda: not process.is_alive() or pieces(directory) >= wanted)
    time.sleep(generator.random() * 0.05)
    process.kill()  # does nothing if it has ended
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_run_killed_three_times_equals_one_that_was_not(
    finished: tuple[Path, ComparisonResults], tmp_path: Path
) -> None:
    directory, generator = tmp_path / "killed", random.Random(0)  # noqa: S311 (moments, not secrets)
    kills = 0
    for number in range(3):
        before = {file: file.stat().st_mtime_ns for file in directory.rglob("0*.safetensors")}
        kills += kill_at_random(directory, 1 + number % 2, generator)
        after = {file: file.stat().st_mtime_ns for file in directory.rglob("0*.safetensors")}
        assert {file: after.get(file) for file in before} == before  # no finished piece is lost or done again
    assert kills >= 2
    assert numbers(run_experiment(small(), directory, workers=1)) == numbers(finished[1])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_processes_do_not_work_in_one_directory(tmp_path: Path) -> None:
    process = start(lambda: run_experiment(small(), tmp_path / "run", workers=1))
    assert process.pid is not None
    try:
        wait_for(lambda: pieces(tmp_path))
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(ConfigError, match="Another process works in"):
            run_experiment(small(), tmp_path / "run", workers=1)
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(3.0, (0.15, 1.5)), (9.0, (0.2, 2.0)), (1.9, (0.1, 1.0)), (0.5, (None, None))],
)
def test_cost_is_compared_with_short_retraining(seconds: float, expected: tuple[float | None, float | None]) -> None:
    curve = RetrainingCurve.through([(4.0, 0.2, 2.0), (2.0, 0.1, 1.0)])
    assert curve.at(seconds) == pytest.approx(expected)


def test_retraining_alone_makes_no_curve() -> None:
    assert RetrainingCurve.through([(4.0, 0.2, 2.0)]).at(4.0) == (None, None)


@pytest.mark.parametrize(
    ("forget_ratio", "method", "expected"),
    [
        (0.02, "gradient-reinit:kaggle", (0.017, 86.3, 92.3, 68.2)),
        (0.005, "retrain", (None, 87.5, 85.8, 348.9)),
        (0.1, "transpose", None),
    ],
)
def test_published_figures_stand_beside_ours(
    forget_ratio: float, method: str, expected: tuple[float | None, ...] | None
) -> None:
    published = published_figures("table1", "cifar10", forget_ratio, method)
    assert (None if published is None else msgspec.structs.astuple(published)) == expected
    assert published_figures(None, "cifar10", forget_ratio, method) is None
