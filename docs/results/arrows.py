"""Draws the arrows of docs/results/arrows.yaml: the same drawings, turned to the left and right, or up and down.

    pip install numpy pillow
    python arrows.py FOLDER        writes FOLDER/left-right and FOLDER/up-down

Arrows to the left and to the right are each other's mirror image; those up and down stay what they are when they are
mirrored. 150 training and 200 test images of 28 × 28 in each class, with noise of 12 of 255 levels.
"""
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 28


def arrow(seed):
    """An arrow to the right, anywhere, in any light colour on a dark one."""
    random = np.random.default_rng(seed)
    paper, ink = random.integers(0, 60, 3), random.integers(120, 255, 3)
    tail, height = random.integers(3, 9), random.integers(8, 20)
    tip, head = tail + random.integers(10, 16), random.integers(3, 6)
    image = Image.new("RGB", (SIDE, SIDE), tuple(map(int, paper)))
    pen = ImageDraw.Draw(image)
    for rise in (0, -head, head):
        begin = (tail, height) if rise == 0 else (tip - head, height + rise)
        pen.line([*map(int, begin), int(tip), int(height)], fill=tuple(map(int, ink)), width=2)
    noisy = np.asarray(image) + random.normal(0, 12, (SIDE, SIDE, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def main(folder):
    for name, directions in [
        ("left-right", {"right": 0, "left": 180}),
        ("up-down", {"up": 90, "down": 270}),
    ]:
        for part, count, first in [("train", 150, 0), ("test", 200, 10_000)]:
            for number, (direction, turn) in enumerate(directions.items()):
                place = Path(folder, name, part, direction)
                place.mkdir(parents=True, exist_ok=True)
                for index in range(count):
                    image = arrow(first + 1000 * number + index).rotate(turn)
                    image.save(place / f"{index:03}.png")


if __name__ == "__main__":
    main(sys.argv[1])
