"""Examples from what people have: arrays, tables, torch and Hugging Face datasets. No such library is imported."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from untrain.data.arrays import scalar, scalars, some, stacked, to_array, without_torch
from untrain.data.columns import Columns, InputSource, texts
from untrain.data.examples import Array, Examples, name_array
from untrain.data.images import Pictures, Transform, Transformed, is_picture, read_again
from untrain.data.memory import MEMORY_LIMIT
from untrain.data.prepare import noted
from untrain.data.selection import Selection, input_names
from untrain.data.sources import load
from untrain.data.tables import Cells, HuggingFaceDataset, from_columns, from_frame, from_hugging_face
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
    classes: Sequence[str] | Mapping[str, int] | None = None,
    prefix: str = "",
    label: str | int | None = None,
    inputs: str | int | Sequence[str] | None = None,
    group: str | None = None,
    transform: Transform | None = None,
    memory_limit: float = MEMORY_LIMIT,
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
    dataset of longer samples         the first part is the input and the second the label, or those that are named
    dataset of dictionaries           columns by name
    data loader of torch              its dataset
    path                              a folder of images, or a `.parquet`, `.csv` or `.tsv` table, as `load` reads it
    ================================  ======================================================================

    Of columns, labels are `label`, else `labels`, else the only one of class labels; ids are `id`, groups `group`.
    Inputs are the only column of pictures, else the only one of sequences, else all columns of single numbers, side by
    side as float32; what a tokenizer makes (`input_ids`, `attention_mask` and so on) is passed by name. Where two
    columns could be the input, `inputs` has to say. An index that pandas or R wrote is no input. Columns named
    `label`, `labels` or `..._label` are never inputs.

    Inputs keep their type: bytes stay bytes and token ids stay integers. Pictures become float32 in 0..1, turned
    upright as their EXIF orientation says. Labels are class names, or class numbers from 0 on; numbers that leave no
    gap from 1 on are the names of as many classes.

    Args:
        data: in one of these forms.
        ids: `[n]` distinct names of the examples; default their own, else their row numbers.
        classes: class names in the order of the model's outputs; default their own, else names in alphabetical order
            or the class numbers. Labels of examples with some of these classes are renumbered by name.
            A dictionary of outputs by class name, as `label2id`, says the same.
        prefix: put before row numbers that serve as ids, so that two sets without ids of their own differ.
        label: the label column; of samples that are tuples, its position.
        inputs: the input column or columns; of samples that are tuples, its position.
        group: the group column, of the person or thing that a row belongs to; default `group`.
        transform: makes the input of one example from its picture (of Pillow, upright), its row or its value; returns a
            picture, numbers, or a dictionary of numbers. It must not be random. `Prepare` resizes and normalizes.
        memory_limit: largest size of the decoded examples in GB (10 ** 9 bytes).

    Raises:
        InputError: the data are in no such form; a label is no class; inputs differ in shape, are not numbers, or
            change from one reading to the next.

    Cost: one pass over the data, and memory for the inputs as one array.

    >>> as_examples((np.zeros((2, 3)), ["no", "yes"])).classes
    ('no', 'yes')
    """
    if hasattr(data, "state_dict") and hasattr(data, "forward"):
        raise InputError(f"Data must come after the model, got the model {type(data).__name__} in their place.")
    order, column, names = _order(classes), None if label is None else str(label), input_names(inputs)
    if isinstance(data, str | Path):
        data = load(
            data, label=column, inputs=names or None, group=group, transform=transform, memory_limit=memory_limit
        )
        column, names, group, transform = None, (), None, None
    if isinstance(data, Examples):
        if names or any(given is not None for given in (transform, column, group)):
            raise InputError(
                "transform=, label=, inputs= and group= say how data are read, and these are Examples already: leave "
                "them out."
            )
        given = data if ids is None else replace(data, ids=name_array(texts(ids, "id")))
        return given if order is None else _with_classes(given, order)
    columns = _read(data, Selection(column, names, group=group, transform=transform, memory_limit=memory_limit))
    columns = replace(
        columns.transformed(transform, "the data"),
        ids=columns.ids if ids is None else scalars(ids, "ids"),
        classes=columns.classes if columns.classes is not None else order,
    )
    examples = noted(columns.with_ids(prefix).examples(memory_limit=memory_limit), transform)
    return examples if order is None else _with_classes(examples, order)


def _order(classes: Sequence[str] | Mapping[str, int] | None) -> tuple[str, ...] | None:
    """Class names in the order of the model's outputs."""
    if classes is None or not isinstance(classes, Mapping):
        return None if classes is None else tuple(map(str, classes))
    if sorted(classes.values()) != list(range(len(classes))):
        raise InputError(
            f"Classes by name must have the outputs 0 to {len(classes) - 1}, each once, got "
            f"{some(list(classes.items()))}."
        )
    return tuple(map(str, sorted(classes, key=classes.__getitem__)))


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


