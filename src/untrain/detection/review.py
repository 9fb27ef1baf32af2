"""The review file: a table of the flagged examples, filled in by a person in any spreadsheet and read back.

A spreadsheet takes a text that starts with `=`, `+`, `-` or `@` for a formula, and converts what looks like a number or
a date. Such a text is written with a leading apostrophe, and so is one that starts with an apostrophe; the first
apostrophe is removed when the file is read. The same happens behind every comma, semicolon, bar, tab and line end in a
text, since a program may separate by any of them. So ids come back unchanged, and no formula is computed.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from untrain.core.files import write_file
from untrain.data import Examples
from untrain.data.examples import Positions
from untrain.detection.suspects import Suspects
from untrain.errors import InputError

COLUMNS = ("wrong", "id", "label", "suggested", "score")

_YES = frozenset(("yes", "y", "1", "true", "x"))
_NO = frozenset(("", "no", "n", "0", "false"))
_CHANGED = re.compile(r"[\x00-\x20\s'=+\-@＝＋－＠]|[\d.,:/eE+\-]+\Z")  # noqa: RUF001 (the wide forms are formulas, too)
"""Texts that a spreadsheet takes for a formula, a number or a date."""
_BEHIND = re.compile(r"[,;|\t\r\n](?=[\x00-\x20\s\"'=+\-@＝＋－＠])")  # noqa: RUF001
"""Separators behind which another program would see such a text begin, as one that separates by semicolons does."""
_ESCAPED = re.compile(r"([,;|\t\r\n])'")
_WHOLE = re.compile(r"0|[1-9]\d{0,14}")
"""Numbers that a spreadsheet writes back unchanged."""


def write_review(suspects: Suspects, path: str | Path) -> None:
    """Write the flagged examples to a CSV file for review, the most suspicious first.

    The columns are `wrong` (empty, to be filled in with yes or no), `id`, `label`, `suggested` (a class, or empty) and
    `score`. The file is UTF-8, with a byte-order mark if it is not pure ASCII, since spreadsheets need one.

    Raises:
        InputError: the file cannot be written.
    """
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(COLUMNS)
    for suspect in suspects.rows():
        texts = (suspect.id, suspect.label, suspect.suggested or "")
        table.writerow(["", *map(_escape, texts), f"{suspect.score:.6g}"])
    text = file.getvalue()
    # File names that are not UTF-8 are read as lone surrogates, which only this error handler can write and read.
    write_file(Path(path), text.encode("utf-8" if text.isascii() else "utf-8-sig", "surrogatepass"))


def read_review(path: str | Path, examples: Examples) -> Positions:
    """Positions of the examples that a person confirmed as mislabeled, in the order of the file.

    In the column `wrong`, `yes`, `y`, `1`, `true` and `x` confirm; `no`, `n`, `0`, `false` and an empty cell do not.
    Case does not matter. Columns other than `wrong` and `id` are ignored, and rows may be left out.

    Raises:
        InputError: there is no such file; it is not UTF-8, or not a table with these two columns; an id is unknown or
            occurs twice; another word is in `wrong`. The message names the line.
    """
    positions = {str(name): position for position, name in enumerate(examples.ids)}
    lines: dict[str, int] = {}
    confirmed: list[int] = []
    for line, answer, name in _rows(Path(path)):
        if name not in positions:
            raise InputError(
                f"unknown id {name!r} in line {line} of {path}: use a review of these {len(examples)} examples"
            )
        if name in lines:
            raise InputError(
                f"the id {name!r} is in line {lines[name]} and again in line {line} of {path}: remove one of them"
            )
        lines[name] = line
        if answer in _YES:
            confirmed.append(positions[name])
        elif answer not in _NO:
            raise InputError(f"expected yes or no in the column `wrong`, got {answer!r} in line {line} of {path}")
    return np.asarray(confirmed, dtype=np.intp)


def has_answers(path: str | Path) -> bool:
    """Whether anything is filled in, so that the file must not be overwritten.

    Raises:
        InputError: the file is not a review file.
    """
    return any(answer for _, answer, _ in _rows(Path(path)))


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, answer in lower case, and id of each row that is not empty."""
    text = _text(path)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    line = 1
    try:
        head = [cell.strip().lower() for cell in next(table, [])]
        for column in ("wrong", "id"):
            if head.count(column) != 1:
                raise InputError(
                    f"expected one column {column!r} in line 1 of {path}, got {head.count(column)}: "
                    "use a review file written by untrain"
                )
        line = table.line_num + 1
        for cells in table:
            if any(cells):
                if len(cells) != len(head):
                    raise InputError(f"expected {len(head)} cells in line {line} of {path}, got {len(cells)}")
                yield line, cells[head.index("wrong")].strip().lower(), _unescape(cells[head.index("id")])
            line = table.line_num + 1
    except csv.Error as error:
        raise InputError(f"line {line} of {path} is not comma-separated values: {error}") from None


def _separator(text: str) -> str:
    """What separates the cells: a spreadsheet may have saved the file with semicolons or tabs."""
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a ValueError comes from a name that no file can have
        raise InputError(f"the review file {path} cannot be read: {error}") from error
    try:
        return data.decode("utf-8", "surrogatepass").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"line {line} of {path} is not UTF-8 ({error.reason}): save the file as CSV in UTF-8"
        ) from error


def _escape(text: str) -> str:
    inner = _BEHIND.sub(r"\g<0>'", text)
    return f"'{inner}" if _CHANGED.match(text) and not _WHOLE.fullmatch(text) else inner


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text.removeprefix("'"))
