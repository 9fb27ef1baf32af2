"""What the commands show: what is being done on the error stream, and the result on the output."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from untrain.printable import printable


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
