"""`Examples`: inputs, labels and stable ids, checked once when they are made."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untrain.core.text import printable
from untrain.data.preparation import Preparation
from untrain.errors import InputError, NotSupportedError

Array = npt.NDArray[Any]
Inputs = Array | Any
"""One array `[n, ...]`, or a dictionary of arrays `[n, ...]` by name. Typed as arrays are, since nearly all are one."""
Labels = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """Examples of one classification task.

    Attributes:
        inputs: `[n, ...]` array of any type that a model takes; images are `[n, channels, height, width]`. Or a
            dictionary of such arrays, which the model takes by name, such as `input_ids` and `attention_mask`.
        labels: `[n]` class numbers, 0 to `len(classes) - 1`.
        ids: `[n]` distinct strings that name an example for good, wherever it stands.
        classes: a name for each class, no two alike.
        groups: `[n]` strings such as the person on a photograph, or None.
        preparation: how the inputs were resized and normalized when they were read; None if they were not, or by a
            function of one's own. Records hold it.

    Raises:
        InputError: a column is no array, or of another type; lengths differ, a label is out of range or not an integer,
            an id or a class name occurs twice, an input is not finite, or named inputs have no names.

    >>> Examples.of(np.zeros((2, 3)), [0, 1]).ids.tolist()
    ['0', '1']
    >>> Examples.of({"input_ids": [[5, 6], [7, 0]], "attention_mask": [[1, 1], [1, 0]]}, [0, 1]).form
    'attention_mask (2,), input_ids (2,)'
    """

    inputs: Inputs
    labels: Labels
    ids: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.str_] | None = None
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        if not self.arrays:
            raise InputError("Named inputs must be a dictionary of arrays by name, got an empty one.")
        self._check_types()
        counts = {name: len(array) for name, array in self.arrays.items()}
        count = next(iter(counts.values()))
        if len(set(counts.values())) > 1:
            raise InputError(f"All named inputs must have one length, got {counts}.")
        for name, column in (("labels", self.labels), ("ids", self.ids), ("groups", self.groups)):
            if column is not None and column.shape != (count,):
                raise InputError(f"There must be {count} {name}, one for each input, got shape {column.shape}.")
        if self.labels.dtype.kind not in "iu":
            raise InputError(f"Labels must be integers, got {self.labels.dtype}.")
        object.__setattr__(self, "labels", self.labels.astype(np.int64, copy=False))
        object.__setattr__(self, "classes", tuple(self.classes))
        self._check_classes()
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        if len(outside):
            label, name = self.labels[outside[0]], self.ids[outside[0]]
            raise InputError(f"Labels must be from 0 to {len(self.classes) - 1}, got {label} for example {name}.")
        self._check_ids()
        self._check_inputs()

    def _check_types(self) -> None:
        columns = {"labels": self.labels, "ids": self.ids, "groups": self.groups}
        for name, column in [*(("inputs", array) for array in self.arrays.values()), *columns.items()]:
            if isinstance(column, np.ndarray) or (name == "groups" and column is None):
                continue
            kind = type(column).__name__
            raise InputError(f"The {name} must be an array of numpy, got {kind}: `Examples.of` makes one.")
        for name in ("ids", "groups"):
            column = columns[name]
            if column is not None and column.size and column.dtype.kind != "U":
                raise InputError(f"The {name} must be texts, got {column.dtype}: `Examples.of` makes them texts.")

    def _check_classes(self) -> None:
        name, occurrences = next(iter(Counter(self.classes).most_common(1)), ("", 0))
        if occurrences > 1:
            raise InputError(f"Class names must be distinct, got {name!r} {occurrences} times.")

    def _check_ids(self) -> None:
        names, occurrences = np.unique(self.ids, return_counts=True)
        twice = np.flatnonzero(occurrences > 1)
        if len(twice):
            raise InputError(f"Ids must be distinct, got {names[twice[0]]} {occurrences[twice[0]]} times.")

    def _check_inputs(self) -> None:
        for array in self.arrays.values():
            if array.dtype.kind != "f" or not len(self):
                continue
            infinite = np.flatnonzero(~np.isfinite(array.reshape(len(self), -1)).all(axis=1))
            if len(infinite):
                raise InputError(f"Inputs must be finite, got NaN or infinity in example {self.ids[infinite[0]]}.")

    @classmethod
    def of(
        cls,
        inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike],
        labels: npt.ArrayLike,
        ids: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
    ) -> "Examples":
        """Make examples from anything array-like.

        Args:
            inputs: `[n, ...]`, or a dictionary of such arrays by name.
            labels: `[n]` class numbers, integers from 0.
            ids: `[n]` distinct names; default the numbers of the rows.
            classes: names of the classes in the order of their numbers; default the numbers, up to the highest label.
            groups: `[n]` names such as that of the person on a photograph; default none.

        Raises:
            InputError: as for the class; or a name ends with a null character.
        """
        labels = np.asarray(labels)
        named = {str(name): np.asarray(array) for name, array in _named(inputs).items()}
        if labels.dtype.kind not in "iu":
            raise InputError(f"Labels must be integers, got {labels.dtype}.")
        if classes is None:
            classes = [str(number) for number in range(int(labels.max()) + 1 if labels.size else 0)]
        return cls(
            inputs=named if isinstance(inputs, Mapping) else named[""],
            labels=labels.astype(np.int64),
            ids=name_array([str(row) for row in range(len(labels))] if ids is None else ids),
            classes=tuple(classes),
            groups=None if groups is None else name_array(groups),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays of the inputs by name, in the order of their names; a single array has the name ''."""
        return dict(sorted(_named(self.inputs).items()))

    @property
    def array(self) -> Array:
        """The inputs as one array.

        Raises:
            NotSupportedError: they are named.
        """
        if isinstance(self.inputs, Mapping):
            raise NotSupportedError(
                f"This takes inputs as one array, and the examples have the named inputs {', '.join(self.arrays)}; "
                "pass a model or factory that takes them by name."
            )
        return self.inputs

    @property
    def sole_array(self) -> Array | None:
        """The only array of the inputs, named or not; None if there are several."""
        arrays = list(self.arrays.values())
        return arrays[0] if len(arrays) == 1 else None

    @property
    def form(self) -> str:
        """Shape of one example's inputs, for people: `(1, 8, 8)`, or one shape for each name."""
        return ", ".join(f"{name} {array.shape[1:]}".lstrip() for name, array in self.arrays.items())

    def input_bytes(self) -> list[bytes]:
        """The bytes of each example's inputs; equal for exact copies."""
        columns = [np.ascontiguousarray(array) for array in self.arrays.values()]
        return [b"".join(row.tobytes() for row in rows) for rows in zip(*columns, strict=True)]

    def __repr__(self) -> str:
        r"""A few lines for people.

        >>> Examples.of(np.zeros((4, 3)), [0, 1, 1, 0], classes=["no", "yes"], groups=list("abca"))
        Examples: 4 of 2 classes
          inputs   float64, shape (3,) each
          classes  no, yes
          ids      0, 1, 2, ...
          groups   3: a, b, c
        """
        shapes = [f"{name} {array.dtype}, shape {array.shape[1:]}".lstrip() for name, array in self.arrays.items()]
        lines = [
            f"Examples: {len(self):,} of {len(self.classes)} classes",
            f"  inputs   {'; '.join(shapes)} each",
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
        inputs = _like(self.inputs, {name: array[rows] for name, array in self.arrays.items()})
        return Examples(inputs, self.labels[rows], self.ids[rows], self.classes, groups, self.preparation)

    @staticmethod
    def concatenate(parts: "Sequence[Examples]") -> "Examples":
        """All examples of all parts, in order; with groups if every part has them.

        Raises:
            InputError: there are no parts; they differ in classes or in name, shape or type of inputs; or an id occurs
                twice.
        """
        if not parts:
            raise InputError("There must be at least one set of examples to concatenate, got none.")
        kinds = {(*_heads(part.arrays, first_axis=1), part.classes) for part in parts}
        if len(kinds) > 1:
            raise InputError(
                "Examples to concatenate must have the same classes and the same shape and type of inputs, got "
                f"{' and '.join(sorted(map(str, kinds)))}."
            )
        groups = [part.groups for part in parts if part.groups is not None]
        return Examples(
            _like(
                parts[0].inputs,
                {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays},
            ),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.ids for part in parts]),
            parts[0].classes,
            np.concatenate(groups) if len(groups) == len(parts) else None,
            parts[0].preparation,
        )

    def positions(self, ids: Iterable[object]) -> Positions:
        """Where the examples with these ids stand, in the order asked for.

        Args:
            ids: texts, or numbers that stand for the texts they are written as, in a list, array, tensor or series; or
                a mask `[n]` of booleans, which asks for the examples where it is true.

        Raises:
            InputError: an id is unknown or asked for twice; a mask has another length; the ids are a single text.
        """
        if isinstance(ids, str | bytes):
            raise InputError(f"Ids must be a list, got the single text {ids!r}.")
        values = [value.item() if getattr(value, "ndim", None) == 0 else value for value in ids]  # type: ignore[attr-defined]
        if values and all(isinstance(value, bool) for value in values):
            if len(values) != len(self):
                raise InputError(f"A mask must have one value for each of the {len(self)} examples, got {len(values)}.")
            return np.flatnonzero(np.asarray(values, dtype=np.bool_))
        wanted = [str(value) for value in values]
        position_of = {str(name): position for position, name in enumerate(self.ids)}
        unknown = next((name for name in wanted if name not in position_of), None)
        if unknown is not None:
            known = ", ".join(repr(str(name)) for name in self.ids[:3])
            hint = f"; did you mean {unknown.strip()!r}?" if unknown.strip() in position_of else "."
            raise InputError(
                f"Ids must be of these {len(self)} examples, such as {known}, got the unknown id {unknown!r}{hint}"
            )
        name, occurrences = next(iter(Counter(wanted).most_common(1)), ("", 0))
        if occurrences > 1:
            raise InputError(f"Each id can be asked for once, got {name!r} {occurrences} times.")
        return np.asarray([position_of[name] for name in wanted], dtype=np.intp)

    def digest(self) -> str:
        """SHA-256 of all columns and class names; one pass over the bytes."""
        arrays = self.arrays
        state = hashlib.sha256(repr((*_heads(arrays), self.classes)).encode())
        columns = (*arrays.values(), self.labels, self.ids, *(() if self.groups is None else (self.groups,)))
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


def _named(inputs: Inputs) -> Mapping[str, Any]:
    """Inputs by name; a single array has the name ''."""
    return inputs if isinstance(inputs, Mapping) else {"": inputs}


def _like(inputs: Inputs, arrays: dict[str, Array]) -> Inputs:
    """Other arrays in the form of these inputs."""
    return arrays if isinstance(inputs, Mapping) else arrays[""]


def _heads(arrays: Mapping[str, Array], first_axis: int = 0) -> Iterator[object]:
    """Name, where there is one, shape and type of each array."""
    for name, array in arrays.items():
        yield from (name,) if name else ()
        yield from (array.shape[first_axis:], str(array.dtype))


def _first(names: Sequence[str], count: int = 3) -> str:
    """The first names of many, each in a form and length that can be printed."""
    shown = [printable(name if len(name) <= 40 else f"{name[:37]}...") for name in names[:count]]
    return ", ".join([*shown, *(["..."] if len(names) > count else [])])
