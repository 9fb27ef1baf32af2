"""Upload the directory of a request to the Hugging Face hub. Needs the extra `hub`."""

from pathlib import Path

from untrain.core.extras import extra
from untrain.errors import InputError, first_line
from untrain.records.directory import KEY
from untrain.records.verify import PAGE_CHECK, verify


def push_directory(directory: str | Path, repository: str, *, private: bool = True) -> str:
    """Upload the directory of a request to the hub, without its key.

    Args:
        directory: a directory that `Forgotten.save` wrote. It is verified first.
        repository: `owner/name`, created if it does not exist.
        private: whether a new repository is private.

    Returns:
        The address of the commit.

    Raises:
        InputError: the hub refuses the upload.
        IntegrityError: the directory changed after it was written.
        NotSupportedError: the extra is not installed.
    """
    hub = extra("hub", "huggingface_hub")
    verify(directory).insist(PAGE_CHECK)
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        commit = hub.upload_folder(repo_id=repository, folder_path=str(directory), ignore_patterns=[KEY, ".*"])
    except Exception as error:
        raise InputError(f"cannot upload {directory} to {repository} on the hub: {first_line(error)}") from error
    return str(commit)
