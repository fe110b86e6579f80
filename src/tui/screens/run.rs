//! The screen of a run: how it stands, its charts, its pictures, its log; and its result when it is
//! done.

use super::super::app::{Context, Effect, Layer, Next};
use super::super::backend::Command;
use super::super::keys::Action;
use super::super::model::{State, Weight};
use super::super::session::{RunStatus, Session};
use super::super::text::{clean, wrap};
use super::panel::{self, CHARTS, Panel};
use super::{
    Confirm, Log, RollBack, Samples, Then, Tweak, frame, header, log, put, samples, weight_style,
};
use astill_core::run::event::{EventKind, ImageSet};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// Smallest useful chart.
const CHART: (u16, u16) = (38, 9);

/// Where everything is on a screen.
#[derive(Debug)]
struct Plan {
    header: Rect,
    panels: Vec<(Panel, Rect)>,
}

/// Divides the screen: the header, charts with the pictures beside them, the log below.
fn plan(area: Rect, session: &Session) -> Plan {
    let header = Rect {
        height: if area.height >= 18 { 3 } else { 2 },
        ..area
    };
    let mut body = Rect {
        y: area.y + header.height,
        height: area.height - header.height,
        ..area
    };
    let mut panels = Vec::new();

    let wanted = ending_lines(session, usize::from(area.width).saturating_sub(2)).len() as u16 + 2;
    let below = match area.height {
        0..16 => 0,
        16..30 => wanted.clamp(6, 9),
        30..50 => wanted.clamp(8, 14),
        _ => wanted.clamp(12, 20),
    };
    let log = Rect {
        y: body.bottom() - below,
        height: below,
        ..body
    };
    body.height -= below;

    let beside = if area.width >= 60 {
        (area.width * 3 / 10)
            .clamp(22, 68)
            .min((body.height * 2 + 2).max(22))
    } else {
        0
    };
    let charts = Rect {
        width: area.width - beside,
        ..body
    };

    let most_columns = (charts.width / CHART.0).max(1);
    let most_rows = (charts.height / CHART.1).max(1);
    let slots = usize::from(most_columns * most_rows).min(CHARTS.len());
    let focus = session.focus();
    let order = panel::in_order(session);
    let first = order
        .iter()
        .position(|p| *p == focus)
        .map_or(0, |i| i / slots * slots);
    let shown: Vec<Panel> = order.into_iter().skip(first).take(slots).collect();
    let rows = shown.len().div_ceil(most_columns.into()).max(1);
    let per_row = shown.len().div_ceil(rows).max(1);
    for (row, of_row) in shown.chunks(per_row).enumerate() {
        let (top, bottom) = (
            share(charts.height, row, rows),
            share(charts.height, row + 1, rows),
        );
        for (i, panel) in of_row.iter().enumerate() {
            let (left, right) = (
                share(charts.width, i, of_row.len()),
                share(charts.width, i + 1, of_row.len()),
            );
            let place = Rect {
                x: charts.x + left,
                y: charts.y + top,
                width: right - left,
                height: bottom - top,
            };
            panels.push((*panel, place));
        }
    }
    if beside > 0 {
        panels.push((
            Panel::Pictures,
            Rect {
                x: charts.right(),
                width: beside,
                ..body
            },
        ));
    }
    if below > 0 {
        panels.push((Panel::Log, log));
    }
    Plan { header, panels }
}

/// Where part `i` of `parts` begins.
fn share(length: u16, i: usize, parts: usize) -> u16 {
    (usize::from(length) * i / parts) as u16
}

pub fn draw(buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
    let session = context.session.as_ref()?;
    let plan = plan(area, session);
    header::draw(buf, plan.header, context, session);
    for (panel, place) in plan.panels {
        let focused = session.focus() == panel;
        match panel {
            Panel::Pictures => draw_pictures(buf, place, context, session, focused),
            Panel::Log => draw_log(buf, place, context, session, focused),
            chart => panel::draw(buf, place, context, session, chart, focused),
        }
    }
    None
}

fn draw_pictures(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    session: &Session,
    focused: bool,
) {
    let theme = &context.look.theme;
    let (ready, latest) = session.latest_picture();
    let title = ready.map_or_else(
        || Panel::Pictures.title().into(),
        |(s, _)| format!("Images, step {}", s.step),
    );
    let inner = frame(buf, area, &context.look, &title, focused);
    match (ready, latest.and_then(|s| session.pictures.get(s))) {
        (Some((_, picture)), _) => {
            samples::draw_overview(buf, inner, &context.look, picture, session)
        }
        (None, Some(Err(problem))) => {
            for (row, line) in (0..inner.height).zip(wrap(&clean(problem), inner.width.into())) {
                put(buf, inner, row, &line, theme.warn());
            }
        }
        (None, _) => put(
            buf,
            inner,
            0,
            if latest.is_some() {
                "Reading .."
            } else {
                "No pictures yet."
            },
            theme.dim(),
        ),
    }
}

