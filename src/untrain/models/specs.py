"""Networks by name: a frozen description that builds an `nn.Module` for an input shape and a number of classes."""

import functools
import importlib
import itertools
import math
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor, nn

from untrain.errors import InputError
from untrain.models.resnet import resnet18

Factory = Callable[[], nn.Module]
Width = Annotated[int, msgspec.Meta(ge=1)]


class Standardize(nn.Module):
    """Subtract a mean from each column and divide by a scale.

    Both are buffers, so that they are saved with the weights. They start as 0 and 1; whoever builds the network sets
    them to those of the training data.

    Args:
        columns: number of columns.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))

    def forward(self, inputs: Tensor) -> Tensor:
        """Standardize `[n, columns]`."""
        return (inputs - self.mean) / self.scale


class MLP(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mlp", tag_field="name"):
    """A multilayer perceptron with ReLU between its layers; inputs of any shape are flattened.

    Attributes:
        widths: units of each hidden layer, none for a linear classifier.
        standardize: whether the inputs are standardized first, see `Standardize`.
    """

    widths: tuple[Width, ...] = (50, 50)
    standardize: bool = False

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Build it for inputs of `shape` (without the batch axis)."""
        layers: list[nn.Module] = [nn.Flatten(), *([Standardize(math.prod(shape))] if self.standardize else [])]
        for before, after in itertools.pairwise((math.prod(shape), *self.widths)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear((math.prod(shape), *self.widths)[-1], classes))


class CNN(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cnn", tag_field="name"):
    """A small convolutional network: 3x3 convolutions of stride 2, each with batch norm and ReLU, and a linear layer.

    Strides instead of pooling: on a CPU, max pooling costs as much as the convolutions of so small a network.

    Attributes:
        widths: channels of each convolution.
    """

    widths: Annotated[tuple[Width, ...], msgspec.Meta(min_length=1)] = (16, 32)

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Build it for images of `shape`: channels, height, width."""
        channels, height, width = image_shape(shape, "cnn")
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((channels, *self.widths)):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            height, width = math.ceil(height / 2), math.ceil(width / 2)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(self.widths[-1] * height * width, classes))


class PooledCNN(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pooled-cnn", tag_field="name"):
    """A convolutional network: 3x3 convolutions, each with batch norm, ReLU and 2x2 max pooling, and a linear layer.

    It learns photographs better than `CNN` and takes several times as long.

    Attributes:
        widths: channels of each convolution.
    """

    widths: Annotated[tuple[Width, ...], msgspec.Meta(min_length=1)] = (32, 64, 128)

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Build it for images of `shape`: channels, height, width."""
        channels, height, width = image_shape(shape, "pooled-cnn")
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((channels, *self.widths)):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            height, width = math.ceil(height / 2), math.ceil(width / 2)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(self.widths[-1] * height * width, classes))


class ResNet18(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="resnet18", tag_field="name"):
    """ResNet-18 with torchvision's architecture, initialization and state-dict names.

    Attributes:
        stem: `imagenet` (7x7 convolution of stride 2 and max pooling, as torchvision has it and the competition used it
            even on 32x32 images) or `cifar` (3x3 convolution of stride 1, no pooling).
    """

    stem: Literal["imagenet", "cifar"] = "imagenet"

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Build it for images of `shape`: channels, height, width."""
        return resnet18(image_shape(shape, "resnet18")[0], classes, self.stem)


Model = MLP | CNN | PooledCNN | ResNet18


def image_shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """`shape` if it is that of an image.

    Raises:
        InputError: it is not channels, height, width.
    """
    if len(shape) != 3:
        raise InputError(f"{name} needs inputs of channels x height x width, got shape {shape}.")
    return shape


def factory(model: Model, shape: tuple[int, ...], classes: int) -> Factory:
    """A function without arguments that builds the model anew; it can be sent to another process."""
    return functools.partial(model.build, tuple(shape), classes)


def import_factory(path: str) -> Factory:
    """Import `package.module:factory`; for names typed by a person, never for names read from a file.

    Raises:
        InputError: there is no such module or function.
    """
    module, _, name = path.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{path!r} cannot be imported as PACKAGE.MODULE:FACTORY: {error}") from error
    if not callable(factory):
        raise InputError(f"{path} must be a function that builds a module, got {type(factory).__name__}.")
    return factory  # type: ignore[no-any-return]  # what it builds is checked when it is called
