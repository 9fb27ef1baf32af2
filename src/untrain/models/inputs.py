"""What a module takes: one tensor, or tensors by name that are indexed and copied together."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils import _pytree


class NamedTensors:
    """Input tensors by name, `[n, ...]` each, handled like one tensor whose rows are examples.

    Args:
        tensors: by the name under which the module takes them.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def map(self, change: Callable[[Tensor], Tensor]) -> "NamedTensors":
        """The same names with every tensor changed."""
        return NamedTensors({name: change(tensor) for name, tensor in self.tensors.items()})

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, rows: Tensor | slice | int | None) -> "NamedTensors":
        return self.map(lambda tensor: tensor[rows])

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return next(iter(self.tensors.values())).device

    @property
    def shape(self) -> torch.Size:
        """Of the first tensor; its leading axes are those of all."""
        return next(iter(self.tensors.values())).shape

    def clone(self) -> "NamedTensors":
        """A copy of every tensor."""
        return self.map(torch.clone)

    def unflatten(self, axis: int, sizes: tuple[int, ...]) -> "NamedTensors":
        """`Tensor.unflatten` of every tensor."""
        return self.map(lambda tensor: tensor.unflatten(axis, sizes))

    def split(self, size: int) -> "list[NamedTensors]":
        """Runs of `size` rows; the last may be shorter."""
        return [self[first : first + size] for first in range(0, len(self), size)]


InputTensors = Tensor | NamedTensors

# So that `torch.func.vmap` sees the tensors.
_pytree.register_pytree_node(
    NamedTensors,
    lambda named: (list(named.tensors.values()), list(named.tensors)),
    lambda tensors, names: NamedTensors(dict(zip(names, tensors, strict=True))),
)


def each_tensor(inputs: InputTensors, change: Callable[[Tensor], Tensor]) -> InputTensors:
    """Inputs with every tensor changed."""
    return change(inputs) if isinstance(inputs, Tensor) else inputs.map(change)
