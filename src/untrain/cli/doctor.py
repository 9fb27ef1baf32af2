"""`untrain doctor`: whether a request can be carried out, and how."""

import sys
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from untrain.cli.inputs import InputOptions, Inputs, RequestInputs
from untrain.cli.options import Flag, option
from untrain.cli.terminal import Status, console, print_text, shown
from untrain.errors import InputError

if TYPE_CHECKING:
    from untrain.workflows.doctor import Diagnosis


def doctor(
    request: RequestInputs,
    inputs: InputOptions = Inputs(),  # noqa: B008 (frozen)
    time_budget: Annotated[float | None, option("SECONDS")] = None,
    with_copies: Flag = False,
    json: Flag = False,
) -> None:
    """Check a model, its data and a request: what fits, what does not, and what it will cost. Nothing is written.

    Examples:
        untrain doctor --ids ids.txt --data train.parquet --weights model.safetensors
        untrain doctor --ids ids.txt --weights model.safetensors --recipe recipe.toml --time-budget 60

    Args:
        request: With --previous, --weights defaults to the model of that request.
        inputs: With --recipe, more methods fit.
        time_budget: time budget of `auto` in seconds; without one, `auto` retrains if that takes under a minute
        with_copies: forget copies and near copies of the examples as well
        json: print the result as JSON
    """
    from untrain.cli.outputs import json_text
    from untrain.workflows.doctor import doctor

    with Status() as status:
        model, examples, ids, keywords = request.read(inputs, status)
        diagnosis = doctor(model, examples, ids, time_budget=time_budget, with_copies=with_copies, **keywords)
    if json:
        sys.stdout.write(json_text(diagnosis))
    else:
        _print_diagnosis(diagnosis)
    if not diagnosis.ok:
        raise SystemExit(InputError.exit_code)


def _print_diagnosis(diagnosis: "Diagnosis") -> None:
    print_text(*str(diagnosis).splitlines())
    if diagnosis.ok:
        table = Table("method", "fits", "cost", "description, or why it does not fit")
        for option in diagnosis.options:
            why = option.title if option.fits else option.why
            table.add_row(*map(shown, (option.method, "yes" if option.fits else "no", option.cost, why)))
        console().print(table)
