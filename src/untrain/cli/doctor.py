"""`untrain doctor`: whether a request can be carried out, and how."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.table import Table

from untrain.cli.inputs import Inputs
from untrain.cli.request import GivenRequest
from untrain.cli.terminal import Status, console, print_text, shown
from untrain.core.text import duration
from untrain.errors import InputError

if TYPE_CHECKING:
    from untrain.workflows.choose import Option
    from untrain.workflows.doctor import Diagnosis

_Inputs = Annotated[Inputs, tyro.conf.arg(name="")]


def doctor(
    forget: Path,
    inputs: _Inputs = Inputs(),  # noqa: B008 (frozen)
    validation: str | None = None,
    seconds: float | None = None,
    previous: Path | None = None,
    key: Path | None = None,
    json: bool = False,
) -> None:
    """Look at a model, its data and a request: what fits, what does not, what it will cost. Nothing is written.

    Args:
        forget: a text file with the ids to forget, one on each line.
        inputs: data, network and weights; with --previous the weights default to those of its model.
        validation: examples outside the training set, named as --data is.
        seconds: that forgetting may take.
        previous: directory of the request before.
        key: the request.key of the requests before, where it is not in their directory.
        json: print what was found as JSON.
    """
    from untrain.cli.outputs import json_text, plain

    with Status() as status:
        found = GivenRequest.read(inputs, forget, validation, previous, key, status).diagnosis(seconds)
    if json:
        sys.stdout.write(json_text(plain(found)))
    else:
        _print_diagnosis(found)
    if not found.ok:
        raise SystemExit(InputError.exit_code)


def _print_diagnosis(found: "Diagnosis") -> None:
    print_text(*found.facts, *(f"problem: {problem}" for problem in found.problems))
    print_text(*(f"note: {warning}" for warning in found.warnings))
    if not found.ok:
        print_text("`untrain forget` would refuse this.")
        return
    table = Table("method", "fits", "takes about", "what it is, or why it does not fit")
    for option in found.options:
        why = option.title if option.fits else option.why
        table.add_row(*map(shown, (option.method, "yes" if option.fits else "no", _about(option), why)))
    console().print(table)
    if found.choice is not None:
        print_text(f"auto takes {found.choice.method}, {_about(found.choice)}: {found.choice.why}.")


def _about(option: "Option") -> str:
    return "?" if option.seconds is None else duration(option.seconds)
