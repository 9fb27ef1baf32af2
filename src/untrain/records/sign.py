"""Sign the directory of a request; a key is made by `openssl genpkey -algorithm ed25519 -out private.pem`."""

from pathlib import Path

from untrain.core.files import sweep, write_file
from untrain.records.directory import ENVELOPE, RECORD
from untrain.records.dsse import signed, statement
from untrain.records.record import parse_record, read_regular, sha256_of_file
from untrain.records.verify import ALWAYS, verify


def sign(directory: str | Path, private_key: str | Path) -> Path:
    """Write a detached signature beside the record, in place of one that is there; nothing damaged is signed.

    Args:
        directory: as `write_record` makes it.
        private_key: a PEM file with an ed25519 key in PKCS #8, not encrypted.

    Returns:
        The path of the envelope.

    Raises:
        InputError: there is no such directory or key, or the file system refused.
        IntegrityError: something in the directory is not what was written.
        NotSupportedError: the extra is not installed.
    """
    directory = Path(directory)
    sweep(directory, [ENVELOPE])
    verify(directory).insist()
    record = parse_record(read_regular(directory / RECORD), directory / RECORD)
    digests = {name: sha256_of_file(directory / name).sha256 for name in ALWAYS}
    path = directory / ENVELOPE
    write_file(path, signed(statement(record, digests), private_key))
    return path
