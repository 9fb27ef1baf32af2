"""The table of a comparison: its columns and how a value is written. The terminal and the page share it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from untrain.core.estimate import Estimate, Spread
from untrain.core.levels import ALPHA, FEWEST_MODELS, MEMORY_LIMIT
from untrain.core.registry import base_name
from untrain.core.text import percent
from untrain.report.results import ComparisonResults, ComparisonRow, PublishedComparison

RETRAINING = frozenset({"retrain", "short-retrain"})
"""Methods that are not compared: they make the curve of score against cost, with which the others are compared."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of a table with rows of this type.

    Attributes:
        head: its heading.
        hint: one sentence that explains it.
        cell: from a row to the text of the cell; a dash where a value is not known.
        essential: whether it stays on the narrowest terminal; others follow in their order where they fit.
        words: whether its cells are words, not figures.
    """

    head: str
    hint: str
    cell: Callable[[Row], str]
    essential: bool = False
    words: bool = False


Columns = tuple[Column[ComparisonRow], ...]


def number(value: float | None, digits: int) -> str:
    """A figure, or a dash where it is not known."""
    return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001 (a dash is meant)


def interval(estimate: Estimate | None, digits: int) -> str:
    """An estimate and its interval, or a dash where it is not known."""
    return number(None, digits) if estimate is None else f"{estimate:.{digits}f}"


def _share(estimate: Estimate | None) -> str:
    return number(None if estimate is None else 100 * estimate.value, 0)


def _spread(spread: Spread | None, digits: int) -> str:
    return number(None, 0) if spread is None else f"{number(spread.within, digits)} / {number(spread.between, digits)}"


def _published(figure: Callable[[PublishedComparison], float | None], digits: int) -> Callable[[ComparisonRow], str]:
    """The cell of a published figure."""
    return lambda row: number(None if row.published is None else figure(row.published), digits)


_OURS: Columns = (
    Column(
        "method",
        "with its preset; the titles give the competition's ranks",
        lambda row: row.method,
        essential=True,
        words=True,
    ),
    Column(
        "final score",
        "F times the accuracies on retain set and test set, relative to retraining",
        lambda row: number(row.final_score, 4),
        essential=True,
    ),
    Column(
        "memory left",
        "how much of the forget set the models still know: 0 is a retrained model, 1 the original; with 95 % interval",
        lambda row: interval(row.memory_left, 2),
        essential=True,
    ),
    Column(
        "told apart %",
        f"models that a test at 5 % tells from retrained ones by their memory; needs {FEWEST_MODELS} models per side",
        lambda row: _share(row.told_apart),
    ),
    Column(
        "different %",
        "models that the same test tells from retrained ones by any difference, such as too short a training",
        lambda row: _share(row.told_different),
    ),
    Column(
        "same cost",
        "final score of short retraining that takes the same time, interpolated",
        lambda row: number(row.same_cost_score, 4),
    ),
    Column(
        "rank energy",
        "distance from retrained models, 0 for none, at any N; with 95 % interval; a dash where the models do not vary",
        lambda row: interval(row.rank_energy, 3),
    ),
    Column(
        "apart",
        "whether the rank energy differs from that of the method below by more than chance: a paired 95 % interval",
        lambda row: number(None, 0) if row.apart_from_next is None else "yes" if row.apart_from_next else "no",
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
    ),
    Column("speed-up", "relative to retraining", lambda row: f"{row.speedup:.1f}×", essential=True),  # noqa: RUF001
)
_EPOCHS: Columns = (
    Column(
        "epochs",
        "mean number of epochs on the retain set until accuracy had converged; a dash where a method does not wait",
        lambda row: number(row.epochs, 1),
    ),
)
_ORIGINALS: Columns = (
    Column(
        "memory sd",
        "standard deviation of the memory left within / between originals",
        lambda row: _spread(row.memory_spread, 2),
    ),
    Column(
        "test sd",
        "standard deviation of the test accuracy within / between originals",
        lambda row: _spread(row.test_accuracy_spread, 1),
    ),
)
_PUBLISHED: Columns = (
    Column(
        "final score, published",
        "of the study, which does not state its N",
        _published(lambda figures: figures.final_score, 4),
    ),
    Column("test %, published", "of the study", _published(lambda figures: figures.test_accuracy, 1)),
    Column("forget %, published", "of the study", _published(lambda figures: figures.forget_accuracy, 1)),
    Column("seconds, published", "of the study, on a GPU", _published(lambda figures: figures.seconds, 1)),
)
EVERY_COLUMN = _OURS + _EPOCHS + _ORIGINALS + _PUBLISHED


def columns(rows: Iterable[ComparisonRow]) -> Columns:
    """The columns for these rows; what only some results have gets columns where a row has it."""
    rows = list(rows)
    epochs = _EPOCHS if any(row.epochs is not None for row in rows) else ()
    originals = _ORIGINALS if any(row.originals > 1 for row in rows) else ()
    published = _PUBLISHED if any(row.published is not None for row in rows) else ()
    return _OURS + epochs + originals + published


def is_contender(row: ComparisonRow) -> bool:
    """Whether the row is of an unlearning method, not of full or short retraining."""
    return base_name(row.method) not in RETRAINING


def ranked(rows: Iterable[ComparisonRow]) -> list[ComparisonRow]:
    """The methods of one forget setting by final score, highest first, without short and full retraining."""
    return sorted(filter(is_contender, rows), key=lambda row: -row.final_score)


def groups(results: ComparisonResults) -> list[tuple[str, list[ComparisonRow]]]:
    """Rows by forget setting: the methods by final score, then short retraining by cost and retraining."""
    rows_of = defaultdict[str, list[ComparisonRow]](list)
    for row in results.rows:
        rows_of[row.forget].append(row)
    return [(setting, ranked(rows) + _retraining(rows)) for setting, rows in rows_of.items()]


def _retraining(rows: Iterable[ComparisonRow]) -> list[ComparisonRow]:
    return sorted((row for row in rows if not is_contender(row)), key=lambda row: row.seconds_per_model)


def order_table(results: ComparisonResults) -> tuple[list[str], list[list[str]]]:
    """How the order of the methods changes with the forget setting: headings and lines; no lines where there is none.

    A line for each method, with its rank and interval by each measure at each setting, and a line for Kendall's tau.
    """
    head = ["method", *(f"{order.forget}, by {order.measure}" for order in results.orders)]
    names = sorted(
        results.orders[0].ranks if results.orders else (), key=lambda name: results.orders[0].ranks[name].value
    )
    lines = [[name, *(interval(order.ranks[name], 0) for order in results.orders)] for name in names]
    if lines:
        lines.append(["Kendall's tau", *(interval(order.agreement, 2) for order in results.orders)])
    return head, lines


def order_note(results: ComparisonResults) -> str:
    """How to read the table of `order_table`."""
    first = results.orders[0].forget
    return (
        "1 is the method whose memory left is nearest to 0, or whose F is highest; in brackets, where it comes in 95 % "
        "of draws from the intervals of memory left, and of F over the forgotten examples. Kendall's tau compares the "
        f"order with that at {first}: 1 the same, 0 no relation, -1 reversed. In the columns of {first} it compares "
        "two draws of the same setting: that much is chance."
    )


def forgotten(row: ComparisonRow) -> str:
    """What was forgotten, in words."""
    group = "" if _is_number(row.forget) else f" ({row.forget})"
    return f"{percent(row.forget_ratio, 1)} of the training data, {row.forget_examples} examples{group}"


def scored(row: ComparisonRow) -> str:
    """What the scores of the row's forget setting depend on."""
    return f"N = {row.models}, {row.buckets} buckets, ceiling {row.ceiling:.4f}"


