"""A person's own module: which kinds are taken, how one is copied, and the one way in which it is called."""

import copy
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from untrain.errors import InputError, first_line
from untrain.models.inputs import InputTensors, NamedTensors

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_OUTPUTS = "a tensor, an object or dictionary with `logits`, or a tuple that begins with them"


def call(module: nn.Module, inputs: InputTensors, tensors: tuple[dict[str, Tensor], ...] | None = None) -> Tensor:
    """Logits `[B, C]` of a batch.

    Args:
        module: takes one tensor, or tensors by name.
        inputs: `[B, ...]`.
        tensors: parameters and buffers by name to compute with; default the module's own.

    Raises:
        InputError: what the module returns holds no logits.
    """
    return two_classes(raw_logits(module, inputs, tensors))


def raw_logits(module: nn.Module, inputs: InputTensors, tensors: tuple[dict[str, Tensor], ...] | None = None) -> Tensor:
    """The logits as the module returns them, where one stands for two classes; see `call`."""
    args, named = ((), inputs.tensors) if isinstance(inputs, NamedTensors) else ((inputs,), {})
    output = module(*args, **named) if tensors is None else functional_call(module, tensors, args, named)
    return find_logits(output)


def described_output(module: nn.Module, inputs: InputTensors) -> str | None:
    """What the module returns, in words, and where its logits are looked for; None for a tensor."""
    args, named = ((), inputs.tensors) if isinstance(inputs, NamedTensors) else ((inputs,), {})
    with torch.no_grad():
        output = module.eval()(*args, **named)
    if isinstance(output, Tensor):
        return None
    first = isinstance(output, tuple | list) and not hasattr(output, "logits")
    return f"{_described(output)}, of which {'the first part' if first else '`logits`'} is read"


def find_logits(output: object) -> Tensor:
    """The logits in what a module returns.

    A tensor, `.logits`, the entry `logits` of a dictionary, or the first of a tuple or list.

    Raises:
        InputError: there are none, or they are no floating-point numbers.

    >>> find_logits({"logits": torch.zeros(2, 3), "loss": None}).shape
    torch.Size([2, 3])
    """
    logits = output
    if isinstance(logits, Mapping):
        logits = logits.get("logits")
    elif not isinstance(logits, Tensor) and hasattr(logits, "logits"):
        logits = logits.logits
    elif isinstance(logits, tuple | list) and logits:
        logits = logits[0]
    if not isinstance(logits, Tensor):
        raise InputError(f"The model returns {_described(output)}, which holds no logits; return {_OUTPUTS}.")
    if not logits.is_floating_point():
        raise InputError(f"The model returns {logits.dtype}, so class numbers instead of logits; return {_OUTPUTS}.")
    return logits


def _described(output: object) -> str:
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} of {', '.join(map(str, output)) or 'nothing'}"
    if isinstance(output, tuple | list):
        parts = getattr(output, "_fields", ["None" if part is None else type(part).__name__ for part in output])
        return f"a {type(output).__name__} of {', '.join(parts) or 'nothing'}"
    return f"a {type(output).__name__}"


def two_classes(logits: Tensor) -> Tensor:
    """A single logit `[B]` or `[B, 1]`, as binary cross-entropy has it, as those of two classes; others as they are.

    Softmax of `0, x` is one minus sigmoid of x, and sigmoid of x; the cross-entropies are the same, too.

    >>> two_classes(torch.tensor([3.0, -1.0])).tolist()
    [[0.0, 3.0], [0.0, -1.0]]
    """
    if logits.ndim > 1 and logits.shape[-1] != 1:
        return logits
    single = logits.reshape(-1, 1)
    return torch.cat([torch.zeros_like(single), single], dim=1)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module that computes: without the wrappers of `torch.compile` and of data parallelism.

    Raises:
        InputError: it is a kind of module that cannot be trained here.
    """
    while True:
        compiled = getattr(module, "_orig_mod", None)
        if isinstance(compiled, nn.Module):
            module = compiled
        elif isinstance(module, _WRAPPERS):
            module = module.module
        else:
            break
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(
            f"{kind} is TorchScript, whose weights cannot be exchanged; pass the module that it was made of."
        )
    parameters = dict(module.named_parameters())
    for name, tensor in (*parameters.items(), *module.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise InputError(f"{kind} has the uninitialized {name!r}; call the model once on a batch of inputs.")
        if tensor.is_meta:
            raise InputError(f"{kind} has {name!r} without numbers (on the meta device); load its weights first.")
        if tensor.layout is not torch.strided:
            raise InputError(f"{kind} has the sparse {name!r}; convert it to a dense tensor.")
    if not any(tensor.is_floating_point() for tensor in parameters.values()):
        raise InputError(f"{kind} has no floating-point parameters, so there is nothing that it could forget.")
    return module


class _Detaching(TorchFunctionMode):
    """Lets tensors be copied that torch does not copy, such as activations that a module keeps with their graph."""

    def __torch_function__(
        self,
        function: Callable[..., object],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        try:
            return function(*args, **(kwargs or {}))
        except RuntimeError:
            if function is not Tensor.__deepcopy__:
                raise
            tensor, known = args
            return known.setdefault(id(tensor), _values(tensor))


def _values(tensor: Tensor) -> Tensor:
    """The numbers alone; none of a tensor of many models that was kept from a vectorized call, which has ended."""
    try:
        return tensor.detach().clone()
    except RuntimeError:
        return torch.empty(0)


def copied(module: nn.Module) -> nn.Module:
    """A copy that shares nothing with the module; activations that it keeps are cut from their graph.

    Raises:
        InputError: it holds something that cannot be copied.
    """
    try:
        with _Detaching():
            return copy.deepcopy(module)
    except Exception as error:
        raise InputError(
            f"{type(module).__name__} cannot be copied ({first_line(error)}); take out of it what is no module, tensor "
            "or plain value."
        ) from error
