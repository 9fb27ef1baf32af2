"""Rank energy against double loops, closed forms and known populations.

The slow test repeats the coverage with 500 draws at four numbers of models:
`python -m pytest tests/auditing/test_rank_energy.py -m slow`.
"""

import importlib
import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtri
from scipy.stats import t as student

from tests.auditing.draws import KINDS, Truth
from untrain.auditing import Estimate, RankEnergy, rank_energy, rank_energy_difference
from untrain.auditing.rank_energy import _energies, varies
from untrain.errors import InputError

Array = npt.NDArray[np.float64]


def slow_energy(u: Sequence[float], r: Sequence[float]) -> float:
    """Twice the mean distance of a pair from both arms, less those within; the distance counts the models between."""
    arms = {"u": list(enumerate(u)), "r": list(enumerate(r))}

    def below(value: float, x: float) -> float:
        return (value < x) + 0.5 * (value == x)

    def mean_distance(first: str, second: str) -> float:
        distances = []
        for (i, a), (j, b) in itertools.product(arms[first], arms[second]):
            if (first, i) != (second, j):
                for name, arm in arms.items():
                    others = [value for k, value in arm if (name, k) not in ((first, i), (second, j))]
                    distances.append(sum(abs(below(value, a) - below(value, b)) for value in others) / len(others))
        return sum(distances) / len(distances)

    return 2 * mean_distance("u", "r") - mean_distance("u", "u") - mean_distance("r", "r")


def slow_folded(u: Sequence[float], r: Sequence[float]) -> float:
    """Rank energy of the distance from the middle rank, each arm weighing one half."""

    def far(x: float) -> int:
        in_u, in_r = (sum(2 * (value < x) + (value == x) for value in arm) for arm in (u, r))
        return abs(len(r) * in_u + len(u) * in_r - 2 * len(u) * len(r))

    return slow_energy([far(x) for x in u], [far(x) for x in r])


def slow_total(u: Array, r: Array) -> float:
    """Mean over examples of energy plus folded energy, before anything is corrected."""
    pairs = list(zip(u.T.tolist(), r.T.tolist(), strict=True))
    return sum(slow_energy(a, b) + slow_folded(a, b) for a, b in pairs) / len(pairs)


def arms(seed: int, models: int, examples: int, ties: bool = False) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    u, r = generator.normal(0.5, 0.7, (models, examples)), generator.normal(size=(models, examples))
    return (u.round(), r.round()) if ties else (u, r)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("models", [8, 11])
def test_equals_double_loops_over_pairs(models: int, ties: bool) -> None:
    u, r = arms(models, models, 3, ties)
    found = rank_energy(u, r)
    for s in range(3):
        a, b = u[:, s].tolist(), r[:, s].tolist()
        assert found.energy_of_examples[s] == pytest.approx(slow_energy(a, b), abs=1e-12)
        full, pseudo = slow_folded(a, b), []
        for group in range(8):
            kept = [i for i in range(models) if i % 8 != group]
            h = models / (models - len(kept))
            pseudo.append(h * full - (h - 1) * slow_folded([a[i] for i in kept], [b[i] for i in kept]))
        assert found.folded_of_examples[s] == pytest.approx(np.mean(pseudo), abs=1e-12)


def test_interval_is_the_delete_group_jackknife_of_both_arms() -> None:
    u, r = arms(1, 10, 2)
    full, variance = slow_total(u, r), 0.0
    groups = [np.arange(10) % 8 != group for group in range(8)]
    for replicates in (
        [slow_total(u[kept], r) for kept in groups],
        [slow_total(u, r[kept]) for kept in groups],
    ):
        h = np.array([10 / (~kept).sum() for kept in groups])
        pseudo = h * full - (h - 1) * np.array(replicates)
        variance += np.mean((pseudo - pseudo.mean()) ** 2 / (h - 1))
    found = rank_energy(u, r, level=0.9).total
    half = student.ppf(0.95, 14) * math.sqrt(variance)
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half), abs=1e-12)


