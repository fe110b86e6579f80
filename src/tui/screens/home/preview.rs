//! What the menu shows of the selected profile or run.

use crate::tui::backend::{AblationSummary, Glance, Preview, ProfileSummary, RunState, RunSummary};
use crate::tui::clock;
use crate::tui::context::Context;
use crate::tui::keys::{Action, Scope};
use crate::tui::screens::estimate;
use crate::tui::text::{clean, pad, wrap};
use crate::tui::theme::Theme;
use astill_core::ablation::AblationState;
use astill_core::profile::{Intermediate, Profile, Start};
use astill_core::text::{count, percent};
use ratatui::style::Style;
use ratatui::text::Line;

/// Cells of the names before the values.
const NAME: usize = 10;

/// Lines of a preview as they are put together.
struct Lines<'a> {
    lines: Vec<Line<'static>>,
    cells: usize,
    theme: &'a Theme,
}

/// A profile: its data, its settings, an estimate, and its text.
pub fn of_profile(
    summary: &ProfileSummary,
    preview: Option<&Preview>,
    (context, scope): (&Context, Scope),
    cells: usize,
) -> Vec<Line<'static>> {
    let theme = &context.appearance.theme;
    let mut lines = Lines::new(theme, cells);
    lines.paragraph(&clean(&summary.description), theme.text());
    lines.blank();
    lines.estimated(summary, preview, (context, scope));
    lines.blank();
    lines.yaml(&summary.text);
    lines.lines
}

/// A run: its state, and its settings once they have been read.
pub fn of_run(
    run: &RunSummary,
    (settings, glance): (Option<&Result<Profile, String>>, Option<&Glance>),
    context: &Context,
    cells: usize,
) -> Vec<Line<'static>> {
    let theme = &context.appearance.theme;
    let mut lines = Lines::new(theme, cells);
    let host = run.host.as_ref().map(|h| format!(" on {}", clean(h)));
    let style = if run.state.has_engine() {
        theme.good()
    } else {
        theme.text()
    };
    let state = format!("{}{}", run.state.name(), host.unwrap_or_default());
    lines.item("State", &state, style);
    if let Some(reason) = &run.reason {
        let style = match run.state {
            RunState::Failed => theme.bad(),
            _ => theme.text(),
        };
        // with its commands: here, the keys of a run do other things
        lines.item("Reason", &clean(reason), style);
    }
    lines.item("Profile", &clean(&run.profile), theme.text());
    if let Some(phase) = run.phase.filter(|_| run.state.has_engine()) {
        lines.item("Phase", &phase.to_string(), theme.text());
    }
    let steps = format!("{} of {}", run.step, run.iterations);
    lines.item("Steps", &steps, theme.text());
    if let Some(accuracy) = run.accuracy {
        let accuracy = format!("{} % on the test set", percent(accuracy));
        lines.item("Accuracy", &accuracy, theme.good());
    }
    let baselines = glance.map_or(&[][..], |glance| &glance.baselines);
    let baselines: Vec<String> = baselines
        .iter()
        .map(|(images, mean)| format!("{images} {}", percent(*mean)))
        .collect();
    if !baselines.is_empty() {
        let baselines = format!("{} %", baselines.join(", "));
        lines.item("Baselines", &baselines, theme.dim());
    }
    if glance.is_some_and(|glance| glance.is_long) {
        let text = "its record is too long to be read here";
        lines.item("Curve", text, theme.dim());
    }
    if let Some(note) = &run.note {
        lines.item("Note", &clean(note), theme.accent());
    }
    let started = clock::date(&run.started, &context.zone);
    lines.item("Started", &started, theme.text());
    let folder = clean(&run.run.path().to_string_lossy());
    lines.item("Folder", &folder, theme.dim());
    match settings {
        None => {}
        Some(Err(problem)) => lines.item("Settings", &clean(problem), theme.warn()),
        Some(Ok(profile)) => {
            lines.blank();
            lines.settings(profile);
            lines.blank();
            lines.yaml(&profile.to_yaml());
        }
    }
    lines.lines
}

