"""How a population is computed: a width of models in one vectorized call, or one model after another.

Parameters and buffers are stacked on a leading model axis. A `Chunk` is a run of consecutive models. With
more than one model, its forward pass is `torch.func.vmap` over the stacked tensors, differentiated by
ordinary autograd; with one, it is the plain module whose tensors are views of the population's. Optimizers
work in place on either.

Which width is fastest is measured (`choose_engine`). Whether vectorizing gives the right result is tested first
(`why_not_vectorized`): some modules raise under vmap, and some, such as one that assigns a buffer anew, would
silently be wrong.
"""

import logging
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.func import vmap

from untrain.errors import NotSupportedError
from untrain.models.inputs import InputTensors, each_tensor
from untrain.models.modules import call, copied, raw_logits
from untrain.models.weights import Tensors
from untrain.population.recipe import SGD

logger = logging.getLogger("untrain")

WIDTHS = (4, 16, 64)
"""Widths that are tried besides 1; beyond 64 nothing was gained on a CPU, where the working set leaves the cache."""

_CLEARLY, _HOPELESS = 0.9, 1.4
"""A challenger must be clearly faster, since one model at a time needs the least memory; a slow one ends the search."""


class Engine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a population is computed.

    Attributes:
        width: models in one vectorized call; 1 computes one after another.
        channels_last: give a single model its images with the channels innermost, which convolutions on a CPU may
            like better.
        slots: models that a GPU trains at the same time, if width is 1. Whole steps are captured once and replayed; 0
            computes each step eagerly. On a CPU more than 1 computes uncaptured, by the same code.
        compiled: compile the forward and backward pass in slots. It changes the last bits and takes about a minute.
        bfloat16: compute the products of a training in slots in bfloat16.
        reason: why it was chosen, for people.
    """

    width: Annotated[int, msgspec.Meta(ge=1)] = 1
    channels_last: bool = False
    slots: Annotated[int, msgspec.Meta(ge=0)] = 1
    compiled: bool = False
    bfloat16: bool = False
    reason: str = "given"


def attach(module: nn.Module, tensors: Tensors) -> None:
    """Make the module compute with these tensors, not with copies of them."""
    for name, parameter in module.named_parameters():
        parameter.data = tensors[name]
    for name, _ in list(module.named_buffers()):
        owner, _, leaf = name.rpartition(".")
        module.get_submodule(owner)._buffers[leaf] = tensors[name]


def last_linear(module: nn.Module, inputs: InputTensors) -> tuple[str, nn.Linear]:
    """Name and module of the linear layer whose output is the logits, or the single logit.

    Args:
        module: in evaluation mode.
        inputs: a few examples `[B, ...]`.

    Raises:
        NotSupportedError: there is none.
    """
    seen: list[tuple[str, nn.Linear, Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, _, output, name=name: seen.append((name, layer, output.clone())))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    with torch.no_grad():
        logits = raw_logits(module, inputs.clone())
    for hook in hooks:
        hook.remove()
    for name, layer, output in reversed(seen):
        # NaN equals NaN here: whether logits are finite is for others to say.
        if output.numel() == logits.numel() and torch.allclose(
            output.reshape(logits.shape), logits, rtol=0, atol=0, equal_nan=True
        ):
            return name, layer
    raise NotSupportedError(
        f"{type(module).__name__} has no linear layer whose output is the logits: choose a method or scorer that uses "
        "all parameters, or predictions alone."
    )


def uses(module: nn.Module, layer: nn.Module, batches: Iterable[InputTensors]) -> Iterator[list[Tensor]]:
    """What goes into a layer for each batch, once for every time that the module uses it."""
    seen: list[Tensor] = []
    with layer.register_forward_hook(lambda _, args, __: seen.append(args[0])):
        for batch in batches:
            seen.clear()
            call(module, batch.clone())
            yield list(seen)


class Chunk:
    """Consecutive models of a population, made computable.

    Args:
        skeleton: a module of the architecture; for a single model it is one that this chunk may attach to.
        tensors: the population's stacked tensors `[N, ...]`; the chunk computes with views of them.
        rows: which models.
        channels_last: memory layout of the inputs `[B, channels, height, width]` of a single model.
    """

    def __init__(self, skeleton: nn.Module, tensors: Tensors, rows: slice, *, channels_last: bool = False) -> None:
        self.skeleton, self.tensors, self.rows, self.channels_last = skeleton, tensors, rows, channels_last
        self.size: int = rows.stop - rows.start
        views = {name: tensor[rows] for name, tensor in tensors.items()}
        self._parameters: Tensors = {}
        self._buffers: Tensors = {}
        if self.size > 1:
            for name, parameter in skeleton.named_parameters():
                self._parameters[name] = views[name].detach().requires_grad_(parameter.requires_grad)
            self._buffers = {name: views[name] for name, _ in skeleton.named_buffers()}

    def attach(self) -> None:
        """Point the module at the model's tensors; needed before a single model is computed."""
        if self.size == 1:
            attach(self.skeleton, {name: tensor[self.rows.start] for name, tensor in self.tensors.items()})

    def collect(self) -> None:
        """Copy buffers that the module assigned anew back into the population."""
        if self.size == 1:
            for name, buffer in self.skeleton.named_buffers():
                home = self.tensors[name][self.rows.start]
                if buffer.data_ptr() != home.data_ptr():
                    home.copy_(buffer)

    @property
    def leaves(self) -> Tensors:
        """Trainable tensors by name: `[K, ...]`, without the model axis for a single model."""
        source = dict(self.skeleton.named_parameters()) if self.size == 1 else self._parameters
        return {name: tensor for name, tensor in source.items() if tensor.requires_grad}

    def stacked(self) -> Tensors:
        """Trainable tensors by name, `[K, ...]` for a single model, too; with gradients."""
        return {name: leaf[None] for name, leaf in self.leaves.items()} if self.size == 1 else self.leaves

    def own(self, stacked: Tensor) -> Tensor:
        """The part of a `[N, ...]` tensor that belongs to these models, shaped as their leaves are."""
        return stacked[self.rows.start] if self.size == 1 else stacked[self.rows]

    def forward(self, inputs: InputTensors, *, shared: bool = False) -> Tensor:
        """Logits `[K, B, C]` of inputs `[K, B, ...]`, or of one batch `[B, ...]` that all models share."""
        if self.size == 1:
            own = inputs if shared else inputs[0]
            if self.channels_last:
                own = each_tensor(own, lambda images: images.contiguous(memory_format=torch.channels_last))
            return call(self.skeleton, own)[None]

        def one(parameters: Tensors, buffers: Tensors, x: InputTensors) -> Tensor:
            return call(self.skeleton, x, (parameters, buffers))

        every = vmap(one, in_dims=(0, 0, None if shared else 0), randomness="error")
        result: Tensor = every(self._parameters, self._buffers, inputs)
        return result