def origin(row: ComparisonRow) -> str:
    """From how many originals the unlearned models come, and what that means."""
    if row.originals == 1:
        return (
            "All unlearned models start from one original. Figures and intervals are about this original: another may "
            "give others."
        )
    return (
        f"Unlearned models start from {row.originals} originals in turn. Memory left is relative to each model's own "
        "original; intervals of memory left and rank energy leave out one original at a time."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Remembers(Enum):
    """Whether the models of a method remember the forgotten examples."""

    NOT = "no"
    MAYBE = "maybe"
    YES = "yes"
    UNKNOWN = "unknown"


def remembers(rows: Sequence[ComparisonRow]) -> dict[str, Remembers]:
    """For each method of one forget setting, whether its models remember."""
    chance = _told_by_chance(rows)
    return {row.method: _state(row, chance) for row in rows}


def winner(rows: Sequence[ComparisonRow]) -> ComparisonRow | None:
    """The method with the highest final score among those that leave no memory; None if there is none above 0.

    Where memory left is not known, the final score alone decides.
    """
    state_of = remembers(rows)
    free = (Remembers.NOT, Remembers.UNKNOWN)
    return next((row for row in ranked(rows) if row.final_score > 0 and state_of[row.method] in free), None)


def headline(rows: Sequence[ComparisonRow]) -> str:
    """What came out of one forget setting, in one sentence, with its uncertainty."""
    methods, best = ranked(rows), winner(rows)
    if not methods:
        return "No method was compared."
    if best is None:
        first = methods[0]
        reason = _memory_behind(first, _told_by_chance(rows)) or "scores 0"
        return f"No method is shown to forget: {first.method}, which scores highest, {reason}."
    kept = f"test accuracy {best.test_accuracy:.1f} %, {best.speedup:.1f} times as fast as retraining"
    if best.memory_left is None:
        return f"{best.method} scores highest, but memory left was not measured: {kept}."
    left = best.memory_left
    return (
        f"Among {len(methods)} methods, {best.method} scores highest of those that leave no visible memory: memory "
        f"left {left.value:.2f} (95 % interval {left.low:.2f} to {left.high:.2f}; 0 is a retrained model, 1 the "
        f"original), {kept}."
    )


def verdict(rows: Sequence[ComparisonRow]) -> str:
    """Which methods of one forget setting leave no memory, and which of these is best, in two or three sentences."""
    methods, chance = ranked(rows), _told_by_chance(rows)
    if not methods:
        return "No method was compared."
    first, best = methods[0], winner(rows)
    if first.final_score == 0:
        behind = [f" {row.method} {memory}." for row in methods if (memory := _memory_behind(row, chance))]
        return "No method scored above 0." + "".join(behind[:1])
    if best is None:
        reason = "No method that scores above 0 is shown to leave no memory."
        return f"{reason} {_highest(first)}, but {_memory_behind(first, chance)}. {_cost(first)}"
    if best.memory_left is None:
        return f"{_highest(best)}; memory left was not measured. {_cost(best)}"
    left = f"memory left is {best.memory_left:.2f}, where 0 is a retrained model and 1 the original"
    if best is first:
        return f"{_highest(best)}, and leaves no visible memory: {left}. {_cost(best)}"
    return (
        f"Of the methods that leave no visible memory, {_highest(best)}: {left}. {_cost(best)} {first.method} "
        f"scores higher, {first.final_score:.4f}, but {_memory_behind(first, chance)}."
    )


def _highest(row: ComparisonRow) -> str:
    return f"{row.method} has the highest final score, {row.final_score:.4f}"


def _told_by_chance(rows: Iterable[ComparisonRow]) -> float:
    """Upper end of the share of retrained models that are told apart from other retrained models."""
    return max((row.told_apart.high for row in rows if row.method == "retrain" and row.told_apart), default=ALPHA)


def _state(row: ComparisonRow, chance: float) -> Remembers:
    """Whether the models of a method remember."""
    if row.memory_left is None:
        return Remembers.UNKNOWN
    if row.memory_left.low > 0 or (row.told_apart and row.told_apart.value > chance):
        return Remembers.YES
    return Remembers.MAYBE if row.memory_left.high >= MEMORY_LIMIT else Remembers.NOT


def _memory_behind(row: ComparisonRow, chance: float) -> str | None:
    """Why it cannot be said that the method leaves no memory; None if it can, or if memory was not measured."""
    state = _state(row, chance)
    if row.memory_left is None or state is Remembers.NOT:
        return None
    left = f"memory left is {row.memory_left:.2f}"
    if state is Remembers.MAYBE:
        return f"may remember the examples: {left}, too wide to tell"
    if row.memory_left.low > 0 or row.told_apart is None:
        return f"remembers the examples: {left}"
    return f"remembers the examples: {left}, and {percent(row.told_apart.value, 0)} of its models are told apart"


def _cost(row: ComparisonRow) -> str:
    """Accuracy and speed of a method, beside short retraining of the same cost."""
    text = f"Its test accuracy is {row.test_accuracy:.1f} %, at {row.speedup:.1f} times the speed of retraining"
    rival = row.same_cost_score
    if rival is None:
        return f"{text}; no short retraining of that cost was run."
    relation = "less" if rival < row.final_score else "no less"
    return f"{text}; short retraining of the same cost would score {rival:.4f}, which is {relation}."
