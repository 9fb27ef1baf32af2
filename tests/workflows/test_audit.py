"""`audit`: models that forgot against models that never saw."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from torch import nn

import untrain as un
from untrain.errors import ConfigError, InputError, InterruptedRunError, NotSupportedError
from untrain.records import Audit

RECIPE = un.Recipe(optimizer=un.Adam(lr=1e-2), epochs=30, batch_size=32)
SHORT = msgspec.structs.replace(RECIPE, epochs=3)
"""For models of which it does not matter what they know."""


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 2))


def frozen() -> nn.Module:
    network = build()
    network[0].requires_grad_(False)  # type: ignore[index]
    return network


def leaky() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 64), nn.LeakyReLU(), nn.Linear(64, 2))


def rows(count: int, seed: int, share: float = 0.25) -> un.Examples:
    """Labels of which a quarter is wrong, so that there is something to learn by heart."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 10)).astype(np.float32)
    wrong = generator.random(count) < share
    return un.Examples.of(inputs, ((inputs[:, 0] > 0) ^ wrong).astype(int), [f"{seed}/{row}" for row in range(count)])


@functools.cache
def original_model(network: Callable[[], nn.Module], seed: int, share: float) -> nn.Module:
    """A trained model, which no audit changes."""
    return un.Population.create(network, 1, seed=seed).train(rows(120, 1, share), RECIPE).module()


def asked(
    method: str, models: int = 16, *, recipe: un.Recipe = RECIPE, forget: int = 12, share: float = 0.25,
    original: int = 0, validation: int = 2, network: Callable[[], nn.Module] = build,
    factory: Callable[[], nn.Module] = build, **more: Any,
) -> Audit:  # fmt: skip
    train = rows(120, 1, share)
    return un.audit(
        original_model(network, original, share), train, train.ids[:forget].tolist(), method=method,
        factory=factory, recipe=recipe, models=models, validation=rows(200, validation), **more,
    )  # fmt: skip


def test_retraining_is_found_to_have_forgotten_and_the_original_is_not() -> None:
    found = asked("retrain")
    assert found.models == 16
    assert found.rank_energy is not None
    assert found.rank_energy.low <= 0 <= found.rank_energy.high
    assert found.method_memory is not None
    assert found.method_memory.left.low < 0.2
    assert found.method_memory.told_apart is None  # which takes 19 models
    assert "with 19 models or more" in found.words
    assert found.score is not None
    assert found.ceiling is not None
    assert found.certificate["epsilon"] == 0
    assert "does not prove that the examples are forgotten" in found.words
    assert "16 models unlearned by retrain" in found.words


def test_what_hardly_moves_is_found_to_know_them_still() -> None:
    found = asked("finetune:kaggle")
    assert found.rank_energy is None  # its models hardly vary
    assert found.method_memory is not None
    assert found.method_memory.left.low > 0.5
    assert found.certificate["epsilon"] > 0
    assert found.score is not None
    assert found.ceiling is not None
    assert found.score < found.ceiling
    assert asked("finetune:kaggle", 8).certificate == {}


def test_auto_is_what_it_would_take_first() -> None:
    assert "8 models unlearned by retrain" in asked("auto", 8, recipe=SHORT).words


