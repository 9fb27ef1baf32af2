"""Data in every form that people have; datasets of torch and of Hugging Face are played by stand-ins."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from untrain.data import Examples, as_examples
from untrain.errors import InputError

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)
LABELS = [0, 1, 2, 0, 1, 2]


class Table:
    """What a Hugging Face dataset looks like from outside."""

    def __init__(self, columns: dict[str, list[Any]], names: dict[str, Sequence[str]] | None = None) -> None:
        self._columns = columns
        self.column_names = list(columns)
        self.features = {name: SimpleNamespace(dtype="any") for name in columns}
        for name, of in (names or {}).items():
            self.features[name] = SimpleNamespace(names=list(of))

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]


class Parts(dict[str, Table]):
    column_names = "a dictionary"


class Pairs:
    """A dataset in the manner of torchvision: pictures or whatever else, and class names."""

    def __init__(self, inputs: Any, labels: Sequence[Any], classes: list[str] | None = None) -> None:
        self.inputs, self.labels, self.classes = inputs, labels, classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Any, Any]:
        return self.inputs[position], self.labels[position]


@pytest.mark.parametrize(
    "data",
    [
        Examples.of(ROWS, LABELS),
        (ROWS, LABELS),
        (torch.from_numpy(ROWS).requires_grad_(), torch.tensor(LABELS)),
        (ROWS.tolist(), np.asarray(LABELS, dtype=np.uint8)),
        {"inputs": ROWS, "labels": LABELS},
        TensorDataset(torch.from_numpy(ROWS), torch.tensor(LABELS)),
        list(zip(ROWS, LABELS, strict=True)),
        Table({"a": ROWS[:, 0].tolist(), "label": LABELS, "b": ROWS[:, 1].astype(int).tolist()}),
        Table({"labels": LABELS, "row": ROWS.tolist()}),
        Table({"kind": LABELS, "row": list(torch.from_numpy(ROWS))}, {"kind": "012"}),
    ],
)
def test_one_set_in_every_form(data: object) -> None:
    found = as_examples(data)
    assert found.inputs.tolist() == ROWS.tolist()
    assert found.labels.tolist() == LABELS
    assert found.ids.tolist() == list("012345")
    assert found.classes == ("0", "1", "2")
    assert as_examples(data, ids=list("abcdef")).ids.tolist() == list("abcdef")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("uint8", "uint8"), ("int64", "int64"), ("int32", "int32"), ("float16", "float16"), ("float64", "float64"),
        ("bool", "uint8"), ("uint16", "int32"), ("uint32", "int64"), ("uint64", "int64"), ("longdouble", "float64"),
        (">f4", "float32"),
    ],
)  # fmt: skip
def test_types_are_those_that_a_model_takes(given: str, kept: str) -> None:
    values = np.ones((3, 1, 2, 2)).astype(given)
    for data in ((values, [0, 1, 0]), list(zip(values, [0, 1, 0], strict=True))):
        inputs = as_examples(data).inputs
        assert inputs.dtype == kept
        assert torch.from_numpy(inputs).shape == (3, 1, 2, 2)


def test_token_ids_stay_integers() -> None:
    tokens = [[3, 1, 4], [1, 5, 9]]
    for data in (Table({"input_ids": tokens, "label": [0, 1]}), (np.asarray(tokens), [0, 1])):
        assert as_examples(data).inputs.dtype == np.int64


def test_names_become_classes() -> None:
    found = as_examples((ROWS, np.asarray(["cat", "dog", "ant", "cat", "dog", "ant"])))
    assert found.classes == ("ant", "cat", "dog")
    assert found.labels.tolist() == [1, 2, 0, 1, 2, 0]
    ordered = as_examples((ROWS, ["cat", "dog"] * 3), classes=["dog", "cat", "ant"])
    assert ordered.labels.tolist() == [1, 0] * 3
    again = as_examples(as_examples((ROWS, ["cat", "dog"] * 3)), classes=found.classes)
    assert again.labels.tolist() == [1, 2] * 3
    assert again.classes == found.classes
    named = as_examples(Pairs(ROWS, LABELS, ["zero", "one", "two"]), classes=["two", "one", "zero"])
    assert named.labels.tolist() == [2, 1, 0, 2, 1, 0]


def test_pictures_become_numbers_in_0_to_1() -> None:
    gray = [Image.fromarray(np.full((4, 5), value, dtype=np.uint8)) for value in (0, 255)]
    color = [image.convert("RGB") for image in gray]
    for images, channels in ((gray, 1), (color, 3)):
        for data in (Pairs(images, [0, 1]), Table({"image": images, "label": [0, 1], "file": ["a", "b"]})):
            found = as_examples(data).inputs
            assert found.shape == (2, channels, 4, 5)
            assert (found.min(), found.max(), str(found.dtype)) == (0, 1, "float32")
    with pytest.raises(InputError, match=r"one shape, got \(3, 4, 5\) for 1 and \(1, 4, 5\) for 0"):
        as_examples(Pairs([gray[0], color[1]], [0, 1]))
    with pytest.raises(InputError, match=r"column 'image', example 0 cannot be decoded"):
        as_examples(Table({"image": [{"bytes": b"no", "path": "x"}], "label": [0]}))


def test_ids_groups_and_prefixes() -> None:
    table = Table({"id": [7, 8], "label": [0, 1], "group": ["p", "q"], "x": [0.5, 1.5], "other_label": [3, 3]})
    found = as_examples(table)
    assert found.ids.tolist() == ["7", "8"]
    assert found.groups is not None
    assert found.groups.tolist() == ["p", "q"]
    assert found.inputs.tolist() == [[0.5], [1.5]]
    assert as_examples(table, prefix="v/").ids.tolist() == ["7", "8"]
    assert as_examples((ROWS, LABELS), prefix="v/").ids.tolist()[:2] == ["v/0", "v/1"]
    whole = as_examples({"inputs": ROWS[:2], "labels": ["a", "b"], "ids": ["x", "y"], "classes": ["b", "a"]})
    assert (whole.ids.tolist(), whole.labels.tolist(), whole.classes) == (["x", "y"], [1, 0], ("b", "a"))


class Restless(Pairs):
    def __getitem__(self, position: int) -> tuple[Any, Any]:
        return np.random.default_rng().normal(size=2), 0


class Endless:
    features = column_names = ()

    def __iter__(self) -> Any:
        return iter(())


SPARSE = SimpleNamespace(toarray=lambda: ROWS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "^Data must be Examples, .* got list whose item 0 is a int"),
        ("train.parquet", "There is no file or folder train.parquet"),
        (7, "^Data must be Examples, .* got int"),
        ((np.zeros((2, 2)), np.eye(2)), "argmax"),
        (((np.zeros((2, 2)), np.zeros((2, 3))), [0, 1]), "2 arrays: pass a dictionary"),
        (torch.nn.Linear(2, 2), "must come after the model, got the model Linear"),
        (ROWS, "as the pair of both"),
        ([], "got an empty list"),
        ((ROWS, LABELS, LABELS), "got a tuple of 3"),
        ({"x": ROWS}, "no column 'label' or 'labels' in the dictionary, only x"),
        (Endless(), "got Endless"),
        (Parts(train=Table({"label": [0]})), r"got one with the parts train: choose one, as in data\['train'\]"),
        (Table({"label": []}), "at least one row in the dataset"),
        (Table({"a": [1], "b": [2]}), "no column 'label' or 'labels' in the dataset, only a, b: rename"),
        (Table({"text": ["hello"], "label": [0]}), "'text' .* neither pictures nor numbers: convert it"),
        (
            Table({"ids": [[1]], "mask": [[1]], "label": [0]}),
            r"could be ids or mask in the dataset: name one of these columns with inputs=",
        ),
        (Table({"label": [0]}), r"got \(none\) in the dataset: keep"),
        (
            Table({"ids": [[1, 2], [1]], "label": [0, 1]}),
            "one shape, .* column 'ids' of the dataset, row 1, .* pad or cut them",
        ),
        (Restless([1], [0]), "item 0 changed .*: leave out random augmentation"),
        ((SPARSE, LABELS), r"inputs must be .* dense .*: convert it with .toarray\(\)"),
        (([[1], [2, 3]], [0, 1]), "inputs must hold numbers in the shape of an array"),
        (([["a"], ["b"]], [0, 1]), "inputs must hold numbers, got <U1"),
        ((np.array([[1.0], [np.nan]]), [0, 1]), "NaN or infinity in example 1"),
        ((np.array([[2**64 - 1]], dtype=np.uint64), [0]), r"below 2 \*\* 63"),
        ((1.0, [0]), "got a single number"),
        ((ROWS, [0, 1]), "6 inputs .* labels, got 2"),
        ((ROWS, np.eye(6)), r"single value in labels, got an array of shape \(6, 6\)"),
        ((ROWS, [0.5] * 6), r"class numbers from 0 to 99999, got 0.5 for example 0"),
        ((ROWS, [-1] * 6), "got -1 for example 0"),
        ((ROWS, [10**9] * 6), "got 1000000000 for example 0"),
        ((ROWS, ["a", 1] * 3), "all class numbers or all class names, got both"),
        ({"inputs": ROWS, "labels": LABELS, "ids": ["a"]}, "6 inputs .* ids, got 1"),
        ({"inputs": ROWS, "labels": LABELS, "ids": ["a"] * 6}, "Ids must be distinct, got a 6 times"),
        ({"inputs": ROWS, "labels": ["c"] * 6, "classes": ["a", "b"]}, "among a, b, got 'c' for example 0"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(data: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        as_examples(data)
    assert "\n" not in str(error.value)


def test_classes_that_are_others_are_refused() -> None:
    with pytest.raises(InputError, match="the 2 classes a, b, got the 3 classes 0, 1, 2"):
        as_examples(Examples.of(ROWS, LABELS), classes=["a", "b"])
    with pytest.raises(InputError, match="from 0 to 1, got 2 for example 2"):
        as_examples((ROWS, LABELS), classes=["a", "b"])
