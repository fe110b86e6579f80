//! The synthetic images: a gallery by class, one image large beside what it started from, and the
//! steps between.

use crate::tui::chart::plots::Counted;
use crate::tui::click_targets::Target;
use crate::tui::context::{Appearance, Context, Effect};
use crate::tui::keys::{Action, Scope};
use crate::tui::model::Sample;
use crate::tui::picture::{Picture, PictureView};
use crate::tui::screen::{Response, Screen};
use crate::tui::session::Session;
use crate::tui::text::{clean, fit_middle};
use crate::tui::widgets::{frame, put, put_paragraph};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::widgets::Widget;

/// Widths of a tile in cells; it is half as many rows high.
const TILES: [u16; 13] = [8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128];
/// The narrowest that is chosen without being asked for: a smaller picture is hardly recognised.
const RECOGNISABLE: u16 = 12;

/// The gallery, or one image of it.
#[derive(Debug, Default)]
pub struct SamplesScreen {
    /// Class and image.
    selected: (usize, usize),
    zoomed: bool,
    /// The width of a tile, where the user chose one; otherwise as wide as all images allow.
    tile: Option<u16>,
}

/// Steps that one key goes over, where there are hundreds with pictures.
const MANY: isize = 10;

/// How tiles are laid out on a page.
#[derive(Debug)]
struct Grid {
    /// Class and image of every tile, row by row; short rows end early.
    rows: Vec<Vec<(usize, usize)>>,
    per_page: usize,
    tile: (u16, u16),
}

impl Screen for SamplesScreen {
    fn scope(&self) -> Scope {
        Scope::Samples
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let Some(session) = &mut context.session else {
            return Response::Close;
        };
        match action {
            Action::Back | Action::Escape if self.zoomed => self.zoomed = false,
            Action::Back | Action::Escape => return Response::Close,
            Action::Open | Action::FullSize => self.zoomed = !self.zoomed,
            Action::Ascii | Action::Blocks => context.change_pictures(action == Action::Ascii),
            Action::ZoomIn | Action::ZoomOut => self.zoom(action, session, context.size),
            Action::Left => scrub(session, -1),
            Action::Right => scrub(session, 1),
            Action::PreviousMark => scrub(session, -MANY),
            Action::NextMark => scrub(session, MANY),
            Action::First => {
                let first = session.model.samples.first().map(|s| s.step as f64);
                session.set_cursor(Counted::Steps, first);
            }
            Action::Last => session.set_cursor(Counted::Steps, None),
            _ => self.select(action, session, context.size),
        }
        Response::Handled
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let (appearance, theme) = (&context.appearance, &context.appearance.theme);
        let samples = &session.model.samples;
        let Some(sample) = session.samples().last() else {
            let inner = frame(buf, area, appearance, "Images", true);
            put(buf, inner, 0, "No images yet.", theme.dim());
            return None;
        };
        let at = samples.iter().position(|s| s.step == sample.step);
        let title = format!(
            "Step {}{} ({} of {})",
            sample.step,
            if session.cursor().is_none() {
                ", latest"
            } else {
                ""
            },
            at.unwrap_or(0) + 1,
            samples.len()
        );
        let inner = frame(buf, area, appearance, &title, true);
        match session.pictures.get(sample) {
            None => put(buf, inner, 0, "Loading image...", theme.dim()),
            Some(Err(problem)) => put_paragraph(buf, inner, problem, theme.warn()),
            Some(Ok(picture)) if self.zoomed => {
                self.draw_one(buf, inner, context, session, picture)
            }
            Some(Ok(picture)) => self.draw_gallery(buf, inner, context, session, picture),
        }
        None
    }

    fn word(&self, action: Action) -> Option<&'static str> {
        (action == Action::Open && self.zoomed).then_some("gallery")
    }

    fn choose(&mut self, tile: usize, context: &mut Context) -> Option<Action> {
        let session = context.session.as_ref()?;
        let picture = self.picture(session)?;
        let grid = self.grid(picture, session, room(context.size));
        let chosen = *grid.rows.iter().flatten().nth(tile)?;
        let was_selected = std::mem::replace(&mut self.selected, chosen) == chosen;
        was_selected.then_some(Action::Open)
    }

    /// The picture of the step; beside one image, where it started from.
    fn request_missing(&mut self, context: &mut Context) {
        let Some(session) = context.session.as_mut().filter(|s| s.loading.is_none()) else {
            return;
        };
        let first = session.model.samples.first().filter(|_| self.zoomed);
        let wanted: Vec<Sample> = session
            .samples()
            .last()
            .into_iter()
            .chain(first)
            .cloned()
            .collect();
        for sample in wanted {
            if session.pictures.request(&sample) {
                let run = session.run.clone();
                context.effects.push(Effect::Picture(run, sample));
            }
        }
    }
}

