"""Examples from what people have: arrays, torch datasets, Hugging Face datasets. Neither library is imported.

Whatever is given, inputs keep the type that the model gets: bytes stay bytes and token ids stay integers. Only pictures
that are not arrays yet become numbers in 0..1, and columns of single numbers become rows of float32, as `load` does it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from untrain.data.examples import Examples
from untrain.data.images import decode, pixels_of, stack
from untrain.data.sources import MOST_CLASSES
from untrain.errors import InputError

_FORMS = (
    "expected Examples, arrays (inputs, labels), a dictionary with inputs and labels, a dataset of pairs "
    "(input, label) with a length, or a Hugging Face dataset"
)
_KEYS = {"inputs", "labels", "ids", "groups", "classes"}
_LABELS = ("label", "labels")
_WHOLE = {"u2": np.int32, "u4": np.int64, "u8": np.int64, "b1": np.uint8}
"""Types for integers that torch hardly computes with, by numpy's short names; booleans count as bytes."""

Inputs = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class _Columns:
    """What was found in data of any form, before it is checked."""

    inputs: Inputs
    labels: Sequence[Any]
    ids: Sequence[Any] | None = None
    groups: Sequence[Any] | None = None
    classes: Sequence[str] | None = None


def as_examples(
    data: object,
    *,
    ids: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    prefix: str = "",
) -> Examples:
    """Make examples from data in one of the usual forms.

    Args:
        data: one of

            * `Examples`;
            * a tuple `(X, y)` of arrays, tensors or tables of numbers, as scikit-learn takes them;
            * a dictionary with `inputs` and `labels`, and perhaps `ids`, `groups` and `classes`;
            * a dataset of torch that has a length and gives pairs (input, label), or any sequence of such pairs;
            * a Hugging Face dataset: the labels are its column `label` or `labels`, or the only one that holds class
              labels; the inputs its only picture column, its only column of sequences, or all columns of numbers side
              by side. Columns `id` and `group` are taken for those; columns `..._label` are left out.

            Labels are class numbers from 0 on, or class names.
        ids: `[n]` distinct names of the examples; default their own, else their row numbers.
        classes: class names in the order of the model's outputs; default their own, else names in alphabetical order
            or the class numbers. Examples with some of these classes are numbered anew by name.
        prefix: before row numbers that serve as ids, so that two sets without ids of their own differ.

    Raises:
        InputError: the data are in no such form; a label is no class; inputs differ in shape, are not numbers, or
            change from one reading to the next.

    Cost: one pass over the data, and memory for the inputs as one array.

    >>> as_examples((np.zeros((2, 3)), ["no", "yes"])).classes
    ('no', 'yes')
    """
    if isinstance(data, Examples):
        return _renamed(data, ids, classes)
    found = _read(data)
    names = ids if ids is not None else found.ids
    return _checked(found, None if names is None else [str(name) for name in names], classes, prefix)


def _renamed(examples: Examples, ids: Sequence[str] | None, classes: Sequence[str] | None) -> Examples:
    if ids is not None:
        examples = dataclasses.replace(examples, ids=np.asarray([str(name) for name in ids], dtype=np.str_))
    if classes is None or tuple(classes) == examples.classes:
        return examples
    wanted = {name: number for number, name in enumerate(classes)}
    if not set(examples.classes) <= wanted.keys():
        raise InputError(
            f"expected examples with the {len(wanted)} classes {_some(classes)}, got {len(examples.classes)} classes "
            f"{_some(examples.classes)}"
        )
    numbers = np.asarray([wanted[name] for name in examples.classes], dtype=np.int64)
    return dataclasses.replace(examples, labels=numbers[examples.labels], classes=tuple(classes))


def _read(data: Any) -> _Columns:  # noqa: ANN401 (any form)
    if isinstance(data, Mapping) and hasattr(data, "column_names"):
        raise InputError(f"{_FORMS}, got one with the parts {_some(data)}: choose a part, as in data['train']")
    if isinstance(data, Mapping):
        return _from_mapping(data)
    sized = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if sized and hasattr(data, "features") and hasattr(data, "column_names"):
        return _from_table(data)
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError(f"{_FORMS}, got a tuple of {len(data)}")
        return _Columns(_array(data[0], "inputs"), _listed(data[1]))
    if sized and not hasattr(data, "dtype") and not hasattr(data, "iloc"):
        return _from_pairs(data)
    raise InputError(f"{_FORMS}, got {type(data).__name__}")


