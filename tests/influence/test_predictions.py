"""What influence predicts happens: exactly for ridge regression, nearly for models that are trained again."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from untrain.data import Examples
from untrain.influence import Curvature
from untrain.population import Population

MOST_STEPS, ROUNDING = 1000, 1e-14
"""Of Newton's method: steps before it is given up, and what the loss may rise by."""


def draw(count: int, columns: int, classes: int, seed: int) -> Examples:
    """Examples of overlapping classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=count)
    centers = 1.2 * np.random.default_rng(99).normal(size=(classes, columns))
    return Examples.of(
        centers[labels] + generator.normal(size=(count, columns)), labels, classes=[str(c) for c in range(classes)]
    )


def without(examples: Examples, left_out: list[int]) -> Examples:
    return examples.select(np.setdiff1d(np.arange(len(examples)), left_out))


def converged(module: nn.Module, examples: Examples, weights: Tensor, penalty: float) -> nn.Module:
    """Minimize the mean of weighted cross-entropies, plus `penalty / 2 |theta|^2`, until nothing moves, in place.

    By Newton's steps, with the curvature's absolute value where it is negative, halved until the loss does not rise by
    more than rounding.
    """
    x, y = torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels)
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}

    def loss(theta: Tensor) -> Tensor:
        parts = theta.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        unweighted = F.cross_entropy(functional_call(module, named, x), y, reduction="none")
        return (weights * unweighted).mean() + penalty / 2 * theta.square().sum()

    theta = parameters_to_vector(module.parameters()).detach()
    for _ in range(MOST_STEPS):
        slope = grad(loss)(theta)
        if slope.abs().max() <= 1e-9:
            break
        values, vectors = torch.linalg.eigh(jacrev(grad(loss))(theta))
        step = vectors @ (vectors.T @ slope / values.abs().clamp_min(penalty / 2))
        while loss(theta - step) > loss(theta) + ROUNDING:
            step /= 2
        theta = theta - step
    else:
        raise AssertionError(f"after {MOST_STEPS} steps the gradient is {slope.abs().max():.1e}")
    vector_to_parameters(theta, module.parameters())
    return module


def again(original: nn.Module, examples: Examples, gone: list[int], left: float, penalty: float) -> nn.Module:
    """Trained further, with the weight `left` on examples that are gone, wholly at 0."""
    weights = torch.ones(len(examples), dtype=torch.float64)
    weights[gone] = left
    return converged(copy.deepcopy(original), examples, weights, penalty)


def losses(module: nn.Module, examples: Examples) -> Tensor:
    with torch.no_grad():
        return F.cross_entropy(
            module(torch.from_numpy(examples.inputs)), torch.from_numpy(examples.labels), reduction="none"
        )


def ridge(examples: Examples, penalty: float) -> Tensor:
    """Weights with the bias in the last column, `[C, d + 1]`, that minimize half the squared error plus the penalty."""
    x = torch.from_numpy(np.c_[examples.inputs, np.ones(len(examples))])
    y = F.one_hot(torch.from_numpy(examples.labels), len(examples.classes)).double()
    found: Tensor = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]), x.T @ y).T
    return found


@pytest.mark.parametrize(
    ("parameters", "solver"), [("last", "dense"), ("last", "dual"), ("all", "dual"), ("all", "cg")]
)
def test_leaving_out_is_exact_for_ridge_regression(parameters: str, solver: str) -> None:
    examples, penalty, gone = draw(60, 5, 3, seed=0), 2.0, list(range(7, 24))
    kept = without(examples, gone)
    module, full = nn.Linear(5, 3).double(), ridge(examples, penalty)
    with torch.no_grad():
        module.weight.copy_(full[:, :-1])
        module.bias.copy_(full[:, -1])
    curvature = Curvature(
        parameters=parameters,  # type: ignore[arg-type]
        solver=solver,  # type: ignore[arg-type]
        loss="squared-error",
        damping=penalty / len(kept),
    )
    step = curvature.fit(Population.from_module(module), kept).step(examples.select(gone))
    moved = torch.cat([step["weight"][0], step["bias"][0][:, None]], 1) / len(kept)
    torch.testing.assert_close(full + moved, ridge(kept, penalty), rtol=1e-7, atol=1e-9)


LOGISTIC: Callable[[], nn.Module] = lambda: nn.Linear(4, 3).double()  # noqa: E731
NETWORK: Callable[[], nn.Module] = lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()  # noqa: E731


@pytest.mark.parametrize("build", [LOGISTIC, NETWORK])
def test_retraining_without_an_example_changes_losses_as_predicted(build: Callable[[], nn.Module]) -> None:
    examples, tests, penalty = draw(80, 4, 3, seed=1), draw(200, 4, 3, seed=2), 0.01
    torch.manual_seed(0)
    original = converged(build(), examples, torch.ones(80, dtype=torch.float64), penalty)
    found = Curvature(parameters="all", kind="hessian", damping=penalty).fit(Population.from_module(original), examples)
    predicted_own, predicted_test = (scores[::4] / 80 for scores in (found.self_influence(), found.on(tests)))
    for left, alike, within in ((0.99, 0.9999, 0.01), (0.0, 0.9, 0.7)):
        own, test = [], []
        for position in range(0, 80, 4):
            retrained = again(original, examples, [position], left, penalty)
            own.append(float((losses(retrained, examples) - losses(original, examples))[position]) / (1 - left))
            test.append(float((losses(retrained, tests) - losses(original, tests)).mean()) / (1 - left))
        for actual, predicted in ((own, predicted_own), (test, predicted_test)):
            assert spearmanr(actual, predicted).statistic > alike
            assert np.linalg.norm(actual - predicted) < within * np.linalg.norm(actual)


def test_a_group_is_left_out_of_logistic_regression_as_predicted() -> None:
    examples, penalty, gone = draw(200, 4, 3, seed=3), 0.01, list(range(10))
    original = converged(LOGISTIC(), examples, torch.ones(200, dtype=torch.float64), penalty)
    retrained = again(original, examples, gone, 0.0, penalty).state_dict()
    models = Population.from_module(original)

    def missed(over: Examples) -> float:
        """How far from the retrained weights a step ends, as a share of the way."""
        step = Curvature(damping=penalty * 200 / len(over)).fit(models, over).step(examples.select(gone))
        way = {name: retrained[name] - original.state_dict()[name] for name in step}
        left = [(tensor[0] / len(over) - way[name]).norm() for name, tensor in step.items()]
        return float(torch.stack(left).norm() / torch.stack([part.norm() for part in way.values()]).norm())

    assert missed(examples) < 0.2  # the influence update
    assert missed(without(examples, gone)) < 0.5 * missed(examples)  # SSSE
