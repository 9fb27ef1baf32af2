"""What `auto` takes in turn, beside the most accurate other method that costs no more and leaves no visible memory.

python benchmarks/auto.py runs/digits runs/forget-sets-digits

No visible memory: the interval of the memory left includes 0 or lies below, and ends below one half. No more cost: at
most 1.2 times the seconds, which vary. A rival is ahead if its test accuracy is higher by more than two standard errors
of the difference, from the spreads within and between originals.
"""

import argparse
from collections.abc import Iterator

from untrain.core.levels import MEMORY_LIMIT
from untrain.core.registry import base_name
from untrain.methods import METHODS
from untrain.report import groups, read_results
from untrain.report.results import ComparisonResults, ComparisonRow
from untrain.report.table import interval
from untrain.workflows.choose import _POLICY

SLACK = 1.2
ERRORS = 2


def squared_error(row: ComparisonRow) -> float:
    """Of the mean test accuracy, in squared points; 0 where the spread was not measured."""
    spread = row.test_accuracy_spread
    if spread is None:
        return 0.0
    return (spread.within or 0) ** 2 / row.models + (spread.between or 0) ** 2 / row.originals


def leaves_none(row: ComparisonRow) -> bool:
    """Whether no memory is visible."""
    left = row.memory_left
    return left is not None and left.low <= 0 and left.high < MEMORY_LIMIT


def best_rival(row: ComparisonRow, rows: list[ComparisonRow]) -> ComparisonRow | None:
    """The most accurate other method at no more cost that leaves no visible memory."""
    rivals = [
        other
        for other in rows
        if other is not row and other.seconds_per_model <= SLACK * row.seconds_per_model and leaves_none(other)
    ]
    return max(rivals, key=lambda other: other.test_accuracy, default=None)


def lines(results: ComparisonResults) -> Iterator[list[str]]:
    """A line for each method that `auto` takes, at each forget setting."""
    for setting, rows in groups(results):
        by_name = {row.method: row for row in rows}
        for name in dict.fromkeys(rule.method for rule in _POLICY):
            if (row := by_name.get(name)) is None:
                continue
            rival = best_rival(row, rows)
            cells = [results.experiment, setting, f"`{name}`", interval(row.memory_left, 2), f"{row.test_accuracy:.1f}"]
            if rival is None:
                yield [*cells, "none", "", "", ""]
                continue
            error = (squared_error(row) + squared_error(rival)) ** 0.5
            ahead = rival.test_accuracy - row.test_accuracy
            shown = f"{ahead:+.1f} ± {ERRORS * error:.1f}"
            yield [*cells, f"`{rival.method}`", interval(rival.memory_left, 2), shown, place(row, ahead, error)]


def place(row: ComparisonRow, ahead: float, error: float) -> str:
    """How a method stands beside a rival whose accuracy is ahead by so much, with its standard error."""
    by_construction = METHODS.of(base_name(row.method)).exact
    if not by_construction and row.memory_left is not None and row.memory_left.low > 0:
        return "remembers"
    if ahead > ERRORS * error:
        return "behind"
    return "first" if ahead < 0 else "within noise"


def main() -> None:
    """Print the table of some runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    head = ["experiment", "forgotten", "`auto` takes", "memory left", "test %"]
    head += ["best at its cost", "memory left", "points ahead", "so `auto`'s is"]
    print("| " + " | ".join(head) + " |\n" + "| --- " * len(head) + "|")
    for run in parser.parse_args().runs:
        results = read_results(run)
        if isinstance(results, ComparisonResults):
            for line in lines(results):
                print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
