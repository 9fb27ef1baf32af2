"""Confident learning equals loops that are obviously right, and the authors' library."""

from fractions import Fraction
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

from untrain.detection.confident_learning import Prune, confident_joint, off_diagonal_share, pruned

Problem = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
PRUNES: tuple[Prune, ...] = get_args(Prune)


def problem(seed: int) -> Problem:
    """Probabilities and labels of two to six classes, balanced or not, of few or many errors, sure or unsure."""
    generator = np.random.default_rng(seed)
    classes = int(generator.integers(2, 7))
    count = int(generator.integers(3 * classes, 150))
    share = generator.dirichlet(np.full(classes, generator.choice([0.3, 1, 10])))
    true = np.concatenate([np.tile(np.arange(classes), 2), generator.choice(classes, count - 2 * classes, p=share)])
    wrong = generator.random(count) < generator.choice([0, 0.1, 0.3, 0.6])
    wrong[: 2 * classes] = False  # two right ones of each class
    labels = np.where(wrong, generator.integers(classes, size=count), true)
    logits = generator.normal(size=(count, classes)) * generator.choice([0.5, 2, 8])
    logits[np.arange(count), true] += generator.choice([0, 2, 6])
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(1, keepdims=True), labels


def slow_joint(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[list[Fraction]]:
    """The calibrated joint before it is rounded, exactly, one example after another."""
    classes = probabilities.shape[1]
    thresholds = []
    for label in range(classes):
        own = [row[label] for row, given in zip(probabilities, labels, strict=True) if given == label]
        thresholds.append(sum(own) / len(own))
    counts = [[0] * classes for _ in range(classes)]
    for row, given in zip(probabilities, labels, strict=True):
        sure = [label for label in range(classes) if row[label] >= thresholds[label] - 1e-6]
        if sure:
            counts[given][max(sure, key=lambda label: row[label])] += 1
    for label in range(classes):
        counts[label][label] = max(counts[label][label], 1)
    sizes = [int((labels == label).sum()) for label in range(classes)]
    return [[Fraction(n * size, sum(row)) for n in row] for row, size in zip(counts, sizes, strict=True)]


def slow_pruned(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], joint: npt.NDArray[np.intp],
                prune: Prune) -> list[bool]:  # fmt: skip
    """Which labels are wrong, by sorting lists."""
    classes = probabilities.shape[1]
    by_class, by_rate = set(), set()
    for label in range(classes):
        members = [row for row in range(len(labels)) if labels[row] == label]
        members.sort(key=lambda row: probabilities[row, label])
        by_class |= set(members[: min(int(joint[label].sum() - joint[label, label]), len(members) - 1)])
        chosen: set[int] = set()
        for other in range(classes):
            if other != label:
                ranked = sorted(members, key=lambda row: probabilities[row, label] - probabilities[row, other])
                chosen |= set(ranked[: joint[label, other]])
        by_rate |= chosen - {members[-1]} if len(chosen) == len(members) else chosen
    found = {"both": by_class & by_rate, "by-class": by_class, "by-noise-rate": by_rate}[prune]
    return [row in found and int(probabilities[row].argmax()) != labels[row] for row in range(len(labels))]


def test_a_joint_by_hand() -> None:
    # Mean own probability: 0.6 for class 0, 0.7 for class 1.
    probabilities = np.array([[0.9, 0.1], [0.65, 0.35], [0.25, 0.75], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Confident: rows 0 and 1 of class 0, rows 2, 3 and 4 of class 1; row 5 of none. Each class is scaled to three.
    assert confident_joint(probabilities, labels).tolist() == [[2, 1], [0, 3]]
    assert off_diagonal_share(confident_joint(probabilities, labels)) == pytest.approx(1 / 6)
    for prune in PRUNES:
        found = pruned(probabilities, labels, np.array([[2, 1], [0, 3]]), prune)
        assert found.tolist() == [False, False, True, False, False, False]


@pytest.mark.parametrize("seed", range(30))
def test_the_joint_equals_slow_loops(seed: int) -> None:
    probabilities, labels = problem(seed)
    joint, exact = confident_joint(probabilities, labels), slow_joint(probabilities, labels)
    assert joint.sum(1).tolist() == np.bincount(labels).tolist()
    for row, shares in zip(joint, exact, strict=True):
        assert all(abs(int(n) - share) < 1 for n, share in zip(row, shares, strict=True))
        # Rounded so that the sum is kept: no other whole numbers with that sum are nearer.
        whole = [share.numerator // share.denominator for share in shares]
        nearest = list(whole)
        rest = sorted((share - floor for share, floor in zip(shares, whole, strict=True)), reverse=True)
        error = sum(abs(int(n) - share) for n, share in zip(row, shares, strict=True))
        up = round(float(sum(shares))) - sum(nearest)
        assert error == sum(1 - each for each in rest[:up]) + sum(rest[up:])
    wrong = sum(int(joint[a, b]) for a in range(len(joint)) for b in range(len(joint)) if a != b)
    assert off_diagonal_share(joint) == pytest.approx(wrong / len(labels))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("prune", PRUNES)
def test_what_is_pruned_equals_slow_loops(seed: int, prune: Prune) -> None:
    probabilities, labels = problem(seed)
    joint = confident_joint(probabilities, labels)
    found = pruned(probabilities, labels, joint, prune)
    assert found.tolist() == slow_pruned(probabilities, labels, joint, prune)


@pytest.mark.parametrize("prune", PRUNES)
def test_a_label_of_every_class_stays(prune: Prune) -> None:
    hopeless = 0
    for seed in range(300):
        probabilities, labels = problem(seed)
        joint = confident_joint(probabilities, labels)
        hopeless += bool((joint.diagonal() == 0).any())
        kept = labels[~pruned(probabilities, labels, joint, prune)]
        assert set(kept.tolist()) == set(labels.tolist())
    assert hopeless  # some have a class without any right label


def test_a_class_that_no_model_believes_in_is_not_where_the_unsure_go() -> None:
    # All have a probability below a millionth of class 1, its own as well; the third is sure of nothing.
    sure, unsure, other = [0.9, 1e-8, 0.1], [0.6, 1e-8, 0.4], [0.1, 1e-8, 0.9]
    probabilities = np.array([sure, sure, unsure, other, other, other, sure, other])
    joint = confident_joint(probabilities, np.array([0, 0, 0, 2, 2, 2, 1, 1]))
    assert joint[0].tolist() == [3, 0, 0]
    assert joint[2].tolist() == [0, 0, 3]


def test_equals_the_authors_library() -> None:
    count = pytest.importorskip("cleanlab.count", reason="cleanlab is not installed")
    issues = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed")
    theirs = {"both": "both", "by-noise-rate": "prune_by_noise_rate", "by-class": "prune_by_class"}
    flagged = 0
    for seed in (*range(150), 699, 1104, 1555, 1883):  # in the last four the order of the sums decides a tie
        probabilities, labels = problem(seed)
        joint = confident_joint(probabilities, labels)
        np.testing.assert_array_equal(joint, count.compute_confident_joint(labels, probabilities))
        for prune in PRUNES:
            if joint.diagonal().all():
                found = pruned(probabilities, labels, joint, prune)
                expected = issues.find_label_issues(labels, probabilities, filter_by=theirs[prune], n_jobs=1)
                np.testing.assert_array_equal(found, expected)
                flagged += int(found.sum())
    assert flagged > 1000
