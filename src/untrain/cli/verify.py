"""`untrain verify`: whether a record still holds."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import OptionalFile, option
from untrain.cli.terminal import print_text


def verify(
    directory: tyro.conf.Positional[Annotated[Path, option("DIR")]],
    key: OptionalFile = None,
    ids: OptionalFile = None,
    data: Annotated[str | None, option("SOURCE")] = None,
    subject: Annotated[tuple[str, ...], option("NAME")] = (),
    public_key: OptionalFile = None,
) -> None:
    """Verify that a record, its model and the earlier records are unchanged.

    Examples:
        untrain verify forgotten
        untrain verify forgotten --ids ids.txt --key request.key
        untrain verify forgotten --ids ids.txt --data train.parquet
        untrain verify forgotten --public-key public.pem

    Args:
        directory: directory that `untrain forget` wrote
        key: request.key of the request; default: the one in the directory
        ids: text file with ids, one per line, that should have been requested
        data: today's training data, to check that the ids still name what was forgotten; inputs are resized and
            normalized as the record says
        subject: persons or things that should have been named in a request
        public_key: PEM file with the ed25519 public key of the expected signer; needs the `sign` extra
    """
    from untrain.records import read_key, verify
    from untrain.report.record import EVIDENCE

    result = verify(
        directory,
        key=None if key is None else read_key(key),
        ids=None if ids is None else _read_ids(ids),
        contents=None if data is None else _contents(data, directory),
        subjects=subject or None,
        public_key=public_key,
    )
    print_text(*map(str, result.checks))
    result.insist()
    print_text(f"Nothing that was checked has changed. {EVIDENCE}")


def _read_ids(path: Path) -> list[str]:
    from untrain.data import read_ids  # loads what reads images and tables

    return read_ids(path)


def _contents(data: str, directory: Path) -> dict[str, str]:
    """Digests of inputs by id, of data that are prepared as the record says."""
    from untrain.data import Prepare, contents, load
    from untrain.records import read_record
    from untrain.records.directory import RECORD

    prepared = read_record(directory / RECORD).preparation
    transform = None if prepared is None else Prepare(prepared.size, prepared.mean, prepared.std)
    return contents(load(data, transform=transform))
