"""Drawing as SVG text: scales, axes and labels that do not overlap. Colors are those of the page, through classes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

LETTER = 6.6
"""Width of a letter of a label in pixels, about."""
LINE = 13.0
"""Height of a label in pixels."""
_DIGITS = 1


def element(name: str, content: object = "", **attributes: object) -> Markup:
    """An element of SVG; content and attributes are escaped unless they are marked as safe."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{escape(content)}</{name}>")  # noqa: S704 (escaped)


def _short(value: object) -> object:
    return f"{round(value, _DIGITS):g}" if isinstance(value, float) else value


def drawing(width: float, height: float, parts: Iterable[Markup], description: str) -> Markup:
    """The whole picture, with a description for those who do not see it."""
    return element(
        "svg",
        Markup("").join(parts),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        role="img",
        aria_label=description,
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    """A line through points, as the value of `d`."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


@dataclass(frozen=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: value at `start`.
        high: value at `end`.
        start: pixel.
        end: pixel.
        log: whether equal factors have equal lengths; `low` is above 0 then.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside are put at the ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Some round values between the ends."""
        return _log_ticks(self.low, self.high) if self.log else _even_ticks(self.low, self.high)

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, *, log: bool = False) -> "Scale":
        """A scale with some room around the values."""
        low, high = min(values), max(values)
        if log:
            return cls(low / 1.5, high * 1.5, start, end, log)
        room = 0.06 * (high - low) or max(abs(high), 1) * 0.05
        return cls(low - room, high + room, start, end)


def _even_ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    for factors in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if len(ticks) <= 7:
            break
    return ticks or [low]


def axes(x: Scale, y: Scale, x_label: str, y_label: str) -> list[Markup]:
    """Grid, ticks and the names of both axes; that of the vertical one stands above it."""
    parts = [element("text", y_label, x=x.start - 30, y=y.end - 12, class_="name")]
    for tick in y.ticks():
        parts.append(element("path", d=path([(x.start, y(tick)), (x.end, y(tick))]), class_="grid"))
        parts.append(element("text", f"{tick:g}", x=x.start - 6, y=y(tick) + 4, class_="end"))
    for tick in x.ticks():
        parts.append(element("path", d=path([(x(tick), y.start), (x(tick), y.start + 4)]), class_="grid"))
        parts.append(element("text", f"{tick:g}", x=x(tick), y=y.start + 17, class_="middle"))
    parts.append(element("path", d=path([(x.start, y.start), (x.end, y.start)]), class_="axis"))
    parts.append(element("text", x_label, x=x.end, y=y.start + 34, class_="end"))
    return parts


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass
class Labels:
    """Names beside points, each where it covers the least of what is there.

    Attributes:
        left: the least pixel that a label may have.
        right: the largest.
        top: likewise.
        bottom: likewise.
    """

    left: float
    right: float
    top: float
    bottom: float
    _taken: list[Box] = field(default_factory=list)

    def keep_clear(self, box: Box) -> None:
        """Let labels go round a box."""
        self._taken.append(box)

    def place(self, name: str, x: float, y: float) -> list[Markup]:
        """The label of the point, with a line where it had to go away."""
        wide = LETTER * len(name)
        candidates = [
            (column, row)
            for far in (0.0, 14.0, 28.0, 42.0, 60.0)
            for row in (y - far, y + far)
            for column in (x + 9, x - 9 - wide, x - wide / 2)
            if far or column != x - wide / 2
        ]  # fmt: skip
        fitting = [place for place in candidates if self._inside(place, wide)] or candidates[:1]
        column, row = min(fitting, key=lambda place: self._covered(_box(place, wide)))
        self.keep_clear(_box((column, row), wide))
        parts = [element("text", name, x=column, y=row + 4, class_="name")]
        if abs(row - y) > LINE:
            near = min(max(x, column), column + wide)
            edge = row - LINE / 2 if row > y else row + LINE / 2
            parts.append(element("path", d=path([(x, y), (near, edge)]), class_="lead"))
        return parts

    def _inside(self, place: tuple[float, float], wide: float) -> bool:
        left, top, right, bottom = _box(place, wide)
        return left >= self.left and right <= self.right and top >= self.top and bottom <= self.bottom

    def _covered(self, box: Box) -> float:
        """Pixels of what is there that a box would cover; the first of equally good places is taken."""
        return sum(
            max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
            * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
            for other in self._taken
        )


def _box(place: tuple[float, float], wide: float) -> Box:
    return (place[0], place[1] - LINE / 2, place[0] + wide, place[1] + LINE / 2)
