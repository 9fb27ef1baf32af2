"""A model of a population equals the same model trained alone by a plain PyTorch training loop."""

import copy
import functools
import itertools
import re
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError
from untrain.models import CNN, MLP, Model, ResNet18, factory
from untrain.models.resnet import BasicBlock
from untrain.models.weights import Tensors, state_of
from untrain.population import (
    SGD,
    Adam,
    AdamW,
    Batch,
    Constant,
    Cosine,
    Engine,
    EpochFactors,
    OneCycle,
    Population,
    Recipe,
    cross_entropy,
    gradients,
)
from untrain.population.recipe import batch_bounds


def residual() -> nn.Module:
    """A narrow network of the blocks of ResNet-18."""
    return nn.Sequential(
        BasicBlock(3, 4, 2), BasicBlock(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


SHAPES: dict[str, tuple[Model, tuple[int, ...]]] = {
    "mlp": (MLP(widths=(12, 9)), (1, 8, 8)),
    "cnn": (CNN(widths=(4, 6)), (1, 8, 8)),
    "resnet18": (ResNet18(), (3, 16, 16)),
}
SGD_RECIPE = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=Cosine(),
    epochs=2,
    batch_size=16,
    class_balance=0.5,
)


PLAIN = Engine()


def some(shape: tuple[int, ...], count: int = 50, seed: int = 0) -> Examples:
    generator = np.random.default_rng(seed)
    return Examples.of(
        generator.normal(size=(count, *shape)), generator.integers(3, size=count), classes=["a", "b", "c"]
    )


def ordinary_loop(models: Population, position: int, examples: Examples, recipe: Recipe) -> nn.Module:
    """One model after another, as in a tutorial; only the order of the examples is the population's."""
    module = models.module(position).train()
    x, y = torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels)
    counts = torch.bincount(y, minlength=3)
    weight = None if recipe.class_balance == 0 else counts.double() ** -recipe.class_balance
    name = type(recipe.optimizer)
    settings: dict[str, Any] = {"lr": recipe.optimizer.lr, "weight_decay": recipe.optimizer.weight_decay}
    optimizer: torch.optim.Optimizer
    if isinstance(recipe.optimizer, SGD):
        optimizer = torch.optim.SGD(
            module.parameters(),
            momentum=recipe.optimizer.momentum,
            nesterov=recipe.optimizer.nesterov,
            **settings,
        )
    else:
        optimizer = {Adam: torch.optim.Adam, AdamW: torch.optim.AdamW}[name](module.parameters(), **settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: recipe.schedule.rate(1.0, epoch, recipe.epochs)
    )
    steps = -(-int(recipe.epochs * 1000) * len(batch_bounds(len(x), recipe.batch_size)) // 1000)
    for epoch in range(int(np.ceil(recipe.epochs))):
        order = models.streams.generator("train/order", models.indices[position], epoch).permutation(len(x))
        for first, last in batch_bounds(len(x), recipe.batch_size):
            if steps == 0:
                break
            steps -= 1
            optimizer.zero_grad()
            rows = torch.from_numpy(order[first:last])
            F.cross_entropy(module(x[rows]), y[rows], weight=weight).backward()
            optimizer.step()
        schedule.step()
    return module


def few(kind: str, width: int) -> tuple[Population, Examples, Recipe]:
    """Three models, of the largest network two, and what they are trained on."""
    model, shape = SHAPES["resnet18" if kind == "residual" else kind]
    build = residual if kind == "residual" else factory(model, shape, 3)
    count = 2 if kind == "resnet18" else 3
    models = Population.create(build, count, seed=5, first=7, dtype=torch.float64, engine=Engine(width))
    if kind in ("residual", "resnet18"):
        return models, some(shape, 33), msgspec.structs.replace(SGD_RECIPE, epochs=1)  # with a last batch of one
    return models, some(shape), SGD_RECIPE  # with a last batch of two


@functools.lru_cache(maxsize=1)
def each_alone(kind: str) -> list[nn.Module]:
    models, examples, recipe = few(kind, 1)
    return [ordinary_loop(models, position, examples, recipe) for position in range(len(models))]


@pytest.mark.parametrize(
    ("kind", "width"), [*itertools.product(("mlp", "cnn", "residual"), (1, 2, 3)), ("resnet18", 2)]
)
def test_equals_an_ordinary_loop(kind: str, width: int) -> None:
    models, examples, recipe = few(kind, width)
    models.train(examples, recipe)
    for position, module in enumerate(each_alone(kind)):
        for name, tensor in state_of(module).items():
            torch.testing.assert_close(models.tensors[name][position], tensor.detach(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimizer=Adam(lr=1e-2, weight_decay=1e-2), epochs=2, batch_size=16),
        Recipe(optimizer=AdamW(lr=1e-2), schedule=EpochFactors(factors=(0.5, 1.0)), epochs=2, batch_size=16),
        Recipe(optimizer=SGD(lr=0.1), schedule=Constant(), epochs=2.25, batch_size=16),
    ],
    ids=["adam", "adamw per epoch", "fractional epochs"],
)
@pytest.mark.parametrize("width", [1, 2])
def test_every_recipe_equals_an_ordinary_loop(recipe: Recipe, width: int) -> None:
    examples = some((5,))
    models = Population.create(factory(MLP(widths=(7,)), (5,), 3), 2, dtype=torch.float64, engine=Engine(width))
    expected = [ordinary_loop(models, position, examples, recipe) for position in range(2)]
    models.train(examples, recipe)
    for position, module in enumerate(expected):
        for name, tensor in state_of(module).items():
            torch.testing.assert_close(models.tensors[name][position], tensor.detach(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_a_model_does_not_depend_on_those_beside_it(kind: str) -> None:
    model, shape = SHAPES[kind]
    build, examples = factory(model, shape, 3), some(shape)

    def trained(count: int, first: int, width: int) -> Population:
        models = Population.create(build, count, seed=1, first=first, dtype=torch.float64, engine=Engine(width))
        return models.train(examples, SGD_RECIPE)

    whole = trained(5, 0, 5)
    for count, first, width in ((1, 3, 1), (2, 3, 2), (4, 1, 3)):
        part = trained(count, first, width)
        for name, tensor in part.tensors.items():
            torch.testing.assert_close(tensor, whole.tensors[name][first : first + count], rtol=1e-9, atol=1e-9)


def test_the_layout_of_images_does_not_matter() -> None:
    model, shape = SHAPES["cnn"]
    ordinary, last = (
        Population.create(factory(model, shape, 3), 2, dtype=torch.float64, engine=Engine(1, channels_last=flag)).train(
            some(shape), SGD_RECIPE
        )
        for flag in (False, True)
    )
    for name, tensor in ordinary.tensors.items():
        torch.testing.assert_close(tensor, last.tensors[name], rtol=1e-9, atol=1e-9)


def test_schedules_equal_torchs() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6, eta_min=0.01)
    for step in range(6):
        expected = optimizer.param_groups[0]["lr"]
        assert Cosine(floor=0.01).rate(0.3, step, 6) == pytest.approx(expected)
        assert Cosine(floor=0.01).rate(0.3, step + 0.9, 6) == pytest.approx(expected)
        assert Cosine(floor=0.01, per="step").rate(0.3, step / 3, 2) == pytest.approx(expected)
        optimizer.step()
        reference.step()
    assert [OneCycle(up=0.25).rate(0.1, progress, 4) for progress in (0, 0.5, 1, 2.5, 4)] == pytest.approx(
        [0, 0.05, 0.1, 0.05, 0]
    )
    assert [EpochFactors(factors=(0.5, 2)).rate(0.1, progress, 3) for progress in (0, 0.9, 1, 2.5)] == [
        0.05,
        0.05,
        0.2,
        0.2,
    ]


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (5, 2, [(0, 2), (2, 5)]),
        (4, 2, [(0, 2), (2, 4)]),
        (1, 2, [(0, 1)]),
        (6, 4, [(0, 4), (4, 6)]),
        (3, 9, [(0, 3)]),
    ],
)
def test_batches(count: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert batch_bounds(count, size) == expected


def test_a_compressed_recipe_runs_its_whole_schedule() -> None:
    recipe = Recipe(optimizer=SGD(lr=1.0), schedule=Cosine(), epochs=20, keep_best_from_epoch=10)
    assert (recipe.compressed(0.25).epochs, recipe.compressed(0.25).keep_best_from_epoch) == (5, 2)
    assert recipe.compressed(0.001).epochs == 1
    steps = Recipe(optimizer=SGD(lr=1.0), schedule=EpochFactors(factors=(1, 0.5, 0.1, 0.01)), epochs=4).compressed(0.5)
    assert steps.schedule == EpochFactors(factors=(0.5, 0.01))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Recipe(optimizer=SGD(lr=0.1), epochs=-1),
        lambda: Recipe(optimizer=SGD(lr=0.1), epochs=float("inf")),
        lambda: Recipe(optimizer=SGD(lr=0.1), epochs=1, batch_size=0),
        lambda: Recipe(optimizer=SGD(lr=0.1), epochs=3, keep_best_from_epoch=4),
        lambda: SGD(lr=0.0),
        lambda: SGD(lr=0.1, nesterov=True),
        lambda: Adam(betas=(0.9, 1.0)),
        lambda: AdamW(weight_decay=float("nan")),
    ],
)
def test_recipes_out_of_range_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match="; got "):
        make()


