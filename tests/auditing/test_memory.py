"""Memory left against loops, stored values of real networks, and simulations of which the truth is known.

The slow tests repeat the size with more draws: `python -m pytest tests/auditing/test_memory.py -m slow`.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom
from scipy.stats import t as student

from tests.auditing.slow_memory import share_at_least_first, slow, slow_bag
from untrain.auditing import Memory, memory, memory_of_method
from untrain.core.levels import ALPHA, FEWEST_MODELS
from untrain.errors import InputError

Array = npt.NDArray[np.float64]
Law = Callable[[np.random.Generator, tuple[int, int]], Array]

GOLDEN = np.load(Path(__file__).with_name("memory_digits.npz"))
METHODS = sorted(key.removeprefix("models/") for key in GOLDEN if key.startswith("models/"))


def correlated(correlation: float, freedom: float = np.inf) -> Law:
    def draw(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
        common, alone = generator.normal(size=(shape[0], 1)), generator.normal(size=shape)
        scale = 1.0 if np.isinf(freedom) else np.sqrt(generator.chisquare(freedom, (shape[0], 1)) / freedom)
        result: Array = (correlation**0.5 * common + (1 - correlation) ** 0.5 * alone) / scale
        return result

    return draw


def mixture(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """One model in ten is far from the others."""
    return generator.normal(size=shape) + 4 * (generator.random((shape[0], 1)) < 0.1)


def unequal(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Examples differ in spread by a factor of up to a thousand, and models by up to three."""
    return generator.normal(size=shape) * np.logspace(-1, 2, shape[1]) * generator.uniform(1, 3, (shape[0], 1))


LAWS: dict[str, Law] = {
    "normal": lambda g, shape: g.normal(size=shape),
    "student 3": lambda g, shape: g.standard_t(3, shape),
    "Cauchy": lambda g, shape: g.standard_cauchy(shape),
    "exponential": lambda g, shape: g.exponential(size=shape),
    "lognormal": lambda g, shape: g.lognormal(size=shape),
    "saturated": lambda g, shape: np.minimum(g.normal(size=shape), -0.5),
    "rounded": lambda g, shape: g.normal(size=shape).round(),
    "two values": lambda g, shape: (g.random(shape) < 0.3).astype(float),
    "mixture": mixture,
    "unequal": unequal,
    "correlated .5": correlated(0.5),
    "correlated .9": correlated(0.9),
    "correlated .5, student 3": correlated(0.5, freedom=3),
}


def values(result: Memory) -> Array:
    """All numbers of a result."""
    head = [result.left.value, result.left.low, result.left.high, result.different]
    p_values = [result.p_value, result.different_p_value, result.original_p_value, result.trace_p_value]
    return np.array([*head, *p_values, *result.retrained])


def arms(seed: int, models: int, examples: int) -> tuple[Array, Array, Array]:
    """A delivered model, retrained ones, and the original."""
    generator = np.random.default_rng(seed)
    drawn = correlated(0.3)(generator, (models + 1, examples))
    return drawn[0], drawn[1:], drawn.mean(axis=0) + generator.normal(1, 1, examples)


# Against other computations


@pytest.mark.parametrize("method", METHODS)
def test_equals_what_is_stored_of_real_networks(method: str) -> None:
    for i, model in enumerate(GOLDEN[f"models/{method}"]):
        result = memory(model, GOLDEN["retrained"], GOLDEN["original"])
        assert result.left.value == pytest.approx(GOLDEN[f"whitened/memory/{method}"][i], abs=1e-9)
        assert result.p_value == pytest.approx(GOLDEN[f"whitened/p/{method}"][i], abs=1e-12)
        assert result.different == pytest.approx(GOLDEN[f"otherwise/{method}"][i], abs=1e-9)
        assert result.different_p_value == pytest.approx(GOLDEN[f"otherwise/p/{method}"][i], abs=1e-12)


