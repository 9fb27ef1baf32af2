"""Renewal: the recipe that it trains by, and that nothing else is read."""

import msgspec
import pytest
import torch

from tests.methods.problems import population, request
from untrain.methods.renew import Renew
from untrain.population import Adam, Cosine, EpochFactors, OneCycle, Recipe


@pytest.mark.parametrize("schedule", [Cosine(), EpochFactors(factors=(1.0, 0.1))])
def test_the_recipe_is_the_originals_with_three_changes(schedule: Cosine | EpochFactors) -> None:
    recipe = Recipe(
        optimizer=Adam(lr=1e-3, weight_decay=0.1),
        schedule=schedule,
        epochs=30,
        batch_size=64,
        class_balance=1,
        keep_best_from_epoch=20,
    )
    expected = msgspec.structs.replace(recipe, epochs=3, schedule=OneCycle(), batch_size=32, keep_best_from_epoch=None)
    assert Renew(share=0.1).shortened(recipe) == expected
    assert Renew(share=0.1).passes(recipe) == 3


def test_batches_are_never_of_one_example() -> None:
    tiny = Recipe(optimizer=Adam(), epochs=3, batch_size=2)
    assert Renew().shortened(tiny).batch_size == 2


def test_it_is_a_training_of_new_models() -> None:
    models, asked = population(), request()
    expected = models.fresh().train(asked.retain, Renew().shortened(asked.recipe), purpose="renew")
    renewed = Renew().forget(models, asked)
    assert all(torch.equal(renewed.tensors[name], tensor) for name, tensor in expected.tensors.items())
