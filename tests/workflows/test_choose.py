"""Which method `auto` takes and why, and what `doctor` says of a model, its data and a request."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import untrain as un
from untrain.core.registry import base_name
from untrain.errors import ConfigError, NotSupportedError
from untrain.methods import METHODS, Checkpoint, Request, build_method
from untrain.models.weights import write_weights
from untrain.population import Engine, Population, settled
from untrain.workflows.choose import Situation, candidates, nothing_fits, options, resolve_method

RECIPE = un.Recipe(optimizer=un.SGD(lr=0.1, momentum=0.9), epochs=8, batch_size=32)
COUNT = 300
ROWS = np.random.default_rng(0).normal(size=(COUNT, 1, 8, 8)).astype(np.float32)
EXAMPLES = un.Examples.of(ROWS, np.arange(COUNT) % 3)
HELD_OUT = un.Examples.of(1 - ROWS[:60], np.arange(60) % 3, [f"v{row}" for row in range(60)])


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))


def trained() -> nn.Module:
    """A plain network that fits the examples."""
    return Population.create(plain, 1, engine=Engine()).train(EXAMPLES, RECIPE).module()


class NoLinear(nn.Module):
    """A network whose logits come from no linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * un.Population.create(plain, 1).tensors["3.weight"][0, :, :1].repeat(1, 64))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


def situation(
    factory: Callable[[], nn.Module], *, can_retrain: bool = False, forgotten: int = 30,
    time_budget: float | None = None, examples: un.Examples = EXAMPLES,
) -> Situation:  # fmt: skip
    sets = un.forget_ids(examples, examples.ids[:forgotten].tolist())
    request = Request(sets.forget, sets.retain, RECIPE, HELD_OUT)
    return Situation(settled(Population.create(factory, 1)), request, can_retrain, time_budget)


def chosen(asked: Situation) -> list[str]:
    return [option.method for option in candidates(asked)]


def test_the_order_follows_from_what_is_known() -> None:
    by_construction = ["retrain", "short-retrain:half", "renew", "short-retrain:fifth"]
    assert chosen(situation(convolutional, can_retrain=True))[:4] == by_construction
    assert chosen(situation(plain, can_retrain=True))[:4] == by_construction
    assert chosen(situation(convolutional))[0] == "prune-entropy:small"
    assert chosen(situation(plain)) == ["prune-entropy:small", "kl-contrast", "finetune"]
    assert chosen(situation(plain, forgotten=2))[0] == "ssse"
    assert chosen(situation(convolutional, forgotten=2))[0] == "prune-entropy:small"
    assert chosen(situation(NoLinear))[0] == "kl-contrast"


