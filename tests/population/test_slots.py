"""Slots on a CPU, where their steps are not captured: they have the bits of the training loop without slots."""

import dataclasses
import logging
import warnings
from contextlib import nullcontext
from typing import ClassVar

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from untrain.core.progress import listening, plan
from untrain.core.randomness import Streams
from untrain.data import Examples, forget_ratio
from untrain.errors import InputError
from untrain.methods import Request, build_method
from untrain.models import CNN, MLP, Model, factory
from untrain.population import (
    SGD,
    Adam,
    AdamW,
    Batch,
    Constant,
    Cosine,
    Engine,
    EpochFactors,
    Population,
    Recipe,
    cross_entropy,
)
from untrain.population import slots as slots_module
from untrain.population import training as training_module
from untrain.population.choice import choose_on_gpu
from untrain.population.slots import Course, Kind, Sizes, Slot

PLAIN = Engine()
RECIPE = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
    epochs=3.3,
    batch_size=16,
    class_balance=0.5,
)
MODELS: dict[str, tuple[Model, tuple[int, ...]]] = {
    "mlp": (MLP(widths=(7,)), (5,)),
    "cnn": (CNN(widths=(4, 6)), (1, 8, 8)),
}


def some(shape: tuple[int, ...], count: int = 50, seed: int = 0) -> Examples:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    return Examples.of(inputs, generator.integers(3, size=count), classes=["a", "b", "c"])


def new(kind: str, engine: Engine, count: int = 3, dtype: torch.dtype = torch.float32) -> Population:
    model, shape = MODELS[kind]
    return Population.create(factory(model, shape, 3), count, seed=1, dtype=dtype, engine=engine)


