"""What every test may use."""

import os
from pathlib import Path

import pytest

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


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
