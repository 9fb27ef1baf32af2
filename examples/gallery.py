"""Run the examples of the gallery, and keep what they print and draw in docs/gallery/.

python examples/gallery.py [NAME ...]
"""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent
GALLERY = EXAMPLES.parent / "docs" / "gallery"
SHOWN = ("wrong_labels", "memory_left", "repair_digits", "forget_digits", "forget_your_own")
DRAWN = ("wrong_labels", "memory_left")


def main() -> None:
    """Run each script in its turn."""
    GALLERY.mkdir(exist_ok=True)
    for name in sys.argv[1:] or SHOWN:
        picture = [str(GALLERY / f"{name}.png")] if name in DRAWN else []
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / f"{name}.py"), *picture], check=True, stdout=subprocess.PIPE, text=True
        )
        (GALLERY / f"{name}.txt").write_text(done.stdout)
        print(f"{name}\n{done.stdout}")


if __name__ == "__main__":
    main()
