//! A run at a glance: the curve of its matching loss and some of its images, below what the menu says
//! about it.

use crate::tui::backend::Glance;
use crate::tui::chart::{Chart, Curve};
use crate::tui::context::Context;
use crate::tui::picture::{Picture, PictureView};
use astill_core::profile::Profile;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::Widget;

/// Rows that the text keeps.
const TEXT: u16 = 8;
/// Rows of a curve, and of the images: twelve dots, which show what a small image is about.
const CURVE: u16 = 6;
const IMAGES: u16 = 6;
/// Cells of an image, and between two of them.
const IMAGE: u16 = 12;
const GAP: u16 = 1;

/// Draws them at the bottom of `area`, as far as there is room; what is left for the text.
pub fn draw(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    (glance, profile): (&Glance, Option<&Profile>),
) -> Rect {
    let theme = &context.appearance.theme;
    let tiles = tiles(glance, profile);
    let has_images = !tiles.is_empty() && area.height >= TEXT + IMAGES;
    let images_rows = if has_images { IMAGES + 1 } else { 0 };
    let loss = glance.loss.as_ref().filter(|s| s.len() > 1);
    let has_curve = loss.is_some() && area.height >= TEXT + images_rows + CURVE;
    let curve_rows = if has_curve { CURVE } else { 0 };
    let [text, curve, images] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(curve_rows),
        Constraint::Length(images_rows),
    ])
    .areas(area);
    if let Some(series) = loss.filter(|_| has_curve) {
        let curve_of = Curve::new("matching loss", series, theme.series(0));
        Chart::new("", theme).curve(curve_of).render(curve, buf);
    }
    if has_images {
        let mut x = images.x;
        for tile in &tiles {
            if x + IMAGE > images.right() {
                break;
            }
            let place = Rect::new(x, images.y + 1, IMAGE, IMAGES);
            PictureView::new(tile, theme)
                .style(context.appearance.pictures)
                .render(place, buf);
            x += IMAGE + GAP;
        }
    }
    text
}

/// The first image of every class.
fn tiles(glance: &Glance, profile: Option<&Profile>) -> Vec<Picture> {
    let (Some(picture), Some(profile)) = (&glance.picture, profile) else {
        return Vec::new();
    };
    let size = usize::try_from(profile.dataset.size).unwrap_or(0);
    (0..picture.rows(size))
        .filter_map(|row| picture.tile(size, row, 0))
        .collect()
}
