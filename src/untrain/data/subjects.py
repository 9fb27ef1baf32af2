"""The examples of a subject: the person or thing that a request is about."""

from collections.abc import Iterable

import numpy as np

from untrain.data.arrays import some
from untrain.data.examples import Examples
from untrain.errors import InputError


def subject_names(subjects: Iterable[str]) -> tuple[str, ...]:
    """Names of subjects as texts.

    Raises:
        InputError: they are a single text, whose letters would be taken for names; or one is empty, as rows without a
            name are nobody's.
    """
    if isinstance(subjects, str):
        raise InputError(f"subjects must be a list of names, not the single text {subjects!r}: pass [{subjects!r}].")
    names = tuple(map(str, subjects))
    if not all(map(str.strip, names)):
        raise InputError("The name of a subject is empty, and rows without a name are nobody's: name each subject.")
    return names


def ids_of_subjects(examples: Examples, subjects: Iterable[str]) -> list[str]:
    """Ids of all examples of some subjects, in the order of the examples.

    Args:
        examples: with groups; the group of an example is its subject.
        subjects: names as the groups have them.

    Raises:
        InputError: the examples have no groups, or none of a subject; or no subject is given.

    >>> data = Examples.of(np.zeros((3, 2)), [0, 1, 0], ["x", "y", "z"], groups=["ann", "bob", "ann"])
    >>> ids_of_subjects(data, ["ann"])
    ['x', 'z']
    """
    wanted = subject_names(subjects)
    if not wanted:
        raise InputError("The list of subjects is empty; name at least one.")
    if examples.groups is None:
        raise InputError(
            "The examples do not say which subject they belong to: give them groups, or name the column of the "
            "subjects (--subject-column)."
        )
    groups = np.unique(examples.groups).tolist()
    known = set(groups)
    for name in wanted:
        if name not in known:
            hint = f" Did you mean {name.strip()!r}?" if name.strip() in known else ""
            raise InputError(
                f"There is no example of the subject {name!r} among {len(groups)} subjects such as {some(groups[:3])}."
                f"{hint}"
            )
    return [str(name) for name in examples.ids[np.isin(examples.groups, wanted)]]
