"""`untrain audit`: a method compared with retraining."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from untrain.cli.inputs import Inputs
from untrain.cli.request import GivenRequest
from untrain.cli.terminal import Status, print_text

if TYPE_CHECKING:
    pass

_Inputs = Annotated[Inputs, tyro.conf.arg(name="")]


def audit(
    forget: Path,
    inputs: _Inputs = Inputs(),  # noqa: B008 (frozen)
    method: str = "auto",
    validation: str | None = None,
    models: int = 32,
    keep: Path | None = None,
    json: bool = False,
) -> None:
    """Compare a method with training anew on your own model and data: many models of each.

    Args:
        forget: a text file with the ids to forget, one on each line.
        inputs: data, network, weights and recipe, all of which are needed.
        method: to look at, `name` or `name:preset`.
        validation: examples outside the training set, named as --data is, to compare accuracy on.
        models: how many of each kind; more tell smaller differences.
        keep: folder for finished models, from which the same command continues where it was stopped; nothing else is
            written.
        json: print the figures as JSON.
    """
    from untrain.cli.outputs import json_text, plain

    with Status() as status:
        given = GivenRequest.read(inputs, forget, validation, None, None, status)
        found = given.audit(method, models, keep)
    if json:
        sys.stdout.write(json_text(plain(found)))
        return
    print_text(found.words)
