"""Suspects are printed for people: a summary and the first few, never an array."""

from dataclasses import replace

import numpy as np
import pytest

from tests.detection.toys import detect_in, noisy
from untrain.data import Examples
from untrain.detection import Suspect, Suspects


@pytest.fixture
def suspects() -> Suspects:
    """Three of four examples flagged."""
    examples = Examples.of(np.zeros((4, 1)), [0, 1, 0, 1], ["a", "bb", "c", "\x1b[2J"], ["cat", "dog"])
    return Suspects(
        examples, "auto", np.array([0.75, 0.0, 0.99999, 0.5]), np.array([2, 0, 3]), 0.7, (0.25, 0.9), 0.01,
        np.array([1, 1, 1, 0]), {"transition": [[1.0, 0.0], [0.0, 1.0]]},
    )  # fmt: skip


def test_printed_they_are_a_summary_and_a_table(suspects: Suspects) -> None:
    assert repr(suspects).splitlines() == [
        "3 of 4 labels flagged by auto; noise ratio 70.00 % (25.00 % to 90.00 %)",
        "id       label  suggested  score",
        "c        cat    dog        1",
        "a        cat    dog        0.75",
        "\\x1b[2J  dog    cat        0.5",
    ]
    assert str(suspects) == repr(suspects)


def test_a_given_ratio_has_no_interval_and_a_note_is_printed(suspects: Suspects) -> None:
    given = replace(suspects, noise_ratio=0.5, interval=(0.5, 0.5), suggested=None, evidence={"note": "read\x07 me"})
    assert repr(given).splitlines()[:4] == [
        "3 of 4 labels flagged by auto; noise ratio 50.00 %, as given",
        "note: read\\x07 me",
        "id       label  suggested  score",
        "c        cat    -          1",
    ]


def test_without_flagged_examples_there_is_no_table(suspects: Suspects) -> None:
    nothing = replace(suspects, flagged=np.array([], dtype=np.intp))
    assert repr(nothing) == "0 of 4 labels flagged by auto; noise ratio 70.00 % (25.00 % to 90.00 %)"


def test_many_are_cut_off() -> None:
    found = detect_in(noisy(), "loss", 0.1)
    lines = repr(found).splitlines()
    assert len(lines) == 1 + 1 + 5 + 1
    assert lines[2].startswith(str(found.examples.ids[found.flagged[0]]))
    assert lines[-1] == "and 25 more"


def test_rows_name_the_flagged_examples(suspects: Suspects) -> None:
    assert suspects.rows() == [
        Suspect("c", "cat", "dog", 0.99999),
        Suspect("a", "cat", "dog", 0.75),
        Suspect("\x1b[2J", "dog", "cat", 0.5),
    ]
    assert suspects.rows(1) == suspects.rows()[:1]
    assert replace(suspects, suggested=None).rows(1) == [Suspect("c", "cat", None, 0.99999)]
