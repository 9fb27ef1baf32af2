from pathlib import Path

import numpy as np
import pytest

from untrain.data import (
    Examples,
    ForgetSplit,
    forget_by,
    forget_groups,
    forget_ids,
    forget_ratio,
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
        ("half", "ratio, groups:COUNT, groups:RATIO or ids:FILE"),
        ("ids:/no/such/file", "one id a line"),
    ],
)
def test_wrong_requests_are_refused(request_: str | float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        forget_by(persons(), request_)


def test_wrong_ids_are_refused(tmp_path: Path) -> None:
    for ids, message in (
        (["99"], "the id '99'"),
        (["1", "2", "1"], "'1' 2 times"),
        ([], "None of the 40 examples would be forgotten"),
        ([str(n) for n in range(40)], "All 40 training examples would be forgotten; nothing would be left"),
    ):
        with pytest.raises(InputError, match=message):
            forget_ids(persons(), ids)
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "ids.txt", "a\0b"):
        with pytest.raises(InputError, match="text file"):
            read_ids(path)


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
