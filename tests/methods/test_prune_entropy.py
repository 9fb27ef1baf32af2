"""Pruning and entropy."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import population, request
from untrain.methods.prune_entropy import PruneEntropy, entropy
from untrain.models import CNN, MLP
from untrain.population import Batch, Training


def test_pruning_keeps_one_percent_of_all_weights() -> None:
    models = population(CNN(widths=(16, 32)))
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    PruneEntropy().prune(models)
    names = ["0.weight", "3.weight", "7.weight", "7.bias"]
    for model in range(2):
        sizes = torch.cat([before[name][model].abs().flatten() for name in names])
        kept = torch.cat([(models.tensors[name][model] == before[name][model]).flatten() for name in names])
        expected = len(sizes) - round(0.99 * len(sizes))
        assert int(kept.sum()) == expected
        assert sizes[kept].min() >= sizes[~kept].max()  # one threshold over all layers
    for name, fan_in in (("0.weight", 9), ("3.weight", 16 * 9), ("7.weight", 32 * 4)):
        fresh = models.tensors[name][models.tensors[name] != before[name]]
        assert fresh.abs().max() <= 1 / math.sqrt(fan_in)
        assert fresh.abs().max() > 0.9 / math.sqrt(fan_in)
    bias = models.tensors["7.bias"]
    assert bool(((bias == 0) | (bias == before["7.bias"])).all())
    torch.testing.assert_close(models.tensors["1.weight"], before["1.weight"], rtol=0, atol=0)


def test_pruning_rounds_to_float16_and_holds_the_entropy() -> None:
    models = PruneEntropy().forget(population(), request())
    for tensor in models.tensors.values():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, tensor.half().double(), rtol=0, atol=0)
    logits = torch.randn(2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy())


def test_means_of_inputs_are_not_rounded() -> None:
    """Float16 holds nothing above 65,504: a column of salaries would become infinite."""
    models = population(MLP(widths=(8,), standardize=True))
    for name, value in (("1.mean", 123_456.0), ("1.scale", 70_001.0)):
        models.tensors[name].fill_(value)
    after = PruneEntropy().forget(models, request())
    assert float(after.tensors["1.mean"].min()) == 123_456
    assert float(after.tensors["1.scale"].max()) == 70_001
    assert torch.equal(after.tensors["2.weight"], after.tensors["2.weight"].half().double())


def test_pruning_learns_from_the_teachers_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    teacher = entropy(models.logits(asked.retain))
    runs: list[tuple[Training, torch.Tensor]] = []
    monkeypatch.setattr(Training, "run", lambda self, *_, targets, **__: runs.append((self, targets)))
    PruneEntropy().forget(models, asked)
    logits, labels = torch.randn(1, 4, 3), torch.tensor([[0, 1, 2, 0]])
    positions = torch.tensor([[5, 2, 9, 11]])
    ((training, targets),) = runs
    loss = training.loss(Batch(logits, labels, positions, slice(1, 2), None, {}, given=targets[1:2, positions[0]]))
    expected = F.cross_entropy(logits[0], labels[0]) + F.mse_loss(entropy(logits[0]), teacher[1, positions[0]])
    torch.testing.assert_close(loss, expected[None])
