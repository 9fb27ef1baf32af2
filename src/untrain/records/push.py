"""Upload the directory of a request, or of a repaired snapshot, to the Hugging Face hub. Needs the extra `hub`."""

import json
from pathlib import Path

from untrain.core.extras import extra
from untrain.errors import InputError, IntegrityError, first_line
from untrain.records.directory import KEY, MODEL, RECORD
from untrain.records.serialization import read_regular, sha256_of_file
from untrain.records.verify import PAGE_CHECK, verify

CARD, CONFIG, REPAIR = "README.md", "config.json", "repair.json"
HEADING = "## Repaired with untrain"
"""Of the section that a repair adds to a model card."""
_WITH_IDS = (REPAIR, "suspects.*", "pictures.sqlite*")
"""Files of a repair, and of a review that was put beside it, that name or show examples; they are not uploaded."""


def push_directory(directory: str | Path, repository: str, *, private: bool = True) -> str:
    """Upload a directory to the hub: of a request without its key, of a repair without what names examples.

    Args:
        directory: a directory that `Forgotten.save` wrote, which is verified first; or a snapshot that `untrain repair`
            wrote of a published model, whose weights must be those of the repair and whose card must tell of it.
        repository: `owner/name`, created if it does not exist.
        private: whether a new repository is private.

    Returns:
        The address of the commit.

    Raises:
        InputError: it is no such directory; the repair was refused, so the weights are the original's; or the hub
            refuses the upload.
        IntegrityError: the directory changed after it was written.
        NotSupportedError: the extra is not installed.
    """
    hub, directory = extra("hub", "huggingface_hub"), Path(directory)
    if (directory / REPAIR).exists() and not (directory / RECORD).exists():
        _check_repaired(directory)
        ignored = [*_WITH_IDS, ".*"]
    else:
        verify(directory).insist(PAGE_CHECK)
        ignored = [KEY, ".*"]
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        commit = hub.upload_folder(repo_id=repository, folder_path=str(directory), ignore_patterns=ignored)
    except Exception as error:
        raise InputError(f"{directory} cannot be uploaded to {repository} on the hub: {first_line(error)}") from error
    return str(commit)


def _check_repaired(directory: Path) -> None:
    """Check that a directory is a snapshot whose weights were repaired, and that its card says so."""
    try:
        repair = json.loads(read_regular(directory / REPAIR))
        accepted, weights = bool(repair["accepted"]), repair["model_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{directory / REPAIR} is not what `untrain repair` writes: run it again.") from error
    if not accepted:
        raise InputError(f"The repair in {directory} was refused, so its weights are the original's: nothing to push.")
    for name in (CONFIG, CARD):
        if not (directory / name).is_file():
            raise InputError(
                f"{directory} holds no {name}, so it is no snapshot: repair a published model, by its address "
                "(--model hf://...) or its directory."
            )
    if HEADING not in read_regular(directory / CARD).decode(errors="replace"):
        raise InputError(f"{directory / CARD} lacks the section {HEADING!r}, which says what was removed; restore it.")
    if (digest := sha256_of_file(directory / MODEL).sha256) != weights:
        raise IntegrityError(f"{directory / MODEL} has the digest {digest}, and the repair wrote {weights}.")
