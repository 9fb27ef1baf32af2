"""A small problem for all methods, and plain torch to hold them against."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from untrain.core.randomness import Streams
from untrain.data import Examples, forget_ratio
from untrain.methods import METHODS, Method, Request, build_method
from untrain.models import CNN, Model, factory
from untrain.models.weights import Tensors
from untrain.population import SGD, Engine, Population, Recipe

RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), epochs=2, batch_size=16)
STEP = Recipe(optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=0.01), epochs=1, batch_size=1000)
"""One epoch is one step on all examples, whose order does not matter."""

WHOLE = {"optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}, "batch_size": 1000}
"""The same as settings, for any number of epochs."""


def examples(count: int = 60, seed: int = 0) -> Examples:
    """Images of three classes that a network can tell apart, though not at once."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=count)
    inputs = generator.normal(size=(count, 1, 8, 8)) + labels[:, None, None, None]
    ids = [f"{seed}-{row}" for row in range(count)]
    return Examples.of(inputs.astype(np.float32), labels, ids, classes=["a", "b", "c"])


def request() -> Request:
    """A fifth of the examples is to be forgotten."""
    sets = forget_ratio(examples(), 0.2)
    return Request(sets.forget, sets.retain, RECIPE, examples(20, seed=1))


def population(model: Model | None = None, count: int = 2) -> Population:
    """Copies of one trained model, computed in one call."""
    build = factory(model or CNN(widths=(6, 8)), (1, 8, 8), 3)
    original = Population.create(build, 1, dtype=torch.float64, engine=Engine()).train(request().training_set, RECIPE)
    models = original.repeat(count, streams=Streams(1).child("test"))
    models.engine = Engine(count)
    return models


def small(name: str, settings: dict[str, Any] | None = None) -> Method:
    """The method with its preset for small data, where it has one."""
    return build_method(name, preset="small" if "small" in METHODS.of(name).presets else None, settings=settings)


def copied(models: Population) -> Tensors:
    return {name: tensor.clone() for name, tensor in models.tensors.items()}


def tensors(part: Examples) -> tuple[Tensor, Tensor]:
    """Inputs in double precision, and labels."""
    return torch.from_numpy(part.inputs).double(), torch.from_numpy(part.labels)


def descend(module: nn.Module, losses: Sequence[Callable[[], Tensor]], recipe: Recipe = STEP) -> nn.Module:
    """One step of plain torch for each loss, by the optimizer of a recipe."""
    assert isinstance(recipe.optimizer, SGD)
    settings = recipe.optimizer
    optimizer = torch.optim.SGD(module.parameters(), settings.lr, settings.momentum, weight_decay=settings.weight_decay)
    module.train()
    for loss in losses:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return module


def step(module: nn.Module, recipe: Recipe, loss: Tensor) -> None:
    """One step of plain torch on a loss, by an optimizer of its own."""
    descend(module, [lambda: loss], recipe)


def assert_same(models: Population, row: int, module: nn.Module) -> None:
    """Model `row` of the population equals the module."""
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(models.tensors[name][row], tensor, rtol=1e-9, atol=1e-12, msg=name)


def assert_settings(method: Method, expected: dict[str, Any]) -> None:
    """Fields of a method, and of its recipes by dotted paths, are the expected values."""
    fields: Any = msgspec.to_builtins(method)
    for path, value in expected.items():
        found = fields
        for key in path.split("."):
            found = found[key]
        assert found == value, path
