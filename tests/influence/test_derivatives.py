"""Derivatives of logits and of the loss equal those of plain autograd, however they are taken."""

import pytest
import torch
from torch import nn

from tests.influence.problems import SHAPES, InPlace, problem, slow
from untrain.data import Examples
from untrain.errors import NotSupportedError
from untrain.influence.derivatives import AllParameters, Derivatives, LastLayer
from untrain.influence.loss import cross_entropy, squared_error
from untrain.influence.solvers import _gram
from untrain.population import Population


def derivatives(name: str, which: type[Derivatives]) -> tuple[Population, Examples, Derivatives]:
    if name == "in place":
        torch.manual_seed(0)
        models, examples = Population.from_module(InPlace().double()), problem("linear")[1]
    else:
        models, examples = problem(name)
    return models, examples, which(models, examples)  # type: ignore[call-arg]


@pytest.mark.parametrize("which", [LastLayer, AllParameters])
@pytest.mark.parametrize("name", [*SHAPES, "in place"])
def test_every_view_of_the_jacobian_is_the_jacobian(name: str, which: type[Derivatives]) -> None:
    models, examples, found = derivatives(name, which)
    oracle = slow(models, examples, found)
    jacobian = torch.autograd.functional.jacobian(oracle.logits, oracle.flat)  # [n, C, P]
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(found.size, generator=generator, dtype=torch.float64)
    weights = torch.randn(found.logits.shape, generator=generator, dtype=torch.float64)
    directions = torch.randn((*found.logits.shape, 2), generator=generator, dtype=torch.float64)
    rows = torch.einsum("ncp,nck->nkp", jacobian, directions)
    torch.testing.assert_close(found.logits, oracle.logits(oracle.flat))
    torch.testing.assert_close(found.push(vector), jacobian @ vector)
    torch.testing.assert_close(found.pull(weights), torch.einsum("ncp,nc->p", jacobian, weights))
    torch.testing.assert_close(torch.cat(list(found.rows(directions))), rows)
    torch.testing.assert_close(_gram(found, directions), torch.einsum("nkp,mlp->nkml", rows, rows))


@pytest.mark.parametrize("name", ["mlp", "cnn", "in place"])
def test_the_parts_of_layers_make_up_their_rows(name: str) -> None:
    _, _, found = derivatives(name, AllParameters)
    directions = torch.randn((*found.logits.shape, 2), dtype=torch.float64)
    rows = torch.cat(list(found.rows(directions))).flatten(0, 1)
    for parts in zip(*found.layers(directions), strict=True):
        weight, bias = parts[0].weight, parts[0].bias
        products = torch.cat([torch.einsum("bkto,bti->bkoi", part.outgoing, part.incoming) for part in parts])
        for row, product in zip(rows, products.flatten(0, 1), strict=True):
            named = found.named(row)
            columns = [named[weight].flatten(1)] + ([named[bias][:, None]] if bias else [])
            torch.testing.assert_close(product, torch.cat(columns, 1))
    if name == "in place":
        assert [part.weight for part in next(found.layers(directions))] == ["first.weight", "last.weight"]


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_loss_by_logits(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(9, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (9,), generator=generator)
    entropy, square = cross_entropy(logits, labels), squared_error(logits, labels)
    p = logits.softmax(-1)
    torch.testing.assert_close(entropy.residuals, p - torch.eye(classes)[labels])
    torch.testing.assert_close(entropy.curvature, torch.diag_embed(p) - p[:, :, None] * p[:, None])
    torch.testing.assert_close(entropy.bend(logits), (entropy.curvature @ logits[..., None])[..., 0])
    torch.testing.assert_close(square.residuals, logits - torch.eye(classes)[labels])
    torch.testing.assert_close(square.curvature, torch.eye(classes, dtype=torch.float64).expand(9, -1, -1))
    for loss in (entropy, square):
        torch.testing.assert_close(loss.basis @ loss.residuals[:, loss.coordinates].mT, loss.residuals.mT)
        torch.testing.assert_close(loss.basis @ loss.roots[:, loss.coordinates], loss.roots)


def test_certainty_keeps_its_tiny_derivatives() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0], [0.0, 900.0, 0.0]], dtype=torch.float64)
    found = cross_entropy(logits, torch.tensor([0, 1]))
    tiny = float(torch.exp(torch.tensor(-60.0, dtype=torch.float64)))
    torch.testing.assert_close(found.residuals[0] / tiny, torch.tensor([-2.0, 1.0, 1.0]).double())
    assert found.curvature[0, 0, 0].item() == pytest.approx(2 * tiny)
    assert bool(torch.isfinite(found.roots).all())


def test_a_last_layer_that_is_not_linear_is_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
    with pytest.raises(NotSupportedError, match="Sequential has no linear layer whose output is the logits"):
        LastLayer(Population.from_module(module), problem("linear")[1])
