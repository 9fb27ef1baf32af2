"""`untrain push`: a model that forgot, or was repaired, on the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import Flag, option
from untrain.cli.terminal import print_text


def push(
    directory: tyro.conf.Positional[Annotated[Path, option("DIR")]],
    repository: tyro.conf.Positional[Annotated[str, option("OWNER/NAME")]],
    public: Flag = False,
) -> None:
    """Upload a model that forgot with its record and page, or a repaired snapshot, to the Hugging Face hub.

    The directory is verified first. Not uploaded are the key, and the files of a repair that name examples; its model
    card says what was removed and why. Needs the `hub` extra.

    Examples:
        untrain push forgotten me/my-model
        untrain push repaired me/my-model --public

    Args:
        directory: directory that `untrain forget` wrote, or `untrain repair` of a published model
        repository: repository on the hub, created if it does not exist
        public: make a new repository public instead of private
    """
    from untrain.records.push import push_directory

    print_text(f"commit: {push_directory(directory, repository, private=not public)}")
