"""What `auto` takes in turn, beside the most accurate other method that costs no more and leaves no visible memory.

    python benchmarks/auto.py --show left      # how often each method leaves memory
    python benchmarks/auto.py --show counts    # how often each choice of auto is first, or behind
    python benchmarks/auto.py                  # every setting
    python benchmarks/auto.py runs/digits      # of other runs than those of the documents

No visible memory: the interval of the memory left includes 0 or lies below, and ends below one half. No more cost: at
most 1.2 times the seconds, which vary. A method is behind if the rival's test accuracy is higher by more than two
standard errors of the difference, from the spreads within and between originals; it is first if its own is higher, and
within noise between. `remembers` and `unclear` are said of methods that do not forget by construction: their memory
left lies above 0, or its interval includes 0 and goes beyond one half.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from untrain.core.levels import MEMORY_LIMIT
from untrain.core.registry import base_name
from untrain.methods import METHODS
from untrain.report import groups, read_results
from untrain.report.results import ComparisonResults, ComparisonRow
from untrain.workflows.choose import _POLICY

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
STORED = (
    "digits", "forget-sets-digits", "table1-cifar10-medium", "table1-cifar10-small", "table1-cifar10-5000",
    "table1-surf-small", "forget-sets-surf",
)  # fmt: skip
SLACK = 1.2
ERRORS = 2
NAMES = tuple(dict.fromkeys(rule.method for rule in _POLICY))
PLACES = ("first", "within noise", "behind", "no rival", "unclear", "remembers")
LEAVES = ("none visible", "unclear", "visible")


@dataclass(frozen=True)
class Choice:
    """A method that `auto` takes, at one forget setting.

    Attributes:
        method: its name.
        place: one of `PLACES`.
        rival: the method that it is compared with, or None.
        ahead: how many points of test accuracy the rival is ahead.
        error: standard error of `ahead`.
    """

    method: str
    place: str
    rival: str | None = None
    ahead: float = 0.0
    error: float = 0.0

    def __str__(self) -> str:
        """The place, with the rival and the difference that decided it."""
        if self.rival is None:
            return self.place
        return f"{self.place}: `{self.rival}` {self.ahead:+.1f} ± {ERRORS * self.error:.1f}"


def squared_error(row: ComparisonRow) -> float:
    """Of the mean test accuracy, in squared points; 0 where the spread was not measured."""
    spread = row.test_accuracy_spread
    if spread is None:
        return 0.0
    return (spread.within or 0) ** 2 / row.models + (spread.between or 0) ** 2 / row.originals


def leaves(row: ComparisonRow) -> str:
    """Whether memory is visible, one of `LEAVES`."""
    left = row.memory_left
    if left is not None and left.low > 0:
        return "visible"
    return "none visible" if left is not None and left.high < MEMORY_LIMIT else "unclear"


def can_replace(other: ComparisonRow, row: ComparisonRow) -> bool:
    """Whether another method costs no more and needs no factory where this one needs none."""
    factory, other_factory = (METHODS.of(base_name(name.method)).needs_factory for name in (row, other))
    return other is not row and other.seconds_per_model <= SLACK * row.seconds_per_model and factory >= other_factory


def best_rival(row: ComparisonRow, rows: list[ComparisonRow]) -> ComparisonRow | None:
    """The most accurate method that can replace this one and leaves no visible memory."""
    rivals = [other for other in rows if can_replace(other, row) and leaves(other) == "none visible"]
    return max(rivals, key=lambda other: other.test_accuracy, default=None)


def choice(row: ComparisonRow, rows: list[ComparisonRow]) -> Choice:
    """How a method stands among all methods of its forget setting."""
    if not METHODS.of(base_name(row.method)).exact and (left := leaves(row)) != "none visible":
        return Choice(row.method, "remembers" if left == "visible" else left)
    rival = best_rival(row, rows)
    if rival is None:
        return Choice(row.method, "no rival")
    error = (squared_error(row) + squared_error(rival)) ** 0.5
    ahead = rival.test_accuracy - row.test_accuracy
    place = "behind" if ahead > ERRORS * error else "first" if ahead < 0 else "within noise"
    return Choice(row.method, place, rival.method, ahead, error)


def settings(runs: Iterable[str | Path]) -> Iterator[tuple[str, str, list[ComparisonRow]]]:
    """The experiment, the forget setting and its methods, of every setting of some runs."""
    for run in runs:
        results = read_results(run)
        if isinstance(results, ComparisonResults):
            for setting, rows in groups(results):
                yield results.experiment, setting, rows


def table_of_settings(runs: Iterable[str | Path]) -> list[list[str]]:
    """A line for each forget setting: how what `auto` takes stands there."""
    every = list(settings(runs))
    names = [name for name in NAMES if any(row.method == name for *_, rows in every for row in rows)]
    lines = [["experiment", "forgotten", *(f"`{name}`" for name in names)]]
    for experiment, setting, rows in every:
        by_name = {row.method: str(choice(row, rows)) for row in rows}
        lines.append([experiment, setting, *(by_name.get(name, "") for name in names)])
    return lines


def table_of_counts(runs: Iterable[str | Path]) -> list[list[str]]:
    """A line for each method that `auto` takes: how often it has each place, and by how many points it is behind."""
    lines = [["`auto` takes", "settings", *PLACES, "points behind"]]
    every = [choice(row, rows) for _, _, rows in settings(runs) for row in rows if row.method in NAMES]
    for name in NAMES:
        mine = [one for one in every if one.method == name]
        if mine:
            counts = Counter(one.place for one in mine)
            behind = [one.ahead for one in mine if one.place == "behind"]
            lines.append([f"`{name}`", str(len(mine)), *(str(counts[place]) for place in PLACES), extent(behind)])
    return lines


def table_of_left(runs: Iterable[str | Path]) -> list[list[str]]:
    """How often a method leaves memory, and how much accuracy it costs.

    A line for each method of all settings, and for each that `auto` takes.
    """
    every = [{row.method: row for row in rows} for _, _, rows in settings(runs)]
    lines = []
    for name in set.intersection(*map(set, every)).union(NAMES) & set().union(*every):
        those = [rows for rows in every if name in rows]
        counts = Counter(leaves(rows[name]) for rows in those)
        lost = [rows["retrain"].test_accuracy - rows[name].test_accuracy for rows in those]
        cells = [str(len(those)), *(str(counts[kind]) for kind in LEAVES), extent(lost), f"{median(lost):.1f}"]
        lines.append((-counts["none visible"] / len(those), median(lost), [f"`{name}`", *cells]))
    return [["method", "settings", *LEAVES, "points below `retrain`", "median"], *(line for *_, line in sorted(lines))]


def extent(values: Sequence[float]) -> str:
    """The smallest and the largest of some values."""
    return f"{min(values):.1f} to {max(values):.1f}" if values else ""


TABLES = {"settings": table_of_settings, "counts": table_of_counts, "left": table_of_left}


def main() -> None:
    """Print a table of some runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", default=[FIGURES / name for name in STORED])
    parser.add_argument("--show", choices=TABLES, default="settings")
    asked = parser.parse_args()
    head, *body = TABLES[asked.show](asked.runs)
    for line in (head, ["---"] * len(head), *body):
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
