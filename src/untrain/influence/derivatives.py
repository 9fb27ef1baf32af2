"""First derivatives of a network's logits by its parameters, for each of n examples.

J maps a change of the P parameters to a change of the n x C logits. Both classes here give it as a linear map and its
transpose (`push`, `pull`), as explicit rows, and layer by layer: `LastLayer` in closed form, `AllParameters` by
automatic differentiation in evaluation mode.
"""

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import vjp, vmap

from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError
from untrain.models.inputs import InputTensors
from untrain.models.modules import call, two_classes
from untrain.models.weights import Tensors
from untrain.population import Population
from untrain.population.engine import last_linear, uses
from untrain.population.fitting import check_finite

_BATCH = 256
_ROWS, _PRODUCTS = 2**23, 2**27
"""Numbers in one batch of explicit rows (64 MiB), and at most in the products of one batch of layer parts."""


@dataclass(frozen=True)
class LayerPart:
    """What the derivatives by one layer's weight and bias are made of, for b examples, k directions, t positions.

    Attributes:
        weight: name of the weight; its derivative is the sum over positions of `outgoing x incoming`.
        bias: name of the bias, or None; its derivative is the last column of that product.
        incoming: inputs `[b, t, in]` of the layer, with a column of ones if there is a bias.
        outgoing: derivatives `[b, k, t, out]` of the directions by the layer's outputs.
    """

    weight: str
    bias: str | None
    incoming: Tensor
    outgoing: Tensor


