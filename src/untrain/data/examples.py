"""`Examples`: inputs, labels and stable ids, checked once when they are made."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untrain.core.text import printable
from untrain.errors import InputError

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False, repr=False)
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

    inputs: Array
    labels: Labels
    ids: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        count = len(self.inputs)
        for name, column in (("labels", self.labels), ("ids", self.ids), ("groups", self.groups)):
            if column is not None and column.shape != (count,):
                raise InputError(f"There must be {count} {name}, one for each input, got shape {column.shape}.")
        if self.labels.dtype.kind not in "iu":
            raise InputError(f"Labels must be integers, got {self.labels.dtype}.")
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        if len(outside):
            label, name = self.labels[outside[0]], self.ids[outside[0]]
            raise InputError(f"Labels must be from 0 to {len(self.classes) - 1}, got {label} for example {name}.")
        self._check_ids()
        self._check_inputs()

    def _check_ids(self) -> None:
        names, occurrences = np.unique(self.ids, return_counts=True)
        twice = np.flatnonzero(occurrences > 1)
        if len(twice):
            raise InputError(f"Ids must be distinct, got {names[twice[0]]} {occurrences[twice[0]]} times.")

    def _check_inputs(self) -> None:
        if self.inputs.dtype.kind != "f" or not len(self):
            return
        infinite = np.flatnonzero(~np.isfinite(self.inputs.reshape(len(self), -1)).all(axis=1))
        if len(infinite):
            raise InputError(f"Inputs must be finite, got NaN or infinity in example {self.ids[infinite[0]]}.")

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
            raise InputError(f"Labels must be integers, got {labels.dtype}.")
        if classes is None:
            classes = [str(number) for number in range(int(labels.max()) + 1 if labels.size else 0)]
        return cls(
            inputs=inputs,
            labels=labels.astype(np.int64),
            ids=name_array([str(row) for row in range(len(inputs))] if ids is None else ids),
            classes=tuple(classes),
            groups=None if groups is None else name_array(groups),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        r"""A few lines for people.

        >>> Examples.of(np.zeros((4, 3)), [0, 1, 1, 0], classes=["no", "yes"], groups=list("abca"))
        Examples: 4 of 2 classes
          inputs   float64, shape (3,) each
          classes  no, yes
          ids      0, 1, 2, ...
          groups   3: a, b, c
        """
        lines = [
            f"Examples: {len(self):,} of {len(self.classes)} classes",
            f"  inputs   {self.inputs.dtype}, shape {self.inputs.shape[1:]} each",
            f"  classes  {_first(self.classes, 10)}",
            f"  ids      {_first(self.ids.tolist())}",
        ]
        if self.groups is not None:
            groups = np.unique(self.groups).tolist()
            lines.append(f"  groups   {len(groups):,}: {_first(groups)}")
        return "\n".join(lines)

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
            raise InputError("There must be at least one set of examples to concatenate, got none.")
        kinds = {(part.inputs.shape[1:], str(part.inputs.dtype), part.classes) for part in parts}
        if len(kinds) > 1:
            raise InputError(
                "Examples to concatenate must have the same classes and the same shape and type of inputs, got "
                f"{' and '.join(map(str, sorted(kinds)))}."
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
        position_of = {str(name): position for position, name in enumerate(self.ids)}
        wanted = [str(name) for name in ids]
        unknown = next((name for name in wanted if name not in position_of), None)
        if unknown is not None:
            hint = f"; did you mean {unknown.strip()!r}?" if unknown.strip() in position_of else "."
            raise InputError(f"Ids must be of these {len(self)} examples, got the unknown id {unknown!r}{hint}")
        name, occurrences = next(iter(Counter(wanted).most_common(1)), ("", 0))
        if occurrences > 1:
            raise InputError(f"Each id can be asked for once, got {name!r} {occurrences} times.")
        return np.asarray([position_of[name] for name in wanted], dtype=np.intp)

    def digest(self) -> str:
        """SHA-256 of all columns and class names; one pass over the bytes."""
        state = hashlib.sha256(repr((self.inputs.shape, str(self.inputs.dtype), self.classes)).encode())
        columns = (self.inputs, self.labels, self.ids) + (() if self.groups is None else (self.groups,))
        for column in columns:
            state.update(np.ascontiguousarray(column).tobytes())
        return state.hexdigest()


def name_array(names: Sequence[str] | npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Names as an array that holds them exactly.

    Raises:
        InputError: a name ends with a null character, which arrays of texts do not keep.
    """
    cut = [name for name in names if str(name).endswith("\0")]
    if cut:
        raise InputError(f"Ids and groups cannot end with a null character, got {cut[0]!r}.")
    return np.asarray(names, dtype=np.str_)


def _first(names: Sequence[str], count: int = 3) -> str:
    """The first names of many, each in a form and length that can be printed."""
    shown = [printable(name if len(name) <= 40 else f"{name[:37]}...") for name in names[:count]]
    return ", ".join([*shown, *(["..."] if len(names) > count else [])])
