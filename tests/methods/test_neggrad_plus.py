"""NegGrad+."""

import torch.nn.functional as F

from tests.methods.problems import WHOLE, assert_same, descend, population, request, tensors
from untrain.methods import build_method


def test_neggrad_weighs_the_two_sets() -> None:
    models, asked = population(), request()
    module = models.module()
    (x, y), (u, v) = tensors(asked.retain), tensors(asked.forget)
    settings = {"alpha": 0.8, "forget_batch_size": 1000, "recipe": {**WHOLE, "epochs": 3}}
    build_method("neggrad-plus", settings=settings).forget(models, asked)
    descend(module, [lambda: 0.8 * F.cross_entropy(module(x), y) - 0.2 * F.cross_entropy(module(u), v)] * 3)
    for position in range(2):
        assert_same(models, position, module)
