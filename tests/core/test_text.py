from untrain.core.text import printable


def test_what_cannot_be_seen_is_written_out() -> None:
    assert printable("a\x1b[2J\u202eb\ud800\n") == r"a\x1b[2J\u202eb\ud800\n"


def test_what_can_be_seen_stays() -> None:
    assert printable("Katze 猫 é [red] 1 %") == "Katze 猫 é [red] 1 %"
