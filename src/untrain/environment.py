"""What computes: versions and the machine, for what is written down."""

import platform
from importlib.metadata import version

from untrain import __version__


def versions() -> dict[str, str]:
    """Of untrain, Python and the libraries whose numbers they are."""
    others = {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
    return {"untrain": __version__, "python": platform.python_version(), **others}


def machine(device: str) -> dict[str, str | int]:
    """The machine in a few words, without its name.

    Args:
        device: as torch names it.
    """
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor()
    return {
        "device": device,
        "processor": name or platform.machine(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
