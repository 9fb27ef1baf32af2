"""The influence update and SSSE: what they do to the weights, and how they choose."""

import logging

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from untrain.data import Examples
from untrain.errors import NotSupportedError
from untrain.influence import Curvature
from untrain.methods import Request, build_method
from untrain.methods.influence import InfluenceUpdate
from untrain.methods.newton import NewtonStep
from untrain.methods.ssse import SSSE
from untrain.models import MLP, factory
from untrain.population import SGD, Population, Recipe

RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), epochs=20, batch_size=16)


def mislabeled(count: int = 200, seed: int = 0) -> Request:
    """Two overlapping classes; the forget set holds the wrong labels, a fifth of all."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=count)
    inputs = generator.normal(size=(count, 6)) + 1.5 * labels[:, None]
    wrong = generator.random(count) < 0.2
    noisy = Examples.of(inputs, np.where(wrong, 1 - labels, labels), classes=["a", "b"])
    return Request(noisy.select(np.flatnonzero(wrong)), noisy.select(np.flatnonzero(~wrong)), RECIPE)


def trained(request: Request, count: int = 1) -> Population:
    models = Population.create(factory(MLP(widths=(8,)), (6,), 2), count, dtype=torch.float64)
    return models.train(InfluenceUpdate().curved(request), RECIPE)


def loss(models: Population, examples: Examples) -> list[float]:
    labels = torch.from_numpy(examples.labels)
    return [F.cross_entropy(logits, labels).item() for logits in models.logits(examples)]


def unguarded(method: NewtonStep) -> NewtonStep:
    return msgspec.structs.replace(method, guarded=False)


@pytest.mark.parametrize(("kind", "over_all"), [(InfluenceUpdate, True), (SSSE, False)])
def test_one_full_step_is_its_formula(kind: type[NewtonStep], over_all: bool) -> None:
    request = mislabeled()
    models = trained(request, count=2)
    before = models.clone()
    unlearned = kind(parameters="all", dampings=(0.3,), steps=(1.0,), guarded=False).forget(models, request)
    examples = InfluenceUpdate().curved(request) if over_all else request.retain
    assert len(examples) == (200 if over_all else len(request.retain))
    for row in range(2):
        found = Curvature(parameters="all", damping=0.3).fit(before.select([row]), examples)
        for name, change in found.step(request.forget).items():
            torch.testing.assert_close(
                unlearned.tensors[name][row], before.tensors[name][row] + change[0] / len(examples)
            )


def test_only_the_last_layer_moves_by_default() -> None:
    request = mislabeled()
    models = trained(request)
    before = models.clone()
    unlearned = build_method("influence").forget(models, request)
    moved = {name for name, tensor in unlearned.tensors.items() if not torch.equal(tensor, before.tensors[name])}
    assert moved == {"3.weight", "3.bias"}


@pytest.mark.parametrize("kind", [InfluenceUpdate, SSSE])
@pytest.mark.parametrize("parameters", ["last", "all"])
def test_the_choice_is_made_for_each_model_by_its_losses(kind: type[NewtonStep], parameters: str) -> None:
    request = mislabeled()
    models = trained(request, count=3)
    before = models.clone()
    method = kind(parameters=parameters)  # type: ignore[arg-type]
    unlearned = method.forget(models, request)
    for row in range(3):
        one = before.select([row])
        tried = [
            kind(parameters=parameters, dampings=(damping,), steps=(step,), guarded=False).forget(one.clone(), request)  # type: ignore[arg-type]
            for damping in method.dampings
            for step in method.steps
        ]
        retained, forgotten = ([loss(each, part)[0] for each in tried] for part in (request.retain, request.forget))
        lowest = min(*retained, loss(one, request.retain)[0])
        assert lowest < loss(one, request.retain)[0]  # wrong labels were learned
        expected = max(f for r, f in zip(retained, forgotten, strict=True) if r <= lowest + 0.01)
        assert loss(unlearned, request.forget)[row] == pytest.approx(expected)
        assert loss(unlearned, request.retain)[row] <= lowest + 0.01 + 1e-12


def test_a_step_that_destroys_is_shortened(caplog: pytest.LogCaptureFixture) -> None:
    request = mislabeled()
    models = trained(request)
    before = models.clone()
    reckless = SSSE(parameters="all", dampings=(1e-9,), steps=(1000.0,), slack=1e-3)
    assert loss(unguarded(reckless).forget(before.clone(), request), request.retain)[0] > 10
    with caplog.at_level(logging.WARNING, logger="untrain"):
        unlearned = reckless.forget(models, request)
    assert loss(unlearned, request.retain)[0] <= loss(before, request.retain)[0] + 1e-3


def test_a_model_that_no_step_spares_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    request = mislabeled()
    models = trained(request, count=2)
    before = models.clone()
    with caplog.at_level(logging.WARNING, logger="untrain"):
        unlearned = SSSE(parameters="all", dampings=(1e-9,), steps=(1e12,), slack=0.0).forget(models, request)
    for name, tensor in unlearned.tensors.items():
        assert torch.equal(tensor, before.tensors[name])
    assert [record.getMessage() for record in caplog.records] == [
        f"model {index} stays as it was: no step spares the retain set" for index in (0, 1)
    ]


@pytest.mark.parametrize(("kind", "name"), [(InfluenceUpdate, "influence:study"), (SSSE, "ssse:study")])
def test_the_studys_settings(kind: type[NewtonStep], name: str) -> None:
    assert build_method(name) == kind(parameters="last-weight", dampings=(0.0,), steps=(1.0,), guarded=False)


def test_a_network_without_a_linear_end_is_refused() -> None:
    build = torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.Tanh()).double()
    with pytest.raises(NotSupportedError, match="linear layer whose output is the logits"):
        build_method("influence").forget(Population.from_module(build), mislabeled())
