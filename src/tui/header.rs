//! The state of a run, in three lines or in one.

use crate::tui::clock;
use crate::tui::context::{Appearance, Context};
use crate::tui::model::{Curves, ReportedState};
use crate::tui::session::{RunStatus, Session};
use crate::tui::text::{clean, fit, number, width};
use crate::tui::widgets::gauge;
use astill_core::profile::Profile;
use astill_core::run::event::{Phase, Usage};
use astill_core::run::outlook::{Ahead, in_all};
use astill_core::text::{duration, percent, rate, significant};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// The fewest rows of a screen on which what is in use of the machine has a line of its own: on a
/// smaller one, the images need it.
const WITH_USAGE: u16 = 28;
/// Cells of a bar of memory.
const BAR: usize = 8;
/// Memory is short above this share of it.
const SHORT: f64 = 0.95;

/// The rows of the header on a screen of so many.
pub fn rows(of_screen: u16, session: &Session) -> u16 {
    let has_usage = session.is_live() && session.model.usage.latest().is_some();
    match of_screen {
        0..18 => 2,
        WITH_USAGE.. if has_usage => 4,
        _ => 3,
    }
}

/// Name, status, phase, speed; accuracy, device, memory; the progress; what is in use of the machine.
pub fn draw(buf: &mut Buffer, area: Rect, context: &Context, session: &Session) {
    let (appearance, model) = (&context.appearance, &session.model);
    let theme = &appearance.theme;
    let style = status_style(session, appearance);
    let mut first = vec![
        (
            clean(&session.run.name()),
            theme.title().patch(Style::new().bold()),
        ),
        (status(session), style.patch(Style::new().bold())),
        (step_of_phase(session), theme.text()),
    ];
    if model.phase == Some(Phase::Distill) {
        first.extend(model.seconds_per_step().map(|s| (rate(s), theme.text())));
    }
    let quiet = context
        .seconds_without_events()
        .filter(|_| session.is_live());
    match quiet {
        Some(s) => first.push((format!("no events for {}", whole_seconds(s)), theme.warn())),
        None => {
            let left = time_left(context, session).into_iter();
            first.extend(left.map(|left| (left, theme.text())));
        }
    }
    spread(buf, area, 0, first);

    let mut second = Vec::new();
    if let Some(accuracy) = model.latest_accuracy() {
        // one network has no spread
        let spread = match accuracy.values.len() {
            0 | 1 => String::new(),
            _ => format!(" +- {}", percent(accuracy.std)),
        };
        let text = format!("{} {}{spread} %", accuracy.split, percent(accuracy.mean));
        second.push((text, theme.good()));
    }
    let has_line = area.height > 3;
    let in_use = in_use(session, appearance, has_line);
    // how busy the GPU is says more than what does not change; what may be cut off comes last
    let of_gpu = in_use.iter().position(|(text, _)| text.starts_with("CPU"));
    let of_gpu = of_gpu.unwrap_or(in_use.len());
    if !has_line {
        second.extend(in_use[..of_gpu].iter().cloned());
    }
    if context.appearance.read_only {
        second.push(("read-only".into(), theme.dim()));
    }
    let baselines = model.baselines().into_iter();
    second.extend(baselines.map(|b| {
        let mean = percent(b.mean);
        let text = match model.latest_accuracy() {
            Some(_) => format!("{} {mean}", b.labels),
            None => format!("{} images {mean} %", b.labels),
        };
        (text, theme.dim())
    }));
    if let Some(header) = &model.header {
        second.push((
            format!("{} on {}", clean(&header.profile), clean(&header.device)),
            theme.text(),
        ));
    }
    if model.warnings > 0 {
        let plural = if model.warnings == 1 { "" } else { "s" };
        second.push((format!("{} warning{plural}", model.warnings), theme.warn()));
    }
    if session.unreadable > 0 {
        let plural = if session.unreadable == 1 { "" } else { "s" };
        let text = format!(
            "{} line{plural} of the record not readable",
            session.unreadable
        );
        second.push((text, theme.warn()));
    }
    if let Some(command) = session.pending.last() {
        second.push((
            format!("{}...", clean(&command.to_string())),
            theme.accent(),
        ));
    }
    if !has_line {
        second.extend(in_use[of_gpu..].iter().cloned());
    }
    second.extend(
        model
            .host_mib
            .map(|m| (format!("memory {m} MiB"), theme.dim())),
    );
    second.extend(
        model
            .device_mib
            .map(|m| (format!("device {m} MiB"), theme.dim())),
    );
    spread(buf, area, 1, second);

    if area.height > 2 {
        let (share, text) = progress(session);
        let rows: [Rect; 3] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
        gauge(buf, rows[2], appearance, share, &text);
    }
    if has_line {
        spread(buf, area, 3, in_use);
    }
}

/// What the machine has in use; dim while the run is paused, because it is what was in use before.
fn in_use(session: &Session, appearance: &Appearance, in_full: bool) -> Vec<(String, Style)> {
    let usage = session.model.usage.latest();
    let Some(usage) = usage.filter(|_| session.is_live()) else {
        return Vec::new();
    };
    let mut parts = parts_of(usage, appearance, in_full);
    if session.status() != RunStatus::Reported(ReportedState::Running) {
        let dim = appearance.theme.dim();
        parts.iter_mut().for_each(|(_, style)| *style = dim);
    }
    parts
}

