"""Which method suits a request: what `auto` chooses and why, and what `doctor` says of every method."""

import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec
import torch
from torch import nn

from untrain.core.levels import FEWEST_MODELS
from untrain.core.progress import part
from untrain.core.registry import base_name
from untrain.core.text import duration
from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError, UntrainError, first_line
from untrain.methods import METHODS, Checkpoint, Method, Request, build_method
from untrain.methods.rewind import Rewind
from untrain.models import Factory
from untrain.population import SGD, Population, Recipe
from untrain.population.fitting import guarded

_FEW = 0.01
"""Share of the training set below which a single Newton step is tried first."""

_SMALL_EPOCH, _BATCH = 100, 64
"""Data are small if an epoch has fewer steps than this at this batch size: settings for large data do too little."""

_TRIED, _TIMED = 16, 3
"""Number of examples of each set on which a method is tried, and of steps that are timed."""

logger = logging.getLogger("untrain")


def check_time_budget(seconds: float | None) -> None:
    """Check the time that forgetting may take, if it is limited.

    Raises:
        InputError: it is no number of seconds above 0.
    """
    if seconds is not None and not seconds > 0:
        raise InputError(f"time_budget must be a number of seconds above 0, got {seconds}.")


@dataclass(frozen=True, eq=False)
class Situation:
    """What a method is chosen for.

    Attributes:
        models: the original, a population of one; it is not changed.
        request: what is to be forgotten.
        can_retrain: whether the original's factory and recipe are known.
        time_budget: of forgetting in seconds, or None.
        checkpoint: an earlier state of the original, or None; it is used where the recipe is known.
    """

    models: Population
    request: Request
    can_retrain: bool
    time_budget: float | None = None
    checkpoint: Checkpoint | None = None

    @functools.cached_property
    def convolutions(self) -> bool:
        """Whether the network has two-dimensional convolutions."""
        return bool(self.models.weights(nn.Conv2d))

    @property
    def share(self) -> float:
        """Share of the training set that is to be forgotten."""
        return len(self.request.forget) / (len(self.request.forget) + len(self.request.retain))

    @functools.cached_property
    def pass_seconds(self) -> float:
        """Seconds of one forward and backward pass over the retain set, extrapolated from a few steps of a copy.

        Raises:
            InputError: the network cannot be trained.

        Cost: twice three steps.
        """
        batch = min(self.request.recipe.batch_size, len(self.request.retain))
        few = self.request.retain.select(range(min(_TIMED * batch, len(self.request.retain))))
        recipe = Recipe(optimizer=SGD(lr=1e-6), epochs=2, batch_size=batch)
        training = self.models.clone().training(recipe, purpose="timing")
        guarded("The model cannot be trained", lambda: training.run(few, epochs=1))  # also the warm-up
        start = _wall(self.models)
        training.run(few, epochs=1)
        return (_wall(self.models) - start) * len(self.request.retain) / len(few)

    def method(self, spec: str) -> Method:
        """The method that a name stands for, with the checkpoint if it is one that takes it."""
        return build_method(spec, settings=_with_checkpoint(spec, self.checkpoint))

    def estimate(self, method: Method) -> float | None:
        """Approximate seconds that a method will take, or None if that is not known."""
        passes = method.passes(self.request.recipe)
        return None if passes is None else passes * self.pass_seconds

    def spec(self, name: str) -> str:
        """A method with the preset that suits the size of the data."""
        if ":" in name:
            return name
        small = math.ceil(len(self.request.retain) / _BATCH) < _SMALL_EPOCH
        return f"{name}:small" if small and "small" in METHODS.of(name).presets else name

    def why_not(self, spec: str) -> str | None:
        """Why a method does not fit, or None if it does, by its declared needs and by a trial on a few examples.

        Cost: as many steps on a few examples as the method has epochs.
        """
        kind, network = METHODS.of(base_name(spec)), type(self.models.skeleton).__name__
        if kind.needs_factory and not self.can_retrain:
            return "it trains new models, which needs a factory and a recipe"
        if kind.needs_convolutions and not self.convolutions:
            return f"it changes convolutions, and {network} has none"
        seconds = self.estimate(self.method(spec))
        if self.time_budget is not None and seconds is not None and seconds > self.time_budget:
            return f"it would take {duration(seconds)}; the time budget is {duration(self.time_budget)}"
        return self._refusal(spec)

    def _refusal(self, spec: str) -> str | None:
        """The error of a method that fails when it is tried on a few examples, or None."""
        request = self.request
        method = self.method(spec)
        # One epoch, however long the original was trained, unless a checkpoint stands at one of its epochs.
        recipe = request.recipe if isinstance(method, Rewind) else request.recipe.compressed(1e-9)
        validation = None if request.validation is None else _first(request.validation)
        trial = Request(_first(request.forget), _first(request.retain), recipe, validation)
        try:
            with _silent():  # warnings about so few examples would mislead
                method.forget(self.models.clone(), trial)
        except UntrainError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (a method that fails in any way does not fit)
            return first_line(error)
        return None


