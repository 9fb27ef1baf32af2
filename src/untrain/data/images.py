"""Image files to arrays, with a limit on their size and one kind of error."""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from untrain.data.arrays import stacked, to_array
from untrain.data.examples import Array, Inputs, Positions
from untrain.data.memory import MEMORY_LIMIT, check_memory
from untrain.errors import InputError, first_line

Pixels = npt.NDArray[np.uint8]
"""`[channels, height, width]`, 0 to 255."""

MOST_PIXELS = 16_000_000
"""Larger images are refused before they are decoded: a file of a few kilobytes can claim to be enormous."""


MOST_BYTES = 100_000_000
"""Larger files are refused before they are read."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""The formats that are decoded; Pillow would run Ghostscript on a disguised PostScript file."""


SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
"""Endings of the names of pictures, in lower case."""


def check_inside(files: Iterable[Path], root: Path) -> None:
    """Refuse files below `root` that are links to files outside it.

    Raises:
        InputError: there is one.
    """
    real = os.path.realpath(root)
    for file in files:
        if not Path(os.path.realpath(file)).is_relative_to(real):
            shown = file.relative_to(root) if file.is_relative_to(root) else file
            raise InputError(f"{shown} links outside {root}: replace the link by a copy of the file.")


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
        InputError: see `opened`.
    """
    return pixels_of(opened(data, where), where)


def opened(data: bytes, where: str) -> Image.Image:
    """Decode one image, turned upright as its EXIF orientation says.

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
                return upright(image)
    except InputError:
        raise
    except Exception as error:
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise InputError(
            f"The image in {where} cannot be decoded; it must be a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} "
            f"file{reason}"
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """The image, decoded and turned as its EXIF orientation says."""
    turned = ImageOps.exif_transpose(image)
    turned.load()
    return turned


def pixels_of(image: Image.Image, where: str) -> Pixels:
    """The pixels of an image; one channel if it is gray, else three.

    Raises:
        InputError: it has more than 8 bits a channel; the message names `where`.
    """
    if image.mode.startswith(("I", "F")):
        raise InputError(f"Images must have 8 bits a channel, got mode {image.mode} in {where}: convert it.")
    pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def is_picture(cell: object) -> bool:
    """Whether a cell of a column is a picture: of Pillow, a path, the bytes of a file, or a mapping that holds them."""
    return isinstance(cell, Image.Image | bytes | Path) or (isinstance(cell, Mapping) and "bytes" in cell)


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
class _Chosen(Sequence[object]):
    """Some of the cells, which become Python values only when they are asked for."""

    cells: Array | Sequence[object]
    rows: Positions

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> object:  # type: ignore[override]  # slices are not asked for
        return self.cells[self.rows[row]]


@dataclass(frozen=True)
class Pictures:
    """Pictures that are decoded when they are read.

    Attributes:
        cells: files, their bytes, mappings with `bytes` or with a `path` below `root`, or pictures of Pillow.
        source: where they come from, for messages.
        prepare: changes the pixels of one picture.
        unit: what pixels are divided by; by default they become 0 to 1.
        root: folder of the files that cells name, or None where they may name none.
    """

    cells: Array | Sequence[object]
    source: str
    prepare: Callable[[Pixels], Pixels] | None = None
    unit: float = 255.0
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def select(self, rows: Positions) -> "Pictures":
        """The pictures at `rows`, in that order."""
        return replace(self, cells=_Chosen(self.cells, rows))

    def cell(self, row: int, name: str) -> Image.Image:
        """One picture, decoded and upright; `name` is that of its example, for messages."""
        cell = self.cells[row]
        where = str(cell) if isinstance(cell, Path) else f"{self.source}, example {name}"
        return upright(cell) if isinstance(cell, Image.Image) else opened(self._bytes(cell, where), where)

    def read(self, names: Sequence[str], memory_limit: float = MEMORY_LIMIT) -> Array:
        """Decode them to float32 `[n, channels, height, width]`.

        Args:
            names: of the examples, for messages.
            memory_limit: largest size of the result in GB.

        Raises:
            InputError: a picture cannot be read, or has another shape than the first; they take too much memory.
        """
        pixels = np.empty((len(self), 0, 0, 0), dtype=np.float32)
        for row, name in enumerate(names):
            image = self._pixels(row, name)
            if not row:
                check_memory(4 * image.size * len(self), memory_limit, f"The {len(self)} pictures of {self.source}")
                pixels = np.empty((len(self), *image.shape), dtype=np.float32)
            if image.shape != pixels.shape[1:]:
                raise InputError(
                    f"All images must have one shape, got {image.shape} for {name} and {pixels.shape[1:]} for "
                    f"{names[0]} in {self.source}: resize them, with transform=Prepare(size=...) or --size."
                )
            np.divide(image, np.float32(self.unit), out=pixels[row])
        return pixels

    def _pixels(self, row: int, name: str) -> Pixels:
        pixels = pixels_of(self.cell(row, name), f"{self.source}, example {name}")
        return pixels if self.prepare is None else self.prepare(pixels)

    def _bytes(self, cell: object, where: str) -> bytes:
        """The file of a picture; nothing where there is none, which cannot be decoded."""
        path = cell.get("path") if isinstance(cell, Mapping) and cell.get("bytes") is None else cell
        if isinstance(path, str):
            if self.root is None:
                raise InputError(f"{where} names the file {path!r} but holds no picture: store the bytes of pictures.")
            check_inside([path := self.root / path], self.root)
        if isinstance(path, Path):
            return read_bytes(path)
        data = cell.get("bytes") if isinstance(cell, Mapping) else cell
        return data if isinstance(data, bytes) else b""


_READ_AGAIN = 32
"""Inputs that are read or made twice."""


def read_again(count: int) -> list[int]:
    """Positions of the inputs that are read twice: enough that a change of one input in ten is hardly ever missed."""
    return [int(position) for position in np.unique(np.linspace(0, count - 1, min(count, _READ_AGAIN)).astype(int))]


Transform = Callable[[Any], object]
"""Takes a picture of Pillow, a row of an array or another value; returns a picture, numbers, or a dictionary of numbers
by name."""


@dataclass(frozen=True)
class Transformed:
    """Inputs that a person's function makes, one at a time, when they are read.

    Attributes:
        cells: pictures, an array `[n, ...]`, or any other values such as texts.
        transform: the function.
        source: where they come from, for messages.
    """

    cells: Pictures | Array | Sequence[object]
    transform: Transform
    source: str

    def __len__(self) -> int:
        return len(self.cells)

    def select(self, rows: Positions) -> "Transformed":
        """Those at `rows`, in that order."""
        cells = self.cells
        return replace(self, cells=cells.select(rows) if isinstance(cells, Pictures) else _Chosen(cells, rows))

    def read(self, names: Sequence[str], memory_limit: float = MEMORY_LIMIT) -> Inputs:
        """What the function makes of each: an array `[n, ...]`, or a dictionary of arrays.

        Raises:
            InputError: the function fails, changes from one call to the next, or returns other shapes; the results take
                too much memory.
        """
        made, twice = list[dict[str, Array]](), set(read_again(len(names)))
        for row, name in enumerate(names):
            arrays = self._made(row, name)
            if not row:
                size = sum(array.nbytes for array in arrays.values()) * len(self)
                check_memory(size, memory_limit, f"The {len(self)} inputs of {self.source}")
            if row in twice and not _same(arrays, self._made(row, name)):
                raise InputError(
                    f"The transform must give the same result each time, but that of example {name} changed: leave out "
                    "random augmentation."
                )
            made.append(arrays)
        stacks = {key: stacked([arrays.get(key) for arrays in made], self.source) for key in (made or [{}])[0]}
        return stacks.get("", stacks)

    def _made(self, row: int, name: str) -> dict[str, Array]:
        cell = self.cells.cell(row, name) if isinstance(self.cells, Pictures) else self.cells[row]
        try:
            result = self.transform(cell)
        except InputError as error:
            raise InputError(f"Example {name} of {self.source} cannot be prepared: {error}") from error
        except Exception as error:
            raise InputError(
                f"The transform fails for example {name} of {self.source}: {type(error).__name__}: {first_line(error)}"
            ) from error
        if isinstance(result, Image.Image):
            return {"": pixels_of(result, name).astype(np.float32) / np.float32(255)}
        where = f"The result of the transform for example {name}"
        parts = result if isinstance(result, Mapping) else {"": result}
        return {str(key): to_array(part, where) for key, part in parts.items()}


def _same(arrays: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    """Whether arrays of the same names hold the same numbers; NaN equals NaN, and is refused elsewhere."""
    return arrays.keys() == others.keys() and all(
        np.array_equal(array, others[name], equal_nan=array.dtype.kind == "f") for name, array in arrays.items()
    )
