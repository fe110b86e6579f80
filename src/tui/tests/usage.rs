//! What is in use of the machine: in the header, and as charts over time.

use crate::tui::chart::plots::Counted;
use crate::tui::colour::Depth;
use crate::tui::context::Appearance;
use crate::tui::panel::{Panel, in_order};
use crate::tui::tests::stage::*;
use crate::tui::theme::Theme;
use astill_core::run::command::Command;
use astill_core::run::event::{EventKind, GpuUsage, HostUsage, Usage};

/// A run of 60 steps with a record of the machine after every tenth event.
fn measured(gpu: impl Fn(f64) -> Option<GpuUsage>) -> Vec<EventKind> {
    let mut life = Vec::new();
    for (i, event) in a_run("r", 60).into_iter().enumerate() {
        life.push(event);
        if i % 10 == 9 {
            let i = i as f64;
            life.push(EventKind::Usage(Usage {
                gpu: gpu(i),
                host: HostUsage {
                    used_gib: Some(12.3),
                    total_gib: Some(127.6),
                    load: Some(30. + i / 10.),
                    oom_kills: Some(0),
                },
            }));
        }
    }
    life
}

fn on_a_gpu() -> Vec<EventKind> {
    measured(|i| {
        Some(GpuUsage {
            used_gib: Some(20. + i / 10.),
            total_gib: Some(79.65),
            load: Some(99. - i / 10.),
            temperature: Some(50. + i / 5.),
        })
    })
}

fn charts_over_time(stage: &AppStage) -> Vec<&'static str> {
    let session = stage.app.context.session.as_ref().unwrap();
    let order = in_order(false, &session.model).into_iter();
    let over_time = order.filter(|p| p.counted() == Counted::Seconds);
    over_time.map(Panel::title).collect()
}

#[test]
fn the_header_shows_what_is_in_use_and_charts_show_it_over_time() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut stage = AppStage::run(size, "r", on_a_gpu());
        insta::assert_snapshot!(format!("usage_{}", size.0), stage.screen());
        let session = stage.app.context.session.as_mut().unwrap();
        session.choose(Panel::first(Counted::Seconds));
        stage.keys(&["f", "Left", "Left"]);
        insta::assert_snapshot!(format!("usage_chart_{}", size.0), stage.screen());
    }
}

#[test]
fn what_is_in_use_without_colour_and_in_ascii() {
    let appearance = Appearance {
        theme: Theme::new(Depth::Never, true),
        ..LOOK
    };
    let mut stage = AppStage::with(appearance, (80, 30), Some(run_dir("r")), Fake::default());
    stage.receive(on_a_gpu());
    let screen = stage.screen();
    assert!(screen.is_ascii(), "{screen}");
    assert!(
        screen.contains("GPU 91 %, 66 C  ###..... 27.9/79.7 GiB  CPU 38 %  #....... 12.3/128 GiB"),
        "{screen}"
    );
}

#[test]
fn at_80_24_it_takes_no_room_from_the_images() {
    let shown = |life| {
        let screen = AppStage::run((80, 24), "r", life).screen();
        screen.matches('▀').count()
    };
    assert_eq!(shown(on_a_gpu()), shown(a_run("r", 60)));
    let screen = AppStage::run((80, 24), "r", on_a_gpu()).screen();
    assert!(
        screen.contains("GPU 91 %"),
        "beside an accuracy too: {screen}"
    );
    let mut early = on_a_gpu();
    early.truncate(14);
    let screen = AppStage::run((80, 24), "r", early).screen();
    assert!(screen.contains("GPU 98 %"), "{screen}");
}

#[test]
fn a_machine_without_a_gpu_shows_nothing_of_one() {
    let stage = AppStage::run((120, 40), "r", measured(|_| None));
    let screen = stage.screen();
    assert!(screen.contains("CPU 38 %") && !screen.contains("GPU"));
    assert_eq!(
        charts_over_time(&stage),
        ["Load of GPU and CPU, %", "Host memory, GiB"]
    );
    // a run of an older version, and one that has just begun
    let stage = AppStage::run((120, 40), "r", a_run("r", 60));
    assert!(!stage.screen().contains("CPU"));
    assert_eq!(charts_over_time(&stage), [""; 0]);
}

#[test]
fn an_engine_that_is_paused_or_gone_uses_nothing_now() {
    let mut life = on_a_gpu();
    life.push(accepted(Command::Pause));
    let mut stage = AppStage::run((80, 30), "r", life);
    let row_of = |stage: &AppStage| {
        let screen = stage.screen();
        screen.lines().position(|l| l.contains("GPU 91 %"))
    };
    let row = row_of(&stage).unwrap() as u16;
    let dim = LOOK.theme.dim().fg.unwrap();
    assert_eq!(stage.buffer()[(0, row)].fg, dim);
    let mut life = on_a_gpu();
    life.push(finished());
    stage = AppStage::run((80, 30), "r", life);
    assert_eq!(row_of(&stage), None, "{}", stage.screen());
    assert_eq!(charts_over_time(&stage).len(), 4);
}

#[test]
fn the_time_between_two_engines_is_left_out() {
    let mut stage = AppStage::run((120, 40), "r", on_a_gpu());
    let mut later = events(vec![started("r", 60, 100), on_a_gpu().remove(10)]);
    later[0].time = "2026-01-02T00:00:00.000Z".into();
    later[1].time = "2026-01-02T00:00:30.000Z".into();
    let session = stage.app.context.session.as_mut().unwrap();
    let usage = &session.model.usage;
    let before = usage.of("host.load")[0].last().unwrap().0;
    later.iter().for_each(|event| session.model.apply(event));
    let series = &session.model.usage.of("host.load")[0];
    assert_eq!(series.last().unwrap().0, before + 30.);
    assert!(session.model.usage.latest().is_some());
}
