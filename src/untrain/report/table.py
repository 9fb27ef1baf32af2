"""The comparison table: which columns it has and how a value is written. The terminal and the page share it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of the comparison.

    Attributes:
        head: what stands above it.
        hint: one sentence on what it is.
        cell: from a row to the text of the cell; a dash where nothing is known.
        essential: whether it stays where there is no room for all.
    """

    head: str
    hint: str
    cell: Callable[[Row], str]
    essential: bool = False


def _number(key: str, digits: int) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.get(key)
        return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001 (a dash is meant)

    return cell


def _published(key: str, digits: int) -> Callable[[Row], str]:
    return lambda row: _number(key, digits)(row.get("published") or {})


_OURS = (
    Column(
        "method",
        "with its preset; the competition's ranks are in the titles",
        lambda row: row["method"],
        essential=True,
    ),
    Column(
        "final score",
        "F times the accuracies kept on retain and test set, relative to retraining",
        _number("final_score", 4),
        essential=True,
    ),
    Column(
        "same cost",
        "final score of short retraining that takes as long, interpolated",
        _number("same_cost_score", 4),
        essential=True,
    ),
    Column("F", "forgetting quality, the competition's", _number("forget_quality", 4)),
    Column("mean ε", "mean over forget examples, in nats; less is better", _number("epsilon_mean", 2)),
    Column("at cap", "forget examples that an attack tells apart perfectly", lambda row: str(row["capped"])),
    Column("retain %", "accuracy on the retain set", _number("retain_accuracy", 1)),
    Column("test %", "accuracy on the test set", _number("test_accuracy", 1), essential=True),
    Column("forget %", "accuracy on the forget set", _number("forget_accuracy", 1)),
    Column(
        "s/model", "seconds for one model made alone on one thread", _number("seconds_per_model", 2), essential=True
    ),
    Column("speed-up", "over retraining", lambda row: f"{row['speedup']:.1f}×", essential=True),  # noqa: RUF001
)
_PUBLISHED = (
    Column("final score, published", "of the study, whose N is not stated", _published("final_score", 4)),
    Column("test %, published", "of the study", _published("test_accuracy", 1)),
    Column("forget %, published", "of the study", _published("forget_accuracy", 1)),
    Column("seconds, published", "of the study, on a GPU", _published("seconds", 1)),
)


def columns(rows: Iterable[Row]) -> tuple[Column, ...]:
    """The columns for these rows; published figures have theirs only where a row has some."""
    return _OURS + (_PUBLISHED if any("published" in row for row in rows) else ())


def is_contender(row: Row) -> bool:
    """Whether the row is a method that competes, not retraining in full or in short."""
    return row["method"].partition(":")[0] not in ("retrain", "short-retrain")


def groups(results: dict[str, Any]) -> list[tuple[str, list[Row]]]:
    """Rows by forget setting, the best contender first, then short retraining by cost and retraining."""
    settings = list(dict.fromkeys(row["forget"] for row in results["rows"]))

    def key(row: Row) -> tuple[bool, float]:
        return (False, -row["final_score"]) if is_contender(row) else (True, row["seconds_per_model"])

    return [
        (setting, sorted((row for row in results["rows"] if row["forget"] == setting), key=key)) for setting in settings
    ]


def forgotten(setting: str, row: Row) -> str:
    """What was forgotten, in words."""
    share = f"{100 * row['forget_ratio']:.2g} % of the training data"
    named = "" if _is_number(setting) else f" ({setting})"
    return f"{share}, {row['forget_examples']} examples{named}"


def scored(row: Row) -> str:
    """What every score of the row's forget setting must be read with."""
    return f"N = {row['models']}, {row['buckets']} buckets, ceiling {row['ceiling']:.4f}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def verdict(rows: list[Row]) -> str:
    """One or two sentences on who won among the rows of one forget setting."""
    contenders = [row for row in rows if is_contender(row)]
    if not contenders:
        return "No method was compared."
    best = max(contenders, key=lambda row: row["final_score"])
    if best["final_score"] == 0:
        return "No method scored above 0."
    text = (
        f"{best['method']} has the highest final score, {best['final_score']:.4f}, at {best['speedup']:.1f} times "
        f"the speed of retraining; retrained models against each other reach {best['ceiling']:.4f}."
    )
    rival = best["same_cost_score"]
    if rival is None:
        return text + " No short retraining as cheap was run."
    relation = "less than" if rival < best["final_score"] else "at least as much as"
    return text + f" Short retraining of the same cost would score {rival:.4f}, {relation} it."
