"""The table of a comparison: its columns and how a value is written. The terminal and the page share it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from untrain.core.registry import base_name
from untrain.core.text import percent
from untrain.report.results import ComparisonResults, ComparisonRow, PublishedComparison

RETRAINING = frozenset({"retrain", "short-retrain"})
"""Methods that are not compared: they make the curve of score against cost, with which the others are compared."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        head: its heading.
        hint: one sentence that explains it.
        cell: from a row to the text of the cell; a dash where a value is not known.
        essential: whether it stays on a narrow terminal.
    """

    head: str
    hint: str
    cell: Callable[[ComparisonRow], str]
    essential: bool = False


def number(value: float | None, digits: int) -> str:
    """A figure, or a dash where it is not known."""
    return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001 (a dash is meant)


def _published(figure: Callable[[PublishedComparison], float | None], digits: int) -> Callable[[ComparisonRow], str]:
    """The cell of a published figure."""
    return lambda row: number(None if row.published is None else figure(row.published), digits)


_OURS = (
    Column(
        "method",
        "with its preset; the titles give the competition's ranks",
        lambda row: row.method,
        essential=True,
    ),
    Column(
        "final score",
        "F times the accuracies on retain set and test set, relative to retraining",
        lambda row: number(row.final_score, 4),
        essential=True,
    ),
    Column(
        "same cost",
        "final score of short retraining that takes the same time, interpolated",
        lambda row: number(row.same_cost_score, 4),
        essential=True,
    ),
    Column("F", "forgetting quality of the competition", lambda row: number(row.forget_quality, 4)),
    Column("mean ε", "mean over the forget set, in nats; lower is better", lambda row: number(row.epsilon_mean, 2)),
    Column("at cap", "forget examples that an attack tells apart perfectly", lambda row: str(row.capped)),
    Column("retain %", "accuracy on the retain set", lambda row: number(row.retain_accuracy, 1)),
    Column("test %", "accuracy on the test set", lambda row: number(row.test_accuracy, 1), essential=True),
    Column("forget %", "accuracy on the forget set", lambda row: number(row.forget_accuracy, 1)),
    Column(
        "s/model",
        "seconds for one model computed alone on one thread",
        lambda row: number(row.seconds_per_model, 2),
        essential=True,
    ),
    Column("speed-up", "relative to retraining", lambda row: f"{row.speedup:.1f}×", essential=True),  # noqa: RUF001
)
_PUBLISHED = (
    Column(
        "final score, published",
        "of the study, which does not state its N",
        _published(lambda figures: figures.final_score, 4),
    ),
    Column("test %, published", "of the study", _published(lambda figures: figures.test_accuracy, 1)),
    Column("forget %, published", "of the study", _published(lambda figures: figures.forget_accuracy, 1)),
    Column("seconds, published", "of the study, on a GPU", _published(lambda figures: figures.seconds, 1)),
)


def columns(rows: Iterable[ComparisonRow]) -> tuple[Column, ...]:
    """The columns for these rows; published figures have columns only where a row has some."""
    return _OURS + (_PUBLISHED if any(row.published is not None for row in rows) else ())


def is_contender(row: ComparisonRow) -> bool:
    """Whether the row is of an unlearning method, not of full or short retraining."""
    return base_name(row.method) not in RETRAINING


def groups(results: ComparisonResults) -> list[tuple[str, list[ComparisonRow]]]:
    """Rows by forget setting: the methods, best first, then short retraining by cost and retraining."""

    def order(row: ComparisonRow) -> tuple[bool, float]:
        return (False, -row.final_score) if is_contender(row) else (True, row.seconds_per_model)

    return [
        (setting, sorted((row for row in results.rows if row.forget == setting), key=order))
        for setting in dict.fromkeys(row.forget for row in results.rows)
    ]


def forgotten(row: ComparisonRow) -> str:
    """What was forgotten, in words."""
    group = "" if _is_number(row.forget) else f" ({row.forget})"
    return f"{percent(row.forget_ratio, 1)} of the training data, {row.forget_examples} examples{group}"


def scored(row: ComparisonRow) -> str:
    """What the scores of the row's forget setting depend on."""
    return f"N = {row.models}, {row.buckets} buckets, ceiling {row.ceiling:.4f}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def verdict(rows: Sequence[ComparisonRow]) -> str:
    """Which method won among the rows of one forget setting, in a few sentences."""
    contenders = [row for row in rows if is_contender(row)]
    if not contenders:
        return "No method was compared."
    best = max(contenders, key=lambda row: row.final_score)
    if best.final_score == 0:
        return "No method scored above 0."
    text = (
        f"{best.method} has the highest final score, {best.final_score:.4f}, at {best.speedup:.1f} times the speed of "
        f"retraining. Retrained models score {best.ceiling:.4f} against each other."
    )
    rival = best.same_cost_score
    if rival is None:
        return f"{text} No short retraining of that cost was run."
    relation = "less" if rival < best.final_score else "no less"
    return f"{text} Short retraining of the same cost would score {rival:.4f}, which is {relation}."
