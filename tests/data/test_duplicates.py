"""Copies and near copies, against slow and obvious searches."""

import numpy as np
import pytest

import untrain as un
from untrain.data import Nearness, content_digests, find_copies
from untrain.data.duplicates import NEAR, _within


def examples(inputs: np.ndarray, first: int = 0) -> un.Examples:
    return un.Examples.of(inputs, np.zeros(len(inputs), int), [str(first + row) for row in range(len(inputs))], ["one"])


def test_contents_are_the_numbers_whatever_holds_them() -> None:
    rows = np.random.default_rng(0).integers(0, 2, size=(40, 3))
    digests = content_digests(examples(rows.astype(np.float32)))
    for left in range(40):
        for right in range(40):
            assert (digests[left] == digests[right]) == bool((rows[left] == rows[right]).all())
    assert digests == content_digests(examples(rows.astype(np.float64)))
    assert digests == content_digests(examples(np.where(rows == 0, -0.0, rows)))
    assert content_digests(examples(rows)) == content_digests(examples(rows.astype(np.uint8)))
    assert digests[0] != content_digests(examples(rows.astype(np.float32).reshape(40, 3, 1)))[0]


def test_exact_copies_are_those_of_a_slow_search() -> None:
    draw = np.random.default_rng(1)
    of, among = draw.integers(0, 3, size=(20, 3)), draw.integers(0, 3, size=(60, 3))
    expected = [any((row == other).all() for other in of) for row in among]
    assert find_copies(examples(of), examples(among)).tolist() == expected
    assert 5 < sum(expected) < 55


@pytest.mark.parametrize("columns", [1, 3, 8, 40])
@pytest.mark.parametrize("radius", [0.05, 1.0])
def test_the_search_in_a_projection_misses_nothing(columns: int, radius: float) -> None:
    draw = np.random.default_rng(columns)
    known = draw.normal(size=(50, columns)).astype(np.float32)
    others = np.concatenate(
        [known + radius / np.sqrt(columns) * draw.normal(size=known.shape), draw.normal(size=known.shape)]
    )
    others = others.astype(np.float32)
    distances = np.linalg.norm(known[None] - others[:, None], axis=2).min(1)
    assert _within(known, others, radius).tolist() == (distances <= radius).tolist()
    assert (distances <= radius).sum() > 0


def test_the_threshold_is_a_fifth_of_the_usual_distance_to_a_neighbor() -> None:
    rows = np.random.default_rng(2).normal(size=(150, 4))
    scaled = (rows - rows.mean(0)) / rows.std(0)
    distances = np.linalg.norm(scaled[None] - scaled[:, None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert Nearness(examples(rows)).threshold == pytest.approx(NEAR * np.median(distances.min(1)), rel=1e-5)


def test_changed_pictures_are_near_and_others_are_not() -> None:
    digits = un.load("digits").inputs
    of, rest = digits[:50], digits[50:]
    changed = 0.8 * of + 0.1
    near = Nearness(examples(digits)).find(examples(of), examples(np.concatenate([changed, rest]), 50))
    assert near[:50].all()
    assert near[50:].mean() < 0.01


def test_near_copies_in_a_table_are_found_whatever_the_units() -> None:
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(500, 6)) * [1, 10, 100, 1e-3, 1, 1]
    copies = rows[:20] * (1 + 1e-3 * draw.normal(size=(20, 6)))
    found = Nearness(examples(np.concatenate([rows, copies]))).find(examples(rows[:20]), examples(copies, 500))
    assert found.all()
    assert Nearness(examples(rows)).find(examples(rows[:20]), examples(rows[20:], 20)).mean() < 0.01


@pytest.mark.parametrize("inputs", [np.arange(40).reshape(10, 4), np.zeros((10, 3)), np.zeros((10, 1, 8, 8))])
def test_where_nothing_can_be_near_exact_copies_still_count(inputs: np.ndarray) -> None:
    nearness = Nearness(examples(inputs))
    assert nearness.threshold is None
    assert nearness.find(examples(inputs[:1]), examples(inputs[:1], 1)).tolist() == [True]