def why_not_vectorized(skeleton: nn.Module, tensors: Tensors, inputs: InputTensors) -> str | None:
    """Why these models cannot be computed in one call, or None if they can.

    Two models take two steps of gradient descent in float64, vectorized and alone; parameters, buffers and
    logits must agree.

    Args:
        skeleton: a module of the architecture, in training mode or not; it is copied.
        tensors: stacked `[N, ...]`, N at least 2; only copied.
        inputs: a few examples `[B, ...]`.
    """
    module = copied(skeleton).double().train()
    pair_together = {name: _double(tensor[:2]).clone() for name, tensor in tensors.items()}
    pair_alone = {name: tensor.clone() for name, tensor in pair_together.items()}
    # Each model gets its own half of the inputs, as in training; a look at all of them follows, as in evaluation.
    rows = torch.arange(len(inputs), device=inputs.device)
    inputs = each_tensor(inputs, _double)[torch.cat([rows, rows.flip(0)])]
    try:
        together = _two_steps([Chunk(module, pair_together, slice(0, 2))], inputs)
        alone = _two_steps([Chunk(module, pair_alone, slice(row, row + 1)) for row in (0, 1)], inputs)
    except Exception as error:  # noqa: BLE001 (whatever a module raises under vmap means the same)
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
    for name, tensor in pair_together.items():
        if not torch.allclose(tensor, pair_alone[name], rtol=1e-7, atol=1e-10, equal_nan=True):
            return f"{name} differs between a vectorized and a plain step"
    return None if torch.allclose(together, alone, rtol=1e-7, atol=1e-10) else "logits differ when vectorized"


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _two_steps(chunks: list[Chunk], inputs: InputTensors) -> Tensor:
    logits = []
    for chunk in chunks:
        chunk.attach()
        optimizer = SGD(lr=0.01).build(chunk.leaves.values())
        for _ in range(2):
            optimizer.zero_grad()
            chunk.skeleton.train()
            out = chunk.forward(inputs.unflatten(0, (2, -1))[chunk.rows].clone())
            # Cross-entropy with the first class: its gradient is bounded, so that rounding does not grow.
            (-out.log_softmax(-1)[..., 0].mean(1).sum()).backward()
            optimizer.step()
        chunk.skeleton.eval()
        logits.append(chunk.forward(inputs.clone(), shared=True).detach())
        chunk.collect()
    return torch.cat(logits)