def test_a_stopped_audit_continues_and_comes_to_the_same(tmp_path: Path) -> None:
    whole, steps = asked("finetune", recipe=SHORT), list[str]()
    for stop in ("models 9 to 16", "once more: models 1 to 8"):

        def interrupt(step: str, stop: str = stop) -> None:
            steps.append(step)
            if stop in step:
                raise KeyboardInterrupt

        with pytest.raises(InterruptedRunError, match=f"finished models are kept in {tmp_path}"):
            asked("finetune", recipe=SHORT, checkpoint_dir=tmp_path, progress=interrupt)
    assert len(list(tmp_path.iterdir())) == 4
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert asked("finetune", recipe=SHORT, checkpoint_dir=tmp_path) == whole
    assert before.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}.items()
    assert len(list(tmp_path.iterdir())) == 6
    with pytest.raises(KeyboardInterrupt):
        asked("finetune", recipe=SHORT, progress=interrupt)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a finished audit of fine-tuning."""
    directory = tmp_path_factory.mktemp("finished")
    asked("finetune", 8, recipe=SHORT, checkpoint_dir=directory)
    assert len(list(directory.iterdir())) == 3
    return directory


@pytest.fixture
def checkpoints(finished: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(finished, tmp_path / "checkpoints"))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1}, {"recipe": msgspec.structs.replace(RECIPE, epochs=1)}, {"forget": 11}, {"share": 0.2},
        {"validation": 3}, {"network": frozen}, {"factory": frozen}, {"network": leaky},
        {"factory": leaky},
    ],
)  # fmt: skip
def test_finished_models_are_those_of_the_same_question_alone(changes: dict[str, Any], checkpoints: Path) -> None:
    files = set(checkpoints.iterdir())
    changes = {"recipe": SHORT} | changes
    kept = asked("finetune", 8, checkpoint_dir=checkpoints, **changes)
    assert len(set(checkpoints.iterdir()) - files) == 3
    assert kept == asked("finetune", 8, **changes)


def test_retrained_models_serve_every_original_of_a_split(checkpoints: Path) -> None:
    files = set(checkpoints.iterdir())
    kept = asked("finetune", 8, recipe=SHORT, checkpoint_dir=checkpoints, original=1)
    assert len(set(checkpoints.iterdir()) - files) == 1
    assert kept == asked("finetune", 8, recipe=SHORT, original=1)


def test_another_method_is_compared_with_the_same_retrained_models(tmp_path: Path) -> None:
    for number, method in enumerate(("retrain", "finetune", "finetune:kaggle")):
        assert asked(method, 8, recipe=SHORT, checkpoint_dir=tmp_path) == asked(method, 8, recipe=SHORT)
        assert len(list(tmp_path.iterdir())) == 3 + number


def test_finished_models_that_are_damaged_are_made_again(tmp_path: Path) -> None:
    first = asked("retrain", 8, recipe=SHORT, checkpoint_dir=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    assert asked("retrain", 8, recipe=SHORT, checkpoint_dir=tmp_path) == first


@pytest.mark.parametrize(("name", "message"), [("", "'link'"), ("file", "file")])
def test_checkpoints_are_not_written_anywhere(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(ConfigError, match=message):
        asked("retrain", 8, checkpoint_dir=tmp_path / name, progress=lambda step: pytest.fail("something was computed"))


def test_models_of_half_precision_are_compared() -> None:
    train = rows(60, 1)
    found = un.audit(
        build().bfloat16(), train, train.ids[:6].tolist(), method="finetune", factory=lambda: build().bfloat16(),
        recipe=msgspec.structs.replace(RECIPE, epochs=1), models=8, validation=rows(50, 2),
    )  # fmt: skip
    assert found.models == 8


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"models": 4}, InputError, "at least 8 models of each kind, got 4"),
        ({"recipe": None}, NotSupportedError, r"pass recipe= \(--recipe\), or"),
        ({"method": "amnesia"}, ConfigError, "'amnesia'"),
        ({"ids": ["nobody"]}, InputError, "'nobody'"),
        ({"previous": "/no/such"}, InputError, "/no/such"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_the_model_is_evaluated(
    changes: dict[str, Any], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("untrain.workflows.case.check_model", lambda *_: pytest.fail("the model was evaluated"))
    request: dict[str, Any] = {"ids": ["1/0"], "factory": build, "recipe": RECIPE}
    with pytest.raises(error, match=message):
        un.audit(build(), rows(60, 1), **(request | changes))


def test_the_second_request_of_a_chain_is_audited(tmp_path: Path) -> None:
    train, short = rows(60, 1), msgspec.structs.replace(RECIPE, epochs=1)
    first = un.forget(build(), train, ["1/0"], method="finetune", max_accuracy_drop=1)
    first.save(tmp_path)
    second: dict[str, Any] = {"method": "finetune", "factory": build, "recipe": short, "models": 8}
    by_result = un.audit(first.model, train, ["1/1"], previous=first, **second)
    assert by_result == un.audit(first.model, train, ["1/1"], previous=tmp_path, **second)
    with pytest.raises(InputError, match="already forgotten '1/0'"):
        un.audit(first.model, train, ["1/0"], previous=first, **second)


def test_the_recipe_of_a_population_is_used() -> None:
    train, short = rows(60, 1), msgspec.structs.replace(RECIPE, epochs=1)
    known = un.Population.create(build, 1).train(train, short)
    assert un.audit(known, train, ["1/0"], method="finetune", models=8) == un.audit(
        known.module(), train, ["1/0"], method="finetune", models=8, factory=build, recipe=short
    )


@pytest.mark.parametrize(("old", "new"), [("forget", "ids"), ("keep", "checkpoint_dir")])
def test_old_keywords_keep_working(tmp_path: Path, old: str, new: str) -> None:
    values: dict[str, Any] = {
        "model": build(), "examples": rows(60, 1), "ids": ["1/0", "1/1"], "checkpoint_dir": tmp_path / "new",
        "method": "finetune", "factory": build, "recipe": msgspec.structs.replace(RECIPE, epochs=1), "models": 8,
    }  # fmt: skip
    expected = un.audit(**values)
    values["checkpoint_dir"] = tmp_path / "old"
    values[old] = values.pop(new)
    with pytest.warns(DeprecationWarning, match=rf"audit\({new}=...\)") as caught:
        assert un.audit(**values) == expected
    assert len(caught) == 1
    assert len(list((tmp_path / "old").iterdir())) == 3


def test_figures_are_shown_in_words() -> None:
    found = asked("finetune", 8, recipe=SHORT)
    assert repr(found) == str(found) == found.words
