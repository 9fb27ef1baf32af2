"""Texts from data, as they can be shown to a person on a terminal, in a table or on a page."""


def printable(text: str) -> str:
    r"""The text with every character that could not be seen, or could steer a terminal, written out.

    >>> print(printable("cat\x1b[2J"))
    cat\x1b[2J
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
