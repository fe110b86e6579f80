//! Charts in use, by keys: marks, lines, the vertical axis, the step that charts and images share; and
//! the comparison of runs.

use crate::tui::backend::{Command, RunState};
use crate::tui::colour::Depth;
use crate::tui::context::Appearance;
use crate::tui::keys::Scope;
use crate::tui::tests::screens_in_use::click;
use crate::tui::tests::stage::*;
use crate::tui::theme::Theme;
use astill_core::run::command::Answer;
use astill_core::run::event::{CommandAnswered, EventKind};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// A run of 60 steps in which a setting was changed after step 30.
fn tweaked_run() -> Vec<EventKind> {
    let mut life = a_run("r", 60);
    let at = life
        .iter()
        .position(|e| matches!(e, EventKind::DistillStep(s) if s.step == 31));
    let edit = "distill.lr_images=30".into();
    let answer = Answer::changed(500., 30.);
    let tweak = CommandAnswered::new(Command::Set { edit }, answer);
    life.insert(at.unwrap(), EventKind::Command(tweak));
    life
}

#[test]
fn what_happened_is_marked_and_read_at_the_cursor() {
    let mut stage = AppStage::run((100, 30), "r", tweaked_run());
    stage.keys(&["f"]);
    let screen = stage.screen();
    assert!(
        screen.contains("Marks: t tweak  e evaluation  c checkpoint"),
        "{screen}"
    );
    stage.keys(&["]"]);
    let screen = stage.screen();
    assert!(
        screen.contains("step 30: tweak distill.lr_images: 500 -> 30; total"),
        "{screen}"
    );
    stage.keys(&["]"]);
    assert!(
        stage
            .screen()
            .contains("step 50: evaluation; checkpoint; total"),
        "{}",
        stage.screen()
    );
    stage.keys(&["[", "[", "["]);
    assert!(
        stage.screen().contains("tweak distill"),
        "nothing is before it"
    );
}

#[test]
fn a_setting_that_was_changed_says_how_it_began() {
    let mut life = tweaked_run();
    if let Some(EventKind::RunStarted(started)) = life.first_mut() {
        started.settings =
            Some(serde_json::json!({"distill": {"lr_images": 77.5, "momentum": 0.9}}));
    }
    let mut stage = AppStage::run((100, 30), "r", life);
    stage.keys(&["t"]);
    let mut seen = Vec::new();
    for _ in 0..30 {
        seen.push(stage.screen());
        stage.keys(&["Down"]);
    }
    let began = |screen: &&String| screen.contains("Began as 77.5.");
    assert!(seen.iter().any(|screen| began(&screen)), "{}", seen[0]);
    let others = seen
        .iter()
        .filter(|screen| screen.contains("Began as") && !began(screen));
    assert_eq!(others.count(), 0);
}

#[test]
fn a_line_is_chosen_explained_and_hidden() {
    let mut stage = AppStage::run((100, 40), "r", a_run("r", 60));
    stage.keys(&["f", "n", "n"]);
    let screen = stage.screen();
    assert!(screen.contains("[line: final]"), "{screen}");
    assert!(
        screen.contains("Final ratio: The squared") && !screen.contains("Matching loss: How"),
        "{screen}"
    );
    stage.keys(&["v"]);
    let screen = stage.screen();
    assert!(
        screen.contains("[line: final, hidden]") && screen.contains("[1 line hidden]"),
        "{screen}"
    );
    stage.keys(&["n", "v", "n", "n", "v"]);
    assert!(
        stage.screen().contains("All lines are hidden"),
        "{}",
        stage.screen()
    );
    stage.keys(&["n", "n", "n", "v"]);
    assert!(stage.screen().contains("total 0."), "{}", stage.screen());
}

#[test]
fn every_measure_at_full_size_says_what_it_is_and_where_it_comes_from() {
    use crate::tui::chart::plots::PLOTS;
    for size in SIZES {
        let mut stage = AppStage::run(size, "r", a_run("r", 60));
        stage.keys(&["f"]);
        for plot in PLOTS {
            let session = stage.app.context.session.as_mut().unwrap();
            let index = PLOTS.iter().position(|p| p == plot).unwrap();
            session.choose(crate::tui::panel::Panel::Chart(index));
            let screen = stage.screen();
            let first = plot.measures().next().unwrap();
            let begin = &first.meaning[..30];
            assert!(screen.contains(begin), "{begin}: {screen}");
            let has_all = plot.measures().all(|m| screen.contains(&m.meaning[..20]));
            assert!(
                has_all || screen.contains("n goes from line to line"),
                "{}: {screen}",
                plot.title
            );
            let joined: String = screen.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(joined.contains(&format!("({})", first.source)), "{screen}");
        }
    }
}

