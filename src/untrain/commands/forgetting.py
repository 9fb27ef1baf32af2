"""`untrain forget`, `untrain audit` and `untrain doctor`: they read, call the public functions, write and print."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from rich.table import Table

from untrain.commands.inputs import Inputs
from untrain.commands.screen import Status, console, print_text, shown
from untrain.errors import ConfigError, InputError
from untrain.files import sweep
from untrain.records.directory import KEY, MODEL, PAGE, PREVIOUS, RECORD

if TYPE_CHECKING:
    from torch import nn

    from untrain.choosing import Option
    from untrain.data import Examples
    from untrain.diagnosing import Diagnosis
    from untrain.forgetting import Forgotten
    from untrain.records import Audit

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
    from untrain.commands.outputs import check_directory
    from untrain.records.directory import check_unclaimed

    sweep(out, [RECORD])
    check_directory(out, _REPLACED)
    check_unclaimed(out)
    if audit is not None:
        _check_audit(audit, inputs, keep)
    elif keep is not None:
        raise ConfigError(f"expected --audit with --keep, got --keep {keep} alone")
    with Status() as status:
        given = _Given.read(inputs, forget, validation, previous, key, status)
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
    from untrain.proving import check_audit

    check_audit(models, keep)
    if inputs.recipe is None:
        raise ConfigError("expected --recipe to audit with, since models are trained anew, got none")


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
    from untrain.commands.outputs import json_text, plain

    with Status() as status:
        given = _Given.read(inputs, forget, validation, None, None, status)
        found = given.audit(method, models, keep)
    if json:
        sys.stdout.write(json_text(plain(found)))
        return
    print_text(found.words)


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
    from untrain.commands.outputs import json_text, plain

    with Status() as status:
        found = _Given.read(inputs, forget, validation, previous, key, status).diagnosis(seconds)
    if json:
        sys.stdout.write(json_text(plain(found)))
    else:
        _print_diagnosis(found)
    if not found.ok:
        raise SystemExit(InputError.exit_code)


@dataclass(frozen=True, eq=False)
class _Given:
    """A request as it was named on the command line, read."""

    examples: "Examples"
    ids: list[str]
    validation: "Examples | None"
    module: "nn.Module"
    own: dict[str, Any]
    """Factory and recipe, by these names."""
    chain: dict[str, Any]
    """The directory of the request before and the key, by the names `previous` and `key`."""
    seed: int
    status: Status

    @classmethod
    def read(
        cls,
        inputs: Inputs,
        forget: Path,
        validation: str | None,
        previous: Path | None,
        key: Path | None,
        status: Status,
    ) -> "_Given":
        from untrain.data import read_ids
        from untrain.records import read_key

        if inputs.weights is None and previous is not None:
            inputs = dataclasses.replace(inputs, weights=str(previous / MODEL))
        if inputs.weights is None:
            raise ConfigError("expected the weights of a trained model, got none: give --weights or --previous")
        ids, opened = read_ids(forget), None if key is None else read_key(key)
        status.show(f"reading {inputs.data}")
        examples = inputs.examples()
        held_out = None if validation is None else dataclasses.replace(inputs, data=validation, limit=None).examples()
        if held_out is not None and Path(validation or "").is_dir():
            # Ids are paths below the folder, and the same path below two folders is not the same picture.
            renamed = np.asarray([f"validation/{name}" for name in held_out.ids])
            held_out = dataclasses.replace(held_out, ids=renamed)
        network = inputs.network(examples)
        assert network.module is not None  # noqa: S101 (there are weights)
        own = {"factory": network.factory, "recipe": network.recipe}
        chain = {"previous": previous, "key": opened}
        return cls(examples, ids, held_out, network.module, own, chain, inputs.seed, status)

    def forgotten(self, method: str, seconds: float | None, bound: float) -> "Forgotten":
        from untrain.forgetting import forget

        return forget(
            self.module, self.examples, self.ids, method, self.validation, self.seed,
            seconds=seconds, bound=bound, progress=self.status.show, **self.own, **self.chain,
        )  # fmt: skip

    def audit(self, method: str, models: int, keep: Path | None) -> "Audit":
        from untrain.proving import audit

        return audit(
            self.module, self.examples, self.ids, method=method, models=models, validation=self.validation,
            seed=self.seed, keep=keep, progress=self.status.show, **self.own, **self.chain,
        )  # fmt: skip

    def diagnosis(self, seconds: float | None) -> "Diagnosis":
        from untrain.diagnosing import doctor

        return doctor(
            self.module, self.examples, self.ids, self.validation,
            seconds=seconds, progress=self.status.show, **self.own, **self.chain,
        )  # fmt: skip


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
    from untrain.choosing import words_of

    return "?" if option.seconds is None else words_of(option.seconds)
