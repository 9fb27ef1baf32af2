import numpy as np
import pytest
import torch

from untrain.data import Examples
from untrain.errors import InputError
from untrain.models import MLP, factory
from untrain.population import SGD, Engine, Population, Recipe, losses, memorized

RECIPE = Recipe(optimizer=SGD(lr=0.1, momentum=0.9), epochs=40, batch_size=16)


def blobs(count: int = 60) -> Examples:
    """Two well separated classes; the first five labels are wrong."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    inputs = generator.normal(size=(count, 8)) + 2.0 * labels[:, None]
    labels[:5] = 1 - labels[:5]
    return Examples.of(inputs.astype(np.float32), labels)


def untrained(examples: Examples, count: int, first: int = 0) -> Population:
    build = factory(MLP(widths=(64,)), examples.inputs.shape[1:], 2)
    return Population.create(build, count, seed=1, first=first, engine=Engine(count), dtype=torch.float64)


def test_losses_are_those_of_each_model_by_itself() -> None:
    examples = blobs()
    models = untrained(examples, 3)
    inputs, labels = torch.from_numpy(examples.inputs).double(), torch.from_numpy(examples.labels)
    by_hand = [torch.nn.functional.cross_entropy(models.module(i)(inputs), labels, reduction="none") for i in range(3)]
    assert losses(models, examples) == pytest.approx(torch.stack(by_hand).mean(0).detach().numpy())


def test_wrong_labels_are_memorized_and_clear_ones_are_not() -> None:
    examples = blobs()
    values = memorized(untrained(examples, 12), examples, RECIPE)
    assert values[:5].mean() > 0.7
    assert np.median(values[5:]) == 0
    assert values[5:].mean() < 0.3
    assert set(np.round(values * 6).tolist()) <= set(range(-6, 7))


def test_pairs_of_models_do_not_depend_on_how_many_there_are() -> None:
    """The mean of what pairs say by themselves is what all say together."""
    examples = blobs()
    pairs = [memorized(untrained(examples, 2, first), examples, RECIPE) for first in (0, 2)]
    assert memorized(untrained(examples, 4), examples, RECIPE) == pytest.approx(np.mean(pairs, axis=0))


def test_of_an_odd_number_of_examples_one_is_left_out() -> None:
    assert memorized(untrained(blobs(31), 8), blobs(31), RECIPE).shape == (31,)


def test_an_odd_number_of_models_is_refused() -> None:
    with pytest.raises(InputError, match="even number of models"):
        memorized(untrained(blobs(), 3), blobs(), RECIPE)