/// "GPU 98 %, 64 C", a bar with "21.5/79.6 GiB", "CPU 45 %", a bar with "12.3/128 GiB": of these what
/// is known; `in_full` or without temperature and bars.
fn parts_of(usage: &Usage, appearance: &Appearance, in_full: bool) -> Vec<(String, Style)> {
    let theme = &appearance.theme;
    let mut parts = Vec::new();
    let per_cent = |name: &str, load: f64| format!("{name} {load:.0} %");
    let gpu = usage.gpu.unwrap_or_default();
    let temperature = gpu.temperature.filter(|_| in_full);
    let temperature = temperature.map(|t| format!("{t:.0} C"));
    let load = gpu.load.map(|load| per_cent("GPU", load));
    let of_gpu: Vec<String> = load.into_iter().chain(temperature).collect();
    parts.push((of_gpu.join(", "), theme.text()));
    parts.extend(memory(gpu.used_gib, gpu.total_gib, appearance, in_full));
    let load = usage.host.load.map(|load| per_cent("CPU", load));
    parts.extend(load.map(|load| (load, theme.text())));
    let host = &usage.host;
    parts.extend(memory(host.used_gib, host.total_gib, appearance, in_full));
    parts
}

/// The figures of memory, with a bar or without one.
fn memory(
    used: Option<f64>,
    total: Option<f64>,
    appearance: &Appearance,
    with_bar: bool,
) -> Option<(String, Style)> {
    let theme = &appearance.theme;
    let (used, total) = used.zip(total).filter(|(_, total)| *total > 0.)?;
    let share = (used / total).clamp(0., 1.);
    let filled = (share * BAR as f64).round() as usize;
    let [full, empty] = match theme.ascii {
        true => ["#", "."],
        false => ["█", "░"],
    };
    let [used, total] = [used, total].map(|gib| significant(gib, 3));
    let bar = match with_bar {
        true => full.repeat(filled) + &empty.repeat(BAR - filled) + " ",
        false => String::new(),
    };
    let style = match share > SHORT {
        true => theme.warn(),
        false => theme.accent(),
    };
    Some((format!("{bar}{used}/{total} GiB"), style))
}

/// "2 h 10 min left, done at 22:51", of the whole run where that is known, else of its phase: "2 h of
/// experts left", and "then distill, evaluate".
fn time_left(context: &Context, session: &Session) -> Vec<String> {
    let ahead = ahead(session);
    if let Some(seconds) = in_all(&ahead).filter(|s| *s > 0.) {
        let is_running = session.model.state == ReportedState::Running;
        let end = clock::end(context.now, seconds, &context.zone).filter(|_| is_running);
        let end = end.map(|end| format!(", done at {end}"));
        return vec![format!(
            "{} left{}",
            duration(seconds),
            end.unwrap_or_default()
        )];
    }
    let [now, rest @ ..] = ahead.as_slice() else {
        return Vec::new();
    };
    let Some(seconds) = now.seconds.filter(|s| *s > 0.) else {
        return Vec::new();
    };
    let rest: Vec<String> = rest.iter().map(|ahead| ahead.phase.to_string()).collect();
    let rest = (!rest.is_empty()).then(|| format!("then {}", rest.join(", ")));
    let now = format!("{} of {} left", duration(seconds), now.phase);
    std::iter::once(now).chain(rest).collect()
}

/// The phases that are not over; none where no engine works on the run.
fn ahead(session: &Session) -> Vec<Ahead> {
    let profile = session.profile.as_ref().filter(|_| session.is_live());
    profile.map_or(Vec::new(), |p| session.model.ahead(p))
}

/// Parts with two spaces between them, as many as fit.
fn spread(buf: &mut Buffer, area: Rect, row: u16, parts: Vec<(String, Style)>) {
    let mut spans = Vec::new();
    let mut left = usize::from(area.width);
    for (i, (text, style)) in parts.into_iter().filter(|(t, _)| !t.is_empty()).enumerate() {
        // a name of 200 characters leaves room for the state
        let text = if i == 0 {
            fit(&text, (left / 2).max(20))
        } else {
            text
        };
        let cells = width(&text) + 2;
        if cells > left + 2 {
            continue;
        }
        left = left.saturating_sub(cells);
        spans.extend([Span::styled(text, style), Span::raw("  ")]);
    }
    if row < area.height {
        Line::from(spans).render(
            Rect {
                y: area.y + row,
                height: 1,
                ..area
            },
            buf,
        );
    }
}