def seconds_of(device: torch.device) -> float:
    """A clock of the work done: processor seconds of this process, or wall seconds once a GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def choose_engine(
    make_skeleton: Callable[[], nn.Module], tensors: Tensors, inputs: InputTensors, batch_size: int
) -> Engine:
    """Measure how these models are best computed.

    Args:
        make_skeleton: gives a module of the architecture that may be attached to.
        tensors: stacked `[N, ...]`; they are not changed.
        inputs: examples `[n, ...]` of the data that will be trained on.
        batch_size: of that training.

    Cost: a probe, and at most a second, or four training steps, for each way that is tried.
    """
    count = len(next(iter(tensors.values())))
    skeleton = make_skeleton()
    rows = torch.arange(batch_size, device=inputs.device) % len(inputs)

    def step(engine: Engine) -> Callable[[], None]:
        sample = {name: tensor[: engine.width].clone() for name, tensor in tensors.items()}
        chunk = Chunk(skeleton, sample, slice(0, engine.width), channels_last=engine.channels_last)
        batch = inputs[rows.expand(engine.width, -1)]

        def run() -> None:
            chunk.attach()
            chunk.forward(batch).square().sum().backward()

        return run

    def ratio(challenger: Engine, holder: Engine) -> float:
        return _ratio(step(challenger), step(holder), inputs.device) * holder.width / challenger.width

    best, reason, figures = Engine(), "there is one model", []
    with preserved_mode(skeleton):
        skeleton.train()
        if isinstance(inputs, Tensor) and inputs.ndim == 4:
            with suppress(RuntimeError):  # a module that insists on the ordinary layout keeps it
                cost = ratio(Engine(1, channels_last=True), best)
                figures.append(f"channels last {cost:.2f}")
                best = Engine(1, channels_last=cost < _CLEARLY)
        if count > 1 and (why := why_not_vectorized(skeleton, tensors, inputs[:8])):
            logger.warning("models are computed one by one, since they cannot be vectorized: %s", why)
            reason = f"cannot be vectorized: {why}"
        elif count > 1:
            for width in dict.fromkeys(min(width, count) for width in WIDTHS):
                try:
                    cost = ratio(Engine(width), best)
                except RuntimeError as error:  # too wide for the memory, or for a layer
                    figures.append(f"width {width} failed: {str(error).splitlines()[0]}")
                    break
                figures.append(f"width {width} {cost:.2f}")
                if cost < _CLEARLY:
                    best = Engine(width)
                elif cost > _HOPELESS:
                    break
            reason = "measured"
    return Engine(
        best.width,
        best.channels_last,
        reason=f"{reason}; time against the best before: {', '.join(figures) or 'none'}",
    )


def _ratio(challenger: Callable[[], None], holder: Callable[[], None], device: torch.device) -> float:
    """The challenger's time over the holder's, the median of several pairs: a slow spell slows down both."""
    ratios: list[float] = []
    challenger()  # warm up
    holder()
    start = seconds_of(device)
    while len(ratios) < 3 or (len(ratios) < 15 and seconds_of(device) - start < 1.0):
        begin = seconds_of(device)
        challenger()
        middle = seconds_of(device)
        holder()
        ratios.append((middle - begin) / max(seconds_of(device) - middle, 1e-9))
    return statistics.median(ratios)


@contextmanager
def preserved_mode(module: nn.Module) -> Iterator[None]:
    """Leave the module in training or evaluation mode, whichever it was in."""
    training = module.training
    try:
        yield
    finally:
        module.train(training)
