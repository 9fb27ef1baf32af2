"""What an unlearning method is: hyper-parameters in a frozen struct, and one function."""

import abc
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np
from torch import Tensor, nn

from untrain.data import Examples
from untrain.data.splits import ForgetSplit
from untrain.errors import InputError, NotSupportedError
from untrain.models.weights import Tensors
from untrain.population import Population, Recipe
from untrain.population.engine import last_linear


@dataclass(frozen=True)
class Request:
    """What is to be forgotten, and what a method may use to do it.

    Attributes:
        forget: the examples to be forgotten.
        retain: the rest of the training set.
        recipe: how the original was trained; retraining follows it.
        validation: examples outside the training set, or None.

    Raises:
        InputError: forget or retain set is empty, or an example is in two of forget, retain and validation set.
    """

    forget: Examples
    retain: Examples
    recipe: Recipe
    validation: Examples | None = None

    def __post_init__(self) -> None:
        ForgetSplit(self.forget, self.retain)
        if self.validation is not None:
            training = np.concatenate([self.forget.ids, self.retain.ids])
            leaks = np.intersect1d(training, self.validation.ids)
            if len(leaks):
                raise InputError(
                    f"The validation example {leaks[0]!s} is in the training set as well; leave it out of one."
                )

    @functools.cached_property
    def training_set(self) -> Examples:
        """Forget set, then retain set."""
        return Examples.concatenate([self.forget, self.retain])


MOST_EPOCHS = 30
"""Of a training on the retain set that ends when accuracy has converged."""

STUDY: dict[str, object] = {"epochs": MOST_EPOCHS, "schedule": {"name": "constant"}, "until_converged": {}}
"""A recipe on the retain set as in the study: it ends when accuracy has converged. The learning rate does not fall, as
the end is not known beforehand."""


