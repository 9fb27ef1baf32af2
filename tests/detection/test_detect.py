"""`detect`: its arguments, what is flagged, plug-ins, and refusals."""

import copy
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.detection.toys import RECIPE, Told, build, detect_in, noisy, quality, trained
from untrain.data import Examples
from untrain.detection import SCORERS, Finding, Scorer, Subject, build_scorer, detect
from untrain.detection.judgment import interval
from untrain.detection.scorers.auto import Auto
from untrain.detection.scorers.linear import Linear
from untrain.errors import ConfigError, InputError, NotSupportedError
from untrain.population import Engine, Population


@pytest.mark.parametrize("ratio", [0, 0.1, 0.335, 1])
@pytest.mark.parametrize("scorer", ["loss", "neighbours"])
def test_a_known_ratio_flags_so_many_of_the_highest_scores(scorer: str, ratio: float) -> None:
    found = detect_in(noisy(), scorer, ratio)
    ranked = sorted(range(300), key=lambda position: -found.scores[position])
    assert found.flagged.tolist() == ranked[: round(300 * ratio)]
    assert (found.noise_ratio, found.interval) == (ratio, (ratio, ratio))


def test_a_scorer_that_only_ranks_asks_linear_for_the_ratio() -> None:
    ranked, asked = detect_in(noisy(), "loss"), detect_in(noisy(), Linear())
    assert ranked.evidence["note"] == "loss only ranks examples; the noise ratio is estimated by linear"
    assert (ranked.noise_ratio, ranked.interval, ranked.model_error) == (
        asked.noise_ratio,
        asked.interval,
        asked.model_error,
    )
    assert len(ranked.flagged) == round(300 * asked.noise_ratio)
    assert "note" not in asked.evidence
    assert "note" not in detect_in(noisy(), "loss", 0.2).evidence


def test_without_a_model_one_is_trained_first() -> None:
    said: list[str] = []
    found = detect(None, noisy().examples, progress=said.append)
    assert min(quality(noisy(), found)) > 0.85
    assert said == ["training a network", "looking for wrong labels"]


@pytest.mark.parametrize("scorer", ["auto", "confident", "margin"])
def test_a_factory_that_builds_trained_networks_is_refused(scorer: str) -> None:
    """Its networks would predict the labels that they have memorized, and nothing would be found."""
    known = trained(noisy().examples)
    module = known.module()
    with pytest.raises(InputError, match="returns the trained model itself, or a copy of it"):
        detect(known, noisy().examples, factory=lambda: copy.deepcopy(module), recipe=RECIPE, scorer=scorer)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 1.0])
def test_the_interval_is_wilsons_where_views_never_err(share: float) -> None:
    # A true share p and the observed one differ by 1.96 standard errors of p at both ends.
    square = 1.96**2 / 300
    low, high = sorted(np.roots([1 + square, -2 * share - square, share**2]).real)
    assert interval(share, 0.0, share, 300) == pytest.approx((max(0, low), min(1, high)), abs=1e-9)


def test_an_interval_of_no_or_only_wrong_labels_reaches_the_end_exactly() -> None:
    for count in range(10, 3000):
        assert interval(0.0, 0.0, 0.0, count)[0] == 0
        assert interval(1.0, 0.0, 1.0, count)[1] == 1


def test_the_interval_is_wider_where_views_err() -> None:
    narrow, wide = interval(0.2, 0.0, 0.2, 300), interval(0.2, 0.05, 0.25, 300)
    assert wide[0] < narrow[0]
    assert wide[1] > narrow[1] + 0.05
    assert interval(0.9, 0.9, 1.0, 10**6)[1] <= 1


def test_a_scorer_without_an_interval_has_none() -> None:
    found = detect_in(noisy(), Told(ratio=0.2, error=0.1))
    assert found.interval is None
    assert found.model_error == 0.1
    assert "noise ratio about 20.00 %" in repr(found)


def test_features_and_predictions_need_no_torch() -> None:
    code = (
        "import sys, numpy as np, untrain as un\n"
        "y = np.arange(200) % 2; z = np.where(np.arange(200) < 10, 1 - y, y)\n"
        "x = np.random.default_rng(0).normal(size=(200, 4)) + 6 * y[:, None]\n"
        "assert set(un.detect(features=x, labels=z).flagged.tolist()) == set(range(10))\n"
        "p = np.where(np.eye(2)[y] > 0, 0.99, 0.01)\n"
        "found = un.detect(pred_probs=p, labels=np.array(['no', 'yes'])[z])\n"
        "assert set(found.flagged.tolist()) == set(range(10)) and found.rows()[0].suggested in ('no', 'yes')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"labels": [0, 1]}, "either features= or pred_probs="),
        ({"features": np.zeros((4, 2))}, "labels="),
        ({"labels": [0, 1] * 10, "features": np.zeros((19, 2))}, "one row for each of the 20 labels"),
        ({"labels": [0, 1] * 10, "features": np.zeros((20, 2))}, "constant"),
        ({"labels": [0, 1] * 10, "pred_probs": np.full((20, 3), 1 / 3)}, "one column for each of the 2 classes"),
        ({"labels": [0, 1] * 10, "pred_probs": np.ones((20, 2))}, "row 0 sums to 2"),
        ({"labels": [0, 1] * 10, "pred_probs": np.full((20, 2), 0.5), "scorer": "loss"}, "leave out scorer="),
    ],
)
def test_arrays_that_do_not_fit_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        detect(**asked)


