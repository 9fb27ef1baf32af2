"""`untrain convert`: PyTorch weights as safetensors."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import option
from untrain.cli.terminal import print_text


def convert(
    source: tyro.conf.Positional[Annotated[Path, option("SOURCE")]],
    target: tyro.conf.Positional[Annotated[Path, option("TARGET")]],
    strip_prefix: Annotated[str, option("PREFIX")] = "",
) -> None:
    """Convert a state dict written by torch.save to safetensors. No code in the file is executed.

    Examples:
        untrain convert model.pt model.safetensors

    Args:
        source: .pt, .pth, .ckpt or .bin file with a state dict, alone or beside what a trainer keeps
        target: .safetensors file to write; it must not exist
        strip_prefix: write only tensors whose names begin with this, without it, such as model.
    """
    from untrain.models.convert import convert

    count, key = convert(source, target, strip_prefix=strip_prefix)
    origin = "" if key is None else f", from {key!r} in {source}"
    print_text(f"{count} tensors: {target}{origin}")
