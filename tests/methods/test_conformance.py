"""Every method through the conformance suite, and broken methods that it must find."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tests.methods.problems import RECIPE, small
from untrain.data import forget_ratio
from untrain.errors import NotSupportedError
from untrain.methods import Method, Request, method_names
from untrain.methods.base import learned
from untrain.models import CNN, MLP, Model
from untrain.population import Population
from untrain.testing import SealedRequest, check_method, toy_problem

NAMES = [name for name in method_names() if name != "rewind"]  # which needs a checkpoint, see test_rewind
CASES: list[tuple[str, Model, dict[str, Any]]] = [
    (name, model, {}) for name in NAMES for model in (CNN(widths=(8, 16)), MLP(widths=(24,)))
]
CASES += [
    (name, model, {"parameters": "all"})
    for name in ("influence", "ssse")
    for model in (CNN(widths=(4, 6)), MLP(widths=(6,)))  # whose curvature is factored in a moment
]


@pytest.mark.parametrize(("name", "model", "settings"), CASES)
def test_conformance(name: str, model: Model, settings: dict[str, Any]) -> None:
    method = small(name, settings)
    if type(method).needs_convolutions and isinstance(model, MLP):
        with pytest.raises(NotSupportedError, match=f"{name} changes convolutions, and Sequential has none: use"):
            check_method(method, model)
    else:
        check_method(method, model)


class _Peeking(Method, frozen=True, tag="peeking"):
    title = "reads what it says it does not"

    def forget(self, models: Population, request: Request) -> Population:
        return models.train(request.forget, RECIPE)


class _Idle(Method, frozen=True, tag="idle"):
    title = "does nothing"

    def forget(self, models: Population, request: Request) -> Population:
        return models


class _Careless(Method, frozen=True, tag="careless"):
    title = "draws from the global generator"

    def forget(self, models: Population, request: Request) -> Population:
        for tensor in models.tensors.values():
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.randn_like(tensor))
        return models.train(request.retain, RECIPE)


class _Destroying(Method, frozen=True, tag="destroying"):
    title = "forgets everything"

    def forget(self, models: Population, request: Request) -> Population:
        for tensor in models.tensors.values():
            tensor.zero_()
        return models


class _Neighborly(Method, frozen=True, tag="neighborly"):
    title = "lets models see each other"

    def forget(self, models: Population, request: Request) -> Population:
        models.train(request.retain, RECIPE)
        for tensor in models.tensors.values():
            if tensor.is_floating_point():
                tensor.copy_(0.9 * tensor + 0.1 * tensor.mean(0))
        return models


class _Thawing(Method, frozen=True, tag="thawing"):
    title = "changes what is frozen"

    def forget(self, models: Population, request: Request) -> Population:
        models.train(request.retain, RECIPE)
        for kernel in models.weights(nn.Conv2d).values():
            kernel.mul_(0.99)
        return models


class _Mixing(Method, frozen=True, tag="mixing"):
    title = "keeps a trace of the original"
    needs_factory = True
    exact = True

    def forget(self, models: Population, request: Request) -> Population:
        retrained = models.fresh().train(request.retain, request.recipe)
        for name in learned(models):
            retrained.tensors[name].lerp_(models.tensors[name], 1e-6)
        return retrained


class _Labeling(Method, frozen=True, tag="labeling"):
    title = "retrains, but with a step that depends on the labels of the forget set"
    needs_factory = True
    reads_forget = True
    exact = True

    def forget(self, models: Population, request: Request) -> Population:
        retrained = models.fresh().train(request.retain, request.recipe)
        for name in learned(models):
            retrained.tensors[name].mul_(1 + 1e-9 * request.forget.labels.sum())
        return retrained


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_Peeking, "reads the forget set"),
        (_Thawing, "changes 0.weight, which is frozen"),
        (_Idle, "must change the weights"),
        (_Careless, "same seed"),
        (_Destroying, "Test accuracy"),
        (_Neighborly, "models beside it"),
        (_Mixing, "not exact.* depends on forget set or original"),
        (_Labeling, "not exact.* depends on forget set or original"),
    ],
)
def test_the_conformance_suite_finds_broken_methods(broken: Callable[[], Method], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_method(broken(), MLP(widths=(24,)) if "exact" in message else None)  # exact ones train four times


def test_a_sealed_request_gives_everything_but_the_forget_set() -> None:
    parts = toy_problem(count=100)
    sets = forget_ratio(parts.train, 0.1)
    sealed = SealedRequest.of(Request(sets.forget, sets.retain, RECIPE, parts.validation))
    assert len(sealed.retain) == len(sets.retain)
    with pytest.raises(AssertionError, match="reads the forget set"):
        _ = sealed.forget
