"""The membership check against loops over pairs, known AUCs and its own limits."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit, ndtri
from scipy.stats import binom
from scipy.stats import t as student

from tests.auditing.draws import MEMBERSHIP_LAWS, Cell
from untrain.auditing import MembershipAttack, membership, membership_change
from untrain.errors import InputError

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Sizes = tuple[tuple[int, ...], tuple[int, ...]]


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


@pytest.mark.parametrize(
    "cell", [Cell((15,), (25,), 0.7), Cell((20, 3, 1), (5, 9, 40), 0.8), Cell((12, 12), (6, 7), 0.5)]
)
def test_interval_equals_delongs_with_satterthwaites_degrees_of_freedom_by_loops(cell: Cell) -> None:
    f, h, f_labels, h_labels = cell.draw(np.random.default_rng(1))
    attack = membership(f, h, f_labels, h_labels, level=0.9).auc
    assert attack is not None
    parts = [(1.0, [share_lower(a, h[h_labels == label]) for a, label in zip(f, f_labels, strict=True)])]
    for c, count in enumerate(cell.forget):
        parts.append((count / len(f), [share_lower(-b, -f[f_labels == c]) for b in h[h_labels == c]]))
    auc = sum(parts[0][1]) / len(f)
    variance = denominator = 0.0
    for weight, shares in parts:
        mean, count = sum(shares) / len(shares), len(shares)
        squares = sum((share - mean) ** 2 for share in shares) + auc * (1 - auc)
        component = weight**2 * squares / count / count
        variance += component
        denominator += component**2 / (count - 1)
    half = student.ppf(0.95, variance**2 / denominator) * math.sqrt(variance) / (auc * (1 - auc))
    expected = (auc, expit(logit(auc) - half), expit(logit(auc) + half))
    assert (attack.value, attack.low, attack.high) == pytest.approx(expected)


def share_lower(confidence: float, others: Array) -> float:
    won = sum(float(confidence > other) + 0.5 * float(confidence == other) for other in others)
    return won / len(others)


MOST_IN_A_SMALL_CLASS = [
    ((90, *[1] * 10), (2, *[20] * 10)),
    ((90, *[1] * 10), (5, *[20] * 10)),
    ((90, *[1] * 10), (8, *[20] * 10)),
    ((50, 50), (5, 100)),
    ((295, 5), (5, 5)),
    ((30, 30), (5, 5)),
]
OTHERS = [
    ((10,), (10,)),
    ((10,), (200,)),
    ((300,), (10,)),
    ((60,), (60,)),
    ((20, 20), (100, 100)),
    ((2,) * 20, (5,) * 20),
]
AUCS = [0.5, 0.76, 0.9, 0.97]


def coverage_and_false_alarms(cell: Cell, draws: int) -> tuple[float, float]:
    """Shares of draws whose interval holds the truth, and lies above it."""
    generator, held, above = np.random.default_rng(0), 0, 0
    for _ in range(draws):
        attack = membership(*cell.draw(generator)).auc
        assert attack is not None
        held, above = held + (attack.low <= cell.auc <= attack.high), above + (attack.low > cell.auc)
    return held / draws, above / draws


@pytest.mark.parametrize("auc", [0.5, 0.9])
@pytest.mark.parametrize("sizes", [*MOST_IN_A_SMALL_CLASS, ((10,), (200,)), ((300,), (10,))])
def test_intervals_hold_a_known_auc(sizes: Sizes, auc: float) -> None:
    coverage, false_alarms = coverage_and_false_alarms(Cell(*sizes, auc), draws=200)
    assert coverage >= 0.92
    assert auc > 0.5 or false_alarms <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("auc", AUCS)
@pytest.mark.parametrize("sizes", [*MOST_IN_A_SMALL_CLASS, *OTHERS])
def test_intervals_hold_a_known_auc_in_many_draws(sizes: Sizes, auc: float) -> None:
    coverage, false_alarms = coverage_and_false_alarms(Cell(*sizes, auc), draws=3000)
    assert coverage >= 0.92
    assert auc > 0.5 or false_alarms <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("law", MEMBERSHIP_LAWS)
@pytest.mark.parametrize("sizes", [*MOST_IN_A_SMALL_CLASS, *OTHERS])
def test_not_trained_on_is_seldom_called_recognized_under_any_law(sizes: Sizes, law: str) -> None:
    assert coverage_and_false_alarms(Cell(*sizes, 0.5, law), draws=2000)[1] <= 0.05


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


@pytest.mark.parametrize(("forget", "held_out"), [(9, 100), (100, 9), (0, 100)])
def test_too_few_examples_say_nothing(forget: int, held_out: int) -> None:
    found = membership(*data(5, forget, held_out, 1, auc=0.99))
    assert (found.auc, found.verdict, found.unusual) == (None, "cannot say", False)
    assert found.forget == forget


def test_classes_with_few_held_out_examples_are_left_out_and_named() -> None:
    f, h, f_labels, h_labels = data(6, 80, 100, 4)
    kept = (h_labels != 2) & ((h_labels != 0) | (np.cumsum(h_labels == 0) < 5))
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


def test_separation_in_a_small_class_weighs_no_more_than_its_held_out_examples() -> None:
    forget, held_out = (99, 1), (5, 50)
    f_labels, h_labels = np.repeat([0, 1], forget), np.repeat([0, 1], held_out)
    attack = membership(np.ones(100), np.zeros(55), f_labels, h_labels).auc
    assert attack is not None
    assert attack.low == pytest.approx(0.025 ** (1 / 5.1), abs=2e-3)


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


@pytest.mark.parametrize("sizes", [((12,) * 5, (40,) * 5), ((90, *[1] * 4), (5, *[20] * 4)), ((30, 30), (5, 5))])
def test_change_holds_the_truth(sizes: Sizes) -> None:
    generator, held = np.random.default_rng(0), 0
    for _ in range(200):
        f, h, f_labels, h_labels = Cell(*sizes).draw(generator)
        before = math.sqrt(2) * ndtri(0.8) + f
        after = (f + generator.normal(size=len(f)), h + generator.normal(size=len(h)))
        change = membership_change((before, h), after, f_labels, h_labels).change
        assert change is not None
        held += change.low <= 0.5 - 0.8 <= change.high
    assert held >= 0.92 * 200


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
        (np.zeros(3), np.zeros(4, int), r"forget set needs one .* got shapes \(3,\) and \(4,\)"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), "one confidence and one label for each example"),
        (np.array([np.nan]), np.zeros(1, int), "confidence of the forget set is NaN or infinite"),
        (np.zeros(2), np.zeros(2), "labels of the forget set must be class numbers, got float64"),
    ],
)
def test_wrong_input_is_refused(forget: Array, labels: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        membership(forget, np.zeros(20), labels, np.zeros(20, int))


def test_wrong_held_out_data_and_levels_are_refused() -> None:
    f, h, f_labels, h_labels = data(0, 20, 20, 1)
    with pytest.raises(InputError, match="held-out data needs one"):
        membership(f, h, f_labels, h_labels[1:])
    with pytest.raises(InputError, match=r"between 0 and 1, such as 0\.95; got 0"):
        membership(f, h, f_labels, h_labels, level=0)
