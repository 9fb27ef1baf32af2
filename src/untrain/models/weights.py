"""State dicts of a person's own modules as safetensors files: written with a digest, read strictly."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from untrain.core.files import write_arrays
from untrain.errors import InputError

Tensors = dict[str, Tensor]
Shape = tuple[int, ...]

PICKLES = {".pt", ".pth", ".ckpt", ".bin", ".pkl"}
"""Suffixes of files that `torch.save` and trainers write."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What data parallelism, `torch.compile` and trainers put before the names of a state dict."""


def state_of(module: nn.Module) -> Tensors:
    """Every parameter and buffer by name, tied parameters once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def arrays_of(module: nn.Module) -> dict[str, npt.NDArray[np.generic]]:
    """The state dict as arrays, which is what is stored and what a digest is taken of."""
    return as_arrays(module.state_dict())


def as_arrays(state: Mapping[str, Tensor]) -> dict[str, npt.NDArray[np.generic]]:
    """A state dict as arrays."""
    return {
        # NumPy has no bfloat16; a module of that type takes float32 back without loss.
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().cpu().numpy()
        for name, tensor in state.items()
    }


def write_weights(path: Path, module: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write the state dict as a safetensors file that carries its own digest.

    Raises:
        InputError: the file system refused.
    """
    write_arrays(path, arrays_of(module), metadata)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        InputError: there is no such file, or it is not whole.
    """
    if not path.is_file():
        raise InputError(f"There are no weights at {path}; name a .safetensors file.")
    if path.suffix in PICKLES:
        raise InputError(
            f"{path} is not a .safetensors file; convert it first: "
            f"untrain convert {path} {path.with_suffix('.safetensors')}"
        )
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a whole .safetensors file ({error}); save or copy it again.") from error


def load_weights(module: nn.Module, path: Path, *, strip_prefix: str | None = None) -> str:
    """Put a stored state dict into a module of the same architecture.

    Of weights that the module shares under several names, one name is enough, as `safetensors.torch.save_model` writes
    them.

    Args:
        module: its weights are replaced.
        path: of a .safetensors file.
        strip_prefix: at which the names begin that are read, without it; others are left out. Default one of
            `PREFIXES` at which all names begin, if the module's names do not.

    Returns:
        The prefix that was stripped, or an empty text.

    Raises:
        InputError: there is no such file, it is not whole, or it holds other tensors than the module has.
    """
    stored, model = read_weights(path), module.state_dict(keep_vars=True)
    prefix = _prefix(stored, model) if strip_prefix is None else strip_prefix
    stored = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    present = {id(model[name]) for name in stored if name in model}
    aliases = {name for name, tensor in model.items() if name not in stored and id(tensor) in present}
    found = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in model.items() if name not in aliases}
    check_tensors(found, expected, path)
    for name, tensor in stored.items():
        if tensor.is_complex() and not model[name].is_complex():
            raise InputError(f"{name} in {path} is of {tensor.dtype}, but the model's weights are real numbers.")
    module.load_state_dict(stored, strict=False)  # the names were compared; aliases are not there
    return prefix


def _prefix(stored: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> str:
    """The known prefix of all stored names, once or several times, after which one begins as the model's names do."""
    prefix = ""
    while stored and not any(name.removeprefix(prefix) in model for name in stored):
        longer = next((prefix + known for known in PREFIXES if all(n.startswith(prefix + known) for n in stored)), None)
        if longer is None:
            return ""
        prefix = longer
    return prefix


def check_tensors(found: Mapping[str, Shape], expected: Mapping[str, Shape], path: str | Path) -> None:
    """Check that a file holds the tensors of a model, by name and shape.

    Raises:
        InputError: it does not.
    """
    if extra := sorted(found.keys() - expected.keys()) + sorted(expected.keys() - found.keys()):
        where = "the model lacks" if extra[0] in found else "the file lacks"
        raise InputError(
            f"The tensors in {path} are not those of the model: {where} {extra[0]!r}. {_advice(found, expected)}"
        )
    for name, shape in expected.items():
        if tuple(found[name]) != tuple(shape):
            raise InputError(
                f"{name} in {path} must be of shape {tuple(shape)}, as in the model, got {tuple(found[name])}."
            )


def _advice(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> str:
    """What to do about names that differ."""
    first = next(iter(expected), "")
    prefixes = [name.removesuffix(first) for name in found if name.endswith(f".{first}")]
    prefix = next((prefix for prefix in prefixes if all(prefix + name in found for name in expected)), None)
    if prefix is None:
        return "Pass the network that the weights were trained in."
    return f"The model's names stand there after {prefix!r}: pass --strip-prefix {prefix}"