@pytest.mark.parametrize(("shift", "scale"), [(0.5, 1.0), (1.0, 1.0), (2.0, 1.0), (0.0, 0.5), (1.0, 0.7)])
def test_normal_quantiles_have_the_energies_of_normal_distributions(shift: float, scale: float) -> None:
    quantiles = ndtri((np.arange(1000) + 0.5) / 1000)
    order = np.random.default_rng(0).permutation(1000)
    found = rank_energy(shift + scale * quantiles[order, None], quantiles[order, None])
    expected, folded = Truth("normal", np.array([shift]), np.array([scale])).energies()
    assert found.energy.value == pytest.approx(expected, abs=1e-3)
    assert found.folded.value == pytest.approx(folded, abs=2e-3)
    if scale == 1:
        assert expected == pytest.approx({0.5: 0.044385, 1.0: 0.160475, 2.0: 0.444334}[shift], abs=2e-6)


def test_arms_apart_have_two_thirds_and_constant_ones_nothing() -> None:
    u, r = arms(0, 16, 5)
    apart = rank_energy(u + 100, r)
    np.testing.assert_allclose(apart.energy_of_examples, 2 / 3)
    assert apart.folded.value == pytest.approx(0, abs=0.1)
    assert values(rank_energy(np.ones((8, 2)), np.ones((8, 2)))) == pytest.approx([0] * 7)
    assert rank_energy(np.zeros((8, 2)), np.ones((8, 2))).energy == Estimate(1, 1, 1)
    assert rank_energy(np.full((16, 5), 100), r).energy.value == pytest.approx(5 / 6)


def values(found: RankEnergy) -> Array:
    means = [found.total.value, found.energy.value, found.folded.value]
    return np.concatenate([means, found.energy_of_examples, found.folded_of_examples])


@pytest.mark.parametrize("ties", [False, True])
def test_does_not_depend_on_order_arm_or_scale(ties: bool) -> None:
    u, r = arms(5, 19, 4, ties)
    expected, generator = rank_energy(u, r), np.random.default_rng(0)
    some = generator.permutation(4)
    permuted = rank_energy(u[:, some], r[:, some])
    np.testing.assert_allclose(permuted.energy_of_examples, expected.energy_of_examples[some], atol=1e-13)
    np.testing.assert_allclose(permuted.folded_of_examples, expected.folded_of_examples[some], atol=1e-13)
    assert permuted.total.low == pytest.approx(expected.total.low)
    for same in (rank_energy(r, u), rank_energy(np.exp(u), np.exp(r)), rank_energy(-(u**3), -(r**3))):
        np.testing.assert_allclose(values(same), values(expected), atol=1e-13)
        assert same.total.high == pytest.approx(expected.total.high)
    mixed = rank_energy(generator.permutation(u), generator.permutation(r))
    np.testing.assert_allclose(mixed.energy_of_examples, expected.energy_of_examples, atol=1e-13)


@pytest.mark.parametrize("ties", [False, True])
def test_all_ways_to_share_out_the_same_confidences_average_to_zero(ties: bool) -> None:
    """Each of the C(8, 4) ways is one example, so that the mean is the expectation when the arms are exchangeable."""
    pooled = np.random.default_rng(2).normal(size=8)
    pooled = pooled.round() if ties else pooled
    chosen = np.array(list(itertools.combinations(range(8), 4)))
    others = np.array([np.setdiff1d(np.arange(8), some) for some in chosen])
    both = _energies(pooled[chosen], pooled[others])
    np.testing.assert_allclose(both.mean(axis=1), 0, atol=1e-14)
    assert np.abs(both).max() > 0.1


@pytest.mark.parametrize("models", [8, 32])
def test_equal_distributions_have_a_mean_of_zero(models: int) -> None:
    """One kind of distribution stands for all, since ranks of equal distributions know no other."""
    u, r = np.random.default_rng(0).normal(size=(2, models, 3000))
    found = rank_energy(u, r)
    for each in (found.energy_of_examples, found.folded_of_examples):
        assert abs(each.mean()) < 3 * each.std(ddof=1) / math.sqrt(len(each))


