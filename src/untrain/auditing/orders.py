"""How sure the order of methods is, and how much it changes from one setting to another.

The true value of a method is not known, its estimate and interval are. So values are drawn, many times, from normal
distributions whose 95 % intervals are those of the estimates, and each time the methods are put in order. The ranks of
a method in these draws say how sure its place is. Kendall's tau of two settings, both drawn anew, says how alike their
orders are; tau of a setting with itself, drawn twice, is what chance alone leaves of an unchanged order.

Source: Kendall (1938), "A new measure of rank correlation". Intervals of ranks by simulation: Marshall and
Spiegelhalter (1998), "Reliability of league tables of in vitro fertilisation clinics".
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from untrain.auditing.arms import Array
from untrain.core.estimate import Estimate
from untrain.errors import InputError

_DRAWS = 2000
_WIDTH = 2 * float(ndtri(0.975))

Cost = Callable[[Array], Array]
"""From the values of methods to numbers of which the lowest is best."""


def ranks(values: Sequence[Estimate], cost: Cost) -> list[Estimate]:
    """The rank of each method, 1 for the best, with an interval of 95 % of the draws.

    Args:
        values: of each method, with a 95 % interval.
        cost: from values to numbers of which the lowest is best, such as `numpy.abs`.

    >>> [str(rank.value) for rank in ranks([Estimate(3, 2.9, 3.1), Estimate(-1, -1.1, -0.9)], np.abs)]
    ['2.0', '1.0']
    """
    points = _ranks(cost(np.asarray([value.value for value in values])))
    drawn = _ranks(cost(_draws(values, 0)))
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0, method="inverted_cdf")
    return [
        Estimate(float(point), float(min(point, bottom)), float(max(point, top)))
        for point, bottom, top in zip(points, low, high, strict=True)
    ]


def agreement(first: Sequence[Estimate], second: Sequence[Estimate], cost: Cost) -> Estimate:
    """How alike two orders of the same methods are: Kendall's tau, the median of the draws and 95 % of them.

    Args:
        first: values of the methods in one setting, with 95 % intervals.
        second: of the same methods in another setting; or again the first, for what chance leaves.
        cost: as in `ranks`.

    Returns:
        From -1, the reverse order, to 1, the same order. Noise pulls it towards 0: compare with that of the first
        setting and itself.

    Raises:
        InputError: there are fewer than two methods, or not the same number of them.
    """
    if len(first) != len(second) or len(first) < 2:
        raise InputError(f"Two orders need the same methods, at least two, got {len(first)} and {len(second)}.")
    taus = _tau(cost(_draws(first, 0)), cost(_draws(second, 1)))
    low, middle, high = np.quantile(taus, (0.025, 0.5, 0.975), method="inverted_cdf")
    return Estimate(float(middle), float(low), float(high))


def _draws(values: Sequence[Estimate], stream: int) -> Array:
    """`[D, M]` values of M methods."""
    means = np.asarray([value.value for value in values])
    deviations = np.asarray([(value.high - value.low) / _WIDTH for value in values])
    normal = np.random.default_rng([0, stream]).normal(size=(_DRAWS, len(values)))
    drawn: Array = means + deviations * normal
    return drawn


def _ranks(costs: Array) -> npt.NDArray[np.intp]:
    """`[..., M]`: 1 for the lowest; of equal numbers the first goes first."""
    ordered: npt.NDArray[np.intp] = np.argsort(np.argsort(costs, axis=-1, kind="stable"), axis=-1) + 1
    return ordered


def _tau(first: Array, second: Array) -> Array:
    """`[...]`: Kendall's tau-a of `[..., M]` and `[..., M]`."""
    one, two = np.triu_indices(first.shape[-1], 1)
    signs = np.sign(first[..., one] - first[..., two]) * np.sign(second[..., one] - second[..., two])
    tau: Array = signs.mean(axis=-1)
    return tau
