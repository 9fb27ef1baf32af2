"""Examples from what people have: arrays, tables, torch and Hugging Face datasets. No such library is imported."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from untrain.data.arrays import scalar, scalars, some, stacked, to_array
from untrain.data.columns import Columns, texts
from untrain.data.examples import Array, Examples
from untrain.data.images import Pictures, is_picture
from untrain.data.sources import load
from untrain.data.tables import HuggingFaceDataset, from_columns, from_frame, from_hugging_face
from untrain.errors import InputError

_FORMS = (
    "Data must be Examples, arrays (inputs, labels), a dictionary of inputs and labels or of columns, a data frame, a "
    "dataset of pairs (input, label) with a length, a Hugging Face dataset, or a path"
)
_ARRAYS = {"inputs", "labels"}
_NAMES = {"ids", "groups", "classes"}


@runtime_checkable
class _Dataset(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, position: int) -> object: ...


def as_examples(
    data: object,
    *,
    ids: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    prefix: str = "",
) -> Examples:
    """Make examples from data in one of the usual forms.

    ================================  ======================================================================
    Form                              What is read
    ================================  ======================================================================
    `Examples`                        the same examples
    `(X, y)`                          arrays, tensors or frames of numbers, as scikit-learn takes them
    `{"inputs": X, "labels": y}`      the same; optionally also `ids`, `groups` and `classes`
    `{"age": [...], "label": [...]}`  columns by name, see below
    pandas, polars, pyarrow           columns of a data frame or table; an index of pandas becomes the ids
    Hugging Face dataset              its columns, and the names of its class labels
    dataset of pairs                  a torch dataset with a length, or any sequence of pairs (input, label)
    path                              a folder of images or a `.parquet` table, as `load` reads it
    ================================  ======================================================================

    Of columns, labels are `label`, else `labels`, else the only one of class labels; ids are `id`, groups `group`.
    Inputs are the only column of pictures, else the only one of sequences, else all columns of single numbers, side by
    side as float32. Columns named `label`, `labels` or `..._label` are never inputs.

    Inputs keep their type: bytes stay bytes and token ids stay integers. Pictures become float32 in 0..1. Labels are
    class numbers from 0 on, or class names.

    Args:
        data: in one of these forms.
        ids: `[n]` distinct names of the examples; default their own, else their row numbers.
        classes: class names in the order of the model's outputs; default their own, else names in alphabetical order
            or the class numbers. Labels of examples with some of these classes are renumbered by name.
        prefix: put before row numbers that serve as ids, so that two sets without ids of their own differ.

    Raises:
        InputError: the data are in no such form; a label is no class; inputs differ in shape, are not numbers, or
            change from one reading to the next.

    Cost: one pass over the data, and memory for the inputs as one array.

    >>> as_examples((np.zeros((2, 3)), ["no", "yes"])).classes
    ('no', 'yes')
    """
    if isinstance(data, str | Path):
        data = load(str(data))
    if isinstance(data, Examples):
        given = data if ids is None else replace(data, ids=np.asarray(texts(ids, "id"), dtype=np.str_))
        return given if classes is None else _with_classes(given, tuple(classes))
    columns = _read(data)
    columns = replace(
        columns,
        ids=columns.ids if ids is None else ids,
        classes=columns.classes if columns.classes is not None else classes,
    )
    examples = columns.with_ids(prefix).examples()
    return examples if classes is None else _with_classes(examples, tuple(classes))


def _with_classes(examples: Examples, classes: tuple[str, ...]) -> Examples:
    """The same examples with labels renumbered by class name."""
    if classes == examples.classes:
        return examples
    number_of = {name: number for number, name in enumerate(classes)}
    if not set(examples.classes) <= number_of.keys():
        raise InputError(
            f"Examples must have the {len(classes)} classes {some(classes)}, got the {len(examples.classes)} classes "
            f"{some(examples.classes)}."
        )
    numbers = np.asarray([number_of[name] for name in examples.classes], dtype=np.int64)
    return replace(examples, labels=numbers[examples.labels], classes=classes)


def _read(data: object) -> Columns:
    if isinstance(data, Mapping):
        return _read_mapping(data)
    if isinstance(data, HuggingFaceDataset):
        return from_hugging_face(data).read()
    if hasattr(data, "columns") and (hasattr(data, "__arrow_c_stream__") or hasattr(data, "iloc")):
        return from_frame(data).read()
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError(f"{_FORMS}; got a tuple of {len(data)}.")
        return Columns(to_array(data[0], "inputs"), scalars(data[1], "labels"))
    if isinstance(data, _Dataset) and not hasattr(data, "dtype"):
        return _read_pairs(data)
    raise InputError(f"{_FORMS}; got {type(data).__name__}.")


def _read_mapping(data: Mapping[str, object]) -> Columns:
    if hasattr(data, "column_names"):
        raise InputError(f"{_FORMS}; got one with the parts {some(list(data))}: choose one, as in data['train'].")
    if not data.keys() >= _ARRAYS or data.keys() - _ARRAYS - _NAMES:
        return from_columns(data, "the dictionary").read()
    names = {name: None if data.get(name) is None else scalars(data[name], name) for name in _NAMES}
    classes = None if names["classes"] is None else texts(names["classes"], "classes")
    return Columns(
        to_array(data["inputs"], "inputs"), scalars(data["labels"], "labels"), names["ids"], names["groups"], classes
    )


def _read_pairs(data: _Dataset) -> Columns:
    """Inputs and labels of a dataset that gives pairs, read in order."""
    if not len(data):
        raise InputError(f"{_FORMS}; got an empty {type(data).__name__}.")
    pairs = [_pair(data, position) for position in range(len(data))]
    inputs = [given for given, _ in pairs]
    if not np.array_equal(_array_of(inputs[:1]), _array_of([_pair(data, 0)[0]])):
        raise InputError(
            "A dataset must give the same input for an item each time, but item 0 changed when it was read again: "
            "leave out random augmentation."
        )
    names = getattr(data, "classes", None)
    named = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return Columns(_inputs_of(inputs), [scalar(label) for _, label in pairs], classes=names if named else None)


def _pair(data: _Dataset, position: int) -> tuple[object, object]:
    pair = data[position]
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"{_FORMS}; got {type(data).__name__} whose item {position} is a {type(pair).__name__}.")
    return pair[0], pair[1]


def _inputs_of(cells: list[object]) -> Array | Pictures:
    return Pictures(cells, "the dataset") if is_picture(cells[0]) else stacked(cells, "the dataset")


def _array_of(cells: list[object]) -> Array:
    inputs = _inputs_of(cells)
    return inputs.read(["0"]) if isinstance(inputs, Pictures) else inputs
