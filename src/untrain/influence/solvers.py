"""Ways to apply the inverse of the damped mean curvature H + damping.

Each is factored once, when it is made; the damping is chosen at every solve. A damping of 0 means the pseudo-inverse:
eigenvalues below `P * 2.2e-16` of the largest count as zero, since in double precision they are rounding.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from untrain.errors import InputError, NotSupportedError
from untrain.influence.derivatives import Derivatives, LayerPart
from untrain.influence.loss import LossAtLogits

Product = Callable[[Tensor], Tensor]
"""The mean curvature H times a vector `[P]`."""

Extremes = tuple[float, float] | None
"""Smallest and largest eigenvalue, where they are known."""

TOLERANCE, MOST_ITERATIONS = 1e-8, 2000
"""Conjugate gradients stop at this relative residual, or with an error after so many iterations."""


class Solver(Protocol):
    """What every way can do.

    Attributes:
        extremes: smallest and largest eigenvalue of H as this way sees it, or None where they are not known.
    """

    extremes: Extremes

    def inverse(self, vector: Tensor, damping: float) -> Tensor:
        """`(H + damping)^-1` times a vector `[P]`."""

    def self_products(self, damping: float) -> Tensor:
        """`g_i^T (H + damping)^-1 g_i` of the gradient of every example, `[n]`."""


class Dense:
    """The eigendecomposition of the P x P matrix.

    Args:
        derivatives: at the n examples.
        loss: at their logits.
        matrix: H `[P, P]`.

    Cost: `10 P^3` operations once, `P^2` a solve; memory for `2 P^2` numbers.
    """

    def __init__(self, derivatives: Derivatives, loss: LossAtLogits, matrix: Tensor) -> None:
        self._derivatives, self._loss = derivatives, loss
        self._values, self._vectors = torch.linalg.eigh(matrix)
        self.extremes: Extremes = _extremes(self._values)

    def inverse(self, vector: Tensor, damping: float) -> Tensor:
        solved: Tensor = self._vectors @ (self._inverses(damping) * (self._vectors.T @ vector))
        return solved

    def self_products(self, damping: float) -> Tensor:
        inverses = self._inverses(damping)
        batches = self._derivatives.rows(self._loss.residuals[..., None])
        return torch.cat([(rows[:, 0] @ self._vectors).square() @ inverses for rows in batches])

    def _inverses(self, damping: float) -> Tensor:
        smallest, cut = float(self._values[0]), _cut(self._values)
        if smallest < -cut and smallest + damping <= cut:
            raise InputError(
                f"The curvature is not positive with damping {damping:g} (smallest eigenvalue {smallest:.3g}): choose "
                f"gauss-newton or a damping above {-smallest:.3g}."
            )
        return _inverses(self._values, damping)


def gauss_newton_matrix(derivatives: Derivatives, loss: LossAtLogits) -> Tensor:
    """The mean Gauss-Newton matrix `[P, P]`, summed over explicit rows."""
    total = torch.zeros(derivatives.size, derivatives.size).to(loss.residuals)
    for rows in derivatives.rows(loss.roots):
        flat = rows.flatten(0, 1)
        total += flat.T @ flat
    return total / derivatives.count


class Dual:
    """The eigendecomposition of the r x r Gram matrix of all rows of the curvature's root, r = n (C - 1).

    With A the rows, H = A^T A / n, and Woodbury's identity gives the inverse of the P x P matrix from that of A A^T.
    The Gram matrix of a linear layer is the product of those of its inputs and of its outputs' derivatives, so that no
    row is written out; rows of other layers are.

    Args:
        derivatives: at the n examples.
        loss: at their logits.

    Cost: `10 r^3` operations once, two passes over the network a solve, `2 r^2 n` operations for all self-products;
    memory for `4 r^2` numbers and for the rows `[r, P]` of layers that are not linear.
    """

    def __init__(self, derivatives: Derivatives, loss: LossAtLogits) -> None:
        self._derivatives, self._loss, count = derivatives, loss, derivatives.count
        basis = _gram(derivatives, loss.basis.expand(count, -1, -1))  # [n, k, n, k]
        roots = loss.roots[:, loss.coordinates]  # [n, k, j]
        residuals = loss.residuals[:, loss.coordinates]  # [n, k]
        rooted = torch.einsum("nkml,mlj->nkmj", basis, roots)
        gram = torch.einsum("nki,nkmj->nimj", roots, rooted).flatten(0, 1).flatten(1)
        values, self._vectors = torch.linalg.eigh(gram)
        self._values = values / count
        # Each gradient's products with the rows of the root, turned to the eigenvectors; and with itself.
        turned = torch.einsum("nk,nkmj->nmj", residuals, rooted).flatten(1) @ self._vectors
        self._squares = turned.square() / count
        self._lengths = torch.einsum(
            "nk,nkl,nl->n", residuals, basis.diagonal(dim1=0, dim2=2).permute(2, 0, 1), residuals
        )
        largest = float(self._values[-1])
        self.extremes: Extremes = (
            0.0 if derivatives.size > len(values) else float(self._values[0].clamp_min(0)),
            largest,
        )

    def inverse(self, vector: Tensor, damping: float) -> Tensor:
        loss, count = self._loss, self._derivatives.count
        rows = torch.einsum("nck,nc->nk", loss.roots, self._derivatives.push(vector))
        solved = self._vectors @ (self._factors(damping) * (self._vectors.T @ rows.flatten())) / count
        pulled = self._derivatives.pull(torch.einsum("nck,nk->nc", loss.roots, solved.view_as(rows)))
        return pulled if damping == 0 else (vector - pulled) / damping

    def self_products(self, damping: float) -> Tensor:
        products: Tensor = self._squares @ self._factors(damping)
        return products if damping == 0 else (self._lengths - products) / damping

    def _factors(self, damping: float) -> Tensor:
        inverses = _inverses(self._values, damping)
        return inverses.square() if damping == 0 else inverses


def _gram(derivatives: Derivatives, directions: Tensor) -> Tensor:
    """Inner products `[n, k, n, k]` of the derivatives of all directions `[n, C, k]`."""
    count, _, width = directions.shape
    total = torch.zeros(count, width, count, width).to(directions)
    done: set[str] = set()
    for parts in zip(*derivatives.layers(directions), strict=True):
        if _is_outer_product(parts[0]):
            incoming = torch.cat([part.incoming[:, 0] for part in parts])
            outgoing = torch.cat([part.outgoing[:, :, 0] for part in parts]).flatten(0, 1)
            total += (outgoing @ outgoing.T).view_as(total) * (incoming @ incoming.T)[:, None, :, None]
            done.update(_names(parts[0]))
    rest = [name for name in derivatives.shapes if name not in done]
    if rest:
        rows = torch.cat(list(derivatives.rows(directions, rest))).flatten(0, 1)
        total += (rows @ rows.T).view_as(total)
    return total


def written_out(derivatives: Derivatives, loss: LossAtLogits) -> int:
    """Numbers in each row that `Dual` has to write out: the parameters of layers that are not linear."""
    parts = next(derivatives.layers(loss.basis.expand(derivatives.count, -1, -1)))
    done = {name for part in parts if _is_outer_product(part) for name in _names(part)}
    return sum(shape.numel() for name, shape in derivatives.shapes.items() if name not in done)


class Kronecker:
    """KFAC: a layer's block is the Kronecker product of the mean outer products of its inputs and output derivatives.

    The outputs' derivatives are those of the exact root of the loss's curvature, not sampled; damping is exact, in the
    eigenbases of the two factors. Blocks between layers are taken as zero, and parameters that are not in a linear or
    ordinary two-dimensional convolution layer, such as those of batch norm, are held fixed.

    Source: Martens, Grosse (2015), "Optimizing Neural Networks with Kronecker-factored Approximate Curvature"; for
    convolutions Grosse, Martens (2016), "A Kronecker-factored approximate Fisher matrix for convolution layers"; the
    damping George, Laurent, Bouthillier, Ballas, Vincent (2018), "Fast Approximate Natural Gradient Descent in a
    Kronecker Factored Eigenbasis".

    Args:
        derivatives: at the n examples.
        loss: at their logits.

    Raises:
        NotSupportedError: there is no such layer.

    Cost: a forward and C - 1 backward passes; for a layer of d inputs and o outputs `10 (d^3 + o^3)` operations once.
    """

    def __init__(self, derivatives: Derivatives, loss: LossAtLogits) -> None:
        self._derivatives, self._loss = derivatives, loss
        factors: dict[str, tuple[LayerPart, Tensor, Tensor]] = {}
        for parts in derivatives.layers(loss.roots):
            for part in parts:
                inner = part.incoming.flatten(0, 1)
                outer = part.outgoing.flatten(0, 2)
                incoming, outgoing = inner.T @ inner, outer.T @ outer / part.incoming.shape[1]
                if part.weight in factors:
                    incoming, outgoing = incoming + factors[part.weight][1], outgoing + factors[part.weight][2]
                factors[part.weight] = (part, incoming, outgoing)
        if not factors:
            raise NotSupportedError(
                "kronecker needs linear or convolution layers, and the network has none: choose another solver."
            )
        self._bases: dict[str, tuple[Tensor, Tensor]] = {}
        self._values: dict[str, Tensor] = {}
        self._names: dict[str, list[str]] = {}
        for weight, (part, incoming, outgoing) in factors.items():
            inner_values, inner_basis = torch.linalg.eigh(incoming / derivatives.count)
            outer_values, outer_basis = torch.linalg.eigh(outgoing / derivatives.count)
            self._bases[weight] = (outer_basis, inner_basis)
            self._values[weight] = outer_values[:, None] * inner_values
            self._names[weight] = _names(part)
        self.extremes: Extremes = _extremes(torch.cat([values.flatten() for values in self._values.values()]))

    def inverse(self, vector: Tensor, damping: float) -> Tensor:
        before = self._derivatives.named(vector)
        after = {name: torch.zeros_like(tensor) for name, tensor in before.items()}
        for weight, names in self._names.items():
            outer, inner = self._bases[weight]
            block = torch.cat(
                [before[name].flatten(1) if name == weight else before[name][:, None] for name in names], 1
            )
            solved = outer @ (self._inverses(weight, damping) * (outer.T @ block @ inner)) @ inner.T
            after[weight] = solved[:, : before[weight][0].numel()].reshape(before[weight].shape)
            for bias in names[1:]:
                after[bias] = solved[:, -1]
        return torch.cat([tensor.flatten() for tensor in after.values()])

    def self_products(self, damping: float) -> Tensor:
        found = []
        for parts in self._derivatives.layers(self._loss.residuals[..., None]):
            total = torch.zeros(len(parts[0].incoming)).to(self._loss.residuals)
            for part in parts:
                outer, inner = self._bases[part.weight]
                incoming, outgoing = part.incoming @ inner, part.outgoing[:, 0] @ outer
                inverses = self._inverses(part.weight, damping)
                if _is_outer_product(part):
                    total += ((outgoing[:, 0].square() @ inverses) * incoming[:, 0].square()).sum(1)
                else:
                    total += ((outgoing.mT @ incoming).square() * inverses).flatten(1).sum(1)
            found.append(total)
        return torch.cat(found)

    def _inverses(self, weight: str, damping: float) -> Tensor:
        return _inverses(self._values[weight], damping)


class ConjugateGradients:
    """No factors at all: every solve takes products with H until the relative residual is below 1e-8.

    Source: Hestenes, Stiefel (1952), "Methods of Conjugate Gradients for Solving Linear Systems"; for influence Koh,
    Liang (2017), "Understanding Black-box Predictions via Influence Functions".

    Args:
        derivatives: at the n examples.
        loss: at their logits.
        product: H times a vector.

    Cost: two or three passes over the network for each of up to 2,000 iterations, and a solve for every self-product.
    """

    extremes: Extremes = None

    def __init__(self, derivatives: Derivatives, loss: LossAtLogits, product: Product) -> None:
        self._derivatives, self._loss, self._product = derivatives, loss, product

    def inverse(self, vector: Tensor, damping: float) -> Tensor:
        solution, residual = torch.zeros_like(vector), vector.clone()
        direction, length = residual.clone(), residual @ residual
        target = TOLERANCE**2 * length
        for _ in range(MOST_ITERATIONS):
            if length <= target:
                return solution
            ahead = self._product(direction) + damping * direction
            bend = direction @ ahead
            if bend <= 0:
                value = float(bend / (direction @ direction)) - damping
                raise InputError(
                    f"The curvature is not positive with damping {damping:g} ({value:.3g} along one direction): choose "
                    "gauss-newton or a larger damping."
                )
            step = length / bend
            solution += step * direction
            residual -= step * ahead
            length, before = residual @ residual, length
            direction = residual + (length / before) * direction
        left = float((length / (vector @ vector)).sqrt())
        raise InputError(
            f"Conjugate gradients did not converge: relative residual {left:.3g} after {MOST_ITERATIONS} iterations "
            f"with damping {damping:g}, above {TOLERANCE:g}: choose a larger damping or another solver."
        )

    def self_products(self, damping: float) -> Tensor:
        gradients = (row for rows in self._derivatives.rows(self._loss.residuals[..., None]) for row in rows[:, 0])
        return torch.stack([gradient @ self.inverse(gradient, damping) for gradient in gradients])


def _is_outer_product(part: LayerPart) -> bool:
    """Whether the layer has one position, so that its derivative is the product of two vectors."""
    return part.incoming.shape[1] == 1


def _names(part: LayerPart) -> list[str]:
    return [part.weight] if part.bias is None else [part.weight, part.bias]


def _extremes(values: Tensor) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _cut(values: Tensor) -> float:
    """Below this, an eigenvalue is rounding."""
    return float(values.abs().max()) * values.numel() * torch.finfo(values.dtype).eps


def _inverses(values: Tensor, damping: float) -> Tensor:
    """Inverses of eigenvalues with damping; without, zero for those that are rounding.

    Raises:
        InputError: the damping itself is rounding.
    """
    cut = _cut(values)
    if damping == 0:
        kept = values > cut
        return torch.where(kept, 1 / torch.where(kept, values, 1.0), 0.0)
    if damping < cut:
        raise InputError(
            f"A damping of {damping:g} is lost in rounding: choose 0 for the pseudo-inverse, or at least {cut:.3g}."
        )
    return 1 / (values + damping)
