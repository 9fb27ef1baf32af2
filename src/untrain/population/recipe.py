"""A recipe says how a population is trained; it is data, checked when it is made from a file."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import msgspec
import torch

from untrain.errors import InputError

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


def _plain(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """A kind of optimizer without what serves `torch.compile`, whose import takes as long as that of torch."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad")}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})


_SGD, _Adam, _AdamW = _plain(torch.optim.SGD), _plain(torch.optim.Adam), _plain(torch.optim.AdamW)


class SGD(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, tag="sgd", tag_field="name"
):
    """Stochastic gradient descent; `weight_decay` adds to the gradient, as in torch."""

    lr: Positive = 0.01
    momentum: NotNegative = 0.0
    nesterov: bool = False
    weight_decay: NotNegative = 0.0

    def __post_init__(self) -> None:
        _check_rates(self.lr, self.weight_decay)
        if not 0 <= self.momentum < 1 or (self.nesterov and self.momentum == 0):
            raise InputError(f"The momentum must be from 0 to below 1, and above 0 for nesterov; got {self.momentum}.")

    def build(self, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
        """The optimizer over these tensors; on stacked tensors it is one optimizer for each model."""
        return _SGD(parameters, self.lr, self.momentum, 0.0, self.weight_decay, self.nesterov, fused=True)


class Adam(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, tag="adam", tag_field="name"
):
    """Adam (Kingma, Ba 2015, "Adam: A Method for Stochastic Optimization")."""

    lr: Positive = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: NotNegative = 0.0

    def __post_init__(self) -> None:
        _check_rates(self.lr, self.weight_decay, *self.betas)

    def build(self, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
        """The optimizer over these tensors."""
        return _Adam(parameters, self.lr, self.betas, weight_decay=self.weight_decay, fused=True)


class AdamW(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, tag="adamw", tag_field="name"
):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019, "Decoupled Weight Decay Regularization")."""

    lr: Positive = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: NotNegative = 0.01

    def __post_init__(self) -> None:
        _check_rates(self.lr, self.weight_decay, *self.betas)

    def build(self, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
        """The optimizer over these tensors."""
        return _AdamW(parameters, self.lr, self.betas, weight_decay=self.weight_decay, fused=True)


class Constant(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, tag="constant", tag_field="name"
):
    """The same learning rate throughout."""

    def rate(self, lr: float, progress: float, epochs: float) -> float:
        """The learning rate when `progress` of `epochs` epochs are done."""
        return lr


class Cosine(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, tag="cosine", tag_field="name"
):
    """Half a cosine from the learning rate down to `floor`, stepped once an `epoch` or every `step`."""

    floor: NotNegative = 0.0
    per: Literal["epoch", "step"] = "epoch"

    def rate(self, lr: float, progress: float, epochs: float) -> float:
        """The learning rate when `progress` of `epochs` epochs are done."""
        done = math.floor(progress) if self.per == "epoch" else progress
        total = math.ceil(epochs) if self.per == "epoch" else epochs
        return self.floor + (lr - self.floor) * (1 + math.cos(math.pi * min(1, done / total))) / 2


class EpochFactors(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, tag="per-epoch", tag_field="name"
):
    """A factor on the learning rate for each epoch; the last one serves all later epochs."""

    factors: Annotated[tuple[NotNegative, ...], msgspec.Meta(min_length=1)]

    def rate(self, lr: float, progress: float, epochs: float) -> float:
        """The learning rate when `progress` of `epochs` epochs are done."""
        return lr * self.factors[min(math.floor(progress), len(self.factors) - 1)]


class OneCycle(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, tag="one-cycle", tag_field="name"
):
    """Up in a straight line from 0 to the learning rate for a share `up` of the training, then down to 0, every step.

    Source: Smith, Topin (2018), "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates".
    """

    up: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.3

    def rate(self, lr: float, progress: float, epochs: float) -> float:
        """The learning rate when `progress` of `epochs` epochs are done."""
        done = min(1.0, progress / epochs)
        return lr * (done / self.up if done < self.up else (1 - done) / (1 - self.up))


class UntilConverged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """When a training has converged: neither accuracy has risen for some epochs.

    Accuracy is that on the examples that are learned, and that on validation examples. Each is compared with the
    highest so far, which only a rise by more than the tolerance raises.

    Attributes:
        tolerance: a share; 0.005 is half a point.
        patience: epochs in a row without a rise.
    """

    tolerance: NotNegative = 0.005
    patience: Count = 2


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True, kw_only=True):
    """How a population is trained.

    Attributes:
        optimizer: `SGD`, `Adam` or `AdamW` with their settings.
        schedule: `Constant`, `Cosine`, `EpochFactors` or `OneCycle`.
        epochs: passes over the data, the most of them with `until_converged`; 3.2 stops a fifth through the fourth.
        batch_size: examples a step. The last batch of an epoch may be smaller; a last batch of a single
            example joins the one before it, since batch norm cannot train on one.
        class_balance: power p of the class weights `count ** -p` in the loss: 0 for none, 1 for inverse
            frequency. Counts are those of the examples that are trained on.
        keep_best_from_epoch: keep the state with the best validation accuracy among those after this epoch (counted
            from 1) and later ones, the first of equals; None keeps the last state.
        until_converged: end the training of each model when it has converged. Each epoch then costs one forward pass
            over the examples and the validation examples more. Default: train for all epochs.
        best_from: the former name of `keep_best_from_epoch`, which still sets it.

    Raises:
        InputError: a value is out of range, `keep_best_from_epoch` lies after the last epoch, or both it and
            `until_converged` are set.
    """

    optimizer: SGD | Adam | AdamW
    schedule: Constant | Cosine | EpochFactors | OneCycle = Constant()
    epochs: Positive
    batch_size: Count = 64
    class_balance: NotNegative = 0.0
    keep_best_from_epoch: Count | None = None
    until_converged: UntilConverged | msgspec.UnsetType = msgspec.UNSET
    best_from: Count | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.best_from is not msgspec.UNSET:
            warnings.warn("Recipe.best_from is now Recipe.keep_best_from_epoch", DeprecationWarning, stacklevel=2)
            msgspec.structs.force_setattr(self, "keep_best_from_epoch", self.best_from)
            msgspec.structs.force_setattr(self, "best_from", msgspec.UNSET)
        if not (0 < self.epochs < math.inf) or self.batch_size < 1 or not 0 <= self.class_balance < math.inf:
            raise InputError(
                "A recipe needs epochs above 0, a batch size of at least 1 and a class balance of at least 0; got "
                f"{self.epochs}, {self.batch_size} and {self.class_balance}."
            )
        first, last = self.keep_best_from_epoch, math.ceil(self.epochs)
        if first is not None and not 1 <= first <= last:
            raise InputError(f"keep_best_from_epoch must be from 1 to {last}, the last epoch; got {first}.")
        if first is not None and self.until_converged is not msgspec.UNSET:
            raise InputError(
                "A recipe either keeps the best state (keep_best_from_epoch) or trains until accuracy has converged "
                "(until_converged): leave out one of them."
            )

    def for_all_epochs(self) -> "Recipe":
        """The same recipe without a rule by which models are judged: it trains for all epochs and keeps the last state.

        For trainings that have no validation examples.
        """
        return msgspec.structs.replace(self, keep_best_from_epoch=None, until_converged=msgspec.UNSET)

    def compressed(self, share: float) -> "Recipe":
        """The same recipe in `share` of its epochs, at least one: the schedule is compressed, not cut."""
        epochs = max(1, round(self.epochs * share))
        schedule = self.schedule
        if isinstance(schedule, EpochFactors):
            middles = [(epoch + 0.5) * self.epochs / epochs for epoch in range(epochs)]
            schedule = EpochFactors(factors=tuple(schedule.rate(1.0, middle, self.epochs) for middle in middles))
        keep_best_from_epoch = (
            None
            if self.keep_best_from_epoch is None
            else max(1, round(self.keep_best_from_epoch * epochs / self.epochs))
        )
        return msgspec.structs.replace(
            self, epochs=epochs, schedule=schedule, keep_best_from_epoch=keep_best_from_epoch
        )


def _check_rates(lr: float, weight_decay: float, *betas: float) -> None:
    if not 0 < lr < math.inf or not 0 <= weight_decay < math.inf or not all(0 <= beta < 1 for beta in betas):
        raise InputError(
            "The learning rate must be above 0, the weight decay at least 0 and betas from 0 to below 1; got "
            f"{lr}, {weight_decay} and {list(betas)}."
        )


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Where the batches of an epoch over `count` examples begin and end.

    >>> batch_bounds(129, 64)
    [(0, 64), (64, 129)]
    """
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))
