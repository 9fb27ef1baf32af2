"""Where examples come from: embedded digits, parquet in the Hugging Face layout, folders, tables of one's own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from untrain.core.randomness import Streams
from untrain.data.examples import Examples, Labels, Positions
from untrain.data.images import check_inside, decode, read_bytes, stack
from untrain.data.surf.read import NAME as SURF
from untrain.data.surf.read import find_surf, read_surf
from untrain.errors import InputError

Part = Literal["train", "test"]

MOST_CLASSES = 100_000
"""Larger numbers in a label column are taken for something else, such as ids."""

_TEN = tuple("0123456789")
_CLASSES = {
    "mnist": _TEN,
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip
WITH_TEST_PART = tuple(_CLASSES)
"""Sources that come with a test part of their own."""

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def load(
    source: str = "digits",
    *,
    part: Part = "train",
    data_dir: str | Path | None = None,
    limit: int | None = None,
    classes: Sequence[str] | None = None,
    per_class: int | None = None,
    label: str = "label",
    not_inputs: Sequence[str] = (),
    seed: int = 0,
) -> Examples:
    """Read examples by the name of a data set, or from a folder or parquet table of one's own.

    Args:
        source: `digits` (1,797 grey 8x8 images that scikit-learn ships; needs no file), `mnist`, `cifar10`,
            `fashion-mnist` (parquet below `data_dir`), `surf` (photographs of faces by age, as CASIA-SURF is published
            or `untrain synthesize surf` writes them), the path of a folder with one folder of images a class, the path
            of a folder like `surf`, known by its `Age_Gender.txt` or `WBackground`, or the path of a `.parquet` table
            with a label column and optional `id` and `group` columns. Columns named `label` or `..._label` are never
            taken for inputs.
        part: `train` or `test`, for the three data sets that come with a test part.
        data_dir: folder that holds `<source>/train-00000-of-00001.parquet`, or `surf/Age_Gender.txt`, or for `surf`
            `Age_Gender.txt` itself; default the variable `UNTRAIN_DATA`.
        limit: keep this many examples, drawn at random before anything is decoded; default all.
        classes: keep these classes alone, by name, in this order; default all.
        per_class: keep this many examples of each class, drawn at random; default all.
        label: the label column of a table of one's own.
        not_inputs: further columns of such a table that a model must not see, such as other labels.
        seed: of the draws.

    Returns:
        Images as float32 `[n, channels, height, width]` in 0..1, those of `surf` in 0..255 and with persons as groups,
        tables as float32 `[n, columns]`.

    Raises:
        InputError: there is no such source, root, column, class or part; a class has too few examples; an image is
            corrupt; a label is out of range.

    >>> load("digits").inputs.shape
    (1797, 1, 8, 8)
    """
    choice = _Choice(limit, None if classes is None else tuple(classes), per_class, Streams(seed).child("limit", part))
    if (label != "label" or not_inputs) and not (Path(source).suffix == ".parquet" and Path(source).is_file()):
        raise InputError(f"expected a .parquet table to choose columns of, got {source!r}")
    if source == "digits":
        if part == "test":
            raise InputError("digits come without a test part: split them with `untrain.split`")
        return _digits(choice)
    if source in _CLASSES:
        files = _parquet_files(source, part, data_dir)
        return _table(files, f"{source}/{part}", _CLASSES[source], "label", choice)
    if (root := find_surf(source, data_dir)) is not None:
        if part == "test":
            raise InputError("face photographs come without a test part: split them with `untrain.split`")
        return read_surf(root, choice.rows)
    path = Path(source)
    if path.suffix == ".parquet" and path.is_file():
        return _table([path], path.stem, None, label, choice, not_inputs)
    if path.is_dir():
        return _folder(path, choice)
    raise InputError(
        f"expected digits, {', '.join(_CLASSES)}, {SURF}, a folder of images or a .parquet file as data source, "
        f"got {source!r}"
    )


@dataclass(frozen=True)
class _Choice:
    """Which of the examples of a source to keep."""

    limit: int | None
    classes: tuple[str, ...] | None
    per_class: int | None
    draw: Streams

    def rows(self, labels: Labels, names: tuple[str, ...]) -> tuple[Positions, Labels, tuple[str, ...]]:
        """Rows to keep, in the order of the source, with their labels and class names."""
        for what, count in (("limit", self.limit), ("number per class", self.per_class)):
            if count is not None and count < 1:
                raise InputError(f"expected a {what} of at least 1 example, got {count}")
        rows = np.arange(len(labels))
        if self.classes is not None:
            for name in self.classes:
                if name not in names:
                    raise InputError(f"expected classes among {', '.join(names)}, got {name!r}")
            if len(set(self.classes)) < len(self.classes):
                raise InputError(f"expected distinct classes, got {', '.join(self.classes)}")
            renumbered = np.full(len(names), -1)
            renumbered[[names.index(name) for name in self.classes]] = np.arange(len(self.classes))
            labels, names = renumbered[labels], self.classes
            rows = np.flatnonzero(labels >= 0)
            if not len(rows):
                raise InputError(f"expected examples of the classes {', '.join(self.classes) or '(none)'}, got none")
        if self.per_class is not None:
            generator = self.draw.generator("per class")
            of_class = [generator.permutation(rows[labels[rows] == label]) for label in range(len(names))]
            for name, those in zip(names, of_class, strict=True):
                if len(those) < self.per_class:
                    raise InputError(f"expected {self.per_class} examples of class {name}, got {len(those)}")
            rows = np.sort(np.concatenate([those[: self.per_class] for those in of_class]))
        if self.limit is not None and self.limit < len(rows):
            rows = rows[np.sort(self.draw.generator("rows").permutation(len(rows))[: self.limit])]
        return rows, labels[rows], names


def _digits(choice: _Choice) -> Examples:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows, labels, names = choice.rows(digits.target.astype(np.int64), _TEN)
    return Examples(
        inputs=(digits.images[rows, None] / 16).astype(np.float32),
        labels=labels,
        ids=np.asarray([f"digits/{row:04d}" for row in rows]),
        classes=names,
    )


def _parquet_files(source: str, part: Part, data_dir: str | Path | None) -> list[Path]:
    root = data_dir or os.environ.get("UNTRAIN_DATA")
    if not root:
        raise InputError(
            f"expected a folder that holds {source}/{part}-00000-of-00001.parquet: give --data-dir or set UNTRAIN_DATA"
        )
    files = sorted((Path(root) / source).glob(f"{part}-*-of-*.parquet"))
    if not files:
        raise InputError(f"expected {source}/{part}-00000-of-00001.parquet below {root}, found no such file")
    return files


def _table(
    files: list[Path],
    name: str,
    classes: tuple[str, ...] | None,
    label: str,
    choice: _Choice,
    not_inputs: Sequence[str] = (),
) -> Examples:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        table = pa.concat_tables([pyarrow.parquet.read_table(file) for file in files])
        table.validate(full=True)  # that texts are texts, among others
        columns = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"expected a whole parquet file in {files[0].parent}, got one that cannot be read: {reason}"
        ) from error
    for column in (label, *not_inputs):
        if column not in columns:
            raise InputError(f"expected a column {column!r} in {files[0]}, got {', '.join(columns)}")
    if not table.num_rows:
        raise InputError(f"expected at least one row in {files[0]}, got none")
    ids = _strings(table, "id") or [f"{name}/{row:05d}" for row in range(table.num_rows)]
    rows, labels, classes = choice.rows(*_labels(table[label].to_pylist(), ids, classes))
    table, ids = table.take(rows), [ids[row] for row in rows]
    inputs = _table_inputs(table, ids, str(files[0]), {label, "id", "group", *not_inputs})
    return Examples.of(inputs, labels, ids, classes, _strings(table, "group"))


def _strings(table: Any, column: str) -> list[str] | None:  # noqa: ANN401 (pyarrow has no types)
    if column not in table.column_names:
        return None
    values = table[column].to_pylist()
    if None in values:
        raise InputError(f"expected a value in every row of column {column!r}, got none in row {values.index(None)}")
    return [str(value) for value in values]


def _labels(
    values: Sequence[Any], ids: Sequence[str], classes: tuple[str, ...] | None
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Class numbers and names; text labels become classes in alphabetical order."""
    for value, name in zip(values, ids, strict=True):
        if not isinstance(value, int | str) or (isinstance(value, int) and value < 0):
            raise InputError(f"expected a class number or name as label, got {value!r} for example {name}")
    if all(isinstance(value, str) for value in values):
        names = tuple(sorted(set(values)))
        return np.asarray([names.index(value) for value in values], dtype=np.int64), names
    if any(isinstance(value, str) for value in values):
        raise InputError("expected labels that are all numbers or all names, got both")
    if max(values) >= MOST_CLASSES:
        raise InputError(f"expected labels below {MOST_CLASSES}, got {max(values)}: are they class numbers?")
    numbers = np.asarray(values, dtype=np.int64)
    if classes is not None:
        for row in np.flatnonzero(numbers >= len(classes))[:1]:
            raise InputError(f"expected labels from 0 to {len(classes) - 1}, got {numbers[row]} for example {ids[row]}")
    return numbers, classes or tuple(str(number) for number in range(int(numbers.max()) + 1))


