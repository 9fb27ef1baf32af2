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
        raise InputError(f"expected weights as a .safetensors file at {path}, found none")
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(f"expected a whole .safetensors file at {path}, got one that is not: {error}") from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Put a stored state dict into a module of the same architecture.

    Raises:
        InputError: there is no such file, it is not whole, or it holds other tensors than the module has.
    """
    stored, model = read_weights(path), module.state_dict()
    found, expected = ({name: tuple(tensor.shape) for name, tensor in state.items()} for state in (stored, model))
    check_tensors(found, expected, path)
    for name, tensor in stored.items():
        if tensor.is_complex() and not model[name].is_complex():
            raise InputError(f"{name} in {path} is of {tensor.dtype}, but the model's weights are real numbers.")
    module.load_state_dict(stored)


def check_tensors(found: Mapping[str, Shape], expected: Mapping[str, Shape], path: str | Path) -> None:
    """Check that a file holds the tensors of a model, by name and shape.

    Raises:
        InputError: it does not.
    """
    different = sorted(found.keys() ^ expected.keys())
    if different:
        where = "the model lacks" if different[0] in found else "the file lacks"
        raise InputError(f"expected the tensors of the model in {path}, got a difference: {where} {different[0]!r}")
    for name, shape in expected.items():
        if tuple(found[name]) != tuple(shape):
            raise InputError(f"expected {name} of shape {tuple(shape)} in {path}, got {tuple(found[name])}")
