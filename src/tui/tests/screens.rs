//! Snapshots of every screen.

use crate::tui::backend::RunState;
use crate::tui::colour::Depth;
use crate::tui::context::Appearance;
use crate::tui::message::{EventBatch, Message};
use crate::tui::tests::stage::*;
use crate::tui::theme::Theme;
use astill_core::measures::MeasuredEvent;
use astill_core::run::event::{EventKind, RunFinished, RunOutcome};
use ratatui::style::Modifier;

const SIZES: [(u16, u16); 6] = [(1, 1), (20, 5), (40, 10), (80, 24), (120, 40), (200, 60)];

fn menu(size: (u16, u16)) -> AppStage {
    let fake = Fake::default();
    let run = |name: &str, state, step| summary(&run_dir(name), state, step);
    *fake.runs.lock().unwrap() = vec![
        run("shapes-002", RunState::Running, 57),
        run("shapes-001", RunState::Done, 100),
        run("x-001", RunState::Dead, 3),
    ];
    AppStage::menu(size, fake)
}

/// Every screen and popup, by name.
fn all(size: (u16, u16)) -> Vec<(&'static str, AppStage)> {
    let run = |steps, keys: &[&str]| {
        let mut stage = AppStage::run(size, "shapes-001", a_run("shapes-001", steps));
        stage.keys(keys);
        stage
    };
    let mut preview = menu(size);
    preview.keys(&["Down"]);
    let mut searching = menu(size);
    searching.keys(&["/", "cif1"]);
    let mut earlier = menu(size);
    earlier.keys(&["Down"; 6]);
    let mut form = menu(size);
    form.keys(&["Down", "Enter"]);
    let mut setting = menu(size);
    setting.keys(&["Down", "Enter", "Up", "Enter", "ipc"]);
    let mut done = a_run("shapes-001", 100);
    done.extend(ending());
    let mut extended = AppStage::run(size, "shapes-001", done.clone());
    extended.keys(&["i"]);
    vec![
        ("home_run", menu(size)),
        ("home_profile", preview),
        ("home_search", searching),
        ("home_earlier", earlier),
        ("start", form),
        ("start_setting", setting),
        ("extend", extended),
        ("run", run(57, &[])),
        ("chart", run(57, &["f", "Left", "Left"])),
        ("samples", run(57, &["s"])),
        ("samples_zoomed", run(57, &["s", "Enter"])),
        ("samples_ascii", run(57, &["s", "a"])),
        ("tweak", run(57, &["t"])),
        (
            "tweak_line",
            run(57, &["t", "End", "Enter", "Ctrl-U", "no"]),
        ),
        ("log", run(57, &["l", "/", "expert"])),
        ("help", run(57, &["?"])),
        ("confirm", run(57, &["x"])),
        ("roll_back", run(57, &["r"])),
        ("done", AppStage::run(size, "shapes-001", done)),
    ]
}

#[test]
fn nothing_panics_at_any_size() {
    for size in SIZES {
        for (_, stage) in all(size) {
            stage.screen();
        }
    }
    // and from one size to another
    for (_, mut stage) in all((200, 60)) {
        for (columns, rows) in SIZES.into_iter().chain((1..60).map(|n| (3 * n, n))) {
            stage.send(Message::Resize(columns, rows));
            stage.keys(&["PgDn", "Down"]);
            stage.screen();
        }
    }
}

#[test]
fn screens_at_80_24() {
    for (name, stage) in all((80, 24)) {
        insta::assert_snapshot!(format!("{name}_80"), stage.screen());
    }
}

#[test]
fn screens_at_120_40() {
    for (name, stage) in all((120, 40)) {
        if [
            "home_profile",
            "home_earlier",
            "start",
            "run",
            "samples",
            "tweak",
            "done",
        ]
        .contains(&name)
        {
            insta::assert_snapshot!(format!("{name}_120"), stage.screen());
        }
    }
}

#[test]
fn screens_at_200_60() {
    for (name, stage) in all((200, 60)) {
        if ["run", "samples", "home_earlier", "start"].contains(&name) {
            insta::assert_snapshot!(format!("{name}_200"), stage.screen());
        }
    }
}