def test_equal_distributions_have_a_mean_of_zero_if_examples_move_together() -> None:
    truth, generator = Truth.draw("correlated", 20, size=0), np.random.default_rng(0)
    draws = [rank_energy(truth.retrained(generator, 16), truth.retrained(generator, 16)).total for _ in range(150)]
    found = np.array([draw.value for draw in draws])
    assert abs(found.mean()) < 3 * found.std(ddof=1) / math.sqrt(len(found))
    assert np.mean([draw.low <= 0 <= draw.high for draw in draws]) >= 0.90


def coverage(kind: str, models: int, draws: int, examples: int = 40) -> tuple[float, float]:
    """Share of intervals of the total that hold the truth, and the bias in standard errors."""
    truth, generator = Truth.draw(kind, examples), np.random.default_rng(7)
    expected = truth.energies().sum()
    found = [
        rank_energy(truth.unlearned(generator, models), truth.retrained(generator, models)).total for _ in range(draws)
    ]
    error = np.array([draw.value for draw in found]) - expected
    held = np.mean([draw.low <= expected <= draw.high for draw in found])
    return float(held), float(error.mean() / (error.std(ddof=1) / math.sqrt(draws)))


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_the_truth(kind: str) -> None:
    held, bias = coverage(kind, models=32, draws=120)
    assert held >= 0.90
    assert abs(bias) < 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("models", [8, 16, 32, 64])
def test_intervals_hold_the_truth_at_any_number_of_models(kind: str, models: int) -> None:
    held, bias = coverage(kind, models, draws=500, examples=100)
    print(kind, models, held, bias)  # noqa: T201
    assert held >= 0.92
    assert abs(bias) < 4


def test_the_number_of_models_does_not_move_the_fold() -> None:
    """Where arms are far apart the plug-in is lowest, by half of one over N: 0.065 at 8 models."""
    generator, expected = np.random.default_rng(0), Truth("normal", np.array([6.0]), np.array([0.6])).energies()[1]
    for models in (8, 32):
        u, r = generator.normal(size=(2, models, 200))
        assert rank_energy(6 + 0.6 * u, r).folded.value == pytest.approx(expected, abs=0.004)


def test_paired_difference_holds_the_truth() -> None:
    near, far = Truth.draw("correlated", 40), Truth.draw("correlated", 40, size=1.3)
    expected, generator = float((far.energies() - near.energies()).sum()), np.random.default_rng(1)
    held = []
    for _ in range(100):
        first, second, anew = (
            arm(generator, 24) for arm in (far.unlearned, near.unlearned, near.retrained)
        )  # fmt: skip
        found = rank_energy_difference(first, second, anew)
        held.append(found.low <= expected <= found.high)
    assert np.mean(held) >= 0.90


def test_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    near, generator = Truth.draw("correlated", 40), np.random.default_rng(1)
    second, anew = near.unlearned(generator, 24), near.retrained(generator, 24)
    first = near.unlearned(generator, 24) + 0.2
    found, one, two = (
        rank_energy_difference(first, second, anew),
        rank_energy(first, anew).total,
        rank_energy(second, anew).total,
    )
    assert found.value == pytest.approx(one.value - two.value)
    assert found.high - found.low < math.hypot(one.high - one.low, two.high - two.low)
    assert rank_energy_difference(first, first, anew).value == 0


def test_design_effect_is_how_often_an_example_repeats() -> None:
    u, r = arms(3, 32, 1)
    assert rank_energy(np.repeat(u, 25, axis=1), np.repeat(r, 25, axis=1)).design_effect == pytest.approx(25)
    truth, generator = Truth.draw("normal", 40), np.random.default_rng(0)
    found = [
        rank_energy(truth.unlearned(generator, 16), truth.retrained(generator, 16)).design_effect for _ in range(40)
    ]
    assert np.mean(found) == pytest.approx(1, abs=0.15)


def test_examples_are_computed_in_blocks_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    u, r = arms(6, 8, 20)
    expected = rank_energy(u, r)
    monkeypatch.setattr(importlib.import_module("untrain.auditing.rank_energy"), "_BLOCK", 800)
    found = rank_energy(u, r)
    np.testing.assert_array_equal(values(found), values(expected))
    assert (found.total, found.design_effect) == (expected.total, expected.design_effect)


