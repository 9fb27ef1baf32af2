"""Drawn faces: photographs of an invented person at an age.

A person keeps the shape and colors of the face, the hair, the clothes, the room and the lamp. From one photograph to
the next the pose, the expression, the light, the colors of the room and the noise of the sensor change. Age grays and
thins the hair, furrows and discolors the skin, pales cheeks and lips, and widens the jaw, all of it more evenly over
the years than in life: at 32x32 pixels little else would be seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untrain.core.randomness import Streams
from untrain.data.examples import Array

SIDE = 64
"""Height and width in pixels of a photograph."""
YOUNG, OLD = 20, 80
"""Years between which faces age."""

_ROOM_CHANGES = 20.0
"""Standard deviation of the color of the room from one photograph to the next, of 255."""
_NOISE = 6.0
"""Standard deviation of the sensor's noise, of 255."""

Plane = Array
"""float32, one number for each pixel: half the memory traffic of float64, which takes most of the time."""
Color = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Looks:
    """Properties that several parts of a face share; lengths in halves of a photograph.

    Attributes:
        age: 0 at `YOUNG`, 1 at `OLD`.
        width: half of the head, likewise `height`.
        eye_level: height of the eyes, downwards from the middle of the face.
    """

    age: float
    male: bool
    width: float
    height: float
    skin: Color
    hair: Color
    long_hair: bool
    eye_level: float
    eyes_apart: float


def photographs(streams: Streams, years: float, male: bool, count: int) -> npt.NDArray[np.uint8]:
    """Draw photographs of one person.

    Args:
        streams: streams of the person, who stays the same at every age.
        years: age that the face shows.
        male: whether the hair is mostly short, thins, and may grow as a beard.
        count: number of photographs.

    Returns:
        `[count, 64, 64, 3]`, RGB.

    Cost: 20 ms for 30 photographs.
    """
    looks = _looks(streams.generator("looks"), years, male)
    sheet = _Sheet(streams.generator("pose"), count)
    _room(sheet, streams.generator("room"))
    _body(sheet, looks, streams.generator("body"))
    _head(sheet, looks, streams.generator("head"))
    _eyes(sheet, looks, streams.generator("eyes"))
    _nose_and_mouth(sheet, looks, streams.generator("mouth"))
    _hair(sheet, looks, streams.generator("hair"))
    _light(sheet, streams.generator("light"))
    return np.moveaxis(np.clip(sheet.pixels, 0, 255).astype(np.uint8), 0, -1)


def _looks(draw: np.random.Generator, years: float, male: bool) -> _Looks:
    age = float(np.clip((years - YOUNG) / (OLD - YOUNG), -0.1, 1.1))
    skin = _mixed((232, 190, 158), (150, 104, 74), draw.beta(1.5, 3)) * draw.uniform(0.95, 1.03, 3)
    skin = _mixed(skin, float(skin.mean()) * np.array((1.02, 0.98, 0.86)), 0.35 * age) * (1 - 0.1 * age)
    gray = np.clip((years - 25 + draw.normal(0, 2)) / 50, 0, 1)
    return _Looks(
        age=age,
        male=male,
        width=draw.uniform(0.46, 0.56),
        height=draw.uniform(0.64, 0.76),
        skin=skin,
        hair=_mixed(_mixed((18, 14, 12), (96, 60, 36), draw.beta(1, 3)), (205, 205, 208), gray),
        long_hair=draw.random() < (0.1 if male else 0.75),
        eye_level=draw.uniform(-0.1, -0.04),
        eyes_apart=draw.uniform(0.17, 0.23),
    )


class _Sheet:
    """All photographs of a person, drawn side by side.

    Attributes:
        draw: random numbers of what changes from one photograph to the next.
        pixels: `[3, K, 64, 64]`, red, green and blue of K photographs, 0 to 255 and beyond until they are clipped.
        x: `[64, 64]` -1 to 1 from left to right, likewise `y` downwards.
        u: `[K, 64, 64]` the same in the frame of the head, which is shifted, turned and scaled, likewise `v`.
        face_u: the same in the frame of eyes, nose and mouth, which look a little aside, likewise `face_v`.
    """

    def __init__(self, draw: np.random.Generator, count: int) -> None:
        self.draw, self.count = draw, count
        self.pixels = np.zeros((3, count, SIDE, SIDE), np.float32)
        line = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
        self.x, self.y = np.meshgrid(line, line)
        scale, turn = np.exp(self.normal(0.05)), self.normal(0.08)
        across, down = (self.x - self.normal(0.04)) / scale, (self.y - 0.04 - self.normal(0.04)) / scale
        self.u = np.cos(turn) * across + np.sin(turn) * down
        self.v = np.cos(turn) * down - np.sin(turn) * across
        self.face_u, self.face_v = self.u - self.normal(0.03), self.v - self.normal(0.03)

    def normal(self, deviation: float) -> Plane:
        """A normal number for each photograph, `[K, 1, 1]`."""
        return self.draw.normal(0, deviation, (self.count, 1, 1)).astype(np.float32)

    def paint(self, where: Plane, color: npt.ArrayLike) -> None:
        """Lay a color over the photographs, as opaque as `where`, 0 to 1, says."""
        for channel, value in zip(self.pixels, np.asarray(color), strict=True):
            channel += where * (float(value) - channel)