#[test]
fn charts_and_images_are_at_the_same_step() {
    let mut stage = AppStage::run((120, 40), "r", a_run("r", 80));
    stage.keys(&["s", "Left", "Left"]);
    assert!(
        stage.screen().contains("Step 25 (2 of 4)"),
        "{}",
        stage.screen()
    );
    stage.keys(&["q"]);
    let screen = stage.screen();
    assert!(
        screen.contains("@ 25") && screen.contains("Images, step 25 (cursor)"),
        "{screen}"
    );
    // the other way round
    stage.keys(&["f", "]", "q", "s"]);
    assert!(
        stage.screen().contains("Step 50 (3 of 4)"),
        "{}",
        stage.screen()
    );
    stage.keys(&["End", "q"]);
    assert!(!stage.screen().contains('@'), "{}", stage.screen());
}

#[test]
fn help_is_searched_and_explains_measures_marks_and_words() {
    let mut stage = AppStage::run((100, 30), "r", a_run("r", 20));
    stage.keys(&["?", "/", "tortuosity"]);
    let screen = stage.screen();
    assert!(
        screen.contains("Tortuosity: The length of the path")
            && screen.contains("What is measured"),
        "{screen}"
    );
    assert!(!screen.contains("Pause or resume"), "{screen}");
    stage.keys(&["Ctrl-U", "rolled back"]);
    assert!(
        stage.screen().contains("Marks under the charts"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Enter"]);
    assert_eq!(stage.app.scope(), Scope::Help);
    stage.keys(&["Esc"]);
    assert!(
        stage.screen().contains("Pause or resume"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Esc"]);
    assert_eq!(stage.app.scope(), Scope::Run);
}

#[test]
fn charts_at_full_size() {
    for size in SIZES {
        let mut stage = AppStage::run(size, "r", tweaked_run());
        stage.keys(&["f", "o", "m", "n", "]"]);
        insta::assert_snapshot!(format!("chart_full_{}", size.0), stage.screen());
    }
    let appearance = Appearance {
        theme: Theme::new(Depth::Never, false),
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (80, 24), Some(run_dir("r")), Fake::default());
    stage.receive(tweaked_run());
    stage.keys(&["f", "m"]);
    insta::assert_snapshot!("chart_full_without_colour", stage.screen());
}

#[test]
fn the_vertical_axis_is_zoomed_and_moved() {
    let mut stage = AppStage::run((100, 30), "r", a_run("r", 60));
    stage.keys(&["f", "y", ">", ">"]);
    assert!(stage.screen().contains("[y zoom]"), "{}", stage.screen());
    let before = stage.screen();
    stage.keys(&["Up"]);
    assert_ne!(stage.screen(), before);
    stage.keys(&["Down"]);
    assert_eq!(stage.screen(), before);
    stage.keys(&["<", "<", "<"]);
    assert!(!stage.screen().contains("[y zoom]"), "{}", stage.screen());
    stage.keys(&["o"]);
    assert!(
        stage.screen().contains("[outliers ignored]"),
        "{}",
        stage.screen()
    );
}

/// Three runs that are compared.
fn compared(appearance: Appearance, size: (u16, u16)) -> AppStage {
    let fake = Fake::default();
    let run = |name: &str| summary(&run_dir(name), RunState::Running, 50);
    *fake.runs.lock().unwrap() = vec![run("large-steps"), run("small-steps"), run("other")];
    let mut stage = AppStage::with(appearance, size, None, fake);
    stage.keys(&["Space", "Down", "Space", "Down", "Space", "c"]);
    stage
}

#[test]
fn runs_are_marked_in_the_menu_and_compared() {
    let fake = Fake::default();
    let run = |name: &str| summary(&run_dir(name), RunState::Running, 50);
    *fake.runs.lock().unwrap() = vec![run("large-steps"), run("small-steps")];
    let mut stage = AppStage::menu((100, 30), fake);
    stage.keys(&["Space", "c"]);
    let screen = stage.screen();
    assert!(
        screen.contains("[A] large-steps") && screen.contains("Mark two or more runs"),
        "{screen}"
    );
    stage.keys(&["Down", "Space"]);
    let screen = stage.screen();
    assert!(
        screen.contains("[B] small-steps")
            && screen.contains("2 runs are marked: c compares them."),
        "{screen}"
    );
    // a mark is taken back
    stage.keys(&["Up", "Space"]);
    assert!(
        stage.screen().contains("[A] small-steps"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Space", "c"]);
    assert_eq!(stage.app.scope(), Scope::Compare);
    stage.keys(&["q"]);
    assert_eq!(stage.app.scope(), Scope::Home);
    assert!(stage.screen().contains("[B] large-steps"), "the marks stay");
    // nothing but a run is marked
    stage.keys(&["End", "Space"]);
    assert!(
        stage.screen().contains("Only runs can be marked"),
        "{}",
        stage.screen()
    );
}

#[test]
fn curves_of_several_runs_share_their_axes() {
    let mut stage = compared(LOOK, (120, 40));
    let screen = stage.screen();
    for part in [
        "A large-steps",
        "B small-steps",
        "C other",
        "running 90/100",
        "matching loss",
        "Matching loss (1 of ",
        "Lower is better",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    stage.keys(&["Down", "p"]);
    let screen = stage.screen();
    assert!(
        screen.contains("pinned") && screen.contains(" (0)") && !screen.contains("(+"),
        "at its last step the first run has the same value, and the third has gone further: {screen}"
    );
    stage.keys(&["v"]);
    assert!(stage.screen().contains("hidden"), "{}", stage.screen());
    stage.keys(&["v", "Left", "Left", "Tab"]);
    let screen = stage.screen();
    assert!(
        screen.contains("Final ratio (2 of ") && screen.contains("@ 89"),
        "the charts share the cursor: {screen}"
    );
    stage.keys(&["Esc", "Enter"]);
    assert_eq!(stage.app.scope(), Scope::Run);
    let run = &stage.app.context.session.as_ref().unwrap().run;
    assert_eq!(*run, run_dir("small-steps"));
}

#[test]
fn a_click_selects_a_run_of_a_comparison_and_another_opens_it() {
    let mut stage = compared(LOOK, (120, 40));
    assert!(stage.screen().contains(">A large-steps"));
    click(&mut stage, "B small-steps  running");
    assert!(
        stage.screen().contains(">B small-steps"),
        "{}",
        stage.screen()
    );
    click(&mut stage, "B small-steps  running");
    assert_eq!(stage.app.scope(), Scope::Run);
    let run = &stage.app.context.session.as_ref().unwrap().run;
    assert_eq!(*run, run_dir("small-steps"));
}

#[test]
fn results_and_settings_of_several_runs_stand_side_by_side() {
    let mut stage = compared(LOOK, (100, 40));
    stage.keys(&["t"]);
    let screen = stage.screen();
    for part in [
        "64.5 +- 0.5",
        "65.5 +- 0.5",
        "distill.lr_images",
        "Settings that differ",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    stage.keys(&["Down", "Down", "p"]);
    let screen = stage.screen();
    let head = screen.lines().find(|l| l.contains("Results  ")).unwrap();
    let at = |name: &str| head.find(name).unwrap();
    assert!(
        at("C other") < at("A large"),
        "the pinned run comes first: {head}"
    );
    stage.keys(&["PgDn", "End", "Home", "Esc"]);
    assert!(stage.screen().contains("Matching loss (1 of "));
}

#[test]
fn comparisons_at_every_size_and_without_colour() {
    for size in SIZES {
        let mut stage = compared(LOOK, size);
        insta::assert_snapshot!(format!("compare_{}", size.0), stage.screen());
        stage.keys(&["t"]);
        insta::assert_snapshot!(format!("compare_table_{}", size.0), stage.screen());
    }
    let colourless = Appearance {
        theme: Theme::new(Depth::Never, true),
        ..LOOK
    };
    let mut stage = compared(colourless, (80, 24));
    let screen = stage.screen();
    assert!(screen.is_ascii(), "{screen}");
    insta::assert_snapshot!("compare_without_colour", screen);
    for (columns, rows) in [(1, 1), (20, 5), (40, 10), (41, 11), (60, 12)] {
        stage.send(crate::tui::message::Message::Resize(columns, rows));
        stage.keys(&["t", "Down", "PgDn"]);
        stage.screen();
    }
}
