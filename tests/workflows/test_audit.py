"""`audit`: models that forgot against models that never saw."""

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


def asked(
    method: str, models: int = 16, *, recipe: un.Recipe = RECIPE, forget: int = 12, share: float = 0.25,
    original: int = 0, validation: int = 2, network: Callable[[], nn.Module] = build,
    factory: Callable[[], nn.Module] = build, **more: Any,
) -> Audit:  # fmt: skip
    train = rows(120, 1, share)
    module = un.Population.create(network, 1, seed=original).train(train, RECIPE).module()
    return un.audit(
        module, train, train.ids[:forget].tolist(), method=method, factory=factory, recipe=recipe, models=models,
        validation=rows(200, validation), **more,
    )  # fmt: skip


def test_retraining_is_found_to_have_forgotten_and_the_original_is_not() -> None:
    found = asked("retrain")
    assert found.models == 16
    assert found.after.low <= 0 <= found.after.high
    assert found.before.low > 0.2
    assert found.score is not None
    assert found.ceiling is not None
    assert found.certificate["epsilon"] == 0
    assert "which is no proof of forgetting" in found.words
    assert "16 models that retrain made forget" in found.words


def test_what_hardly_moves_is_found_to_know_them_still() -> None:
    found = asked("finetune:kaggle")
    assert found.after.low > 0.1
    assert found.certificate["epsilon"] > 0
    assert found.score is not None
    assert found.ceiling is not None
    assert found.score < found.ceiling
    assert asked("finetune:kaggle", 8).certificate == {}


def test_auto_is_what_it_would_take_first() -> None:
    assert "8 models that retrain made forget" in asked("auto", 8).words


def test_a_stopped_audit_continues_and_comes_to_the_same(tmp_path: Path) -> None:
    whole, steps = asked("finetune:kaggle"), list[str]()
    for stop in ("models 9 to 16", "once more: models 1 to 8"):

        def interrupt(step: str, stop: str = stop) -> None:
            steps.append(step)
            if stop in step:
                raise KeyboardInterrupt

        with pytest.raises(InterruptedRunError, match=r"stopped; finished models are kept in .*, do the same again"):
            asked("finetune:kaggle", keep=tmp_path, progress=interrupt)
    assert len(list(tmp_path.iterdir())) == 4
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert asked("finetune:kaggle", keep=tmp_path) == whole
    assert before.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}.items()
    assert len(list(tmp_path.iterdir())) == 6
    with pytest.raises(KeyboardInterrupt):
        asked("finetune:kaggle", progress=interrupt)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1}, {"recipe": msgspec.structs.replace(RECIPE, epochs=1)}, {"forget": 11}, {"share": 0.2},
        {"original": 1}, {"validation": 3}, {"network": frozen}, {"factory": frozen}, {"network": leaky},
        {"factory": leaky},
    ],
)  # fmt: skip
def test_finished_models_are_those_of_the_same_question_alone(changes: dict[str, Any], tmp_path: Path) -> None:
    asked("finetune", 8, keep=tmp_path)
    files = set(tmp_path.iterdir())
    assert len(files) == 3
    kept = asked("finetune", 8, keep=tmp_path, **changes)
    assert len(set(tmp_path.iterdir()) - files) == 3
    assert kept == asked("finetune", 8, **changes)


def test_another_method_is_compared_with_the_same_retrained_models(tmp_path: Path) -> None:
    for number, method in enumerate(("retrain", "finetune", "finetune:kaggle")):
        assert asked(method, 8, keep=tmp_path) == asked(method, 8)
        assert len(list(tmp_path.iterdir())) == 3 + number


def test_finished_models_that_are_damaged_are_made_again(tmp_path: Path) -> None:
    first = asked("retrain", 8, keep=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    assert asked("retrain", 8, keep=tmp_path) == first
    elsewhere = tmp_path / "elsewhere"
    next(tmp_path.iterdir()).rename(elsewhere)
    (tmp_path / "link.safetensors").symlink_to(elsewhere)
    for keep, message in ((tmp_path, "expected no links in"), (elsewhere, "expected a directory to write to")):
        with pytest.raises(ConfigError, match=message):
            asked("retrain", 8, keep=keep, progress=lambda step: pytest.fail("something was computed"))


def test_models_of_half_precision_are_compared() -> None:
    train = rows(60, 1)
    found = un.audit(
        build().bfloat16(), train, train.ids[:6].tolist(), method="finetune", factory=lambda: build().bfloat16(),
        recipe=msgspec.structs.replace(RECIPE, epochs=1), models=8, validation=rows(50, 2),
    )  # fmt: skip
    assert found.models == 8


def test_what_cannot_be_compared_is_refused() -> None:
    train = rows(60, 1)
    model = build()
    with pytest.raises(InputError, match="expected at least 8 models of each kind, got 4"):
        un.audit(model, train, ["1/0"], factory=build, recipe=RECIPE, models=4)
    with pytest.raises(NotSupportedError, match="expected a factory and a recipe"):
        un.audit(model, train, ["1/0"], factory=build)
    with pytest.raises(ConfigError, match="expected one of the methods"):
        un.audit(model, train, ["1/0"], factory=build, recipe=RECIPE, method="amnesia")
    with pytest.raises(InputError, match="unknown id"):
        un.audit(model, train, ["nobody"], factory=build, recipe=RECIPE)
