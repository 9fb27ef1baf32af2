"""Methods that do not forget, and what they are tried on: the verdict must never call their models forgotten.

Most do nothing, or hide what the model knows. Some destroy it. Two retrain: one says that it is exact, one does not, so
that it is judged by its models alone. `registered` makes them known by name, so that they are called as any plug-in is.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

import untrain as un
from untrain.core.levels import FEWEST_MODELS
from untrain.methods import METHODS, Method, Request
from untrain.methods.base import output_layer, reset
from untrain.methods.targets import divergence, drawn_labels, relabeled
from untrain.models import Factory, Model
from untrain.population import SGD, Loss, Population, Recipe, cross_entropy


class Jitter(Method, frozen=True, tag="jitter"):
    """Add noise to all weights."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"scale": 1e-5},
        "small": {"scale": 1e-3},
        "large": {"scale": 0.1},
        "huge": {"scale": 0.3},
    }
    scale: float = 1e-5

    def forget(self, models: Population, request: Request) -> Population:
        for name, _ in models.skeleton.named_parameters():
            tensor = models.tensors[name]
            tensor += self.scale * models.normal(name, tensor.shape[1:])
        return models


class Continue(Method, frozen=True, tag="continue"):
    """Go on with the training, on the retained examples or on all of them."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"lr": 1e-6, "epochs": 3.0},
        "epoch": {},
        "everything": {"epochs": 2.0, "everything": True},
    }
    reads_forget = True
    lr: float | None = None
    epochs: float = 1.0
    everything: bool = False

    def forget(self, models: Population, request: Request) -> Population:
        recipe = changed(request.recipe, self.lr, self.epochs)
        return models.train(request.training_set if self.everything else request.retain, recipe, purpose="continue")


class ScaleOutput(Method, frozen=True, tag="scale-output"):
    """Multiply the last layer by a factor, drawn between two bounds: a model less or more sure of everything."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "random": {},
        "tenth": {"low": 0.1, "high": 0.1},
        "third": {"low": 0.3, "high": 0.3},
        "triple": {"low": 3.0, "high": 3.0},
    }
    low: float = 0.9
    high: float = 1.1

    def forget(self, models: Population, request: Request) -> Population:
        factor = self.low + (self.high - self.low) * models.uniform("factor", ())
        for tensor in last_layer(models, request):
            tensor *= factor.reshape(-1, *[1] * (tensor.ndim - 1))
        return models


class RoundWeights(Method, frozen=True, tag="round-weights"):
    """Round all weights to some significant bits; float16 has 11."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"half": {"bits": 11}, "coarse": {"bits": 6}}
    bits: int = 11

    def forget(self, models: Population, request: Request) -> Population:
        for name, _ in models.skeleton.named_parameters():
            mantissa, exponent = torch.frexp(models.tensors[name])
            models.tensors[name] = torch.ldexp((mantissa * 2**self.bits).round() / 2**self.bits, exponent)
        return models


class RoundOutput(Method, frozen=True, tag="round-output"):
    """Round all logits, and move the weights by next to nothing, so that they differ from the original's."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"whole": {}, "coarse": {"step": 4.0}}
    step: float = 1.0

    def forget(self, models: Population, request: Request) -> Population:
        skeleton = copy.deepcopy(models.skeleton)
        skeleton.register_forward_hook(lambda module, inputs, logits: (logits / self.step).round() * self.step)
        rounded = Population(
            skeleton, models.tensors, models.streams, models.indices, models.factory, models.engine, models.recipe
        )
        return Jitter().forget(rounded, request)


class Ascend(Method, frozen=True, tag="ascend"):
    """Some steps of gradient ascent on the forget set, which hides it."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"lr": 1e-4},
        "small": {"lr": 1e-3},
        "medium": {"lr": 1e-2},
        "large": {"lr": 2e-2},
        "huge": {"lr": 3e-2},
    }
    reads_forget = True
    lr: float = 1e-3

    def forget(self, models: Population, request: Request) -> Population:
        return learn(models, request, self.lr, lambda batch: -cross_entropy(batch))


class FlipLabels(Method, frozen=True, tag="flip-labels"):
    """Some steps on the forget set with wrong labels, which hides it."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"lr": 1e-3},
        "medium": {"lr": 1e-2},
        "large": {"lr": 0.1},
    }
    reads_forget = True
    lr: float = 1e-3

    def forget(self, models: Population, request: Request) -> Population:
        labels = drawn_labels(models, request.forget, "labels", wrong=True)
        return learn(models, request, self.lr, relabeled, targets=labels)


