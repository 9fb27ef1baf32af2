"""What a person names on the command line: data, and a network with or without weights."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.errors import InputError, UntrainError

if TYPE_CHECKING:
    from torch import nn

    from untrain.data import Examples
    from untrain.models import Factory
    from untrain.population import Recipe


@dataclass(frozen=True)
class Inputs:
    """Data and network.

    Attributes:
        data: digits, mnist, cifar10, fashion-mnist, a folder with one folder of images a class, or a .parquet table.
        data_dir: folder of the parquet data; default the variable UNTRAIN_DATA.
        limit: look at this many examples, drawn at random; default all.
        label: the label column of a table.
        model: mlp, cnn, resnet18 or package.module:factory; default one that suits the data. Without weights it is
            trained first.
        weights: a state dict of the trained model as .safetensors. How it was trained is not known then, so that auto
            falls back to neighbours, and repair to ssse.
        scorer: of suspicion, `name` or `name:preset`, as `untrain list` shows them.
        noise_ratio: share of wrong labels, if it is known.
        seed: root of all random numbers.
    """

    data: str = "digits"
    data_dir: Path | None = None
    limit: int | None = None
    label: str = "label"
    model: str | None = None
    weights: Path | None = None
    scorer: str = "auto"
    noise_ratio: float | None = None
    seed: int = 0

    def examples(self) -> "Examples":
        """Read the data."""
        from untrain.data import load

        return load(self.data, data_dir=self.data_dir, limit=self.limit, label=self.label, seed=self.seed)

    def network(self, examples: "Examples") -> "Network":
        """The network, checked on two of the examples.

        Raises:
            InputError: it cannot be imported or built, does not fit the examples, or the weights are not its own.
        """
        import torch

        factory, recipe = _factory(self.model, examples)
        module = _built(factory, examples)
        if self.weights is None:
            return Network(None, factory, recipe)
        _load_weights(module, self.weights)
        return Network(module.to("cuda" if torch.cuda.is_available() else "cpu"), factory, None)


@dataclass(frozen=True, eq=False)
class Network:
    """A network as `detect` and `repair` take it: trained, or None with a recipe by which to train it."""

    module: "nn.Module | None"
    factory: "Factory"
    recipe: "Recipe | None"


def _factory(name: str | None, examples: "Examples") -> "tuple[Factory, Recipe]":
    from untrain.models import CNN, MLP, Model, ResNet18, factory, import_factory
    from untrain.population import suited, suited_recipe

    model, recipe = suited(examples)
    known: dict[str, Model] = {"mlp": MLP(), "cnn": CNN(), "resnet18": ResNet18()}
    if name is not None and ":" in name:
        # As `python -m` does, so that a module beside the data can be named.
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        return _guarded("a factory that can be imported", lambda: import_factory(name)), recipe
    if name is not None:
        if name not in known:
            raise InputError(f"expected {', '.join(known)} or package.module:factory as model, got {name!r}")
        model, recipe = known[name], suited_recipe(known[name])
    return factory(model, examples.inputs.shape[1:], len(examples.classes)), recipe


def _built(factory: "Factory", examples: "Examples") -> "nn.Module":
    """A module that was seen to turn two examples into logits."""
    from untrain.population import Engine, Population

    classes, few = len(examples.classes), examples.select(range(min(2, len(examples))))
    expected = f"a model for inputs of shape {examples.inputs.shape[1:]} and {classes} classes"
    models: Population = _guarded(expected, lambda: Population.create(factory, 1, engine=Engine()))
    shape = _guarded(expected, lambda: tuple(models.logits(few).shape))[1:]
    if shape != (len(few), classes):
        raise InputError(f"expected {expected}, got logits of shape {shape} for {len(few)} examples")
    return models.module()


def _guarded(expected: str, made: Any) -> Any:  # noqa: ANN401 (whatever it makes)
    """What a person's own code makes; whatever goes wrong there becomes one sentence."""
    try:
        return made()
    except UntrainError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"expected {expected}, got: {reason}") from error


def _load_weights(module: "nn.Module", path: Path) -> None:
    """Put a stored state dict into a module of the same architecture."""
    import safetensors
    import safetensors.torch

    from untrain.population.population import check_tensors

    if not path.is_file():
        raise InputError(f"expected weights as a .safetensors file at {path}, found none")
    try:
        stored = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"expected a whole .safetensors file at {path}, got one that is not: {error}") from error
    found, expected = (
        {name: tuple(tensor.shape) for name, tensor in state.items()} for state in (stored, module.state_dict())
    )
    check_tensors(found, expected, path)
    module.load_state_dict(stored)
