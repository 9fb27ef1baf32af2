"""Re-initialization and matching."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.problems import STEP, assert_same, examples, population, request, tensors
from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.errors import NotSupportedError
from untrain.methods import build_method
from untrain.methods.reinit_match import ReinitMatch
from untrain.population import Population, Training


class _Mixed(nn.Module):
    """Eight convolutions of 3x3, and one of 1x1 that is not to be drawn anew."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(8)))
        self.shortcut = nn.Conv2d(1, 1, 1)
        self.fc = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc((self.convolutions(x) + self.shortcut(x)).flatten(1))
        return out


def test_six_layers_are_drawn_with_replacement() -> None:
    models = Population.from_module(_Mixed()).repeat(400, streams=Streams(0))
    for tensor in models.tensors.values():
        tensor.fill_(9.0)
    ReinitMatch().reinitialize(models, 0)
    drawn = torch.stack(
        [(models.tensors[f"convolutions.{layer}.weight"] != 9).any(1).flatten(1).any(1) for layer in range(8)]
    )
    counts = drawn.sum(0)
    assert counts.max() == 6
    assert counts.double().mean() == pytest.approx(8 * (1 - (7 / 8) ** 6), abs=0.15)
    assert drawn.double().mean(1).sub(1 - (7 / 8) ** 6).abs().max() < 0.1
    for layer in range(8):
        weight, bias = (models.tensors[f"convolutions.{layer}.{leaf}"] for leaf in ("weight", "bias"))
        assert torch.equal((bias != 9).flatten(), drawn[layer])
        assert weight[drawn[layer]].abs().max() <= 1 / 3
        assert weight[drawn[layer]].std() == pytest.approx(1 / 3 / math.sqrt(3), rel=0.1)
    for name in ("shortcut.weight", "shortcut.bias", "fc.weight", "fc.bias"):
        assert set(models.tensors[name].flatten().tolist()) == {9.0}
    first = models.tensors["convolutions.0.weight"].clone()
    ReinitMatch().reinitialize(models, 1)
    anew = (models.tensors["convolutions.0.weight"] != first).flatten(1).any(1)[drawn[0]]
    assert anew.double().mean() == pytest.approx(1 - (7 / 8) ** 6, abs=0.15)


def test_a_network_without_larger_convolutions_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(128, 3))
    with pytest.raises(NotSupportedError, match="larger than 1x1, and Sequential has none"):
        ReinitMatch().forget(Population.from_module(module), request())


@pytest.mark.parametrize(("name", "expected"), [("reinit-match", "RTRTTRTT"), ("reinit-match:second", "RTTRTRTRT")])
def test_cycles(monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    events: list[str] = []
    reinitialize, run = ReinitMatch.reinitialize, Training.run

    def drawing(self: ReinitMatch, models: Population, cycle: int) -> None:
        events.append("R")
        reinitialize(self, models, cycle)

    def training(self: Training, part: Examples, *, epochs: float, **options: Any) -> None:
        assert epochs == 1
        events.append("T")
        run(self, part, epochs=epochs, **options)

    models = population(count=1)
    monkeypatch.setattr(ReinitMatch, "reinitialize", drawing)
    monkeypatch.setattr(Training, "run", training)
    build_method(name).forget(models, request())
    assert "".join(events) == expected


def test_the_noise_of_an_epoch() -> None:
    method, part, streams = ReinitMatch(), examples(), Streams(5)
    first, again, second = (method.noisy(part, streams, epoch) for epoch in (0, 0, 1))
    assert np.array_equal(first.inputs, again.inputs)
    assert first.inputs.dtype == np.float32
    assert np.array_equal(first.ids, part.ids)
    assert np.array_equal(first.labels, part.labels)
    noises = [noisy.inputs - part.inputs for noisy in (first, second)]
    for noise in noises:
        assert noise.std() == pytest.approx(0.01, rel=0.05)
        assert abs(noise.mean()) < 0.001
    assert abs(np.corrcoef(noises[0].ravel(), noises[1].ravel())[0, 1]) < 0.1
    photographs = Examples.of(np.full((4, 3, 8, 8), 255, dtype=np.uint8), [0, 1, 0, 1])
    noisy = method.noisy(photographs, streams, 0)
    assert noisy.inputs.dtype == np.float32
    assert 0 < np.abs(noisy.inputs - 255).max() < 0.1


def test_matching_takes_the_steps_of_plain_torch() -> None:
    models, asked = population(), request()
    recipe = msgspec.structs.replace(STEP, epochs=2)
    method = ReinitMatch(noise=0.5, cycles=(1, 1), recipe=recipe)
    teacher, plain = models.module(), models.clone()
    seen = [tensors(method.noisy(asked.retain, models.streams, epoch))[0] for epoch in range(2)]
    method.reinitialize(plain, 0)
    method.forget(models, asked)
    for row in range(2):
        module = plain.module(row).train()
        optimizer = torch.optim.SGD(module.parameters(), 0.05, 0.9, weight_decay=0.01)
        for epoch, inputs in enumerate(seen):
            if epoch:
                fresh = plain.clone()
                for name, tensor in module.state_dict().items():
                    fresh.tensors[name][row] = tensor
                method.reinitialize(fresh, 1)
                module.load_state_dict({name: tensor[row] for name, tensor in fresh.tensors.items()})
            optimizer.zero_grad()
            F.mse_loss(module(inputs), teacher(inputs).detach()).backward()
            optimizer.step()
        assert_same(models, row, module)
