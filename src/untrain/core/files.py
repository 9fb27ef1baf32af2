"""Files that are either whole or not there.

A file is written beside its final name, flushed to the disk, renamed over it, and the directory is flushed:
after a kill at any moment the old content or the new content is there, never a part. Arrays are stored as
safetensors with a SHA-256 digest over names, types, shapes, bytes and metadata, so that any changed bit is
found when the file is read.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import tomli_w

from untrain.errors import ConfigError, InputError, IntegrityError

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


def write_file(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write `content` to `path` atomically and durably; directories above it are made.

    Args:
        path: of the file.
        content: as bytes, or text to be written as UTF-8.
        private: whether nobody but the owner may read it, at any moment.

    Raises:
        InputError: the file system refused, with its reason.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, [path.name])
        with _temporary(path, 0o600 if private else 0o666) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except (OSError, ValueError) as error:  # the latter of a name that no file can have
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError | ValueError) -> InputError:
    """The error to raise where the file system refused, with its reason."""
    reason = getattr(error, "strerror", None) or error
    return InputError(f"{path} cannot be written ({reason}): make room, or choose another place.")


def look_again(paths: Iterable[Path]) -> None:
    """Make a network file system ask its server whether files are there, when they are looked at next.

    It remembers for half a minute or more that a file was not there, unless the directory is opened and has changed.
    """
    for directory in {path.parent for path in paths}:
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))


def _temporary(path: Path, mode: int) -> BinaryIO:
    """A new file beside `path`, locked while it is open: so a sweeper knows that somebody writes it."""
    while True:
        name = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        file = open(name, "xb", opener=functools.partial(os.open, mode=mode))  # noqa: SIM115 (the writer closes it)
        with contextlib.suppress(OSError):  # where a file system has no locks, two writers must not meet
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # a sweeper came before the lock


def sweep(directory: Path, names: Iterable[str]) -> None:
    """Remove from `directory` what killed writers of files of these names left; what is being written stays."""
    leftover = re.compile(rf"\.({'|'.join(map(re.escape, names))})\.[0-9a-f]+\.tmp")
    for name in os.listdir(directory) if directory.is_dir() else ():
        if leftover.fullmatch(name):
            with contextlib.suppress(OSError):  # the next writer says what is wrong
                _remove_abandoned(directory / name)


def others_in(directory: Path, names: Iterable[str]) -> list[str]:
    """What a directory to write to holds beside files of these names, of which leftovers are swept.

    Raises:
        ConfigError: see `check_writable`.
    """
    check_writable(directory)
    expected = set(names)
    sweep(directory, expected)
    return sorted(set(os.listdir(directory)) - expected) if directory.is_dir() else []


def _remove_abandoned(temporary: Path) -> None:
    """Remove a file, unless a writer holds it; the lock ends with the process, however it ends."""
    file = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.unlink(temporary)
    finally:
        os.close(file)


def check_writable(directory: Path) -> None:
    """Refuse a directory in which nothing can be written, or which holds links: they would lead out of it.

    Raises:
        ConfigError: it is such a one.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file; choose a directory to write to.")
    there = next(folder for folder in (directory, *directory.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK):
        raise ConfigError(f"{there} is not writable; choose another directory.")
    for name in sorted(os.listdir(directory)) if directory.is_dir() else ():
        if (directory / name).is_symlink():
            raise ConfigError(f"{directory} contains the link {name!r}; choose a directory without links.")


def toml_text(value: dict[str, Any]) -> str:
    """Plain values as TOML; what is None is absent, as TOML has no such value."""
    return tomli_w.dumps(_without_none(value))


def _without_none(value: Any) -> Any:  # noqa: ANN401 (any plain value)
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def digest(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """SHA-256 over metadata and, in the order of their names, each array's name, type, shape and bytes."""
    state = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        state.update(array.data.cast("B") if array.size else b"")
    return state.hexdigest()


def write_arrays(path: Path, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write named arrays and text metadata to a safetensors file that carries its own digest; see `sealed`."""
    write_file(path, sealed(arrays, metadata))


def sealed(arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Named arrays and text metadata as a safetensors file that carries its own digest.

    The bytes depend on what is given alone.
    """
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    with_digest = {**metadata, "sha256": digest(arrays, metadata)}
    return _with_sorted_metadata(safetensors.numpy.save(arrays, with_digest))


def _with_sorted_metadata(data: bytes) -> bytes:
    """A safetensors file with its metadata in alphabetical order; the library's order changes from file to file."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight bytes
    return b"".join((len(text).to_bytes(8, "little"), text, data[8 + size :]))


def read_metadata(path: Path) -> dict[str, str]:
    """The text metadata of a file that `write_arrays` wrote, without reading or checking its arrays.

    Raises:
        IntegrityError: it is no safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise IntegrityError(f"{path} is not a complete safetensors file: {error}") from error


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read what `write_arrays` wrote.

    Raises:
        InputError: there is no such file.
        IntegrityError: the file is not whole, or any bit of it changed.
    """
    if not path.is_file():
        raise InputError(f"There is no safetensors file at {path}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        # The last two come of types that NumPy lacks.
        raise IntegrityError(f"{path} is not a complete safetensors file that NumPy can read: {error}") from error
    expected = metadata.pop("sha256", "none")
    if (computed := digest(arrays, metadata)) != expected:
        raise IntegrityError(f"{path} changed after it was written: its digest is {computed}, and it says {expected}.")
    return arrays, metadata
