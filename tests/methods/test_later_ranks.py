"""Ranks 6 to 8 and the second method of rank 5: what each does to weights and targets, beside slow and plain torch."""

import copy
import math
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from untrain.core.randomness import Streams
from untrain.data import Examples, forget_ratio
from untrain.errors import ConfigError, InputError, NotSupportedError
from untrain.methods import METHODS, Request, build_method
from untrain.methods.base import learned, looked_up, output_layer, reset
from untrain.methods.pseudo_labels import PseudoLabels
from untrain.methods.random_layers import RandomLayers
from untrain.methods.reinit_match import ReinitMatch
from untrain.methods.reset_distill import ResetDistill
from untrain.methods.transpose import Transpose
from untrain.models import CNN, MLP, Model, ResNet18, factory
from untrain.models.weights import Tensors
from untrain.population import SGD, Batch, Engine, EpochFactors, Population, Recipe, Training
from untrain.testing import check_method

LATER = ["pseudo-labels", "reset-distill", "random-layers", "reinit-match"]
RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), epochs=2, batch_size=16)
STEP = Recipe(optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=0.01), epochs=1, batch_size=100)
"""One epoch is one step on all examples, whose order does not matter."""


def examples(count: int = 60, seed: int = 0) -> Examples:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 1, 8, 8)).astype(np.float32)
    ids = [f"{seed}-{row}" for row in range(count)]
    return Examples.of(inputs, generator.integers(3, size=count), ids, classes=["a", "b", "c"])


def request() -> Request:
    sets = forget_ratio(examples(), 0.2)
    return Request(sets.forget, sets.retain, RECIPE, examples(20, seed=1))


def population(model: Model | None = None, count: int = 2) -> Population:
    build = factory(model or CNN(widths=(6, 8)), (1, 8, 8), 3)
    original = Population.create(build, 1, dtype=torch.float64, engine=Engine()).train(examples(), RECIPE)
    models = original.repeat(count, streams=Streams(1).child("test"))
    models.engine = Engine(count)
    return models


def copied(models: Population) -> Tensors:
    return {name: tensor.clone() for name, tensor in models.tensors.items()}


def inputs_of(part: Examples) -> Tensor:
    return torch.from_numpy(part.inputs).double()


def labels_of(part: Examples) -> Tensor:
    return torch.from_numpy(part.labels)


def step(module: nn.Module, recipe: Recipe, loss: Tensor) -> None:
    """One step of plain torch, by an optimizer of its own."""
    assert isinstance(recipe.optimizer, SGD)
    settings = recipe.optimizer
    optimizer = torch.optim.SGD(module.parameters(), settings.lr, settings.momentum, weight_decay=settings.weight_decay)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def assert_same(models: Population, row: int, module: nn.Module) -> None:
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(models.tensors[name][row], tensor, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LATER)
def test_conformance(name: str) -> None:
    check_method(build_method(name, preset="small"))


@pytest.mark.parametrize("name", ["reset-distill", "random-layers"])
def test_methods_for_any_network_work_on_one_without_convolutions(name: str) -> None:
    check_method(build_method(name, preset="small"), MLP(widths=(24,)))


@pytest.mark.parametrize("name", ["pseudo-labels", "reinit-match"])
def test_convolution_methods_refuse_other_networks(name: str) -> None:
    assert METHODS.of(name).needs_convolutions
    with pytest.raises(NotSupportedError, match=f"{name} changes convolutions, and Sequential has none: use"):
        build_method(name).forget(population(MLP()), request())


@pytest.mark.parametrize("name", ["reset-distill", "random-layers", "reinit-match"])
def test_kaggle_is_the_default(name: str) -> None:
    assert build_method(name) == build_method(f"{name}:kaggle") == METHODS.of(name)()