def test_the_definition_without_whitening_is_near() -> None:
    """The stored values of the simpler definition, and of the slow one that is tested here."""
    for method in METHODS:
        for i, model in enumerate(GOLDEN[f"models/{method}"]):
            by_loops = slow(model, GOLDEN["retrained"], GOLDEN["original"])
            stored = GOLDEN[f"diagonal/memory/{method}"][i]
            assert by_loops.diagonal_memory == pytest.approx(stored, abs=1e-9)
            assert by_loops.memory == pytest.approx(stored, abs=0.06)


@pytest.mark.parametrize(
    ("models", "examples"), [(3, 1), (4, 2), (4, 30), (19, 1), (19, 7), (19, 60), (24, 24), (39, 3)]
)
@pytest.mark.parametrize("law", ["normal", "correlated .9", "lognormal", "unequal"])
def test_equals_loops(models: int, examples: int, law: str) -> None:
    generator = np.random.default_rng(models * examples)
    drawn = LAWS[law](generator, (models + 1, examples))
    delivered, retrained = drawn[0], drawn[1:]
    original = retrained.mean(axis=0) + generator.normal(1, 1, examples)
    result = memory(delivered, retrained, original)
    alone = slow(delivered, retrained, original)
    bag, unchanged = slow_bag(delivered, retrained, original), slow_bag(original, retrained, original)
    assert result.left.value == pytest.approx(alone.memory, rel=1e-9, abs=1e-9)
    assert result.different == pytest.approx(alone.distance, rel=1e-9)
    assert result.p_value == share_at_least_first([one.memory for one in bag])
    assert result.different_p_value == share_at_least_first([one.distance for one in bag])
    assert result.original_p_value == share_at_least_first([one.memory for one in unchanged])
    assert result.trace_p_value == share_at_least_first([one.rise for one in unchanged])
    among = [slow(retrained[j], np.delete(retrained, j, axis=0), original).memory for j in range(models)]
    np.testing.assert_allclose(result.retrained, among, rtol=1e-8, atol=1e-9)
    assert result.left.low == pytest.approx(alone.memory - max(among), rel=1e-8, abs=1e-9)
    assert result.left.high == pytest.approx(alone.memory - min(among), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(("models", "level", "rank", "reached"), [
    (19, 0.95, 1, 0.9), (39, 0.95, 1, 0.95), (59, 0.9, 3, 0.9), (79, 0.95, 2, 0.95), (59, 0.95, 1, 1 - 2 / 60),
])  # fmt: skip
def test_interval_takes_the_ranks_that_it_names(models: int, level: float, rank: int, reached: float) -> None:
    result = memory(*arms(0, models, 6), level=level)
    among = sorted(result.retrained)
    assert result.left.value - result.left.low == pytest.approx(among[-rank])
    assert result.left.high - result.left.value == pytest.approx(-among[rank - 1])
    assert result.level == pytest.approx(reached)


def test_examples_without_end_are_computed_in_blocks_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = memory(*arms(1, 12, 40))
    monkeypatch.setattr(importlib.import_module("untrain.auditing.memory"), "_BLOCK", 2000)
    np.testing.assert_allclose(values(memory(*arms(1, 12, 40))), values(expected), atol=1e-12)


# The scale


def test_retrained_models_lie_at_0_and_the_original_at_1() -> None:
    _, retrained, original = arms(2, 19, 30)
    assert memory(original, retrained, original).left.value == pytest.approx(1)
    assert memory(retrained.mean(axis=0), retrained, original).left.value == pytest.approx(0, abs=1e-12)
    far = memory(2 * retrained.mean(axis=0) - original, retrained, original)
    assert far.left.value == pytest.approx(-1)
    assert far.p_value == 1


def test_memory_grows_in_proportion_to_the_share_moved() -> None:
    delivered, retrained, original = arms(3, 19, 30)
    moved = [memory(delivered + m * (original - delivered), retrained, original) for m in np.linspace(0, 1, 11)]
    left = [result.left.value for result in moved]
    np.testing.assert_allclose(left, np.linspace(left[0], 1, 11), atol=1e-9)
    p_values = [result.p_value for result in moved]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[-1] == 1 / 20


@pytest.mark.parametrize("examples", [1, 5, 60])
def test_does_not_depend_on_units_or_order(examples: int) -> None:
    delivered, retrained, original = arms(4, 19, examples)
    expected, generator = values(memory(delivered, retrained, original)), np.random.default_rng(0)
    for a, b in ((2.5, -7.0), (1e-6, 0.0), (1.0, 1e4)):
        other = memory(a * delivered + b, a * retrained + b, a * original + b)
        np.testing.assert_allclose(values(other), expected, rtol=1e-7, atol=1e-7)
    order = generator.permutation(examples)
    other = memory(delivered[order], retrained[:, order], original[order])
    np.testing.assert_allclose(values(other), expected, rtol=1e-8, atol=1e-8)
    order = generator.permutation(19)
    other = memory(delivered, retrained[order], original)
    np.testing.assert_allclose(values(other)[:8], expected[:8], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(other.retrained, np.array(memory(delivered, retrained, original).retrained)[order])


def test_copies_of_the_examples_change_little_and_the_distance_not_at_all() -> None:
    """Shrinkage sees how many examples there are; that they repeat, the covariance sees."""
    delivered, retrained, original = arms(5, 39, 20)
    once = memory(delivered, retrained, original)
    thrice = memory(np.tile(delivered, 3), np.tile(retrained, 3), np.tile(original, 3))
    assert thrice.different == pytest.approx(once.different)
    assert thrice.left.value == pytest.approx(once.left.value, abs=0.1)
    assert thrice.p_value == pytest.approx(once.p_value, abs=0.1)


# What cannot be measured, or hardly


@pytest.mark.parametrize("constant", [3, 7])
def test_examples_that_never_vary_count_by_the_spread_of_the_others(constant: int) -> None:
    delivered, retrained, original = arms(6, 19, 9)
    retrained[:, :constant] = 0.5
    result = memory(delivered, retrained, original)
    assert result.left.value == pytest.approx(slow(delivered, retrained, original).memory, abs=1e-9)
    assert result.p_value == share_at_least_first([s.memory for s in slow_bag(delivered, retrained, original)])
    assert np.isfinite(values(result)).all()


def test_where_no_example_varies_the_plain_distance_counts() -> None:
    delivered, _, original = arms(6, 19, 9)
    retrained = np.full((19, 9), 0.1)
    result = memory(delivered, retrained, original)
    step = original - 0.1
    assert result.left.value == pytest.approx(step @ (delivered - 0.1) / (step @ step))
    assert result.different == pytest.approx(((delivered - 0.1) ** 2).mean())
    assert np.isfinite(values(result)).all()
    unchanged = memory(retrained[0], retrained, original)
    assert (unchanged.left.value, unchanged.p_value, unchanged.different_p_value) == (0, 1, 1)


def test_an_original_like_the_mean_of_retrained_models_has_no_memory_to_lose() -> None:
    delivered, retrained, _ = arms(7, 19, 30)
    result = memory(delivered + 5, retrained, retrained.mean(axis=0))
    assert result.left.value == 0
    assert np.isfinite(values(result)).all()
    assert result.trace_p_value > ALPHA


def test_equal_models_are_not_told_apart_by_rounding() -> None:
    """Sums in another order differ in the last digits, which must not decide between > and >=."""
    generator = np.random.default_rng(8)
    original = generator.normal(5, 1, 40)
    for _ in range(20):
        kinds = generator.normal(size=(3, 40)) / 3
        retrained = kinds[np.arange(19) % 3]
        result = memory(kinds[0], retrained, original)
        equal = 1 + (np.arange(19) % 3 == 0).sum()
        assert min(result.p_value, result.different_p_value) >= equal / 20
    same = memory(kinds[0], np.tile(kinds[0], (19, 1)), original)
    assert same.p_value == same.different_p_value == 1


def test_few_models_are_compared_but_cannot_be_told_apart() -> None:
    for models in (3, 8, FEWEST_MODELS - 1):
        _, retrained, original = arms(9, models, 30)
        assert memory(original + 9, retrained, original).p_value == 1 / (models + 1) > ALPHA
    _, retrained, original = arms(9, FEWEST_MODELS, 30)
    assert memory(original + 9, retrained, original).p_value <= ALPHA


ONE = np.zeros(3)
MANY = np.random.default_rng(0).normal(size=(19, 3))


@pytest.mark.parametrize(
    ("delivered", "retrained", "original", "message"),
    [
        (np.zeros(4), MANY, ONE, r"delivered model must have the shape \(3,\).*got \(4,\)"),
        (ONE, MANY, np.zeros((1, 3)), r"original model must have the shape \(3,\).*got \(1, 3\)"),
        (ONE, MANY[0], ONE, r"retrained models must have the shape \[models, examples\], got \(3,\)"),
        (np.zeros(0), np.zeros((19, 0)), np.zeros(0), r"got \(19, 0\)"),
        (ONE, MANY[:2], ONE, "at least 3 retrained models, got 2"),
        (ONE, np.where(MANY > 1, np.nan, MANY), ONE, "retrained.*NaN or infinite"),
        (ONE + np.inf, MANY, ONE, "delivered.*NaN or infinite"),
        (ONE, MANY, ONE * np.nan, "original.*NaN or infinite"),
    ],
)
def test_wrong_input_is_refused(delivered: Array, retrained: Array, original: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        memory(delivered, retrained, original)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_wrong_levels_are_refused(level: float) -> None:
    with pytest.raises(InputError, match="level"):
        memory(ONE, MANY, ONE, level=level)
    with pytest.raises(InputError, match="level"):
        memory_of_method(MANY, MANY, ONE, level=level)


# Size and power


def highest(rate: float, draws: int) -> float:
    """The share of rejections that an exact test exceeds once in ten thousand such tests."""
    return float(binom.isf(1e-4, draws, rate)) / draws


def null_p_values(law: str, models: int, examples: int, draws: int, seed: int = 0) -> Array:
    """`[draws, 3]` p-values of memory and difference of one more retrained model, and of the trace of one."""
    generator, p_values = np.random.default_rng(seed), []
    for _ in range(draws):
        drawn = LAWS[law](generator, (models + 2, examples))
        result = memory(drawn[0], drawn[1:-1], drawn[-1])
        p_values.append((result.p_value, result.different_p_value, result.trace_p_value))
    return np.array(p_values)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("models", "examples", "draws"), [(19, 12, 150), (19, 2, 150), (39, 30, 60)])
def test_retrained_models_are_told_apart_no_more_often_than_stated(
    law: str, models: int, examples: int, draws: int
) -> None:
    p_values = null_p_values(law, models, examples, draws)
    for alpha in (0.05, 0.2, 0.5):
        assert ((p_values <= alpha + 1e-9).mean(axis=0) <= highest(alpha, draws)).all()


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("models", "examples"), [(19, 1), (19, 7), (19, 120), (24, 30), (39, 30)])
def test_retrained_models_are_told_apart_no_more_often_than_stated_in_many_draws(
    law: str, models: int, examples: int
) -> None:
    draws = 2000
    p_values = null_p_values(law, models, examples, draws)
    for alpha in (0.05, 0.1, 0.2, 0.5):
        assert ((p_values <= alpha + 1e-9).mean(axis=0) <= highest(alpha, draws)).all()


def power(law: Law, models: int, examples: int, shift: float, draws: int = 60) -> tuple[float, float]:
    """Share of draws in which an unchanged original, `shift` away, is told apart, and in which its trace is seen."""
    generator, seen = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = law(generator, (models + 1, examples))
        result = memory(drawn[0] + shift, drawn[1:], drawn[0] + shift)
        assert result.original_p_value == result.p_value
        seen.append((result.original_p_value <= ALPHA, result.trace_p_value <= ALPHA))
    told_apart, traced = np.mean(seen, axis=0).tolist()
    return told_apart, traced


@pytest.mark.parametrize(
    ("law", "models", "examples", "shift", "least", "least_traced"),
    [
        ("normal", 19, 30, 1.5, 0.99, 0.99),
        ("normal", 19, 120, 0.5, 0.99, 0.95),
        ("correlated .5", 19, 30, 1.5, 0.95, 0.4),
        ("correlated .5", 39, 100, 1.5, 0.99, 0.4),
        ("student 3", 19, 30, 1.5, 0.95, 0.9),
        ("exponential", 19, 30, 1.5, 0.95, 0.9),
    ],
)
def test_the_unchanged_original_is_told_apart(
    law: str, models: int, examples: int, shift: float, least: float, least_traced: float
) -> None:
    told_apart, traced = power(LAWS[law], models, examples, shift)
    assert told_apart >= least
    assert traced >= least_traced


def test_only_the_trace_says_that_an_original_saw_the_examples() -> None:
    """An original that never saw them is told apart by its own direction, in the test that measures power."""
    told_apart, traced = power(LAWS["normal"], 19, 60, shift=0, draws=100)
    assert told_apart > 0.9
    assert traced <= highest(ALPHA, 100)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda model, original: 0.3 * model, id="uniform outputs"),
        pytest.param(lambda model, original: model - 3 * np.resize([1, -1], 30), id="under-trained"),
        pytest.param(lambda model, original: model - 1.5 * original, id="forgot too much"),
    ],
)
def test_what_differs_otherwise_is_different_and_not_remembered(change: Callable[[Array, Array], Array]) -> None:
    generator, remembered, different = np.random.default_rng(0), [], []
    for _ in range(40):
        drawn = 6 + generator.normal(size=(20, 30))
        original = 7.5 + generator.normal(size=30)
        result = memory(change(drawn[0], original), drawn[1:], original)
        remembered.append(result.p_value <= ALPHA)
        different.append(result.different_p_value <= ALPHA)
    assert np.mean(remembered) <= highest(ALPHA, 40)
    assert np.mean(different) > 0.95


