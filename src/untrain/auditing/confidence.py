"""Logit-scaled confidence."""

import numpy as np
import numpy.typing as npt

from untrain.errors import InputError


def confidence(logits: npt.ArrayLike, labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Logit-scaled confidence `log p_y - log sum_{k != y} p_k` of each example's label.

    The exponential is taken in the type of the logits and the rest in float64, with 1e-45 inside both
    logarithms, as the competition's scorer does. Values lie between about -104 and 104.

    Args:
        logits: `[..., n, C]`, for example `[N, n, C]` for N models.
        labels: `[n]` class numbers.

    Returns:
        `[..., n]` in nats.

    Raises:
        InputError: shapes do not fit, a label is out of range, or a logit is not finite.

    Source: Carlini, Chien, Nasr, Song, Terzis, Tramer (2022), "Membership Inference Attacks From First
    Principles".

    >>> confidence([[0.0, 0.0]], [1]).tolist()
    [0.0]
    """
    z = np.asarray(logits)
    y = np.asarray(labels)
    if z.ndim < 2 or y.shape != (z.shape[-2],):
        raise InputError(f"Logits must be [..., n, C] and labels [n], got shapes {z.shape} and {y.shape}.")
    if y.size and not (y.min() >= 0 and y.max() < z.shape[-1]):
        raise InputError(f"Labels must be from 0 to {z.shape[-1] - 1}, got {y.min()} to {y.max()}.")
    if not np.isfinite(z).all():
        raise InputError("The logits are NaN or infinite; check whether a training diverged.")
    p = np.exp(z - z.max(axis=-1, keepdims=True)).astype(np.float64)
    p /= p.sum(axis=-1, keepdims=True)
    rows = np.arange(len(y))
    right = p[..., rows, y]
    p[..., rows, y] = 0
    result: npt.NDArray[np.float64] = np.log(right + 1e-45) - np.log(p.sum(axis=-1) + 1e-45)
    return result
