use super::*;
use astill_core::profile::{Auto, CheckpointsRead, Kind, Profile};
use serde_json::json;

fn record(loss: f64) -> StoredEpoch {
    let record = EpochRecord {
        train_loss: loss,
        train_accuracy: 1.,
        validation_accuracy: Some(2.),
        clip_factor: 0.5,
        gradient_penalty: 0.1,
        step_length: 1.,
        turn: None,
        curvature: None,
        tortuosity: 1.,
    };
    StoredEpoch {
        record,
        measured_on: Some("images".into()),
    }
}

fn point(value: f32) -> Tensor {
    Tensor::from_slice(&[value, 0.])
}

fn expert(value: f32) -> Expert {
    Expert {
        weights: Weights {
            theta: point(value),
            running: point(-value),
        },
        velocity: Some(Tensor::from_slice(&[0f32, value])),
    }
}

/// An epoch with two checkpoints: one inside it, and its end.
fn save(store: &Store, epoch: usize, inside: f32, end: f32) -> Result<()> {
    let new = NewEpoch {
        inside: &[point(inside)],
        record: &record(f64::from(end)),
    };
    store.save_epoch(0, epoch, &expert(end), Some(new))
}

fn there<T>(found: Option<T>) -> Result<T> {
    found.ok_or(Error::Interrupted)
}

fn values(points: &[Tensor]) -> Vec<f64> {
    points.iter().map(|p| p.double_value(&[0])).collect()
}

#[test]
fn every_setting_is_in_the_key() {
    let key = |penalty: f64| {
        Store::new(Path::new("x"), &json!({ "gradient_penalty": penalty }), 1)
            .key()
            .to_string()
    };
    assert_eq!(key(2.0), key(2.0));
    assert_ne!(key(2.0), key(1.0));
}

#[test]
fn an_interrupted_training_resumes_where_it_stopped_and_ends_in_one_file() -> Result<()> {
    let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let (settings, store) = (json!({}), Store::new(root.path(), &json!({}), 2));
    store.create(&settings)?;
    assert!(store.partial(0, 2)?.0.is_none() && store.finished(0, 2)?.is_none());
    store.save_epoch(0, 0, &expert(1.), None)?;
    save(&store, 1, 1.5, 2.)?;
    let partial = there(store.partial(0, 2)?.0)?;
    assert_eq!(values(&partial.points), [1., 1.5, 2.]);
    assert_eq!(partial.epochs, [record(2.)]);
    assert!(partial.expert.weights.theta.equal(&point(2.)));

    let damaged = store.epoch_file(0, 1);
    let mut bytes = fs::read(&damaged).map_err(Error::io("read", &damaged))?;
    bytes.iter_mut().last().into_iter().for_each(|b| *b ^= 1);
    fs::write(&damaged, bytes).map_err(Error::io("write", &damaged))?;
    let (partial, problem) = store.partial(0, 2)?;
    assert!(
        partial.is_some_and(|p| p.points.len() == 1)
            && problem.is_some_and(|p| p.to_string().contains("epoch_001"))
    );

    save(&store, 1, 1.5, 2.)?;
    save(&store, 2, 2.5, 3.)?;
    store.finish(0, &there(store.partial(0, 2)?.0)?, None)?;
    let done = store.finished(0, 2)?.ok_or(Error::Interrupted)?;
    assert!(!store.partial_folder(0).exists());
    let other = Store::new(root.path(), &settings, 2);
    for is_callers in [false, true] {
        store.save_epoch(0, 0, &expert(1.), None)?;
        let Claimed::Here(claim) = other.claim(0)? else {
            return Err(Error::Interrupted);
        };
        store.tidy(0, &done, None);
        assert!(store.partial_folder(0).exists(), "somebody is training");
        store.tidy(0, &done, Some(&claim).filter(|_| is_callers));
        assert_eq!(store.partial_folder(0).exists(), !is_callers);
        drop(claim);
        store.tidy(0, &done, None);
        assert!(!store.partial_folder(0).exists() && !store.claim_file(0).exists());
    }
    let read = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)].map(|(e, part)| done.checkpoint(e, part));
    let read: Vec<f64> = read
        .into_iter()
        .map(|p| p.map(|p| p.double_value(&[0])))
        .collect::<Result<_>>()?;
    assert_eq!(read, [1., 1.5, 2., 2.5, 3.]);
    assert!(done.last()?.running.equal(&point(-3.)));
    assert!(done.network(1)?.running.equal(&point(-2.)));
    assert!(done.last()?.theta.equal(&point(3.)) && done.checkpoint(2, 1).is_err());
    assert_eq!(done.epochs(), [record(2.), record(3.)]);
    drop(done);
    fs::write(store.file(0), b"torn").map_err(Error::io("write", store.file(0)))?;
    assert!(matches!(store.finished(0, 2), Err(Error::File { .. })));
    Ok(())
}

