"""`forget` in a person's own model: what it does, what it refuses, what it writes down, and chains of requests."""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import untrain as un
from untrain.core.registry import base_name
from untrain.errors import ConfigError, InputError, NotSupportedError
from untrain.methods import METHODS, Method, Request
from untrain.models.weights import arrays_of
from untrain.population import Population
from untrain.records import Ground, Outcome, read_record, state_digest, verify
from untrain.records.commitment import secret_seed, seed_commitment
from untrain.workflows.forget import NO_AUDIT, Forgotten, forget

RECIPE = un.Recipe(optimizer=un.SGD(lr=0.1, momentum=0.9), schedule=un.Cosine(), epochs=20, batch_size=32)


class Own(nn.Module):
    """A person's own network, with convolutions."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(8 * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stem(images).flatten(1))
        return logits


class Words(nn.Module):
    """Another, for token ids."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.embedding(tokens).mean(1))
        return logits


@dataclass(frozen=True)
class Case:
    train: un.Examples
    validation: un.Examples
    module: Own
    ids: list[str]


@pytest.fixture(scope="module")
def case() -> Case:
    digits = un.load("digits", limit=900)
    parts = un.split(digits, validation=0.3, test=0)
    module = Population.create(Own, 1).train(parts.train, RECIPE).module()
    assert isinstance(module, Own)
    return Case(parts.train, parts.validation, module, parts.train.ids[:60].tolist())


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a method of the test's own in the place of `finetune`."""

    def put(change: Callable[[Population, Request], None], **attributes: Any) -> None:
        def forget(self: Method, models: Population, request: Request) -> Population:
            change(models, request)
            return models

        kind = type("StandIn", (Method,), {"forget": forget, **attributes}, frozen=True)
        own = METHODS.of
        monkeypatch.setattr(METHODS, "of", lambda name: kind if name == "finetune" else own(name))

    return put


def same(left: nn.Module, right: nn.Module) -> bool:
    return state_digest(arrays_of(left)) == state_digest(arrays_of(right))


def test_examples_are_forgotten_in_ones_own_model(case: Case) -> None:
    before = state_digest(arrays_of(case.module))
    said: list[str] = []
    done = forget(
        case.module, case.train, case.ids, validation=case.validation, factory=Own, recipe=RECIPE, progress=said.append
    )
    assert said == ["choosing a method", "forgetting by retrain", "checking the result"]
    assert isinstance(done.model, Own)
    assert not done.model.training
    assert not same(done.model, case.module)
    assert state_digest(arrays_of(case.module)) == before
    assert (done.verdict.outcome, done.verdict.ground) == (Outcome.FORGOTTEN, Ground.BY_CONSTRUCTION)
    record = done.record
    assert record.model.architecture == "Own"
    assert (record.model.before, record.model.after) == (before, state_digest(arrays_of(done.model)))
    assert (record.requested.forgotten, record.requested.retained) == (60, len(case.train) - 60)
    assert (record.requested.validation, record.requested.classes) == (len(case.validation), 10)
    assert (record.applied.method, record.applied.seed) == ("retrain", None)
    assert record.applied.reason.startswith("auto: it trains a new model")
    assert record.applied.origin.startswith("untrain ")
    assert record.applied.settings["recipe of the original"] == msgspec.to_builtins(RECIPE)
    assert record.utility.after > record.utility.before - record.utility.bound
    assert record.utility.change.low <= record.utility.after - record.utility.before <= record.utility.change.high
    assert record.membership is not None
    assert (record.membership.forgotten, record.audit) == (60, None)
    assert NO_AUDIT in record.limits


def test_the_same_seed_gives_the_same_model(case: Case) -> None:
    def digest(seed: int, model: nn.Module | Population) -> str:
        return forget(
            model, case.train, case.ids, method="prune-entropy:small", seed=seed, max_accuracy_drop=1
        ).record.model.after

    assert digest(0, case.module) == digest(0, Population.from_module(case.module, seed=7)) != digest(1, case.module)


