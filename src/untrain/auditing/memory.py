"""How much of the forgotten examples is left in one model, and whether it can be told from retrained models.

For a model m let c_m[s] be its confidence in forget example s (`untrain.auditing.confidence`), o[s] that of the
original, and let N retrained models have mean mu[s] and variance v[s]. With weights w,

    memory left = sum_s w[s] (c_m[s] - mu[s]) / sum_s w[s] (o[s] - mu[s]),

which is 0 on average for a retrained model and 1 for the original. It is linear: a model halfway between has 0.5.
Below 0 a model knows the examples less well than one that never saw them. The weights are the likelihood ratio's of
two normal distributions with one covariance, `w = Sigma^-1 (o - mu)`, so that examples on which retrained models vary,
and modes in which all examples move together, count little:

- v is the variance over models (one degree of freedom taken off) plus half its median over examples, which keeps
  examples that hardly vary from ruling the sum. Where more than half of the examples are constant, the mean stands for
  the median; where all are, v is 1.
- Sigma is Ledoit and Wolf's shrunk covariance of the confidences that were standardized by mu and v. Its inverse is
  applied in the N-dimensional span of the models, so the number of examples costs only linearly.

**The test.** Put the delivered model and the N retrained ones into one bag. For each member compute its memory left
with mu, v and Sigma from the other N. If the delivered model were one more retrained model, the N + 1 numbers would be
exchangeable given the original: each is the same function of its own model, of the set of the others, and of o. So

    p = share of the N + 1 numbers that are at least the delivered model's

is at most alpha with probability at most alpha, for every alpha, every distribution, any dependence between examples,
and any number of models. Ties count against a rejection, as do differences below 1e-9. The smallest p is 1 / (N + 1),
hence no model can be told apart at .05 by fewer than `FEWEST_MODELS` retrained ones. The same holds of the second
number, `different`: the mean over examples of `(c_m[s] - mu[s])^2 / v[s]`. It is large for every model that is unlike
retrained ones, in whatever way: one that is under-trained, gives uniform outputs, or has forgotten too much.

**The original.** Two numbers say what may be concluded. `original_p_value` is the power: the p-value that this very
test gives to the unchanged original. It is no evidence that the examples left a trace, because the direction of the
test is the original's own: an original that never saw the examples, put through its own test, is told apart as well
(in nearly all draws from 30 independent examples on). `trace_p_value` is that evidence. Its statistic, how many
standard deviations the whole forget set lies above the other members of the bag, does not know which member is the
original, so that its p-value is exact. Memory left is likeness to *this* original. Where the examples left no
trace, the likeness is to its random seed, not to the examples.

**The interval** of one model is its memory left minus the k-th highest and k-th lowest of the retrained models' own,
each computed from the other N - 1, with `k = floor((N + 1)(1 - level) / 2)`, but at least 1. It promises
`1 - 2 k / (N + 1)`, which is `Memory.level`: at most 90 % with 19 models, 95 % with 39. It takes the delivered model
for a retrained one that was moved towards the original.

Sources: Vovk, Gammerman, Shafer (2005), "Algorithmic Learning in a Random World" (the exact test); Carlini, Chien,
Nasr, Song, Terzis, Tramer (2022), "Membership Inference Attacks From First Principles" (the likelihood ratio); Ledoit,
Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices"; Efron, Stein (1981), "The
jackknife estimate of variance"; Clopper, Pearson (1934), "The use of confidence or fiducial limits illustrated in the
case of the binomial".
"""

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from untrain.auditing.arms import Array, check_level
from untrain.auditing.proportion import exact_interval
from untrain.auditing.spread import spread
from untrain.core.estimate import Estimate, Spread
from untrain.core.levels import ALPHA
from untrain.core.text import percent
from untrain.errors import InputError

