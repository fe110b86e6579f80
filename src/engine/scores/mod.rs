//! The scores of a finished run: networks are trained on its distilled set and on random real
//! images, with several labels and augmentations, and tested. `astill_core::scores` holds what is
//! made of their accuracies.
//!
//! The protocol is that of DD-Ranking for hard labels and of DC-BENCH, but for two points where
//! theirs would use the test set to choose: every network is measured after its last epoch, and a
//! learning rate that is searched for is chosen on the validation share.

mod full_data;
mod judge;
pub mod pixels;
mod policy;
mod record;

use crate::data::Dataset;
use crate::device;
use crate::export::{self, DistilledSet};
use crate::progress::Progress;
use crate::trainer;
use astill_core::cli::ScoresProtocol;
use astill_core::profile::{LabelKind, Profile};
use astill_core::run::RunDir;
use astill_core::scores::{BenchAugmentation, DcBench, DdRanking, Measured, Scores, Trained};
use astill_core::{Error, Result};
use judge::Judge;
use record::{Identity, Record};
use std::ops::ControlFlow;
use std::path::PathBuf;
use tch::Device;

/// A finished run that is to be scored.
#[derive(Debug)]
pub struct ScoresRequest {
    pub run: RunDir,
    pub profile: Profile,
    /// Where caches are.
    pub data: PathBuf,
    /// The folder of the data set.
    pub folder: PathBuf,
    pub device: Device,
    /// Intra-op threads; libtorch's own choice if none.
    pub threads: Option<i64>,
    pub protocol: ScoresProtocol,
}

/// Measures the scores of a run and writes them to its `scores.json`; those that are there already
/// are read. `tell` gets a line for everything that takes time.
///
/// # Errors
/// The run has no distilled set, its data are not there or not those of the run, or a file cannot
/// be written.
pub fn scores(request: &ScoresRequest, tell: &mut dyn FnMut(String)) -> Result<Scores> {
    tch::set_num_threads(
        request
            .threads
            .map_or_else(tch::get_num_threads, |t| t.clamp(1, 4096) as i32),
    );
    device::allow_tf32(request.profile.network.tf32);
    let file = export::of_run(&request.run)?;
    let bytes = std::fs::read(&file).map_err(Error::io("read", &file))?;
    let set = export::read(&file)?;
    let classes = set.provenance.classes.len();
    let channels = set.images.size()[1];
    let networks = trainer::evaluation_networks(&request.profile, classes, channels)?;
    let (network, net) = networks
        .first()
        .ok_or_else(|| Error::Usage("evaluate.networks is empty".into()))?;
    let identity = Identity {
        set: blake3::hash(&bytes).to_hex().to_string(),
        network: network.clone(),
        protocol: request.protocol.clone(),
    };
    let record = Record::open(&request.run, identity.clone());
    if let Some(scores) = record.scores() {
        return Ok(scores);
    }
    let dataset = load(request, &set)?;
    let mut judge = Judge::new(request, net.as_ref(), &set, &dataset, record, tell);
    let full = judge.full_data(network)?;
    let measured = judge.all()?;
    let labels = match judge.is_soft() {
        true => LabelKind::Soft,
        false => LabelKind::Hard,
    };
    let scores = made(request, identity, labels, full, measured)?;
    judge.into_record().finish(&scores)?;
    Ok(scores)
}

/// The data set of the run, on its device.
fn load(request: &ScoresRequest, set: &DistilledSet) -> Result<Dataset> {
    let data = trainer::data_request(&request.profile, &request.folder, &request.data);
    let mut dataset = data.load(&mut |_: Progress<'_>| ControlFlow::Continue(()))?;
    if dataset.fingerprint != set.provenance.data_content {
        return Err(Error::file(
            &request.folder,
            "holds different training images from those of this run; restore those to score it",
        ));
    }
    dataset.train.to_device(request.device);
    dataset.validation.to_device(request.device);
    dataset.test.to_device(request.device);
    dataset.normalisation = dataset.normalisation.to_device(request.device);
    Ok(dataset)
}

/// The scores that these accuracies make.
fn made(
    request: &ScoresRequest,
    Identity {
        set,
        network,
        protocol,
    }: Identity,
    labels: LabelKind,
    full_accuracy: f64,
    measured: Vec<Measured>,
) -> Result<Scores> {
    let values = |what: Trained| -> Vec<f64> {
        // hard labels are the set's own unless those are soft
        let same = match what {
            Trained::DistilledHard if labels == LabelKind::Hard => Trained::Distilled,
            other => other,
        };
        let found = measured.iter().find(|m| m.what == same);
        found.map(|m| m.values.clone()).unwrap_or_default()
    };
    let DdRanking { hlr, ior, lrs, ars } = DdRanking::new(full_accuracy, values);
    let bench: Vec<(BenchAugmentation, f64)> = measured
        .iter()
        .filter_map(|m| match m.what {
            Trained::Bench(augmentation) => Some((augmentation, m.mean)),
            _ => None,
        })
        .collect();
    Ok(Scores {
        run: request.run.name(),
        network,
        labels,
        protocol,
        device: device::name(request.device),
        threads: i64::from(tch::get_num_threads()),
        version: env!("CARGO_PKG_VERSION").into(),
        set,
        full_accuracy,
        dc_bench: DcBench::of(&bench)
            .ok_or_else(|| Error::file(request.run.path(), "nothing was measured"))?,
        measured,
        hlr,
        ior,
        lrs,
        ars,
    })
}
