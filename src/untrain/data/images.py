"""Image bytes to arrays, with a limit on their size and one kind of error."""

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from untrain.errors import InputError

MOST_PIXELS = 16_000_000
"""Larger images are refused before they are decoded: a file of a few kilobytes can claim to be enormous."""


def decode(data: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Decode one image to `[channels, height, width]` with values 0 to 255; one channel if grey, else three.

    Raises:
        InputError: the bytes are not a whole image of at most `MOST_PIXELS` pixels; the message names
            `where`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise InputError(f"expected at most {MOST_PIXELS} pixels, got {width} x {height} in {where}")
                if image.mode.startswith(("I", "F")):
                    raise InputError(f"expected 8 bits a channel, got mode {image.mode} in {where}")
                pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"expected an image, got bytes that cannot be decoded in {where}: {error}") from error
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def stack(images: list[npt.NDArray[np.uint8]], names: list[str], source: str) -> npt.NDArray[Any]:
    """Stack equally large images to float32 `[n, channels, height, width]` in 0..1.

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
        np.divide(image, np.float32(255), out=pixels[row])
    return pixels
