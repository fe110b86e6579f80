//! `astill list`.

use crate::tui::clock;
use crate::tui::text::{clean, fit, pad, width};
use astill_core::Result;
use astill_core::ablation::{self, AblationState, AblationSummary};
use astill_core::cli::{ListArgs, ListedState, SortedBy, out};
use astill_core::console::to_stderr;
use astill_core::run::list::{RunState, RunSummary, list};
use astill_core::text::percent;
use jiff::tz::TimeZone;
use serde_json::json;
use std::io::IsTerminal;
use std::path::Path;

/// Carries out `astill list`.
///
/// # Errors
/// The folder of runs cannot be read, or standard output cannot be written.
pub fn list_runs(runs: &Path, args: &ListArgs) -> Result<()> {
    let mut found = list(runs)?;
    let mut ablations = ablation::list(runs)?;
    let is_empty = found.is_empty() && ablations.is_empty();
    if !args.state.is_empty() {
        found.retain(|run| args.state.contains(&listed_state(run.state)));
        ablations.retain(|a| args.state.contains(&state_of(a)));
    }
    sort(&mut found, args.sort);
    if args.json {
        let ablations = ablations.iter().map(|a| json!({ "ablation": a }));
        let all: Vec<_> = found.iter().map(|r| json!(r)).chain(ablations).collect();
        return out(json!(all));
    }
    if is_empty {
        to_stderr(format!(
            "no runs in {} (use --runs DIR to look elsewhere)",
            runs.display()
        ));
    }
    let rows = ablations
        .iter()
        .map(ablation_row)
        .chain(found.iter().map(run_row));
    let mut rows: Vec<[String; 4]> = rows.collect();
    // for people; scripts that count lines go on to work
    if !rows.is_empty() && std::io::stdout().is_terminal() {
        let heads = ["Name", "Profile", "Started", "State"];
        rows.insert(0, heads.map(String::from));
    }
    aligned(&rows).iter().try_for_each(out)
}

/// A line per row, its columns below each other on a screen.
fn aligned(rows: &[[String; 4]]) -> Vec<String> {
    let widest = |column: usize| rows.iter().map(|r| width(&r[column])).max().unwrap_or(0);
    let (names, profiles, starts) = (widest(0), widest(1), widest(2));
    let line = |[name, profile, started, rest]: &[String; 4]| {
        format!(
            "{}  {}  {}  {rest}",
            pad(name, names),
            pad(profile, profiles),
            pad(started, starts)
        )
    };
    rows.iter().map(line).collect()
}

/// By name, or the most accurate first; the list comes with the latest first.
fn sort(runs: &mut [RunSummary], order: SortedBy) {
    match order {
        SortedBy::Date => {}
        SortedBy::Name => runs.sort_by(|a, b| a.name.cmp(&b.name)),
        // those without a result last
        SortedBy::Accuracy => runs.sort_by(|a, b| {
            let of = |run: &RunSummary| run.accuracy.unwrap_or(f64::NEG_INFINITY);
            of(b).total_cmp(&of(a))
        }),
    }
}

fn listed_state(state: RunState) -> ListedState {
    match state {
        RunState::Running => ListedState::Running,
        RunState::Paused => ListedState::Paused,
        RunState::Waiting => ListedState::Waiting,
        RunState::Stopped => ListedState::Stopped,
        RunState::Done => ListedState::Done,
        RunState::Failed => ListedState::Failed,
        RunState::Dead => ListedState::Interrupted,
        RunState::Elsewhere => ListedState::Elsewhere,
    }
}

fn state_of(ablation: &AblationSummary) -> ListedState {
    match ablation.state {
        AblationState::Running => ListedState::Running,
        AblationState::Stopped => ListedState::Stopped,
        AblationState::Done => ListedState::Done,
    }
}

/// Name, profile, start, and all that has no column of its own. A run may come from an untrusted
/// source.
fn run_row(run: &RunSummary) -> [String; 4] {
    let accuracy = run
        .accuracy
        .map(|a| format!("  {} %", percent(a)))
        .unwrap_or_default();
    let phase = run
        .phase
        .filter(|_| run.state.has_engine())
        .map(|p| format!(", {p}"))
        .unwrap_or_default();
    let steps = format!("step {}/{}", run.step, run.iterations);
    let is_unknown = run.state == RunState::Elsewhere && run.host.is_none();
    let why = match (run.out_of_memory, is_unknown) {
        (true, _) => " (probably out of memory)",
        (_, true) => " (its lock cannot be read)",
        _ => "",
    };
    let host = run
        .host
        .as_ref()
        .map(|h| format!(" on {}", clean(h)))
        .unwrap_or_default();
    [
        shown(&run.name),
        shown(&run.profile),
        minute(&run.started),
        format!("{}{why}{host}{phase}  {steps}{accuracy}", run.state.name()),
    ]
}

/// The same of an ablation.
fn ablation_row(ablation: &AblationSummary) -> [String; 4] {
    let now = ablation.current.as_ref().map(|r| format!(", {}", shown(r)));
    [
        shown(&ablation.name),
        shown(&ablation.profile),
        minute(&ablation.started),
        format!(
            "{}{}  {}",
            ablation.state.name(),
            now.unwrap_or_default(),
            ablation.progress()
        ),
    ]
}

fn shown(text: &str) -> String {
    fit(&clean(text), 60)
}

/// "2026-01-31 12:00 +01:00" in the time zone of this machine.
fn minute(time: &str) -> String {
    clock::date(time, &TimeZone::system())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::stage::{run_dir, summary};

    #[test]
    fn columns_stand_below_each_other_whatever_is_in_them() {
        let row = |name: &str| [name, "p", "s", "rest"].map(String::from);
        let lines = aligned(&[row("漢字"), row("Käse"), row("a")]);
        assert_eq!(
            lines,
            ["漢字  p  s  rest", "Käse  p  s  rest", "a     p  s  rest"]
        );
    }

    #[test]
    fn the_most_accurate_comes_first_and_runs_without_a_result_last() {
        let of = |name: &str, accuracy| RunSummary {
            accuracy,
            ..summary(&run_dir(name), RunState::Done, 9)
        };
        let mut runs = vec![
            of("c", None),
            of("b", Some(20.)),
            of("a", Some(f64::NAN)),
            of("d", Some(43.)),
        ];
        let names = |runs: &[RunSummary]| runs.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        sort(&mut runs, SortedBy::Date);
        assert_eq!(names(&runs), ["c", "b", "a", "d"]);
        runs.retain(|r| r.name != "a");
        sort(&mut runs, SortedBy::Accuracy);
        assert_eq!(names(&runs), ["d", "b", "c"]);
        sort(&mut runs, SortedBy::Name);
        assert_eq!(names(&runs), ["b", "c", "d"]);
    }
}