#[test]
fn the_form_without_colour() {
    let appearance = Appearance {
        theme: Theme::new(Depth::Never, true),
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (80, 24), None, Fake::default());
    stage.keys(&["Enter", "Up", "Enter", "distill.ipc=0"]);
    insta::assert_snapshot!("start_plain_80", stage.screen());
}

#[test]
fn state_loss_and_a_picture_are_together_at_80_24() {
    let screen = AppStage::run((80, 24), "shapes-001", a_run("shapes-001", 57)).screen();
    for part in [
        "running",
        "distill 57/100",
        "Matching loss",
        "Images, step 50",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
}

#[test]
fn a_small_terminal_shows_one_line_of_state() {
    let screen = AppStage::run((39, 9), "shapes-001", a_run("shapes-001", 57)).screen();
    assert_eq!(
        screen.trim_end(),
        "running  distill 57/100  loss 0.4047 ..".trim_end(),
        "{screen}"
    );
}

#[test]
fn a_run_before_its_first_event() {
    let mut stage = AppStage::run((80, 24), "shapes-001", Vec::new());
    insta::assert_snapshot!("empty_80", stage.screen());
    let batch = EventBatch {
        events: events(vec![started("shapes-001", 0, 100)]),
        restarted: false,
        read: (1, 4_000_000),
        at_end: false,
        unreadable: 0,
    };
    stage = AppStage::with(LOOK, (80, 24), Some(run_dir("shapes-001")), Fake::default());
    stage.send(Message::Events(run_dir("shapes-001"), batch));
    assert!(
        stage.screen().contains("reading events")
            && stage.screen().contains("of 4 MB of events read"),
        "{}",
        stage.screen()
    );
}

#[test]
fn a_torn_last_line_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let lines: String = events(a_run("r", 57))
        .iter()
        .map(|e| serde_json::to_string(e).unwrap() + "\n")
        .collect();
    std::fs::write(&path, &lines[..lines.len() - 20]).unwrap();
    let mut file = crate::tui::events_file::EventsFile::open(&path);
    let mut stage = AppStage::run((80, 24), "r", Vec::new());
    let mut read = |stage: &mut AppStage| {
        let batch = EventBatch {
            events: file.poll(1 << 20).unwrap(),
            restarted: file.restarted(),
            at_end: file.at_end(),
            ..Default::default()
        };
        stage.send(Message::Events(run_dir("r"), batch));
        stage.screen()
    };
    assert!(read(&mut stage).contains("distill 56/100"));
    std::fs::write(&path, &lines).unwrap();
    assert!(read(&mut stage).contains("distill 57/100"));
}

