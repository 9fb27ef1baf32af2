"""Tables of an experiment with mislabeled examples. The terminal, the page and the documentation share them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from untrain.core.text import percent
from untrain.report.results import MislabelFigure, MislabelResults, MislabelRow
from untrain.report.table import Column, number


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        ours: as text, a dash where it is not known.
        spread: standard deviation over seeds, or None.
        published: the study's figure, or None; with a dagger where it is doubtful.
    """

    ours: str
    spread: str | None = None
    published: str | None = None

    @property
    def plain(self) -> str:
        """Ours, and the study's in brackets."""
        return self.ours if self.published is None else f"{self.ours} [{self.published}]"

    @property
    def full(self) -> str:
        """Ours with its spread, and the study's in brackets."""
        return self.plain if self.spread is None else f"{self.ours} ± {self.spread}{self.plain[len(self.ours) :]}"


@dataclass(frozen=True)
class Grid:
    """A table with a column for each noise.

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


_Figures = tuple[tuple[MislabelFigure, str, int], ...]
_TOLD: _Figures = (
    ("auc", "ROC AUC, scorers that are told the noise ratio", 3),
    ("accuracy", "accuracy of their decisions, %", 1),
    ("precision", "their precision, % (equal to recall: they flag as many labels as are wrong)", 1),
)
_UNTOLD: _Figures = (
    ("auc", "ROC AUC, scorers that are not told the noise ratio", 3),
    ("precision", "their precision, %", 1),
    ("recall", "their recall, %", 1),
    ("estimated_noise_ratio", "their estimate of the noise ratio", 3),
    ("flagged", "share of the labels that they flag", 3),
)
_DAGGER = "† Probably a misprint: the study's code gives this figure at a noise ratio of 0.01."


def mislabel_grids(results: MislabelResults) -> Iterator[Grid]:
    """Every table in the order of the study: detection, forgetting what is known, forgetting what was detected."""
    for told, figures in ((True, _TOLD), (False, _UNTOLD)):
        rows = [row for row in results.detections if row.told is told]
        for key, title, digits in figures if rows else ():
            yield _grid(_titled(title, rows, "5.1"), rows, key, digits, lambda row: str(row.scorer))
    original = [row for row in results.rows if row.method == "original"]
    targets = dict.fromkeys((row.target, row.scorer) for row in results.rows if row.target is not None)
    for target, scorer in targets:
        what = "all wrong labels (known here)" if scorer is None else f"the labels that {scorer} flags"
        rows = [row for row in results.rows if (row.target, row.scorer) == (target, scorer)]
        title = _titled(f"test accuracy, %, after forgetting {what}", rows, "5.2" if scorer is None else "5.3")
        yield _grid(title, original + rows, "test_accuracy", 1, lambda row: str(row.method))


FIGURES: tuple[tuple[MislabelFigure, str, str, int], ...] = (
    ("precision", "precision %", "share of the flagged labels that are wrong", 1),
    ("recall", "recall %", "share of the wrong labels that are flagged", 1),
    ("test_accuracy", "test %", "accuracy of the model on the test set", 1),
    ("auc", "ROC AUC", "how well the scores rank wrong labels above correct ones: 0.5 is chance, 1 is perfect", 3),
    ("accuracy", "accuracy %", "share of the labels that are rightly called correct or wrong", 1),
    ("estimated_noise_ratio", "noise estimate", "the scorer's estimate of the noise ratio", 3),
    ("flagged", "flagged", "share of the labels that are flagged", 3),
)
"""Columns of figures: field, heading, explanation, digits."""


def mislabel_columns(results: MislabelResults) -> list[Column[MislabelRow]]:
    """The columns of one table of all rows; a figure that no row has gets none."""
    columns: list[Column[MislabelRow]] = [
        Column("name", "scorer, or method of forgetting", lambda row: str(row.method or row.scorer), words=True),
        Column("task", "what it was asked to do", task, words=True),
        Column("noise", "share of wrong labels, and their kind where it is not symmetric", head),
    ]
    for key, title, hint, digits in FIGURES:
        if any(getattr(row, key) is not None for row in results.rows):
            columns.append(Column(title, hint, _cell_of(key, digits)))
    return columns


def _cell_of(key: MislabelFigure, digits: int) -> Callable[[MislabelRow], str]:
    return lambda row: _cell(row, key, digits).full


def task(row: MislabelRow) -> str:
    """What the scorer or method of a row did."""
    if row.method == "original":
        return "trained on wrong labels"
    if row.method is not None:
        return "forgets all wrong labels" if row.scorer is None else f"forgets what {row.scorer} flags"
    return "finds, told the noise ratio" if row.told else "finds"


def _titled(title: str, rows: Sequence[MislabelRow], table: str) -> str:
    """The title, with the number of the study's table where the rows have published figures."""
    return f"{title}: the study's table {table}" if any(row.published is not None for row in rows) else title


