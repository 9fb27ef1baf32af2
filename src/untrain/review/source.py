"""The table that the reviewed examples came from: its rows by id, their texts, and the same table with other labels."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from untrain.data.files import DELIMITED, PARQUET, from_file, separator
from untrain.data.images import SUFFIXES
from untrain.data.selection import Selection, is_index
from untrain.data.tables import Table
from untrain.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from untrain.data import Examples


def is_table(source: Path) -> bool:
    """Whether this is a file with a table."""
    return source.is_file() and source.suffix.lower() in (PARQUET, *DELIMITED)


@dataclass(frozen=True, eq=False)
class SourceTable:
    """A table in a file.

    Attributes:
        path: of the file.
        table: its columns.
        label: name of the label column.
        ids: of its rows.
        selection: which columns were read.
    """

    path: Path
    table: Table
    label: str
    ids: tuple[str, ...]
    selection: Selection

    @classmethod
    def read(cls, path: Path, selection: Selection) -> "SourceTable":
        """Read a file that `is_table`.

        Raises:
            InputError: it cannot be read, or lacks a column.
        """
        table = from_file(path, replace(selection, inputs=(), not_inputs=()))
        label = selection.label_of(table.columns, table.class_names, table.source)
        ids = table.read(selection).with_ids(f"{path.stem}/", digits=5).ids or ()
        return cls(path, table, label, tuple(map(str, ids)), selection)

    def numbers(self) -> list[str]:
        """Names of the columns that the inputs are made of."""
        return self.table.input_columns(self.selection)

    def texts(self) -> dict[str, str]:
        """What is written in each row, by id; empty for a table without texts.

        Columns of texts are those that are no label, id, group, index, input or picture. With several, each line names
        its column.
        """
        others = {self.label, *self.selection.special, *self.selection.inputs}
        columns = {
            name: cells
            for name, cells in self.table.columns.items()
            if name not in others and not is_index(name) and not name.endswith("_label") and _are_texts(cells)
        }
        rows = zip(*columns.values(), strict=True)
        return {name: _written(columns, cells) for name, cells in zip(self.ids, rows, strict=False)}

    def corrected(self, examples: "Examples", labels: Mapping[str, str], dropped: Collection[str]) -> "pa.Table | str":
        """The table with other labels and without some rows; all other cells and all types stay.

        Args:
            examples: that were read from the table.
            labels: right class names by id.
            dropped: ids of rows to leave out.

        Returns:
            A table of Arrow; of a text file its text, with the separator that it had.

        Raises:
            InputError: the file has changed.
        """
        return (self._rows if self.path.suffix.lower() == PARQUET else self._lines)(examples, labels, dropped)

    def _rows(self, examples: "Examples", labels: Mapping[str, str], dropped: Collection[str]) -> "pa.Table":
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(self.path)
        place, kind = table.column_names.index(self.label), table.schema.field(self.label)
        cells = self._relabeled(table[self.label].to_pylist(), examples, labels)
        table = table.set_column(place, kind, pa.array(cells, kind.type))
        return table.take([row for row, name in enumerate(self.ids) if name not in dropped])

    def _lines(self, examples: "Examples", labels: Mapping[str, str], dropped: Collection[str]) -> str:
        text = self.path.read_bytes().decode("utf-8-sig")
        head = text.partition("\n")[0]
        mark = separator(text)
        first, *lines = (cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=mark) if cells)
        if len(lines) != len(self.ids):
            raise InputError(
                f"{self.path} has {len(lines)} rows now and had {len(self.ids)}: run `untrain detect` again."
            )
        place = first.index(self.label)
        for line, cell in zip(lines, self._relabeled([line[place] for line in lines], examples, labels), strict=True):
            line[place] = str(cell)
        kept = [line for name, line in zip(self.ids, lines, strict=True) if name not in dropped]
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=mark, lineterminator="\r\n" if head.endswith("\r") else "\n").writerows(
            [first, *kept]
        )
        return file.getvalue()

    def _relabeled(self, cells: list[object], examples: "Examples", labels: Mapping[str, str]) -> list[object]:
        """The cells of the label column; a class is written as the table writes it elsewhere."""
        cell_of_id = dict(zip(self.ids, cells, strict=True))
        written = {
            examples.classes[label]: cell_of_id[str(name)]
            for name, label in zip(examples.ids, examples.labels, strict=True)
        }
        return [
            written.get(labels[name], self._cell_of_class(labels[name], cell)) if name in labels else cell
            for name, cell in cell_of_id.items()
        ]

    def _cell_of_class(self, name: str, like: object) -> object:
        """How the table writes a class that none of the examples has, beside a cell `like` it."""
        if names := self.table.class_names.get(self.label):
            return list(names).index(name)
        return name if isinstance(like, str) else type(like)(name)  # type: ignore[call-arg]


def _are_texts(cells: Sequence[object] | npt.NDArray[np.generic]) -> bool:
    """Whether a column holds texts, and not names of pictures."""
    first = next((cell for cell in cells if cell is not None), None)
    return isinstance(first, str) and Path(first[-16:]).suffix.lower() not in SUFFIXES


def _written(columns: Collection[str], cells: Sequence[object]) -> str:
    if len(columns) == 1:
        return str(cells[0] or "")
    return "\n".join(f"{name}: {cell}" for name, cell in zip(columns, cells, strict=True))