def _from_mapping(data: Mapping[str, Any]) -> _Columns:
    if not {"inputs", "labels"} <= data.keys() or data.keys() - _KEYS:
        raise InputError(f"{_FORMS}, got a dictionary with {_some(data)}")
    optional = {name: None if data.get(name) is None else _listed(data[name]) for name in ("ids", "groups", "classes")}
    return _Columns(_array(data["inputs"], "inputs"), _listed(data["labels"]), **optional)


def _from_pairs(data: Any) -> _Columns:  # noqa: ANN401 (any dataset)
    """Inputs and labels of a dataset that gives pairs, read in order."""
    inputs, labels = [], []
    for position in range(len(data)):
        pair = data[position]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"{_FORMS}, got {type(data).__name__} whose item {position} is a {type(pair).__name__}")
        inputs.append(pair[0])
        labels.append(_plain(pair[1]))
    if not inputs:
        raise InputError(f"{_FORMS}, got an empty {type(data).__name__}")
    stacked = _stacked(inputs, "inputs")
    if not np.array_equal(_stacked([data[0][0]], "inputs")[0], stacked[0]):
        raise InputError(
            "expected a dataset that always gives the same input for an item, got another one when item 0 was read "
            "again: leave out random augmentation"
        )
    names = getattr(data, "classes", None)
    named = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return _Columns(stacked, labels, classes=names if named else None)


def _from_table(data: Any) -> _Columns:  # noqa: ANN401 (a Hugging Face dataset)
    columns = data.column_names
    if not len(data):
        raise InputError(f"{_FORMS}, got an empty {type(data).__name__}")
    features, label = data.features, _label_column(data)
    names = getattr(features[label], "names", None)
    others = [
        name
        for name in columns
        if name not in (label, "id", "group") and name not in _LABELS and not name.endswith("_label")
    ]
    return _Columns(
        inputs=_table_inputs({name: list(data[name]) for name in others}),
        labels=[_plain(value) for value in data[label]],
        ids=[_plain(value) for value in data["id"]] if "id" in columns else None,
        groups=[_plain(value) for value in data["group"]] if "group" in columns else None,
        classes=names,
    )


def _label_column(data: Any) -> str:  # noqa: ANN401 (a Hugging Face dataset)
    labelled = [name for name in data.column_names if getattr(data.features[name], "names", None)]
    for candidates in ([name for name in _LABELS if name in data.column_names], labelled):
        if len(candidates) == 1:
            return str(candidates[0])
    raise InputError(
        f"expected one column label or labels, or one of class labels, got the columns {_some(data.column_names)}: "
        "rename the one that the model predicts to label"
    )


def _table_inputs(columns: dict[str, list[Any]]) -> Inputs:
    """The only picture column, else the only column of sequences, else all columns of single numbers side by side."""
    pictures = [name for name, values in columns.items() if _is_picture(values[0])]
    if not pictures:
        for name, values in columns.items():
            if isinstance(_plain(values[0]), str) or values[0] is None:
                raise InputError(f"expected columns of pictures or numbers, got {name!r}: turn it into numbers first")
    sequences = [name for name, values in columns.items() if np.ndim(values[0])]
    chosen = pictures or sequences
    if len(chosen) > 1 or not columns or (sequences and not pictures and len(columns) > 1):
        raise InputError(
            f"expected one column of pictures or of sequences, or columns of single numbers, got {_some(columns)}: "
            "keep what the model takes (select_columns)"
        )
    if chosen:
        return _stacked(columns[chosen[0]], f"column {chosen[0]!r}")
    return np.stack([_array(values, f"column {name!r}").astype(np.float32) for name, values in columns.items()], axis=1)


def _is_picture(value: object) -> bool:
    return isinstance(value, Image.Image) or (isinstance(value, dict) and "bytes" in value)