#[test]
fn an_expert_is_trained_on_from_where_another_run_left_it() -> Result<()> {
    let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let store = Store::new(root.path(), &json!({}), 2);
    store.save_epoch(0, 0, &expert(1.), None)?;
    save(&store, 1, 1.5, 2.)?;
    store.finish(0, &there(store.partial(0, 1)?.0)?, None)?;
    assert!(store.finished(0, 1)?.is_some() && store.finished(0, 2)?.is_none());
    let short = there(store.partial(0, 3)?.0)?;
    assert!(
        short
            .expert
            .velocity
            .is_some_and(|v| v.double_value(&[1]) == 2.)
    );

    save(&store, 2, 2.5, 3.)?;
    // a run that needs no more than there is leaves the work of the other
    store.tidy(0, &there(store.finished(0, 1)?)?, None);
    // also if it measures again what there is
    store.write(0, &there(store.partial(0, 1)?.0)?, None)?;
    let longer = there(store.partial(0, 3)?.0)?;
    assert_eq!(values(&longer.points), [1., 1.5, 2., 2.5, 3.]);
    assert_eq!(longer.epochs, [record(2.), record(3.)]);
    // a run that is content with less does not read more than it needs
    assert_eq!(there(store.partial(0, 1)?.0)?.epochs.len(), 1);
    store.finish(0, &longer, None)?;
    assert!(store.finished(0, 1)?.is_some_and(|e| e.epochs().len() == 2));
    // and uses the expert as it was when the other had not begun
    let asked = there(store.finished(0, 1)?)?;
    assert!(asked.last()?.theta.equal(&point(2.)));
    assert!(asked.last()?.running.equal(&point(-2.)));
    assert_eq!(asked.records(), [record(2.).record]);
    let whole = asked.partial()?;
    assert!(whole.epochs.len() == 2 && whole.expert.weights.theta.equal(&point(3.)));
    Ok(())
}

#[test]
fn an_epoch_with_fewer_checkpoints_than_the_store_has_is_not_used() -> Result<()> {
    let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let store = Store::new(root.path(), &json!({}), 3);
    store.save_epoch(0, 0, &expert(1.), None)?;
    save(&store, 1, 1.5, 2.)?;
    let (partial, problem) = store.partial(0, 2)?;
    assert_eq!(there(partial)?.points.len(), 1);
    assert!(problem.is_some_and(|p| p.to_string().contains("expected 3 checkpoints")));
    Ok(())
}

#[test]
fn what_two_processes_finish_at_the_same_time_is_never_less_than_one_has_trained() -> Result<()> {
    let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let [slow, fast] = [(); 2].map(|()| Store::new(root.path(), &json!({}), 2));
    slow.save_epoch(0, 0, &expert(1.), None)?;
    save(&slow, 1, 1.5, 2.)?;
    let short = there(slow.partial(0, 1)?.0)?;
    save(&fast, 2, 2.5, 3.)?;
    fast.finish(0, &there(fast.partial(0, 2)?.0)?, None)?;
    // the other has removed the folder in which this one still trains
    save(&slow, 1, 1.5, 2.)?;
    slow.finish(0, &short, None)?;
    assert!(slow.finished(0, 2)?.is_some() && !slow.partial_folder(0).exists());
    Ok(())
}

