"""`Influence`: influence scores and steps from a fitted curvature."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from untrain.data import Examples
from untrain.errors import InputError
from untrain.influence.derivatives import Derivatives, check_logits
from untrain.influence.loss import Differentiate
from untrain.influence.solvers import Product, Solver
from untrain.models.weights import Tensors

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SolveQuality:
    """How far a fitted curvature can be trusted.

    Attributes:
        solver: the one that was chosen.
        parameters: how many are covered.
        damping: of the solve that was checked.
        residual: `|(H + damping) x - b| / |b|` of the solve for the mean gradient b, with the true mean curvature H:
            tiny for exact solvers, and for `kronecker` the error of its approximation. Without damping b is first
            projected to the range of H.
        smallest: smallest eigenvalue of H as the solver sees it; None where it is not known.
        largest: likewise.
    """

    solver: str
    parameters: int
    damping: float
    residual: float
    smallest: float | None
    largest: float | None


@dataclass(frozen=True, eq=False)
class Influence:
    """Influence of training examples on a trained model, by `H^-1`, the inverse of the damped mean curvature over them.

    Made by `Curvature.fit`. Every function takes another damping than that of the fit at no further cost but the solve.

    Source: Koh, Liang (2017), "Understanding Black-box Predictions via Influence Functions". Sign and size are those of
    `g(z_test)^T H^-1 g(z)`, g the gradient of the loss: to first order, leaving z out of n examples changes the loss at
    z_test by 1/n of it, so that a large positive score says that z helps z_test.

    Attributes:
        damping: of a solve that names none.
        solver_name: the solver that was chosen.
    """

    damping: float
    solver_name: str
    _derivatives: Derivatives
    _solver: Solver
    _product: Product
    _differentiate: Differentiate

    def __repr__(self) -> str:
        return (
            f"Influence of {self._derivatives.count:,} examples on {self._derivatives.size:,} parameters "
            f"(solver {self.solver_name}, damping {self.damping:g})"
        )

    def self_influence(self, damping: float | None = None) -> Scores:
        """`g_i^T H^-1 g_i`, the influence of each example on itself, `[n]`, at least 0."""
        return _scores(self._solver.self_products(self._damping(damping)), "self-influence")

    def train_influence(self, damping: float | None = None) -> Scores:
        """Signed influence of each example on the mean loss of all n, `[n]`; zero at an exact optimum."""
        return self._along(self._derivatives, damping)

    def leave_one_out(self, damping: float | None = None) -> Scores:
        """Signed influence of each example on the mean loss of the n - 1 others, `[n]`.

        Raises:
            InputError: there is but one example.
        """
        count = self._derivatives.count
        if count < 2:
            raise InputError("Leaving one example out needs at least two.")
        return (count * self.train_influence(damping) - self.self_influence(damping)) / (count - 1)

    def on(self, examples: Examples, damping: float | None = None) -> Scores:
        """Signed influence of each of the n training examples on the mean loss of other examples, `[n]`.

        Raises:
            InputError: there are no other examples, or the model does not fit them.

        Cost: one solve, whatever the number of examples.
        """
        return self._along(self._at(examples), damping)

    def step(self, examples: Examples, damping: float | None = None) -> Tensors:
        """`H^-1` times the sum of the examples' gradients, by name, each `[1, ...]` as in a population of one.

        Added with a factor 1/n, it takes the examples out of what was learned.

        Raises:
            InputError: there are no examples, or the model does not fit them.
        """
        derivatives = self._at(examples)
        solved = self._solved(derivatives.pull(self._residuals(derivatives)), damping)
        return {name: tensor[None] for name, tensor in derivatives.named(solved).items()}

    def diagnose(self, damping: float | None = None) -> SolveQuality:
        """Solve for the mean gradient and measure the residual of the solution.

        Cost: one solve and one product with H, each twice without damping.
        """
        damping = self._damping(damping)
        target = self._mean_gradient(self._derivatives)
        if damping == 0:
            target = self._product(self._solved(target, damping))
        solution = self._solved(target, damping)
        left = self._product(solution) + damping * solution - target
        residual = float(left.norm() / target.norm().clamp_min(torch.finfo(target.dtype).tiny))
        smallest, largest = self._solver.extremes or (None, None)
        return SolveQuality(self.solver_name, self._derivatives.size, damping, residual, smallest, largest)

    def _at(self, examples: Examples) -> Derivatives:
        """Derivatives at other examples."""
        if not len(examples):
            raise InputError("There are no examples to take the influence on: give at least one.")
        derivatives = self._derivatives.at(examples)
        check_logits(derivatives, examples)
        return derivatives

    def _damping(self, damping: float | None) -> float:
        chosen = self.damping if damping is None else damping
        if not 0 <= chosen < float("inf"):
            raise InputError(f"The damping must be at least 0 and finite, got {chosen:g}.")
        return chosen

    def _along(self, derivatives: Derivatives, damping: float | None) -> Scores:
        """Influence of the n examples on the mean loss at the examples of these derivatives."""
        change = self._derivatives.push(self._solved(self._mean_gradient(derivatives), damping))
        return _scores((self._residuals(self._derivatives) * change).sum(1), "influence")

    def _mean_gradient(self, derivatives: Derivatives) -> Tensor:
        return derivatives.pull(self._residuals(derivatives)) / derivatives.count

    def _residuals(self, derivatives: Derivatives) -> Tensor:
        return self._differentiate(derivatives.logits, derivatives.labels).residuals

    def _solved(self, vector: Tensor, damping: float | None) -> Tensor:
        return _finite(self._solver.inverse(vector, self._damping(damping)), "solve")


def _scores(scores: Tensor, what: str) -> Scores:
    found: Scores = _finite(scores, what).cpu().numpy()
    return found


def _finite(values: Tensor, what: str) -> Tensor:
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"The {what} gave NaN or infinity: choose a larger damping.")
    return values