@contextmanager
def _silent() -> Iterator[None]:
    """Drop what this thread logs."""
    thread = threading.get_ident()

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)


def _first(examples: Examples) -> Examples:
    return examples.select(range(min(_TRIED, len(examples))))


def _wall(models: Population) -> float:
    if models.device.type == "cuda":
        torch.cuda.synchronize(models.device)
    return time.perf_counter()


@dataclass(frozen=True)
class Option:
    """A method, and whether it fits.

    Attributes:
        method: `name` or `name:preset`.
        title: a few words.
        fits: whether it can be used.
        why: reason to choose it, or reason why it does not fit; may be empty.
        seconds: approximate time that it will take, or None if that is not known.
    """

    method: str
    title: str
    fits: bool
    why: str
    seconds: float | None

    @property
    def cost(self) -> str:
        """The time that it will take, in words."""
        return "time unknown" if self.seconds is None else duration(self.seconds)


@dataclass(frozen=True)
class _Rule:
    """A method that `auto` chooses in some situations."""

    method: str
    applies: Callable[[Situation], bool]
    why: str


def _rewinds_to_clean_state(situation: Situation) -> bool:
    """Whether there is a checkpoint that never saw the forgotten examples, with something left to save."""
    checkpoint = situation.checkpoint
    return checkpoint is not None and checkpoint.before_forgotten and checkpoint.epoch > 0


def _can_retrain(situation: Situation) -> bool:
    return situation.can_retrain


_POLICY = (
    _Rule(
        "rewind",
        _rewinds_to_clean_state,
        "it forgets by construction from a checkpoint that never saw the examples, and costs less than retraining",
    ),
    _Rule("retrain", _can_retrain, "it trains a new model on the retained examples, which forgets by construction"),
    _Rule("short-retrain:half", _can_retrain, "it trains a new model in half of the epochs"),
    _Rule("renew", _can_retrain, "it trains a new model in a third of the epochs"),
    _Rule("short-retrain:fifth", _can_retrain, "it trains a new model in a fifth of the epochs"),
    _Rule(
        "prune-entropy",
        lambda situation: situation.convolutions,
        "of the methods that start from the model, it came nearest to retraining on networks with convolutions",
    ),
    _Rule(
        "ssse",
        lambda situation: situation.share < _FEW,
        "the forget set is less than 1 % of the training set, which one Newton step may remove",
    ),
    _Rule("prune-entropy", lambda _: True, "it relearns most weights and works on any network with linear layers"),
    _Rule("kl-contrast", lambda _: True, "it works on any network and costs little accuracy"),
    _Rule("finetune", lambda _: True, "it works on any network, though it removes little"),
)
"""What `auto` chooses, in this order: the first method whose rule applies and that fits the time budget.

The order follows the measured tables: methods that forget by construction come first, the most accurate of them before
the faster ones; then those that start from the original, by the memory that they leave. Without a time budget no rule
looks at how fast the machine is.
"""


def candidates(situation: Situation) -> Iterator[Option]:
    """What `auto` would choose, best first; each is tried on a few examples when the iterator reaches it."""
    seen = set()
    for rule in _POLICY:
        if rule.method in seen or base_name(rule.method) not in METHODS.names() or not rule.applies(situation):
            continue
        seen.add(rule.method)
        candidate = option(situation, situation.spec(rule.method))
        if candidate.fits:
            yield replace(candidate, why=_explained(situation, candidate, rule.why))


