"""The options that several commands share: data and network, and a request to forget."""

import dataclasses
import functools
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import tyro

from untrain.cli.options import (
    Names,
    OptionalCount,
    OptionalDirectory,
    OptionalFile,
    OptionalSource,
    Source,
    option,
)
from untrain.cli.terminal import Status
from untrain.core.text import nearest, nearest_file
from untrain.errors import ConfigError, InputError, field_reason

if TYPE_CHECKING:
    from torch import nn

    from untrain.data import Examples, Prepare
    from untrain.models import Factory
    from untrain.population import Recipe
    from untrain.workflows.published import Published, Rows


KNOWN = ("mlp", "cnn", "resnet18")
"""Networks that have a name."""


_PLACES = ("data", "data_dir", "model", "weights", "recipe")
"""Options that may name a file or a folder."""


class Training(TypedDict):
    """The keywords that every verb takes."""

    factory: "Factory | None"
    recipe: "Recipe | None"
    seed: int
    progress: Callable[[str], None]


class RequestKeywords(Training):
    """The keywords of every verb that takes a request."""

    subjects: tuple[str, ...] | None
    validation: "Examples | None"
    previous: Path | None
    key: bytes | None
    pretrained: str | None


@dataclass(frozen=True)
class Inputs:
    """Data and network.

    Attributes:
        data: training data: digits, mnist, cifar10, fashion-mnist, surf, a folder with a subfolder of images for each
            class, a folder in the layout of CASIA-SURF, or a .parquet, .csv or .tsv table
        data_dir: folder of the parquet files or of CASIA-SURF; default: the environment variable UNTRAIN_DATA
        limit: number of examples to draw at random; default: all
        group: group column of a table
        label: label column of a table; default: label, labels, or the only column of class labels
        classes: class names in the order of the network's outputs, separated by commas; default: in alphabetical order,
            or the class numbers
        inputs: input columns of a table, separated by commas; default: the pictures, the lists, or all numbers
        size: height and width that pictures are resized to, as HEIGHTxWIDTH or one number; default: as they are
        mean: mean to subtract, one number or one for each channel, separated by commas
        std: standard deviation to divide by, given like --mean
        memory_limit: largest size of the decoded data in GB
        model: network: mlp, cnn, resnet18 or PACKAGE.MODULE:FACTORY; default: one that suits the data. Or a published
            classifier with its weights: hf://ORG/MODEL, or the directory of a snapshot; --data is then a directory of
            data files or hf://datasets/ORG/SET
        weights: trained weights, a .safetensors state dict or hf://OWNER/REPO[@REVISION]/FILE.safetensors
        strip_prefix: read only weights whose names begin with this, without it; default: module., _orig_mod. or model.
            where all names begin so
        recipe: training recipe of the network, a .toml file
        seed: root of all random numbers; default 0, and for `untrain forget` one that only the key tells
    """

    data: Source = "digits"
    data_dir: OptionalDirectory = None
    limit: OptionalCount = None
    label: Annotated[str | None, option("NAME")] = None
    classes: Annotated[str | None, option("NAMES")] = None
    inputs: Annotated[str | None, option("NAMES")] = None
    size: Annotated[str | None, option("SIZE")] = None
    mean: Annotated[str | None, option("NUMBERS")] = None
    std: Annotated[str | None, option("NUMBERS")] = None
    memory_limit: Annotated[float, option("GB")] = 4.0
    group: tyro.conf.Suppress[str | None] = None
    model: Annotated[str | None, option("NETWORK")] = None
    weights: Annotated[str | None, option("FILE")] = None
    strip_prefix: Annotated[str | None, option("PREFIX")] = None
    recipe: OptionalFile = None
    seed: Annotated[int | None, option("N")] = None

    @property
    def root(self) -> int:
        """The seed, or its default."""
        return 0 if self.seed is None else self.seed

    def examples(self, status: Status) -> "Examples":
        """Read the data."""
        from untrain.data import as_examples, load

        status.show(f"reading {self.data}")
        if (published := self.published) is not None:
            return published.examples(self.rows(published), self.memory_limit)
        examples = load(
            self.data,
            data_dir=self.data_dir,
            limit=self.limit,
            label=self.label,
            group=self.group,
            inputs=None if self.inputs is None else self.inputs.split(","),
            transform=self.preparation,
            memory_limit=self.memory_limit,
            seed=self.root,
        )
        return examples if self.classes is None else as_examples(examples, classes=self.classes.split(","))

    def rows(self, published: "Published") -> "Rows":
        """The rows of the data set for a published model."""
        return published.rows(
            self.data, label=self.label, inputs=self.inputs, group=self.group, limit=self.limit, seed=self.root
        )

    @property
    def preparation(self) -> "Prepare | None":
        """How inputs are resized and normalized, or None if they are not.

        Raises:
            ConfigError: a size or a number cannot be read.
        """
        from untrain.data import Prepare

        if self.size is None and self.mean is None and self.std is None:
            return None
        sides = None if self.size is None else [int(side) for side in _numbers(self.size, "x", "--size")]
        return Prepare(
            size=None if sides is None else (sides[0], sides[-1]),
            mean=_numbers(self.mean or "0", ",", "--mean"),
            std=_numbers(self.std or "1", ",", "--std"),
        )

    def check(self) -> None:
        """Check whatever can be checked before data are decoded: paths, the recipe, the weights and the model.

        Raises:
            InputError: a file is missing or is of another kind, or the model cannot be imported.
            ConfigError: the recipe is none; a size or a number cannot be read.
        """
        from untrain.data.sources import check_source

        preparation = self.preparation
        if self.published is None:
            check_source(self.data)
        elif preparation is not None:
            raise ConfigError(f"A published model prepares its inputs itself; leave out {preparation}.")
        elif self.classes is not None:
            raise ConfigError("A published model names its classes itself; leave out --classes.")
        if self.recipe is not None:
            read_recipe(self.recipe)
        if self.weights is not None and not self.weights.startswith("hf://"):
            _check_weights(Path(self.weights))
        if self.model is not None and self.published is None:
            _check_model(self.model)

    def stored(self) -> dict[str, object]:
        """The options that are not at their defaults, as plain values; paths that exist are absolute."""
        values = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return {
            name: _plain(name, value) for name, (value, default) in values.items() if value != default or name == "data"
        }

    @classmethod
    def restored(cls, values: Mapping[str, object]) -> "Inputs":
        """The options that `stored` made plain.

        Raises:
            ConfigError: they are not such options.
        """
        import msgspec

        try:
            return msgspec.convert(values, cls, dec_hook=lambda kind, value: kind(value))
        except (msgspec.ValidationError, TypeError) as error:
            raise ConfigError(f"The file does not say how its data were read ({error}); pass --data.") from error

    def words(self) -> list[str]:
        """The options that are not at their defaults, as a person types them."""
        words = list[str]()
        for name, value in self.stored().items():
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return words

    @functools.cached_property
    def published(self) -> "Published | None":
        """The published model that --model names, if it does; these options read it once."""
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
        if (published := self.published) is not None:
            keywords = Training(factory=None, recipe=given, seed=self.root, progress=status.show)
            module = published.load()
            if self.weights is not None:
                load_weights(module, _local(self.weights), strip_prefix=self.strip_prefix)
            return module.to(device), keywords
        factory, suited = _factory(self.model, examples)
        module = _built(factory, examples)
        training = Training(factory=factory, recipe=given, seed=self.root, progress=status.show)
        if self.weights is None:
            return None, {**training, "recipe": given or suited}
        prefix = load_weights(module, _local(self.weights), strip_prefix=self.strip_prefix)
        if prefix:
            status.show(f"weights: stripped {prefix!r} from all names")
        return module.to(device), training