@pytest.mark.parametrize(
    ("unlearned", "retrained", "message"),
    [
        (np.zeros((7, 2)), np.zeros((7, 2)), r"for the rank energy .* at least 8 models .*got \(7, 2\) and \(7, 2\)"),
        (np.zeros((8, 2)), np.zeros((9, 2)), "of one shape"),
        (np.zeros((8, 0)), np.zeros((8, 0)), r"two arrays .* at least 8 models"),
        (np.full((8, 1), np.nan), np.zeros((8, 1)), "for the rank energy is NaN or infinite"),
    ],
)
def test_wrong_input_is_refused(unlearned: Array, retrained: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank_energy(unlearned, retrained)


def test_wrong_levels_and_differences_are_refused() -> None:
    arm = np.zeros((8, 2))
    with pytest.raises(InputError, match=r"between 0 and 1, such as 0\.95; got 95"):
        rank_energy(arm, arm, level=95)
    with pytest.raises(InputError, match="for a difference of rank energies"):
        rank_energy_difference(arm, np.zeros((9, 2)), arm)


# Several originals


def test_the_interval_leaves_out_originals() -> None:
    """The delete-a-group jackknife by its definition, of three originals and of eight groups of retrained models."""
    generator = np.random.default_rng(2)
    origins = np.arange(24) % 3
    u, r = generator.normal(size=(24, 5)) + 0.8 * origins[:, None], generator.normal(size=(24, 5))

    def total(models: Array, reference: Array) -> float:
        return float(_energies(models.T, reference.T).sum(axis=0).mean())

    by_original = np.asarray([total(u[origins != k], r) for k in range(3)])
    by_group = np.asarray([total(u, r[np.arange(24) % 8 != g]) for g in range(8)])
    variances = [(len(values) - 1) * values.var() for values in (by_original, by_group)]
    degrees = sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 7)
    result = rank_energy(u, r, origins=origins).total
    assert result.value == rank_energy(u, r).total.value
    assert result.high - result.value == pytest.approx(student.ppf(0.975, degrees) * sum(variances) ** 0.5)


def test_intervals_hold_for_further_originals() -> None:
    """Originals differ by a shift of all examples; the truth is the distance of the mixture of endlessly many."""
    generator = np.random.default_rng(6)
    held: list[bool] = []
    naive: list[bool] = []
    origins = np.arange(48) % 6
    truth = Truth("normal", np.full(20, 0.6), np.full(20, 1.3)).energies().sum()
    for _ in range(60):
        shift = 0.6 + generator.normal(scale=(1.3**2 - 1) ** 0.5, size=6)
        u, r = generator.normal(size=(48, 20)) + shift[origins, None], generator.normal(size=(48, 20))
        for results, given in ((held, origins), (naive, None)):
            total = rank_energy(u, r, origins=given).total
            results.append(total.low <= truth <= total.high)
    assert np.mean(held) >= 0.85
    assert np.mean(naive) < 0.7


def test_a_difference_pairs_originals() -> None:
    """Two methods that share the luck of their originals differ by less than their own intervals suggest."""
    generator = np.random.default_rng(3)
    origins = np.arange(32) % 4
    luck = np.asarray([0.2, 0.9, 1.6, 2.3])[origins, None]
    one, two = generator.normal(size=(2, 32, 30)) + luck
    difference = rank_energy_difference(one, two, generator.normal(size=(32, 30)), origins=origins)
    alone = rank_energy(one, generator.normal(size=(32, 30)), origins=origins).total
    assert difference.high - difference.low < 0.4 * (alone.high - alone.low)
    assert difference.low < 0 < difference.high


def test_models_of_each_original_must_vary() -> None:
    generator = np.random.default_rng(4)
    origins = np.arange(16) % 2
    fixed = generator.normal(size=(2, 5))[origins]
    assert varies(fixed, generator.normal(size=(16, 5)))
    assert not varies(fixed, generator.normal(size=(16, 5)), origins)


@pytest.mark.parametrize("origins", [[0] * 16, [0, 1] * 7])
def test_originals_that_do_not_fit_are_refused(origins: list[int]) -> None:
    with pytest.raises(InputError, match="at least two originals, one for each of the 16"):
        rank_energy(np.zeros((16, 2)), np.ones((16, 2)), origins=origins)