def _mixed(one: npt.ArrayLike, other: npt.ArrayLike, share: float) -> Color:
    return np.asarray(one, np.float64) * (1 - share) + np.asarray(other, np.float64) * share


def _inside(distance: Plane, size: float) -> Plane:
    """1 where `distance` is below 0, else 0, with an edge a pixel wide; `size` is what a distance of 1 measures."""
    inside: Plane = np.clip(0.5 - distance * (size * SIDE / 2), 0, 1)
    return inside


def _ellipse(u: Plane, v: Plane, width: float, height: float) -> Plane:
    """An ellipse about 0, by half its width and half its height."""
    return _inside(np.sqrt((u / width) ** 2 + (v / height) ** 2) - 1, min(width, height))


def _bump(u: Plane, v: Plane, width: float, height: float) -> Plane:
    """A soft spot about 0."""
    spot: Plane = np.exp(-((u / width) ** 2) - (v / height) ** 2)
    return spot


def _room(sheet: _Sheet, draw: np.random.Generator) -> None:
    """A wall whose color changes from one side to the other, and a stripe before it."""
    one, other, stripe = 128 + 0.3 * draw.uniform(-108, 108, (3, 3))
    angle, slide = draw.uniform(0, 2 * np.pi), sheet.normal(0.05)
    share = np.clip(0.5 + 0.5 * (np.cos(angle) * sheet.x + np.sin(angle) * sheet.y) + slide, 0, 1)
    for channel, first, second in zip(sheet.pixels, one, other, strict=True):
        channel[:] = float(first) + float(second - first) * share + sheet.normal(_ROOM_CHANGES)
    at, width = draw.uniform(-0.9, 0.9), draw.uniform(0.05, 0.4)
    sheet.paint(_inside(np.abs(sheet.x - at - slide) - width, 1) * draw.uniform(0, 1), stripe)


def _body(sheet: _Sheet, looks: _Looks, draw: np.random.Generator) -> None:
    """Long hair behind the head, clothes, the neck and the ears."""
    low, shoulders = draw.uniform(0.2, 0.8), draw.uniform(0.8, 1.1)
    if looks.long_hair:
        behind = _ellipse(sheet.u, sheet.v - 0.05 - 0.4 * low, 1.3 * looks.width, looks.height * (1 + 0.3 * low))
        sheet.paint(behind, looks.hair * 0.9)
    sheet.paint(_ellipse(sheet.u, sheet.v - 1.35, shoulders, 0.55), 128 + 0.5 * draw.uniform(-115, 115, 3))
    sheet.paint(_ellipse(sheet.u, sheet.v - 0.75, 0.26, 0.35), looks.skin * 0.82)
    sheet.paint(_ellipse(np.abs(sheet.u) - looks.width, sheet.v - 0.02, 0.08, 0.15), looks.skin * 0.9)


def _head(sheet: _Sheet, looks: _Looks, draw: np.random.Generator) -> None:
    """The head with its skin: furrows, blotches, cheeks, perhaps a beard."""
    u, v, age = sheet.face_u, sheet.face_v, looks.age
    narrow = draw.uniform(0, 0.35) - 0.2 * age
    width = looks.width * (1 - narrow * np.clip(sheet.v / looks.height, 0, 1) ** 2)
    head = _inside(np.sqrt((sheet.u / width) ** 2 + (sheet.v / looks.height) ** 2) - 1, looks.width)
    shade = 1 + 0.07 * age * _blotches(u, v, draw) - age * draw.uniform(0.85, 1.15) * _furrows(u, v)
    for channel, value in zip(sheet.pixels, looks.skin, strict=True):
        channel += head * (float(value) * shade - channel)
    red = 0.45 * draw.uniform(0.7, 1.3) * max(0.0, 1 - 1.6 * age)
    sheet.paint(red * head * _bump(np.abs(u) - 0.27, v - 0.2, 0.13, 0.11), looks.skin * (1.02, 0.72, 0.7))
    has_beard, begins, thick = draw.random() < 0.35, draw.uniform(0.25, 0.45), draw.uniform(0.3, 0.8)
    if looks.male and has_beard:
        sheet.paint(thick * head * _inside(begins - v, 1), looks.hair * 0.9)


