"""What each method does to the weights, and that each keeps the promises made for all."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from untrain.core.randomness import Streams
from untrain.data import Examples, forget_ratio
from untrain.errors import ConfigError, InputError, NotSupportedError
from untrain.methods import METHODS, Method, Request, build_method, method_names
from untrain.methods.conv_noise import ConvNoise
from untrain.methods.gradient_reinit import GradientReinit
from untrain.methods.kl_contrast import KLContrast
from untrain.methods.prune_entropy import PruneEntropy, entropy
from untrain.methods.transpose import Transpose
from untrain.models import CNN, MLP, Model, ResNet18, factory
from untrain.population import SGD, Batch, Engine, Population, Recipe, Training
from untrain.testing import SealedRequest, check_method, toy_problem

PUBLISHED = ["kl-contrast", "gradient-reinit", "conv-noise", "prune-entropy", "transpose"]
RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), epochs=1, batch_size=16)


def examples(count: int = 60, channels: int = 1) -> Examples:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, channels, 8, 8)).astype(np.float32)
    return Examples.of(inputs, generator.integers(3, size=count), classes=["a", "b", "c"])


def request() -> Request:
    sets = forget_ratio(examples(), 0.2)
    return Request(sets.forget, sets.retain, RECIPE)


def population(model: Model | None = None, count: int = 2, width: int = 1) -> Population:
    build = factory(model or CNN(widths=(6, 8)), (1, 8, 8), 3)
    original = Population.create(build, 1, engine=Engine(width)).train(examples(), RECIPE)
    return original.repeat(count, streams=Streams(1).child("test"))


def test_all_that_ship_are_found_by_name() -> None:
    others = ["finetune", "influence", "renew", "retrain", "short-retrain", "ssse"]
    later = ["pseudo-labels", "random-layers", "reinit-match", "reset-distill"]
    baselines = [
        "bad-teacher", "fisher", "gradient-ascent", "l1-sparse", "neggrad-plus", "random-labels", "salun", "scrub",
        "ssd",
    ]  # fmt: skip
    assert method_names() == sorted([*PUBLISHED, *later, *baselines, *others])


@pytest.mark.parametrize("name", ["retrain", "finetune", "short-retrain", *PUBLISHED])
def test_conformance(name: str) -> None:
    small = "small" in METHODS.of(name).presets
    check_method(build_method(name, preset="small" if small else None))


@pytest.mark.parametrize("name", ["kl-contrast", "prune-entropy", "finetune", "retrain"])
def test_methods_for_any_network_work_on_one_without_convolutions(name: str) -> None:
    small = "small" in METHODS.of(name).presets
    check_method(build_method(name, preset="small" if small else None), MLP(widths=(24,)))


@pytest.mark.parametrize("name", ["gradient-reinit", "conv-noise", "transpose"])
def test_convolution_methods_refuse_other_networks(name: str) -> None:
    with pytest.raises(NotSupportedError, match=f"{name} changes convolutions, and Sequential has none: use"):
        build_method(name).forget(population(MLP()), request())


@pytest.mark.parametrize("name", PUBLISHED)
def test_kaggle_is_the_default(name: str) -> None:
    assert build_method(name) == build_method(f"{name}:kaggle") == METHODS.of(name)()


CONSTANTS: list[tuple[str, dict[str, Any]]] = [
    # The winners' constants, typed here a second time from the descriptions of their entries.
    ("kl-contrast", {
        "temperature": 1.15, "contrast_batch_size": 256,
        "erase.optimizer.lr": 5e-3, "erase.epochs": 1, "erase.batch_size": 64,
        "contrast.optimizer.lr": 3e-4, "contrast.optimizer.momentum": 0.9, "contrast.optimizer.weight_decay": 0.0,
        "contrast.epochs": 8, "contrast.batch_size": 64,
        "contrast.schedule.floor": 1e-6, "contrast.schedule.per": "step",
        "repair.optimizer.lr": 4e-3, "repair.optimizer.momentum": 0.9, "repair.optimizer.weight_decay": 1e-2,
        "repair.epochs": 8, "repair.batch_size": 256,
    }),
    ("gradient-reinit", {
        "share": 0.3, "kept_factor": 0.1, "recipe.epochs": 5,
        "recipe.optimizer.lr": 1e-3,
        "recipe.optimizer.momentum": 0.9, "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64,
        "recipe.schedule.factors": [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3],
    }),
    ("conv-noise", {
        "noise": 0.6, "late_noise": 0.005, "minority_weight": 0.05, "recipe.epochs": 4, "recipe.optimizer.lr": 7e-4,
        "recipe.optimizer.momentum": 0.9, "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64,
        "recipe.schedule.per": "epoch", "recipe.schedule.floor": 0.0,
    }),
    ("prune-entropy", {
        "share": 0.99, "entropy_weight": 1.0, "recipe.epochs": 3.2, "recipe.optimizer.lr": 5e-4,
        "recipe.optimizer.momentum": 0.9, "recipe.optimizer.weight_decay": 5e-4, "recipe.class_balance": 0.1,
        "recipe.schedule.name": "constant", "recipe.batch_size": 64,
    }),
    ("transpose", {
        "recipe.epochs": 3, "recipe.optimizer.lr": 1e-3, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64, "recipe.schedule.per": "epoch",
    }),
    ("finetune", {
        "recipe.epochs": 1, "recipe.optimizer.lr": 1e-3, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("name", "constants"), CONSTANTS)
def test_the_winners_constants(name: str, constants: dict[str, Any]) -> None:
    fields: Any = msgspec.to_builtins(build_method(name))
    for path, expected in constants.items():
        value = fields
        for key in path.split("."):
            value = value[key]
        assert (list(value) if isinstance(value, tuple) else value) == expected, path


def test_wrong_names_and_settings_are_refused() -> None:
    for spec, settings, message in (
        ("amnesia", {}, "one of the methods bad-teacher, .*got 'amnesia'"),
        ("transpose:tiny", {}, "one of the presets kaggle.* of transpose, got 'tiny'"),
        ("retrain:kaggle", {}, r"presets \(none\) of retrain"),
        ("conv-noise", {"noize": 1}, "unknown field `noize`"),
        ("conv-noise", {"noise": "much"}, "Expected `float`"),
        ("conv-noise", {"noise": -1}, ">= 0"),
        ("gradient-reinit", {"share": 1.5}, "<= 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_method(spec, settings=settings)


def test_settings_reach_into_recipes() -> None:
    found = build_method("transpose", settings={"recipe": {"epochs": 7, "optimizer": {"name": "adam"}}})
    fields: Any = msgspec.to_builtins(found)
    assert fields["recipe"]["epochs"] == 7
    assert fields["recipe"]["optimizer"] == {
        "name": "adam",
        "lr": 1e-3,
        "betas": (0.9, 0.999),
        "weight_decay": 0.0,
    }
    assert fields["recipe"]["schedule"]["name"] == "cosine"


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
    seen: list[Training] = []
    monkeypatch.setattr(Training, "run", lambda self, *_args, **_options: seen.append(self))
    build_method("conv-noise").forget(models, asked)
    frequent = int(np.bincount(asked.retain.labels).argmax())
    logits = torch.randn(1, 4, 3)
    labels = torch.tensor([[frequent, frequent, (frequent + 1) % 3, (frequent + 2) % 3]])
    found = seen[0].loss(Batch(logits, labels, labels, slice(0, 1), None, {}))
    expected = F.cross_entropy(logits[0], labels[0]) * (1 + 1 + 0.05 + 0.05) / 4
    torch.testing.assert_close(found, expected[None])


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
            torch.testing.assert_close(tensor, tensor.half().float(), rtol=0, atol=0)
    logits = torch.randn(2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy())


def test_pruning_learns_from_the_teachers_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    teacher = entropy(models.logits(asked.retain))
    seen: list[Training] = []
    monkeypatch.setattr(Training, "run", lambda self, *_args, **_options: seen.append(self))
    PruneEntropy().forget(models, asked)
    logits, labels = torch.randn(1, 4, 3), torch.tensor([[0, 1, 2, 0]])
    positions = torch.tensor([[5, 2, 9, 11]])
    found = seen[0].loss(Batch(logits, labels, positions, slice(1, 2), None, {}))
    expected = F.cross_entropy(logits[0], labels[0]) + F.mse_loss(entropy(logits[0]), teacher[1, positions[0]])
    torch.testing.assert_close(found, expected[None])


def test_reinitialization_changes_thirty_percent_of_each_convolution() -> None:
    models = population(CNN(widths=(16, 32)), count=3)
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    method = GradientReinit()
    masks = method.reinitialize(models, request())
    assert masks.keys() == {"0.weight", "3.weight"}
    for name, mask in masks.items():
        changed = models.tensors[name] != before[name]
        count = before[name][0].numel()
        assert changed.flatten(1).sum(1).tolist() == [round(0.3 * count)] * 3
        assert set(mask[changed].tolist()) == {1.0}
        torch.testing.assert_close(mask[~changed], torch.full_like(mask[~changed], 0.1))
    for name in before.keys() - masks.keys():
        torch.testing.assert_close(models.tensors[name], before[name], rtol=0, atol=0)
    fresh = models.tensors["3.weight"][masks["3.weight"] == 1.0]
    assert fresh.std().item() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.1)  # kaiming_normal, fan_out


def test_reinitialization_takes_the_least_telling_gradients() -> None:
    models, asked = population(count=1), request()
    method = GradientReinit()
    module = models.module(0)
    drawn = models.streams.generator("retained", 0).permutation(len(asked.retain))[: len(asked.forget)]
    for part, sign in ((asked.retain.select(drawn), 1.0), (asked.forget, -1.0)):
        logits = module(torch.from_numpy(part.inputs))
        (sign * F.cross_entropy(logits, torch.from_numpy(part.labels))).backward()
    masks = method.reinitialize(models, asked)
    for name, parameter in module.named_parameters():
        if name in masks:
            assert parameter.grad is not None
            sizes, chosen = parameter.grad.abs(), masks[name][0] == 1.0
            assert sizes[chosen].max() <= sizes[~chosen].min() * (1 + 1e-4)


def test_erasing_takes_one_step_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: dict[str, int] = {}
    original = Training._run_epoch

    def counted(self: Training, *arguments: Any) -> None:
        bounds = arguments[4]
        steps[self.purpose] = steps.get(self.purpose, 0) + len(bounds)
        original(self, *arguments)

    models = population(count=1)
    monkeypatch.setattr(Training, "_run_epoch", counted)
    sets = forget_ratio(examples(400), 0.5)
    KLContrast().forget(models, Request(sets.forget, sets.retain, RECIPE))
    assert steps == {"erase": 4, "contrast": 8 * 4, "repair": 8}  # 200 of 400: batches of 64 and of 256


def test_contrast_and_erasure_are_their_formulas() -> None:
    method = KLContrast()
    logits, beside = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 7, 3, dtype=torch.float64)
    other = Batch(beside, torch.zeros(2, 7), torch.zeros(2, 7), slice(0, 2), None, {})
    found = method._similarity(Batch(logits, torch.zeros(2, 5), torch.zeros(2, 5), slice(0, 2), None, {}, other))
    for model in range(2):
        pairs = -F.log_softmax(logits[model] @ beside[model].T / 1.15, dim=1)
        torch.testing.assert_close(found[model], pairs.mean())
    from untrain.methods.kl_contrast import _divergence_from_uniform

    erased = _divergence_from_uniform(Batch(logits, torch.zeros(2, 5), torch.zeros(2, 5), slice(0, 2), None, {}))
    uniform = torch.full((5, 3), 1 / 3, dtype=torch.float64)
    for model in range(2):
        expected = F.kl_div(F.log_softmax(logits[model], dim=1), uniform, reduction="batchmean")
        torch.testing.assert_close(erased[model], expected)


class _Peeking(Method, frozen=True, tag="peeking"):
    title = "reads what it says it does not"

    def forget(self, models: Population, request: Request) -> Population:
        return models.train(request.forget, RECIPE)


class _Idle(Method, frozen=True, tag="idle"):
    title = "does nothing"

    def forget(self, models: Population, request: Request) -> Population:
        return models


class _Careless(Method, frozen=True, tag="careless"):
    title = "draws from the global generator"

    def forget(self, models: Population, request: Request) -> Population:
        for tensor in models.tensors.values():
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.randn_like(tensor))
        return models.train(request.retain, RECIPE)


class _Destroying(Method, frozen=True, tag="destroying"):
    title = "forgets everything"

    def forget(self, models: Population, request: Request) -> Population:
        for tensor in models.tensors.values():
            tensor.zero_()
        return models


class _Neighborly(Method, frozen=True, tag="neighborly"):
    title = "lets models see each other"

    def forget(self, models: Population, request: Request) -> Population:
        models.train(request.retain, RECIPE)
        for tensor in models.tensors.values():
            if tensor.is_floating_point():
                tensor.copy_(0.9 * tensor + 0.1 * tensor.mean(0))
        return models


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_Peeking, "has read it"),
        (_Idle, "weights to move"),
        (_Careless, "same seed"),
        (_Destroying, "test accuracy"),
        (_Neighborly, "models beside it"),
    ],
)
def test_the_conformance_suite_finds_broken_methods(broken: Callable[[], Method], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_method(broken())


def test_validation_examples_are_not_to_be_forgotten() -> None:
    sets = forget_ratio(examples(), 0.2)
    for part in (sets.forget, sets.retain):
        with pytest.raises(InputError, match="outside the training set, got"):
            Request(sets.forget, sets.retain, RECIPE, part.select([1]))


def test_a_sealed_request_gives_everything_but_the_forget_set() -> None:
    parts = toy_problem(count=100)
    sets = forget_ratio(parts.train, 0.1)
    sealed = SealedRequest.of(Request(sets.forget, sets.retain, RECIPE, parts.validation))
    assert len(sealed.retain) == len(sets.retain)
    with pytest.raises(AssertionError, match="has read it"):
        _ = sealed.forget


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("retrain", 12), ("short-retrain:half", 6), ("renew", 4), ("finetune", 1), ("kl-contrast", 8), ("transpose", 3),
        ("prune-entropy", 3.2), ("reset-distill", 3), ("gradient-ascent", 0), ("salun", 10), ("scrub", 3),
        ("ssd", None),
    ],
)  # fmt: skip
def test_passes_over_the_retain_set(name: str, passes: float | None) -> None:
    recipe = Recipe(optimizer=SGD(lr=0.05), epochs=12)
    assert build_method(name).passes(recipe) == passes
