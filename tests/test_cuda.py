"""A CUDA device against the CPU, and captured steps against eager ones; skipped where there is none.

In float64 the numbers of both devices differ by rounding alone, so what differs more is computed elsewhere or
otherwise. In float32 a captured step has the bits of the eager one.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from untrain.core.randomness import Streams
from untrain.data import forget_ratio
from untrain.detection import SCORERS, detect
from untrain.experiments import Experiment, packaged, run_experiment
from untrain.experiments.config import read_experiment
from untrain.methods import METHODS, Request, build_method
from untrain.models import CNN, MLP, Factory, Model, ResNet18, factory
from untrain.population import SGD, Adam, AdamW, Batch, Cosine, Engine, Population, Recipe, cross_entropy
from untrain.population import training as training_module
from untrain.population.choice import choose_on_gpu
from untrain.population.slots import Sizes, Slot
from untrain.testing import toy_problem

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), schedule=Cosine(), epochs=5, batch_size=32)
DEVICES = ("cpu", "cuda")


def original(device: str) -> Population:
    examples = toy_problem().train
    build = factory(CNN(widths=(8, 16)), examples.inputs.shape[1:], len(examples.classes))
    models = Population.create(build, 1, seed=1, dtype=torch.float64, device=device, engine=Engine(1))
    return models.train(examples, RECIPE)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_gives_the_same_models(name: str, width: int) -> None:
    parts = toy_problem()
    sets = forget_ratio(parts.train, 0.1)
    request = Request(sets.forget, sets.retain, RECIPE, parts.validation)
    method = build_method(name, preset="small" if "small" in METHODS.of(name).presets else None)
    confidences = []
    for device in DEVICES:
        models = original(device).repeat(2, streams=Streams(1))
        models.engine = Engine(width)
        confidences.append(method.forget(models, request).confidences(parts.train))
    np.testing.assert_allclose(confidences[1], confidences[0], atol=1e-9)


@pytest.mark.parametrize("name", SCORERS.names())
def test_a_scorer_gives_the_same_scores(name: str) -> None:
    examples = toy_problem().train
    scores = [detect(original(device), examples, scorer=name, recipe=RECIPE).scores for device in DEVICES]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-7)


# Captured steps

EAGER = Engine(slots=0)
CAPTURED = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=Cosine(per="step"),
    epochs=3.3,
    batch_size=13,
    class_balance=0.5,
)


@pytest.fixture(autouse=True)
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels that give the same bits each time, and captures however few the steps."""
    monkeypatch.setattr(training_module, "WORTH_CAPTURING", 1)
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before


def trained(build: Factory | Model, engine: Engine, recipe: Recipe = CAPTURED, count: int = 3) -> Population:
    parts = toy_problem()
    if not callable(build):
        build = factory(build, parts.train.inputs.shape[1:], len(parts.train.classes))
    models = Population.create(build, count, seed=1, device="cuda", engine=engine)
    return models.train(parts.train, recipe, validation=parts.validation)