def test_time_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass takes ten seconds here: retraining 80, a half 40, renewal 30, a fifth 20, pruning 32, fine-tuning 10."""
    monkeypatch.setattr(Situation, "pass_seconds", 10.0)
    assert chosen(situation(convolutional, can_retrain=True))[0] == "retrain"  # no budget: whatever it takes
    assert chosen(situation(convolutional, can_retrain=True, time_budget=50))[0] == "short-retrain:half"
    assert chosen(situation(convolutional, can_retrain=True, time_budget=35))[0] == "renew"
    assert chosen(situation(convolutional, can_retrain=True, time_budget=25))[0] == "short-retrain:fifth"
    assert chosen(situation(convolutional, can_retrain=True, time_budget=100))[0] == "retrain"
    assert chosen(situation(convolutional, can_retrain=True, time_budget=15)) == ["finetune"]
    none = situation(convolutional, can_retrain=True, time_budget=5)
    assert chosen(none) == []
    assert "time budget (5.0 s); allow more time" in str(nothing_fits(none))
    (option,) = [option for option in options(none) if option.method == "retrain"]
    assert (option.fits, option.seconds) == (False, 80.0)
    assert option.why == "it would take 1 min 20 s; the time budget is 5.0 s"
    assert option.cost == "1 min 20 s"


def test_a_checkpoint_that_never_saw_the_examples_is_taken_first(tmp_path: Path) -> None:
    write_weights(tmp_path / "early.safetensors", convolutional(), {})
    clean = Checkpoint(path=str(tmp_path / "early.safetensors"), epoch=3, before_forgotten=True)
    asked = dataclasses.replace(situation(convolutional, can_retrain=True), checkpoint=clean)
    assert chosen(asked)[:2] == ["rewind", "retrain"]
    seen = dataclasses.replace(asked, checkpoint=msgspec.structs.replace(clean, before_forgotten=False))
    assert chosen(seen)[0] == "retrain"
    with pytest.raises(NotSupportedError, match="pass recipe="):
        resolve_method("rewind", ("factory", "recipe"), None, clean)
    with pytest.raises(NotSupportedError, match="pass checkpoint="):
        resolve_method("rewind", ("factory",), RECIPE)


def test_no_choice_without_a_budget_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    orders, asked = [], situation(convolutional, can_retrain=True)
    for seconds in (1e-3, 1e6):
        monkeypatch.setattr(Situation, "pass_seconds", seconds)
        orders.append([(option.method, option.why) for option in candidates(asked)])
    assert orders[0] == orders[1]
    monkeypatch.setattr(Situation, "pass_seconds", 10.0)
    (first, *_) = candidates(situation(plain, can_retrain=True, time_budget=100))
    assert first.why.endswith("it was estimated at 1 min 20 s, within the time budget of 1 min 40 s")


def test_presets_follow_the_size_of_the_data() -> None:
    count = 64 * 100 + 31
    rows = un.Examples.of(np.zeros((count, 1, 8, 8), dtype=np.float32), np.arange(count) % 3)
    large = situation(convolutional, examples=rows, forgotten=30)
    assert large.spec("prune-entropy") == "prune-entropy"
    assert situation(convolutional).spec("prune-entropy") == "prune-entropy:small"
    assert situation(convolutional).spec("kl-contrast") == "kl-contrast"


def test_every_method_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    asked = situation(plain)
    before = {name: tensor.clone() for name, tensor in asked.models.tensors.items()}
    found = {base_name(option.method): option for option in options(asked)}
    assert sorted(found) == METHODS.names()
    for name, option in found.items():
        kind = METHODS.of(name)
        if kind.needs_convolutions:
            assert option.why == "it changes convolutions, and Sequential has none"
        elif kind.needs_factory:
            assert option.why == "it trains new models, which needs a factory and a recipe"
        elif name == "rewind":
            assert option.why == "rewind starts from a checkpoint of the model; pass checkpoint=."
        else:
            assert option.fits, option
    assert all((tensor == before[name]).all() for name, tensor in asked.models.tensors.items())
    assert not caplog.records
    fitting = [option.fits for option in options(situation(convolutional, can_retrain=True))]
    assert sum(fitting) == len(fitting) - 1  # all but rewind
    alone = Situation(asked.models, Request(asked.request.forget, asked.request.retain, RECIPE), False)
    assert "validation examples" in str(alone.why_not("reset-distill"))


def test_a_method_that_fails_in_any_way_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("out of luck\nand more")

    monkeypatch.setattr(METHODS.of("finetune"), "forget", fail)
    assert situation(plain).why_not("finetune") == "out of luck"


def test_passes_are_those_that_are_made() -> None:
    for spec, expected in (
        ("retrain", 8.0), ("short-retrain:half", 4.0), ("transpose", 3.0), ("prune-entropy", 3.2), ("ssd", None),
    ):  # fmt: skip
        assert build_method(spec).passes(RECIPE) == expected


def test_estimates_are_of_the_right_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """In processor time, which other programs of the machine do not lengthen."""
    monkeypatch.setattr("untrain.workflows.choose._wall", lambda _: time.process_time())
    asked = situation(convolutional, can_retrain=True)
    estimate = asked.estimate(build_method("retrain"))
    start = time.process_time()
    build_method("retrain").forget(asked.models.clone(), asked.request)
    took = time.process_time() - start
    assert estimate is not None
    assert took / 5 < estimate < 5 * took


def test_a_name_stands_for_a_method_that_can_work() -> None:
    expected = build_method("finetune", settings={"recipe": {"epochs": 8}}).__class__(recipe=RECIPE)
    assert resolve_method("finetune", (), RECIPE) == expected
    assert resolve_method("finetune", ("factory", "recipe"), None) == build_method("finetune")
    with pytest.raises(NotSupportedError, match=r"retrain trains new models; pass factory= .* and recipe= "):
        resolve_method("retrain", ("factory", "recipe"), None)
    with pytest.raises(NotSupportedError, match=r"; pass recipe= \(--recipe\), or"):
        resolve_method("retrain", ("recipe",), None)
    with pytest.raises(ConfigError, match="'amnesia'"):
        resolve_method("amnesia", (), RECIPE)


def test_doctor_tells_what_fits() -> None:
    said: list[str] = []
    found = un.doctor(
        trained(), EXAMPLES, EXAMPLES.ids[:30], validation=HELD_OUT, factory=plain, recipe=RECIPE, progress=said.append
    )
    assert found.ok
    assert "on the training examples" in found.facts[0]
    assert "on 60 validation examples" in found.facts[1]
    assert found.facts[2] == "300 training examples of 3 classes; inputs of shape 1x8x8, float32."
    assert found.choice is not None
    assert found.choice.method == "retrain"
    assert found.pass_seconds is not None
    assert len(found.options) == len(METHODS.names())
    assert said == ["checking the data", "checking the request", "looking for copies", "trying the methods"]
    assert not found.warnings


class Counts(nn.Sequential):
    """A network that notes how many examples it is given at once."""

    batches: ClassVar[list[int]] = []

    def forward(self, images: Tensor) -> Tensor:
        Counts.batches.append(len(images))
        return super().forward(images)  # type: ignore[no-any-return, no-untyped-call]


@pytest.mark.parametrize("ids", [["1"], ["nobody"]])
def test_doctor_evaluates_the_model_once(ids: list[str]) -> None:
    network = Counts(*trained().children()).eval()
    Counts.batches.clear()
    assert un.doctor(network, EXAMPLES, ids, validation=HELD_OUT).ok == (ids == ["1"])
    assert Counts.batches.count(len(EXAMPLES)) == 1
    assert Counts.batches.count(len(HELD_OUT)) == (ids == ["1"])


def test_doctor_says_that_a_network_cannot_be_trained() -> None:
    class EvaluatedAlone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 3)
            targets = torch.eye(3)[torch.as_tensor(EXAMPLES.labels)]
            self.linear.weight.data = torch.linalg.lstsq(torch.from_numpy(ROWS).flatten(1), targets).solution.T

        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                raise RuntimeError("there is no\ntraining")
            return self.linear(images.flatten(1))  # type: ignore[no-any-return]

    found = un.doctor(EvaluatedAlone(), EXAMPLES, EXAMPLES.ids[:9].tolist(), validation=HELD_OUT)
    (problem,) = found.problems
    assert problem.endswith("there is no")
    assert not found.ok


def test_doctor_tells_all_that_is_wrong_at_once() -> None:
    wrong = un.doctor(nn.Linear(3, 3), EXAMPLES, ["nobody"], validation=EXAMPLES.select([0]))
    assert not wrong.ok
    assert len(wrong.problems) == 3
    for part in ("'nobody'", "also in the training set", "on inputs of shape (1, 8, 8)"):
        assert any(part in problem for problem in wrong.problems)
    assert (wrong.choice, wrong.options) == (None, ())
    assert un.doctor(plain(), 3, ["1"]).problems
    (problem,) = un.doctor(trained(), EXAMPLES, ["1"], previous="/no/such").problems
    assert "record.json in /no/such" in problem


def test_doctor_warns_of_odd_data() -> None:
    rows = ROWS.copy()
    rows[1], rows[2], rows[3] = rows[0], rows[0], rows[4]
    labels = np.arange(COUNT) % 3
    labels[labels == 2] = 0
    labels[:6] = [0, 0, 1, 2, 2, 1]
    held_out = un.Examples.of(np.concatenate([rows[:1], rows[:1] + 1]), [0, 1], ["x", "y"], "012")
    train = un.Examples.of(rows, labels)
    network = un.Population.create(plain, 1, engine=Engine()).train(train, RECIPE)
    found = un.doctor(network.module(), train, ["0", "4"], validation=held_out)
    for warning in (
        "3 training examples have exactly the inputs of another; 1 of them have another label.",
        "1 validation examples have exactly the inputs of a training example, so they say little.",
        "Few examples of class '2' are retained: 1.",
        "3 retained examples have exactly the inputs of a forgotten example and are not forgotten",
    ):
        assert any(given.startswith(warning) for given in found.warnings)
    most = un.doctor(trained(), EXAMPLES, [str(row) for row in range(COUNT) if row % 3 or row < 200])
    assert (
        "Nothing of class '1' is retained: the model keeps an output for it, and accuracy leaves it out."
        in most.warnings
    )
    assert any(warning.startswith("More examples are forgotten than retained") for warning in most.warnings)
    assert any(warning.startswith("No validation examples") for warning in most.warnings)


def test_doctor_looks_at_a_chain_of_requests(tmp_path: Path) -> None:
    first = un.forget(trained(), EXAMPLES, ["0"], method="finetune", max_accuracy_drop=1)
    (problem,) = un.doctor(first.model, EXAMPLES, ["1"], previous=first).problems
    assert "not saved" in problem
    first.save(tmp_path)
    assert un.doctor(first.model, EXAMPLES, ["1"], previous=first).ok
    (problem,) = un.doctor(first.model, EXAMPLES, ["0"], previous=first).problems
    assert "already forgotten '0'" in problem


def test_doctor_knows_the_recipe_of_a_population() -> None:
    known = Population.create(plain, 1).train(EXAMPLES, RECIPE)
    found = un.doctor(known, EXAMPLES, ["1"], validation=HELD_OUT)
    assert found.choice is not None
    assert found.choice.method == "retrain"


@pytest.mark.parametrize(("old", "new"), [("forget", "ids"), ("seconds", "time_budget")])
def test_old_keywords_keep_working(old: str, new: str) -> None:
    values: dict[str, Any] = {"model": trained(), "examples": EXAMPLES, "ids": ["nobody"], "time_budget": 9.0}
    expected = un.doctor(**values)
    values[old] = values.pop(new)
    with pytest.warns(DeprecationWarning, match=rf"doctor\({new}=...\)") as caught:
        assert un.doctor(**values) == expected
    assert len(caught) == 1


def test_old_positional_arguments_keep_working() -> None:
    expected = un.doctor(trained(), EXAMPLES, ["nobody"], validation=HELD_OUT)
    with pytest.warns(DeprecationWarning, match="validation=..."):
        found = un.doctor(trained(), EXAMPLES, ["nobody"], HELD_OUT)  # type: ignore[call-arg, arg-type]
    assert found == expected
    assert "60 validation examples." in found.facts


def test_a_diagnosis_is_shown_in_a_few_lines() -> None:
    shown = str(un.doctor(trained(), EXAMPLES, ["1"], validation=HELD_OUT))
    assert "300 training examples of 3 classes" in shown
    assert "\nauto chooses ssse (time unknown): the forget set is less than 1 %" in shown
    assert "\nnote: The factory or the recipe is not known" in shown
    assert len(shown.splitlines()) == 8
    assert str(un.doctor(trained(), EXAMPLES, ["nobody"])).endswith("\nforget would refuse this request.")
