"""Reset layers and distillation."""

import math

import msgspec
import pytest
import torch
import torch.nn.functional as F

from tests.methods.problems import RECIPE, STEP, assert_same, copied, examples, population, request, step, tensors
from untrain.data import Examples
from untrain.errors import InputError
from untrain.methods import Request
from untrain.methods.reset_distill import ResetDistill
from untrain.models import CNN, MLP, Model, ResNet18, factory
from untrain.population import SGD, Batch, Population, Training


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
            unseen, retained = teacher(tensors(asked.validation)[0]) / 3, teacher(tensors(asked.retain)[0]) / 3
        student = module(tensors(asked.validation)[0]) / 3
        step(module, STEP, F.kl_div(student.log_softmax(1), unseen.softmax(1), reduction="batchmean"))
        logits = module(tensors(asked.retain)[0])
        soft = F.cross_entropy(logits / 3, retained.softmax(1))
        divergence = F.kl_div((logits / 3).log_softmax(1), retained.softmax(1), reduction="batchmean")
        step(module, retrain, soft + F.cross_entropy(logits, tensors(asked.retain)[1]) + divergence)
        assert_same(models, row, module)


def test_the_losses_of_distillation_are_their_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    models, asked = population(), request()
    assert asked.validation is not None
    unseen, retained = models.logits(asked.validation)[1], models.logits(asked.retain)[1]
    runs: list[tuple[Training, Examples, torch.Tensor]] = []
    monkeypatch.setattr(Training, "run", lambda self, part, *, targets, **_: runs.append((self, part, targets)))
    ResetDistill().forget(models, asked)
    assert [part for _, part, _ in runs] == [asked.validation, asked.retain]
    logits, labels = torch.randn(1, 4, 3, dtype=torch.float64), torch.tensor([[0, 1, 2, 0]])
    places = torch.tensor([[5, 2, 9, 11]])
    losses = [
        training.loss(Batch(logits, labels, places, slice(1, 2), None, {}, given=targets[1:2, places[0]]))
        for training, _, targets in runs
    ]
    warm, tuned = (torch.distributions.Categorical(logits=part[places[0]] / 5).probs for part in (unseen, retained))
    student = torch.distributions.Categorical(logits=logits[0] / 5)
    apart = torch.distributions.kl_divergence(torch.distributions.Categorical(probs=warm), student).mean()
    torch.testing.assert_close(losses[0], apart[None])
    soft = -(tuned * student.logits).sum(1).mean()
    apart = torch.distributions.kl_divergence(torch.distributions.Categorical(probs=tuned), student).mean()
    torch.testing.assert_close(losses[1], (soft + apart + F.cross_entropy(logits[0], labels[0]))[None])


@pytest.mark.parametrize("validation", [None, examples(0)])
def test_distillation_needs_validation_examples(validation: Examples | None) -> None:
    asked = request()
    with pytest.raises(InputError, match=r"reset-distill .*validation examples"):
        ResetDistill().forget(population(), Request(asked.forget, asked.retain, RECIPE, validation))
