"""`untrain convert`: weights of torch as safetensors."""

from pathlib import Path

import tyro

from untrain.cli.terminal import print_text


def convert(source: tyro.conf.Positional[Path], target: tyro.conf.Positional[Path]) -> None:
    """Turn a state dict that torch.save wrote into safetensors. Nothing in the file is run.

    Args:
        source: a .pt or .pth file with tensors by name, alone or under state_dict, model_state_dict or model.
        target: the .safetensors file to write; it must not exist.
    """
    from untrain.models.convert import convert as turn

    count, found = turn(source, target)
    where = "" if found is None else f", from what stands under {found!r} in {source}"
    print_text(f"{count} tensors: {target}{where}")
