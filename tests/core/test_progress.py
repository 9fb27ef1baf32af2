"""One measure of a whole piece of work: what is planned, done, skipped and too much."""

from untrain.core.progress import advance, listening, part, plan


def test_parts_end_where_they_were_planned_to() -> None:
    told = list[tuple[float, float]]()
    with listening(lambda done, total: told.append((done, total))):
        advance(1)  # nothing is planned yet
        plan(10)
        plan(6)
        with part(4):
            advance(1)
            with part(2):
                advance(5)  # too much for it
            plan(9)  # what is planned within a part is a part of it
        with part(10):
            pass  # ends early
        advance(1)
        plan(4)
        advance(9)
    assert told == [(1, 16), (3, 16), (4, 16), (14, 16), (15, 16), (20, 20)]
    advance(1)
    assert len(told) == 6


def test_nothing_is_told_without_a_listener() -> None:
    with part(3):
        plan(1)
        advance(1)
