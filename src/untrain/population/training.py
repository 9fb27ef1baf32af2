"""The one training loop; every method and every retraining goes through it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from untrain.core.progress import advance
from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError
from untrain.models.inputs import InputTensors
from untrain.models.weights import Tensors
from untrain.population.ambient import seeded
from untrain.population.checks import check_masks, check_rule, check_sets
from untrain.population.engine import Chunk, Engine
from untrain.population.keeping import Best, Converging
from untrain.population.loss import Batch, Loss, cross_entropy
from untrain.population.recipe import Recipe, batch_bounds
from untrain.population.slots import WORTH_CAPTURING, Course, Epoch, Kind, Slot, Slots, advance_together

logger = logging.getLogger("untrain")


class Trainable(Protocol):
    """What a training needs of a population."""

    streams: Streams
    indices: tuple[int, ...]
    engine: Engine | None
    slots: Slots
    epochs_taken: npt.NDArray[np.intp] | None

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the floating-point tensors."""

    @property
    def cuda_devices(self) -> list[torch.device]:
        """Devices whose generators matter besides the CPU's."""

    @property
    def tensors(self) -> Tensors:
        """Every parameter and buffer, `[N, ...]`."""

    def __len__(self) -> int: ...

    def chunks(self, examples: Examples, batch_size: int = ...) -> Iterator[Chunk]:
        """The models in runs of the engine's width."""

    def resident(self, examples: Examples) -> tuple[InputTensors, Tensor]:
        """Inputs and labels on the device."""

    def accuracies(self, rows: range, examples: Examples) -> Tensor:
        """Accuracy of the models at these positions, `[K]`, on the device."""

    def module(self, position: int = ...) -> nn.Module:
        """One model as a module with its own copies of the tensors."""


@dataclass(frozen=True)
class _Run:
    """What one run trains on.

    Attributes:
        examples: that are learned.
        bounds: where the batches of an epoch begin and end.
        steps: of the whole run, perhaps ending within an epoch.
        validation: or None.
        beside: a second set and its batch size, or None.
        subsets: `[N, m]` on the device, or None.
        targets: `[N, n, ...]` on the device, or None.
    """

    examples: Examples
    bounds: list[tuple[int, int]]
    steps: int
    validation: Examples | None
    beside: tuple[Examples, int] | None
    subsets: Tensor | None
    targets: Tensor | None

    @property
    def beside_bounds(self) -> list[tuple[int, int]]:
        """Where the batches of the second set begin and end."""
        return [] if self.beside is None else batch_bounds(len(self.beside[0]), self.beside[1])

    def work(self, left: int) -> float:
        """Examples that a model learns in an epoch, of which so many steps are left."""
        return self.bounds[min(left, len(self.bounds)) - 1][1]


