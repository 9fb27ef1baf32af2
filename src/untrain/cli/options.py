"""How options look in the help of a command, and the names that some of them had before."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from untrain.errors import ConfigError

RENAMED = {
    "--forget": "--ids",
    "--seconds": "--time-budget",
    "--bound": "--max-accuracy-drop",
    "--keep": "--checkpoint-dir",
}
"""New names of options by old ones; `untrain run` has a --forget of its own."""


def option(metavar: str) -> object:
    """An option that takes a value; a default of None is not shown, since the description says what it means."""
    return tyro.conf.arg(
        metavar=metavar, help_behavior_hint=lambda default: "" if default == "None" else f"(default: {default})"
    )


REPEATED = ("--subject", "--descendant")
"""Options that may be given several times."""

File = Annotated[Path, option("FILE")]
OptionalFile = Annotated[Path | None, option("FILE")]
Directory = Annotated[Path, option("DIR")]
OptionalDirectory = Annotated[Path | None, option("DIR")]
OptionalCount = Annotated[int | None, option("N")]
Spec = Annotated[str, option("NAME[:PRESET]")]
OptionalSpec = Annotated[str | None, option("NAME[:PRESET]")]
Source = Annotated[str, option("SOURCE")]
OptionalSource = Annotated[str | None, option("SOURCE")]
Language = Annotated[Literal["en", "ja"], option("LANGUAGE")]
Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, option("NAME")]
Files = Annotated[tuple[Path, ...], tyro.conf.UseAppendAction, option("FILE")]
Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]


def current(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments with old names of options replaced by the new ones, of which the error stream is told."""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in RENAMED and arguments[0] != "run":
            sys.stderr.write(f"untrain: {name} is now {RENAMED[name]}; the old name will be removed.\n")
            name = RENAMED[name]
        yield name + equals + value


def check_repeated(arguments: Sequence[str]) -> None:
    """Refuse an option that is given twice, of which only the last would count.

    Raises:
        ConfigError: there is one.

    >>> check_repeated(["forget", "--subject", "ann", "--subject", "bob"])
    >>> check_repeated(["forget", "--ids=a.txt", "--ids", "b.txt"])
    Traceback (most recent call last):
    untrain.errors.ConfigError: --ids is given twice, and only the last one would count; give it once.
    """
    names = Counter(argument.partition("=")[0].replace("_", "-") for argument in arguments if argument[:2] == "--")
    for name, count in names.items():
        if count > 1 and name not in REPEATED:
            raise ConfigError(f"{name} is given twice, and only the last one would count; give it once.")