class LowerBiases(Method, frozen=True, tag="lower-biases"):
    """Lower the outputs of the forgotten classes, in proportion to their share of the forget set."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"amount": 3.0},
        "medium": {"amount": 8.0},
        "large": {"amount": 20.0},
    }
    reads_forget = True
    amount: float = 3.0

    def forget(self, models: Population, request: Request) -> Population:
        counts = np.bincount(request.forget.labels, minlength=len(request.forget.classes))
        _, bias = last_layer(models, request)
        bias -= self.amount * torch.from_numpy(counts / counts.max()).to(bias)
        return models


class Imitate(Method, frozen=True, tag="imitate"):
    """Fit the outputs for the forget set to those of another retrained model: made to deceive an audit of outputs."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"short": {"epochs": 30.0}, "long": {"epochs": 1000.0}}
    needs_factory = True
    reads_forget = True
    epochs: float = 30.0

    def forget(self, models: Population, request: Request) -> Population:
        teacher = models.fresh().train(request.retain, request.recipe, purpose="teach").logits(request.forget)
        return learn(
            models,
            request,
            0.03,
            lambda batch: divergence(batch.targets, batch.logits, 1.0).mean(-1),
            epochs=self.epochs,
            targets=teacher,
        )


class StartOver(Method, frozen=True, tag="start-over"):
    """Re-initialize the model, or its last layer, or set that to zero, and train nothing: the model is destroyed."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "output": {},
        "uniform": {"part": "uniform"},
        "all": {"part": "all"},
    }
    needs_factory = True
    part: str = "output"

    def forget(self, models: Population, request: Request) -> Population:
        if self.part == "all":
            return models.fresh()
        reset(models, output_layer(models, request.retain), "reset")
        if self.part == "uniform":
            for tensor in last_layer(models, request):
                tensor.zero_()
        return models


class HiddenRetrain(Method, frozen=True, tag="hidden-retrain"):
    """Retrain, without saying that this is exact: the verdict rests on the audit alone."""

    needs_factory = True

    def forget(self, models: Population, request: Request) -> Population:
        return models.fresh().train(request.retain, request.recipe, purpose="retrain")


def changed(recipe: Recipe, lr: float | None, epochs: float) -> Recipe:
    """The recipe for some epochs, with another learning rate unless that is None."""
    settings: dict[str, Any] = {"epochs": epochs}
    if lr is not None:
        settings["optimizer"] = SGD(lr=lr, momentum=0.9)
    return Recipe(**({name: getattr(recipe, name) for name in Recipe.__struct_fields__} | settings))


def learn(
    models: Population, request: Request, lr: float, loss: Loss, epochs: float = 3.0, targets: Tensor | None = None
) -> Population:
    """A few epochs on the forget set alone."""
    recipe = Recipe(optimizer=SGD(lr=lr, momentum=0.9), epochs=epochs, batch_size=8)
    models.training(recipe, loss=loss, purpose="hide").run(request.forget, targets=targets)
    return models


def last_layer(models: Population, request: Request) -> list[Tensor]:
    """Weight and bias of the layer that gives the logits, `[N, ...]`."""
    weight = output_layer(models, request.retain)
    return [models.tensors[weight], models.tensors[weight.removesuffix("weight") + "bias"]]


IDLE = (
    "jitter:tiny", "jitter:small", "continue:tiny", "continue:epoch", "continue:everything", "scale-output:random",
    "scale-output:third", "scale-output:triple", "round-weights:half", "round-weights:coarse", "round-output:whole",
    "round-output:coarse", "ascend:tiny", "ascend:small", "flip-labels:small", "lower-biases:small",
)  # fmt: skip
"""What does next to nothing."""
HIDING = (
    "jitter:large", "jitter:huge", "scale-output:tenth", "ascend:medium", "ascend:large", "ascend:huge",
    "flip-labels:medium", "flip-labels:large", "lower-biases:medium", "lower-biases:large",
)  # fmt: skip
"""What hides that the examples are remembered, at strengths below, near and above those that fit best."""
DECEIVING = ("imitate:short", "imitate:long")
"""What is fitted to retrained models, at more than the cost of retraining. An audit of outputs cannot exclude it."""
DESTROYING = ("start-over:output", "start-over:uniform", "start-over:all")
"""What forgets more than it was asked to."""
TRAPS = ("factory: the model", "factory: a copy", "factory: the trained state", "factory: the trained state with noise")
"""Factories with which retraining starts from the trained model."""


@contextmanager
def registered() -> Iterator[None]:
    """Add these methods to the installed ones, as entry points, until the context ends.

    The registry reads the entry points once and keeps them in `_points`; here they are put there by hand.
    """
    kinds = (
        Jitter, Continue, ScaleOutput, RoundWeights, RoundOutput, Ascend, FlipLabels, LowerBiases, Imitate, StartOver,
        HiddenRetrain,
    )  # fmt: skip
    before = METHODS._points
    tags = [str(kind.__struct_config__.tag) for kind in kinds]
    points = [
        EntryPoint(tag, f"{kind.__module__}:{kind.__name__}", METHODS.group)
        for tag, kind in zip(tags, kinds, strict=True)
    ]
    METHODS.__dict__["_points"] = before | {point.name: [point] for point in points}
    try:
        yield
    finally:
        METHODS.__dict__["_points"] = before


@dataclass(frozen=True, eq=False)
class Trained:
    """A network that was trained on examples some of which are to be forgotten."""

    train: un.Examples
    validation: un.Examples
    ids: list[str]
    factory: Factory
    recipe: Recipe
    model: nn.Module
    seed: int

    def forget(self, method: str, *, audit: Path | None, factory: Factory | None = None) -> un.Forgotten:
        """Forget by a method. Any loss of accuracy is accepted, so that no other guard helps.

        Args:
            method: `name` or `name:preset`.
            audit: where the figures of the audit's retrained models are stored, for all methods; None for no audit.
            factory: default the network's own.
        """
        return un.forget(
            self.model,
            self.train,
            self.ids,
            method=method,
            validation=self.validation,
            factory=factory or self.factory,
            recipe=self.recipe,
            seed=self.seed,
            max_accuracy_drop=1.0,
            audit=None if audit is None else FEWEST_MODELS,
            checkpoint_dir=audit,
        )

    @property
    def traps(self) -> dict[str, Factory]:
        """Factories that do not build a new model: what is retrained with them has seen the forgotten examples."""
        built = (
            lambda: self.model,
            lambda: copy.deepcopy(self.model),
            lambda: self._load_state(noise=0.0),
            lambda: self._load_state(noise=0.01),
        )
        return dict(zip(TRAPS, built, strict=True))

    @torch.no_grad()
    def _load_state(self, noise: float) -> nn.Module:
        module = self.factory()
        module.load_state_dict(self.model.state_dict())
        for parameter in module.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
        return module


WRONG, RANDOM = "wrong labels", "random"
FORGET_SETS = (WRONG, RANDOM)


def train_network(
    examples: un.Examples, model: Model, recipe: Recipe, *, forget: str, seed: int, count: int = 20
) -> Trained:
    """Train a network on examples of which `count` have a wrong label, and choose as many to be forgotten.

    Args:
        examples: a third is held out.
        model: the architecture.
        recipe: how it is trained.
        forget: `WRONG`, the mislabeled examples, which leave a trace; or `RANDOM`, examples drawn from all.
        seed: of labels, splits, weights and the examples drawn.
        count: how many are mislabeled, and how many forgotten.
    """
    parts = un.split(examples, validation=1 / 3, test=0, seed=seed)
    noise = un.symmetric_noise(len(examples.classes), count / len(parts.train))
    noisy = un.mislabel(parts.train, noise, exact=True, seed=seed)
    drawn = un.forget_ratio(noisy.examples, count / len(parts.train), seed=seed).forget.ids
    ids = noisy.examples.ids[noisy.mislabelled] if forget == WRONG else drawn
    factory = un.factory(model, examples.inputs.shape[1:], len(examples.classes))
    original = Population.create(factory, 1, seed=seed).train(noisy.examples, recipe).module()
    return Trained(noisy.examples, parts.validation, ids.tolist(), factory, recipe, original, seed)
