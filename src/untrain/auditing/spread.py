"""How much models of one original vary, and how much originals differ.

One-way analysis of variance with random effects: the value of model i of original k is `mean + a_k + e_ki`. The mean
squares within and between originals estimate `var(e)` and `var(e) + n var(a)`, where n is the number of models of an
original (of unequal numbers the mean that keeps the estimate unbiased). A negative estimate of `var(a)` is set to 0.

Source: Searle, Casella, McCulloch (1992), "Variance Components", chapter 3.
"""

import numpy as np
import numpy.typing as npt

from untrain.auditing.arms import Array
from untrain.core.estimate import Spread
from untrain.errors import InputError


def spread(values: npt.ArrayLike, origins: npt.ArrayLike) -> Spread:
    """The spread of a figure within and between originals.

    Args:
        values: `[M]`, the figure of each model.
        origins: `[M]`, which original each model comes from.

    Raises:
        InputError: there are no values, or not as many origins.

    >>> spread([1.0, 3.0, 11.0, 13.0], [0, 0, 1, 1])
    Spread(within=1.4142135623730951, between=7.0)
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or np.shape(origins) != x.shape:
        raise InputError(f"A spread needs one origin for each of its values, got {np.shape(origins)} and {x.shape}.")
    groups = np.unique(origins, return_inverse=True)[1]
    counts = np.bincount(groups)
    means: Array = np.bincount(groups, x) / counts
    originals, models = len(counts), len(x)
    within = ((x - means[groups]) ** 2).sum() / (models - originals) if models > originals else None
    if originals < 2:
        return Spread(within=None if within is None else float(within**0.5), between=None)
    size = (models - (counts**2).sum() / models) / (originals - 1)
    between = (counts * (means - x.mean()) ** 2).sum() / (originals - 1)
    return Spread(
        within=None if within is None else float(within**0.5),
        between=float(max(0.0, (between - (within or 0.0)) / size) ** 0.5),
    )
