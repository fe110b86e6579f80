//! Each screen in use, by keys.

use crate::tui::backend::{AblationSummary, Backend, Command, RunState};
use crate::tui::chart::plots::{Counted, PLOTS};
use crate::tui::keys::Scope;
use crate::tui::message::{EventBatch, Message};
use crate::tui::model::ReportedState;
use crate::tui::tests::stage::*;
use astill_core::ablation::{AblationFolder, AblationState};
use astill_core::run::event::EventKind;
use std::path::Path;
use std::sync::atomic::Ordering;

#[test]
fn search_finds_by_parts_of_names_and_enter_opens() {
    let fake = Fake::default();
    *fake.runs.lock().unwrap() = vec![
        summary(&run_dir("old-run"), RunState::Done, 100),
        summary(&run_dir("live-run"), RunState::Running, 7),
    ];
    let mut stage = AppStage::menu((80, 24), fake);
    let first = stage.screen();
    let at = |text: &str| first.find(text).unwrap();
    assert!(
        at("live-run") < at("cifar10-cpu") && at("cifar10-cpu") < at("old-run"),
        "{first}"
    );
    stage.keys(&["/", "odr"]);
    assert!(stage.screen().contains(">old-run"), "{}", stage.screen());
    assert!(!stage.screen().contains("cifar10-cpu"));
    stage.keys(&["Esc"]);
    assert!(stage.screen().contains("cifar10-cpu"));
    stage.keys(&["/", "q", "Backspace", "liv", "Enter"]);
    assert_eq!(stage.app.scope(), Scope::Run);
    assert_eq!(
        stage.app.context.session.as_ref().unwrap().run,
        run_dir("live-run")
    );
    // the run ends while it is not being watched: the list is up to date again
    *stage.fake.runs.lock().unwrap() = vec![summary(&run_dir("live-run"), RunState::Done, 100)];
    stage.keys(&["q"]);
    assert!(
        stage.screen().contains("done, 64.5 %"),
        "{}",
        stage.screen()
    );
}

#[test]
fn esc_in_the_menu_leaves_the_cursor_where_it_is() {
    let mut stage = AppStage::menu((80, 24), Fake::default());
    stage.keys(&["Down", "Esc"]);
    assert!(stage.screen().contains(">cifar10-cpu"));
    stage.keys(&["/", "ipc50", "Esc"]);
    let screen = stage.screen();
    assert!(
        screen.contains(">cifar10-ipc50") && screen.contains("shapes"),
        "{screen}"
    );
    // and where nothing was found, something is selected again
    stage.keys(&["/", "zzz", "Enter"]);
    assert!(stage.screen().contains(">shapes"), "{}", stage.screen());
}

#[test]
fn a_log_that_was_scrolled_up_stays_there_while_the_run_goes_on() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.keys(&["l", "Up", "Up", "Up"]);
    let before = stage.screen();
    stage.receive_more(1_000, (61..=70).map(|n| distilled(n, 0.3)).collect());
    assert_eq!(stage.screen(), before);
    stage.keys(&["End"]);
    assert!(stage.screen().contains("step 70:"), "{}", stage.screen());
}

#[test]
fn a_preview_scrolls_no_further_than_its_end() {
    let mut stage = AppStage::menu((80, 24), Fake::default());
    stage.keys(&["PgDn"; 40]);
    let end = stage.screen();
    stage.keys(&["PgUp"]);
    assert_ne!(stage.screen(), end);
}

#[test]
fn lines_that_could_not_be_read_are_counted() {
    let mut stage = AppStage::run((120, 40), "r", a_run("r", 20));
    let batch = EventBatch {
        at_end: true,
        unreadable: 2,
        ..Default::default()
    };
    stage.send(Message::Events(run_dir("r"), batch));
    let screen = stage.screen();
    assert!(
        screen.contains("2 lines of the record not readable"),
        "{screen}"
    );
}

#[test]
fn runs_are_marked_while_they_are_searched_for() {
    let fake = Fake::default();
    let done = |name: &str| summary(&run_dir(name), RunState::Done, 100);
    *fake.runs.lock().unwrap() = vec![done("wide"), done("deep"), done("other")];
    let mut stage = AppStage::menu((80, 24), fake);
    stage.keys(&["/", "deep", "Tab"]);
    assert!(stage.screen().contains(">[A] deep"), "{}", stage.screen());
    stage.keys(&["Ctrl-U", "wi de", "Tab"]);
    assert!(stage.screen().contains("/wi de"), "{}", stage.screen());
    stage.keys(&["Esc"]);
    let screen = stage.screen();
    assert!(
        screen.contains("[A] deep") && screen.contains("[B] wide"),
        "{screen}"
    );
    stage.keys(&["c"]);
    assert_eq!(stage.app.scope(), Scope::Compare);
}