STARTER = {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": False}
CONSTANTS: list[tuple[str, dict[str, Any]]] = [
    # Typed here a second time from the descriptions of the entries; those of pseudo-labels are ours.
    ("reset-distill", {
        "temperature": 5.0, "warm_up.epochs": 3, "warm_up.batch_size": 64, "warm_up.schedule.name": "constant",
        "warm_up.optimizer": {"name": "sgd", "lr": 9e-4, **STARTER}, "warm_up.class_balance": 0.0,
        "recipe.epochs": 3, "recipe.batch_size": 64, "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
        "recipe.schedule": {"name": "cosine", "floor": 0.0, "per": "epoch"}, "recipe.class_balance": 0.0,
    }),
    ("random-layers", {
        "chosen": 9, "noise": 0.04, "noise_share": 0.7, "quiet_epochs": 1, "partial_epochs": 5,
        "recipe.epochs": 9, "recipe.batch_size": 64, "recipe.optimizer": {"name": "sgd", "lr": 2e-4, **STARTER},
        "recipe.class_balance": 0.0,
    }),
    ("reinit-match", {
        "layers": 6, "noise": 0.01, "cycles": (1, 2, 2), "recipe.epochs": 5, "recipe.batch_size": 64,
        "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
    }),
    ("reinit-match:second", {
        "layers": 6, "noise": 0.01, "cycles": (2, 1, 1, 1), "recipe.epochs": 5, "recipe.batch_size": 64,
        "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
    }),
    ("pseudo-labels", {
        "change": 0.1, "recipe.epochs": 3, "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
        "simple.epochs": 3, "simple.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
    }),
]  # fmt: skip


@pytest.mark.parametrize(("name", "constants"), CONSTANTS)
def test_the_constants(name: str, constants: dict[str, Any]) -> None:
    fields: Any = msgspec.to_builtins(build_method(name))
    for path, expected in constants.items():
        value = fields
        for key in path.split("."):
            value = value[key]
        assert value == expected, path


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("random-layers", [2e-4] * 8 + [1e-3]),
        ("reinit-match", [1e-3, 1e-3, 5e-4, 1e-3, 5e-4]),
        ("reinit-match:second", [5e-4, 1e-3, 1e-3, 1e-3, 1e-3]),
    ],
)
def test_the_learning_rate_of_each_epoch(name: str, rates: list[float]) -> None:
    method = build_method(name)
    assert isinstance(method, RandomLayers | ReinitMatch)
    recipe = method.recipe
    found = [recipe.schedule.rate(recipe.optimizer.lr, epoch, recipe.epochs) for epoch in range(len(rates))]
    assert found == pytest.approx(rates)
    assert recipe.epochs == len(rates)


