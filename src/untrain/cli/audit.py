"""`untrain audit`: a method compared with retraining."""

import sys
from typing import Annotated

from untrain.cli.inputs import InputOptions, Inputs, RequestInputs
from untrain.cli.options import Flag, OptionalDirectory, Spec, option
from untrain.cli.terminal import Status, print_text


def audit(
    request: RequestInputs,
    inputs: InputOptions = Inputs(),  # noqa: B008 (frozen)
    method: Spec = "auto",
    models: Annotated[int, option("N")] = 32,
    checkpoint_dir: OptionalDirectory = None,
    with_copies: Flag = False,
    json: Flag = False,
) -> None:
    """Compare an unlearning method with retraining, on many models of each kind.

    Examples:
        untrain audit --ids ids.txt --data train.parquet --weights model.safetensors --recipe recipe.toml
        untrain audit --ids ids.txt --weights model.safetensors --recipe recipe.toml --method ssd --models 64

    Args:
        request: With --previous, --weights defaults to the model of that request.
        inputs: An audit needs --weights and --recipe.
        method: unlearning method, NAME or NAME:PRESET (see `untrain list`)
        models: number of models of each kind; more models detect smaller differences
        checkpoint_dir: checkpoint directory (it holds figures, not models)
        with_copies: forget copies and near copies of the examples as well
        json: print the figures as JSON
    """
    from untrain.cli.outputs import json_text
    from untrain.workflows.audit import audit

    with Status() as status:
        model, examples, ids, keywords = request.read(inputs, status)
        result = audit(
            model, examples, ids,
            method=method, models=models, checkpoint_dir=checkpoint_dir, with_copies=with_copies, **keywords,
        )  # fmt: skip
    if json:
        sys.stdout.write(json_text(result))
    else:
        print_text(result.words)
