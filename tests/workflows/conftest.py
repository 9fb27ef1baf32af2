"""What the tests of the verbs share."""

import pytest


@pytest.fixture(autouse=True)
def _same_key(same_key: None) -> None:
    """All of them use it."""