def test_settings_that_cannot_work_are_refused() -> None:
    for name, settings, message in (
        (
            "random-layers",
            {"recipe": {"keep_best_from_epoch": 2}},
            "keeps the last state, .*got keep_best_from_epoch 2",
        ),
        ("random-layers", {"noise_share": 1.1}, "<= 1"),
        ("random-layers", {"chosen": 0}, ">= 1"),
        ("reinit-match", {"cycles": [1, 1]}, r"cycles of 5 epochs together.*got \[1, 1\]"),
        ("reinit-match", {"cycles": []}, "length >= 1"),
        ("reset-distill", {"temperature": 0}, "> 0"),
        ("pseudo-labels", {"change": 2}, "<= 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_method(name, settings=settings)


# What the methods share


@pytest.mark.parametrize(
    ("weight", "layer"),
    [("0.weight", nn.Conv2d(4, 64, 3)), ("0.weight", nn.Conv2d(4, 64, 3, groups=2)), ("0.weight", nn.Linear(40, 64))],
)
def test_reset_draws_as_torch_does(weight: str, layer: nn.Conv2d | nn.Linear) -> None:
    module = nn.Sequential(layer, nn.LayerNorm(5))
    models = Population.from_module(module).repeat(3, streams=Streams(0))
    for tensor in models.tensors.values():
        tensor.fill_(9.0)
    reset(models, weight, "reset")
    drawn = torch.stack([_reset(layer)[0].flatten() for _ in range(20)])
    found = models.tensors["0.weight"]
    assert found.abs().max() <= 1.001 * drawn.abs().max()
    assert found.abs().max() == pytest.approx(drawn.abs().max().item(), rel=0.02)
    assert found.std() == pytest.approx(drawn.std().item(), rel=0.05)
    biases = torch.stack([_reset(layer)[1] for _ in range(20)])
    assert models.tensors["0.bias"].abs().max() <= 1.02 * biases.abs().max()
    assert models.tensors["0.bias"].std() == pytest.approx(biases.std().item(), rel=0.15)
    assert not torch.equal(found[0], found[1])
    assert set(models.tensors["1.weight"].flatten().tolist()) == {9.0}


def _reset(layer: nn.Conv2d | nn.Linear) -> tuple[Tensor, Tensor]:
    layer = copy.deepcopy(layer)
    layer.reset_parameters()
    assert layer.bias is not None
    return layer.weight.detach(), layer.bias.detach()


def test_reset_spares_the_models_that_are_not_meant() -> None:
    models = population(MLP(widths=(5,)), count=3)
    before = copied(models)
    reset(models, "1.weight", "reset", torch.tensor([True, False, True]))
    for name in ("1.weight", "1.bias"):
        assert [torch.equal(models.tensors[name][row], before[name][row]) for row in range(3)] == [False, True, False]
    everywhere = population(MLP(widths=(5,)), count=3)
    reset(everywhere, "1.weight", "reset")
    assert torch.equal(everywhere.tensors["1.weight"][2], models.tensors["1.weight"][2])


def test_targets_are_looked_up_by_model_and_position() -> None:
    targets = torch.arange(3 * 4 * 2).view(3, 4, 2)
    positions = torch.tensor([[3, 0, 1], [2, 2, 0]])
    batch = Batch(torch.zeros(2, 3, 2), positions, positions, slice(1, 3), None, {})
    found = looked_up(targets, batch)
    for model in range(2):
        for place in range(3):
            assert torch.equal(found[model, place], targets[1 + model, positions[model, place]])


def test_the_output_layer_is_found_by_what_it_computes() -> None:
    assert output_layer(population(), examples()) == "7.weight"
    assert output_layer(Population.create(factory(ResNet18(), (1, 8, 8), 3), 1), examples()) == "fc.weight"
    pooled = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Unflatten(1, (4, 1)), nn.Flatten())
    for method in (RandomLayers(), ResetDistill()):
        with pytest.raises(NotSupportedError, match="expected a linear layer whose output is the logits"):
            method.forget(Population.from_module(pooled), request())


# reset-distill


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (CNN(widths=(6, 8)), {"0.weight", "7.weight", "7.bias"}),
        (ResNet18(stem="cifar"), {"conv1.weight", "fc.weight", "fc.bias"}),
        (MLP(widths=(7, 5)), {"1.weight", "1.bias", "5.weight", "5.bias"}),
        (MLP(widths=()), {"1.weight", "1.bias"}),
    ],
)
def test_the_first_and_the_last_layer_are_reset(model: Model, expected: set[str]) -> None:
    models = Population.create(factory(model, (1, 8, 8), 3), 2)
    before = copied(models)
    ResetDistill().reset(models, request())
    assert {name for name in before if not torch.equal(before[name], models.tensors[name])} == expected
    for name in expected:
        fan_in = math.prod(before[f"{name.rpartition('.')[0]}.weight"].shape[2:])
        assert models.tensors[name].abs().max() <= 1 / math.sqrt(fan_in)