OLD_USES: list[tuple[tuple[Any, ...], list[str]]] = [
    (("loss",), ["scorer"]),
    (("loss", 0.1), ["scorer", "noise_ratio"]),
    (("confident", None, 3), ["scorer", "noise_ratio", "seed"]),
]


@pytest.mark.parametrize(("old", "names"), OLD_USES)
def test_positional_arguments_still_work_with_a_warning(old: tuple[Any, ...], names: list[str]) -> None:
    examples, verb = noisy().examples, cast(Any, detect)
    models = trained(examples)
    with pytest.warns(DeprecationWarning, match="as a keyword") as warned:
        before = verb(models, examples, *old, recipe=RECIPE)
    messages = [str(warning.message) for warning in warned]
    assert messages == [f"detect() takes {name} as a keyword: {name}=..." for name in names]
    after = detect(models, examples, recipe=RECIPE, **dict(zip(names, old, strict=True)))
    assert before.scorer == old[0]
    np.testing.assert_array_equal(before.scores, after.scores)
    assert before.flagged.tolist() == after.flagged.tolist()


class Nameless(Scorer, frozen=True):
    def score(self, subject: Subject) -> Finding:
        return Finding(np.zeros(len(subject.labels)), noise_ratio=0.0)


def test_a_plug_in_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"told": [EntryPoint("told", "tests.detection.toys:Told", "untrain.scorers")]}
    monkeypatch.setattr(SCORERS, "_points", points)
    assert build_scorer("told", settings={"ratio": 0.5}) == Told(ratio=0.5)
    found = detect(trained(noisy().examples), noisy().examples, scorer="told")
    assert found.scorer == "told"
    assert found.flagged.tolist() == list(range(299, 239, -1))
    with pytest.raises(ConfigError, match="no scorer 'loss', only told"):
        detect_in(noisy(), "loss")


def test_a_scorer_may_flag_without_a_ratio_or_have_no_name() -> None:
    found = detect_in(noisy(), Told(ratio=None, kind="flags"))
    assert found.flagged.tolist() == list(range(299, 249, -1))
    assert found.noise_ratio == pytest.approx(50 / 300)
    assert "note" not in found.evidence
    assert detect_in(noisy(), Told(ratio=0.5, kind="flags")).flagged.tolist() == found.flagged.tolist()
    nobody = detect_in(noisy(), Nameless())
    assert (nobody.scorer, nobody.noise_ratio, len(nobody.flagged)) == ("Nameless", 0, 0)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (Told(kind="nan"), "scores of told must be finite, got nan for example 3"),
        (Told(kind="infinite"), "scores of told must be finite, got inf for example 5"),
        (Told(kind="short"), r"told must give 300 scores, got shape \(299,\)"),
        (Told(kind="column"), r"told must give 300 scores, got shape \(300, 1\)"),
        (Told(kind="short flags"), r"told must give 300 booleans as `wrong`, got bool of shape \(7,\)"),
        (Told(ratio=1.5), "noise ratio of told must be in 0..1, got 1.5"),
        (Told(ratio=float("nan")), "noise ratio of told must be in 0..1, got nan"),
    ],
)
def test_invalid_findings_are_refused(scorer: Scorer, message: str) -> None:
    with pytest.raises(InputError, match=message):
        detect_in(noisy(), scorer)


