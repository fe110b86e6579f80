//! The screen of a run: its state, its charts, its pictures, its log; and its result when it is
//! done.

mod layout;
mod log_panel;

use crate::tui::backend::Command;
use crate::tui::chart::ChartView;
use crate::tui::click_targets::Target;
use crate::tui::context::{Context, Effect};
use crate::tui::header;
use crate::tui::keys::{Action, Keymap, Scope};
use crate::tui::message::Message;
use crate::tui::model::{ReportedState, Weight};
use crate::tui::panel::{self, Panel};
use crate::tui::screen::{Response, Screen};
use crate::tui::screens::chart::{ChartScreen, draw_chart};
use crate::tui::screens::confirm::{ConfirmPopup, OnYes};
use crate::tui::screens::log::LogScreen;
use crate::tui::screens::prompt::PromptPopup;
use crate::tui::screens::roll_back::RollBackPopup;
use crate::tui::screens::samples::{SamplesScreen, draw_overview};
use crate::tui::screens::tweak::TweakPopup;
use crate::tui::session::{RunStatus, Session};
use crate::tui::widgets::{frame, put, put_paragraph};
use layout::RunLayout;
use log_panel::draw_log;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// The run of the session.
#[derive(Debug)]
pub struct RunScreen;

impl Screen for RunScreen {
    fn scope(&self) -> Scope {
        Scope::Run
    }

    fn scrolls(&self) -> bool {
        false
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let Some(session) = &mut context.session else {
            return Response::Close;
        };
        let focus = session.focus();
        match action {
            Action::Escape if session.clear_cursors() => {}
            Action::Back | Action::Escape => return Response::Close,
            Action::Open | Action::FullSize => {
                // the focus moves on with the phase, unless it was chosen
                session.choose(focus);
                return match focus {
                    Panel::Pictures => open_samples(context),
                    Panel::Log => Response::Open(Box::new(LogScreen::default())),
                    _ => Response::Open(Box::new(ChartScreen)),
                };
            }
            Action::Samples => return open_samples(context),
            Action::Log => return Response::Open(Box::new(LogScreen::default())),
            Action::Tweak => return open_tweak(context),
            Action::RollBack => return open_roll_back(context),
            Action::Extend => return extend(context),
            Action::Clone => {
                let run = session.run.clone();
                context.ask_for_template(run);
            }
            Action::Stop => return confirm_stop(context),
            Action::Pause => return pause(context),
            Action::Checkpoint => context.send(Command::Checkpoint),
            Action::Evaluate => context.send(Command::Evaluate),
            Action::Ascii | Action::Blocks => context.change_pictures(action == Action::Ascii),
            Action::LogScale | Action::Smoothing | Action::Outliers => {
                session.change_view(
                    focus,
                    match action {
                        Action::LogScale => ChartView::toggle_log,
                        Action::Smoothing => ChartView::next_smooth,
                        _ => ChartView::toggle_robust,
                    },
                );
            }
            Action::NextPanel | Action::PreviousPanel => {
                session.focus_next(&tab_order(session), action == Action::NextPanel)
            }
            Action::Up | Action::Down | Action::Left | Action::Right => {
                step(session, &context.keys, body(context.size), action)
            }
            // what lies below is hidden, so it must not act
            _ => {}
        }
        Response::Handled
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let layout = RunLayout::new(area, session, &context.keys);
        header::draw(buf, layout.header, context, session);
        let charts = layout.panels.iter().filter(|(p, _)| p.plot().is_some());
        // the first says which of all charts these are
        let mut on_page = charts.count();
        for (i, (panel, area)) in layout.panels.into_iter().enumerate() {
            context.targets.add(area, Target::Item(i));
            let focused = session.focus() == panel;
            match panel {
                Panel::Pictures => draw_pictures(buf, area, context, session, focused),
                Panel::Log => draw_log(buf, area, context, session, focused),
                chart => {
                    let of_page = std::mem::take(&mut on_page);
                    draw_chart(buf, area, context, session, chart, (focused, of_page));
                }
            }
        }
        None
    }

    /// Whether the run that was to be the beginning of another is the one that is shown.
    fn receive(&mut self, message: &Message, context: &Context) -> bool {
        match message {
            Message::Template(run, _) => context.session.as_ref().is_some_and(|s| s.run == *run),
            _ => false,
        }
    }

    /// The latest picture up to the cursor, or that of the result.
    fn request_missing(&mut self, context: &mut Context) {
        if let Some(session) = &mut context.session
            && session.loading.is_none()
            && let Some(latest) = session.overview_picture().1.cloned()
            && session.pictures.request(&latest)
        {
            let run = session.run.clone();
            context.effects.push(Effect::Picture(run, latest));
        }
    }

    /// Gives a panel the focus.
    fn choose(&mut self, panel: usize, context: &mut Context) -> Option<Action> {
        let area = body(context.size);
        let session = context.session.as_mut()?;
        let layout = RunLayout::new(area, session, &context.keys);
        let (panel, _) = *layout.panels.get(panel)?;
        let had_focus = session.focus() == panel;
        session.choose(panel);
        had_focus.then_some(Action::Open)
    }
}

/// The screen without the footer.
fn body(size: (u16, u16)) -> Rect {
    Rect::new(0, 0, size.0, size.1.saturating_sub(1))
}

