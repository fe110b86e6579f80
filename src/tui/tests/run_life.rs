//! A run's whole life in the app: it is described before it starts, changed after it has ended,
//! extended, repeated with other settings, renamed, deleted.

use crate::tui::backend::{
    Backend, Command, DeviceChoice, NewRun, RunRequest, RunState, RunSummary,
};
use crate::tui::context::Appearance;
use crate::tui::keys::Scope;
use crate::tui::message::{EventBatch, Message};
use crate::tui::tests::stage::*;
use astill_core::run::EngineAt;
use astill_core::run::command::{Answer, PAUSED_BY_ITSELF};
use astill_core::run::event::{CommandAnswered, EventKind, RunFinished, RunOutcome};

/// The menu with these runs besides the profiles.
fn menu(runs: Vec<RunSummary>) -> AppStage {
    let fake = Fake::default();
    *fake.runs.lock().unwrap() = runs;
    AppStage::menu((80, 24), fake)
}

/// The menu with one run that has ended, and the cursor on it.
fn menu_with(state: RunState) -> AppStage {
    let mut stage = menu(vec![summary(&run_dir("old-1"), state, 50)]);
    stage.keys(&["/", "old", "Enter", "q"]);
    assert!(stage.screen().contains(">old-1"), "{}", stage.screen());
    stage
}

/// A run that was stopped at step 60, and whose engine is gone.
fn stopped() -> AppStage {
    let reason = "requested in the app".to_string();
    let end = RunFinished::without_result(RunOutcome::Stopped, reason, 9.);
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.receive([a_run("r", 60), vec![EventKind::RunFinished(end)]].concat());
    stage.send(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    stage
}

#[test]
fn a_run_is_described_in_a_form_before_it_starts() {
    let mut stage = menu(Vec::new());
    stage.keys(&["Enter"]);
    for part in [
        "about 1 min 55 s on cpu",
        "640 MiB, 9.0 GiB free",
        "1800 training",
    ] {
        assert!(stage.screen().contains(part), "{part}: {}", stage.screen());
    }
    // from the button up to the first line: name, seed, device
    stage.keys(&["Home", "Enter", "../x"]);
    assert!(
        stage.screen().contains("found \"../x\""),
        "{}",
        stage.screen()
    );
    // what is wrong is not taken
    stage.keys(&["Enter"]);
    assert_eq!(stage.app.scope(), Scope::Line);
    stage.keys(&[
        "Ctrl-U", "mine", "Enter", "Down", "Enter", "7", "Enter", "Down", "Right",
    ]);
    stage.keys(&["End", "Up", "Enter", "distill.ipc=0"]);
    assert!(
        stage.screen().contains("distill.ipc: found 0, expected"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Backspace", "3", "Enter"]);
    assert!(
        stage.screen().contains("Setting  distill.ipc=3"),
        "{}",
        stage.screen()
    );
    assert!(stage.fake.started.lock().unwrap().is_empty());
    stage.keys(&["End", "Enter"]);
    let started = stage.fake.started.lock().unwrap().clone();
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].name.as_deref(), Some("mine"));
    assert_eq!(started[0].request.sets, ["distill.ipc=3", "seed=7"]);
    assert_eq!(started[0].request.device, DeviceChoice::Cpu);
}

#[test]
fn a_setting_is_found_by_a_part_of_its_name() {
    let mut stage = menu(Vec::new());
    stage.keys(&["Enter", "Up", "Enter", "lr_im"]);
    assert!(
        stage.screen().contains("distill.lr_images: "),
        "{}",
        stage.screen()
    );
    stage.keys(&["Down"]);
    assert!(
        stage.screen().contains("distill.lr_images=100"),
        "{}",
        stage.screen()
    );
    // nothing is left of a setting that is emptied
    stage.keys(&["Enter"]);
    assert!(stage.screen().contains("Setting "), "{}", stage.screen());
    stage.keys(&["Up", "Enter", "Ctrl-U", "Enter"]);
    assert!(!stage.screen().contains("Setting "), "{}", stage.screen());
}

#[test]
fn data_that_are_missing_are_fetched_from_the_form_too() {
    let mut stage = menu(Vec::new());
    stage.keys(&["Down", "Enter"]);
    assert!(
        stage.screen().contains("f fetches cifar10 (170 MB)"),
        "{}",
        stage.screen()
    );
    stage.keys(&["f"]);
    assert_eq!(*stage.fake.fetched.lock().unwrap(), ["cifar10"]);
    assert_eq!(stage.app.scope(), Scope::Start);
}

#[test]
fn a_learned_rate_is_shown_as_it_was_set_until_a_step_has_changed_it() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    let row = |stage: &AppStage| {
        let screen = stage.screen();
        let row = screen.lines().find(|l| l.contains("distill.lr_student"));
        row.unwrap_or_default().to_string()
    };
    stage.keys(&["t"]);
    let learned = row(&stage);
    assert!(learned.contains("now, learned"), "{learned}");
    // a bound that only stops nonsense is no help
    let screen = stage.screen();
    let images = screen.lines().find(|l| l.contains("distill.lr_images"));
    assert!(
        images.is_some_and(|row| row.contains("0 or more")),
        "{screen}"
    );
    for _ in 0..20 {
        if row(&stage).contains(">distill.lr_student") {
            break;
        }
        stage.keys(&["Down"]);
    }
    // as it was, it is not sent: what is shown is rounded
    stage.keys(&["Enter", "Enter"]);
    assert!(stage.fake.commands.lock().unwrap().is_empty());
    let edit = "distill.lr_student=0.5".into();
    let answer = Answer::changed(0.0164, 0.5);
    let answered = CommandAnswered::new(Command::Set { edit }, answer);
    stage.receive_more(1_000, vec![EventKind::Command(answered)]);
    assert!(row(&stage).contains("0.5 "), "{}", row(&stage));
    assert!(row(&stage).contains("as set"), "{}", row(&stage));
    // an engine that goes on from there has it
    stage.receive_more(1_001, vec![started("r", 60, 100)]);
    assert!(row(&stage).contains("0.5 "), "{}", row(&stage));
    stage.receive_more(1_002, vec![distilled(61, 0.3)]);
    assert!(row(&stage).contains("now, learned"), "{}", row(&stage));
}