impl SamplesScreen {
    fn select(&mut self, action: Action, session: &Session, size: (u16, u16)) {
        let Some(picture) = self.picture(session) else {
            return;
        };
        let grid = self.grid(picture, session, room(size));
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

    /// The picture of the step, once it is loaded.
    fn picture<'a>(&self, session: &'a Session) -> Option<&'a Picture> {
        let sample = session.samples().last()?;
        session.pictures.get(sample).and_then(Result::ok)
    }

    /// The next larger or smaller tiles than those on the screen of this size.
    fn zoom(&mut self, action: Action, session: &Session, size: (u16, u16)) {
        let Some(picture) = self.picture(session) else {
            return;
        };
        let now = self.grid(picture, session, room(size)).tile.0;
        let next = match action {
            Action::ZoomIn => TILES.iter().find(|t| **t > now),
            _ => TILES.iter().rev().find(|t| **t < now),
        };
        self.tile = Some(next.copied().unwrap_or(now));
    }

    /// Lays all images out, class after class: in tiles as wide as the user chose, else in the largest
    /// with which all images are on one page.
    fn grid(&self, picture: &Picture, session: &Session, room: (u16, u16)) -> Grid {
        let side = side(picture, session);
        let shape = (picture.rows(side), picture.columns(side));
        // a whole tile with its name has to fit
        let fits =
            |t: &&u16| **t < room.0.max(TILES[0] + 1) && **t / 2 < room.1.max(TILES[0] / 2 + 1);
        let widest = TILES.iter().rev().find(fits).copied();
        let widest = widest.unwrap_or(TILES[0]);
        if let Some(chosen) = self.tile {
            return Grid::new(shape, room, chosen.min(widest));
        }
        let mut grid = Grid::new(shape, room, RECOGNISABLE.min(widest));
        for tile in (RECOGNISABLE..=widest).step_by(2) {
            let larger = Grid::new(shape, room, tile);
            if larger.rows.len() <= larger.per_page {
                grid = larger;
            }
        }
        grid
    }

    fn draw_gallery(
        &self,
        buf: &mut Buffer,
        area: Rect,
        context: &Context,
        session: &Session,
        picture: &Picture,
    ) {
        let theme = &context.appearance.theme;
        let [tiles_area, foot] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
        let grid = self.grid(picture, session, (tiles_area.width, tiles_area.height));
        let (row, _) = grid.find(self.selected);
        let first = row / grid.per_page * grid.per_page;
        let side = side(picture, session);
        let mut number: usize = grid.rows.iter().take(first).map(Vec::len).sum();
        for (i, tiles) in grid.rows.iter().skip(first).take(grid.per_page).enumerate() {
            for (j, (class, image)) in tiles.iter().enumerate() {
                let tile_area = Rect {
                    x: tiles_area.x + j as u16 * (grid.tile.0 + 1),
                    y: tiles_area.y + i as u16 * (grid.tile.1 + 1),
                    width: grid.tile.0,
                    height: grid.tile.1 + 1,
                }
                .intersection(area);
                context.targets.add(tile_area, Target::Item(number));
                number += 1;
                let mut name = class_name(session, *class);
                if picture.columns(side) > 1 {
                    name += &format!(" {}", image + 1);
                }
                let [heading, body] =
                    Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(tile_area);
                if self.selected == (*class, *image) {
                    put(buf, heading, 0, &format!(">{name}"), theme.selected());
                } else {
                    put(buf, heading, 0, &name, theme.dim());
                }
                let tile = (*class, *image);
                draw_tile(buf, body, &context.appearance, picture, side, tile);
            }
        }
        let pages = grid.rows.len().div_ceil(grid.per_page);
        let text = format!("page {} of {pages}", first / grid.per_page + 1);
        put(buf, foot, 0, &text, theme.dim());
    }

    /// One image as large as possible, beside what it started from.
    fn draw_one(
        &self,
        buf: &mut Buffer,
        area: Rect,
        context: &Context,
        session: &Session,
        picture: &Picture,
    ) {
        let theme = &context.appearance.theme;
        let side = side(picture, session);
        let (class, image) = self.selected;
        let title = format!(
            "{}, image {} of {}",
            class_name(session, class),
            image + 1,
            picture.columns(side)
        );
        let rows = [Constraint::Length(1), Constraint::Fill(1)];
        let [heading, body] = Layout::vertical(rows).areas(area);
        put(buf, heading, 0, &title, theme.title());
        let mut sides = vec![("now".to_string(), Some(picture))];
        if let Some(start) = session.model.samples.first().filter(|_| area.width >= 40) {
            let picture = session.pictures.get(start).and_then(Result::ok);
            sides.push((format!("at the start (step {})", start.step), picture));
        }
        let areas = Layout::horizontal(vec![Constraint::Fill(1); sides.len()]).split(body);
        for ((name, picture), area) in sides.into_iter().zip(areas.iter()) {
            let [heading, body] = Layout::vertical(rows).areas(*area);
            put(buf, heading, 0, &name, theme.dim());
            let body = Rect {
                width: body.width.saturating_sub(1),
                ..body
            };
            match picture {
                Some(picture) => {
                    let appearance = &context.appearance;
                    draw_tile(buf, body, appearance, picture, side, self.selected)
                }
                None => put(buf, body, 0, "Loading image...", theme.dim()),
            }
        }
    }
}