#[test]
fn the_selection_stays_on_its_name_when_the_list_changes() {
    let mut stage = AppStage::menu((80, 24), Fake::default());
    stage.keys(&["Down"]);
    assert!(stage.screen().contains(">cifar10-cpu"));
    *stage.fake.runs.lock().unwrap() = vec![summary(&run_dir("new"), RunState::Running, 1)];
    let (profiles, runs) = (stage.fake.profiles(), stage.fake.runs().unwrap());
    stage.send(Message::Listed(profiles, runs, Vec::new()));
    assert!(
        stage.screen().contains(">cifar10-cpu"),
        "{}",
        stage.screen()
    );
}

#[test]
fn an_ablation_is_one_row_that_enter_unfolds_into_its_runs() {
    let folder = AblationFolder::new(Path::new("runs"), "parts").unwrap();
    let run = folder.run("base-s0");
    let fake = Fake::default();
    *fake.ablations.lock().unwrap() = vec![AblationSummary {
        name: folder.name(),
        folder,
        profile: "shapes".into(),
        state: AblationState::Running,
        started: "2026-01-01T00:00:00.000Z".into(),
        runs_done: 17,
        runs_failed: 1,
        runs: 72,
        current: Some("real-s0".into()),
        started_runs: vec![summary(&run, RunState::Running, 5)],
    }];
    let mut stage = AppStage::menu((100, 24), fake);
    let shows = |stage: &AppStage, text: &str| stage.screen().contains(text);
    assert!(
        shows(&stage, ">parts") && shows(&stage, "17 of 72 runs, 1 failed"),
        "{}",
        stage.screen()
    );
    assert!(!shows(&stage, "  base-s0"));
    stage.keys(&["Enter", "Down"]);
    assert!(shows(&stage, ">  base-s0"), "{}", stage.screen());
    stage.keys(&["Enter"]);
    assert_eq!(stage.app.context.session.as_ref().unwrap().run, run);
    stage.keys(&["q", "Home", "Enter"]);
    assert!(!shows(&stage, "  base-s0"), "{}", stage.screen());
}

#[test]
fn ctrl_z_suspends_everywhere_and_ctrl_c_is_q() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.keys(&["t", "Enter", "Ctrl-Z"]);
    assert!(stage.suspended && stage.app.scope() == Scope::Line);
    stage.keys(&["Ctrl-C", "Ctrl-C"]);
    assert_eq!(stage.app.scope(), Scope::Run);
    stage.keys(&["Esc"]);
    assert!(!stage.left, "Esc never leaves the app");
    stage.keys(&["Ctrl-C"]);
    assert!(stage.left);
}

#[test]
fn popups_do_not_stop_what_is_behind_them() {
    let mut stage = AppStage::run((120, 40), "r", a_run("r", 20));
    stage.keys(&["x"]);
    stage.receive(a_run("r", 40));
    let screen = stage.screen();
    assert!(
        screen.contains("distill 40/100") && screen.contains("Stop this run?"),
        "{screen}"
    );
}

