//! What the user is told where something ends: a run, a fetch, a problem, an engine without a word.

use crate::tui::backend::RunState;
use crate::tui::context::Appearance;
use crate::tui::keys::Scope;
use crate::tui::message::{EventBatch, Message};
use crate::tui::tests::stage::*;
use astill_core::run::event::{EventKind, RunFinished};

/// A finished run whose result is doubtful for so many reasons.
fn doubtful(size: (u16, u16), cautions: usize) -> AppStage {
    let mut life = a_run("r", 100);
    life.extend(ending());
    if let Some(EventKind::RunFinished(RunFinished { cautions: all, .. })) = life.last_mut() {
        let caution = |n| format!("reason {n} to doubt the result, in a sentence of some length");
        all.extend((1..=cautions).map(caution));
    }
    AppStage::run(size, "r", life)
}

#[test]
fn a_caution_is_on_the_screen_beside_the_result() {
    let screen = doubtful((80, 24), 1).screen();
    for text in ["64.5 +- 0.5 %", "Caution: reason 1", "distilled/best"] {
        assert!(screen.contains(text), "{text}: {screen}");
    }
}

#[test]
fn what_of_a_result_has_no_room_is_in_the_log() {
    let mut stage = doubtful((80, 24), 8);
    let screen = stage.screen();
    assert!(screen.contains(".. l shows the rest."), "{screen}");
    stage.keys(&["l"]);
    let screen = stage.screen();
    for text in ["Caution: reason 1", "Caution: reason 8", "distilled/best"] {
        assert!(screen.contains(text), "{text}: {screen}");
    }
    // line by line, past all that came with the same event
    for _ in 0..40 {
        stage.keys(&["Up"]);
    }
    let screen = stage.screen();
    assert!(!screen.contains("Caution"), "{screen}");
    // a large screen has it once
    let screen = doubtful((200, 60), 1).screen();
    assert_eq!(screen.matches("Caution: reason 1").count(), 1, "{screen}");
}

#[test]
fn a_result_says_how_to_use_it() {
    let stage = doubtful((120, 40), 0);
    let text = "astill export /runs/r --to DIR";
    assert!(stage.screen().contains(text), "{}", stage.screen());
    let farewell = stage.app.farewell().unwrap_or_default();
    assert!(farewell.contains(text) && farewell.contains("docs/pytorch.md"));
}

#[test]
fn who_leaves_during_a_fetch_is_told_how_to_go_on() {
    let fake = Fake {
        fetch_lasts: true,
        ..Fake::default()
    };
    let mut stage = AppStage::menu((80, 24), fake);
    assert_eq!(stage.app.farewell(), None);
    stage.keys(&["Down", "f", "q"]);
    let farewell = stage.app.farewell().unwrap_or_default();
    assert!(farewell.contains("`astill fetch cifar10`"), "{farewell}");
    assert!(stage.left);
}

#[test]
fn a_problem_of_the_list_is_over_once_it_is_read_again() {
    let mut stage = AppStage::menu((80, 24), Fake::default());
    let problem = "cannot read runs: Permission denied";
    stage.send(Message::Unlisted(problem.into()));
    assert!(stage.screen().contains(problem));
    stage.send(Message::Listed(Vec::new(), Vec::new(), Vec::new()));
    assert!(!stage.screen().contains(problem), "{}", stage.screen());
}

#[test]
fn a_run_whose_engine_was_killed_is_interrupted_in_the_whole_comparison() {
    let fake = Fake {
        compared_state: Some(RunState::Dead),
        ..Fake::default()
    };
    let run = |name: &str| summary(&run_dir(name), RunState::Dead, 50);
    *fake.runs.lock().unwrap() = vec![run("one"), run("two")];
    let mut stage = AppStage::menu((100, 30), fake);
    stage.keys(&["End", "Space", "Up", "Space", "c"]);
    let screen = stage.screen();
    let rows = screen.matches("interrupted").count();
    assert_eq!(rows, 2, "{screen}");
    // one of them goes on
    let batch = EventBatch {
        events: events([a_run("one", 30), vec![distilled(31, 0.2)]].concat()),
        restarted: true,
        read: (1, 1),
        at_end: true,
        unreadable: 0,
    };
    stage.send(Message::ComparedEvents(run_dir("one"), batch));
    let screen = stage.screen();
    assert!(screen.contains("running 31/100"), "{screen}");
    assert_eq!(screen.matches("interrupted").count(), 1, "{screen}");
}

