"""The loss as a function of the logits: its gradient, and a square root of its curvature, for each example."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossAtLogits:
    """Derivatives of the loss of n examples by their C logits, in double precision.

    Attributes:
        residuals: gradients `[n, C]`.
        roots: `[n, C, k]`; `roots @ roots.mT` is the curvature `[n, C, C]`.
        basis: `[C, k]`, columns that span every residual and root.
        coordinates: picks the k numbers out of C that multiply the columns of the basis.
    """

    residuals: Tensor
    roots: Tensor
    basis: Tensor
    coordinates: slice

    @property
    def curvature(self) -> Tensor:
        """Second derivatives `[n, C, C]`."""
        return self.roots @ self.roots.mT

    def bend(self, changes: Tensor) -> Tensor:
        """Curvature times changes of the logits, `[n, C]` to `[n, C]`."""
        return torch.einsum("nck,nk->nc", self.roots, torch.einsum("nck,nc->nk", self.roots, changes))


Differentiate = Callable[[Tensor, Tensor], LossAtLogits]
"""From logits `[n, C]` and labels `[n]` to derivatives."""


def cross_entropy(logits: Tensor, labels: Tensor) -> LossAtLogits:
    """Residual `p - e_y` and curvature `diag(p) - p p^T`, which has rank C - 1.

    Its root is the closed-form Cholesky factor of Tanabe, Sagae (1992), "An exact Cholesky decomposition and the
    generalized inverse of the variance-covariance matrix of the multinomial distribution". Nothing is subtracted from
    one, so that examples which are classified with certainty keep their tiny derivatives.

    Args:
        logits: `[n, C]`, double.
        labels: `[n]`.
    """
    p = logits.softmax(-1)
    classes = p.shape[1]
    residuals = p.scatter(1, labels[:, None], 0.0)
    residuals.scatter_(1, labels[:, None], -residuals.sum(1, keepdim=True))
    tails = p.flip(-1).cumsum(-1).flip(-1).clamp_min(torch.finfo(p.dtype).tiny)  # of the classes from c on
    here, later = tails[:, :-1], tails[:, 1:]
    sizes = (p[:, :-1] * later / here).sqrt()
    below = -(p[:, :, None] / later[:, None, :]).tril(-1)
    roots = (below + torch.eye(classes, classes - 1, dtype=p.dtype, device=p.device)) * sizes[:, None, :]
    # Residuals and roots sum to zero over the classes: all but the last of their numbers say everything.
    basis = torch.cat([torch.eye(classes - 1), -torch.ones(1, classes - 1)]).to(p)
    return LossAtLogits(residuals, roots, basis, slice(0, classes - 1))


def squared_error(logits: Tensor, labels: Tensor) -> LossAtLogits:
    """Half the squared distance to the one-hot label: residual `z - e_y`, curvature the identity."""
    count, classes = logits.shape
    identity = torch.eye(classes).to(logits)
    residuals = logits - F.one_hot(labels, classes)
    return LossAtLogits(residuals, identity.expand(count, -1, -1), identity, slice(0, classes))


def _cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="sum")


def _squared_error_sum(logits: Tensor, labels: Tensor) -> Tensor:
    return 0.5 * (logits - F.one_hot(labels, logits.shape[-1])).square().sum()


DERIVATIVES: dict[str, Differentiate] = {
    "cross-entropy": cross_entropy,
    "squared-error": squared_error,
}
"""By the name of the loss."""

SUMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": _cross_entropy_sum,
    "squared-error": _squared_error_sum,
}
"""From logits and labels to the sum of the losses, for what differentiates twice."""