#[test]
fn samples_are_scrubbed_and_follow_again_after_the_last() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.keys(&["s", "Left"]);
    assert!(
        stage.screen().contains("Step 25 (2 of 3)"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Left", "Left"]);
    assert!(
        stage.screen().contains("Step 0 (1 of 3)"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Right", "Right"]);
    assert!(
        stage.screen().contains("Step 50, latest (3 of 3)"),
        "{}",
        stage.screen()
    );
    stage.receive(a_run("r", 80));
    assert!(
        stage.screen().contains("Step 75, latest (4 of 4)"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Enter"]);
    assert!(
        stage.screen().contains("at the start (step 0)")
            && stage.screen().contains("circle, image 1 of 2"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Tab"]);
    assert!(
        stage.screen().contains("circle, image 2 of 2"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Down"]);
    assert!(
        stage.screen().contains("square, image 2 of 2"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Esc", "Esc"]);
    assert_eq!(stage.app.scope(), Scope::Run);
}

#[test]
fn the_log_is_filtered() {
    let mut life = a_run("r", 60);
    life.push(EventKind::Warning {
        message: "the disk is nearly full".into(),
    });
    let mut stage = AppStage::run((80, 24), "r", life);
    stage.keys(&["l", "/", "DISK"]);
    let screen = stage.screen();
    assert!(
        screen.contains("the disk is nearly full") && !screen.contains("matching loss"),
        "{screen}"
    );
    stage.keys(&["Enter", "Esc"]);
    assert!(
        stage.screen().contains("matching loss"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Esc"]);
    assert_eq!(stage.app.scope(), Scope::Run);
}

#[test]
fn every_panel_gets_the_focus_and_a_chart_fills_the_screen() {
    let mut stage = AppStage::run((120, 40), "r", a_run("r", 60));
    let mut seen = Vec::new();
    // the charts but those of the machine, of which nothing is known, the images and the log
    let charts = PLOTS.iter().filter(|p| p.counted() != Counted::Seconds);
    let panels = charts.count() + 2;
    for _ in 0..panels {
        let focus = stage.app.context.session.as_ref().unwrap().focus();
        assert!(!seen.contains(&focus), "{focus:?} twice");
        seen.push(focus);
        stage.keys(&["Tab"]);
    }
    assert_eq!(stage.app.context.session.as_ref().unwrap().focus(), seen[0]);
    stage.keys(&["f"]);
    assert_eq!(stage.app.scope(), Scope::Chart);
    stage.keys(&[
        "+", "Left", "y", "m", "-", "PgUp", "End", "Home", "Tab", "f",
    ]);
    assert_eq!(stage.app.scope(), Scope::Run);
    stage.keys(&["Down"]);
    assert_ne!(stage.app.context.session.as_ref().unwrap().focus(), seen[0]);
}

#[test]
fn events_of_another_run_are_not_taken_for_this_one() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 20));
    let batch = EventBatch {
        events: events(a_run("other", 50)),
        restarted: true,
        ..Default::default()
    };
    stage.send(Message::Events(run_dir("other"), batch));
    assert_eq!(stage.app.context.session.as_ref().unwrap().model.step, 20);
}

#[test]
fn only_a_quiet_engine_makes_the_seconds_count() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 20));
    let now = stage.app.context.now;
    stage.send(Message::Now(now + 2.));
    assert_eq!(stage.app.context.seconds_without_events(), None);
    stage.send(Message::Now(now + 12.4));
    assert_eq!(stage.app.context.seconds_without_events(), Some(12.));
    assert!(
        stage.screen().contains("no events for 12 s"),
        "{}",
        stage.screen()
    );
    let mut life = a_run("r", 20);
    life.push(accepted(Command::Pause));
    stage.receive(life);
    assert_eq!(
        stage.app.context.session.as_ref().unwrap().model.state,
        ReportedState::Paused
    );
    stage.send(Message::Now(now + 500.));
    assert_eq!(stage.app.context.seconds_without_events(), None);
}

#[test]
fn a_chart_leaves_what_is_not_about_it_to_the_run_below() {
    let mut stage = AppStage::run((120, 40), "r", a_run("r", 60));
    stage.keys(&["f", "c"]);
    assert_eq!(*stage.fake.commands.lock().unwrap(), [Command::Checkpoint]);
    assert_eq!(stage.app.scope(), Scope::Chart);
    // what the run opens is over the chart, and closes on to it
    stage.keys(&["s"]);
    assert_eq!(stage.app.scope(), Scope::Samples);
    stage.keys(&["q"]);
    assert_eq!(stage.app.scope(), Scope::Chart);
    stage.keys(&["q"]);
    assert_eq!(stage.app.scope(), Scope::Run);
}

#[test]
fn keys_on_an_empty_chart_do_not_reach_the_menu_below() {
    let fake = Fake::default();
    *fake.runs.lock().unwrap() = ["a-1", "b-1", "c-1"]
        .map(|name| summary(&run_dir(name), RunState::Running, 0))
        .into();
    let mut stage = AppStage::menu((120, 40), fake);
    stage.keys(&["Home", "Down"]);
    let selected = |stage: &AppStage| {
        let screen = stage.screen();
        let line = screen.lines().find(|l| l.contains('>'));
        line.unwrap_or_default()
            .chars()
            .take(30)
            .collect::<String>()
    };
    let before = selected(&stage);
    stage.keys(&["Enter", "f"]);
    assert_eq!(stage.app.scope(), Scope::Chart);
    stage.keys(&["g", "PgUp", "Left", "+", "q", "Home", "q"]);
    assert_eq!(stage.app.scope(), Scope::Home);
    assert_eq!(selected(&stage), before);
}

#[test]
fn the_wheel_scrolls_lists_and_answers_no_question() {
    use crossterm::event::{KeyModifiers, MouseEvent, MouseEventKind};
    let wheel = |kind| {
        Message::Mouse(MouseEvent {
            kind,
            column: 3,
            row: 3,
            modifiers: KeyModifiers::NONE,
        })
    };
    let mut stage = AppStage::menu((80, 24), Fake::default());
    stage.send(wheel(MouseEventKind::ScrollDown));
    assert!(stage.screen().contains(">cifar10-cpu"));
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.keys(&["x"]);
    stage.send(wheel(MouseEventKind::ScrollDown));
    assert_eq!(stage.app.scope(), Scope::Confirm);
}

/// A click on the last place where the screen shows this.
pub(super) fn click(stage: &mut AppStage, text: &str) {
    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let screen = stage.screen();
    let at = screen.lines().enumerate().filter_map(|(row, line)| {
        let column = line[..line.find(text)?].chars().count();
        Some((column + 1, row))
    });
    let (column, row) = at.last().unwrap_or_else(|| panic!("{text}: {screen}"));
    stage.send(Message::Mouse(MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: column as u16,
        row: row as u16,
        modifiers: KeyModifiers::NONE,
    }));
}

#[test]
fn a_click_selects_a_row_and_another_opens_it() {
    let fake = Fake::default();
    *fake.runs.lock().unwrap() = vec![summary(&run_dir("old"), RunState::Done, 100)];
    let mut stage = AppStage::menu((80, 24), fake);
    click(&mut stage, "cifar10-ipc1 ");
    assert!(
        stage.screen().contains(">cifar10-ipc1"),
        "{}",
        stage.screen()
    );
    // a heading is no row
    click(&mut stage, "Earlier runs");
    assert!(stage.screen().contains(">cifar10-ipc1"));
    click(&mut stage, ">cifar10-ipc1");
    assert_eq!(stage.app.scope(), Scope::Start);
    // rows of the form; what is behind it does not count
    click(&mut stage, "Seed");
    assert!(stage.screen().contains(">Seed"), "{}", stage.screen());
    click(&mut stage, "Seed");
    assert_eq!(stage.app.scope(), Scope::Line);
    // while one is edited, the others are not left
    click(&mut stage, "Device");
    assert_eq!(stage.app.scope(), Scope::Line);
    stage.keys(&["Esc"]);
    click(&mut stage, "[ Start ]");
    assert!(
        stage.screen().contains("Could not start"),
        "{}",
        stage.screen()
    );
    click(&mut stage, "[ Close ]");
    assert_eq!(stage.app.scope(), Scope::Start);
}

#[test]
fn keys_at_the_bottom_and_buttons_can_be_clicked() {
    let mut stage = AppStage::run((120, 40), "r", a_run("r", 60));
    click(&mut stage, "x stop");
    assert_eq!(stage.app.scope(), Scope::Confirm);
    click(&mut stage, "[ Cancel ]");
    assert_eq!(stage.app.scope(), Scope::Run);
    assert!(stage.fake.commands.lock().unwrap().is_empty());
    click(&mut stage, "x stop");
    click(&mut stage, "[ Yes ]");
    assert_eq!(stage.fake.commands.lock().unwrap().len(), 1);
    // a panel takes the focus, then opens
    click(&mut stage, "Student rate");
    assert!(
        stage.screen().contains(">Student rate"),
        "{}",
        stage.screen()
    );
    click(&mut stage, "Student rate");
    assert_eq!(stage.app.scope(), Scope::Chart);
    stage.keys(&["q"]);
    click(&mut stage, "s images");
    assert_eq!(stage.app.scope(), Scope::Samples);
    click(&mut stage, "square");
    assert!(stage.screen().contains(">square"), "{}", stage.screen());
    click(&mut stage, ">square");
    assert!(stage.screen().contains("image 1 of"), "{}", stage.screen());
}

#[test]
fn the_data_of_a_profile_are_fetched_by_a_key() {
    let mut stage = AppStage::menu((120, 40), Fake::default());
    assert!(stage.screen().contains("no data - A"), "{}", stage.screen());
    stage.keys(&["f"]);
    assert!(
        stage.fake.fetched.lock().unwrap().is_empty(),
        "shapes need no data"
    );
    stage.keys(&["Down", "f"]);
    assert_eq!(*stage.fake.fetched.lock().unwrap(), ["cifar10"]);
    let screen = stage.screen();
    assert!(screen.contains("cifar10 is in /data/cifar10"), "{screen}");
    assert!(!screen.contains("no data - A small CIFAR-10"), "{screen}");
}

#[test]
fn a_notice_leaves_the_keys_alone_and_goes_by_itself() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 30));
    let now = stage.app.context.now;
    stage.keys(&["Space"]);
    let screen = stage.screen();
    assert!(screen.contains("pause: accepted"), "{screen}");
    assert!(
        screen.contains("? help"),
        "the keys are there too: {screen}"
    );
    stage.send(Message::Now(now + 5.));
    assert!(stage.screen().contains("pause: accepted"));
    stage.send(Message::Now(now + 9.));
    assert!(
        !stage.screen().contains("pause: accepted"),
        "its time is over"
    );

    stage.keys(&["Space"]);
    assert!(stage.screen().contains("pause: accepted"));
    let mut life = a_run("r", 30);
    life.push(accepted(Command::Pause));
    stage.receive(life);
    assert_eq!(stage.app.context.notice, None, "the header says it by now");
}

#[test]
fn a_fetch_is_shown_beside_its_data_set_and_hides_nothing_else() {
    let fake = Fake {
        fetch_lasts: true,
        ..Fake::default()
    };
    let mut stage = AppStage::menu((120, 30), fake);
    stage.keys(&["Down", "f"]);
    let progress = "cifar.tar.gz: 45 % of 170.1 MB";
    // a failure stays until the next key, whatever comes
    stage.send(Message::Unlisted(
        "cannot read runs: Permission denied".into(),
    ));
    stage.send(Message::Fetching(progress.into()));
    let screen = stage.screen();
    for part in [
        "Permission denied",
        "being fetched",
        "being fetched: cifar.tar.gz: 45 %",
        "(f stops it)",
    ] {
        assert!(screen.contains(part), "no {part}: {screen}");
    }
    // the same once more is no news
    stage.keys(&["Down"]);
    stage.send(Message::Unlisted(
        "cannot read runs: Permission denied".into(),
    ));
    assert!(!stage.screen().contains("Permission denied"));
    // another data set has to wait, this one is stopped with the same key
    stage.keys(&["Up", "f"]);
    assert_eq!(stage.fake.ended_fetches.load(Ordering::SeqCst), 1);
    assert!(
        stage.screen().contains("stopping: cifar.tar.gz"),
        "{}",
        stage.screen()
    );
    stage.send(Message::Fetched(
        "cifar10".into(),
        Err("interrupted".into()),
    ));
    let screen = stage.screen();
    assert!(
        screen.contains("cifar10 is not being fetched any more; what has arrived is kept"),
        "{screen}"
    );
    assert!(screen.contains("f fetches cifar10"), "{screen}");
}

#[test]
fn what_is_left_out_of_a_data_set_is_in_its_preview_by_class_and_reason() {
    let wanted = "left out: 3 files of class a in train: HEIC";
    let fake = Fake {
        remarks: vec![format!("{wanted} (train/a/1.heic)")],
        ..Fake::default()
    };
    let mut stage = AppStage::menu((120, 40), fake);
    assert!(stage.screen().contains(wanted), "{}", stage.screen());
    stage.keys(&["Enter"]);
    assert!(stage.screen().contains(wanted), "{}", stage.screen());
}

/// Keys can be changed, so texts name them by what they do.
#[test]
fn no_text_of_the_app_names_a_key() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui");
    let mut open = vec![folder];
    let (mut files, mut named) = (0, Vec::new());
    while let Some(folder) = open.pop() {
        for path in folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // the table of keys is where they are named
            if path.is_dir() && name != "keys" && name != "tests" {
                open.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" && name != "keys.rs" {
                files += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let lines = code
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                let texts = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
                let names_key = |text: &&str| {
                    let words: Vec<&str> = text.split([' ', ';', ',', '.']).collect();
                    words.windows(2).any(|pair| {
                        let is_key = |word: &str| {
                            word.len() == 1
                                && word.chars().all(|c| c.is_ascii_lowercase() && c != 'a')
                                || ["Enter", "Space", "Esc", "Tab"].contains(&word)
                        };
                        let does = [
                            "leaves", "stops", "starts", "opens", "shows", "chooses", "goes",
                        ];
                        ["press", "Press"].contains(&pair[0]) && is_key(pair[1])
                            || is_key(pair[0]) && does.contains(&pair[1])
                    })
                };
                named.extend(
                    texts
                        .filter(names_key)
                        .map(|text| format!("{name}: {text}")),
                );
            }
        }
    }
    assert!(files > 50, "{files} files were read");
    assert!(named.is_empty(), "{named:?}");
}
