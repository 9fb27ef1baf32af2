"""`untrain synthesize`: data that may be given away, where the real ones may not."""

from pathlib import Path
from typing import Literal

import tyro

from untrain.cli.terminal import Status, print_text


def synthesize(
    what: tyro.conf.Positional[Literal["surf"]],
    directory: tyro.conf.Positional[Path],
    persons: int = 1000,
    photographs: int = 30,
    seed: int = 0,
) -> None:
    """Write a synthetic data set in the layout of one that is not public.

    Args:
        what: surf: drawn faces in the layout of CASIA-SURF, to be classified by age.
        directory: to write to; it is made, or must be empty.
        persons: how many are drawn, at least ten.
        photographs: of each person.
        seed: root of all random numbers.
    """
    from untrain.data import synthesize_surf

    with Status() as status:
        synthesize_surf(directory, persons, seed, photographs=photographs, progress=status.show)
    print_text(
        f"{persons * photographs} photographs of {persons} drawn persons: {directory}",
        f"use: --data {directory} with detect and repair; --data-dir {directory} with run, where the source is {what}",
    )
