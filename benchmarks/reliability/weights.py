"""Damaged and made-up weights, through every reader that users have.

Where a file carries a digest, as all that untrain writes does, nothing that differs in a name, a type, a shape, a
number or a text may be taken. A file of one's own without a digest is another matter: if the numbers are changed and
the file is in order, nobody can see it. Then only what is promised counts: an error of untrain's or a load, no crash,
no hang, no other exception. A digest is against accidents: whoever changes a file may compute it anew; a record is
signed against that.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from reliability.children import each, verdict
from reliability.mutants import Mutant, safetensors_mutant, single_flip
from reliability.rows import Row, Scale, counted
from untrain.core.files import read_arrays
from untrain.models import MLP, factory
from untrain.models.weights import load_weights
from untrain.population import Population
from untrain.records import verify

Reader = Callable[[Path], Any]
MEMORY = 2**30
"""Bytes that a reader may need beyond what it begins with."""
_build = factory(MLP(), (5,), 3)


def weights(scale: Scale, folder: Path, inputs: Path) -> Iterator[Row]:
    """Read mutants of weights."""
    count = scale.of(150, 2600)
    yield from _population(folder, inputs, count, scale.seed)
    yield _record(folder, inputs, count, scale.seed + 1)
    yield _foreign(folder, inputs, count, scale.seed + 2)


def mutants(path: Path, count: int, seed: int) -> list[Mutant]:
    """Changes of a safetensors file that differ from it."""
    draw, data = np.random.default_rng(seed), path.read_bytes()
    made = (safetensors_mutant(data, draw) for _ in range(count))
    return [each for each in made if each[1] != data]


def _population(folder: Path, inputs: Path, count: int, seed: int) -> Iterator[Row]:
    """A file with a digest of its own."""
    path = folder / "population.safetensors"
    source = inputs / "population.safetensors"
    original, metadata = read_arrays(source)

    def attempt(mutant: Mutant) -> str:
        path.write_bytes(mutant[1])
        found = verdict(lambda: Population.load(path, _build))
        return _sameness(path, original, metadata) if found == "accepted" else found

    made = mutants(source, count, seed)
    found = each(made, attempt, memory=MEMORY)
    unguarded = each(made, lambda mutant: _unguarded(path, mutant, original), memory=MEMORY)
    bare = sum(one == "accepted changed" for one in unguarded)
    control = f"safetensors alone takes {bare:,} with other numbers, names or texts"
    yield _row("safetensors of a population, changed, through `Population.load`", made, found, control)


def _sameness(path: Path, original: dict[str, Any], metadata: dict[str, str] | None) -> str:
    with safetensors.safe_open(path, framework="numpy") as file:
        texts = dict(file.metadata() or {})
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    texts.pop("sha256", None)
    same = arrays.keys() == original.keys() and all(
        (arrays[name].dtype, arrays[name].shape, arrays[name].tobytes()) == (array.dtype, array.shape, array.tobytes())
        for name, array in original.items()
    )
    return "accepted, equal" if same and (metadata is None or texts == metadata) else "accepted changed"


def _unguarded(path: Path, mutant: Mutant, original: dict[str, Any]) -> str:
    path.write_bytes(mutant[1])
    try:
        return _sameness(path, original, None)
    except Exception:  # noqa: BLE001 (whatever a library raises)
        return "refused"


def _record(folder: Path, inputs: Path, count: int, seed: int) -> Row:
    """A file whose digest stands in a record."""
    home = folder / "request"
    shutil.copytree(inputs / "request", home)
    path = home / "model.safetensors"
    made = mutants(path, count, seed)

    def attempt(mutant: Mutant) -> str:
        path.write_bytes(mutant[1])
        return verdict(lambda: verify(home).insist())

    found = ["accepted changed" if one == "accepted" else one for one in each(made, attempt, memory=MEMORY)]
    return _row("safetensors of a record, changed, through `verify`", made, found)


def _foreign(folder: Path, inputs: Path, count: int, seed: int) -> Row:
    """A file of one's own without a digest."""
    path, source = folder / "foreign.safetensors", folder / "plain.safetensors"
    original = read_arrays(inputs / "model.safetensors")[0]
    source.write_bytes(safetensors.numpy.save(original))
    made = mutants(source, count, seed)

    def attempt(mutant: Mutant) -> str:
        path.write_bytes(mutant[1])
        found = verdict(lambda: load_weights(_build(), path))
        return _sameness(path, original, None) if found == "accepted" else found

    found = each(made, attempt, memory=MEMORY)
    changed = sum(one == "accepted changed" for one in found)
    row = _row("safetensors of one's own, without a digest, changed, through `--weights`", made, found)
    return Row(
        row.what,
        row.attempts,
        f"crashes, hangs and other exceptions {len(row.findings)}; loaded with other numbers {changed:,}, since nothing "
        "says which are right",
        "crashes, hangs and other exceptions 0",
        not row.findings,
        findings=row.findings,
    )


def _row(what: str, made: list[Mutant], found: list[str], control: str = "") -> Row:
    kinds = Counter(one if one.startswith(("accepted", "refused")) else "other" for one in found)
    pairs = [(one, mutant[0]) for mutant, one in zip(made, found, strict=True)]
    other = [pair for pair in pairs if not pair[0].startswith(("accepted", "refused"))]
    silent = [pair for pair in pairs if pair[0] == "accepted changed"]
    equal = f", taken with all numbers and texts as they were {kinds['accepted, equal']}" * bool(
        kinds["accepted, equal"]
    )
    counts_silent = "one's own" not in what
    return Row(
        what,
        len(made),
        f"silently taken {len(silent)}, crashes, hangs and other exceptions {len(other)}{equal}",
        "0, 0",
        not other and not (silent and counts_silent),
        control,
        counted([*(silent if counts_silent else []), *other]),
    )


def flips(scale: Scale, folder: Path, inputs: Path) -> Iterator[Row]:
    """Flip single bits in the directory of a signed request."""
    from untrain.records import sign

    home = folder / "request"
    shutil.copytree(inputs / "request", home)
    sign(home, inputs / "private.pem")
    draw = np.random.default_rng(scale.seed)
    files = sorted(path for path in home.rglob("*") if path.is_file())
    contents = {path: path.read_bytes() for path in files}
    places = [files[int(row)] for row in draw.integers(len(files), size=scale.of(60, 1400))]
    changes = [(path, single_flip(contents[path], draw)) for path in places]

    def attempt(change: tuple[Path, bytes]) -> str:
        change[0].write_bytes(change[1])
        try:
            return verdict(lambda: verify(home, public_key=inputs / "public.pem").insist())
        finally:
            change[0].write_bytes(contents[change[0]])

    assert verify(home, public_key=inputs / "public.pem").ok
    found = each(changes, attempt)
    missed = [(one, path.name) for (path, _), one in zip(changes, found, strict=True) if one == "accepted"]
    names = ", ".join(f"`{path.name}`" for path in files)
    yield Row(
        f"one bit flipped in {names}",
        len(changes),
        f"found {len(changes) - len(missed):,}",
        "all",
        not missed,
        findings=counted(missed),
    )
    assert verify(home).ok
