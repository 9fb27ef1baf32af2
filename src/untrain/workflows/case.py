"""A request to forget, checked: what is forgotten, retained and compared on, and the requests before it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from untrain.core.estimate import Estimate
from untrain.core.randomness import Streams
from untrain.data import Examples, Nearness, Prepare, as_examples, contents, find_copies, forget_ids, ids_of_subjects
from untrain.data.subjects import subject_names
from untrain.errors import InputError
from untrain.methods import Checkpoint, Method, Request
from untrain.models import Factory
from untrain.models.weights import arrays_of
from untrain.population import Population, Recipe, as_population, check_fits, check_logits, recipe_for, settled
from untrain.population.factories import check_factory
from untrain.records import Chain, Copies, Preparation, Record, new_key, read_chain, read_key, state_digest
from untrain.records.commitment import held, key_check, secret_seed
from untrain.records.directory import KEY
from untrain.workflows.choose import missing_of, resolve_method
from untrain.workflows.compare import check_validation, logits_of
from untrain.workflows.fit import check_fit


@dataclass(frozen=True, eq=False)
class History:
    """The earlier requests of a chain, and its key.

    Attributes:
        key: 32 bytes, of the chain or new.
        chain: records of the earlier requests, or None.
    """

    key: bytes = field(repr=False)
    chain: Chain | None

    @classmethod
    def read(cls, previous: str | Path | None, key: bytes | None) -> "History":
        """Read the history from the directory of the previous request, if there is one.

        Raises:
            InputError: there is no record, or no key of the chain.
            IntegrityError: a record was changed.
        """
        if previous is None:
            return cls(new_key() if key is None else key, None)
        directory = Path(previous)
        chain = read_chain(directory)
        if key is None and not (directory / KEY).exists():
            raise InputError(f"The key of the earlier requests is missing: {directory} holds no {KEY}; pass key=.")
        key = read_key(directory / KEY) if key is None else key
        if key_check(key) != chain.records[-1].requested.key_check:
            raise InputError(f"The key is not that of the earlier requests in {directory}; pass the key of this chain.")
        return cls(key, chain)

    @property
    def remaining(self) -> int | None:
        """Number of examples that the previous request left, without copies of what it forgot; None without one."""
        if self.chain is None:
            return None
        last = self.chain.records[-1]
        if not last.carried_out:
            return last.requested.retained + last.requested.forgotten
        return last.requested.retained - (0 if last.copies is None else last.copies.exact_retained)

    @property
    def carried_out(self) -> list[Record]:
        """Records of the earlier requests that changed the model."""
        return [record for record in (self.chain.records if self.chain else ()) if record.carried_out]

    @property
    def changes(self) -> list[Estimate]:
        """How each earlier request changed accuracy."""
        return [record.utility.change for record in self.carried_out]

    def forgotten(self, examples: Examples) -> set[str]:
        """Ids of the examples that were forgotten earlier: by their id, or by their inputs under another id.

        Raises:
            InputError: an id names other inputs than it did.
        """
        if self.chain is None:
            return set()
        digests = contents(examples)
        known = self.chain.forgotten_before(self.key, digests.values(), "contents")
        same_inputs = {name for name, digest in digests.items() if digest in known}
        with_contents = [record.requested for record in self.carried_out if record.requested.contents]
        renumbered = sorted(held(with_contents, self.key, digests) - same_inputs)
        if renumbered:
            raise InputError(
                f"The id {renumbered[0]!r} was forgotten by an earlier request and now names other inputs: rows were "
                "renumbered, or inputs are prepared in another way. Give every example the id and the inputs that it "
                "had then."
            )
        return self.chain.forgotten_before(self.key, digests) | same_inputs


@dataclass(frozen=True, eq=False)
class Case:
    """A request that was checked.

    Attributes:
        original: a population of one.
        request: what is to be forgotten; its retain set leaves out what was forgotten earlier.
        evaluation_set: examples that accuracy is compared on.
        measured_on: what these are, in words.
        correct: which of them the original classifies correctly, `[n]`.
        fitted: accuracy of the original on its training examples, in 0..1.
        recipe: how the original was trained, or None if that is not known.
        seed: root of all random draws.
        given_seed: the seed that was asked for; None where `seed` was derived from the key.
        history: the earlier requests.
        subjects: persons or things that were named.
        taken: number of exact and of near copies that are forgotten although nobody named them.
        nearness: when two examples are near copies.
        pretrained: where weights come from that the factory does not draw at random, as was declared, or None.
    """

    original: Population
    request: Request
    evaluation_set: Examples
    measured_on: str
    correct: npt.NDArray[np.bool_]
    fitted: float
    recipe: Recipe | None
    seed: int
    given_seed: int | None
    history: History
    subjects: tuple[str, ...]
    taken: tuple[int, int]
    nearness: Nearness
    pretrained: str | None

    @cached_property
    def digest(self) -> str:
        """`state_digest` of the original."""
        return state_digest(arrays_of(self.original.module()))

    @property
    def missing(self) -> tuple[str, ...]:
        """What of factory and recipe of the original is not known."""
        return missing_of(self.original.factory, self.recipe)

    @property
    def can_retrain(self) -> bool:
        """Whether factory and recipe of the original are known."""
        return not self.missing

    @property
    def chooses(self) -> bool:
        """Whether the recipe of the original chooses among its states by the validation examples."""
        return self.request.recipe != self.request.recipe.for_all_epochs()

    def work(self, method: Method, models: int = 1) -> float:
        """The work of a method on so many models; see `untrain.core.progress`."""
        passes = method.passes(self.request.recipe)
        return models * len(self.request.retain) * (1.0 if passes is None else passes)

    @cached_property
    def retained_copies(self) -> npt.NDArray[np.bool_]:
        """Which retained examples have exactly the inputs of a forgotten example."""
        return find_copies(self.request.forget, self.request.retain)

    @cached_property
    def validation_copies(self) -> npt.NDArray[np.bool_]:
        """Which validation examples, if there are any, have exactly the inputs of a training example."""
        validation = self.request.validation
        if validation is None:
            return np.zeros(0, np.bool_)
        return self.held_out_copies | find_copies(self.request.retain, validation)

    @cached_property
    def held_out_copies(self) -> npt.NDArray[np.bool_]:
        """Which validation examples, if there are any, have exactly the inputs of a forgotten example."""
        validation = self.request.validation
        return np.zeros(0, np.bool_) if validation is None else find_copies(self.request.forget, validation)

    @cached_property
    def copies(self) -> Copies:
        """Copies of the forgotten examples among the others, in numbers."""
        forget, retain, validation = self.request.forget, self.request.retain, self.request.validation
        exact, exact_held_out = int(self.retained_copies.sum()), int(self.held_out_copies.sum())
        near = int(self.nearness.find(forget, retain, self.retained_copies).sum())
        near_held_out = exact_held_out
        if validation is not None:
            near_held_out = int(self.nearness.find(forget, validation, self.held_out_copies).sum())
        return Copies(
            exact_taken=self.taken[0],
            near_taken=self.taken[1],
            exact_retained=exact,
            near_retained=near - exact,
            exact_held_out=exact_held_out,
            near_held_out=near_held_out - exact_held_out,
            measure=self.nearness.measure,
            threshold=self.nearness.threshold,
        )


def check_request(
    model: nn.Module | Population,
    data: object,
    ids: Iterable[str],
    validation: object | None,
    history: History,
    *,
    factory: Factory | None,
    recipe: Recipe | None,
    seed: int | None,
    subjects: Iterable[str] | None = None,
    with_copies: bool = False,
    pretrained: str | None = None,
    methods: Iterable[str] = (),
    checkpoint: Checkpoint | None = None,
) -> Case:
    """Check a request before anything is computed; see `untrain.workflows.forget.forget` for the arguments.

    What costs nothing is checked before the model is evaluated, the `methods` that will be used among it.

    Raises:
        InputError: see there; or the model does not fit its training examples, see `check_fit`; or the factory does not
            build new, untrained networks, see `check_factory`.

    Cost: one pass over the training examples and those that accuracy is compared on, and `check_factory` where the
    model can be retrained.
    """
    if pretrained is not None and not pretrained.strip():
        raise InputError("pretrained= (--pretrained) is empty; say where the weights come from.")
    examples = as_examples(data)
    _check_preparation(examples, history.chain)
    if validation is not None:
        validation = as_examples(validation, classes=examples.classes, prefix="validation/")
    wanted = [str(name) for name in examples.ids[examples.positions(ids)]]
    named = () if subjects is None else subject_names(subjects)
    if subjects is not None:
        wanted = list(dict.fromkeys([*wanted, *ids_of_subjects(examples, named)]))
    forget, retain = _split(examples, wanted, validation, history)
    nearness, taken = Nearness(examples), (0, 0)
    if with_copies:
        forget, retain, taken = _take_copies(forget, retain, nearness)
    models = settled(as_population(model, factory=factory))
    if not any(parameter.requires_grad for parameter in models.skeleton.parameters()):
        raise InputError("The model has no trainable parameters; call requires_grad_(True) on it.")
    _check_previous(models, history.chain)
    recipe = recipe or models.recipe
    for spec in methods:
        resolve_method(spec, missing_of(models.factory, recipe), recipe, checkpoint)
    request = Request(forget, retain, recipe or recipe_for(examples), validation)
    fitted = check_model(models, request.training_set)
    evaluation_set, measured_on = _evaluation_set(request)
    logits = logits_of(models, evaluation_set)
    check_logits(logits, evaluation_set)
    root = secret_seed(history.key, len(history.chain.records) if history.chain else 0) if seed is None else seed
    original = models.repeat(1, streams=Streams(root).child("forget"))
    original.engine = models.engine
    case = Case(
        original,
        request,
        evaluation_set,
        measured_on,
        correct=logits.argmax(1) == evaluation_set.labels,
        fitted=fitted,
        recipe=recipe,
        seed=root,
        given_seed=seed,
        history=history,
        subjects=named,
        taken=taken,
        nearness=nearness,
        pretrained=pretrained,
    )
    if case.can_retrain:
        check_factory(original, retain, pretrained=pretrained)
    return case


def check_model(models: Population, examples: Examples) -> float:
    """Check that a model fits its training examples.

    Args:
        models: a population of one.
        examples: the n training examples.

    Returns:
        Its accuracy on them, in 0..1.

    Raises:
        InputError: it does not, see `check_fits`, `check_logits` and `check_fit`.

    Cost: one pass over the examples.
    """
    check_fits(models, examples)
    logits = logits_of(models, examples)
    check_logits(logits, examples)
    check_fit(models, logits, examples)
    return float((logits.argmax(1) == examples.labels).mean())


def _split(
    examples: Examples, wanted: list[str], validation: Examples | None, history: History
) -> tuple[Examples, Examples]:
    """Forget and retain set; what was forgotten earlier is in neither."""
    if validation is not None:
        _check_leaks(examples, wanted, validation, history)
    parts = forget_ids(examples, wanted)
    earlier = history.forgotten(examples)
    if history.remaining is not None and (count := len(examples) - len(earlier)) != history.remaining:
        raise InputError(
            f"The previous request left {history.remaining} examples, but {count} of those given were not forgotten "
            "earlier: give the same examples, with the ids that they had then."
        )
    if repeated := sorted(earlier.intersection(wanted)):
        raise InputError(f"An earlier request of this chain has already forgotten {repeated[0]!r}; leave this id out.")
    remaining = ~np.isin(parts.retain.ids, np.asarray(sorted(earlier), dtype=np.str_))
    return parts.forget, parts.retain.select(np.flatnonzero(remaining))


def _take_copies(forget: Examples, retain: Examples, nearness: Nearness) -> tuple[Examples, Examples, tuple[int, int]]:
    """Forget set with all copies of it, what is left of the retain set, and the number of exact and near copies."""
    exact = find_copies(forget, retain)
    copies = nearness.find(forget, retain, exact)
    if copies.all():
        raise InputError(
            f"All {len(retain)} other training examples are copies of those to be forgotten, or nearly; nothing would "
            "be left. Forget without their copies."
        )
    both = Examples.concatenate([forget, retain.select(np.flatnonzero(copies))])
    numbers = int(exact.sum()), int(copies.sum()) - int(exact.sum())
    return both, retain.select(np.flatnonzero(~copies)), numbers


def describe_copies(copies: Copies) -> Iterator[str]:
    """What a person should know about copies of the examples to be forgotten, in sentences."""
    for where, exact, near in (
        ("retained", copies.exact_retained, copies.near_retained),
        ("validation", copies.exact_held_out, copies.near_held_out),
    ):
        advice = ": forget them as well with --with-copies" if where == "retained" else ""
        if exact:
            yield (
                f"{exact} {where} examples have exactly the inputs of a forgotten example and are not forgotten"
                f"{advice}."
            )
        if near:
            yield (
                f"{near} {where} examples are near copies of a forgotten example and are not forgotten "
                f"({copies.measure}: at most {copies.threshold:.3g}){advice}."
            )


def _check_leaks(examples: Examples, wanted: list[str], validation: Examples, history: History) -> None:
    """Refuse validation examples that the model was trained on, now or before an earlier request."""
    leaks = np.intersect1d(np.asarray(wanted, dtype=np.str_), validation.ids)
    if len(leaks):
        raise InputError(
            f"The example {str(leaks[0])!r} is to be forgotten and in the validation set: leave one out, or give the "
            "rows ids of their own if they are two examples."
        )
    check_validation(examples, validation)
    if forgotten := sorted(history.forgotten(validation)):
        raise InputError(
            f"The validation example {forgotten[0]!r} was trained on, since an earlier request of this chain has "
            "forgotten it; leave it out."
        )


def preparation_of(examples: Examples) -> Preparation | None:
    """How the inputs were prepared, as a record holds it."""
    prepare = examples.preparation
    return None if prepare is None else Preparation(size=prepare.size, mean=prepare.mean, std=prepare.std)


def _check_preparation(examples: Examples, chain: Chain | None) -> None:
    """Refuse inputs that are prepared otherwise than those of the previous request."""
    before, now = None if chain is None else chain.records[-1].preparation, preparation_of(examples)
    if chain is None or before == now:
        return
    then = "as they are" if before is None else f"with {Prepare(before.size, before.mean, before.std)}"
    today = "as they are" if now is None else f"with {examples.preparation}"
    raise InputError(
        f"The previous request read its inputs {then}, and they are now read {today}: prepare them as they were then."
    )


def _check_previous(models: Population, chain: Chain | None) -> None:
    """Refuse a model that is not the one that the previous request left."""
    if chain is None:
        return
    digest, expected = state_digest(arrays_of(models.module())), chain.records[-1].model.after
    if digest != expected:
        raise InputError(
            f"The model is not the one that the previous request left (digest {digest}, expected {expected}): load the "
            "model.safetensors beside its record."
        )


def _evaluation_set(request: Request) -> tuple[Examples, str]:
    """Examples to compare accuracy on, in words too; a class of which nothing is retained is left out."""
    examples, words = request.retain, "retained training examples, as no validation examples were given"
    if request.validation is not None:
        examples, words = request.validation, "validation examples"
    positions = np.flatnonzero(np.isin(examples.labels, request.retain.labels))
    if not len(positions):
        raise InputError("No validation example has a class that is retained; add some that do.")
    some = "" if len(positions) == len(examples) else ", of the retained classes"
    if some:
        examples = examples.select(positions)
    if request.validation is not None and (copies := int(find_copies(request.training_set, examples).sum())):
        words = f"validation examples, {copies} of them with exactly the inputs of a training example"
    return examples, f"{len(examples)} {words}{some}"
