"""What the tests of the verbs share."""

import pytest


@pytest.fixture(autouse=True)
def same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a key gets the same one in each test, so that all that is drawn from it is the same."""
    monkeypatch.setattr("untrain.workflows.case.new_key", lambda: bytes(range(32)))
