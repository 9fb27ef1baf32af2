"""Views of given features: principal components, cross-validated linear heads, and nearest neighbors. No torch.

A head is multinomial logistic regression. It is fitted by L-BFGS on principal components in float32, each divided by
its standard deviation, so that the problem is well conditioned and some twenty iterations suffice.

Source: Kornblith, Shlens, Le (2019), "Do Better ImageNet Models Transfer Better?", for linear heads on frozen features;
Liu, Nocedal (1989), "On the Limited Memory BFGS Method for Large Scale Optimization".
"""

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from untrain.data.examples import Labels
from untrain.detection.base import Mask, Scores
from untrain.errors import InputError

Array = npt.NDArray[np.float32]
Neighborhood = npt.NDArray[np.intp]

FOLDS = 5
_WIDEST = 1536
_HEAD_COMPONENTS, _NEIGHBOR_COMPONENTS = 256, 64
_RIDGE, _ITERATIONS = 1e-2, 40


def assign_folds(labels: Labels, classes: int, generator: np.random.Generator) -> Labels:
    """The fold of each example, `[n]`, stratified by class.

    Raises:
        InputError: there are fewer than two examples for each fold.
    """
    if len(labels) < 2 * FOLDS:
        raise InputError(f"There are {len(labels)} examples; {FOLDS} folds need at least {2 * FOLDS}.")
    folds = np.empty(len(labels), dtype=np.int64)
    start = 0
    for label in range(classes):
        members = generator.permutation(np.flatnonzero(labels == label))
        # Each class starts at the fold where the previous one ended, so that all folds have the same size.
        folds[members] = (start + np.arange(len(members))) % FOLDS
        start += len(members)
    return folds


def principal_components(features: npt.NDArray[np.floating], most: int = _HEAD_COMPONENTS) -> Array:
    """Principal components of features, the largest first.

    Columns of a table are standardized before, as they may have any scale; entries of an image are centered alone.

    Args:
        features: `[n, ...]`, finite numbers.
        most: largest number of components.

    Returns:
        `[n, k]`, k at most `most`. Features that never vary are left out.

    Raises:
        InputError: the features are not finite, or none of them varies.

    Cost: `n d^2 + d^3` operations, and a float32 copy of the features. Of more than 1,536 features, 1,536 random
    projections are taken instead.
    """
    columns = np.array(features, dtype=np.float32).reshape(len(features), -1)
    if not np.isfinite(columns).all():
        row = int(np.isfinite(columns).all(1).argmin())
        raise InputError(f"The features of example {row} are not finite; remove or impute what is missing.")
    center = columns.mean(0, dtype=np.float64)
    columns -= center.astype(np.float32)
    # In float64, since the squares of numbers above 1e19, or below 1e-23, are none in float32.
    spread = np.sqrt(np.einsum("nd,nd->d", columns, columns, dtype=np.float64) / len(columns))
    alive = spread > 1e-6 * np.maximum(np.abs(center), np.finfo(np.float32).tiny)
    if not alive.any():
        raise InputError("All features are constant, so they tell nothing about the labels; pass features that vary.")
    if not alive.all():
        columns, spread = columns[:, alive], spread[alive]
    columns /= (spread if np.ndim(features) == 2 else np.sqrt(np.mean(spread**2))).astype(np.float32)
    columns = _narrowed(columns)
    values, vectors = np.linalg.eigh(columns.T @ columns / len(columns))
    values, vectors = values[::-1][:most], vectors[:, ::-1][:, :most]
    return np.asarray(columns @ vectors[:, values > 1e-6 * values[0]], dtype=np.float32)


def well_conditioned(components: Array) -> Array:
    """Components `[n, k]` with variance about one, as linear heads are fitted to."""
    variance = np.mean(np.square(components), axis=0, dtype=np.float64)
    # A tenth of the mean variance keeps components that are mostly noise from counting as much as the others.
    return np.asarray(components / np.sqrt(variance + 0.1 * variance.mean()), dtype=np.float32)


