"""Transposed convolutions."""

import torch

from tests.methods.problems import population
from untrain.methods.transpose import Transpose


def test_transposing_twice_changes_nothing() -> None:
    models = population()
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    Transpose().transpose(models)
    torch.testing.assert_close(models.tensors["0.weight"], before["0.weight"].transpose(-1, -2), rtol=0, atol=0)
    for name in ("1.weight", "7.weight", "7.bias"):
        torch.testing.assert_close(models.tensors[name], before[name], rtol=0, atol=0)
    Transpose().transpose(models)
    for name, tensor in models.tensors.items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
