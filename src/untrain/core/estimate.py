"""A number with its interval."""

import msgspec

from untrain.core.text import percent


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number and the interval around it; what the interval promises is said where it is made.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.

    >>> print(Estimate(0.5, 0.25, 0.75))
    0.500 (0.250 to 0.750)
    >>> print(f"{Estimate(0.5, 0.25, 0.75):%}")
    50.00 % (25.00 % to 75.00 %)
    """

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        """`%` for percent, else the format of each number; default three decimals."""
        low, value, high = (
            percent(each) if spec == "%" else format(each, spec or ".3f") for each in (self.low, self.value, self.high)
        )
        return f"{value} ({low} to {high})"

    def __str__(self) -> str:
        return format(self)


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Standard deviations of one figure of many models.

    Attributes:
        within: of models of one original; None where no original has two.
        between: of originals, without what their models' own spread explains; None where there is one original.
    """

    within: float | None
    between: float | None
