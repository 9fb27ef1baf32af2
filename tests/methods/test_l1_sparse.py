"""L1-sparse."""

from typing import Any

import pytest
import torch.nn.functional as F
from torch import Tensor

from tests.methods.problems import WHOLE, assert_same, descend, population, request, tensors
from untrain.methods import build_method
from untrain.population import Training


def test_the_penalty_on_weights_fades() -> None:
    models, asked = population(), request()
    module = models.module()
    x, y = tensors(asked.retain)
    build_method("l1-sparse", settings={"alpha": 0.02, "recipe": {**WHOLE, "epochs": 4}}).forget(models, asked)

    def loss(alpha: float) -> Tensor:
        return F.cross_entropy(module(x), y) + alpha * sum(tensor.abs().sum() for tensor in module.parameters())

    descend(module, [lambda: loss(0.02), lambda: loss(0.015), lambda: loss(0.01), lambda: loss(0.005)])
    for position in range(2):
        assert_same(models, position, module)


def test_a_fraction_of_an_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[float] = []
    original = Training.run

    def counted(self: Training, *arguments: Any, **options: Any) -> None:
        epochs.append(options["epochs"])
        original(self, *arguments, **options)

    models = population()
    monkeypatch.setattr(Training, "run", counted)
    build_method("l1-sparse", settings={"recipe": {"epochs": 2.5}}).forget(models, request())
    assert epochs == [1, 1, 0.5]
