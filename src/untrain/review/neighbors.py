"""Which examples are alike: principal components of the inputs, and the nearest among some candidates."""

import math

import numpy as np
import numpy.typing as npt

from untrain.data.examples import Array

Features = npt.NDArray[np.float32]
"""`[n, d]`."""

COMPONENTS = 32
_SIDE = 32
"""Pixels of the longer side that are looked at; of larger images every second, third, ... pixel."""


def features(inputs: Array) -> Features:
    """The first principal components of the inputs, `[n, at most COMPONENTS]`.

    Columns of a table are brought to one scale first. The cost is that of a randomized singular value decomposition of
    `[n, values of an input]`: a few seconds for 60,000 small images.

    Args:
        inputs: `[n, ...]` numbers.
    """
    from sklearn.decomposition import PCA

    if inputs.ndim == 4:
        step = math.ceil(max(inputs.shape[2:]) / _SIDE)
        inputs = inputs[:, :, ::step, ::step]
    flat = np.ascontiguousarray(inputs.reshape(len(inputs), -1), dtype=np.float32)
    if inputs.ndim == 2:
        deviation = flat.std(axis=0)
        flat = (flat - flat.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    count = min(COMPONENTS, *flat.shape)
    if count == flat.shape[1]:
        return flat
    components = PCA(count, svd_solver="randomized", random_state=0).fit_transform(flat)
    return np.asarray(components, dtype=np.float32)


def nearest(rows: Features, position: int, candidates: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """The candidates that are nearest to the example at `position`, without itself, the nearest first."""
    candidates = candidates[candidates != position]
    distances = ((rows[candidates] - rows[position]) ** 2).sum(axis=1)
    return candidates[np.argsort(distances, kind="stable")[:count]]