#[test]
fn a_finished_run_shows_the_images_of_its_result() {
    let with_best = |step| {
        let mut life = a_run("r", 100);
        life.extend(ending());
        if let Some(EventKind::RunFinished(RunFinished { best_step, .. })) = life.last_mut() {
            *best_step = Some(step);
        }
        AppStage::run((120, 40), "r", life)
    };
    let mut stage = with_best(50);
    assert!(stage.screen().contains("Result, step 50"));
    stage.keys(&["Tab", "Left"]);
    // the cursor, where there is one, says which step is looked at
    stage.keys(&["f", "Left"]);
    stage.keys(&["f"]);
    let screen = stage.screen();
    assert!(screen.contains("(cursor)"), "{screen}");
    // the best step may have no picture
    let screen = with_best(60).screen();
    assert!(screen.contains("Latest, step 100"), "{screen}");
}

#[test]
fn a_comparison_tells_the_result_from_what_was_measured_before() {
    let fake = Fake::default();
    let run = |name: &str| summary(&run_dir(name), RunState::Done, 100);
    *fake.runs.lock().unwrap() = vec![run("one"), run("two")];
    let mut stage = AppStage::menu((120, 30), fake);
    stage.keys(&["End", "Space", "Up", "Space", "c"]);
    let batch = EventBatch {
        events: events([a_run("one", 100), ending()].concat()),
        restarted: true,
        read: (1, 1),
        at_end: true,
        unreadable: 0,
    };
    stage.send(Message::ComparedEvents(run_dir("one"), batch));
    stage.keys(&["Tab", "Tab"]);
    let screen = stage.screen();
    let wanted = "convnet test 60.0 during the run  result 64.5";
    assert!(screen.contains(wanted), "{screen}");
}

#[test]
fn a_run_that_was_opened_from_a_comparison_leads_back_to_it() {
    let fake = Fake::default();
    let run = |name: &str| summary(&run_dir(name), RunState::Done, 100);
    *fake.runs.lock().unwrap() = vec![run("one"), run("two")];
    let mut stage = AppStage::menu((80, 24), fake);
    stage.keys(&[
        "End", "Space", "Up", "Space", "c", "Tab", "Down", "p", "Enter",
    ]);
    assert_eq!(stage.app.scope(), Scope::Run);
    stage.keys(&["q"]);
    let screen = stage.screen();
    assert!(
        screen.contains("(2 of ") && screen.contains("pinned"),
        "{screen}"
    );
    stage.keys(&["q"]);
    assert_eq!(stage.app.scope(), Scope::Home);
}

#[test]
fn tables_of_a_comparison_name_the_runs_that_have_no_room() {
    let fake = Fake::default();
    let run = |n: &usize| summary(&run_dir(&format!("run-{n}")), RunState::Done, 100);
    *fake.runs.lock().unwrap() = (1..=5).map(|n| run(&n)).collect();
    let mut stage = AppStage::menu((80, 40), fake);
    stage.keys(&[
        "End", "Space", "Up", "Space", "Up", "Space", "Up", "Space", "Up", "Space",
    ]);
    stage.keys(&["c", "t"]);
    let screen = stage.screen();
    assert!(
        screen.contains("2 of the 5 runs do not fit: Up and Down choose"),
        "{screen}"
    );
}

#[test]
fn charts_stay_while_the_images_or_the_log_have_the_focus() {
    let mut stage = AppStage::run((80, 24), "r", a_run("r", 60));
    stage.keys(&["Tab", "Tab"]);
    assert!(stage.screen().contains("(3 of 13)"));
    for away in ["Right", "Down"] {
        stage.keys(&[away]);
        assert!(stage.screen().contains("(3 of 13)"), "{}", stage.screen());
    }
}

#[test]
fn read_only_help_leaves_out_screens_that_cannot_be_reached() {
    let appearance = Appearance {
        read_only: true,
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (100, 30), None, Fake::default());
    stage.keys(&["?", "/", "Roll back to the"]);
    let screen = stage.screen();
    assert!(!screen.contains("checkpoint, after"), "{screen}");
}

#[test]
fn ten_stored_steps_are_passed_at_once() {
    let mut life = a_run("r", 1);
    let samples = (1..=30).map(|step| EventKind::Samples {
        step,
        file: format!("samples/step_{step:05}.png"),
    });
    life.extend(samples);
    let mut stage = AppStage::run((80, 24), "r", life);
    stage.keys(&["s"]);
    for (key, at) in [
        ("[", "Step 20 (21"),
        ("[", "Step 10 (11"),
        ("]", "Step 20 (21"),
    ] {
        stage.keys(&[key]);
        assert!(stage.screen().contains(at), "{}", stage.screen());
    }
}