class Derivatives(abc.ABC):
    """Derivatives at n examples.

    Attributes:
        shapes: of the P parameters, by name; a vector `[P]` holds them one after another.
        labels: `[n]`.
        logits: `[n, C]`, double.
    """

    shapes: dict[str, torch.Size]
    labels: Tensor
    logits: Tensor

    @property
    def count(self) -> int:
        """Number n of examples."""
        return len(self.labels)

    @property
    def size(self) -> int:
        """Number P of parameters."""
        return sum(shape.numel() for shape in self.shapes.values())

    def named(self, vector: Tensor) -> Tensors:
        """A vector `[P]` as tensors by name."""
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def at(self, examples: Examples) -> Self:
        """The same of the same network at other examples."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._see(examples)
        return other

    @abc.abstractmethod
    def _see(self, examples: Examples) -> None:
        """Take labels, logits and whatever else depends on the examples."""

    @abc.abstractmethod
    def push(self, vector: Tensor) -> Tensor:
        """J times a vector: `[P]` to `[n, C]`; one forward and two backward passes."""

    @abc.abstractmethod
    def pull(self, weights: Tensor) -> Tensor:
        """J transposed times weights of the logits: `[n, C]` to `[P]`; one forward and backward pass."""

    @abc.abstractmethod
    def rows(self, directions: Tensor, names: list[str] | None = None) -> Iterator[Tensor]:
        """Derivatives of the k directions `[n, C, k]` by the parameters of these names, in batches `[b, k, P]`."""

    @abc.abstractmethod
    def layers(self, directions: Tensor) -> Iterator[list[LayerPart]]:
        """Parts of the linear and convolution layers for directions `[n, C, k]`, batch by batch, in one order."""


class LastLayer(Derivatives):
    """Derivatives by weight and bias of the linear layer whose output is the logits: `J_i = I x h_i`.

    Where that is a single logit, it is the second of two, and the first is 0 whatever the parameters.

    Args:
        models: a population of one.
        examples: the n examples.
        bias: whether the layer's bias counts, if it has one.

    Raises:
        NotSupportedError: the logits are not the output of a linear layer.

    Cost: one forward pass in the type of the models; what follows is in double precision.
    """

    def __init__(self, models: Population, examples: Examples, *, bias: bool = True) -> None:
        self._models, self._module, self._bias = models, models.module(0), bias
        name, self._layer = last_linear(self._module, models.resident(examples)[0][:4])
        self._prefix = f"{name}.".lstrip(".")
        self._see(examples)

    def _see(self, examples: Examples) -> None:
        inputs, self.labels = self._models.resident(examples)
        features = []
        with torch.no_grad():
            for used in uses(self._module, self._layer, inputs.split(_BATCH)):
                if len(used) > 1:
                    raise NotSupportedError(
                        "The last layer is also used earlier in the network: choose the curvature of all parameters."
                    )
                features.append(used[0].double())
        self.features = torch.cat(features)
        self.shapes = {f"{self._prefix}weight": self._layer.weight.shape}
        outputs = self.features @ self._layer.weight.detach().double().T
        if self._layer.bias is not None:
            outputs += self._layer.bias.detach().double()
            if self._bias:
                self.shapes[f"{self._prefix}bias"] = self._layer.bias.shape
        self.logits = two_classes(outputs)

    def push(self, vector: Tensor) -> Tensor:
        weight, *bias = self.named(vector).values()
        return two_classes(self.features @ weight.T + (bias[0] if bias else 0.0))

    def pull(self, weights: Tensor) -> Tensor:
        weights = self._of_outputs(weights)
        parts = [(weights.T @ self.features).flatten(), weights.sum(0)]
        return torch.cat(parts[: len(self.shapes)])

    def rows(self, directions: Tensor, names: list[str] | None = None) -> Iterator[Tensor]:
        wanted = [name in (names or self.shapes) for name in self.shapes]
        for part in _batches(self.count, directions.shape[-1] * self.size):
            outgoing = self._of_outputs(directions[part]).mT  # [b, k, C]
            blocks = [(outgoing[..., None] * self.features[part, None, None]).flatten(2), outgoing]
            yield torch.cat([block for block, use in zip(blocks, wanted, strict=False) if use], dim=-1)

    def layers(self, directions: Tensor) -> Iterator[list[LayerPart]]:
        weight, *bias = self.shapes
        incoming = _with_ones(self.features[:, None], bool(bias))
        yield [LayerPart(weight, bias[0] if bias else None, incoming, self._of_outputs(directions).mT[:, :, None])]

    def _of_outputs(self, of_logits: Tensor) -> Tensor:
        """What is given for each logit `[n, C, ...]`, for each output of the layer."""
        return of_logits[:, -self._layer.out_features :]


class AllParameters(Derivatives):
    """Derivatives by all trainable parameters, in double precision whatever the type of the models.

    Batch norm uses its running statistics, so that each example's logits are its own.

    Args:
        models: a population of one.
        examples: the n examples.
    """

    def __init__(self, models: Population, examples: Examples) -> None:
        self._models = models.to(dtype=torch.float64)
        self._module = self._models.module(0)
        self._trainable = {name: p for name, p in self._module.named_parameters() if p.requires_grad}
        if not self._trainable:
            raise NotSupportedError(f"{type(self._module).__name__} has no trainable parameters.")
        self._values = {name: p.detach() for name, p in self._trainable.items()}
        self._buffers = dict(self._module.named_buffers())
        self.shapes = {name: p.shape for name, p in self._trainable.items()}
        self._see(examples)

    def _see(self, examples: Examples) -> None:
        self._inputs, self.labels = self._models.resident(examples)
        with torch.no_grad():
            self.logits = torch.cat([call(self._module, batch.clone()) for batch in self._inputs.split(_BATCH)])

    def push(self, vector: Tensor) -> Tensor:
        parameters = list(self._trainable.values())
        pushed = []
        for batch in self._inputs.split(_BATCH):
            logits = call(self._module, batch.clone())
            # J^T u is linear in u, and its derivative by u along the vector is J times the vector.
            u = torch.zeros_like(logits, requires_grad=True)
            pulled = torch.autograd.grad(logits, parameters, u, create_graph=True, materialize_grads=True)
            pushed.append(torch.autograd.grad((_flat(pulled) * vector).sum(), u, materialize_grads=True)[0])
        return torch.cat(pushed)

    def pull(self, weights: Tensor) -> Tensor:
        parameters = list(self._trainable.values())
        total = torch.zeros(self.size).to(weights)
        for inputs, part in self._split(weights):
            weighted = (call(self._module, inputs) * part).sum()
            total += _flat(torch.autograd.grad(weighted, parameters, materialize_grads=True))
        return total

    def rows(self, directions: Tensor, names: list[str] | None = None) -> Iterator[Tensor]:
        values = {name: self._values[name] for name in names or self.shapes}
        size = sum(value.numel() for value in values.values())

        def of_one(x: InputTensors, columns: Tensor) -> Tensor:
            back: Callable[[Tensor], tuple[Tensors]] = vjp(
                lambda chosen: self._logits({**self._values, **chosen}, x[None])[0], values
            )[1]
            flat: Tensor = vmap(lambda column: _flat(back(column)[0].values()))(columns)
            return flat

        for part in _batches(self.count, directions.shape[-1] * size):
            try:
                batch: Tensor = vmap(of_one)(self._inputs[part].clone(), directions[part].mT)
            except RuntimeError as error:
                raise NotSupportedError(
                    "The network cannot be differentiated for many examples at once "
                    f"({str(error).splitlines()[0]}): choose the solver kronecker or cg, or the last layer alone."
                ) from error
            yield batch.detach()

    def layers(self, directions: Tensor) -> Iterator[list[LayerPart]]:
        for inputs, columns in self._split(directions, max(1, min(_BATCH, _PRODUCTS // self.size))):
            with _Tape(self._module, self._trainable) as tape:
                logits = call(self._module, inputs)
                yield tape.parts(logits, columns)

    def hessian_product(self, loss_sum: Callable[[Tensor, Tensor], Tensor], vector: Tensor) -> Tensor:
        """The Hessian of the summed loss times a vector `[P]`; a forward pass and two backward passes."""
        total = torch.zeros_like(vector)
        parameters = list(self._trainable.values())
        for inputs, labels in self._split(self.labels):
            loss = loss_sum(call(self._module, inputs), labels)
            first = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
            slope = (_flat(first) * vector).sum()
            total += _flat(torch.autograd.grad(slope, parameters, materialize_grads=True))
        return total

    def _logits(self, values: Tensors, inputs: InputTensors) -> Tensor:
        return call(self._module, inputs, (values, self._buffers))

    def _split(self, beside: Tensor, width: int = _BATCH) -> Iterator[tuple[InputTensors, Tensor]]:
        """Copies of the inputs, which a layer may change in place, and what goes with them, batch by batch."""
        for inputs, part in zip(self._inputs.split(width), beside.split(width), strict=True):
            yield inputs.clone(), part


class _Tape:
    """While it is open, records what goes into and comes out of the layers with weights of their own."""

    def __init__(self, module: nn.Module, trainable: Mapping[str, Tensor]) -> None:
        self._module, self._trainable = module, trainable
        self._seen: dict[str, list[tuple[nn.Module, Tensor, Tensor]]] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Self:
        owners: dict[int, int] = {}
        for _, parameter in self._module.named_parameters(remove_duplicate=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
        for prefix, layer in self._module.named_modules():
            name = f"{prefix}.".lstrip(".")
            shared = any(owners[id(parameter)] > 1 for parameter in layer.parameters())
            if _is_matrix(layer) and f"{name}weight" in self._trainable and not shared:
                self._hooks.append(layer.register_forward_hook(self._recorder(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _recorder(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self._seen.setdefault(name, []).append((layer, arguments[0].detach(), output))
            return output.clone()  # which the next layer may change in place

        return record

    def parts(self, logits: Tensor, columns: Tensor) -> list[LayerPart]:
        """The parts of every layer that ran once, for directions `[b, C, k]`."""
        once = {name: calls[0] for name, calls in self._seen.items() if len(calls) == 1}
        outputs = [output for _, _, output in once.values()]
        if not outputs:
            return []
        slopes = [
            torch.autograd.grad(logits, outputs, column, retain_graph=True, materialize_grads=True)
            for column in columns.unbind(-1)
        ]
        found = []
        for (name, (layer, inputs, _)), outgoing in zip(once.items(), zip(*slopes, strict=True), strict=True):
            bias = f"{name}bias" if f"{name}bias" in self._trainable else None
            stacked = torch.stack([_positions_last(layer, slope) for slope in outgoing], dim=1)
            incoming = _with_ones(_incoming(layer, inputs), bias is not None)
            found.append(LayerPart(f"{name}weight", bias, incoming, stacked))
        return found


def check_logits(derivatives: Derivatives, examples: Examples) -> None:
    """Check that the logits at examples are finite and that every label has one.

    Raises:
        InputError: one is not, or there are more classes than logits.
    """
    outputs = derivatives.logits.shape[1]
    if len(examples.classes) > outputs:
        raise InputError(f"The model must give a logit for each of {len(examples.classes)} classes, got {outputs}.")
    check_finite(derivatives.logits.detach().cpu().numpy(), examples)


def _is_matrix(layer: nn.Module) -> bool:
    """Whether the layer multiplies its inputs, or patches of them, by one matrix."""
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return isinstance(layer, nn.Linear)


def _incoming(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Inputs of a linear layer, or patches of those of a convolution, as `[b, t, in]`."""
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)  # noqa: S101 (such layers are not recorded)
        return F.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride).mT
    return inputs.flatten(1, -2) if inputs.ndim > 2 else inputs[:, None]


def _positions_last(layer: nn.Module, slope: Tensor) -> Tensor:
    """Derivatives by the outputs of a layer as `[b, t, out]`."""
    if isinstance(layer, nn.Conv2d):
        return slope.flatten(2).mT
    return slope.flatten(1, -2) if slope.ndim > 2 else slope[:, None]


def _with_ones(incoming: Tensor, wanted: bool) -> Tensor:
    return torch.cat([incoming, torch.ones_like(incoming[..., :1])], dim=-1) if wanted else incoming


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _batches(count: int, numbers: int) -> Iterator[slice]:
    """Slices of `count` examples, each of which needs `numbers` numbers."""
    width = max(1, min(_BATCH * 16, _ROWS // max(1, numbers)))
    for first in range(0, count, width):
        yield slice(first, min(first + width, count))
