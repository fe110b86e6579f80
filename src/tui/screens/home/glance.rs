//! A run at a glance: the curve of its matching loss and some of its images, below what the menu says
//! about it.

use crate::tui::backend::Glance;
use crate::tui::chart::{Chart, Curve};
use crate::tui::context::Context;
use crate::tui::picture::PictureView;
use crate::tui::series::Series;
use crate::tui::text::{clean, fit};
use crate::tui::widgets::put;
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

/// Where the text, the curve and the images are; those that there are not, or that have no room, have
/// none.
pub struct GlanceLayout {
    pub text: Rect,
    curve: Rect,
    images: Rect,
}

impl GlanceLayout {
    pub fn new(area: Rect, glance: &Glance) -> Self {
        let has_images = !glance.images.is_empty() && area.height >= TEXT + IMAGES;
        let images_rows = if has_images { IMAGES + 1 } else { 0 };
        let has_curve = loss(glance).is_some() && area.height >= TEXT + images_rows + CURVE;
        let curve_rows = if has_curve { CURVE } else { 0 };
        let [text, curve, images] = Layout::vertical([
            Constraint::Fill(1),
            Constraint::Length(curve_rows),
            Constraint::Length(images_rows),
        ])
        .areas(area);
        Self {
            text,
            curve,
            images,
        }
    }
}

fn loss(glance: &Glance) -> Option<&Series> {
    glance.loss.as_ref().filter(|s| s.len() > 1)
}

/// Draws the curve and the images at the bottom of `area`, as far as there is room.
pub fn draw(buf: &mut Buffer, area: Rect, context: &Context, glance: &Glance) {
    let theme = &context.appearance.theme;
    let GlanceLayout { curve, images, .. } = GlanceLayout::new(area, glance);
    if let Some(series) = loss(glance).filter(|_| !curve.is_empty()) {
        let curve_of = Curve::new("matching loss", series, theme.series(0));
        Chart::new("", theme).curve(curve_of).render(curve, buf);
    }
    if images.is_empty() {
        return;
    }
    let mut x = images.x;
    for (i, image) in glance.images.iter().enumerate() {
        if x + IMAGE > images.right() {
            break;
        }
        let name = glance.classes.get(i).map_or("", String::as_str);
        let label = Rect::new(x, images.y, IMAGE, 1);
        put(buf, label, 0, &fit(&clean(name), IMAGE.into()), theme.dim());
        let place = Rect::new(x, images.y + 1, IMAGE, IMAGES);
        PictureView::new(image, theme)
            .style(context.appearance.pictures)
            .render(place, buf);
        x += IMAGE + GAP;
    }
}