/// How the run ended, in words; empty while it goes on.
fn ending_lines(session: &Session, cells: usize) -> Vec<(String, Weight)> {
    let Some(finished) = &session.model.finished else {
        return Vec::new();
    };
    if let Some(table) = astill_core::headless::table(finished) {
        return table.lines().map(|l| (clean(l), Weight::Normal)).collect();
    }
    let EventKind::RunFinished { reason, .. } = finished else {
        return Vec::new();
    };
    let weight = if session.model.state == State::Failed {
        Weight::Failure
    } else {
        Weight::Warning
    };
    wrap(&clean(reason.as_deref().unwrap_or_default()), cells)
        .into_iter()
        .map(|l| (l, weight))
        .collect()
}

fn draw_log(buf: &mut Buffer, area: Rect, context: &Context, session: &Session, focused: bool) {
    let ending = ending_lines(session, usize::from(area.width).saturating_sub(2));
    let title = match session.model.state {
        _ if ending.is_empty() => "Log",
        State::Done => "Result",
        State::Failed => "Why it failed",
        _ => "Stopped",
    };
    let inner = frame(buf, area, &context.look, title, focused);
    let mut used = 0;
    for (text, weight) in ending.iter().take(inner.height.into()) {
        // the first row of results is what it was all about
        let is_headline = text
            .trim_start()
            .starts_with(&ImageSet::Distilled.to_string());
        let style = if is_headline {
            context.look.theme.good()
        } else {
            weight_style(&context.look, *weight)
        };
        put(buf, inner, used, text, style);
        used += 1;
    }
    if session.standing() == RunStatus::Gone {
        let text = "The engine is gone without a word; Space starts a new one, which goes on from \
                    the last checkpoint.";
        for line in wrap(text, inner.width.into()) {
            put(buf, inner, used, &line, context.look.theme.bad());
            used += 1;
        }
    }
    if matches!(
        session.standing(),
        RunStatus::Elsewhere | RunStatus::MaybeRemote
    ) {
        for line in wrap(&clean(&session.why_no_engine()), inner.width.into()) {
            put(buf, inner, used, &line, context.look.theme.warn());
            used += 1;
        }
    }
    let rest = Rect {
        y: inner.y + used.min(inner.height),
        height: inner.height.saturating_sub(used),
        ..inner
    };
    let lines: Vec<_> = session
        .model
        .log
        .backwards()
        .take(rest.height.into())
        .collect();
    if lines.is_empty() && used == 0 {
        put(
            buf,
            rest,
            0,
            "Waiting for the engine's first words ..",
            context.look.theme.dim(),
        );
    }
    log::draw_lines(buf, rest, context, &lines, false);
}

/// Keys of the run's screen, and of a chart at full size for what is not about the chart.
pub fn act(action: Action, context: &mut Context) -> Next {
    let size = context.size;
    let Some(session) = &mut context.session else {
        return Next::Close;
    };
    let focus = session.focus();
    match action {
        Action::Escape if session.forget_cursors() => {}
        Action::Back | Action::Escape => return Next::Close,
        Action::Open | Action::FullSize => {
            return match focus {
                Panel::Pictures => open_samples(context),
                Panel::Log => Next::Push(Layer::Log(Log::default())),
                _ => Next::Push(Layer::Chart),
            };
        }
        Action::Samples => return open_samples(context),
        Action::Log => return Next::Push(Layer::Log(Log::default())),
        Action::Tweak => return open_tweak(context),
        Action::RollBack => {
            if !session.is_live() {
                let why = session.why_no_engine();
                context.say(Weight::Warning, &why);
                return Next::Stay;
            }
            let run = session.run.clone();
            context.effects.push(Effect::Checkpoints(run));
            return Next::Push(Layer::RollBack(RollBack::default()));
        }
        Action::Stop => {
            if !session.is_live() {
                let why = session.why_no_engine();
                context.say(Weight::Warning, &why);
                return Next::Stay;
            }
            let text = "It writes a checkpoint first and can be resumed later.";
            let then = Then::Send(Command::Stop {
                reason: "asked for in the app".into(),
            });
            return Next::Push(Layer::Confirm(Confirm::question(
                "Stop this run?",
                text,
                then,
            )));
        }
        Action::Pause => return pause(context),
        Action::Checkpoint => context.send(Command::Checkpoint),
        Action::Evaluate => context.send(Command::Evaluate),
        Action::Ascii => context.look.ascii_pictures = !context.look.ascii_pictures,
        Action::LogScale => {
            if let Some(view) = session.view(focus) {
                *view = view.toggle_log();
            }
        }
        Action::Smoothing => {
            if let Some(view) = session.view(focus) {
                *view = view.next_smooth();
            }
        }
        Action::NextPanel | Action::PreviousPanel => cycle(session, action == Action::NextPanel),
        Action::Up | Action::Down | Action::Left | Action::Right => {
            step(session, body(size), action)
        }
        _ => {}
    }
    Next::Stay
}

