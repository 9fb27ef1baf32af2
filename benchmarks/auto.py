"""What `auto` takes in turn, beside the most accurate other method that costs no more and leaves no visible memory.

    python benchmarks/auto.py docs/figures/digits docs/figures/forget-sets-digits
    python benchmarks/auto.py docs/figures/digits --brief    # how often each method is first, and how often behind

No visible memory: the interval of the memory left includes 0 or lies below, and ends below one half. No more cost: at
most 1.2 times the seconds, which vary. A method is behind if the rival's test accuracy is higher by more than two
standard errors of the difference, from the spreads within and between originals; it is first if its own is higher, and
within noise between. `remembers` and `unclear` are said of methods that do not forget by construction: their memory
left lies above 0, or its interval includes 0 and goes beyond one half.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from untrain.core.levels import MEMORY_LIMIT
from untrain.core.registry import base_name
from untrain.methods import METHODS
from untrain.report import groups, read_results
from untrain.report.results import ComparisonResults, ComparisonRow
from untrain.workflows.choose import _POLICY

SLACK = 1.2
ERRORS = 2
NAMES = tuple(dict.fromkeys(rule.method for rule in _POLICY))
PLACES = ("first", "within noise", "behind", "no rival", "unclear", "remembers")


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


def leaves_none(row: ComparisonRow) -> bool:
    """Whether no memory is visible."""
    left = row.memory_left
    return left is not None and left.low <= 0 and left.high < MEMORY_LIMIT


def can_replace(other: ComparisonRow, row: ComparisonRow) -> bool:
    """Whether another method costs no more and needs no factory where this one needs none."""
    factory, other_factory = (METHODS.of(base_name(name.method)).needs_factory for name in (row, other))
    return other is not row and other.seconds_per_model <= SLACK * row.seconds_per_model and factory >= other_factory


def best_rival(row: ComparisonRow, rows: list[ComparisonRow]) -> ComparisonRow | None:
    """The most accurate method that can replace this one and leaves no visible memory."""
    rivals = [other for other in rows if can_replace(other, row) and leaves_none(other)]
    return max(rivals, key=lambda other: other.test_accuracy, default=None)


def choice(row: ComparisonRow, rows: list[ComparisonRow]) -> Choice:
    """How a method stands among all methods of its forget setting."""
    if not METHODS.of(base_name(row.method)).exact and not leaves_none(row):
        above = row.memory_left is not None and row.memory_left.low > 0
        return Choice(row.method, "remembers" if above else "unclear")
    rival = best_rival(row, rows)
    if rival is None:
        return Choice(row.method, "no rival")
    error = (squared_error(row) + squared_error(rival)) ** 0.5
    ahead = rival.test_accuracy - row.test_accuracy
    place = "behind" if ahead > ERRORS * error else "first" if ahead < 0 else "within noise"
    return Choice(row.method, place, rival.method, ahead, error)


def settings(runs: Iterable[str]) -> Iterator[tuple[str, str, list[Choice]]]:
    """The experiment, the forget setting and what `auto` takes there, of every setting of some runs."""
    for run in runs:
        results = read_results(run)
        if isinstance(results, ComparisonResults):
            for setting, rows in groups(results):
                yield results.experiment, setting, [choice(row, rows) for row in rows if row.method in NAMES]


def in_full(found: Iterable[tuple[str, str, list[Choice]]]) -> list[list[str]]:
    """A line for each forget setting."""
    names = [name for name in NAMES if name != "rewind"]
    lines = [["experiment", "forgotten", *(f"`{name}`" for name in names)]]
    for experiment, setting, choices in found:
        by_name = {one.method: str(one) for one in choices}
        lines.append([experiment, setting, *(by_name.get(name, "") for name in names)])
    return lines


def in_brief(found: Iterable[tuple[str, str, list[Choice]]]) -> list[list[str]]:
    """A line for each method: in how many settings it has each place, and by how many points it is behind."""
    lines = [["`auto` takes", "settings", *PLACES, "points behind"]]
    every = [one for _, _, choices in found for one in choices]
    for name in NAMES:
        mine = [one for one in every if one.method == name]
        if mine:
            counts = Counter(one.place for one in mine)
            behind = [one.ahead for one in mine if one.place == "behind"]
            points = f"{min(behind):.1f} to {max(behind):.1f}" if behind else ""
            lines.append([f"`{name}`", str(len(mine)), *(str(counts[place]) for place in PLACES), points])
    return lines


def main() -> None:
    """Print the table of some runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--brief", action="store_true", help="counts of each method over all settings")
    asked = parser.parse_args()
    head, *body = (in_brief if asked.brief else in_full)(settings(asked.runs))
    for line in (head, ["---"] * len(head), *body):
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
