import numpy as np
import pytest

from untrain.auditing import confidence
from untrain.errors import InputError


def test_is_the_log_odds_of_the_label() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 5, 4))
    labels = np.array([0, 1, 2, 3, 0])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    own = np.take_along_axis(p, labels[None, :, None], axis=-1)[..., 0]
    np.testing.assert_allclose(confidence(logits, labels), np.log(own / (1 - own)), rtol=1e-10)


def test_saturates_instead_of_overflowing() -> None:
    found = confidence(np.array([[1000.0, 0.0], [-1000.0, 0.0]], dtype=np.float32), [0, 0])
    np.testing.assert_allclose(found, [-np.log(1e-45), np.log(1e-45)])


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0.0, 1.0]], [2], "from 0 to 1, got 2 to 2"),
        ([[0.0, 1.0]], [0, 1], r"got shapes \(1, 2\) and \(2,\)"),
        ([0.0], [0], r"got shapes \(1,\) and \(1,\)"),
        ([[np.nan, 0.0]], [0], "are NaN or infinite"),
    ],
)
def test_wrong_input_is_refused(logits: list[list[float]], labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        confidence(logits, labels)