fn status(session: &Session) -> String {
    let name = match session.status() {
        _ if session.loading.is_some() && session.model.header.is_some() => "reading events",
        RunStatus::Starting => "starting",
        RunStatus::Gone => "interrupted",
        RunStatus::Elsewhere => return format!("engine on {}", clean(session.host())),
        RunStatus::MaybeRemote => return format!("engine may be on {}", clean(session.host())),
        RunStatus::Unknown => "engine unknown",
        RunStatus::Reported(ReportedState::Waiting) => "starting",
        RunStatus::Reported(ReportedState::Running | ReportedState::Paused)
            if session.model.is_waiting =>
        {
            "waiting for the disk"
        }
        RunStatus::Reported(ReportedState::Running) => "running",
        RunStatus::Reported(ReportedState::Paused) => "paused",
        RunStatus::Reported(ReportedState::Stopping) => "stopping",
        RunStatus::Reported(ReportedState::Stopped) => "stopped",
        RunStatus::Reported(ReportedState::Failed) => "failed",
        RunStatus::Reported(ReportedState::Done) => "done",
    };
    name.into()
}

fn status_style(session: &Session, appearance: &Appearance) -> Style {
    let theme = &appearance.theme;
    match session.status() {
        _ if session.loading.is_some() => theme.accent(),
        RunStatus::Starting | RunStatus::Reported(ReportedState::Waiting) => theme.accent(),
        RunStatus::Reported(ReportedState::Running | ReportedState::Paused)
            if session.model.is_waiting =>
        {
            theme.bad()
        }
        RunStatus::Reported(ReportedState::Running | ReportedState::Done) => theme.good(),
        RunStatus::Reported(
            ReportedState::Paused | ReportedState::Stopping | ReportedState::Stopped,
        )
        | RunStatus::Elsewhere
        | RunStatus::MaybeRemote
        | RunStatus::Unknown => theme.warn(),
        RunStatus::Reported(ReportedState::Failed) | RunStatus::Gone => theme.bad(),
    }
}

/// "distill 57/100"
fn step_of_phase(session: &Session) -> String {
    let model = &session.model;
    match model.phase {
        _ if matches!(session.status(), RunStatus::Reported(ReportedState::Done)) => {
            format!("{}/{}", model.step, model.iterations)
        }
        Some(Phase::Distill) => format!("distill {}/{}", model.step, model.iterations),
        Some(Phase::Experts) => match &session.profile {
            Some(profile) => format!(
                "experts {}/{}",
                trained(session, profile).0,
                profile.expert.count
            ),
            None => "experts".into(),
        },
        Some(phase) => phase.to_string(),
        None => String::new(),
    }
}

/// Experts that have all their epochs, and the epochs of all experts.
fn trained(session: &Session, profile: &Profile) -> (usize, usize) {
    let epochs = || session.model.experts.values().map(Curves::points);
    (
        epochs().filter(|n| *n >= profile.expert.epochs).count(),
        epochs().sum(),
    )
}

/// The share that is done, in [0, 1], and of what.
fn progress(session: &Session) -> (f64, String) {
    let model = &session.model;
    if let Some((read, total)) = session.loading {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        return (
            read as f64 / total.max(1) as f64,
            format!(
                "{:.0} of {:.0} MB of events read",
                megabytes(read),
                megabytes(total)
            ),
        );
    }
    if let Some(work) = model.work() {
        let left = work
            .seconds_left()
            .filter(|s| *s >= 1.)
            .map(|s| format!(", {} left", duration(s)))
            .unwrap_or_default();
        return (
            work.done as f64 / work.total.max(1) as f64,
            format!("{} {}/{}{left}", clean(&work.what), work.done, work.total),
        );
    }
    let share = model.step as f64 / model.iterations.max(1) as f64;
    match model.phase {
        Some(Phase::Experts) => match &session.profile {
            Some(profile) => {
                let (whole, epochs) = trained(session, profile);
                let share =
                    epochs as f64 / (profile.expert.count * profile.expert.epochs).max(1) as f64;
                (
                    share,
                    format!("{whole} of {} experts trained", profile.expert.count),
                )
            }
            None => (0., "experts".into()),
        },
        _ => (share, phases_left(session)),
    }
}

/// "distill 8 min 10 s, evaluate 2 min 05 s", where there is more than one phase to come.
fn phases_left(session: &Session) -> String {
    let known = |a: Ahead| Some(format!("{} {}", a.phase, duration(a.seconds?)));
    let parts: Vec<String> = ahead(session).into_iter().filter_map(known).collect();
    match parts.len() {
        0 | 1 => String::new(),
        _ => parts.join(", "),
    }
}

/// As [`duration`], without tenths.
fn whole_seconds(seconds: f64) -> String {
    if seconds < 60. {
        format!("{seconds:.0} s")
    } else {
        duration(seconds)
    }
}

/// The run in one line, for the smallest terminals and above a chart.
pub fn in_a_line(session: &Session) -> String {
    let model = &session.model;
    let mut parts = vec![status(session), step_of_phase(session)];
    parts.extend(
        model
            .steps
            .last("matching_loss")
            .map(|loss| format!("loss {}", number(loss))),
    );
    parts.extend(
        model
            .latest_accuracy()
            .map(|a| format!("{} %", percent(a.mean))),
    );
    parts.push(clean(&session.run.name()));
    parts.retain(|p| !p.is_empty());
    parts.join("  ")
}
