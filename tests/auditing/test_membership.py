"""The membership check against loops over pairs, known AUCs and its own limits."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit, ndtri
from scipy.stats import binom
from scipy.stats import t as student

from untrain.auditing import MembershipAttack, membership, membership_change
from untrain.errors import InputError

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def data(seed: int, forget: int, held_out: int, classes: int, auc: float = 0.7) -> tuple[Array, Array, Labels, Labels]:
    """Normal confidences of a known AUC within each class; the classes differ much more than that."""
    generator = np.random.default_rng(seed)
    of_class = generator.normal(0, 3, classes)
    forget_labels, held_out_labels = generator.integers(0, classes, forget), np.arange(held_out) % classes
    f = generator.normal(math.sqrt(2) * ndtri(auc), 1, forget) + of_class[forget_labels]
    h = generator.normal(0, 1, held_out) + of_class[held_out_labels]
    return f, h, forget_labels, held_out_labels


def value(found: MembershipAttack) -> float:
    assert found.auc is not None
    return found.auc.value


@pytest.mark.parametrize("ties", [False, True])
def test_equals_a_loop_over_pairs_within_classes(ties: bool) -> None:
    f, h, f_labels, h_labels = data(0, 30, 40, 4)
    f, h = (f.round(), h.round()) if ties else (f, h)
    shares = [
        np.mean([(a > b) + 0.5 * (a == b) for b, other in zip(h, h_labels, strict=True) if other == label])
        for a, label in zip(f, f_labels, strict=True)
    ]
    assert value(membership(f, h, f_labels, h_labels)) == pytest.approx(np.mean(shares))


def test_one_class_has_delongs_interval_on_log_odds() -> None:
    f, h, _, _ = data(1, 15, 25, 1)
    wins = np.array([[(a > b) + 0.5 * (a == b) for b in h] for a in f])
    variance = wins.mean(axis=1).var(ddof=1) / 15 + wins.mean(axis=0).var(ddof=1) / 25
    auc = wins.mean()
    half = student.ppf(0.95, 14) * math.sqrt(variance) / (auc * (1 - auc))
    found = membership(f, h, np.zeros(15, int), np.zeros(25, int), level=0.9).auc
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expit(logit(auc) - half), expit(logit(auc) + half)))


@pytest.mark.parametrize(
    ("auc", "forget", "held_out", "classes"),
    [(0.5, 120, 600, 10), (0.76, 20, 200, 5), (0.9, 60, 60, 1), (0.76, 120, 400, 100), (0.98, 200, 400, 2)],
)
def test_intervals_hold_a_known_auc(auc: float, forget: int, held_out: int, classes: int) -> None:
    found = [membership(*data(seed, forget, held_out, classes, auc)).auc for seed in range(400)]
    assert np.mean([each is not None and each.low <= auc <= each.high for each in found]) >= 0.92


def test_shares_of_classes_in_held_out_data_do_not_matter() -> None:
    f, h, f_labels, h_labels = data(2, 50, 60, 3)
    expected = value(membership(f, h, f_labels, h_labels))
    again = np.repeat(np.arange(60), np.where(h_labels == 1, 7, 1))
    assert value(membership(f, h[again], f_labels, h_labels[again])) == pytest.approx(expected)


def test_confidence_of_classes_does_not_matter() -> None:
    f, h, f_labels, h_labels = data(3, 50, 60, 3)
    expected = membership(f, h, f_labels, h_labels)
    assert membership(f + 10 * f_labels, h + 10 * h_labels, f_labels, h_labels) == expected
    assert membership(np.exp(f), np.exp(h), f_labels, h_labels) == expected
    assert membership(f, h, f_labels + 7, h_labels + 7) == expected


@pytest.mark.parametrize(
    ("auc", "verdict", "unusual"),
    [(0.8, "recognized", False), (0.5, "not recognized", False), (0.2, "not recognized", True)],
)
def test_verdicts(auc: float, verdict: str, unusual: bool) -> None:
    found = membership(*data(4, 150, 300, 5, auc))
    assert (found.verdict, found.unusual) == (verdict, unusual)
    assert (found.forget, found.held_out, found.left_out) == (150, 300, ())
    assert "one attack on one model" in found.limits


def test_not_trained_on_is_seldom_called_recognized() -> None:
    found = [membership(*data(seed, 100, 300, 10, auc=0.5)).verdict for seed in range(300)]
    assert found.count("recognized") <= 0.05 * 300


@pytest.mark.parametrize(("forget", "held_out"), [(9, 100), (100, 9), (0, 100)])
def test_too_few_examples_say_nothing(forget: int, held_out: int) -> None:
    found = membership(*data(5, forget, held_out, 1, auc=0.99))
    assert (found.auc, found.verdict, found.unusual) == (None, "cannot say", False)
    assert found.forget == forget


def test_classes_without_held_out_examples_are_left_out_and_named() -> None:
    f, h, f_labels, h_labels = data(6, 80, 100, 4)
    kept = (h_labels != 2) & ((h_labels != 0) | (np.cumsum(h_labels == 0) < 2))
    found = membership(f, h[kept], f_labels, h_labels[kept])
    compared = np.isin(f_labels, [1, 3])
    alone = membership(f[compared], h, f_labels[compared], h_labels)
    assert found.left_out == (0, 2)
    assert (found.auc, found.forget, found.held_out) == (alone.auc, compared.sum(), 50)
    nothing = membership(f, h, f_labels, h_labels + 10)
    assert (nothing.verdict, nothing.forget, nothing.left_out) == ("cannot say", 0, (0, 1, 2, 3))


def test_complete_separation_still_has_an_interval() -> None:
    f, h, f_labels, h_labels = data(7, 30, 40, 1)
    above, below = (membership(f + shift, h, f_labels, h_labels) for shift in (100, -100))
    assert above.auc is not None
    assert below.auc is not None
    assert (above.auc.value, above.auc.high, above.verdict) == (1, 1, "recognized")
    assert binom.pmf(30, 30, above.auc.low) == pytest.approx(0.025)
    assert (below.auc.low, below.auc.high) == pytest.approx((0, 1 - above.auc.low))
    assert below.unusual


def test_equal_confidences_are_not_recognized() -> None:
    found = membership(np.ones(30), np.ones(40), np.zeros(30, int), np.zeros(40, int))
    assert found.auc is not None
    assert (found.auc.value, found.verdict, found.unusual) == (0.5, "not recognized", False)
    assert found.auc.low < 0.35 < 0.65 < found.auc.high


def test_change_is_paired() -> None:
    f, h, f_labels, h_labels = data(8, 100, 200, 5, auc=0.5)
    noise = np.random.default_rng(0).normal(0, 0.1, 100)
    found = membership_change((f + 0.6, h), (f + noise, h), f_labels, h_labels)
    assert found.before == membership(f + 0.6, h, f_labels, h_labels)
    assert found.after == membership(f + noise, h, f_labels, h_labels)
    assert (found.before.verdict, found.after.verdict) == ("recognized", "not recognized")
    assert found.change is not None
    assert found.before.auc is not None
    assert found.change.value == pytest.approx(value(found.after) - value(found.before))
    assert found.change.high < 0
    assert found.change.high - found.change.low < 0.5 * (found.before.auc.high - found.before.auc.low)


def test_change_holds_the_truth() -> None:
    held = []
    for seed in range(200):
        f, h, f_labels, h_labels = data(seed, 60, 200, 5, auc=0.5)
        generator = np.random.default_rng(1000 + seed)
        before = math.sqrt(2) * ndtri(0.8) + f
        after = (f + generator.normal(size=60), h + generator.normal(size=200))
        found = membership_change((before, h), after, f_labels, h_labels).change
        held.append(found is not None and found.low <= 0.5 - 0.8 <= found.high)
    assert np.mean(held) >= 0.92


def test_no_change_where_nothing_changed_or_nothing_can_be_said() -> None:
    f, h, f_labels, h_labels = data(9, 20, 50, 2)
    same = membership_change((f, h), (f, h), f_labels, h_labels).change
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)
    few = membership_change((f[:5], h), (f[:5], h), f_labels[:5], h_labels)
    assert (few.change, few.after.verdict) == (None, "cannot say")


@pytest.mark.parametrize(
    ("forget", "labels", "message"),
    [
        (np.zeros(3), np.zeros(4, int), r"labels \[n\], got shapes \(3,\) and \(4,\), of the forget set"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), "expected confidences"),
        (np.array([np.nan]), np.zeros(1, int), "expected finite confidences, got NaN or infinity, of the forget set"),
        (np.zeros(2), np.zeros(2), "expected whole numbers as labels, got float64, of the forget set"),
    ],
)
def test_wrong_input_is_refused(forget: Array, labels: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        membership(forget, np.zeros(20), labels, np.zeros(20, int))


def test_wrong_held_out_data_and_levels_are_refused() -> None:
    f, h, f_labels, h_labels = data(0, 20, 20, 1)
    with pytest.raises(InputError, match="of the held-out data"):
        membership(f, h, f_labels, h_labels[1:])
    with pytest.raises(InputError, match="expected a confidence level between 0 and 1, got 0"):
        membership(f, h, f_labels, h_labels, level=0)
