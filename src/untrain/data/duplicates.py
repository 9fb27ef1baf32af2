"""Copies and near copies: which examples hold what others hold. Linear or n log n in the number of examples.

Exact copies have equal inputs, whatever type of number holds them. Near copies are closer to each other than examples
of the same data are by themselves: their distance is at most a fifth of the median distance between an example and its
nearest neighbor. So the threshold adapts to the data; it is shown wherever near copies are counted.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from untrain.data.examples import Array, Examples

NEAR = 0.2
"""Largest distance of a near copy, as a share of the median distance between nearest neighbors. By chance, about 0.3 %
of examples that spread over three dimensions are so close, 0.02 % in five, next to none in more."""

_GRID = 16
"""Rows and columns of the thumbnail by which pictures are compared."""
_SAMPLED = 200
"""Training examples whose nearest neighbors give the threshold."""
_DIRECTIONS = 8
"""Directions in which candidates are searched for."""
_ROWS = 4096
"""Rows that are compared at a time."""

Mask = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]


def content_digests(examples: Examples) -> list[str]:
    """SHA-256 of the inputs of each example, `[n]`: equal numbers give equal digests, whatever type holds them."""
    arrays = {name: _canonical(array) for name, array in examples.arrays.items()}
    heads = {
        name: repr((name, array.dtype.kind.replace("u", "i"), array.shape[1:])).encode()
        for name, array in arrays.items()
    }
    digests = list[str]()
    for row in range(len(examples)):
        state = hashlib.sha256()
        for name, array in arrays.items():
            state.update(heads[name] + np.ascontiguousarray(_plain(array[row])).tobytes())
        digests.append(state.hexdigest())
    return digests


def contents(examples: Examples) -> dict[str, str]:
    """`content_digests` by id."""
    return dict(zip(examples.ids.tolist(), content_digests(examples), strict=True))


def _canonical(array: Array) -> Array:
    """Booleans as bytes, so that they equal integers."""
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _plain(row: Array) -> Array:
    """One example in 64 bits; negative zero is zero."""
    if row.dtype.kind == "f":
        return np.asarray(row.astype(np.float64) + 0.0)
    return np.asarray(row.astype(np.int64) if row.dtype.kind in "iu" else row)


def find_copies(of: Examples, among: Examples) -> Mask:
    """Which examples `among` others have exactly the inputs of one `of` the first, `[n]`."""
    known = set(content_digests(of))
    return np.asarray([digest in known for digest in content_digests(among)], dtype=np.bool_)


def near_threshold(nearest: npt.NDArray[np.floating]) -> float | None:
    """Largest distance of a near copy, from the distances `[n]` between examples and their nearest neighbors.

    Distances of zero, which are exact copies, and infinite ones do not count; None where no others are left.
    """
    counted = nearest[(nearest > 0) & np.isfinite(nearest)]
    return NEAR * float(np.median(counted)) if len(counted) else None


@dataclass(frozen=True, eq=False)
class Nearness:
    """When two examples are near copies.

    Pictures `[n, channels, height, width]` are compared by gray thumbnails of at most 16 x 16, each with mean 0 and
    norm 1, so brightness, contrast, size and compression hardly count; shifts, turns and cuts do. Other numbers are
    compared column by column, each in standard deviations of the training set. Token ids and named inputs are not
    compared.

    Args:
        training: the training examples, whose nearest neighbors give the threshold.

    Cost: `find` compares each example with those that agree with it in eight directions, by a k-d tree; the threshold
    takes 200 passes over the training examples.
    """

    training: Examples

    @property
    def measure(self) -> str:
        """What the distance between two examples is, in words."""
        if self._is_pictures:
            return f"distance between gray thumbnails of at most {_GRID} x {_GRID}, with mean 0 and norm 1"
        if self._is_numbers:
            return "distance between inputs in standard deviations of each column"
        return "near copies were not looked for: the inputs are neither pictures nor columns of numbers"

    @cached_property
    def threshold(self) -> float | None:
        """Largest distance of a near copy; None where near copies cannot be looked for."""
        if not (self._is_pictures or self._is_numbers):
            return None
        vectors = self._vectors(self.training)
        vectors = vectors[np.isfinite(vectors).all(1)]
        if len(vectors) < 2:
            return None
        sample = vectors[np.unique(np.linspace(0, len(vectors) - 1, _SAMPLED).astype(int))]
        return near_threshold(np.array([_nearest(vector, vectors) for vector in sample]))

    def find(self, of: Examples, among: Examples, exact: Mask | None = None) -> Mask:
        """Which examples `among` others are near copies of one `of` the first, or exact ones, `[n]`.

        Args:
            of: the first.
            among: the others, n.
            exact: what `find_copies` gives for them, where that is known.
        """
        near = find_copies(of, among) if exact is None else exact.copy()
        if self.threshold is None or not len(of):
            return near
        known, others = self._vectors(of), self._vectors(among)
        known = known[np.isfinite(known).all(1)]
        rows = np.flatnonzero(np.isfinite(others).all(1) & ~near)
        if len(known):
            near[rows] = _within(known, others[rows], self.threshold)
        return near

    @property
    def _is_pictures(self) -> bool:
        shapes = [array.shape for array in self.training.arrays.values()]
        return list(self.training.arrays) == [""] and len(shapes[0]) == 4 and min(shapes[0][2:]) >= 4

    @property
    def _is_numbers(self) -> bool:
        arrays = self.training.arrays
        return list(arrays) == [""] and arrays[""].dtype.kind == "f" and arrays[""].ndim > 1

    @cached_property
    def _columns(self) -> tuple[Array, Array]:
        """Mean and standard deviation of each column of the training set; 1 for a column that does not vary."""
        flat = self.training.array.reshape(len(self.training), -1).astype(np.float64)
        deviation = flat.std(axis=0)
        return flat.mean(axis=0), np.where(deviation > 0, deviation, 1)

    def _vectors(self, examples: Examples) -> Vectors:
        """`[n, d]`, by which examples are compared; rows that cannot be compared hold NaN."""
        if self._is_pictures:
            return _thumbnails(examples.array)
        mean, deviation = self._columns
        return np.asarray((examples.array.reshape(len(examples), -1) - mean) / deviation, dtype=np.float32)


def _thumbnails(images: Array) -> Vectors:
    """Gray pictures of at most 16 x 16, `[n, h * w]`, with mean 0 and norm 1; a picture of one color is NaN."""
    parts = [np.zeros((0, min(images.shape[2], _GRID) * min(images.shape[3], _GRID)), np.float64)]
    for first in range(0, len(images), _ROWS):
        gray = images[first : first + _ROWS].astype(np.float64).mean(axis=1)
        for axis in (1, 2):
            edges = np.linspace(0, gray.shape[axis], min(gray.shape[axis], _GRID) + 1).astype(int)
            widths = np.diff(edges).reshape([-1, 1][:: 1 if axis == 1 else -1])
            gray = np.add.reduceat(gray, edges[:-1], axis=axis) / widths
        flat = gray.reshape(len(gray), -1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(flat, axis=1, keepdims=True)
        parts.append(np.where(norms > 1e-9, flat / np.maximum(norms, 1e-9), np.nan))
    return np.concatenate(parts).astype(np.float32)


def _nearest(vector: Vectors, vectors: Vectors) -> float:
    """Distance to the nearest vector that differs; infinite if there is none."""
    smallest = np.inf
    for first in range(0, len(vectors), _ROWS):
        squared = np.square(vectors[first : first + _ROWS] - vector).sum(axis=1)
        smallest = min(smallest, float(squared[squared > 0].min(initial=np.inf)))
    return float(np.sqrt(smallest))


def _within(known: Vectors, others: Vectors, radius: float) -> Mask:
    """Which of `others` are within the radius of one of the known vectors.

    A projection on orthogonal directions never makes a distance longer. So whoever is near is near in the projection as
    well, where a k-d tree finds the candidates; their true distance decides.
    """
    from scipy.spatial import cKDTree

    directions = _directions(known, others)
    tree = cKDTree(known @ directions)
    near = np.zeros(len(others), dtype=np.bool_)
    for first in range(0, len(others), _ROWS):
        rows = others[first : first + _ROWS]
        for row, candidates in enumerate(tree.query_ball_point(rows @ directions, radius * (1 + 1e-4))):
            if candidates:
                squared = np.square(known[candidates] - rows[row]).sum(axis=1)
                near[first + row] = squared.min() <= radius**2
    return near


def _directions(known: Vectors, others: Vectors) -> Vectors:
    """At most eight orthonormal directions in which the vectors spread most, `[d, 8]`."""
    sample = np.concatenate(
        [part[np.linspace(0, len(part) - 1, 250).astype(int)] for part in (known, others) if len(part)]
    )
    centered = (sample - sample.mean(axis=0)).astype(np.float64)
    return np.asarray(np.linalg.svd(centered, full_matrices=False)[2][:_DIRECTIONS].T, dtype=np.float32)
