"""`untrain push`: a request on the Hugging Face hub."""

from pathlib import Path

import tyro

from untrain.cli.terminal import print_text


def push(directory: tyro.conf.Positional[Path], repository: tyro.conf.Positional[str], public: bool = False) -> None:
    """Put a model that forgot, its record and its page on the Hugging Face hub, without the key; needs untrain[hub].

    Args:
        directory: of the request, as `untrain forget` writes it; it is verified first.
        repository: OWNER/NAME; it is made if it does not exist.
        public: make it for everybody to see; default private. One that exists stays as it is.
    """
    from untrain.records.push import push_directory

    print_text(f"commit: {push_directory(directory, repository, private=not public)}")
