//! The lines of a chart: whose they are, how they are told apart, and where they run.

use super::{Look, PlottedRun};
use crate::tui::chart::plots::{OF_A_LIST, Plot};
use crate::tui::series::{MovingAverage, Series};
use crate::tui::text::{clean, fit};
use astill_core::measures::Axis;

/// The longest name in a legend, in characters.
const LONGEST_NAME: usize = 40;

/// A line of a chart.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// In the legend; none for a line that belongs to the one before.
    pub name: Option<String>,
    /// Number of its colour, from 0.
    pub colour: usize,
    /// Number of its pattern of dashes, from 0 for a line without gaps.
    pub pattern: usize,
    /// Measured values under a smoothed line, or one of many of a kind.
    pub is_faint: bool,
    /// A level to compare with, not something measured at steps.
    pub is_level: bool,
    /// Whether the points are few and are marked.
    pub has_marks: bool,
    /// Stretches without a gap: x and y, x rising, both finite.
    pub stretches: Vec<Vec<(f64, f64)>>,
}

/// The lines of one chart, those behind first.
pub fn lines(plot: &Plot, runs: &[PlottedRun], look: Look) -> Vec<Line> {
    let mut all = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        let mut maker = Maker {
            run: i,
            of: runs.len(),
            name: &run.name,
            look,
            made: 0,
            lines: Vec::new(),
        };
        match plot.axis {
            Axis::Step => maker.of_steps(plot, run),
            Axis::Evaluation => maker.of_evaluations(plot, run),
            Axis::Epoch => maker.of_experts(plot, run),
            Axis::Time => maker.of_usage(plot, run),
        }
        all.extend(maker.lines);
    }
    all.sort_by_key(|line| !line.is_faint);
    all
}

/// Makes the lines of one run.
struct Maker<'a> {
    run: usize,
    of: usize,
    name: &'a str,
    look: Look,
    /// Lines with names so far.
    made: usize,
    lines: Vec<Line>,
}

