"""What to train where a person says nothing: a small network that suits the inputs, and a recipe for it."""

from untrain.data import Examples
from untrain.models import CNN, MLP, Model
from untrain.population.recipe import SGD, Cosine, Recipe


def suited(examples: Examples) -> tuple[Model, Recipe]:
    """A small CNN for images, an MLP with two hidden layers of 50 for everything else, and fifteen epochs of SGD.

    >>> import numpy as np
    >>> suited(Examples.of(np.zeros((2, 5)), [0, 1]))[0]
    MLP(widths=(50, 50))
    """
    image = examples.inputs.ndim == 4 and min(examples.inputs.shape[2:]) >= 8
    model = CNN(widths=(16, 32)) if image else MLP(widths=(50, 50))
    optimizer = SGD(lr=0.05 if image else 0.01, momentum=0.9, weight_decay=5e-4)
    return model, Recipe(optimizer=optimizer, schedule=Cosine(), epochs=15)
