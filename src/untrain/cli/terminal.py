"""What the commands show: progress on the error stream, results on the output."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from untrain.core.text import duration, printable

if TYPE_CHECKING:
    from untrain.experiments import Progress
    from untrain.report.suspects import Suspect

_SECONDS_BETWEEN_LINES = 20.0
_MOST_PRINTED = 10


class Status:
    """Progress on the error stream: a line with a spinner on a terminal, one line after another elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._spinner = self._console.status("starting")
        self._next_line = 0.0

    def __enter__(self) -> "Status":
        if self._console.is_terminal:
            self._spinner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._spinner.stop()

    def show(self, doing: str) -> None:
        """Show what happens now."""
        if self._console.is_terminal:
            self._spinner.update(shown(doing))
        else:
            sys.stderr.write(f"{printable(doing)}\n")
            sys.stderr.flush()

    def show_run(self, progress: "Progress") -> None:
        """Show how far a run is; where no terminal is, only every 20 seconds and at the end."""
        left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
        due = time.monotonic() >= self._next_line or progress.done == progress.total
        if due or self._console.is_terminal:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            self.show(f"{progress.done}/{progress.total} {progress.doing}{left}")


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