def _grid(
    title: str, rows: Sequence[MislabelRow], key: MislabelFigure, digits: int, name: Callable[[MislabelRow], str]
) -> Grid:
    """The table of one figure of the rows."""
    heads = {row.setting: head(row) for row in rows}
    cells = {(name(row), row.setting): _cell(row, key, digits) for row in rows}
    names = dict.fromkeys(name(row) for row in rows)
    lines = tuple((line, tuple(cells[line, setting] for setting in heads)) for line in names)
    doubtful = any("†" in (cell.published or "") for cell in cells.values())
    return Grid(title, tuple(heads.values()), lines, _DAGGER if doubtful else "")


def _cell(row: MislabelRow, key: MislabelFigure, digits: int) -> Cell:
    value = getattr(row, key)
    spread = None if value is None else row.spread.get(key)
    return Cell(
        ours=number(value, digits),
        spread=None if spread is None else number(spread, digits),
        published=_published(row, key, digits),
    )


def _published(row: MislabelRow, key: MislabelFigure, digits: int) -> str | None:
    """The study's figure, with a dagger where it is doubtful."""
    value: float | None = getattr(row.published, key, None)
    if row.published is None or value is None:
        return None
    return f"{value:.{min(digits, 2)}f}{'†' if row.published.doubtful else ''}"


def head(row: MislabelRow) -> str:
    """The noise of a row in a few words."""
    kind = {"pair": "pair ", "matrix": "by class ", "column": "human "}.get(row.noise, "")
    return f"{kind}{row.noise_ratio:.3g}"


def mislabel_verdict(results: MislabelResults, scorer: str = "auto", method: str = "retrain") -> str:
    """How well a scorer found the wrong labels, and how accurate the model was after forgetting them."""
    return " ".join(mislabel_sentences(results, scorer, method))


def mislabel_sentences(results: MislabelResults, scorer: str = "auto", method: str = "retrain") -> list[str]:
    """The sentences of the verdict; the first alone says what came out, with its uncertainty."""
    rows = [row for row in results.detections if row.scorer == scorer and not row.told]
    refused = [row for row in rows if row.note]
    noisy = [row for row in rows if row.precision is not None and not row.note and row.noise_ratio > 0]
    if not noisy:
        return []
    sentences = [
        f"{scorer}, which was not told the noise ratio, found wrong labels with a precision of at least "
        f"{_least(row.precision for row in noisy)} % and a recall of at least {_least(row.recall for row in noisy)} % "
        f"at noise ratios up to {percent(max(row.noise_ratio for row in noisy), 0)}{_uncertainty(noisy, results)}.",
        f"Its estimate of the noise ratio was off by at most {max(_estimation_error(row) for row in noisy):.3f}.",
    ]
    refused_at = {row.setting for row in refused}
    after = [
        row.test_accuracy
        for row in results.rows
        if (row.scorer, row.method) == (scorer, method) and row.test_accuracy and row.setting not in refused_at
    ]
    if after:
        sentences.append(f"After forgetting what it flagged by {method}, test accuracy was at least {_least(after)} %.")
    if refused:
        noises = ", ".join(head(row) for row in refused)
        sentences.append(f"At noise {noises} it refused to decide{_how_often(refused, results.seeds)}.")
    return sentences


def _uncertainty(rows: Sequence[MislabelRow], results: MislabelResults) -> str:
    """How much the figures vary over seeds, in brackets."""
    spreads = [row.spread[key] for row in rows for key in ("precision", "recall") if key in row.spread]
    if not spreads:
        return " (one seed, so their spread is not known)"
    return f" (means over {results.seeds} seeds, standard deviation at most {max(spreads):.1f} points)"


def _estimation_error(row: MislabelRow) -> float:
    return 0.0 if row.estimated_noise_ratio is None else abs(row.estimated_noise_ratio - row.noise_ratio)


def _how_often(refused: Sequence[MislabelRow], seeds: int) -> str:
    """Nothing where it refused for every seed, else for how many."""
    decided = sum(row.seeds for row in refused)
    return "" if not decided else f" for {len(refused) * seeds - decided} of {seeds} seeds each"


def _least(values: Iterator[float | None] | Sequence[float]) -> str:
    return f"{min(value for value in values if value is not None):.1f}"
