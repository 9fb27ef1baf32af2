"""Image files to arrays, with a limit on their size and one kind of error."""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from untrain.data.examples import Array, Positions
from untrain.errors import InputError

Pixels = npt.NDArray[np.uint8]
"""`[channels, height, width]`, 0 to 255."""

MOST_PIXELS = 16_000_000
"""Larger images are refused before they are decoded: a file of a few kilobytes can claim to be enormous."""


MOST_BYTES = 100_000_000
"""Larger files are refused before they are read."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""The formats that are decoded; Pillow would run Ghostscript on a disguised PostScript file."""


def check_inside(files: Iterable[Path], root: Path) -> None:
    """Refuse files below `root` that are links to files outside it.

    Raises:
        InputError: there is one.
    """
    real = os.path.realpath(root)
    for file in files:
        if not Path(os.path.realpath(file)).is_relative_to(real):
            raise InputError(f"{file.relative_to(root)} links outside {root}: replace the link by a copy of the file.")


def read_bytes(file: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: it cannot be read, or is larger than `MOST_BYTES`.
    """
    try:
        if (size := file.stat().st_size) > MOST_BYTES:
            raise InputError(f"Files must have at most {MOST_BYTES} bytes, got {size} in {file}.")
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}") from error


def decode(data: bytes, where: str) -> Pixels:
    """Decode one image, turned upright if it says so; one channel if it is gray, else three.

    Raises:
        InputError: the bytes are not a whole image of at most `MOST_PIXELS` pixels; the message names `where`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise InputError(
                        f"Images must have at most {MOST_PIXELS} pixels, got {width} x {height} in {where}."
                    )
                return pixels_of(image, where)
    except InputError:
        raise
    except Exception as error:
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise InputError(
            f"The image in {where} cannot be decoded; it must be a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} "
            f"file{reason}"
        ) from error


def pixels_of(image: Image.Image, where: str) -> Pixels:
    """The pixels of an image, turned upright if it says so; one channel if it is gray, else three.

    Raises:
        InputError: it has more than 8 bits a channel; the message names `where`.
    """
    if image.mode.startswith(("I", "F")):
        raise InputError(f"Images must have 8 bits a channel, got mode {image.mode} in {where}: convert it.")
    image = ImageOps.exif_transpose(image)
    pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def is_picture(cell: object) -> bool:
    """Whether a cell of a column is a picture: of Pillow, the bytes of a file, or a mapping that holds them."""
    return isinstance(cell, Image.Image | bytes) or (isinstance(cell, Mapping) and "bytes" in cell)


def can_be_opened(cell: object) -> bool:
    """Whether a cell begins as a file of a picture does, or is a picture already."""
    if isinstance(cell, Image.Image):
        return True
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    try:
        with Image.open(io.BytesIO(data if isinstance(data, bytes) else b""), formats=FORMATS):
            return True
    except Exception:  # noqa: BLE001 (a damaged file raises whatever its decoder does)
        return False


@dataclass(frozen=True)
class Pictures:
    """Pictures that are decoded when they are read.

    Attributes:
        cells: files, their bytes, mappings with `bytes`, or pictures of Pillow.
        source: where they come from, for messages.
        prepare: changes the pixels of one picture.
        unit: what pixels are divided by; by default they become 0 to 1.
    """

    cells: Array | Sequence[object]
    source: str
    prepare: Callable[[Pixels], Pixels] | None = None
    unit: float = 255.0

    def __len__(self) -> int:
        return len(self.cells)

    def select(self, rows: Positions) -> "Pictures":
        """The pictures at `rows`, in that order."""
        return replace(self, cells=[self.cells[row] for row in rows])

    def read(self, names: Sequence[str]) -> Array:
        """Decode them to float32 `[n, channels, height, width]`.

        Args:
            names: of the examples, for messages.

        Raises:
            InputError: a picture cannot be read, or has another shape than the first.
        """
        images = [self._decoded(cell, name) for cell, name in zip(self.cells, names, strict=True)]
        for image, name in zip(images, names, strict=True):
            if image.shape != images[0].shape:
                raise InputError(
                    f"All images must have one shape, got {image.shape} for {name} and {images[0].shape} for "
                    f"{names[0]} in {self.source}: resize them."
                )
        pixels = np.empty((len(images), *images[0].shape), dtype=np.float32)
        for row, image in enumerate(images):
            np.divide(image, np.float32(self.unit), out=pixels[row])
        return pixels

    def _decoded(self, cell: object, name: str) -> Pixels:
        where = str(cell) if isinstance(cell, Path) else f"{self.source}, example {name}"
        pixels = pixels_of(cell, where) if isinstance(cell, Image.Image) else decode(_bytes_of(cell), where)
        return pixels if self.prepare is None else self.prepare(pixels)


def _bytes_of(cell: object) -> bytes:
    """The file of a picture; nothing where there is none, which cannot be decoded."""
    if isinstance(cell, Path):
        return read_bytes(cell)
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return data if isinstance(data, bytes) else b""
