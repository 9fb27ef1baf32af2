"""`forget`: make one's own model forget some examples, check whether it did, and record it."""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
from torch import nn

from untrain.auditing import MembershipChange, memory
from untrain.core.ambient import ordinary
from untrain.core.arguments import checked
from untrain.core.deprecation import renamed
from untrain.core.environment import machine, versions
from untrain.core.files import check_writable
from untrain.core.levels import FEWEST_MODELS, MEMORY_LIMIT
from untrain.core.progress import part, plan
from untrain.core.registry import base_name
from untrain.data import content_digests
from untrain.errors import ConfigError, InputError
from untrain.methods import METHODS, Checkpoint, Method
from untrain.models import Factory
from untrain.models.weights import arrays_of
from untrain.population import Population, Recipe
from untrain.records import (
    Applied,
    Audit,
    Chain,
    Membership,
    MemoryLeft,
    Models,
    Outcome,
    Record,
    Utility,
    Verdict,
    commit,
    now,
    sha256_of_file,
    state_digest,
    write_record,
)
from untrain.records.commitment import seed_commitment
from untrain.records.record import FileDigest
from untrain.report.record import EVIDENCE, reply
from untrain.workflows.case import Case, History, check_request, describe_copies, preparation_of
from untrain.workflows.choose import Situation, candidates, check_time_budget, nothing_fits, resolve_method
from untrain.workflows.retrained import Arm, AuditModels
from untrain.workflows.verdict import Evidence, Judgment, judge

NO_AUDIT = "No audit was made: the model was not compared with models trained without the forgotten examples."


@dataclass(eq=False, repr=False)
class Forgotten:
    """The result of a request to forget; `print` shows the verdict.

    Attributes:
        model: of the given class, in evaluation mode: the unlearned model, or the original itself if that was kept.
        record: what was asked, done and measured, without the ids.
        key: 32 bytes by which ids can be compared with the record's tags; as confidential as the ids.
        chain: records of the earlier requests, or None.
        directory: where the result was saved, or None.
    """

    model: nn.Module
    record: Record
    key: bytes
    chain: Chain | None = None
    directory: Path | None = None

    @property
    def verdict(self) -> Verdict:
        """Outcome and sentences."""
        return self.record.verdict

    def __repr__(self) -> str:
        """Outcome, sentences, and where it was saved, one a line."""
        applied = self.record.applied
        return "\n".join(
            [
                f"{self.verdict}: {applied.method} ({applied.reason})",
                *self.verdict.sentences,
                "not saved; call save(directory)" if self.directory is None else f"saved in {self.directory}",
            ]
        )

    @checked
    def save(self, directory: str | Path) -> Path:
        """Write model, key, page and, last, the record, so a directory with a record is complete.

        Args:
            directory: new, or without a record.

        Raises:
            ConfigError: the directory holds a record.
            InputError: the file system refused.
        """
        state = arrays_of(self.model)
        self.record = write_record(directory, self.record, state, self.key, self.chain)
        self.directory = Path(directory).absolute()
        return self.directory

    def saved(self) -> Path:
        """The directory where the result was saved.

        Raises:
            InputError: it was not saved.
        """
        if self.directory is None:
            raise InputError("The previous request was not saved; call its save() first.")
        return self.directory


