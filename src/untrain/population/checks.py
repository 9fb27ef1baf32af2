"""What a training is given, checked before a model changes."""

import msgspec
import numpy as np
import numpy.typing as npt
from torch import Tensor

from untrain.data import Examples
from untrain.errors import InputError
from untrain.models.weights import Tensors
from untrain.population.recipe import Recipe


def check_sets(
    models: int,
    examples: Examples,
    beside: tuple[Examples, int] | None,
    subsets: npt.NDArray[np.intp] | None,
    targets: Tensor | None,
) -> None:
    """Check what a run of `Training` learns from; see there.

    Raises:
        InputError: there are no examples, or the second set, subsets or targets do not fit.
    """
    count = len(examples)
    if not count or (subsets is not None and not subsets.size):
        raise InputError("There are no examples to train on.")
    if beside is not None and not (len(beside[0]) and beside[1] >= 1):
        raise InputError(
            f"beside= needs examples and a batch size of at least 1; it has {len(beside[0])} and {beside[1]}."
        )
    if subsets is not None and (
        subsets.ndim != 2
        or subsets.dtype.kind not in "iu"
        or len(subsets) != models
        or subsets.min() < 0
        or subsets.max() >= count
    ):
        raise InputError(
            f"subsets= needs a row of positions for each of {models} models, integers from 0 to {count - 1}; they are "
            f"from {subsets.min()} to {subsets.max()}, {subsets.dtype} of shape {subsets.shape}."
        )
    if targets is not None and targets.shape[:2] != (models, count):
        raise InputError(
            f"targets= has the shape {tuple(targets.shape)}; it needs a row for each of {models} models, with a target "
            f"for each of {count} examples."
        )


def check_rule(recipe: Recipe, validation: Examples | None, subsets: npt.NDArray[np.intp] | None) -> None:
    """Check that a recipe that judges the models has what it judges them by.

    Raises:
        InputError: there are no validation examples, or the models learn different examples and cannot be judged.
    """
    judged = "keeps the best state (keep_best_from_epoch)" if recipe.keep_best_from_epoch else ""
    if not isinstance(recipe.until_converged, msgspec.UnsetType):
        judged = "trains until accuracy has converged (until_converged)"
        if subsets is not None:
            raise InputError(f"The recipe {judged}, which needs models that learn the same examples: leave it out.")
    if judged and (validation is None or not len(validation)):
        raise InputError(f"The recipe {judged}, which needs validation examples: pass validation=.")


def check_masks(masks: Tensors, trained: Tensors) -> None:
    """Check factors on gradients.

    Args:
        masks: the factors, by the name of their tensor.
        trained: the tensors that have a gradient, `[N, ...]`, by name.

    Raises:
        InputError: a name is none of them, or a shape does not fit.
    """
    for name, mask in masks.items():
        if name not in trained:
            raise InputError(f"The mask {name!r} is for none of the trained tensors {', '.join(trained)}.")
        shape, whole = tuple(mask.shape), tuple(trained[name].shape)
        broadcast = len(shape) == len(whole) and all(
            size in (1, other) for size, other in zip(shape, whole, strict=True)
        )
        if not broadcast or shape[0] != whole[0]:
            raise InputError(
                f"The mask {name!r} has the shape {shape}, which does not fit its tensor {whole}: give a factor for "
                "each value; any axis but the first may have length 1."
            )
