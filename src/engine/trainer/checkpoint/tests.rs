use super::*;
use astill_core::profile::Profile;

fn state(step: u64) -> DistillationState {
    let numbers = StateNumbers {
        data_content: "abc".into(),
        step,
        student_lr: 0.1 + 0.2,
        rate: RateMemory {
            velocity: -1e-300,
            ..RateMemory::default()
        },
        image_steps: StepMemory::default(),
        data_rms: 1.,
        best_ratio: vec![Some(0.5), None],
        left_out: 3,
        not_finite: 2,
        too_large_since: None,
        best: None,
        evaluations: Vec::new(),
        headlines: Vec::new(),
        random_rows: vec![vec![1]],
        representative_rows: vec![vec![2]],
    };
    let t = || Tensor::from_slice(&[step as f32]);
    DistillationState {
        numbers,
        made_with: Some(MadeWith::now(&Profile::default())),
        images: t(),
        variables: t(),
        image_velocity: t(),
        image_scale: t(),
        average: Some(Average {
            images: t(),
            logits: None,
            student_lr: 0.5,
            updates: step,
        }),
        labels: SyntheticLabels::Hard(Tensor::from_slice(&[0i64])),
        start: t(),
        best_images: t(),
        best_logits: None,
    }
}

#[test]
fn the_newest_whole_checkpoint_is_loaded_and_old_ones_are_removed() -> Result<()> {
    let run = tempfile::tempdir().map_err(Error::io("create", "."))?;
    fs::create_dir(run.path().join("checkpoints")).map_err(Error::io("create", run.path()))?;
    assert!(
        DistillationState::load(run.path(), Device::Cpu)?
            .0
            .is_none()
    );
    for step in [1, 2, 3, 99_999, 100_000] {
        state(step).save(run.path())?;
    }
    assert_eq!(files(run.path())?.len(), KEPT);
    let newest = run.path().join("checkpoints/step_100000.safetensors");
    fs::write(&newest, b"torn").map_err(Error::io("write", &newest))?;
    let (back, warnings) = DistillationState::load(run.path(), Device::Cpu)?;
    let back = back.ok_or(Error::Interrupted)?;
    assert!(warnings.len() == 1 && warnings[0].to_string().contains("step_100000"));
    // set aside, so that it is not taken for one of those to keep
    assert!(!newest.exists() && files(run.path())?.len() == KEPT - 1);
    assert_eq!(back.numbers, state(99_999).numbers);
    assert!(back.images.equal(&state(99_999).images));
    Ok(())
}

#[test]
fn labels_come_back_as_they_were_hard_or_soft() -> Result<()> {
    let run = tempfile::tempdir().map_err(Error::io("create", "."))?;
    fs::create_dir(run.path().join("checkpoints")).map_err(Error::io("create", run.path()))?;
    let logits = Tensor::from_slice(&[0.25f32, 0.75]).view([1, 2]);
    let hard = state(1);
    let soft = DistillationState {
        labels: SyntheticLabels::Soft {
            logits: &logits * 3.,
            velocity: &logits * 2.,
        },
        best_logits: Some(logits.shallow_clone()),
        ..state(2)
    };
    for saved in [hard, soft] {
        saved.save(run.path())?;
        let step = saved.numbers.step;
        let back = DistillationState::load_step(run.path(), step, Device::Cpu)?;
        assert!(
            back.labels
                .labels()
                .tensor()
                .equal(saved.labels.labels().tensor())
        );
        assert_eq!(back.best_logits.is_some(), step == 2);
        assert!(
            back.best_labels()
                .tensor()
                .equal(saved.best_labels().tensor())
        );
    }
    Ok(())
}

#[test]
fn a_checkpoint_of_another_format_is_refused_and_stays() -> Result<()> {
    let run = tempfile::tempdir().map_err(Error::io("create", "."))?;
    fs::create_dir(run.path().join("checkpoints")).map_err(Error::io("create", run.path()))?;
    state(1).save(run.path())?;
    let newer = run.path().join(file_name(2));
    let text = serde_json::json!({ "version": VERSION + 1, "something": "else" }).to_string();
    tensor_file::write_sealed(&newer, &[("images", &state(2).images)], ("state", text))?;
    let refused = DistillationState::load(run.path(), Device::Cpu)
        .map(|_| ())
        .map_err(|e| (e.exit_status(), e.to_string()));
    assert!(refused.is_err_and(|(status, text)| status == 2 && text.contains("found format 6")));
    assert_eq!(files(run.path())?.len(), 2);
    Ok(())
}

#[test]
fn what_a_run_was_begun_with_comes_back_and_an_older_format_lacks_it() -> Result<()> {
    let run = tempfile::tempdir().map_err(Error::io("create", "."))?;
    fs::create_dir(run.path().join("checkpoints")).map_err(Error::io("create", run.path()))?;
    assert!(newest_head(run.path())?.is_none());
    state(1).save(run.path())?;
    let head = newest_head(run.path())?.ok_or(Error::Interrupted)?;
    assert_eq!((head.step, &head.made_with), (1, &state(1).made_with));
    assert!(head.made_with.is_some_and(|m| m.warnings().is_empty()));
    let old = DistillationState {
        made_with: None,
        ..state(2)
    };
    old.save(run.path())?;
    let head = newest_head(run.path())?.ok_or(Error::Interrupted)?;
    assert_eq!((head.step, head.made_with), (2, None));
    let newest = run.path().join(file_name(2));
    fs::write(&newest, b"torn").map_err(Error::io("write", &newest))?;
    assert!(newest_head(run.path())?.is_some_and(|head| head.step == 1));
    Ok(())
}

#[test]
fn a_state_that_went_back_takes_the_place_of_later_ones() -> Result<()> {
    let run = tempfile::tempdir().map_err(Error::io("create", "."))?;
    fs::create_dir(run.path().join("checkpoints")).map_err(Error::io("create", run.path()))?;
    for step in [1, 2, 3, 4, 5] {
        state(step).save(run.path())?;
    }
    state(2).save(run.path())?;
    assert_eq!(
        files(run.path())?
            .iter()
            .map(|(step, _)| *step)
            .collect::<Vec<_>>(),
        [2]
    );
    Ok(())
}