def test_retraining_equals_training_without_them(case: Case) -> None:
    done = forget(case.module, case.train, case.ids, method="retrain", factory=Own, recipe=RECIPE, seed=0)
    retain = un.forget_ids(case.train, case.ids).retain
    streams = un.Streams(0).child("forget")
    expected = Population.create(Own, 1, seed=streams).train(retain, RECIPE, purpose="retrain").module()
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(done.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("keep", "outcome"), [(None, Outcome.FORGOTTEN), (1, Outcome.NOT_SHOWN)])
def test_a_recipe_that_chooses_by_copies_of_the_forgotten_shows_nothing(
    case: Case, keep: int | None, outcome: Outcome
) -> None:
    recipe = msgspec.structs.replace(RECIPE, keep_best_from_epoch=keep)
    forgotten = un.forget_ids(case.train, case.ids).forget
    names = np.array([f"copy {name}" for name in forgotten.ids])
    copies = un.Examples(forgotten.inputs, forgotten.labels, names, forgotten.classes)
    held_out = un.Examples.concatenate([case.validation, copies])
    done = forget(
        case.module,
        case.train,
        case.ids,
        method="retrain",
        validation=held_out,
        factory=Own,
        recipe=recipe,
        max_accuracy_drop=1,
    )
    assert done.verdict.outcome is outcome
    assert ("leave them out of the validation examples" in str(done.verdict.sentences)) is (keep is not None)
    assert any(limit.startswith("The recipe chooses a state") for limit in done.record.limits) is (keep is not None)


def test_without_recipe_auto_starts_from_the_model(case: Case) -> None:
    done = forget(case.module, case.train, case.ids, validation=case.validation)
    assert not METHODS.of(base_name(done.record.applied.method)).needs_factory
    assert any("starts from the original" in limit for limit in done.record.limits)


def test_a_check_that_could_not_see_anything_before_shows_little(case: Case) -> None:
    """A barely trained network does not know its examples better than others, so nothing can be seen to go away."""
    barely = Population.create(Own, 1).train(case.train, msgspec.structs.replace(RECIPE, epochs=2)).module()
    done = forget(barely, case.train, case.ids, method="finetune", validation=case.validation)
    assert done.verdict.outcome is Outcome.NOT_SHOWN
    assert any("did not single them out in the original either" in sentence for sentence in done.verdict.sentences)


def tabular() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


ROWS = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
TOKENS = np.random.default_rng(1).integers(30, size=(400, 9))


@pytest.mark.parametrize(
    ("factory", "inputs", "labels"),
    [(tabular, ROWS, ROWS[:, 0] + ROWS[:, 1] > 0), (Words, TOKENS, (TOKENS < 12).sum(1) > 3)],
    ids=["table", "token ids"],
)
def test_tables_token_ids_and_datasets(
    factory: Callable[[], nn.Module], inputs: npt.NDArray[Any], labels: npt.NDArray[np.bool_]
) -> None:
    classes = labels.astype(int)
    dataset = TensorDataset(torch.from_numpy(inputs[:300]), torch.from_numpy(classes[:300]))
    held_out = (inputs[300:], classes[300:])
    module = Population.create(factory, 1).train(un.as_examples(dataset), RECIPE).module()
    for method in ("auto", "kl-contrast", "prune-entropy:small"):
        done = forget(module, dataset, range(20), method=method, validation=held_out, max_accuracy_drop=1)  # type: ignore[arg-type]
        assert done.verdict.outcome is not Outcome.KEPT_ORIGINAL
        assert done.record.requested.retained == 280
    with pytest.raises(NotSupportedError, match=r"changes convolutions, .* prune-entropy, kl-contrast"):
        forget(module, dataset, ["1"], method="transpose")


# Guards


def test_weights_that_do_not_move_are_noticed(case: Case, install: Callable[..., None]) -> None:
    install(lambda models, request: None)
    done = forget(case.module, case.train, case.ids, method="finetune")
    assert done.verdict.outcome is Outcome.KEPT_ORIGINAL
    assert "finetune changed no weight" in done.verdict.sentences[0]
    assert done.model is case.module
    assert done.record.model.before == done.record.model.after