@renamed(["method", "validation", "seed"], forget="ids", bound="max_accuracy_drop", seconds="time_budget")
@ordinary
@checked
def forget(
    model: nn.Module | Population,
    examples: object,
    ids: Iterable[str] = (),
    *,
    subjects: Iterable[str] | None = None,
    with_copies: bool = False,
    method: str = "auto",
    checkpoint: Checkpoint | None = None,
    validation: object | None = None,
    factory: Factory | None = None,
    pretrained: str | None = None,
    recipe: Recipe | None = None,
    seed: int | None = None,
    time_budget: float | None = None,
    max_accuracy_drop: float = 0.05,
    audit: int | None = None,
    checkpoint_dir: str | Path | None = None,
    previous: Forgotten | str | Path | None = None,
    key: bytes | None = None,
    basis: str | None = None,
    retraining_due: date | None = None,
    descendants: Iterable[str | Path] = (),
    progress: Callable[[str], None] | None = None,
) -> Forgotten:
    """Make a model forget some of its training examples.

    The original is kept if the method leaves logits that are not finite, changes no weight, or may have lowered
    accuracy by more than `max_accuracy_drop`: the upper end of the 95 % interval of the drop counts, and along a chain
    of requests the drop since the first original. Otherwise the verdict says what is shown, and on what ground:
    `forgotten` by construction, for methods that train a new model, or by audit; `different`; `remembered`; or `not
    shown`. See `untrain.workflows.verdict`. With `auto`, methods are tried in turn until one has forgotten, or, without
    an audit, until one is not refused or recognized.

    Args:
        model: a module trained on the examples, or a population of one, whose factory and recipe are used. It is not
            changed.
        examples: everything that the model was trained on, in any form that `as_examples` takes; what earlier requests
            have forgotten may be there or not.
        ids: ids of the examples to be forgotten.
        subjects: persons or things all of whose examples are to be forgotten, as the groups of the examples name them.
        with_copies: whether copies and near copies of these examples are to be forgotten as well; see
            `untrain.data.Nearness`. The record counts them in any case.
        method: `name` or `name:preset`, or `auto`, which chooses one and explains why.
        checkpoint: an earlier state of the model, for `rewind`; `auto` takes it first if it never saw the forgotten
            examples. It needs the recipe.
        validation: examples outside the training set, in any form that `as_examples` takes. Accuracy is compared on
            them, and the forgotten examples are compared with them. Without them, accuracy is compared on the retained
            examples, and nothing checks the forgetting.
        factory: builds a new model, for methods that train one; default the population's.
        pretrained: where weights come from that the factory does not draw at random, such as "ImageNet, torchvision".
            It declares that no forgotten example was used for them, and is published with the record.
        recipe: how the model was trained, for the same methods; default the population's.
        seed: root of all random draws; default one derived from the key, which nobody else can guess. The same key then
            gives the same result. With a seed that can be guessed, a person who has the data can find out by trial
            which ids gave the model of the record. An audit with checkpoints draws from 0 by default.
        time_budget: of `auto`, in seconds; without one, its choice does not depend on how fast the machine is.
        max_accuracy_drop: largest accepted drop of accuracy since the first original (0.05 = 5 points). It must not
            exceed this with its upper confidence limit, which is narrow only with hundreds of validation examples.
        audit: number of models trained without the examples, at least 19, that the model is compared with; needs
            factory and recipe. Without one, only a method that trains a new model is called `forgotten`.
        checkpoint_dir: directory for the figures of the audit's finished models. The same call then continues where it
            was stopped, and every other method of the same request is compared with the same models.
        previous: the previous request, saved, or its directory; `model` must be the one that it left. What was
            forgotten earlier is never trained on again.
        key: of the chain of requests, 32 bytes; default the one in the directory of `previous`, or a new one.
        basis: why the examples are to be forgotten, such as "erasure, GDPR Art. 17(1)(b)". It is published with the
            record and should name nobody.
        retraining_due: day of the next training from nothing, for the record and the answer to the requester.
        descendants: files of models that were derived from the original (quantized, distilled, fine-tuned). The record
            lists their digests; they are not changed.
        progress: called with a few words before each step.

    Raises:
        InputError: the examples cannot be read (see `as_examples`); a subject has none; an id is unknown, occurs twice,
            is among the validation examples, was forgotten earlier, or names other inputs than earlier; the model does
            not fit the examples, or is not the one of `previous`; the key is missing.
        IntegrityError: a record of `previous` was changed.
        NotSupportedError: the method needs a factory and a recipe, or another kind of network.
        ConfigError: there is no such method.

    Cost: that of the methods, `audit` trainings, and a few passes over the examples that accuracy is compared on.
    Nothing is written but the checkpoints.
    """
    say = progress or (lambda _: None)
    if not 0 <= max_accuracy_drop <= 1:
        raise InputError(f"max_accuracy_drop is a share from 0 to 1, got {max_accuracy_drop}.")
    check_time_budget(time_budget)
    check_audit(audit, checkpoint_dir)
    about = _About(basis, retraining_due, _digests(descendants))
    used = [*(["retrain"] if audit is not None else []), *([method] if method != "auto" else [])]
    case = check_request(
        model, examples, ids, validation, read_history(previous, key),
        factory=factory, recipe=recipe, seed=seed, subjects=subjects, with_copies=with_copies, pretrained=pretrained,
        methods=used, checkpoint=checkpoint,
    )  # fmt: skip
    directory = None if checkpoint_dir is None else Path(checkpoint_dir)
    models = None if audit is None else AuditModels(case, audit, directory, say)
    attempts = _Attempts(case, max_accuracy_drop, models, say, checkpoint)
    attempt = attempts.auto(time_budget) if method == "auto" else attempts.named(method)
    if attempt.outcome is not Outcome.KEPT_ORIGINAL:
        result = attempt.unlearned.module()
    else:
        result = model if isinstance(model, nn.Module) else case.original.module()
    record = _record(case, attempt, result, max_accuracy_drop, about)
    return Forgotten(result, record, case.history.key, case.history.chain)


