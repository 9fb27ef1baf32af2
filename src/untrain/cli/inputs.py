"""What a person names on the command line: data, and a network with or without weights."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untrain.errors import ConfigError, InputError

if TYPE_CHECKING:
    from torch import nn

    from untrain.data import Examples
    from untrain.models import Factory
    from untrain.population import Recipe


@dataclass(frozen=True)
class Inputs:
    """Data and network.

    Attributes:
        data: digits, mnist, cifar10, fashion-mnist, surf, a folder with one folder of images a class, a folder in the
            layout of surf, or a .parquet table.
        data_dir: folder of the parquet data, or of surf; default the variable UNTRAIN_DATA.
        limit: look at this many examples, drawn at random; default all.
        label: the label column of a table.
        model: mlp, cnn, resnet18 or package.module:factory; default one that suits the data.
        weights: a state dict of the trained model as .safetensors, or hf://owner/repo[@revision]/file.safetensors.
        recipe: how the model was trained, a .toml file; what trains models anew needs it beside weights.
        seed: root of all random numbers.
    """

    data: str = "digits"
    data_dir: Path | None = None
    limit: int | None = None
    label: str = "label"
    model: str | None = None
    weights: str | None = None
    recipe: Path | None = None
    seed: int = 0

    def examples(self) -> "Examples":
        """Read the data."""
        from untrain.data import load

        return load(self.data, data_dir=self.data_dir, limit=self.limit, label=self.label, seed=self.seed)

    def network(self, examples: "Examples") -> "Network":
        """The network, checked on two of the examples.

        Raises:
            InputError: it cannot be imported or built, does not fit the examples, or the weights are not its own.
            ConfigError: the file of the recipe is none.
        """
        import torch

        from untrain.models.weights import load_weights

        own = None if self.recipe is None else read_recipe(self.recipe)
        factory, recipe = _factory(self.model, examples)
        module = _built(factory, examples)
        if self.weights is None:
            return Network(None, factory, own or recipe)
        load_weights(module, _local(self.weights))
        return Network(module.to("cuda" if torch.cuda.is_available() else "cpu"), factory, own)


@dataclass(frozen=True)
class Question(Inputs):
    """Data, a network, and what to look for. Without weights a network is trained first.

    With weights but no recipe, auto falls back to neighbours, and repair to ssse.

    Attributes:
        scorer: of suspicion, `name` or `name:preset`, as `untrain list` shows them.
        noise_ratio: share of wrong labels, if it is known.
    """

    scorer: str = "auto"
    noise_ratio: float | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A network as the public functions take it: trained, or None with a recipe by which to train it."""

    module: "nn.Module | None"
    factory: "Factory"
    recipe: "Recipe | None"


def read_recipe(path: Path) -> "Recipe":
    """Read a recipe from a .toml file.

    Raises:
        InputError: there is no such file.
        ConfigError: it is no recipe.
    """
    import msgspec

    from untrain.population import Recipe

    try:
        return msgspec.toml.decode(path.read_bytes(), type=Recipe)
    except OSError as error:
        raise InputError(f"expected a recipe in {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"expected a recipe in {path}, got something else: {error}") from error


def _local(weights: str) -> Path:
    """Where weights lie, once they are fetched."""
    if not weights.startswith("hf://"):
        return Path(weights)
    from untrain.models.hub import fetch_weights

    return fetch_weights(weights)


def _factory(name: str | None, examples: "Examples") -> "tuple[Factory, Recipe]":
    from untrain.models import CNN, MLP, Model, ResNet18, factory, import_factory
    from untrain.population import guarded, suited, suited_recipe

    model, recipe = suited(examples)
    known: dict[str, Model] = {"mlp": MLP(), "cnn": CNN(), "resnet18": ResNet18()}
    if name is not None and ":" in name:
        # As `python -m` does, so that a module beside the data can be named.
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        return guarded("a factory that can be imported", lambda: import_factory(name)), recipe
    if name is not None:
        if name not in known:
            raise InputError(f"expected {', '.join(known)} or package.module:factory as model, got {name!r}")
        model, recipe = known[name], suited_recipe(known[name])
    return factory(model, examples.inputs.shape[1:], len(examples.classes)), recipe


def _built(factory: "Factory", examples: "Examples") -> "nn.Module":
    """A module that was seen to turn two examples into logits."""
    from untrain.population import Engine, Population, check_fits, guarded

    expected = f"a model for inputs of shape {examples.inputs.shape[1:]} and {len(examples.classes)} classes"
    models: Population = guarded(expected, lambda: Population.create(factory, 1, engine=Engine()))
    check_fits(models, examples)
    return models.module()