_FEWEST = 3  # one left out, and two that have a variance
_LEAST_SHRINKAGE = 1e-6
_TIE = 1e-9
_BLOCK = 1 << 22


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left of the forget set in one model.

    Attributes:
        left: memory left, 0 for a retrained model and 1 for the original, with its interval.
        p_value: chance that a retrained model has as much memory left, or more; at least 1 / (N + 1).
        different: mean squared distance from retrained models in units of v, memory included; about 0.7 for a
            retrained model.
        different_p_value: chance that a retrained model is as different, or more.
        original_p_value: the p-value of the unchanged original in the same test. Where it is high, the test has no
            power, and a high `p_value` means nothing.
        trace_p_value: chance that a model that never saw the examples is as confident in them, relative to retrained
            models, as the original. Where it is high, no trace of the examples was seen in the original.
        retrained: N values, the memory left of each retrained model relative to the others.
        level: of the interval of `left`: the one asked for, or the nearest that N models allow.
        models: N, the number of retrained models.
        examples: S, the number of forget examples.
    """

    left: Estimate
    p_value: float
    different: float
    different_p_value: float
    original_p_value: float
    trace_p_value: float
    retrained: tuple[float, ...]
    level: float
    models: int
    examples: int

    def __str__(self) -> str:
        return (
            f"memory left {self.left:.2f} at {percent(self.level, 0)}, p = {self.p_value:.3f}; "
            f"different {self.different:.2f}, p = {self.different_p_value:.3f}; "
            f"original p = {self.original_p_value:.3f}, trace p = {self.trace_p_value:.3f}; "
            f"{self.models} retrained models, {self.examples} examples"
        )

    __repr__ = __str__


class MethodMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a method leaves of the forget set, from many models that it made.

    Attributes:
        left: mean memory left of its models, with the interval of a jackknife over both arms.
        told_apart: share of its models with a `p_value` of at most .05. The interval is Clopper and Pearson's; it is
            about further models of the method, compared with these retrained models and these originals.
        told_different: likewise, of `different_p_value`.
        spread: of the memory left, within and between originals.
        unlearned: M, the number of models that the method made.
        models: N, the number of retrained models.
        examples: S, the number of forget examples.
    """

    left: Estimate
    told_apart: Estimate
    told_different: Estimate
    spread: Spread
    unlearned: int
    models: int
    examples: int

    def __str__(self) -> str:
        return (
            f"mean memory left {self.left:.2f}; told apart {self.told_apart:.2f}, different {self.told_different:.2f} "
            f"of {self.unlearned} models; {self.models} retrained models, {self.examples} examples"
        )

    __repr__ = __str__


def memory(
    delivered: npt.ArrayLike, retrained: npt.ArrayLike, original: npt.ArrayLike, *, level: float = 0.95
) -> Memory:
    """How much of the forget set is left in one model.

    Nothing changes under a permutation of the retrained models or of the examples, or where all confidences are
    multiplied by one positive number or shifted by another.

    Args:
        delivered: `[S]` confidences of S forget examples under the model in question, in nats.
        retrained: `[N, S]`, under N models that never saw them, N at least 3. With fewer than 19 no p-value reaches
            .05.
        original: `[S]`, under the model that was trained on them.
        level: of the interval.

    Returns:
        A `Memory`. Where the original equals the mean of the retrained models there is no direction to move in, and
        the memory left is 0.

    Raises:
        InputError: the shapes do not fit, there are fewer than 3 retrained models or no example, a confidence is not
            finite, or the level is not between 0 and 1.

    Cost: O(N^3 (N + S)): 2 ms for 30 examples at N = 19, 0.5 s for 10,000.

    >>> retrained = np.random.default_rng(0).normal(size=(39, 30))
    >>> original = retrained.mean(axis=0) + 1.5
    >>> result = memory(retrained[0] + 0.5 * (original - retrained[0]), retrained[1:], original)
    >>> print(f"{result.left:.2f}", f"{result.p_value:.3f}")
    0.48 (0.05 to 0.75) 0.026
    """
    check_level(level, "for the memory left")
    r = _matrix(retrained, "retrained", _FEWEST)
    d, o = (_vector(values, name, r.shape[1]) for values, name in ((delivered, "delivered"), (original, "original")))
    with_delivered, with_original = (_leave_one_out(np.vstack([model, r]), o) for model in (d, o))
    among_retrained = _leave_one_out(r, o).memory
    ordered = np.sort(among_retrained)
    rank = max(1, int((len(r) + 1) * (1 - level) / 2 + _TIE))
    left = float(with_delivered.memory[0])
    return Memory(
        left=Estimate(left, left - float(ordered[-rank]), left - float(ordered[rank - 1])),
        p_value=_p_value(with_delivered.memory),
        different=float(with_delivered.distance[0]),
        different_p_value=_p_value(with_delivered.distance),
        original_p_value=_p_value(with_original.memory),
        trace_p_value=_p_value(with_original.rise),
        retrained=tuple(among_retrained.tolist()),
        level=1 - 2 * rank / (len(r) + 1),
        models=len(r),
        examples=r.shape[1],
    )


