"""Tables of named columns: which are labels, ids, groups and inputs, whatever the table comes from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import msgspec
import numpy as np

from untrain.data.arrays import scalars, stacked, to_array, without_torch
from untrain.data.columns import Columns
from untrain.data.examples import Array, Inputs
from untrain.data.images import SUFFIXES, Pictures, can_be_opened, is_picture
from untrain.data.selection import DEFAULT, SPECIAL, Selection, is_index
from untrain.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_TOKENS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
"""Columns that a tokenizer makes of one text; a model takes them by name."""
_NUMBERS = {"bool", *(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64))} - {"float8"}
"""Types of elements of a Hugging Face feature that NumPy knows by the same name."""

Cells = Array | Sequence[object]


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of one length.

    Attributes:
        columns: `[n, ...]` arrays or lists of `n` cells, by name.
        source: where they come from, for messages.
        class_names: of columns whose numbers stand for classes.
        index: names of the rows, where the table has them beside its columns.
        root: folder of the pictures that cells name, or None where they may name none.
    """

    columns: Mapping[str, Cells]
    source: str
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    index: Sequence[object] | None = None
    root: Path | None = None

    def read(self, selection: Selection = DEFAULT) -> Columns:
        """Labels, ids, groups and inputs; `as_examples` says which columns they are.

        Raises:
            InputError: a column is missing, or the inputs are not clear.
        """
        label = selection.label_of(self.columns, self.class_names, self.source)
        if not len(self.columns[label]):
            raise InputError(f"There must be at least one row in {self.source}, got none.")
        indices = self._indices(label, selection)
        index = scalars(self.columns[indices[0]], "the index") if indices and self.index is None else self.index
        group = selection.group or "group"
        columns = Columns(
            self._inputs(self.input_columns(selection), selection),
            scalars(self.columns[label], f"column {label!r}"),
            scalars(self.columns["id"], "column 'id'") if "id" in self.columns else index,
            scalars(self.columns[group], f"column {group!r}") if group in self.columns else None,
            self.class_names.get(label),
        )
        return columns.transformed(selection.transform, self.source)

    def input_columns(self, selection: Selection = DEFAULT) -> list[str]:
        """The columns that inputs are made of."""
        label = selection.label_of(self.columns, self.class_names, self.source)
        others = {label, *selection.special, *selection.not_inputs, *self._indices(label, selection)}
        offered = (name for name in self.columns if name not in others and not name.endswith("_label"))
        return list(selection.inputs or offered)

    def _indices(self, label: str, selection: Selection) -> list[str]:
        """The columns that number the rows."""
        used = (label, *selection.inputs)
        return [name for name, cells in self.columns.items() if name not in used and is_index(name, _listed(cells))]

    def _inputs(self, names: list[str], selection: Selection) -> Inputs | Pictures:
        first = {name: next((cell for cell in self.columns[name] if cell is not None), None) for name in names}
        pictures = [name for name in names if self._is_picture(first[name])]
        if len(pictures) > 1 and not selection.inputs:
            pictures = [name for name in pictures if can_be_opened(first[name])] or pictures
        sequences = [
            name for name in names if isinstance(first[name], list | tuple) or bool(getattr(first[name], "ndim", False))
        ]
        candidates = pictures + [name for name in sequences if not pictures or _is_numbers(first[name])]
        if len(candidates) > 1 and (selection.inputs or _TOKENS.issuperset(candidates)) and not pictures:
            return {name: self._sequences(name) for name in candidates}
        if len(candidates) > 1 or (sequences and not pictures and len(names) > 1):
            raise InputError(
                f"The input could be {' or '.join(candidates if len(candidates) > 1 else names[:5])} in {self.source}: "
                "name one of these columns with inputs= (--inputs)."
            )
        if pictures:
            return Pictures(self.columns[pictures[0]], f"{self.source}, column {pictures[0]!r}", root=self.root)
        if sequences:
            return self._sequences(sequences[0])
        if len(names) == 1 and selection.transform is not None:
            return self.columns[names[0]]
        if not names:
            raise InputError(
                "Inputs must be a column of pictures, a column of sequences, or columns of single numbers, got (none) "
                f"in {self.source}: keep the columns that the model takes."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is refused with its example
            return np.stack([self._numbers(name).astype(np.float32) for name in names], axis=1)

    def _is_picture(self, cell: object) -> bool:
        named = isinstance(cell, str) and self.root is not None and Path(cell).suffix.lower() in SUFFIXES
        return named or is_picture(cell)

    def _sequences(self, name: str) -> Array:
        cells, where = self.columns[name], f"column {name!r} of {self.source}"
        return to_array(cells, where) if isinstance(cells, np.ndarray) else stacked(cells, where)

    def _numbers(self, name: str) -> Array:
        cells = self.columns[name]
        if isinstance(cells, list) and None in cells and not any(isinstance(cell, str) for cell in cells):
            cells = [np.nan if cell is None else cell for cell in cells]  # refused with its example
        array = np.asarray(cells)
        if array.dtype.kind not in "biuf":
            raise InputError(
                f"Column {name!r} of {self.source} holds neither pictures nor numbers: convert it to numbers, name the "
                "input columns with inputs= (--inputs), or the column of persons with group=."
            )
        return array


def _listed(cells: Cells) -> Sequence[object] | None:
    """Cells of whole numbers or texts as a list, to look at their values; None for others."""
    return cells.tolist() if isinstance(cells, np.ndarray) and cells.ndim == 1 and cells.dtype.kind in "iu" else None


def _is_numbers(cell: object) -> bool:
    try:
        return np.asarray(cell).dtype.kind in "biuf"
    except (ValueError, TypeError):
        return False


@runtime_checkable
class HuggingFaceDataset(Protocol):
    """What is asked of a Hugging Face dataset."""

    column_names: list[str]
    features: Mapping[str, object]

    def __len__(self) -> int: ...
    def __getitem__(self, name: str) -> Iterable[object]: ...


def from_columns(columns: Mapping[str, object], source: str) -> Table:
    """A table of lists, arrays, tensors or series.

    Raises:
        InputError: a column is none of them, or they differ in length.
    """
    table = Table({name: _cells(values, name) for name, values in columns.items()}, source)
    lengths = {name: len(cells) for name, cells in table.columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"All columns of {source} must have one length, got {lengths}.")
    return table


def _cells(values: object, name: str) -> Cells:
    values = without_torch(values)
    if isinstance(values, np.ndarray) and values.ndim:
        return values
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | Mapping | np.ndarray):
        raise InputError(f"Column {name!r} must be a list or an array, got {type(values).__name__}.")
    return list(values)


