"""Which engine a GPU trains fastest with: whole steps are measured, the optimizer included.

Measured are steps without a graph, one slot, as many slots as there are models (eight at most), the same with the
channels innermost, and sixteen slots in the better of both layouts; where nothing is convolved, also vectorized models.
What needs more memory must be clearly faster. Compiled slots and bfloat16 compute other numbers: they are used where
they are asked for, and not measured.

A CPU is measured by `engine.choose_engine`.
"""

import logging
import time
from collections.abc import Callable

import msgspec
import torch
from torch import nn

from untrain.errors import first_line
from untrain.models.inputs import InputTensors
from untrain.models.weights import Tensors
from untrain.population.engine import WIDTHS, Chunk, Engine, why_not_vectorized
from untrain.population.loss import cross_entropy
from untrain.population.recipe import Adam, Recipe
from untrain.population.slots import Course, Epoch, Kind, Slot, advance_together

logger = logging.getLogger("untrain")

_SLOTS, _MORE_SLOTS = 8, 16
_STEPS, _SECONDS = 64, 0.3
"""Steps that a slot takes at a stretch, and about how long a candidate is measured."""

_CLEARLY = 0.95
"""A candidate that needs more memory must be faster by this factor."""


def choose_on_gpu(
    module: Callable[[int], nn.Module], tensors: Tensors, inputs: InputTensors, batch_size: int
) -> Engine:
    """Measure how these models are trained fastest.

    Args:
        module: gives a module with its own copies of a model's tensors.
        tensors: stacked `[N, ...]`; they are not changed.
        inputs: examples `[n, ...]` of the data that will be trained on.
        batch_size: of that training.

    Returns:
        The engine, whose `reason` tells every figure.

    Cost: about a second for each candidate.
    """
    count, images = len(next(iter(tensors.values()))), len(inputs.shape) == 4
    best, least, figures = Engine(slots=0), float("inf"), []

    def measure(*engines: Engine) -> None:
        nonlocal best, least
        for engine in engines:
            try:
                seconds = step_seconds(engine, module, tensors, inputs, batch_size)
            except (RuntimeError, ValueError) as error:  # too little memory, or a layer that does not like it
                figures.append(f"{_words(engine)} failed: {first_line(error)}")
                continue
            figures.append(f"{_words(engine)} {1e6 * seconds:.0f}")
            if seconds < _CLEARLY * least:
                best, least = engine, seconds

    slots = dict.fromkeys((0, 1, min(_SLOTS, count)))
    measure(*(Engine(slots=number) for number in slots))
    if images:
        measure(Engine(slots=min(_SLOTS, count), channels_last=True))
    if best.slots == _SLOTS < count:
        measure(msgspec.structs.replace(best, slots=min(_MORE_SLOTS, count)))
    if not images and count > 1:  # convolutions of stacked models become grouped ones, which are slow in training
        if why := why_not_vectorized(module(0), tensors, inputs[:8]):
            logger.warning("models are not vectorized: %s", why)
        else:
            measure(*(Engine(width) for width in dict.fromkeys(min(width, count) for width in WIDTHS)))
    reason = f"measured; microseconds for a step of one model: {', '.join(figures)}"
    return msgspec.structs.replace(best, reason=f"{reason}; compiled and bfloat16 only if asked for")


def _words(engine: Engine) -> str:
    layout = ", channels last" if engine.channels_last else ""
    if engine.width > 1:
        return f"width {engine.width}"
    return (f"{engine.slots} slots" if engine.slots else "eager") + layout


def step_seconds(
    engine: Engine, module: Callable[[int], nn.Module], tensors: Tensors, inputs: InputTensors, batch_size: int
) -> float:
    """Seconds that a step of one model takes, if as many models are trained as the engine takes at a time.

    Raises:
        RuntimeError: this engine cannot train them.
    """
    if engine.width == 1 and engine.slots:
        steps, models = _slots(engine, module, tensors, inputs, batch_size)
    else:
        steps, models = _chunk(engine, module, tensors, inputs, batch_size)
    steps()
    _wait(inputs.device)
    taken, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < _SECONDS and taken < 100 * _STEPS:
        taken += steps()
        _wait(inputs.device)
    return (time.perf_counter() - start) / (taken * models) if taken else passed


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


_RECIPE = Recipe(optimizer=Adam(), epochs=1)
"""Adam moves more memory than other optimizers."""


def _slots(
    engine: Engine, module: Callable[[int], nn.Module], tensors: Tensors, inputs: InputTensors, batch_size: int
) -> tuple[Callable[[], int], int]:
    """A function that takes steps in slots and tells how many, and the number of models."""
    bounds = [(0, batch_size)] * _STEPS
    order = torch.arange(batch_size, device=inputs.device)[None] % len(inputs)
    labels = torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)
    course = Course(inputs, labels, None, bounds, [], cross_entropy, weighted=False)
    epoch = Epoch(order, None, [1e-5] * _STEPS, None)
    dtype = next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
    kind = Kind.of(inputs.device, dtype, _RECIPE.optimizer, engine, {})
    slots = [Slot(module(row), kind) for row in range(engine.slots)]
    for row, slot in enumerate(slots):
        slot.load(row, tensors, {}, [{}] * len(slot.leaves))
        slot.begin(course, epoch)
        reason = slot.why_not(course.sizes(0)) if row == 0 else None
        if slot.can_capture and not reason:
            reason = slot.capture(range(1), checked=row > 0)
        if reason:
            raise RuntimeError(reason)

    def steps() -> int:
        for slot in slots:
            slot.number.zero_()
        advance_together(slots, range(_STEPS))
        return _STEPS

    return steps, len(slots)


def _chunk(
    engine: Engine, module: Callable[[int], nn.Module], tensors: Tensors, inputs: InputTensors, batch_size: int
) -> tuple[Callable[[], int], int]:
    """The same for steps without slots."""
    sample = {name: tensor[: engine.width].clone() for name, tensor in tensors.items()}
    chunk = Chunk(module(0).train(), sample, slice(0, engine.width), channels_last=engine.channels_last)
    chunk.attach()
    optimizer = _RECIPE.optimizer.build(chunk.leaves.values())
    rows = (torch.arange(batch_size, device=inputs.device) % len(inputs)).expand(engine.width, -1)

    def steps() -> int:
        logits = chunk.forward(inputs[rows])
        optimizer.zero_grad(set_to_none=True)
        logits.log_softmax(-1)[..., 0].mean().neg().backward()
        optimizer.step()
        return 1

    return steps, engine.width
