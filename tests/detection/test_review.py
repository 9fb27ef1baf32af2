import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrain.data import Examples
from untrain.detection import Suspects, has_answers, read_review, write_review
from untrain.errors import InputError

HOSTILE = [
    "=cmd()", "+1", "-1", "@SUM(A1)", "'", "''quoted", "'=1", "\t=1", "\r\n=1", " =1", "\uff1d1", "a,b", 'say "hi"',
    "two\nlines", "one\rline", "naïve 猫", "\ud800", "007", "1e5", "3-4", "12", "", "<script>", "\ufeffmark", "\x00=1",
    "1234567890123456",
]  # fmt: skip


def found(ids: list[str], classes: tuple[str, ...] = ("cat", "dog"), suggested: bool = True) -> Suspects:
    """All of them flagged, the last one first."""
    count = len(ids)
    examples = Examples.of(np.zeros((count, 1)), np.zeros(count, dtype=int), ids, classes)
    scores = np.linspace(0, 1, count)
    named = np.ones(count, dtype=np.int64) if suggested else None
    return Suspects(examples, "loss", scores, np.arange(count)[::-1], 1.0, (1.0, 1.0), None, named, {})


def rows(path: Path) -> list[list[str]]:
    text = path.read_bytes().decode("utf-8", "surrogatepass").removeprefix("\ufeff")
    return list(csv.reader(io.StringIO(text, newline="")))


def fill_in(path: Path, answers: list[str]) -> None:
    head, *cells = rows(path)
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        csv.writer(file).writerows([head, *([answer, *row[1:]] for answer, row in zip(answers, cells, strict=True))])


def test_one_row_for_each_flagged_example_the_most_suspicious_first(tmp_path: Path) -> None:
    write_review(found(["a", "b", "c"]), tmp_path / "review.csv")
    assert rows(tmp_path / "review.csv") == [
        ["wrong", "id", "label", "suggested", "score"],
        ["", "c", "cat", "dog", "1"],
        ["", "b", "cat", "dog", "0.5"],
        ["", "a", "cat", "dog", "0"],
    ]
    write_review(found(["a"], suggested=False), tmp_path / "review.csv")
    assert rows(tmp_path / "review.csv")[1] == ["", "a", "cat", "", "0"]


def test_a_spreadsheet_computes_nothing(tmp_path: Path) -> None:
    write_review(found(HOSTILE, classes=("=HYPERLINK(1)", "@dog")), tmp_path / "review.csv")
    for row in rows(tmp_path / "review.csv")[1:]:
        for cell in row[1:4]:
            assert not cell.strip("\x00 \t\r\n").startswith(("=", "+", "-", "@", "\uff1d"))
            assert not cell.startswith(("\t", "\r", " "))
            assert cell not in ("007", "1e5", "3-4", "1234567890123456")


def test_hostile_ids_come_back(tmp_path: Path) -> None:
    suspects = found(HOSTILE)
    write_review(suspects, tmp_path / "review.csv")
    assert read_review(tmp_path / "review.csv", suspects.examples).tolist() == []
    assert not has_answers(tmp_path / "review.csv")
    fill_in(tmp_path / "review.csv", ["yes"] * len(HOSTILE))
    assert read_review(tmp_path / "review.csv", suspects.examples).tolist() == suspects.flagged.tolist()
    assert has_answers(tmp_path / "review.csv")


# Examples drop NUL at the end of an id, as NumPy's strings do.
@given(st.lists(st.text(max_size=8).map(lambda text: text.rstrip("\0")), unique=True, min_size=1))
def test_all_ids_come_back(ids: list[str]) -> None:
    suspects = found(ids)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "review.csv"
        write_review(suspects, path)
        fill_in(path, ["x"] * len(ids))
        assert read_review(path, suspects.examples).tolist() == suspects.flagged.tolist()


def test_answers_may_be_written_in_many_ways(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    yes, no = ["yes", "Y", " YES ", "1", "True", "x"], ["", "no", "N", "0", "FALSE", " "]
    suspects = found([f"id{number}" for number in range(12)])
    write_review(suspects, path)
    fill_in(path, yes + no)
    assert read_review(path, suspects.examples).tolist() == suspects.flagged[:6].tolist()


def test_rows_and_columns_may_go_and_empty_lines_come(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_text("note,ID,Wrong\n\nsure,b,yes\n,,\n,a,\n", encoding="utf-8")
    assert read_review(path, found(["a", "b", "c"]).examples).tolist() == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"wrong,id\nyes,a\nyes,nobody\n", r"unknown id 'nobody' in line 3"),
        (b'wrong,id\nyes,"two\nlines"\nyes,z\n', r"unknown id 'z' in line 4"),
        (b"wrong,id\nyes,a\n,b\nno,a\n", r"each id once .* got 'a' in line 4 as well as in line 2"),
        (b"wrong,id\nyes,a\nperhaps,b\n", r"yes or no in the column `wrong` .* 'perhaps' in line 3"),
        (b"id,label\na,cat\n", r"columns wrong, id, .* in line 1 .* got no 'wrong'"),
        (b"wrong;id\nyes;a\n", r"got no 'wrong'"),
        (b"wrong,id,id\nyes,a,a\n", r"got 2 'id'"),
        (b"", r"got no 'wrong'"),
        (b"wrong,id\nyes,a\nyes\n", r"expected 2 cells in line 3 of .*, got 1"),
        (b"wrong,id\nyes,a\nyes,\xff\n", r"expected UTF-8 text .* in line 3"),
        ("wrong,id\nyes,a\n".encode("utf-16"), r"expected UTF-8 text .* in line 1"),
        (b'wrong,id\nyes,a\nyes,"b\n', r"comma-separated values .* in line 3"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_review(path, found(["a", "b", "two\nlines"]).examples)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a review file at .*: .*No such file"):
        read_review(tmp_path / "review.csv", found(["a"]).examples)
    with pytest.raises(InputError, match=r"expected a review file at .*: embedded null byte"):
        read_review("a\0b", found(["a"]).examples)
