"""Nobody is judged by a model that has seen it; five folds are five ordinary trainings."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.detection.toys import RECIPE, build, noisy, subject
from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.detection import Subject
from untrain.detection.base import model_error
from untrain.detection.cross_validation import CrossValidation, cross_validate, folds_of
from untrain.detection.linear import FOLDS
from untrain.errors import InputError
from untrain.models import CNN, MLP, Factory, ResNet18, factory
from untrain.population import SGD, Engine, Population, Recipe, UntilConverged
from untrain.population.fitting import rule_of_thumb

BRIEF = msgspec.structs.replace(RECIPE, epochs=4)
BALANCED = msgspec.structs.replace(BRIEF, class_balance=1.0)
KEEP = np.arange(300) % 7 > 1


def judged(
    examples: Examples,
    recipe: Recipe = BRIEF,
    keep: npt.NDArray[np.bool_] | None = None,
    *,
    folds: npt.NDArray[np.int64] | None = None,
    width: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> CrossValidation:
    """Cross-validation in folds, and of an engine's width, that may be given."""
    asked = subject(examples, dtype=dtype)
    if folds is not None:
        asked.cached("folds", lambda: folds)
    if width is not None:
        asked.cached("engine", lambda: Engine(width))
    return cross_validate(asked, recipe, "test", keep)


def relabeled(examples: Examples, rows: npt.NDArray[np.intp]) -> Examples:
    """The same examples with another label in these rows."""
    labels = examples.labels.copy()
    labels[rows] = (labels[rows] + 1) % len(examples.classes)
    return Examples(examples.inputs, labels, examples.ids, examples.classes)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=2, max_size=5), st.integers(0, 99))
