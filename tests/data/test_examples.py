from typing import Any

import numpy as np
import pytest

from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError


def some(**changes: Any) -> Examples:
    fields: dict[str, Any] = {
        "inputs": np.arange(8.0).reshape(4, 2),
        "labels": [0, 1, 1, 0],
        "ids": ["a", "b", "c", "d"],
        "classes": ["no", "yes"],
    }
    return Examples.of(**(fields | changes))


def test_select_keeps_everything_together() -> None:
    chosen = some(groups=["x", "y", "x", "y"]).select([2, 0])
    assert chosen.ids.tolist() == ["c", "a"]
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.inputs.tolist() == [[4, 5], [0, 1]]
    assert chosen.groups is not None
    assert chosen.groups.tolist() == ["x", "x"]
    assert chosen.positions(["a", "c"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1, 1]}, "4 labels"),
        ({"labels": [0, 1, 2, 0]}, "got 2 for example c"),
        ({"labels": [0, -1, 1, 0]}, "got -1 for example b"),
        ({"labels": [0.0, 1.0, 1.0, 0.5]}, "must be integers, got float64"),
        ({"ids": ["a", "b", "a", "d"]}, "got a 2 times"),
        ({"groups": ["x"]}, "4 groups"),
        ({"classes": ["yes", "yes"]}, "Class names must be distinct, got 'yes' 2 times"),
        ({"inputs": np.array([[1.0], [2.0], [np.nan], [0.0]])}, "example c"),
    ],
)
def test_wrong_examples_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        some(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": [[0.0], [1.0]]}, "The inputs must be an array of numpy, got list: `Examples.of` makes one"),
        ({"inputs": {"tokens": [[0], [1]]}}, "The inputs must be an array of numpy, got list"),
        ({"labels": [0, 1]}, "The labels must be an array of numpy, got list"),
        ({"ids": None}, "The ids must be an array of numpy, got NoneType"),
        ({"ids": np.array([4, 5])}, "The ids must be texts, got int64: `Examples.of` makes them texts"),
        ({"groups": np.array([1, 1])}, "The groups must be texts, got int64"),
    ],
)
def test_the_class_itself_takes_arrays_alone(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {
        "inputs": np.zeros((2, 1)),
        "labels": np.array([0, 1]),
        "ids": np.array(["a", "b"]),
        "classes": ["no", "yes"],
    }
    assert Examples(**fields).classes == ("no", "yes")
    with pytest.raises(InputError, match=message):
        Examples(**(fields | changes))


def test_labels_are_stored_in_one_type() -> None:
    examples = some()
    narrow = Examples(examples.inputs, examples.labels.astype(np.int32), examples.ids, examples.classes)
    assert narrow.labels.dtype == np.int64
    assert narrow.digest() == examples.digest()


def test_ids_must_be_known_and_asked_for_once() -> None:
    with pytest.raises(InputError, match="the unknown id 'e'"):
        some().positions(["a", "e"])
    with pytest.raises(InputError, match="'a' 2 times"):
        some().positions(["a", "b", "a"])


def test_digest_sees_every_column() -> None:
    changed = [
        some(labels=[1, 1, 1, 0]),
        some(ids=["a", "b", "c", "e"]),
        some(inputs=np.zeros((4, 2))),
        some(groups=["x"] * 4),
        some(classes=["no", "maybe"]),
    ]
    digests = {some().digest(), *(each.digest() for each in changed)}
    assert len(digests) == 6
    assert some().digest() == some().digest()


def test_concatenating_what_was_taken_apart_gives_the_whole() -> None:
    whole = some(groups=["x", "y", "x", "z"])
    parts = [whole.select([0, 1]), whole.select([2, 3])]
    assert Examples.concatenate(parts).digest() == whole.digest()
    assert Examples.concatenate([whole.select([0, 1]), some().select([2, 3])]).groups is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "at least one"),
        ([some(), some()], "Ids must be distinct, got a 2 times"),
        ([some(), some(ids=["e", "f", "g", "h"], classes=["yes", "no"])], "same classes"),
    ],
)
def test_only_examples_of_one_kind_are_concatenated(parts: list[Examples], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Examples.concatenate(parts)


def test_they_print_as_a_few_lines_without_arrays() -> None:
    names = [f"class {number}" for number in range(50)]
    many = Examples.of(
        np.zeros((5000, 3, 32, 32), np.float32), np.zeros(5000, int),
        ["a\x1b[2J", "b" * 99, *map(str, range(4998))], names, ["p"] * 5000,
    )  # fmt: skip
    lines = repr(many).splitlines()
    assert lines[0] == "Examples: 5,000 of 50 classes"
    assert lines[1] == "  inputs   float32, shape (3, 32, 32) each"
    assert lines[2].endswith("class 9, ...")
    assert lines[3] == f"  ids      a\\x1b[2J, {'b' * 37}..., 0, ..."
    assert lines[4] == "  groups   1: p"
    assert str(many) == repr(many)
    assert len(repr(some()).splitlines()) == 4
    assert repr(some().select([])).splitlines()[0] == "Examples: 0 of 2 classes"


def test_a_name_that_an_array_would_cut_is_refused() -> None:
    with pytest.raises(InputError, match="cannot end with a null character"):
        some(ids=["a", "b", "c", "c\0"])


def named(**changes: Any) -> Examples:
    inputs = {"tokens": np.arange(8).reshape(4, 2), "mask": np.ones((4, 2))}
    return Examples.of(**({"inputs": inputs, "labels": [0, 1, 1, 0], "ids": list("abcd")} | changes))


def test_named_inputs_are_selected_and_put_together_by_name() -> None:
    both = named()
    chosen = both.select([2, 0])
    assert chosen.inputs["tokens"].tolist() == [[4, 5], [0, 1]]
    assert chosen.inputs["mask"].shape == (2, 2)
    again = Examples.concatenate([both.select([0]), both.select([1, 2, 3])])
    assert again.inputs["tokens"].tolist() == both.inputs["tokens"].tolist()
    assert list(both.arrays) == ["mask", "tokens"]
    assert both.input_bytes()[1] == both.inputs["mask"][1].tobytes() + both.inputs["tokens"][1].tobytes()
    assert "mask float64, shape (2,); tokens int64, shape (2,) each" in repr(both)
    with pytest.raises(InputError, match="same shape and type"):
        Examples.concatenate([both.select([0]), named(inputs=np.zeros((4, 2)), ids=list("efgh"))])


def test_the_digest_of_named_inputs_depends_on_names_not_on_their_order() -> None:
    arrays = named().arrays
    assert named(inputs=dict(reversed(arrays.items()))).digest() == named().digest()
    assert named(inputs={"words": arrays["tokens"], "mask": arrays["mask"]}).digest() != named().digest()
    assert named(inputs={"mask": arrays["mask"]}).digest() != Examples.of(arrays["mask"], [0, 1, 1, 0]).digest()


def test_the_digest_of_one_array_stays_what_it_was() -> None:
    examples = Examples.of(np.arange(12.0).reshape(4, 3), [0, 1, 1, 0], groups=list("abca"))
    assert examples.digest() == "926b9d317ef15d7e780d43e1fd09e19ec1022102ea58faa39387fc7eaac0b22e"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "empty"),
        ({"a": np.zeros((4, 1)), "b": np.zeros((3, 1))}, r"one length, got \{'a': 4, 'b': 3\}"),
        ({"a": np.zeros((4, 1)), "b": np.array([1, 2, np.inf, 4])}, "example c"),
        ({"a": np.zeros((5, 1))}, "5 labels"),
    ],
)
def test_wrong_named_inputs_are_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        named(inputs=inputs)


def test_what_takes_one_array_refuses_named_inputs_with_the_names() -> None:
    with pytest.raises(NotSupportedError, match="named inputs mask, tokens"):
        _ = named().array
