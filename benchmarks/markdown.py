"""Print a run's comparison as Markdown, for the documents.

python benchmarks/markdown.py runs/digits
"""

import sys

from untrain.report import columns, groups, read_results
from untrain.report.table import forgotten, scored


def main() -> None:
    """Print one table for each forget setting."""
    results = read_results(sys.argv[1])
    environment = ", ".join(f"{name} {value}" for name, value in results["environment"].items())
    for setting, rows in groups(results):
        shown = columns(rows)
        print(f"**{results['experiment']}, forgetting {forgotten(setting, rows[0])}** ({scored(rows[0])})\n")
        print("| " + " | ".join(column.head for column in shown) + " |")
        print("|---" * len(shown) + "|")
        for row in rows:
            print("| " + " | ".join(column.cell(row) for column in shown) + " |")
        print()
    print(f"({environment})")


if __name__ == "__main__":
    main()
