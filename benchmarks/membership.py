"""Coverage and false alarms of the membership check in simulations of which the AUC is known, as Markdown.

    python -m benchmarks.membership --draws 1000

Coverage is the share of intervals that hold the true AUC, nominal .95. False alarms are draws with a true AUC of 1/2
that are called "recognized", nominal .025.
"""

import argparse

import numpy as np
from tests.auditing.draws import MEMBERSHIP_LAWS, Cell

from untrain.auditing import membership

AUCS = (0.5, 0.76, 0.9, 0.97)
SIZES = {
    "10, 1 class": ((10,), (10,)),
    "10 and 200, 1 class": ((10,), (200,)),
    "300 and 10, 1 class": ((300,), (10,)),
    "40, 2 classes of 100": ((20, 20), (100, 100)),
    "60, 2 classes of 5": ((30, 30), (5, 5)),
    "100, half in a class of 5": ((50, 50), (5, 100)),
    "100, most in a class of 2": ((90, *[1] * 10), (2, *[20] * 10)),
    "100, most in a class of 3": ((90, *[1] * 10), (3, *[20] * 10)),
    "100, most in a class of 5": ((90, *[1] * 10), (5, *[20] * 10)),
    "100, most in a class of 8": ((90, *[1] * 10), (8, *[20] * 10)),
    "300, most in a class of 5": ((295, 5), (5, 5)),
    "40, 20 classes of 5": ((2,) * 20, (5,) * 20),
}


def rates(cell: Cell, draws: int) -> tuple[float, float]:
    """Coverage where anything is said, and the share of draws that are recognized."""
    generator = np.random.default_rng(0)
    attacks = [membership(*cell.draw(generator)) for _ in range(draws)]
    held = [attack.auc.low <= cell.auc <= attack.auc.high for attack in attacks if attack.auc is not None]
    recognized = [attack.verdict == "recognized" for attack in attacks]
    return float(np.mean(held)) if held else float("nan"), float(np.mean(recognized))


def main() -> None:
    """Print a line for each law and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    head = ["law", "forget and held-out examples", *(f"coverage, AUC {auc:g}" for auc in AUCS), "false alarms"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for law in MEMBERSHIP_LAWS:
        for name, sizes in SIZES.items():
            results = [rates(Cell(*sizes, auc, law), draws) for auc in AUCS]
            figures = [f"{coverage:.3f}" for coverage, _ in results] + [f"{results[0][1]:.3f}"]
            print("| " + " | ".join([law, name, *figures]) + " |", flush=True)


if __name__ == "__main__":
    main()
