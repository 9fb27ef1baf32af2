"""Draw the picture of the front page: wrong labels that were put into MNIST, as they are found.

python benchmarks/front_picture.py --data-dir DATA

Two in five of the 60,000 labels are made wrong at random. The picture shows the most suspicious examples, none left
out; what is printed stands beside it.
"""

import argparse
from pathlib import Path
from typing import Any

import untrain as un

OUT = Path(__file__).parents[1] / "docs" / "_static"
SHOWN = 8
THEMES = {
    "light": {"ink": "#1f2328", "wrong": "#cf222e", "right": "#0b6e4f", "digits": "gray_r", "card": "#f6f8fa"},
    "dark": {"ink": "#e6edf3", "wrong": "#ff7b72", "right": "#63d2a5", "digits": "gray", "card": "#161b22"},
}


def draw(suspects: un.Suspects, theme: str) -> None:
    """Write one picture: digits, their given labels crossed out, and the suggested ones."""
    from matplotlib.figure import Figure  # of the extra `examples`

    colors = THEMES[theme]
    figure = Figure(figsize=(10, 2.05), dpi=120)
    for cell, suspect, position in zip(figure.subplots(1, SHOWN), suspects.rows(SHOWN), suspects.flagged, strict=False):
        cell.imshow(suspects.examples.array[position, 0], cmap=colors["digits"], interpolation="bicubic")
        cell.set(xticks=[], yticks=[])
        for spine in cell.spines.values():
            spine.set_color(colors["card"])
        write: Any = cell.text
        style = {"transform": cell.transAxes, "ha": "center", "va": "center", "weight": "bold", "fontsize": 19}
        write(0.25, -0.2, suspect.label, color=colors["wrong"], **style)
        write(0.5, -0.2, "→", color=colors["ink"], **{**style, "fontsize": 15, "weight": "normal"})
        write(0.75, -0.2, suspect.suggested, color=colors["right"], **style)
        cell.plot([0.13, 0.37], [-0.3, -0.1], color=colors["wrong"], transform=cell.transAxes, clip_on=False, lw=1.6)
    figure.text(0.012, 0.05, "label in the data", color=colors["wrong"], fontsize=10)
    figure.text(0.131, 0.05, "→", color=colors["ink"], fontsize=10)
    figure.text(0.152, 0.05, "suggested by untrain", color=colors["right"], fontsize=10)
    figure.subplots_adjust(0.01, 0.42, 0.99, 0.99, 0.06)
    figure.savefig(OUT / f"wrong-labels-{theme}.png", transparent=True, pil_kwargs={"optimize": True})


def main() -> None:
    """Make labels wrong, find them, draw the most suspicious, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    mnist = un.load("mnist", data_dir=parser.parse_args().data_dir)
    noisy = un.mislabel(mnist, un.symmetric_noise(10, 0.4))
    images = mnist.array.reshape(len(mnist), -1)
    suspects = un.detect(features=images, labels=noisy.examples.labels)
    suspects = un.Suspects(**{**vars(suspects), "examples": noisy.examples})
    found = noisy.mislabelled[suspects.flagged].sum()
    print(
        f"{noisy.mislabelled.sum():,} of {len(mnist):,} labels are wrong; {len(suspects.flagged):,} were flagged, "
        f"{found / len(suspects.flagged):.1%} of them rightly, which is {found / noisy.mislabelled.sum():.1%} of all; "
        f"estimated share {suspects.noise_ratio:.1%}"
    )
    for theme in THEMES:
        draw(suspects, theme)


if __name__ == "__main__":
    main()
