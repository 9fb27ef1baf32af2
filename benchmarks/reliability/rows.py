"""What the benchmark prints: one row a figure."""

from collections.abc import Iterable
from dataclasses import dataclass

_HEADS = ("what", "attempts", "outcome", "target", "for comparison")


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: was tried.
        attempts: how often.
        outcome: in words.
        target: in words.
        met: whether the outcome is the target; None if it was not run.
        control: what shows that the attack bites, such as what it does where nothing guards; or an empty text.
        findings: each case in which the target was missed.
    """

    what: str
    attempts: int
    outcome: str
    target: str
    met: bool | None
    control: str = ""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """How much of everything is done.

    Attributes:
        short: a sample, for the tests.
        seed: of all that is drawn.
    """

    short: bool
    seed: int = 0

    def of(self, short: int, full: int) -> int:
        """One number or the other."""
        return short if self.short else full


def markdown(rows: Iterable[Row]) -> str:
    """The table for documents."""
    lines = [_HEADS, ("---",) * len(_HEADS)]
    lines += [(row.what, f"{row.attempts:,}", _outcome(row), row.target, row.control) for row in rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def plain(row: Row) -> str:
    """One row for a terminal, with what was found."""
    control = f"; for comparison: {row.control}" if row.control else ""
    lines = [f"{row.what} ({row.attempts:,}): {_outcome(row)}; target: {row.target}{control}"]
    return "\n".join([*lines, *(f"    {finding}" for finding in row.findings)])


def _outcome(row: Row) -> str:
    return row.outcome if row.met is not False else f"**missed:** {row.outcome}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def counted(findings: Iterable[tuple[str, str]], most: int = 12) -> tuple[str, ...]:
    """Each different finding once, with how often it was made, and where first; the most frequent first.

    Args:
        findings: what was found, and where.
        most: of them to be named.
    """
    places: dict[str, list[str]] = {}
    for what, where in findings:
        places.setdefault(what, []).append(where)
    ordered = sorted(places.items(), key=lambda item: -len(item[1]))
    more = [f"and {len(ordered) - most} other findings"] if len(ordered) > most else []
    return (*(f"{len(each)} x {what} ({each[0]})" for what, each in ordered[:most]), *more)
