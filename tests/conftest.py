"""What every test may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.review.chrome import Browser

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell that runs the tests in the background lets them ignore Ctrl-C, and so their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Networks that a test or a fixture builds without a seed are the same each time, whatever ran before."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, where the machine has it."""
    root = os.environ.get("UNTRAIN_DATA")
    if not root:
        pytest.skip("UNTRAIN_DATA is not set, so MNIST and CIFAR-10 are not at hand")
    return Path(root)


@pytest.fixture
def same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a key gets the same one in each test, so that all that is drawn from it is the same."""
    monkeypatch.setattr("untrain.workflows.case.new_key", lambda: bytes(range(32)))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Browser"]:
    """One for all tests; every page has cookies and storage of its own."""
    from tests.review.chrome import Browser

    running = Browser(tmp_path_factory.mktemp("browser"))
    yield running
    running.close()
