"""The review file: flagged examples as a table that a person fills in with any spreadsheet, and reads back.

A spreadsheet computes what begins with `=`, `+`, `-` or `@`, and makes numbers and dates of what looks like one. Such a
text gets an apostrophe before it, as does one that begins with an apostrophe; when the file is read, the first
apostrophe goes. So ids come back exactly as they were, and nothing is computed.
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
from untrain.detection.detect import Suspects
from untrain.errors import InputError

COLUMNS = ("wrong", "id", "label", "suggested", "score")

_YES = frozenset(("yes", "y", "1", "true", "x"))
_NO = frozenset(("", "no", "n", "0", "false"))
_CHANGED = re.compile(r"[\x00-\x20\s'=+\-@＝＋－＠]|[\d.,:/eE+\-]+\Z")  # noqa: RUF001 (the wide forms count, too)
"""What a spreadsheet would compute, or take for a number or a date."""
_WHOLE = re.compile(r"0|[1-9]\d{0,14}")
"""Numbers that it writes back as they were."""


def write_review(suspects: Suspects, path: str | Path) -> None:
    """Write the flagged examples for a person to look through, the most suspicious first.

    The columns are `wrong`, empty, to be filled in with yes or no, `id`, `label`, `suggested`, a class or empty, and
    `score`. The file is UTF-8, with a byte-order mark where there is more than ASCII, since spreadsheets ask for one.

    Raises:
        InputError: the file cannot be written.
    """
    examples, file = suspects.examples, io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(COLUMNS)
    for position in suspects.flagged:
        suggested = "" if suspects.suggested is None else examples.classes[suspects.suggested[position]]
        texts = (str(examples.ids[position]), examples.classes[examples.labels[position]], suggested)
        table.writerow(["", *map(_escaped, texts), f"{suspects.scores[position]:.6g}"])
    text = file.getvalue()
    # Names of files that are no UTF-8 come as lone surrogates, which only this error handler writes and reads.
    write_file(Path(path), text.encode("utf-8" if text.isascii() else "utf-8-sig", "surrogatepass"))


def read_review(path: str | Path, examples: Examples) -> Positions:
    """Positions of the examples that a person confirmed as wrong, in the order of the file.

    In the column `wrong`, `yes`, `y`, `1`, `true` and `x` confirm, and `no`, `n`, `0`, `false` and an empty cell do
    not, in upper or lower case. Other columns than `wrong` and `id` are not looked at, and rows may be left out.

    Raises:
        InputError: there is no such file, it is no UTF-8 or no table with these two columns, an id is unknown or occurs
            twice, or another word is in `wrong`; the message names the line. Nothing is accepted then.
    """
    where = {str(name): position for position, name in enumerate(examples.ids)}
    lines: dict[str, int] = {}
    confirmed: list[int] = []
    for line, answer, name in _rows(Path(path)):
        if name not in where:
            raise InputError(
                f"expected ids of these {len(examples)} examples in {path}, got the unknown id {name!r} in line {line}"
            )
        if name in lines:
            raise InputError(
                f"expected each id once in {path}, got {name!r} in line {line} as well as in line {lines[name]}"
            )
        lines[name] = line
        if answer in _YES:
            confirmed.append(where[name])
        elif answer not in _NO:
            raise InputError(f"expected yes or no in the column `wrong` of {path}, got {answer!r} in line {line}")
    return np.asarray(confirmed, dtype=np.intp)


def has_answers(path: str | Path) -> bool:
    """Whether a person has filled in anything, so that the file must not be overwritten.

    Raises:
        InputError: it is no review file.
    """
    return any(answer for _, answer, _ in _rows(Path(path)))


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, answer in lower case, and id of every row that is not empty."""
    table = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    line = 1
    try:
        head = [cell.strip().lower() for cell in next(table, [])]
        for column in ("wrong", "id"):
            if head.count(column) != 1:
                raise InputError(
                    f"expected the columns {', '.join(COLUMNS)} in line 1 of {path}, "
                    f"got {head.count(column) or 'no'} {column!r}"
                )
        line = table.line_num + 1
        for cells in table:
            if any(cells):
                if len(cells) != len(head):
                    raise InputError(f"expected {len(head)} cells in line {line} of {path}, got {len(cells)}")
                yield line, cells[head.index("wrong")].strip().lower(), _unescaped(cells[head.index("id")])
            line = table.line_num + 1
    except csv.Error as error:
        raise InputError(f"expected a table of comma-separated values in {path}, got in line {line}: {error}") from None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # the latter of a name that no file can have
        raise InputError(f"expected a review file at {path}: {error}") from error
    try:
        return data.decode("utf-8", "surrogatepass").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"expected UTF-8 text in {path}, got other bytes in line {line}: {error.reason}") from error


def _escaped(text: str) -> str:
    return f"'{text}" if _CHANGED.match(text) and not _WHOLE.fullmatch(text) else text


def _unescaped(text: str) -> str:
    return text.removeprefix("'")
