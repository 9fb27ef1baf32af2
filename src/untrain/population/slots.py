"""Slots: plain modules at fixed addresses, whose training step a GPU captures once and replays.

An eager step of a network on a GPU is bound by launching its kernels. In a slot, parameters, buffers, optimizer state,
learning rate and the position in the data have fixed addresses. So a whole step (gather, forward, backward, optimizer)
can be captured in one CUDA graph, and the host only replays it. Several slots run at the same time, each on a stream of
its own. A model is copied into a slot and out again.

On a CPU the same code runs uncaptured.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import FunctionType
from typing import cast

import torch
from torch import Tensor, nn

from untrain.errors import first_line
from untrain.models.inputs import InputTensors, each_tensor
from untrain.models.modules import call
from untrain.models.weights import Tensors, state_of
from untrain.population.engine import Engine
from untrain.population.loss import Batch, Loss
from untrain.population.recipe import Recipe

WORTH_CAPTURING = 30
"""Steps of a run from which on capturing pays: it costs about ten eager steps, and a fifth of a second at most."""

_TRIAL_STEPS, _TOLERANCE = 2, 1e-2
"""Steps that a new graph and eager code take from the same state, and by how much of their length they may differ."""

Sizes = tuple[int, int]
"""Examples of a step, and of the set beside it (0 without one)."""


@dataclass(frozen=True)
class Course:
    """What the steps of one run have in common; a captured step is valid as long as this is the same.

    Attributes:
        inputs: `[n, ...]` on the device.
        labels: `[n]`.
        beside: inputs and labels of the second set, or None.
        bounds: where the batches of an epoch begin and end.
        beside_bounds: the same for the second set.
        loss: of a batch.
        weighted: whether there are class weights.
    """

    inputs: InputTensors
    labels: Tensor
    beside: tuple[InputTensors, Tensor] | None
    bounds: Sequence[tuple[int, int]]
    beside_bounds: Sequence[tuple[int, int]]
    loss: Loss
    weighted: bool

    def sizes(self, step: int) -> Sizes:
        """Examples of a step of an epoch."""
        first, last = self.bounds[step]
        if not self.beside_bounds:
            return last - first, 0
        beside_first, beside_last = self.beside_bounds[step % len(self.beside_bounds)]
        return last - first, beside_last - beside_first

    def same_steps(self, other: "Course | None") -> bool:
        """Whether steps captured for the other course are right for this one.

        A loss that is a closure or a method may have changed what it refers to, and it may look up values of one model.
        """
        return (
            other is not None
            and isinstance(self.loss, FunctionType)
            and self.loss.__closure__ is None
            and self.loss is other.loss
            and self.inputs is other.inputs
            and self.labels is other.labels
            and (self.beside is None) == (other.beside is None)
            and (self.beside is None or other.beside is None or self.beside[0] is other.beside[0])
            and list(self.bounds) == list(other.bounds)
            and list(self.beside_bounds) == list(other.beside_bounds)
            and self.weighted == other.weighted
        )


@dataclass
class Epoch:
    """What is drawn for an epoch of K models.

    Attributes:
        order: `[K, m]` positions of the examples, K = 1 in a slot.
        beside_order: the same for the second set, or None.
        rates: the learning rate of each step.
        weights: `[K, C]` class weights, or None.
    """

    order: Tensor
    beside_order: Tensor | None
    rates: Sequence[float]
    weights: Tensor | None


@dataclass
class _Tables:
    """Buffers that a step reads; their addresses stay the same for a course."""

    order: Tensor
    beside_order: Tensor | None
    starts: Tensor
    beside_starts: Tensor | None
    rates: Tensor
    weights: Tensor | None


class Slot:
    """A module with everything that its training step needs at fixed addresses.

    Args:
        module: of the architecture, on the device; the slot keeps and changes it.
        recipe: says the optimizer.
        engine: memory layout, precision, and whether forward and backward pass are compiled.
        masks: of the training, `[N, ...]` by name.
    """

    def __init__(self, module: nn.Module, recipe: Recipe, engine: Engine, masks: Tensors) -> None:
        self.module, self.engine, self.all_masks = module.train(), engine, masks
        if engine.channels_last:
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.tensors = {name: tensor.detach() for name, tensor in state_of(self.module).items()}
        self.device = next(iter(self.tensors.values())).device
        self.leaves = {name: leaf for name, leaf in self.module.named_parameters() if leaf.requires_grad}
        self.callable = cast("nn.Module", torch.compile(self.module)) if engine.compiled else self.module
        on_gpu = self.device.type == "cuda"
        self.stream = torch.cuda.Stream(self.device) if on_gpu else None
        # The fused kernels of a GPU read the learning rate as float32.
        self.rate = torch.zeros((), dtype=torch.float32 if on_gpu else torch.float64, device=self.device)
        self.number = torch.zeros(1, dtype=torch.long, device=self.device)
        self.ramp = torch.zeros(0, dtype=torch.long, device=self.device)
        self.optimizer = _with_state(recipe.optimizer.build(self.leaves.values()), self.leaves, self.rate)
        self.row = -1
        self.parked: dict[int, list[Tensor]] = {}
        self.masks: Tensors = {}
        self.still: dict[str, tuple[Tensor, Tensor]] = {}
        self.course: Course | None = None
        self.tables: _Tables | None = None
        self.graphs: dict[Sizes, torch.cuda.CUDAGraph] = {}

    # A model in and out

    def load(self, row: int, tensors: Tensors) -> None:
        """Copy a model `[N, ...]` in, with the optimizer state that it had here; masks as well."""
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(tensors[name][row])
            if row != self.row:
                if self.row >= 0:
                    self.parked[self.row] = [state.clone() for state in self._state()]
                saved = self.parked.pop(row, None)
                for position, state in enumerate(self._state()):
                    state.zero_() if saved is None else state.copy_(saved[position])
                for name, mask in self.all_masks.items():
                    _assign(self.masks, name, mask[row])
        for name, mask in self.masks.items():
            if not (self.all_masks[name] == 0).any():
                continue
            if name not in self.still:
                self.still[name] = mask == 0, self.leaves[name].detach().clone()
            self.still[name][0].copy_(mask == 0)
            self.still[name][1].copy_(self.leaves[name].detach())
        self.row = row

    def store(self, tensors: Tensors) -> None:
        """Copy the model out into `[N, ...]`."""
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensors[name][self.row].copy_(tensor)

    def _state(self) -> list[Tensor]:
        """The optimizer's tensors, in an order that stays."""
        return [
            value
            for leaf in self.leaves.values()
            for _, value in sorted(self.optimizer.state[leaf].items())
            if isinstance(value, Tensor)
        ]

    def _everything(self) -> list[Tensor]:
        return [*self.tensors.values(), *self._state(), self.number]

    # Steps

    def begin(self, course: Course, epoch: Epoch) -> None:
        """Get ready for an epoch; captured steps stay if they are right for it."""
        if self.tables is None or not course.same_steps(self.course):
            self.graphs.clear()
            self.tables = self._new_tables(course, epoch)
            self.ramp = torch.arange(
                max(max(course.sizes(step)) for step in range(len(course.bounds))), device=self.device
            )
        self.course = course
        self.tables.order.copy_(epoch.order)
        self.tables.rates.copy_(torch.tensor(epoch.rates, dtype=self.rate.dtype))
        for table, values in ((self.tables.beside_order, epoch.beside_order), (self.tables.weights, epoch.weights)):
            if table is not None and values is not None:
                table.copy_(values)
        self.number.zero_()

    def _new_tables(self, course: Course, epoch: Epoch) -> _Tables:
        starts = [first for first, _ in course.bounds]
        beside = course.beside_bounds
        beside_starts = [beside[step % len(beside)][0] for step in range(len(starts))] if beside else None

        def on_device(values: list[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.long, device=self.device)

        return _Tables(
            order=epoch.order.clone(),
            beside_order=None if epoch.beside_order is None else epoch.beside_order.clone(),
            starts=on_device(starts),
            beside_starts=None if beside_starts is None else on_device(beside_starts),
            rates=torch.zeros(len(starts), dtype=self.rate.dtype, device=self.device),
            weights=None if epoch.weights is None else epoch.weights.clone(),
        )

    def advance(self, step: int) -> None:
        """Take the next step; `step` says which of the epoch it is, for its size."""
        assert self.course is not None  # noqa: S101 (`begin` comes first)
        sizes = self.course.sizes(step)
        with self.on_stream():
            if sizes in self.graphs:
                self.graphs[sizes].replay()
            else:
                self._step(sizes)

    def _step(self, sizes: Sizes) -> None:
        """A whole step from the buffers; nothing in it waits for the device or depends on Python values that change."""
        course, tables = self.course, self.tables
        assert course is not None  # noqa: S101 (`begin` comes first)
        assert tables is not None  # noqa: S101 (likewise)
        self.rate.copy_(tables.rates.index_select(0, self.number)[0])
        batch = self._batch(sizes[0], tables.order, tables.starts, course.inputs, course.labels, tables.weights)
        if course.beside is not None and tables.beside_order is not None and tables.beside_starts is not None:
            beside = self._batch(sizes[1], tables.beside_order, tables.beside_starts, *course.beside, None)
            batch = replace(batch, beside=beside)
        loss = course.loss(batch).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for name, mask in self.masks.items():
            gradient = self.leaves[name].grad
            if gradient is not None:
                gradient.mul_(mask)
        self.optimizer.step()
        with torch.no_grad():
            for name, (still, before) in self.still.items():
                self.leaves[name].copy_(torch.where(still, before, self.leaves[name]))
            self.number += 1

    def _batch(
        self, count: int, order: Tensor, starts: Tensor, inputs: InputTensors, labels: Tensor, weights: Tensor | None
    ) -> Batch:
        rows = order[0].index_select(0, starts.index_select(0, self.number) + self.ramp[:count])
        x = each_tensor(inputs, lambda tensor: tensor.index_select(0, rows))
        if self.engine.channels_last:
            x = each_tensor(x, lambda images: images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.engine.bfloat16):
            logits = call(self.callable, x)
        if self.engine.bfloat16:
            logits = logits.float()
        models, parameters = slice(self.row, self.row + 1), {name: leaf[None] for name, leaf in self.leaves.items()}
        return Batch(logits[None], labels.index_select(0, rows)[None], rows[None], models, weights, parameters)

    # Capturing

    def why_not(self, sizes: Sizes) -> str | None:
        """Why a step cannot be computed in a slot, or None if it can; the state is the same afterwards."""
        before = self._copies()
        try:
            reason = self._trial(sizes)
        except Exception as error:  # noqa: BLE001 (whatever a module raises, it is computed without slots)
            reason = f"{type(error).__name__}: {first_line(error)}"
        self._restore(before)
        return reason

    def capture(self, steps: range) -> str | None:
        """Capture the steps of these numbers of the epoch that has begun, if that has not been done.

        Returns:
            Why that is not possible, or None. The state is the same afterwards.
        """
        assert self.course is not None  # noqa: S101 (`begin` comes first)
        for sizes in dict.fromkeys(self.course.sizes(step) for step in steps):
            if sizes in self.graphs:
                continue
            before = self._copies()
            try:
                reason = self._trial(sizes, may_wait=False) or self._capture(sizes, before)
            except Exception as error:  # noqa: BLE001 (whatever cannot be captured is computed eagerly)
                reason = f"{type(error).__name__}: {first_line(error)}"
            self._restore(before)
            if reason is not None:
                self.graphs.clear()
                return reason
        return None

    def _trial(self, sizes: Sizes, *, may_wait: bool = True) -> str | None:
        """Take some steps; tell why they could not be captured, if that can be seen."""
        self.wait()
        generators = self._generators()
        with self.on_stream(), nullcontext() if may_wait else _no_waiting():
            for _ in range(_TRIAL_STEPS):
                self.number.zero_()  # a batch of any of the sizes fits at the beginning
                self._step(sizes)
        self._synchronize()
        if not all(torch.equal(a, b) for a, b in zip(generators, self._generators(), strict=True)):
            return "it draws random numbers"
        now = state_of(self.module)
        for name, tensor in self.tensors.items():
            if now[name].data_ptr() != tensor.data_ptr():
                return f"it replaces the buffer {name} in each step"
        return None

    def _capture(self, sizes: Sizes, before: list[Tensor]) -> str | None:
        """Capture a step, and compare it with the steps of the trial that was made from `before`."""
        expected = self._copies()
        self._restore(before)
        pool = next(iter(self.graphs.values())).pool() if self.graphs else None
        graph = torch.cuda.CUDAGraph()
        with (
            self.on_stream(),  # so that the stream is left as well if the capture fails
            torch.cuda.graph(graph, pool=pool, stream=self.stream, capture_error_mode="thread_local"),
        ):
            self._step(sizes)
        with self.on_stream():
            for _ in range(_TRIAL_STEPS):
                self.number.zero_()
                graph.replay()
        self._synchronize()
        if not _close(self._everything(), expected, before):
            return "a captured step gives other numbers"
        self.graphs[sizes] = graph
        return None

    def _copies(self) -> list[Tensor]:
        return [tensor.clone() for tensor in self._everything()]

    def _restore(self, values: list[Tensor]) -> None:
        self._synchronize()
        with torch.no_grad():
            for tensor, value in zip(self._everything(), values, strict=True):
                tensor.copy_(value)
        self._synchronize()

    def _generators(self) -> list[Tensor]:
        """State of the generators that a module may draw from."""
        states = [torch.get_rng_state()]
        return states if self.stream is None else [*states, torch.cuda.get_rng_state(self.device)]

    def _synchronize(self) -> None:
        if self.stream is not None:
            torch.cuda.synchronize(self.device)

    def on_stream(self) -> AbstractContextManager[object]:
        """Compute on this slot's stream, on a GPU."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def wait(self) -> None:
        """Let this slot's stream wait for the current one: what it reads is written there."""
        if self.stream is not None:
            self.stream.wait_stream(torch.cuda.current_stream(self.device))

    def join(self) -> None:
        """Let the current stream wait for this slot's."""
        if self.stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self.stream)


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Let whatever waits for the GPU raise: it would spoil a capture, and some captures that fail spoil more."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def _with_state(
    optimizer: torch.optim.Optimizer, leaves: dict[str, nn.Parameter], rate: Tensor
) -> torch.optim.Optimizer:
    """The optimizer with a learning rate that is a tensor, and a state as if no step had been taken.

    A step of learning rate 0 makes the state. Momentum 0 then gives the first step that an optimizer without one takes.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
        if "capturable" in group:
            group["capturable"] = rate.is_cuda
    for leaf in leaves.values():
        leaf.grad = torch.zeros_like(leaf)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for leaf in leaves.values():
        for name, value in optimizer.state[leaf].items():
            if isinstance(value, Tensor):
                optimizer.state[leaf][name] = value.zero_()
    return optimizer


def _assign(buffers: Tensors, name: str, values: Tensor) -> None:
    """Copy values into the buffer of that name, which is made if there is none."""
    if name in buffers:
        buffers[name].copy_(values)
    else:
        buffers[name] = values.clone()


def _close(values: list[Tensor], expected: list[Tensor], before: list[Tensor]) -> bool:
    """Whether values came from `before` to where they were expected, within a share of the way."""

    def squares(left: list[Tensor], right: list[Tensor]) -> float:
        pairs = ((a, b) for a, b in zip(left, right, strict=True) if a.is_floating_point())
        return sum(float((a.double() - b.double()).square().sum()) for a, b in pairs)

    whole = all(torch.equal(a, b) for a, b in zip(values, expected, strict=True) if not a.is_floating_point())
    return whole and squares(values, expected) <= _TOLERANCE**2 * squares(expected, before)
