"""The review file: a table of the flagged examples, filled in by people in a spreadsheet or by `untrain review`.

A spreadsheet takes a text that starts with `=`, `+`, `-` or `@` for a formula, and converts what looks like a number or
a date. Such a text is written with a leading apostrophe, and so is one that starts with an apostrophe; the first
apostrophe is removed when the file is read. The same happens behind every comma, semicolon, bar, tab and line end in a
text, since a program may separate by any of them. So ids come back unchanged, and no formula is computed.

An answer is two cells: `wrong` is yes, no, unsure or empty, and `corrected` is the right class of a wrong label. A
wrong label without a right class belongs to an example that is to be dropped.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from untrain.core.files import write_file
from untrain.core.text import nearest_file
from untrain.data import Examples
from untrain.data.examples import Positions
from untrain.data.files import separator
from untrain.detection.suspects import Suspects
from untrain.errors import InputError

if TYPE_CHECKING:
    import _csv

COLUMNS = ("wrong", "id", "label", "suggested", "score")
YES, NO, UNSURE = "yes", "no", "unsure"

_WORDS = {
    **dict.fromkeys(("yes", "y", "1", "true", "x"), YES),
    **dict.fromkeys(("no", "n", "0", "false"), NO),
    **dict.fromkeys(("unsure", "?"), UNSURE),
    "": "",
}
_CHANGED = re.compile(r"[\x00-\x20\s'=+\-@＝＋－＠]|[\d.,:/eE+\-]+\Z")  # noqa: RUF001 (the wide forms are formulas, too)
"""Texts that a spreadsheet takes for a formula, a number or a date."""
_BEHIND = re.compile(r"[,;|\t\r\n](?=[\x00-\x20\s\"'=+\-@＝＋－＠])")  # noqa: RUF001
"""Separators behind which another program would see such a text begin, as one that separates by semicolons does."""
_ESCAPED = re.compile(r"([,;|\t\r\n])'")
_WHOLE = re.compile(r"0|[1-9]\d{0,14}")
"""Numbers that a spreadsheet writes back unchanged."""


class Answer(NamedTuple):
    """What a person said of one example.

    Attributes:
        wrong: whether the given label is wrong: `YES`, `NO`, `UNSURE`, or empty where nothing was said.
        corrected: right class of a wrong label; empty where the example is to be dropped.
        conflict: answers of two reviewers that differ; then nothing else is said.
        decided: when, as UTC in ISO 8601; empty where that is not known.
    """

    wrong: str = ""
    corrected: str = ""
    conflict: str = ""
    decided: str = ""

    @property
    def words(self) -> str:
        """The answer in a few words."""
        return f"{self.wrong}: {self.corrected or 'drop'}" if self.wrong == YES else self.wrong


_ANSWER_COLUMNS = Answer._fields


@dataclass(frozen=True)
class ReviewFile:
    """The content of a review file.

    Attributes:
        path: of the file, for messages.
        head: names of the columns in lower case.
        rows: cells of each row by id, in the order of the file, as they stand in the file.
        answers: by id, in the order of the file, those that say nothing included.
    """

    path: Path
    head: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    answers: dict[str, Answer]

    @classmethod
    def read(cls, path: str | Path) -> "ReviewFile":
        """Read and check a file.

        Raises:
            InputError: there is no such file; it is not UTF-8, or not a table with the columns `wrong` and `id`; an id
                occurs twice; a cell in `wrong` is no answer, or a class is given in `corrected` without a yes. The
                message names the line.
        """
        path = Path(path)
        head, lines = _lines(path)
        rows, answers, line_of = dict[str, tuple[str, ...]](), dict[str, Answer](), dict[str, int]()
        for line, cells in lines:
            name = unescape(cells[head.index("id")])
            if name in line_of:
                raise InputError(
                    f"The id {name!r} is in line {line_of[name]} and again in line {line} of {path}: remove one."
                )
            rows[name], line_of[name] = cells, line
            answers[name] = _answer(dict(zip(head, cells, strict=True)), f"line {line} of {path}")
        return cls(path, head, rows, answers)

    def with_answers(self, answers: Mapping[str, Answer], new_rows: Mapping[str, Mapping[str, str]]) -> "ReviewFile":
        """The file with other answers; columns that it lacks are added, all other cells stay as they are.

        Args:
            answers: by id.
            new_rows: cells by column of ids that are not in the file yet.
        """
        head = (*self.head, *(column for column in _ANSWER_COLUMNS if column not in self.head))
        places = [head.index(column) for column in _ANSWER_COLUMNS]
        empty = ("",) * (len(head) - len(self.head))
        rows = {name: cells + empty for name, cells in self.rows.items()} if empty else dict(self.rows)
        for name, cells in new_rows.items():
            escaped = {"id": escape(name)} | {column: escape(cell) for column, cell in cells.items()}
            rows.setdefault(name, tuple(escaped.get(column, "") for column in head))
        for name, answer in answers.items():
            changed = list(rows[name])
            for place, cell in zip(places, answer, strict=True):
                changed[place] = escape(cell)
            rows[name] = tuple(changed)
        return ReviewFile(self.path, head, rows, {**self.answers, **answers})

    def write(self) -> None:
        """Replace the file, atomically and durably.

        Raises:
            InputError: the file cannot be written.
        """
        write_file(self.path, _encoded([self.head, *self.rows.values()]))


def write_review(suspects: Suspects, path: str | Path) -> None:
    """Write the flagged examples to a CSV file for review, the most suspicious first.

    The columns are `wrong` (empty, to be filled in with yes or no), `id`, `label`, `suggested` (a class, or empty) and
    `score`. The file is UTF-8, with a byte-order mark if it is not pure ASCII, since spreadsheets need one.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [
        ("", *map(escape, (suspect.id, suspect.label, suspect.suggested or "")), f"{suspect.score:.6g}")
        for suspect in suspects.rows()
    ]
    write_file(Path(path), _encoded([COLUMNS, *rows]))


