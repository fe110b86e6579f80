//! The picture: charts in a grid, drawn by the crate plotters.

use super::lines::{Line, lines};
use super::{Look, Picture, PlottedRun};
use crate::tui::chart::plots::Plot;
use astill_core::measures::{Axis, Measure};
use astill_core::text::number;
use astill_core::{Error, Result};
use image::{ImageEncoder, codecs::png::PngEncoder};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::fmt::Display;
use std::ops::Range;

/// Colours that stay apart for the colour-blind (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
    RGBColor(150, 120, 0),
];
/// Lengths in pixels of a dash and of the gap after it; none for a line without gaps.
const PATTERNS: [Option<(i32, i32)>; 4] = [None, Some((8, 4)), Some((2, 3)), Some((12, 3))];
const FONT: &str = "sans-serif";
const TITLE: u32 = 18;
const TEXT: u32 = 14;
const COLUMNS: usize = 2;

type Area<'a, B> = DrawingArea<B, Shift>;

/// The bytes of a file of this kind with all charts that have something to draw.
///
/// # Errors
/// No chart has anything to draw, or drawing fails.
pub fn picture(
    charts: &[&'static Plot],
    runs: &[PlottedRun],
    look: Look,
    kind: Picture,
) -> Result<Vec<u8>> {
    let drawn: Vec<(&Plot, Vec<Line>)> = charts
        .iter()
        .map(|plot| (*plot, lines(plot, runs, look)))
        .filter(|(_, lines)| lines.iter().any(|l| !l.is_level && !l.stretches.is_empty()))
        .collect();
    if drawn.is_empty() {
        return Err(PlottedRun::nothing_to_draw());
    }
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| failed("the font cannot be read"))?;
    let columns = drawn.len().min(COLUMNS);
    let rows = drawn.len().div_ceil(columns);
    let size = (look.width * columns as u32, look.height * rows as u32);
    match kind {
        Picture::Svg => {
            let mut text = String::new();
            grid(
                &SVGBackend::with_string(&mut text, size).into_drawing_area(),
                &drawn,
                (rows, columns),
            )?;
            Ok(text.into_bytes())
        }
        Picture::Png => {
            let mut pixels = vec![0; size.0 as usize * size.1 as usize * 3];
            grid(
                &BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area(),
                &drawn,
                (rows, columns),
            )?;
            png(&pixels, size)
        }
    }
}

/// A PNG of these pixels, three bytes each.
pub fn png(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(pixels, width, height, image::ExtendedColorType::Rgb8)
        .map_err(failed)?;
    Ok(file)
}

fn failed(why: impl Display) -> Error {
    Error::Usage(format!("cannot draw the charts: {why}"))
}

fn grid<B: DrawingBackend>(
    root: &Area<'_, B>,
    drawn: &[(&Plot, Vec<Line>)],
    shape: (usize, usize),
) -> Result<()> {
    root.fill(&WHITE).map_err(failed)?;
    for (area, (plot, lines)) in root.split_evenly(shape).iter().zip(drawn) {
        let points = || lines.iter().flat_map(|l| l.stretches.iter().flatten());
        let x = bounds(points().map(|p| p.0));
        let y = bounds(points().map(|p| p.1));
        let is_log = plot.is_logarithmic() && y.0 > 0. && y.1 / y.0 > 10.;
        let x = x.0..if x.0 < x.1 { x.1 } else { x.0 + 1. };
        match is_log {
            true => {
                let room = (y.1 / y.0).powf(0.05);
                chart(
                    area,
                    plot,
                    lines,
                    x,
                    ((y.0 / room)..(y.1 * room)).log_scale(),
                )?;
            }
            false => {
                let room = if y.0 < y.1 {
                    (y.1 - y.0) * 0.05
                } else {
                    y.0.abs().max(1.) * 0.05
                };
                chart(area, plot, lines, x, (y.0 - room)..(y.1 + room))?;
            }
        }
    }
    root.present().map_err(failed)
}