#[test]
fn while_experts_are_trained_their_charts_come_first() {
    let stage = AppStage::run((120, 40), "r", a_run("r", 0)[..12].to_vec());
    let screen = stage.screen();
    for part in [
        "Experts: curvature",
        "Experts: step length",
        "Experts: turn",
        "Experts: validation accuracy",
        "experts 1/2",
        "1 of 2 experts",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    insta::assert_snapshot!("experts_120", screen);
}

#[test]
fn numbers_that_are_none_and_a_spike_among_a_million() {
    let mut life = a_run("shapes-001", 40);
    life.extend((41..=50).map(|step| distilled(step, f64::NAN)));
    life.extend((51..=60).map(|step| distilled(step, f64::INFINITY)));
    let mut stage = AppStage::run((80, 24), "shapes-001", life);
    insta::assert_snapshot!("nan_80", stage.screen());
    stage.keys(&["f", "Left", "y", "m"]);
    stage.screen();

    let session = stage.app.context.session.as_mut().unwrap();
    for n in 61..=1_000_000 {
        let loss = if n == 600_000 { 1e4 } else { 0.5 };
        let EventKind::DistillStep(step) = distilled(n, loss) else {
            unreachable!()
        };
        let steps = &mut session.model.steps;
        steps.push(n as f64, MeasuredEvent::Step(&step));
    }
    stage.keys(&["f"]);
    insta::assert_snapshot!("spike_80", stage.screen());
}

#[test]
fn names_from_outside_cannot_harm_the_screen() {
    let long = "n".repeat(200);
    let screen = AppStage::run((80, 24), &long, a_run(&long, 57)).screen();
    assert!(
        screen.contains("nnn..") && screen.contains("running"),
        "{screen}"
    );
    let nasty = "a\x1b]0;b\x07\u{202e}c";
    let mut life = a_run(nasty, 57);
    life.insert(
        2,
        dataset(&["\x1b[2Jx", "漢字漢字漢字漢字漢字", "triangle", "cross"]),
    );
    life.push(EventKind::Warning {
        message: nasty.into(),
    });
    let mut stage = AppStage::run((80, 24), nasty, life);
    for keys in [
        &[][..],
        &["s"],
        &["q", "l"],
        &["q", "t"],
        &["q", "?"],
        &["q", "f"],
    ] {
        stage.keys(keys);
        let buffer = stage.buffer();
        let is_harmless = |c: char| !c.is_control() && !('\u{200b}'..='\u{202e}').contains(&c);
        assert!(
            buffer
                .content
                .iter()
                .all(|cell| cell.symbol().chars().all(is_harmless))
        );
    }
    let fake = Fake::default();
    *fake.runs.lock().unwrap() = vec![
        summary(&run_dir(nasty), RunState::Running, 57),
        summary(&run_dir(&long), RunState::Done, 100),
    ];
    let screen = AppStage::menu((80, 24), fake).screen();
    assert!(
        screen.contains("a?]0;b??c") && !screen.contains('\x1b'),
        "{screen}"
    );
}

#[test]
fn a_failed_run_says_why() {
    let mut life = a_run("r", 57);
    let reason = "20 updates in a row were not finite, up to step 57: the student diverges. Lower \
                  distill.lr_student";
    life.push(EventKind::RunFinished(RunFinished::without_result(
        RunOutcome::Failed,
        reason.into(),
        110.,
    )));
    let stage = AppStage::run((80, 24), "r", life);
    assert!(
        stage.screen().contains("Why it failed") && stage.screen().contains("the student diverges"),
        "{}",
        stage.screen()
    );
    assert!(
        stage
            .app
            .farewell()
            .unwrap()
            .contains("Run r failed: 20 updates")
    );
}

#[test]
fn the_selection_is_seen_at_every_depth_of_colour() {
    for depth in [
        Depth::Never,
        Depth::Ansi16,
        Depth::Ansi256,
        Depth::TrueColor,
    ] {
        let appearance = Appearance {
            theme: Theme::new(depth, true),
            ..LOOK
        };
        let stage = AppStage::with(appearance, (80, 24), None, Fake::default());
        let buffer = stage.buffer();
        let reversed = |text: &str| {
            let row = crate::tui::tests::stage::text(&buffer)
                .lines()
                .position(|l| l.contains(text))
                .unwrap() as u16;
            (0..80)
                .filter(|x| buffer[(*x, row)].modifier.contains(Modifier::REVERSED))
                .count()
        };
        assert!(
            reversed(">shapes") > 20 && reversed("cifar10-ipc1") == 0,
            "{depth:?}"
        );
        if depth == Depth::Never {
            let plain = |cell: &ratatui::buffer::Cell| {
                cell.fg == ratatui::style::Color::Reset && cell.bg == ratatui::style::Color::Reset
            };
            assert!(buffer.content.iter().all(plain));
        }
    }
}

#[test]
fn a_terminal_of_ascii_gets_ascii() {
    let appearance = Appearance {
        theme: Theme::new(Depth::Never, true),
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (120, 40), Some(run_dir("r")), Fake::default());
    stage.receive(a_run("r", 57));
    for keys in [
        &[][..],
        &["s"],
        &["Enter"],
        &["q", "q", "t"],
        &["q", "?"],
        &["q", "x"],
        &["n", "f"],
        &["f", "l"],
    ] {
        stage.keys(keys);
        let screen = stage.screen();
        let odd: Vec<char> = screen.chars().filter(|c| !c.is_ascii()).collect();
        assert!(odd.is_empty(), "{odd:?} in {screen}");
    }
}
