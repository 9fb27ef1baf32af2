"""Whether a model that knows nothing of its examples is told from one that learned them."""

import itertools
import re

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn

import untrain as un
from untrain.data import load
from untrain.errors import InputError
from untrain.population import Engine, Population
from untrain.workflows.fit import _order_level, misfit


def examples(labels: npt.NDArray[np.int64], classes: int) -> un.Examples:
    return un.Examples.of(np.ones((len(labels), 1)), labels, classes=[f"class {n}" for n in range(classes)])


def fits(labels: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> bool:
    """Whether a model that predicts so is taken to fit."""
    return misfit(np.eye(classes)[np.asarray(predicted)], examples(np.asarray(labels), classes)) is None


def mostly_right(labels: npt.NDArray[np.int64], accuracy: float, classes: int) -> npt.NDArray[np.int64]:
    """Predictions of which this share is right, evenly; the others are the next class."""
    wrong = np.arange(len(labels)) >= round(accuracy * len(labels))
    return (labels + wrong[np.random.default_rng(0).permutation(len(labels))]) % classes


def blobs(count: int, shares: tuple[float, ...], seed: int = 0) -> un.Examples:
    draw = np.random.default_rng(seed)
    labels = draw.choice(len(shares), count, p=shares)
    return un.Examples.of((3 * np.eye(len(shares), 8)[labels] + draw.normal(size=(count, 8))).astype("f4"), labels)


@pytest.mark.parametrize("accuracy", np.arange(0.5, 0.66, 0.02))
def test_the_test_is_the_exact_binomial_one(accuracy: float) -> None:
    labels = np.arange(400) % 2
    predicted = mostly_right(labels, accuracy, 2)
    tail = sum(binom.pmf(hits, 400, 0.5) for hits in range(int((predicted == labels).sum()), 401))
    assert fits(labels, predicted, 2) == (tail <= 0.05)


def test_the_orders_of_the_classes_are_counted() -> None:
    table = np.random.default_rng(1).integers(0, 9, (5, 5))
    hits = [sum(table[row, column] for row, column in enumerate(order)) for order in itertools.permutations(range(5))]
    assert _order_level(table) == np.mean(np.asarray(hits) >= np.trace(table))
    assert _order_level(np.eye(7, dtype=np.int64)) <= 0.01
    assert _order_level(table[:4, :4]) == 0


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2,) * 5], ids=str)
@pytest.mark.parametrize("count", [20, 60, 400])
def test_models_that_learned_are_accepted(count: int, shares: tuple[float, ...]) -> None:
    labels = np.sort(np.random.default_rng(0).choice(len(shares), count, p=shares))
    assert fits(labels, labels, len(shares))
    assert fits(labels, mostly_right(labels, 0.97, len(shares)), len(shares))


def test_naming_the_most_frequent_class_is_chance() -> None:
    labels = np.r_[np.zeros(900, int), np.ones(100, int)]
    said = misfit(np.eye(2)[np.zeros(1000, int)], examples(labels, 2))
    assert said is not None
    assert re.search(r"90.00 %, no better than chance .* It predicts one class for all of them", said)


def test_probabilities_and_other_outputs_are_named() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 2)

        def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
            return 0 * self.layer(inputs), self.layer(inputs)

    data = blobs(400, (0.5, 0.5))
    for network, said in (
        (nn.Sequential(nn.Linear(8, 1), nn.Sigmoid()), "single output lies in 0..1, .* return the logit, without the"),
        (Pair(), "It returns a tuple of Tensor, Tensor, of which the first part is read.$"),
    ):
        with pytest.raises(InputError, match=said):
            un.forget(network, data, ["1"], method="finetune")


def test_a_model_with_weights_on_its_classes_is_accepted_below_the_share_of_the_largest() -> None:
    labels = np.r_[np.zeros(900, int), np.ones(100, int)]
    assert fits(labels, np.r_[np.arange(900) % 5 == 0, np.arange(100) % 10 > 0].astype(int), 2)
    assert not fits(labels, np.r_[np.arange(900) % 2 == 0, np.arange(100) % 2 == 0].astype(int), 2)


def test_few_examples_say_nothing_unless_the_model_is_clearly_below_chance() -> None:
    labels = np.arange(40) % 2
    assert fits(labels, mostly_right(labels, 0.55, 2), 2)
    assert not fits(labels, mostly_right(labels, 0.1, 2), 2)
    assert fits(np.zeros(50, int), np.zeros(50, int), 1)
    assert fits([0, 1], [1, 1], 2)


def test_another_order_of_the_classes_is_named() -> None:
    labels = np.arange(300) % 10
    names = sorted(range(10), key=lambda number: str(number + 1))  # 1, 10, 2, as folders are sorted
    said = misfit(np.eye(10)[np.asarray(names)[labels]], examples(labels, 10))
    assert said is not None
    assert "another order: it predicts output 9 for class 'class 1'. Name the classes" in said
    swapped = np.r_[np.arange(8), 9, 8]  # two of ten: the model is right about the others
    said = misfit(np.eye(10)[swapped[labels]], examples(labels, 10))
    assert said is not None
    assert "80.00 %, since its classes stand in another order: it predicts output 9" in said


def untrained(data: un.Examples, seed: int) -> npt.NDArray[np.floating]:
    torch.manual_seed(seed)
    size = int(np.prod(data.inputs.shape[1:]))
    network = nn.Sequential(nn.Flatten(), nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, len(data.classes)))
    with torch.no_grad():
        logits: npt.NDArray[np.floating] = network(torch.as_tensor(data.inputs)).numpy()
    return logits


def accepted(data: un.Examples, seed: int) -> bool:
    return fits(data.labels, untrained(data, seed).argmax(1), len(data.classes))


def test_at_most_one_untrained_network_in_twenty_is_accepted() -> None:
    """In separate classes it is often far above chance by luck; a binomial test alone would accept many."""
    for data in (load("digits"), blobs(400, (0.2,) * 5)):
        passed = sum(accepted(data, seed) for seed in range(200))
        assert passed <= binom.isf(0.001, 200, 0.05)
        logits = [untrained(data, seed) for seed in range(200)]
        lucky = sum((each.argmax(1) == data.labels).mean() > 1 / len(data.classes) + 0.02 for each in logits)
        assert lucky > 3 * passed


@pytest.mark.parametrize("verb", ["forget", "audit", "doctor", "repair"])
def test_every_verb_refuses_a_model_that_knows_nothing(verb: str) -> None:
    data = blobs(400, (0.25,) * 4)
    factory = un.factory(un.MLP(widths=(16,)), (8,), 4)
    recipe = un.Recipe(optimizer=un.Adam(lr=1e-2), epochs=20, batch_size=32)
    trained = Population.create(factory, 1, engine=Engine()).train(data, recipe)
    far = un.Examples.of(data.inputs * -50, data.labels)  # as if inputs were scaled otherwise
    if verb == "doctor":
        assert "chance" in un.doctor(trained, far, ["1", "2"]).problems[0]
        assert un.doctor(trained, data, ["1", "2"]).ok
        return
    request = {} if verb == "repair" else {"ids": ["1", "2"]}
    with pytest.raises(InputError, match=r"does not fit its training examples.*the largest is \d"):
        getattr(un, verb)(trained, far, **request, factory=factory, recipe=recipe)