def check_audit(audit: int | None, checkpoint_dir: str | Path | None) -> None:
    """Refuse, before anything is computed, an audit that cannot begin.

    Raises:
        InputError: there are too few models to tell anything.
        ConfigError: `checkpoint_dir` is given without an audit, is a file, cannot be written to, or holds links.
    """
    if audit is not None and audit < FEWEST_MODELS:
        raise InputError(f"An audit of a model needs at least {FEWEST_MODELS} retrained models, got {audit}.")
    if checkpoint_dir is not None:
        if audit is None:
            raise ConfigError(f"A checkpoint directory is for an audit; ask for one beside {checkpoint_dir}.")
        check_writable(Path(checkpoint_dir))


def read_history(previous: Forgotten | str | Path | None, key: bytes | None) -> History:
    """The history of a request, from the previous result or its directory; see `History.read`."""
    return History.read(previous.saved() if isinstance(previous, Forgotten) else previous, key)


def _digests(files: Iterable[str | Path]) -> dict[str, FileDigest]:
    """Digests of files by their names, which must be distinct."""
    digests = dict[str, FileDigest]()
    for path in map(Path, files):
        if not path.is_file():
            raise InputError(f"There is no file {path}; descendants= (--descendant) are files of derived models.")
        if path.name in digests:
            raise InputError(f"Two files of derived models are named {path.name}; rename one, as records name them.")
        digests[path.name] = sha256_of_file(path)
    return digests


@dataclass(frozen=True)
class _About:
    """What the record says of a request beside what was computed; see `forget`."""

    basis: str | None
    retraining_due: date | None
    descendants: dict[str, FileDigest]


@dataclass(frozen=True, eq=False)
class _Attempt:
    """One method, and what it came to."""

    spec: str
    method: Method
    reason: str
    unlearned: Population
    seconds: float
    judgment: Judgment

    @property
    def outcome(self) -> Outcome:
        return self.judgment.verdict.outcome


