"""What the commands show: progress on the error stream, results on the output."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from untrain.core.progress import listening
from untrain.core.text import duration, printable

if TYPE_CHECKING:
    from untrain.experiments import Progress as RunProgress
    from untrain.report.suspects import Suspect

_SECONDS_BETWEEN_LINES = 20.0
_MOST_PRINTED = 10


class Status:
    """Progress on the error stream: a bar with the time left on a terminal, one line after another elsewhere.

    The bar is that of the whole command, and says what is done now. It moves to and fro until the work is planned, as
    while data are read.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None)
        self._next_line = 0.0
        self._stack = ExitStack()

    def __enter__(self) -> "Status":
        if self._console.is_terminal:
            self._stack.enter_context(self._bar)
            self._stack.enter_context(listening(self._advance))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self, doing: str) -> None:
        """Show what happens now."""
        if self._console.is_terminal:
            self._bar.update(self._task, description=printable(doing))
        else:
            sys.stderr.write(f"{printable(doing)}\n")
            sys.stderr.flush()

    def _advance(self, done: float, total: float) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def show_run(self, progress: "RunProgress") -> None:
        """Show how far a run is; where no terminal is, only every 20 seconds and at the end."""
        left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
        due = time.monotonic() >= self._next_line or progress.done == progress.total
        if due or self._console.is_terminal:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            self.show(f"{progress.done}/{progress.total} {progress.doing}{left}")
            self._advance(progress.done, progress.total)


def shown(text: str) -> Text:
    """A text that may come from data: it cannot steer the terminal and is not read as markup."""
    return Text(printable(text))


def print_text(*lines: str) -> None:
    """Print sentences."""
    for line in lines:
        console().print(shown(line), soft_wrap=True)


def print_suspects(flagged: "Sequence[Suspect]") -> None:
    """Print the most suspicious examples as a table."""
    table = Table("id", "label", "suggested", "score")
    for suspect in flagged[:_MOST_PRINTED]:
        score = "" if suspect.score is None else f"{suspect.score:.4g}"
        table.add_row(*map(shown, (suspect.id, suspect.label, suspect.suggested or "", score)))
    if flagged:
        console().print(table)
    if len(flagged) > _MOST_PRINTED:
        print_text(f"and {len(flagged) - _MOST_PRINTED} more")


def console() -> Console:
    """The terminal, or a wide page if the output goes elsewhere."""
    return Console() if sys.stdout.isatty() else Console(width=180)