def test_distillation_takes_the_steps_of_plain_torch() -> None:
    models, asked = population(), request()
    retrain = msgspec.structs.replace(STEP, optimizer=SGD(lr=0.02, momentum=0.9, weight_decay=0.02))
    method = ResetDistill(temperature=3.0, warm_up=STEP, recipe=retrain)
    teacher = models.module()
    plain = models.clone()
    method.reset(plain, asked)
    method.forget(models, asked)
    assert asked.validation is not None
    for row in range(2):
        module = plain.module(row).train()
        with torch.no_grad():
            unseen, retained = teacher(inputs_of(asked.validation)) / 3, teacher(inputs_of(asked.retain)) / 3
        student = module(inputs_of(asked.validation)) / 3
        step(module, STEP, F.kl_div(student.log_softmax(1), unseen.softmax(1), reduction="batchmean"))
        logits = module(inputs_of(asked.retain))
        soft = F.cross_entropy(logits / 3, retained.softmax(1))
        divergence = F.kl_div((logits / 3).log_softmax(1), retained.softmax(1), reduction="batchmean")
        step(module, retrain, soft + F.cross_entropy(logits, labels_of(asked.retain)) + divergence)
        assert_same(models, row, module)


def test_the_losses_of_distillation_are_their_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    assert asked.validation is not None
    unseen, retained = models.logits(asked.validation)[1], models.logits(asked.retain)[1]
    seen: list[tuple[Training, Examples]] = []
    monkeypatch.setattr(Training, "run", lambda self, part, **_options: seen.append((self, part)))
    ResetDistill().forget(models, asked)
    assert [part for _, part in seen] == [asked.validation, asked.retain]
    logits, labels = torch.randn(1, 4, 3, dtype=torch.float64), torch.tensor([[0, 1, 2, 0]])
    places = torch.tensor([[5, 2, 9, 11]])
    batch = Batch(logits, labels, places, slice(1, 2), None, {})
    warm, tuned = (torch.distributions.Categorical(logits=part[places[0]] / 5).probs for part in (unseen, retained))
    student = torch.distributions.Categorical(logits=logits[0] / 5)
    apart = torch.distributions.kl_divergence(torch.distributions.Categorical(probs=warm), student).mean()
    torch.testing.assert_close(seen[0][0].loss(batch), apart[None])
    soft = -(tuned * student.logits).sum(1).mean()
    apart = torch.distributions.kl_divergence(torch.distributions.Categorical(probs=tuned), student).mean()
    torch.testing.assert_close(seen[1][0].loss(batch), (soft + apart + F.cross_entropy(logits[0], labels[0]))[None])


def test_distillation_needs_validation_examples() -> None:
    asked = request()
    assert asked.validation is not None
    for validation in (None, asked.validation.select([])):
        with pytest.raises(InputError, match=r"expected validation examples, on which reset-distill .*, got none"):
            ResetDistill().forget(population(), Request(asked.forget, asked.retain, RECIPE, validation))


# random-layers


