"""How far unlearned models are from retrained ones, in a number that does not depend on how many there are.

For one forget example let F be the distribution of its confidence under unlearned models, G that under retrained
ones, and H their average. Replace each confidence by its rank under H. The *rank energy* is the energy distance of
the two arms' ranks,

    2 E d(U, R) - E d(U, U') - E d(R, R')    with d the difference of two ranks,

which is `2 * integral of (F - G)^2 dH`: 0 if and only if the arms agree, 2/3 when nothing overlaps. (Between arms
that do not overlap it is 5/6 if the confidences of one do not vary, and 1 if neither's do.) Normal confidences that
are 0.5, 1 and 2 standard deviations apart have 0.044, 0.160 and 0.444. d of two confidences is the chance that a
third lies between them, so the distance is a mean over triples of different models, hence unbiased: no example is far
from itself, and N moves the interval, not the value.

Rank energy sees little of a difference in width alone. The *folded* one is the rank energy of `|rank - 1/2|`, how far
a confidence is from the middle of both arms; their sum, `total`, is the number to rank methods by. Where the fold
lies is estimated from the same models, which biases the plug-in by about `-0.5 / N` at worst; the jackknife takes
that out. Exchangeable arms have expectation exactly zero, in every one of the three.

Intervals are about models like these on these very examples: the delete-group jackknife leaves out an eighth of the
models of either arm at a time and uses Student's t. In simulations of normal, Student t5 and correlated confidences
with 8 to 64 models an arm, nominal 95 % intervals held the truth in 92 to 98 % of the draws, also where the examples
of a model moved nearly as one. If all unlearned models come from one original, as in the competition, intervals say
nothing of other originals. If they come from several (`origins`), the jackknife leaves out one original with all of
its models at a time, instead of an eighth of the unlearned models, and the degrees of freedom are Satterthwaite's. The
value is then that of the mixture: of a model drawn from all of these unlearned models.

Sources: Szekely and Rizzo (2013), "Energy statistics: A class of statistics based on distances"; Anderson (1962), "On
the distribution of the two-sample Cramer-von Mises criterion"; Ansari and Bradley (1960), "Rank-sum tests for
dispersions" (the fold); Kott (2001), "The delete-a-group jackknife"; Busing, Meijer and van der Leeden (1999),
"Delete-m jackknife for unequal m"; Satterthwaite (1946), "An approximate distribution of estimates of variance
components".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from untrain.auditing.arms import Array, check_level, two_arms
from untrain.core.estimate import Estimate
from untrain.errors import InputError

_STILL = 1e-3
"""Models whose spread is below this share of that of retrained models do not vary."""

GROUPS = 8
"""Groups of models that the jackknife makes of each arm, and the fewest models an arm can have."""

_BLOCK = 1 << 14

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RankEnergy:
    """Distance between unlearned and retrained models, and what is needed to read it.

    Attributes:
        total: mean over the examples of rank energy plus folded rank energy, without unit; rank methods by it.
            Unbiased, so it can lie below 0 where the truth is near 0.
        energy: the mean rank energy alone, 0 to 2/3, or to 1 where an arm does not vary.
        folded: the mean folded rank energy alone, in the same unit: what is left when the middles coincide.
        energy_of_examples: `[S]`, rank energy of each example.
        folded_of_examples: `[S]`, folded rank energy of each example.
        design_effect: variance of `total` over what it would be if the examples were independent, from 1 (they
            are) to S (they all move together). Where it is large, more models help and more examples do not.
        models: N, the number of models in each arm.
    """

    total: Estimate
    energy: Estimate
    folded: Estimate
    energy_of_examples: Array = field(repr=False)
    folded_of_examples: Array = field(repr=False)
    design_effect: float
    models: int


def varies(unlearned: Array, retrained: Array, origins: npt.ArrayLike | None = None) -> bool:
    """Whether the models of a method differ from each other, without which their rank energy means nothing.

    Args:
        unlearned: `[N, S]` confidences of S forget examples under N unlearned models.
        retrained: `[N, S]`, under N models that never saw them.
        origins: `[N]`, which original each unlearned model comes from; those of one original must differ. Default one.
    """
    usual = float(np.std(retrained, axis=0).mean())
    starts = np.zeros(len(unlearned), dtype=np.intp) if origins is None else np.asarray(origins)
    spreads = [float(np.std(unlearned[starts == start], axis=0).mean()) for start in np.unique(starts)]
    return max(spreads) > _STILL * usual


def rank_energy(
    unlearned: npt.ArrayLike,
    retrained: npt.ArrayLike,
    level: float = 0.95,
    *,
    origins: npt.ArrayLike | None = None,
) -> RankEnergy:
    """Rank energy distance of unlearned from retrained models.

    The values do not change under any permutation of models or of examples, under a swap of the arms, or under any
    strictly monotone map of an example's confidences; ties count half. The ends of the intervals depend on the
    order of the models, of which every eighth makes a group.

    Args:
        unlearned: `[N, S]` confidences of S forget examples under N unlearned models.
        retrained: `[N, S]`, under N models that never saw them.
        level: of the intervals.
        origins: `[N]`, which original each unlearned model comes from, at least two of them; default one for all.

    Returns:
        A `RankEnergy`.

    Raises:
        InputError: the shapes differ, N is below 8, S is 0, a confidence is not finite, the level is not between 0 and
            1, or `origins` does not fit.

    Cost: O(S N log N), fifty sorts of all confidences: 0.05 s for 100 examples at N = 64 and 2 s for 300 at N = 512
    on one core.

    >>> unlearned, retrained = np.random.default_rng(0).normal(size=(2, 64, 20))
    >>> bool(rank_energy(unlearned, retrained).total.low < 0 < rank_energy(unlearned + 1, retrained).total.low)
    True
    """
    u, r = two_arms(unlearned, retrained, GROUPS, "for the rank energy")
    check_level(level, "for the rank energy")
    jackknife = _jackknife(u, r, _groups(len(u), origins))
    examples = jackknife.corrected
    total = examples.sum(axis=0)
    energy, folded = (_interval(float(examples[k].mean()), jackknife.parts(k), level) for k in range(2))
    return RankEnergy(
        total=_interval(float(total.mean()), jackknife.parts(slice(None)), level),
        energy=energy,
        folded=folded,
        energy_of_examples=examples[0],
        folded_of_examples=examples[1],
        design_effect=jackknife.design_effect(),
        models=len(u),
    )


def rank_energy_difference(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    retrained: npt.ArrayLike,
    level: float = 0.95,
    *,
    origins: npt.ArrayLike | None = None,
) -> Estimate:
    """How much farther the first method's models are from the retrained ones than the second's.

    Both are compared with the same retrained models, whose luck moves both totals alike; the interval takes account of
    that, so it is narrower than the two methods' own intervals suggest.

    Args:
        first: `[N, S]` confidences of S forget examples under N models of one method.
        second: `[N, S]`, under N models of another.
        retrained: `[N, S]`, under N models that never saw them.
        level: of the interval.
        origins: `[N]`, which original the models of both methods come from, at least two of them; default one for all.

    Returns:
        Difference of the totals of `rank_energy`: above 0 the second method is closer to retraining.

    Raises:
        InputError: as `rank_energy`.

    Cost: that of two calls of `rank_energy`.

    >>> first, second, retrained = np.random.default_rng(0).normal(size=(3, 64, 20))
    >>> bool(rank_energy_difference(first + 1, second, retrained).low > 0)
    True
    """
    r = np.asarray(retrained, dtype=np.float64)
    check_level(level, "for a difference of rank energies")
    one, two = (_jackknife_of(arm, r, origins) for arm in (first, second))
    return _interval(*_difference(one, two, origins is None), level)


@dataclass(frozen=True, eq=False)
class RankEnergies:
    """Rank energies of M methods, compared with the same retrained models.

    Attributes:
        totals: of each method, with 95 % intervals.
        p_values: `[M, M]`, two-sided, of the paired differences; 1 on the diagonal.
    """

    totals: tuple[Estimate, ...]
    p_values: Array


def rank_energies(
    arms: Sequence[npt.ArrayLike], retrained: npt.ArrayLike, *, origins: npt.ArrayLike | None = None
) -> RankEnergies:
    """Rank energies of several methods, and whether they differ by more than chance.

    Args:
        arms: for each method `[N, S]` confidences of S forget examples under N of its models.
        retrained: `[N, S]`, under N models that never saw them.
        origins: `[N]`, which original the models of every method come from, at least two of them; default one for all.

    Returns:
        Totals as those of `rank_energy`; p-values of Student's t of `rank_energy_difference`, below .05 where its 95 %
        interval excludes 0.

    Raises:
        InputError: as `rank_energy`.

    Cost: that of `rank_energy` for each method; the pairs add little.

    >>> first, second, retrained = np.random.default_rng(0).normal(size=(3, 64, 20))
    >>> rank_energies([first + 1, second], retrained).p_values.round(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    r = np.asarray(retrained, dtype=np.float64)
    estimates = [_jackknife_of(arm, r, origins) for arm in arms]
    p_values = np.ones((len(arms), len(arms)))
    for i, j in combinations(range(len(arms)), 2):
        p_values[i, j] = p_values[j, i] = _p_value(*_difference(estimates[i], estimates[j], origins is None))
    totals = (_interval(float(e.corrected.sum(axis=0).mean()), e.parts(slice(None)), 0.95) for e in estimates)
    return RankEnergies(tuple(totals), p_values)


def _jackknife_of(unlearned: npt.ArrayLike, retrained: Array, origins: npt.ArrayLike | None) -> "_Jackknife":
    u, r = two_arms(unlearned, retrained, GROUPS, "for a difference of rank energies")
    return _jackknife(u, r, _groups(len(r), origins))


def _difference(one: "_Jackknife", two: "_Jackknife", one_original: bool) -> tuple[float, tuple[Array, ...]]:
    """The paired difference of two totals, and the deviations of what took part in it."""
    (one_own, one_shared), (two_own, two_shared) = one.parts(slice(None)), two.parts(slice(None))
    value = float((one.corrected - two.corrected).sum(axis=0).mean())
    # Originals are shared by both methods, as the retrained models are.
    own = (one_own, two_own) if one_original else (one_own - two_own,)
    return value, (*own, one_shared - two_shared)


def _groups(models: int, origins: npt.ArrayLike | None) -> Counts:
    """`[N]`: the group of the jackknife that each unlearned model is in."""
    if origins is None:
        groups: Counts = np.arange(models) % GROUPS
        return groups
    starts = np.asarray(origins)
    groups = np.unique(starts, return_inverse=True)[1]
    if starts.shape != (models,) or groups.max() == 0:
        raise InputError(f"`origins` must name at least two originals, one for each of the {models} unlearned models.")
    return groups


@dataclass(frozen=True, eq=False)
class _Jackknife:
    """The estimates, and the pseudo-values of the jackknife as deviations from their mean, scaled to a variance.

    Attributes:
        corrected: `[2, S]` rank energy and folded rank energy of each example, unbiased.
        deviations: one array `[G, 2, S]` for each arm, G its number of groups; the sum of squares over its first axis
            is the arm's share of the variance.
    """

    corrected: Array
    deviations: tuple[Array, Array]

    def parts(self, kind: int | slice) -> tuple[Array, Array]:
        """For each arm `[G]`, deviations of the mean over examples of one kind of energy, or of the sum of both."""
        unlearned, retrained = (
            deviations[:, kind].reshape(len(deviations), -1, self.corrected.shape[1]).sum(axis=1).mean(axis=1)
            for deviations in self.deviations
        )
        return unlearned, retrained

    def design_effect(self) -> float:
        examples = self.corrected.shape[1]
        together = sum((part**2).sum() for part in self.parts(slice(None)))
        alone = sum((deviations.sum(axis=1) ** 2).sum() for deviations in self.deviations) / examples**2
        return float(together / alone) if alone > 0 else 1.0


def _interval(value: float, parts: tuple[Array, ...], level: float) -> Estimate:
    """Student's t interval from the `[G]` deviations of each arm that took part."""
    variance, degrees = _variance(parts)
    half = float(stdtrit(degrees, (1 + level) / 2)) * variance**0.5
    return Estimate(value, value - half, value + half)


def _p_value(value: float, parts: tuple[Array, ...]) -> float:
    """Two-sided p-value of Student's t that the value is 0."""
    variance, degrees = _variance(parts)
    if variance == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stdtr(degrees, -abs(value) / variance**0.5))