def test_a_model_that_is_spoilt_is_not_handed_out(case: Case, install: Callable[..., None]) -> None:
    install(lambda models, request: models.tensors["head.weight"].mul_(-1))
    done = forget(case.module, case.train, case.ids, method="finetune", validation=case.validation)
    assert done.verdict.outcome is Outcome.KEPT_ORIGINAL
    assert done.model is case.module
    utility = done.record.utility
    assert utility.after < 0.1 < 0.8 < utility.before
    assert utility.change.high < -0.7
    assert f"from {100 * utility.before:.2f} % to {100 * utility.after:.2f} %" in done.verdict.sentences[0]
    assert f"the fall is up to {-100 * utility.change.low:.2f} points, and at most 5.00" in done.verdict.sentences[0]
    lenient = forget(
        case.module, case.train, case.ids, method="finetune", validation=case.validation, max_accuracy_drop=1.0
    )
    assert lenient.verdict.outcome is not Outcome.KEPT_ORIGINAL
    population = forget(
        Population.from_module(case.module), case.train, case.ids, method="finetune", validation=case.validation
    )
    assert same(population.model, case.module)


def test_logits_that_are_not_finite_keep_the_original(case: Case, install: Callable[..., None]) -> None:
    install(lambda models, request: models.tensors["head.bias"].fill_(torch.nan))
    done = forget(case.module, case.train, case.ids, method="finetune", max_accuracy_drop=1.0)
    assert done.verdict.outcome is Outcome.KEPT_ORIGINAL
    assert "logits that are not finite" in done.verdict.sentences[0]


def test_what_is_still_recognized_is_remembered(case: Case, install: Callable[..., None]) -> None:
    """Labels at random can only be learned by heart, and a step that moves hardly anything leaves them there."""
    labels = np.random.default_rng(0).integers(10, size=len(case.train))
    random = un.Examples.of(case.train.inputs, labels, case.train.ids.tolist(), case.train.classes)
    held_out = (case.validation.inputs, np.random.default_rng(1).integers(10, size=len(case.validation)))
    recipe = un.Recipe(optimizer=un.Adam(lr=3e-3), epochs=100)
    factory = un.factory(un.MLP(widths=(128,)), (1, 8, 8), 10)
    module = Population.create(factory, 1).train(random, recipe).module()
    install(lambda models, request: next(iter(models.tensors.values())).mul_(1 + 1e-6))
    done = forget(module, random, case.ids, method="finetune", validation=held_out)
    assert done.verdict.outcome is Outcome.REMEMBERED
    assert "still recognized more often than held-out ones" in done.verdict.sentences[0]
    assert done.record.membership is not None
    assert done.record.membership.after.low > 0.5
    retrained = forget(
        module,
        random,
        case.ids,
        method="retrain",
        validation=held_out,
        factory=factory,
        recipe=recipe,
        max_accuracy_drop=1,
    )
    assert retrained.verdict.outcome is Outcome.FORGOTTEN


def test_without_held_out_examples_nothing_is_claimed(case: Case) -> None:
    done = forget(case.module, case.train, case.ids, method="kl-contrast")
    assert done.verdict.outcome is Outcome.NOT_SHOWN
    assert done.verdict.sentences[0].startswith("Nothing shows that kl-contrast, which starts from the original")
    assert "retained training examples, as no validation examples were given" in done.record.utility.on
    assert any("nothing was checked" in limit for limit in done.record.limits)
    retrained = forget(case.module, case.train, case.ids, method="retrain", factory=Own, recipe=RECIPE)
    assert retrained.verdict.outcome is Outcome.FORGOTTEN


def test_auto_goes_on_where_a_method_spoils_the_model(case: Case, install: Callable[..., None]) -> None:
    said = list[str]()
    done = forget(
        case.module, case.train, case.ids, validation=case.validation, max_accuracy_drop=0.0, progress=said.append
    )
    assert sum("and at most 0.00 are accepted" in step for step in said) >= 1
    if done.record.applied.method != "prune-entropy:small":
        assert "prune-entropy:small was tried, outcome: " in done.record.applied.reason


def test_a_class_can_be_forgotten(case: Case) -> None:
    ids = case.train.ids[case.train.labels == 3].tolist()
    done = forget(
        case.module, case.train, ids, method="retrain", validation=case.validation, factory=Own, recipe=RECIPE
    )
    assert done.verdict.outcome is Outcome.FORGOTTEN
    assert done.record.utility.examples == (case.validation.labels != 3).sum()
    assert done.record.utility.on.endswith("of the retained classes")
    assert any(limit.startswith("Nothing is retained of 1 of 10 classes") for limit in done.record.limits)
    predicted = done.model(torch.from_numpy(case.validation.inputs)).argmax(1)
    assert not (predicted == 3).any()


