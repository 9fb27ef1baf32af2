"""No method that does nothing, hides or destroys is called forgotten, whatever accuracy it costs; retraining is.

The table of `docs/verdicts.md` has more networks and originals.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

import untrain as un
from tests.workflows.false_methods import DESTROYING, HIDING, IDLE, TRAPS, WRONG, Trained, registered, train_network
from untrain.errors import InputError
from untrain.methods import METHODS
from untrain.population import SGD, Cosine, Recipe
from untrain.records import Ground, Outcome

RECIPE = Recipe(optimizer=SGD(lr=0.1, momentum=0.9), schedule=Cosine(), epochs=30, batch_size=32)


@pytest.fixture(scope="module")
def trained() -> Trained:
    """A network that learned twenty wrong labels by heart."""
    return train_network(un.load("digits", limit=300), un.MLP(widths=(32,)), RECIPE, forget=WRONG, seed=0)


@pytest.fixture(scope="module")
def judge(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], un.Forgotten]:
    """Forgets by a method, and audits it against retrained models that all methods share."""
    directory: Path = tmp_path_factory.mktemp("retrained")

    def forget(method: str) -> un.Forgotten:
        with registered():
            return trained.forget(method, audit=directory)

    return forget


@pytest.mark.parametrize("method", IDLE)
def test_what_does_nothing_remembers(judge: Callable[[str], un.Forgotten], method: str) -> None:
    result = judge(method)
    assert result.verdict.outcome is Outcome.REMEMBERED
    assert result.record.audit is not None
    assert result.record.audit.models == 19


@pytest.mark.parametrize("method", HIDING + DESTROYING)
def test_what_hides_or_destroys_has_not_forgotten(judge: Callable[[str], un.Forgotten], method: str) -> None:
    verdict = judge(method).verdict
    assert verdict.outcome in (Outcome.DIFFERENT, Outcome.REMEMBERED)
    assert verdict.ground is None


@pytest.mark.parametrize(
    ("method", "ground"), [("retrain", Ground.BY_CONSTRUCTION), ("hidden-retrain", Ground.BY_AUDIT)]
)
def test_retraining_has_forgotten(judge: Callable[[str], un.Forgotten], method: str, ground: Ground) -> None:
    verdict = judge(method).verdict
    assert (verdict.outcome, verdict.ground) == (Outcome.FORGOTTEN, ground)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_factory_that_builds_no_new_model_is_refused(trained: Trained, trap: str) -> None:
    with pytest.raises(InputError, match=r"The factory .* Pass a function that builds a new, untrained network"):
        trained.forget("retrain", audit=None, factory=trained.traps[trap])


def test_the_methods_are_registered_for_a_while() -> None:
    with registered():
        assert "jitter" in METHODS.names()
    assert "jitter" not in METHODS.names()