impl Maker<'_> {
    fn of_steps(&mut self, plot: &Plot, run: &PlottedRun) {
        for measure in plot.measures() {
            let series = run.model.steps.of(measure.name);
            if measure.is_list() {
                let label = format!("each {}", measure.label);
                self.alike(&label, series.iter().take(OF_A_LIST));
            } else {
                series.iter().for_each(|s| self.smoothed(measure.label, s));
            }
        }
    }

    fn of_evaluations(&mut self, plot: &Plot, run: &PlottedRun) {
        for measure in plot.measures() {
            for accuracy in &run.model.accuracy {
                let label = format!("{}, {}", accuracy.network, accuracy.split);
                for series in accuracy.curves.of(measure.name) {
                    let stretches = self.stretches(series);
                    let mut line = self.named(&label, stretches);
                    line.has_marks = true;
                    self.lines.push(line);
                }
            }
        }
        if self.of > 1 {
            return;
        }
        for baseline in run.model.baselines() {
            let extent = (0., run.model.iterations.max(1) as f64);
            let level = vec![vec![(extent.0, baseline.mean), (extent.1, baseline.mean)]];
            let mut line = self.named(&format!("{} images", baseline.labels), level);
            line.is_level = true;
            self.lines.push(line);
        }
    }

    fn of_experts(&mut self, plot: &Plot, run: &PlottedRun) {
        for measure in plot.measures() {
            let experts = run.model.experts.values();
            let series = experts.flat_map(|e| e.of(measure.name));
            self.alike("each expert", series.filter(|s| !s.is_empty()));
        }
    }

    /// Over minutes of work.
    fn of_usage(&mut self, plot: &Plot, run: &PlottedRun) {
        for measure in plot.measures() {
            for series in run.model.usage.of(measure.name) {
                let mut stretches = self.stretches(series);
                let points = stretches.iter_mut().flatten();
                points.for_each(|(x, _)| *x /= 60.);
                let line = self.named(measure.label, stretches);
                self.lines.push(line);
            }
        }
    }

    /// A series with its moving average over it; where there is none, the series alone.
    fn smoothed(&mut self, label: &str, series: &Series) {
        let (raw, average) = (self.stretches(series), self.average(series));
        match average {
            Some(average) => {
                let behind = Line {
                    name: None,
                    is_faint: true,
                    pattern: 0,
                    ..self.named(label, raw)
                };
                self.made -= 1;
                let over = self.named(label, average);
                self.lines.extend([behind, over]);
            }
            None => {
                let line = self.named(label, raw);
                self.lines.push(line);
            }
        }
    }

    /// Series of one kind, that share a colour and an entry of the legend.
    fn alike<'s>(&mut self, label: &str, series: impl Iterator<Item = &'s Series>) {
        let mut like: Option<Line> = None;
        for series in series {
            let stretches = self.stretches(series);
            let line = match &like {
                None => self.named(label, stretches),
                Some(first) => Line {
                    name: None,
                    stretches,
                    ..*first
                },
            };
            let line = Line {
                is_faint: true,
                ..line
            };
            like.get_or_insert(Line {
                name: None,
                stretches: Vec::new(),
                ..line
            });
            self.lines.push(line);
        }
    }

    fn named(&mut self, label: &str, stretches: Vec<Vec<(f64, f64)>>) -> Line {
        let (colour, pattern) = self.look_of(self.made);
        self.made += 1;
        Line {
            name: Some(self.called(label)),
            colour,
            pattern,
            is_faint: false,
            is_level: false,
            has_marks: false,
            stretches,
        }
    }

    /// With one run, each line has a colour; with several, each run has a colour and each of its lines
    /// a pattern.
    fn look_of(&self, line: usize) -> (usize, usize) {
        match self.of {
            1 => (line, 0),
            _ => (self.run, line),
        }
    }

    fn called(&self, label: &str) -> String {
        let label = clean(label);
        match self.of {
            1 => fit(&label, LONGEST_NAME),
            _ => format!("{}: {label}", fit(&clean(self.name), LONGEST_NAME)),
        }
    }

    /// The points; of a long series, the smallest and the largest of every few.
    fn stretches(&self, series: &Series) -> Vec<Vec<(f64, f64)>> {
        let points: Vec<(f64, f64)> = series.points().collect();
        let mut found = Stretches::default();
        for few in points.chunks(self.stride(points.len())) {
            match few {
                [point] => found.point(*point),
                _ => extremes(few).into_iter().for_each(|p| found.point(p)),
            }
        }
        found.whole()
    }

    /// The moving average.
    fn average(&self, series: &Series) -> Option<Vec<Vec<(f64, f64)>>> {
        let keep = self.look.smooth;
        if keep == 0. || series.len() < 3 {
            return None;
        }
        let mut average = MovingAverage::new(keep);
        let mut smooth = Vec::new();
        for (x, y) in series.points().filter(|(_, y)| y.is_finite()) {
            average.add(y, 1.);
            smooth.push((x, average.value()));
        }
        let stride = self.stride(smooth.len());
        let last = smooth.last().copied();
        let mut kept: Vec<(f64, f64)> = smooth.into_iter().step_by(stride).collect();
        kept.extend(last.filter(|l| kept.last() != Some(l)));
        Some(if kept.is_empty() {
            Vec::new()
        } else {
            vec![kept]
        })
    }

    /// How many points share two pixels.
    fn stride(&self, points: usize) -> usize {
        points
            .div_ceil((self.look.width / 2).max(2) as usize)
            .max(1)
    }
}

/// The smallest and the largest of some points in their order; what is not finite, if anything is.
fn extremes(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if let Some(gap) = points.iter().find(|(_, y)| !y.is_finite()) {
        return vec![*gap];
    }
    let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    let (least, most) = (
        points.iter().min_by(by_value),
        points.iter().max_by(by_value),
    );
    let mut found: Vec<(f64, f64)> = least.into_iter().chain(most).copied().collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

/// Points without and with gaps between them.
#[derive(Default)]
struct Stretches {
    done: Vec<Vec<(f64, f64)>>,
    open: Vec<(f64, f64)>,
}

impl Stretches {
    fn point(&mut self, (x, y): (f64, f64)) {
        match y.is_finite() {
            true => self.open.push((x, y)),
            false => self.gap(),
        }
    }

    fn gap(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn whole(mut self) -> Vec<Vec<(f64, f64)>> {
        self.gap();
        self.done
    }
}
