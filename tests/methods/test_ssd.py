"""Selective synaptic dampening."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.problems import assert_same, population, request, tensors
from untrain.data import Examples
from untrain.methods import build_method


@pytest.mark.parametrize(
    "settings", [{}, {"selection": 1.0, "dampening": 0.5, "batch_size": 7}, {"selection": 0.5, "dampening": 1.0}]
)
def test_dampening_is_the_papers(settings: dict[str, Any]) -> None:
    models, asked = population(), request()
    module = models.module()

    def importance(examples: Examples, size: int) -> list[Tensor]:
        total = [torch.zeros_like(parameter) for parameter in module.parameters()]
        batches = list(zip(*(tensor.split(size) for tensor in tensors(examples)), strict=True))
        for x, y in batches:
            found = torch.autograd.grad(F.cross_entropy(module(x), y), list(module.parameters()))
            for number, gradient in enumerate(found):
                total[number] += gradient**2 / len(batches)
        return total

    alpha, strength = settings.get("selection", 10.0), settings.get("dampening", 1.0)
    size = settings.get("batch_size", 128)
    dampened = 0
    of_forget, of_all = importance(asked.forget, size), importance(asked.training_set, size)
    for parameter, forgotten, overall in zip(module.parameters(), of_forget, of_all, strict=True):
        for place in np.ndindex(*parameter.shape):
            if forgotten[place] > alpha * overall[place]:
                parameter.data[place] *= min(1.0, float(strength * overall[place] / forgotten[place]))
                dampened += 1
    assert 0 < dampened < sum(parameter.numel() for parameter in module.parameters())
    build_method("ssd", settings=settings).forget(models, asked)
    for position in range(2):
        assert_same(models, position, module)
