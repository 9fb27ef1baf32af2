"""`untrain sign`: a signature of a record."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import File, option
from untrain.cli.terminal import print_text


def sign(directory: tyro.conf.Positional[Annotated[Path, option("DIR")]], key: File) -> None:
    """Sign a record, its model and its page. Needs the `sign` extra.

    Verifies the directory and writes record.dsse.json, an in-toto statement in a DSSE envelope. Make a key with
    `openssl genpkey -algorithm ed25519 -out private.pem`.

    Examples:
        untrain sign forgotten --key private.pem

    Args:
        directory: directory that `untrain forget` wrote
        key: PEM file with an unencrypted ed25519 private key
    """
    from untrain.records import sign

    print_text(f"signature: {sign(directory, key)}")
