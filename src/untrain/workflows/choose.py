"""Which method suits a request: what `auto` takes and why, and what `doctor` says of every method."""

import functools
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec
import torch
from torch import nn

from untrain.core.text import duration
from untrain.data import Examples
from untrain.errors import NotSupportedError, UntrainError, first_line
from untrain.methods import METHODS, Method, Request, build_method
from untrain.population import SGD, Population, Recipe
from untrain.population.fitting import guarded

PATIENCE = 60.0
"""Seconds for which training anew is waited for where no limit is given."""

_FEW = 0.01
"""Share of the training set up to which a single Newton step is worth trying first."""

_SMALL_EPOCH, _BATCH = 100, 64
"""An epoch of fewer steps than this, at this batch size, is small: constants found for large data do too little."""

_TRIED, _TIMED = 16, 3
"""Examples of each set on which a method is tried, and steps that are timed."""

logger = logging.getLogger("untrain")


@dataclass(frozen=True, eq=False)
class Situation:
    """What a method is chosen for.

    Attributes:
        models: the original, a population of one; it is not changed.
        request: what is to be forgotten.
        known: whether the original's factory and recipe are known.
        seconds: that forgetting may take, or None.
    """

    models: Population
    request: Request
    known: bool
    seconds: float | None = None

    @functools.cached_property
    def convolutions(self) -> bool:
        """Whether the network has two-dimensional convolutions."""
        return bool(self.models.weights(nn.Conv2d))

    @property
    def share(self) -> float:
        """Of the training set that is to be forgotten."""
        return len(self.request.forget) / (len(self.request.forget) + len(self.request.retain))

    @functools.cached_property
    def pass_seconds(self) -> float:
        """Seconds of one pass over the retain set, forwards and backwards, by a few steps of a copy.

        Raises:
            InputError: the network cannot be trained.

        Cost: twice three steps.
        """
        batch = min(self.request.recipe.batch_size, len(self.request.retain))
        few = self.request.retain.select(range(min(_TIMED * batch, len(self.request.retain))))
        recipe = Recipe(optimizer=SGD(lr=1e-6), epochs=2, batch_size=batch)
        training = self.models.clone().training(recipe, purpose="timing")
        guarded("a network that can be trained", lambda: training.run(few, epochs=1))  # which also warms it up
        start = _wall(self.models)
        training.run(few, epochs=1)
        return (_wall(self.models) - start) * len(self.request.retain) / len(few)

    def estimate(self, method: Method) -> float | None:
        """Seconds that a method will take, roughly, or None if that is not known."""
        passes = method.passes(self.request.recipe)
        return None if passes is None else passes * self.pass_seconds

    def spec(self, name: str) -> str:
        """A method with the preset that suits the size of the data."""
        small = math.ceil(len(self.request.retain) / _BATCH) < _SMALL_EPOCH
        return f"{name}:small" if small and "small" in METHODS.of(name).presets else name

    def why_not(self, spec: str) -> str | None:
        """Why a method does not fit, or None if it does: by what it says of itself, and by a trial on a few examples.

        Cost: as many steps on a few examples as the method has epochs.
        """
        kind, network = METHODS.of(spec.partition(":")[0]), type(self.models.skeleton).__name__
        if kind.needs_factory and not self.known:
            return "it builds new models, and factory and recipe are not known"
        if kind.needs_convolutions and not self.convolutions:
            return f"it changes convolutions, and {network} has none"
        seconds = self.estimate(build_method(spec))
        if self.seconds is not None and seconds is not None and seconds > self.seconds:
            return f"it would take {duration(seconds)}, and {duration(self.seconds)} are allowed"
        return self._refusal(spec)

    def _refusal(self, spec: str) -> str | None:
        """What a method says, or how it fails, when it is tried on a few examples."""
        request = self.request
        recipe = request.recipe.compressed(1e-9)  # one epoch, however long the original was trained
        validation = None if request.validation is None else _first(request.validation)
        trial = Request(_first(request.forget), _first(request.retain), recipe, validation)
        was, logger.disabled = logger.disabled, True  # what is said of so few examples would mislead
        try:
            build_method(spec).forget(self.models.clone(), trial)
        except UntrainError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (whatever a method or a network raises, it does not fit)
            return first_line(error)
        finally:
            logger.disabled = was
        return None


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
        why: it is taken, or does not fit; empty if there is nothing to say.
        seconds: that it will take, roughly, or None if that is not known.
    """

    method: str
    title: str
    fits: bool
    why: str
    seconds: float | None


@dataclass(frozen=True)
class _Rule:
    """A method that `auto` takes in some situations."""

    method: str
    applies: Callable[[Situation], bool]
    why: str


def _quick(situation: Situation) -> bool:
    """Whether training anew is soon done; a limit of one's own is looked at for every method."""
    seconds = situation.estimate(build_method("retrain"))
    return situation.known and (situation.seconds is not None or (seconds is not None and seconds <= PATIENCE))


