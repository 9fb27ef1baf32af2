"""`audit`: many models that a method made forget, compared with as many that never saw the forgotten examples.

The module has another name than its function, which it would hide, and than the room `auditing`, which has the figures
without models.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from untrain.asking import Case, History, ask
from untrain.auditing import certificate, final_score, forget_quality, rank_energy
from untrain.auditing.certificate import FEWEST_MODELS
from untrain.auditing.energy import GROUPS
from untrain.choosing import Situation, candidates, named, nothing_fits
from untrain.comparing import noted, percent
from untrain.errors import InputError
from untrain.models import Factory
from untrain.population import Population, Recipe
from untrain.randomness import Streams
from untrain.records import Audit, Estimate

FEWEST = GROUPS
"""Models of each kind below which no interval can be told."""

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
        progress: told in a few words what is done next.

    Raises:
        InputError: see `untrain.forget`; also fewer than 8 models.
        NotSupportedError: factory or recipe are not known, or the method does not fit.

    Cost: `models` times the method and twice `models` trainings, the second for what retrained models score among
    themselves. It cannot be resumed: at 32 small models it takes minutes.
    """
    say = progress or (lambda _: None)
    if models < FEWEST:
        raise InputError(f"expected at least {FEWEST} models of each kind, got {models}")
    history = History.read(previous, key)
    case = ask(model, examples, forget, validation, history, factory=factory, recipe=recipe, seed=seed)
    anew = named("retrain", case.known, recipe)
    spec = _first_choice(case) if method == "auto" else method
    way = named(spec, case.known, recipe)
    arms = list[Population]()
    for what, does in (
        (f"forgetting by {spec}", way),
        ("training without the forgotten examples", anew),
        ("training without the forgotten examples, once more", anew),
    ):
        say(f"{what}, {models} models")
        copies = case.original.repeat(models, streams=Streams(seed).child("audit", what))
        arms.append(does.forget(copies, case.request))
    say("comparing")
    return _compared(case, spec, *arms)


def _first_choice(case: Case) -> str:
    """What `auto` would take first."""
    situation = Situation(case.original, case.request, case.known)
    found = next(candidates(situation), None)
    if found is None:
        raise nothing_fits(situation)
    return found.method


def _compared(case: Case, spec: str, *arms: Population) -> Audit:
    """All figures of unlearned, retrained and once more retrained models, as many of each."""
    forget, models = case.request.forget, len(arms[0])
    done, anew, again = (arm.confidences(forget) for arm in arms)
    # The original is one model; as many copies of it make an arm that does not vary.
    still = np.repeat(case.original.confidences(forget), models, axis=0)
    before, after = (noted(rank_energy(arm, anew).total) for arm in (still, done))
    right = [(float(arm.accuracy(case.request.retain).mean()), float(arm.accuracy(case.on).mean())) for arm in arms]
    score, ceiling = (_score(arm, anew, own, right[1]) for arm, own in ((done, right[0]), (again, right[2])))
    proof = certificate(done, anew) if models >= FEWEST_MODELS else None
    words = [
        f"{models} models that {spec} made forget were compared with {models} that were trained without the forgotten "
        f"examples: rank energy {_words(after)}, where 0 is no difference and the original has {_words(before)}.",
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


def _words(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
