"""`untrain recipe`: how a network was trained, as a file."""

import sys
from typing import Annotated, Literal

from untrain.cli.options import OptionalCount, option
from untrain.errors import ConfigError, field_reason


def recipe(
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd",
    lr: Annotated[float | None, option("RATE")] = None,
    momentum: Annotated[float | None, option("M")] = None,
    weight_decay: Annotated[float | None, option("DECAY")] = None,
    schedule: Literal["constant", "cosine"] = "constant",
    epochs: Annotated[float, option("N")] = 10,
    batch_size: Annotated[int, option("N")] = 64,
    class_balance: Annotated[float, option("POWER")] = 0.0,
    keep_best_from_epoch: OptionalCount = None,
) -> None:
    """Print a training recipe as TOML, to be kept in a file for --recipe.

    Examples:
        untrain recipe --optimizer adam --lr 0.001 --epochs 20 > recipe.toml
        untrain recipe --lr 0.1 --momentum 0.9 --schedule cosine --epochs 30 --batch-size 128 > recipe.toml

    Args:
        optimizer: optimizer
        lr: learning rate; default: that of the optimizer, 0.01 for sgd and 0.001 for the others
        momentum: momentum of sgd
        weight_decay: weight decay; default: 0, and 0.01 for adamw
        schedule: learning rate over time: constant, or half a cosine down to zero
        epochs: passes over the training data
        batch_size: examples a step
        class_balance: power p of the class weights count ** -p: 0 for none, 1 for inverse frequency
        keep_best_from_epoch: keep the best state on validation data from this epoch on; default: keep the last state
    """
    import msgspec

    from untrain.core.files import toml_text
    from untrain.population import Recipe

    if momentum is not None and optimizer != "sgd":
        raise ConfigError(f"--momentum applies to sgd, and the optimizer is {optimizer}; leave it out.")
    settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    fields = {
        "epochs": epochs,
        "batch_size": batch_size,
        "class_balance": class_balance,
        "keep_best_from_epoch": keep_best_from_epoch,
        "optimizer": {"name": optimizer, **{name: value for name, value in settings.items() if value is not None}},
        "schedule": {"name": schedule},
    }
    try:
        checked = msgspec.convert(fields, Recipe)
    except msgspec.ValidationError as error:
        raise ConfigError(f"This is no recipe: {field_reason(error)}.") from error
    sys.stdout.write(toml_text(msgspec.to_builtins(checked)))
