"""Scales, ticks and labels of the figures."""

import itertools

import pytest

from untrain.report.svg import LETTER, LINE, Labels, Scale, element, path


def test_a_scale_maps_its_ends_and_clips() -> None:
    even = Scale(0, 10, 100, 200)
    assert [even(value) for value in (-5, 0, 2.5, 10, 11)] == [100, 100, 125, 200, 200]
    log = Scale(0.1, 10, 0, 200, log=True)
    assert [log(value) for value in (0.01, 0.1, 1, 10)] == pytest.approx([0, 0, 100, 200])


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(-0.1, 1.1, 0, 1), [0, 0.5, 1.0]),
        (Scale(82, 98, 0, 1), [85, 90, 95]),
        (Scale(0.03, 0.8, 0, 1, log=True), [0.05, 0.1, 0.2, 0.5]),
        (Scale(0.001, 1000, 0, 1, log=True), [0.001, 0.01, 0.1, 1, 10, 100, 1000]),
    ],
)
def test_ticks_are_round_and_few(scale: Scale, ticks: list[float]) -> None:
    assert scale.ticks() == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[1.0], [0.0], [1e-9, 1e9], [-3.0, -3.0]])
def test_every_range_has_ticks(values: list[float]) -> None:
    scale = Scale.around(values, 0, 100)
    assert scale.ticks()
    assert all(0 < scale(value) < 100 for value in values)


def test_labels_do_not_overlap_while_there_is_room() -> None:
    labels = Labels(0, 500, 0, 360)
    points = [(200 + 3 * number, 180 + 2 * number) for number in range(8)]
    parts = [labels.place(f"method-{number}", x, y)[0] for number, (x, y) in enumerate(points)]
    places = [tuple(float(part.split(f' {axis}="')[1].split('"')[0]) for axis in "xy") for part in parts]
    for (x, y), (other_x, other_y) in itertools.combinations(places, 2):
        assert abs(x - other_x) >= LETTER * 8 - 0.2 or abs(y - other_y) >= LINE - 0.2
    assert all(0 <= x <= 500 - LETTER * 8 and 0 <= y <= 364 for x, y in places)


def test_texts_of_elements_are_escaped() -> None:
    made = element("text", "<script>", x=1.26, class_='"><b>')
    assert made == '<text x="1.3" class="&#34;&gt;&lt;b&gt;">&lt;script&gt;</text>'
    assert path([(0, 1), (2.04, 3)]) == "M0.0 1.0L2.0 3.0"
