"""Damaged and made-up weights, through every reader that users have.

Where a file carries a digest, as all that untrain writes does, nothing that differs in a name, a type, a shape, a
number or a text may be taken. A file of one's own without a digest is another matter: if the numbers are changed and
the file is in order, nobody can see it. Then only what is promised counts: an error of untrain's or a load, no crash,
no hang, no other exception. A digest is against accidents: whoever changes a file may compute it anew; a record is
signed against that.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tests.reliability.children import each, verdict
from tests.reliability.conftest import Finding, Report
from tests.reliability.mutants import Mutant, safetensors_mutant, single_flip
from untrain.core.files import read_arrays
from untrain.models import MLP, factory
from untrain.models.weights import load_weights
from untrain.population import Population
from untrain.records import sign, verify

MEMORY = 2**30
"""Bytes that a reader may need beyond what it begins with."""
_build = factory(MLP(), (5,), 3)


def _mutants(path: Path, count: int) -> list[Mutant]:
    """Changes of a safetensors file that differ from it."""
    draw, data = np.random.default_rng(0), path.read_bytes()
    made = (safetensors_mutant(data, draw) for _ in range(count))
    return [mutant for mutant in made if mutant[1] != data]


def test_a_population_with_other_numbers_is_refused(full: bool, tmp_path: Path, inputs: Path, report: Report) -> None:
    path, source = tmp_path / "population.safetensors", inputs / "population.safetensors"
    original, metadata = read_arrays(source)

    def attempt(mutant: Mutant) -> str:
        path.write_bytes(mutant[1])
        ending = verdict(lambda: Population.load(path, _build))
        return _sameness(path, original, metadata) if ending == "accepted" else ending

    made = _mutants(source, 2600 if full else 150)
    endings = each(made, attempt, memory=MEMORY)
    unguarded = each(made, lambda mutant: _unguarded(path, mutant, original), memory=MEMORY)
    control = {"safetensors alone takes with other numbers, names or texts": unguarded.count("accepted changed")}
    assert any(control.values())
    what = "safetensors of a population, changed, through `Population.load`"
    report(what, len(made), _wrong(made, endings), _equal(endings), control)


def test_the_model_of_a_record_with_other_numbers_is_refused(
    full: bool, tmp_path: Path, inputs: Path, report: Report
) -> None:
    home = tmp_path / "request"
    shutil.copytree(inputs / "request", home)
    path = home / "model.safetensors"
    made = _mutants(path, 2600 if full else 150)

    def attempt(mutant: Mutant) -> str:
        path.write_bytes(mutant[1])
        return verdict(lambda: verify(home).insist())

    endings = each(made, attempt, memory=MEMORY)
    endings = ["accepted changed" if ending == "accepted" else ending for ending in endings]
    report("safetensors of a record, changed, through `verify`", len(made), _wrong(made, endings))


def test_weights_without_a_digest_load_or_are_refused(full: bool, tmp_path: Path, inputs: Path, report: Report) -> None:
    path, source = tmp_path / "foreign.safetensors", tmp_path / "plain.safetensors"
    original = read_arrays(inputs / "model.safetensors")[0]
    source.write_bytes(safetensors.numpy.save(original))
    made = _mutants(source, 2600 if full else 150)

    def attempt(mutant: Mutant) -> str:
        path.write_bytes(mutant[1])
        ending = verdict(lambda: load_weights(_build(), path))
        return _sameness(path, original, None) if ending == "accepted" else ending

    endings = each(made, attempt, memory=MEMORY)
    wrong = _wrong(made, endings)
    wrong.pop("silently taken")
    changed = {"loaded with other numbers, since nothing says which are right": endings.count("accepted changed")}
    what = "safetensors of one's own, without a digest, changed, through `--weights`"
    report(what, len(made), wrong, _equal(endings) | changed)


def test_one_flipped_bit_in_a_signed_request_is_found(full: bool, tmp_path: Path, inputs: Path, report: Report) -> None:
    home = tmp_path / "request"
    shutil.copytree(inputs / "request", home)
    sign(home, inputs / "private.pem")
    draw = np.random.default_rng(0)
    files = sorted(path for path in home.rglob("*") if path.is_file())
    contents = {path: path.read_bytes() for path in files}
    places = [files[int(row)] for row in draw.integers(len(files), size=1400 if full else 60)]
    changes = [(path, single_flip(contents[path], draw)) for path in places]

    def attempt(change: tuple[Path, bytes]) -> str:
        change[0].write_bytes(change[1])
        try:
            return verdict(lambda: verify(home, public_key=inputs / "public.pem").insist())
        finally:
            change[0].write_bytes(contents[change[0]])

    assert verify(home, public_key=inputs / "public.pem").ok
    endings = each(changes, attempt)
    missed = [(end, path.name) for (path, _), end in zip(changes, endings, strict=True) if end == "accepted"]
    names = ", ".join(f"`{path.name}`" for path in files)
    report(f"one bit flipped in {names}", len(changes), {"not found": missed})
    assert verify(home).ok


def _wrong(made: list[Mutant], endings: list[str]) -> dict[str, list[Finding]]:
    """Mutants that were taken, and mutants that ended otherwise than in an error of untrain's."""
    findings = [(ending, mutant[0]) for mutant, ending in zip(made, endings, strict=True)]
    return {
        "silently taken": [finding for finding in findings if finding[0] == "accepted changed"],
        "crashes, hangs and other exceptions": [
            finding for finding in findings if not finding[0].startswith(("accepted", "refused"))
        ],
    }


def _equal(endings: list[str]) -> dict[str, int]:
    return {"taken with all numbers and texts as they were": endings.count("accepted, equal")}


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