def test_copies_of_forgotten_examples_are_told(case: Case) -> None:
    inputs = case.train.inputs.copy()
    inputs[100], inputs[101] = inputs[0], inputs[1]
    copied = un.Examples.of(inputs, case.train.labels, case.train.ids.tolist(), case.train.classes)
    done = forget(case.module, copied, case.ids, method="finetune")
    assert any(limit.startswith("2 retained examples have exactly the inputs") for limit in done.record.limits)


def test_validation_examples_that_were_trained_on_are_counted(case: Case) -> None:
    inputs, labels = case.validation.inputs.copy(), case.validation.labels.copy()
    inputs[:30], labels[:30] = case.train.inputs[100:130], case.train.labels[100:130]
    done = forget(case.module, case.train, case.ids, method="finetune", validation=(inputs, labels))
    words = "validation examples, 30 of them with exactly the inputs of a training example"
    assert done.record.utility.on == f"{len(labels)} {words}"
    assert words in done.verdict.sentences[-1]


def never() -> nn.Module:
    raise AssertionError("something was computed")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"ids": ["nobody"]}, InputError, "'nobody'"),
        ({"ids": "nobody"}, InputError, "a list, got the single text 'nobody'"),
        ({"ids": []}, InputError, "name at least one"),
        ({"method": "amnesia"}, ConfigError, "'amnesia'"),
        ({"method": "retrain"}, NotSupportedError, "retrain trains .* pass factory= .* and recipe= "),
        ({"method": "retrain", "factory": never}, NotSupportedError, r"; pass recipe= \(--recipe\)"),
        ({"audit": 19, "factory": Own}, NotSupportedError, r"; pass recipe= \(--recipe\)"),
        ({"factory": Own(), "recipe": RECIPE, "method": "retrain"}, InputError, "a function that builds a new"),
        ({"time_budget": 0.0}, InputError, "seconds above 0, got 0.0"),
        ({"time_budget": math.nan}, InputError, "seconds above 0, got nan"),
        ({"descendants": ["no.onnx"]}, InputError, "There is no file no.onnx"),
        ({"max_accuracy_drop": 2.0}, InputError, r"a share from 0 to 1, got 2.0"),
        ({"model": "a"}, InputError, "got 'a'"),
        ({"model": nn.Linear(3, 2)}, InputError, r"\(1, 8, 8\)"),
        ({"model": Own(9)}, InputError, "9 outputs, and the labels have 10 classes"),
        ({"examples": 3}, InputError, "int"),
        ({"key": b"short"}, InputError, "32 bytes"),
        ({"previous": "/no/such"}, InputError, "record.json in /no/such"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_met(
    case: Case, install: Callable[..., None], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    asked: dict[str, Any] = {"model": case.module, "examples": case.train, "ids": case.ids, "method": "finetune"}
    with pytest.raises(error, match=message) as refusal:
        forget(**(asked | changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("ids", "validation", "message"),
    [
        (lambda case: [case.ids[0]] * 2, None, "once"),
        (lambda case: case.train.ids.tolist(), None, "(?i)all"),
        (None, lambda case: case.train.select([0, 1]), "to be forgotten and in the validation set"),
        (None, lambda case: case.train.select([100]), "also in the training set"),
        (None, lambda case: case.validation.select([]), "at least one validation example"),
        (None, lambda case: (np.zeros((2, 5)), [0, 1]), r"got 10 classes 0, 1, 2... and the inputs \(5,\)"),
        (None, lambda case: (np.zeros((2, 1, 8, 8)), ["a", "b"]), "'a'"),
    ],
)  # fmt: skip
def test_ids_that_leak_are_refused(
    case: Case, ids: Callable[[Case], list[str]] | None, validation: Callable[[Case], object] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        forget(
            case.module, case.train, case.ids if ids is None else ids(case), method="finetune",
            validation=None if validation is None else validation(case),
        )  # fmt: skip


def test_a_model_that_diverged_is_refused(case: Case) -> None:
    diverged = Own()
    diverged.head.bias.data.fill_(torch.nan)
    with pytest.raises(InputError, match="are NaN or infinite"):
        forget(diverged, case.train, case.ids, method="finetune")


# Names that were renamed


@pytest.mark.parametrize(
    ("old", "new"), [("forget", "ids"), ("bound", "max_accuracy_drop"), ("seconds", "time_budget")]
)
def test_old_keywords_keep_working(case: Case, old: str, new: str) -> None:
    values: dict[str, Any] = {"ids": case.ids, "max_accuracy_drop": 0.5, "time_budget": 60.0}
    rest: dict[str, Any] = {"model": case.module, "examples": case.train, "method": "finetune", "seed": 0} | values
    expected = forget(**rest)
    del rest[new]
    with pytest.warns(DeprecationWarning, match=rf"forget\({new}=...\)") as caught:
        done = forget(**rest, **{old: values[new]})
    assert len(caught) == 1
    assert done.record.model == expected.record.model
    assert done.record.utility == expected.record.utility


def test_old_positional_arguments_keep_working(case: Case) -> None:
    expected = forget(case.module, case.train, case.ids, method="finetune", validation=case.validation, seed=3)
    with pytest.warns(DeprecationWarning, match="as a keyword") as caught:
        done = forget(case.module, case.train, case.ids, "finetune", case.validation, 3)  # type: ignore[call-arg, arg-type]
    assert [str(warning.message).partition(": ")[2] for warning in caught] == [
        "method=...", "validation=...", "seed=...",
    ]  # fmt: skip
    assert done.record.model == expected.record.model
    assert done.record.applied.seed_commitment == seed_commitment(done.key, 3)
    assert done.record.requested.validation == len(case.validation)


def test_the_recipe_of_a_population_is_used(case: Case) -> None:
    known = Population.create(Own, 1).train(case.train, RECIPE)
    done = forget(known, case.train, case.ids, method="retrain", seed=0)
    expected = forget(known.module(), case.train, case.ids, method="retrain", factory=Own, recipe=RECIPE, seed=0)
    assert done.record.model == expected.record.model
    assert done.record.applied.settings == expected.record.applied.settings


def test_a_result_is_shown_in_a_few_lines(case: Case, tmp_path: Path) -> None:
    done = forget(case.module, case.train, case.ids, method="finetune", validation=case.validation)
    for shown in (repr(done), str(done), f"{done}"):
        assert shown.startswith(f"{done.verdict.outcome}: finetune (")
        assert all(sentence in shown for sentence in done.verdict.sentences)
        assert shown.endswith("\nnot saved; call save(directory)")
        assert repr(done.key) not in shown
        assert done.key.hex() not in shown
        assert len(shown.splitlines()) <= 8
    done.save(tmp_path / "out")
    assert str(done).endswith(f"\nsaved in {tmp_path / 'out'}")


# What is written, and chains


def texts(directory: Path) -> str:
    return (directory / "record.json").read_text() + (directory / "report.html").read_text()


def test_nothing_is_written_before_it_is_saved_and_no_id_ever(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ids = [f"patient-{number}-of-ward-7" for number in range(len(case.train))]
    named = un.Examples.of(case.train.inputs, case.train.labels, ids, case.train.classes)
    done = forget(case.module, named, ids[:5], method="finetune")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"not saved; call its save\(\)"):
        forget(done.model, named, ids[5:9], method="finetune", previous=done)
    assert done.save("out") == tmp_path / "out"
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "model.safetensors", "record.json", "report.html", "request.key",
    ]  # fmt: skip
    assert "patient" not in texts(Path("out"))
    assert verify("out", ids=ids[:5]).ok
    assert not verify("out", ids=ids[5:9]).ok
    loaded = Own()
    loaded.load_state_dict({name: torch.from_numpy(array) for name, array in arrays_of(done.model).items()})
    assert same(loaded, done.model)
    with pytest.raises(ConfigError, match=r"out.*record\.json"):
        done.save("out")


def test_an_interrupted_save_can_be_repeated(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = forget(case.module, case.train, case.ids, method="finetune")
    from untrain.records import directory

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(directory, "record_bytes", stopped)
        with pytest.raises(KeyboardInterrupt):
            done.save(tmp_path / "out")
    assert not (tmp_path / "out" / "record.json").exists()
    done.save(tmp_path / "out")
    assert verify(tmp_path / "out").ok


@pytest.fixture
def first(case: Case, tmp_path: Path) -> Forgotten:
    done = forget(
        case.module, case.train, case.ids, method="retrain", validation=case.validation, factory=Own, recipe=RECIPE
    )
    done.save(tmp_path / "first")
    return done


def test_a_second_request_never_brings_back_the_first(
    case: Case, first: Forgotten, tmp_path: Path, install: Callable[..., None]
) -> None:
    more = case.train.ids[60:80].tolist()
    seen: list[Request] = []

    def look(models: Population, request: Request) -> None:
        seen.append(request)
        next(iter(models.tensors.values())).mul_(1.001)

    install(look)
    for previous in (first, tmp_path / "first", str(tmp_path / "first")):
        second = forget(first.model, case.train, more, method="finetune", validation=case.validation, previous=previous)
        (request,) = seen
        assert sorted(request.retain.ids) == sorted(case.train.ids[80:])
        assert sorted(request.forget.ids) == sorted(more)
        seen.clear()
    # That the person left the first ones out of the data changes nothing.
    fewer = case.train.select(range(60, len(case.train)))
    again = forget(first.model, fewer, more, method="finetune", validation=case.validation, previous=first)
    assert again.record.model.after == second.record.model.after
    assert second.key == first.key
    assert second.record.previous is not None
    assert second.record.previous.forgotten == 60
    second.save(tmp_path / "second")
    assert verify(tmp_path / "second", ids=[*case.ids, *more]).ok
    assert read_record(tmp_path / "second" / "previous" / "0001-record.json") == read_record(
        tmp_path / "first" / "record.json"
    )
    third = forget(second.model, case.train, case.train.ids[80:90].tolist(), method="finetune", previous=second)
    third.save(tmp_path / "third")
    assert third.record.previous is not None
    assert third.record.previous.forgotten == 80
    assert json.loads((tmp_path / "third" / "record.json").read_text())["requested"]["retained"] == len(case.train) - 90


def test_a_chain_is_refused_where_it_does_not_fit(case: Case, first: Forgotten, tmp_path: Path) -> None:
    more = case.train.ids[60:70].tolist()
    with pytest.raises(InputError, match="not the one that the previous request left"):
        forget(case.module, case.train, more, method="finetune", previous=first)
    with pytest.raises(InputError, match=f"already forgotten '{case.ids[3]}'"):
        forget(first.model, case.train, [more[0], case.ids[3]], method="finetune", previous=first)
    with pytest.raises(InputError, match="key is not that of the earlier requests"):
        forget(first.model, case.train, more, method="finetune", previous=first, key=bytes(32))
    fewer = case.train.select(range(60, len(case.train)))
    with pytest.raises(InputError, match="an earlier request of this chain has forgotten it"):
        forget(first.model, fewer, more, method="finetune", validation=case.train.select([0, 1]), previous=first)
    (tmp_path / "first" / "request.key").unlink()
    with pytest.raises(InputError, match=r"holds no request\.key; pass key="):
        forget(first.model, case.train, more, method="finetune", previous=tmp_path / "first")
    assert forget(first.model, case.train, more, method="finetune", previous=first, key=first.key).key == first.key


def test_what_was_kept_may_be_asked_for_again(case: Case, tmp_path: Path, install: Callable[..., None]) -> None:
    install(lambda models, request: None)
    kept = forget(case.module, case.train, case.ids, method="finetune")
    kept.save(tmp_path / "kept")
    done = forget(case.module, case.train, case.ids, method="retrain", factory=Own, recipe=RECIPE, previous=kept)
    assert done.verdict.outcome is Outcome.FORGOTTEN
    assert done.record.previous is not None
    assert done.record.previous.forgotten == 0
    done.save(tmp_path / "done")
    assert verify(tmp_path / "done").ok


def test_a_model_of_ones_own_is_not_replaced(case: Case, tmp_path: Path) -> None:
    done = forget(case.module, case.train, case.ids, method="finetune", validation=case.validation)
    (tmp_path / "model.safetensors").write_bytes(b"my only copy")
    with pytest.raises(ConfigError, match=r"model\.safetensors"):
        done.save(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"my only copy"


def test_rows_that_lost_their_names_are_noticed(case: Case, first: Forgotten) -> None:
    """Without ids of their own, the rows that are left would be called by other numbers than before."""
    left = np.flatnonzero(~np.isin(case.train.ids, case.ids))
    fewer = case.train.select(left[5:])
    with pytest.raises(InputError, match=f"left {len(left)} examples, but {len(left) - 5} of those given"):
        forget(first.model, fewer, [str(fewer.ids[0])], method="finetune", previous=first)


def test_held_out_examples_that_were_trained_on_do_not_count(case: Case) -> None:
    """Validation examples with the inputs of training examples would hide that the forgotten ones are recognized."""
    kept = case.train.select(np.flatnonzero(~np.isin(case.train.ids, case.ids)))
    done = forget(case.module, case.train, case.ids, method="finetune", validation=(kept.inputs, kept.labels))
    assert done.verdict.outcome is Outcome.NOT_SHOWN
    assert done.record.membership is None
    assert any(f"{len(kept)} validation examples have exactly the inputs" in limit for limit in done.record.limits)


def test_a_model_that_cannot_be_trained_is_refused(case: Case) -> None:
    frozen = Own().requires_grad_(False)
    with pytest.raises(InputError, match="trainable parameters"):
        forget(frozen, case.train, case.ids, method="finetune")


def test_the_key_of_another_chain_is_refused(case: Case, tmp_path: Path, install: Callable[..., None]) -> None:
    install(lambda models, request: None)  # moves nothing, so that the original is kept
    kept = forget(case.module, case.train, case.ids, method="finetune", validation=case.validation)
    assert kept.verdict.outcome is Outcome.KEPT_ORIGINAL
    kept.save(tmp_path)
    with pytest.raises(InputError, match="key is not that of the earlier requests"):
        forget(
            case.module,
            case.train,
            case.ids,
            method="finetune",
            validation=case.validation,
            previous=tmp_path,
            key=bytes(32),
        )


# Subjects, copies, and what a chain remembers


def owned(case: Case) -> un.Examples:
    """The training set as that of fifty users."""
    users = [f"user {row % 50}" for row in range(len(case.train))]
    return dataclasses.replace(case.train, groups=np.asarray(users))


def test_all_examples_of_a_subject_are_forgotten(case: Case, tmp_path: Path) -> None:
    users = owned(case)
    done = forget(case.module, users, subjects=["user 7", "user 9"], method="finetune", basis="consent was withdrawn")
    assert users.groups is not None
    expected = users.ids[np.isin(users.groups, ["user 7", "user 9"])].tolist()
    assert done.record.requested.forgotten == len(expected)
    done.save(tmp_path / "out")
    assert verify(tmp_path / "out", ids=expected, subjects=["user 7", "user 9"]).ok
    assert not verify(tmp_path / "out", subjects=["user 8"]).ok
    assert "user 7" not in texts(tmp_path / "out")
    assert "consent was withdrawn" in texts(tmp_path / "out")


@pytest.mark.parametrize(
    ("subject", "message"),
    [("nobody", "no example of the subject 'nobody'"), ("user 7 ", "Did you mean 'user 7'")],
)
def test_a_subject_without_examples_is_refused(case: Case, subject: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        forget(case.module, owned(case), subjects=[subject], method="finetune")


def test_a_single_text_is_no_list_of_subjects(case: Case) -> None:
    """Its letters would be taken for subjects: here for those named 1 and 2."""
    numbered = dataclasses.replace(case.train, groups=np.asarray([str(row % 50) for row in range(len(case.train))]))
    with pytest.raises(InputError, match=r"the single text '12': pass \['12'\]"):
        forget(case.module, numbered, subjects="12", method="finetune")
    assert "the single text '12'" in un.doctor(case.module, numbered, subjects="12").problems[0]


def test_rows_without_a_subject_are_nobodys(case: Case) -> None:
    """Otherwise `--subject "$USER_ID"` with a variable that is not set forgets them."""
    some = dataclasses.replace(case.train, groups=np.asarray([str(row % 5 or "") for row in range(len(case.train))]))
    with pytest.raises(InputError, match="name of a subject is empty"):
        forget(case.module, some, subjects=[""], method="finetune")


def test_derived_models_of_one_name_are_not_taken_for_one(case: Case, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "model.safetensors" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(str(path))
    done = forget(case.module, case.train, case.ids, method="finetune", descendants=paths[:1])
    assert [*done.record.descendants] == ["model.safetensors"]
    with pytest.raises(InputError, match=r"Two files of derived models are named model\.safetensors; rename one"):
        forget(case.module, case.train, case.ids, method="finetune", descendants=paths)
    with pytest.raises(InputError, match=r"There is no file gone\.pt; descendants="):
        forget(case.module, case.train, case.ids, method="finetune", descendants=["gone.pt"])


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_a_time_budget_is_a_number_of_seconds(case: Case, budget: float) -> None:
    with pytest.raises(InputError, match="time_budget must be a number of seconds above 0"):
        forget(case.module, case.train, case.ids, time_budget=budget)
    (problem,) = un.doctor(case.module, case.train, case.ids, time_budget=budget).problems
    assert "time_budget must be a number of seconds above 0" in problem


def test_subjects_of_examples_that_name_none_are_refused(case: Case) -> None:
    with pytest.raises(InputError, match="do not say which subject"):
        forget(case.module, case.train, subjects=["user 7"], method="finetune")


def copied(case: Case) -> un.Examples:
    """Examples 100 and 101 are exact copies of the first two; 102 is a brighter one of the third."""
    inputs = case.train.inputs.copy()
    inputs[100], inputs[101], inputs[102] = inputs[0], inputs[1], 0.9 * inputs[2] + 0.05
    return un.Examples.of(inputs, case.train.labels, case.train.ids.tolist(), case.train.classes)


def test_copies_are_counted_and_taken_on_request(case: Case) -> None:
    kept = forget(case.module, copied(case), case.ids, method="retrain", factory=Own, recipe=RECIPE)
    assert kept.verdict.outcome is Outcome.NOT_SHOWN
    assert kept.record.copies is not None
    assert (kept.record.copies.exact_retained, kept.record.copies.near_retained) == (2, 1)
    assert any("1 retained examples are near copies" in limit for limit in kept.record.limits)
    taken = forget(case.module, copied(case), case.ids, method="retrain", factory=Own, recipe=RECIPE, with_copies=True)
    assert taken.verdict.outcome is Outcome.FORGOTTEN
    assert taken.record.requested.forgotten == 63
    assert taken.record.copies is not None
    assert (taken.record.copies.exact_taken, taken.record.copies.near_taken) == (2, 1)
    assert (taken.record.copies.exact_retained, taken.record.copies.near_retained) == (0, 0)
    assert "3 of them are copies" in taken.record.reply[1]


def test_a_copy_that_was_retained_does_not_come_back(case: Case, tmp_path: Path) -> None:
    first = forget(case.module, copied(case), case.ids, method="finetune")
    first.save(tmp_path / "first")
    more = case.train.ids[60:70].tolist()
    second = forget(first.model, copied(case), more, method="finetune", previous=first)
    assert second.record.requested.retained == len(case.train) - 60 - 10 - 2
    second.save(tmp_path / "second")
    third = forget(second.model, copied(case), case.train.ids[70:75].tolist(), method="finetune", previous=second)
    assert third.record.requested.retained == len(case.train) - 60 - 10 - 2 - 5


def test_rows_that_were_sorted_anew_are_refused(case: Case, tmp_path: Path) -> None:
    rows = un.Examples.of(case.train.inputs, case.train.labels)
    first = forget(case.module, rows, ["3", "4"], method="finetune")
    first.save(tmp_path / "first")
    order = np.random.default_rng(0).permutation(len(rows))
    anew = un.Examples.of(rows.inputs[order], rows.labels[order])
    with pytest.raises(InputError, match=r"'3' was forgotten .* now names other inputs: rows were renumbered"):
        forget(first.model, anew, ["10"], method="finetune", previous=first)
    same = un.Examples.of(rows.inputs[order].astype(np.float64), rows.labels[order], [str(row) for row in order])
    assert forget(first.model, same, ["10"], method="finetune", previous=first).record.requested.retained == 627


def test_the_default_seed_is_known_to_the_owner_of_the_key_alone(case: Case) -> None:
    key = bytes(range(32))
    done, again, other = (
        forget(case.module, case.train, case.ids, method="finetune", key=one) for one in (key, key, bytes(32))
    )
    assert done.record.model.after == again.record.model.after != other.record.model.after
    assert done.record.applied.seed_commitment == seed_commitment(key, secret_seed(key, 0))
    assert done.record.applied.seed is None
