"""`Examples`: inputs, labels and stable ids, checked once when they are made."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untrain.errors import InputError

Labels = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of one classification task.

    Attributes:
        inputs: `[n, ...]` array of any type that a model takes; images are `[n, channels, height, width]`.
        labels: `[n]` class numbers, 0 to `len(classes) - 1`.
        ids: `[n]` distinct strings that name an example for good, wherever it stands.
        classes: a name for each class.
        groups: `[n]` strings such as the person on a photograph, or None.

    Raises:
        InputError: lengths differ, a label is out of range or not an integer, an id occurs twice, or an input
            is not finite.

    >>> Examples.of(np.zeros((2, 3)), [0, 1]).ids.tolist()
    ['0', '1']
    """

    inputs: npt.NDArray[Any]
    labels: Labels
    ids: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        count = len(self.inputs)
        for name, column in (("labels", self.labels), ("ids", self.ids), ("groups", self.groups)):
            if column is not None and column.shape != (count,):
                raise InputError(f"expected {count} {name}, one for each input, got shape {column.shape}")
        if self.labels.dtype.kind not in "iu":
            raise InputError(f"expected integer labels, got {self.labels.dtype}")
        for position in np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))[:1]:
            raise InputError(
                f"expected labels from 0 to {len(self.classes) - 1}, got {self.labels[position]} "
                f"for example {self.ids[position]!s}"
            )
        values, occurrences = np.unique(self.ids, return_counts=True)
        for duplicate in values[occurrences > 1][:1]:
            raise InputError(f"expected distinct ids, got {duplicate!s} {occurrences.max()} times")
        if self.inputs.dtype.kind == "f":
            finite = np.isfinite(self.inputs.reshape(count, -1)).all(axis=1) if count else np.ones(0, bool)
            for position in np.flatnonzero(~finite)[:1]:
                raise InputError(f"expected finite inputs, got NaN or infinity in example {self.ids[position]!s}")

    @classmethod
    def of(
        cls,
        inputs: npt.ArrayLike,
        labels: npt.ArrayLike,
        ids: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
    ) -> "Examples":
        """Make examples from anything array-like; ids default to the row numbers, class names to the class numbers."""
        inputs, labels = np.asarray(inputs), np.asarray(labels)
        if labels.dtype.kind not in "iu":
            raise InputError(f"expected integer labels, got {labels.dtype}")
        if classes is None:
            classes = [str(number) for number in range(int(labels.max()) + 1 if labels.size else 0)]
        return cls(
            inputs=inputs,
            labels=labels.astype(np.int64),
            ids=np.asarray([str(row) for row in range(len(inputs))] if ids is None else ids, dtype=np.str_),
            classes=tuple(classes),
            groups=None if groups is None else np.asarray(groups, dtype=np.str_),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, positions: npt.ArrayLike) -> "Examples":
        """The examples at `positions`, in that order."""
        rows: Positions = np.asarray(positions, dtype=np.intp)
        groups = None if self.groups is None else self.groups[rows]
        return Examples(self.inputs[rows], self.labels[rows], self.ids[rows], self.classes, groups)

    @staticmethod
    def concatenate(parts: "Sequence[Examples]") -> "Examples":
        """All examples of all parts, in order; with groups if every part has them.

        Raises:
            InputError: there are no parts, they differ in classes or in shape or type of inputs, or an id occurs twice.
        """
        if not parts:
            raise InputError("expected at least one set of examples to concatenate, got none")
        kinds = {(part.inputs.shape[1:], str(part.inputs.dtype), part.classes) for part in parts}
        if len(kinds) > 1:
            raise InputError(
                f"expected examples of one kind to concatenate, got {' and '.join(map(str, sorted(kinds)))}"
            )
        groups = [part.groups for part in parts if part.groups is not None]
        return Examples(
            np.concatenate([part.inputs for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.ids for part in parts]),
            parts[0].classes,
            np.concatenate(groups) if len(groups) == len(parts) else None,
        )

    def positions(self, ids: Sequence[str] | npt.NDArray[np.str_]) -> Positions:
        """Where the examples with these ids stand, in the order asked for.

        Raises:
            InputError: an id is unknown or asked for twice.
        """
        where = {str(name): position for position, name in enumerate(self.ids)}
        wanted = [str(name) for name in ids]
        for name in wanted:
            if name not in where:
                raise InputError(f"expected ids of these {len(self)} examples, got the unknown id {name!r}")
        if len(set(wanted)) < len(wanted):
            twice = next(name for name in wanted if wanted.count(name) > 1)
            raise InputError(f"expected each id once, got {twice!r} {wanted.count(twice)} times")
        return np.asarray([where[name] for name in wanted], dtype=np.intp)

    def digest(self) -> str:
        """SHA-256 of everything in it; one pass over the bytes."""
        state = hashlib.sha256(repr((self.inputs.shape, str(self.inputs.dtype), self.classes)).encode())
        columns = (self.inputs, self.labels, self.ids) + (() if self.groups is None else (self.groups,))
        for column in columns:
            state.update(np.ascontiguousarray(column).tobytes())
        return state.hexdigest()
