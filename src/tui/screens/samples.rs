//! The synthetic images: a gallery by class, one image large beside what it started from, and the
//! steps between.

use super::super::app::{Context, Next};
use super::super::keys::Action;
use super::super::model::{Model, Sample};
use super::super::picture::{Picture, PictureView};
use super::super::session::Session;
use super::super::text::{clean, fit, wrap};
use super::{Appearance, frame, put};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::Widget;

/// Widths of a tile in cells; it is half as many rows high.
const TILES: [u16; 7] = [8, 12, 16, 24, 32, 48, 64];

/// What is looked at.
#[derive(Debug)]
pub struct Samples {
    /// The step, where the user chose one; otherwise the latest.
    step: Option<u64>,
    /// Class and image.
    selected: (usize, usize),
    zoomed: bool,
    tile: usize,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            step: None,
            selected: (0, 0),
            zoomed: false,
            tile: 2,
        }
    }
}

/// How tiles are laid out on a page.
#[derive(Debug)]
struct Grid {
    /// Class and image of every place, row by row; short rows end early.
    rows: Vec<Vec<(usize, usize)>>,
    per_page: usize,
    tile: (u16, u16),
}

impl Samples {
    /// The sample to show.
    fn current<'a>(&self, model: &'a Model) -> Option<&'a Sample> {
        let chosen = self
            .step
            .and_then(|step| model.samples.iter().rev().find(|s| s.step <= step));
        chosen.or(model.samples.last())
    }

    /// The samples whose pictures this screen needs.
    pub fn wanted<'a>(&self, model: &'a Model) -> impl Iterator<Item = &'a Sample> {
        self.current(model)
            .into_iter()
            .chain(model.samples.first().filter(|_| self.zoomed))
    }

    pub fn act(&mut self, action: Action, context: &mut Context) -> Next {
        match action {
            Action::Back | Action::Escape if self.zoomed => {
                self.zoomed = false;
                return Next::Stay;
            }
            Action::Back | Action::Escape => return Next::Close,
            Action::Open | Action::FullSize => {
                self.zoomed = !self.zoomed;
                return Next::Stay;
            }
            Action::Ascii => {
                context.look.ascii_pictures = !context.look.ascii_pictures;
                return Next::Stay;
            }
            Action::ZoomIn => self.tile = (self.tile + 1).min(TILES.len() - 1),
            Action::ZoomOut => self.tile = self.tile.saturating_sub(1),
            _ => {}
        }
        let Some(session) = &context.session else {
            return Next::Close;
        };
        match action {
            Action::Left => self.scrub(&session.model, -1),
            Action::Right => self.scrub(&session.model, 1),
            Action::First => self.step = session.model.samples.first().map(|s| s.step),
            Action::Last => self.step = None,
            _ => self.select(action, session, context.size),
        }
        Next::Stay
    }

    /// Goes to another step that there are pictures of; after the last one, the latest again.
    fn scrub(&mut self, model: &Model, by: isize) {
        let Some(at) = self
            .current(model)
            .and_then(|c| model.samples.iter().position(|s| s.step == c.step))
        else {
            return;
        };
        let wanted = at.saturating_add_signed(by).min(model.samples.len() - 1);
        self.step = (wanted + 1 < model.samples.len()).then(|| model.samples[wanted].step);
    }

    fn select(&mut self, action: Action, session: &Session, size: (u16, u16)) {
        let picture = self
            .current(&session.model)
            .and_then(|s| session.pictures.get(s))
            .and_then(Result::ok);
        let Some(picture) = picture else { return };
        let grid = self.grid(
            picture,
            session,
            (size.0.saturating_sub(2), size.1.saturating_sub(4)),
        );
        let flat: Vec<(usize, usize)> = grid.rows.iter().flatten().copied().collect();
        let index = flat.iter().position(|p| *p == self.selected).unwrap_or(0);
        let (row, column) = grid.find(self.selected);
        let at = |row: usize| {
            let row = &grid.rows[row.min(grid.rows.len() - 1)];
            row[column.min(row.len() - 1)]
        };
        if flat.is_empty() {
            return;
        }
        let last_class = picture.rows(side(picture, session)).saturating_sub(1);
        let (class, image) = self.selected;
        self.selected = match action {
            // there are no rows where only one image is seen
            Action::Up if self.zoomed => (class.saturating_sub(1), image),
            Action::Down if self.zoomed => ((class + 1).min(last_class), image),
            Action::NextPanel => flat[(index + 1).min(flat.len() - 1)],
            Action::PreviousPanel => flat[index.saturating_sub(1)],
            Action::Up => at(row.saturating_sub(1)),
            Action::Down => at(row + 1),
            Action::PageUp => at(row.saturating_sub(grid.per_page)),
            Action::PageDown => at(row + grid.per_page),
            _ => self.selected,
        };
    }

    /// Lays all images out, class after class.
    fn grid(&self, picture: &Picture, session: &Session, room: (u16, u16)) -> Grid {
        let side = side(picture, session);
        let (classes, images) = (picture.rows(side), picture.columns(side));
        // as large as asked for, but a whole tile with its name has to fit
        let fits =
            |t: &&u16| **t < room.0.max(TILES[0] + 1) && **t / 2 < room.1.max(TILES[0] / 2 + 1);
        let tile = TILES[..=self.tile]
            .iter()
            .rev()
            .find(fits)
            .copied()
            .unwrap_or(TILES[0]);
        let columns = usize::from(room.0 / (tile + 1)).max(1);
        // a class stays together: on one row, beside others if there is room, or on as many rows as
        // it takes
        let of_class = |class: usize| (0..images).map(move |i| (class, i));
        let beside = (columns / images.max(1)).max(1);
        let all: Vec<usize> = (0..classes).collect();
        let rows = all.chunks(beside).flat_map(|some| {
            let row: Vec<(usize, usize)> = some.iter().flat_map(|class| of_class(*class)).collect();
            row.chunks(columns).map(<[_]>::to_vec).collect::<Vec<_>>()
        });
        let rows = rows.collect();
        Grid {
            rows,
            per_page: usize::from(room.1 / (tile / 2 + 1)).max(1),
            tile: (tile, tile / 2),
        }
    }

    pub fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let theme = &context.look.theme;
        let samples = &session.model.samples;
        let Some(sample) = self.current(&session.model) else {
            let inner = frame(buf, area, &context.look, "Samples", true);
            put(buf, inner, 0, "There are no pictures yet.", theme.dim());
            return None;
        };
        let at = samples
            .iter()
            .position(|s| s.step == sample.step)
            .unwrap_or(0);
        let latest = if self.step.is_none() {
            ", the latest"
        } else {
            ""
        };
        let title = format!(
            "Step {}{latest} ({} of {})",
            sample.step,
            at + 1,
            samples.len()
        );
        let inner = frame(buf, area, &context.look, &title, true);
        match session.pictures.get(sample) {
            None => put(buf, inner, 0, "Reading ..", theme.dim()),
            Some(Err(problem)) => {
                for (row, line) in (0..inner.height).zip(wrap(&clean(problem), inner.width.into()))
                {
                    put(buf, inner, row, &line, theme.warn());
                }
            }
            Some(Ok(picture)) if self.zoomed => {
                self.draw_one(buf, inner, context, session, picture)
            }
            Some(Ok(picture)) => self.draw_gallery(buf, inner, context, session, picture),
        }
        None
    }

    fn draw_gallery(
        &self,
        buf: &mut Buffer,
        area: Rect,
        context: &Context,
        session: &Session,
        picture: &Picture,
    ) {
        let theme = &context.look.theme;
        let grid = self.grid(
            picture,
            session,
            (area.width, area.height.saturating_sub(1)),
        );
        let (row, _) = grid.find(self.selected);
        let first = row / grid.per_page * grid.per_page;
        let side = side(picture, session);
        for (i, tiles) in grid.rows.iter().skip(first).take(grid.per_page).enumerate() {
            let y = area.y + i as u16 * (grid.tile.1 + 1);
            for (j, (class, image)) in tiles.iter().enumerate() {
                let x = area.x + j as u16 * (grid.tile.0 + 1);
                let place = Rect {
                    x,
                    y,
                    width: grid.tile.0,
                    height: grid.tile.1 + 1,
                }
                .intersection(area);
                let name = class_name(session, *class);
                let name = if picture.columns(side) > 1 {
                    format!("{name} {}", image + 1)
                } else {
                    name
                };
                if self.selected == (*class, *image) {
                    put(
                        buf,
                        place,
                        0,
                        &fit(&format!(">{name}"), place.width.into()),
                        theme.selected(),
                    );
                } else {
                    put(buf, place, 0, &fit(&name, place.width.into()), theme.dim());
                }
                let place = Rect {
                    y: place.y + 1,
                    height: place.height.saturating_sub(1),
                    ..place
                };
                draw_tile(buf, place, &context.look, picture, side, (*class, *image));
            }
        }
        let pages = grid.rows.len().div_ceil(grid.per_page);
        let text = format!("page {} of {pages}", first / grid.per_page + 1);
        put(buf, area, area.height.saturating_sub(1), &text, theme.dim());
    }

    /// One image as large as it goes, and what it started from.
    fn draw_one(
        &self,
        buf: &mut Buffer,
        area: Rect,
        context: &Context,
        session: &Session,
        picture: &Picture,
    ) {
        let theme = &context.look.theme;
        let side = side(picture, session);
        let (class, image) = self.selected;
        let heading = format!(
            "{}, image {} of {}",
            class_name(session, class),
            image + 1,
            picture.columns(side)
        );
        put(buf, area, 0, &heading, theme.title());
        let body = Rect {
            y: area.y + 1,
            height: area.height.saturating_sub(1),
            ..area
        };
        let start = session.model.samples.first().filter(|_| area.width >= 40);
        let half = if start.is_some() {
            body.width / 2
        } else {
            body.width
        };
        let mut sides = vec![(
            Rect {
                width: half,
                ..body
            },
            "now".to_string(),
            Some(picture),
        )];
        if let Some(start) = start {
            let name = format!("at the start (step {})", start.step);
            let right = Rect {
                x: body.x + half,
                width: body.width - half,
                ..body
            };
            sides.push((
                right,
                name,
                session.pictures.get(start).and_then(Result::ok),
            ));
        }
        for (place, name, picture) in sides {
            put(buf, place, 0, &name, theme.dim());
            let place = Rect {
                y: place.y + 1,
                height: place.height.saturating_sub(1),
                width: place.width.saturating_sub(1),
                ..place
            };
            match picture {
                Some(picture) => draw_tile(buf, place, &context.look, picture, side, self.selected),
                None => put(buf, place, 0, "Reading ..", theme.dim()),
            }
        }
    }
}

