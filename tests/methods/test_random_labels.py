"""Random labels."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.problems import WHOLE, assert_same, descend, population, request, tensors
from untrain.methods import build_method
from untrain.methods.targets import drawn_labels


def test_random_labels_are_learned_beside_the_retain_set() -> None:
    models, asked = population(), request()
    module = models.module()
    (x, y), (u, _) = tensors(asked.retain), tensors(asked.forget)
    drawn = drawn_labels(models, asked.forget, "labels", wrong=True)
    build_method("random-labels", settings={"recipe": {**WHOLE, "epochs": 2}}).forget(models, asked)
    for position in range(2):
        own = copy.deepcopy(module)

        def loss(own: nn.Module = own, drawn: Tensor = drawn[position]) -> Tensor:
            return F.cross_entropy(own(torch.cat([u, x])), torch.cat([drawn, y]))

        assert_same(models, position, descend(own, [loss] * 2))