def _numbers(text: str, separator: str, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in text.split(separator))
    except ValueError:
        raise ConfigError(f"{name} must be numbers separated by {separator!r}, got {text!r}.") from None
    if name == "--size" and (len(numbers) > 2 or any(number != int(number) for number in numbers)):
        raise ConfigError(f"--size must be HEIGHTxWIDTH or one whole number, got {text!r}.")
    return numbers


def _check_weights(path: Path) -> None:
    from untrain.models.weights import PICKLES

    if not path.is_file():
        raise InputError(f"There is no weights file {path}{nearest_file(path) or '; pass a .safetensors file.'}")
    if path.suffix in PICKLES:
        raise InputError(
            f"{path} was written by torch.save; convert it first: untrain convert {path} {path.stem}.safetensors"
        )


def _check_model(name: str) -> None:
    """Check that a model is known or can be imported.

    Raises:
        InputError: it is not.
    """
    from untrain.models import import_factory
    from untrain.population import guarded

    if ":" in name:
        if os.getcwd() not in sys.path:  # as `python -m` does, so that a module next to the data is found
            sys.path.insert(0, os.getcwd())
        guarded(f"The module of {name!r} fails when it is imported", lambda: import_factory(name))
    elif name not in KNOWN:
        raise InputError(
            f"--model must be {', '.join(KNOWN)} or PACKAGE.MODULE:FACTORY, got {name!r}{nearest(name, KNOWN) or '.'}"
        )


def _plain(option: str, value: object) -> object:
    """The value of an option as a plain one; a file or folder that it names, and that exists, as an absolute path."""
    from untrain.data.sources import is_named

    text = str(value)
    if option in _PLACES and not is_named(text) and text not in KNOWN and os.path.lexists(text):
        return os.path.abspath(text)
    return text if isinstance(value, Path) else value


InputOptions = Annotated[Inputs, tyro.conf.arg(name="data and network")]


