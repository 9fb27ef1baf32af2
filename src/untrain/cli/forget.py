"""`untrain forget`: make a model forget examples, and record it."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from untrain.cli.inputs import InputOptions, Inputs, RequestInputs
from untrain.cli.options import Directory, Files, Flag, OptionalCount, OptionalDirectory, OptionalFile, Spec, option
from untrain.cli.terminal import Status, print_text
from untrain.errors import ConfigError

if TYPE_CHECKING:
    from untrain.methods import Checkpoint


def forget(
    request: RequestInputs,
    inputs: InputOptions = Inputs(),  # noqa: B008 (frozen)
    method: Spec = "auto",
    checkpoint: OptionalFile = None,
    checkpoint_epoch: OptionalCount = None,
    checkpoint_before_forgotten: Flag = False,
    time_budget: Annotated[float | None, option("SECONDS")] = None,
    max_accuracy_drop: Annotated[float, option("SHARE")] = 0.05,
    audit: OptionalCount = None,
    checkpoint_dir: OptionalDirectory = None,
    with_copies: Flag = False,
    basis: Annotated[str | None, option("TEXT")] = None,
    retraining_due: Annotated[str | None, option("YYYY-MM-DD")] = None,
    descendant: Files = (),
    out: Directory = Path("forgotten"),
    json: Flag = False,
) -> None:
    """Make a trained model forget some of its training examples, check the result, and record it.

    Writes model.safetensors (the model that forgot, or the original if it was kept), record.json and report.html (what
    was done and measured, without the ids), request.key (keep it separately), and the records of earlier requests.

    Examples:
        untrain forget --ids ids.txt --data train.parquet --weights model.safetensors --validation val.parquet
        untrain forget --ids ids.txt --weights model.safetensors --recipe recipe.toml --audit 32
        untrain forget --subject-column user --subject 123 --data train.parquet --weights model.safetensors
        untrain forget --ids more.txt --data train.parquet --previous forgotten --out forgotten-2

    Args:
        request: With --previous, --weights defaults to the model of that request.
        inputs: Methods that train new models need --recipe.
        method: unlearning method, NAME or NAME:PRESET (see `untrain list`); `auto` picks one and explains why
        checkpoint: earlier weights of the model (safetensors), for `rewind`; needs --recipe
        checkpoint_epoch: number of epochs after which the checkpoint was taken
        checkpoint_before_forgotten: declare that no forgotten example had been used by then
        time_budget: time budget of `auto` in seconds; without one, `auto` retrains where it can
        max_accuracy_drop: largest accepted accuracy drop since the first original (0.05 = 5 points), by its upper
            confidence limit
        audit: number of retrained models that the result is compared with, at least 19; needs --recipe
        checkpoint_dir: checkpoint directory of the audit (it holds figures, not models)
        with_copies: forget copies and near copies of the examples as well; they are counted in any case
        basis: why the examples are to be forgotten, such as a legal basis; it is published and should name nobody
        retraining_due: day of the next training from nothing
        descendant: file of a model that was derived from the original, one option each; the record lists their digests
        out: output directory, new or empty
        json: print record.json instead of the verdict
    """
    from untrain.records.directory import KEY, RECORD
    from untrain.workflows.forget import check_audit, forget

    _check_out(out)
    check_audit(audit, checkpoint_dir)
    if audit is not None and inputs.recipe is None:
        raise ConfigError("An audit trains new models; pass --recipe.")
    start = _checkpoint(checkpoint, checkpoint_epoch, checkpoint_before_forgotten)
    if start is not None and inputs.recipe is None:
        raise ConfigError("Rewinding continues the recipe from the checkpoint; pass --recipe.")
    due = None if retraining_due is None else _day(retraining_due)
    with Status() as status:
        model, examples, ids, keywords = request.read(inputs, status)
        forgotten = forget(
            model, examples, ids,
            method=method, checkpoint=start, time_budget=time_budget, max_accuracy_drop=max_accuracy_drop,
            audit=audit, checkpoint_dir=checkpoint_dir, with_copies=with_copies, basis=basis, retraining_due=due,
            descendants=descendant, **{**keywords, "seed": inputs.seed},  # type: ignore[arg-type]
        )  # fmt: skip
    forgotten.save(out)
    if json:
        sys.stdout.write((out / RECORD).read_text(encoding="utf-8"))
        return
    print_text(
        *str(forgotten).splitlines(),
        *forgotten.record.limits,
        f"Keep {out / KEY} separately: with it, ids can be looked up in the record.",
    )


def _checkpoint(path: Path | None, epoch: int | None, before_forgotten: bool) -> "Checkpoint | None":
    """The checkpoint that the options describe, or None.

    Raises:
        ConfigError: an option is missing.
    """
    if path is None:
        if epoch is not None or before_forgotten:
            raise ConfigError(
                "--checkpoint-epoch and --checkpoint-before-forgotten describe a checkpoint; pass --checkpoint."
            )
        return None
    if epoch is None:
        raise ConfigError(f"How long {path} had been trained is not known; pass --checkpoint-epoch.")
    from untrain.methods import Checkpoint

    return Checkpoint(path=str(path), epoch=epoch, before_forgotten=before_forgotten)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--retraining-due must be a day such as 2027-01-31, got {text!r}.") from error


def _check_out(out: Path) -> None:
    """Refuse a directory that contains anything but what an interrupted `forget` left.

    Raises:
        ConfigError: it does, or cannot be written to.
    """
    from untrain.cli.outputs import check_directory
    from untrain.core.files import sweep
    from untrain.records.directory import KEY, MODEL, PAGE, PREVIOUS, RECORD, check_unclaimed

    sweep(out, [RECORD])
    if (out / RECORD).exists():
        raise ConfigError(f"{out} holds the record of an earlier request; choose another --out.")
    check_directory(out, (MODEL, PAGE, KEY, PREVIOUS))
    check_unclaimed(out)
