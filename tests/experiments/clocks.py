"""Results without what a clock says, so that two runs can be compared."""

import json
from collections.abc import Set
from typing import Any


def untimed(results: dict[str, Any], clocks: Set[str]) -> Any:
    """Results as they would be read back, without these keys of every row."""
    rows = [{key: value for key, value in row.items() if key not in clocks} for row in results["rows"]]
    return json.loads(json.dumps({**results, "rows": rows}))
