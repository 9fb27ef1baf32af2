"""Slots: plain modules at fixed addresses, whose training step a GPU captures once and replays.

An eager step of a small network on a GPU is bound by launching its kernels. In a slot, parameters, buffers, optimizer
state, learning rate, targets and the position in the data have fixed addresses. So a whole step (gather, forward,
backward, optimizer) can be captured in one CUDA graph, and the host only replays it. Several slots run at the same
time, each on a stream of its own. A model is copied into a slot and out again.

Slots outlive a training: the next one of the same architecture and optimizer takes them over, and where it also has the
same data and loss, with the steps that were captured.

On a CPU the same code runs uncaptured.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import FunctionType, MethodType
from typing import cast

import msgspec
import torch
from torch import Tensor, nn

from untrain.errors import first_line
from untrain.models import Factory
from untrain.models.inputs import InputTensors, each_tensor
from untrain.models.modules import call
from untrain.models.weights import Tensors, state_of
from untrain.population.engine import Engine
from untrain.population.loss import Batch, Loss
from untrain.population.recipe import SGD, Adam, AdamW
from untrain.population.residence import memory_of

WORTH_CAPTURING = 30
"""Steps from which on capturing pays: the first slot takes about ten eager steps to check it, the others one each."""

_TRIAL_STEPS, _TOLERANCE = 2, 1e-2
"""Steps that a new graph and eager code take from the same state, and by how much of their length they may differ."""

_COURSES, _KINDS, _SHARE = 8, 4, 1 / 2
"""Courses that a slot keeps; kinds of slots that a CPU keeps; share of a GPU's memory up to which it keeps them."""