def read_review(path: str | Path, examples: Examples) -> Positions:
    """Positions of the examples that a person confirmed as mislabeled, in the order of the file.

    In the column `wrong`, `yes`, `y`, `1`, `true` and `x` confirm; `no`, `n`, `0`, `false`, `unsure`, `?` and an empty
    cell do not. Case does not matter. Columns other than `wrong`, `id` and `corrected` are ignored, and rows may
    be left out.

    Raises:
        InputError: see `ReviewFile.read`; an id or a class in `corrected` is unknown; or the label of an example is
            already the corrected one, as in a table that `untrain review --export` wrote.
    """
    file = ReviewFile.read(path)
    check_same_data(file, examples)
    positions = {str(name): position for position, name in enumerate(examples.ids)}
    confirmed = {name: positions[name] for name, answer in file.answers.items() if answer.wrong == YES}
    for name, position in confirmed.items():
        if file.answers[name].corrected == examples.classes[examples.labels[position]]:
            raise InputError(
                f"The label of {name!r} is already {file.answers[name].corrected!r}, to which line "
                f"{_line_of(file, name)} of {path} corrects it: pass the data that were reviewed, with their wrong "
                "labels."
            )
    return np.asarray([*confirmed.values()], dtype=np.intp)


def check_same_data(file: ReviewFile, examples: Examples) -> None:
    """Check that a review is one of these examples.

    Raises:
        InputError: an id or a class in `corrected` is unknown.
    """
    ids, classes = set(map(str, examples.ids)), set(examples.classes)
    for name, answer in file.answers.items():
        if name not in ids:
            raise InputError(
                f"Unknown id {name!r} in line {_line_of(file, name)} of {file.path}: use a review of these "
                f"{len(examples)} examples."
            )
        if answer.corrected and answer.corrected not in classes:
            raise InputError(
                f"{answer.corrected!r} in line {_line_of(file, name)} of {file.path} is not one of the classes: "
                "correct its name."
            )


def has_answers(path: str | Path) -> bool:
    """Whether anything is filled in, so that the file must not be overwritten.

    Raises:
        InputError: the file is not a review file.
    """
    head, lines = _lines(Path(path))
    return any(cells[head.index("wrong")].strip() for _, cells in lines)


def _answer(cells: Mapping[str, str], where: str) -> Answer:
    word = cells["wrong"].strip().lower()
    if word not in _WORDS:
        raise InputError(f"The column `wrong` takes yes, no, unsure or nothing, got {word!r} in {where}.")
    wrong, corrected = _WORDS[word], unescape(cells.get("corrected", ""))
    if corrected and wrong != YES:
        raise InputError(f"`corrected` names a class in {where}, but `wrong` does not say yes: fill in both, or none.")
    return Answer(wrong, corrected, unescape(cells.get("conflict", "")), unescape(cells.get("decided", "")))


def _line_of(file: ReviewFile, name: str) -> int:
    """The line of an id, looked for again, since only a refusal asks for it."""
    head, lines = _lines(file.path)
    return next(line for line, cells in lines if unescape(cells[head.index("id")]) == name)


def _lines(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[int, tuple[str, ...]]]]:
    """The columns in lower case; line number and cells of each row that is not empty."""
    text = _text(path)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator(text), strict=True)
    try:
        head = tuple(cell.strip().lower() for cell in next(table, []))
    except csv.Error as error:
        raise InputError(f"Line 1 of {path} is not comma-separated values: {error}.") from None
    for column in ("wrong", "id", *(column for column in _ANSWER_COLUMNS if column in head)):
        if head.count(column) != 1:
            raise InputError(
                f"Line 1 of {path} must name one column {column!r}, got {head.count(column)}: use a review file "
                "written by untrain."
            )
    return head, _rows(table, head, path, table.line_num + 1)


def _rows(table: "_csv.Reader", head: tuple[str, ...], path: Path, line: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    try:
        for cells in table:
            if any(cells):
                if len(cells) != len(head):
                    raise InputError(f"Line {line} of {path} must have {len(head)} cells, got {len(cells)}.")
                yield line, tuple(cells)
            line = table.line_num + 1
    except csv.Error as error:
        raise InputError(f"Line {line} of {path} is not comma-separated values: {error}.") from None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a ValueError comes from a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The review file {path} cannot be read: {reason}{nearest_file(path) or '.'}") from error
    try:
        return data.decode("utf-8", "surrogatepass").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"Line {line} of {path} is not UTF-8 ({error.reason}): save the file as CSV in UTF-8."
        ) from error


def _encoded(rows: list[tuple[str, ...]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    text = file.getvalue()
    # File names that are not UTF-8 are read as lone surrogates, which only this error handler can write and read.
    return text.encode("utf-8" if text.isascii() else "utf-8-sig", "surrogatepass")


def escape(text: str) -> str:
    """The text as it stands in a cell, so that no spreadsheet computes or changes it."""
    inner = _BEHIND.sub(r"\g<0>'", text)
    return f"'{inner}" if _CHANGED.match(text) and not _WHOLE.fullmatch(text) else inner


def unescape(text: str) -> str:
    """The text of a cell."""
    return _ESCAPED.sub(r"\1", text.removeprefix("'"))