def _furrows(u: Plane, v: Plane) -> Plane:
    """Darkness of the lines on the forehead, of the bags below the eyes, and from the nose to the mouth."""
    aside = np.abs(u)
    forehead = sum(_bump(u / 8, v + 0.3 + 0.13 * row + 0.04 * np.cos(3 * u), 0.06, 0.035) for row in range(3))
    bags = _bump(aside - 0.2, v - 0.06, 0.11, 0.05)
    folds = _bump(aside - 0.14 - 0.35 * (v - 0.2), (v - 0.33) / 4, 0.045, 0.045)
    return np.asarray(0.3 * forehead + 0.4 * bags + 0.25 * folds, np.float32)


def _blotches(u: Plane, v: Plane, draw: np.random.Generator) -> Plane:
    """An uneven color of the skin, about -2 to 2."""
    waves = draw.uniform((8, 0, 8, 0), (22, 6, 22, 6), (3, 4))
    return sum(
        (np.sin(u * float(a) + float(b)) * np.sin(v * float(c) + float(d)) for a, b, c, d in waves),
        start=np.zeros_like(u),
    )


def _eyes(sheet: _Sheet, looks: _Looks, draw: np.random.Generator) -> None:
    """Eyes, brows and perhaps glasses."""
    aside, v = np.abs(sheet.face_u) - looks.eyes_apart, sheet.face_v - looks.eye_level
    size = draw.uniform(0.8, 1.15) * (1 - 0.25 * looks.age)
    sheet.paint(_ellipse(aside, v, 0.1 * size, 0.055 * size), (238, 235, 232))
    sheet.paint(_ellipse(aside, v, 0.045 * size, 0.05 * size), _mixed((30, 20, 15), (85, 60, 40), draw.beta(1, 2)))
    height, width, thick = draw.uniform(0.11, 0.16), draw.uniform(0.1, 0.15), draw.uniform(0.02, 0.045)
    brow = _mixed(looks.hair * 0.8, looks.skin, 0.2 + 0.3 * looks.age)
    sheet.paint(_ellipse(aside, v + height - 0.05 * aside, width, thick), brow)
    if draw.random() < 0.2 + 0.25 * looks.age:
        sheet.paint(0.9 * (_ellipse(aside, v, 0.15, 0.12) - _ellipse(aside, v, 0.125, 0.095)), (25, 25, 30))


def _nose_and_mouth(sheet: _Sheet, looks: _Looks, draw: np.random.Generator) -> None:
    u, v, age = sheet.face_u, sheet.face_v, looks.age
    long, wide = draw.uniform(0.14, 0.2) * (1 + 0.2 * age), draw.uniform(0.05, 0.09)
    below = v - looks.eye_level - long
    sheet.paint(0.25 * _ellipse(u - 0.4 * wide, below, 0.5 * wide, long), looks.skin * 0.7)
    sheet.paint(0.5 * _ellipse(u, below - long + 0.02, wide, 0.035), looks.skin * 0.65)
    level, wide = draw.uniform(0.36, 0.44), draw.uniform(0.13, 0.21)
    thick = draw.uniform(0.03, 0.055) * (1 - 0.45 * age)
    lips = _mixed((200, 70, 80), looks.skin * 0.75, 0.25 + 0.75 * min(1, max(0, age)))
    curve = v - level + u**2 * sheet.normal(1)
    sheet.paint(_ellipse(u, curve, wide, thick), lips)
    sheet.paint(_ellipse(u, curve, 0.9 * wide, 0.012), lips * 0.5)


def _hair(sheet: _Sheet, looks: _Looks, draw: np.random.Generator) -> None:
    """The hair over the head: above a line that recedes with age, and at the sides."""
    u, v = sheet.u, sheet.v
    gone = max(0.0, looks.age) * draw.uniform(0.3, 1.2) * (1 if looks.male else 0.3)
    middle, curve, parting = draw.uniform(0.5, 0.68), draw.uniform(-0.25, 0.5), draw.uniform(-0.3, 0.3)
    line = curve * (u - parting) ** 2 - 0.5 * gone * np.abs(u) - looks.height * middle - 0.28 * gone
    volume = _ellipse(u, v + 0.03, looks.width * draw.uniform(1.08, 1.3), looks.height * draw.uniform(1.05, 1.15))
    sides = volume * (1 - _ellipse(u, v, looks.width, looks.height)) * _inside(v - draw.uniform(-0.1, 0.15), 1)
    sheet.paint(np.maximum(volume * _inside(v - line, 1), sides), looks.hair)


def _light(sheet: _Sheet, draw: np.random.Generator) -> None:
    """A lamp at one side, brightness, white balance, and noise."""
    angle = draw.uniform(0, 2 * np.pi) + sheet.normal(0.3)
    lamp = draw.uniform(0.05, 0.15) * (np.cos(angle) * sheet.u + np.sin(angle) * sheet.v)
    brightness = np.exp(sheet.normal(0.12)) * (1 + lamp)
    for channel, tint in zip(sheet.pixels, draw.normal(1, 0.03, 3), strict=True):
        channel *= brightness * (float(tint) + sheet.normal(0.02))
    sheet.pixels += _NOISE * sheet.draw.standard_normal(sheet.pixels.shape, np.float32)
