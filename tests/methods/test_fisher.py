"""Fisher forgetting."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.problems import population, request, tensors
from untrain.data import Examples
from untrain.methods.fisher import Fisher, information
from untrain.models import CNN, MLP, Model


def slow_fisher(module: nn.Module, examples: Examples) -> dict[str, Tensor]:
    """Label by label and example by example, as the authors compute it."""
    total = {name: torch.zeros_like(parameter) for name, parameter in module.named_parameters()}
    x, _ = tensors(examples)
    for example in x:
        logits = module(example[None])
        probabilities = logits.detach().softmax(1)[0]
        for label, probability in enumerate(probabilities):
            loss = F.cross_entropy(logits, torch.tensor([label]))
            found = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
            for name, gradient in zip(total, found, strict=True):
                total[name] += probability * gradient**2 / len(examples)
    return total


@pytest.mark.parametrize("model", [CNN(widths=(4, 6)), MLP(widths=(9,))], ids=["cnn", "mlp"])
def test_fisher_information_is_the_sum_over_labels(model: Model) -> None:
    models, asked = population(model, count=1), request()
    found, expected = information(models, asked.retain), slow_fisher(models.module(), asked.retain)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-14)


def slow_variance(fisher: Tensor, alpha: float, classes: int) -> Tensor:
    """Of one model's tensor, as the authors' code has it."""
    variance = (1 / (fisher + 1e-8)).clamp(max=1e3)
    if fisher.shape[0] == classes:
        variance = variance.clamp(max=1e2)
    variance = alpha * variance
    if fisher.ndim > 1:
        variance = variance.mean(dim=1, keepdim=True).expand_as(fisher).clone()
    if fisher.shape[0] == classes or fisher.ndim == 1:
        variance *= 10
    return variance


@pytest.mark.parametrize("shape", [(3, 7), (3,), (5,), (5, 7), (5, 2, 3, 3)])
def test_variance_of_the_noise(shape: tuple[int, ...]) -> None:
    fisher = 10 ** torch.empty(2, *shape, dtype=torch.float64).uniform_(-6, 1)
    found = Fisher(alpha=1e-3)._variance(fisher, 3).expand_as(fisher)
    torch.testing.assert_close(found, torch.stack([slow_variance(each, 1e-3, 3) for each in fisher]))


def test_noise_is_normal_and_each_models_own() -> None:
    models, asked = population(CNN(widths=(24, 32)), count=3), request()
    models.tensors["7.weight"][1] *= 0.2  # so that the models differ
    before = models.clone().tensors
    fishers = [slow_fisher(models.module(position), asked.retain) for position in range(3)]
    Fisher(alpha=1e-4).forget(models, asked)
    units = []
    for name, tensor in models.tensors.items():
        if name not in fishers[0]:
            assert torch.equal(tensor, before[name])
            continue
        deviation = torch.stack([slow_variance(fisher[name], 1e-4, 3).sqrt() for fisher in fishers])
        units.append(((tensor - before[name]) / deviation).flatten(1))
        for own in units[-1]:
            assert own.square().mean().item() == pytest.approx(1, abs=4 * (2 / len(own)) ** 0.5), name
    leading = torch.stack([unit[:, :3].flatten() for unit in units]).round(decimals=4)
    assert len(leading.unique(dim=0)) == len(leading)
    drawn = torch.cat(units, dim=1)
    assert abs(drawn.mean().item()) < 4 / drawn.numel() ** 0.5
    assert (drawn.abs() < 1).double().mean().item() == pytest.approx(0.6827, abs=0.01)
    assert abs(torch.corrcoef(drawn)[0, 1].item()) < 4 / drawn.shape[1] ** 0.5
