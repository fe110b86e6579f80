#!/usr/bin/env python3
"""Draws a terminal screen as an SVG picture.

    tmux capture-pane -e -p -N | scripts/screen_to_svg.py TITLE > screen.svg

The input is text with SGR colour sequences, one line per row. The same input always gives the same
picture: no scripts, no fonts of its own, its own dark background, so that it reads alike on light
and dark pages. Every cell is 8 by 16 units. Half blocks, shades, box lines and braille dots are
drawn as shapes, because fonts disagree about them; half blocks become squares of 8 by 8.
"""
import re
import sys
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, replace
from html import escape

CELL_WIDTH, CELL_HEIGHT = 8, 16
HALF_CELL = 8  # both sides of half a cell
PADDING = 12
# 13.3 units give most monospace fonts an advance of 8
FONT_SIZE = 13.3
BASELINE = 12
FONTS = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace"
BACKGROUND, FOREGROUND, FRAME = "#0d1117", "#d5dae0", "#3d444d"
SIXTEEN = (
    "#21262d #ff7b72 #3fb950 #d29922 #58a6ff #bc8cff #39c5cf #b1bac4 "
    "#6e7681 #ffa198 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #ffffff"
).split()

LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8
BOX = {
    "─": LEFT | RIGHT, "│": UP | DOWN,
    "┌": RIGHT | DOWN, "┐": LEFT | DOWN, "└": RIGHT | UP, "┘": LEFT | UP,
    "╭": RIGHT | DOWN, "╮": LEFT | DOWN, "╰": RIGHT | UP, "╯": LEFT | UP,
    "├": UP | DOWN | RIGHT, "┤": UP | DOWN | LEFT,
    "┬": LEFT | RIGHT | DOWN, "┴": LEFT | RIGHT | UP, "┼": LEFT | RIGHT | UP | DOWN,
}  # fmt: skip
# how much of the foreground the upper and the lower half of a cell have
BLOCKS = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), "░": (0.25, 0.25), "▒": (0.5, 0.5), "▓": (0.75, 0.75)}
# the column and row of each of the eight bits of a braille character
BRAILLE_DOTS = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]

TOKEN = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # links and titles
    r"|[\x00-\x1f\x7f]"
    r"|(?P<character>.)"
)


@dataclass(frozen=True)
class Style:
    """How a cell looks; a colour is #rrggbb, or None for the terminal's own."""

    foreground: str | None = None
    background: str | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underlined: bool = False
    reversed: bool = False

    def colours(self):
        """Foreground and background as they are seen."""
        foreground, background = self.foreground or FOREGROUND, self.background or BACKGROUND
        if self.reversed:
            foreground, background = background, foreground
        if self.dim:
            foreground = mix(foreground, background, 0.6)
        return foreground, background


def mix(foreground, background, share):
    """`share` of the foreground over the background."""

    def channels(colour):
        return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]

    pairs = zip(channels(foreground), channels(background))
    return "#" + "".join(f"{round(f * share + b * (1 - share)):02x}" for f, b in pairs)


def indexed(number):
    """A colour of the 256."""
    if number < 16:
        return SIXTEEN[number]
    if number >= 232:
        return f"#{8 + 10 * (number - 232):02x}" + f"{8 + 10 * (number - 232):02x}" * 2
    levels = (0, 95, 135, 175, 215, 255)
    digits = divmod(number - 16, 36)
    return "#" + "".join(f"{levels[digit]:02x}" for digit in (digits[0], *divmod(digits[1], 6)))


ATTRIBUTES = {
    1: {"bold": True}, 2: {"dim": True}, 3: {"italic": True}, 4: {"underlined": True}, 7: {"reversed": True},
    22: {"bold": False, "dim": False}, 23: {"italic": False}, 24: {"underlined": False}, 27: {"reversed": False},
    39: {"foreground": None}, 49: {"background": None},
}  # fmt: skip


def apply(style, sgr):
    """The style after an SGR sequence with these parameters."""
    codes = [int(code or 0) for code in re.split("[;:]", sgr)]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = Style()
        elif code in ATTRIBUTES:
            style = replace(style, **ATTRIBUTES[code])
        elif code in (38, 48):
            field = "foreground" if code == 38 else "background"
            if codes[:1] == [5] and len(codes) > 1:
                style = replace(style, **{field: indexed(codes[1])})
                del codes[:2]
            elif codes[:1] == [2] and len(codes) > 3:
                style = replace(style, **{field: "#{:02x}{:02x}{:02x}".format(*codes[1:4])})
                del codes[:4]
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, foreground=SIXTEEN[code % 10 + (8 if code >= 90 else 0)])
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style = replace(style, background=SIXTEEN[code % 10 + (8 if code >= 100 else 0)])
    return style


def parse(text):
    """Rows of (character, style); the second cell of a wide character is empty."""
    style, rows = Style(), []
    for line in text.rstrip("\n").split("\n"):
        row = []
        for token in TOKEN.finditer(line):
            if token["sgr"] is not None:
                style = apply(style, token["sgr"])
            elif character := token["character"]:
                if unicodedata.combining(character):
                    if row:
                        row[-1] = (row[-1][0] + character, row[-1][1])
                    continue
                row.append((character, style))
                if unicodedata.east_asian_width(character) in "WF":
                    row.append(("", style))
        rows.append(row)
    return rows


