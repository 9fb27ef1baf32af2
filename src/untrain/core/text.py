"""How texts, shares and times are shown to people, on a terminal, in a table or on a page."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


def printable(text: str) -> str:
    r"""The text with every character that could not be seen, or could steer a terminal, written out.

    >>> print(printable("cat\x1b[2J"))
    cat\x1b[2J
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def percent(share: float, digits: int = 2) -> str:
    """A share in percent.

    >>> percent(0.5), percent(0.123, 1)
    ('50.00 %', '12.3 %')
    """
    return f"{100 * share:.{digits}f} %"


def duration(seconds: float) -> str:
    """A time, as exact as a person needs it.

    >>> [duration(seconds) for seconds in (0.01, 0.31, 75, 700, 4000)]
    ['less than 0.1 s', '0.3 s', '1 min 15 s', '12 min', '1 h 07 min']
    """
    if seconds < 0.1:
        return "less than 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def nearest(name: str, names: Iterable[str]) -> str:
    """A question that names the nearest of `names`, or nothing where none is near.

    >>> nearest("minst", ["digits", "mnist"])
    "; did you mean 'mnist'?"
    """
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def nearest_file(path: Path) -> str:
    """A question that names the file beside `path` with the nearest name, or nothing where none is near."""
    try:
        return nearest(path.name, sorted(os.listdir(path.parent)))
    except (OSError, ValueError):  # there is no such folder, or it cannot be read
        return ""
