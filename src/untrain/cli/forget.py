"""`untrain forget`: make a model forget examples, and record it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from untrain.cli.inputs import Inputs
from untrain.cli.request import GivenRequest
from untrain.cli.terminal import Status, print_text
from untrain.core.files import sweep
from untrain.errors import ConfigError
from untrain.records.directory import KEY, MODEL, PAGE, PREVIOUS, RECORD

if TYPE_CHECKING:
    pass

_Inputs = Annotated[Inputs, tyro.conf.arg(name="")]
_REPLACED = (MODEL, PAGE, KEY, PREVIOUS)
"""What an interrupted `forget` may leave, which the next one replaces; a record is never replaced."""


def forget(
    forget: Path,
    inputs: _Inputs = Inputs(),  # noqa: B008 (frozen)
    method: str = "auto",
    validation: str | None = None,
    seconds: float | None = None,
    bound: float = 0.02,
    previous: Path | None = None,
    key: Path | None = None,
    audit: int | None = None,
    keep: Path | None = None,
    out: Path = Path("forgotten"),
    json: bool = False,
) -> None:
    """Make a trained model forget some of its training examples, look whether it did, and record it.

    Writes model.safetensors, the state dict of the model that forgot, or of the original if that was kept; record.json
    and report.html, which say what was done and measured, without the ids; request.key, to be kept apart; and the
    records of earlier requests.

    Args:
        forget: a text file with the ids to forget, one on each line.
        inputs: data, network and weights; with --previous the weights default to those of its model.
        method: that forgets, `name` or `name:preset`, as `untrain list` shows them; auto chooses and says why.
        validation: examples outside the training set, named as --data is, to compare on.
        seconds: that auto may take; default training anew if it takes at most a minute.
        bound: largest fall of accuracy that is accepted, a share, beside a standard error; if it falls further, the
            original is kept.
        previous: directory of the request before, whose model is to forget more.
        key: the request.key of the requests before, where it is not in their directory.
        audit: compare with this many models trained without the forgotten examples; needs --recipe.
        keep: folder for the finished models of the audit: the same command does not make them again if it was stopped.
        out: directory of the files; it is made, or must hold nothing else.
        json: print record.json instead of the verdict.
    """
    from untrain.cli.outputs import check_directory
    from untrain.records.directory import check_unclaimed

    sweep(out, [RECORD])
    check_directory(out, _REPLACED)
    check_unclaimed(out)
    if audit is not None:
        _check_audit(audit, inputs, keep)
    elif keep is not None:
        raise ConfigError(f"expected --audit with --keep, got --keep {keep} alone")
    with Status() as status:
        given = GivenRequest.read(inputs, forget, validation, previous, key, status)
        done = given.forgotten(method, seconds, bound)
        if audit is not None:
            done = done.audited(given.audit(done.record.applied.method, audit, keep))
    done.save(out)
    if json:
        sys.stdout.write((out / "record.json").read_text(encoding="utf-8"))
        return
    record = done.record
    print_text(
        f"{record.verdict.outcome}, {record.applied.method} ({record.applied.reason})",
        *record.verdict.sentences,
        *([] if record.audit is None else [record.audit.words]),
        *record.limits,
        f"model: {out / MODEL}",
        f"record: {out / 'record.json'}",
        f"page: {out / PAGE}",
        f"key: {out / KEY}, by which ids can be looked for in the record: keep it apart",
    )


def _check_audit(models: int, inputs: Inputs, keep: Path | None) -> None:
    """Refuse what an audit could not do, before anything is forgotten.

    Raises:
        ConfigError: it is not known how to train anew, or `keep` cannot be written to.
        InputError: there are too few models.
    """
    from untrain.workflows.audit import check_audit

    check_audit(models, keep)
    if inputs.recipe is None:
        raise ConfigError("expected --recipe to audit with, since models are trained anew, got none")
