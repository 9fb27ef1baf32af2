import numpy as np

from untrain.core.randomness import Streams


def test_streams_are_told_apart_by_everything_that_names_them() -> None:
    seeds = {
        streams.seed(purpose, *numbers)
        for streams in (
            Streams(0),
            Streams(1),
            Streams(0, ("a",)),
            Streams(0, ("a", "b")),
            Streams(0, ("ab",)),
        )
        for purpose in ("order", "noise")
        for numbers in ((), (0,), (1,), (0, 1), (1, 0))
    }
    assert len(seeds) == 5 * 2 * 5
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_stream_is_the_same_every_time_and_everywhere() -> None:
    # A stored value: numbers must not change between versions and machines.
    assert Streams(0).child("retrain").seed("order", 3, 1) == 1478817262668357564
    draws = [Streams(7).generator("x", 2).normal(size=3) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draws[1])