class Method(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An unlearning method. Its fields are its hyper-parameters, with the published values as defaults.

    Attributes:
        presets: further named settings, each the parts that differ from the defaults; `kaggle` stands for the
            defaults where those are the competition's, `small` suits small data, and `study` trains on the retain set
            until accuracy has converged, as Shibata, Murakami and Yamauchi do.
        reads_forget: whether the method looks at the forget set at all.
        title: a few words for tables.
        needs_convolutions: whether it can only work on networks with two-dimensional convolutions.
        off_retain: names of those recipes that it does not use on the retain set.
        needs_factory: whether it builds new models, so that the original's factory and recipe must be known.
        exact: whether its models do not depend on forget set or original, so that they have forgotten by construction;
            `check_method` tests it.
    """

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    reads_forget: ClassVar[bool] = False
    title: ClassVar[str] = ""
    needs_convolutions: ClassVar[bool] = False
    off_retain: ClassVar[tuple[str, ...]] = ()
    needs_factory: ClassVar[bool] = False
    exact: ClassVar[bool] = False

    @abc.abstractmethod
    def forget(self, models: Population, request: Request) -> Population:
        """Make models forget.

        Args:
            models: the original models; they are the method's to change.
            request: what to forget.

        Returns:
            As many unlearned models, with the same indices.

        Raises:
            NotSupportedError: the method cannot work on this architecture.
        """
        raise NotImplementedError

    @property
    def construction(self) -> str:
        """Why models of an exact method have forgotten by construction; it continues a sentence about the method."""
        return "trains a new model on the retained examples alone"

    def settings(self) -> dict[str, object]:
        """What a record says of the hyper-parameters."""
        fields: dict[str, object] = msgspec.to_builtins(self)
        return fields

    def passes(self, recipe: Recipe) -> float | None:
        """How many passes over the retain set it makes, forwards and backwards; None if that is not known.

        Args:
            recipe: how the original was trained.
        """
        recipes = {name: value for name in self.__struct_fields__ if isinstance(value := getattr(self, name), Recipe)}
        if not recipes:
            return None
        return sum(each.epochs for name, each in recipes.items() if name not in self.off_retain)


def frozen(models: Population) -> set[str]:
    """Names of the parameters that do not train (`requires_grad` is false); no method changes them."""
    return {name for name, parameter in models.skeleton.named_parameters() if not parameter.requires_grad}


def trainable_weights(models: Population, *kinds: type[nn.Module]) -> Tensors:
    """The `weight` of every layer of these kinds that is not frozen, by name, `[N, ...]`, from input to output."""
    fixed = frozen(models)
    return {name: weight for name, weight in models.weights(*kinds).items() if name not in fixed}


def convolutions(models: Population, method: str) -> Tensors:
    """The kernels `[N, out, in, height, width]` of all two-dimensional convolutions that train, from input to output.

    Raises:
        NotSupportedError: there are none; the message names `method` and what fits.
    """
    kernels = trainable_weights(models, nn.Conv2d)
    if not kernels:
        has = "only frozen ones" if models.weights(nn.Conv2d) else "none"
        raise NotSupportedError(
            f"{method} changes convolutions, and {type(models.skeleton).__name__} has {has}: "
            "use prune-entropy, kl-contrast or finetune"
        )
    return kernels


_NORMALIZATIONS = (
    nn.modules.batchnorm._NormBase,  # of all batch and instance norms
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def learned(models: Population) -> list[str]:
    """Names of the trainable tensors that belong to no normalization layer, from input to output."""
    normalizing = {
        f"{prefix}.{name}".lstrip(".")
        for prefix, module in models.skeleton.named_modules()
        if isinstance(module, _NORMALIZATIONS)
        for name, _ in module.named_parameters(recurse=False)
    }
    return [
        name
        for name, parameter in models.skeleton.named_parameters()
        if parameter.requires_grad and name not in normalizing
    ]


def output_layer(models: Population, examples: Examples) -> str:
    """Name of the weight of the linear layer whose output is the logits.

    Raises:
        NotSupportedError: there is none.
    """
    name, _ = last_linear(models.module(), models.resident(examples)[0][:4])
    return f"{name}.weight".lstrip(".")


def reset(models: Population, weight: str, purpose: str, rows: Tensor | slice = slice(None)) -> None:
    """Re-initialize a convolution or linear layer as torch's `reset_parameters`: uniform within `1 / sqrt(fan_in)`.

    Args:
        models: changed in place.
        weight: name of the layer's weight; its bias, if it has one, is drawn as well. What is frozen stays.
        purpose: names the random streams, with the tensor's name.
        rows: `[N]`, true for the models whose layer is re-initialized; default all.
    """
    bound = 1 / math.sqrt(math.prod(models.tensors[weight].shape[2:]))
    for name in (weight, weight.removesuffix("weight") + "bias"):
        if name in models.tensors and name not in frozen(models):
            tensor = models.tensors[name]
            fresh = (2 * models.uniform(f"{purpose}/{name}", tensor.shape[1:]) - 1) * bound
            tensor[rows] = fresh[rows]


def check_whole(method: str, recipe: Recipe) -> None:
    """Check the recipe of a method that trains epoch by epoch.

    Raises:
        InputError: its last epoch is a part of one.
    """
    if recipe.epochs != round(recipe.epochs):
        raise InputError(f"{method} trains epoch by epoch; choose a whole number of them instead of {recipe.epochs:g}.")


def check_turns(method: str, retain: Recipe, forget: Recipe) -> None:
    """Check recipes that take turns, an epoch on the retain set after each on the forget set.

    Raises:
        InputError: an epoch on the retain set is a part of one, or there are more on the forget set.
    """
    check_whole(method, retain)
    if forget.epochs > retain.epochs:
        raise InputError(
            f"{method} takes turns on the retain and on the forget set; choose at most the {retain.epochs:g} epochs on "
            f"the retain set for the forget set, too, instead of {forget.epochs:g}."
        )
