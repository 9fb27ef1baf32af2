"""How many examples are evaluated at a time: as many as the largest activation of a network has room for.

A CPU is fastest while the activations stay in its cache, a GPU with thousands of examples.
"""

import torch
from torch import Tensor, nn

from untrain.models.inputs import InputTensors
from untrain.models.modules import call
from untrain.population.ambient import seeded
from untrain.population.residence import memory_of

_CPU_BYTES, _SHARE = 2**22, 1 / 32
"""What the largest activation of a batch may take: on a CPU, and of the memory of a GPU."""

_FEWEST, _MOST = 16, 16_384
"""Examples of a batch, whatever they take."""


def evaluation_batch(example_bytes: int, device: torch.device) -> int:
    """Examples of a batch, a power of two.

    Args:
        example_bytes: of the largest activation for one example, of all models that are computed together.
        device: where they are computed.
    """
    room = int(memory_of(device) * _SHARE) if device.type == "cuda" else _CPU_BYTES
    fitting = max(1, room // max(1, example_bytes))
    return min(_MOST, max(_FEWEST, 1 << (fitting.bit_length() - 1)))


@torch.no_grad()
def bytes_of_example(module: nn.Module, inputs: InputTensors) -> int:
    """Bytes of the largest activation for one example, the input among them.

    Args:
        module: left in evaluation mode.
        inputs: a few examples `[n, ...]`.
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs.tensors.values())
    sizes = [tensor.nbytes for tensor in tensors]

    def see(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.nbytes)

    hooks = [layer.register_forward_hook(see) for layer in module.modules()]
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    try:
        with seeded(0, devices):  # a module that draws numbers must not draw others because of this look
            call(module.eval(), inputs.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes) // max(1, len(inputs))
