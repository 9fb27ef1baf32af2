"""A request to forget, checked: what is forgotten, retained and compared on, and the requests before it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from untrain.core.randomness import Streams
from untrain.data import Examples, as_examples, forget_ids
from untrain.errors import InputError
from untrain.methods import Request
from untrain.models import Factory
from untrain.models.weights import arrays_of
from untrain.population import Population, Recipe, as_population, check_fits, check_logits, settled, suited
from untrain.records import Chain, new_key, read_chain, read_key, state_digest
from untrain.records.commitment import key_check
from untrain.records.directory import KEY
from untrain.records.record import Outcome
from untrain.workflows.compare import check_validation, copies, logits_of


@dataclass(frozen=True, eq=False)
class History:
    """The requests before, and the key of all.

    Attributes:
        key: 32 bytes, of the chain or new.
        chain: the records of the requests before, or None.
    """

    key: bytes
    chain: Chain | None

    @classmethod
    def read(cls, previous: str | Path | None, key: bytes | None) -> "History":
        """Read it from the directory of the request before, if there is one.

        Raises:
            InputError: there is no record, or no key of the chain.
            IntegrityError: a record is not what was written.
        """
        if previous is None:
            return cls(new_key() if key is None else key, None)
        directory = Path(previous)
        chain = read_chain(directory)
        if key is None and not (directory / KEY).exists():
            raise InputError(
                f"expected the key of the requests before, by which one sees what was forgotten, got none and no {KEY} "
                f"in {directory}: pass key="
            )
        key = read_key(directory / KEY) if key is None else key
        if key_check(key) != chain.records[-1].requested.key_check:
            raise InputError(f"expected the key of the requests before in {directory}, got another")
        return cls(key, chain)

    @property
    def left(self) -> int | None:
        """How many examples the request before left to train on; None if there was none."""
        if self.chain is None:
            return None
        last = self.chain.records[-1]
        kept = last.verdict.outcome == Outcome.KEPT_ORIGINAL
        return last.requested.retained + (last.requested.forgotten if kept else 0)

    def forgotten(self, ids: npt.NDArray[np.str_]) -> set[str]:
        """Those of `ids` that were forgotten before."""
        return set() if self.chain is None else self.chain.forgotten_before(self.key, ids.tolist())


@dataclass(frozen=True, eq=False)
class Case:
    """A request that was checked.

    Attributes:
        original: a population of one.
        request: what is to be forgotten; the retain set is without what was forgotten before.
        on: what accuracy is compared on.
        where: what that is, in words.
        right: which of them the original has right, `[n]`.
        known: whether factory and recipe are known.
        seed: root of all random draws.
        history: the requests before.
    """

    original: Population
    request: Request
    on: Examples
    where: str
    right: npt.NDArray[np.bool_]
    known: bool
    seed: int
    history: History

    @cached_property
    def digest(self) -> str:
        """`state_digest` of the original."""
        return state_digest(arrays_of(self.original.module()))

    @cached_property
    def known_copies(self) -> npt.NDArray[np.bool_]:
        """Which validation examples, if there are any, have exactly the inputs of a training example."""
        held_out = self.request.validation
        return np.zeros(0, np.bool_) if held_out is None else copies(self.request.training_set, held_out)


def ask(
    model: nn.Module | Population,
    data: object,
    ids: Iterable[str],
    held_out: object | None,
    history: History,
    *,
    factory: Factory | None,
    recipe: Recipe | None,
    seed: int,
) -> Case:
    """Check a request before anything is computed; see `untrain.workflows.forget.forget` for the arguments.

    Raises:
        InputError: see there.

    Cost: one pass over what is compared on.
    """
    examples = as_examples(data)
    validation = None
    if held_out is not None:
        validation = as_examples(held_out, classes=examples.classes, prefix="validation/")
    forget, retain = _divided(examples, ids, validation, history)
    models = settled(as_population(model, factory=factory))
    check_fits(models, examples)
    if not any(parameter.requires_grad for parameter in models.skeleton.parameters()):
        raise InputError("expected a model with trainable parameters, got none: set requires_grad_(True)")
    _check_previous(models, history.chain)
    known = recipe is not None and models.factory is not None
    request = Request(forget, retain, recipe or suited(examples)[1], validation)
    on, where = _measured_on(request)
    logits = logits_of(models, on)
    check_logits(logits, on)
    original = models.repeat(1, streams=Streams(seed).child("forget"))
    original.engine = models.engine
    return Case(original, request, on, where, logits.argmax(1) == on.labels, known, seed, history)


def _divided(
    examples: Examples, ids: Iterable[str], validation: Examples | None, history: History
) -> tuple[Examples, Examples]:
    """Forget and retain set; what was forgotten before is in neither."""
    if isinstance(ids, str | bytes):
        raise InputError(f"expected a list of ids to forget, got the single text {ids!r}")
    wanted = [str(name) for name in ids]
    if validation is not None:
        for leak in np.intersect1d(np.asarray(wanted, dtype=np.str_), validation.ids)[:1]:
            raise InputError(f"expected examples to forget outside the validation set, got {str(leak)!r}")
        check_validation(examples, validation)
        for again in sorted(history.forgotten(validation.ids))[:1]:
            raise InputError(
                f"expected validation examples that were never trained on, got {again!r}, which an earlier request of "
                "this chain has forgotten"
            )
    parts = forget_ids(examples, wanted)
    before = history.forgotten(examples.ids)
    if history.left is not None and (got := len(examples) - len(before)) != history.left:
        raise InputError(
            f"expected the {history.left} examples that the request before left, got {got}: give the same "
            "examples by the ids that they had then"
        )
    for again in sorted(before.intersection(wanted))[:1]:
        raise InputError(
            f"expected ids that were not forgotten before, got {again!r}, which an earlier request of this chain has "
            "forgotten: leave it out"
        )
    kept = ~np.isin(parts.retain.ids, np.asarray(sorted(before), dtype=np.str_))
    return parts.forget, parts.retain.select(np.flatnonzero(kept))


def _check_previous(models: Population, chain: Chain | None) -> None:
    """Refuse a model that is not the one that the request before left."""
    if chain is None:
        return
    found, expected = state_digest(arrays_of(models.module())), chain.records[-1].model.after
    if found != expected:
        raise InputError(
            f"expected the model that the request before left, with the digest {expected}, got another, {found}: load "
            "the model.safetensors beside its record"
        )


def _measured_on(request: Request) -> tuple[Examples, str]:
    """What accuracy is compared on: without classes of which nothing is left, which the model need not know."""
    whole, words = request.retain, "retained training examples, as no validation examples were given"
    if request.validation is not None:
        whole, words = request.validation, "validation examples"
    there = np.flatnonzero(np.isin(whole.labels, request.retain.labels))
    if not len(there):
        raise InputError("expected validation examples of classes that are retained, got none")
    on = whole if len(there) == len(whole) else whole.select(there)
    return on, f"{len(on)} {words}" + ("" if on is whole else ", of the classes that are retained")