class Training:
    """A training that can be continued: optimizer state, schedule and epoch count live as long as it does.

    Args:
        models: trained in place.
        recipe: how; its `epochs` set the length of the schedule and of `run()`.
        loss: default mean cross-entropy.
        purpose: names the random streams; two trainings of one population need two names.
        masks: factors on the gradient of a tensor, by name, `[N, ...]`; any other axis may have length 1. What has the
            factor 0 stays as it is, weight decay or not.

    Two trainings of one population may alternate; each keeps its own momentum.
    """

    def __init__(
        self,
        models: Trainable,
        recipe: Recipe,
        *,
        loss: Loss = cross_entropy,
        purpose: str = "train",
        masks: Tensors | None = None,
    ) -> None:
        self.models, self.recipe, self.loss, self.purpose = models, recipe, loss, purpose
        self.masks = masks or {}
        self.epoch = 0
        self._parts: list[tuple[Chunk, torch.optim.Optimizer, Best | Converging]] = []
        self._slots: list[Slot] | None = None

    def run(
        self,
        examples: Examples,
        *,
        epochs: float | None = None,
        validation: Examples | None = None,
        beside: tuple[Examples, int] | None = None,
        subsets: npt.NDArray[np.intp] | None = None,
        targets: Tensor | None = None,
    ) -> None:
        """Train for some epochs over `examples`, each model in its own random order.

        Args:
            examples: at least one.
            epochs: how many, default the recipe's; after a fraction the next run begins a new epoch.
            validation: needed if the recipe keeps the best state, which is put back when its last epoch is done, or
                trains until accuracy has converged.
            beside: a second set and its batch size. Step t of an epoch also sees the t-th batch of a shuffled pass over
                it, which begins again when it ends.
            subsets: `[N, m]` positions of the examples that each model learns from, as folds of a cross-validation
                are; default all.
            targets: `[N, n, ...]`, what the loss needs to know of each model and example, such as a teacher's logits; a
                batch has those of its examples.

        Raises:
            InputError: there are no examples, or no validation examples where they are needed; or the second set,
                subsets, targets or masks do not fit. No model has changed.
            NotSupportedError: the only example of a batch meets a layer, such as batch norm, that needs two.

        Cost: 3 forward passes over the examples for each epoch and model.
        """
        epochs = self.recipe.epochs if epochs is None else epochs
        if epochs < 0:
            raise InputError(f"epochs= is {epochs}; pass 0 or more.")
        check_sets(len(self.models), examples, beside, subsets, targets)
        check_rule(self.recipe, validation, subsets)
        rule = self.recipe.until_converged
        if not self._parts:
            chunks = list(self.models.chunks(examples, self.recipe.batch_size))
            check_masks(self.masks, {name: self.models.tensors[name] for name in chunks[0].leaves})
            for chunk in chunks:
                kept = Best(chunk) if isinstance(rule, msgspec.UnsetType) else Converging(chunk, rule)
                self._parts.append((chunk, self.recipe.optimizer.build(chunk.leaves.values()), kept))
        chosen = None if subsets is None else torch.from_numpy(subsets).to(self.models.device)
        bounds = batch_bounds(len(examples) if subsets is None else subsets.shape[1], self.recipe.batch_size)
        steps = int(np.ceil(epochs * len(bounds) - 1e-9))
        run = _Run(examples, bounds, steps, validation, beside, chosen, targets)
        if self._slots is None:
            self._slots = self._new_slots()
        for first in range(0, len(self._parts), max(1, len(self._slots))):
            if not self._slots or not self._run_slots(first, run):
                self._slots = []
                for number in range(first, len(self._parts)):
                    self._run_chunk(number, run)
                break
        self.epoch += int(np.ceil(epochs))
        if not isinstance(rule, msgspec.UnsetType):
            self.models.epochs_taken = self.epochs_taken

    @property
    def epochs_taken(self) -> npt.NDArray[np.intp]:
        """`[N]` epochs until each model had converged, or so far; needs a recipe with `until_converged`."""
        return np.concatenate([kept.epochs for *_, kept in self._parts if isinstance(kept, Converging)])

    @property
    def converged(self) -> bool:
        """Whether every model has converged, by a recipe with `until_converged`; further runs change nothing."""
        return bool(self._parts) and all(_is_done(kept) for *_, kept in self._parts)

    def _run_chunk(self, number: int, run: _Run) -> None:
        chunk, optimizer, kept = self._parts[number]
        chunk.attach()
        left, epoch = run.steps, self.epoch
        while left > 0 and not _is_done(kept):
            self._run_epoch(chunk, optimizer, run, epoch, range(min(left, len(run.bounds))))
            chunk.collect()
            advance(chunk.size * run.work(left))
            left -= len(run.bounds)
            epoch += 1
            self._end_epoch([(chunk, kept)], epoch, run)
        self._end(kept, epoch)

    def _end_epoch(self, parts: list[tuple[Chunk, Best | Converging]], epoch: int, run: _Run) -> None:
        """What follows when `epoch` epochs of these parts, of as many models each, are done."""
        sets = self._judged(epoch, run)
        if not sets:
            return
        accuracies = [
            torch.stack([self.models.accuracies(range(chunk.rows.start, chunk.rows.stop), part) for part in sets])
            for chunk, _ in parts
        ]
        for (_, kept), accuracy in zip(parts, torch.stack(accuracies).cpu().numpy(), strict=True):
            kept.consider(accuracy)

    def _judged(self, epoch: int, run: _Run) -> list[Examples]:
        """The examples that the models are judged by when `epoch` epochs are done."""
        first = self.recipe.keep_best_from_epoch
        if run.validation is None:
            return []
        if not isinstance(self.recipe.until_converged, msgspec.UnsetType):
            return [run.examples, run.validation]
        return [run.validation] if first is not None and epoch >= first else []

    def _end(self, kept: Best | Converging, epoch: int) -> None:
        """What follows when the last of some epochs of a chunk is done, or when they are not needed."""
        # What has converged stays as it was, whatever other trainings have made of it since.
        if isinstance(kept, Converging) or epoch >= self.recipe.epochs:
            kept.restore()

    def _new_slots(self) -> list[Slot]:
        """Slots for these models; none if the engine computes otherwise."""
        models, engine = self.models, self.models.engine or Engine()
        on_gpu = models.device.type == "cuda"
        # Fused kernels read the learning rate in float32: what is meant to be exact is computed eagerly.
        wanted = engine.slots > 0 and models.dtype == torch.float32 if on_gpu else engine.slots > 1
        if engine.width > 1 or not wanted:
            return []
        kind = Kind.of(models.device, models.dtype, self.recipe.optimizer, engine, self.masks)
        return models.slots.of(kind, min(engine.slots, len(models)), models.module)

    def _run_slots(self, first: int, run: _Run) -> bool:
        """Train as many models as there are slots, from `first` on.

        Returns:
            Whether they can be trained in slots; if not, nothing has changed, and the log says why.
        """
        assert self._slots is not None  # noqa: S101 (made before)
        together = [(slot, *part) for slot, part in zip(self._slots, self._parts[first:], strict=False)]
        course, left, epoch = self._course(run), run.steps, self.epoch
        for slot, chunk, optimizer, _ in together:
            states = [optimizer.state[leaf] for leaf in chunk.leaves.values()]
            slot.load(chunk.rows.start, self.models.tensors, self.masks, states)
        training = [part for part in together if not _is_done(part[-1])]
        while left > 0 and training:
            steps = range(min(left, len(run.bounds)))
            for slot, chunk, *_ in training:
                slot.begin(course, self._epoch(chunk, run, epoch))
            if left == run.steps and not self._prepare([slot for slot, *_ in training], steps):
                return False
            advance_together([slot for slot, *_ in training], steps)
            for slot, *_ in training:
                slot.store(self.models.tensors)
            advance(len(training) * run.work(left))
            left -= len(run.bounds)
            epoch += 1
            self._end_epoch([(chunk, kept) for _, chunk, _, kept in training], epoch, run)
            training = [part for part in training if not _is_done(part[-1])]
        for slot, chunk, optimizer, kept in together:
            optimizer.state.update(zip(chunk.leaves.values(), slot.end(), strict=True))
            self._end(kept, epoch)
        return True

    def _course(self, run: _Run) -> Course:
        inputs, labels = self.models.resident(run.examples)
        return Course(
            inputs,
            labels,
            None if run.beside is None else self.models.resident(run.beside[0]),
            run.bounds,
            run.beside_bounds,
            self.loss,
            weighted=self.recipe.class_balance != 0,
            targets=None if run.targets is None else tuple(run.targets.shape[2:]),
        )

    def _prepare(self, slots: list[Slot], steps: range) -> bool:
        """Try whether these steps can be taken in slots, and capture them where that pays; the log says what fails."""
        first = slots[0]
        course = first.present.course
        if not first.present.fits and not self._fits(first, course):
            return False
        taken = len(course.bounds) * self.recipe.epochs if course.stays else len(steps)
        if taken >= WORTH_CAPTURING and first.can_capture:
            for number, slot in enumerate(slots):
                if reason := slot.capture(steps, checked=number > 0):
                    logger.warning("steps are computed eagerly, since they cannot be captured: %s", reason)
                    break
        return True

    def _fits(self, slot: Slot, course: Course) -> bool:
        reason = slot.why_not(course.sizes(0))
        if reason and slot.engine.compiled:
            logger.warning("steps are not compiled: %s", reason)
            for other in self._slots or []:
                other.callable = other.module
            reason = slot.why_not(course.sizes(0))
        if reason:
            logger.warning("models are trained one after another, without slots: %s", reason)
        return reason is None

    def _epoch(self, chunk: Chunk, run: _Run, epoch: int) -> Epoch:
        """An epoch of the models of a chunk."""
        labels = self.models.resident(run.examples)[1]
        subsets = None if run.subsets is None else run.subsets[chunk.rows]
        order = self._order("order", chunk, epoch, len(labels) if subsets is None else subsets.shape[1])
        if subsets is not None:
            order = subsets.gather(1, order)
        learned = labels.expand(chunk.size, -1) if subsets is None else labels[subsets]
        return Epoch(
            order,
            None if run.beside is None else self._order("beside", chunk, epoch, len(run.beside[0])),
            [self._rate(epoch + step / len(run.bounds)) for step in range(len(run.bounds))],
            _class_weights(learned, len(run.examples.classes), self.recipe.class_balance, self.models.dtype),
            None if run.targets is None else run.targets[chunk.rows],
        )

    def _rate(self, progress: float) -> float:
        """The learning rate when `progress` epochs are done; on a GPU rounded as a captured step has it."""
        rate = self.recipe.schedule.rate(self.recipe.optimizer.lr, progress, self.recipe.epochs)
        rounded = self.models.device.type == "cuda" and self.models.dtype == torch.float32
        return float(np.float32(rate)) if rounded else rate

    def _run_epoch(self, chunk: Chunk, optimizer: torch.optim.Optimizer, run: _Run, epoch: int, steps: range) -> None:
        inputs, labels = self.models.resident(run.examples)
        drawn = self._epoch(chunk, run, epoch)
        if run.beside is not None:
            beside_inputs, beside_labels = self.models.resident(run.beside[0])
        beside_bounds, leaves = run.beside_bounds, chunk.leaves
        masks = {name: chunk.own(mask) for name, mask in self.masks.items()}
        frozen = {name: (mask == 0, leaves[name].detach().clone()) for name, mask in masks.items() if (mask == 0).any()}
        models = torch.arange(chunk.size, device=self.models.device)[:, None]
        chunk.skeleton.train()
        # A module that draws numbers itself, such as dropout, is computed alone and draws them from its
        # model's stream.
        name = f"{self.purpose}/layers"
        seed = self.models.streams.seed(name, self.models.indices[chunk.rows.start], epoch)
        with seeded(seed, self.models.cuda_devices):
            for step in steps:
                for group in optimizer.param_groups:
                    group["lr"] = drawn.rates[step]
                positions = drawn.order[:, slice(*run.bounds[step])]
                logits = _forward(chunk, inputs[positions])
                seen_beside = None
                if run.beside is not None and drawn.beside_order is not None:
                    there = drawn.beside_order[:, slice(*beside_bounds[step % len(beside_bounds)])]
                    beside_logits = _forward(chunk, beside_inputs[there])
                    seen_beside = Batch(beside_logits, beside_labels[there], there, chunk.rows, None, chunk.stacked())
                batch = Batch(
                    logits,
                    labels[positions],
                    positions,
                    chunk.rows,
                    drawn.weights,
                    chunk.stacked(),
                    seen_beside,
                    None if drawn.targets is None else drawn.targets[models, positions],
                )
                optimizer.zero_grad(set_to_none=True)
                self.loss(batch).sum().backward()
                for name, mask in masks.items():
                    gradient = leaves[name].grad
                    if gradient is not None:
                        gradient.mul_(mask)
                optimizer.step()
                with torch.no_grad():
                    for name, (still, before) in frozen.items():
                        leaves[name].copy_(torch.where(still, before, leaves[name]))

    def _order(self, what: str, chunk: Chunk, epoch: int, count: int) -> Tensor:
        """A random order of `count` examples for each model of the chunk, `[K, count]`."""
        indices = self.models.indices[chunk.rows]
        streams = self.models.streams
        orders = [streams.generator(f"{self.purpose}/{what}", index, epoch).permutation(count) for index in indices]
        return torch.from_numpy(np.stack(orders)).to(self.models.device)


