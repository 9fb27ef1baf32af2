"""Scores and solves equal those with the dense inverse; all solvers agree; what cannot be solved is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.influence.problems import InPlace, Slow, problem
from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError
from untrain.influence import Curvature, Influence, curvature
from untrain.population import Population

DAMPING = 0.03


def inverse(matrix: torch.Tensor, damping: float) -> torch.Tensor:
    identity = torch.eye(len(matrix), dtype=torch.float64)
    found: torch.Tensor = torch.linalg.inv(matrix + damping * identity) if damping else torch.linalg.pinv(matrix)
    return found


def oracle(models: Population, examples: Examples, found: Influence) -> Slow:
    return Slow(models, examples, list(found._derivatives.shapes))


def check_scores(found: Influence, slow: Slow, matrix: torch.Tensor, damping: float, **tolerance: Any) -> None:
    """Every score, one example after another, from explicit gradients and an explicit inverse."""
    gradients, inverted, count = slow.gradients(), inverse(matrix, damping), len(slow.y)
    own = [g @ inverted @ g for g in gradients]
    train = [gradients.mean(0) @ inverted @ g for g in gradients]
    out = [(gradients.sum(0) - g) / (count - 1) @ inverted @ g for g in gradients]
    for scores, expected in (
        (found.self_influence(damping), own),
        (found.train_influence(damping), train),
        (found.leave_one_out(damping), out),
    ):
        np.testing.assert_allclose(scores, torch.stack(expected).numpy(), **tolerance)


@pytest.mark.parametrize("solver", ["dense", "dual", "cg"])
@pytest.mark.parametrize("parameters", ["last", "last-weight", "all"])
@pytest.mark.parametrize("name", ["binary", "mlp", "cnn"])
def test_exact_solvers_equal_the_dense_inverse(name: str, parameters: Any, solver: Any) -> None:
    models, examples = problem(name)
    found = Curvature(parameters=parameters, solver=solver, damping=DAMPING).fit(models, examples)
    slow = oracle(models, examples, found)
    check_scores(found, slow, slow.gauss_newton(), DAMPING, rtol=1e-6, atol=1e-9)
    told = found.diagnose()
    assert told.residual < 1e-7
    assert (told.solver, told.damping, told.parameters) == (solver, DAMPING, len(slow.flat))


@pytest.mark.parametrize("solver", ["dense", "dual"])
@pytest.mark.parametrize(("name", "parameters"), [("binary", "all"), ("mlp", "last"), ("cnn", "last")])
def test_no_damping_is_the_pseudo_inverse(name: str, parameters: Any, solver: Any) -> None:
    models, examples = problem(name)
    found = Curvature(parameters=parameters, solver=solver, damping=0.0).fit(models, examples)
    slow = oracle(models, examples, found)
    check_scores(found, slow, slow.gauss_newton(), 0.0, rtol=1e-4, atol=1e-8)
    assert found.diagnose().residual < 1e-6


@pytest.mark.parametrize("solver", ["dense", "dual", "kronecker", "cg"])
def test_damping_at_the_solve_is_damping_at_the_fit(solver: Any) -> None:
    models, examples = problem("mlp")
    early = Curvature(parameters="all", solver=solver, damping=0.5).fit(models, examples)
    late = Curvature(parameters="all", solver=solver, damping=0.01).fit(models, examples)
    np.testing.assert_allclose(late.self_influence(0.5), early.self_influence(), rtol=1e-12)
    np.testing.assert_allclose(late.leave_one_out(0.5), early.leave_one_out(), rtol=1e-12)


@pytest.mark.parametrize("solver", ["dense", "dual", "cg"])
def test_step_and_influence_on_other_examples(solver: Any) -> None:
    models, examples = problem("cnn")
    others = problem("cnn", count=7, seed=5)[1]
    found = Curvature(parameters="all", solver=solver, damping=DAMPING).fit(models, examples)
    slow = oracle(models, examples, found)
    elsewhere = Slow(models, others, slow.names).gradients()
    inverted = inverse(slow.gauss_newton(), DAMPING)
    np.testing.assert_allclose(
        found.on(others), (slow.gradients() @ inverted @ elsewhere.mean(0)).numpy(), rtol=1e-6, atol=1e-9
    )
    step = found.step(others)
    assert all(tensor.shape == models.tensors[name].shape for name, tensor in step.items())
    flat = torch.cat([step[name].flatten() for name in slow.names])
    torch.testing.assert_close(flat, inverted @ elsewhere.sum(0), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_the_hessian_of_all_parameters(solver: Any) -> None:
    models, examples = problem("binary")
    found = Curvature(kind="hessian", parameters="all", solver=solver, damping=1.0).fit(models, examples)
    slow = oracle(models, examples, found)
    check_scores(found, slow, slow.hessian(), 1.0, rtol=1e-6, atol=1e-9)
    assert found.diagnose().residual < 1e-7


def test_the_hessian_of_the_last_layer_is_its_gauss_newton_matrix() -> None:
    models, examples = problem("mlp")
    found = Curvature(kind="hessian", damping=DAMPING).fit(models, examples)
    slow = oracle(models, examples, found)
    torch.testing.assert_close(slow.hessian(), slow.gauss_newton())
    check_scores(found, slow, slow.hessian(), DAMPING, rtol=1e-8)


def test_an_indefinite_hessian_is_refused() -> None:
    models, examples = problem("binary")
    smallest = float(torch.linalg.eigvalsh(Slow(models, examples, list(models.tensors)).hessian())[0])
    assert smallest < -1e-3
    dense = Curvature(kind="hessian", parameters="all", damping=-smallest / 2).fit(models, examples)
    assert dense.diagnose(-2 * smallest).smallest == pytest.approx(smallest)
    with pytest.raises(InputError, match=f"eigenvalue {smallest:.3g}.*: choose gauss-newton or a damping above"):
        dense.self_influence()
    krylov = Curvature(kind="hessian", parameters="all", solver="cg", damping=1e-4).fit(models, examples)
    with pytest.raises(InputError, match=r"along one direction.*choose gauss-newton"):
        krylov.train_influence()


def test_kfac_is_exact_where_curvature_is_the_same_for_every_example() -> None:
    # With zero weights every prediction is uniform, so that the mean of the Kronecker product is the product of means.
    models, examples = problem("linear")
    for tensor in models.tensors.values():
        tensor.zero_()
    found = Curvature(parameters="all", solver="kronecker", damping=DAMPING).fit(models, examples)
    slow = oracle(models, examples, found)
    check_scores(found, slow, slow.gauss_newton(), DAMPING, rtol=1e-9, atol=1e-12)
    assert found.diagnose().residual < 1e-9
    check_scores(found, slow, slow.gauss_newton(), 0.0, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "cnn", "in place"])
def test_kfac_is_its_formula(name: str) -> None:
    models, examples = problem("linear") if name == "in place" else problem(name)
    if name == "in place":
        torch.manual_seed(0)
        models = Population.from_module(InPlace().double())
    found = Curvature(parameters="all", solver="kronecker", damping=DAMPING).fit(models, examples)
    slow, count = oracle(models, examples, found), len(examples)
    gradients, own, step = slow.gradients(), torch.zeros(count, dtype=torch.float64), found.step(examples)
    values, vectors = torch.linalg.eigh(_curvatures(slow))
    layers = found._derivatives.layers(vectors * values.clamp_min(0).sqrt()[:, None])  # not the library's root
    covered = set()
    for parts in zip(*layers, strict=True):
        inner = sum(a.T @ a for part in parts for a in part.incoming) / count
        outer = sum(d.T @ d for part in parts for d in part.outgoing.flatten(1, 2)) / count / parts[0].incoming.shape[1]
        block = torch.kron(outer, inner)  # rows of [out, in + 1], one after another
        names = [name for name in (parts[0].weight, parts[0].bias) if name]
        covered.update(names)
        inverted = inverse(block, DAMPING)
        rows = torch.stack([_block(found._derivatives.named(g), names) for g in gradients])
        own += torch.einsum("np,pq,nq->n", rows, inverted, rows)
        torch.testing.assert_close(_block({k: v[0] for k, v in step.items()}, names), inverted @ rows.sum(0))
    np.testing.assert_allclose(found.self_influence(), own.numpy(), rtol=1e-8)
    fixed = set(slow.names) - covered
    assert bool(fixed) == (name != "mlp")
    assert all(not step[name].any() for name in fixed)


def _curvatures(slow: Slow) -> torch.Tensor:
    p = slow.logits(slow.flat).softmax(-1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None]


def _block(named: dict[str, torch.Tensor], names: list[str]) -> torch.Tensor:
    columns = [named[name].flatten(1) if named[name].ndim > 1 else named[name][:, None] for name in names]
    return torch.cat(columns, 1).flatten()


def test_auto_takes_the_exact_solver_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    models, examples = problem("cnn")
    rows, parameters = 2 * len(examples), Curvature(parameters="all").fit(models, examples).diagnose().parameters

    def chosen(kind: Any = "gauss-newton") -> str:
        return Curvature(kind=kind, parameters="all").fit(models, examples).solver_name

    assert (chosen(), chosen("hessian")) == ("dense", "dense")
    monkeypatch.setattr(curvature, "SMALL_DENSE", parameters - 1)
    assert (chosen(), chosen("hessian")) == ("dual", "cg")
    monkeypatch.setattr(curvature, "SMALL_ROWS", rows)
    assert chosen() == "kronecker"
    monkeypatch.setattr(curvature, "SMALL_ROWS", 2**26)
    monkeypatch.setattr(curvature, "SMALL_DUAL", rows - 1)
    assert chosen() == "kronecker"


def test_float32_models_are_computed_in_double_precision() -> None:
    models, examples = problem("mlp")
    single = models.to(dtype=torch.float32)
    for parameters in ("last", "all"):
        exact = Curvature(parameters=parameters).fit(models, examples)
        found = Curvature(parameters=parameters).fit(single, examples)
        np.testing.assert_allclose(found.self_influence(), exact.self_influence(), rtol=1e-3)
        assert found.diagnose().residual < 1e-10
        assert {tensor.dtype for tensor in found.step(examples).values()} == {torch.float64}


def test_nothing_of_the_model_changes() -> None:
    models, examples = problem("cnn")
    before = {name: tensor.clone() for name, tensor in models.tensors.items()}
    for parameters in ("last", "all"):
        Curvature(parameters=parameters).fit(models, examples).diagnose()
    assert all(torch.equal(tensor, before[name]) for name, tensor in models.tensors.items())


def test_bad_input_is_refused() -> None:
    models, examples = problem("mlp")
    with pytest.raises(InputError, match="must hold one model, got 2"):
        Curvature().fit(models.select([0, 0]), examples)
    with pytest.raises(InputError, match="no examples to take the curvature at"):
        Curvature().fit(models, examples.select([]))
    more = Examples.of(examples.inputs, examples.labels, classes=list("abcde"))
    with pytest.raises(InputError, match="a logit for each of 5 classes, got 3"):
        Curvature().fit(models, more)
    fitted = Curvature().fit(models, examples)
    for ask in (fitted.on, fitted.step):
        with pytest.raises(InputError, match="a logit for each of 5 classes, got 3"):
            ask(more)
        with pytest.raises(InputError, match="no examples to take the influence on"):
            ask(examples.select([]))
    with pytest.raises(InputError, match="at least two"):
        Curvature().fit(models, examples.select([0])).leave_one_out()


@pytest.mark.parametrize("damping", [-1.0, float("nan"), float("inf")])
def test_a_damping_that_is_none_is_refused(damping: float) -> None:
    with pytest.raises(InputError, match="damping must be at least 0 and finite, got"):
        Curvature().fit(*problem("mlp")).self_influence(damping)


@pytest.mark.parametrize("solver", ["dense", "dual", "kronecker"])
def test_a_damping_below_rounding_is_refused(solver: Any) -> None:
    with pytest.raises(InputError, match=r"damping of 1e-18 is lost .*choose 0 .*or at least"):
        Curvature(solver=solver, damping=1e-18).fit(*problem("mlp")).self_influence()


@pytest.mark.parametrize("solver", ["dual", "kronecker"])
def test_a_hessian_of_all_parameters_needs_its_solver(solver: Any) -> None:
    with pytest.raises(
        NotSupportedError, match=f"Hessian of all parameters needs the solver dense or cg, got {solver}"
    ):
        Curvature(kind="hessian", parameters="all", solver=solver).fit(*problem("mlp"))


@pytest.mark.parametrize("parameters", ["last", "all"])
def test_logits_that_are_not_finite_are_refused(parameters: Any) -> None:
    models, examples = problem("mlp")
    next(iter(models.tensors.values()))[0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="The logits of example 0 are NaN or infinite"):
        Curvature(parameters=parameters).fit(models, examples)


def test_a_solve_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    models, examples = problem("mlp")
    found = Curvature(parameters="all", solver="cg", damping=1e-6).fit(models, examples)
    monkeypatch.setattr("untrain.influence.solvers.MOST_ITERATIONS", 3)
    with pytest.raises(InputError, match=r"after 3 iterations with damping 1e-06.*choose a larger damping"):
        found.train_influence()


def test_kfac_needs_a_layer() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    models, examples = Population.from_module(Scaled()), problem("linear")[1]
    with pytest.raises(NotSupportedError, match="kronecker needs linear or convolution layers"):
        Curvature(parameters="all", solver="kronecker").fit(models, examples)
    slow = Slow(models, examples, ["scale"])
    check_scores(Curvature(parameters="all").fit(models, examples), slow, slow.gauss_newton(), 1e-3, rtol=1e-8)


def test_an_influence_is_shown_in_one_line() -> None:
    models, examples = problem("binary")
    shown = repr(Curvature(solver="dense", damping=0.5).fit(models, examples))
    assert shown.startswith(f"Influence of {len(examples)} examples on ")
    assert shown.endswith("parameters (solver dense, damping 0.5)")
