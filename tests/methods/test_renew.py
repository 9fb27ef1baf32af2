"""Renewal: short retraining that nothing judges."""

from dataclasses import replace

import msgspec
import torch

from tests.methods.problems import RECIPE, population, request
from untrain.methods.renew import Renew
from untrain.population import OneCycle, UntilConverged


def test_models_are_not_judged_although_the_recipe_of_the_original_says_so() -> None:
    asked = request()
    expected = Renew(share=1.0).forget(population(), asked)
    for rule in ({"keep_best_from_epoch": 1}, {"until_converged": UntilConverged()}):
        recipe = msgspec.structs.replace(RECIPE, **rule)
        assert Renew(share=1.0).shortened(recipe) == msgspec.structs.replace(RECIPE, schedule=OneCycle())
        renewed = Renew(share=1.0).forget(population(), replace(asked, recipe=recipe))
        assert all(torch.equal(tensor, expected.tensors[name]) for name, tensor in renewed.tensors.items())
