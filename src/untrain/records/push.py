"""Directories of requests on the Hugging Face hub; needs the extra `hub`."""

from pathlib import Path

from untrain.core.extras import extra
from untrain.errors import InputError, first_line
from untrain.records.directory import KEY
from untrain.records.verify import verify


def push_directory(directory: str | Path, repository: str, *, private: bool = True) -> str:
    """Put the directory of a request on the hub, without its key.

    Args:
        directory: as `Forgotten.save` makes it; it is verified first.
        repository: `owner/repo`; it is made if it does not exist.
        private: whether a repository that is made is private.

    Returns:
        The address of the commit.

    Raises:
        InputError: the hub refuses.
        IntegrityError: something in the directory is not what was written.
        NotSupportedError: the extra is not installed.
    """
    hub = extra("hub", "huggingface_hub")
    verify(directory).insist()
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        done = hub.upload_folder(repo_id=repository, folder_path=str(directory), ignore_patterns=[KEY, ".*"])
    except Exception as error:
        raise InputError(f"cannot put {directory} on the hub as {repository}: {first_line(error)}") from error
    return str(done)
