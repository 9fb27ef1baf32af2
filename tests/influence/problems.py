"""Small problems, and derivatives by loops and `torch.autograd.functional` that are obviously right."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from untrain.data import Examples
from untrain.influence.derivatives import Derivatives
from untrain.models import CNN, MLP, Model, factory
from untrain.population import SGD, Population, Recipe

SHAPES: dict[str, tuple[Model, tuple[int, ...], int]] = {
    "binary": (MLP(widths=(5,)), (4,), 2),
    "mlp": (MLP(widths=(4, 3)), (5,), 3),
    "cnn": (CNN(widths=(2, 3)), (1, 5, 5), 3),
    "linear": (MLP(widths=()), (4,), 3),
}


def problem(name: str, count: int = 24, seed: int = 0) -> tuple[Population, Examples]:
    """A model of one of the shapes after a little training, in float64, and its examples."""
    model, shape, classes = SHAPES[name]
    generator = np.random.default_rng(seed)
    inputs, labels = generator.normal(size=(count, *shape)), generator.integers(classes, size=count)
    examples = Examples.of(inputs, labels, classes=[str(number) for number in range(classes)])
    models = Population.create(factory(model, shape, classes), 1, seed=seed, dtype=torch.float64)
    return models.train(examples, Recipe(optimizer=SGD(lr=0.1), epochs=3, batch_size=8)), examples


class Slow:
    """The loss of a model as a function of one flat vector of some of its parameters."""

    def __init__(self, models: Population, examples: Examples, names: list[str]) -> None:
        self.module = models.module(0).double().requires_grad_(False)
        self.names = names
        self.x, self.y = torch.from_numpy(examples.inputs).double(), torch.from_numpy(examples.labels)
        state = dict(self.module.named_parameters())
        self.shapes = [state[name].shape for name in names]
        self.flat = torch.cat([state[name].detach().flatten() for name in names])

    def logits(self, flat: Tensor, rows: slice | Tensor = slice(None)) -> Tensor:
        parts = flat.split([shape.numel() for shape in self.shapes])
        values = {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}
        logits: Tensor = functional_call(self.module, values, (self.x[rows],))
        return logits

    def losses(self, flat: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(flat), self.y, reduction="none")

    def gradients(self) -> Tensor:
        """One after another, `[n, P]`."""
        found: Tensor = torch.autograd.functional.jacobian(self.losses, self.flat)
        return found

    def hessian(self) -> Tensor:
        mean: Callable[[Tensor], Tensor] = lambda flat: self.losses(flat).mean()  # noqa: E731
        found: Tensor = torch.autograd.functional.hessian(mean, self.flat)
        return found

    def gauss_newton(self) -> Tensor:
        """An explicit sum over the examples of `J^T (diag(p) - p p^T) J`."""
        total = torch.zeros(len(self.flat), len(self.flat), dtype=torch.float64)
        jacobians = torch.autograd.functional.jacobian(self.logits, self.flat)
        for jacobian, logits in zip(jacobians, self.logits(self.flat), strict=True):
            p = logits.softmax(0)
            total += jacobian.T @ (torch.diag(p) - torch.outer(p, p)) @ jacobian
        return total / len(self.y)


def slow(models: Population, examples: Examples, derivatives: Derivatives) -> Slow:
    """The same parameters, slowly."""
    return Slow(models, examples, list(derivatives.shapes))


class InPlace(nn.Module):
    """Layers that work in place, one layer used twice, and parameters outside of any linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.tensor([1.0, 0.8, 1.2]))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.twice(torch.tanh(self.twice(self.relu(self.first(x)))))
        logits: Tensor = self.last(hidden * self.scale)
        return logits
