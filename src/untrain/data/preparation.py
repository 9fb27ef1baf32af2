"""By what numbers inputs are resized and normalized; `untrain.data.prepare` does it."""

from dataclasses import dataclass
from math import isfinite

from untrain.errors import InputError


@dataclass(frozen=True)
class Preparation:
    """Size, mean and standard deviation.

    Attributes:
        size: height and width that pictures are resized to; default as they are.
        mean: one number, or one for each channel; default 0.
        std: one number above 0, or one for each channel; default 1.

    Raises:
        InputError: a size or a standard deviation is not above 0, or a number is not finite.

    >>> print(Preparation(size=(32, 24), mean=(0.5,)))
    --size 32x24 --mean 0.5 --std 1.0
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise InputError(f"The size of pictures must be at least 1 x 1, got {self.size[0]} x {self.size[1]}.")
        if not all(map(isfinite, (*self.mean, *self.std))) or min(self.std, default=0) <= 0 or not self.mean:
            raise InputError(
                f"The mean must be finite and the standard deviation above 0, got {self.mean}, {self.std}."
            )

    def __str__(self) -> str:
        """As the options of the command line say it."""
        size = [] if self.size is None else [f"--size {self.size[0]}x{self.size[1]}"]
        numbers = [f"--{name} {','.join(map(str, of))}" for name, of in (("mean", self.mean), ("std", self.std))]
        return " ".join([*size, *numbers])