# Intervals


def coverage(law: str, models: int, share: float, draws: int) -> float:
    """Share of intervals that hold the true memory left of a retrained model that was moved by `share`."""
    generator, held = np.random.default_rng(1), []
    for _ in range(draws):
        drawn = LAWS[law](generator, (models + 2, 30))
        original = drawn[-1] + 1.5  # the laws that are used here have a mean of 0
        left = memory(drawn[0] + share * original, drawn[1:-1], original).left
        held.append(left.low <= share <= left.high)
    return float(np.mean(held))


@pytest.mark.parametrize("law", ["normal", "student 3", "correlated .5"])
@pytest.mark.parametrize(("models", "level", "share"), [(19, 0.9, 0), (19, 0.9, 0.5), (39, 0.95, 0.5)])
def test_intervals_hold_the_truth(law: str, models: int, level: float, share: float) -> None:
    assert coverage(law, models, share, draws=100) >= level - 0.08


# A method, by many models


def test_the_mean_over_a_methods_models_is_that_of_the_single_ones() -> None:
    generator = np.random.default_rng(0)
    unlearned, retrained = generator.normal(size=(2, 19, 30))
    unlearned = np.vstack([unlearned[:5], unlearned[5:10] + 3, unlearned[10:] * 4])
    original = generator.normal(2, 1, 30)
    result = memory_of_method(unlearned, retrained, original)
    single = [memory(model, retrained, original) for model in unlearned]
    assert result.left.value == pytest.approx(np.mean([one.left.value for one in single]))
    assert result.told_apart.value == np.mean([one.p_value <= ALPHA for one in single])
    assert result.told_different.value == np.mean([one.different_p_value <= ALPHA for one in single])
    assert 0 < result.told_apart.low < result.told_apart.value < result.told_apart.high < 1
    assert (result.unlearned, result.models, result.examples) == (19, 19, 30)


