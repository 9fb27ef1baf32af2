"""`audit`: many models that a method made forget, compared with as many that never saw the forgotten examples.

The module has another name than its function, which it would hide, and than the room `auditing`, which has the figures
without models.
"""

import dataclasses
import hashlib
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from untrain.auditing import certificate, final_score, forget_quality, rank_energy
from untrain.auditing.certificate import FEWEST_MODELS
from untrain.auditing.rank_energy import GROUPS
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
from untrain.workflows.case import Case, History, ask
from untrain.workflows.choose import Situation, candidates, named, nothing_fits

FEWEST = GROUPS
"""Models of each kind below which no interval can be told."""
PART = 8
"""Models that are made together, and kept together when they are finished."""

Confidences = npt.NDArray[np.float64]


def audit(
    model: nn.Module | Population,
    examples: object,
    forget: Iterable[str],
    *,
    method: str = "auto",
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    models: int = 32,
    validation: object | None = None,
    seed: int = 0,
    previous: str | Path | None = None,
    key: bytes | None = None,
    keep: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Compare a method with training anew, on one's own model and data.

    Args:
        model: the original, see `untrain.forget`, as for all that is not said here.
        examples: all that the model was trained on.
        forget: ids of the examples to be forgotten.
        method: `name` or `name:preset`; `auto` looks at what that would take first.
        factory: builds a new model, which is needed.
        recipe: how the model was trained, which is needed.
        models: how many of each kind, at least 8; a certificate needs 16.
        validation: examples outside the training set, to compare accuracy on.
        seed: of all random draws.
        previous: directory of the request before.
        key: of the chain of requests.
        keep: folder in which the figures of every eight finished models are kept, so that the same call continues where
            it was stopped, and another method is compared with the same retrained models. It knows weights, layers,
            data and settings, but not the code of the network and of the factory: where that changes, take another.
        progress: told in a few words what is done next.

    Raises:
        InputError: see `untrain.forget`; also fewer than 8 models.
        ConfigError: `keep` is a file, cannot be written to, or holds links.
        NotSupportedError: factory or recipe are not known, or the method does not fit.
        InterruptedRunError: it was stopped, and what is finished is kept.

    Cost: `models` times the method and twice `models` trainings, the second for what retrained models score among
    themselves.
    """
    say = progress or (lambda _: None)
    check_audit(models, keep)
    history = History.read(previous, key)
    case = ask(model, examples, forget, validation, history, factory=factory, recipe=recipe, seed=seed)
    anew = named("retrain", case.known, recipe)
    spec = _first_choice(case) if method == "auto" else method
    way = named(spec, case.known, recipe)
    work = _Work(case, models, None if keep is None else Path(keep), say)
    try:
        arms = [
            work.arm(what, does)
            for what, does in (
                (f"forgetting by {spec}", way),
                ("training without the forgotten examples", anew),
                ("training without the forgotten examples, once more", anew),
            )
        ]
    except KeyboardInterrupt:
        if keep is None:
            raise
        raise InterruptedRunError(f"stopped; finished models are kept in {keep}, do the same again") from None
    say("comparing")
    return _compared(case, spec, *arms)


def check_audit(models: int, keep: str | Path | None) -> None:
    """Refuse what no audit can begin with, before anything is computed.

    Raises:
        InputError: there are fewer than 8 models.
        ConfigError: `keep` is a file, cannot be written to, or holds links.
    """
    if models < FEWEST:
        raise InputError(f"expected at least {FEWEST} models of each kind, got {models}")
    if keep is not None:
        check_writable(Path(keep))


@dataclass(frozen=True)
class _Arm:
    """What is compared of many models.

    Attributes:
        confidences: `[N, S]` in the forgotten examples.
        retained: `[N]` accuracy on the retain set.
        other: `[N]` accuracy on what else is compared on.
    """

    confidences: Confidences
    retained: Confidences
    other: Confidences

    @classmethod
    def of(cls, models: Population, case: Case) -> "_Arm":
        return cls(
            models.confidences(case.request.forget), models.accuracy(case.request.retain), models.accuracy(case.on)
        )

    @classmethod
    def concatenate(cls, parts: Sequence["_Arm"]) -> "_Arm":
        return cls(*map(np.concatenate, zip(*map(dataclasses.astuple, parts), strict=True)))


@dataclass(frozen=True)
class _Work:
    """The models of an audit, made part by part."""

    case: Case
    models: int
    keep: Path | None
    say: Callable[[str], None]

    def arm(self, what: str, way: Method) -> _Arm:
        """Many models, each with random streams of its own below the name of the arm."""
        parts = list[_Arm]()
        for first in range(0, self.models, PART):
            last = min(first + PART, self.models)
            self.say(f"{what}: models {first + 1} to {last} of {self.models}")
            parts.append(self._part(what, way, first, last))
        return _Arm.concatenate(parts)

    def _part(self, what: str, way: Method, first: int, last: int) -> _Arm:
        path = None if self.keep is None else self.keep / f"{self._mark(what, way)}-{first:05d}-{last:05d}.safetensors"
        if path is not None and path.is_file():
            with suppress(IntegrityError):  # then it is made again
                return _Arm(**read_arrays(path)[0])
        streams = Streams(self.case.seed).child("audit", what)
        copies = self.case.original.repeat(last - first, streams=streams, first=first)
        copies.engine = rule_of_thumb(copies, self.case.request.retain)
        made = _Arm.of(way.forget(copies, self.case.request), self.case)
        if path is not None:
            write_arrays(path, vars(made), {})
        return made

    def _mark(self, what: str, way: Method) -> str:
        """A name for all that the figures depend on."""
        settings = (what, repr(way), repr(self.case.request.recipe), self._layers)
        origin = (self.case.seed, versions(), machine(str(self.case.original.device)), self._data)
        return hashlib.sha256(repr((settings, origin)).encode()).hexdigest()[:32]

    @cached_property
    def _layers(self) -> list[str]:
        """Of the original and of a new model: what they print, and what is trained of them."""
        networks = (self.case.original.skeleton, self.case.original.fresh().skeleton)
        trained = [[name for name, each in network.named_parameters() if each.requires_grad] for network in networks]
        return [repr(pair) for pair in zip(networks, trained, strict=True)]

    @cached_property
    def _data(self) -> str:
        """Digest of the original and of all examples."""
        request = self.case.request
        sets = (request.forget, request.retain, request.validation, self.case.on)
        arrays = {
            f"{number} {name}": getattr(examples, name)
            for number, examples in enumerate(sets)
            if examples is not None
            for name in ("inputs", "labels")
        }
        return digest(arrays, {"original": self.case.digest})


def _first_choice(case: Case) -> str:
    """What `auto` would take first."""
    situation = Situation(case.original, case.request, case.known)
    found = next(candidates(situation), None)
    if found is None:
        raise nothing_fits(situation)
    return found.method


def _compared(case: Case, spec: str, *arms: _Arm) -> Audit:
    """All figures of unlearned, retrained and once more retrained models, as many of each."""
    forget, models = case.request.forget, len(arms[0].confidences)
    done, anew, again = (arm.confidences for arm in arms)
    # The original is one model; as many copies of it make an arm that does not vary.
    still = np.repeat(case.original.confidences(forget), models, axis=0)
    before, after = (rank_energy(arm, anew).total for arm in (still, done))
    right = [(float(arm.retained.mean()), float(arm.other.mean())) for arm in arms]
    score, ceiling = (_score(arm, anew, own, right[1]) for arm, own in ((done, right[0]), (again, right[2])))
    proof = certificate(done, anew) if models >= FEWEST_MODELS else None
    words = [
        f"{models} models that {spec} made forget were compared with {models} that were trained without the forgotten "
        f"examples: rank energy {after}, where 0 is no difference and the original has {before}.",
        f"Accuracy of the former and of the latter: {percent(right[0][0])} and {percent(right[1][0])} on what is "
        f"retained, {percent(right[0][1])} and {percent(right[1][1])} on {case.where}.",
    ]
    if score is not None and ceiling is not None:
        words.append(f"The competition's score is {score:.4f}; retrained models have {ceiling:.4f} among themselves.")
    if proof is not None:
        words.append(
            f"With {percent(proof.level)} certainty an attack shows an epsilon of {proof.epsilon:.2f} or more."
            if proof.epsilon
            else "No epsilon above 0 could be certified, which is no proof of forgetting."
        )
    words.append("All models that forgot start from this one original, and the figures hold for it alone.")
    return Audit(
        models=models,
        before=before,
        after=after,
        certificate={} if proof is None else dataclasses.asdict(proof),
        score=score,
        ceiling=ceiling,
        words=" ".join(words),
    )


def _score(
    arm: Confidences, retrained: Confidences, own: tuple[float, float], other: tuple[float, float]
) -> float | None:
    """The competition's final score, or None where it has none.

    Args:
        arm: `[N, S]`, of the models that are scored.
        retrained: `[N, S]`.
        own: accuracy of the models on the retain set and on what else is compared on, shares.
        other: likewise, of the retrained models.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # examples without an answer are left out
        quality = forget_quality(arm, retrained).score
    if not math.isfinite(quality) or min(other) <= 0:
        return None
    return final_score(quality, own[0], other[0], own[1], other[1])
