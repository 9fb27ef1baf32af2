"""State dicts that `torch.save` wrote, as safetensors; a file is read as data, and what asks for more is refused.

A pickle can run any code when it is read. `torch.load(weights_only=True)` rebuilds tensors and plain containers alone;
there is no other way here, whatever a file asks for. Versions of torch before 2.10 had holes in it, and are refused.
"""

import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from untrain.core.files import write_file
from untrain.errors import ConfigError, InputError, IntegrityError, NotSupportedError, first_line

_WORK = 1_000_000
"""Most values that the keys of a file may hold, written out; a few bytes can name as many as there are atoms."""

_INERT = {
    "accelerate",
    "argparse",
    "lightning",
    "lightning_fabric",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "timm",
}
"""Packages whose objects in a checkpoint, such as settings beside the weights, are read as empty shells."""

FLOOR = "2.10"
"""The first version of torch by which files of unknown origin are read."""

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "model_state", "network", "net")
"""Keys under which checkpoints keep the state dict."""


def convert(source: str | Path, target: str | Path, *, strip_prefix: str = "") -> tuple[int, str | None]:
    """Turn a state dict that `torch.save` wrote into a safetensors file.

    Settings and states that trainers keep beside the state dict are left out; their classes are never imported.

    Args:
        source: holds tensors by name, alone or under one of `WRAPPERS`.
        target: must not exist.
        strip_prefix: tensors whose names begin so are written, without it; others are left out.

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
        raise ConfigError(f"{target} exists already, and nothing is overwritten; choose another name.")
    if torch.__version__ < FLOOR:  # compared as versions, not as texts
        raise NotSupportedError(f"Reading {source} needs torch {FLOOR} or later; this is {torch.__version__}.")
    archive = _archive(source)
    _check_keys(archive, source)
    tensors, key = _unwrapped(_loaded(archive, source), source)
    names = list(tensors)
    tensors = {name.removeprefix(strip_prefix): tensors[name] for name in names if name.startswith(strip_prefix)}
    if not tensors:
        raise InputError(f"No tensor in {source} has a name that begins with {strip_prefix!r}, but with {names[0]!r}.")
    _check(tensors, len(archive.getbuffer()), source)
    try:
        # A copy each: tied tensors share their memory, which the file format does not know.
        data = safetensors.torch.save({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()})
        same = safetensors.torch.load(data).keys() == tensors.keys()
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"The tensors of {source} cannot be stored as safetensors: {first_line(error)}") from error
    if not same:
        raise InputError(f"The names of the tensors of {source} cannot be stored as safetensors.")
    write_file(target, data)
    return len(tensors), key


def _archive(source: Path) -> io.BytesIO:
    """The archive that the file is, written anew: torch looks at no checksum, and hands out what is not there.

    Raises:
        InputError: there is no such file.
        IntegrityError: it is no archive of `torch.save`, or any bit of it changed.
    """
    if not source.is_file():
        raise InputError(f"There is no file {source}; give one that torch.save wrote.")
    try:
        file = io.BytesIO(source.read_bytes())
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from error
    copy = io.BytesIO()
    try:
        with zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, "w") as clean:
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED or entry.filename in clean.NameToInfo:
                    raise zipfile.BadZipFile(f"{entry.filename!r} is compressed or occurs twice")
                clean.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry))
    except Exception as error:
        raise IntegrityError(
            f"{source} is not a whole file that torch.save wrote since version 1.6: {first_line(error)}"
        ) from error
    copy.seek(0)
    return copy


class _Shell:
    """Stands for an object of a trainer; nothing of it is read."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None: ...


def _check_keys(archive: io.BytesIO, source: Path) -> None:
    """Refuse tuples that name each other over and over: the time to compare one would double with each.

    Raises:
        IntegrityError: there are some.
    """
    with zipfile.ZipFile(archive) as files:
        data = next((files.read(name) for name in files.namelist() if name.endswith("data.pkl")), b"")
    archive.seek(0)
    stack: list[int] = []
    marks: list[int] = []
    known: dict[int, int] = {}
    work = 0
    try:
        for opcode, argument, _ in pickletools.genops(data):
            place = argument if isinstance(argument, int) else -1
            if opcode.name == "MARK":
                marks.append(len(stack))
            elif opcode.name in {"BINGET", "LONG_BINGET"}:
                stack.append(known[place])
            elif opcode.name in {"BINPUT", "LONG_BINPUT"}:
                known[place] = stack[-1]
            elif opcode.name == "MEMOIZE":
                known[len(known)] = stack[-1]
            else:
                takes = opcode.stack_before
                marked = pickletools.markobject in takes
                fixed = takes.index(pickletools.markobject) if marked else len(takes)
                first = (marks.pop() if marked else len(stack)) - fixed
                size = 1 + sum(stack[first:])
                del stack[first:]
                stack.extend([size] * len(opcode.stack_after))
                work = max(work, size) if "TUPLE" in opcode.name else work
                if work > _WORK:
                    raise IntegrityError(f"{source} holds tuples of more than {_WORK:,} values; it is no state dict.")
    except (ValueError, KeyError, IndexError) as error:
        raise IntegrityError(f"{source} is not a whole file of tensors: {first_line(error)}") from error


def _loaded(archive: io.BytesIO, source: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = torch.serialization.get_unsafe_globals_in_checkpoint(archive)
            archive.seek(0)
            shells: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
                (_Shell, name) for name in asked if name.partition(".")[0] in _INERT
            ]
            with torch.serialization.safe_globals(shells):
                return torch.load(archive, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        # The first lines advise to read the file with everything allowed.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = "" if found is None else f", {found[1]}"
        raise IntegrityError(
            f"{source} asks for more than tensors{what}, so it is not read; save model.state_dict() alone."
        ) from None
    except Exception as error:
        raise IntegrityError(f"{source} is not a whole file of tensors: {first_line(error)}") from error


def _unwrapped(saved: object, source: Path) -> tuple[dict[str, Tensor], str | None]:
    entries = dict(saved) if isinstance(saved, Mapping) else {}
    inner = [key for key in WRAPPERS if isinstance(entries.get(key), Mapping)]
    key = inner[0] if len(inner) == 1 else None
    state = saved if key is None else entries[key]
    if not isinstance(state, Mapping) or not state:
        kind = "an empty one" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise InputError(f"{source} must hold a dictionary of tensors by name, got {kind}; save model.state_dict().")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(
                f"{source} must hold tensors by name, alone or under {', '.join(WRAPPERS)}, but {name!r} is a "
                f"{type(tensor).__name__}; save model.state_dict()."
            )
    return dict(state), key


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
                f"{name!r} in {source} is sparse, quantized or without numbers; save it as an ordinary tensor."
            )
        storage = tensor.untyped_storage()
        memory[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > storage.nbytes():
            raise IntegrityError(
                f"{name!r} in {source} repeats numbers instead of storing its own; save a clone of it."
            )
    if sum(memory.values()) > size:
        needed = sum(memory.values())
        raise IntegrityError(f"The tensors of {source} need {needed} bytes, more than the {size} of the file.")