impl Grid {
    /// Row and column of an image.
    fn find(&self, image: (usize, usize)) -> (usize, usize) {
        let place = self
            .rows
            .iter()
            .enumerate()
            .find_map(|(r, row)| Some((r, row.iter().position(|i| *i == image)?)));
        place.unwrap_or((0, 0))
    }
}

/// Pixels of an image's side.
fn side(picture: &Picture, session: &Session) -> usize {
    let size = session
        .model
        .dataset
        .as_ref()
        .and_then(|d| usize::try_from(d.size).ok());
    size.filter(|s| *s > 0)
        .unwrap_or(picture.width.min(picture.height).max(1))
}

fn class_name(session: &Session, class: usize) -> String {
    let name = session
        .model
        .dataset
        .as_ref()
        .and_then(|d| d.classes.get(class));
    name.map_or_else(|| format!("class {class}"), |n| clean(n))
}

fn draw_tile(
    buf: &mut Buffer,
    area: Rect,
    look: &Appearance,
    picture: &Picture,
    side: usize,
    (class, image): (usize, usize),
) {
    if let Some(tile) = picture.tile(side, class, image) {
        PictureView {
            picture: &tile,
            theme: &look.theme,
            ascii: look.ascii_pictures,
        }
        .render(area, buf);
    }
}

