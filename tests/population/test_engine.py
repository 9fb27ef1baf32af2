import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from untrain.data import Examples
from untrain.models import CNN, MLP, Model, ResNet18, factory
from untrain.models.weights import state_of
from untrain.population import SGD, Engine, Population, Recipe
from untrain.population.engine import why_not_vectorized

RECIPE = Recipe(optimizer=SGD(lr=0.05), epochs=2, batch_size=8)


class Reassigned(nn.Module):
    """Assigns a buffer anew, which vectorizing would silently lose."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        out: Tensor = self.layer(x - self.mean)
        return out


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out * 2 if out.sum().item() > 0 else out


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.lstm(x.view(-1, 2, 2))[0][:, -1])
        return out


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.second(self.first(x).relu()))
        return out


class BranchingOnInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out * 2 if x.abs().max() > 1 else out


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3))


def forgetful_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=None), nn.Linear(6, 3))


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Dropout(), nn.Linear(6, 3))


def examples(shape: tuple[int, ...] = (4,), count: int = 24) -> Examples:
    generator = np.random.default_rng(0)
    return Examples.of(
        generator.normal(size=(count, *shape)), generator.integers(3, size=count), classes=["a", "b", "c"]
    )


@pytest.mark.parametrize("build", [normed, Tied, factory(MLP(), (4,), 3)])
def test_what_can_be_vectorized(build: Callable[[], nn.Module]) -> None:
    models = Population.create(build, 2)
    assert why_not_vectorized(models.skeleton, models.tensors, torch.randn(6, 4)) is None


@pytest.mark.parametrize("model", [CNN(widths=(4, 6)), ResNet18()])
def test_networks_with_batch_norm_can_be_vectorized(model: Model) -> None:
    models = Population.create(factory(model, (3, 16, 16), 3), 2)
    assert why_not_vectorized(models.skeleton, models.tensors, torch.randn(4, 3, 16, 16)) is None


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (Reassigned, "differs"),
        (Branching, "RuntimeError"),
        (BranchingOnInputs, "RuntimeError"),
        (Recurrent, "RuntimeError"),
        (forgetful_norm, "RuntimeError"),
        (dropping, "random"),
    ],
)
def test_what_cannot_be_vectorized_is_computed_one_by_one_and_says_so(
    build: Callable[[], nn.Module], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "untrain")
    models = Population.create(build, 3, seed=4, dtype=torch.float64)
    start = models.clone()
    models.train(examples(), RECIPE)
    assert models.engine is not None
    assert models.engine.width == 1
    assert reason in models.engine.reason
    assert "one by one" in caplog.text
    for position in range(3):
        alone = start.select([position]).train(examples(), RECIPE)
        for name, tensor in alone.tensors.items():
            torch.testing.assert_close(tensor[0], models.tensors[name][position])
    assert any(not torch.equal(tensor, start.tensors[name]) for name, tensor in models.tensors.items())


def test_buffers_that_are_assigned_anew_are_kept() -> None:
    models = Population.create(Reassigned, 2, engine=Engine(1)).train(examples(), RECIPE)
    assert models.tensors["mean"].abs().sum(1).min() > 0
    module = models.module(1)
    torch.testing.assert_close(state_of(module)["mean"], models.tensors["mean"][1])


def test_tied_weights_stay_tied() -> None:
    for width in (1, 2):
        models = Population.create(Tied, 2, dtype=torch.float64, engine=Engine(width)).train(examples(), RECIPE)
        assert "second.weight" not in models.tensors
        module = models.module(0)
        x = torch.from_numpy(examples().inputs)
        torch.testing.assert_close(module(x)[None], models.select([0]).logits(examples()))


def test_a_module_that_insists_on_its_layout_keeps_it() -> None:
    class Viewing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3 * 6 * 6, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(x.view(x.shape[0], -1))
            return out

    models = Population.create(Viewing, 1).train(examples((3, 6, 6)), RECIPE)
    assert models.engine is not None
    assert not models.engine.channels_last


def test_measuring_changes_no_model() -> None:
    models = Population.create(normed, 3)
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    next(models.chunks(examples()))
    for name, tensor in models.tensors.items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("width", [1, 2])
def test_layers_that_work_in_place_do_not_change_the_examples(width: int) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3))

    data = Examples.of(examples().inputs.astype(np.float32), examples().labels)
    before = data.inputs.copy()
    models = Population.create(build, 2, engine=Engine(width)).train(data, RECIPE)
    models.accuracy(data)
    np.testing.assert_array_equal(data.inputs, before)


def test_bytes_and_token_numbers_are_inputs_too() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 3))

    generator = np.random.default_rng(0)
    tokens = Examples.of(generator.integers(10, size=(24, 5)), generator.integers(3, size=24))
    assert Population.create(build, 3).train(tokens, RECIPE).logits(tokens).shape == (3, 24, 3)
    pixels = Examples.of(generator.integers(256, size=(24, 1, 8, 8), dtype=np.uint8), generator.integers(3, size=24))
    models = Population.create(factory(CNN(widths=(4,)), (1, 8, 8), 3), 2).train(pixels, RECIPE)
    assert models.logits(pixels).shape == (2, 24, 3)


def test_many_copies_of_one_model_are_measured_anew() -> None:
    one = Population.create(normed, 1).train(examples(), RECIPE)
    assert one.engine is not None
    assert one.repeat(4, streams=one.streams).engine is None
