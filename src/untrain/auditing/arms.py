"""Checks of the two arms of models that every audit compares."""

import numpy as np
import numpy.typing as npt

from untrain.errors import InputError

Array = npt.NDArray[np.float64]


def two_arms(unlearned: npt.ArrayLike, retrained: npt.ArrayLike, models: int, purpose: str) -> tuple[Array, Array]:
    """The confidences of both arms as float64.

    Args:
        unlearned: `[N, S]` confidences of S forget examples under N unlearned models.
        retrained: `[N, S]`, under N models that never saw them.
        models: the smallest N.
        purpose: what the arms are for, as it stands in the error.

    Raises:
        InputError: the shapes differ, N is below `models`, S is 0, or a confidence is not finite.
    """
    u, r = np.asarray(unlearned, dtype=np.float64), np.asarray(retrained, dtype=np.float64)
    if u.ndim != 2 or u.shape != r.shape or u.shape[0] < models or u.shape[1] < 1:
        raise InputError(
            f"The confidences {purpose} must be two arrays [models, examples] of one shape, with at least {models} "
            f"models and 1 example; got {u.shape} and {r.shape}."
        )
    if not (np.isfinite(u).all() and np.isfinite(r).all()):
        raise InputError(f"A confidence {purpose} is NaN or infinite: check whether a training diverged.")
    return u, r


def check_level(level: float, purpose: str) -> None:
    """Check a confidence level.

    Raises:
        InputError: the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"The confidence level {purpose} must be between 0 and 1, such as 0.95; got {level}.")


def check_delta(delta: float, purpose: str) -> None:
    """Check the delta of a differential privacy guarantee.

    Raises:
        InputError: it is not from 0 to below 1.
    """
    if not 0 <= delta < 1:
        raise InputError(f"The delta of {purpose} must be from 0 to below 1, such as 1e-5; got {delta}.")
