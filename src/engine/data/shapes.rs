//! Ten classes of drawn shapes: a data set that needs no files, to try everything on.
//!
//! Every picture has its own position, size, rotation, colours, background, clutter and noise, so
//! that one picture of a class reveals little about the next. They come from a fixed seed: the data
//! set is the same in every run.

use super::layout::{BySplit, Labelling, Layout, ReadImages, Surveyed};
use super::pixels::Pixels;
use super::request::DatasetRequest;
use crate::progress::{Watch, report};
use crate::random::generator;
use astill_core::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::f32::consts::TAU;
use std::time::Duration;

/// Changing this, or anything that is drawn, makes another data set.
const SEED: u64 = 10_541;
const TRAIN: usize = 6000;
const TEST: usize = 1000;

const CLASSES: [&str; 10] = [
    "disc",
    "ring",
    "square",
    "triangle",
    "cross",
    "star",
    "stripes",
    "checkerboard",
    "crescent",
    "arrow",
];

/// Shapes are light on a dark background: each part of a colour is drawn in one of these ranges.
const DARK: (f32, f32) = (0.0, 0.5);
const LIGHT: (f32, f32) = (0.45, 1.0);
/// Shapes are turned by at most this, in radians.
const TURN: f32 = 0.35;

const CHANNELS: usize = 3;

/// How many pictures are drawn between two reports.
const CHUNK: usize = 1000;

/// The data set before it is drawn; image i is of class i mod 10.
#[derive(Debug)]
pub struct Shapes {
    labelling: Labelling,
}

impl Shapes {
    pub fn new() -> Self {
        let labels = |n: usize| (0..n).map(|index| (index % CLASSES.len()) as i64).collect();
        Self {
            labelling: Labelling {
                classes: CLASSES.map(str::to_owned).to_vec(),
                ids: None,
                labels: BySplit {
                    train: labels(TRAIN),
                    validation: Vec::new(),
                    test: labels(TEST),
                },
            },
        }
    }
}

impl Layout for Shapes {
    fn labelling(&self) -> &Labelling {
        &self.labelling
    }

    fn channels(&self) -> usize {
        CHANNELS
    }

    fn read(
        &self,
        rows: &BySplit<Vec<usize>>,
        request: &DatasetRequest,
        watch: &mut Watch<'_>,
    ) -> Result<ReadImages> {
        let pixels = draw(&self.labelling.labels, request.size as usize, watch)?;
        let pixels = pixels.zip(rows.as_ref());
        Ok(ReadImages::plain(
            pixels.map(|(pixels, rows)| pixels.keep(rows)),
        ))
    }

    /// Nothing is wrong with drawn images.
    fn survey(
        &self,
        rows: &BySplit<Vec<usize>>,
        _request: &DatasetRequest,
        _budget: Duration,
        _watch: &mut Watch<'_>,
    ) -> Result<Surveyed> {
        Ok(Surveyed {
            looked_at: rows.as_ref().map(Vec::len),
            ..Surveyed::default()
        })
    }
}

/// The pictures that `labels` are for, `size` × `size` pixels.
///
/// # Errors
/// [`astill_core::Error::Interrupted`] if `watch` asks to stop.
fn draw(labels: &BySplit<Vec<i64>>, size: usize, watch: &mut Watch<'_>) -> Result<BySplit<Pixels>> {
    let total = (labels.train.len() + labels.test.len()) as u64;
    let mut done = 0;
    // without it, both splits would hold the same pictures
    let streams = BySplit {
        train: 0u64,
        validation: 2,
        test: 1,
    };
    let pixels = labels.as_ref().zip(streams).try_map(|(labels, stream)| {
        let mut pixels = Pixels::black(labels.len(), CHANNELS, size)?;
        let image = pixels.bytes_per_image();
        for (chunk, (labels, pixels)) in labels
            .chunks(CHUNK)
            .zip(pixels.bytes_mut().chunks_mut(CHUNK * image))
            .enumerate()
        {
            report(watch, "images drawn", done, total)?;
            let pictures = labels
                .par_iter()
                .zip(pixels.par_chunks_exact_mut(image))
                .enumerate();
            pictures.for_each(|(index, (&label, pixels))| {
                let index = (chunk * CHUNK + index) as u64;
                let mut rng = generator(SEED, "shapes", &[stream, index]);
                picture(label, size, &mut rng, pixels);
            });
            done += labels.len() as u64;
        }
        Ok(pixels)
    })?;
    report(watch, "images drawn", done, total)?;
    Ok(pixels)
}

type Point = [f32; 2];
/// Red, green, blue.
type Colour = [f32; CHANNELS];

