"""Sign the directory of a request. Make a key with `openssl genpkey -algorithm ed25519 -out private.pem`."""

from pathlib import Path

from untrain.core.files import sweep, write_file
from untrain.records.directory import ENVELOPE, RECORD
from untrain.records.dsse import signed, statement
from untrain.records.serialization import parse_record, read_regular, sha256_of_file
from untrain.records.verify import ALWAYS, PAGE_CHECK, verify


def sign(directory: str | Path, private_key: str | Path) -> Path:
    """Verify a directory and write its signature, in place of an earlier one.

    Args:
        directory: a directory that `write_record` wrote.
        private_key: PEM file with an unencrypted ed25519 key in PKCS #8.

    Returns:
        The path of the envelope.

    Raises:
        InputError: the directory or the key does not exist, or the envelope cannot be written.
        IntegrityError: the directory changed after it was written, or its page cannot be checked; nothing is signed.
        NotSupportedError: the extra is not installed.
    """
    directory = Path(directory)
    sweep(directory, [ENVELOPE])
    verify(directory).insist(PAGE_CHECK)
    record = parse_record(read_regular(directory / RECORD), directory / RECORD)
    digests = {name: sha256_of_file(directory / name).sha256 for name in ALWAYS}
    path = directory / ENVELOPE
    write_file(path, signed(statement(record, digests), private_key))
    return path
