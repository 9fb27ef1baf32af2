"""What methods share: requests, and the layers and targets of a population."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.methods.problems import RECIPE, copied, examples, population, request
from untrain.core.randomness import Streams
from untrain.data import forget_ratio
from untrain.errors import ConfigError, InputError, NotSupportedError
from untrain.methods import Request, build_method
from untrain.methods.base import learned, output_layer, reset
from untrain.models import MLP, ResNet18, factory
from untrain.population import Population


@pytest.mark.parametrize("part", ["forget", "retain"])
def test_validation_examples_are_not_of_the_training_set(part: str) -> None:
    sets = forget_ratio(examples(), 0.2)
    with pytest.raises(InputError, match="is in the training set as well; leave it out"):
        Request(sets.forget, sets.retain, RECIPE, getattr(sets, part).select([1]))


def _reset(layer: nn.Conv2d | nn.Linear) -> tuple[Tensor, Tensor]:
    layer = copy.deepcopy(layer)
    layer.reset_parameters()
    assert layer.bias is not None
    return layer.weight.detach(), layer.bias.detach()


@pytest.mark.parametrize(
    ("weight", "layer"),
    [("0.weight", nn.Conv2d(4, 64, 3)), ("0.weight", nn.Conv2d(4, 64, 3, groups=2)), ("0.weight", nn.Linear(40, 64))],
)
def test_reset_draws_as_torch_does(weight: str, layer: nn.Conv2d | nn.Linear) -> None:
    module = nn.Sequential(layer, nn.LayerNorm(5))
    models = Population.from_module(module).repeat(3, streams=Streams(0))
    for tensor in models.tensors.values():
        tensor.fill_(9.0)
    reset(models, weight, "reset")
    drawn = torch.stack([_reset(layer)[0].flatten() for _ in range(20)])
    found = models.tensors["0.weight"]
    assert found.abs().max() <= 1.001 * drawn.abs().max()
    assert found.abs().max() == pytest.approx(drawn.abs().max().item(), rel=0.02)
    assert found.std() == pytest.approx(drawn.std().item(), rel=0.05)
    biases = torch.stack([_reset(layer)[1] for _ in range(20)])
    assert models.tensors["0.bias"].abs().max() <= 1.02 * biases.abs().max()
    assert models.tensors["0.bias"].std() == pytest.approx(biases.std().item(), rel=0.15)
    assert not torch.equal(found[0], found[1])
    assert set(models.tensors["1.weight"].flatten().tolist()) == {9.0}


def test_reset_spares_the_models_that_are_not_meant() -> None:
    models = population(MLP(widths=(5,)), count=3)
    before = copied(models)
    reset(models, "1.weight", "reset", torch.tensor([True, False, True]))
    for name in ("1.weight", "1.bias"):
        assert [torch.equal(models.tensors[name][row], before[name][row]) for row in range(3)] == [False, True, False]
    everywhere = population(MLP(widths=(5,)), count=3)
    reset(everywhere, "1.weight", "reset")
    assert torch.equal(everywhere.tensors["1.weight"][2], models.tensors["1.weight"][2])


def test_the_output_layer_is_found_by_what_it_computes() -> None:
    assert output_layer(population(), examples()) == "7.weight"
    assert output_layer(Population.create(factory(ResNet18(), (1, 8, 8), 3), 1), examples()) == "fc.weight"


@pytest.mark.parametrize("name", ["random-layers", "reset-distill"])
def test_a_network_without_an_output_layer_is_refused(name: str) -> None:
    pooled = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Unflatten(1, (4, 1)), nn.Flatten()).double()
    with pytest.raises(NotSupportedError, match="linear layer whose output is the logits"):
        build_method(name).forget(Population.from_module(pooled), request())


def test_normalization_layers_are_known_by_their_kind() -> None:
    models = Population.create(factory(ResNet18(), (3, 32, 32), 10), 1)
    parameters = {name for name, _ in models.skeleton.named_parameters()}
    normalizing = {name for name in parameters if "bn" in name or "downsample.1" in name}
    assert set(learned(models)) == parameters - normalizing
    assert len(learned(models)) == 22
    frozen = nn.Sequential(nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    frozen[0].requires_grad_(requires_grad=False)
    assert learned(Population.from_module(frozen)) == ["3.weight", "3.bias"]


@pytest.mark.parametrize(
    ("method", "recipe"),
    [("kl-contrast", "repair"), ("random-layers", "recipe"), ("salun", "repair"), ("scrub", "follow")],
)
def test_a_part_of_an_epoch_is_refused_where_methods_train_epoch_by_epoch(method: str, recipe: str) -> None:
    """Rounding would drop it, and with it what is done after the last epoch."""
    with pytest.raises(ConfigError, match=f"{method} trains epoch by epoch; choose a whole number"):
        build_method(method, settings={recipe: {"epochs": 2.4}})


@pytest.mark.parametrize("rule", [{"keep_best_from_epoch": 1}, {"until_converged": {}}])
def test_a_rule_that_random_layers_cannot_follow_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="leave out keep_best_from_epoch and until_converged"):
        build_method("random-layers", settings={"recipe": rule})
