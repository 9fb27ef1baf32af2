from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from untrain.auditing import confidence
from untrain.core.files import read_arrays, write_arrays
from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.errors import InputError, IntegrityError, NotSupportedError
from untrain.models import CNN, MLP, Factory, ResNet18, factory
from untrain.population import SGD, Adam, Cosine, Engine, Population, Recipe
from untrain.population.engine import last_linear

BUILD = factory(CNN(widths=(4, 6)), (1, 8, 8), 3)
RECIPE = Recipe(optimizer=SGD(lr=0.05), epochs=1, batch_size=8)
OTHER = Recipe(optimizer=Adam(), schedule=Cosine(), epochs=2, keep_best_from_epoch=2)


def some(count: int = 30) -> Examples:
    generator = np.random.default_rng(0)
    return Examples.of(
        generator.normal(size=(count, 1, 8, 8)), generator.integers(3, size=count), classes=["a", "b", "c"]
    )


@pytest.mark.parametrize("width", [1, 2, 3])
def test_evaluation_equals_the_ordinary_module(width: int) -> None:
    models = Population.create(BUILD, 3, dtype=torch.float64, engine=Engine(width)).train(some(), RECIPE)
    logits = models.logits(some())
    for position in range(3):
        module = models.module(position)
        expected = module(torch.from_numpy(some().inputs)).detach()
        torch.testing.assert_close(logits[position], expected)
        right = (expected.argmax(1).numpy() == some().labels).mean()
        assert models.accuracy(some())[position] == pytest.approx(right)
    np.testing.assert_allclose(models.confidences(some()), confidence(logits.numpy(), some().labels))


def test_models_are_initialized_by_their_index() -> None:
    whole, part = Population.create(BUILD, 4, seed=3), Population.create(BUILD, 2, seed=3, first=2)
    for name, tensor in part.tensors.items():
        torch.testing.assert_close(tensor, whole.tensors[name][2:], rtol=0, atol=0)
    kernel = whole.tensors["0.weight"]
    assert not torch.equal(kernel[0], kernel[1])
    fresh = whole.select([3, 1]).fresh()
    torch.testing.assert_close(fresh.tensors["0.weight"], kernel[[3, 1]], rtol=0, atol=0)
    assert fresh.indices == (3, 1)


def test_select_and_concatenate_are_inverse() -> None:
    models = Population.create(BUILD, 4)
    back = Population.concatenate([models.select([0, 1]), models.select([2, 3])])
    assert back.indices == models.indices
    for name, tensor in back.tensors.items():
        torch.testing.assert_close(tensor, models.tensors[name], rtol=0, atol=0)
    with pytest.raises(InputError, match="same architecture"):
        Population.concatenate([models, Population.create(factory(MLP(), (1, 8, 8), 3), 1)])
    with pytest.raises(InputError, match="no populations to concatenate"):
        Population.concatenate([])


def test_copies_share_nothing() -> None:
    models = Population.create(BUILD, 2)
    before = models.tensors["0.weight"].clone()
    models.clone().train(some(), RECIPE)
    models.select([0]).train(some(), RECIPE)
    models.select([0]).repeat(3, streams=Streams(1)).train(some(), RECIPE)
    module = models.module(0).train()
    torch.optim.SGD(module.parameters(), 1.0).step()
    for parameter in module.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(models.tensors["0.weight"], before, rtol=0, atol=0)


def test_repeated_models_learn_each_in_its_own_order() -> None:
    models = Population.create(BUILD, 1).repeat(2, streams=Streams(1)).train(some(), RECIPE)
    assert not torch.equal(models.tensors["0.weight"][0], models.tensors["0.weight"][1])


def test_several_models_are_repeated_in_turn() -> None:
    models = Population.create(BUILD, 3)
    copies = models.repeat(4, streams=Streams(1), first=5)
    assert copies.indices == (5, 6, 7, 8)
    torch.testing.assert_close(copies.tensors["0.weight"], models.tensors["0.weight"][[2, 0, 1, 2]], rtol=0, atol=0)


def test_ones_own_module_is_a_population_of_one() -> None:
    module = BUILD()
    models = Population.from_module(module)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    models.train(some(), RECIPE)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    module.load_state_dict(models.module().state_dict())
    with pytest.raises(NotSupportedError, match="factory="):
        models.fresh()


