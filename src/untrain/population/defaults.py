"""Default model and recipe: a small network that suits the inputs.

Columns of a table may have any scale, so the network of a table standardizes them itself, by the mean and the standard
deviation of the training data; both are saved with its weights.
"""

import functools
import math

import msgspec
import numpy as np
import torch
from torch import nn

from untrain.data import Examples
from untrain.data.examples import Array
from untrain.models import CNN, MLP, Factory, Model
from untrain.models import factory as factory_of
from untrain.models.specs import Standardize
from untrain.population.engine import Engine
from untrain.population.population import Population
from untrain.population.recipe import SGD, AdamW, Cosine, Recipe

_STEPS, _MOST_EPOCHS = 500, 200
"""Steps that a default training has at least, unless it takes more epochs than these."""


def suited(examples: Examples) -> tuple[Model, Recipe]:
    """A small CNN for images, an MLP with two hidden layers of 50 for everything else, and a recipe for it.

    The MLP standardizes the columns of a table.

    Raises:
        NotSupportedError: the inputs are named.

    >>> suited(Examples.of(np.zeros((2, 5)), [0, 1]))[0]
    MLP(widths=(50, 50), standardize=True)
    """
    image = examples.array.ndim == 4 and min(examples.array.shape[2:]) >= 8
    model = CNN(widths=(16, 32)) if image else MLP(widths=(50, 50), standardize=examples.array.ndim == 2)
    return model, suited_recipe(model, examples)


def suited_factory(model: Model, examples: Examples) -> Factory:
    """A function that builds the model for the examples; where it standardizes, by their mean and deviation."""
    build = factory_of(model, examples.array.shape[1:], len(examples.classes))
    if not isinstance(model, MLP) or not model.standardize or not len(examples):
        return build
    columns = examples.array.reshape(len(examples), -1).astype(np.float64)
    mean, scale = columns.mean(0), columns.std(0)
    return functools.partial(_standardized, build, mean, np.where(scale > 0, scale, 1.0))


def _standardized(build: Factory, mean: Array, scale: Array) -> nn.Module:
    module = build()
    for layer in module.modules():
        if isinstance(layer, Standardize):
            layer.mean.copy_(torch.as_tensor(mean))
            layer.scale.copy_(torch.as_tensor(scale))
    return module


def suited_recipe(model: Model, examples: Examples) -> Recipe:
    """Fifteen epochs of SGD for convolutions, thirty of AdamW for an MLP; more for few examples.

    Epochs are added until there are 500 steps, up to 200 epochs.
    """
    if isinstance(model, MLP):
        recipe = Recipe(optimizer=AdamW(lr=3e-3), schedule=Cosine(), epochs=30)
    else:
        recipe = Recipe(optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=15)
    epochs = min(math.ceil(_STEPS * recipe.batch_size / max(len(examples), 1)), _MOST_EPOCHS)
    return msgspec.structs.replace(recipe, epochs=max(recipe.epochs, epochs))


def recipe_for(examples: Examples) -> Recipe:
    """The recipe of `suited`; of named inputs, which transformers take, the usual one of fine-tuning them."""
    if "" in examples.arrays:
        return suited(examples)[1]
    return Recipe(optimizer=AdamW(lr=5e-5), epochs=3, batch_size=32)


def train_suited(
    examples: Examples,
    *,
    seed: int = 0,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    validation: Examples | None = None,
) -> tuple[Population, Recipe]:
    """Train one network on the examples, on a GPU if there is one.

    Args:
        examples: at least one.
        seed: of all random draws.
        factory: builds the network; default the one that suits the examples.
        recipe: default the one that suits them.
        validation: for a recipe that keeps the best state.

    Returns:
        A population of one, and the recipe.

    Raises:
        InputError: there are no examples, or no validation examples where the recipe needs them.
    """
    factory = factory or suited_factory(suited(examples)[0], examples)
    recipe = recipe or recipe_for(examples)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = Population.create(factory, 1, seed=seed, device=device, engine=Engine(1))
    return models.train(examples, recipe, validation=validation), recipe
