//! Whole stories, told with keys.

use super::stage::*;
use crate::tui::app::{Batch, Message};
use crate::tui::backend::{Answer, Command, RunState};
use crate::tui::keys::Scope;
use crate::tui::model::State;
use astill_core::run::EngineAt;
use astill_core::run::event::{CommandStatus, EventKind};

fn command(command: &str) -> EventKind {
    EventKind::Command {
        command: command.into(),
        status: CommandStatus::Accepted,
        reason: None,
        from: None,
        to: None,
    }
}

#[test]
fn from_the_menu_to_the_result() {
    let mut stage = Stage::menu((80, 24), Fake::default());
    assert!(stage.screen().contains(">shapes"), "{}", stage.screen());
    stage.keys(&["Enter"]);
    assert_eq!(*stage.fake.started.lock().unwrap(), ["shapes"]);
    assert_eq!(stage.app.scope(), Scope::Run);

    // it runs, is paused and goes on
    let mut life = a_run("shapes-001", 30);
    stage.tell(life.clone());
    assert!(stage.screen().contains("running"), "{}", stage.screen());
    stage.keys(&["Space"]);
    life.push(command("pause"));
    stage.tell(life.clone());
    assert!(stage.screen().contains("paused"), "{}", stage.screen());

    // a change is accepted, another refused; the reason is on the screen
    stage.keys(&["t"]);
    assert!(
        !stage.screen().contains("expert."),
        "the experts are trained: {}",
        stage.screen()
    );
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
    let changed = |screen: String| {
        screen
            .lines()
            .any(|l| l.contains(">distill.lr_images") && l.contains(" 30 "))
    };
    assert!(changed(stage.screen()), "{}", stage.screen());
    stage.keys(&["Enter", "Ctrl-U", "-1"]);
    assert!(
        stage.screen().contains("found -1, expected a number"),
        "the refusal is foreseen: {}",
        stage.screen()
    );
    stage.keys(&["Enter"]);
    assert!(stage.screen().contains("rejected"), "{}", stage.screen());
    stage.keys(&["Esc", "Space"]);
    let sent = stage.fake.commands.lock().unwrap().clone();
    let set = |edit: &str| Command::Set { edit: edit.into() };
    assert_eq!(
        sent,
        [
            Command::Pause,
            set("distill.lr_images=30"),
            set("distill.lr_images=-1"),
            Command::Resume
        ]
    );

    // the samples, back, and out: the run goes on
    life.push(command("resume"));
    stage.tell(life.clone());
    stage.keys(&["s"]);
    assert_eq!(stage.app.scope(), Scope::Samples);
    stage.keys(&["q"]);
    assert_eq!(stage.app.scope(), Scope::Run);
    stage.keys(&["q"]);
    assert_eq!(stage.app.scope(), Scope::Home);
    assert!(!stage.left);
    stage.keys(&["q"]);
    assert!(stage.left);
    assert_eq!(
        stage.app.ending().unwrap(),
        "Run shapes-001 goes on; look again with `astill attach /runs/shapes-001`"
    );

    // attached again, to the end
    let mut stage = Stage::run((80, 24), "shapes-001", a_run("shapes-001", 100));
    let mut life = a_run("shapes-001", 100);
    life.push(finished());
    stage.tell(life);
    let screen = stage.screen();
    assert!(
        screen.contains("done") && screen.contains("distilled        convnet     64.5 +- 0.5 %"),
        "{screen}"
    );
    stage.keys(&["q"]);
    assert!(stage.left);
    assert!(
        stage
            .app
            .ending()
            .unwrap()
            .contains("The distilled set: distilled/best.safetensors")
    );
}

#[test]
fn what_destroys_asks_first_and_does_nothing_by_default() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 60));
    let sent = |stage: &Stage| stage.fake.commands.lock().unwrap().clone();
    stage.keys(&["x", "Enter"]);
    assert_eq!((stage.app.scope(), sent(&stage)), (Scope::Run, vec![]));
    stage.keys(&["x", "Esc", "x", "q", "x", "n"]);
    assert_eq!((stage.app.scope(), sent(&stage)), (Scope::Run, vec![]));
    stage.keys(&["r", "Enter"]);
    assert!(
        stage.screen().contains("Go back from step 60 to 50?"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Enter"]);
    assert_eq!((stage.app.scope(), sent(&stage)), (Scope::Run, vec![]));
    stage.keys(&["r", "Down", "Enter", "Tab", "Enter"]);
    assert_eq!(sent(&stage), [Command::RollBack { step: 0 }]);
    stage.keys(&["x", "y"]);
    assert!(matches!(sent(&stage)[1], Command::Stop { .. }));
    assert!(!stage.left);
}

#[test]
fn checkpoint_and_evaluation_on_a_key_with_the_answer_in_sight() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 60));
    stage.keys(&["c"]);
    assert!(
        stage.screen().contains("checkpoint: accepted"),
        "{}",
        stage.screen()
    );
    stage.keys(&["e"]);
    assert!(stage.screen().contains("evaluate: accepted"));
    assert_eq!(
        *stage.fake.commands.lock().unwrap(),
        [Command::Checkpoint, Command::Evaluate]
    );
}

