"""A user's own network: as a population of one, checked against the examples before anything is computed."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import nn

from untrain.data import Examples
from untrain.data.arrays import some
from untrain.errors import InputError, UntrainError, first_line
from untrain.models import Factory
from untrain.population.engine import Engine, why_not_vectorized
from untrain.population.population import Population

T = TypeVar("T")
_FEW = 100_000
"""Parameters below which models are better computed together."""


def as_population(model: object, *, seed: int = 0, factory: Factory | None = None) -> Population:
    """The population of one that a module, or a population, stands for.

    Args:
        model: a module, of which a copy is taken, or a population.
        seed: of the random draws, for a module.
        factory: builds a new model; default the population's own.

    Raises:
        InputError: it is neither.
    """
    if isinstance(model, Population):
        return model if factory is None else model.with_factory(factory)
    if isinstance(model, nn.Module):
        return Population.from_module(model, seed=seed, factory=factory)
    raise InputError(f"The model must be a torch module or a population, got {type(model).__name__}.")


def check_one(models: Population) -> None:
    """Check that a population holds one model.

    Raises:
        InputError: it holds more.
    """
    if len(models) != 1:
        raise InputError(f"The population must hold one model, got {len(models)}; pick one with `select`.")


def settled(models: Population) -> Population:
    """A population of one, computed as a plain module unless an engine was chosen.

    Raises:
        InputError: there is more than one model.
    """
    check_one(models)
    if models.engine is None:
        # Not measured: what is fastest could differ from one time to the next, and with it the last bits.
        models = models.clone()
        models.engine = Engine()
    return models


def rule_of_thumb(models: Population, examples: Examples) -> Engine:
    """How to compute a few models: together where that is right and they are small and have no convolutions.

    Larger matrices are not faster together, and need more memory (`benchmarks/few.py`). Not measured here, since a
    width that is measured anew could differ, and with it the last bits.
    """
    inputs, _ = models.resident(examples)
    size = sum(tensor[0].numel() for tensor in models.tensors.values())
    alone = size > _FEW or models.weights(nn.Conv2d) or why_not_vectorized(models.skeleton, models.tensors, inputs[:8])
    return Engine(1 if alone else len(models))


def check_fits(models: Population, examples: Examples) -> None:
    """Check that the models turn two examples into one logit for each class.

    Raises:
        InputError: they do not, or their code fails.
    """
    few = examples.select(range(min(2, len(examples))))
    logits = guarded(f"The model fails on inputs of shape {examples.form}", lambda: models.logits(few)[0])
    _check_shape(tuple(logits.shape), few)


def check_logits(logits: npt.NDArray[np.floating], examples: Examples) -> None:
    """Check the logits `[n, C]` of the examples.

    Raises:
        InputError: there is not one for each class, one is not finite, or they are probabilities.
    """
    _check_shape(logits.shape, examples)
    check_finite(logits, examples)
    if (logits >= 0).all() and len(logits) and np.allclose(logits.sum(axis=1), 1, atol=1e-2):
        raise InputError(
            "The model returns probabilities, since its outputs for each example sum to 1: return the logits, without "
            "the softmax."
        )


def _check_shape(shape: tuple[int, ...], examples: Examples) -> None:
    """Refuse other logits than one for each class of each example."""
    count, classes = len(examples), examples.classes
    if shape == (count, len(classes)):
        return
    labels = f"the labels have {len(classes)} classes ({some(classes)})"
    if len(shape) == 2 and shape[0] == count:
        raise InputError(
            f"The model has {shape[1]} outputs, and {labels}: pass the labels that it was trained on, or name the "
            "classes in the order of its outputs: as_examples(data, classes=[...]), or --classes."
        )
    raise InputError(
        f"The model must return one logit for each class, and {labels}; it returns the shape {shape} for {count} "
        "examples."
    )


def check_finite(logits: npt.NDArray[np.floating], examples: Examples) -> None:
    """Check that the logits `[n, C]` of the examples are finite.

    Raises:
        InputError: one is not.
    """
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        raise InputError(
            f"The logits of example {examples.ids[finite.argmin()]!s} are NaN or infinite; "
            "check whether the training diverged."
        )


def guarded(failure: str, made: Callable[[], T]) -> T:
    """The result of a user's own code; any error in it becomes one sentence.

    Args:
        failure: beginning of the sentence, which the error completes.
        made: calls the code.

    Raises:
        InputError: it failed.
    """
    try:
        return made()
    except UntrainError:
        raise
    except Exception as error:
        raise InputError(f"{failure}: {first_line(error)}") from error