def _read(data: object, selection: Selection) -> Columns:
    if isinstance(data, Mapping):
        return _read_mapping(data, selection)
    if isinstance(data, HuggingFaceDataset):
        return from_hugging_face(data).read(selection)
    if hasattr(data, "columns") and (hasattr(data, "__arrow_c_stream__") or hasattr(data, "iloc")):
        return from_frame(data).read(selection)
    if hasattr(data, "dataset") and hasattr(data, "batch_size"):  # a data loader of torch
        return _read(data.dataset, selection)
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError(f"{_FORMS}; got a tuple of {len(data)}.")
        if selection.label is not None or selection.inputs:
            raise InputError("label= and inputs= choose columns, and two arrays have none: leave them out.")
        inputs = data[0]
        named = isinstance(inputs, Mapping)
        arrays = {str(name): to_array(array, f"inputs {name!r}") for name, array in inputs.items()} if named else None
        return Columns(to_array(inputs, "inputs") if arrays is None else arrays, scalars(data[1], "labels"))
    if isinstance(data, _Dataset) and not hasattr(data, "dtype"):
        return _read_samples(data, selection)
    pair = " alone; inputs and labels go together, as the pair of both" if hasattr(data, "dtype") else ""
    raise InputError(f"{_FORMS}; got {type(data).__name__}{pair}.")


def _read_mapping(data: Mapping[str, object], selection: Selection) -> Columns:
    if hasattr(data, "column_names"):
        raise InputError(f"{_FORMS}; got one with the parts {some(list(data))}: choose one, as in data['train'].")
    if not data.keys() >= _ARRAYS or data.keys() - _ARRAYS - _NAMES:
        return from_columns(data, "the dictionary").read(selection)
    names = {name: None if data.get(name) is None else scalars(data[name], name) for name in _NAMES}
    classes = None if names["classes"] is None else texts(names["classes"], "classes")
    return replace(
        _read((data["inputs"], data["labels"]), selection), ids=names["ids"], groups=names["groups"], classes=classes
    )


def _read_samples(data: _Dataset, selection: Selection) -> Columns:
    """Inputs and labels of a dataset that gives samples: tuples or dictionaries."""
    if not len(data):
        raise InputError(f"{_FORMS}; got an empty {type(data).__name__}.")
    if isinstance(data[0], Mapping):
        samples = [_parts(data, position) for position in range(len(data))]
        columns = {name: [sample.get(name) for sample in samples] for name in samples[0]}
        read = from_columns(columns, "the dataset").read(selection)
        few = read_again(len(data))
        pair = [[samples[position] for position in few], [_parts(data, position) for position in few]]
        first, again = (
            from_columns({name: [part.get(name) for part in parts] for name in samples[0]}, "").read(selection).inputs
            for parts in pair
        )
        _check_same(first, again, few)
        return read
    count = len(data[0]) if isinstance(data[0], tuple | list) else 0
    first, second = (*selection.inputs, "0")[0], "1" if selection.label is None else selection.label
    if count < 2 or not {first, second} <= {str(part) for part in range(count)} or len(selection.inputs) > 1:
        raise InputError(f"{_FORMS}; got {type(data).__name__} whose item 0 is a {type(data[0]).__name__}.")
    tuples = [_sample(data, position, count) for position in range(len(data))]
    inputs, labels = [sample[int(first)] for sample in tuples], [sample[int(second)] for sample in tuples]
    if selection.transform is None:
        few = read_again(len(data))
        again = [_sample(data, position, count)[int(first)] for position in few]
        _check_same(_inputs_of([inputs[position] for position in few]), _inputs_of(again), few)
        cells: Pictures | Cells = _inputs_of(inputs)
    else:
        cells = Pictures(inputs, "the dataset") if is_picture(inputs[0]) else inputs
    if count > 2 and selection.label is None and np.size(np.asarray(without_torch(labels[0]))) > 1:
        raise InputError(
            f"The second of {count} parts of a sample is not a single label: say which parts are the input and the "
            "label, as in inputs=0, label=2."
        )
    names = getattr(data, "classes", None)
    named = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return Columns(cells, scalars([scalar(label) for label in labels], "labels"), classes=names if named else None)


def _parts(data: _Dataset, position: int) -> Mapping[str, object]:
    sample = data[position]
    if not isinstance(sample, Mapping):
        raise InputError(f"{_FORMS}; got {type(data).__name__} whose item {position} is a {type(sample).__name__}.")
    return sample


def _sample(data: _Dataset, position: int, count: int) -> Sequence[object]:
    sample = data[position]
    if not isinstance(sample, tuple | list) or len(sample) != count:
        raise InputError(f"{_FORMS}; got {type(data).__name__} whose item {position} is a {type(sample).__name__}.")
    return sample


def _check_same(inputs: InputSource, again: InputSource, positions: list[int]) -> None:
    """Refuse inputs that changed when they were read again."""
    one, other = (
        read.read([str(position) for position in positions]) if isinstance(read, Pictures | Transformed) else read
        for read in (inputs, again)
    )
    for former, latter in zip(
        *(read.values() if isinstance(read, Mapping) else [read] for read in (one, other)), strict=True
    ):
        for position, value, changed in zip(positions, former, latter, strict=True):
            if not np.array_equal(value, changed):
                raise InputError(
                    f"A dataset must give the same input for an item each time, but item {position} changed when it "
                    "was read again: leave out random augmentation."
                )


def _inputs_of(cells: list[object]) -> Array | Pictures:
    return Pictures(cells, "the dataset") if is_picture(cells[0]) else stacked(cells, "the dataset")