fn tab_order(session: &Session) -> Vec<Panel> {
    let mut panels = panel::in_order(session.is_learning(), &session.model);
    panels.extend([Panel::Pictures, Panel::Log]);
    panels
}

/// Moves the focus to the nearest panel on that side; where the screen has none, to the next or the
/// previous one.
fn step(session: &mut Session, keys: &Keymap, area: Rect, action: Action) {
    let neighbour = RunLayout::fits(area)
        .then(|| RunLayout::new(area, session, keys).neighbour(session.focus(), action))
        .flatten();
    match neighbour {
        Some(panel) => session.choose(panel),
        None => {
            let forward = matches!(action, Action::Down | Action::Right);
            session.focus_next(&tab_order(session), forward);
        }
    }
}

fn open_samples(context: &mut Context) -> Response {
    let is_empty = |s: &Session| s.model.samples.is_empty();
    if context.session.as_ref().is_none_or(is_empty) {
        context.notify(Weight::Normal, "No images yet.");
        return Response::Handled;
    }
    Response::Open(Box::new(SamplesScreen::default()))
}

fn open_tweak(context: &mut Context) -> Response {
    let Some(session) = &context.session else {
        return Response::Handled;
    };
    let tweak = TweakPopup::new(session);
    // another terminal may have changed a setting
    let run = session.run.clone();
    context.effects.push(Effect::Profile(run));
    Response::Open(Box::new(tweak))
}

/// How many more iterations a finished run is to have.
fn extend(context: &mut Context) -> Response {
    let Some(session) = &context.session else {
        return Response::Handled;
    };
    if session.status() != RunStatus::Reported(ReportedState::Done) {
        let text = "The run is not finished: `set` changes distill.iterations.";
        context.notify(Weight::Normal, text);
        return Response::Handled;
    }
    let (run, done) = (session.run.clone(), session.model.step);
    Response::Open(Box::new(PromptPopup::extend(run, done)))
}

fn open_roll_back(context: &mut Context) -> Response {
    if !context.can_change_run() {
        return Response::Handled;
    }
    let runs = context.session.iter().map(|s| s.run.clone());
    context.effects.extend(runs.map(Effect::Checkpoints));
    Response::Open(Box::new(RollBackPopup::default()))
}

fn confirm_stop(context: &mut Context) -> Response {
    if !context.reaches_engine() {
        return Response::Handled;
    }
    Response::Open(Box::new(ConfirmPopup::question(
        "Stop this run?",
        "The engine writes a checkpoint first; you can resume the run later.",
        OnYes::Send(Command::Stop {
            reason: "requested in the app".into(),
        }),
    )))
}

/// Pauses, resumes, or starts a new engine where there is none.
fn pause(context: &mut Context) -> Response {
    let Some(session) = &context.session else {
        return Response::Handled;
    };
    match session.status() {
        RunStatus::Elsewhere if session.is_reachable() => {
            let is_paused = session.model.state == ReportedState::Paused;
            context.send(match is_paused {
                true => Command::Resume,
                false => Command::Pause,
            });
        }
        RunStatus::Reported(ReportedState::Paused) => context.send(Command::Resume),
        RunStatus::Reported(ReportedState::Done) | RunStatus::Starting | RunStatus::Elsewhere => {
            let why = session.why_no_engine();
            context.notify(Weight::Warning, &why);
        }
        RunStatus::MaybeRemote | RunStatus::Unknown => {
            let text = format!(
                "{} If it is still there, it ends once the new one has the run, and its work since the \
                 last checkpoint is lost.",
                session.doubt()
            );
            return Response::Open(Box::new(ConfirmPopup::question(
                "Start an engine here?",
                &text,
                OnYes::ResumeRun,
            )));
        }
        RunStatus::Reported(ReportedState::Stopped | ReportedState::Failed) | RunStatus::Gone => {
            context.resume_run()
        }
        RunStatus::Reported(
            ReportedState::Waiting | ReportedState::Running | ReportedState::Stopping,
        ) => context.send(Command::Pause),
    }
    Response::Handled
}

fn draw_pictures(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    session: &Session,
    focused: bool,
) {
    let theme = &context.appearance.theme;
    let (ready, latest) = session.overview_picture();
    let title = ready.map_or_else(
        || Panel::Pictures.title().into(),
        |(s, _)| match (session.cursor(), session.model.best_step()) {
            (Some(_), _) => format!("Images, step {} (cursor)", s.step),
            (None, Some(best)) if best == s.step => format!("Result, step {}", s.step),
            (None, Some(_)) => format!("Latest, step {}", s.step),
            (None, None) => format!("Images, step {}", s.step),
        },
    );
    let inner = frame(buf, area, &context.appearance, &title, focused);
    match (ready, latest.map(|s| session.pictures.get(s))) {
        (Some((sample, picture)), _) => {
            let samples = &session.model.samples;
            let turn = samples.iter().position(|s| s.step == sample.step);
            let turn = turn.unwrap_or_default();
            draw_overview(buf, inner, &context.appearance, picture, session, turn);
        }
        (None, Some(Some(Err(problem)))) => put_paragraph(buf, inner, problem, theme.warn()),
        (None, Some(_)) => put(buf, inner, 0, "Loading image...", theme.dim()),
        (None, None) => put(buf, inner, 0, "No images yet.", theme.dim()),
    }
}
