"""Methods and scorers on a CUDA device against the CPU; skipped where there is none.

In float64 the numbers of both differ by rounding alone, so what differs more is computed elsewhere or otherwise.
"""

import numpy as np
import pytest
import torch

from untrain.core.randomness import Streams
from untrain.data import forget_ratio
from untrain.detection import SCORERS, detect
from untrain.methods import METHODS, Request, build_method
from untrain.models import CNN, factory
from untrain.population import SGD, Cosine, Engine, Population, Recipe
from untrain.testing import toy_problem

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), schedule=Cosine(), epochs=5, batch_size=32)
DEVICES = ("cpu", "cuda")


def original(device: str) -> Population:
    examples = toy_problem().train
    build = factory(CNN(widths=(8, 16)), examples.inputs.shape[1:], len(examples.classes))
    models = Population.create(build, 1, seed=1, dtype=torch.float64, device=device, engine=Engine(1))
    return models.train(examples, RECIPE)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_gives_the_same_models(name: str, width: int) -> None:
    parts = toy_problem()
    sets = forget_ratio(parts.train, 0.1)
    request = Request(sets.forget, sets.retain, RECIPE, parts.validation)
    method = build_method(name, preset="small" if "small" in METHODS.of(name).presets else None)
    confidences = []
    for device in DEVICES:
        models = original(device).repeat(2, streams=Streams(1))
        models.engine = Engine(width)
        confidences.append(method.forget(models, request).confidences(parts.train))
    np.testing.assert_allclose(confidences[1], confidences[0], atol=1e-9)


@pytest.mark.parametrize("name", SCORERS.names())
def test_a_scorer_gives_the_same_scores(name: str) -> None:
    examples = toy_problem().train
    scores = [detect(original(device), examples, scorer=name, recipe=RECIPE).scores for device in DEVICES]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-7)
