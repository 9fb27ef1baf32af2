"""Gradient ascent."""

import torch.nn.functional as F

from tests.methods.problems import WHOLE, assert_same, descend, population, request, tensors
from untrain.methods import build_method


def test_ascent_climbs_the_loss_of_the_forget_set() -> None:
    models, asked = population(), request()
    module = models.module()
    x, y = tensors(asked.forget)
    build_method("gradient-ascent", settings={"recipe": {**WHOLE, "epochs": 2}}).forget(models, asked)
    descend(module, [lambda: -F.cross_entropy(module(x), y)] * 2)
    for position in range(2):
        assert_same(models, position, module)