/// One picture of class `label`, planar. Lengths are in halves of the side: the picture is [−1,
/// 1]².
fn picture(label: i64, size: usize, rng: &mut ChaCha8Rng, pixels: &mut [u8]) {
    let shape = Shape::new(label, rng);
    let background = Paint::new(rng, DARK, 0.6);
    let foreground = Paint::new(rng, LIGHT, 0.3);
    let clutter: Vec<Blob> = (0..rng.random_range(1..=3))
        .map(|_| Blob::new(rng))
        .collect();
    let noise = between(rng, 0.02, 0.08);

    let pixel = 2.0 / size as f32;
    let plane = size * size;
    for row in 0..size {
        for column in 0..size {
            let p = [
                (column as f32 + 0.5) * pixel - 1.0,
                (row as f32 + 0.5) * pixel - 1.0,
            ];
            let mut colour = background.at(p);
            for blob in &clutter {
                colour = mix(colour, blob.colour, coverage(blob.distance(p), pixel));
            }
            colour = mix(colour, foreground.at(p), coverage(shape.distance(p), pixel));
            for (channel, value) in colour.into_iter().enumerate() {
                let grain: f32 = StandardNormal.sample(rng);
                pixels[channel * plane + row * size + column] =
                    ((value + noise * grain).clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        }
    }
}

/// How much of a pixel lies inside of an edge at this signed distance (negative inside).
fn coverage(distance: f32, pixel: f32) -> f32 {
    (0.5 - distance / pixel).clamp(0.0, 1.0)
}

/// Smooth colours over the whole picture: a gradient and a wave.
struct Paint {
    from: Colour,
    to: Colour,
    direction: Point,
    wave: Point,
    phase: f32,
    strength: f32,
}

impl Paint {
    /// Colours whose three parts lie in `low` … `high`, changing across the picture by the share
    /// `change`.
    fn new(rng: &mut ChaCha8Rng, (low, high): (f32, f32), change: f32) -> Self {
        let angle = between(rng, 0.0, TAU);
        let turn = between(rng, 0.0, TAU);
        let frequency = between(rng, 1.0, 6.0);
        let from = colour(rng, low, high);
        Self {
            from,
            to: mix(from, colour(rng, low, high), change),
            direction: [angle.cos(), angle.sin()],
            wave: [turn.cos() * frequency, turn.sin() * frequency],
            phase: between(rng, 0.0, TAU),
            strength: between(rng, 0.0, 0.08),
        }
    }

    fn at(&self, p: Point) -> Colour {
        let along = (0.5 + 0.5 * dot(p, self.direction)).clamp(0.0, 1.0);
        let wave = self.strength * (dot(p, self.wave) + self.phase).sin();
        mix(self.from, self.to, along).map(|value| value + wave)
    }
}

/// A small spot that belongs to no class.
struct Blob {
    centre: Point,
    radius: f32,
    colour: Colour,
}

impl Blob {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let centre = [between(rng, -1.0, 1.0), between(rng, -1.0, 1.0)];
        Self {
            centre,
            radius: between(rng, 0.06, 0.16),
            colour: colour(rng, DARK.0, LIGHT.1),
        }
    }

    fn distance(&self, p: Point) -> f32 {
        length([p[0] - self.centre[0], p[1] - self.centre[1]]) - self.radius
    }
}

/// What is drawn, in coordinates of its own in which it about fills the unit disc.
struct Shape {
    outline: Outline,
    centre: Point,
    radius: f32,
    /// Cosine and sine of the rotation.
    turn: Point,
}

enum Outline {
    Disc,
    /// Half of the width of the band.
    Ring(f32),
    Polygon(Vec<Point>),
    /// The width of a stripe.
    Stripes(f32),
    /// The width of a field.
    Checkerboard(f32),
    /// How far the disc that is cut away is moved.
    Crescent(f32),
}

impl Shape {
    fn new(label: i64, rng: &mut ChaCha8Rng) -> Self {
        let outline = match CLASSES[label as usize] {
            "disc" => Outline::Disc,
            "ring" => Outline::Ring(between(rng, 0.13, 0.2)),
            "square" => Outline::Polygon(regular(4, 1.0, 1.0)),
            "triangle" => Outline::Polygon(regular(3, 1.1, 1.1)),
            "cross" => Outline::Polygon(cross(between(rng, 0.2, 0.3))),
            "star" => Outline::Polygon(regular(10, 1.1, between(rng, 0.4, 0.5))),
            "stripes" => Outline::Stripes(between(rng, 0.24, 0.34)),
            "checkerboard" => Outline::Checkerboard(between(rng, 0.36, 0.46)),
            "crescent" => Outline::Crescent(between(rng, 0.45, 0.6)),
            _ => Outline::Polygon(arrow(between(rng, 0.16, 0.24))),
        };
        let radius = between(rng, 0.5, 0.8);
        let reach = 0.7 * (1.0 - radius);
        let centre = [between(rng, -reach, reach), between(rng, -reach, reach)];
        let turn = between(rng, -TURN, TURN);
        Self {
            outline,
            centre,
            radius,
            turn: [turn.cos(), turn.sin()],
        }
    }

    /// The signed distance of `p` to the edge, negative inside.
    fn distance(&self, p: Point) -> f32 {
        let [x, y] = [
            (p[0] - self.centre[0]) / self.radius,
            (p[1] - self.centre[1]) / self.radius,
        ];
        let [cos, sin] = self.turn;
        self.outline
            .distance([cos * x + sin * y, cos * y - sin * x])
            * self.radius
    }
}

impl Outline {
    fn distance(&self, p: Point) -> f32 {
        match self {
            Self::Disc => length(p) - 0.9,
            Self::Ring(half) => (length(p) - 0.75).abs() - half,
            Self::Polygon(corners) => to_polygon(p, corners),
            Self::Stripes(width) => (length(p) - 1.0).max(to_stripe(p[0], *width)),
            Self::Checkerboard(width) => {
                let (x, y) = (to_stripe(p[0], *width), to_stripe(p[1], *width));
                // A field is set where exactly one of the two stripes is: the sign of −x·y, as a
                // distance.
                let field = if (x < 0.0) != (y < 0.0) {
                    -x.abs().min(y.abs())
                } else {
                    x.abs().min(y.abs())
                };
                (p[0].abs().max(p[1].abs()) - 0.85).max(field)
            }
            Self::Crescent(moved) => (length(p) - 0.95).max(0.8 - length([p[0] - moved, p[1]])),
        }
    }
}

/// The signed distance to stripes of this width with gaps as wide.
fn to_stripe(x: f32, width: f32) -> f32 {
    let place = (x / width).rem_euclid(2.0); // set in [0.5, 1.5]
    ((place - 1.0).abs() - 0.5) * width
}

/// Corners on a circle, alternating between two radii.
fn regular(corners: usize, even: f32, odd: f32) -> Vec<Point> {
    let at = |corner: usize| {
        let angle = TAU * corner as f32 / corners as f32;
        let radius = if corner.is_multiple_of(2) { even } else { odd };
        [radius * angle.cos(), radius * angle.sin()]
    };
    (0..corners).map(at).collect()
}

fn cross(half: f32) -> Vec<Point> {
    let corner = [[1.0, half], [half, half], [half, 1.0]];
    // The same three corners, turned by quarters.
    (0..4)
        .flat_map(|quarter| corner.map(|[x, y]| [[x, y], [-y, x], [-x, -y], [y, -x]][quarter]))
        .collect()
}

fn arrow(half: f32) -> Vec<Point> {
    vec![
        [1.0, 0.0],
        [0.1, 0.7],
        [0.1, half],
        [-1.0, half],
        [-1.0, -half],
        [0.1, -half],
        [0.1, -0.7],
    ]
}

/// The signed distance to a polygon, negative inside (even-odd rule).
fn to_polygon(p: Point, corners: &[Point]) -> f32 {
    let (mut nearest, mut inside) = (f32::INFINITY, false);
    let mut b = corners[corners.len() - 1];
    for &a in corners {
        let (edge, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
        let along = (dot(to, edge) / dot(edge, edge)).clamp(0.0, 1.0);
        nearest = nearest.min(length([to[0] - edge[0] * along, to[1] - edge[1] * along]));
        if (a[1] > p[1]) != (b[1] > p[1]) && to[0] < edge[0] * to[1] / edge[1] {
            inside = !inside;
        }
        b = a;
    }
    if inside { -nearest } else { nearest }
}

fn between(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

fn colour(rng: &mut ChaCha8Rng, low: f32, high: f32) -> Colour {
    [
        between(rng, low, high),
        between(rng, low, high),
        between(rng, low, high),
    ]
}

fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    [0, 1, 2].map(|channel| a[channel] + (b[channel] - a[channel]) * share)
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

fn length(p: Point) -> f32 {
    p[0].hypot(p[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;

    fn few() -> BySplit<Vec<i64>> {
        BySplit {
            train: (0..10).collect(),
            validation: Vec::new(),
            test: (0..10).collect(),
        }
    }

    #[test]
    fn the_pictures_are_the_same_every_time_and_all_different() {
        let draw = || draw(&few(), 16, &mut |_| ControlFlow::Continue(())).unwrap();
        let (once, again) = (draw(), draw());
        assert_eq!(once.train.bytes(), again.train.bytes());
        assert_eq!(once.test.bytes(), again.test.bytes());
        let pictures: std::collections::HashSet<&[u8]> = once
            .train
            .bytes()
            .chunks(768)
            .chain(once.test.bytes().chunks(768))
            .collect();
        assert_eq!(pictures.len(), 20);
    }

    #[test]
    fn every_shape_has_an_inside_within_the_picture() {
        for label in 0..10 {
            for index in 0..20 {
                let shape = Shape::new(label, &mut generator(1, "shape", &[index]));
                let inside = (0..1024).filter(|at| {
                    shape.distance([(at % 32) as f32 / 16.0 - 1.0, (at / 32) as f32 / 16.0 - 1.0])
                        < 0.0
                });
                let share = inside.count() as f32 / 1024.0;
                assert!(
                    (0.02..0.6).contains(&share),
                    "{} {index}: {share}",
                    CLASSES[label as usize]
                );
            }
        }
    }

    #[test]
    fn drawing_stops_when_asked_to() {
        let stopped = draw(&few(), 8, &mut |_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(astill_core::Error::Interrupted)));
    }
}