def _stacked(values: list[Any], what: str) -> Inputs:
    """One array `[n, ...]` of inputs that are arrays, tensors, numbers or pictures."""
    names = [f"{what}, row {row}" for row in range(len(values))]
    if _is_picture(values[0]):
        pictures = [
            decode(value["bytes"] or b"", name) if isinstance(value, dict) else pixels_of(value, name)
            for value, name in zip(values, names, strict=True)
        ]
        return stack(pictures, names, what)
    arrays = [_array(value, name) for value, name in zip(values, names, strict=True)]
    for array, name in zip(arrays, names, strict=True):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"expected inputs of one shape, got {array.shape} in {name} and {arrays[0].shape} in {names[0]}: "
                "pad or cut them"
            )
    return _computable(np.stack(arrays))


def _array(values: Any, what: str) -> Inputs:  # noqa: ANN401 (anything array-like)
    """Numbers as an array of a type that torch computes with."""
    if hasattr(values, "toarray"):
        raise InputError(f"expected a dense array as {what}, got a sparse one: give .toarray()")
    try:
        array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"expected numbers of one shape as {what}, got what is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"expected numbers as {what}, got {array.dtype}: turn texts and categories into numbers first")
    return _computable(array)


def _computable(array: Inputs) -> Inputs:
    kind = array.dtype.str[1:]
    if kind == "u8" and array.size and array.max() > np.iinfo(np.int64).max:
        raise InputError(f"expected integers below 2 ** 63, got {array.max()}")
    # Extended precision is what torch does not have either.
    wanted = np.float64 if array.dtype.kind == "f" and array.dtype.itemsize > 8 else _WHOLE.get(kind)
    return array.astype(wanted or array.dtype.newbyteorder("="), copy=False)


def _listed(values: Any) -> list[Any]:  # noqa: ANN401 (anything array-like)
    """A column of single values as a list of plain ones."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    column = np.asarray(values) if not isinstance(values, list | tuple) else values
    if isinstance(column, np.ndarray):
        if column.ndim != 1:
            raise InputError(f"expected one value for each example, got an array of shape {column.shape}")
        return list(column.tolist())
    return [_plain(value) for value in column]


def _plain(value: Any) -> Any:  # noqa: ANN401 (any scalar)
    """A number or text of Python's own, where one of numpy or torch was given."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _checked(found: _Columns, ids: list[str] | None, classes: Sequence[str] | None, prefix: str) -> Examples:
    if not found.inputs.ndim:
        raise InputError("expected inputs [n, ...], got a single number")
    if len(found.labels) != len(found.inputs):
        raise InputError(f"expected {len(found.inputs)} labels, one for each input, got {len(found.labels)}")
    ids = ids if ids is not None else [f"{prefix}{row}" for row in range(len(found.inputs))]
    if len(ids) != len(found.inputs):
        raise InputError(f"expected {len(found.inputs)} ids, one for each input, got {len(ids)}")
    own = found.classes
    labels, names = _numbered(found.labels, ids, own if own is not None else classes)
    groups = None if found.groups is None else [str(group) for group in found.groups]
    return _renamed(Examples.of(found.inputs, labels, ids, names, groups), None, classes)


def _numbered(values: Sequence[Any], ids: Sequence[str], classes: Sequence[str] | None) -> tuple[list[int], list[str]]:
    """Class numbers, and a name for each class."""
    for value, name in zip(values, ids, strict=True):
        if not isinstance(value, int | str) or (isinstance(value, int) and not 0 <= value < MOST_CLASSES):
            raise InputError(
                f"expected a class name, or a class number from 0 to {MOST_CLASSES - 1}, as label, "
                f"got {value!r} for example {name}"
            )
    texts = {isinstance(value, str) for value in values}
    if len(texts) > 1:
        raise InputError("expected labels that are all numbers or all names, got both")
    if texts == {True}:
        return _by_name(values, ids, sorted(set(values)) if classes is None else classes)
    numbers = [int(value) for value in values]
    return numbers, list(classes or (str(number) for number in range(max(numbers, default=-1) + 1)))


def _by_name(values: Sequence[str], ids: Sequence[str], classes: Sequence[str]) -> tuple[list[int], list[str]]:
    order = {name: number for number, name in enumerate(classes)}
    for value, name in zip(values, ids, strict=True):
        if value not in order:
            raise InputError(f"expected labels among {_some(classes)}, got {value!r} for example {name}")
    return [order[value] for value in values], list(classes)


def _some(names: Any) -> str:  # noqa: ANN401 (any names)
    """The first names of many."""
    names = [str(name) for name in names]
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") or "(none)"
