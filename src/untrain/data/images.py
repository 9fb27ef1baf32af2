"""Image files to arrays, with a limit on their size and one kind of error."""

import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from untrain.errors import InputError

MOST_PIXELS = 16_000_000
"""Larger images are refused before they are decoded: a file of a few kilobytes can claim to be enormous."""


MOST_BYTES = 100_000_000
"""Larger files are refused before they are read."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""What is decoded; of the many others that the library knows, one starts a program."""


def check_inside(files: Iterable[Path], root: Path) -> None:
    """Refuse files that links lead to from inside `root` while they lie outside it.

    Raises:
        InputError: there is one.
    """
    real = os.path.realpath(root)
    for file in files:
        if not Path(os.path.realpath(file)).is_relative_to(real):
            raise InputError(f"expected files inside {root}, got {file.relative_to(root)} that links outside it")


def read_bytes(file: Path) -> bytes:
    """What a file holds.

    Raises:
        InputError: it cannot be read, or is larger than `MOST_BYTES`.
    """
    try:
        if (size := file.stat().st_size) > MOST_BYTES:
            raise InputError(f"expected at most {MOST_BYTES} bytes, got {size} in {file}")
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


def decode(data: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Decode one image to `[channels, height, width]` with values 0 to 255; one channel if grey, else three.

    Raises:
        InputError: the bytes are not a whole image of at most `MOST_PIXELS` pixels; the message names
            `where`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise InputError(f"expected at most {MOST_PIXELS} pixels, got {width} x {height} in {where}")
                return pixels_of(image, where)
    except InputError:
        raise
    except Exception as error:
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise InputError(
            f"expected an image ({', '.join(FORMATS)}), got bytes that cannot be decoded in {where}{reason}"
        ) from error


def pixels_of(image: Image.Image, where: str) -> npt.NDArray[np.uint8]:
    """An image of 8 bits a channel as `[channels, height, width]`; one channel if grey, else three.

    Raises:
        InputError: it has more bits; the message names `where`.
    """
    if image.mode.startswith(("I", "F")):
        raise InputError(f"expected 8 bits a channel, got mode {image.mode} in {where}")
    pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def stack(images: list[npt.NDArray[np.uint8]], names: list[str], source: str, unit: float = 255.0) -> npt.NDArray[Any]:
    """Stack equally large images to float32 `[n, channels, height, width]`, divided by `unit`: by default 0..1.

    Raises:
        InputError: an image has another shape than the first.
    """
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            raise InputError(
                f"expected images of one shape in {source}, got {image.shape} for {name} and {images[0].shape} "
                f"for {names[0]}"
            )
    pixels = np.empty((len(images), *images[0].shape), dtype=np.float32)
    for row, image in enumerate(images):
        np.divide(image, np.float32(unit), out=pixels[row])
    return pixels