def _table_inputs(table: Any, ids: Sequence[str], file: str, others: set[str]) -> npt.NDArray[Any]:  # noqa: ANN401
    """The one image column if there is one, else every other numeric column side by side."""
    import pyarrow.types as kinds

    features = [
        field for field in table.schema if field.name not in others | {"label"} and not field.name.endswith("_label")
    ]
    for field in features:
        if kinds.is_struct(field.type) or kinds.is_binary(field.type):
            try:
                cells = table[field.name].to_pylist()
            except UnicodeDecodeError as error:
                raise InputError(f"Column {field.name!r} of {file} cannot be read: {error}.") from error
            data = [cell.get("bytes") if isinstance(cell, dict) else cell for cell in cells]
            images = [
                decode(item or b"", f"{file}, column {field.name!r}, example {name}")
                for item, name in zip(data, ids, strict=True)
            ]
            return stack(images, list(ids), file)
    for field in features:
        if not (kinds.is_floating(field.type) or kinds.is_integer(field.type) or kinds.is_boolean(field.type)):
            raise InputError(
                f"expected an image column or numeric columns in {file}, got {field.name!r} of {field.type}"
            )
    if not features:
        raise InputError(f"expected columns beside labels, id and group in {file}, got none")
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite or no number then is refused with its example
        return np.stack([table[field.name].to_numpy().astype(np.float32) for field in features], axis=1)


def _folder(root: Path, choice: _Choice) -> Examples:
    """Images in `<root>/<class>/`; ids are paths relative to the root."""
    try:
        files = sorted(
            file
            for file in root.glob("*/**/*")
            if file.suffix.lower() in _SUFFIXES
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(root).parts)
        )
    except RecursionError:
        raise InputError(f"expected {root}/<class>/<image>, found folders too deep to be looked through") from None
    if not files:
        raise InputError(f"expected {root}/<class>/<image>, found no image there")
    check_inside(files, root)
    classes = tuple(sorted({file.relative_to(root).parts[0] for file in files}))
    all_labels = np.asarray([classes.index(file.relative_to(root).parts[0]) for file in files], dtype=np.int64)
    rows, labels, classes = choice.rows(all_labels, classes)
    files = [files[row] for row in rows]
    ids = [file.relative_to(root).as_posix() for file in files]
    images = [decode(read_bytes(file), str(file)) for file in files]
    return Examples.of(stack(images, ids, str(root)), labels, ids, classes)
