import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from untrain.data import (
    Examples,
    ForgetSplit,
    Splits,
    forget_by,
    forget_class,
    forget_groups,
    forget_ids,
    forget_ranked,
    forget_ratio,
    forget_subjects,
    load,
    read_ids,
    split,
)
from untrain.errors import InputError


def persons(count: int = 40) -> Examples:
    numbers = np.arange(count)
    return Examples.of(numbers[:, None].astype(float), numbers % 2, groups=[f"person{n % 8}" for n in numbers])


def test_parts_are_disjoint_and_whole() -> None:
    digits = load()
    parts = split(digits, validation=0.1, test=0.2, seed=3)
    together = [*parts.train.ids, *parts.validation.ids, *parts.test.ids]
    assert sorted(together) == sorted(digits.ids)
    assert (len(parts.validation), len(parts.test)) == (180, 359)
    assert split(digits, seed=3).train.ids.tolist() != split(digits, seed=4).train.ids.tolist()


@pytest.mark.parametrize(
    ("validation", "test"), [(0.0, 0.1), (0.5, 0.5), (0.1, 1e-9), (0.1, -0.1), (float("nan"), 0.1), (1.5, 0.1)]
)
def test_parts_that_are_empty_or_overlap_are_refused(validation: float, test: float) -> None:
    with pytest.raises(InputError, match="share"):
        split(persons(), validation, test)


def test_a_ratio() -> None:
    sets = forget_ratio(load(), 0.02)
    assert (len(sets.forget), len(sets.retain)) == (36, 1761)
    assert sets.forget.ids.tolist() == forget_ratio(load(), 0.02).forget.ids.tolist()
    assert sets.forget.ids.tolist() != forget_ratio(load(), 0.02, seed=1).forget.ids.tolist()


def test_groups_are_forgotten_whole() -> None:
    sets = forget_groups(persons(), 3)
    assert sets.forget.groups is not None
    assert sets.retain.groups is not None
    assert len(set(sets.forget.groups)) == 3
    assert not set(sets.forget.groups) & set(sets.retain.groups)
    assert len(sets.forget) == 15


