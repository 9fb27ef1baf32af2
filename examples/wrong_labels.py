"""Find wrong labels among handwritten digits, and draw the most suspicious.

python examples/wrong_labels.py [PICTURE]
"""

import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

import untrain as un

noisy = un.mislabel(un.load("digits"), un.symmetric_noise(10, 0.2))  # one label in five is made wrong
suspects = un.detect(features=noisy.examples.inputs, labels=noisy.examples.labels)
right = noisy.mislabelled[suspects.flagged].sum()
print(f"{noisy.mislabelled.sum()} labels are wrong; {len(suspects.flagged)} were flagged, {right} of them rightly")
print(f"estimated share of wrong labels: {suspects.noise_ratio:.1%}")

figure, axes = plt.subplots(3, 10, figsize=(10, 4))
for cell, suspect, position in zip(axes.flat, suspects.rows(30), suspects.flagged, strict=False):
    cell.imshow(noisy.examples.array[position, 0], cmap="gray_r")
    color = "tab:green" if noisy.mislabelled[position] else "tab:red"  # red: the label was right
    cell.set_title(f"{suspect.label} → {suspect.suggested}", fontsize=11, color=color)
    cell.axis("off")
figure.tight_layout()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "wrong-labels.png", dpi=80)
