"""Looks at growing numbers of models: the error that they spend, and each of the three endings."""

import numpy as np
import pytest
from scipy.stats import binom

from untrain.auditing import Estimate, looks, rank_energies, rank_energy, rank_energy_difference, spent, standing
from untrain.auditing.looks import Reason, apart
from untrain.auditing.rank_energy import RankEnergies
from untrain.errors import InputError

COUNTS = looks(64, 8)


def arms(rng: np.random.Generator, shifts: list[float], examples: int, common: float = 0.0) -> np.ndarray:
    """`[M + 1, N, S]`: methods whose confidences lie a shift from those of retrained models, the last; examples of a
    model have a share of their variance in common."""
    shape = (len(shifts) + 1, COUNTS[-1], examples)
    own, shared = rng.normal(size=shape), rng.normal(size=(*shape[:2], 1))
    centers = np.asarray([*shifts, 0.0])[:, None, None]
    drawn: np.ndarray = np.sqrt(1 - common) * own + np.sqrt(common) * shared + centers
    return drawn


def at_looks(drawn: np.ndarray, counts: list[int]) -> list[RankEnergies]:
    """Rank energies at each look."""
    return [rank_energies(list(drawn[:-1, :count]), drawn[-1, :count]) for count in counts]


def sequential(
    energies: list[RankEnergies], counts: list[int], tolerance: float, *, naive: bool = False
) -> tuple[Reason, int]:
    """Why and where the looks end; a naive one takes 5 % at each look."""
    for look, count in enumerate(counts):
        level = 0.05 if naive else spent(counts, look)
        now = standing(energies[look], level, tolerance, count == counts[-1])
        if now.reason:
            return now.reason, count
    raise AssertionError


def ranked_runs(runs: int, counts: list[int], common: float) -> tuple[int, int]:
    """In how many runs two equal methods are called ranked, by looks that spend 5 % in all, and by naive ones."""
    rng = np.random.default_rng(0)
    wrong = [0, 0]
    for _ in range(runs):
        energies = at_looks(arms(rng, [0.8, 0.8], examples=4, common=common), counts)
        for naive in (False, True):
            wrong[naive] += sequential(energies, counts, 1e-9, naive=naive)[0] == "ranked"
    return wrong[0], wrong[1]


def test_equal_methods_are_ranked_in_at_most_alpha_of_all_runs() -> None:
    wrong, naive = ranked_runs(100, COUNTS[:4], common=0.0)
    allowed = binom.ppf(0.99, 100, 0.05)
    assert wrong <= allowed < naive  # so this test can fail: whoever takes 5 % at each look finds too many


@pytest.mark.slow
@pytest.mark.parametrize("common", [0.0, 0.5])
def test_equal_methods_are_ranked_in_at_most_alpha_of_many_runs(common: float) -> None:
    wrong, naive = ranked_runs(300, COUNTS, common)
    allowed = binom.ppf(0.99, 300, 0.05)
    assert wrong <= allowed < naive


def test_the_error_of_all_pairs_is_held_together() -> None:
    """Five equal methods, so ten pairs: any one that is told apart is an error."""
    rng, runs = np.random.default_rng(1), 60
    wrong, naive = 0, 0
    for _ in range(runs):
        p_values = at_looks(arms(rng, [0.8] * 5, examples=4), [16])[0].p_values
        wrong += bool(apart(p_values, 0.05).any())
        naive += bool((p_values < 0.05).any())
    assert wrong <= binom.ppf(0.99, runs, 0.05) < naive


@pytest.mark.parametrize(
    ("shifts", "tolerance", "expected"),
    [
        ([0.3, 2.0], 0.25, "ranked"),
        ([1.5, 1.5], 0.25, "precise enough"),
        ([0.0, 0.0], 0.25, "not separable"),
        ([1.5, 1.5], 1e-6, "not separable"),
    ],
)
def test_each_of_the_endings(shifts: list[float], tolerance: float, expected: Reason) -> None:
    drawn = arms(np.random.default_rng(2), shifts, examples=30)
    reason, count = sequential(at_looks(drawn, COUNTS), COUNTS, tolerance)
    assert reason == expected
    assert (count == COUNTS[-1]) == (expected == "not separable")


