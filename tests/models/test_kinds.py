"""The kinds of modules that people have, each through `forget` and `doctor`; docs/own-models.md shows the table."""

import threading
import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import untrain as un
from untrain.errors import InputError, NotSupportedError
from untrain.influence import Curvature
from untrain.models.modules import copied, find_logits, two_classes, unwrapped
from untrain.population import Engine, Population

RECIPE = un.Recipe(optimizer=un.AdamW(lr=1e-2), epochs=15)


def blobs(count: int = 120, classes: int = 3, seed: int = 0) -> un.Examples:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    inputs = np.eye(classes, 8)[labels] * 3 + draw.normal(size=(count, 8))
    return un.Examples.of(inputs.astype(np.float32), labels, [f"{seed}/{row}" for row in range(count)])


TRAIN, HELD_OUT = blobs(), blobs(80, seed=1)


class Net(nn.Module):
    """Two layers, and what a subclass makes of the logits."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Any:
        return self.b(torch.relu(self.a(x)))


class Returns(Net):
    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(super().forward(x))


class Keeps(Net):
    """Keeps its activations, with their graph, after every call."""

    def forward(self, x: Tensor) -> Any:
        self.last = [torch.relu(self.a(x))]
        return self.b(self.last[0])


class ByName(Net):
    def forward(self, *, left: Tensor, right: Tensor) -> Any:  # type: ignore[override]
        return {"logits": super().forward(torch.cat([left, right], dim=1))}


def weight_normed() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = Net()
        nn.utils.weight_norm(net.a)
    return net


def frozen() -> nn.Module:
    net = Net()
    net.a.requires_grad_(False)
    return net


Output = namedtuple("Output", "logits loss")
TAKEN: dict[str, Callable[[], nn.Module]] = {
    "tensor": Net,
    "tuple": lambda: Returns(lambda logits: (logits, logits)),
    "list": lambda: Returns(lambda logits: [logits, None]),
    "dictionary": lambda: Returns(lambda logits: {"loss": None, "logits": logits}),
    "named tuple": lambda: Returns(lambda logits: Output(logits, None)),
    "keeps activations": Keeps,
    "weight norm": weight_normed,
    "weight norm as a parametrization": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 3))),
    "spectral norm": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 3)),
    "data parallel": lambda: nn.DataParallel(Net()),
    "compiled": lambda: torch.compile(Net()),  # type: ignore[dict-item,return-value]
    "partly frozen": frozen,
    "dropout and batch norm": lambda: nn.Sequential(
        nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 3)
    ),
    "float64": lambda: Net().double(),
    "bfloat16": lambda: Net().bfloat16(),
}


def fitted(module: nn.Module) -> nn.Module:
    """The module after a training, of which it may keep activations."""
    inner = unwrapped(module)
    inputs = torch.from_numpy(TRAIN.inputs).to(next(module.parameters()).dtype)
    optimizer = torch.optim.Adam([one for one in inner.parameters() if one.requires_grad], lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(find_logits(inner(inputs)), torch.from_numpy(TRAIN.labels)).backward()
        optimizer.step()
    return module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, when it compiles
@pytest.mark.parametrize("kind", TAKEN)
def test_kinds_that_are_taken(kind: str) -> None:
    torch.manual_seed(0)
    net = fitted(TAKEN[kind]())
    before = {name: tensor.clone() for name, tensor in unwrapped(net).state_dict().items()}
    done = un.forget(net, TRAIN, TRAIN.ids[:3], method="finetune", validation=HELD_OUT, max_accuracy_drop=1.0)
    assert isinstance(done.model, type(unwrapped(net)))
    assert find_logits(done.model(torch.from_numpy(TRAIN.inputs[:4]).to(next(net.parameters()).dtype))).shape == (4, 3)
    after = unwrapped(net).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.split(".")[-1] not in {"weight_u"})
    if kind == "partly frozen":
        assert torch.equal(done.model.get_parameter("a.weight"), before["a.weight"])


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "scripted": (lambda: torch.jit.script(nn.Linear(8, 3)), "TorchScript"),
    "traced": (lambda: torch.jit.trace(nn.Linear(8, 3), torch.zeros(2, 8)), "TorchScript"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 3)), "uninitialized '0.weight'"),
    "on the meta device": (lambda: nn.Linear(8, 3, device="meta"), "load its weights"),
    "without parameters": (lambda: nn.Flatten(), "no floating-point parameters"),
    "all frozen": (lambda: Net().requires_grad_(False), "no trainable parameters"),
    "class numbers": (lambda: Returns(lambda logits: logits.argmax(1)), "class numbers instead of logits"),
    "dictionary without logits": (lambda: Returns(lambda logits: {"loss": logits}), "a dict of loss"),
    "returns nothing": (lambda: Returns(lambda _: None), "returns a NoneType"),
    "probabilities": (lambda: nn.Sequential(nn.Linear(8, 3), nn.Softmax(1)), "without the softmax"),
    "another number of classes": (lambda: Net(5), "5 outputs"),
    "other inputs": (lambda: nn.Linear(5, 3), r"inputs of shape \(8,\)"),
    "no module": (lambda: "net.pt", "got 'net.pt'"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_that_are_refused_in_a_sentence_by_every_verb(kind: str) -> None:
    build, sentence = REFUSED[kind]
    net = build()
    with pytest.raises(un.errors.UntrainError, match=sentence) as refusal:
        un.forget(net, TRAIN, TRAIN.ids[:3], validation=HELD_OUT)
    assert "\n" not in str(refusal.value)
    if kind != "all frozen":  # wrong labels can be found with it
        with pytest.raises(un.errors.UntrainError, match=sentence):
            un.repair(net, TRAIN)
    found = un.doctor(net, TRAIN, TRAIN.ids[:3], validation=HELD_OUT)
    assert found.problems


def test_inputs_by_name_give_what_one_array_gives() -> None:
    halves = {"left": TRAIN.inputs[:, :3], "right": TRAIN.inputs[:, 3:]}
    named = un.Examples.of(halves, TRAIN.labels, TRAIN.ids.tolist())
    for width in (1, 3):
        two = [
            Population.create(kind, 3, engine=Engine(width)).train(examples, RECIPE).logits(examples)
            for kind, examples in ((Net, TRAIN), (ByName, named))
        ]
        torch.testing.assert_close(two[0], two[1], rtol=1e-4, atol=1e-4)
    models = Population.create(ByName, 1, engine=Engine()).train(named, RECIPE)
    plain = Population.create(Net, 1, engine=Engine()).train(TRAIN, RECIPE)
    for parameters in ("last", "all"):
        scores = [
            Curvature(parameters=parameters, damping=1e-2).fit(population, examples).self_influence()
            for population, examples in ((models, named), (plain, TRAIN))
        ]
        np.testing.assert_allclose(scores[0], scores[1], rtol=1e-2)
    done = un.forget(models, named, named.ids[:3], method="retrain")
    assert done.verdict.outcome == "forgotten"


@pytest.mark.parametrize("scorer", ["auto", "linear", "loss"])
def test_wrong_labels_are_found_among_inputs_by_name(scorer: str) -> None:
    halves = {"left": TRAIN.inputs[:, :3], "right": TRAIN.inputs[:, 3:]}
    named = un.Examples.of(halves, np.where(np.arange(len(TRAIN)) < 12, (TRAIN.labels + 1) % 3, TRAIN.labels))
    found = un.detect(None, named, factory=ByName, recipe=RECIPE, scorer=scorer, noise_ratio=0.1)
    assert np.isin(np.arange(12), found.flagged).mean() > 0.5
    with pytest.raises(NotSupportedError, match="pass a model or factory that takes them by name"):
        un.detect(None, named)


def test_validation_examples_that_are_all_copies_check_nothing() -> None:
    net = fitted(Net())
    copies = un.Examples.of(TRAIN.inputs, TRAIN.labels, [f"copy {row}" for row in range(len(TRAIN))])
    done = un.forget(net, TRAIN, TRAIN.ids[:3], method="finetune", validation=copies, max_accuracy_drop=1.0)
    assert done.record.membership is None


def test_models_by_name_are_computed_together() -> None:
    halves = {"left": TRAIN.inputs[:, :3], "right": TRAIN.inputs[:, 3:]}
    named = un.Examples.of(halves, TRAIN.labels)
    models = Population.create(ByName, 4)
    models.train(named, RECIPE)
    assert models.engine is not None
    assert "cannot be vectorized" not in models.engine.reason


def test_one_logit_is_two_classes() -> None:
    x = torch.linspace(-4, 4, 9)
    assert torch.allclose(two_classes(x).softmax(1)[:, 1], x.sigmoid())
    assert torch.equal(two_classes(x[:, None]), two_classes(x))
    y = (torch.arange(9) % 2).long()
    theirs = nn.functional.binary_cross_entropy_with_logits(x, y.float())
    assert torch.allclose(nn.functional.cross_entropy(two_classes(x), y), theirs)


@pytest.mark.parametrize("squeezed", [False, True])
def test_a_network_of_one_logit_trains_like_binary_cross_entropy(squeezed: bool) -> None:
    examples = blobs(classes=2)
    torch.manual_seed(0)
    net = Net(1)
    plain = copied(net)
    models = Population.from_module(Squeezed(net) if squeezed else net)
    recipe = un.Recipe(optimizer=un.SGD(lr=0.1), epochs=1, batch_size=len(examples))
    models.engine = Engine()
    models.train(examples, recipe)
    x, y = torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels).float()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    nn.functional.binary_cross_entropy_with_logits(plain(x)[:, 0], y).backward()
    optimizer.step()
    for one, other in zip(models.module().parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


class Squeezed(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x).squeeze(1)
        return logits


def test_the_last_layer_of_one_logit_has_the_influence_that_automatic_differentiation_gives() -> None:
    """The curvature of the single logit by hand: p (1 - p) h h^T, h the features with a one."""
    examples = blobs(classes=2)
    models = Population.create(lambda: Net(1), 1, engine=Engine()).train(examples, RECIPE)
    scores = Curvature(damping=1e-2).fit(models, examples).self_influence()
    module = models.module().double()
    x = torch.from_numpy(examples.inputs).double()
    with torch.no_grad():
        features = torch.cat([torch.relu(module.get_submodule("a")(x)), torch.ones(len(x), 1)], dim=1).numpy()
        p = module(x)[:, 0].sigmoid().numpy()
    curvature = (features * (p * (1 - p))[:, None]).T @ features / len(x) + 1e-2 * np.eye(17)
    gradients = features * (p - examples.labels)[:, None]
    np.testing.assert_allclose(scores, (gradients @ np.linalg.inv(curvature) * gradients).sum(1), rtol=1e-4)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu")])
def test_the_callers_modes_change_nothing(mode: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    net = fitted(Net())

    def digest() -> str:
        return un.forget(net, TRAIN, TRAIN.ids[:3], method="finetune", max_accuracy_drop=1.0, seed=0).record.model.after

    alone = digest()
    with mode():
        assert digest() == alone
        assert un.doctor(net, TRAIN, TRAIN.ids[:3]).ok
        models = Population.create(Net, 1, engine=Engine()).train(TRAIN, RECIPE)
        assert un.repair(models, TRAIN, method="finetune").after > 0.5


def test_threads_give_what_each_alone_gives() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), nn.Linear(8, 3))

    net = Population.create(build, 1, engine=Engine()).train(TRAIN, RECIPE).module()

    def run(seed: int, digests: dict[int, str]) -> None:
        done = un.forget(
            net, TRAIN, TRAIN.ids[:2], method="retrain", factory=build, recipe=RECIPE, seed=seed, max_accuracy_drop=1.0
        )
        digests[seed] = done.record.model.after

    alone: dict[int, str] = {}
    together: dict[int, str] = {}
    for seed in range(4):
        run(seed, alone)
    threads = [threading.Thread(target=run, args=(seed, together)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_a_copy_shares_nothing_and_keeps_ties() -> None:
    net = fitted(Keeps())
    net.tied = net.get_submodule("a")
    other = copied(net)
    assert other.get_submodule("tied") is other.get_submodule("a")
    assert not other.last[0].requires_grad  # type: ignore[index]
    assert all(one is not two for one, two in zip(net.parameters(), other.parameters(), strict=True))


def test_what_cannot_be_copied_is_refused() -> None:
    net = Net()
    net.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(InputError, match="Net cannot be copied"):
        un.forget(net, TRAIN, TRAIN.ids[:3])
