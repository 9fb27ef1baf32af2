"""Trainings that end when accuracy has converged."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from untrain.core.randomness import Streams
from untrain.data import Examples, forget_ratio
from untrain.errors import InputError
from untrain.methods import Request, build_method
from untrain.models import CNN, MLP, factory
from untrain.population import SGD, Constant, Engine, Population, Recipe, UntilConverged

RULE = UntilConverged(tolerance=0.02, patience=2)
RECIPE = Recipe(optimizer=SGD(lr=0.03), schedule=Constant(), epochs=30, batch_size=16, until_converged=RULE)
ONE = Recipe(optimizer=SGD(lr=0.03), schedule=Constant(), epochs=30, batch_size=16)


def blobs(count: int, seed: int, shape: tuple[int, ...] = (8,)) -> Examples:
    """Three classes that overlap."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=count)
    inputs = generator.normal(size=(count, *shape)) + 1.2 * labels.reshape(-1, *[1] * len(shape))
    ids = [f"{seed}/{row}" for row in range(count)]
    return Examples.of(inputs.astype(np.float32), labels, ids=ids, classes=["a", "b", "c"])


TRAIN, VALIDATION = blobs(90, 0), blobs(40, 1)


def fresh(count: int = 5, engine: Engine | None = None) -> Population:
    build = factory(MLP(widths=(6,)), (8,), 3)
    return Population.create(build, count, seed=Streams(0), engine=engine or Engine(1))


def slow_epochs(accuracies: npt.NDArray[np.float64]) -> int:
    """The rule by its definition: epochs until neither of the accuracies `[E, 2]` has risen for two epochs in a row."""
    highest, still = [-1.0, -1.0], 0
    for epoch, pair in enumerate(accuracies, start=1):
        rises = [new > old + 0.02 for new, old in zip(pair, highest, strict=True)]
        highest = [new if risen else old for new, old, risen in zip(pair, highest, rises, strict=True)]
        still = 0 if any(rises) else still + 1
        if still == 2:
            return epoch
    return len(accuracies)


@pytest.fixture(scope="module")
def expected() -> tuple[list[int], list[torch.Tensor]]:
    """Epochs and weights of each model, by an ordinary training that is looked at after each epoch."""
    models = fresh()
    training = models.training(ONE)
    accuracies, weights = [], []
    for _ in range(30):
        training.run(TRAIN, epochs=1)
        accuracies.append([models.accuracy(TRAIN), models.accuracy(VALIDATION)])
        weights.append(models.tensors["1.weight"].clone())
    epochs = [slow_epochs(np.asarray(accuracies)[:, :, row]) for row in range(len(models))]
    return epochs, [weights[epoch - 1][row] for row, epoch in enumerate(epochs)]


@pytest.mark.parametrize("engine", [Engine(1), Engine(3), Engine(1, slots=2)])
def test_each_model_ends_where_its_own_accuracy_has_converged(
    engine: Engine, expected: tuple[list[int], list[torch.Tensor]]
) -> None:
    epochs, weights = expected
    assert len(set(epochs)) > 1
    assert max(epochs) < 30
    models = fresh(engine=engine).train(TRAIN, RECIPE, validation=VALIDATION)
    assert models.epochs_taken is not None
    assert models.epochs_taken.tolist() == epochs
    for row, weight in enumerate(weights):
        torch.testing.assert_close(models.tensors["1.weight"][row], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [1, 3])
def test_what_has_converged_stays_whatever_happens_beside_it(
    width: int, expected: tuple[list[int], list[torch.Tensor]]
) -> None:
    epochs, weights = expected
    models = fresh(engine=Engine(width))
    training = models.training(RECIPE)
    while not training.converged:
        training.run(TRAIN, epochs=1, validation=VALIDATION)
    models.tensors["1.weight"].zero_()
    training.run(TRAIN, epochs=1, validation=VALIDATION)
    assert training.epochs_taken.tolist() == epochs
    torch.testing.assert_close(models.tensors["1.weight"], torch.stack(weights), rtol=1e-4, atol=1e-5)


def test_a_training_that_does_not_converge_ends_with_its_last_epoch() -> None:
    short = Recipe(optimizer=SGD(lr=0.03), epochs=2, batch_size=16, until_converged=RULE)
    models = fresh(2).train(TRAIN, short, validation=VALIDATION)
    plain = fresh(2).train(TRAIN, Recipe(optimizer=SGD(lr=0.03), epochs=2, batch_size=16))
    assert models.epochs_taken is not None
    assert models.epochs_taken.tolist() == [2, 2]
    torch.testing.assert_close(models.tensors["1.weight"], plain.tensors["1.weight"], rtol=0, atol=0)
    assert plain.epochs_taken is None


@pytest.mark.parametrize("nothing", [None, VALIDATION.select([])], ids=["none", "empty"])
def test_convergence_needs_validation_examples(nothing: Examples | None) -> None:
    with pytest.raises(InputError, match=r"until_converged.*pass validation="):
        fresh(1).train(TRAIN, RECIPE, validation=nothing)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="learn the same examples"):
        fresh(1).training(RECIPE).run(TRAIN, validation=VALIDATION, subsets=np.zeros((1, 5), dtype=np.intp))
    with pytest.raises(InputError, match="leave out one of them"):
        Recipe(optimizer=SGD(), epochs=3, keep_best_from_epoch=1, until_converged=RULE)


@pytest.mark.parametrize(
    "name", ["finetune", "kl-contrast", "gradient-reinit", "conv-noise", "prune-entropy", "transpose"]
)
def test_methods_of_the_study_train_until_accuracy_has_converged(name: str) -> None:
    train, validation = blobs(80, 0, (1, 8, 8)), blobs(40, 1, (1, 8, 8))
    sets = forget_ratio(train, 0.1)
    request = Request(sets.forget, sets.retain, ONE, validation)
    original = Population.create(factory(CNN(widths=(4,)), (1, 8, 8), 3), 1, engine=Engine(1))
    original.train(train, Recipe(optimizer=SGD(lr=0.05, momentum=0.9), epochs=5))
    method = build_method(f"{name}:study")

    def unlearned(count: int, width: int) -> Population:
        models = original.repeat(count, streams=Streams(1))
        models.engine = Engine(width)
        return method.forget(models, request)

    together, alone = unlearned(3, 3), unlearned(1, 1)
    assert together.epochs_taken is not None
    assert alone.epochs_taken is not None
    assert 3 <= alone.epochs_taken[0] < 30
    assert together.epochs_taken[0] == alone.epochs_taken[0]
    for tensor, other in zip(together.tensors.values(), alone.tensors.values(), strict=True):
        torch.testing.assert_close(tensor[:1], other, rtol=1e-2, atol=1e-3)
