"""Where examples come from: embedded digits, parquet in the Hugging Face layout, folders, tables of one's own."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from untrain.core.arguments import checked
from untrain.core.randomness import Streams
from untrain.core.text import nearest, nearest_file
from untrain.data.arrays import some
from untrain.data.columns import Columns
from untrain.data.examples import Examples, Labels, Positions
from untrain.data.files import DELIMITED, PARQUET, from_file, from_parquet
from untrain.data.images import FORMATS, SUFFIXES, Pictures, Transform, check_inside
from untrain.data.memory import MEMORY_LIMIT
from untrain.data.prepare import noted
from untrain.data.selection import Selection, input_names
from untrain.data.surf.read import NAME as SURF
from untrain.data.surf.read import find_surf, read_surf
from untrain.errors import InputError, SkippedWarning

Part = Literal["train", "test"]

_TEN = tuple("0123456789")
_CLASSES = {
    "mnist": _TEN,
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip
NAMED = ("digits", *_CLASSES)
WITH_TEST_PART = tuple(_CLASSES)
"""Sources that come with a test part of their own."""


@checked
def load(
    source: str | Path = "digits",
    *,
    part: Part = "train",
    data_dir: str | Path | None = None,
    limit: int | None = None,
    classes: Sequence[str] | None = None,
    per_class: int | None = None,
    label: str | None = None,
    inputs: str | Sequence[str] | None = None,
    not_inputs: Sequence[str] = (),
    transform: Transform | None = None,
    memory_limit: float = MEMORY_LIMIT,
    group: str | None = None,
    seed: int = 0,
) -> Examples:
    """Read examples by the name of a data set, or from a folder or parquet table of one's own.

    ===================================  ===============================================  =========================
    Source                               What is read                                     Inputs
    ===================================  ===============================================  =========================
    `digits`                             1,797 gray images that scikit-learn ships        0..1, `[n, 1, 8, 8]`
    `mnist`, `cifar10`, `fashion-mnist`  parquet files below `data_dir`                   0..1, `[n, c, h, w]`
    `surf`, or a folder like it          photographs of faces by age; groups are persons  0..255, `[n, 3, 32, 32]`
    folder                               images in `<folder>/<class>/`                    0..1, `[n, c, h, w]`
    `.parquet`, `.csv`, `.tsv`           its only column of pictures, stored or named     0..1, `[n, c, h, w]`
    the same, with lists                 its only column of lists, such as embeddings     as stored, `[n, ...]`
    the same, with numbers alone         all its columns of numbers                       `[n, columns]`
    ===================================  ===============================================  =========================

    `as_examples` says which columns of a table are labels, ids, groups and inputs; it reads data in memory by the same
    rules. Inputs are float32, except sequences, which keep their type.

    Args:
        source: one of these. `surf` is CASIA-SURF as published; a folder is like it if it holds `Age_Gender.txt` or
            `WBackground`.
        part: `train` or `test`, for the three data sets that come with a test part.
        data_dir: folder that holds `<source>/<part>-00000-of-00001.parquet`, or for `surf` the one that holds
            `Age_Gender.txt` or `surf/Age_Gender.txt`; default the variable `UNTRAIN_DATA`.
        limit: number of examples to keep, drawn at random before any image is decoded; default all.
        classes: names of the classes to keep, in this order; default all.
        per_class: number of examples to keep of each class, drawn at random; default all.
        label: label column of a table of one's own; default `label`, else `labels`, else the only one of class labels.
        inputs: input column of such a table, or columns; default what the kinds of the columns say.
        not_inputs: further columns of such a table that a model must not see, such as other labels.
        transform: makes the input of one example from its picture (of Pillow, upright) or its array; returns a picture,
            numbers, or a dictionary of numbers. It must not be random. `Prepare` resizes and normalizes.
        memory_limit: largest size of the decoded examples in GB (10 ** 9 bytes).
        group: group column of such a table, such as the person that a row belongs to; default `group`.
        seed: seed of the draws.

    Raises:
        InputError: there is no such source, root, column, class or part; a class has too few examples; an image is
            corrupt; a label is out of range.

    >>> load("digits").inputs.shape
    (1797, 1, 8, 8)
    """
    choice = _Choice(limit, None if classes is None else tuple(classes), per_class, Streams(seed).child("limit", part))
    selection = Selection(label, input_names(inputs), tuple(not_inputs), group, transform, memory_limit)
    path, name = Path(source), str(source)
    check_source(name)
    if part not in get_args(Part):
        raise InputError(f"The part must be train or test, got {part!r}.")
    if part == "test" and name not in WITH_TEST_PART:
        raise InputError(f"{name} comes without a test part: split it with `untrain.split`.")
    if path.is_file() and not is_named(name):
        columns = from_file(path, selection).read(selection).with_ids(f"{path.stem}/", digits=5)
    elif label not in (None, "label") or not_inputs or inputs is not None or group is not None:
        raise InputError(f"Columns can be chosen of a table only (.parquet, .csv or .tsv), got {name!r}.")
    else:
        columns = _read(name, part, data_dir, selection)
    return noted(columns.transformed(transform, name).examples(choice.rows, memory_limit), transform)


def is_named(source: str) -> bool:
    """Whether a source is a data set by its name, whatever files there are."""
    return source in (*NAMED, SURF)


def check_source(source: str) -> None:
    """Check that there is a source of this name, before anything is read.

    Raises:
        InputError: there is none; the message says what is nearest.
    """
    path = Path(source)
    if is_named(source) or path.is_dir():
        return
    kinds = f"the data source must be {', '.join(NAMED)}, {SURF}, a folder of images, or a .parquet, .csv or .tsv file"
    if path.is_file():
        if path.suffix.lower() not in (PARQUET, *DELIMITED):
            raise InputError(f"{source} is not a table that can be read: {kinds}.")
        return
    near = nearest(source, NAMED) or nearest_file(path)
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"There is no file or folder {source}{near or f'; {kinds}.'}")
    raise InputError(f"{kinds[0].upper()}{kinds[1:]}, got {source!r}{near or '.'}")


def _read(source: str, part: Part, data_dir: str | Path | None, selection: Selection) -> Columns:
    if source in _CLASSES:
        table = from_parquet(_parquet_files(source, part, data_dir), Selection(memory_limit=selection.memory_limit))
        columns = table.read(Selection("label")).with_ids(f"{source}/{part}/", digits=5)
        return replace(columns, classes=_CLASSES[source])
    if source == "digits":
        return _digits()
    if (root := find_surf(source, data_dir)) is not None:
        return read_surf(root)
    return _folder(Path(source))


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
                raise InputError(f"The {what} must be at least 1 example, got {count}.")
        if self.classes is not None:
            labels, names = _renumbered(labels, names, self.classes), self.classes
        rows = np.flatnonzero(labels >= 0)
        if not len(rows):
            raise InputError(f"There are no examples of the classes {', '.join(names) or '(none)'}: name others.")
        if self.per_class is not None:
            rows = self._of_each_class(rows, labels, names, self.per_class)
        if self.limit is not None and self.limit < len(rows):
            rows = rows[np.sort(self.draw.generator("rows").permutation(len(rows))[: self.limit])]
        return rows, labels[rows], names

    def _of_each_class(self, rows: Positions, labels: Labels, names: tuple[str, ...], count: int) -> Positions:
        generator = self.draw.generator("per class")
        of_class = [generator.permutation(rows[labels[rows] == label]) for label in range(len(names))]
        for name, members in zip(names, of_class, strict=True):
            if len(members) < count:
                raise InputError(f"{count} examples of class {name} are asked for, but there are {len(members)}.")
        return np.sort(np.concatenate([members[:count] for members in of_class]))


def _renumbered(labels: Labels, names: tuple[str, ...], chosen: tuple[str, ...]) -> Labels:
    """Class numbers among the chosen classes, -1 for the others."""
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise InputError(f"Classes must be among {', '.join(names)}, got {unknown[0]!r}.")
    if len(set(chosen)) < len(chosen):
        raise InputError(f"Each of the classes can be named only once, got {', '.join(chosen)}.")
    numbers = np.full(len(names), -1)
    numbers[[names.index(name) for name in chosen]] = np.arange(len(chosen))
    return numbers[labels]


def _digits() -> Columns:
    """Those of scikit-learn, read from its file: `sklearn.datasets` takes more than a second to import."""
    package = find_spec("sklearn")
    assert package is not None  # noqa: S101 (a dependency)
    rows = np.loadtxt(Path(str(package.origin)).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    images = (rows[:, :-1].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    return Columns(images, rows[:, -1].astype(int).tolist(), classes=_TEN).with_ids("digits/", digits=4)


def _parquet_files(source: str, part: Part, data_dir: str | Path | None) -> list[Path]:
    wanted, root = f"{source}/{part}-00000-of-00001.parquet", data_dir or os.environ.get("UNTRAIN_DATA")
    if not root:
        raise InputError(f"Reading {source} needs the folder that holds {wanted}: give --data-dir or set UNTRAIN_DATA.")
    files = sorted((Path(root) / source).glob(f"{part}-*-of-*.parquet"))
    if not files:
        raise InputError(f"There is no file {wanted} below {root}: give --data-dir or set UNTRAIN_DATA.")
    return files


def _folder(root: Path) -> Columns:
    """Images in `<root>/<class>/`; ids are paths relative to the root."""
    files = [file for file in _visible_files(root) if file.parent != root]
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not images:
        raise InputError(f"There are no images {root}/<class>/<image>: put those of each class in a folder of its own.")
    classes = [file.relative_to(root).parts[0] for file in images]
    unread = {file.relative_to(root).parts[0] for file in files} - set(classes)
    if unread:
        raise InputError(
            f"The folder {root / min(unread)} holds no image that can be read ({', '.join(FORMATS)}): convert its "
            "files, or move the folder away."
        )
    check_inside(images, root)
    skipped = sorted({*_visible_files(root)} - {*images})
    if skipped:
        names = some([file.relative_to(root) for file in skipped])
        warnings.warn(
            f"{len(skipped)} files in {root} were skipped, since they are no images below a class folder: {names}.",
            SkippedWarning,
            stacklevel=4,
        )
    return Columns(Pictures(images, str(root)), classes, [file.relative_to(root).as_posix() for file in images])


def _visible_files(root: Path) -> list[Path]:
    try:
        return sorted(
            file
            for file in root.glob("**/*")
            if not any(part.startswith(".") for part in file.relative_to(root).parts) and file.is_file()
        )
    except RecursionError:
        raise InputError(f"The folders below {root} are too deep: put images in {root}/<class>/.") from None
