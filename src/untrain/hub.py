"""Weights from the Hugging Face hub, and directories of requests to it; needs the extra `hub`.

Only safetensors are fetched: nothing in such a file is run. What is fetched is put into a model by its exact keys, as a
file of one's own would be.
"""

import re
from pathlib import Path
from typing import Any

from untrain.errors import InputError, NotSupportedError, first_line
from untrain.records import verify
from untrain.records.directory import KEY

_ADDRESS = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+?))?/(?P<file>[\w.-]+(/[\w.-]+)*\.safetensors)"
)
"""`hf://owner/repo[@revision]/file.safetensors`; a revision without a slash, or the first part of one."""


def fetch_weights(address: str) -> Path:
    """Fetch a safetensors file, unless it is there already.

    Args:
        address: `hf://owner/repo/file.safetensors`, or `hf://owner/repo@revision/file.safetensors`.

    Returns:
        Where it lies.

    Raises:
        InputError: it is no such address, or the hub does not give the file.
        NotSupportedError: the extra is not installed.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or ".." in address:
        raise InputError(f"expected hf://owner/repo[@revision]/file.safetensors, got {address!r}")
    hub = _hub()
    try:
        return Path(hub.hf_hub_download(found["repository"], found["file"], revision=found["revision"]))
    except Exception as error:
        raise InputError(f"cannot fetch {address}: {first_line(error)}") from error


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
    hub = _hub()
    verify(directory).insist()
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        done = hub.upload_folder(repo_id=repository, folder_path=str(directory), ignore_patterns=[KEY, ".*"])
    except Exception as error:
        raise InputError(f"cannot put {directory} on the hub as {repository}: {first_line(error)}") from error
    return str(done)


def _hub() -> Any:  # noqa: ANN401 (a module that may not be there)
    try:
        import huggingface_hub
    except ImportError as error:
        raise NotSupportedError("expected the extra for the hub, got none: pip install 'untrain[hub]'") from error
    return huggingface_hub