def assert_same_bits(first: Population, second: Population) -> None:
    for name, tensor in first.tensors.items():
        torch.testing.assert_close(tensor, second.tensors[name], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("schedule", [Constant(), Cosine(per="step"), EpochFactors(factors=(0.5, 1.0))])
@pytest.mark.parametrize(
    "optimizer", [SGD(lr=0.05), RECIPE.optimizer, Adam(lr=1e-2, weight_decay=1e-2), AdamW(lr=1e-2)]
)
@pytest.mark.parametrize("kind", list(MODELS))
def test_slots_have_the_bits_of_the_loop_without(
    kind: str,
    optimizer: SGD | Adam | AdamW,
    schedule: Constant | Cosine | EpochFactors,
    dtype: torch.dtype,
) -> None:
    """Fifty examples in batches of 16 leave a short one; three models in two slots leave one by itself."""
    _, shape = MODELS[kind]
    recipe = msgspec.structs.replace(RECIPE, optimizer=optimizer, schedule=schedule, keep_best_from_epoch=2)
    plain, slots = (
        new(kind, engine, dtype=dtype).train(some(shape), recipe, validation=some(shape, 30, seed=3))
        for engine in (PLAIN, Engine(slots=2))
    )
    assert_same_bits(plain, slots)


@pytest.mark.parametrize("count", [1, 2, 17, 33])
def test_any_number_of_examples_will_do(count: int) -> None:
    plain, slots = (new("mlp", engine).train(some((5,), count), RECIPE) for engine in (PLAIN, Engine(slots=2)))
    assert_same_bits(plain, slots)


@pytest.mark.parametrize("slots", [2, 3])
def test_trainings_that_alternate_keep_their_momentum(slots: int) -> None:
    """With a loss that changes between runs, a second set, subsets and a mask that freezes a tensor for some models."""
    examples, other = some((5,)), some((5,), 21, seed=2)
    subsets = np.stack([np.random.default_rng(row).permutation(50)[:37] for row in range(3)])

    def run(engine: Engine) -> Population:
        models = new("mlp", engine)
        factor = 1.0

        def loss(batch: Batch) -> Tensor:
            assert batch.beside is not None
            size = torch.stack([tensor.square().flatten(1).sum(1) for tensor in batch.parameters.values()]).sum(0)
            return factor * cross_entropy(batch) - 0.1 * cross_entropy(batch.beside) + 1e-3 * size

        masks = {"1.weight": torch.tensor([1.0, 0.0, 0.5])[:, None, None]}
        recipe = msgspec.structs.replace(RECIPE, epochs=3)
        first = models.training(recipe, loss=loss, purpose="first", masks=masks)
        second = models.training(recipe, purpose="second")
        for factor in (1.0, 0.1, 3.0):  # noqa: B007 (the loss reads it)
            first.run(examples, epochs=1, beside=(other, 8), subsets=subsets)
            second.run(other, epochs=1)
        return models

    assert_same_bits(run(PLAIN), run(Engine(slots=slots)))


class Distance(msgspec.Struct, frozen=True):
    """A loss with a hyper-parameter."""

    scale: float

    def loss(self, batch: Batch) -> Tensor:
        return self.scale * (batch.logits - batch.targets).square().mean((1, 2))


@pytest.mark.parametrize("slots", [2, 3])
def test_trainings_that_follow_take_the_slots_over_and_nothing_else(slots: int) -> None:
    """Other models, data, losses, targets, masks and optimizers in the same slots: each has its own bits."""
    examples, other = some((5,)), some((5,), 33, seed=2)

    def run(engine: Engine) -> list[Population]:
        start = new("mlp", engine, 1)
        trained = []
        for number, part in enumerate((examples, other, examples, examples)):
            models = start.repeat(4, streams=Streams(number))
            models.engine = engine
            optimizer = SGD(lr=0.05, momentum=0.9) if number < 3 else AdamW(lr=1e-2)
            recipe = msgspec.structs.replace(RECIPE, optimizer=optimizer, epochs=2)
            frozen = torch.tensor([1.0, 0.0, 0.5, float(number % 2)])[:, None, None]
            masks = {"1.weight": frozen} if number != 1 else None
            loss = Distance(1.0 + number // 2).loss
            targets = models.normal("targets", (len(part), 3))
            models.training(recipe, loss=loss, masks=masks).run(part, targets=targets)
            trained.append(models.fresh().train(part, recipe))
            trained.append(models)
        return trained

    kept: set[int] = set()
    made = Slot.__init__

    def counted(self: Slot, module: nn.Module, kind: Kind) -> None:
        made(self, module, kind)
        kept.add(id(kind))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Slot, "__init__", counted)
        in_slots = run(Engine(slots=slots))
    for plain, slotted in zip(run(PLAIN), in_slots, strict=True):
        assert_same_bits(plain, slotted)
    assert len(kept) == 4  # both optimizers, with a mask and without


def test_slots_are_shared_by_what_one_factory_built_and_given_up_when_there_are_many() -> None:
    build = factory(MLP(widths=(7,)), (5,), 3)
    models = Population.create(build, 2)
    assert models.fresh().slots is models.repeat(3, streams=Streams(1)).slots is models.slots
    assert models.with_factory(factory(MLP(widths=(7,)), (5,), 3)).fresh().slots is not models.slots
    assert Population.from_module(models.module(), factory=build).fresh().slots is not models.slots

    def slots(momentum: float) -> list[Slot]:
        kind = Kind.of(models.device, models.dtype, SGD(momentum=momentum), PLAIN, {})
        return models.slots.of(kind, 2, models.module)

    first = slots(0.1)
    assert slots(0.1) == first
    for momentum in (0.2, 0.3, 0.4, 0.5):
        slots(momentum)
    assert slots(0.1) != first
    assert slots(0.5) == slots(0.5)


class Replayed:
    """In place of a CUDA graph on a CPU: what is captured changes nothing, and a replay takes the step."""

    taken: ClassVar[int] = 0

    def __init__(self, slot: Slot, sizes: Sizes) -> None:
        self.slot, self.sizes = slot, sizes

    def capture_begin(self, *, pool: object, capture_error_mode: str) -> None:
        assert pool in (None, self.slot)
        assert capture_error_mode == "thread_local"
        self.before = self.slot._copies()

    def capture_end(self) -> None:
        self.slot._restore(self.before)

    def pool(self) -> Slot:
        return self.slot

    def replay(self) -> None:
        Replayed.taken += 1
        STEP(self.slot, self.sizes)


@pytest.mark.parametrize("fails", [True, False])
def test_whatever_happens_in_a_trial_the_device_may_be_waited_for_afterwards(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[object] = [0]

    def set_mode(mode: object) -> None:
        modes.append(mode)
        if mode == "error":
            warnings.warn("Synchronization debug mode is a prototype feature", UserWarning, stacklevel=1)

    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", set_mode)
    with pytest.raises(RuntimeError, match="in the trial") if fails else nullcontext(), slots_module._no_waiting():
        assert modes[-1] == "error"
        if fails:
            raise RuntimeError("in the trial")
    assert modes == [0, "error", 0]


STEP, CAPTURE = Slot._step, Slot._capture


@pytest.mark.parametrize("name", ["prune-entropy", "conv-noise", "kl-contrast", "scrub", "salun", "gradient-reinit"])
def test_what_is_captured_serves_all_epochs_and_jobs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, with a step in place of a graph: a second job of the same method takes no other step."""
    eager: list[Slot] = []

    def step(self: Slot, sizes: Sizes) -> None:
        eager.append(self)
        STEP(self, sizes)

    def capture(self: Slot, sizes: Sizes) -> None:
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: Replayed(self, sizes))
        CAPTURE(self, sizes)

    monkeypatch.setattr(Slot, "can_capture", True)
    monkeypatch.setattr(Slot, "_step", step)
    monkeypatch.setattr(Slot, "_capture", capture)
    monkeypatch.setattr(slots_module, "_no_waiting", nullcontext)
    monkeypatch.setattr(training_module, "WORTH_CAPTURING", 1)
    examples, validation = some((1, 8, 8), 60), some((1, 8, 8), 20, seed=1)
    validation = dataclasses.replace(validation, ids=np.asarray([f"v{row}" for row in range(20)]))
    sets = forget_ratio(examples, 0.2)
    request = Request(sets.forget, sets.retain, RECIPE, validation)
    start = new("cnn", PLAIN, 1)
    method = build_method(name)
    taken = []
    for job in range(3):
        both = []
        for engine in (Engine(slots=2), PLAIN):
            models = start.repeat(4, streams=Streams(job))
            models.engine = engine
            eager.clear()
            before = Replayed.taken
            both.append(method.forget(models, request))
            if engine.slots == 2:
                taken.append((len(eager), Replayed.taken - before))
        assert_same_bits(*both)
    (first, replayed), *others = taken
    assert 0 < first < replayed
    assert [steps for steps, _ in others] == [0, 0]
    assert all(count >= replayed - first for _, count in others)


def test_slots_tell_how_far_they_are() -> None:
    told: list[tuple[float, float]] = []
    examples = some((5,))
    seen = 3 * len(examples) + 2 * RECIPE.batch_size  # 3.3 epochs of 4 batches are rounded up to 14 batches
    with listening(lambda *parts: told.append(parts)):
        plan(3 * seen)
        new("mlp", Engine(slots=2)).train(examples, RECIPE)
    assert {total for _, total in told} == {3 * seen}
    epochs = [len(examples), 2 * len(examples), 3 * len(examples), seen]
    assert [done for done, _ in told] == [*(2 * done for done in epochs), *(2 * seen + done for done in epochs)]


def test_targets_are_those_of_the_examples_and_models() -> None:
    examples = some((5,), 20)
    models = new("mlp", PLAIN, 3)
    targets = torch.arange(60.0).view(3, 20)
    compared = 0

    def loss(batch: Batch) -> Tensor:
        nonlocal compared
        compared += 1
        rows = torch.arange(batch.models.start, batch.models.stop)[:, None]
        assert torch.equal(batch.targets, (20 * rows + batch.positions).float())
        return cross_entropy(batch)

    for engine in (PLAIN, Engine(2), Engine(slots=2)):
        models.engine = engine
        models.training(RECIPE, loss=loss, purpose=str(engine)).run(examples, epochs=1, targets=targets)
    assert compared > 15
    with pytest.raises(InputError, match=r"needs targets.* pass targets="):
        models.training(RECIPE, loss=Distance(1.0).loss, purpose="without").run(examples)


class Small(nn.Module):
    """Two layers with something between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 9), nn.Linear(9, 3)
        self.register_buffer("mean", torch.zeros(9))
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.between(self.first(x)).relu())
        return logits

    def between(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Dropped(Small):
    def between(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, self.training)


class Replaces(Small):
    def between(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


@pytest.mark.parametrize(("build", "reason"), [(Dropped, "random numbers"), (Replaces, "buffer mean")])
def test_what_slots_would_get_wrong_is_trained_without_and_the_log_says_so(
    build: type[Small], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain, slots = (Population.create(build, 3, engine=engine) for engine in (PLAIN, Engine(slots=2)))
    plain.train(some((5,)), RECIPE)
    with caplog.at_level(logging.WARNING, "untrain"):
        slots.train(some((5,)), RECIPE)
    assert reason in caplog.text
    assert_same_bits(plain, slots)


@pytest.mark.parametrize(
    ("kind", "engine", "tolerance"),
    [
        ("mlp", Engine(slots=2), 0),
        ("mlp", Engine(slots=3), 0),
        ("cnn", Engine(slots=2, channels_last=True), 1e-5),  # kernels of another layout change the last bits
    ],
)
@pytest.mark.parametrize("optimizer", [RECIPE.optimizer, Adam(lr=1e-2, weight_decay=1e-2), AdamW(lr=1e-2)])
def test_a_later_run_that_does_not_fit_the_slots_keeps_the_optimizer_states(
    optimizer: SGD | Adam | AdamW, kind: str, engine: Engine, tolerance: float, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = msgspec.structs.replace(RECIPE, optimizer=optimizer)
    draws = False

    def loss(batch: Batch) -> Tensor:
        if draws:
            torch.rand(1)
        return cross_entropy(batch)

    def run(engine: Engine) -> Population:
        nonlocal draws
        models = new(kind, engine)
        training = models.training(recipe, loss=loss)
        for draws in (False, True, False):  # noqa: B007 (the loss reads it)
            training.run(some(MODELS[kind][1]), epochs=1)
        return models

    plain = run(msgspec.structs.replace(engine, slots=0))
    assert not caplog.records
    later = run(engine)
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(later.tensors[name], tensor, rtol=0, atol=tolerance)
    assert "without slots: it draws random numbers" in caplog.text


def test_frozen_parameters_stay() -> None:
    def build() -> nn.Module:
        module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
        module[0].requires_grad_(False)
        return module

    plain, slots = (
        Population.create(build, 2, engine=engine).train(some((5,)), RECIPE) for engine in (PLAIN, Engine(slots=2))
    )
    assert_same_bits(plain, slots)


def test_captured_steps_serve_only_a_course_that_is_the_same() -> None:
    """A loss with a closure may have changed what it refers to."""
    inputs, labels, bounds = torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), [(0, 2), (2, 4)]
    course = Course(inputs, labels, None, bounds, [], cross_entropy, weighted=False)
    weight = 2.0

    def closure(batch: Batch) -> Tensor:
        return weight * cross_entropy(batch)

    def replaced(**fields: object) -> Course:
        return Course(**{**vars(course), **fields})

    assert course.same_steps(replaced())
    with_closure = replaced(loss=closure)
    assert with_closure.same_steps(with_closure)
    assert not with_closure.stays
    assert replaced(loss=Distance(2.0).loss).same_steps(replaced(loss=Distance(2.0).loss))
    assert not replaced(loss=Distance(2.0).loss).same_steps(replaced(loss=Distance(3.0).loss))
    assert not course.same_steps(replaced(targets=(3,)))
    assert not replaced(loss=closure).same_steps(replaced(loss=closure))
    assert not course.same_steps(replaced(inputs=inputs.clone()))
    assert not course.same_steps(replaced(bounds=[(0, 4)]))
    assert not course.same_steps(replaced(weighted=True))
    assert not course.same_steps(replaced(beside=(inputs, labels), beside_bounds=bounds))


def test_the_choice_of_a_gpu_tells_what_was_measured() -> None:
    models = new("mlp", PLAIN, 4)
    engine = choose_on_gpu(models.module, models.tensors, torch.randn(40, 5), 16)
    assert all(words in engine.reason for words in ("eager", "1 slots", "4 slots", "width 4"))
