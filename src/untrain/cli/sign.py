"""`untrain sign`: a signature over a record."""

from pathlib import Path

import tyro

from untrain.cli.terminal import print_text


def sign(directory: tyro.conf.Positional[Path], key: Path) -> None:
    """Sign a record, its model and its page: record.dsse.json, an in-toto statement in a DSSE envelope.

    Args:
        directory: of the request, as `untrain forget` writes it.
        key: ed25519 in a PEM file, as `openssl genpkey -algorithm ed25519 -out private.pem` makes it; needs
            untrain[sign].
    """
    from untrain.records import sign as put_signature

    print_text(f"signature: {put_signature(directory, key)}")
