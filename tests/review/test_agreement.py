"""Two reviewers: kappa against scikit-learn, its interval against simulations, and one file of both."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from untrain.detection import Answer, ReviewFile
from untrain.detection.review import unescape
from untrain.errors import InputError
from untrain.review.agreement import kappa, kappa_interval, merge


def test_kappa_is_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        first, second = draw.integers(0, 2, (2, 30))
        table = np.zeros((2, 2))
        np.add.at(table, (first, second), 1)
        assert kappa(table) == pytest.approx(cohen_kappa_score(first, second))


@pytest.mark.parametrize(("count", "true"), [(20, 0.5), (50, 0.8), (200, 0.6)])
def test_the_interval_covers(count: int, true: float) -> None:
    draw, covered = np.random.default_rng(1), 0
    for seed in range(200):
        first = draw.random(count) < 0.5
        second = np.where(draw.random(count) < true, first, draw.random(count) < 0.5)
        table = np.zeros((2, 2))
        np.add.at(table, (first.astype(int), second.astype(int)), 1)
        low, high = kappa_interval(table, seed)
        covered += low <= true <= high
    assert covered >= 0.9 * 200


def test_whole_agreement_of_few_is_no_certainty() -> None:
    low, high = kappa_interval([[5, 0], [0, 5]])
    assert low < 0.7
    assert high > 0.95


def reviews(tmp_path: Path, ours: str, theirs: str) -> tuple[ReviewFile, ReviewFile]:
    files = []
    for name, text in (("ours", ours), ("theirs", theirs)):
        rows = "".join(f"{answer},{number},{right}\n" for number, (answer, right) in enumerate(_cells(text)))
        (tmp_path / f"{name}.csv").write_text(f"wrong,id,corrected\n{rows}")
        files.append(ReviewFile.read(tmp_path / f"{name}.csv"))
    return files[0], files[1]


def _cells(text: str) -> list[tuple[str, str]]:
    return [("yes", "cat") if each == "c" else ({"n": "no", "d": "yes", "-": ""}[each], "") for each in text]


def test_answers_of_both_and_differences_undecided(tmp_path: Path) -> None:
    ours, theirs = reviews(tmp_path, "cn-cdn", "cn cnn".replace(" ", "d"))
    merged, agreement = merge(ours, theirs)
    words = [answer.words or answer.conflict for answer in merged.answers.values()]
    assert words == ["yes: cat", "no", "yes: drop", "yes: cat", "yes: drop | no", "no"]
    assert (agreement.both, agreement.same, agreement.conflicts) == (5, 4, ("4",))
    assert agreement.kappa is not None
    assert agreement.kappa.value == pytest.approx(cohen_kappa_score([1, 0, 1, 1, 0], [1, 0, 1, 0, 0]))
    assert "Both decided 5 examples, 4 of them alike" in str(agreement)
    merged.write()
    again = ReviewFile.read(merged.path)
    assert again.answers["4"].wrong == ""
    settled = again.with_answers({"4": again.answers["4"]._replace(wrong="no")}, {})
    assert merge(settled, theirs)[0].answers["4"].wrong == "no"


def test_reviews_of_other_data_are_refused(tmp_path: Path) -> None:
    ours, _ = reviews(tmp_path, "c", "c")
    (tmp_path / "other.csv").write_text("wrong,id\nyes,elsewhere\n")
    with pytest.raises(InputError, match="have no id in common: merge reviews of the same data"):
        merge(ours, ReviewFile.read(tmp_path / "other.csv"))


def test_the_texts_of_a_new_row_stay_what_they_are(tmp_path: Path) -> None:
    label = "a;=1+1, or 'b'"
    (tmp_path / "ours.csv").write_text("wrong,id,label\n,0,cat\n")
    theirs = ReviewFile.read(tmp_path / "ours.csv")
    theirs = theirs.with_answers({"1": Answer("no")}, {"1": {"label": label}})
    merged, _ = merge(ReviewFile.read(tmp_path / "ours.csv"), theirs)
    assert unescape(merged.rows["1"][merged.head.index("label")]) == label