def assert_same_bits(first: Population, second: Population) -> None:
    for name, tensor in first.tensors.items():
        torch.testing.assert_close(tensor, second.tensors[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("optimizer", [CAPTURED.optimizer, Adam(lr=1e-2, weight_decay=1e-2), AdamW(lr=1e-2)])
@pytest.mark.parametrize("model", [MLP(widths=(12, 9)), CNN(widths=(8, 16))], ids=["mlp", "cnn"])
def test_a_captured_step_has_the_bits_of_an_eager_one(
    model: Model, optimizer: SGD | Adam | AdamW, slots: int, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = msgspec.structs.replace(CAPTURED, optimizer=optimizer, keep_best_from_epoch=2)
    assert_same_bits(trained(model, EAGER, recipe), trained(model, Engine(slots=slots), recipe))
    assert not caplog.records


def test_a_captured_resnet_has_the_bits_of_an_eager_one(caplog: pytest.LogCaptureFixture) -> None:
    recipe = Recipe(optimizer=Adam(lr=1e-4, weight_decay=5e-3), schedule=Cosine(), epochs=4, batch_size=16)
    assert_same_bits(trained(ResNet18(), EAGER, recipe, 2), trained(ResNet18(), Engine(slots=2), recipe, 2))
    assert not caplog.records


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_has_the_same_bits_captured(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A loss that changes between runs, masks, subsets and second sets would show here."""
    parts = toy_problem()
    sets = forget_ratio(parts.train, 0.1)
    request = Request(sets.forget, sets.retain, RECIPE, parts.validation)
    method = build_method(name, preset="small" if "small" in METHODS.of(name).presets else None)
    start = trained(CNN(widths=(8, 16)), EAGER, RECIPE, 1)
    unlearned = []
    for engine in (EAGER, Engine(slots=2)):
        models = start.repeat(3, streams=Streams(1))
        models.engine = engine
        unlearned.append(method.forget(models, request))
    assert_same_bits(*unlearned)
    assert not caplog.records


class Small(nn.Module):
    """Two layers for the toy problem."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 9), nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.between(self.first(x.flatten(1))).relu())
        return logits

    def between(self, x: Tensor) -> Tensor:
        return x


class Dropped(Small):
    """Draws random numbers."""

    def between(self, x: Tensor) -> Tensor:
        return torch.nn.functional.dropout(x, 0.5, self.training)


class Waits(Small):
    """Asks the device for a number, which no graph can."""

    def between(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 1e9 else 2 * x


class Replaces(Small):
    """Assigns a buffer anew."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(9))

    def between(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


class Counts(Small):
    """Depends on a number that Python counts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def between(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x * (1 + self.calls % 2)


@pytest.mark.parametrize(
    ("build", "reason"),
    [(Dropped, "random numbers"), (Replaces, "buffer mean"), (Waits, "captured"), (Counts, "other numbers")],
)
def test_what_cannot_be_captured_is_computed_eagerly_and_the_log_says_so(
    build: Factory, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "untrain"):
        models = trained(build, Engine(slots=2), RECIPE, 2)
    assert reason in caplog.text
    if build is not Counts:  # a trial has counted as well
        assert_same_bits(models, trained(build, EAGER, RECIPE, 2))


def test_a_device_works_on_after_a_capture_that_failed() -> None:
    trained(Waits, Engine(slots=2), RECIPE, 2)
    assert_same_bits(trained(CNN(), Engine(slots=2)), trained(CNN(), EAGER))
    assert torch.rand(3, device="cuda").isfinite().all()


def test_a_loss_that_changes_between_runs_is_captured_anew() -> None:
    def run(engine: Engine) -> Population:
        examples = toy_problem().train
        build = factory(CNN(), examples.inputs.shape[1:], len(examples.classes))
        models = Population.create(build, 3, device="cuda", engine=engine)
        factor = 1.0

        def loss(batch: Batch) -> Tensor:
            return factor * cross_entropy(batch)

        training = models.training(CAPTURED, loss=loss)
        for factor in (1.0, 0.1, 3.0):  # noqa: B007 (the loss reads it)
            training.run(examples, epochs=1)
        return models

    assert_same_bits(run(EAGER), run(Engine(slots=2)))


@pytest.mark.parametrize("name", ["prune-entropy", "conv-noise", "kl-contrast", "scrub"])
def test_steps_are_captured_once_and_replayed_in_all_epochs_and_jobs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second job of the same method, with other models, computes no step eagerly."""
    parts = toy_problem()
    sets = forget_ratio(parts.train, 0.1)
    request = Request(sets.forget, sets.retain, RECIPE, parts.validation)
    start = trained(CNN(widths=(8, 16)), EAGER, RECIPE, 1)
    steps = 0
    eager = Slot._step

    def counted(self: Slot, sizes: Sizes) -> None:
        nonlocal steps
        steps += 1
        eager(self, sizes)

    monkeypatch.setattr(Slot, "_step", counted)
    taken = []
    for job in range(3):
        models = start.repeat(4, streams=Streams(job))
        models.engine = Engine(slots=2)
        before = steps
        build_method(name).forget(models, request)
        taken.append(steps - before)
    assert taken[0] > 0
    assert taken[1:] == [0, 0]


def test_slots_are_chosen_for_convolutions() -> None:
    examples = toy_problem().train
    build = factory(CNN(), examples.inputs.shape[1:], len(examples.classes))
    models = Population.create(build, 8, device="cuda")
    chosen = choose_on_gpu(models.module, models.tensors, models.resident(examples)[0], 32)
    assert chosen.slots > 1
    assert chosen.width == 1


def test_compiled_slots_are_close_to_eager_ones(caplog: pytest.LogCaptureFixture) -> None:
    recipe = Recipe(optimizer=SGD(lr=1e-2), epochs=1, batch_size=32)
    eager, compiled = (trained(CNN(), engine, recipe) for engine in (EAGER, Engine(slots=2, compiled=True)))
    if "not compiled" in caplog.text:
        pytest.skip("nothing can be compiled here")
    for name, tensor in eager.tensors.items():
        torch.testing.assert_close(tensor, compiled.tensors[name], rtol=1e-2, atol=1e-3)


def test_bfloat16_is_close() -> None:
    recipe = Recipe(optimizer=SGD(lr=1e-2), epochs=1, batch_size=32)
    single, half = (trained(CNN(), engine, recipe) for engine in (EAGER, Engine(slots=2, bfloat16=True)))
    for name, tensor in single.tensors.items():
        torch.testing.assert_close(tensor, half.tensors[name], rtol=5e-2, atol=5e-2)


def test_an_experiment_runs_and_continues(tmp_path: Path) -> None:
    assert "digits" in packaged()
    experiment = read_experiment("digits")
    assert isinstance(experiment, Experiment)
    small = msgspec.structs.replace(
        experiment, model=CNN(), methods=("finetune",), settings={}, models=2, chunk=2, forget=(0.02,), engine=None
    )
    results = run_experiment(small, tmp_path, device="cuda")
    assert (tmp_path / "results.json").is_file()
    assert run_experiment(small, tmp_path, device="cuda") == results