_STRETCH = 8
"""Steps that the host asks of a slot before it turns to the next one: changing streams takes longer than a replay."""

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
        targets: shape of the targets of an example, or None.
    """

    inputs: InputTensors
    labels: Tensor
    beside: tuple[InputTensors, Tensor] | None
    bounds: Sequence[tuple[int, int]]
    beside_bounds: Sequence[tuple[int, int]]
    loss: Loss
    weighted: bool
    targets: tuple[int, ...] | None = None

    def sizes(self, step: int) -> Sizes:
        """Examples of a step of an epoch."""
        first, last = self.bounds[step]
        if not self.beside_bounds:
            return last - first, 0
        beside_first, beside_last = self.beside_bounds[step % len(self.beside_bounds)]
        return last - first, beside_last - beside_first

    @property
    def stays(self) -> bool:
        """Whether the loss computes the same in later runs, and for other models.

        A function with a closure may have changed what it refers to. A method of a frozen struct has not.
        """
        loss = self.loss
        if isinstance(loss, MethodType):
            owner = loss.__self__
            if not isinstance(owner, msgspec.Struct) or not owner.__struct_config__.frozen:
                return False
            loss = loss.__func__
        return isinstance(loss, FunctionType) and loss.__closure__ is None

    def same_steps(self, other: "Course") -> bool:
        """Whether steps captured for the other course are right for this one."""
        return self is other or (
            self.stays
            and _same_loss(self.loss, other.loss)
            and self.inputs is other.inputs
            and self.labels is other.labels
            and (self.beside is None) == (other.beside is None)
            and (self.beside is None or other.beside is None or self.beside[0] is other.beside[0])
            and list(self.bounds) == list(other.bounds)
            and list(self.beside_bounds) == list(other.beside_bounds)
            and self.weighted == other.weighted
            and self.targets == other.targets
        )


def _same_loss(loss: Loss, other: Loss) -> bool:
    if isinstance(loss, MethodType) and isinstance(other, MethodType):
        return loss.__func__ is other.__func__ and loss.__self__ == other.__self__
    return loss is other


@dataclass
class Epoch:
    """What is drawn for an epoch of K models.

    Attributes:
        order: `[K, m]` positions of the examples, K = 1 in a slot.
        beside_order: the same for the second set, or None.
        rates: the learning rate of each step.
        weights: `[K, C]` class weights, or None.
        targets: `[K, n, ...]` of all examples, or None.
    """

    order: Tensor
    beside_order: Tensor | None
    rates: Sequence[float]
    weights: Tensor | None
    targets: Tensor | None = None


@dataclass
class _Tables:
    """Buffers that a step reads; their addresses stay the same for a course."""

    order: Tensor
    beside_order: Tensor | None
    starts: Tensor
    beside_starts: Tensor | None
    rates: Tensor
    ramp: Tensor
    weights: Tensor | None
    targets: Tensor | None

    def fill(self, epoch: Epoch) -> None:
        """Copy what was drawn for an epoch."""
        self.order.copy_(epoch.order)
        self.rates.copy_(torch.tensor(epoch.rates, dtype=self.rates.dtype))
        pairs = (
            (self.beside_order, epoch.beside_order),
            (self.weights, epoch.weights),
            (self.targets, epoch.targets),
        )
        for table, values in pairs:
            if table is not None and values is not None:
                table.copy_(values)


@dataclass
class _Prepared:
    """What a slot has made for a course: its tables, the steps captured so far, and whether a trial went well."""

    course: Course
    tables: _Tables
    graphs: dict[Sizes, torch.cuda.CUDAGraph] = field(default_factory=dict)
    fits: bool = False


@dataclass(frozen=True)
class Kind:
    """What a slot is made for; trainings of the same kind use the same slots.

    Attributes:
        device: of the models.
        dtype: of the models.
        optimizer: with any learning rate, which is a tensor in a slot.
        engine: memory layout, precision, and whether forward and backward pass are compiled.
        masks: name, shape `[...]` for one model, and whether something is frozen, of each mask.
        thread: that uses the slots.
    """

    device: torch.device
    dtype: torch.dtype
    optimizer: SGD | Adam | AdamW
    engine: Engine
    masks: tuple[tuple[str, tuple[int, ...], bool], ...]
    thread: int

    @classmethod
    def of(
        cls,
        device: torch.device,
        dtype: torch.dtype,
        optimizer: SGD | Adam | AdamW,
        engine: Engine,
        masks: Mapping[str, Tensor],
    ) -> "Kind":
        """The kind that a training with these masks `[N, ...]` needs."""
        kinds = tuple((name, tuple(mask.shape[1:]), bool((mask == 0).any())) for name, mask in masks.items())
        optimizer = msgspec.structs.replace(optimizer, lr=1.0)
        engine = msgspec.structs.replace(engine, slots=1, reason="")
        return cls(device, dtype, optimizer, engine, kinds, threading.get_ident())


class Slots:
    """The slots of an architecture, kept for the trainings that follow.

    Args:
        factory: that builds the architecture, or None if none is known to.
    """

    def __init__(self, factory: Factory | None = None) -> None:
        self.factory = factory
        self._kinds: dict[Kind, list[Slot]] = {}

    def of(self, kind: Kind, count: int, module: Callable[[], nn.Module]) -> "list[Slot]":
        """So many slots of a kind; missing ones are made of new modules."""
        slots = self._kinds.pop(kind, [])
        self._kinds[kind] = slots  # the last one is the one that was used last
        while len(slots) < count:
            slots.append(Slot(module(), kind))
            self._make_room(kind.device)
        return slots[:count]

    def _make_room(self, device: torch.device) -> None:
        """Give up the kinds that were used least recently, but never the last one."""
        while len(self._kinds) > 1 and self._crowded(device):
            del self._kinds[next(iter(self._kinds))]
            if device.type == "cuda":
                torch.cuda.empty_cache()

    def _crowded(self, device: torch.device) -> bool:
        if device.type == "cuda":
            return torch.cuda.memory_reserved(device) > _SHARE * memory_of(device)
        return len(self._kinds) > _KINDS


def advance_together(slots: "Sequence[Slot]", steps: range) -> None:
    """Take the next steps of an epoch in all slots at the same time; the current stream waits for their end."""
    for slot in slots:
        slot.wait()
    for first in range(0, len(steps), _STRETCH):
        for slot in slots:
            slot.advance(steps[first : first + _STRETCH])
    for slot in slots:
        slot.join()


class Slot:
    """A module with everything that its training step needs at fixed addresses.

    Args:
        module: of the architecture, on the device; the slot keeps and changes it.
        kind: what the slot is made for.
    """

    def __init__(self, module: nn.Module, kind: Kind) -> None:
        self.module, self.engine = module.train(), kind.engine
        if self.engine.channels_last:
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.tensors = {name: tensor.detach() for name, tensor in state_of(self.module).items()}
        self.device = kind.device
        self.leaves = {name: leaf for name, leaf in self.module.named_parameters() if leaf.requires_grad}
        self.callable = cast("nn.Module", torch.compile(self.module)) if self.engine.compiled else self.module
        on_gpu = self.device.type == "cuda"
        self.stream = torch.cuda.Stream(self.device) if on_gpu else None
        # The fused kernels of a GPU read the learning rate as float32.
        self.rate = torch.zeros((), dtype=torch.float32 if on_gpu else torch.float64, device=self.device)
        self.number = torch.zeros(1, dtype=torch.long, device=self.device)
        self.optimizer = _with_state(kind.optimizer.build(self.leaves.values()), self.leaves, self.rate)
        self.row = -1
        self.masks = {name: torch.ones(shape, dtype=kind.dtype, device=self.device) for name, shape, _ in kind.masks}
        self.still = {
            name: (torch.zeros(shape, dtype=torch.bool, device=self.device), torch.clone(self.leaves[name].detach()))
            for name, shape, freezes in kind.masks
            if freezes
        }
        self.prepared: list[_Prepared] = []

    # A model in and out

    @torch.no_grad()
    def load(self, row: int, tensors: Tensors, masks: Tensors, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Copy in a model of `[N, ...]`, its masks, and the optimizer's states of its leaves, empty before a step."""
        self.row = row
        torch._foreach_copy_(list(self.tensors.values()), [tensors[name][row] for name in self.tensors])
        for mine, given in zip(self._states(), states, strict=True):
            for name, value in mine.items():
                value.copy_(given[name]) if given else value.zero_()
        for name, mask in self.masks.items():
            mask.copy_(masks[name][row])
        for name, (still, before) in self.still.items():
            still.copy_(self.masks[name] == 0)
            before.copy_(self.leaves[name])

    @torch.no_grad()
    def store(self, tensors: Tensors) -> None:
        """Copy the model out into `[N, ...]`."""
        torch._foreach_copy_([tensors[name][self.row] for name in self.tensors], list(self.tensors.values()))

    def end(self) -> list[dict[str, Tensor]]:
        """End a run: a copy of each leaf's state of the optimizer. Steps that later runs may not take are given up.

        The copy is laid out as the tensors of a population are, since fused optimizers pair values by their place.
        """
        self.prepared = [prepared for prepared in self.prepared if prepared.course.stays]
        layout = torch.contiguous_format
        return [{name: value.clone(memory_format=layout) for name, value in state.items()} for state in self._states()]

    def _states(self) -> list[dict[str, Tensor]]:
        """The optimizer's tensors for each leaf, by name."""
        states = (self.optimizer.state[leaf].items() for leaf in self.leaves.values())
        return [{name: value for name, value in state if isinstance(value, Tensor)} for state in states]

    def _everything(self) -> list[Tensor]:
        states = (value for state in self._states() for value in state.values())
        return [*self.tensors.values(), *states, self.number]

    # Steps

    def begin(self, course: Course, epoch: Epoch) -> None:
        """Get ready for an epoch; captured steps stay if they are right for it."""
        prepared = next((old for old in self.prepared if course.same_steps(old.course)), None)
        if prepared is None:
            prepared = _Prepared(course, self._new_tables(course, epoch))
        # The last one is the present one; the one that was used least recently goes.
        others = [old for old in self.prepared if old is not prepared]
        self.prepared = [*others[1 - _COURSES :], prepared]
        prepared.tables.fill(epoch)
        self.number.zero_()

    @property
    def can_capture(self) -> bool:
        """Whether the device has graphs."""
        return self.device.type == "cuda"

    @property
    def present(self) -> _Prepared:
        """What is prepared for the run that has begun."""
        return self.prepared[-1]

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
            ramp=on_device(list(range(max(max(course.sizes(step)) for step in range(len(starts)))))),
            weights=None if epoch.weights is None else epoch.weights.clone(),
            targets=None if epoch.targets is None else epoch.targets.clone(),
        )

    def advance(self, steps: range) -> None:
        """Take the next steps; `steps` says which of the epoch they are, for their sizes."""
        prepared = self.present
        with self.on_stream():
            for sizes in map(prepared.course.sizes, steps):
                if sizes in prepared.graphs:
                    prepared.graphs[sizes].replay()
                else:
                    self._step(sizes)

    def _step(self, sizes: Sizes) -> None:
        """A whole step from the buffers; nothing in it waits for the device or depends on Python values that change."""
        course, tables = self.present.course, self.present.tables
        self.rate.copy_(tables.rates.index_select(0, self.number)[0])
        rows = self._rows(tables.order, tables.starts, sizes[0])
        batch = replace(self._batch(rows, course.inputs, course.labels), class_weights=tables.weights)
        if tables.targets is not None:
            batch = replace(batch, given=tables.targets.index_select(1, rows))
        if course.beside is not None and tables.beside_order is not None and tables.beside_starts is not None:
            rows = self._rows(tables.beside_order, tables.beside_starts, sizes[1])
            batch = replace(batch, beside=self._batch(rows, *course.beside))
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

    def _rows(self, order: Tensor, starts: Tensor, count: int) -> Tensor:
        """Positions of the examples of the present step, `[count]`."""
        ramp = self.present.tables.ramp[:count]
        return order[0].index_select(0, starts.index_select(0, self.number) + ramp)

    def _batch(self, rows: Tensor, inputs: InputTensors, labels: Tensor) -> Batch:
        x = each_tensor(inputs, lambda tensor: tensor.index_select(0, rows))
        if self.engine.channels_last:
            x = each_tensor(x, lambda images: images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.engine.bfloat16):
            logits = call(self.callable, x)
        if self.engine.bfloat16:
            logits = logits.float()
        models, parameters = slice(self.row, self.row + 1), {name: leaf[None] for name, leaf in self.leaves.items()}
        return Batch(logits[None], labels.index_select(0, rows)[None], rows[None], models, None, parameters)

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

    def capture(self, steps: range, *, checked: bool = False) -> str | None:
        """Capture the steps of these numbers of the epoch that has begun, if that has not been done.

        Args:
            steps: numbers of the steps.
            checked: whether they were captured in another slot of the kind, so that no steps need be compared.

        Returns:
            Why that is not possible, or None. The state is the same afterwards.
        """
        graphs = self.present.graphs
        for sizes in dict.fromkeys(self.present.course.sizes(step) for step in steps):
            if sizes in graphs:
                continue
            try:
                reason = None if checked else self._capture_checked(sizes)
                if sizes not in graphs and reason is None:
                    self._capture(sizes)
            except Exception as error:  # noqa: BLE001 (whatever cannot be captured is computed eagerly)
                reason = f"{type(error).__name__}: {first_line(error)}"
            if reason is not None:
                graphs.clear()
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
        self.present.fits = True
        return None

    def _capture_checked(self, sizes: Sizes) -> str | None:
        """Capture a step, and compare what it computes with eager steps."""
        before = self._copies()
        try:
            if reason := self._trial(sizes, may_wait=False):
                return reason
            expected = self._copies()
            self._restore(before)
            self._capture(sizes)
            with self.on_stream():
                for _ in range(_TRIAL_STEPS):
                    self.number.zero_()
                    self.present.graphs[sizes].replay()
            self._synchronize()
            return None if _close(self._everything(), expected, before) else "a captured step gives other numbers"
        finally:
            self._restore(before)

    def _capture(self, sizes: Sizes) -> None:
        """Capture a step. All graphs of a slot share their memory, since they never run at the same time."""
        graphs = [graph for prepared in self.prepared for graph in prepared.graphs.values()]
        pool = graphs[0].pool() if graphs else None
        graph = torch.cuda.CUDAGraph()
        # Not `torch.cuda.graph`, which gives all free memory back to the device each time.
        with self.on_stream():
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                self._step(sizes)
            finally:
                graph.capture_end()
        self.present.graphs[sizes] = graph

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
    try:
        with warnings.catch_warnings():  # the first call tells that the mode is a prototype
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode("error")
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


def _close(values: list[Tensor], expected: list[Tensor], before: list[Tensor]) -> bool:
    """Whether values came from `before` to where they were expected, within a share of the way."""

    def squares(left: list[Tensor], right: list[Tensor]) -> Tensor:
        pairs = ((a, b) for a, b in zip(left, right, strict=True) if a.is_floating_point())
        return torch.stack([(a.double() - b.double()).square().sum() for a, b in pairs]).sum()

    whole = all(torch.equal(a, b) for a, b in zip(values, expected, strict=True) if not a.is_floating_point())
    return whole and bool(squares(values, expected) <= _TOLERANCE**2 * squares(expected, before))
