"""When a comparison of methods has enough models: looks at growing numbers, and the error that is spent on them.

Models are added until the methods are ranked, or known precisely enough, or the most models allowed are there. Whoever
looks often and stops at the first difference finds one too often. So a look at N models may err with a probability of
`alpha * (N - N of the look before) / N of the last look`, and these add up to alpha, whatever the looks have in common.
At each look every pair of methods is compared, and Holm's procedure keeps the error of all pairs at that level.

Sources: Lan, DeMets (1983), "Discrete sequential boundaries for clinical trials", for spending the error by what has
been seen; Holm (1979), "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from untrain.auditing.rank_energy import GROUPS, RankEnergies
from untrain.core.levels import ALPHA
from untrain.errors import InputError

_FIRST = 16

Reason = Literal["ranked", "precise enough", "not separable"]
"""Why a comparison needs no more models."""


def looks(most: int, step: int) -> list[int]:
    """Numbers of models at which to look: 16, 24, 32, 48, 64 and so on, as multiples of a step.

    Args:
        most: most models; the last look is at the largest multiple of the step that is not above.
        step: models are added so many at a time.

    Raises:
        InputError: no multiple of the step is from 8 to `most`.

    >>> looks(128, 8), looks(100, 16)
    ([16, 24, 32, 48, 64, 96, 128], [16, 32, 48, 64, 96])
    """
    counts, double = [most], _FIRST
    while double <= most:
        counts += [double, double * 3 // 2]
        double *= 2
    multiples = {count // step * step for count in counts if count <= most}
    if not (wanted := sorted(count for count in multiples if count >= GROUPS)):
        raise InputError(
            f"At most {most} models, added {step} at a time, never give a number that can be compared: allow at least "
            f"{max(step, -(-GROUPS // step) * step)}."
        )
    return wanted


def spent(counts: Sequence[int], look: int, alpha: float = ALPHA) -> float:
    """The error that one look may spend.

    Args:
        counts: numbers of models of all looks, rising.
        look: which of them, from 0.
        alpha: error of all looks together.

    >>> counts = [16, 32, 64]
    >>> [spent(counts, look, 0.04) for look in range(3)]
    [0.01, 0.01, 0.02]
    """
    before = counts[look - 1] if look else 0
    return alpha * (counts[look] - before) / counts[-1]


def apart(p_values: npt.ArrayLike, level: float) -> npt.NDArray[np.bool_]:
    """Which pairs of methods differ, by Holm's procedure over all pairs.

    Args:
        p_values: `[M, M]`, symmetric.
        level: probability that any pair of equal methods is said to differ.

    Returns:
        `[M, M]`, symmetric, False on the diagonal.

    >>> apart([[1, 0.01, 0.04], [0.01, 1, 0.03], [0.04, 0.03, 1]], 0.05).tolist()
    [[False, True, False], [True, False, False], [False, False, False]]
    """
    values = np.asarray(p_values, dtype=np.float64)
    one, two = np.triu_indices(len(values), 1)
    pairs = values[one, two]
    order = np.argsort(pairs, kind="stable")
    passed = pairs[order] <= level / np.arange(len(pairs), 0, -1)
    rejected = order[np.logical_and.accumulate(passed)]
    result = np.zeros(values.shape, dtype=np.bool_)
    result[one[rejected], two[rejected]] = result[two[rejected], one[rejected]] = True
    return result


@dataclass(frozen=True)
class Standing:
    """How the methods stand at a look.

    Attributes:
        order: the methods by rank energy, nearest to retraining first, as their places in what was compared.
        undecided: neighbors in this order that are not told apart.
        reason: to stop, or None to go on.
    """

    order: tuple[int, ...]
    undecided: tuple[tuple[int, int], ...]
    reason: Reason | None


def standing(energies: RankEnergies, level: float, tolerance: float, last: bool) -> Standing:
    """How methods stand at a look, and whether it is the last.

    Args:
        energies: rank energies of the methods.
        level: error that this look may spend, see `spent`.
        tolerance: half of the width of a 95 % interval of the rank energy, relative to it, that is precise enough.
        last: whether there can be no more models.

    Returns:
        The reason is `ranked` if every method differs from the next; else `precise enough` if the rank energy of every
        method that is not told from a neighbor is known to the tolerance; else, at the last look, `not separable`. A
        single method is never ranked; no method at all is not separable.
    """
    order = tuple(int(k) for k in np.argsort([total.value for total in energies.totals], kind="stable"))
    differ = apart(energies.p_values, level)
    undecided = tuple((a, b) for a, b in pairwise(order) if not differ[a, b])
    doubtful = {k for pair in undecided for k in pair} if len(order) > 1 else set(order)
    totals = [energies.totals[k] for k in doubtful]
    reason: Reason | None = None
    if len(order) > 1 and not undecided:
        reason = "ranked"
    elif order and all(total.high - total.low <= 2 * tolerance * abs(total.value) for total in totals):
        reason = "precise enough"
    elif last or not order:
        reason = "not separable"
    return Standing(order, undecided, reason)
