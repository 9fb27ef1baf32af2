"""How much a model memorizes an example: what it gains from training on it."""

import numpy as np
import numpy.typing as npt

from untrain.errors import InputError


def memorization(outcomes: npt.ArrayLike, included: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Counterfactual memorization of each example: its mean outcome under models trained on it, less that under others.

    Args:
        outcomes: `[N, n]`, what N models make of n examples: 1 where the prediction is right and 0 where it is wrong;
            or a confidence.
        included: `[N, n]`, which examples each model was trained on.

    Returns:
        `[n]`, in the unit of the outcomes; from -1 to 1 where they are 0 or 1.

    Raises:
        InputError: shapes differ, or an example was in the training set of every model or of none.

    Source: Feldman, Zhang (2020), "What Neural Networks Memorize and Why: Discovering the Long Tail via Influence
    Estimation", equation 1.

    >>> memorization([[1, 1], [0, 1]], [[True, True], [False, False]]).tolist()
    [1.0, 0.0]
    """
    values, inside = np.asarray(outcomes, dtype=np.float64), np.asarray(included, dtype=np.bool_)
    if values.ndim != 2 or inside.shape != values.shape:
        raise InputError(
            f"Outcomes and included must have one shape [models, examples], got {values.shape} and {inside.shape}."
        )
    counts = inside.sum(axis=0)
    one_sided = np.flatnonzero((counts == 0) | (counts == len(values)))
    if len(one_sided):
        raise InputError(
            f"Example {one_sided[0]} must be in some training sets and missing from others, but it is in "
            f"{counts[one_sided[0]]} of {len(values)}."
        )
    learned = (values * inside).sum(axis=0) / counts
    unseen = (values * ~inside).sum(axis=0) / (len(values) - counts)
    difference: npt.NDArray[np.float64] = learned - unseen
    return difference
