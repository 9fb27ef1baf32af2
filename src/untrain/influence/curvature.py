"""`Curvature`: second derivatives of the mean loss at a trained model; `fit` returns an `Influence`."""

from typing import Literal

import msgspec
import torch
from torch import Tensor

from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError
from untrain.influence.derivatives import AllParameters, Derivatives, LastLayer, check_logits
from untrain.influence.loss import DERIVATIVES, SUMS, LossAtLogits
from untrain.influence.scores import Influence
from untrain.influence.solvers import (
    ConjugateGradients,
    Dense,
    Dual,
    Kronecker,
    Product,
    Solver,
    gauss_newton_matrix,
    written_out,
)
from untrain.population import Population
from untrain.population.fitting import check_one
from untrain.population.recipe import NotNegative

SMALL_DENSE, SMALL_DUAL, SMALL_ROWS = 1500, 3000, 2**26
"""What `auto` takes for small: parameters, rows of the Gram matrix, numbers in written-out rows (512 MiB)."""

Kind = Literal["gauss-newton", "hessian"]
Which = Literal["last", "last-weight", "all"]
SolverName = Literal["auto", "dense", "dual", "kronecker", "cg"]
LossName = Literal["cross-entropy", "squared-error"]


class Curvature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The mean curvature H of the loss over some examples, and how its inverse is applied.

    Attributes:
        kind: `gauss-newton`, the mean of `J_i^T Lambda_i J_i` with Lambda_i the curvature of the loss by the logits,
            which is never negative (Schraudolph 2002, "Fast Curvature Matrix-Vector Products for Second-Order Gradient
            Descent"); or `hessian`, the second derivatives themselves, which away from a minimum are indefinite and
            then refused. For the last layer the two are the same.
        parameters: those of the `last` linear layer, whose output is the logits; its weight without the bias,
            `last-weight`; or `all` trainable ones.
        solver: `dense` (P x P), `dual` (as many rows as examples times classes less one), `kronecker` (KFAC, an
            approximation), `cg` (no factors); `auto` takes dense where P is small, else dual where that is small, else
            kronecker, and for a Hessian dense or cg.
        damping: added to the diagonal of H; 0 for the pseudo-inverse. A solve may choose another.
        loss: what the model was trained with; `squared-error` is half the squared distance of logits to one-hot labels.
    """

    kind: Kind = "gauss-newton"
    parameters: Which = "last"
    solver: SolverName = "auto"
    damping: NotNegative = 1e-3
    loss: LossName = "cross-entropy"

    def fit(self, models: Population, examples: Examples) -> Influence:
        """Take the curvature of a model at examples and factor it.

        Args:
            models: a population of one; not changed.
            examples: the n examples over which H is the mean, usually those that the model was trained on.

        Raises:
            InputError: there is not exactly one model, no example, or a logit is not finite.
            NotSupportedError: the last layer is not linear, or the solver does not suit the kind or the network.

        Cost: for the last layer one forward pass and `10 P^3` operations; for others see the solvers.
        """
        check_one(models)
        if not len(examples):
            raise InputError("There are no examples to take the curvature at.")
        derivatives = _derivatives(models, examples, self.parameters)
        check_logits(derivatives, examples)
        differentiate = DERIVATIVES[self.loss]
        loss = differentiate(derivatives.logits, derivatives.labels)
        product = _gauss_newton_product(derivatives, loss)
        hessian = False
        if self.kind == "hessian" and isinstance(derivatives, AllParameters):
            product, hessian = _hessian_product(derivatives, self.loss), True
        name = _chosen(derivatives, loss, hessian=hessian) if self.solver == "auto" else self.solver
        if hessian and name not in ("dense", "cg"):
            raise NotSupportedError(f"The Hessian of all parameters needs the solver dense or cg, got {name}.")
        solver: Solver
        if name == "dense":
            matrix = _columns(product, derivatives) if hessian else gauss_newton_matrix(derivatives, loss)
            solver = Dense(derivatives, loss, matrix)
        elif name == "dual":
            solver = Dual(derivatives, loss)
        elif name == "kronecker":
            solver = Kronecker(derivatives, loss)
        else:
            solver = ConjugateGradients(derivatives, loss, product)
        return Influence(self.damping, name, derivatives, solver, product, differentiate)


def _derivatives(models: Population, examples: Examples, which: Which) -> Derivatives:
    if which == "all":
        return AllParameters(models, examples)
    return LastLayer(models, examples, bias=which == "last")


def _gauss_newton_product(derivatives: Derivatives, loss: LossAtLogits) -> Product:
    return lambda vector: derivatives.pull(loss.bend(derivatives.push(vector))) / derivatives.count


def _hessian_product(derivatives: AllParameters, loss: LossName) -> Product:
    return lambda vector: derivatives.hessian_product(SUMS[loss], vector) / derivatives.count


def _columns(product: Product, derivatives: Derivatives) -> Tensor:
    """The matrix `[P, P]` of a product, column by column; what rounding made asymmetric is evened out."""
    matrix = torch.stack([product(unit) for unit in torch.eye(derivatives.size).to(derivatives.logits)])
    return (matrix + matrix.T) / 2


def _chosen(derivatives: Derivatives, loss: LossAtLogits, *, hessian: bool) -> SolverName:
    """The solver that `auto` stands for."""
    if derivatives.size <= SMALL_DENSE:
        return "dense"
    if hessian:
        return "cg"
    rows = derivatives.count * loss.basis.shape[1]
    if rows <= SMALL_DUAL and rows * written_out(derivatives, loss) <= SMALL_ROWS:
        return "dual"
    return "kronecker"