/// As many images as can be recognised in `area`: the first of every class, then the second, each
/// as large as possible.
pub fn draw_overview(
    buf: &mut Buffer,
    area: Rect,
    look: &Appearance,
    picture: &Picture,
    session: &Session,
) {
    /// Fewer pixels than this, a cell each, show nothing.
    const NARROWEST: u16 = 6;
    let side = side(picture, session);
    let (classes, images) = (picture.rows(side), picture.columns(side));
    let wanted = classes.clamp(1, 20);
    let holds = |tile: u16| usize::from(area.width / tile) * usize::from(area.height / (tile / 2));
    let widest = area.width.min(area.height * 2).max(NARROWEST);
    let tile = (NARROWEST..=widest)
        .rev()
        .step_by(2)
        .find(|t| holds(*t) >= wanted)
        .unwrap_or(NARROWEST);
    let (columns, rows) = (
        usize::from(area.width / tile),
        usize::from(area.height / (tile / 2)),
    );
    let order = (0..images).flat_map(|image| (0..classes).map(move |class| (class, image)));
    for (i, tile_of) in order.take(columns * rows).enumerate() {
        let (x, y) = (
            (i % columns) as u16 * tile,
            (i / columns) as u16 * (tile / 2),
        );
        // a column between two images keeps them apart
        let place = Rect {
            x: area.x + x,
            y: area.y + y,
            width: tile - 1,
            height: tile / 2,
        };
        draw_tile(buf, place, look, picture, side, tile_of);
    }
}
