"""Noise on the first convolution."""

from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import population, request
from untrain.methods import build_method
from untrain.methods.conv_noise import ConvNoise
from untrain.models import CNN, Model, ResNet18, factory
from untrain.population import Batch, Population, Training


@pytest.mark.parametrize(
    ("model", "first"), [(CNN(widths=(6, 8)), "0.weight"), (ResNet18(stem="cifar"), "conv1.weight")]
)
def test_noise_changes_the_first_convolution_alone(model: Model, first: str) -> None:
    models = Population.create(factory(model, (3, 8, 8), 3), 3)
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    ConvNoise().confuse(models, 0.6, "confuse")
    for name, tensor in models.tensors.items():
        assert torch.equal(tensor, before[name]) == (name != first)
    noise = models.tensors[first] - before[first]
    assert noise.std().item() == pytest.approx(0.6, rel=0.1)
    assert not torch.equal(noise[0], noise[1])


def test_noise_scales_the_loss_by_the_frequent_class(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    runs: list[tuple[Training, torch.Tensor]] = []
    monkeypatch.setattr(Training, "run", lambda self, *_, targets, **__: runs.append((self, targets)))
    build_method("conv-noise").forget(models, asked)
    frequent = int(np.bincount(asked.retain.labels).argmax())
    logits = torch.randn(1, 4, 3, dtype=torch.float64)
    labels = torch.tensor([[frequent, frequent, (frequent + 1) % 3, (frequent + 2) % 3]])
    positions = torch.tensor([[int(np.flatnonzero(asked.retain.labels == label)[0]) for label in labels[0].tolist()]])
    expected = F.cross_entropy(logits[0], labels[0]) * (1 + 1 + 0.05 + 0.05) / 4
    for training, targets in runs:
        assert targets.shape == (len(models), len(asked.retain))
        batch = Batch(logits, labels, positions, slice(0, 1), None, {}, given=targets[:1, positions[0]])
        torch.testing.assert_close(training.loss(batch), expected[None])
    assert len(runs) == 2


@pytest.mark.parametrize(("epochs", "parts"), [(2, [1, 1]), (1, [0, 1]), (0.5, [0, 0.5])])
def test_the_late_noise_comes_before_the_last_epoch(
    epochs: float, parts: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    models, train = population(), Training.run
    taken: list[float] = []

    def run(training: Training, *given: Any, **options: Any) -> None:
        taken.append(options["epochs"])
        train(training, *given, **options)

    monkeypatch.setattr(Training, "run", run)
    method = ConvNoise(recipe=msgspec.structs.replace(ConvNoise().recipe, epochs=epochs))
    method.forget(models, request())
    assert taken == parts
