"""The published constants, typed here a second time from the descriptions of the methods."""

from typing import Any

import pytest

from tests.methods.problems import assert_settings
from untrain.methods import build_method
from untrain.methods.random_layers import RandomLayers
from untrain.methods.reinit_match import ReinitMatch

STARTER = {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": False}


CONSTANTS: list[tuple[str, dict[str, Any]]] = [
    ("kl-contrast", {
        "temperature": 1.15, "contrast_batch_size": 256,
        "erase.optimizer.lr": 5e-3, "erase.epochs": 1, "erase.batch_size": 64,
        "contrast.optimizer.lr": 3e-4, "contrast.optimizer.momentum": 0.9, "contrast.optimizer.weight_decay": 0.0,
        "contrast.epochs": 8, "contrast.batch_size": 64,
        "contrast.schedule.floor": 1e-6, "contrast.schedule.per": "step",
        "repair.optimizer.lr": 4e-3, "repair.optimizer.momentum": 0.9, "repair.optimizer.weight_decay": 1e-2,
        "repair.epochs": 8, "repair.batch_size": 256,
    }),
    ("gradient-reinit", {
        "share": 0.3, "kept_factor": 0.1, "recipe.epochs": 5,
        "recipe.optimizer.lr": 1e-3,
        "recipe.optimizer.momentum": 0.9, "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64,
        "recipe.schedule.factors": (1 / 3, 2 / 3, 1, 2 / 3, 1 / 3),
    }),
    ("conv-noise", {
        "noise": 0.6, "late_noise": 0.005, "minority_weight": 0.05, "recipe.epochs": 4, "recipe.optimizer.lr": 7e-4,
        "recipe.optimizer.momentum": 0.9, "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64,
        "recipe.schedule.per": "epoch", "recipe.schedule.floor": 0.0,
    }),
    ("prune-entropy", {
        "share": 0.99, "entropy_weight": 1.0, "recipe.epochs": 3.2, "recipe.optimizer.lr": 5e-4,
        "recipe.optimizer.momentum": 0.9, "recipe.optimizer.weight_decay": 5e-4, "recipe.class_balance": 0.1,
        "recipe.schedule.name": "constant", "recipe.batch_size": 64,
    }),
    ("transpose", {
        "recipe.epochs": 3, "recipe.optimizer.lr": 1e-3, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64, "recipe.schedule.per": "epoch",
    }),
    ("finetune", {
        "recipe.epochs": 1, "recipe.optimizer.lr": 1e-3, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.batch_size": 64,
    }),
    ("gradient-ascent", {
        "recipe.optimizer.name": "sgd", "recipe.optimizer.lr": 1e-4, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.epochs": 5, "recipe.batch_size": 256,
        "recipe.schedule.name": "constant",
    }),
    ("neggrad-plus", {
        "alpha": 0.95, "forget_batch_size": 256, "recipe.optimizer.name": "sgd", "recipe.optimizer.lr": 0.01,
        "recipe.optimizer.momentum": 0, "recipe.optimizer.weight_decay": 0, "recipe.epochs": 10,
        "recipe.batch_size": 256, "recipe.schedule.name": "constant",
    }),
    ("random-labels", {
        "recipe.optimizer.name": "adam", "recipe.optimizer.lr": 1e-4, "recipe.optimizer.weight_decay": 0,
        "recipe.epochs": 3, "recipe.batch_size": 128, "recipe.schedule.name": "constant",
    }),
    ("scrub", {
        "alpha": 0.001, "gamma": 0.99, "temperature": 4, "leave.epochs": 2, "follow.epochs": 3,
        "leave.batch_size": 32, "follow.batch_size": 128, "follow.schedule.name": "constant",
        "leave.optimizer.name": "sgd", "leave.optimizer.lr": 5e-4, "leave.optimizer.momentum": 0.9,
        "leave.optimizer.weight_decay": 5e-4, "follow.optimizer.name": "sgd", "follow.optimizer.lr": 5e-4,
        "follow.optimizer.momentum": 0.9, "follow.optimizer.weight_decay": 5e-4,
    }),
    ("scrub:small-scale", {
        "alpha": 0.5, "gamma": 1, "temperature": 2, "leave.epochs": 3, "follow.epochs": 10,
        "leave.optimizer.name": "adam", "leave.optimizer.lr": 5e-4, "leave.optimizer.weight_decay": 0.1,
        "follow.optimizer.name": "adam", "follow.optimizer.lr": 5e-4, "follow.optimizer.weight_decay": 0.1,
    }),
    ("salun", {
        "share": 0.5, "relabel.optimizer.lr": 0.013, "repair.optimizer.lr": 0.013, "relabel.optimizer.momentum": 0.9,
        "repair.optimizer.momentum": 0.9, "relabel.optimizer.weight_decay": 5e-4,
        "repair.optimizer.weight_decay": 5e-4, "relabel.epochs": 10, "repair.epochs": 10, "relabel.batch_size": 256,
        "repair.batch_size": 256, "repair.schedule.name": "constant",
    }),
    ("l1-sparse", {
        "alpha": 5e-4, "recipe.optimizer.lr": 0.01, "recipe.optimizer.momentum": 0.9,
        "recipe.optimizer.weight_decay": 5e-4, "recipe.epochs": 10, "recipe.batch_size": 256,
    }),
    ("ssd", {"selection": 10, "dampening": 1, "batch_size": 128}),
    ("bad-teacher", {
        "share": 0.3, "temperature": 1, "recipe.optimizer.name": "adam", "recipe.optimizer.lr": 1e-4,
        "recipe.optimizer.weight_decay": 0, "recipe.epochs": 1, "recipe.batch_size": 256,
    }),
    ("fisher", {"alpha": 1e-6}),
    ("reset-distill", {
        "temperature": 5.0, "warm_up.epochs": 3, "warm_up.batch_size": 64, "warm_up.schedule.name": "constant",
        "warm_up.optimizer": {"name": "sgd", "lr": 9e-4, **STARTER}, "warm_up.class_balance": 0.0,
        "recipe.epochs": 3, "recipe.batch_size": 64, "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
        "recipe.schedule": {"name": "cosine", "floor": 0.0, "per": "epoch"}, "recipe.class_balance": 0.0,
    }),
    ("random-layers", {
        "chosen": 9, "noise": 0.04, "noise_share": 0.7, "quiet_epochs": 1, "partial_epochs": 5,
        "recipe.epochs": 9, "recipe.batch_size": 64, "recipe.optimizer": {"name": "sgd", "lr": 2e-4, **STARTER},
        "recipe.class_balance": 0.0,
    }),
    ("reinit-match", {
        "layers": 6, "noise": 0.01, "cycles": (1, 2, 2), "recipe.epochs": 5, "recipe.batch_size": 64,
        "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
    }),
    ("reinit-match:second", {
        "layers": 6, "noise": 0.01, "cycles": (2, 1, 1, 1), "recipe.epochs": 5, "recipe.batch_size": 64,
        "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
    }),
    ("pseudo-labels", {
        "change": 0.1, "recipe.epochs": 3, "recipe.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
        "simple.epochs": 3, "simple.optimizer": {"name": "sgd", "lr": 1e-3, **STARTER},
    }),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "constants"), CONSTANTS)
def test_the_constants(spec: str, constants: dict[str, Any]) -> None:
    assert_settings(build_method(spec), constants)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("random-layers", [2e-4] * 8 + [1e-3]),
        ("reinit-match", [1e-3, 1e-3, 5e-4, 1e-3, 5e-4]),
        ("reinit-match:second", [5e-4, 1e-3, 1e-3, 1e-3, 1e-3]),
    ],
)
def test_the_learning_rate_of_each_epoch(name: str, rates: list[float]) -> None:
    method = build_method(name)
    assert isinstance(method, RandomLayers | ReinitMatch)
    recipe = method.recipe
    found = [recipe.schedule.rate(recipe.optimizer.lr, epoch, recipe.epochs) for epoch in range(len(rates))]
    assert found == pytest.approx(rates)
    assert recipe.epochs == len(rates)