@dataclass(frozen=True, eq=False)
class _Attempts:
    """Applies methods to a request."""

    case: Case
    max_accuracy_drop: float
    audit_models: AuditModels | None
    say: Callable[[str], None]
    checkpoint: Checkpoint | None

    @functools.cached_property
    def _retrained(self) -> Arm | None:
        """Models trained without the examples, made once for all methods."""
        if self.audit_models is None:
            return None
        with self.audit_models.interruptible():
            return self.audit_models.retrained()

    def _evidence(self, unlearned: Population) -> Evidence | None:
        if self._retrained is None:
            return None
        forget, retain = self.case.request.forget, self.case.request.retain
        delivered, original = (models.confidences(forget)[0] for models in (unlearned, self.case.original))
        return Evidence(
            memory(delivered, self._retrained.confidences, original),
            float(unlearned.accuracy(retain)[0]),
            float(self._retrained.retained.min()),
        )

    def named(self, spec: str) -> _Attempt:
        """Forget by the method that was asked for."""
        method = resolve_method(spec, self.case.missing, self.case.recipe, self.checkpoint)
        self._plan(method)
        return self._make(spec, method, "it was asked for")

    def _plan(self, method: Method) -> None:
        """Announce a first method, and the audit."""
        plan(self.case.work(method))
        if self.audit_models is not None:
            plan(self.audit_models.work(self.audit_models.retraining))

    def _make(self, spec: str, method: Method, reason: str) -> _Attempt:
        """Forget by one method, and judge the result."""
        self.say(f"forgetting by {spec}")
        start = time.perf_counter()
        with part(self.case.work(method)):
            unlearned = method.forget(self.case.original.clone(), self.case.request)
        seconds = time.perf_counter() - start
        self.say("checking the result")
        judgment = judge(self.case, spec, method, unlearned, self.max_accuracy_drop, self._evidence)
        if judgment.verdict.outcome is Outcome.KEPT_ORIGINAL:
            self.say(judgment.verdict.sentences[0])
        return _Attempt(spec, method, reason, unlearned, seconds, judgment)

    def auto(self, time_budget: float | None) -> _Attempt:
        """The candidate with the best outcome, the first of equals; none is tried after one that cannot be beaten."""
        case = self.case
        self.say("choosing a method")
        situation = Situation(case.original, case.request, case.can_retrain, time_budget, self.checkpoint)
        options = candidates(situation)
        first = next(options, None)
        if first is None:
            raise nothing_fits(situation)
        self._plan(situation.method(first.method))
        _ = self._retrained  # what the audit takes is not part of the time budget
        start, attempts = time.perf_counter(), list[_Attempt]()
        for option in itertools.chain([first], options):
            if attempts and time_budget is not None and time.perf_counter() - start > time_budget:
                break
            recipe = case.recipe if case.can_retrain or self.checkpoint else None
            method = resolve_method(option.method, case.missing, recipe, self.checkpoint)
            if attempts:
                plan(case.work(method))
            attempts.append(self._make(option.method, method, f"auto: {option.why}"))
            unaudited = self.audit_models is None and attempts[-1].outcome is Outcome.NOT_SHOWN
            if attempts[-1].outcome is Outcome.FORGOTTEN or unaudited:
                break
        order = tuple(Outcome)
        best = min(attempts, key=lambda attempt: order.index(attempt.outcome))
        others = [
            f"{attempt.spec} was tried, outcome: {attempt.outcome}" for attempt in attempts if attempt is not best
        ]
        return dataclasses.replace(best, reason="; ".join([best.reason, *others]))


