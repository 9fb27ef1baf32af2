"""`untrain push`: a request on the Hugging Face hub."""

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
    """Upload a model that forgot, its record and its page to the Hugging Face hub, without the key.

    The directory is verified first. Needs the `hub` extra.

    Examples:
        untrain push forgotten me/my-model

    Args:
        directory: directory that `untrain forget` wrote
        repository: repository on the hub, created if it does not exist
        public: make a new repository public instead of private
    """
    from untrain.records.push import push_directory

    print_text(f"commit: {push_directory(directory, repository, private=not public)}")