def _narrowed(columns: Array) -> Array:
    """Random projections of many columns, which nearly keep all distances (Johnson, Lindenstrauss, 1984)."""
    width = columns.shape[1]
    if width <= _WIDEST:
        return columns
    generator, total = np.random.default_rng(0), np.zeros((len(columns), _WIDEST), dtype=np.float32)
    for start in range(0, width, _WIDEST):  # in blocks, so that no large matrix is drawn at once
        block = columns[:, start : start + _WIDEST]
        total += block @ generator.standard_normal((block.shape[1], _WIDEST), dtype=np.float32)
    return total / np.float32(np.sqrt(width))


def held_out_log_p(components: Array, labels: Labels, classes: int, folds: Labels, keep: Mask | None = None) -> Scores:
    """Held-out log-probabilities `[n, C]` of one linear head for each fold, trained on the kept examples.

    Cost: some forty passes over `[n, k]` for each fold.
    """
    log_p = np.empty((len(labels), classes))
    for fold in range(FOLDS):
        held_out = folds == fold
        rows = ~held_out if keep is None else ~held_out & keep
        head = _fit_head(components[rows], labels[rows], classes)
        log_p[held_out] = log_softmax(components[held_out] @ head[:-1] + head[-1], axis=1)
    return log_p


def _fit_head(components: Array, labels: Labels, classes: int) -> Array:
    """Weights and, in the last row, biases of a linear head, `[k + 1, C]`."""
    from scipy.optimize import minimize

    count, width = components.shape
    rows = np.arange(count)

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        head = flat.reshape(width + 1, classes).astype(np.float32)
        log_p = log_softmax(components @ head[:-1] + head[-1], axis=1)
        value = -float(log_p[rows, labels].mean()) + _RIDGE / 2 * float(np.square(head[:-1]).sum())
        residual = np.exp(log_p)
        residual[rows, labels] -= 1
        gradient = np.vstack([components.T @ residual / count + _RIDGE * head[:-1], residual.mean(0)[None]])
        return value, gradient.ravel().astype(np.float64)

    options = {"maxiter": _ITERATIONS, "gtol": 1e-4, "ftol": 1e-5}
    start = np.zeros((width + 1) * classes)
    return np.asarray(
        minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x.reshape(width + 1, classes), np.float32
    )


def nearest(features: npt.NDArray[np.floating], count: int) -> Neighborhood:
    """Positions of the `count` other examples with the most similar features `[n, d]` by cosine, `[n, count]`."""
    from sklearn.neighbors import NearestNeighbors

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.maximum(lengths, np.finfo(features.dtype).tiny)
    index = NearestNeighbors(n_neighbors=min(count, len(features) - 1), algorithm="brute").fit(directions)
    return np.asarray(index.kneighbors(return_distance=False))


def nearest_components(components: Array, count: int) -> tuple[Neighborhood, Array]:
    """Positions of the `count` nearest other examples by the first principal components, and distances, `[n, count]`.

    Cost: `n^2` products of 64 numbers, in blocks.
    """
    from sklearn.neighbors import NearestNeighbors

    first = components[:, :_NEIGHBOR_COMPONENTS]
    index = NearestNeighbors(n_neighbors=min(count, len(first) - 1), algorithm="brute").fit(first)
    distances, positions = index.kneighbors()
    return np.asarray(positions), np.asarray(distances)


def neighbor_votes(votes: Scores, neighbors: Neighborhood, labels: Labels) -> Scores:
    """Mean vote `[n, C]` of each example's neighbors.

    An example counts no more neighbors than half of its class, so that a small class is not outvoted by its size.

    Args:
        votes: `[n, C]`.
        neighbors: `[n, k]`, the nearest first.
        labels: `[n]`, given labels.
    """
    counted = np.clip(np.bincount(labels) // 2, 1, neighbors.shape[1])[labels]
    total = np.zeros_like(votes)
    for rank in range(neighbors.shape[1]):
        total += votes[neighbors[:, rank]] * (rank < counted)[:, None]
    return np.asarray(total / counted[:, None])
