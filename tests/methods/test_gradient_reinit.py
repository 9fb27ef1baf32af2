"""Gradient-based re-initialization."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import population, request, tensors
from untrain.methods.gradient_reinit import GradientReinit
from untrain.models import CNN


def test_reinitialization_changes_thirty_percent_of_each_convolution() -> None:
    models = population(CNN(widths=(16, 32)), count=3)
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    method = GradientReinit()
    masks = method.reinitialize(models, request())
    assert masks.keys() == {"0.weight", "3.weight"}
    for name, mask in masks.items():
        changed = models.tensors[name] != before[name]
        count = before[name][0].numel()
        assert changed.flatten(1).sum(1).tolist() == [round(0.3 * count)] * 3
        assert set(mask[changed].tolist()) == {1.0}
        torch.testing.assert_close(mask[~changed], torch.full_like(mask[~changed], 0.1))
    for name in before.keys() - masks.keys():
        torch.testing.assert_close(models.tensors[name], before[name], rtol=0, atol=0)
    fresh = models.tensors["3.weight"][masks["3.weight"] == 1.0]
    assert fresh.std().item() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.1)  # kaiming_normal, fan_out


def test_reinitialization_takes_the_least_telling_gradients() -> None:
    models, asked = population(count=1), request()
    method = GradientReinit()
    module = models.module(0)
    drawn = models.streams.generator("retained", 0).permutation(len(asked.retain))[: len(asked.forget)]
    for part, sign in ((asked.retain.select(drawn), 1.0), (asked.forget, -1.0)):
        x, y = tensors(part)
        (sign * F.cross_entropy(module(x), y)).backward()
    masks = method.reinitialize(models, asked)
    for name, parameter in module.named_parameters():
        if name in masks:
            assert parameter.grad is not None
            sizes, chosen = parameter.grad.abs(), masks[name][0] == 1.0
            assert sizes[chosen].max() <= sizes[~chosen].min() * (1 + 1e-4)
