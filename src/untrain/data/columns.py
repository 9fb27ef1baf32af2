"""`Columns`: what data of every form come down to, and how they become `Examples`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from untrain.data.arrays import some
from untrain.data.examples import Array, Examples, Labels, Positions
from untrain.data.images import Pictures
from untrain.errors import InputError

MOST_CLASSES = 100_000
"""Larger numbers in a label column are taken for something else, such as ids."""

Choose = Callable[[Labels, tuple[str, ...]], tuple[Positions, Labels, tuple[str, ...]]]
"""Which rows to keep, from all class numbers and class names: rows, their class numbers, and the names."""


@dataclass(frozen=True, eq=False)
class Columns:
    """What is needed for examples, before it is checked.

    Attributes:
        inputs: `[n, ...]`, or pictures that are not decoded yet.
        labels: `[n]` class names or class numbers.
        ids: `[n]` names of the examples, or None where the data have none.
        groups: `[n]` names, or None.
        classes: class names by class number, or None where the labels say them.
    """

    inputs: Array | Pictures
    labels: Sequence[object]
    ids: Sequence[object] | None = None
    groups: Sequence[object] | None = None
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, Pictures) and not self.inputs.ndim:
            raise InputError("Inputs must be an array [n, ...], got a single number.")

    def with_ids(self, prefix: str = "", digits: int = 1) -> "Columns":
        """The same with ids; where the data have none, they are row numbers after a prefix.

        >>> Columns(np.zeros((2, 1)), [0, 1]).with_ids("mine/", digits=3).ids
        ['mine/000', 'mine/001']
        """
        if self.ids is not None:
            return self
        return replace(self, ids=[f"{prefix}{row:0{digits}d}" for row in range(len(self.inputs))])

    def examples(self, choose: Choose | None = None) -> Examples:
        """Check them and make examples; only pictures that are chosen are decoded.

        Raises:
            InputError: columns differ in length, a value is missing, a label is no class, a picture cannot be read, or
                `Examples` cannot be made.
        """
        ids = texts(self.with_ids().ids or (), "id")
        groups = None if self.groups is None else texts(self.groups, "group")
        for what, values in (("labels", self.labels), ("ids", ids), ("groups", groups)):
            if values is not None and len(values) != len(self.inputs):
                raise InputError(f"Each of the {len(self.inputs)} inputs needs one of the {what}, got {len(values)}.")
        labels, classes = class_numbers(self.labels, ids, self.classes)
        inputs = self.inputs
        if choose is not None:
            rows, labels, classes = choose(labels, classes)
            inputs = inputs.select(rows) if isinstance(inputs, Pictures) else inputs[rows]
            ids = [ids[row] for row in rows]
            groups = None if groups is None else [groups[row] for row in rows]
        return Examples.of(inputs.read(ids) if isinstance(inputs, Pictures) else inputs, labels, ids, classes, groups)


def texts(values: Sequence[object], what: str) -> list[str]:
    """Names as texts, exactly as they are given.

    Raises:
        InputError: one is missing.
    """
    for row, value in enumerate(values):
        if value is None or value != value:  # NaN is how tables mark a missing value
            raise InputError(f"Every example needs a value in column {what!r}, got none in row {row}.")
    return [str(value) for value in values]


def class_numbers(
    values: Sequence[object], ids: Sequence[str], classes: Sequence[str] | None = None
) -> tuple[Labels, tuple[str, ...]]:
    """Class numbers and class names of labels that are either.

    Args:
        values: class names, or class numbers from 0 on.
        ids: of the examples, for messages.
        classes: names by class number; default the names in alphabetical order, or the numbers.

    Raises:
        InputError: a label is neither, or no class; there are names and numbers.
    """
    names = [value for value in values if isinstance(value, str)]
    if names and len(names) == len(values):
        order = tuple(sorted(set(names)) if classes is None else classes)
        number_of = {name: number for number, name in enumerate(order)}
        for name, example in zip(names, ids, strict=True):
            if name not in number_of:
                raise InputError(f"Labels must be among {some(order)}, got {name!r} for example {example}.")
        return np.asarray([number_of[name] for name in names], dtype=np.int64), order
    if names:
        raise InputError("Labels must be all class numbers or all class names, got both: use one of the two.")
    numbers = [_class_number(value, example) for value, example in zip(values, ids, strict=True)]
    order = tuple(classes or (str(number) for number in range(max(numbers, default=-1) + 1)))
    for number, example in zip(numbers, ids, strict=True):
        if number >= len(order):
            raise InputError(f"Labels must be from 0 to {len(order) - 1}, got {number} for example {example}.")
    return np.asarray(numbers, dtype=np.int64), order


def _class_number(value: object, example: str) -> int:
    if isinstance(value, int | float) and value == value // 1 and 0 <= value < MOST_CLASSES:
        return int(value)
    raise InputError(
        f"Labels must be class names, or class numbers from 0 to {MOST_CLASSES - 1}, got {value!r} for example "
        f"{example}."
    )
