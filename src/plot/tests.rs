use super::lines::lines;
use super::*;
use crate::tui::tests::stage::{a_run, distilled, ending, events};
use astill_core::run::event::EventKind;
use std::path::PathBuf;

const LOOK: Look = Look {
    width: 400,
    height: 300,
    smooth: 0.9,
};

fn run(name: &str, steps: u64) -> PlottedRun {
    let mut model = Model::new();
    events(a_run(name, steps))
        .iter()
        .for_each(|e| model.apply(e));
    PlottedRun {
        name: name.into(),
        model,
    }
}

fn of(name: &str) -> Result<&'static Plot> {
    charts(&[name.into()]).map(|found| found[0])
}

#[test]
fn one_run_has_a_colour_per_line_and_several_have_a_colour_per_run() -> Result<()> {
    let runs = [run("one", 20), run("two", 20)];
    let told = |runs: &[PlottedRun]| -> Result<Vec<(Option<String>, usize, usize)>> {
        let lines = lines(of("reach")?, runs, LOOK);
        let named = lines.into_iter().filter(|l| l.name.is_some());
        Ok(named.map(|l| (l.name, l.colour, l.pattern)).collect())
    };
    let line = |name: &str, colour, pattern| (Some(name.to_string()), colour, pattern);
    assert_eq!(
        told(&runs[..1])?,
        [line("reach", 0, 0), line("alignment", 1, 0)]
    );
    assert_eq!(
        told(&runs)?,
        [
            line("one: reach", 0, 0),
            line("one: alignment", 0, 1),
            line("two: reach", 1, 0),
            line("two: alignment", 1, 1)
        ]
    );
    Ok(())
}

#[test]
fn both_kinds_of_file_are_drawn_with_a_legend() -> Result<()> {
    let runs = [run("one", 20), run("two", 20)];
    let all = charts(&["all".into()])?;
    let svg = draw::picture(&all, &runs, LOOK, Picture::Svg)?;
    let svg = String::from_utf8_lossy(&svg).into_owned();
    for text in ["Matching loss", "two: alignment", "step of distillation"] {
        assert!(svg.contains(text), "{text}");
    }
    let png = draw::picture(&all[..1], &runs, LOOK, Picture::Png)?;
    let decoded = image::load_from_memory(&png).map(|i| (i.width(), i.height()));
    assert_eq!(decoded.ok(), Some((400, 300)));
    Ok(())
}

#[test]
fn a_run_without_steps_has_no_chart_of_them() -> Result<()> {
    let error = draw::picture(&[of("reach")?], &[run("new", 0)], LOOK, Picture::Svg).err();
    assert_eq!(error.map(|e| e.exit_status()), Some(2));
    Ok(())
}

#[test]
fn what_cannot_be_drawn_is_refused_and_nothing_is_overwritten() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let there = folder.path().join("there.png");
    std::fs::write(&there, "kept").map_err(Error::io("write", &there))?;
    let args = |to: PathBuf, chart: &str| PlotArgs {
        plotted: Vec::new(),
        to: Some(to),
        tensorboard: None,
        chart: vec![chart.into()],
        smooth: 0.,
        width: 400,
        height: 300,
    };
    for (to, chart, why) in [
        (there.clone(), "accuracy", "is there already"),
        (
            folder.path().join("x.gif"),
            "accuracy",
            ".svg, .png or .csv",
        ),
        (
            folder.path().join("x.svg"),
            "nothing",
            "expected all, images or one of",
        ),
    ] {
        let error = plot(&[], &args(to, chart)).err().map(|e| e.to_string());
        assert!(error.as_ref().is_some_and(|e| e.contains(why)), "{error:?}");
    }
    assert_eq!(std::fs::read(&there).ok().as_deref(), Some(&b"kept"[..]));
    // what the other kind of output refuses leaves no picture behind
    let picture = folder.path().join("drawn.svg");
    let both = PlotArgs {
        tensorboard: Some(folder.path().into()),
        ..args(picture.clone(), "reach")
    };
    std::fs::create_dir(folder.path().join("r")).map_err(Error::io("create", "r"))?;
    let error = plot(&[RunDir::at("runs/r")], &both).err();
    assert_eq!(error.map(|e| e.exit_status()), Some(2));
    assert!(!picture.exists());
    Ok(())
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<()> {
    std::fs::write(&path, bytes).map_err(Error::io("write", &path))
}

/// A run in `folder` with this record.
fn recorded(folder: &Path, life: Vec<EventKind>) -> Result<RunDir> {
    let run = RunDir::create(folder, "shapes", Some("r"), "")?.0;
    let lines: Vec<String> = events(life)
        .iter()
        .filter_map(|event| serde_json::to_string(event).ok())
        .collect();
    write(run.events(), (lines.join("\n") + "\n").as_bytes())?;
    Ok(run)
}

#[test]
fn the_numbers_of_charts_are_a_table_without_what_no_longer_counts() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let mut life = a_run("r", 60);
    life.push(EventKind::RolledBack { from: 60, to: 50 });
    life.push(distilled(51, 0.25));
    let run = recorded(folder.path(), life)?;
    let to = folder.path().join("r.csv");
    let args = PlotArgs {
        plotted: Vec::new(),
        to: Some(to.clone()),
        tensorboard: None,
        chart: vec!["matching-loss".into(), "accuracy".into()],
        smooth: 0.9,
        width: 400,
        height: 300,
    };
    plot(std::slice::from_ref(&run), &args)?;
    let text = std::fs::read_to_string(&to).map_err(Error::io("read", &to))?;
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[0], "run,series,step,value");
    let losses = rows
        .iter()
        .filter(|row| row.contains(",distill/matching_loss,"));
    assert_eq!(losses.count(), 51, "{text}");
    assert!(rows.contains(&"r,distill/matching_loss,51,0.25"), "{text}");
    let random = rows
        .iter()
        .any(|row| row.contains("evaluate/random/hard/convnet/"));
    assert!(random && !text.contains("student_lr"), "{text}");
    // another file of that name is not overwritten
    assert_eq!(plot(&[run], &args).err().map(|e| e.exit_status()), Some(2));
    Ok(())
}

#[test]
fn the_images_of_the_result_are_a_picture_of_their_own() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let mut life = [a_run("r", 100), ending()].concat();
    if let Some(EventKind::RunFinished(end)) = life.last_mut() {
        end.best_step = Some(50);
    }
    let run = recorded(folder.path(), life)?;
    let samples = run.path().join("samples");
    std::fs::create_dir_all(&samples).map_err(Error::io("create", &samples))?;
    // only that of the result: another would not be found
    let sheet = draw::png(&[7; 4 * 2 * 3], (4, 2))?;
    write(samples.join("step_00050.png"), &sheet)?;
    let args = |to: &str, charts: &[&str]| PlotArgs {
        plotted: Vec::new(),
        to: Some(folder.path().join(to)),
        tensorboard: None,
        chart: charts.iter().map(|name| name.to_string()).collect(),
        smooth: 0.,
        width: 400,
        height: 300,
    };
    let written = plot(std::slice::from_ref(&run), &args("sheet.png", &["images"]))?;
    let size = image::image_dimensions(&written[0]).ok();
    assert_eq!(size, Some((400, 200)));
    for (to, charts, why) in [
        ("sheet.svg", &["images"][..], "writes .png"),
        ("sheet.png", &["images"], "is there already"),
        ("both.png", &["images", "reach"], "of its own"),
    ] {
        let error = plot(std::slice::from_ref(&run), &args(to, charts));
        let error = error.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(why), "{error}");
    }
    Ok(())
}
