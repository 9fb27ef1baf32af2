"""How hard examples are to learn, and to forget: their loss, and how much they are memorized."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from untrain.auditing import memorization
from untrain.data import Examples
from untrain.errors import InputError
from untrain.population.population import Population
from untrain.population.recipe import Recipe

Values = npt.NDArray[np.float64]


def losses(models: Population, examples: Examples) -> Values:
    """Cross-entropy of each example in nats, the mean over the models, `[n]`. Cost: one forward pass of each model."""
    logits = models.logits(examples).double()
    labels = torch.from_numpy(examples.labels).to(logits.device).expand(len(models), -1)
    mean: Values = F.cross_entropy(logits.mT, labels, reduction="none").mean(0).cpu().numpy()
    return mean


def memorized(models: Population, examples: Examples, recipe: Recipe, validation: Examples | None = None) -> Values:
    """How much each example is memorized, `[n]` in -1..1, by models that are each trained on half of the examples.

    Models 2k and 2k+1 learn the two halves of one random division, so every example is in and out equally often (of an
    odd number, each division leaves one out). See `untrain.auditing.memorization`, for which an outcome is a right
    prediction. With N models, the values are multiples of 2 / N: ties are many where N is small.

    Args:
        models: untrained, an even number of them; they are trained in place.
        examples: at least two.
        recipe: how to train them.
        validation: needed if the recipe keeps the best state.

    Raises:
        InputError: the number of models is odd, or there are fewer than two examples.

    Cost: a training of each model on half of the examples.

    Departure: Feldman and Zhang (2020) draw 70 % of the examples for each model independently.
    """
    if len(models) % 2 or len(examples) < 2:
        raise InputError(
            f"Memorization needs an even number of models and at least 2 examples, got {len(models)} and "
            f"{len(examples)}."
        )
    subsets = np.stack([_half(models, index, len(examples)) for index in models.indices])
    models.training(recipe, purpose="memorized").run(examples, validation=validation, subsets=subsets)
    included = np.zeros((len(models), len(examples)), dtype=np.bool_)
    np.put_along_axis(included, subsets, True, axis=1)
    right = models.logits(examples).argmax(-1).cpu().numpy() == examples.labels
    return memorization(right, included)


def _half(models: Population, index: int, count: int) -> npt.NDArray[np.intp]:
    """The positions of the examples that a model learns from."""
    order = models.streams.generator("memorized/halves", index // 2).permutation(count)
    first = (index % 2) * (count // 2)
    return order[first : first + count // 2].astype(np.intp)
