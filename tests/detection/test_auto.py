"""`auto` finds mislabeled examples at any noise ratio, leaves clean data alone, and refuses pure noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from tests.detection.toys import DIGITS, RECIPE, blobs, build, detect_in, interval_of, noisy, quality, trained
from untrain.data import Examples, Noisy, load, mislabel, pair_noise, symmetric_noise
from untrain.detection import Suspects, detect
from untrain.detection.judgment import balanced_agreement, check_above_chance, classes_left_alone
from untrain.detection.linear import assign_folds, held_out_log_p
from untrain.detection.scorers.linear import Linear
from untrain.errors import UndecidableError
from untrain.models import CNN, MLP, factory
from untrain.population import SGD, Engine, Population, Recipe
from untrain.population.training import Training

MNIST = Recipe(optimizer=SGD(lr=0.01, momentum=0.9), epochs=20, batch_size=32)


def test_auto_says_what_it_believes() -> None:
    noise = noisy()
    found = detect_in(noise)
    assert len(np.unique(found.scores)) > 0.99 * len(found.scores)  # practically no ties
    assert found.noise_ratio == pytest.approx(noise.ratio, abs=0.05)
    assert found.suggested is not None
    assert (found.suggested == noise.true_labels).mean() > 0.95
    np.testing.assert_allclose(found.evidence["transition"], symmetric_noise(3, 0.2), atol=0.08)
    msgspec.json.encode(found.evidence)  # plain values


def test_auto_costs_at_most_two_trainings_and_three_on_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[int] = []
    original = Training._run_epoch

    def counted(self: Training, chunk: Any, optimizer: Any, run: Any, epoch: int, steps: range) -> None:
        visits.append(chunk.size * sum(stop - start for start, stop in (run.bounds[step] for step in steps)))
        original(self, chunk, optimizer, run, epoch, steps)

    models, examples = trained(noisy().examples), noisy().examples
    monkeypatch.setattr(Training, "_run_epoch", counted)
    detect(models, examples, recipe=msgspec.structs.replace(RECIPE, epochs=8))
    trainings = sum(visits) / (8 * 300)
    assert 2 + 3 * 0.6 < trainings <= 2 + 3 * 0.82


@pytest.mark.parametrize("missing", ["factory", "recipe", "both"])
def test_auto_judges_features_at_hand_and_says_so(missing: str) -> None:
    examples = noisy().examples
    module = trained(examples).module()
    make = build(examples) if missing == "recipe" else None
    found = detect(module, examples, factory=make, recipe=RECIPE if missing == "factory" else None)
    other = detect(module, examples, scorer=Linear())
    assert found.evidence["note"].startswith("auto used linear on features")
    assert found.scorer == "auto"
    np.testing.assert_array_equal(found.scores, other.scores)
    assert found.flagged.tolist() == other.flagged.tolist()
    assert (found.noise_ratio, found.interval) == (other.noise_ratio, other.interval)


@pytest.mark.parametrize("seed", range(3))
def test_pure_noise_cannot_be_decided(seed: int) -> None:
    clean = blobs(400, classes=2, seed=seed)
    noise = Examples.of(clean.inputs, np.random.default_rng(seed).integers(2, size=400))
    with pytest.raises(UndecidableError, match=r"cannot be told right from wrong.* \d\d\.\d % .* no better"):
        detect(trained(noise), noise, recipe=RECIPE, seed=seed)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 2], [2, 2, 1, 1, 0, 0]])
def test_balanced_agreement_is_the_mean_recall(labels: list[int]) -> None:
    predicted, given = np.array([0, 0, 1, 1, 2, 2]), np.array(labels)
    table = np.zeros((3, 3), dtype=np.int64)
    np.add.at(table, (predicted, given), 1)
    recalls = [(predicted[given == label] == label).mean() for label in range(3)]
    expected = [np.mean(recalls), (np.diag(table) / 2).mean()]
    np.testing.assert_allclose(balanced_agreement(np.stack([table, table.T])), expected)


def passes(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> bool:
    try:
        check_above_chance([np.eye(labels.max() + 1)[predicted]], labels)
    except UndecidableError:
        return False
    return True


def test_heads_that_learned_random_labels_hardly_ever_pass() -> None:
    """Agreement of cross-validated heads varies more than that of fixed predictions, as folds share labels."""
    clusters = np.arange(200) % 4
    inputs = (6 * np.eye(4)[clusters] + np.random.default_rng(0).normal(size=(200, 4)) / 2).astype(np.float32)
    passed, deviations = 0, []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        labels = generator.permutation(np.arange(200) % 2)
        predicted = held_out_log_p(inputs, labels, 2, assign_folds(labels, 2, generator)).argmax(1)
        passed += passes(predicted, labels)
        share = predicted.mean()
        deviations.append(((predicted == labels).mean() - 0.5) / np.sqrt(share * (1 - share) / 200))
    assert 1.2 < np.std(deviations) < 1.5  # 1 for predictions that do not depend on the labels
    assert np.mean(np.array(deviations) > 2.33) > 0.02  # so an unadjusted test at one in a hundred lets these pass
    assert passed <= 6


def test_one_view_above_chance_is_enough() -> None:
    generator = np.random.default_rng(0)
    labels, random = generator.integers(2, size=(2, 400))
    views = np.eye(2)[[random, np.where(generator.random(400) < 0.7, labels, 1 - labels)]]
    check_above_chance(views, labels)
    with pytest.raises(UndecidableError, match=r"no better than chance, which reaches 5\d"):
        check_above_chance(views[:1], labels)


def test_a_class_recovered_by_chance_is_left_alone() -> None:
    labels = np.repeat([0, 1, 2], [100, 100, 3])
    predicted = labels.copy()
    assert classes_left_alone(predicted, labels).tolist() == []
    predicted[-3:] = 0
    assert classes_left_alone(predicted, labels).tolist() == [2]


def imbalanced(rare: int) -> Noisy:
    """Two clouds far apart, the second of few examples, and one label in fifty wrong."""
    generator = np.random.default_rng(0)
    labels = np.where(np.arange(300) < rare, 1, 0)
    inputs = generator.normal(0, 0.2, size=(300, 4)) + 2.0 * labels[:, None]
    return mislabel(Examples.of(inputs.astype(np.float32), labels), symmetric_noise(2, 0.02), exact=True)


def test_a_rare_class_that_is_found_is_better_than_chance() -> None:
    noise = imbalanced(rare=15)  # agreement of 98 %, where the largest class has 93 %
    assert min(quality(noise, detect_in(noise))) == 1


def test_a_network_that_always_says_the_largest_class_cannot_decide() -> None:
    examples = imbalanced(rare=15).examples
    noise = Examples.of(np.zeros_like(examples.inputs), examples.labels)
    with pytest.raises(UndecidableError, match=r"50\.0 % .* no better than chance, which reaches 50\.0 %"):
        detect(trained(noise), noise, recipe=RECIPE)


def test_a_network_that_learns_nothing_cannot_decide() -> None:
    examples = noisy().examples
    lazy = msgspec.structs.replace(RECIPE, optimizer=SGD(lr=1e-9))
    with pytest.raises(UndecidableError, match="or the network cannot learn the task"):
        detect(trained(examples, lazy), examples, recipe=lazy)


def test_any_class_may_be_taken_for_any_other() -> None:
    noise = mislabel(blobs(500, spread=0.35), pair_noise(3, 0.3), exact=True)
    found = detect_in(noise)
    assert min(quality(noise, found)) > 0.9
    np.testing.assert_allclose(found.evidence["transition"], pair_noise(3, 0.3), atol=0.1)


def test_a_rare_class_leaves_numbers() -> None:
    clean = blobs(200, classes=2)
    labels = clean.labels.copy()
    labels[:2] = 2  # two examples that look like any other
    examples = Examples.of(clean.inputs, labels)
    found = detect(trained(examples), examples, recipe=RECIPE)
    assert np.isfinite(found.scores).all()
    assert found.noise_ratio == pytest.approx(0.01, abs=0.03)


def test_a_class_to_which_the_joint_gives_nobody_leaves_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_class_two(probabilities: Any, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        counts = np.bincount(labels)
        return np.array([[counts[0], 0, 0], [0, counts[1], 0], [counts[2], 0, 0]])

    monkeypatch.setattr("untrain.detection.judgment.confident_joint", without_class_two)
    found = detect_in(noisy())
    assert np.isfinite(found.scores).all()
    np.testing.assert_allclose(np.sum(found.evidence["transition"], axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("scorer", ["auto", "neighbours"])
def test_clean_digits_are_left_alone(scorer: str) -> None:
    digits = load("digits").select(range(0, 1797, 2))
    models = Population.create(factory(CNN(widths=(8, 16)), (1, 8, 8), 10), 1, engine=Engine()).train(digits, DIGITS)
    found = detect(models, digits, scorer=scorer, recipe=DIGITS)
    assert len(found.flagged) <= 0.01 * len(digits)
    assert found.noise_ratio <= 0.01
    assert found.interval is None or found.interval[0] == 0


@pytest.mark.parametrize("ratio", [0.1, 0.2])
def test_the_interval_contains_the_truth(ratio: float) -> None:
    for seed in range(3):
        noise = noisy(ratio, seed=seed)
        low, high = interval_of(detect_in(noise, seed=seed))
        assert low <= noise.ratio <= high


@pytest.mark.slow
@pytest.mark.parametrize("matrix", [symmetric_noise, pair_noise])
@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.3])
def test_the_interval_contains_the_truth_nineteen_times_in_twenty(
    matrix: Callable[[int, float], npt.NDArray[np.float64]], ratio: float
) -> None:
    covered = []
    for seed in range(10):
        noise = mislabel(load("digits"), matrix(10, ratio), seed=seed)
        make = factory(CNN(widths=(8, 16)), (1, 8, 8), 10)
        models = Population.create(make, 1, seed=seed, engine=Engine()).train(noise.examples, DIGITS)
        low, high = interval_of(detect(models, noise.examples, seed=seed, recipe=DIGITS))
        covered.append(low <= noise.ratio <= high)
    assert sum(covered) >= 9


def zeros_and_ones(data_dir: Path, ratio: float, seed: int) -> tuple[Noisy, Suspects]:
    """The study's problem with half its images: 500 of each class, two hidden layers of 50."""
    clean = load("mnist", data_dir=data_dir, classes=["0", "1"], per_class=500, seed=seed)
    noise = mislabel(clean, symmetric_noise(2, ratio), exact=True, seed=seed)
    make = factory(MLP(widths=(50, 50)), (1, 28, 28), 2)
    models = Population.create(make, 1, seed=seed, engine=Engine()).train(noise.examples, MNIST)
    return noise, detect(models, noise.examples, recipe=MNIST, seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_heavy_noise_among_zeros_and_ones(data_dir: Path, seed: int) -> None:
    noise, found = zeros_and_ones(data_dir, 0.4, seed)
    assert min(quality(noise, found)) >= 0.98
    assert found.noise_ratio == pytest.approx(0.4, abs=0.015)
    low, high = interval_of(found)
    assert low <= 0.4 <= high


def test_clean_zeros_and_ones_are_left_alone(data_dir: Path) -> None:
    _, found = zeros_and_ones(data_dir, 0, 0)
    assert len(found.flagged) <= 0.01 * 1000