def test_random_numbers_belong_to_a_model() -> None:
    whole, part = Population.create(BUILD, 3), Population.create(BUILD, 1, first=2)
    for draw in ("normal", "uniform"):
        torch.testing.assert_close(getattr(whole, draw)("x", (2, 2))[2:], getattr(part, draw)("x", (2, 2)))
        assert not torch.equal(getattr(whole, draw)("x", (2,))[0], getattr(whole, draw)("y", (2,))[0])


def test_saved_models_come_back(tmp_path: Path) -> None:
    models = Population.create(BUILD, 3, seed=Streams(7, ("a", "b")), first=4).train(some(), RECIPE)
    models.save(tmp_path / "models.safetensors")
    back = Population.load(tmp_path / "models.safetensors", BUILD)
    assert (back.indices, back.streams) == (models.indices, models.streams)
    for name, tensor in models.tensors.items():
        torch.testing.assert_close(back.tensors[name], tensor, rtol=0, atol=0)
    continued, expected = back.train(some(), RECIPE), models.train(some(), RECIPE)
    torch.testing.assert_close(continued.tensors["0.weight"], expected.tensors["0.weight"])


def test_models_in_bfloat16_come_back_in_float32(tmp_path: Path) -> None:
    models = Population.create(BUILD, 2, dtype=torch.bfloat16)
    models.save(tmp_path / "models.safetensors")
    back = Population.load(tmp_path / "models.safetensors", BUILD)
    for name, tensor in models.tensors.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(back.tensors[name], tensor.float(), rtol=0, atol=0)