_POLICY = (
    _Rule("retrain", _quick, "it trains a new model on what is retained, which forgets by construction"),
    _Rule(
        "renew",
        lambda situation: situation.known,
        "it shrinks every weight and trains again, for a part of the time that retraining takes",
    ),
    _Rule(
        "prune-entropy",
        lambda situation: situation.convolutions,
        "of the methods that start from the model it came nearest to retraining on networks with convolutions",
    ),
    _Rule(
        "ssse",
        lambda situation: situation.share < _FEW,
        "the forget set is less than 1 % of the training set, which one Newton step may take away",
    ),
    _Rule("prune-entropy", lambda _: True, "it relearns most weights, and works on any network with linear layers"),
    _Rule("kl-contrast", lambda _: True, "it works on any network, and costs little accuracy"),
    _Rule("finetune", lambda _: True, "it works on any network, though it removes little"),
    _Rule("retrain", lambda situation: situation.known, "nothing faster fits"),
)
"""What `auto` takes, in this order: the first method whose rule applies and that fits."""


def candidates(situation: Situation) -> Iterator[Option]:
    """What `auto` would take, best first; each is tried on a few examples when it is asked for."""
    seen = set()
    for rule in _POLICY:
        if rule.method in seen or rule.method not in METHODS.names() or not rule.applies(situation):
            continue
        seen.add(rule.method)
        found = option(situation, situation.spec(rule.method))
        if found.fits:
            yield replace(found, why=rule.why)


def option(situation: Situation, spec: str) -> Option:
    """Whether a method fits, and what it will cost."""
    why = situation.why_not(spec)
    title = METHODS.of(spec.partition(":")[0]).title
    return Option(spec, title, why is None, why or "", situation.estimate(build_method(spec)))


def options(situation: Situation) -> list[Option]:
    """All installed methods, with the presets that suit the size of the data.

    Cost: a trial of each on a few examples.
    """
    return [option(situation, situation.spec(name)) for name in METHODS.names()]


def nothing_fits(situation: Situation) -> NotSupportedError:
    """What to raise where there are no candidates."""
    limit = "" if situation.seconds is None else f" in {duration(situation.seconds)}: allow more seconds, or name one"
    return NotSupportedError(f"expected a method that fits this model and request, found none{limit}")


def named(spec: str, known: bool, recipe: Recipe | None) -> Method:
    """The method of a name, where it can work.

    Args:
        spec: `name` or `name:preset`. A plain `finetune` continues the training by the recipe, where that is known.
        known: whether there are a factory and a recipe.
        recipe: how the original was trained, or None.

    Raises:
        NotSupportedError: it builds new models, and it is not known how.
        ConfigError: there is no such method.
    """
    continued = spec == "finetune" and recipe is not None
    way = build_method(spec, settings={"recipe": msgspec.to_builtins(recipe)} if continued else None)
    if way.needs_factory and not known:
        raise NotSupportedError(
            f"expected a factory and a recipe, since {spec} trains a new model: pass factory= and recipe=, "
            "or take ssse or finetune, which start from the model as it is"
        )
    return way
