"""Renewal: the recipe that it trains by, and that nothing else is read."""

import msgspec
import pytest
import torch

from tests.methods.problems import population, request
from untrain.methods.renew import Renew
from untrain.population import Adam, Cosine, EpochFactors, OneCycle, Recipe


@pytest.mark.parametrize("schedule", [Cosine(), EpochFactors(factors=(1.0, 0.1))])
def test_the_recipe_is_the_originals_in_one_short_cycle(schedule: Cosine | EpochFactors) -> None:
    recipe = Recipe(
        optimizer=Adam(lr=1e-3, weight_decay=0.1),
        schedule=schedule,
        epochs=30,
        batch_size=64,
        class_balance=1,
        keep_best_from_epoch=20,
    )
    expected = msgspec.structs.replace(recipe, epochs=3, schedule=OneCycle(), keep_best_from_epoch=None)
    assert Renew(share=0.1).shortened(recipe) == expected
    assert Renew(share=0.1).passes(recipe) == 3


def test_it_is_a_training_of_new_models() -> None:
    models, asked = population(), request()
    expected = models.fresh().train(asked.retain, Renew().shortened(asked.recipe), purpose="renew")
    renewed = Renew().forget(models, asked)
    assert all(torch.equal(renewed.tensors[name], tensor) for name, tensor in expected.tensors.items())