#[test]
fn a_long_reason_is_told_to_its_end() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 60));
    let reason = "there are no synthetic images yet; ask again in the phase distill (experts are \
                  kept after every epoch)";
    stage.hear(Message::Answered(
        run_dir("r"),
        Command::Evaluate,
        Ok(Answer::rejected(reason)),
    ));
    let screen = stage.screen();
    assert!(
        screen.contains("evaluate: rejected (there are no") && screen.contains("every epoch)"),
        "{screen}"
    );
    stage.keys(&["Tab"]);
    assert!(!stage.screen().contains("rejected"));
}

#[test]
fn an_app_that_only_looks_sends_nothing() {
    let look = crate::tui::app::Appearance {
        read_only: true,
        ..LOOK
    };
    let mut stage = Stage::with(look, (80, 24), Some(run_dir("r")), Fake::default());
    stage.tell(a_run("r", 60));
    stage.keys(&["Space", "c", "e", "x", "r", "t"]);
    assert_eq!(stage.app.scope(), Scope::Run);
    assert!(stage.fake.commands.lock().unwrap().is_empty());
    let mut stage = Stage::with(look, (80, 24), None, Fake::default());
    stage.keys(&["Enter"]);
    assert!(stage.fake.started.lock().unwrap().is_empty());
}

#[test]
fn a_run_without_its_engine_gets_a_new_one() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 60));
    stage.hear(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    assert!(stage.screen().contains("no engine"), "{}", stage.screen());
    stage.keys(&["c"]);
    assert!(stage.fake.commands.lock().unwrap().is_empty());
    stage.keys(&["Space"]);
    assert_eq!(*stage.fake.resumed.lock().unwrap(), [run_dir("r")]);
    let mut life = a_run("r", 60);
    life.push(started("r", 50, 100));
    stage.tell(life);
    assert_eq!(stage.app.context.session.as_ref().unwrap().model.step, 50);
    assert!(stage.screen().contains("running"), "{}", stage.screen());
}

#[test]
fn a_run_whose_events_go_on_without_an_engine_here_is_only_looked_at() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 20));
    stage.hear(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    assert!(
        stage.screen().contains("no engine") && stage.screen().contains("Space resume"),
        "{}",
        stage.screen()
    );
    let events = events(a_run("r", 21)).split_off(a_run("r", 20).len());
    stage.hear(Message::Events(
        run_dir("r"),
        Batch {
            events,
            restarted: false,
            read: (2, 2),
            at_end: true,
        },
    ));
    assert!(
        stage.screen().contains("engine on another machine") && !stage.screen().contains("Space"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Space"]);
    assert!(
        stage.screen().contains("it can only be looked at")
            && stage.fake.resumed.lock().unwrap().is_empty(),
        "{}",
        stage.screen()
    );
    stage.hear(Message::Engine(run_dir("r"), EngineAt::Here));
    assert!(stage.screen().contains("running"), "{}", stage.screen());
}

#[test]
fn a_run_whose_engine_may_be_on_another_machine_gets_a_new_one_only_after_a_question() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 20));
    stage.hear(Message::Engine(
        run_dir("r"),
        EngineAt::MaybeRemote("node7".into()),
    ));
    assert!(
        stage.screen().contains("engine perhaps on node7")
            && stage.screen().contains("Space resume"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Space"]);
    assert!(
        stage.screen().contains("Start an engine here?") && stage.screen().contains("node7"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Enter"]);
    assert!(stage.fake.resumed.lock().unwrap().is_empty());
    stage.keys(&["Space", "y"]);
    assert_eq!(*stage.fake.resumed.lock().unwrap(), [run_dir("r")]);
    // one that is seen at work there is only looked at
    stage.hear(Message::Engine(
        run_dir("r"),
        EngineAt::Host("node7".into()),
    ));
    stage.keys(&["Space"]);
    assert!(
        stage
            .screen()
            .contains("Its engine is on node7: from here it can only be looked at."),
        "{}",
        stage.screen()
    );
}

#[test]
fn a_run_that_waits_for_the_disk_says_so_until_it_goes_on() {
    let waits = EventKind::Waiting {
        reason: Some("cannot write runs/r/checkpoints: No space left on device".into()),
    };
    let mut life = [a_run("r", 20), vec![waits]].concat();
    let mut stage = Stage::run((80, 24), "r", life.clone());
    assert!(
        stage.screen().contains("waiting for the disk"),
        "{}",
        stage.screen()
    );
    assert!(
        stage.screen().contains("No space left on device"),
        "{}",
        stage.screen()
    );
    // it can be asked to stop meanwhile
    assert!(stage.screen().contains("x stop"), "{}", stage.screen());
    life.push(EventKind::Waiting { reason: None });
    stage.tell(life);
    assert!(
        stage.screen().contains("running") && !stage.screen().contains("waiting for the disk"),
        "{}",
        stage.screen()
    );
}

#[test]
fn the_footer_says_what_a_key_does_as_things_are() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 20));
    assert!(
        stage.screen().contains("Space pause") && stage.screen().contains("x stop"),
        "{}",
        stage.screen()
    );
    stage.tell([a_run("r", 20), vec![command("pause")]].concat());
    assert!(
        stage.screen().contains("Space resume"),
        "{}",
        stage.screen()
    );
    stage.tell([a_run("r", 100), vec![finished()]].concat());
    assert!(
        !stage.screen().contains("Space") && !stage.screen().contains("x stop"),
        "{}",
        stage.screen()
    );
}

