"""The default recipe takes enough steps for few examples, and the usual epochs for many."""

import math

import numpy as np
import pytest

from untrain.data import Examples
from untrain.models import CNN, MLP, Model
from untrain.population import recipe_for, suited_recipe


def images(count: int) -> Examples:
    return Examples.of(np.zeros((count, 1, 8, 8), dtype=np.float32), np.arange(count) % 2)


@pytest.mark.parametrize(("model", "usual"), [(CNN(), 15), (MLP(), 30)], ids=["cnn", "mlp"])
@pytest.mark.parametrize("count", [12, 200, 1000, 5000])
def test_the_default_recipe_takes_five_hundred_steps_or_two_hundred_epochs(
    model: Model, usual: int, count: int
) -> None:
    recipe = suited_recipe(model, images(count))
    least = next(epochs for epochs in range(1, 201) if epochs * count >= 500 * recipe.batch_size or epochs == 200)
    assert recipe.epochs == max(usual, least)


def test_few_images_get_as_many_steps_as_a_small_table() -> None:
    few = images(200)
    table = Examples.of(np.zeros((200, 5), dtype=np.float32), few.labels)
    assert recipe_for(few).epochs == recipe_for(table).epochs == math.ceil(500 * 64 / 200)
