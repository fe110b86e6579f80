//! What a run would be, in lines with a name each: its data, its time, its memory.

use crate::tui::backend::{DataState, Preview};
use crate::tui::context::{Context, Fetching};
use crate::tui::keys::{Action, Scope};
use crate::tui::text::clean;
use crate::tui::theme::Theme;
use astill_core::text::duration;
use ratatui::style::Style;

/// From this on the time is something to think about first.
const LONG: f64 = 86_400.;

/// A line: its name, what it says, and how that looks.
pub type Named = (&'static str, String, Style);

/// The data of a run, on a screen with this scope.
pub fn data(
    state: &DataState,
    preview: Option<&Preview>,
    context: &Context,
    scope: Scope,
) -> Named {
    let theme = &context.appearance.theme;
    // while a text is typed, keys go into it
    let bound = context.keys.bound(Action::Fetch, scope);
    let bound = bound.filter(|_| !context.appearance.read_only);
    let key = bound.and_then(|bound| Some(bound.keys.first()?.name()));
    let fetching = |set: &String| context.fetching.as_ref().filter(|f| f.set == *set);
    let (text, style) = match (state, preview.map(|p| &p.data)) {
        (_, Some(Ok(found))) => (clean(found), theme.good()),
        (DataState::Fetchable { set, bytes }, _) => match fetching(set) {
            Some(fetching) => (fetched_so_far(fetching, key), theme.accent()),
            None => {
                let size = bytes.map(|b| format!(" ({:.0} MB)", b as f64 / 1e6));
                let size = size.unwrap_or_default();
                let how = match key {
                    Some(key) => format!("{key} fetches {set}"),
                    None => format!("`astill fetch {set}`"),
                };
                (format!("not here: {how}{size}"), theme.warn())
            }
        },
        (_, Some(Err(problem))) => (clean(problem), theme.warn()),
        (DataState::Missing, None) => ("not here".into(), theme.warn()),
        (DataState::Ready, None) => ("checking...".into(), theme.dim()),
    };
    ("Data", text, style)
}

fn fetched_so_far(fetching: &Fetching, key: Option<String>) -> String {
    let progress = clean(&fetching.progress);
    match (fetching.is_ending, key) {
        (true, _) => format!("stopping: {progress}"),
        (false, Some(key)) => format!("being fetched: {progress} ({key} stops it)"),
        (false, None) => format!("being fetched: {progress}"),
    }
}

/// Time and memory, or why they are not known.
pub fn cost(preview: Option<&Preview>, theme: &Theme) -> Vec<Named> {
    let Some(preview) = preview else {
        return vec![("Time", "checking...".into(), theme.dim())];
    };
    let device = clean(&preview.device);
    let mut lines = Vec::new();
    if let Some(seconds) = preview.seconds {
        let style = match seconds < LONG {
            true => theme.accent(),
            false => theme.warn(),
        };
        lines.push((
            "Time",
            format!("about {} on {device}", duration(seconds)),
            style,
        ));
    } else if let Some(why) = &preview.not_measured {
        lines.push(("Time", format!("not measured: {}", clean(why)), theme.dim()));
    } else {
        lines.push(("Time", "not known".into(), theme.dim()));
    }
    if let Some(needed) = preview.memory_mib {
        let about = format!("about {}", memory(needed));
        lines.push(match preview.free_mib {
            Some(free) if free < needed => (
                "Memory",
                format!("{about}, {} free: too large for this device", memory(free)),
                theme.warn(),
            ),
            Some(free) => (
                "Memory",
                format!("{about}, {} free", memory(free)),
                theme.accent(),
            ),
            None => ("Memory", about, theme.accent()),
        });
    }
    lines
}

fn memory(mib: f64) -> String {
    if mib < 1024. {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::stage::LOOK;

    fn preview() -> Preview {
        Preview {
            profile: Err(String::new()),
            data: Err("not there".into()),
            remarks: Vec::new(),
            device: "cuda:0".into(),
            memory_mib: Some(30. * 1024.),
            seconds: Some(604. * 3600.),
            free_mib: Some(12. * 1024.),
            not_measured: None,
        }
    }

    #[test]
    fn what_takes_days_or_too_much_memory_is_a_warning() {
        let theme = &LOOK.theme;
        let lines = cost(Some(&preview()), theme);
        let is_warning = |line: &Named| line.2 == theme.warn();
        assert!(lines.iter().all(is_warning), "{lines:?}");
        assert_eq!(lines[0].1, "about 25 d 4 h on cuda:0");
        assert_eq!(
            lines[1].1,
            "about 30.0 GiB, 12.0 GiB free: too large for this device"
        );
        let modest = Preview {
            memory_mib: Some(640.),
            seconds: Some(115.),
            ..preview()
        };
        let lines = cost(Some(&modest), theme);
        assert!(!lines.iter().any(is_warning), "{lines:?}");
    }

    #[test]
    fn data_that_are_missing_are_one_line_with_the_key_that_fetches_them() {
        let state = DataState::Fetchable {
            set: "cifar10".into(),
            bytes: Some(170_052_171),
        };
        let mut context = Context::new(LOOK, (80, 24));
        let text = |context: &Context| data(&state, Some(&preview()), context, Scope::Start).1;
        assert_eq!(text(&context), "not here: f fetches cifar10 (170 MB)");
        let with_command = "not here: `astill fetch cifar10` (170 MB)";
        let in_search = data(&state, Some(&preview()), &context, Scope::Search).1;
        assert_eq!(in_search, with_command, "f is typed there");
        context.appearance.read_only = true;
        assert_eq!(text(&context), with_command, "nothing is fetched there");
        context.appearance.read_only = false;
        context.fetching = Some(Fetching {
            set: "cifar10".into(),
            progress: "x.tar.gz: 45 % of 170.1 MB".into(),
            is_ending: false,
        });
        let wanted = "being fetched: x.tar.gz: 45 % of 170.1 MB (f stops it)";
        assert_eq!(text(&context), wanted);
    }
}
