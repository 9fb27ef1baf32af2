"""Methods by name: presets, settings, and what each says of itself."""

from typing import Any

import msgspec
import pytest

from untrain.core.registry import base_name
from untrain.errors import ConfigError
from untrain.methods import METHODS, build_method, method_names
from untrain.population import SGD, Recipe

NAMES = [
    "bad-teacher", "conv-noise", "finetune", "fisher", "gradient-ascent", "gradient-reinit", "influence", "kl-contrast",
    "l1-sparse", "neggrad-plus", "prune-entropy", "pseudo-labels", "random-labels", "random-layers", "reinit-match",
    "renew", "reset-distill", "retrain", "rewind", "salun", "scrub", "short-retrain", "ssd", "ssse", "transpose",
]  # fmt: skip
KAGGLE = [
    "conv-noise", "finetune", "gradient-reinit", "kl-contrast", "prune-entropy", "random-layers", "reinit-match",
    "reset-distill", "transpose",
]  # fmt: skip


def test_all_that_ship_are_found_by_name() -> None:
    assert method_names() == NAMES


@pytest.mark.parametrize(
    "spec", [*(f"{name}:kaggle" for name in KAGGLE), "gradient-ascent:published", "scrub:published"]
)
def test_the_published_settings_are_the_default(spec: str) -> None:
    name = base_name(spec)
    assert build_method(name) == build_method(spec) == METHODS.of(name)()


def test_no_other_method_has_a_preset_of_the_competition() -> None:
    assert [name for name in NAMES if "kaggle" in METHODS.of(name).presets] == KAGGLE


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        ("amnesia", {}, "'amnesia', only bad-teacher"),
        ("transpose:tiny", {}, "'transpose' has no preset 'tiny', only kaggle"),
        ("retrain:kaggle", {}, r"'retrain' has no preset 'kaggle', only \(none\)"),
        ("conv-noise", {"noize": 1}, "unknown field `noize`"),
        ("conv-noise", {"noise": "much"}, "Expected `float`"),
        ("conv-noise", {"noise": -1}, ">= 0"),
        ("gradient-reinit", {"share": 1.5}, "<= 1"),
        ("random-layers", {"recipe": {"keep_best_from_epoch": 2}}, "random-layers .*keep_best_from_epoch"),
        ("random-layers", {"noise_share": 1.1}, "<= 1"),
        ("random-layers", {"chosen": 0}, ">= 1"),
        ("reinit-match", {"cycles": [1, 1]}, r"5 epochs.*\[1, 1\]"),
        ("reinit-match", {"cycles": []}, "length >= 1"),
        ("reset-distill", {"temperature": 0}, "> 0"),
        ("pseudo-labels", {"change": 2}, "<= 1"),
        ("scrub", {"follow": {"epochs": 0.5}}, "scrub.*whole number.*0.5"),
        ("scrub", {"leave": {"epochs": 4}}, "scrub.*3 .*4"),
        ("salun", {"repair": {"epochs": 2.5}}, "salun.*whole number.*2.5"),
        ("salun", {"relabel": {"epochs": 11}}, "salun.*10 .*11"),
        ("ssse", {"dampings": []}, "length >= 1"),
        ("ssse", {"dampings": [-1.0]}, ">= 0"),
        ("ssse", {"steps": [0.0]}, "> 0"),
        ("ssse", {"parameters": "first"}, "Invalid enum value 'first'"),
    ],
)
def test_wrong_names_and_settings_are_refused(spec: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method(spec, settings=settings)


def test_settings_reach_into_recipes() -> None:
    found = build_method("transpose", settings={"recipe": {"epochs": 7, "optimizer": {"name": "adam"}}})
    fields: Any = msgspec.to_builtins(found)
    assert fields["recipe"]["epochs"] == 7
    assert fields["recipe"]["optimizer"] == {
        "name": "adam",
        "lr": 1e-3,
        "betas": (0.9, 0.999),
        "weight_decay": 0.0,
    }
    assert fields["recipe"]["schedule"]["name"] == "cosine"


RETAIN_ALONE = [
    "conv-noise", "finetune", "fisher", "l1-sparse", "prune-entropy", "random-layers", "reinit-match", "renew",
    "reset-distill", "retrain", "rewind", "short-retrain", "transpose",
]  # fmt: skip
CONVOLUTIONS = ["conv-noise", "gradient-reinit", "pseudo-labels", "reinit-match", "transpose"]
NEW_MODELS = ["bad-teacher", "renew", "retrain", "short-retrain"]


@pytest.mark.parametrize("name", NAMES)
def test_a_method_says_what_it_reads_and_needs(name: str) -> None:
    kind = METHODS.of(name)
    assert kind.reads_forget == (name not in RETAIN_ALONE)
    assert kind.needs_convolutions == (name in CONVOLUTIONS)
    assert kind.needs_factory == (name in NEW_MODELS)
    assert kind().exact == (name in ("renew", "retrain", "short-retrain"))
    assert kind.title


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("retrain", 12), ("short-retrain:half", 6), ("renew", 4), ("finetune", 1), ("kl-contrast", 8), ("transpose", 3),
        ("prune-entropy", 3.2), ("reset-distill", 3), ("gradient-ascent", 0), ("salun", 10), ("scrub", 3),
        ("ssd", None),
    ],
)  # fmt: skip
def test_passes_over_the_retain_set(name: str, passes: float | None) -> None:
    recipe = Recipe(optimizer=SGD(lr=0.05), epochs=12)
    assert build_method(name).passes(recipe) == passes
