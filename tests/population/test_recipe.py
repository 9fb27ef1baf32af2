"""A recipe as data: what is checked, and former names."""

import sys
from collections.abc import Callable

import msgspec
import pytest
import torch

import untrain
from untrain import auditing, influence, population
from untrain.methods import build_method
from untrain.methods.finetune import Finetune
from untrain.population import SGD, Adam, AdamW, Recipe

TOML = 'epochs = 3\nbest_from = 2\n[optimizer]\nname = "sgd"\nlr = 0.1\n'
RECIPE = Recipe(optimizer=SGD(lr=0.1), epochs=3, keep_best_from_epoch=2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Recipe(optimizer=SGD(lr=0.1), epochs=3, best_from=2),
        lambda: msgspec.toml.decode(TOML, type=Recipe),
        lambda: msgspec.convert({"optimizer": {"name": "sgd", "lr": 0.1}, "epochs": 3, "best_from": 2}, Recipe),
        lambda: msgspec.structs.replace(RECIPE, keep_best_from_epoch=None, best_from=2),
    ],
)
def test_the_former_name_of_the_best_epoch_still_sets_it(make: Callable[[], Recipe]) -> None:
    with pytest.warns(DeprecationWarning, match="keep_best_from_epoch"):
        recipe = make()
    assert recipe.keep_best_from_epoch == 2
    assert "best_from" not in msgspec.to_builtins(recipe)
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe


def test_settings_of_a_method_may_say_the_former_name() -> None:
    settings = {"recipe": {"epochs": 3, "best_from": 2}}
    with pytest.warns(DeprecationWarning, match="keep_best_from_epoch"):
        method = build_method("finetune", settings=settings)
    assert isinstance(method, Finetune)
    assert method.recipe.keep_best_from_epoch == 2


def test_both_names_make_equal_recipes() -> None:
    with pytest.warns(DeprecationWarning, match="best_from"):
        former = msgspec.toml.decode(TOML, type=Recipe)
    assert former == RECIPE
    assert hash(former) == hash(RECIPE)


@pytest.mark.parametrize(
    ("package", "former", "current"),
    [
        (untrain, "PerEpoch", "EpochFactors"),
        (population, "PerEpoch", "EpochFactors"),
        (influence, "Diagnosis", "SolveQuality"),
        (auditing, "Membership", "MembershipAttack"),
    ],
)
def test_former_names_of_classes_are_found(package: object, former: str, current: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{former} is now .*{current}"):
        assert getattr(package, former) is getattr(package, current)
    with pytest.raises(AttributeError, match="Nothing"):
        getattr(package, "Nothing")  # noqa: B009


@pytest.mark.parametrize("settings", [SGD(momentum=0.9), Adam(), AdamW()], ids=type)
def test_optimizers_do_not_load_torchs_compiler(settings: SGD | Adam | AdamW, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import of it fails
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = settings.build([weight])
    weight.grad = torch.ones(2)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    assert (weight < 1).all()
    with pytest.raises(ImportError):
        torch.optim.SGD([weight]).step()