def test_ids_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("3\n\n7\n")
    sets = forget_ids(persons(), read_ids(tmp_path / "ids.txt"))
    assert sets.forget.ids.tolist() == ["3", "7"]
    assert forget_by(persons(), f"ids:{tmp_path / 'ids.txt'}").forget.ids.tolist() == ["3", "7"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (0.001, "None of the 40 examples would be forgotten"),
        (0.999, "All 40 training examples would be forgotten; nothing would be left"),
        (0.0, "between 0 and 1"),
        (1.5, "between 0 and 1"),
        ("groups:8", "1 to 7, .* got 8"),
        ("groups:0", "1 to 7, or a share below 1"),
        ("groups:1.5", "1 to 7, or a share below 1"),
        ("groups:nan", "1 to 7, or a share below 1"),
        ("groups:many", "groups:COUNT"),
        ("half", "ratio, groups:COUNT, groups:RATIO, ids:FILE, class:NAME, subject:NAME"),
        ("highest-loss:much", "highest-loss:RATIO"),
        ("highest-loss:0.1", "the loss of the examples is not known"),
        ("class:2", "must be one of 0, 1, got '2'"),
        ("subject:person9", "'person9' has no examples: look"),
        ("ids:/no/such/file", "one id a line"),
    ],
)
def test_wrong_requests_are_refused(request_: str | float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        forget_by(persons(), request_)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["99"], "the unknown id '99'"),
        (["7 "], "the unknown id '7 '; did you mean '7'"),
        (["1", "2", "1"], "'1' 2 times"),
        ([], "None of the 40 examples would be forgotten"),
        ([str(n) for n in range(40)], "All 40 training examples would be forgotten; nothing would be left"),
    ],
)
def test_wrong_ids_are_refused(ids: list[str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        forget_ids(persons(), ids)


def test_the_nearest_file_is_offered(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a")
    with pytest.raises(InputError, match=r"No such file or directory; did you mean 'ids.txt'\?"):
        read_ids(tmp_path / "id.txt")


@pytest.mark.parametrize("name", ["ids.txt", "a\0b", "none.txt", "."])
def test_what_is_no_file_of_ids_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="text file with one id a line"):
        read_ids(tmp_path / name)


NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r"), min_size=1)
MANY = st.lists(NAME, min_size=2, max_size=12, unique=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=MANY, chosen=st.integers(1, 11), mark=st.sampled_from(["", "\ufeff"]), end=st.sampled_from(["\n", "\r\n"]))
def test_ids_come_back_from_files_as_they_were(
    tmp_path: Path, names: list[str], chosen: int, mark: str, end: str
) -> None:
    """Whatever is in a name: it is stored, asked for from a file, and found."""
    if names[0].startswith("\ufeff") and not mark:
        mark = "\ufeff"  # a file whose first character is meant needs a mark before it
    pq.write_table(pa.table({"id": names, "label": [0] * len(names), "x": range(len(names))}), tmp_path / "t.parquet")
    examples = load(tmp_path / "t.parquet")
    assert examples.ids.tolist() == names
    wanted = names[: min(chosen, len(names) - 1)]
    (tmp_path / "ids.txt").write_bytes((mark + end.join([*wanted, "", ""])).encode())
    assert read_ids(tmp_path / "ids.txt") == wanted
    sets = forget_ids(examples, read_ids(tmp_path / "ids.txt"))
    assert sets.forget.ids.tolist() == wanted
    assert sets.retain.ids.tolist() == names[len(wanted) :]


@settings(deadline=None)
@given(count=st.integers(4, 60), validation=st.floats(0.05, 0.6), test=st.floats(0, 0.6), seed=st.integers(0, 5))
def test_a_split_is_a_partition(count: int, validation: float, test: float, seed: int) -> None:
    examples = persons(count)
    sizes = [round(validation * count), round(test * count)]
    if not sizes[0] or (test > 0 and not sizes[1]) or sum(sizes) >= count:
        with pytest.raises(InputError, match="share"):
            split(examples, validation, test, seed)
        return
    parts, again = split(examples, validation, test, seed), split(examples, validation, test, seed)
    assert [len(parts.validation), len(parts.test)] == sizes
    everything = Examples.concatenate([part for part in (parts.train, parts.validation, parts.test) if len(part)])
    assert everything.select(everything.positions(examples.ids)).digest() == examples.digest()
    for one, other in ((parts.train, again.train), (parts.validation, again.validation), (parts.test, again.test)):
        assert one.digest() == other.digest()
        assert (np.diff(examples.positions(one.ids)) > 0).all()  # in the order of the whole


@settings(deadline=None)
@given(ratio=st.floats(0.03, 0.97), count=st.integers(1, 7), seed=st.integers(0, 5))
def test_forget_and_retain_set_are_a_partition(ratio: float, count: int, seed: int) -> None:
    examples = persons()
    for sets in (forget_ratio(examples, ratio, seed), forget_groups(examples, count, seed)):
        everything = Examples.concatenate([sets.forget, sets.retain])
        assert everything.select(everything.positions(examples.ids)).digest() == examples.digest()
    assert sets.forget.groups is not None
    assert sets.retain.groups is not None
    assert len(set(sets.forget.groups)) == count
    assert not set(sets.forget.groups) & set(sets.retain.groups)


@settings(deadline=None)
@given(order=st.permutations(range(40)), count=st.integers(1, 7), seed=st.integers(0, 5))
def test_requests_by_name_do_not_depend_on_the_order_of_rows(order: list[int], count: int, seed: int) -> None:
    """Ids and whole groups name examples, not rows; a draw of single rows or of shares is of the rows as they stand."""
    examples = persons()
    moved = examples.select(order)
    one, other = forget_groups(examples, count, seed), forget_groups(moved, count, seed)
    assert sorted(one.forget.ids) == sorted(other.forget.ids)
    assert forget_ids(moved, examples.ids[:3].tolist()).forget.ids.tolist() == [
        name for name in moved.ids if name in examples.ids[:3]
    ]


def test_parts_print_as_a_few_lines() -> None:
    parts = split(persons())
    assert repr(parts).splitlines() == [
        "Splits", "  train       32 examples", "  validation  4 examples", "  test        4 examples",
    ]  # fmt: skip
    assert isinstance(parts, Splits)
    assert repr(forget_ratio(persons(), 0.1)) == "ForgetSplit: 4 examples to forget, 36 to retain"


def test_as_many_groups_as_come_nearest_to_a_share() -> None:
    """Groups of 1, 2, ... 8 examples: no other number of the drawn groups comes nearer to the share."""
    names = [f"person{size}" for size in range(1, 9) for _ in range(size)]
    examples = Examples.of(np.zeros((36, 1)), np.zeros(36, dtype=int), groups=names)
    for share in (0.01, 0.25, 0.5):
        found = forget_groups(examples, share, seed=3)
        assert found.forget.groups is not None
        count = len(set(found.forget.groups))
        assert forget_groups(examples, count, seed=3).forget.ids.tolist() == found.forget.ids.tolist()
        assert forget_by(examples, f"groups:{share}", seed=3).forget.ids.tolist() == found.forget.ids.tolist()
        distances = [abs(len(forget_groups(examples, n, seed=3).forget) / 36 - share) for n in range(1, 8)]
        assert distances[count - 1] == min(distances)


def test_groups_need_groups_and_leaks_are_refused() -> None:
    with pytest.raises(InputError, match="no groups: forget a ratio"):
        forget_groups(load(), 2)
    with pytest.raises(InputError, match="5 is in both"):
        ForgetSplit(persons().select([5]), persons().select([4, 5, 6]))


def test_a_class_and_a_subject_are_forgotten_whole() -> None:
    examples = persons()
    of_class, of_subject = forget_class(examples, "1"), forget_subjects(examples, ["person3", "person5"])
    assert of_class.forget.ids.tolist() == [str(n) for n in range(40) if n % 2 == 1]
    assert of_subject.forget.ids.tolist() == [str(n) for n in range(40) if n % 8 in (3, 5)]
    assert forget_by(examples, "class:1").forget.digest() == of_class.forget.digest()
    assert forget_by(examples, "subject:person3").forget.ids.tolist() == [str(n) for n in range(3, 40, 8)]
    with pytest.raises(InputError, match="no groups, so a subject"):
        forget_subjects(load(), ["person3"])
    with pytest.raises(InputError, match="nothing would be left"):
        forget_class(examples.select(range(0, 40, 2)), "0")


@settings(deadline=None)
@given(values=st.lists(st.integers(-3, 3), min_size=40, max_size=40), ratio=st.floats(0.02, 0.98))
def test_ranked_examples_are_those_with_the_highest_or_lowest_values(values: list[int], ratio: float) -> None:
    """The oracle sorts rows by value, then by where they stand."""
    examples, count = persons(), round(ratio * 40)
    for lowest, sign in ((False, -1), (True, 1)):
        wanted = sorted(range(40), key=lambda row: (sign * values[row], row))[:count]
        sets = forget_ranked(examples, values, ratio, lowest=lowest)
        assert sets.forget.ids.tolist() == [str(row) for row in sorted(wanted)]


def test_texts_ask_for_ranked_examples_and_for_the_values_that_they_need() -> None:
    examples, asked = persons(), []

    def values(what: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        asked.append(what)
        return np.arange(40.0) if what == "loss" else -np.arange(40.0)

    for text, ids in (("highest-loss", ["38", "39"]), ("lowest-loss", ["0", "1"]), ("most-memorized", ["0", "1"])):
        assert forget_by(examples, f"{text}:0.05", values=values).forget.ids.tolist() == ids
    assert asked == ["loss", "loss", "memorization"]
    forget_by(examples, 0.1, values=values)
    assert len(asked) == 3


@pytest.mark.parametrize("values", [np.zeros(39), np.full(40, np.nan)])
def test_values_that_do_not_fit_are_refused(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    with pytest.raises(InputError, match="40 finite values"):
        forget_ranked(persons(), values, 0.1)