#[test]
fn a_stopped_run_is_changed_and_rolled_back_without_an_engine() {
    let mut stage = stopped();
    let screen = stage.screen();
    assert!(
        screen.contains("t tweak") && screen.contains("r roll back") && !screen.contains("x stop"),
        "{screen}"
    );
    stage.keys(&["t"]);
    for _ in 0..20 {
        if stage.screen().contains(">distill.lr_images") {
            break;
        }
        stage.keys(&["Down"]);
    }
    stage.keys(&["Enter", "Ctrl-U", "30", "Enter"]);
    assert!(
        stage.screen().contains("accepted: 500 -> 30"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Esc", "r", "Enter", "y"]);
    let set = Command::Set {
        edit: "distill.lr_images=30".into(),
    };
    assert_eq!(
        *stage.fake.commands.lock().unwrap(),
        [set, Command::RollBack { step: 50 }]
    );
    // a checkpoint needs an engine
    stage.keys(&["c"]);
    assert_eq!(stage.fake.commands.lock().unwrap().len(), 2);
}

#[test]
fn a_finished_run_is_extended() {
    let done = [a_run("r", 100), vec![finished()]].concat();
    let mut stage = AppStage::run((80, 24), "r", done);
    assert!(
        stage.screen().contains("i more iterations"),
        "{}",
        stage.screen()
    );
    stage.keys(&["i"]);
    assert!(
        stage.screen().contains("100 iterations are done")
            && stage.screen().contains("120 iterations in all"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Ctrl-U", "0", "Enter"]);
    assert!(
        stage.screen().contains("of at least 1"),
        "{}",
        stage.screen()
    );
    assert!(stage.fake.resumed.lock().unwrap().is_empty());
    stage.keys(&["Ctrl-U", "300", "Enter"]);
    assert_eq!(*stage.fake.resumed.lock().unwrap(), [run_dir("r")]);
    assert_eq!(
        *stage.fake.resumed_with.lock().unwrap(),
        ["distill.iterations=400"]
    );
    // one at work has its own way
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.keys(&["i"]);
    assert_eq!(stage.app.scope(), Scope::Run);
    assert!(stage.screen().contains("t changes distill.iterations"));
}

#[test]
fn a_run_is_repeated_with_other_settings() {
    let mut stage = menu_with(RunState::Done);
    stage.keys(&["n"]);
    assert_eq!(stage.app.scope(), Scope::Start);
    let screen = stage.screen();
    for part in [
        "New run like old-1",
        "old-1-2",
        "distill.lr_images=30",
        ">[ Start ]",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    stage.keys(&["Enter"]);
    let started = stage.fake.started.lock().unwrap().clone();
    assert_eq!(started[0].request.reference, "/runs/old-1/profile.yaml");
    assert_eq!(started[0].name.as_deref(), Some("old-1-2"));
    // without a name, the engine takes that of the file of settings
    let mut stage = menu_with(RunState::Done);
    stage.keys(&["n", "Home", "Enter", "Ctrl-U", "Enter"]);
    let screen = stage.screen();
    assert!(screen.contains("profile-001, or the next"), "{screen}");
}

#[test]
fn runs_are_deleted_only_after_a_question_and_never_at_work() {
    let mut stage = menu_with(RunState::Failed);
    stage.keys(&["d"]);
    assert!(
        stage.screen().contains("Delete old-1?") && stage.screen().contains("This cannot be"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Enter"]);
    assert!(stage.fake.changed.lock().unwrap().is_empty());
    stage.keys(&["d", "y"]);
    assert_eq!(*stage.fake.changed.lock().unwrap(), ["delete old-1"]);
    assert!(!stage.screen().contains(">old-1"), "{}", stage.screen());

    let mut stage = menu_with(RunState::Running);
    stage.keys(&["d", "r"]);
    assert_eq!(stage.app.scope(), Scope::Home);
    assert!(
        stage.screen().contains("stop it first"),
        "{}",
        stage.screen()
    );
    assert!(stage.fake.changed.lock().unwrap().is_empty());
}

#[test]
fn a_run_gets_another_name_and_a_note() {
    let mut stage = menu_with(RunState::Stopped);
    stage.keys(&["r", "Ctrl-U", "a b", "Enter"]);
    assert!(
        stage.screen().contains("found \"a b\""),
        "{}",
        stage.screen()
    );
    stage.keys(&["Ctrl-U", "better", "Enter", "w", "for the paper", "Enter"]);
    assert_eq!(
        *stage.fake.changed.lock().unwrap(),
        ["rename old-1 better", "note better for the paper"]
    );
    assert!(stage.screen().contains(">better"), "{}", stage.screen());
}

#[test]
fn the_menu_tells_why_a_run_failed_and_what_was_noted() {
    let failed = RunSummary {
        reason: Some("the student diverges; then `astill resume old-1`".into()),
        note: Some("lr too high".into()),
        ..summary(&run_dir("old-1"), RunState::Failed, 20)
    };
    let mut stage = menu(vec![failed]);
    stage.keys(&["/", "old", "Enter", "q"]);
    let screen = stage.screen();
    assert!(
        screen.contains("the student diverges; then `astill") && screen.contains("lr too high"),
        "{screen}"
    );
}

#[test]
fn an_interrupted_run_that_is_changed_is_still_interrupted() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.send(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    let edit = "distill.lr_images=30".into();
    let answered = CommandAnswered::new(Command::Set { edit }, Answer::changed(500., 30.));
    let without_engine = vec![
        EventKind::Command(answered),
        EventKind::RolledBack { from: 60, to: 50 },
    ];
    stage.receive_more(1_000, without_engine);
    let screen = stage.screen();
    assert!(
        screen.contains("interrupted") && screen.contains("Space resume"),
        "{screen}"
    );
    stage.keys(&["Space"]);
    assert_eq!(*stage.fake.resumed.lock().unwrap(), [run_dir("r")]);
}

#[test]
fn one_engine_is_started_however_often_space_is_pressed() {
    let mut stage = stopped();
    stage.keys(&["Space", "Space"]);
    assert!(stage.screen().contains("starting"), "{}", stage.screen());
    assert_eq!(stage.fake.resumed.lock().unwrap().len(), 1);
    // where that failed, it can be tried again
    stage.send(Message::Resumed(run_dir("r"), Err("no memory".into())));
    stage.keys(&["Enter", "Space"]);
    assert_eq!(stage.fake.resumed.lock().unwrap().len(), 2);
    stage.receive_more(1_000, vec![started("r", 50, 100)]);
    assert!(stage.screen().contains("running"), "{}", stage.screen());
}

#[test]
fn what_becomes_ready_does_not_take_the_keys_of_who_types() {
    let mut stage = menu_with(RunState::Done);
    stage.keys(&["w", "for the"]);
    let new = NewRun {
        request: RunRequest::default(),
        name: None,
    };
    stage.send(Message::Started(new, Ok(run_dir("late-001"))));
    assert!(
        stage.screen().contains("late-001 has started"),
        "{}",
        stage.screen()
    );
    let template = stage.fake.template(&run_dir("old-1")).map(Box::new);
    let template = template.map_err(|e| e.to_string());
    stage.send(Message::Template(run_dir("old-1"), template));
    stage.send(Message::Fetched("cifar10".into(), Err("no network".into())));
    assert_eq!(stage.app.scope(), Scope::Line);
    stage.keys(&[" paper", "Enter"]);
    assert_eq!(
        *stage.fake.changed.lock().unwrap(),
        ["note old-1 for the paper"]
    );
    // what went wrong meanwhile is said now
    assert!(stage.screen().contains("no network"), "{}", stage.screen());
}

#[test]
fn marks_follow_their_runs() {
    let runs = ["old-1", "old-2"].map(|name| summary(&run_dir(name), RunState::Done, 100));
    let mut stage = menu(runs.into());
    stage.keys(&["/", "old-1", "Enter", "q", "Space", "Down", "Space"]);
    let screen = stage.screen();
    assert!(
        screen.contains("[A] old-1") && screen.contains("[B] old-2"),
        "{screen}"
    );
    stage.keys(&["Up", "r", "Ctrl-U", "new", "Enter"]);
    assert!(stage.screen().contains("[A] new"), "{}", stage.screen());
    stage.keys(&["d", "y"]);
    assert!(stage.screen().contains("[A] old-2"), "{}", stage.screen());
    // deleted by somebody else
    stage.send(Message::Listed(
        stage.fake.profiles(),
        Vec::new(),
        Vec::new(),
    ));
    assert!(!stage.screen().contains("[A]"), "{}", stage.screen());
}

#[test]
fn what_is_being_written_is_left_alone_by_the_wheel_and_other_keys() {
    use crossterm::event::{KeyModifiers, MouseEvent, MouseEventKind};
    let mut stage = menu(Vec::new());
    stage.keys(&["Enter", "Home", "Enter", "a=b", "Down"]);
    assert!(
        stage.screen().contains("Name     a=b"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Esc", "End", "Up", "Enter", "distill.ipc=3"]);
    stage.send(Message::Mouse(MouseEvent {
        kind: MouseEventKind::ScrollDown,
        column: 3,
        row: 3,
        modifiers: KeyModifiers::NONE,
    }));
    assert!(
        stage.screen().contains("distill.ipc=3"),
        "{}",
        stage.screen()
    );
}

#[test]
fn an_engine_that_is_lost_is_told_outside_of_the_screen() {
    let appearance = Appearance {
        notifies: true,
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (80, 24), Some(run_dir("r")), Fake::default());
    stage.app.context.on_finish = Some("mail me".into());
    stage.receive(a_run("r", 60));
    stage.send(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    assert_eq!(
        stage.notified,
        ["r interrupted: its engine exited unexpectedly"]
    );
    assert_eq!(*stage.fake.changed.lock().unwrap(), ["mail me r"]);
    // once is enough
    stage.send(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    assert_eq!(stage.notified.len(), 1);
}

#[test]
fn a_run_that_ends_or_diverges_is_told_outside_of_the_screen() {
    let appearance = Appearance {
        notifies: true,
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (80, 24), Some(run_dir("r")), Fake::default());
    stage.app.context.on_finish = Some("mail me".into());
    let mut life = a_run("r", 60);
    stage.receive(life.clone());
    assert!(stage.notified.is_empty(), "what happened before is no news");
    let answer = Answer {
        reason: Some(PAUSED_BY_ITSELF.into()),
        ..Answer::accepted()
    };
    let paused = CommandAnswered::new(Command::Pause, answer);
    for what in [EventKind::Command(paused), finished()] {
        let known = life.len();
        life.push(what);
        let batch = EventBatch {
            events: events(life.clone()).split_off(known),
            restarted: false,
            read: (2, 2),
            at_end: true,
            unreadable: 0,
        };
        stage.send(Message::Events(run_dir("r"), batch));
    }
    assert_eq!(
        stage.notified,
        ["r has diverged and is paused", "r done: 64.5 %"]
    );
    assert_eq!(*stage.fake.changed.lock().unwrap(), ["mail me r"]);
}
