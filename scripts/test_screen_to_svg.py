"""Tests of screen_to_svg.py: python3 -m unittest discover scripts"""
import unittest
import xml.etree.ElementTree as xml

from screen_to_svg import BACKGROUND, FOREGROUND, SIXTEEN, Style, indexed, joined, parse, svg


def drawn(text):
    """The elements of a picture by name, without their namespace."""
    found = {}
    for element in xml.fromstring(svg(text, "a & b")).iter():
        found.setdefault(element.tag.split("}")[1], []).append(element)
    return found


class Parsing(unittest.TestCase):
    def test_colours_of_every_depth(self):
        text = "\x1b[31ma\x1b[92mb\x1b[38;5;196mc\x1b[38;2;1;2;255md\x1b[48;5;244me\x1b[39;49mf"
        styles = [style for _, style in parse(text)[0]]
        self.assertEqual([style.foreground for style in styles], [SIXTEEN[1], SIXTEEN[10], "#ff0000", "#0102ff", "#0102ff", None])
        self.assertEqual(styles[4].background, "#808080")
        self.assertEqual(indexed(21), "#0000ff")

    def test_a_style_lasts_across_lines_until_it_is_reset(self):
        rows = parse("\x1b[1;4mab\nc\x1b[md\n")
        self.assertTrue(all(style.bold and style.underlined for style in (rows[0][1][1], rows[1][0][1])))
        self.assertEqual(rows[1][1][1], Style())

    def test_other_sequences_leave_no_trace_and_damaged_colours_no_error(self):
        self.assertEqual("".join(c for c, _ in parse("\x1b]8;;x\x1b\\a\x1b[2K\x0e\x0fb\x1b[38;5mc\x1b[48;2;1md")[0]), "abcd")

    def test_a_wide_character_takes_two_cells_and_a_combining_one_none(self):
        self.assertEqual([c for c, _ in parse("界e\u0301x")[0]], ["界", "", "e\u0301", "x"])

    def test_reverse_and_dim(self):
        self.assertEqual(Style(reversed=True).colours(), (BACKGROUND, FOREGROUND))
        self.assertEqual(Style(foreground="#ffffff", background="#000000", dim=True).colours()[0], "#999999")


class Drawing(unittest.TestCase):
    def test_half_blocks_are_squares_of_both_colours(self):
        paths = drawn("\x1b[38;2;255;0;0;48;2;0;0;255m▀▀▄")["path"]
        self.assertEqual(
            {path.get("fill"): path.get("d") for path in paths},
            {"#0000ff": "M2 0h1v1h-1zM0 1h2v1h-2z", "#ff0000": "M0 0h2v1h-2zM2 1h1v1h-1z"},
        )

    def test_neighbours_become_one_rectangle(self):
        self.assertEqual(joined([(x, y, 8, 8) for x in (0, 8, 16) for y in (8, 0)]), [(0, 0, 24, 16)])
        self.assertEqual(joined([(0, 0, 8, 8), (16, 0, 8, 8)]), [(0, 0, 8, 8), (16, 0, 8, 8)])

    def test_a_box_is_four_lines(self):
        (path,) = drawn("┌─┐\n│ │\n└─┘")["path"]
        self.assertEqual(path.get("d").count("M"), 4)

    def test_braille_is_a_dot_for_every_bit(self):
        (path,) = drawn("⠁⢀⣿")["path"]
        self.assertEqual(path.get("d").count("M"), 10)
        self.assertTrue(path.get("d").startswith("M2 2h.1M14 14h.1"))

    def test_words_stand_on_the_grid_in_runs_of_one_style(self):
        texts = drawn("a <b>  c\x1b[1md\x1b[m e")["text"]
        self.assertEqual([(t.get("x"), t.get("textLength"), t.text) for t in texts],
                         [("0", "40", "a <b>"), ("56", "8", "c"), ("64", "8", "d"), ("80", "8", "e")])
        self.assertEqual(texts[2].get("font-weight"), "bold")

    def test_the_picture_is_well_formed_has_its_title_and_is_always_the_same(self):
        text = "\x1b[32m░▒▓ \"&'<\n界"
        self.assertEqual(drawn(text)["title"][0].text, "a & b")
        self.assertEqual(svg(text, "t"), svg(text, "t"))
        self.assertNotIn("script", drawn(text))


if __name__ == "__main__":
    unittest.main()