def _record(case: Case, attempt: _Attempt, result: nn.Module, max_accuracy_drop: float, about: _About) -> Record:
    request, chain, comparison = case.request, case.history.chain, attempt.judgment.comparison
    record = Record(
        created=now(),
        versions=versions(),
        machine=machine(str(case.original.device)),
        model=Models(
            architecture=type(result).__name__,
            before=case.digest,
            after=state_digest(arrays_of(result)),
        ),
        requested=commit(
            request.forget.ids,
            case.history.key,
            retained=len(request.retain),
            validation=0 if request.validation is None else len(request.validation),
            classes=len(request.retain.classes),
            contents=content_digests(request.forget),
            subjects=case.subjects,
            basis=about.basis,
        ),
        copies=case.copies,
        preparation=preparation_of(request.forget),
        pretrained=case.pretrained if case.can_retrain else None,
        applied=Applied(
            method=attempt.spec,
            settings=_settings(case, attempt.method),
            origin=METHODS.origin(base_name(attempt.spec)),
            reason=attempt.reason,
            seed_commitment=seed_commitment(case.history.key, case.seed),
            seconds=attempt.seconds,
        ),
        utility=Utility(
            on=case.measured_on,
            examples=comparison.examples,
            before=comparison.before,
            after=comparison.after,
            change=comparison.change,
            since_first=attempt.judgment.since_first,
            bound=max_accuracy_drop,
        ),
        membership=_membership(attempt.judgment.membership),
        unchanged=attempt.judgment.unchanged,
        audit=_audit(attempt.judgment.evidence),
        verdict=attempt.judgment.verdict,
        limits=tuple(_limits(case, attempt, about)),
        retraining_due=None if about.retraining_due is None else about.retraining_due.isoformat(),
        descendants=about.descendants,
        previous=None if chain is None else chain.link(),
    )
    return msgspec.structs.replace(record, reply=tuple(reply(msgspec.to_builtins(record))))


def _settings(case: Case, method: Method) -> dict[str, object]:
    """Hyper-parameters of the method, and the recipe of the original where new models can be trained by it."""
    settings = method.settings()
    return settings | ({"recipe of the original": msgspec.to_builtins(case.recipe)} if case.recipe is not None else {})


def _membership(change: MembershipChange | None) -> Membership | None:
    """The membership check as the record holds it; None where it says nothing."""
    if change is None or change.before.auc is None or change.after.auc is None:
        return None
    limits = change.after.limits
    if left_out := len(change.after.left_out):
        limits += f" {left_out} of the forgotten classes have too few held-out examples and were not compared."
    return Membership(
        before=change.before.auc,
        after=change.after.auc,
        forgotten=change.after.forget,
        held_out=change.after.held_out,
        limits=limits,
    )


def _audit(evidence: Evidence | None) -> Audit | None:
    """The audit of the delivered model as the record holds it."""
    if evidence is None:
        return None
    memory = evidence.memory
    figures = MemoryLeft(
        left=memory.left,
        level=memory.level,
        p_value=memory.p_value,
        different_p_value=memory.different_p_value,
        original_p_value=memory.original_p_value,
        trace_p_value=memory.trace_p_value,
        limit=MEMORY_LIMIT,
        retain_accuracy=evidence.retain_accuracy,
        lowest_retrained=evidence.lowest_retrained,
    )
    return Audit(models=memory.models, memory=figures, words=str(memory))


def _limits(case: Case, attempt: _Attempt, about: _About) -> Iterator[str]:
    """What the record does not show."""
    request = case.request
    yield EVIDENCE
    if attempt.judgment.evidence is None:
        yield NO_AUDIT
    if not attempt.method.exact:
        yield f"{attempt.spec} starts from the original, so a stronger attack may find traces of what it forgot."
    if request.validation is None:
        yield (
            "No validation examples were given. Accuracy was measured on training examples, which says little about "
            "other data, and nothing was checked for whether the forgotten examples are still recognized."
        )
    if case.chooses:
        yield "The recipe chooses a state by the validation examples, so accuracy on them may be higher than elsewhere."
    if count := int(case.validation_copies.sum()):
        yield f"{count} validation examples have exactly the inputs of a training example, so they say little."
    gone = np.setdiff1d(request.forget.labels, request.retain.labels)
    if len(gone):
        yield (
            f"Nothing is retained of {len(gone)} of {len(request.retain.classes)} classes: the model keeps an output "
            "for each, and accuracy leaves them out."
        )
    yield from describe_copies(case.copies)
    if case.pretrained is not None and case.can_retrain:
        yield f"New models start from weights of another training, as declared and not checked: {case.pretrained}."
    if about.descendants:
        yield (
            f"{len(about.descendants)} models were derived from the original and still hold what it learned from the "
            "forgotten examples: derive them anew from this model, or delete them."
        )
