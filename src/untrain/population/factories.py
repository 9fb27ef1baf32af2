"""Whether a factory builds new, untrained networks of the original's architecture.

A factory that returns the trained model, a copy of it or a checkpoint would make "trained without the examples" untrue.
One that loads pretrained weights may be right: whoever knows where they come from declares it.
"""

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from untrain.data import Examples
from untrain.errors import InputError
from untrain.population.difficulty import losses
from untrain.population.engine import Engine
from untrain.population.fitting import guarded
from untrain.population.population import Population

_EXAMPLES = 2000
"""Most training examples that networks are evaluated on."""

_NEAR = 0.5
"""Correlation of the weights above which a network is near the original."""

_STANDARD_ERRORS = 5
"""The correlation must also exceed chance by so many standard errors; in tiny networks, chance goes far."""

_NETWORKS = 12
"""A factory is refused if so many networks in a row fit the examples. One untrained network can fit them by luck: two
classes that lie far apart are separated about every second time."""

_BUILD_NEW = "Pass a function that builds a new, untrained network."
_WAY_OUT = (
    "Pass a function that builds a new, untrained network; or, if no forgotten example was used for these weights, "
    "declare where they come from with pretrained= (--pretrained)."
)


def check_factory(original: Population, examples: Examples, *, pretrained: str | None = None) -> None:
    """Check that the factory builds new networks of the original's architecture, untrained unless that is declared.

    Args:
        original: a population of one, with a factory.
        examples: those that it was trained on, or many of them.
        pretrained: where weights come from that the factory does not draw at random, as is declared.

    Raises:
        InputError: the factory fails; its networks have other tensors than the original or are the original; or,
            unless that is declared, any of their weights are the same or nearly so at each call, all of them are near
            the original's, or the networks classify the examples already.

    Cost: two new networks, and a forward pass of the original and of one of them over at most 2,000 examples. Up to
    eleven more networks where that one fits the examples by luck. Torch's global random state stays as it is.
    """
    first, second = (_build(original, number) for number in range(2))
    for network in (first, second):
        _check_architecture(network, original)
    _check_other(first, original)
    if pretrained is not None:
        return
    fixed = [name for name in _parameters(first) if _is_near(first, second, name)]
    if fixed:
        others = f" and {len(fixed) - 1} other tensors" if len(fixed) > 1 else ""
        raise InputError(
            f"The factory builds {fixed[0]!r}{others} alike at each call: they are loaded, computed, or drawn with a "
            f"fixed seed. {_WAY_OUT}"
        )
    for network in (first, second):
        _check_far(network, original)
    _check_untrained(original, first, second, _some(examples, original), _WAY_OUT)


def check_builds_anew(original: Population, examples: Examples) -> None:
    """Check that the factory does not build the original, nor networks that classify the examples already.

    For verbs that say nothing of what a model remembers; see `check_factory`. The architecture may be another one, and
    weights may be pretrained.

    Raises:
        InputError: the factory fails, or builds such networks.
    """
    first, second = (_build(original, number) for number in range(2))
    if first.tensors.keys() == original.tensors.keys():
        _check_other(first, original)
    _check_untrained(original, first, second, _some(examples, original), _BUILD_NEW)


def _check_other(network: Population, original: Population) -> None:
    """Refuse a factory that returns the original."""
    trained = {name for name, parameter in original.skeleton.named_parameters() if parameter.requires_grad}
    names = [name for name in _parameters(network) if name in trained]
    if names and all(torch.equal(network.tensors[name], original.tensors[name]) for name in names):
        raise InputError(f"The factory returns the trained model itself, or a copy of it. {_BUILD_NEW}")


def _build(original: Population, number: int) -> Population:
    """A new network, built as retraining builds it."""
    streams = original.streams.child("factory")
    network = guarded(
        "The factory fails when it is called without arguments, to build a new network",
        lambda: original.repeat(1, streams=streams, first=number).fresh(),
    )
    network.engine = Engine()
    return network


