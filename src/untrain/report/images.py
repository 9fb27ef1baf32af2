"""Examples as small pictures that a page can carry inside itself."""

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST = 96
"""Pixels of the longer side; larger pictures are made smaller, so that a page of many stays small."""

_NOT_A_SHARE = 16
"""Pixels in 0..1 stay below this even where a model sees them standardized."""


def png(pixels: npt.NDArray[Any]) -> str | None:
    """A PNG in base64 of one example, or None if it is no image.

    Args:
        pixels: `[channels, height, width]` with one or three channels, bytes or numbers in 0..1, or in 0..255 if one is
            above 16; what lies outside is clipped.
    """
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or 0 in pixels.shape:
        return None
    unit = 1 if pixels.dtype == np.uint8 or pixels.max() > _NOT_A_SHARE else 255.0
    scaled = np.clip(pixels * unit, 0, 255).astype(np.uint8)
    image = Image.fromarray(scaled[0] if len(scaled) == 1 else np.moveaxis(scaled, 0, -1))
    image.thumbnail((LARGEST, LARGEST))
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