def from_hugging_face(data: HuggingFaceDataset) -> Table:
    """The table that a Hugging Face dataset is."""
    named = {name: getattr(feature, "names", None) for name, feature in data.features.items()}
    return Table(
        {name: _typed(list(data[name]), data.features[name]) for name in data.column_names},
        "the dataset",
        {name: names for name, names in named.items() if names},
    )


def _typed(cells: list[object], feature: object) -> Cells:
    """Sequences as arrays of the type that the feature says; they come as lists of Python numbers."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    kind = str(getattr(feature, "dtype", None))
    if kind not in _NUMBERS or not all(isinstance(cell, list) for cell in cells):
        return cells
    try:
        return [np.asarray(cell, kind) for cell in cells]
    except (ValueError, TypeError):  # a row that is no array is refused with its place when it is read
        return cells


def from_frame(frame: object) -> Table:
    """The table that a data frame, or anything else that speaks Arrow, holds.

    Raises:
        InputError: a column holds values of several types.
    """
    import pyarrow as pa

    try:
        return from_arrow(pa.table(frame), f"the {type(frame).__name__}")
    except (pa.ArrowException, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"The {type(frame).__name__} has a column that Arrow cannot hold: {reason}") from error


def from_arrow(table: "pa.Table", source: str, root: Path | None = None) -> Table:
    """A table of Arrow, whose cells may name pictures below `root`; an index of pandas names its rows and is no column.

    Raises:
        InputError: two columns have one name.
    """
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise InputError(f"Two columns of {source} are named {twice[0]!r}: rename one of them.")
    columns = {name: _arrow_cells(table[name], name) for name in table.column_names}
    metadata = table.schema.metadata or {}
    indices = _parsed(metadata.get(b"pandas"), _Pandas).index_columns
    names = [name for name in indices if isinstance(name, str) and name in columns and name not in SPECIAL]
    index = _row_names(indices, columns, table.num_rows)
    kept = {name: cells for name, cells in columns.items() if name not in names}
    features = _parsed(metadata.get(b"huggingface"), _HuggingFace).info.features
    return Table(kept, source, {name: labels for name in kept if (labels := _names(features.get(name)))}, index, root)


class _Rows(Sequence[object]):
    """A column of Arrow whose cells become Python values when they are asked for, as pictures are large."""

    def __init__(self, column: "pa.ChunkedArray") -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row: int) -> object:  # type: ignore[override]  # slices are not asked for
        try:
            return self._column[int(row)].as_py()
        except UnicodeDecodeError as error:  # a damaged name beside a picture
            raise InputError(f"Row {row} of a column of the table cannot be read: {error}.") from error


def _arrow_cells(column: "pa.ChunkedArray", name: str) -> Cells:
    import pyarrow as pa
    import pyarrow.types as kinds

    if isinstance(column.type, pa.FixedShapeTensorType):
        return np.asarray(column.combine_chunks().to_numpy_ndarray())
    if isinstance(column.type, pa.BaseExtensionType) and not isinstance(column.type, pa.UuidType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if kinds.is_run_end_encoded(column.type):
        chunks = [pa.compute.run_end_decode(chunk) for chunk in column.chunks]
        column = pa.chunked_array(chunks, column.type.value_type)
    stored = column.type.value_type if kinds.is_dictionary(column.type) else column.type
    if name in SPECIAL or is_index(name):
        return _shared(column)
    if kinds.is_struct(stored) or any(
        test(stored)
        for test in (kinds.is_binary, kinds.is_large_binary, kinds.is_binary_view, kinds.is_fixed_size_binary)
    ):
        return _Rows(column)
    if kinds.is_dictionary(column.type) and not _is_number(stored):
        return _shared(column)
    if (plain := _plain(column.type)) != column.type:
        column = column.cast(plain)
    if column.null_count:
        return list(column.to_pylist())
    if _is_number(column.type):
        return np.asarray(column.to_numpy())
    array = _arrow_sequences(column) if _is_sequence(column.type) else None
    return list(column.to_pylist()) if array is None else array


def _shared(column: "pa.ChunkedArray") -> list[object]:
    """The values of a column; a text that a dictionary holds once is one object, however often it occurs."""
    import pyarrow as pa
    import pyarrow.types as kinds

    if not kinds.is_dictionary(column.type):
        return list(column.to_pylist())
    values = list[object]()
    for chunk in column.chunks:
        words = [*pa.array(chunk.dictionary).to_pylist(), None]
        values += [words[-1 if position is None else position] for position in chunk.indices.to_pylist()]
    return values


def _plain(kind: "pa.DataType") -> "pa.DataType":
    """The type with decimals as floats and dictionaries as their values."""
    import pyarrow as pa
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        return _plain(kind.value_type)
    if kinds.is_decimal(kind):
        return pa.float64()
    if _is_sequence(kind):
        inner = _plain(kind.value_type)
        if kinds.is_fixed_size_list(kind):
            return pa.list_(inner, kind.list_size)
        return pa.large_list(inner) if kinds.is_large_list(kind) else pa.list_(inner)
    return kind


def _arrow_sequences(column: "pa.ChunkedArray") -> Array | None:
    """Sequences of numbers as one array, or None where they differ in length or hold something else."""
    import pyarrow.compute

    shape = [len(column)]
    while _is_sequence(column.type):
        lengths = pyarrow.compute.unique(pyarrow.compute.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            return None
        shape.append(lengths[0])
        column = pyarrow.compute.list_flatten(column)
    return np.asarray(column.to_numpy()).reshape(shape) if _is_number(column.type) and not column.null_count else None


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind))


def _is_sequence(kind: "pa.DataType") -> bool:
    """Whether cells are lists; views of lists are read cell by cell, since Arrow loses cells when it casts them."""
    import pyarrow.types as kinds

    return bool(kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind))


class _Range(msgspec.Struct):
    """The index of a frame whose rows are numbered."""

    start: int
    stop: int
    step: int


class _Pandas(msgspec.Struct):
    """What pandas writes beside a table."""

    index_columns: list[str | _Range] = []


class _Features(msgspec.Struct):
    features: dict[str, object] = {}


class _HuggingFace(msgspec.Struct):
    """What the library `datasets` writes beside a table."""

    info: _Features = msgspec.field(default_factory=_Features)


_Metadata = TypeVar("_Metadata", _Pandas, _HuggingFace)


def _parsed(text: bytes | None, kind: type[_Metadata]) -> _Metadata:
    """Metadata of a table; as if there were none where they are not in the known form."""
    try:
        return kind() if text is None else msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return kind()


def _names(feature: object) -> list[str] | None:
    """Class names that a feature in the metadata of `datasets` gives."""
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else None


def _row_names(indices: list[str | _Range], columns: Mapping[str, Cells], count: int) -> list[object] | None:
    """Names of the rows, where a frame of pandas had an index that says more than their numbers."""
    if len(indices) != 1:
        return None
    index = indices[0]
    if isinstance(index, str):
        return scalars(columns[index], "the index") if index in columns and index not in SPECIAL else None
    is_plain = (index.start, index.step) == (0, 1)
    numbers = None if is_plain or not index.step else range(index.start, index.stop, index.step)
    return None if numbers is None or len(numbers) != count else list(numbers)
