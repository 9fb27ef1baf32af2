"""The bar of each verb is one: it begins at nothing, never goes back, and ends full."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

import untrain as un
from untrain.core.progress import listening
from untrain.population import Engine, Population

RECIPE = un.Recipe(optimizer=un.Adam(lr=1e-2), epochs=12, batch_size=32)


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def rows(seed: int = 0, count: int = 150, wrong: int = 0) -> un.Examples:
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    inputs = (3 * np.eye(3, 8)[labels] + draw.normal(size=(count, 8))).astype("f4")
    labels[:wrong] = (labels[:wrong] + 1) % 3
    return un.Examples.of(inputs, labels, [f"{seed}/{row}" for row in range(count)])


@pytest.fixture(scope="module")
def net() -> Population:
    return Population.create(build, 1, engine=Engine()).train(rows(), RECIPE)


IDS = ["0/1", "0/2"]
VERBS: dict[str, Callable[[Population, dict[str, Any]], object]] = {
    "detect": lambda net, known: un.detect(net, rows(), **known),
    "detect, training": lambda net, known: un.detect(None, rows(), factory=build, **known),
    "repair": lambda net, known: un.repair(net, rows(wrong=20), **known),
    "repair, training": lambda net, known: un.repair(None, rows(wrong=20), factory=build, **known),
    "forget": lambda net, known: un.forget(net, rows(), IDS, validation=rows(1), **known),
    "forget, audited": lambda net, known: un.forget(net, rows(), IDS, audit=19, method="finetune", **known),
    "audit": lambda net, known: un.audit(net, rows(), IDS, models=8, method="retrain", **known),
    "doctor": lambda net, known: un.doctor(net, rows(), IDS, **known),
}


@pytest.mark.parametrize("verb", VERBS)
def test_one_bar_tells_of_the_whole_verb(net: Population, verb: str) -> None:
    told, said = list[tuple[float, float]](), list[tuple[str, int]]()
    with listening(lambda done, total: told.append((done, total))):
        VERBS[verb](net, {"recipe": RECIPE, "progress": lambda text: said.append((text, len(told)))})
    shares = [done / total for done, total in told]
    assert len(told) > 3
    assert len({total for _, total in told}) == 1
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert shares[-1] == pytest.approx(1)
    assert max(np.diff([0, *shares])) < 0.75
    assert len(said) > 1 or verb == "detect"
