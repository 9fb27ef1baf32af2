"""Examples on a device: copied there once for all models of a process.

A method makes new populations in each of its jobs, and all of them learn the same examples.
"""

import threading
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from untrain.data import Examples
from untrain.models.inputs import InputTensors, NamedTensors

Resident = tuple[InputTensors, Tensor]
"""Inputs and labels on the device."""

_SHARE, _CPU_BYTES = 1 / 4, 2**31
"""Of a GPU's memory, or bytes of memory, that examples may take; what was used least recently goes first."""

_sets: WeakKeyDictionary[Examples, dict[tuple[torch.device, torch.dtype], Resident]] = WeakKeyDictionary()
_lock = threading.Lock()


def resident(examples: Examples, device: torch.device, dtype: torch.dtype) -> Resident:
    """Inputs and labels of the examples as tensors on the device; they stay there as long as the examples are used.

    Floating-point inputs and bytes get the type `dtype` of the models, other integers stay what they are.
    """
    with _lock:
        copies = _sets.pop(examples, {})
        if (device, dtype) not in copies:
            copies[device, dtype] = _copied(examples, device, dtype)
        _sets[examples] = copies  # the last one is the one that was used last
        _make_room(device)
    return copies[device, dtype]


def _copied(examples: Examples, device: torch.device, dtype: torch.dtype) -> Resident:
    tensors = {
        name: placed(torch.from_numpy(np.ascontiguousarray(array)), device, dtype)
        for name, array in examples.arrays.items()
    }
    inputs = tensors[""] if "" in tensors else NamedTensors(tensors)
    return inputs, torch.from_numpy(examples.labels).to(device)


def placed(tensor: Tensor, device: str | torch.device, dtype: torch.dtype) -> Tensor:
    """The tensor on a device; floating-point numbers and bytes in a type."""
    return tensor.to(device, dtype) if tensor.is_floating_point() or tensor.dtype == torch.uint8 else tensor.to(device)


def _make_room(device: torch.device) -> None:
    """Forget the examples of this device that were used least recently, beyond its share; the last ones stay."""
    left = memory_of(device) * _SHARE if device.type == "cuda" else _CPU_BYTES
    for age, copies in enumerate(reversed(list(_sets.values()))):
        for key in [key for key in copies if key[0] == device]:
            left -= _bytes(copies[key])
            if left < 0 and age > 0:
                del copies[key]


def _bytes(copy: Resident) -> int:
    inputs = copy[0]
    tensors = [inputs] if isinstance(inputs, Tensor) else inputs.tensors.values()
    return sum(tensor.nbytes for tensor in tensors)


def memory_of(device: torch.device) -> int:
    """Bytes of memory of a GPU."""
    return int(torch.cuda.get_device_properties(device).total_memory)