def _explained(situation: Situation, candidate: Option, why: str) -> str:
    """Why a method is chosen; with a time budget, also what was measured."""
    if situation.time_budget is None:
        return why
    budget = duration(situation.time_budget)
    if candidate.seconds is None:
        return f"{why}; how long it takes was not estimated, so the time budget of {budget} may not be kept"
    return f"{why}; it was estimated at {candidate.cost}, within the time budget of {budget}"


def option(situation: Situation, spec: str) -> Option:
    """Whether a method fits, and what it will cost."""
    why = situation.why_not(spec)
    title = METHODS.of(base_name(spec)).title
    return Option(spec, title, why is None, why or "", situation.estimate(situation.method(spec)))


def options(situation: Situation) -> list[Option]:
    """All installed methods, with the presets that suit the size of the data.

    Cost: a trial of each on a few examples.
    """
    return [_tried(situation, name) for name in METHODS.names()]


def _tried(situation: Situation, name: str) -> Option:
    with part(1):
        return option(situation, situation.spec(name))


def audit_cost(situation: Situation) -> str:
    """What an audit of the request would take, in a sentence."""
    if not situation.can_retrain:
        return "An audit against retrained models needs the factory and the recipe of the model."
    seconds = situation.estimate(build_method("retrain"))
    takes = "" if seconds is None else f", which takes about {duration(FEWEST_MODELS * seconds)} here"
    return f"An audit would train {FEWEST_MODELS} models without the examples{takes}."


def nothing_fits(situation: Situation) -> NotSupportedError:
    """The error to raise where there are no candidates."""
    if situation.time_budget is None:
        return NotSupportedError("No method that auto knows fits this model and request; name a method.")
    return NotSupportedError(
        f"No method that auto knows fits this model, request and time budget ({duration(situation.time_budget)}); "
        "allow more time or name a method."
    )


def _with_checkpoint(spec: str, checkpoint: Checkpoint | None) -> dict[str, object] | None:
    """Settings that give the checkpoint to a method that takes one."""
    if checkpoint is None or base_name(spec) != "rewind":
        return None
    return {"checkpoint": msgspec.to_builtins(checkpoint)}


def missing_of(factory: Factory | None, recipe: Recipe | None) -> tuple[str, ...]:
    """What of `factory` and `recipe` is not known, without which no new model can be trained."""
    return tuple(name for name, value in (("factory", factory), ("recipe", recipe)) if value is None)


_OPTIONS = {"factory": "--model", "recipe": "--recipe"}
"""How the shell passes them."""


def resolve_method(
    spec: str, missing: Sequence[str], recipe: Recipe | None, checkpoint: Checkpoint | None = None
) -> Method:
    """The method that a name stands for, if it can be used.

    Args:
        spec: `name` or `name:preset`. A plain `finetune` continues the training by the recipe, if there is one.
        missing: what is not known of `factory` and `recipe`; see `missing_of`.
        recipe: how the original was trained, or None.
        checkpoint: an earlier state of the original, for `rewind`.

    Raises:
        NotSupportedError: the method builds new models, and factory or recipe are not known; or it rewinds, and the
            recipe or the checkpoint is missing.
        ConfigError: there is no such method.
    """
    settings = _with_checkpoint(spec, checkpoint)
    if spec == "finetune" and recipe is not None:
        settings = {"recipe": msgspec.to_builtins(recipe)}
    method = build_method(spec, settings=settings)
    if method.needs_factory and missing:
        names = " and ".join(f"{name}= ({_OPTIONS[name]})" for name in missing)
        raise NotSupportedError(
            f"{spec} trains new models; pass {names}, or use ssse or finetune, which start from the given model."
        )
    if isinstance(method, Rewind) and (checkpoint is None or recipe is None):
        name = "recipe" if checkpoint is not None else "checkpoint"
        raise NotSupportedError(f"rewind continues the recipe from a checkpoint of the model; pass {name}= (--{name}).")
    return method