def _check_architecture(network: Population, original: Population) -> None:
    """Refuse other names or shapes of parameters and buffers than the original's."""
    new, known = (
        {name: tuple(tensor.shape[1:]) for name, tensor in one.tensors.items()} for one in (network, original)
    )
    different = next((name for name in known | new if new.get(name) != known.get(name)), None)
    if different is not None:
        raise InputError(
            f"The factory builds another architecture than the model's: the shape of {different!r} is "
            f"{known.get(different, 'missing')} in the model and {new.get(different, 'missing')} in a new network. "
            "Pass the function that built the model."
        )


def _parameters(network: Population) -> list[str]:
    """Names of the parameters that are not constant; one that starts as zeros or ones is always the same."""
    names = (name for name, _ in network.skeleton.named_parameters())
    return [name for name in names if (entries := network.tensors[name].flatten()).ne(entries[:1]).any()]


def _is_near(left: Population, right: Population, name: str) -> bool:
    """Whether a tensor of two networks is equal, or, of a matrix, more correlated than two draws would be."""
    one, other = left.tensors[name][0], right.tensors[name][0]
    if torch.equal(one, other):
        return True
    count = one.numel()
    return one.ndim >= 2 and float(_standardized(one) @ _standardized(other)) / count > _limit(count)


def _limit(count: int) -> float:
    """Correlation of two draws of so many numbers that is not exceeded by chance."""
    return max(_NEAR, _STANDARD_ERRORS / math.sqrt(count))


def _check_far(network: Population, original: Population) -> None:
    """Refuse weights near the original's: the mean over tensors, each weighing by its size, of their correlations."""
    trained = {name for name, parameter in network.skeleton.named_parameters() if parameter.requires_grad}
    names = [name for name in _parameters(network) if name in trained and network.tensors[name][0].ndim >= 2]
    count = sum(network.tensors[name][0].numel() for name in names)
    if not count:
        return
    products = (_standardized(network.tensors[name][0]) @ _standardized(original.tensors[name][0]) for name in names)
    correlation = float(sum(products)) / count
    if correlation > _limit(count):
        raise InputError(
            f"The factory builds networks whose weights are near the model's (correlation {correlation:.2f}): it "
            f"starts from the trained model or from a checkpoint. {_WAY_OUT}"
        )


def _standardized(tensor: Tensor) -> Tensor:
    """The entries as a vector of mean 0 and variance 1; zeros if all are equal."""
    centered = tensor.double().flatten() - tensor.double().mean()
    return centered / centered.square().mean().sqrt().clamp_min(torch.finfo(torch.float64).tiny)


def _check_untrained(
    original: Population, first: Population, second: Population, examples: Examples, way_out: str
) -> None:
    """Refuse networks whose loss is nearer to the original's than to that of a guess by the shares of the labels."""
    shares = np.bincount(examples.labels) / len(examples)
    entropy = float(-(shares * np.log(np.maximum(shares, np.finfo(np.float64).tiny))).sum())
    trained = _loss(original, examples)
    if not trained < entropy:
        return
    middle = (trained + entropy) / 2
    networks = itertools.chain([first, second], (_build(original, number) for number in range(2, _NETWORKS)))
    if all(_loss(network, examples) < middle for network in networks):
        raise InputError(
            f"The factory builds networks that already classify the training examples (cross-entropy "
            f"{_loss(first, examples):.2g}, that of the model is {trained:.2g}): it loads or trains a network. "
            f"{way_out}"
        )


def _loss(network: Population, examples: Examples) -> float:
    """Mean cross-entropy."""
    return float(losses(network, examples).mean())


def _some(examples: Examples, original: Population) -> Examples:
    """At most 2,000 of the examples, drawn at random."""
    if len(examples) <= _EXAMPLES:
        return examples
    order = original.streams.child("factory").generator("examples").permutation(len(examples))
    return examples.select(np.sort(order[:_EXAMPLES]))


__all__ = ["check_builds_anew", "check_factory"]
