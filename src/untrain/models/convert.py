"""State dicts that `torch.save` wrote, as safetensors; a file is read as data, and what asks for more is refused.

A pickle can run any code when it is read. `torch.load(weights_only=True)` rebuilds tensors and plain containers alone;
there is no other way here, whatever a file asks for. Versions of torch before 2.10 had holes in it, and are refused.
"""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from untrain.core.files import write_file
from untrain.errors import ConfigError, InputError, IntegrityError, NotSupportedError, first_line

FLOOR = "2.10"
"""The first version of torch by which files of unknown origin are read."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which checkpoints keep the state dict."""


def convert(source: str | Path, target: str | Path) -> tuple[int, str | None]:
    """Turn a state dict that `torch.save` wrote into a safetensors file.

    Args:
        source: holds tensors by name, alone or under one of `WRAPPERS`.
        target: must not exist.

    Returns:
        How many tensors there are, and the key under which they stood, or None.

    Raises:
        InputError: there is no such file, or it holds something else than tensors by name.
        IntegrityError: it is not a whole file of `torch.save`, or asks for more than tensors.
        ConfigError: the target exists.
        NotSupportedError: torch is older than `FLOOR`.

    Cost: memory for the tensors, three times.
    """
    source, target = Path(source), Path(target)
    if target.exists():
        raise ConfigError(f"expected no file at {target}, got one: choose another name, nothing is overwritten")
    if torch.__version__ < FLOOR:  # compared as versions, not as texts
        raise NotSupportedError(f"expected torch {FLOOR} or later to read {source}, got {torch.__version__}")
    archive = _archive(source)
    found, key = _unwrapped(_loaded(archive, source), source)
    _check(found, len(archive.getbuffer()), source)
    try:
        # A copy each: tied tensors share their memory, which the file format does not know.
        data = safetensors.torch.save({name: tensor.detach().clone().contiguous() for name, tensor in found.items()})
        same = safetensors.torch.load(data).keys() == found.keys()
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"expected tensors that safetensors can hold in {source}, got others: {first_line(error)}"
        ) from error
    if not same:
        raise InputError(f"expected names that safetensors can hold in {source}, got others")
    write_file(target, data)
    return len(found), key


def _archive(source: Path) -> io.BytesIO:
    """The archive that the file is, written anew: torch looks at no checksum, and hands out what is not there.

    Raises:
        InputError: there is no such file.
        IntegrityError: it is no archive of `torch.save`, or any bit of it changed.
    """
    if not source.is_file():
        raise InputError(f"expected a file that torch.save wrote at {source}, found none")
    try:
        file = io.BytesIO(source.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror or error}") from error
    copy = io.BytesIO()
    try:
        with zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, "w") as clean:
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED or entry.filename in clean.NameToInfo:
                    raise zipfile.BadZipFile(f"{entry.filename!r} is compressed or occurs twice")
                clean.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry))
    except Exception as error:
        raise IntegrityError(
            f"expected a whole file that torch.save wrote since version 1.6 at {source}, got something else: "
            f"{first_line(error)}"
        ) from error
    copy.seek(0)
    return copy


def _loaded(archive: io.BytesIO, source: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(archive, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        # The first lines advise to read the file with everything allowed.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = "" if found is None else f", {found[1]}"
        raise IntegrityError(f"expected tensors alone in {source}, got a file that asks for more{what}") from None
    except Exception as error:
        raise IntegrityError(
            f"expected a whole file of tensors at {source}, got one that cannot be read: {first_line(error)}"
        ) from error


def _unwrapped(saved: object, source: Path) -> tuple[dict[str, Tensor], str | None]:
    entries = dict(saved) if isinstance(saved, Mapping) else {}
    inner = [key for key in WRAPPERS if isinstance(entries.get(key), Mapping)]
    key = inner[0] if len(inner) == 1 else None
    found = saved if key is None else entries[key]
    if not isinstance(found, Mapping) or not found:
        kind = "an empty one" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise InputError(f"expected a dictionary of tensors by name in {source}, got {kind}")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(
                f"expected tensors by name in {source}, alone or under {', '.join(WRAPPERS)}, got {name!r}, which is a "
                f"{type(tensor).__name__}: save model.state_dict()"
            )
    return dict(found), key


def _check(found: dict[str, Tensor], size: int, source: Path) -> None:
    """Refuse tensors that claim to be more than the file holds: their memory would be anything.

    Raises:
        IntegrityError: there are some.
        InputError: one is not an ordinary tensor.
    """
    memory = {}
    for name, tensor in found.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise InputError(
                f"expected ordinary tensors in {source}, got {name!r}, which is sparse, quantized or without numbers"
            )
        storage = tensor.untyped_storage()
        memory[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > storage.nbytes():
            raise IntegrityError(
                f"expected tensors with numbers of their own in {source}, got {name!r}, which repeats some"
            )
    if sum(memory.values()) > size:
        raise IntegrityError(f"expected tensors of at most {size} bytes in {source}, got {sum(memory.values())}")
