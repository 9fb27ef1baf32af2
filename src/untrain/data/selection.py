"""Which columns of a table are read, and how inputs are prepared."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from untrain.core.text import nearest
from untrain.data.arrays import some
from untrain.data.images import Transform
from untrain.data.memory import MEMORY_LIMIT
from untrain.errors import InputError

LABELS = ("label", "labels")
SPECIAL = {*LABELS, "id", "group"}
_INDEX = re.compile(r"|Unnamed: \d+(\.\d+)*|__index_level_\d+__")
_COUNTED = ("index", "level_0")


@dataclass(frozen=True)
class Selection:
    """What a person says of the columns.

    Attributes:
        label: the label column; default `label`, else `labels`, else the only one of class labels.
        inputs: the input columns; default what the kinds of the columns say.
        not_inputs: further columns that are no inputs.
        group: the group column; default `group`.
        transform: makes the input of one example from its picture, row or value.
        memory_limit: largest size of the decoded examples in GB.
    """

    label: str | None = None
    inputs: tuple[str, ...] = ()
    not_inputs: tuple[str, ...] = ()
    group: str | None = None
    transform: Transform | None = None
    memory_limit: float = MEMORY_LIMIT

    @property
    def special(self) -> set[str]:
        """Columns that are never inputs, whatever else the table has: labels, ids and groups."""
        return {*SPECIAL, *([] if self.group is None else [self.group])}

    def label_of(self, names: Iterable[str], named: Iterable[str], source: str) -> str:
        """The label column among columns of these names, once every column that was named is there.

        Args:
            names: of all columns.
            named: columns of class labels.
            source: the table, for messages.

        Raises:
            InputError: a column is missing.
        """
        names, named = list(names), list(named)
        columns = (self.label, *self.inputs, *self.not_inputs, self.group)
        for name in (column for column in columns if column is not None):
            if name not in names:
                raise InputError(
                    f"There is no column {name!r} in {source}, only {some(names)}: name one of them"
                    f"{nearest(name, names) or '.'}"
                )
        if self.label is not None:
            return self.label
        for name in LABELS:
            if name in names:
                return name
        if len(named) == 1:
            return named[0]
        raise InputError(
            f"There is no column 'label' or 'labels' in {source}, only {some(names)}: rename the one that the model "
            "predicts to 'label', or name it with label= (--label)."
        )


def input_names(inputs: str | int | Sequence[str] | None) -> tuple[str, ...]:
    """Names of input columns, of which one may stand alone; a part of a sample is a number."""
    return () if inputs is None else (str(inputs),) if isinstance(inputs, str | int) else tuple(map(str, inputs))


DEFAULT = Selection()
"""Columns by the rules alone."""


def is_index(name: str, cells: Sequence[object] | None = None) -> bool:
    """Whether a column is the index that pandas or R wrote beside the data, by its name and its cells.

    >>> is_index("Unnamed: 0"), is_index("index", [0, 2, 5]), is_index("index", [3, 1])
    (True, True, False)
    """
    if _INDEX.fullmatch(name):
        return True
    if name not in _COUNTED or cells is None or any(not isinstance(cell, int) for cell in cells):
        return False
    return all(one < other for one, other in itertools.pairwise(cells))  # type: ignore[operator]
