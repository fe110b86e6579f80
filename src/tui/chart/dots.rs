//! A grid of dots finer than the cells: eight in a cell in braille, or one character a cell.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// The bits of a braille cell by row and column of its dots.
const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
const BRAILLE: u32 = 0x2800;

/// What dots look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// 2 × 4 dots a cell.
    Braille,
    /// A cell is a dot, shown by the mark of the line that is drawn last.
    Marks,
}

/// Dots over an area of cells; the row 0 is the lowest.
pub struct Dots {
    area: Rect,
    grain: Grain,
    cells: Vec<Option<Cell>>,
    pen: (Style, char),
    /// Whether the next dots take the place of another line's in the same cell.
    covers: bool,
}

#[derive(Clone, Copy)]
struct Cell {
    bits: u8,
    mark: char,
    style: Style,
}

impl Grain {
    /// Columns and rows of dots in a cell.
    pub fn of_a_cell(self) -> (usize, usize) {
        match self {
            Self::Braille => (2, 4),
            Self::Marks => (1, 1),
        }
    }
}

impl Dots {
    pub fn new(area: Rect, grain: Grain) -> Self {
        Self {
            area,
            grain,
            cells: vec![None; area.area() as usize],
            pen: (Style::new(), '*'),
            covers: false,
        }
    }

    pub fn width(&self) -> usize {
        usize::from(self.area.width) * self.grain.of_a_cell().0
    }

    pub fn height(&self) -> usize {
        usize::from(self.area.height) * self.grain.of_a_cell().1
    }

    /// How the next dots look; they are added to those of a cell, which all take this look.
    pub fn pen(&mut self, style: Style, mark: char) {
        (self.pen, self.covers) = ((style, mark), false);
    }

    /// The same for dots that take the place of those of other lines in their cells: a cell has one
    /// colour, which would otherwise pass for the colour of all its dots.
    pub fn covering_pen(&mut self, style: Style, mark: char) {
        (self.pen, self.covers) = ((style, mark), true);
    }

    /// One dot; nothing outside.
    pub fn dot(&mut self, x: usize, y: isize) {
        let Some(y) = usize::try_from(y).ok().filter(|y| *y < self.height()) else {
            return;
        };
        if x >= self.width() {
            return;
        }
        let down = self.height() - 1 - y;
        let (column, row, bit) = match self.grain {
            Grain::Braille => (x / 2, down / 4, BITS[down % 4][x % 2]),
            Grain::Marks => (x, down, 0),
        };
        let (style, mark) = self.pen;
        let cell = &mut self.cells[row * usize::from(self.area.width) + column];
        let joined = cell.filter(|c| !self.covers || (c.style, c.mark) == self.pen);
        let bits = joined.map_or(0, |c| c.bits) | bit;
        *cell = Some(Cell { bits, mark, style });
    }

    /// A vertical line, both ends included.
    pub fn column(&mut self, x: usize, low: isize, high: isize) {
        (low..=high).for_each(|y| self.dot(x, y));
    }

    /// A straight line, both ends included.
    pub fn line(&mut self, from: (usize, isize), to: (usize, isize)) {
        let (dx, dy) = (to.0 as f64 - from.0 as f64, to.1 as f64 - from.1 as f64);
        let steps = dx.abs().max(dy.abs()).max(1.);
        for i in 0..=steps as usize {
            let share = i as f64 / steps;
            self.dot(
                (from.0 as f64 + dx * share).round() as usize,
                (from.1 as f64 + dy * share).round() as isize,
            );
        }
    }

    pub fn render(&self, buf: &mut Buffer) {
        for (cell, at) in self.cells.iter().zip(self.area.positions()) {
            let (Some(cell), Some(target)) = (cell, buf.cell_mut(at)) else {
                continue;
            };
            let glyph = match self.grain {
                Grain::Braille => char::from_u32(BRAILLE + u32::from(cell.bits)).unwrap_or(' '),
                Grain::Marks => cell.mark,
            };
            target.set_char(glyph).set_style(cell.style);
        }
    }
}
