"""Default model and recipe: a small network that suits the inputs."""

import torch

from untrain.data import Examples
from untrain.models import CNN, MLP, Factory, Model
from untrain.models import factory as factory_of
from untrain.population.engine import Engine
from untrain.population.population import Population
from untrain.population.recipe import SGD, AdamW, Cosine, Recipe


def suited(examples: Examples) -> tuple[Model, Recipe]:
    """A small CNN for images, an MLP with two hidden layers of 50 for everything else, and a recipe for it.

    Raises:
        NotSupportedError: the inputs are named.

    >>> import numpy as np
    >>> suited(Examples.of(np.zeros((2, 5)), [0, 1]))[0]
    MLP(widths=(50, 50))
    """
    shape = examples.array.shape
    image = len(shape) == 4 and min(shape[2:]) >= 8
    model = CNN(widths=(16, 32)) if image else MLP(widths=(50, 50))
    return model, suited_recipe(model)


def suited_recipe(model: Model) -> Recipe:
    """Fifteen epochs of SGD for convolutions; thirty of AdamW for an MLP, as columns of a table may have any scale."""
    if isinstance(model, MLP):
        return Recipe(optimizer=AdamW(lr=3e-3), schedule=Cosine(), epochs=30)
    return Recipe(optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=15)


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
    model, usual = suited(examples)
    factory = factory or factory_of(model, examples.array.shape[1:], len(examples.classes))
    recipe = recipe or usual
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = Population.create(factory, 1, seed=seed, device=device, engine=Engine(1))
    return models.train(examples, recipe, validation=validation), recipe