def _variance(parts: tuple[Array, ...]) -> tuple[float, float]:
    """The variance of an estimate and its degrees of freedom, from the deviations of each arm that took part."""
    variances = [float((part**2).sum()) for part in parts]
    variance = sum(variances)
    degrees: float = len(parts) * (GROUPS - 1)
    if variance > 0 and any(len(part) != GROUPS for part in parts):
        degrees = variance**2 / sum(own**2 / (len(part) - 1) for own, part in zip(variances, parts, strict=True))
    return variance, degrees


def _jackknife(unlearned: Array, retrained: Array, groups: Counts) -> _Jackknife:
    """All estimates and replicates, some examples at a time to bound memory."""
    models, examples = unlearned.shape
    step = max(1, _BLOCK // (2 * models * (groups.max() + 1)))
    blocks = [
        _jackknife_block(unlearned[:, i : i + step].T, retrained[:, i : i + step].T, groups)
        for i in range(0, examples, step)
    ]
    return _Jackknife(
        np.concatenate([block.corrected for block in blocks], axis=1),
        (
            np.concatenate([block.deviations[0] for block in blocks], axis=2),
            np.concatenate([block.deviations[1] for block in blocks], axis=2),
        ),
    )


def _jackknife_block(u: Array, r: Array, groups: Counts) -> _Jackknife:
    """The jackknife of both arms `[S, N]`, of the unlearned one by `groups`.

    The fold's bias is taken out by removing a group of *both* arms at once: arms of equal size are exchangeable
    when their distributions agree, so that this keeps the expectation at zero, and removing from one arm does not.
    """
    models = u.shape[1]
    group = _groups(models, None)
    kept, own = ([of != g for g in range(of.max() + 1)] for of in (group, groups))
    scale, own_scale = (models / np.bincount(of) for of in (group, groups))
    everyone = np.ones(models, dtype=np.bool_)
    full = _energies(u, r)
    corrected = full.copy()
    corrected[1] = _pseudo_values(full[1], _replicates(u, r, [(k, k) for k in kept])[:, 1], scale).mean(axis=0)
    return _Jackknife(
        corrected,
        (
            _deviations(full, _replicates(u, r, [(k, everyone) for k in own]), own_scale),
            _deviations(full, _replicates(u, r, [(everyone, k) for k in kept]), scale),
        ),
    )


def _replicates(u: Array, r: Array, kept: list[tuple[Flags, Flags]]) -> Array:
    """`[G, 2, S]`: the energies of the models that are kept of each arm, arms of one size in one call."""
    sizes = [(int(of_u.sum()), int(of_r.sum())) for of_u, of_r in kept]
    energies = np.empty((len(kept), 2, len(u)))
    for size in set(sizes):
        alike = [position for position, other in enumerate(sizes) if other == size]
        together = _energies(*(np.concatenate([arm[:, kept[p][k]] for p in alike]) for k, arm in enumerate((u, r))))
        energies[alike] = together.reshape(2, len(alike), -1).swapaxes(0, 1)
    return energies


def _pseudo_values(full: Array, replicates: Array, scale: Array) -> Array:
    scale = scale.reshape(-1, *[1] * full.ndim)
    values: Array = scale * full - (scale - 1) * replicates
    return values


def _deviations(full: Array, replicates: Array, scale: Array) -> Array:
    values = _pseudo_values(full, replicates, scale)
    weight = np.sqrt(len(scale) * (scale - 1)).reshape(-1, *[1] * full.ndim)
    deviations: Array = (values - values.mean(axis=0)) / weight
    return deviations


def _energies(u: Array, r: Array) -> Array:
    """`[2, S]`: rank energy and plug-in folded rank energy of `[S, N]` unlearned and `[S, M]` retrained confidences."""
    ranks = _rank(u, r)
    return np.stack([_energy(ranks), _energy(_rank(*_fold(ranks)))])


@dataclass(frozen=True, eq=False)
class _Ranks:
    """Where the pooled confidences of each example stand in either arm; all arrays `[S, N + M]`, in sorted order.

    Attributes:
        in_u: the confidence is of an unlearned model.
        below_u: number of unlearned models below it.
        upto_u: number of unlearned models below or equal, itself included.
        below_r: likewise of the retrained ones.
        upto_r: likewise.
        u: N.
        r: M.
    """

    in_u: Flags
    below_u: Counts
    upto_u: Counts
    below_r: Counts
    upto_r: Counts
    u: int
    r: int


def _rank(u: Array, r: Array) -> _Ranks:
    pooled = np.concatenate([u, r], axis=1)
    order = np.argsort(pooled, axis=1)
    pooled = np.take_along_axis(pooled, order, axis=1)
    in_u = order < u.shape[1]
    first, end = _runs_of_ties(pooled)
    seen_u = np.zeros((len(pooled), pooled.shape[1] + 1), dtype=np.intp)
    np.cumsum(in_u, axis=1, out=seen_u[:, 1:])
    below_u, upto_u = (np.take_along_axis(seen_u, at, axis=1) for at in (first, end))
    return _Ranks(in_u, below_u, upto_u, first - below_u, end - upto_u, u.shape[1], r.shape[1])


def _runs_of_ties(ordered: Array) -> tuple[Counts, Counts]:
    """For each element the index of the first that equals it, and one past that of the last."""
    length = ordered.shape[1]
    starts = np.ones((len(ordered), length + 1), dtype=np.bool_)
    starts[:, 1:-1] = ordered[:, 1:] != ordered[:, :-1]
    index = np.arange(length)
    first = np.maximum.accumulate(np.where(starts[:, :-1], index, 0), axis=1)
    end = np.minimum.accumulate(np.where(starts[:, 1:], index + 1, length)[:, ::-1], axis=1)[:, ::-1]
    return first, end


def _energy(ranks: _Ranks) -> Array:
    """`[S]`: mean over third models z of the share of pairs that z separates, twice between less within the arms.

    A pair is separated by z if z lies strictly between, and half if one of the two equals z and the other does not.
    With x others below z, half of those equal to it included, of n others of an arm, t of them equal, it
    separates `x (n - x) - t^2 / 4` pairs of the arm.
    """
    in_u, in_r = ranks.in_u, ~ranks.in_u
    n, m = ranks.u - in_u, ranks.r - in_r
    x, y = (ranks.below_u + ranks.upto_u - in_u) / 2, (ranks.below_r + ranks.upto_r - in_r) / 2
    tied_x, tied_y = ranks.upto_u - ranks.below_u - in_u, ranks.upto_r - ranks.below_r - in_r
    within_u = (x * (n - x) - tied_x**2 / 4) / (n * (n - 1) / 2)
    within_r = (y * (m - y) - tied_y**2 / 4) / (m * (m - 1) / 2)
    between = (x * (m - y) + y * (n - x) - tied_x * tied_y / 2) / (n * m)
    apart = 2 * between - within_u - within_r
    mean: Array = ((apart * in_u).sum(axis=1) / ranks.u + (apart * in_r).sum(axis=1) / ranks.r) / 2
    return mean


def _fold(ranks: _Ranks) -> tuple[Array, Array]:
    """Both arms' `|rank - 1/2|`, either arm weighing alike, times 4 N M: whole numbers, so that ties are exact."""
    middle = 2 * ranks.u * ranks.r
    far = np.abs(ranks.r * (ranks.below_u + ranks.upto_u) + ranks.u * (ranks.below_r + ranks.upto_r) - middle)
    far = far.astype(np.float64)
    return far[ranks.in_u].reshape(-1, ranks.u), far[~ranks.in_u].reshape(-1, ranks.r)