/// The screen without the footer.
fn body(size: (u16, u16)) -> Rect {
    Rect::new(0, 0, size.0, size.1.saturating_sub(1))
}

/// Gives the focus to the panel at this place.
pub fn click(context: &mut Context, column: u16, row: u16) {
    let area = body(context.size);
    let Some(session) = context
        .session
        .as_mut()
        .filter(|_| area.width >= 40 && area.height >= 9)
    else {
        return;
    };
    let at = Position { x: column, y: row };
    if let Some((panel, _)) = plan(area, session)
        .panels
        .into_iter()
        .find(|(_, r)| r.contains(at))
    {
        session.chosen = Some(panel);
    }
}

/// Pauses, goes on, or starts a new engine where there is none.
fn pause(context: &mut Context) -> Next {
    let Some(session) = &context.session else {
        return Next::Stay;
    };
    match session.standing() {
        RunStatus::Reported(State::Paused) => context.send(Command::Resume),
        RunStatus::Reported(State::Done) => context.say(Weight::Normal, "The run is done."),
        RunStatus::Elsewhere => {
            let why = session.why_no_engine();
            context.say(Weight::Warning, &why);
        }
        RunStatus::MaybeRemote => {
            let host = session.host();
            let text = format!(
                "The latest one was on {host} and has not said that it ended. Two at work at once \
                 would spoil the run."
            );
            return Next::Push(Layer::Confirm(Confirm::question(
                "Start an engine here?",
                &text,
                Then::Resume,
            )));
        }
        RunStatus::Reported(State::Stopped | State::Failed) | RunStatus::Gone => context.resume(),
        RunStatus::Reported(State::Waiting | State::Running | State::Stopping) => {
            context.send(Command::Pause)
        }
    }
    Next::Stay
}

fn open_samples(context: &mut Context) -> Next {
    let Some(session) = &context.session else {
        return Next::Stay;
    };
    if session.model.samples.is_empty() {
        context.say(Weight::Normal, "There are no pictures yet.");
        return Next::Stay;
    }
    Next::Push(Layer::Samples(Samples::default()))
}

fn open_tweak(context: &mut Context) -> Next {
    let Some(session) = &context.session else {
        return Next::Stay;
    };
    let tweak = Tweak::of(session);
    if session.profile.is_none() {
        let run = session.run.clone();
        context.effects.push(Effect::Profile(run));
    }
    Next::Push(Layer::Tweak(tweak))
}

fn cycle(session: &mut Session, forward: bool) {
    let all: Vec<Panel> = panel::in_order(session)
        .into_iter()
        .chain([Panel::Pictures, Panel::Log])
        .collect();
    let at = all.iter().position(|p| *p == session.focus()).unwrap_or(0);
    let by = if forward { 1 } else { all.len() - 1 };
    session.chosen = Some(all[(at + by) % all.len()]);
}

/// Moves the focus to the nearest panel on that side; where there is none on the screen, to the
/// next or the one before.
fn step(session: &mut Session, area: Rect, action: Action) {
    if area.width < 40 || area.height < 9 {
        return cycle(session, matches!(action, Action::Down | Action::Right));
    }
    let panels = plan(area, session).panels;
    let Some((_, from)) = panels.iter().find(|(p, _)| *p == session.focus()) else {
        return cycle(session, matches!(action, Action::Down | Action::Right));
    };
    let beyond = |r: &Rect| match action {
        Action::Up => r.bottom() <= from.y,
        Action::Down => r.y >= from.bottom(),
        Action::Left => r.right() <= from.x,
        _ => r.x >= from.right(),
    };
    let middle = |r: &Rect| {
        (
            i32::from(r.x) + i32::from(r.width) / 2,
            i32::from(r.y) + i32::from(r.height) / 2,
        )
    };
    let (x, y) = middle(from);
    let distance = |r: &Rect| {
        let (px, py) = middle(r);
        // cells are twice as high as wide
        match action {
            Action::Up | Action::Down => (py - y).abs() * 6 + (px - x).abs(),
            _ => (px - x).abs() + (py - y).abs() * 6,
        }
    };
    match panels
        .iter()
        .filter(|(_, r)| beyond(r))
        .min_by_key(|(_, r)| distance(r))
    {
        Some((panel, _)) => session.chosen = Some(*panel),
        None => cycle(session, matches!(action, Action::Down | Action::Right)),
    }
}
