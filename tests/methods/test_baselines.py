"""The methods that others are compared with: each against plain autograd, its formula or a slow loop of its paper."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from untrain.core.randomness import Streams
from untrain.data import Examples, forget_ratio
from untrain.errors import ConfigError, NotSupportedError
from untrain.methods import METHODS, Method, Request, build_method
from untrain.methods.fisher import Fisher, information
from untrain.methods.salun import SalUn
from untrain.methods.targets import divergence, drawn_labels, relabeled
from untrain.models import CNN, MLP, Model, factory
from untrain.population import SGD, Batch, Engine, Population, Recipe, Training
from untrain.testing import check_method

BASELINES = [
    "gradient-ascent", "neggrad-plus", "random-labels", "scrub", "salun", "l1-sparse", "ssd", "bad-teacher", "fisher",
]  # fmt: skip
RECIPE = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), epochs=2, batch_size=16)
WHOLE = {"optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}, "batch_size": 1000}


def request(count: int = 60) -> Request:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=count)
    inputs = generator.normal(size=(count, 1, 8, 8)) + labels[:, None, None, None]
    sets = forget_ratio(Examples.of(inputs, labels, classes=["a", "b", "c"]), 0.2)
    return Request(sets.forget, sets.retain, RECIPE)


def population(model: Model | None = None, count: int = 2, width: int = 2) -> Population:
    build = factory(model or CNN(widths=(4, 6)), (1, 8, 8), 3)
    original = Population.create(build, 1, dtype=torch.float64, engine=Engine(1)).train(request().training_set, RECIPE)
    models = original.repeat(count, streams=Streams(1).child("test"))
    models.engine = Engine(width)
    return models


def tensors(examples: Examples) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels)


def descend(module: nn.Module, losses: list[Callable[[], Tensor]]) -> nn.Module:
    """One step of the optimizer of `WHOLE` for each loss."""
    optimizer = torch.optim.SGD(module.parameters(), 0.05, 0.9, weight_decay=0.01)
    module.train()
    for loss in losses:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return module


def assert_same(models: Population, position: int, module: nn.Module) -> None:
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(models.tensors[name][position], tensor, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("model", [CNN(widths=(8, 16)), MLP(widths=(24,))], ids=["cnn", "mlp"])
@pytest.mark.parametrize("name", BASELINES)
def test_conformance(name: str, model: Model) -> None:
    small = "small" in METHODS.of(name).presets
    check_method(build_method(name, preset="small" if small else None), model)


CONSTANTS: list[tuple[str, dict[str, Any]]] = [
    # Typed here a second time, from the authors' code and the comparisons that each file names.
    ("gradient-ascent", {
        "recipe.optimizer.name": "sgd", "recipe.optimizer.lr": 1e-4, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.epochs": 5, "recipe.batch_size": 256,
        "recipe.schedule.name": "constant",
    }),
    ("neggrad-plus", {
        "alpha": 0.95, "forget_batch_size": 256, "recipe.optimizer.name": "sgd", "recipe.optimizer.lr": 0.01,
        "recipe.optimizer.momentum": 0, "recipe.optimizer.weight_decay": 0, "recipe.epochs": 10,
        "recipe.batch_size": 256, "recipe.schedule.name": "constant",
    }),
    ("random-labels", {
        "recipe.optimizer.name": "adam", "recipe.optimizer.lr": 1e-4, "recipe.optimizer.weight_decay": 0,
        "recipe.epochs": 3, "recipe.batch_size": 128, "recipe.schedule.name": "constant",
    }),
    ("scrub", {
        "alpha": 0.001, "gamma": 0.99, "temperature": 4, "leave.epochs": 2, "follow.epochs": 3,
        "leave.batch_size": 32, "follow.batch_size": 128, "follow.schedule.name": "constant",
        "leave.optimizer.name": "sgd", "leave.optimizer.lr": 5e-4, "leave.optimizer.momentum": 0.9,
        "leave.optimizer.weight_decay": 5e-4, "follow.optimizer.name": "sgd", "follow.optimizer.lr": 5e-4,
        "follow.optimizer.momentum": 0.9, "follow.optimizer.weight_decay": 5e-4,
    }),
    ("scrub:small-scale", {
        "alpha": 0.5, "gamma": 1, "temperature": 2, "leave.epochs": 3, "follow.epochs": 10,
        "leave.optimizer.name": "adam", "leave.optimizer.lr": 5e-4, "leave.optimizer.weight_decay": 0.1,
        "follow.optimizer.name": "adam", "follow.optimizer.lr": 5e-4, "follow.optimizer.weight_decay": 0.1,
    }),
    ("salun", {
        "share": 0.5, "relabel.optimizer.lr": 0.013, "repair.optimizer.lr": 0.013, "relabel.optimizer.momentum": 0.9,
        "repair.optimizer.momentum": 0.9, "relabel.optimizer.weight_decay": 5e-4,
        "repair.optimizer.weight_decay": 5e-4, "relabel.epochs": 10, "repair.epochs": 10, "relabel.batch_size": 256,
        "repair.batch_size": 256, "repair.schedule.name": "constant",
    }),
    ("l1-sparse", {
        "alpha": 5e-4, "recipe.optimizer.lr": 0.01, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.epochs": 10, "recipe.batch_size": 256,
    }),
    ("ssd", {"selection": 10, "dampening": 1, "batch_size": 128}),
    ("bad-teacher", {
        "share": 0.3, "temperature": 1, "recipe.optimizer.name": "adam", "recipe.optimizer.lr": 1e-4,
        "recipe.optimizer.weight_decay": 0, "recipe.epochs": 1, "recipe.batch_size": 256,
    }),
    ("fisher", {"alpha": 1e-6}),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "constants"), CONSTANTS)
def test_the_published_constants(spec: str, constants: dict[str, Any]) -> None:
    fields: Any = msgspec.to_builtins(build_method(spec))
    for path, expected in constants.items():
        value = fields
        for key in path.split("."):
            value = value[key]
        assert value == expected, path


def test_the_small_scale_rate_falls_after_the_fifth_eighth_and_ninth_epoch() -> None:
    follow: Recipe = build_method("scrub:small-scale").follow  # type: ignore[attr-defined]
    rates = [follow.schedule.rate(1.0, epoch, 10) for epoch in range(10)]
    for epoch, rate in enumerate(rates, start=1):
        assert rate == pytest.approx(0.1 ** sum(epoch > decay for decay in (5, 8, 9)))


@pytest.mark.parametrize("name", [name for name in BASELINES if METHODS.of(name).presets])
def test_published_is_the_default(name: str) -> None:
    assert build_method(name) == build_method(f"{name}:published") == METHODS.of(name)()


def test_ascent_climbs_the_loss_of_the_forget_set() -> None:
    models, asked = population(), request()
    module = models.module()
    x, y = tensors(asked.forget)
    build_method("gradient-ascent", settings={"recipe": {**WHOLE, "epochs": 2}}).forget(models, asked)
    descend(module, [lambda: -F.cross_entropy(module(x), y)] * 2)
    for position in range(2):
        assert_same(models, position, module)


def test_neggrad_weighs_the_two_sets() -> None:
    models, asked = population(), request()
    module = models.module()
    (x, y), (u, v) = tensors(asked.retain), tensors(asked.forget)
    settings = {"alpha": 0.8, "forget_batch_size": 1000, "recipe": {**WHOLE, "epochs": 3}}
    build_method("neggrad-plus", settings=settings).forget(models, asked)
    descend(module, [lambda: 0.8 * F.cross_entropy(module(x), y) - 0.2 * F.cross_entropy(module(u), v)] * 3)
    for position in range(2):
        assert_same(models, position, module)


@pytest.mark.parametrize("wrong", [True, False])
def test_random_labels_are_uniform_and_each_models_own(wrong: bool) -> None:
    models = population(count=3)
    generator = np.random.default_rng(1)
    many = Examples.of(generator.normal(size=(6000, 1)), generator.integers(4, size=6000))
    drawn = drawn_labels(models, many, "labels", wrong=wrong)
    true = torch.from_numpy(many.labels)
    assert drawn.shape == (3, 6000)
    for label in range(4):
        shares = torch.stack([torch.bincount(row[true == label], minlength=4) / (true == label).sum() for row in drawn])
        expected = torch.full((4,), 1 / 3 if wrong else 1 / 4)
        if wrong:
            expected[label] = 0
            assert bool((shares[:, label] == 0).all())
        torch.testing.assert_close(shares, expected.expand(3, -1), rtol=0, atol=0.05)
    assert (drawn[0] == drawn[1]).double().mean() < 0.4
    torch.testing.assert_close(drawn_labels(models.select([2]), many, "labels", wrong=wrong)[0], drawn[2])


def test_random_labels_are_learned_beside_the_retain_set() -> None:
    models, asked = population(), request()
    module = models.module()
    (x, y), (u, _) = tensors(asked.retain), tensors(asked.forget)
    drawn = drawn_labels(models, asked.forget, "labels", wrong=True)
    build_method("random-labels", settings={"recipe": {**WHOLE, "epochs": 2}}).forget(models, asked)
    for position in range(2):
        own = copy.deepcopy(module)

        def loss(own: nn.Module = own, drawn: Tensor = drawn[position]) -> Tensor:
            return F.cross_entropy(own(torch.cat([u, x])), torch.cat([drawn, y]))

        assert_same(models, position, descend(own, [loss] * 2))


def test_labels_of_ones_own_are_looked_up_by_position() -> None:
    labels = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 1, 1]])
    logits = torch.randn(2, 2, 3, dtype=torch.float64)
    positions = torch.tensor([[2, 0], [1, 2]])
    found = relabeled(labels)(Batch(logits, torch.zeros(2, 2).long(), positions, slice(1, 3), None, {}))
    expected = [F.cross_entropy(logits[0], torch.tensor([0, 2])), F.cross_entropy(logits[1], torch.tensor([1, 1]))]
    torch.testing.assert_close(found, torch.stack(expected))


def test_divergence_is_torchs() -> None:
    teacher, student = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    for model in range(2):
        expected = F.kl_div((student[model] / 3).log_softmax(1), (teacher[model] / 3).softmax(1), reduction="batchmean")
        torch.testing.assert_close(divergence(teacher, student, 3.0)[model].mean(), expected)


def test_scrub_leaves_the_teacher_and_follows_it() -> None:
    models, asked = population(), request()
    module, teacher = models.module(), models.module()
    (x, y), (u, _) = tensors(asked.retain), tensors(asked.forget)
    settings = {"alpha": 0.3, "gamma": 0.7, "leave": {**WHOLE, "epochs": 2}, "follow": {**WHOLE, "epochs": 3}}
    build_method("scrub", settings=settings).forget(models, asked)

    def apart(inputs: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            target = (teacher(inputs) / 4).softmax(1)
        return 16 * F.kl_div((logits / 4).log_softmax(1), target, reduction="batchmean")

    leave, follow = (torch.optim.SGD(module.parameters(), 0.05, 0.9, weight_decay=0.01) for _ in range(2))
    module.train()
    for epoch in range(3):
        if epoch < 2:
            leave.zero_grad()
            (-apart(u, module(u))).backward()
            leave.step()
        follow.zero_grad()
        logits = module(x)
        (0.7 * F.cross_entropy(logits, y) + 0.3 * apart(x, logits)).backward()
        follow.step()
    for position in range(2):
        assert_same(models, position, module)


@pytest.mark.parametrize(("share", "batch_size"), [(0.5, 1000), (0.25, 5)])
def test_salient_are_the_largest_gradients_of_all_layers(share: float, batch_size: int) -> None:
    models, asked = population(), request()
    method = build_method("salun", settings={"share": share, "relabel": {"batch_size": batch_size}})
    assert isinstance(method, SalUn)
    masks = method.masks(models, asked)
    module = models.module()
    for x, y in zip(*(tensor.split(batch_size) for tensor in tensors(asked.forget)), strict=True):
        F.cross_entropy(module(x), y).backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert masks.keys() == gradients.keys()
    sizes = torch.cat([gradient.abs().flatten() for gradient in gradients.values()])
    for position in range(2):
        salient = torch.cat([mask[position].flatten() for mask in masks.values()]) == 1
        assert salient.sum() == int(share * len(sizes))
        assert sizes[salient].min() >= sizes[~salient].max()


def test_what_is_not_salient_stays_bit_for_bit() -> None:
    models, asked = population(), request()
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    method = SalUn()
    masks = method.masks(models, asked)
    method.forget(models, asked)
    for name, mask in masks.items():
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(models.tensors[name][mask == 0], before[name][mask == 0]), name
        assert bool((models.tensors[name][mask == 1] != before[name][mask == 1]).all()), name


def test_salun_draws_labels_for_each_epoch_and_ends_with_the_retain_set(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    runs: list[tuple[str, bool, list[float]]] = []
    count = len(asked.forget)
    own = torch.from_numpy(asked.forget.labels).expand(2, -1)
    logits = torch.randn(2, count, 3, dtype=torch.float64) + 100 * F.one_hot(own, 3)
    positions = torch.arange(count).expand(2, -1)

    def run(self: Training, examples: Examples, **_options: Any) -> None:
        found = self.loss(Batch(logits, own, positions, slice(0, 2), None, {}))
        runs.append((self.purpose, examples is asked.forget, found.tolist()))

    monkeypatch.setattr(Training, "run", run)
    SalUn().forget(models, asked)
    assert [(purpose, forgotten) for purpose, forgotten, _ in runs] == [("relabel", True), ("repair", False)] * 10
    losses = [tuple(found) for purpose, _, found in runs if purpose == "relabel"]
    assert len(set(losses)) == 10
    assert all(first != second for first, second in losses)
    assert np.mean(losses) == pytest.approx(100 * 2 / 3, abs=12)  # 0 for the true label, 100 for the other two
    expected = [F.cross_entropy(logits[model], own[model]).item() for model in range(2)]
    assert runs[-1][2] == pytest.approx(expected)


def test_the_penalty_on_weights_fades() -> None:
    models, asked = population(), request()
    module = models.module()
    x, y = tensors(asked.retain)
    build_method("l1-sparse", settings={"alpha": 0.02, "recipe": {**WHOLE, "epochs": 4}}).forget(models, asked)

    def loss(alpha: float) -> Tensor:
        return F.cross_entropy(module(x), y) + alpha * sum(tensor.abs().sum() for tensor in module.parameters())

    descend(module, [lambda: loss(0.02), lambda: loss(0.015), lambda: loss(0.01), lambda: loss(0.005)])
    for position in range(2):
        assert_same(models, position, module)


def test_a_fraction_of_an_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[float] = []
    original = Training.run

    def counted(self: Training, *arguments: Any, **options: Any) -> None:
        epochs.append(options["epochs"])
        original(self, *arguments, **options)

    models = population()
    monkeypatch.setattr(Training, "run", counted)
    build_method("l1-sparse", settings={"recipe": {"epochs": 2.5}}).forget(models, request())
    assert epochs == [1, 1, 0.5]


@pytest.mark.parametrize(
    "settings", [{}, {"selection": 1.0, "dampening": 0.5, "batch_size": 7}, {"selection": 0.5, "dampening": 1.0}]
)
def test_dampening_is_the_papers(settings: dict[str, Any]) -> None:
    models, asked = population(), request()
    module = models.module()

    def importance(examples: Examples, size: int) -> list[Tensor]:
        total = [torch.zeros_like(parameter) for parameter in module.parameters()]
        batches = list(zip(*(tensor.split(size) for tensor in tensors(examples)), strict=True))
        for x, y in batches:
            found = torch.autograd.grad(F.cross_entropy(module(x), y), list(module.parameters()))
            for number, gradient in enumerate(found):
                total[number] += gradient**2 / len(batches)
        return total

    alpha, strength = settings.get("selection", 10.0), settings.get("dampening", 1.0)
    size = settings.get("batch_size", 128)
    dampened = 0
    of_forget, of_all = importance(asked.forget, size), importance(asked.training_set, size)
    for parameter, forgotten, overall in zip(module.parameters(), of_forget, of_all, strict=True):
        for place in np.ndindex(*parameter.shape):
            if forgotten[place] > alpha * overall[place]:
                parameter.data[place] *= min(1.0, float(strength * overall[place] / forgotten[place]))
                dampened += 1
    assert 0 < dampened < sum(parameter.numel() for parameter in module.parameters())
    build_method("ssd", settings=settings).forget(models, asked)
    for position in range(2):
        assert_same(models, position, module)


def test_the_student_imitates_a_new_network_on_what_it_forgets() -> None:
    models, asked = population(), request()
    module, bad = models.module(), models.fresh()
    (x, _), (u, _) = tensors(asked.retain), tensors(asked.forget)
    settings = {"share": 1.0, "temperature": 2.0, "recipe": {**WHOLE, "epochs": 2}}
    build_method("bad-teacher", settings=settings).forget(models, asked)
    for position in range(2):
        with torch.no_grad():
            target = (torch.cat([bad.module(position)(u), module(x)]) / 2).softmax(1)
        own = copy.deepcopy(module)

        def loss(own: nn.Module = own, target: Tensor = target) -> Tensor:
            logits: Tensor = own(torch.cat([u, x]))
            return (target * (target.log() - (logits / 2).log_softmax(1))).mean()  # over elements, as the authors do

        assert_same(models, position, descend(own, [loss] * 2))


def test_the_student_sees_thirty_percent_of_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    seen: list[Any] = []
    monkeypatch.setattr(Training, "run", lambda _self, _examples, **options: seen.append(options["subsets"]))
    build_method("bad-teacher").forget(models, asked)
    count = len(asked.forget)
    drawn = []
    for subset in seen[0]:
        assert len(set(subset)) == len(subset) == count + int(0.3 * len(asked.retain))
        assert subset[:count].tolist() == list(range(count))
        assert count <= subset[count:].min() <= subset.max() < count + len(asked.retain)
        drawn.append(set(subset[count:]))
    assert drawn[0] != drawn[1]


def test_a_bad_teacher_must_be_built() -> None:
    models, asked = population(), request()
    models.factory = None
    with pytest.raises(NotSupportedError, match="expected a factory"):
        build_method("bad-teacher").forget(models, asked)


def slow_fisher(module: nn.Module, examples: Examples) -> dict[str, Tensor]:
    """Label by label and example by example, as the authors compute it."""
    total = {name: torch.zeros_like(parameter) for name, parameter in module.named_parameters()}
    x, _ = tensors(examples)
    for example in x:
        logits = module(example[None])
        probabilities = logits.detach().softmax(1)[0]
        for label, probability in enumerate(probabilities):
            loss = F.cross_entropy(logits, torch.tensor([label]))
            found = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
            for name, gradient in zip(total, found, strict=True):
                total[name] += probability * gradient**2 / len(examples)
    return total


@pytest.mark.parametrize("model", [CNN(widths=(4, 6)), MLP(widths=(9,))], ids=["cnn", "mlp"])
def test_fisher_information_is_the_sum_over_labels(model: Model) -> None:
    models, asked = population(model, count=1), request()
    found, expected = information(models, asked.retain), slow_fisher(models.module(), asked.retain)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-14)


def slow_variance(fisher: Tensor, alpha: float, classes: int) -> Tensor:
    """Of one model's tensor, as the authors' code has it."""
    variance = (1 / (fisher + 1e-8)).clamp(max=1e3)
    if fisher.shape[0] == classes:
        variance = variance.clamp(max=1e2)
    variance = alpha * variance
    if fisher.ndim > 1:
        variance = variance.mean(dim=1, keepdim=True).expand_as(fisher).clone()
    if fisher.shape[0] == classes or fisher.ndim == 1:
        variance *= 10
    return variance


@pytest.mark.parametrize("shape", [(3, 7), (3,), (5,), (5, 7), (5, 2, 3, 3)])
def test_variance_of_the_noise(shape: tuple[int, ...]) -> None:
    fisher = 10 ** torch.empty(2, *shape, dtype=torch.float64).uniform_(-6, 1)
    found = Fisher(alpha=1e-3)._variance(fisher, 3).expand_as(fisher)
    torch.testing.assert_close(found, torch.stack([slow_variance(each, 1e-3, 3) for each in fisher]))


def test_noise_is_normal_and_each_models_own() -> None:
    models, asked = population(CNN(widths=(24, 32)), count=3, width=1), request()
    models.tensors["7.weight"][1] *= 0.2  # so that the models differ
    before = models.clone().tensors
    fishers = [slow_fisher(models.module(position), asked.retain) for position in range(3)]
    Fisher(alpha=1e-4).forget(models, asked)
    units = []
    for name, tensor in models.tensors.items():
        if name not in fishers[0]:
            assert torch.equal(tensor, before[name])
            continue
        deviation = torch.stack([slow_variance(fisher[name], 1e-4, 3).sqrt() for fisher in fishers])
        units.append(((tensor - before[name]) / deviation).flatten(1))
        for own in units[-1]:
            assert own.square().mean().item() == pytest.approx(1, abs=4 * (2 / len(own)) ** 0.5), name
    leading = torch.stack([unit[:, :3].flatten() for unit in units]).round(decimals=4)
    assert len(leading.unique(dim=0)) == len(leading)
    drawn = torch.cat(units, dim=1)
    assert abs(drawn.mean().item()) < 4 / drawn.numel() ** 0.5
    assert (drawn.abs() < 1).double().mean().item() == pytest.approx(0.6827, abs=0.01)
    assert abs(torch.corrcoef(drawn)[0, 1].item()) < 4 / drawn.shape[1] ** 0.5


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_says_what_it_reads_and_needs(name: str) -> None:
    kind: type[Method] = METHODS.of(name)
    assert kind.reads_forget == (name not in ("l1-sparse", "fisher"))
    assert kind.needs_factory == (name == "bad-teacher")
    assert not kind.needs_convolutions
    assert kind.title


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("scrub", {"follow": {"epochs": 0.5}}),
        ("scrub", {"leave": {"epochs": 4}}),
        ("salun", {"repair": {"epochs": 2.5}}),
        ("salun", {"relabel": {"epochs": 11}}),
    ],
)
def test_rounds_that_would_be_dropped_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected whole epochs on the retain set"):
        build_method(name, settings=settings)