def slow_half_width(unlearned: Array, retrained: Array, originals: Array, origins: list[int], degrees: int) -> float:
    """Delete-one jackknife by its definition, each mean memory computed anew; groups of one original if several."""

    def mean(models: list[int], reference: Array) -> float:
        return float(np.mean([slow(unlearned[i], reference, originals[origins[i]]).memory for i in models]))

    everyone = list(range(len(unlearned)))
    groups = [[i] for i in everyone]
    if len(set(origins)) > 1:
        groups = [[i for i in everyone if origins[i] == k] for k in sorted(set(origins))]
    by_model = [mean([i for i in everyone if i not in group], retrained) for group in groups]
    by_reference = [mean(everyone, np.delete(retrained, j, axis=0)) for j in range(len(retrained))]
    variance = sum((len(values) - 1) * np.var(values) for values in (by_model, by_reference))
    return float(student.ppf(0.975, degrees) * variance**0.5)


@pytest.mark.parametrize(("origins", "degrees"), [(None, 5), ([0, 0, 0, 1, 1, 2], 2), ([1, 1, 1, 1, 1, 1], 5)])
def test_the_interval_of_a_method_is_the_jackknife_of_both_arms(origins: list[int] | None, degrees: int) -> None:
    generator = np.random.default_rng(0)
    unlearned, retrained = generator.normal(size=(6, 8)), generator.normal(size=(11, 8))
    originals = generator.normal(2, 1, (3, 8))
    result = memory_of_method(unlearned, retrained, originals[0] if origins is None else originals, origins=origins)
    half = slow_half_width(unlearned, retrained, originals, origins or [0] * 6, degrees)
    assert result.left.high - result.left.value == pytest.approx(half)
    assert result.left.value - result.left.low == pytest.approx(half)