@pytest.mark.parametrize("width", [1, 2])
def test_the_best_state_is_kept(width: int) -> None:
    train, validation = some((5,), 60), some((5,), 40, seed=1)
    build = factory(MLP(widths=(16,)), (5,), 3)
    recipe = Recipe(optimizer=SGD(lr=0.5), epochs=6, batch_size=16)
    by_epoch = [Population.create(build, 2, engine=Engine(width)) for _ in range(6)]
    for epochs, models in enumerate(by_epoch, start=1):
        models.training(recipe).run(train, epochs=epochs)
    scores = np.stack([models.accuracy(validation) for models in by_epoch])
    kept = Population.create(build, 2, engine=Engine(width))
    best = Recipe(optimizer=SGD(lr=0.5), epochs=6, batch_size=16, keep_best_from_epoch=3)
    kept.train(train, best, validation=validation)
    for model in range(2):
        epoch = 2 + int(np.argmax(scores[2:, model]))
        for name, tensor in kept.tensors.items():
            torch.testing.assert_close(tensor[model], by_epoch[epoch].tensors[name][model])
    with pytest.raises(InputError, match="validation"):
        kept.train(train, best)
    # The same in three parts: the best state is put back when the last epoch is done, and not before.
    parts = Population.create(build, 2, engine=Engine(width))
    training = parts.training(best)
    for _ in range(3):
        training.run(train, epochs=2, validation=validation)
    for name, tensor in kept.tensors.items():
        torch.testing.assert_close(parts.tensors[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("width", [1, 2])
def test_a_training_continues_where_it_stopped(width: int) -> None:
    examples, build = some((5,)), factory(MLP(widths=(7,)), (5,), 3)
    whole = Population.create(build, 2, dtype=torch.float64, engine=Engine(width)).train(examples, SGD_RECIPE)
    parts = Population.create(build, 2, dtype=torch.float64, engine=Engine(width))
    training = parts.training(SGD_RECIPE)
    training.run(examples, epochs=1)
    training.run(examples, epochs=1)
    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(parts.tensors[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("width", [1, 2])
def test_masks_scale_gradients_but_not_weight_decay(width: int) -> None:
    examples, build = some((5,)), factory(MLP(widths=()), (5,), 3)
    models = Population.create(build, 2, dtype=torch.float64, engine=Engine(width))
    start = {name: tensor.clone() for name, tensor in models.tensors.items()}
    recipe = Recipe(optimizer=SGD(lr=0.1, weight_decay=0.5), epochs=1, batch_size=100)
    everything = torch.arange(50).expand(2, -1)
    gradient = gradients(models, examples, everything, 100)
    masks = {"1.weight": torch.rand(2, 3, 5, dtype=torch.float64)}
    models.training(recipe, masks=masks).run(examples)
    expected = start["1.weight"] - 0.1 * (masks["1.weight"] * gradient["1.weight"] + 0.5 * start["1.weight"])
    torch.testing.assert_close(models.tensors["1.weight"], expected)
    expected = start["1.bias"] - 0.1 * (gradient["1.bias"] + 0.5 * start["1.bias"])
    torch.testing.assert_close(models.tensors["1.bias"], expected)


@pytest.mark.parametrize("width", [1, 2])
def test_gradients_equal_autograds(width: int) -> None:
    model, shape = SHAPES["cnn"]
    examples = some(shape)
    models = Population.create(factory(model, shape, 3), 2, dtype=torch.float64, engine=Engine(width))
    positions = torch.tensor([[3, 1, 4, 15, 9], [2, 6, 5, 35, 8]])
    found = gradients(models, examples, positions, 2)
    for row in range(2):
        module = models.module(row)
        for part in positions[row].split(2):
            x, y = torch.from_numpy(examples.inputs)[part], torch.from_numpy(examples.labels)[part]
            F.cross_entropy(module(x), y).backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(found[name][row], parameter.grad)


def test_squared_gradients_are_summed_over_batches() -> None:
    model, shape = SHAPES["cnn"]
    models = Population.create(factory(model, shape, 3), 2, dtype=torch.float64)
    positions = torch.tensor([[3, 1, 4, 15, 9], [2, 6, 5, 35, 8]])
    found = gradients(models, some(shape), positions, 2, squared=True)
    parts = [gradients(models, some(shape), part, 2) for part in positions.split(2, dim=1)]
    for name, total in found.items():
        torch.testing.assert_close(total, sum(part[name].square() for part in parts))


def test_a_pass_beside_begins_again_and_is_a_batch_like_any_other() -> None:
    examples, other = some((5,), 20), some((5,), 6, seed=1)
    seen: list[tuple[int, list[int]]] = []

    def loss(batch: Batch) -> Tensor:
        assert batch.beside is not None
        there = batch.beside.positions[0]
        assert batch.beside.labels[0].tolist() == other.labels[there].tolist()
        seen.append((batch.logits.shape[1], there.tolist()))
        return cross_entropy(batch)

    models = Population.create(factory(MLP(), (5,), 3), 1, engine=Engine(1))
    recipe = Recipe(optimizer=SGD(lr=0.1), epochs=1, batch_size=4)
    models.training(recipe, loss=loss).run(examples, beside=(other, 3))
    assert [count for count, _ in seen] == [4] * 5
    passes = [there for _, there in seen]
    assert sorted(passes[0] + passes[1]) == list(range(6))
    assert passes == [passes[0], passes[1]] * 2 + [passes[0]]


@pytest.mark.parametrize("width", [1, 2])
def test_losses_of_two_sets_and_of_the_weights_equal_autograds(width: int) -> None:
    """One step of `CE(examples) - CE(other) + |weights|`, by this loop and by hand."""
    examples, other = some((5,), 4), some((5,), 3, seed=1)

    def loss(batch: Batch) -> Tensor:
        assert batch.beside is not None
        size = sum(tensor.abs().flatten(1).sum(1) for tensor in batch.parameters.values())
        return cross_entropy(batch) - cross_entropy(batch.beside) + 0.01 * size

    models = Population.create(factory(MLP(), (5,), 3), 2, dtype=torch.float64, engine=Engine(width))
    modules = [models.module(row) for row in range(2)]
    models.training(Recipe(optimizer=SGD(lr=0.1), epochs=1, batch_size=4), loss=loss).run(examples, beside=(other, 3))
    for row, module in enumerate(modules):
        learn, unlearn = (
            F.cross_entropy(module(torch.from_numpy(part.inputs)), torch.from_numpy(part.labels))
            for part in (examples, other)
        )
        (learn - unlearn + 0.01 * sum(p.abs().sum() for p in module.parameters())).backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(models.tensors[name][row], (parameter - 0.1 * parameter.grad).detach())


@pytest.mark.parametrize("width", [1, 2])
def test_what_has_the_factor_zero_stays(width: int) -> None:
    models = Population.create(factory(MLP(), (5,), 3), 2, engine=Engine(width))
    start = {name: tensor.clone() for name, tensor in models.tensors.items()}
    drawn = torch.rand(start["1.weight"].shape) < 0.5
    masks = {"1.weight": drawn.float(), "1.bias": torch.tensor([[0.0], [1.0]])}
    recipe = Recipe(optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=0.5), epochs=3, batch_size=8)
    models.training(recipe, masks=masks).run(some((5,)))
    for name, mask in masks.items():
        moved = models.tensors[name] != start[name]
        assert torch.equal(moved, (mask != 0).expand_as(moved))


@pytest.mark.parametrize("width", [1, 2])
def test_a_single_example_and_batch_norm_are_refused_with_a_reason(width: int) -> None:
    models = Population.create(factory(ResNet18(), (3, 16, 16), 3), 2, engine=Engine(width))
    with pytest.raises(NotSupportedError, match="single example"):
        models.train(some((3, 16, 16), 1), SGD_RECIPE)


def test_nothing_to_train_on_is_refused() -> None:
    models = Population.create(factory(MLP(), (5,), 3), 1)
    with pytest.raises(InputError, match="no examples"):
        models.train(some((5,)).select([]), SGD_RECIPE)


class Dropped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.dropout = nn.Linear(5, 3), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(self.dropout(x))
        return out


def test_dropout_is_each_models_own() -> None:
    examples = some((5,))

    def trained(count: int, first: int, before: Callable[[], object] = lambda: None) -> Tensor:
        before()
        models = Population.create(Dropped, count, first=first)
        for name in models.tensors:
            models.tensors[name][:] = 0.1
        return models.train(examples, Recipe(optimizer=SGD(lr=0.1), epochs=1, batch_size=50)).tensors["layer.weight"]

    together = trained(3, 0)
    # Equal weights and one full batch: only the dropout masks can tell the models apart.
    assert not torch.equal(together[0], together[1])
    alone = trained(1, 2, before=lambda: torch.manual_seed(99))
    torch.testing.assert_close(alone[0], together[2], rtol=0, atol=0)


def test_training_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Population.create(Dropped, 2).train(some((5,)), SGD_RECIPE)
    torch.testing.assert_close(torch.rand(4), expected, rtol=0, atol=0)


def test_frozen_parameters_stay() -> None:
    def build() -> nn.Module:
        module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
        for parameter in module[0].parameters():
            parameter.requires_grad_(False)
        return module

    for width in (1, 2):
        models = Population.create(build, 2, engine=Engine(width))
        before = copy.deepcopy(models.tensors)
        models.train(some((5,)), SGD_RECIPE)
        torch.testing.assert_close(models.tensors["0.weight"], before["0.weight"], rtol=0, atol=0)
        assert not torch.equal(models.tensors["2.weight"], before["2.weight"])


RECIPES = {
    "plain": msgspec.structs.replace(SGD_RECIPE, class_balance=0.0),
    "class balance": msgspec.structs.replace(SGD_RECIPE, class_balance=1.0),
    "fractional epochs": msgspec.structs.replace(SGD_RECIPE, epochs=1.25),
    "best epoch": msgspec.structs.replace(SGD_RECIPE, epochs=3, keep_best_from_epoch=1),
}


@pytest.mark.parametrize("recipe", list(RECIPES.values()), ids=list(RECIPES))
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_model_with_a_subset_is_a_model_trained_on_it_alone(recipe: Recipe, kind: str, width: int) -> None:
    model, shape = SHAPES[kind]
    examples, validation, build = some(shape), some(shape, 20, seed=1), factory(model, shape, 3)
    generator = np.random.default_rng(2)
    subsets = np.stack([generator.permutation(50)[:33] for _ in range(3)])  # 33 leave a last batch of one
    models = Population.create(build, 3, seed=5, dtype=torch.float64, engine=Engine(width))
    models.training(recipe).run(examples, subsets=subsets, validation=validation)
    for position in range(3):
        alone = Population.create(build, 1, seed=5, first=position, dtype=torch.float64, engine=Engine())
        alone.train(examples.select(subsets[position]), recipe, validation=validation)
        for name, tensor in alone.tensors.items():
            torch.testing.assert_close(models.tensors[name][position], tensor[0], rtol=1e-9, atol=1e-9)
            if width == 1 and recipe.keep_best_from_epoch is None:
                torch.testing.assert_close(models.tensors[name][position], tensor[0], rtol=0, atol=0)


def test_positions_in_a_batch_are_those_of_the_whole_set() -> None:
    examples = some((5,), 20)
    subsets = np.array([[3, 1, 4, 15, 9, 2], [19, 18, 17, 16, 15, 14]])
    seen: list[tuple[slice, list[list[int]]]] = []

    def loss(batch: Batch) -> Tensor:
        torch.testing.assert_close(batch.labels, torch.from_numpy(examples.labels)[batch.positions])
        seen.append((batch.models, batch.positions.tolist()))
        return cross_entropy(batch)

    models = Population.create(factory(MLP(), (5,), 3), 2, engine=Engine(2))
    models.training(Recipe(optimizer=SGD(lr=0.1), epochs=2, batch_size=3), loss=loss).run(examples, subsets=subsets)
    for epoch in (seen[:2], seen[2:]):
        for model in range(2):
            assert sorted(epoch[0][1][model] + epoch[1][1][model]) == sorted(subsets[model].tolist())


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        ([[0, 1]], r"positions for each of 2 models, .* int64 of shape \(1, 2\)"),
        ([0, 1], r"int64 of shape \(2,\)"),
        ([[0, 1], [2, 50]], "integers from 0 to 49; they are from 0 to 50"),
        ([[-1, 1], [2, 3]], "from -1 to 3"),
        ([[0.5, 1], [2, 3]], "float64"),
        ([[True, True], [False, True]], "bool"),
        (np.zeros((2, 0), dtype=np.int64), "no examples to train on"),
    ],
)
def test_subsets_that_do_not_fit_are_refused(subsets: Any, message: str) -> None:
    assert_refused(message, PLAIN, subsets=np.asarray(subsets))


def assert_refused(message: str, engine: Engine, *, masks: Tensors | None = None, **arguments: Any) -> None:
    """A run with these arguments over 50 examples is refused in one sentence, and no model has changed."""
    models = Population.create(factory(MLP(widths=(7,)), (5,), 3), 2, engine=engine)
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    with pytest.raises(InputError, match=message):
        models.training(SGD_RECIPE, masks=masks).run(some((5,)), **arguments)
    for name, tensor in models.tensors.items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("engine", [PLAIN, Engine(2), Engine(slots=2)])
@pytest.mark.parametrize("shape", [(1, 50), (3, 50), (2, 49), (2, 51, 3), (2,), ()])
def test_targets_of_another_shape_are_refused(shape: tuple[int, ...], engine: Engine) -> None:
    message = rf"targets= has the shape {re.escape(str(shape))}; it needs a row for each of 2 models, .* 50 examples"
    assert_refused(message, engine, targets=torch.zeros(shape))


@pytest.mark.parametrize("engine", [PLAIN, Engine(2), Engine(slots=2)])
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("2.weight", (2, 7, 5), r"'2\.weight' is for none of the trained tensors 1\.weight, 1\.bias, "),
        ("1.weight", (1, 1, 1), r"'1\.weight' has the shape \(1, 1, 1\), .* \(2, 7, 5\)"),
        ("1.weight", (2, 4, 1), r"'1\.weight' has the shape \(2, 4, 1\), .* \(2, 7, 5\)"),
        ("1.weight", (2, 5), r"'1\.weight' has the shape \(2, 5\), .* \(2, 7, 5\)"),
    ],
)
def test_masks_that_do_not_fit_are_refused(name: str, shape: tuple[int, ...], message: str, engine: Engine) -> None:
    assert_refused(message, engine, masks={name: torch.ones(shape)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"beside": (some((5,)).select([]), 8)},
            "beside= needs examples and a batch size of at least 1; it has 0 and 8",
        ),
        ({"beside": (some((5,)), 0)}, "it has 50 and 0"),
        ({"epochs": -1}, "epochs= is -1"),
    ],
)
def test_a_second_set_and_epochs_that_cannot_be_are_refused(arguments: dict[str, Any], message: str) -> None:
    assert_refused(message, PLAIN, **arguments)