/// Smallest and largest.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
        (least.min(v), most.max(v))
    })
}

fn chart<B, Y>(area: &Area<'_, B>, plot: &Plot, lines: &[Line], x: Range<f64>, y: Y) -> Result<()>
where
    B: DrawingBackend,
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(plot.title, (FONT, TITLE))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(62)
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    let spell = plot
        .measures()
        .next()
        .map_or(number as fn(f64) -> String, |m: &Measure| m.spell);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .axis_style(BLACK.mix(0.5))
        .label_style((FONT, TEXT))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| spell(*y))
        .x_desc(match plot.axis {
            Axis::Step | Axis::Evaluation => "step of distillation",
            Axis::Epoch => "epoch",
            Axis::Time => "minutes of work",
        })
        .draw()
        .map_err(failed)?;
    let (width, height) = chart.plotting_area().dim_in_pixel();
    let origin = chart.plotting_area().get_base_pixel();
    let mut corners = [0_usize; 4];
    for (i, corner) in corners.iter_mut().enumerate() {
        let points = lines.iter().flat_map(|l| l.stretches.iter().flatten());
        let inside = points.filter(|p| {
            let (x, y) = chart.backend_coord(p);
            let is_right = (x - origin.0) * 2 > width as i32;
            let is_low = (y - origin.1) * 2 > height as i32;
            (is_right, is_low) == (i % 2 == 1, i >= 2)
        });
        *corner = inside.count();
    }
    for line in lines {
        let style = style(line);
        let pattern = match line.is_level {
            true => Some((1, 4)),
            false => PATTERNS[line.pattern % PATTERNS.len()],
        };
        let mut name = line.name.as_deref();
        for stretch in &line.stretches {
            let points = stretch.iter().copied();
            let drawn = match pattern {
                None => chart.draw_series(LineSeries::new(points, style)),
                Some((dash, gap)) => {
                    chart.draw_series(DashedLineSeries::new(points, dash, gap, style))
                }
            };
            let drawn = drawn.map_err(failed)?;
            if let Some(name) = name.take() {
                drawn
                    .label(name)
                    .legend(move |(x, y)| sample((x, y), style, pattern));
            }
            if line.has_marks || stretch.len() == 1 {
                let marks = stretch.iter().map(|p| Circle::new(*p, 3, style.filled()));
                chart.draw_series(marks).map_err(failed)?;
            }
        }
    }
    if lines.iter().filter(|l| l.name.is_some()).count() > 1 {
        chart
            .configure_series_labels()
            .position(emptiest(corners))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .label_font((FONT, TEXT))
            .draw()
            .map_err(failed)?;
    }
    Ok(())
}

/// The corner for the legend, given how many points each has: upper left and right, lower left and
/// right.
fn emptiest(points: [usize; 4]) -> SeriesLabelPosition {
    let corners = [
        SeriesLabelPosition::UpperLeft,
        SeriesLabelPosition::UpperRight,
        SeriesLabelPosition::LowerLeft,
        SeriesLabelPosition::LowerRight,
    ];
    let least = points.into_iter().zip(corners).min_by_key(|(n, _)| *n);
    least.map_or(SeriesLabelPosition::UpperRight, |(_, corner)| corner)
}

fn style(line: &Line) -> ShapeStyle {
    let colour = COLOURS[line.colour % COLOURS.len()];
    match line.is_faint {
        true => colour.mix(0.4).stroke_width(1),
        false => colour.stroke_width(2),
    }
}

/// A piece of a line beside its name in the legend.
fn sample(
    (x, y): (i32, i32),
    style: ShapeStyle,
    pattern: Option<(i32, i32)>,
) -> DashedPathElement<std::vec::IntoIter<(i32, i32)>, i32> {
    let points = vec![(x, y), (x + 20, y)];
    let (dash, gap) = pattern.unwrap_or((20, 0));
    DashedPathElement::new(points, dash, gap, style)
}