def energies_of(values: list[tuple[float, float]], p_values: list[list[float]]) -> RankEnergies:
    """Rank energies with half-widths."""
    totals = tuple(Estimate(value, value - half, value + half) for value, half in values)
    return RankEnergies(totals, np.asarray(p_values))


def test_only_what_is_not_ranked_must_be_precise() -> None:
    """Methods 1 and 0 are neighbors and alike; 2 is far off, and known badly."""
    values, p_values = [(0.2, 0.02), (0.19, 0.02), (0.9, 0.8)], [[1, 0.5, 0.001], [0.5, 1, 0.001], [0.001, 0.001, 1]]
    now = standing(energies_of(values, p_values), 0.05, 0.25, last=False)
    assert (now.order, now.undecided, now.reason) == ((1, 0, 2), ((1, 0),), "precise enough")
    values[0] = (0.2, 0.06)
    assert standing(energies_of(values, p_values), 0.05, 0.25, last=False).reason is None
    assert standing(energies_of(values, p_values), 0.05, 0.25, last=True).reason == "not separable"


def test_one_method_and_none() -> None:
    one = energies_of([(0.2, 0.02)], [[1]])
    assert standing(one, 0.05, 0.25, last=False).reason == "precise enough"
    assert standing(one, 0.05, 0.05, last=False).reason is None
    assert standing(RankEnergies((), np.ones((0, 0))), 0.05, 0.25, last=False).reason == "not separable"


def holm_by_hand(p_values: np.ndarray, level: float) -> np.ndarray:
    """Pair by pair, the smallest p-value first, until one is too large."""
    pairs = sorted((p_values[i, j], i, j) for i in range(len(p_values)) for j in range(i))
    differ = np.zeros(p_values.shape, dtype=bool)
    for done, (p, i, j) in enumerate(pairs):
        if p > level / (len(pairs) - done):
            break
        differ[i, j] = differ[j, i] = True
    return differ


def test_pairs_are_told_apart_as_by_hand() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        p_values = rng.random((4, 4)) ** 4
        p_values = np.triu(p_values, 1) + np.triu(p_values, 1).T + np.eye(4)
        np.testing.assert_array_equal(apart(p_values, 0.1), holm_by_hand(p_values, 0.1))


@pytest.mark.parametrize("originals", [1, 4])
def test_rank_energies_are_those_of_one_and_of_two(originals: int) -> None:
    drawn = arms(np.random.default_rng(4), [0.5, 0.7, 0.2], examples=6)[:, :16]
    origins = np.arange(16) % originals if originals > 1 else None
    several = rank_energies(list(drawn[:-1]), drawn[-1], origins=origins)
    for i in range(3):
        assert several.totals[i] == rank_energy(drawn[i], drawn[-1], origins=origins).total
        for j in set(range(3)) - {i}:
            p = several.p_values[i, j]
            for level, excluded in ((1 - p - 1e-6, True), (1 - p + 1e-6, False)):
                difference = rank_energy_difference(drawn[i], drawn[j], drawn[-1], level, origins=origins)
                assert (difference.low > 0 or difference.high < 0) == excluded
    assert several.p_values.diagonal().tolist() == [1, 1, 1]


def test_a_method_does_not_differ_from_itself() -> None:
    drawn = arms(np.random.default_rng(5), [0.5], examples=6)[:, :16]
    assert rank_energies([drawn[0], drawn[0]], drawn[1]).p_values.tolist() == [[1, 1], [1, 1]]


def test_looks_grow_in_whole_steps_to_the_most() -> None:
    assert looks(128, 1) == [16, 24, 32, 48, 64, 96, 128]
    assert looks(128, 16) == [16, 32, 48, 64, 96, 128]
    assert looks(50, 8) == [16, 24, 32, 48]
    assert looks(300, 50) == [50, 100, 150, 250, 300]
    assert looks(8, 8) == [8]
    assert sum(spent(looks(300, 50), look) for look in range(5)) == pytest.approx(0.05)
    with pytest.raises(InputError, match=r"At most 12 models, added 16 at a time.*at least 16"):
        looks(12, 16)
    with pytest.raises(InputError, match="allow at least 9"):
        looks(7, 3)
