"""`untrain verify`: whether a record still holds."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import Names, OptionalFile, option
from untrain.cli.terminal import print_text


def verify(
    directory: tyro.conf.Positional[Annotated[Path, option("DIR")]],
    key: OptionalFile = None,
    ids: OptionalFile = None,
    data: Annotated[str | None, option("SOURCE")] = None,
    label: Annotated[str | None, option("NAME")] = None,
    inputs: Annotated[str | None, option("NAMES")] = None,
    subject_column: Annotated[str | None, option("NAME")] = None,
    subject: Names = (),
    public_key: OptionalFile = None,
) -> None:
    """Verify that a record, its model and the earlier records are unchanged.

    Examples:
        untrain verify forgotten
        untrain verify forgotten --ids ids.txt --key request.key
        untrain verify forgotten --ids ids.txt --data train.parquet
        untrain verify forgotten --data next-training.parquet
        untrain verify forgotten --public-key public.pem

    Args:
        directory: directory that `untrain forget` wrote
        key: request.key of the request; default: the one in the directory
        ids: text file with ids, one per line, that should have been requested
        data: today's training data, to check that --ids still name what was forgotten or, without --ids, that nothing
            forgotten is in them; inputs are resized and normalized as the record says
        label: label column of a table, as the request read it
        inputs: input columns of a table, separated by commas, as the request read them
        subject_column: column that says whom a row belongs to, as the request read it
        subject: person or thing that should have been named in a request, one option each
        public_key: PEM file with the ed25519 public key of the expected signer; needs the `sign` extra
    """
    from untrain.records import read_key, verify
    from untrain.report.record import EVIDENCE

    result = verify(
        directory,
        key=None if key is None else read_key(key),
        ids=None if ids is None else _read_ids(ids),
        contents=None if data is None else _contents(directory, data, label, inputs, subject_column),
        subjects=subject or None,
        public_key=public_key,
    )
    print_text(*map(str, result.checks))
    result.insist()
    print_text(f"Nothing that was checked has changed. {EVIDENCE}")


def _read_ids(path: Path) -> list[str]:
    from untrain.data import read_ids  # loads what reads images and tables

    return read_ids(path)


def _contents(directory: Path, data: str, label: str | None, inputs: str | None, group: str | None) -> dict[str, str]:
    """Digests of inputs by id, of data that are prepared as the record says."""
    from untrain.data import Prepare, contents, load
    from untrain.records import read_record
    from untrain.records.directory import RECORD

    prepared = read_record(directory / RECORD).preparation
    transform = None if prepared is None else Prepare(prepared.size, prepared.mean, prepared.std)
    columns = None if inputs is None else inputs.split(",")
    return contents(load(data, transform=transform, label=label, inputs=columns, group=group))