def test_folds_are_even_and_each_class_is_spread_evenly(counts: list[int], seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    examples = Examples.of(np.zeros((len(labels), 2), dtype=np.float32), labels)
    asked = Subject(Population.create(build(examples), 1, engine=Engine()), examples, seed=seed)
    if len(labels) < 2 * FOLDS:
        with pytest.raises(InputError, match=f"There are {len(labels)} examples; 5 folds need at least 10"):
            folds_of(asked)
        return
    folds = folds_of(asked)
    assert np.ptp(np.bincount(folds, minlength=FOLDS)) <= 1
    for label in range(len(counts)):
        assert np.ptp(np.bincount(folds[labels == label], minlength=FOLDS)) <= 1


def test_folds_are_drawn_by_the_seed() -> None:
    examples, model = noisy().examples, subject(noisy().examples).model
    first, again, other = (folds_of(Subject(model, examples, seed=seed)).tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("recipe", [BRIEF, BALANCED], ids=["plain", "class balance"])
def test_no_example_is_judged_by_a_model_that_has_seen_it(recipe: Recipe) -> None:
    examples = noisy().examples
    folds = folds_of(subject(examples))
    before = judged(examples, recipe, folds=folds)
    for row in (0, 17, 250):
        after = judged(relabeled(examples, np.array([row])), recipe, folds=folds)
        same = (before.mean_log_p == after.mean_log_p).all(axis=1) & (before.log_p == after.log_p).all(axis=1)
        assert same[folds == folds[row]].all()  # bit for bit
        assert not same[folds != folds[row]].any()


@pytest.mark.parametrize("recipe", [BRIEF, BALANCED], ids=["plain", "class balance"])
def test_what_is_not_kept_is_not_learned(recipe: Recipe) -> None:
    examples = noisy().examples
    folds = folds_of(subject(examples))
    before = judged(examples, recipe, KEEP, folds=folds)
    after = judged(relabeled(examples, np.flatnonzero(~KEEP)), recipe, KEEP, folds=folds)
    np.testing.assert_array_equal(before.log_p, after.log_p)
    assert not np.array_equal(before.log_p, judged(examples, recipe, folds=folds).log_p)


@pytest.mark.parametrize("recipe", [BRIEF, BALANCED], ids=["plain", "class balance"])
@pytest.mark.parametrize("keep", [None, KEEP], ids=["all", "some"])
def test_five_folds_are_five_ordinary_trainings(recipe: Recipe, keep: npt.NDArray[np.bool_] | None) -> None:
    examples = noisy().examples
    asked = subject(examples, dtype=torch.float64)
    folds, found = folds_of(asked), cross_validate(asked, recipe, "test", keep)
    streams = Streams(0).child("detect", "test")
    kept = [[row for row in range(300) if folds[row] != fold and (keep is None or keep[row])] for fold in range(FOLDS)]
    size = min(len(rows) for rows in kept)
    for fold in range(FOLDS):
        rows = streams.generator("odd", fold).permutation(kept[fold])[:size]
        assert len(kept[fold]) - size <= (1 if keep is None else 30)
        alone = Population.create(build(examples), 1, seed=streams, first=fold, dtype=torch.float64, engine=Engine())
        training, epochs = alone.training(recipe), []
        for _ in range(int(recipe.epochs)):
            training.run(examples.select(rows), epochs=1)
            epochs.append(alone.logits(examples)[0].log_softmax(1).numpy()[folds == fold])
        np.testing.assert_allclose(found.log_p[folds == fold], epochs[-1], atol=1e-9)
        np.testing.assert_allclose(found.mean_log_p[folds == fold], np.mean(epochs, axis=0), atol=1e-9)
        np.testing.assert_allclose(found.mean_p[folds == fold], np.mean(np.exp(epochs), axis=0), atol=1e-9)
        for name, tensor in alone.tensors.items():
            torch.testing.assert_close(found.last.tensors[name][fold], tensor[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_engine_does_not_matter(width: int) -> None:
    examples = noisy().examples
    together, apart = (judged(examples, width=each, dtype=torch.float64) for each in (FOLDS, width))
    np.testing.assert_allclose(apart.log_p, together.log_p, atol=1e-9)
    np.testing.assert_array_equal(apart.agreement, together.agreement)


def test_the_same_seed_gives_the_same_bits() -> None:
    first, again = judged(noisy().examples), judged(noisy().examples)
    np.testing.assert_array_equal(first.log_p, again.log_p)
    other = cross_validate(subject(noisy().examples), BRIEF, "another name")
    assert not np.array_equal(first.log_p, other.log_p)


def test_agreement_and_the_early_models_are_counted_epoch_by_epoch() -> None:
    examples = noisy(0.3, spread=0.6).examples
    asked = subject(examples)
    recipe = msgspec.structs.replace(RECIPE, epochs=8, keep_best_from_epoch=2)  # a best state is not looked for
    found, folds = cross_validate(asked, recipe, "test"), folds_of(asked)
    assert found.log_p.shape == found.mean_log_p.shape == (300, 3)
    assert found.agreement.shape == (8,)
    reached, chosen = 0.0, 0
    for epoch, hits in enumerate(found.agreement):
        if epoch < 2 or hits - reached > np.sqrt(hits * (1 - hits) / 300):
            reached, chosen = hits, epoch
    assert 1 <= chosen < 7
    for models, epoch in ((found.early, chosen), (found.last, 7)):
        every = models.logits(examples).double().log_softmax(2).numpy()[folds, np.arange(300)]
        hits = sum(int(row.argmax()) == label for row, label in zip(every, examples.labels, strict=True))
        assert found.agreement[epoch] == pytest.approx(hits / 300)
    np.testing.assert_array_equal(every, found.log_p)


def test_models_of_folds_that_diverge_are_refused() -> None:
    with pytest.raises(InputError, match=r"models of the folds diverged.* after epoch \d+.*learning rate"):
        judged(noisy().examples, msgspec.structs.replace(RECIPE, optimizer=SGD(lr=1e12)))


def test_the_error_is_that_of_what_is_kept() -> None:
    asked = subject(noisy().examples)
    log_p = np.random.default_rng(0).normal(size=(300, 3))
    missed = [log_p[row].argmax() != asked.labels[row] for row in range(300) if KEEP[row]]
    assert model_error(log_p, asked.labels, KEEP) == pytest.approx(sum(missed) / len(missed))
    assert model_error(log_p, asked.labels, np.zeros(300, dtype=np.bool_)) == 0


def test_models_are_not_judged_by_validation_examples_that_are_not_there() -> None:
    examples = noisy().examples
    judging = msgspec.structs.replace(BRIEF, until_converged=UntilConverged())
    np.testing.assert_array_equal(judged(examples, judging).log_p, judged(examples).log_p)


class Counting(nn.Module):
    """Cannot be vectorised, since it looks at a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x.flatten(1))
        return out * abs(out.sum().item())


@pytest.mark.parametrize(
    ("make", "width"),
    [
        (factory(MLP(), (1, 8, 8), 3), 5),
        (factory(CNN(widths=(4,)), (1, 8, 8), 3), 1),
        (factory(ResNet18(), (1, 8, 8), 3), 1),
        (Counting, 1),
    ],
)
def test_few_models_are_computed_together_where_that_is_right(make: Factory, width: int) -> None:
    examples = Examples.of(np.ones((20, 1, 8, 8), dtype=np.float32), np.arange(20) % 3)
    assert rule_of_thumb(Population.create(make, FOLDS), examples).width == width
