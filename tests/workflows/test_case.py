"""Whether a factory builds new, untrained networks: what is refused, and what is not."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import untrain as un
from untrain.errors import InputError
from untrain.population import Engine, Population
from untrain.population.factories import check_factory

RECIPE = un.Recipe(optimizer=un.Adam(lr=1e-2), epochs=30, batch_size=32)
SHORT = un.Recipe(optimizer=un.SGD(lr=0.05, momentum=0.9), epochs=2, batch_size=32)


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 2))


def rows(count: int = 120, seed: int = 1) -> un.Examples:
    inputs = np.random.default_rng(seed).normal(size=(count, 10)).astype(np.float32)
    return un.Examples.of(inputs, (inputs[:, 0] > 0).astype(int), [f"{seed}/{row}" for row in range(count)])


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """A trained network."""
    return Population.create(build, 1, engine=Engine()).train(rows(), RECIPE).module()


def loaded(net: nn.Module, change: Callable[[nn.Module], object] = lambda _: None) -> nn.Module:
    """A network that starts from a checkpoint, and what is changed in it."""
    network = build()
    network.load_state_dict(net.state_dict())
    change(network)
    return network


def blur(network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.data.add_(0.2 * parameter.data.std() * torch.randn_like(parameter))


def mix(network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.data.add_(1.2 * parameter.data.std() * torch.randn_like(parameter))


def reset_head(network: nn.Module) -> None:
    head = network.get_submodule("2")
    assert isinstance(head, nn.Linear)
    head.reset_parameters()


def fixed() -> nn.Module:
    torch.manual_seed(7)
    return build()


def trained_at_each_call() -> nn.Module:
    seed = int(torch.randint(1000, ()))
    return Population.create(build, 1, seed=seed, engine=Engine()).train(rows(), RECIPE).module()


def failing() -> nn.Module:
    raise RuntimeError("no network today\nand more")


TRAPS: dict[str, Callable[[nn.Module], Callable[[], nn.Module]]] = {
    "the model": lambda net: lambda: net,
    "a copy": lambda net: lambda: copy.deepcopy(net),
    "a checkpoint": lambda net: lambda: loaded(net),
}


def refusal(verb: str, net: nn.Module, factory: Callable[[], nn.Module]) -> str:
    train = rows()
    asked: dict[str, Any] = {"factory": factory, "recipe": RECIPE, "validation": rows(seed=2)}
    if verb == "doctor":
        found = un.doctor(net, train, train.ids[:12].tolist(), **asked)
        assert str(found).endswith("\nforget would refuse this request.")
        assert len(found.problems) == 1
        return found.problems[0]
    with pytest.raises(InputError) as raised:
        getattr(un, verb)(net, train, train.ids[:12].tolist(), method="finetune", **asked)
    return str(raised.value)


@pytest.mark.parametrize("verb", ["forget", "audit", "doctor"])
@pytest.mark.parametrize("trap", TRAPS)
def test_every_verb_refuses_a_factory_that_knows_the_examples(net: nn.Module, trap: str, verb: str) -> None:
    sentence = refusal(verb, net, TRAPS[trap](net))
    assert "returns the trained model itself, or a copy of it. Pass a function that builds a new" in sentence


def check(net: nn.Module, factory: Callable[[], Any], examples: un.Examples | None = None, seed: int = 0) -> None:
    models = Population.from_module(net, seed=seed, factory=factory)
    models.engine = Engine()
    check_factory(models, examples or rows())


@pytest.mark.parametrize(
    ("trap", "message"),
    [
        (lambda net: fixed, "'0.weight' and 3 other tensors alike at each call.* fixed seed. Pass a function"),
        (lambda net: lambda: loaded(net, blur), "'0.weight' and 1 other tensors alike at each call"),
        (lambda net: lambda: loaded(net, mix), r"near the model's \(correlation 0\.6.* checkpoint. Pass a function"),
        (lambda net: lambda: loaded(net, reset_head), "'0.weight' and 1 other tensors alike"),
        (lambda net: backboned(), r"'0.weight' and 1 other tensors alike .*pretrained= \(--pretrained\)"),
        (lambda net: trained_at_each_call, "already classify the training examples .* trains a network. Pass"),
        (lambda net: lambda: copy.deepcopy(net).requires_grad_(False), "returns the trained model itself"),
        (lambda net: failing, "no network today$"),
        (lambda net: net, "a function that builds a new network.*got Sequential"),
        (lambda net: lambda: "a network", "must build a torch module, got str"),
        (lambda net: lambda: nn.Linear(10, 2), "'0.weight' is .64, 10. in the model and missing in a new network"),
        (
            lambda net: lambda: nn.Sequential(*build().children(), nn.BatchNorm1d(2)),
            "'3.weight' is missing in the model and .2,. in a new",
        ),
        (
            lambda net: lambda: nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 3)),
            r"'2.weight' is \(2, 64\) in the model and \(3, 64\) in a new network. Pass the function that built the",
        ),
    ],
)
def test_what_builds_no_new_network_is_refused(net: nn.Module, trap: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        check(net, trap(net))
    assert "\n" not in str(refused.value)


class Zeros(nn.Module):
    """Logistic regression that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(2, 10)), nn.Parameter(torch.zeros(2))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight.T + self.bias


