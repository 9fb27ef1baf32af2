"""`Columns`: what data of every form come down to, and how they become `Examples`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from untrain.data.arrays import some
from untrain.data.examples import Examples, Inputs, Labels, Positions
from untrain.data.images import Pictures, Transform, Transformed
from untrain.data.memory import MEMORY_LIMIT, check_memory
from untrain.errors import InputError

MOST_CLASSES = 100_000
"""Larger numbers in a label column are taken for something else, such as ids."""

InputSource = Inputs | Pictures | Transformed
"""Inputs, or what they are decoded from."""

Choose = Callable[[Labels, tuple[str, ...]], tuple[Positions, Labels, tuple[str, ...]]]
"""Which rows to keep, from all class numbers and class names: rows, their class numbers, and the names."""


@dataclass(frozen=True, eq=False)
class Columns:
    """What is needed for examples, before it is checked.

    Attributes:
        inputs: `[n, ...]`, a dictionary of such arrays, or pictures and others that are not decoded yet.
        labels: `[n]` class names or class numbers.
        ids: `[n]` names of the examples, or None where the data have none.
        groups: `[n]` names, or None.
        classes: class names by class number, or None where the labels say them.
    """

    inputs: InputSource
    labels: Sequence[object]
    ids: Sequence[object] | None = None
    groups: Sequence[object] | None = None
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.inputs, np.ndarray) and not self.inputs.ndim:
            raise InputError("Inputs must be an array [n, ...], got a single number.")

    def with_ids(self, prefix: str = "", digits: int = 1) -> "Columns":
        """The same with ids; where the data have none, they are row numbers after a prefix.

        >>> Columns(np.zeros((2, 1)), [0, 1]).with_ids("mine/", digits=3).ids
        ['mine/000', 'mine/001']
        """
        if self.ids is not None:
            return self
        return replace(self, ids=[f"{prefix}{row:0{digits}d}" for row in range(len(self))])

    def transformed(self, transform: Transform | None, source: str) -> "Columns":
        """The same with inputs that a person's function makes, if there is one and it does not make them already.

        Args:
            transform: the function.
            source: where the inputs come from, for messages.
        """
        if transform is None or isinstance(self.inputs, Transformed):
            return self
        return replace(self, inputs=Transformed(self.inputs, transform, source))

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())) if isinstance(self.inputs, dict) else self.inputs)

    def examples(self, choose: Choose | None = None, memory_limit: float = MEMORY_LIMIT) -> Examples:
        """Check them and make examples; only pictures that are chosen are decoded.

        Raises:
            InputError: columns differ in length, a value is missing, a label is no class, a picture cannot be read, or
                `Examples` cannot be made.
        """
        ids = texts(self.with_ids().ids or (), "id")
        groups = None if self.groups is None else texts(self.groups, "group")
        for what, values in (("labels", self.labels), ("ids", ids), ("groups", groups)):
            if values is not None and len(values) != len(self):
                raise InputError(f"Each of the {len(self)} inputs needs one of the {what}, got {len(values)}.")
        labels, classes = class_numbers(self.labels, ids, self.classes)
        inputs = self.inputs
        if choose is not None:
            rows, labels, classes = choose(labels, classes)
            inputs = _selected(inputs, rows)
            ids = [ids[row] for row in rows]
            groups = None if groups is None else [groups[row] for row in rows]
        check_memory(4 * len(ids) * max(map(len, ids), default=0), memory_limit, f"The {len(ids)} ids")
        decoded = inputs.read(ids, memory_limit) if isinstance(inputs, Pictures | Transformed) else inputs
        return Examples.of(decoded, labels, ids, classes, groups)


def _selected(inputs: InputSource, rows: Positions) -> InputSource:
    if isinstance(inputs, Pictures | Transformed):
        return inputs.select(rows)
    return {name: array[rows] for name, array in inputs.items()} if isinstance(inputs, dict) else inputs[rows]


def texts(values: Sequence[object], what: str) -> list[str]:
    """Names as texts, exactly as they are given; bytes are read as UTF-8.

    Raises:
        InputError: one is missing, or bytes are no text.
    """
    for row, value in enumerate(values):
        if value is None or value != value:  # NaN is how tables mark a missing value
            raise InputError(f"Every example needs a value in column {what!r}, got none in row {row}.")
    try:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    except UnicodeDecodeError as error:
        raise InputError(
            f"The values of column {what!r} must be texts, got bytes that are not UTF-8: {error}"
        ) from error


def class_numbers(
    values: Sequence[object], ids: Sequence[str], classes: Sequence[str] | None = None
) -> tuple[Labels, tuple[str, ...]]:
    """Class numbers and class names of labels that are either.

    Args:
        values: class names, or class numbers: from 0 on, or those of `classes`. Numbers that leave no gap from 1 on are
            the names of as many classes.
        ids: of the examples, for messages.
        classes: names in the order of the class numbers; numbers that are all among them are names, too. Default the
            names in alphabetical order, or the numbers.

    Raises:
        InputError: a label is missing or empty, is neither, or is no class; there are names and numbers.
    """
    values = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
    for value, example in zip(values, ids, strict=True):
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            raise InputError(
                f"Every example needs a label, and that of example {example} is empty: fill it in, or leave the "
                "example out."
            )
    names = [value for value in values if isinstance(value, str)]
    if names and len(names) == len(values):
        return _numbered(names, ids, sorted(set(names)) if classes is None else classes)
    if names:
        raise InputError("Labels must be all class numbers or all class names, got both: use one of the two.")
    whole: list[int] = [_whole(value, example) for value, example in zip(values, ids, strict=True)]
    if classes is not None and {str(number) for number in whole} <= set(classes):
        return _numbered([str(number) for number in whole], ids, classes)
    most = max(whole, default=-1)
    if classes is None and most > 1 and min(whole) == 1 and len(set(whole)) == most:
        return _numbered([str(number) for number in whole], ids, [str(number) for number in range(1, most + 1)])
    order = tuple(classes or (str(number) for number in range(most + 1)))
    for number, example in zip(whole, ids, strict=True):
        if not 0 <= number < len(order):
            raise InputError(
                f"Labels must be from 0 to {len(order) - 1}, got {number} for example {example}: name the classes in "
                "the order of the model's outputs with classes= (--classes)."
            )
    return np.asarray(whole, dtype=np.int64), order


def _numbered(names: Sequence[str], ids: Sequence[str], order: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    """Class numbers of class names."""
    number_of = {name: number for number, name in enumerate(order)}
    for name, example in zip(names, ids, strict=True):
        if name not in number_of:
            raise InputError(f"Labels must be among {some(order)}, got {name!r} for example {example}.")
    return np.asarray([number_of[name] for name in names], dtype=np.int64), tuple(order)


def _whole(value: object, example: str) -> int:
    if isinstance(value, int | float | Decimal) and -MOST_CLASSES < value < MOST_CLASSES and value == int(value):
        return int(value)
    raise InputError(
        f"Labels must be class names, or class numbers from 0 to {MOST_CLASSES - 1}, got {value!r} for example "
        f"{example}."
    )
