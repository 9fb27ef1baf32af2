"""`untrain synthesize`: synthetic data in place of data that are not public."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from untrain.cli.options import option
from untrain.cli.terminal import Status, print_text


def synthesize(
    dataset: tyro.conf.Positional[Literal["surf"]],
    directory: tyro.conf.Positional[Annotated[Path, option("DIR")]],
    persons: Annotated[int, option("N")] = 1000,
    photographs: Annotated[int, option("N")] = 30,
    seed: Annotated[int, option("N")] = 0,
) -> None:
    """Write a synthetic data set in the layout of one that is not public.

    Examples:
        untrain synthesize surf faces --persons 200

    Args:
        dataset: surf: drawn faces in the layout of CASIA-SURF, to be classified by age
        directory: output directory, new or empty
        persons: number of persons, at least ten
        photographs: number of photographs of each person
        seed: root of all random numbers
    """
    from untrain.data import synthesize_surf

    with Status() as status:
        synthesize_surf(directory, persons, seed, photographs=photographs, progress=status.show)
    print_text(
        f"{persons * photographs} photographs of {persons} drawn persons: {directory}",
        f"Use it as --data {directory}, or as --data-dir {directory} where the data source is {dataset}.",
    )
