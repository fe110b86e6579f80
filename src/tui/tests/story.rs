//! Whole stories, told with keys.

use crate::tui::backend::{Answer, Command};
use crate::tui::context::Appearance;
use crate::tui::keys::Scope;
use crate::tui::message::{EventBatch, Message};
use crate::tui::tests::stage::*;
use astill_core::run::EngineAt;
use astill_core::run::event::EventKind;

#[test]
fn from_the_menu_to_the_result() {
    let mut stage = AppStage::menu((80, 24), Fake::default());
    assert!(stage.screen().contains(">shapes"), "{}", stage.screen());
    stage.keys(&["Enter"]);
    assert!(stage.fake.started.lock().unwrap().is_empty());
    assert!(stage.screen().contains(">[ Start ]"), "{}", stage.screen());
    stage.keys(&["Enter"]);
    let started = stage.fake.started.lock().unwrap().clone();
    assert_eq!(started[0].request.reference, "shapes");
    assert_eq!((started.len(), &started[0].name), (1, &None));
    assert_eq!(stage.app.scope(), Scope::Run);

    // it runs, is paused and resumed
    let mut life = a_run("shapes-001", 30);
    stage.receive(life.clone());
    assert!(stage.screen().contains("running"), "{}", stage.screen());
    stage.keys(&["Space"]);
    life.push(accepted(Command::Pause));
    stage.receive(life.clone());
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
    // it is not sent, and what is written stays
    stage.keys(&["Enter"]);
    assert!(
        stage.screen().contains(">distill.lr_images") && stage.screen().contains(" -1"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Esc", "Esc", "Space"]);
    let sent = stage.fake.commands.lock().unwrap().clone();
    let set = |edit: &str| Command::Set { edit: edit.into() };
    assert_eq!(
        sent,
        [Command::Pause, set("distill.lr_images=30"), Command::Resume]
    );

    // the samples, back, and out: the run continues
    life.push(accepted(Command::Resume));
    stage.receive(life.clone());
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
        stage.app.farewell().unwrap(),
        "Run shapes-001 is still running; return to it with `astill attach /runs/shapes-001`"
    );

    // attached again, to the end
    let mut stage = AppStage::run((80, 24), "shapes-001", a_run("shapes-001", 100));
    let mut life = a_run("shapes-001", 100);
    life.extend(ending());
    stage.receive(life);
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
            .farewell()
            .unwrap()
            .contains("The distilled set: distilled/best.safetensors")
    );
}