class Squeezed(nn.Module):
    """One logit an example, without an axis for classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.Tensor(self.layer(x)[:, 0])


def ruined() -> nn.Module:
    module = trained(noisy().examples).module()
    next(iter(module.parameters())).data[0, 0] = float("nan")
    return module


def with_labels(labels: Any, classes: list[str] | None = None) -> Examples:
    return Examples.of(np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32), labels, None, classes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: (None, with_labels([0, 1] * 10, ["a", "b", "c"])), "two examples of each class, and class 'c' has 0"),
        (lambda: (None, with_labels([0, 1] * 10 + [2])), "two examples of each class, and class '2' has 1"),
        (lambda: (None, with_labels([0] * 20)), "at least two classes .* there is 1"),
        (lambda: (nn.Linear(4, 5), noisy().examples), "5 outputs, and the labels have 3 classes"),
        (lambda: (Squeezed(), noisy().examples), r"3 classes"),
        (lambda: (ruined(), noisy().examples), "blob .*diverged"),
        (lambda: (Population.create(build(noisy().examples), 2), noisy().examples), "2.*`select`"),
        (lambda: ("model.pt", noisy().examples), "torch module or a population.* str"),
        (lambda: (nn.Linear(4, 3), noisy().examples.inputs), "as the pair of both"),
    ],
)
def test_models_and_examples_that_do_not_fit_are_refused(make: Callable[[], Any], message: str) -> None:
    model, examples = make()
    with pytest.raises(InputError, match=message):
        detect(model, examples, recipe=RECIPE)


@pytest.mark.parametrize("ratio", [-0.01, 1.01, float("nan"), float("inf")])
def test_an_invalid_noise_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match=f"noise ratio must be in 0..1, got {ratio}"):
        detect_in(noisy(), "loss", ratio)


@pytest.mark.parametrize(
    ("scorer", "error", "message"),
    [
        (Auto, InputError, "a text or a Scorer, got StructMeta"),
        ("magic", ConfigError, "'magic', only auto"),
        ("auto:fast", ConfigError, "auto.* 'fast'"),
    ],
)
def test_unknown_scorers_are_refused(scorer: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        detect_in(noisy(), scorer)


@pytest.mark.parametrize("missing", ["factory", "recipe"])
@pytest.mark.parametrize("scorer", ["confident", "margin"])
def test_scorers_that_train_need_a_factory_and_a_recipe(scorer: str, missing: str) -> None:
    examples = noisy().examples
    models = trained(examples)
    known: dict[str, Any] = {"factory": models.factory, "recipe": RECIPE} | {missing: None}
    with pytest.raises(NotSupportedError, match=f"{scorer} trains models .* use linear"):
        detect(models.module(), examples, scorer=scorer, **known)


def test_the_recipe_of_a_population_is_used() -> None:
    examples = noisy().examples
    models = trained(examples)
    expected = detect(models.module(), examples, scorer="confident", factory=models.factory, recipe=RECIPE)
    assert np.array_equal(detect(models, examples, scorer="confident").scores, expected.scores)


NO_LINEAR_END = nn.Sequential(nn.Linear(4, 3), nn.Tanh())


def test_features_are_judged_without_a_network_by_an_instance_too(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = noisy().examples
    expected = detect(features=examples.inputs, labels=examples.labels)
    monkeypatch.setattr("untrain.population.train_suited", None)
    found = detect(None, examples, features=examples.inputs, scorer=build_scorer("linear"))
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("name", ["features", "pred_probs"])
def test_arrays_may_be_tensors_as_a_network_gives_them(name: str) -> None:
    examples = noisy().examples
    classes = len(examples.classes)
    values = examples.inputs if name == "features" else 0.8 * np.eye(classes)[examples.labels] + 0.2 / classes
    tensors: dict[str, Any] = {name: torch.tensor(values, requires_grad=True), "labels": torch.tensor(examples.labels)}
    arrays: dict[str, Any] = {name: values, "labels": examples.labels}
    np.testing.assert_array_equal(detect(**tensors).scores, detect(**arrays).scores)


def test_a_network_without_a_linear_end_can_only_be_ranked() -> None:
    examples = noisy().examples
    with pytest.raises(NotSupportedError, match=r"loss only ranks .*linear layer.* Pass noise_ratio="):
        detect(NO_LINEAR_END, examples, scorer="loss")
    assert len(detect(NO_LINEAR_END, examples, scorer="loss", noise_ratio=0.1).flagged) == 30


@pytest.mark.parametrize("scorer", ["auto", "neighbours", "self-influence"])
def test_scorers_by_features_need_a_linear_end(scorer: str) -> None:
    with pytest.raises(NotSupportedError, match="linear layer"):
        detect(NO_LINEAR_END, noisy().examples, scorer=scorer, noise_ratio=0.1)


@pytest.mark.parametrize("scorer", ["auto", "confident"])
def test_too_few_examples_for_folds_are_refused(scorer: str) -> None:
    examples = with_labels([0, 1] * 4)
    models = Population.create(build(examples), 1, engine=Engine())
    with pytest.raises(InputError, match="There are 8 examples; 5 folds need at least 10"):
        detect(models, examples, scorer=scorer, recipe=RECIPE)
    assert len(detect(models, examples, scorer="neighbours").scores) == 8