@dataclass(frozen=True)
class RequestInputs:
    """A request to forget.

    Attributes:
        ids: text file with the ids of the examples to forget, one per line
        subject_column: column of the table that says whom or what a row belongs to; default: group
        subject: person or thing all of whose rows are to be forgotten, one option each, besides those in --ids
        validation: validation data outside the training set, given like --data
        previous: directory of the previous request, whose model is to forget more
        key: request.key of the previous requests, if it is not in their directory
        pretrained: where weights come from that --model does not draw at random, such as "ImageNet, torchvision"; this
            declares that no forgotten example was used for them, and is published
    """

    ids: OptionalFile = None
    subject_column: Annotated[str | None, option("NAME")] = None
    subject: Names = ()
    validation: OptionalSource = None
    previous: OptionalDirectory = None
    key: OptionalFile = None
    pretrained: Annotated[str | None, option("TEXT")] = None

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
        inputs = dataclasses.replace(self._prepared(inputs, status), group=self.subject_column)
        if inputs.weights is None and inputs.published is None:
            raise ConfigError(
                "The weights of a trained model are missing; pass --weights or --previous, or a published model."
            )
        inputs.check()
        check_validation_source(self.validation, inputs)
        if self.ids is None and not self.subject:
            raise ConfigError("Nothing is named that is to be forgotten; pass --ids or --subject.")
        ids, key = [] if self.ids is None else read_ids(self.ids), None if self.key is None else read_key(self.key)
        examples = inputs.examples(status)
        validation = None if self.validation is None else read_validation(self.validation, inputs, status)
        module, training = inputs.network(examples, status)
        assert module is not None  # noqa: S101 (there are weights)
        return (
            module,
            examples,
            ids,
            {
                **training,
                "subjects": self.subject or None,
                "validation": validation,
                "previous": self.previous,
                "key": key,
                "pretrained": self.pretrained,
            },
        )

    def _prepared(self, inputs: Inputs, status: Status) -> Inputs:
        """The inputs, prepared as in the previous request unless the options say how."""
        from untrain.records import read_record
        from untrain.records.directory import RECORD

        if self.previous is None or inputs.preparation is not None or not (self.previous / RECORD).is_file():
            return inputs
        earlier = read_record(self.previous / RECORD).preparation
        if earlier is None:
            return inputs
        size = None if earlier.size is None else "x".join(map(str, earlier.size))
        mean, std = (",".join(map(str, numbers)) for numbers in (earlier.mean, earlier.std))
        inputs = dataclasses.replace(inputs, size=size, mean=mean, std=std)
        status.show(f"inputs are prepared as in the previous request: {inputs.preparation}")
        return inputs


def check_validation_source(source: str | None, inputs: Inputs) -> None:
    """Check the source of validation data, if there is one, before anything is read.

    Raises:
        InputError: there is no such source.
    """
    from untrain.data.sources import check_source

    if source is not None and inputs.published is None:
        check_source(source)


def read_validation(source: str, inputs: Inputs, status: Status) -> "Examples":
    """Read validation data in the way of the training data, all of them.

    Ids that are paths below a folder, or numbers of rows, begin with `validation/` unless the source is that of the
    training data: the same path below two folders is not the same image.
    """
    import numpy as np

    examples = dataclasses.replace(inputs, data=source, limit=None).examples(status)
    path, data = Path(source), Path(inputs.data)
    same = source == inputs.data or (path.exists() and data.exists() and path.samefile(data))
    number = re.compile(rf"{re.escape(path.stem)}/\d{{5,}}")
    by_place = inputs.published is not None or path.is_dir() or all(map(number.fullmatch, examples.ids.tolist()))
    if same or not by_place:
        return examples
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
        raise InputError(
            f"The recipe {path} cannot be read: {error.strerror or error}; see `untrain recipe`."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a recipe: {field_reason(error)}; `untrain recipe` writes one.") from error


def _local(weights: str) -> Path:
    """The path of the weights, once they are downloaded."""
    if not weights.startswith("hf://"):
        return Path(weights)
    from untrain.models.hub import fetch_weights

    return fetch_weights(weights)


def _factory(name: str | None, examples: "Examples") -> "tuple[Factory, Recipe]":
    from untrain.models import CNN, MLP, Model, ResNet18, import_factory
    from untrain.population import recipe_for, suited, suited_factory, suited_recipe

    known: dict[str, Model] = {"mlp": MLP(), "cnn": CNN(), "resnet18": ResNet18()}
    if name is not None and ":" in name:
        _check_model(name)
        return import_factory(name), recipe_for(examples)
    if name is None:
        model, recipe = suited(examples)
    else:
        _check_model(name)
        model, recipe = known[name], suited_recipe(known[name], examples)
    return suited_factory(model, examples), recipe


def _built(factory: "Factory", examples: "Examples") -> "nn.Module":
    """A network, checked on two of the examples."""
    from untrain.population import Engine, Population, check_fits, guarded

    failure = "--model fails when it is called without arguments, to build a new network"
    models: Population = guarded(failure, lambda: Population.create(factory, 1, engine=Engine()))
    check_fits(models, examples)
    return models.module()