def test_any_changed_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "models.safetensors"
    Population.create(factory(MLP(widths=(3,)), (4,), 2), 2).save(path)
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    for position in generator.integers(len(data) * 8, size=400):
        mutant = bytearray(data)
        mutant[position // 8] ^= 1 << (position % 8)
        path.write_bytes(mutant)
        with pytest.raises((IntegrityError, InputError)):
            Population.load(path, factory(MLP(widths=(3,)), (4,), 2))
    path.write_bytes(data[:-5])
    with pytest.raises(IntegrityError, match="not a complete"):
        Population.load(path, BUILD)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.safetensors"
    with pytest.raises(InputError, match="no safetensors file"):
        Population.load(path, BUILD)
    Population.create(BUILD, 2).save(path)
    with pytest.raises(InputError, match=r"the model lacks|the file lacks"):
        Population.load(path, factory(MLP(), (1, 8, 8), 3))
    with pytest.raises(InputError, match=r"0.weight in .* must be of shape \(2, 5, 1, 3, 3\)"):
        Population.load(path, factory(CNN(widths=(5, 6)), (1, 8, 8), 3))


@pytest.mark.parametrize("text", ["", "null", "[" * 5000, "9" * 5000, "[1.5, 2]", '"x"', None])
@pytest.mark.parametrize("name", ["root", "path", "indices"])
def test_a_file_that_does_not_tell_where_its_models_come_from_is_refused(
    name: str, text: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "models.safetensors"
    Population.create(BUILD, 2).save(path)
    arrays, metadata = read_arrays(path)
    del metadata[name]
    write_arrays(path, arrays, metadata if text is None else {**metadata, name: text})
    with pytest.raises(InputError, match=r"seeds, indices or recipe in .*safetensors"):
        Population.load(path, BUILD)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="at least one model"):
        Population.create(BUILD, 0)
    with pytest.raises(InputError, match="must build a torch module, got int"):
        Population.create(lambda: 3, 1)  # type: ignore[arg-type, return-value]


class Twice(nn.Module):
    """Its last layer is used before the end as well, and another linear layer stands beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.beside, self.norm = nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu_(self.norm(self.last(x)) + self.beside(x))
        logits: Tensor = self.last(hidden)
        return logits


@pytest.mark.parametrize(
    ("build", "shape", "layer"),
    [
        (factory(MLP(widths=(7, 5)), (1, 8, 8), 3), (1, 8, 8), "5"),
        (factory(MLP(widths=()), (1, 8, 8), 3), (1, 8, 8), "1"),
        (BUILD, (1, 8, 8), "7"),
        (factory(ResNet18(stem="cifar"), (3, 8, 8), 3), (3, 8, 8), "fc"),
        (Twice, (3,), "last"),
    ],
)
@pytest.mark.parametrize("count", [1, 520])  # 520 are more than one batch of evaluation
def test_features_are_what_a_hook_sees(build: Factory, shape: tuple[int, ...], layer: str, count: int) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    examples = Examples.of(inputs, generator.integers(3, size=count), classes=["a", "b", "c"])
    models = Population.create(build, 2, engine=Engine())
    found = models.features(examples)
    assert not found.requires_grad
    for position in range(2):
        module = models.module(position)
        name, linear = last_linear(module, torch.from_numpy(inputs[:4]))
        assert (name, linear) == (layer, module.get_submodule(layer))
        seen: list[Tensor] = []
        handle = linear.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0].detach().clone()))
        with torch.no_grad():
            logits = module(torch.from_numpy(inputs))
        handle.remove()
        torch.testing.assert_close(found[position], seen[-1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[position] @ linear.weight.T + linear.bias, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Tanh()),
        nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.LogSoftmax(1)),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.GLU(1)),
    ],
)
def test_a_network_that_does_not_end_in_a_linear_layer_has_no_features(module: nn.Module) -> None:
    with pytest.raises(NotSupportedError, match="Sequential has no linear layer whose output is the logits"):
        Population.from_module(module.double()).features(some())


def test_looking_for_the_last_layer_leaves_nothing_behind() -> None:
    module = Twice().eval()
    inputs = torch.randn(5, 3)
    before, copy = inputs.clone(), {name: value.clone() for name, value in module.state_dict().items()}
    assert last_linear(module, inputs)[0] == "last"
    assert torch.equal(inputs, before)
    assert all(torch.equal(value, copy[name]) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())
    module.last.weight.data[0, 0] = torch.nan  # whether logits are finite is for others to say
    assert last_linear(module, inputs)[0] == "last"


def test_the_first_training_sets_the_recipe() -> None:
    models = Population.create(BUILD, 1)
    assert models.recipe is None
    models.train(some(), RECIPE, purpose="finetune")  # how a method works is not how the original was trained
    assert models.recipe is None
    models.train(some(), RECIPE)
    models.train(some(), OTHER, validation=some())
    assert models.recipe == RECIPE


@pytest.mark.parametrize(
    "derive",
    [
        Population.clone,
        Population.fresh,
        lambda models: models.select([0]),
        lambda models: models.repeat(2, streams=Streams(1)),
        lambda models: models.to(dtype=torch.float64),
        lambda models: models.with_factory(BUILD),
        lambda models: Population.concatenate([models, models]),
        lambda models: Population.from_module(models.module(), recipe=models.recipe),
    ],
)
def test_the_recipe_is_kept(derive: Callable[[Population], Population]) -> None:
    models = Population.create(BUILD, 1, recipe=RECIPE)
    derived = derive(models)
    assert derived.recipe == RECIPE
    assert derived.with_recipe(OTHER).recipe == OTHER
    assert (derived.recipe, models.recipe) == (RECIPE, RECIPE)


def test_the_recipe_is_saved_with_the_models(tmp_path: Path) -> None:
    path = tmp_path / "models.safetensors"
    Population.create(BUILD, 1, recipe=OTHER).save(path)
    assert Population.load(path, BUILD).recipe == OTHER
    assert Population.load(path, BUILD, recipe=RECIPE).recipe == RECIPE
    Population.create(BUILD, 1).save(path)
    assert Population.load(path, BUILD).recipe is None


def test_models_that_were_saved_without_a_recipe_are_read(tmp_path: Path) -> None:
    path = tmp_path / "models.safetensors"
    Population.create(BUILD, 1, recipe=RECIPE).save(path)
    arrays, metadata = read_arrays(path)
    del metadata["recipe"]
    write_arrays(path, arrays, metadata)
    assert Population.load(path, BUILD).recipe is None


@pytest.mark.parametrize("text", ["", "[" * 5000, "{}", '{"optimizer": {"name": "sgd"}, "epochs": 0}', '"x"'])
def test_a_file_with_a_damaged_recipe_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "models.safetensors"
    Population.create(BUILD, 1, recipe=RECIPE).save(path)
    arrays, metadata = read_arrays(path)
    write_arrays(path, arrays, {**metadata, "recipe": text})
    with pytest.raises(InputError, match=r"recipe in .*safetensors cannot be read"):
        Population.load(path, BUILD)


def test_a_population_is_shown_in_three_lines() -> None:
    models = Population.create(BUILD, 4, engine=Engine(4))
    size = sum(parameter.numel() for parameter in BUILD().parameters())
    first, engine, recipe = repr(models).split("\n")
    assert first == f"Population of 4 (Sequential, {size:,} parameters each, float32 on cpu)"
    assert "width=4" in engine
    assert "not trained here" in recipe
    trained = repr(models.train(some(), RECIPE))
    assert "recipe: Recipe(optimizer=SGD(lr=0.05), epochs=1, batch_size=8)" in trained
    assert "not measured yet" in repr(Population.create(BUILD, 1))
