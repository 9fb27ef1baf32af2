"""Tables of an experiment with wrong labels. The terminal, the page and the documentation share them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        ours: as text, a dash where nothing is known.
        spread: standard deviation over seeds, or None.
        published: the study's figure, or None; with a dagger where it is doubtful.
    """

    ours: str
    spread: str | None = None
    published: str | None = None

    @property
    def plain(self) -> str:
        """Ours, with the study's in brackets."""
        return self.ours if self.published is None else f"{self.ours} [{self.published}]"


@dataclass(frozen=True)
class Grid:
    """A table: lines of cells, one for each noise.

    Attributes:
        title: what it shows.
        heads: of the columns after the first.
        lines: name and cells.
        note: a sentence below, or an empty text.
    """

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]
    note: str = ""


_TOLD = (
    ("auc", "ROC AUC of scorers that are told the noise ratio", 3),
    ("accuracy", "their accuracy, % (is each label rightly called right or wrong?)", 1),
    ("precision", "their precision, % (equal to recall, as they flag as many as are wrong)", 1),
)
_UNTOLD = (
    ("auc", "ROC AUC of scorers that are told nothing", 3),
    ("precision", "their precision, %", 1),
    ("recall", "their recall, %", 1),
    ("estimated_noise_ratio", "the noise ratio that they estimate", 3),
    ("flagged", "share of labels that they flag", 3),
)
_DAGGER = (
    "† Printed for this noise ratio, but equal to what the study's code gives at 0.01, so that it probably is a slip."
)


def mislabel_grids(results: dict[str, Any]) -> Iterator[Grid]:
    """Every table, in the order of the study: detection, forgetting what is known, forgetting what was detected."""
    rows: list[Row] = results["rows"]
    found = [row for row in rows if row["method"] is None]
    for told, kinds in ((True, _TOLD), (False, _UNTOLD)):
        chosen = [row for row in found if row["told"] is told]
        for key, title, digits in kinds if chosen else ():
            table = "5.1" if any("published" in row for row in chosen) else ""
            yield _grid(title, chosen, key, digits, lambda row: str(row["scorer"]), table)
    original = [row for row in rows if row["method"] == "original"]
    targets = dict.fromkeys((row["target"], row["scorer"]) for row in rows if row["target"] is not None)
    for target, scorer in targets:
        what = "all wrong labels, which are known here" if scorer is None else f"the labels that {scorer} flags"
        chosen = [row for row in rows if (row["target"], row["scorer"]) == (target, scorer)]
        title = f"test accuracy, %, after forgetting {what}"
        table = ("5.2" if scorer is None else "5.3") if any("published" in row for row in chosen) else ""
        yield _grid(title, original + chosen, "test_accuracy", 1, lambda row: str(row["method"]), table)


def _grid(title: str, rows: list[Row], key: str, digits: int, name: Callable[[Row], str], table: str) -> Grid:
    """A table of one figure of the rows; `table` is its number in the study, or empty."""
    heads = {row["setting"]: head(row) for row in rows}
    cells = {(name(row), row["setting"]): _cell(row, key, digits) for row in rows}
    lines = tuple(
        (each, tuple(cells[each, setting] for setting in heads)) for each in dict.fromkeys(name(row) for row in rows)
    )
    doubtful = any("†" in (cell.published or "") for _, line in lines for cell in line)
    title = f"{title}: the study's table {table}" if table else title
    return Grid(title, tuple(heads.values()), lines, _DAGGER if doubtful else "")


def _cell(row: Row, key: str, digits: int) -> Cell:
    value, spread = row.get(key), row.get("spread", {}).get(key)
    published = row.get("published", {})
    theirs = None
    if key in published:
        theirs = f"{published[key]:.{min(digits, 2)}f}" + ("†" if published["doubtful"] else "")
    if value is None:
        return Cell("–", None, theirs)  # noqa: RUF001 (a dash is meant)
    return Cell(f"{value:.{digits}f}", None if spread is None else f"{spread:.{digits}f}", theirs)


def head(row: Row) -> str:
    """The noise of a row in a few words."""
    kind = {"pair": "pair ", "matrix": "by class ", "column": "human "}.get(row["noise"], "")
    return f"{kind}{row['noise_ratio']:.3g}"


def mislabel_verdict(results: dict[str, Any], scorer: str = "auto", method: str = "retrain") -> str:
    """In words, how well the labels were found and the model was repaired by what was found."""
    rows = results["rows"]
    looked = [row for row in rows if row["scorer"] == scorer and row["method"] is None and not row["told"]]
    refused = [row for row in looked if row["note"]]
    found = [row for row in looked if row["precision"] is not None and not row["note"]]
    if not (noisy := [row for row in found if row["noise_ratio"] > 0]):
        return ""
    worst = max(noisy, key=lambda row: float(row["noise_ratio"]))
    off = max(abs(row["estimated_noise_ratio"] - row["noise_ratio"]) for row in noisy)
    words = (
        f"{scorer}, told nothing, found wrong labels with a precision of at least {_least(noisy, 'precision')} % and a "
        f"recall of at least {_least(noisy, 'recall')} %, up to {100 * worst['noise_ratio']:.0f} % of them wrong; "
        f"its estimate of their share was off by at most {off:.3f}."
    )
    doubted = {row["setting"] for row in refused}
    after = [
        row
        for row in rows
        if (row["scorer"], row["method"]) == (scorer, method) and row["test_accuracy"] and row["setting"] not in doubted
    ]
    if after:
        words += (
            f" After {method} without what it flagged, test accuracy was at least {_least(after, 'test_accuracy')} %."
        )
    if refused:
        words += f" At {', '.join(head(row) for row in refused)} it refused to guess{_how_often(refused, results)}."
    return words


def _how_often(refused: list[Row], results: dict[str, Any]) -> str:
    """Nothing where it refused at every seed, else at how many."""
    guessed = sum(row["seeds"] for row in refused)
    return "" if not guessed else f" at {len(refused) * results['seeds'] - guessed} of {results['seeds']} seeds each"


def _least(rows: list[Row], key: str) -> str:
    return f"{min(row[key] for row in rows):.1f}"
