"""Numbers and single values as people hold them: lists, arrays of NumPy, tensors. No other library is imported."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from untrain.data.examples import Array
from untrain.errors import InputError

_COMPUTABLE = {"u2": np.int32, "u4": np.int64, "u8": np.int64, "b1": np.uint8}
"""Replacements of the types that torch hardly computes with, by NumPy's short names; booleans count as bytes."""


@runtime_checkable
class _Tensor(Protocol):
    def detach(self) -> "_Tensor": ...
    def cpu(self) -> "_Tensor": ...
    def numpy(self) -> Array: ...


@runtime_checkable
class _Scalar(Protocol):
    ndim: int

    def item(self) -> object: ...


def some(names: Sequence[object]) -> str:
    """The first names of many, for a message.

    >>> some("abcdefg")
    'a, b, c, d, e, ...'
    """
    return ", ".join(str(name) for name in names[:5]) + (", ..." if len(names) > 5 else "") or "(none)"


def scalar(value: object) -> object:
    """A Python number or text for one of NumPy or torch; anything else as it is."""
    return value.item() if isinstance(value, _Scalar) and value.ndim == 0 else value


def scalars(values: object, what: str) -> list[object]:
    """A column of single values as a list of Python numbers and texts.

    Raises:
        InputError: there is more than one value for an example.
    """
    column = without_torch(values)
    if not isinstance(column, list | tuple):
        array = np.asarray(column)
        if array.ndim == 2 and array.shape[1] == 1:  # as one logit a sample wants them
            array = array[:, 0]
        if array.ndim != 1:
            raise InputError(
                f"Each example needs a single value in {what}, got an array of shape {array.shape}: pass "
                "class numbers, as .argmax(1) gives them of one-hot rows."
            )
        column = array.tolist()
    return [scalar(without_torch(value)) if hasattr(value, "ndim") else value for value in map(_alone, column)]


def _alone(value: object) -> object:
    """The only value of an array of one; anything else as it is."""
    return value[0] if getattr(value, "shape", None) == (1,) else value  # type: ignore[index]


def to_array(values: object, what: str) -> Array:
    """Numbers as an array of a type that torch computes with; not copied where that is not necessary.

    Raises:
        InputError: they are not numbers, are sparse, or do not form an array; the message names `what`.
    """
    if hasattr(values, "toarray"):
        raise InputError(f"{what} must be a dense array, got a sparse one: convert it with .toarray().")
    try:
        array = np.asarray(without_torch(values))
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(values, tuple | list) and all(getattr(value, "ndim", 0) > 1 for value in values):
            raise InputError(
                f"{what} are {len(values)} arrays: pass a dictionary of them, by the names that the model takes."
            ) from error
        raise InputError(f"{what} must hold numbers in the shape of an array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{what} must hold numbers, got {array.dtype}: convert texts and categories to numbers first.")
    return computable(array)


def computable(array: Array) -> Array:
    """The same numbers, of any shape, in a type that torch computes with.

    Raises:
        InputError: an integer is 2 ** 63 or more.
    """
    kind = array.dtype.str[1:]
    if kind == "u8" and array.size and array.max() > np.iinfo(np.int64).max:
        raise InputError(f"Integers must be below 2 ** 63, got {array.max()}.")
    # Extended precision is what torch does not have either.
    wanted = np.float64 if array.dtype.kind == "f" and array.dtype.itemsize > 8 else _COMPUTABLE.get(kind)
    return array.astype(wanted or array.dtype.newbyteorder("="), copy=False)


def stacked(values: Sequence[object], what: str) -> Array:
    """One array `[n, ...]` of inputs that are arrays, tensors, lists or numbers.

    Raises:
        InputError: one of them is not numbers, or has another shape than the first.
    """
    arrays = [to_array(value, f"{what}, row {row},") for row, value in enumerate(values)]
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"All inputs must have one shape, got {array.shape} in {what}, row {row}, and {arrays[0].shape} in "
                "row 0: pad or cut them."
            )
    return computable(np.stack(arrays))


def without_torch(values: object) -> object:
    """Values of a tensor as an array of NumPy; anything else as it is."""
    return values.detach().cpu().numpy() if isinstance(values, _Tensor) else values
