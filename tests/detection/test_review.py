"""The review file: what is written comes back, and nothing in it is computed."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrain.data import Examples
from untrain.detection import Suspects, has_answers, read_review, write_review
from untrain.errors import InputError

HOSTILE = [
    "=cmd()", "+1", "-1", "@SUM(A1)", "'", "''quoted", "'=1", "\t=1", "\r\n=1", " =1", "\uff1d1", "a,b", 'say "hi"',
    "two\nlines", "one\rline", "naïve 猫", "\ud800", "007", "1e5", "3-4", "12", "", "<script>", "\ufeffmark", "\x00=1",
    "1234567890123456",
]  # fmt: skip


def suspects(ids: list[str], classes: tuple[str, ...] = ("cat", "dog"), suggested: bool = True) -> Suspects:
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
    write_review(suspects(["a", "b", "c"]), tmp_path / "review.csv")
    assert rows(tmp_path / "review.csv") == [
        ["wrong", "id", "label", "suggested", "score"],
        ["", "c", "cat", "dog", "1"],
        ["", "b", "cat", "dog", "0.5"],
        ["", "a", "cat", "dog", "0"],
    ]
    write_review(suspects(["a"], suggested=False), tmp_path / "review.csv")
    assert rows(tmp_path / "review.csv")[1] == ["", "a", "cat", "", "0"]


def test_a_spreadsheet_computes_nothing(tmp_path: Path) -> None:
    write_review(suspects(HOSTILE, classes=("=HYPERLINK(1)", "@dog")), tmp_path / "review.csv")
    for row in rows(tmp_path / "review.csv")[1:]:
        for cell in row[1:4]:
            assert not cell.strip("\x00 \t\r\n").startswith(("=", "+", "-", "@", "\uff1d"))
            assert not cell.startswith(("\t", "\r", " "))
            assert cell not in ("007", "1e5", "3-4", "1234567890123456")


def test_hostile_ids_come_back(tmp_path: Path) -> None:
    written = suspects(HOSTILE)
    write_review(written, tmp_path / "review.csv")
    assert read_review(tmp_path / "review.csv", written.examples).tolist() == []
    assert not has_answers(tmp_path / "review.csv")
    fill_in(tmp_path / "review.csv", ["yes"] * len(HOSTILE))
    assert read_review(tmp_path / "review.csv", written.examples).tolist() == written.flagged.tolist()
    assert has_answers(tmp_path / "review.csv")


# Examples drop NUL at the end of an id, as NumPy's strings do.
@settings(deadline=None)
@given(st.lists(st.text(max_size=8).map(lambda text: text.rstrip("\0")), unique=True, min_size=1))
def test_all_ids_come_back(ids: list[str]) -> None:
    written = suspects(ids)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "review.csv"
        write_review(written, path)
        fill_in(path, ["x"] * len(ids))
        assert read_review(path, written.examples).tolist() == written.flagged.tolist()


def test_answers_may_be_written_in_many_ways(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    yes, no = ["yes", "Y", " YES ", "1", "True", "x"], ["", "no", "N", "0", "FALSE", " "]
    written = suspects([f"id{number}" for number in range(12)])
    write_review(written, path)
    fill_in(path, yes + no)
    assert read_review(path, written.examples).tolist() == written.flagged[:6].tolist()


def test_rows_and_columns_may_go_and_empty_lines_come(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_text("note,ID,Wrong\n\nsure,b,yes\n,,\n,a,\n", encoding="utf-8")
    assert read_review(path, suspects(["a", "b", "c"]).examples).tolist() == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"wrong,id\nyes,a\nyes,nobody\n", r"Unknown id 'nobody' in line 3"),
        (b'wrong,id\nyes,"two\nlines"\nyes,z\n', r"Unknown id 'z' in line 4"),
        (b"wrong,id\nyes,a\n,b\nno,a\n", r"'a' is in line 2 and again in line 4"),
        (b"wrong,id\nyes,a\nperhaps,b\n", r"`wrong` takes yes, no, unsure or nothing, got 'perhaps' in line 3"),
        (
            b"wrong,id,corrected\nyes,a,dog\nyes,b,cat\n",
            r"'b' is already 'cat', to which line 3 of .* data that",
        ),
        (b"id,label\na,cat\n", r"Line 1 .* one column 'wrong', got 0"),
        (b"wrong,id,id\nyes,a,a\n", r"one column 'id', got 2"),
        (b"", r"one column 'wrong'"),
        (b"wrong,id\nyes,a\nyes\n", r"Line 3 of .* must have 2 cells, got 1"),
        (b"wrong,id\nyes,a\nyes,\xff\n", r"Line 3 of .* is not UTF-8"),
        ("wrong,id\nyes,a\n".encode("utf-16"), r"Line 1 of .* is not UTF-8"),
        (b'wrong,id\nyes,a\nyes,"b\n', r"Line 3 of .* is not comma-separated"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_review(path, suspects(["a", "b", "two\nlines"]).examples)


@pytest.mark.parametrize(("name", "reason"), [("gone.csv", "No such file"), ("a\0b", "embedded null byte")])
def test_a_file_that_cannot_be_read_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"review file .* cannot be read: .*{reason}"):
        read_review(tmp_path / name, suspects(["a"]).examples)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.sampled_from("a=+-@\"';,\t|\n\r 1")), unique=True, min_size=1))
def test_no_separator_makes_a_formula(mark: str, ids: list[str]) -> None:
    written = suspects(ids)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "review.csv"
        write_review(written, path)
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file, delimiter=mark) for cell in row]
        assert read_review(path, written.examples).tolist() == []
    assert not [
        cell for cell in cells if cell.startswith(("=", "+", "@")) or (cell.startswith("-") and cell[1:2] != "0")
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_review_saved_with_another_separator_is_read(mark: str, tmp_path: Path) -> None:
    (tmp_path / "review.csv").write_text("wrong,id,label\r\nyes,a,x\r\nno,b,y\r\n".replace(",", mark))
    assert read_review(tmp_path / "review.csv", suspects(["a", "b"]).examples).tolist() == [0]
