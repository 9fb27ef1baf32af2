"""Results without times, so that two runs can be compared."""

from collections.abc import Set

import msgspec

from untrain.report import Results


def untimed(results: Results, clocks: Set[str]) -> dict[str, object]:
    """Results as they are written, without these keys of every row."""
    plain = msgspec.json.decode(msgspec.json.encode(results), type=dict[str, object])
    rows = [
        {key: value for key, value in msgspec.to_builtins(row).items() if key not in clocks} for row in results.rows
    ]
    return {**plain, "rows": rows}
