"""`untrain verify`: whether a record still holds."""

from pathlib import Path

import tyro

from untrain.cli.terminal import print_text

_MARKS = {True: "ok", False: "FAILED", None: "not checked"}


def verify(
    directory: tyro.conf.Positional[Path],
    key: Path | None = None,
    forget: Path | None = None,
    public_key: Path | None = None,
) -> None:
    """Check that a record, its model and the records before it are what was written.

    Args:
        directory: of the request, as `untrain forget` writes it.
        key: the request.key of the request; default the one in the directory, if it is there.
        forget: a text file with an id on each line, to see whether they were asked to be forgotten.
        public_key: of who should have signed, ed25519 in a PEM file; needs untrain[sign].
    """
    from untrain.data import read_ids
    from untrain.records import read_key
    from untrain.records import verify as look
    from untrain.report.record import EVIDENCE

    found = look(
        directory,
        key=None if key is None else read_key(key),
        ids=None if forget is None else read_ids(forget),
        public_key=public_key,
    )
    print_text(*(f"{_MARKS[check.ok]:11}  {check.what:10}  {check.words}" for check in found.checks))
    found.insist()
    print_text(f"Nothing that was checked has changed. {EVIDENCE}")