def test_normalization_layers_are_known_by_their_kind() -> None:
    models = Population.create(factory(ResNet18(), (3, 32, 32), 10), 1)
    parameters = {name for name, _ in models.skeleton.named_parameters()}
    normalizing = {name for name in parameters if "bn" in name or "downsample.1" in name}
    assert set(learned(models)) == parameters - normalizing
    assert len(learned(models)) == 22
    frozen = nn.Sequential(nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    frozen[0].requires_grad_(requires_grad=False)
    assert learned(Population.from_module(frozen)) == ["3.weight", "3.bias"]


def test_choices_are_random_and_of_the_right_size() -> None:
    models = population(MLP(widths=(4,)), count=400)
    chosen, noisy = RandomLayers().choose(models, 22, 1)
    assert chosen.shape == noisy.shape == (400, 22)
    assert set(chosen.sum(1).tolist()) == {9}
    assert set(noisy.sum(1).tolist()) == {6}
    assert not (noisy & ~chosen).any()
    assert chosen.double().mean(0).sub(9 / 22).abs().max() < 0.1
    assert noisy.double().mean(0).sub(6 / 22).abs().max() < 0.1
    assert not torch.equal(chosen, RandomLayers().choose(models, 22, 2)[0])
    few, little = RandomLayers().choose(models, 4, 1)
    assert few.all()
    assert set(little.sum(1).tolist()) == {2}


def test_only_the_chosen_tensors_move_and_get_noise_once(monkeypatch: pytest.MonkeyPatch) -> None:
    models = population(CNN(widths=(4,) * 9), count=6)
    names = learned(models)
    assert len(names) == 11
    states: list[Tensors] = [copied(models)]  # before and after the training of each epoch
    run = Training.run

    def watched(self: Training, *arguments: Any, **options: Any) -> None:
        states.append(copied(models))
        run(self, *arguments, **options)
        states.append(copied(models))

    monkeypatch.setattr(Training, "run", watched)
    RandomLayers(chosen=4).forget(models, request())
    assert len(states) == 1 + 2 * 9

    def moved(first: int, row: int) -> set[str]:
        """What differs between one state and the next."""
        return {
            name
            for name, _ in models.skeleton.named_parameters()
            if not torch.equal(states[first][name][row], states[first + 1][name][row])
        }

    noised: list[Tensor] = []
    trained_by: list[list[set[str]]] = []
    for row in range(6):
        assert moved(0, row) == {"28.weight", "28.bias"}  # the last layer
        everything = {name for name, _ in models.skeleton.named_parameters()}
        trained_by.append([])
        for epoch in range(5):
            trained = moved(1 + 2 * epoch, row)
            assert everything - set(names) <= trained  # batch norm always learns
            assert len(trained & set(names)) == 4
            if epoch:
                disturbed = moved(2 * epoch, row)
                earlier = set().union(*trained_by[row])
                assert disturbed <= (trained & set(names)) - earlier
                assert len(disturbed) <= 2  # int(0.7 * 4)
                noised += [(states[2 * epoch + 1][name] - states[2 * epoch][name])[row].flatten() for name in disturbed]
            else:
                earlier = set()
            trained_by[row].append(trained & set(names))
        for epoch in range(5, 9):
            assert moved(2 * epoch, row) == set()
            assert moved(1 + 2 * epoch, row) == everything
    assert len(noised) > 12
    assert torch.cat(noised).std() == pytest.approx(0.04, rel=0.1)
    assert len({tuple(map(frozenset, sets)) for sets in trained_by}) == 6


def test_noise_goes_to_marked_tensors_alone() -> None:
    models = population(count=2)
    before, names = copied(models), ["3.weight", "7.bias"]
    RandomLayers(noise=10.0).disturb(models, names, torch.tensor([[True, False], [False, True]]), 1)
    for name in before:
        moved = [not torch.equal(before[name][row], models.tensors[name][row]) for row in range(2)]
        assert moved == [name == "3.weight", name == "7.bias"]


def test_every_epoch_begins_with_a_new_optimizer() -> None:
    models, asked = population(), request()
    recipe = msgspec.structs.replace(STEP, epochs=2, schedule=EpochFactors(factors=(1, 5)))
    plain = models.clone()
    reset(plain, "7.weight", "reset")
    RandomLayers(partial_epochs=0, recipe=recipe).forget(models, asked)
    for row in range(2):
        module = plain.module(row).train()
        for rate in (0.05, 0.25):
            now = msgspec.structs.replace(STEP, optimizer=SGD(lr=rate, momentum=0.9, weight_decay=0.01))
            step(module, now, F.cross_entropy(module(inputs_of(asked.retain)), labels_of(asked.retain)))
        assert_same(models, row, module)


# reinit-match


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
    with pytest.raises(NotSupportedError, match=r"expected a convolution larger than 1x1 .*, got none in Sequential"):
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
    seen = [inputs_of(method.noisy(asked.retain, models.streams, epoch)) for epoch in range(2)]
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


# pseudo-labels


def test_examples_are_chosen_by_how_far_the_prediction_moved() -> None:
    models = population(count=2)
    before = torch.tensor([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    after = torch.tensor(
        [
            [[0.85, 0.15, 0.0], [0.6, 0.1, 0.3], [0.45, 0.55, 0.0], [0.5, 0.3, 0.2]],  # moved by 0.05, 0.3, 0.05, 0.3
            [[0.0, 1.0, 0.0], [0.9, 0.1, 0.0], [0.3, 0.7, 0.0], [0.2, 0.35, 0.45]],  # by 0.9, 0, 0.2, 0.05
        ],
        dtype=torch.float64,
    )
    found = PseudoLabels().subsets(models, before.expand(2, -1, -1), after, 30)
    assert found.shape == (2, 34)
    for row, chosen in enumerate(({1, 3}, {0, 2})):
        assert {position for position in range(4) if found[row, position] == position} == chosen
        instead = [found[row, position] for position in range(4) if position not in chosen]
        assert all(4 <= position < 34 for position in instead)
        assert found[row, 4:].tolist() == list(range(4, 34))
    strict = PseudoLabels(change=0.5).subsets(models, before.expand(2, -1, -1), after, 30)
    assert [(strict[row, :4] < 4).tolist() for row in range(2)] == [[False] * 4, [True, False, False, False]]
    more = torch.full((2, 50, 3), 1 / 3)
    assert set(PseudoLabels().subsets(models, more, more, 3)[0].tolist()) == {50, 51, 52}
    assert not np.array_equal(*PseudoLabels().subsets(models, more, more, 3))


def test_the_two_predictions_are_the_originals_and_the_transposed_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    simple = msgspec.structs.replace(STEP, epochs=6, batch_size=16)
    original = models.module()
    unlearned = Transpose(recipe=simple).forget(models.clone(), asked)
    seen: list[tuple[Examples, Any]] = []
    run = Training.run

    def watched(self: Training, part: Examples, *, subsets: Any = None, **options: Any) -> None:
        if subsets is None:
            run(self, part, **options)
        else:
            seen.append((part, subsets))

    monkeypatch.setattr(Training, "run", watched)
    before = copied(models)
    PseudoLabels(simple=simple, change=0.2).forget(models, asked)
    assert all(torch.equal(before[name], tensor) for name, tensor in models.tensors.items())
    [(part, subsets)] = seen
    assert part.ids.tolist() == [*asked.forget.ids, *asked.retain.ids]
    decisions = []
    for row in range(2):
        old, new = (module(inputs_of(asked.forget)).softmax(1).tolist() for module in (original, unlearned.module(row)))
        for position in range(len(asked.forget)):
            apart = sum(abs(old[position][kind] - new[position][kind]) for kind in range(3)) / 2
            assert (subsets[row, position] == position) == (apart > 0.2)
            decisions.append(apart > 0.2)
    assert 0 < sum(decisions) < len(decisions)


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_pseudo_labels_are_learned_by_the_steps_of_plain_torch(balance: float) -> None:
    models, asked = population(), request()
    recipe = msgspec.structs.replace(STEP, class_balance=balance)
    plain = models.clone()
    unlearned = Transpose(recipe=STEP).forget(models.clone(), asked)
    PseudoLabels(change=0.0, simple=STEP, recipe=recipe).forget(models, asked)
    counts = np.bincount(asked.training_set.labels, minlength=3)
    weights = torch.from_numpy(counts.astype(float) ** -balance)
    for row in range(2):
        module = plain.module(row).train()
        with torch.no_grad():
            pseudo = unlearned.module(row)(inputs_of(asked.forget)).softmax(1)
        wanted = torch.cat([pseudo, F.one_hot(labels_of(asked.retain), 3).double()])
        log_p = module(inputs_of(asked.training_set)).log_softmax(1)
        total, mass = torch.zeros(()).double(), torch.zeros(()).double()
        for example in range(len(wanted)):
            for kind in range(3):
                total = total - weights[kind] * wanted[example, kind] * log_p[example, kind]
                mass = mass + weights[kind] * wanted[example, kind]
        step(module, recipe, total / mass)
        assert_same(models, row, module)


def test_small_takes_the_simply_unlearned_model_from_transpose() -> None:
    small, transposed = build_method("pseudo-labels:small"), build_method("transpose:small")
    assert isinstance(small, PseudoLabels)
    assert isinstance(transposed, Transpose)
    assert small.simple == transposed.recipe