#[test]
fn a_start_that_fails_says_why() {
    let mut stage = Stage::menu((80, 24), Fake::default());
    stage.keys(&["Down", "Enter"]);
    let screen = stage.screen();
    assert!(
        screen.contains("It could not be started")
            && screen.contains("astill fetch cifar10 brings it"),
        "{screen}"
    );
    stage.keys(&["Enter"]);
    assert_eq!(stage.app.scope(), Scope::Home);
    // the next one can be started
    stage.keys(&["Up", "Enter"]);
    assert_eq!(stage.app.scope(), Scope::Run);
}

#[test]
fn search_finds_by_parts_of_names_and_enter_opens() {
    let fake = Fake::default();
    *fake.runs.lock().unwrap() = vec![
        summary(&run_dir("old-run"), RunState::Done, 100),
        summary(&run_dir("live-run"), RunState::Running, 7),
    ];
    let mut stage = Stage::menu((80, 24), fake);
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
    // the run ends while it is not looked at: the list is fresh again
    *stage.fake.runs.lock().unwrap() = vec![summary(&run_dir("live-run"), RunState::Done, 100)];
    stage.keys(&["q"]);
    assert!(
        stage.screen().contains("done, 64.5 %"),
        "{}",
        stage.screen()
    );
}

#[test]
fn the_selection_stays_on_its_name_when_the_list_changes() {
    let mut stage = Stage::menu((80, 24), Fake::default());
    stage.keys(&["Down"]);
    assert!(stage.screen().contains(">cifar10-cpu"));
    *stage.fake.runs.lock().unwrap() = vec![summary(&run_dir("new"), RunState::Running, 1)];
    let (profiles, runs) = {
        use crate::tui::backend::Backend;
        (stage.fake.profiles(), stage.fake.runs())
    };
    stage.hear(Message::Listed(profiles, runs));
    assert!(
        stage.screen().contains(">cifar10-cpu"),
        "{}",
        stage.screen()
    );
}

#[test]
fn ctrl_z_suspends_everywhere_and_ctrl_c_is_q() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 60));
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
    let mut stage = Stage::run((120, 40), "r", a_run("r", 20));
    stage.keys(&["x"]);
    stage.tell(a_run("r", 40));
    let screen = stage.screen();
    assert!(
        screen.contains("distill 40/100") && screen.contains("Stop this run?"),
        "{screen}"
    );
}

#[test]
fn samples_are_scrubbed_and_follow_again_after_the_last() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 60));
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
        stage.screen().contains("Step 50, the latest (3 of 3)"),
        "{}",
        stage.screen()
    );
    stage.tell(a_run("r", 80));
    assert!(
        stage.screen().contains("Step 75, the latest (4 of 4)"),
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
    let mut stage = Stage::run((80, 24), "r", life);
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
    let mut stage = Stage::run((120, 40), "r", a_run("r", 60));
    let mut seen = Vec::new();
    for _ in 0..12 {
        seen.push(stage.app.context.session.as_ref().unwrap().focus());
        stage.keys(&["Tab"]);
    }
    seen.dedup();
    assert_eq!(seen.len(), 12);
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
fn what_another_run_says_is_not_taken_for_this_one() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 20));
    let batch = crate::tui::app::Batch {
        events: events(a_run("other", 50)),
        restarted: true,
        ..Default::default()
    };
    stage.hear(Message::Events(run_dir("other"), batch));
    assert_eq!(stage.app.context.session.as_ref().unwrap().model.step, 20);
}

#[test]
fn only_a_silent_engine_makes_the_seconds_count() {
    let mut stage = Stage::run((80, 24), "r", a_run("r", 20));
    let now = stage.app.context.now;
    stage.hear(Message::Now(now + 2.));
    assert_eq!(stage.app.context.silence(), None);
    stage.hear(Message::Now(now + 12.4));
    assert_eq!(stage.app.context.silence(), Some(12.));
    assert!(
        stage.screen().contains("last word 12 s ago"),
        "{}",
        stage.screen()
    );
    let mut life = a_run("r", 20);
    life.push(command("pause"));
    stage.tell(life);
    assert_eq!(
        stage.app.context.session.as_ref().unwrap().model.state,
        State::Paused
    );
    stage.hear(Message::Now(now + 500.));
    assert_eq!(stage.app.context.silence(), None);
}
