"""How inputs are prepared for a model: resized and normalized as they were when it was trained."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from untrain.data.examples import Array, Examples
from untrain.data.images import pixels_of
from untrain.errors import InputError


@dataclass(frozen=True)
class Prepare:
    """Resize a picture, scale it to 0..1, subtract the mean and divide by the standard deviation of each channel.

    It is a transform as `load` and `as_examples` take it. Arrays are normalized along their first axis.

    Attributes:
        size: height and width of the picture, resized with bilinear interpolation and antialiasing; default as it is.
        mean: one number, or one for each channel; default 0.
        std: one number above 0, or one for each channel; default 1.

    Raises:
        InputError: a size or a standard deviation is not above 0; there are more or fewer numbers than channels.

    >>> Prepare(mean=(0.5,), std=(0.5,))(np.array([0.0, 1.0])).tolist()
    [-1.0, 1.0]
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise InputError(f"The size of pictures must be at least 1 x 1, got {self.size[0]} x {self.size[1]}.")
        if not all(np.isfinite((*self.mean, *self.std))) or min(self.std, default=0) <= 0 or not self.mean:
            raise InputError(
                f"The mean must be finite and the standard deviation above 0, got {self.mean}, {self.std}."
            )

    def __call__(self, given: object) -> Array:
        """One input as float32."""
        if isinstance(given, Image.Image):
            if self.size is not None:
                given = given.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)
            values = pixels_of(given, "a picture").astype(np.float32) / np.float32(255)
        elif self.size is not None:
            raise InputError("Only pictures can be resized, and these inputs are numbers: leave out the size.")
        else:
            values = np.asarray(given, dtype=np.float32)
        channels = values.shape[0] if values.ndim else 1
        mean, std = (self._along(numbers, channels, values.ndim) for numbers in (self.mean, self.std))
        return (values - mean) / std

    def __str__(self) -> str:
        """As the options of the command line say it.

        >>> print(Prepare(size=(32, 24), mean=(0.5,)))
        --size 32x24 --mean 0.5 --std 1.0
        """
        size = [] if self.size is None else [f"--size {self.size[0]}x{self.size[1]}"]
        numbers = [f"--{name} {','.join(map(str, of))}" for name, of in (("mean", self.mean), ("std", self.std))]
        return " ".join([*size, *numbers])

    def _along(self, numbers: tuple[float, ...], channels: int, axes: int) -> Array:
        if len(numbers) not in (1, channels):
            raise InputError(
                f"The mean and the standard deviation need 1 number or {channels}, one for each channel, got "
                f"{len(numbers)}."
            )
        return np.asarray(numbers, dtype=np.float32).reshape(-1, *[1] * max(0, axes - 1))


def noted(examples: Examples, transform: object) -> Examples:
    """The examples with a note of how their inputs were prepared, where that can be told."""
    return replace(examples, preparation=transform) if isinstance(transform, Prepare) else examples