class Shapes:
    """What is drawn, gathered by colour."""

    def __init__(self):
        self.halves = {}  # (column, half row) -> colour
        self.lines = defaultdict(set)  # colour -> (x, y, width, height)
        self.dots = defaultdict(list)  # colour -> (x, y)

    def add(self, column, row, character, style):
        """Adds the background of a cell and, unless it is text, what stands in it; returns whether it is text."""
        foreground, background = style.colours()
        shares = BLOCKS.get(character, (0, 0))
        for half, share in enumerate(shares):
            colour = mix(foreground, background, share)
            if colour != BACKGROUND:
                self.halves[column, 2 * row + half] = colour
        x, y = column * CELL_WIDTH, row * CELL_HEIGHT
        if character in BOX:
            arms = BOX[character]
            middle = (x + CELL_WIDTH // 2, y + CELL_HEIGHT // 2)
            for arm, left, right in ((LEFT, x, middle[0]), (RIGHT, middle[0], x + CELL_WIDTH)):
                if arms & arm:
                    self.lines[foreground].add((left, middle[1], right - left, 1))
            for arm, top, bottom in ((UP, y, middle[1]), (DOWN, middle[1], y + CELL_HEIGHT)):
                if arms & arm:
                    self.lines[foreground].add((middle[0], top, 1, bottom - top))
        elif "\u2800" <= character <= "\u28ff":
            bits = ord(character) - 0x2800
            for bit, (dot_column, dot_row) in enumerate(BRAILLE_DOTS):
                if bits >> bit & 1:
                    self.dots[foreground].append((x + 2 + 4 * dot_column, y + 2 + 4 * dot_row))
        elif character not in BLOCKS:
            return True
        return False


def joined(rectangles):
    """The same area in fewer rectangles: neighbours that share a whole side become one."""
    for first, second in ((0, 1), (1, 0)):
        result = []
        for rectangle in sorted(rectangles, key=lambda r: (r[second], r[second + 2], r[first])):
            last = result[-1] if result else None
            same_band = last and (last[second], last[second + 2]) == (rectangle[second], rectangle[second + 2])
            if same_band and last[first] + last[first + 2] == rectangle[first]:
                last[first + 2] += rectangle[first + 2]
            else:
                result.append(list(rectangle))
        rectangles = result
    return sorted(map(tuple, rectangles), key=lambda r: (r[1], r[0]))


def path_of(rectangles):
    return "".join(f"M{x} {y}h{width}v{height}h-{width}z" for x, y, width, height in joined(rectangles))


def runs(row):
    """(column, text, style) of the words of a row; words of one style with one space between them stay together."""
    found = []
    column_after = None
    for column, (character, style) in enumerate(row):
        if character in ("", " ", "\u00a0"):
            continue
        gap = None if column_after is None else column - column_after
        if found and found[-1][2] == style and gap in (0, 1):
            found[-1][1] += " " * gap + character
        else:
            found.append([column, character, style])
        column_after = column + (2 if row[column + 1 : column + 2] and row[column + 1][0] == "" else 1)
    return found


def width_of(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))


def text_element(column, row, text, style):
    foreground = style.colours()[0]
    attributes = f'x="{column * CELL_WIDTH}" y="{row * CELL_HEIGHT + BASELINE}" textLength="{width_of(text) * CELL_WIDTH}"'
    if foreground != FOREGROUND:
        attributes += f' fill="{foreground}"'
    for wanted, attribute in (
        (style.bold, ' font-weight="bold"'),
        (style.italic, ' font-style="italic"'),
        (style.underlined, ' text-decoration="underline"'),
    ):
        attributes += attribute if wanted else ""
    return f"<text {attributes}>{escape(text, quote=False)}</text>"


def svg(text, title):
    """The picture of a screen given as text with SGR sequences."""
    rows = parse(text)
    columns = max(map(len, rows))
    shapes = Shapes()
    texts = []
    for number, row in enumerate(rows):
        words = [
            (character if shapes.add(column, number, character, style) else " ", style)
            for column, (character, style) in enumerate(row)
        ]
        texts += [text_element(column, number, words, style) for column, words, style in runs(words)]

    by_colour = defaultdict(list)
    for (column, half), colour in shapes.halves.items():
        by_colour[colour].append((column, half, 1, 1))
    blocks = [f'<path fill="{colour}" d="{path_of(cells)}"/>' for colour, cells in sorted(by_colour.items())]
    lines = [f'<path fill="{colour}" d="{path_of(parts)}"/>' for colour, parts in sorted(shapes.lines.items())]
    dots = [
        f'<path stroke="{colour}" d="{"".join(f"M{x} {y}h.1" for x, y in places)}"/>'
        for colour, places in sorted(shapes.dots.items())
    ]
    width, height = columns * CELL_WIDTH, len(rows) * CELL_HEIGHT
    full = (width + 2 * PADDING, height + 2 * PADDING)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full[0]}" height="{full[1]}" viewBox="{-PADDING} {-PADDING} {full[0]} {full[1]}" role="img">',
        f"<title>{escape(title, quote=False)}</title>",
        f'<rect x="{0.5 - PADDING}" y="{0.5 - PADDING}" width="{full[0] - 1}" height="{full[1] - 1}" rx="8" fill="{BACKGROUND}" stroke="{FRAME}"/>',
        f'<g shape-rendering="crispEdges"><g transform="scale({HALF_CELL})">', *blocks, "</g>", *lines, "</g>",
        '<g stroke-width="2.6" stroke-linecap="round">', *dots, "</g>",
        f'<g font-family="{FONTS}" font-size="{FONT_SIZE}" fill="{FOREGROUND}">', *texts, "</g>",
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(svg(sys.stdin.read(), sys.argv[1]))