#[test]
fn half_written_files_are_removed_by_whoever_is_alone() -> Result<()> {
    let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let store = Store::new(root.path(), &json!({}), 1);
    store.create(&json!({}))?;
    let left = store.folder().join(".part-left");
    let leave = || fs::write(&left, "").map_err(Error::io("write", &left));
    leave()?;
    let first = store.join()?;
    assert!(!left.exists());
    leave()?;
    let second = store.join()?;
    assert!(left.exists() && store.join_alone()?.is_none());
    drop((first, second));
    assert!(store.join_alone()?.is_some() && !left.exists());
    Ok(())
}

/// A profile that starts in epoch 1 alone and matches one epoch, with two checkpoints per epoch.
fn late(epochs: usize) -> CheckpointsRead {
    let mut profile = Profile::new(Kind::Shapes);
    profile.expert.per_epoch = 2;
    profile.expert.train_epochs = Auto::Value(epochs);
    profile.distill.min_start_epoch = 1;
    profile.distill.max_start_epoch = 2;
    profile.distill.expert_epochs = 1;
    profile.checkpoints_read(0)
}

/// Trains expert 0 for so many epochs, from the beginning.
fn trained(store: &Store, epochs: usize) -> Result<Partial> {
    store.save_epoch(0, 0, &expert(1.), None)?;
    for epoch in 1..=epochs {
        let end = epoch as f32 + 1.;
        save(store, epoch, end - 0.5, end)?;
    }
    there(store.partial(0, epochs)?.0)
}

#[test]
fn of_what_is_not_needed_nothing_is_kept_and_another_run_adds_what_it_needs() -> Result<()> {
    let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let store = Store::new(root.path(), &json!({}), 2);
    let needed = late(3);
    store.finish(0, &trained(&store, 3)?, Some(&needed))?;
    let thin = there(store.finished(0, 3)?)?;
    assert!(!thin.is_whole() && thin.has_all(&needed));
    let read = |expert: &Trajectory, epoch, part| -> Result<f64> {
        Ok(expert.checkpoint(epoch, part)?.double_value(&[0]))
    };
    assert_eq!(read(&thin, 1, 0)?, 2.);
    assert_eq!(read(&thin, 2, 0)?, 3.);
    assert_eq!(thin.last()?.theta.double_value(&[0]), 4.);
    for (epoch, part) in [(0, 0), (0, 1), (1, 1), (2, 1)] {
        let missing = read(&thin, epoch, part);
        assert!(missing.is_err_and(|e| e.to_string().contains("was not kept")));
    }

    // what another run trains again is an interrupted training until it is done
    assert!(store.partial(0, 3)?.0.is_none());
    let again = trained(&store, 1)?;
    store.tidy(0, &thin, None);
    assert!(store.partial_folder(0).exists());
    store.finish(0, &again, None)?;
    let both = there(store.finished(0, 3)?)?;
    assert!(both.epochs().len() == 3 && both.has_all(&needed) && !both.is_whole());
    assert_eq!([read(&both, 0, 0)?, read(&both, 0, 1)?], [1., 1.5]);
    assert_eq!(both.partial()?.points.len(), 3 + 2);

    // figures that are measured again change no checkpoint
    let mut measured = both.epochs().to_vec();
    measured[0].record.validation_accuracy = None;
    let written = both.measured_again(measured.clone());
    store.write(0, &written.partial()?, None)?;
    let both = there(store.finished(0, 3)?)?;
    assert_eq!(both.epochs(), measured);
    assert_eq!(both.partial()?.points.len(), 3 + 2);
    store.finish(0, &trained(&store, 3)?, None)?;
    assert!(there(store.finished(0, 3)?)?.is_whole());
    Ok(())
}

#[test]
fn what_was_trained_otherwise_is_not_mixed_with_what_was_kept() -> Result<()> {
    let root = tempfile::tempdir().map_err(Error::io("create", "."))?;
    let store = Store::new(root.path(), &json!({}), 2);
    store.finish(0, &trained(&store, 3)?, Some(&late(3)))?;
    store.save_epoch(0, 0, &expert(1.), None)?;
    save(&store, 1, 7.5, 8.)?;
    let other = there(store.partial(0, 1)?.0)?;
    store.finish(0, &other, None)?;
    let replaced = there(store.finished(0, 1)?)?;
    assert!(replaced.is_whole() && replaced.epochs().len() == 1);
    assert_eq!(replaced.last()?.theta.double_value(&[0]), 8.);
    Ok(())
}