#[test]
fn what_destroys_asks_first_and_does_nothing_by_default() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    let sent = |stage: &AppStage| stage.fake.commands.lock().unwrap().clone();
    stage.keys(&["x", "Enter"]);
    assert_eq!((stage.app.scope(), sent(&stage)), (Scope::Run, vec![]));
    stage.keys(&["x", "Esc", "x", "q", "x", "n"]);
    assert_eq!((stage.app.scope(), sent(&stage)), (Scope::Run, vec![]));
    stage.keys(&["r", "Enter"]);
    assert!(
        stage.screen().contains("Roll back from step 60 to 50?"),
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
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
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
fn a_long_reason_is_shown_in_full() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    let reason = "there are no synthetic images yet; try again once distillation has begun (experts \
                  are saved after every epoch)";
    stage.send(Message::Answered(
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
fn read_only_mode_sends_nothing() {
    let appearance = Appearance {
        read_only: true,
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (80, 24), Some(run_dir("r")), Fake::default());
    stage.receive(a_run("r", 60));
    stage.keys(&["Space", "c", "e", "x", "r", "t"]);
    assert_eq!(stage.app.scope(), Scope::Run);
    assert!(stage.fake.commands.lock().unwrap().is_empty());
    let mut stage = AppStage::with(appearance, (80, 24), None, Fake::default());
    stage.keys(&["Enter", "Enter"]);
    assert!(stage.fake.started.lock().unwrap().is_empty());
}

#[test]
fn a_run_without_its_engine_gets_a_new_one() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.send(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    assert!(stage.screen().contains("interrupted"), "{}", stage.screen());
    stage.keys(&["c"]);
    assert!(stage.fake.commands.lock().unwrap().is_empty());
    stage.keys(&["Space"]);
    assert_eq!(*stage.fake.resumed.lock().unwrap(), [run_dir("r")]);
    let mut life = a_run("r", 60);
    life.push(started("r", 50, 100));
    stage.receive(life);
    assert_eq!(stage.app.context.session.as_ref().unwrap().model.step, 50);
    assert!(stage.screen().contains("running"), "{}", stage.screen());
}

#[test]
fn a_run_whose_events_continue_without_an_engine_here_is_only_watched() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 20));
    stage.send(Message::Engine(run_dir("r"), EngineAt::Nowhere));
    assert!(
        stage.screen().contains("interrupted") && stage.screen().contains("Space resume"),
        "{}",
        stage.screen()
    );
    let events = events(a_run("r", 21)).split_off(a_run("r", 20).len());
    stage.send(Message::Events(
        run_dir("r"),
        EventBatch {
            events,
            restarted: false,
            read: (2, 2),
            at_end: true,
            unreadable: 0,
        },
    ));
    assert!(
        stage.screen().contains("engine on another machine") && !stage.screen().contains("Space"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Space"]);
    assert!(
        stage.screen().contains("you can only watch")
            && stage.fake.resumed.lock().unwrap().is_empty(),
        "{}",
        stage.screen()
    );
    stage.send(Message::Engine(run_dir("r"), EngineAt::Here));
    assert!(stage.screen().contains("running"), "{}", stage.screen());
}

#[test]
fn a_run_whose_engine_may_be_on_another_machine_gets_a_new_one_only_after_a_question() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 20));
    stage.send(Message::Engine(
        run_dir("r"),
        EngineAt::MaybeRemote("node7".into()),
    ));
    assert!(
        stage.screen().contains("engine may be on node7")
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
    // nor does one whose lock cannot be read
    let why = "cannot read runs/r/lock: Permission denied".to_string();
    stage.send(Message::Engine(run_dir("r"), EngineAt::Unknown(why)));
    assert!(
        stage.screen().contains("engine unknown"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Space"]);
    assert!(
        stage.screen().contains("Start an engine here?")
            && stage.screen().contains("Permission denied"),
        "{}",
        stage.screen()
    );
    stage.keys(&["Enter"]);
    assert!(stage.fake.resumed.lock().unwrap().is_empty());
    stage.keys(&["Space", "y"]);
    assert_eq!(*stage.fake.resumed.lock().unwrap(), [run_dir("r")]);
    // one that is seen running there is steered through the run's folder
    stage.send(Message::Engine(
        run_dir("r"),
        EngineAt::Host("node7".into()),
    ));
    assert!(
        stage.screen().contains("The engine runs on node7."),
        "{}",
        stage.screen()
    );
    stage.keys(&["Space"]);
    assert_eq!(*stage.fake.commands.lock().unwrap(), [Command::Pause]);
}

#[test]
fn a_run_that_waits_for_the_disk_says_so_until_it_continues() {
    let waits = EventKind::Waiting {
        reason: Some("cannot write runs/r/checkpoints: No space left on device".into()),
    };
    let mut life = [a_run("r", 20), vec![waits]].concat();
    let mut stage = AppStage::run((80, 24), "r", life.clone());
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
    // it can be stopped meanwhile
    assert!(stage.screen().contains("x stop"), "{}", stage.screen());
    life.push(EventKind::Waiting { reason: None });
    stage.receive(life);
    assert!(
        stage.screen().contains("running") && !stage.screen().contains("waiting for the disk"),
        "{}",
        stage.screen()
    );
}

#[test]
fn the_footer_shows_what_a_key_does_at_the_moment() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 20));
    assert!(
        stage.screen().contains("Space pause") && stage.screen().contains("x stop"),
        "{}",
        stage.screen()
    );
    stage.receive([a_run("r", 20), vec![accepted(Command::Pause)]].concat());
    assert!(
        stage.screen().contains("Space resume"),
        "{}",
        stage.screen()
    );
    stage.receive([a_run("r", 100), ending()].concat());
    assert!(
        !stage.screen().contains("Space") && !stage.screen().contains("x stop"),
        "{}",
        stage.screen()
    );
}

#[test]
fn a_start_that_fails_says_why() {
    let mut stage = AppStage::menu((80, 24), Fake::default());
    stage.keys(&["Down", "Enter", "Enter"]);
    let screen = stage.screen();
    assert!(
        screen.contains("Could not start the run")
            && screen.contains("astill fetch cifar10 brings it"),
        "{screen}"
    );
    // the form is still there, with what was written in it
    stage.keys(&["Enter"]);
    assert_eq!(stage.app.scope(), Scope::Start);
    stage.keys(&["Esc"]);
    assert_eq!(stage.app.scope(), Scope::Home);
    // the next one can be started
    stage.keys(&["Up", "Enter", "Enter"]);
    assert_eq!(stage.app.scope(), Scope::Run);
}
