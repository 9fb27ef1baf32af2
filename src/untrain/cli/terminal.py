"""What the commands show: what is being done on the error stream, and the result on the output."""

import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from untrain.core.text import duration, printable

if TYPE_CHECKING:
    from untrain.experiments import Progress as RunProgress

_SECONDS_BETWEEN_LINES = 20.0


class Status:
    """What is being done: one line with a spinner on a terminal, a line for each thing elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._spinner = self._console.status("starting")

    def __enter__(self) -> "Status":
        if self._console.is_terminal:
            self._spinner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._spinner.stop()

    def show(self, doing: str) -> None:
        """Say what is done next."""
        if self._console.is_terminal:
            self._spinner.update(shown(doing))
        else:
            sys.stderr.write(f"{printable(doing)}\n")
            sys.stderr.flush()


class ProgressBar:
    """Progress on the error stream: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, left="")
        self._next_line = 0.0

    def __enter__(self) -> "ProgressBar":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, progress: "RunProgress") -> None:
        """Show how far a run is."""
        left = "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                description=printable(progress.doing),
                completed=progress.done,
                total=progress.total,
                left=left,
            )
        elif time.monotonic() >= self._next_line or progress.done == progress.total:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            sys.stderr.write(f"{progress.done}/{progress.total} {printable(progress.doing)} {left}".rstrip() + "\n")
            sys.stderr.flush()


def shown(text: str) -> Text:
    """A text, which may come from data: nothing in it steers the terminal or is taken for markup."""
    return Text(printable(text))


def print_text(*lines: str) -> None:
    """Print sentences."""
    for line in lines:
        console().print(shown(line), soft_wrap=True)


def print_suspects(flagged: list[dict[str, Any]], most: int = 10) -> None:
    """Print the first suspects as a table."""
    table = Table("id", "label", "suggested", "score")
    for each in flagged[:most]:
        texts = (each["id"], each["label"], each["suggested"] or "")
        table.add_row(*map(shown, texts), f"{each['score']:.4g}")
    if flagged:
        console().print(table)
    if len(flagged) > most:
        print_text(f"and {len(flagged) - most} more")


def console() -> Console:
    """The terminal, or a wide page where there is none."""
    # Where nobody watches, lines are not folded to a screen that is not there.
    return Console() if sys.stdout.isatty() else Console(width=180)