/// Goes to another step with pictures, and the charts with it; after the last one, the latest is
/// followed again.
fn scrub(session: &mut Session, by: isize) {
    let samples = &session.model.samples;
    let Some(at) = session.samples().len().checked_sub(1) else {
        return;
    };
    let wanted = at.saturating_add_signed(by).min(samples.len() - 1);
    let is_last = wanted + 1 == samples.len();
    let step = samples.get(wanted).map(|s| s.step as f64);
    session.set_cursor(Counted::Steps, step.filter(|_| !is_last));
}

impl Grid {
    /// Of so many classes and images of each.
    fn new((classes, images): (usize, usize), room: (u16, u16), tile: u16) -> Self {
        let columns = usize::from((room.0 + 1) / (tile + 1)).max(1);
        // a class stays together: on one row, beside others if there is room, or on as many rows as
        // it needs
        let of_class = |class: usize| (0..images).map(move |i| (class, i));
        let beside = (columns / images.max(1)).max(1);
        let all: Vec<usize> = (0..classes).collect();
        let rows = all.chunks(beside).flat_map(|some| {
            let row: Vec<(usize, usize)> = some.iter().flat_map(|class| of_class(*class)).collect();
            row.chunks(columns).map(<[_]>::to_vec).collect::<Vec<_>>()
        });
        Self {
            rows: rows.collect(),
            per_page: usize::from(room.1 / (tile / 2 + 1)).max(1),
            tile: (tile, tile / 2),
        }
    }

    /// Row and column of an image.
    fn find(&self, image: (usize, usize)) -> (usize, usize) {
        let found = self
            .rows
            .iter()
            .enumerate()
            .find_map(|(r, row)| Some((r, row.iter().position(|i| *i == image)?)));
        found.unwrap_or((0, 0))
    }
}

/// The room for tiles on a screen of this size, in cells.
fn room(size: (u16, u16)) -> (u16, u16) {
    (size.0.saturating_sub(2), size.1.saturating_sub(4))
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
    appearance: &Appearance,
    picture: &Picture,
    side: usize,
    (class, image): (usize, usize),
) {
    if let Some(tile) = picture.tile(side, class, image) {
        PictureView {
            picture: &tile,
            theme: &appearance.theme,
            style: appearance.pictures,
        }
        .render(area, buf);
    }
}

/// As many images as can be recognised in `area`, with the names of their classes: the first of every
/// class, then the second, each as large as possible. Where not all classes have room, every step
/// with pictures turns to the next of them; `turn` is the number of the step among those.
pub fn draw_overview(
    buf: &mut Buffer,
    area: Rect,
    appearance: &Appearance,
    picture: &Picture,
    session: &Session,
    turn: usize,
) {
    /// With so many dots a side, all classes at once are better than larger images in turn.
    const SMALL: u16 = 10;
    /// In fewer dots an image is only noise.
    const FEWEST: u16 = 4;
    let side = side(picture, session);
    let (classes, images) = (picture.rows(side), picture.columns(side));
    // a column between two images keeps them apart, and a name stands above each
    let grid = |dots: u16| {
        let columns = usize::from((area.width + 1) / (dots + 1));
        (columns, usize::from(area.height / (dots / 2 + 1)))
    };
    let holds = |dots: u16| grid(dots).0 * grid(dots).1;
    let widest = area.width.min(area.height.saturating_sub(1) * 2) / 2 * 2;
    let largest = |from: u16, wanted: usize| {
        let sizes = (from..=widest).rev().filter(|d| d % 2 == 0);
        sizes.into_iter().find(|d| holds(*d) >= wanted)
    };
    let dots = largest(SMALL, classes.max(1))
        .or_else(|| (holds(RECOGNISABLE) > 0).then_some(RECOGNISABLE))
        .or_else(|| largest(FEWEST, 1));
    let Some(dots) = dots else { return };
    let (columns, rows) = grid(dots);
    let order = (0..images).flat_map(|image| (0..classes).map(move |class| (class, image)));
    let order: Vec<(usize, usize)> = order.collect();
    let first = match holds(dots) {
        shown if shown < classes => turn % classes.div_ceil(shown) * shown,
        _ => 0,
    };
    let shown = order.iter().skip(first).take(columns * rows);
    for (i, (class, image)) in shown.enumerate() {
        let tile = Rect {
            x: area.x + (i % columns) as u16 * (dots + 1),
            y: area.y + (i / columns) as u16 * (dots / 2 + 1),
            width: dots,
            height: dots / 2 + 1,
        };
        let [name, body] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(tile);
        let mut text = class_name(session, *class);
        if images > 1 {
            text += &format!(" {}", image + 1);
        }
        put(
            buf,
            name,
            0,
            &fit_middle(&text, dots.into()),
            appearance.theme.dim(),
        );
        draw_tile(buf, body, appearance, picture, side, (*class, *image));
    }
}
