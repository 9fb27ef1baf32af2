"""Noise is what its transition matrix says, and the truth stays aside."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrain.data import Examples, human_noise, instance_noise, load, mislabel, pair_noise, symmetric_noise
from untrain.errors import InputError

SKEWED = np.array([[0.6, 0.3, 0.1], [0.0, 1.0, 0.0], [0.5, 0.05, 0.45]])


def some(counts: list[int], seed: int = 0) -> Examples:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    names = [f"class {number}" for number in range(len(counts))]
    ids, groups = [f"row {row}" for row in labels.argsort()], [f"person {row // 2}" for row in range(len(labels))]
    return Examples.of(generator.normal(size=(len(labels), 2)), labels, ids, names, groups)


def transitions(true: npt.NDArray[np.int64], given: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float64]:
    """Counted one after another."""
    pairs = Counter(zip(true.tolist(), given.tolist(), strict=True))
    return np.array([[pairs[row, column] for column in range(classes)] for row in range(classes)], dtype=np.float64)


@settings(deadline=None)
@given(st.integers(2, 9), st.floats(0, 1))
def test_the_matrices_are_their_definitions(classes: int, ratio: float) -> None:
    for row in range(classes):
        for column in range(classes):
            symmetric = 1 - ratio if row == column else ratio / (classes - 1)
            following = column == row + 1 or (row == classes - 1 and column == 0)
            pair = 1 - ratio if row == column else ratio if following else 0
            assert symmetric_noise(classes, ratio)[row, column] == pytest.approx(symmetric)
            assert pair_noise(classes, ratio)[row, column] == pytest.approx(pair)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    "matrix", [symmetric_noise(3, 0.4), pair_noise(3, 0.25), SKEWED], ids=["all", "pair", "skewed"]
)
def test_frequencies_are_the_matrix(matrix: npt.NDArray[np.float64], exact: bool) -> None:
    examples = some([30_000, 20_000, 10_000])
    noisy = mislabel(examples, matrix, exact=exact, seed=3)
    counts = transitions(noisy.true_labels, noisy.examples.labels, 3)
    size = counts.sum(1, keepdims=True)
    error = np.sqrt(matrix * (1 - matrix) / size)
    assert (np.abs(counts / size - matrix) <= 4.5 * error).all()
    assert (counts[matrix == 0] == 0).all()
    # By probability the number of flips varies as a binomial does; exactly, it does not.
    flips = counts.sum(1) - counts.diagonal()
    expected = size[:, 0] * (1 - matrix.diagonal())
    assert (np.abs(flips - expected).max() < 1) == exact


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.floats(0, 1), st.booleans(), st.integers(0, 9))
def test_exactly_as_many_flips_as_asked_for(counts: list[int], ratio: float, pair: bool, seed: int) -> None:
    expected = sum(counts) * ratio
    if abs(expected % 1 - 0.5) < 1e-6:
        return  # a tie, which rounding of the last bit decides
    matrix = (pair_noise if pair else symmetric_noise)(len(counts), ratio)
    noisy = mislabel(some(counts), matrix, exact=True, seed=seed)
    assert int(noisy.mislabelled.sum()) == round(expected)
    for label, count in enumerate(counts):
        wrong = int(noisy.mislabelled[noisy.true_labels == label].sum())
        assert abs(wrong - count * ratio) < 1 + 1e-9


def test_the_largest_remainders_are_rounded_up() -> None:
    # 0.4, 0.7 and 0.9 flips are expected, two in all: of the classes nearest to one.
    noisy = mislabel(some([4, 7, 9]), symmetric_noise(3, 0.1), exact=True)
    assert [int(noisy.mislabelled[noisy.true_labels == label].sum()) for label in range(3)] == [0, 1, 1]


@pytest.mark.parametrize("exact", [False, True])
def test_the_extremes_change_nothing_or_everything(exact: bool) -> None:
    examples = some([50, 30])
    assert mislabel(examples, np.eye(2), exact=exact).ratio == 0
    everything = mislabel(examples, symmetric_noise(2, 1), exact=exact)
    assert everything.examples.labels.tolist() == (1 - examples.labels).tolist()


def test_the_truth_stays_aside_and_nothing_but_labels_changes() -> None:
    examples = some([50, 30, 20])
    before = examples.digest()
    noisy = mislabel(examples, symmetric_noise(3, 0.5))
    assert examples.digest() == before
    assert noisy.true_labels.tolist() == examples.labels.tolist()
    wrong = [a != b for a, b in zip(noisy.examples.labels, examples.labels, strict=True)]
    assert noisy.mislabelled.tolist() == wrong
    assert noisy.ratio == pytest.approx(sum(wrong) / 100)
    back = Examples(
        noisy.examples.inputs, noisy.true_labels, noisy.examples.ids, noisy.examples.classes, noisy.examples.groups
    )
    assert back.digest() == before


@pytest.mark.parametrize("exact", [False, True])
def test_the_seed_alone_decides(exact: bool) -> None:
    first, again, other = (mislabel(some([90, 80]), symmetric_noise(2, 0.3), exact=exact, seed=s) for s in (1, 1, 2))
    assert first.examples.labels.tolist() == again.examples.labels.tolist() != other.examples.labels.tolist()


def test_rows_that_are_short_by_rounding_are_filled_up() -> None:
    many = Examples.of(np.zeros((200_000, 1)), np.zeros(200_000, dtype=np.int64), classes=["a", "b"])
    assert mislabel(many, np.eye(2) * (1 - 9e-6)).ratio == 0  # two flips would be expected, to no class at all


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: symmetric_noise(3, 1.01), r"in 0..1, got 3 and 1.01"),
        (lambda: pair_noise(3, -0.1), r"in 0..1, got 3 and -0.1"),
        (lambda: pair_noise(3, float("nan")), r"in 0..1, got 3 and nan"),
        (lambda: symmetric_noise(1, 0.1), r"at least two classes and .*, got 1 and 0.1"),
        (lambda: mislabel(some([2, 2]), np.full((2, 2), 0.4)), r"sum to 1, got .* row sums \[0.8, 0.8\]"),
        (lambda: mislabel(some([2, 2]), [[1.2, -0.2], [0.0, 1.0]]), r"rows of probabilities"),
        (lambda: mislabel(some([2, 2]), [[np.nan, 1.0], [0.0, 1.0]]), r"row sums \[nan, 1.0\]"),
        (lambda: mislabel(some([2, 2]), symmetric_noise(3, 0.1)), r"shape \(2, 2\) .* got shape \(3, 3\)"),
        (lambda: mislabel(some([2, 2]), [0.5, 0.5]), r"got shape \(2,\)"),
        (lambda: mislabel(some([2, 2]), 0.2), r"got shape \(\)"),
    ],
)
def test_what_is_no_noise_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def crowd(path: Path, **columns: list[Any]) -> str:
    table = {"x": [1.0, 2.0, 3.0, 4.0], "clean_label": ["cat", "dog", "cat", "owl"]} | columns
    pq.write_table(pa.table(table), path)
    return str(path)


def test_labels_that_people_got_wrong_come_from_one_table(tmp_path: Path) -> None:
    path = crowd(
        tmp_path / "t.parquet",
        crowd_label=["cat", "owl", "cat", "owl"], other_label=[3, 1, 4, 1], label=[0, 1, 0, 2],
    )  # fmt: skip
    noisy = human_noise(load(path, label="clean_label"), load(path, label="crowd_label"))
    assert noisy.examples.classes == ("cat", "dog", "owl")
    assert noisy.examples.labels.tolist() == [0, 2, 0, 2]  # the crowd's own class numbers are 0 1 0 1
    assert noisy.true_labels.tolist() == [0, 1, 0, 2]
    assert noisy.mislabelled.tolist() == [False, True, False, False]
    assert noisy.ratio == 0.25
    # No label of any kind is an input.
    assert noisy.examples.inputs.tolist() == [[1], [2], [3], [4]]


def test_human_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = crowd(tmp_path / "t.parquet", crowd_label=["cat", "emu", "cat", "dog"])
    true, crowds = load(path, label="clean_label"), load(path, label="crowd_label")
    with pytest.raises(InputError, match="among cat, dog, owl, got 'emu'"):
        human_noise(true, crowds)


@pytest.mark.parametrize("rows", [[1, 0, 2, 3], [0, 1, 2]], ids=["another order", "one missing"])
def test_human_labels_of_other_examples_are_refused(rows: list[int]) -> None:
    true = some([2, 2])
    with pytest.raises(InputError, match="same ids in the same order"):
        human_noise(true, true.select(rows))


def test_noise_by_probabilities_that_are_none_is_refused() -> None:
    with pytest.raises(InputError, match="probability is NaN or infinite"):
        instance_noise(some([2, 2]), np.full((4, 2), np.nan), 0.5)


def test_noise_prints_how_much_there_is() -> None:
    noisy = mislabel(some([50, 50]), symmetric_noise(2, 0.1), exact=True)
    assert repr(noisy).splitlines()[:2] == ["Noisy: 10 of 100 labels are wrong (10.00 %)", "Examples: 100 of 2 classes"]
