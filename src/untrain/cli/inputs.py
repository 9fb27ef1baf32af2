"""The options that several commands share: data and network, and a request to forget."""

import dataclasses
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import tyro

from untrain.cli.options import (
    File,
    OptionalCount,
    OptionalDirectory,
    OptionalFile,
    OptionalSource,
    Source,
    option,
)
from untrain.cli.terminal import Status
from untrain.errors import ConfigError, InputError

if TYPE_CHECKING:
    from torch import nn

    from untrain.data import Examples
    from untrain.models import Factory
    from untrain.population import Recipe
    from untrain.workflows.published import Published


class Training(TypedDict):
    """The keywords that every verb takes."""

    factory: "Factory | None"
    recipe: "Recipe | None"
    seed: int
    progress: Callable[[str], None]


class RequestKeywords(Training):
    """The keywords of every verb that takes a request."""

    validation: "Examples | None"
    previous: Path | None
    key: bytes | None


@dataclass(frozen=True)
class Inputs:
    """Data and network.

    Attributes:
        data: training data: digits, mnist, cifar10, fashion-mnist, surf, a folder with a subfolder of images for each
            class, a folder in the layout of CASIA-SURF, or a .parquet table
        data_dir: folder of the parquet files or of CASIA-SURF; default: the environment variable UNTRAIN_DATA
        limit: number of examples to draw at random; default: all
        label: label column of a table; default: label, labels, or the only column of class labels
        model: network: mlp, cnn, resnet18 or PACKAGE.MODULE:FACTORY; default: one that suits the data. Or a published
            classifier with its weights: hf://ORG/MODEL, or the directory of a snapshot; --data is then a directory of
            data files or hf://datasets/ORG/SET
        weights: trained weights, a .safetensors state dict or hf://OWNER/REPO[@REVISION]/FILE.safetensors
        strip_prefix: read only weights whose names begin with this, without it; default: module., _orig_mod. or model.
            where all names begin so
        recipe: training recipe of the network, a .toml file
        seed: root of all random numbers
    """

    data: Source = "digits"
    data_dir: OptionalDirectory = None
    limit: OptionalCount = None
    label: Annotated[str | None, option("NAME")] = None
    model: Annotated[str | None, option("NETWORK")] = None
    weights: Annotated[str | None, option("FILE")] = None
    strip_prefix: Annotated[str | None, option("PREFIX")] = None
    recipe: OptionalFile = None
    seed: Annotated[int, option("N")] = 0

    def examples(self, status: Status) -> "Examples":
        """Read the data."""
        from untrain.data import load

        status.show(f"reading {self.data}")
        if (published := self.published()) is not None:
            return published.examples(self.data, label=self.label, limit=self.limit, seed=self.seed)
        return load(self.data, data_dir=self.data_dir, limit=self.limit, label=self.label, seed=self.seed)

    def published(self) -> "Published | None":
        """The published model that --model names, if it does."""
        from untrain.workflows.published import Published, is_published

        return Published.read(self.model) if self.model is not None and is_published(self.model) else None

    def network(self, examples: "Examples", status: Status) -> "tuple[nn.Module | None, Training]":
        """The trained network, or None without weights, and how a network is trained.

        Raises:
            InputError: the network cannot be imported or built, or does not fit the examples or the weights.
            ConfigError: the file of the recipe does not contain one.
        """
        import torch

        from untrain.models.weights import load_weights

        given = None if self.recipe is None else read_recipe(self.recipe)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if (published := self.published()) is not None:
            keywords = Training(factory=None, recipe=given, seed=self.seed, progress=status.show)
            return published.load().to(device), keywords
        factory, suited = _factory(self.model, examples)
        module = _built(factory, examples)
        training = Training(factory=factory, recipe=given, seed=self.seed, progress=status.show)
        if self.weights is None:
            return None, {**training, "recipe": given or suited}
        prefix = load_weights(module, _local(self.weights), strip_prefix=self.strip_prefix)
        if prefix:
            status.show(f"weights: stripped {prefix!r} from all names")
        return module.to(device), training


InputOptions = Annotated[Inputs, tyro.conf.arg(name="data and network")]


@dataclass(frozen=True)
class RequestInputs:
    """A request to forget.

    Attributes:
        ids: text file with the ids of the examples to forget, one per line
        validation: validation data outside the training set, given like --data
        previous: directory of the previous request, whose model is to forget more
        key: request.key of the previous requests, if it is not in their directory
    """

    ids: File
    validation: OptionalSource = None
    previous: OptionalDirectory = None
    key: OptionalFile = None

    def read(self, inputs: Inputs, status: Status) -> "tuple[nn.Module, Examples, list[str], RequestKeywords]":
        """The arguments of every verb that takes a request: model, examples, ids, and keywords.

        Raises:
            ConfigError: there are no weights.
            InputError: a file cannot be read.
        """
        from untrain.data import read_ids
        from untrain.records import read_key
        from untrain.records.directory import MODEL

        if inputs.weights is None and self.previous is not None:
            inputs = dataclasses.replace(inputs, weights=str(self.previous / MODEL))
        if inputs.weights is None:
            raise ConfigError("The weights of a trained model are missing; pass --weights or --previous.")
        ids, key = read_ids(self.ids), None if self.key is None else read_key(self.key)
        examples = inputs.examples(status)
        validation = None if self.validation is None else _validation(self.validation, inputs, status)
        module, training = inputs.network(examples, status)
        assert module is not None  # noqa: S101 (there are weights)
        return module, examples, ids, {**training, "validation": validation, "previous": self.previous, "key": key}


def _validation(source: str, inputs: Inputs, status: Status) -> "Examples":
    import numpy as np

    examples = dataclasses.replace(inputs, data=source, limit=None).examples(status)
    if not Path(source).is_dir():
        return examples
    # Ids are paths below the folder; the same path below two folders is not the same image.
    return dataclasses.replace(examples, ids=np.asarray([f"validation/{name}" for name in examples.ids]))


def read_recipe(path: Path) -> "Recipe":
    """Read a recipe from a .toml file.

    Raises:
        InputError: the file cannot be read.
        ConfigError: the file is not a recipe.
    """
    import msgspec

    from untrain.population import Recipe

    try:
        return msgspec.toml.decode(path.read_bytes(), type=Recipe)
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a recipe: {error}") from error


def _local(weights: str) -> Path:
    """The path of the weights, once they are downloaded."""
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
        # As `python -m` does, so that a module next to the data is found.
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        return guarded("a factory that can be imported", lambda: import_factory(name)), recipe
    if name is not None:
        if name not in known:
            raise InputError(f"expected --model {', '.join(known)} or PACKAGE.MODULE:FACTORY, got {name!r}")
        model, recipe = known[name], suited_recipe(known[name])
    return factory(model, examples.array.shape[1:], len(examples.classes)), recipe


def _built(factory: "Factory", examples: "Examples") -> "nn.Module":
    """A network, checked on two of the examples."""
    from untrain.population import Engine, Population, check_fits, guarded

    expected = f"a model for inputs of shape {examples.form} and {len(examples.classes)} classes"
    models: Population = guarded(expected, lambda: Population.create(factory, 1, engine=Engine()))
    check_fits(models, examples)
    return models.module()
