"""`audit`: models that forgot against models that never saw."""

import numpy as np
import pytest
from torch import nn

import untrain as un
from untrain.errors import ConfigError, InputError, NotSupportedError
from untrain.records import Audit

RECIPE = un.Recipe(optimizer=un.Adam(lr=1e-2), epochs=30, batch_size=32)


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 2))


def rows(count: int, seed: int) -> un.Examples:
    """Labels of which a quarter is wrong, so that there is something to learn by heart."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 10)).astype(np.float32)
    wrong = generator.random(count) < 0.25
    return un.Examples.of(inputs, ((inputs[:, 0] > 0) ^ wrong).astype(int), [f"{seed}/{row}" for row in range(count)])


def asked(method: str, models: int = 16) -> Audit:
    train = rows(120, 1)
    original = un.Population.create(build, 1).train(train, RECIPE).module()
    return un.audit(
        original, train, train.ids[:12].tolist(), method=method, factory=build, recipe=RECIPE, models=models,
        validation=rows(200, 2),
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