@pytest.mark.parametrize("law", ["normal", "student 3", "correlated .5"])
@pytest.mark.parametrize(("unlearned", "models"), [(4, 19), pytest.param(24, 32, marks=pytest.mark.slow)])
def test_intervals_of_a_method_hold_the_truth(law: str, unlearned: int, models: int) -> None:
    generator, held = np.random.default_rng(1), []
    for _ in range(60):
        drawn = LAWS[law](generator, (unlearned + models + 1, 20))
        original = drawn[-1] + 1.5
        left = memory_of_method(drawn[:unlearned] + 0.3 * original, drawn[unlearned:-1], original).left
        held.append(left.low <= 0.3 <= left.high)
    assert np.mean(held) >= 0.86


def test_intervals_hold_for_further_originals() -> None:
    """Originals differ in what the method leaves. An interval that takes their models for independent is too narrow."""
    generator, held, naive = np.random.default_rng(5), [], []
    origins = np.arange(20) % 5
    for _ in range(80):
        originals = generator.normal(size=(5, 20)) + 1.5
        left_of = 0.3 + generator.normal(scale=0.2, size=5)
        unlearned = generator.normal(size=(20, 20)) + left_of[origins, None] * originals[origins]
        result = memory_of_method(unlearned, generator.normal(size=(19, 20)), originals, origins=origins)
        held.append(result.left.low <= 0.3 <= result.left.high)
        assert result.spread.within is not None
        assert result.spread.between is not None
        deviation = np.hypot(result.spread.within, result.spread.between)
        naive.append(abs(result.left.value - 0.3) <= student.ppf(0.975, 19) * deviation / 20**0.5)
    assert np.mean(held) >= 0.88
    assert np.mean(naive) < 0.85


@pytest.mark.parametrize(
    ("original", "origins", "message"),
    [
        (MANY[:2], None, "pass `origins`"),
        (MANY[:2], [0] * 18, "19 whole numbers from 0 to 1"),
        (MANY[:2], [2] * 19, "19 whole numbers from 0 to 1"),
        (MANY[:2], [0.0] * 19, "19 whole numbers from 0 to 1"),
        (np.zeros((2, 4)), [0] * 19, r"shape \[models, 3\], got \(2, 4\)"),
    ],
)
def test_originals_that_do_not_fit_are_refused(original: Array, origins: list[int] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        memory_of_method(MANY, MANY, original, origins=origins)


def test_one_model_of_a_method_is_too_few() -> None:
    with pytest.raises(InputError, match="at least 2 unlearned models, got 1"):
        memory_of_method(MANY[:1], MANY, ONE)


# As a value


def test_results_are_stored_and_read_back_and_print_in_a_line() -> None:
    result = memory(*arms(10, 19, 30))
    assert msgspec.json.decode(msgspec.json.encode(result), type=Memory) == result
    for shown in (str(result), repr(result), repr(memory_of_method(MANY, MANY, ONE))):
        assert len(shown) < 250
        assert "memory left" in shown
