"""What computes: versions and the machine, for what is written down."""

import platform
from importlib.metadata import version
from pathlib import Path

from untrain.core.version import __version__


def versions() -> dict[str, str]:
    """Of untrain, Python and the libraries whose numbers they are."""
    others = {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
    return {"untrain": __version__, "python": platform.python_version(), **others}


def machine(device: str) -> dict[str, str | int]:
    """The machine in a few words, without its host name.

    Args:
        device: as torch names it.
    """
    import torch

    return {
        "device": device,
        "processor": torch.cuda.get_device_name(device) if device.startswith("cuda") else processor(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def processor_kind(device: str) -> str:
    """What the last bits of float32 results depend on besides versions: the processor and, of a CPU, its instructions.

    Args:
        device: as torch names it.
    """
    import torch

    name = str(machine(device)["processor"])
    return name if device.startswith("cuda") else f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def processor() -> str:
    """The processor's full name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
