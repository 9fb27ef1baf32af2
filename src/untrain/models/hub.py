"""Weights and snapshots from the Hugging Face hub; needs the extra `hub` or `hf`.

Only safetensors are fetched: nothing in such a file is run. What is fetched is put into a model by its exact keys, as a
file of one's own would be.
"""

import re
from pathlib import Path

from untrain.core.extras import extra
from untrain.errors import InputError, first_line

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
    parts = _ADDRESS.fullmatch(address)
    if parts is None or ".." in address:
        raise InputError(f"An address of weights must be hf://OWNER/REPO[@REVISION]/FILE.safetensors, got {address!r}.")
    hub = extra("hub", "huggingface_hub")
    try:
        return Path(hub.hf_hub_download(parts["repository"], parts["file"], revision=parts["revision"]))
    except Exception as error:
        raise InputError(f"{address} cannot be fetched: {first_line(error)}") from error


_SNAPSHOT = re.compile(
    r"hf://((?P<data>datasets/)|(?!datasets/))(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?"
)
_PATTERNS = {
    "model": ["*.json", "*.safetensors", "*.txt", "*.model", "README.md"],
    "dataset": ["*.parquet", "*.csv", "*.json", "*.jsonl", "*.txt", "README.md"],
}
"""Which files are fetched; none is code or a pickle."""


def fetch_snapshot(address: str) -> Path:
    """Fetch a model or a data set, unless it is there already; no file of it is code.

    Args:
        address: `hf://ORG/MODEL[@REVISION]` or `hf://datasets/ORG/SET[@REVISION]`.

    Returns:
        Its directory.

    Raises:
        InputError: it is no such address, or the hub does not give it.
        NotSupportedError: the extra is not installed.
    """
    parts = _SNAPSHOT.fullmatch(address)
    if parts is None or ".." in address:
        raise InputError(f"An address must be hf://ORG/MODEL or hf://datasets/ORG/SET, got {address!r}.")
    hub, kind = extra("hf", "huggingface_hub"), "dataset" if parts["data"] else "model"
    try:
        return Path(
            hub.snapshot_download(
                parts["repository"], repo_type=kind, revision=parts["revision"], allow_patterns=_PATTERNS[kind]
            )
        )
    except Exception as error:
        raise InputError(f"{address} cannot be fetched: {first_line(error)}") from error
