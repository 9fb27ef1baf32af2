"""`audit`: many models that a method unlearned, compared with as many that never saw the forgotten examples."""

import dataclasses
import hashlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from torch import nn

from untrain.auditing import certificate, final_score, forget_quality, rank_energy
from untrain.auditing.certificate import FEWEST_MODELS
from untrain.auditing.rank_energy import GROUPS
from untrain.core.deprecation import renamed
from untrain.core.environment import machine, versions
from untrain.core.files import check_writable, digest, read_arrays, write_arrays
from untrain.core.randomness import Streams
from untrain.core.text import percent
from untrain.errors import InputError, IntegrityError, InterruptedRunError
from untrain.methods import Method
from untrain.models import Factory
from untrain.population import Population, Recipe
from untrain.population.fitting import rule_of_thumb
from untrain.records import Audit
from untrain.workflows.case import Case, check_request
from untrain.workflows.choose import Situation, candidates, nothing_fits, resolve_method
from untrain.workflows.forget import Forgotten, read_history

FEWEST = GROUPS
"""Smallest number of models of each kind from which an interval can be computed."""
PART = 8
"""Number of models that are made, and stored, together."""

Confidences = npt.NDArray[np.float64]


@renamed(forget="ids", keep="checkpoint_dir")
def audit(
    model: nn.Module | Population,
    examples: object,
    ids: Iterable[str],
    *,
    method: str = "auto",
    validation: object | None = None,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    models: int = 32,
    checkpoint_dir: str | Path | None = None,
    previous: Forgotten | str | Path | None = None,
    key: bytes | None = None,
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Compare a method with retraining on one's own model and data.

    Args:
        model: the original, not changed; see `untrain.forget` for this and the other arguments.
        examples: everything that the model was trained on.
        ids: ids of the examples to be forgotten.
        method: `name` or `name:preset`; `auto` audits the method that `auto` would try first.
        validation: examples outside the training set, to compare accuracy on.
        factory: builds a new model; required, unless the model is a population that has one.
        recipe: how the model was trained; required likewise.
        seed: root of all random draws.
        models: number of models of each kind, at least 8; a certificate takes 16.
        checkpoint_dir: directory for the figures of finished models, eight at a time. The same call then continues
            where it was stopped, and another method is compared with the same retrained models. Weights, layers, data
            and settings are recognized, the code of network and factory is not: use another directory when it changes.
        previous: the previous request, saved, or its directory.
        key: of the chain of requests.
        progress: called with a few words before each step.

    Raises:
        InputError: see `untrain.forget`; or there are fewer than 8 models.
        ConfigError: `checkpoint_dir` is a file, cannot be written to, or holds links.
        NotSupportedError: factory or recipe are not known, or the method does not fit.
        InterruptedRunError: the audit was stopped, and its finished models are stored.

    Cost: `models` times the method and twice `models` trainings, half of them for the score of retrained models among
    themselves.
    """
    say = progress or (lambda _: None)
    check_audit(models, checkpoint_dir)
    history = read_history(previous, key)
    case = check_request(model, examples, ids, validation, history, factory=factory, recipe=recipe, seed=seed)
    retraining = resolve_method("retrain", case.can_retrain, case.recipe)
    spec = _first_choice(case) if method == "auto" else method
    unlearning = resolve_method(spec, case.can_retrain, case.recipe)
    work = _Work(case, models, None if checkpoint_dir is None else Path(checkpoint_dir), say)
    try:
        arms = [
            work.arm(name, arm_method)
            for name, arm_method in (
                (f"forgetting by {spec}", unlearning),
                ("training without the forgotten examples", retraining),
                ("training without the forgotten examples, once more", retraining),
            )
        ]
    except KeyboardInterrupt:
        if checkpoint_dir is None:
            raise
        raise InterruptedRunError(
            f"The audit was stopped; finished models are kept in {checkpoint_dir}. Repeat the call to continue."
        ) from None
    say("comparing")
    return _compare(case, spec, *arms)


def check_audit(models: int, checkpoint_dir: str | Path | None) -> None:
    """Refuse, before anything is computed, an audit that cannot begin.

    Raises:
        InputError: there are fewer than 8 models.
        ConfigError: `checkpoint_dir` is a file, cannot be written to, or holds links.
    """
    if models < FEWEST:
        raise InputError(f"expected at least {FEWEST} models of each kind, got {models}")
    if checkpoint_dir is not None:
        check_writable(Path(checkpoint_dir))


@dataclass(frozen=True)
class _Arm:
    """Figures of many models of one kind.

    Attributes:
        confidences: `[N, S]` in the forgotten examples.
        retained: `[N]` accuracy on the retain set.
        other: `[N]` accuracy on the evaluation set.
    """

    confidences: Confidences
    retained: Confidences
    other: Confidences

    @classmethod
    def of(cls, models: Population, case: Case) -> "_Arm":
        return cls(
            models.confidences(case.request.forget),
            models.accuracy(case.request.retain),
            models.accuracy(case.evaluation_set),
        )

    @classmethod
    def concatenate(cls, parts: Sequence["_Arm"]) -> "_Arm":
        return cls(*map(np.concatenate, zip(*map(dataclasses.astuple, parts), strict=True)))

    @property
    def accuracies(self) -> tuple[float, float]:
        """Mean accuracy on the retain set and on the evaluation set."""
        return float(self.retained.mean()), float(self.other.mean())


@dataclass(frozen=True)
class _Work:
    """The models of an audit, made part by part."""

    case: Case
    models: int
    checkpoint_dir: Path | None
    say: Callable[[str], None]

    def arm(self, name: str, method: Method) -> _Arm:
        """Many models, each with its own random streams below the name of the arm."""
        parts = list[_Arm]()
        for first in range(0, self.models, PART):
            last = min(first + PART, self.models)
            self.say(f"{name}: models {first + 1} to {last} of {self.models}")
            parts.append(self._part(name, method, first, last))
        return _Arm.concatenate(parts)

    def _part(self, name: str, method: Method, first: int, last: int) -> _Arm:
        path = None
        if self.checkpoint_dir is not None:
            path = self.checkpoint_dir / f"{self._fingerprint(name, method)}-{first:05d}-{last:05d}.safetensors"
        if path is not None and path.is_file():
            with suppress(IntegrityError):  # a damaged part is made again
                return _Arm(**read_arrays(path)[0])
        streams = Streams(self.case.seed).child("audit", name)
        copies = self.case.original.repeat(last - first, streams=streams, first=first)
        copies.engine = rule_of_thumb(copies, self.case.request.retain)
        part = _Arm.of(method.forget(copies, self.case.request), self.case)
        if path is not None:
            write_arrays(path, vars(part), {})
        return part

    def _fingerprint(self, name: str, method: Method) -> str:
        """Digest of everything that the figures depend on."""
        settings = (name, repr(method), repr(self.case.request.recipe), self._layers)
        origin = (self.case.seed, versions(), machine(str(self.case.original.device)), self._data)
        return hashlib.sha256(repr((settings, origin)).encode()).hexdigest()[:32]

    @cached_property
    def _layers(self) -> list[str]:
        """Of the original and of a new model: their layers, and the names of their trainable parameters."""
        networks = (self.case.original.skeleton, self.case.original.fresh().skeleton)
        trained = [
            [name for name, parameter in network.named_parameters() if parameter.requires_grad] for network in networks
        ]
        return [repr(pair) for pair in zip(networks, trained, strict=True)]

    @cached_property
    def _data(self) -> str:
        """Digest of the original and of all examples."""
        request = self.case.request
        sets = (request.forget, request.retain, request.validation, self.case.evaluation_set)
        arrays = {
            f"{number} {name}": getattr(examples, name)
            for number, examples in enumerate(sets)
            if examples is not None
            for name in ("inputs", "labels")
        }
        return digest(arrays, {"original": self.case.digest})


def _first_choice(case: Case) -> str:
    """The method that `auto` would try first."""
    situation = Situation(case.original, case.request, case.can_retrain)
    candidate = next(candidates(situation), None)
    if candidate is None:
        raise nothing_fits(situation)
    return candidate.method


def _compare(case: Case, spec: str, unlearned: _Arm, retrained: _Arm, retrained_again: _Arm) -> Audit:
    """All figures of unlearned models and of twice as many retrained ones."""
    models = len(unlearned.confidences)
    # The original is one model; copies of it make an arm that does not vary.
    original = np.repeat(case.original.confidences(case.request.forget), models, axis=0)
    before, after = (
        rank_energy(confidences, retrained.confidences).total for confidences in (original, unlearned.confidences)
    )
    score, ceiling = (_score(arm, retrained) for arm in (unlearned, retrained_again))
    enough = models >= FEWEST_MODELS
    certified = dataclasses.asdict(certificate(unlearned.confidences, retrained.confidences)) if enough else {}
    audit = Audit(
        models=models, before=before, after=after, certificate=certified, score=score, ceiling=ceiling, words=""
    )
    sentences = _sentences(audit, spec, unlearned.accuracies, retrained.accuracies, case.measured_on)
    return msgspec.structs.replace(audit, words=" ".join(sentences))


def _sentences(
    audit: Audit, spec: str, unlearned: tuple[float, float], retrained: tuple[float, float], measured_on: str
) -> Iterator[str]:
    """What the figures mean; the pairs are accuracies on the retain set and on the evaluation set."""
    yield (
        f"{audit.models} models unlearned by {spec} were compared with {audit.models} models trained without the "
        f"forgotten examples: rank energy {audit.after}, where 0 means no difference and the original has "
        f"{audit.before}."
    )
    yield (
        f"Accuracy of unlearned and of retrained models: {percent(unlearned[0])} and {percent(retrained[0])} on the "
        f"retained examples, {percent(unlearned[1])} and {percent(retrained[1])} on {measured_on}."
    )
    if audit.score is not None and audit.ceiling is not None:
        yield f"The competition's score is {audit.score:.4f}; retrained models reach {audit.ceiling:.4f} themselves."
    if audit.certificate:
        level, epsilon = percent(audit.certificate["level"]), audit.certificate["epsilon"]
        yield (
            f"An attack shows, with {level} confidence, an epsilon of at least {epsilon:.2f}."
            if epsilon
            else "No epsilon above 0 could be certified, which does not prove that the examples are forgotten."
        )
    yield "All unlearned models start from this one original, so the figures hold for it alone."


def _score(arm: _Arm, retrained: _Arm) -> float | None:
    """The competition's final score of an arm, or None where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # examples without an answer are left out
        quality = forget_quality(arm.confidences, retrained.confidences).score
    (retain, other), (retain_retrained, other_retrained) = arm.accuracies, retrained.accuracies
    if not math.isfinite(quality) or min(retain_retrained, other_retrained) <= 0:
        return None
    return final_score(quality, retain, retain_retrained, other, other_retrained)
