"""What a verdict says, and on what ground."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

import untrain as un
from untrain.auditing import Memory
from untrain.core.estimate import Estimate
from untrain.errors import ConfigError, InputError, NotSupportedError
from untrain.methods import METHODS
from untrain.records import Ground, Outcome, verify
from untrain.workflows.verdict import Evidence, _by_audit

RECIPE = un.Recipe(optimizer=un.Adam(lr=5e-3), epochs=40, batch_size=16)
BUILD = un.factory(un.MLP(widths=(64,)), (8,), 2)


def table(count: int, seed: int) -> un.Examples:
    """Rows of two classes, a third of them with the wrong label, which can only be learned by heart."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 8)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(int)
    wrong = generator.random(count) < 1 / 3
    return un.Examples.of(inputs, np.where(wrong, 1 - labels, labels), [f"{seed}-{row}" for row in range(count)])


TRAIN, VALIDATION = table(150, 0), table(150, 1)
IDS = TRAIN.ids[:20].tolist()


@pytest.fixture(scope="module")
def original() -> un.Population:
    return un.Population.create(BUILD, 1).train(TRAIN, RECIPE)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the retrained models of the request lie, which all tests share."""
    return tmp_path_factory.mktemp("audit")


def audited(original: un.Population, checkpoints: Path, method: str, audit: int = 19) -> un.Forgotten:
    return un.forget(
        original, TRAIN, IDS, method=method, validation=VALIDATION, max_accuracy_drop=1, audit=audit,
        checkpoint_dir=checkpoints,
    )  # fmt: skip


MEMORY = Memory(
    left=Estimate(0.0, -0.3, 0.3), p_value=0.5, different=0.7, different_p_value=0.5, original_p_value=0.05,
    trace_p_value=0.05, retrained=(0.0,) * 19, level=0.9, models=19, examples=10,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "retain_accuracy", "outcome", "ground"),
    [
        ({}, 0.99, Outcome.FORGOTTEN, Ground.BY_AUDIT),
        ({"trace_p_value": 0.1}, 0.99, Outcome.NOT_SHOWN, None),
        ({"different_p_value": 0.05}, 0.99, Outcome.DIFFERENT, None),
        ({}, 0.96, Outcome.DIFFERENT, None),
        ({"original_p_value": 0.1}, 0.99, Outcome.NOT_SHOWN, None),
        ({"left": Estimate(0.2, -0.1, 0.5)}, 0.99, Outcome.NOT_SHOWN, None),
    ],
)
def test_an_audit_that_sees_no_memory(
    changes: dict[str, object], retain_accuracy: float, outcome: Outcome, ground: Ground | None
) -> None:
    finding = _by_audit(Evidence(msgspec.structs.replace(MEMORY, **changes), retain_accuracy, 0.99))
    assert (finding.outcome, finding.ground) == (outcome, ground)


def test_what_does_nothing_is_remembered(original: un.Population, checkpoints: Path, tmp_path: Path) -> None:
    done = audited(original, checkpoints, "finetune:kaggle")
    assert (done.verdict.outcome, done.verdict.ground) == (Outcome.REMEMBERED, None)
    assert "too much memory" in done.verdict.sentences[0]
    assert done.record.audit is not None
    assert done.record.audit.memory is not None
    assert done.record.audit.memory.left.value > 0.8
    assert done.record.unchanged is not None
    assert done.record.unchanged.same_prediction > 0.8
    done.save(tmp_path)
    assert verify(tmp_path).ok


def test_retraining_has_forgotten_by_construction_with_an_audit_beside_it(
    original: un.Population, checkpoints: Path, tmp_path: Path
) -> None:
    done = audited(original, checkpoints, "retrain")
    assert str(done.verdict) == "forgotten by construction"
    assert done.record.audit is not None
    assert done.record.audit.memory is not None
    assert done.record.audit.memory.left.high < 0.8
    assert any(sentence.startswith("Memory left: ") for sentence in done.verdict.sentences)
    done.save(tmp_path)
    assert verify(tmp_path).ok


def test_without_an_audit_nothing_is_shown_and_its_cost_is_told(original: un.Population) -> None:
    done = un.forget(original, TRAIN, IDS, method="prune-entropy:small", validation=VALIDATION, max_accuracy_drop=1)
    assert done.verdict.outcome in (Outcome.NOT_SHOWN, Outcome.REMEMBERED)
    unknown = un.forget(original.module(), TRAIN, IDS, method="prune-entropy:small", max_accuracy_drop=1)
    assert unknown.verdict.outcome is Outcome.NOT_SHOWN
    assert any("needs the factory and the recipe" in sentence for sentence in unknown.verdict.sentences)
    told = un.forget(
        original.module(), TRAIN, IDS, method="prune-entropy:small", max_accuracy_drop=1, factory=BUILD, recipe=RECIPE
    )
    assert any("An audit would train 19 models" in sentence for sentence in told.verdict.sentences)


def test_a_method_that_only_says_that_it_retrains_is_caught(
    original: un.Population, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS.of("finetune"), "exact", True)
    done = audited(original, checkpoints, "finetune:kaggle")
    assert done.verdict.outcome is Outcome.REMEMBERED
    assert "says that it trains a new model" in done.verdict.sentences[0]


def test_copies_that_are_retained_forbid_the_outcome(original: un.Population) -> None:
    copies = un.Examples.of(TRAIN.inputs[:3], TRAIN.labels[:3], ["a", "b", "c"], TRAIN.classes)
    both = un.Examples.concatenate([TRAIN, copies])
    done = un.forget(original, both, IDS, method="retrain", max_accuracy_drop=1)
    assert done.verdict.outcome is Outcome.NOT_SHOWN
    assert "3 retained examples have exactly the inputs" in done.verdict.sentences[0]


def test_auto_with_an_audit_goes_on_until_one_has_forgotten(
    original: un.Population, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No method that trains new models is there; of those that start from the original, all are tried in turn."""
    names = ["finetune", "kl-contrast", "prune-entropy", "ssse"]
    monkeypatch.setattr(METHODS, "names", lambda: names)
    done = audited(original, checkpoints, "auto")
    if done.verdict.outcome is not Outcome.FORGOTTEN:
        assert all(name in done.record.applied.reason + done.record.applied.method for name in names[:3])
    assert " was tried, outcome: " in done.record.applied.reason


def test_the_retrained_models_are_made_once(original: un.Population, checkpoints: Path) -> None:
    audited(original, checkpoints, "retrain")
    before = {path.name: path.stat().st_mtime_ns for path in checkpoints.iterdir()}
    audited(original, checkpoints, "finetune:kaggle")
    assert {path.name: path.stat().st_mtime_ns for path in checkpoints.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"audit": 18}, InputError, "at least 19 retrained models, got 18"),
        ({"checkpoint_dir": "somewhere"}, ConfigError, "for an audit"),
        ({"model": "module", "audit": 19}, NotSupportedError, "factory"),
    ],
)
def test_audits_that_cannot_begin(
    changes: dict[str, object], error: type[Exception], message: str, original: un.Population
) -> None:
    model = original.module() if changes.pop("model", None) else original
    with pytest.raises(error, match=message):
        un.forget(model, TRAIN, IDS, method="finetune", **changes)  # type: ignore[arg-type]