def backboned() -> Callable[[], nn.Module]:
    """A frozen backbone that all networks share, below a new layer."""
    backbone = nn.Linear(10, 64).requires_grad_(False)
    return lambda: nn.Sequential(backbone, nn.ReLU(), nn.Linear(64, 2))


def images() -> un.Examples:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    inputs = generator.normal(size=(60, 3, 16, 16)) + labels[:, None, None, None]
    return un.Examples.of(inputs.astype(np.float32), labels)


@pytest.mark.parametrize(
    ("factory", "examples", "recipe"),
    [
        (build, rows(), RECIPE),
        (un.factory(un.CNN(widths=(4, 8)), (3, 16, 16), 3), images(), SHORT),
        (un.factory(un.ResNet18(), (3, 16, 16), 3), images(), SHORT),
        (Zeros, rows(), RECIPE),
    ],
    ids=["mlp", "batch norm", "resnet", "zeros"],
)
def test_new_networks_are_accepted(factory: Callable[[], nn.Module], examples: un.Examples, recipe: un.Recipe) -> None:
    check(Population.create(factory, 1, engine=Engine()).train(examples, recipe).module(), factory, examples)


def test_a_trained_network_is_seen_behind_an_initialization_at_zero() -> None:
    zeros = Population.create(Zeros, 1, engine=Engine()).train(rows(), RECIPE).module()
    with pytest.raises(InputError, match="the trained model itself"):
        check(zeros, lambda: zeros)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("factory", [lambda: nn.Linear(2, 2), un.factory(un.MLP(widths=(16,)), (2,), 2)])
def test_an_untrained_network_may_separate_two_classes_by_luck(factory: Callable[[], nn.Module], seed: int) -> None:
    labels = np.arange(40) % 2
    inputs = np.random.default_rng(seed).normal(size=(40, 2)) + 100 * (2 * labels[:, None] - 1)
    examples = un.Examples.of(inputs.astype(np.float32), labels)
    check(Population.create(factory, 1, seed=seed).train(examples, SHORT).module(), factory, examples, seed)


@pytest.mark.parametrize("change", [lambda _: None, reset_head], ids=["all", "backbone"])
def test_pretrained_weights_are_accepted_where_they_are_declared(
    net: nn.Module, change: Callable[[nn.Module], object]
) -> None:
    pretrained = Population.create(build, 1, seed=9, engine=Engine()).train(rows(seed=5), RECIPE).module()
    tuned = Population.from_module(pretrained, factory=lambda: loaded(pretrained, change))
    tuned = tuned.train(rows(), SHORT)
    asked: dict[str, Any] = {"factory": tuned.factory, "recipe": SHORT, "validation": rows(seed=2), "method": "retrain"}
    ids = rows().ids[:12].tolist()
    with pytest.raises(InputError, match=r"alike at each call.*declare where they come from"):
        un.forget(tuned.module(), rows(), ids, **asked)
    done = un.forget(tuned.module(), rows(), ids, pretrained="rows of another year", max_accuracy_drop=1, **asked)
    assert str(done.verdict) == "forgotten by construction"
    assert "as declared, never saw the forgotten ones (rows of another year)" in done.verdict.sentences[0]
    assert done.record.pretrained == "rows of another year"
    assert any("declared and not checked: rows of another year" in limit for limit in done.record.limits)
    assert any("rows of another year" in sentence for sentence in done.record.reply)
    with pytest.raises(InputError, match="returns the trained model itself"):
        un.forget(net, rows(), ids, **{**asked, "factory": lambda: net}, pretrained="a falsehood")


def test_nothing_global_is_drawn_and_large_data_are_sampled(net: nn.Module) -> None:
    evaluated = list[int]()

    class Counting(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            evaluated.append(len(inputs))
            return super().forward(inputs)

    trained = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), Counting(64, 2))
    trained.load_state_dict(net.state_dict())
    before = torch.random.get_rng_state()
    check(trained, lambda: nn.Sequential(nn.Linear(10, 64), nn.ReLU(), Counting(64, 2)), rows(5000))
    measured = 2  # examples, by which the size of a batch is chosen
    assert sum(count for count in evaluated if count > measured) == 2 * 2000
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_factory_without_a_recipe_is_never_called(net: nn.Module) -> None:
    train = rows()
    forgotten = un.forget(net, train, train.ids[:3].tolist(), method="finetune", factory=failing)
    assert forgotten.model is not None