def memory_of_method(
    unlearned: npt.ArrayLike,
    retrained: npt.ArrayLike,
    original: npt.ArrayLike,
    *,
    origins: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> MethodMemory:
    """How much of the forget set a method leaves in its models, on average.

    The interval is a delete-one jackknife of both arms with Student's t, of as many degrees of freedom as the smaller
    arm has. If all unlearned models come from one original, it holds for that original. With several, the interval
    leaves out one original with all of its models at a time, and speaks of further originals.

    Args:
        unlearned: `[M, S]` confidences of S forget examples under M models that the method made, M at least 2.
        retrained: `[N, S]`, under N models that never saw them, N at least 3.
        original: `[S]`, under the original; or `[K, S]`, under K originals.
        origins: `[M]`, for each unlearned model the row of its original. Needed where there are K originals.
        level: of the intervals.

    Returns:
        A `MethodMemory`.

    Raises:
        InputError: as `memory`; also there are fewer than 2 unlearned models, or `origins` is missing or does not
            fit.

    Cost: O(M N^3 (N + S)): 0.1 s for M = 24, N = 32 and 30 examples.

    >>> unlearned, retrained = np.random.default_rng(0).normal(size=(2, 32, 30))
    >>> result = memory_of_method(unlearned + 0.5, retrained, retrained.mean(axis=0) + 1)
    >>> result.left.low < 0.5 < result.left.high
    True
    """
    check_level(level, "for the memory left by a method")
    r = _matrix(retrained, "retrained", _FEWEST)
    u = _matrix(unlearned, "unlearned", 2, r.shape[1])
    o, start = _originals(original, origins, len(u), r.shape[1])
    bags = [_leave_one_out(np.vstack([model, r]), o[k]) for model, k in zip(u, start, strict=True)]
    memories = _memories(u, r, o, start)
    return MethodMemory(
        left=_mean_memory(memories, u, r, o, start, level),
        told_apart=_share([_p_value(bag.memory) <= ALPHA for bag in bags], level),
        told_different=_share([_p_value(bag.distance) <= ALPHA for bag in bags], level),
        spread=spread(memories, start),
        unlearned=len(u),
        models=len(r),
        examples=r.shape[1],
    )


def _memories(u: Array, r: Array, originals: Array, start: npt.NDArray[np.intp]) -> Array:
    """`[M]`: the memory left of each model of `u`."""
    memories = np.empty(len(u))
    for k in np.unique(start):
        memories[start == k] = _compare(u[start == k], r[None], originals[k]).memory
    return memories


def _mean_memory(
    memories: Array, u: Array, r: Array, originals: Array, start: npt.NDArray[np.intp], level: float
) -> Estimate:
    """The mean of `memories`, with a jackknife over the models of `u`, or its originals if several, and over `r`."""
    used, groups = np.unique(start, return_inverse=True)
    without_one = _all_but_one(r)
    replicates = np.zeros(len(r))
    for k in used:
        models = u[start == k]
        # Memory left is linear in the model, so that the mean model has the mean memory.
        replicates += _compare(models.mean(axis=0)[None], without_one, originals[k]).memory * len(models) / len(u)
    clusters = groups if len(used) > 1 else np.arange(len(u))
    sums, counts = np.bincount(clusters, memories), np.bincount(clusters)
    without_cluster = (memories.sum() - sums) / (len(u) - counts)
    variance = _jackknife_variance(without_cluster) + _jackknife_variance(replicates)
    half = float(stdtrit(min(len(counts), len(r)) - 1, (1 + level) / 2)) * variance**0.5
    value = float(memories.mean())
    return Estimate(value, value - half, value + half)


def _jackknife_variance(replicates: Array) -> float:
    return float(replicates.var()) * (len(replicates) - 1)


def _share(rejected: list[bool], level: float) -> Estimate:
    count = sum(rejected)
    return Estimate(count / len(rejected), *exact_interval(count, len(rejected) - count, level))


class _Statistics(NamedTuple):
    """Of B models, each relative to its own reference models.

    Attributes:
        memory: `[B]` memory left.
        distance: `[B]` mean squared distance.
        rise: `[B]` shift of all examples alike that fits best, in standard deviations.
    """

    memory: Array
    distance: Array
    rise: Array


def _leave_one_out(bag: Array, original: Array) -> _Statistics:
    """Each model of the bag `[B, S]` relative to all others, some models at a time to bound memory."""
    step = max(1, _BLOCK // bag.size)
    blocks = [
        _compare(bag[i : i + step], _all_but_one(bag, range(i, min(i + step, len(bag)))), original)
        for i in range(0, len(bag), step)
    ]
    return _Statistics(*map(np.concatenate, zip(*blocks, strict=True)))


def _all_but_one(bag: Array, left_out: range | None = None) -> Array:
    """`[B, len(bag) - 1, S]`: for each model that is left out, the others."""
    rows = np.arange(len(bag))
    others = np.stack([rows[rows != i] for i in (rows if left_out is None else left_out)])
    result: Array = bag[others]
    return result


def _compare(models: Array, others: Array, original: Array) -> _Statistics:
    """B models `[B, S]` relative to as many sets of reference models, `[B, n, S]` or one set `[1, n, S]` for all."""
    # Relative to the first model, an example that is constant has a variance of exactly 0.
    centered = others - others[:, :1]
    shift = centered.mean(axis=1)
    centered -= shift[:, None]
    mean = others[:, 0] + shift
    unit = np.sqrt(_variance(centered))
    distance, step = (models - mean) / unit, (original - mean) / unit
    steps = np.stack([step, np.ones_like(step)], axis=1)
    along = _Covariance.shrunk(centered / unit[:, None]).along(steps, distance)
    return _Statistics(memory=along[:, 0], distance=(distance**2).mean(axis=-1), rise=along[:, 1])


def _variance(centered: Array) -> Array:
    """`[B, S]` variances of B sets of models `[B, n, S]`, plus half their median over examples, never 0."""
    variance = (centered**2).sum(axis=1) / (centered.shape[1] - 1)
    middle = np.median(variance, axis=-1, keepdims=True)
    middle = np.where(middle > 0, middle, variance.mean(axis=-1, keepdims=True))
    result: Array = variance + np.where(middle > 0, middle / 2, 1.0)
    return result


class _Covariance(NamedTuple):
    """B covariances `loadings' loadings + floor * identity`.

    Attributes:
        loadings: `[B, n, S]`.
        inner: `[B, n, n]`, `loadings loadings'`.
        floor: `[B, 1, 1]`, above 0.
    """

    loadings: Array
    inner: Array
    floor: Array

    @classmethod
    def shrunk(cls, scaled: Array) -> "_Covariance":
        """Ledoit and Wolf's, of models `[B, n, S]` that are centered; from inner products of models alone."""
        n, examples = scaled.shape[1:]
        inner = scaled @ scaled.swapaxes(1, 2)
        squared = np.diagonal(inner, axis1=1, axis2=2)
        middle = squared.mean(axis=1) / examples
        total = (inner**2).sum(axis=(1, 2)) / n**2
        apart = total / examples - middle**2
        noise = ((squared**2).sum(axis=1) / n - total) / (examples * n)
        shrinkage = np.clip(np.divide(noise, apart, out=np.ones_like(apart), where=apart > 0), _LEAST_SHRINKAGE, 1)
        floor = np.where(middle > 0, shrinkage * middle, 1.0)[:, None, None]
        kept = ((1 - shrinkage) / n)[:, None, None]
        return cls(scaled * np.sqrt(kept), inner * kept, floor)

    def along(self, steps: Array, distance: Array) -> Array:
        """`[B, K]`: how many of each of the steps `[B, K, S]` a distance `[B, S]` is; 0 where there is no step."""
        bounded = self.inner + self.floor * np.eye(self.inner.shape[1])
        spanned = np.linalg.solve(bounded, self.loadings @ steps.swapaxes(1, 2))
        weights = steps - spanned.swapaxes(1, 2) @ self.loadings
        taken, whole = (weights @ distance[:, :, None])[:, :, 0], (weights * steps).sum(axis=-1)
        moved = (steps**2).mean(axis=-1) > _TIE**2
        result: Array = np.where(moved, taken / np.where(moved, whole, 1.0), 0.0)
        return result


def _p_value(values: Array) -> float:
    """Share of all values that are at least the first, up to rounding."""
    return float((values >= values[0] - _TIE * max(1.0, abs(values[0]))).mean())


def _matrix(values: npt.ArrayLike, name: str, models: int, examples: int | None = None) -> Array:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 1 or examples not in (None, matrix.shape[1]):
        wanted = "[models, examples]" if examples is None else f"[models, {examples}]"
        raise InputError(f"Confidences of {name} models must have the shape {wanted}, got {matrix.shape}.")
    if len(matrix) < models:
        raise InputError(f"Memory left needs at least {models} {name} models, got {len(matrix)}.")
    return _finite(matrix, name)


def _vector(values: npt.ArrayLike, name: str, examples: int) -> Array:
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (examples,):
        raise InputError(
            f"Confidences of the {name} model must have the shape ({examples},), like a retrained model's, "
            f"got {vector.shape}."
        )
    return _finite(vector, name)


def _finite(values: Array, name: str) -> Array:
    if not np.isfinite(values).all():
        raise InputError(f"A confidence ({name}) is NaN or infinite: check whether a training diverged.")
    return values


def _originals(
    original: npt.ArrayLike, origins: npt.ArrayLike | None, models: int, examples: int
) -> tuple[Array, npt.NDArray[np.intp]]:
    """`[K, S]` originals, and for each unlearned model the row of its own."""
    if np.ndim(original) == 1 and origins is None:
        return _vector(original, "original", examples)[None], np.zeros(models, dtype=np.intp)
    matrix, rows = _matrix(original, "original", 1, examples), np.asarray(origins)
    if origins is None:
        raise InputError("With several originals, pass `origins`: for each unlearned model the row of its original.")
    if rows.shape != (models,) or rows.dtype.kind not in "iu" or not 0 <= rows.min() <= rows.max() < len(matrix):
        raise InputError(
            f"`origins` must hold {models} whole numbers from 0 to {len(matrix) - 1}, one for each unlearned model."
        )
    return matrix, rows.astype(np.intp)
