"""One number that caps the memory of decoded examples: a file of a few kilobytes can hold gigabytes."""

from untrain.errors import InputError

MEMORY_LIMIT = 4.0
"""Default limit in GB (10 ** 9 bytes)."""
ROW_BYTES = 100
"""What the id and the label of an example take, roughly."""


def check_memory(needed: float, limit: float, what: str) -> None:
    """Refuse data before they are decoded.

    Args:
        needed: bytes that they take once they are decoded.
        limit: in GB.
        what: the data, for the message.

    Raises:
        InputError: they take more than the limit.
    """
    if not needed <= limit * 1e9:
        raise InputError(
            f"{what} would take {needed / 1e9:.1f} GB of memory once decoded, and the limit is {limit:g} GB: read less "
            "of it, or raise the limit with memory_limit= (--memory-limit)."
        )
