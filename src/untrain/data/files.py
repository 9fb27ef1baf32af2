"""Tables in files: parquet, and texts with a separator. Columns and sizes are looked at before anything is decoded."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from untrain.data.memory import ROW_BYTES, check_memory
from untrain.data.selection import DEFAULT, Selection, is_index
from untrain.data.tables import Table, from_arrow
from untrain.errors import InputError, first_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PARQUET, DELIMITED = ".parquet", (".csv", ".tsv", ".txt")
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}
"""Bytes that a value takes in memory, by its type in the file; those of texts and pictures come on top."""
_FEW, _MANY = 64, 65_536
"""Rows that are read at a time."""
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*\Z")


def from_file(file: Path, selection: Selection = DEFAULT) -> Table:
    """The table in a file, by the ending of its name.

    Raises:
        InputError: the file cannot be read, has no such column, or takes too much memory.
    """
    return from_parquet([file], selection) if file.suffix.lower() == PARQUET else from_delimited(file, selection)


def from_parquet(files: Sequence[Path], selection: Selection = DEFAULT) -> Table:
    """The table that parquet files hold, one after another.

    Raises:
        InputError: a file cannot be read, or is damaged; a column is missing; they take too much memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Values that a file repeats stay one in memory, too.
        opened = [pq.ParquetFile(file, read_dictionary=_byte_columns(file)) for file in files]
        names = opened[0].schema_arrow.names
        if selection.label is not None or selection.inputs or selection.not_inputs or selection.group is not None:
            selection.label_of(names, (), str(files[0]))
        wanted = _wanted(names, selection)
        needed = sum(_decoded_bytes(file.metadata, wanted) for file in opened)
        check_memory(needed, selection.memory_limit, str(files[0]))
        table = pa.concat_tables([_read(file, wanted, selection.memory_limit) for file in opened])
        table.validate(full=True)  # that texts are texts, among others
        return from_arrow(table, str(files[0]), files[0].parent)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The parquet file {files[0]} cannot be read as a whole: {reason}") from error


def _byte_columns(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    schema = pq.read_metadata(file).schema
    columns = [schema.column(number) for number in range(len(schema))]
    return [
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and not column.max_repetition_level and column.path == column.name
    ]


def _read(file: "pq.ParquetFile", wanted: list[str] | None, memory_limit: float) -> "pa.Table":
    """Read a file a few rows at a time where a value that it stores once may be repeated without end.

    Arrow keeps such values apart from their repetitions in plain columns, but not in pictures, which are structs.
    """
    import pyarrow as pa
    import pyarrow.types as kinds

    nested = any(kinds.is_nested(field.type) for field in file.schema_arrow)
    batches, size = list[pa.RecordBatch](), 0
    for batch in file.iter_batches(_FEW if nested else _MANY, columns=wanted):
        batch = pa.RecordBatch.from_arrays([_once(column) for column in batch.columns], batch.schema.names)
        size += batch.nbytes
        check_memory(size, memory_limit, "The table")
        batches.append(batch)
    table = pa.Table.from_batches(batches) if batches else file.read(columns=wanted)
    return table.replace_schema_metadata(file.schema_arrow.metadata)


def _once(column: "pa.Array") -> "pa.Array":
    """A column whose cells are structs, with equal bytes in memory once."""
    import pyarrow as pa
    import pyarrow.types as kinds

    if not kinds.is_struct(column.type):
        return column
    children = [column.field(number) for number in range(column.type.num_fields)]
    parts = [
        child.dictionary_encode() if kinds.is_binary(child.type) or kinds.is_large_binary(child.type) else child
        for child in children
    ]
    return pa.StructArray.from_arrays(parts, [field.name for field in column.type], mask=column.is_null())


def _wanted(names: list[str], selection: Selection) -> list[str] | None:
    """The columns to read; None for all."""
    if not selection.inputs:
        return None
    kept = {*selection.special, *selection.inputs, *([] if selection.label is None else [selection.label])}
    return [name for name in names if name in kept or is_index(name)]


def _decoded_bytes(metadata: "pq.FileMetaData", wanted: list[str] | None) -> int:
    """What a file takes in memory, by what it says of itself."""
    needed = int(metadata.num_rows) * ROW_BYTES
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for column in (group.column(number) for number in range(group.num_columns)):
            if wanted is None or column.path_in_schema.partition(".")[0] in wanted:
                width = _WIDTHS.get(column.physical_type, 0)
                needed += int(max(column.num_values * width, column.total_uncompressed_size))
    return needed


def separator(text: str) -> str:
    """What separates the columns of a text table: of comma, semicolon, tab and bar, what its first line has most of.

    Whatever stands in quotation marks does not count.
    """
    head = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    mark = max(";\t|,", key=head.count)
    return mark if mark in head else ","


def from_delimited(file: Path, selection: Selection = DEFAULT) -> Table:
    """The table that a text file holds, with names in its first line.

    Columns are separated by commas, semicolons, tabs or bars, whichever the first line has most of. Ids and groups are
    kept as they are written; labels are numbers where all of them are. An empty cell for a label, an id or a group is a
    missing value. Where semicolons separate, numbers may have decimal commas. A first column without a name is an
    index, as pandas and R write it.

    Raises:
        InputError: the file cannot be read, has no such column, or takes too much memory.
    """
    import pyarrow as pa
    import pyarrow.csv

    try:
        with file.open(encoding="utf-8-sig") as lines:  # whose ends may be those of any system
            head, row = lines.readline(), lines.readline()
            count = sum(block.count("\n") for block in iter(lambda: lines.read(1 << 20), ""))
        mark = separator(head)
        check_memory(4 * file.stat().st_size + count * ROW_BYTES, selection.memory_limit, str(file))
        names = next(csv.reader([head.rstrip("\n")], delimiter=mark), [])
        label = selection.label_of(names, (), str(file))
        exact = {name: pa.string() for name in names if name in selection.special or name == label or is_index(name)}
        decimal = "," if mark == ";" and re.search(r"(^|;)\s*-?\d+,\d+\s*(;|$)", row) else "."
        table = pyarrow.csv.read_csv(
            file,
            parse_options=pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=exact, decimal_point=decimal),
        )
    except UnicodeDecodeError as error:
        raise InputError(f"The table {file} is no text in UTF-8 ({error}): save it as UTF-8.") from error
    except (pa.ArrowException, OSError, csv.Error) as error:
        raise InputError(f"The table {file} cannot be read: {first_line(error)}") from error
    special = selection.special | {label}
    return from_arrow(_with_labels(_with_missing(table, special), label), str(file), file.parent)


def _with_missing(table: "pa.Table", names: Iterable[str]) -> "pa.Table":
    """The table with a missing value for each empty cell of these columns of texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in sorted(set(names).intersection(table.column_names)):
        position = table.column_names.index(name)
        cells = table.column(position)
        if pa.types.is_string(cells.type):
            table = table.set_column(position, name, pc.if_else(pc.equal(cells, ""), None, cells))
    return table


def _with_labels(table: "pa.Table", label: str) -> "pa.Table":
    """The table with labels as numbers, where all of them are written as such."""
    import pyarrow as pa

    if table.column_names.count(label) != 1:
        return table
    texts = table[label].to_pylist()
    if not texts or not all(_NUMBER.match(text or "") for text in texts):
        return table
    numbers = pa.array([float(text) for text in texts])
    return table.set_column(table.column_names.index(label), label, numbers)
