"""The families of attacks, by name."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from reliability.configs import configs
from reliability.faults import faults
from reliability.forged import forged
from reliability.kills import kills
from reliability.leaks import leaks
from reliability.pages import pages
from reliability.paths import paths
from reliability.pickles import pickles
from reliability.pictures import pictures
from reliability.rows import Row, Scale
from reliability.spreadsheet import spreadsheet
from reliability.terminal import terminal
from reliability.verbs import make_inputs
from reliability.weights import flips, weights

Family = Callable[[Scale, Path, Path], Iterator[Row]]

FAMILIES: dict[str, Family] = {
    "kills": kills,
    "faults": faults,
    "weights": weights,
    "flips": flips,
    "pickles": pickles,
    "pictures": pictures,
    "paths": paths,
    "spreadsheet": spreadsheet,
    "terminal": terminal,
    "pages": pages,
    "configs": configs,
    "forged": forged,
    "leaks": leaks,
}


def measure(names: Iterable[str], scale: Scale, folder: Path) -> Iterator[Row]:
    """Attack, family by family, in a folder that may be thrown away."""
    inputs = make_inputs(folder / "inputs")
    for name in names:
        (folder / name).mkdir()
        yield from FAMILIES[name](scale, folder / name, inputs)