def _is_done(kept: Best | Converging) -> bool:
    return isinstance(kept, Converging) and kept.done


def _forward(chunk: Chunk, inputs: InputTensors) -> Tensor:
    try:
        return chunk.forward(inputs)
    except ValueError as error:
        if inputs.shape[1] > 1:
            raise
        raise NotSupportedError(f"This network cannot be trained on a single example: {error}") from error


def _class_weights(labels: Tensor, classes: int, power: float, dtype: torch.dtype) -> Tensor | None:
    """`[K, C]` from the labels `[K, m]` that each model learns."""
    if power == 0:
        return None
    counts = torch.stack([torch.bincount(row, minlength=classes) for row in labels]).clamp_min(1)
    return counts.to(dtype) ** -power


def gradients(
    models: Trainable, examples: Examples, positions: Tensor, batch_size: int, *, squared: bool = False
) -> Tensors:
    """Sum over batches of the gradient of the mean cross-entropy of a batch, in evaluation mode.

    Args:
        models: not changed.
        examples: the set from which each model's examples are taken.
        positions: `[N, m]`, which examples each model sees, in this order.
        batch_size: examples a batch.
        squared: sum the squares of the gradients instead.

    Returns:
        `[N, ...]` for each trainable tensor, by name.
    """
    inputs, labels = models.resident(examples)
    collected: Tensors = {}
    for chunk in models.chunks(examples, batch_size):
        chunk.attach()
        chunk.skeleton.eval()
        leaves = chunk.leaves
        sums = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        for first in range(0, positions.shape[1], batch_size):
            rows = positions[chunk.rows, first : first + batch_size]
            batch = Batch(chunk.forward(inputs[rows]), labels[rows], rows, chunk.rows, None, chunk.stacked())
            loss = cross_entropy(batch).sum()
            of_batch = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            for total, gradient in zip(sums.values(), of_batch, strict=True):
                if gradient is not None:
                    total += gradient.square() if squared else gradient
        for name, total in sums.items():
            collected.setdefault(name, torch.zeros_like(models.tensors[name]))[chunk.rows] = total
    return collected