/// An ablation: how far it is, and where its table is.
pub fn of_ablation(
    ablation: &AblationSummary,
    context: &Context,
    cells: usize,
) -> Vec<Line<'static>> {
    let theme = &context.appearance.theme;
    let mut lines = Lines::new(theme, cells);
    let style = match ablation.state {
        AblationState::Running => theme.good(),
        AblationState::Stopped | AblationState::Done => theme.text(),
    };
    lines.item("State", ablation.state.name(), style);
    lines.item("Runs", &ablation.progress(), theme.text());
    if let Some(current) = &ablation.current {
        lines.item("Now", &clean(current), theme.text());
    }
    lines.item("Profile", &clean(&ablation.profile), theme.text());
    let started = clock::date(&ablation.started, &context.zone);
    lines.item("Started", &started, theme.text());
    let table = clean(&ablation.folder.table().to_string_lossy());
    lines.item("Table", &table, theme.dim());
    lines.blank();
    let key = context.keys.name(Action::Open, Scope::Home);
    let what = format!(
        "Variants of this profile, each with several seeds, run one after the other by `astill ablate`. \
         {key} lists the runs."
    );
    lines.paragraph(&what, theme.dim());
    lines.lines
}

impl<'a> Lines<'a> {
    fn new(theme: &'a Theme, cells: usize) -> Self {
        Self {
            lines: Vec::new(),
            cells,
            theme,
        }
    }

    fn push(&mut self, text: String, style: Style) {
        self.lines.push(Line::styled(text, style));
    }

    fn blank(&mut self) {
        self.lines.push(Line::default());
    }

    fn paragraph(&mut self, text: &str, style: Style) {
        for line in wrap(text, self.cells) {
            self.push(line, style);
        }
    }

    /// "name   value", the value over as many lines as it needs.
    fn item(&mut self, name: &str, value: &str, style: Style) {
        let parts = wrap(value, self.cells.saturating_sub(NAME));
        for (i, part) in parts.into_iter().enumerate() {
            let name = pad(if i == 0 { name } else { "" }, NAME);
            self.push(name + &part, style);
        }
    }

    /// What is known of a run of a profile.
    fn estimated(
        &mut self,
        summary: &ProfileSummary,
        preview: Option<&Preview>,
        (context, scope): (&Context, Scope),
    ) {
        let theme = self.theme;
        let (name, text, style) = estimate::data(&summary.data, preview, context, scope);
        self.item(name, &text, style);
        for remark in preview.iter().flat_map(|p| &p.remarks) {
            self.item("", &clean(remark), theme.warn());
        }
        match preview.map(|p| &p.profile) {
            Some(Err(problem)) => problem
                .lines()
                .for_each(|l| self.item("Error", &clean(l), theme.bad())),
            Some(Ok(profile)) => self.settings(profile),
            None => summary.profile.iter().for_each(|p| self.settings(p)),
        }
        for (name, text, style) in estimate::cost(preview, theme) {
            self.item(name, &text, style);
        }
    }

    /// Which parts of the method are on, and how large the task is.
    fn settings(&mut self, profile: &Profile) {
        let text = self.theme.text();
        let (expert, distill) = (&profile.expert, &profile.distill);
        let switches = [
            (expert.clipping, "clipping"),
            (expert.gradient_penalty > 0., "gradient penalty"),
            (distill.perturbation > 0., "perturbation"),
            (distill.balance, "balance"),
            (
                distill.intermediate != Intermediate::Off,
                "intermediate matching",
            ),
        ];
        for (is_on, heading) in [(true, "With"), (false, "Without")] {
            let chosen = switches.iter().filter(|(on, _)| *on == is_on);
            let names: Vec<&str> = chosen.map(|(_, name)| *name).collect();
            if !names.is_empty() {
                self.item(heading, &names.join(", "), text);
            }
        }
        let start = match &distill.init {
            Start::Chosen(init) => format!("from {init} images"),
            Start::From(path) => format!("from {}", clean(&path.to_string_lossy())),
        };
        self.item("Start", &start, text);
        let size = format!(
            "{} per class (ipc); {} iterations of {} student steps; {} of {} epochs",
            count(distill.ipc, "image"),
            distill.iterations,
            distill.syn_steps,
            count(expert.count, "expert"),
            expert.epochs
        );
        self.item("Size", &size, text);
    }

    /// A profile as it is written, its long lines broken.
    fn yaml(&mut self, text: &str) {
        for line in text.lines() {
            let line = clean(line);
            let inside = line.trim_start();
            let indent = line.len() - inside.len();
            let style = if inside.starts_with('#') {
                self.theme.dim()
            } else {
                self.theme.text()
            };
            let parts = wrap(inside, self.cells.saturating_sub(indent + 2));
            for (i, part) in parts.into_iter().enumerate() {
                let indent = indent + if i == 0 { 0 } else { 2 };
                self.push(" ".repeat(indent) + &part, style);
            }
        }
    }
}
