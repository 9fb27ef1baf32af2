"""Examples as small pictures that a page can carry inside itself."""

import base64
import io

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.bool_ | np.integer | np.floating]
"""`[channels, height, width]`."""

LARGEST = 96
"""Pixels of the longer side; larger pictures are made smaller, so that a page of many stays small."""

_NOT_A_SHARE = 16
"""Pixels in 0..1 stay below this even where a model sees them standardized."""


def png(pixels: Pixels) -> str | None:
    """A small PNG in base64 of one example, or None if it is no image; see `picture`."""
    content = picture(pixels, LARGEST)
    return None if content is None else base64.b64encode(content).decode()


def picture(pixels: Pixels, largest: int) -> bytes | None:
    """A PNG of one example, or None if it is no image.

    Args:
        pixels: `[channels, height, width]` with one or three channels, bytes or numbers in 0..1, or in 0..255 if one is
            above 16; what lies outside is clipped.
        largest: pixels of the longer side; larger pictures are made smaller.
    """
    from PIL import Image

    if not is_image(pixels.shape):
        return None
    unit = 1 if pixels.dtype == np.uint8 or pixels.max() > _NOT_A_SHARE else 255.0
    scaled = np.clip(pixels * unit, 0, 255).astype(np.uint8)
    image = Image.fromarray(scaled[0] if len(scaled) == 1 else np.moveaxis(scaled, 0, -1))
    image.thumbnail((largest, largest))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether an input of this shape is an image."""
    return len(shape) == 3 and shape[0] in (1, 3) and 0 not in shape
