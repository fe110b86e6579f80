//! The run that is being watched: what its events told, and how the user looks at it.

use super::backend::Command;
use super::chart::ChartView;
use super::model::{Model, Sample, State};
use super::picture::Picture;
use super::screens::panel::{CHARTS, Panel};
use astill_core::profile::Profile;
use astill_core::run::event::{Event, Phase};
use astill_core::run::{EngineAt, RunDir};
use std::collections::{HashMap, HashSet, VecDeque};

/// Decoded pictures are kept up to this many bytes, but at least a few.
const PICTURE_BYTES: usize = 64 << 20;
const FEWEST_PICTURES: usize = 4;

/// A run that is being watched.
#[derive(Debug)]
pub struct Session {
    pub run: RunDir,
    pub model: Model,
    /// The settings, once they have been read.
    pub profile: Option<Profile>,
    /// Bytes read and bytes there, as long as older events are being read.
    pub loading: Option<(u64, u64)>,
    /// Where the engine is, once somebody has looked.
    pub engine: Option<EngineAt>,
    /// Events come although no engine is at work on this machine.
    elsewhere: bool,
    /// The panel that the user chose; none: the one that fits the phase.
    pub chosen: Option<Panel>,
    pub views: [ChartView; CHARTS.len()],
    pub pictures: Pictures,
    /// Commands without an answer yet.
    pub asked: Vec<Command>,
}

/// Decoded pictures, and those that are on their way.
#[derive(Debug, Default)]
pub struct Pictures {
    /// By file and event.
    decoded: HashMap<(String, u64), Result<Picture, String>>,
    order: VecDeque<(String, u64)>,
    bytes: usize,
    asked: HashSet<(String, u64)>,
}

/// How a run stands for the screen: what its events say, and whether an engine is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    Reported(State),
    /// Its events say that it goes on, but there is no engine.
    Gone,
    /// Its events go on, but the engine that writes them is none of this machine.
    Elsewhere,
    /// Its latest engine was on another machine; nothing says whether it is at work.
    MaybeRemote,
}

impl Session {
    pub fn new(run: RunDir) -> Self {
        let mut views = [ChartView::default(); CHARTS.len()];
        for (view, panel) in views.iter_mut().zip(CHARTS) {
            view.log_y = panel.is_logarithmic();
        }
        Self {
            run,
            model: Model::new(),
            profile: None,
            loading: Some((0, 0)),
            engine: None,
            elsewhere: false,
            chosen: None,
            views,
            pictures: Pictures::default(),
            asked: Vec::new(),
        }
    }

    /// Takes events, in order; `restarted`: the first of them is the first of the run again.
    pub fn events(&mut self, batch: &[Event], restarted: bool) {
        if restarted {
            self.model = Model::new();
        }
        batch.iter().for_each(|event| self.model.apply(event));
        if batch.iter().any(|e| {
            matches!(
                e.what,
                astill_core::run::event::EventKind::RunStarted { .. }
            )
        }) {
            self.engine = None;
        } else if !batch.is_empty()
            && self.loading.is_none()
            && matches!(
                self.engine,
                Some(EngineAt::Nowhere | EngineAt::MaybeRemote(_))
            )
        {
            self.elsewhere = true;
        }
    }

    /// Somebody has looked where the engine is.
    pub fn looked(&mut self, engine: EngineAt) {
        self.elsewhere &= engine != EngineAt::Here;
        self.engine = Some(engine);
    }

    pub fn standing(&self) -> RunStatus {
        match &self.engine {
            _ if !self.model.is_live() || self.loading.is_some() => {
                RunStatus::Reported(self.model.state)
            }
            None | Some(EngineAt::Here) => RunStatus::Reported(self.model.state),
            Some(EngineAt::Host(_)) => RunStatus::Elsewhere,
            Some(_) if self.elsewhere => RunStatus::Elsewhere,
            Some(EngineAt::MaybeRemote(_)) => RunStatus::MaybeRemote,
            Some(EngineAt::Nowhere) => RunStatus::Gone,
        }
    }

    /// The machine of the engine where it is not this one, in words.
    pub fn host(&self) -> &str {
        match &self.engine {
            Some(EngineAt::Host(host) | EngineAt::MaybeRemote(host)) => host,
            _ => "another machine",
        }
    }

    /// Whether commands can reach an engine.
    pub fn is_live(&self) -> bool {
        matches!(self.standing(), RunStatus::Reported(_)) && self.model.is_live()
    }

    /// Why no command can be sent.
    pub fn why_no_engine(&self) -> String {
        match self.standing() {
            RunStatus::Elsewhere => format!(
                "Its engine is on {}: from here it can only be looked at.",
                self.host()
            ),
            RunStatus::MaybeRemote => {
                let host = self.host();
                format!(
                    "Its latest engine was on {host} and has not said that it ended. If it is \
                     gone, Space starts one here."
                )
            }
            RunStatus::Reported(State::Done) => "The run is done.".into(),
            _ => "No engine is at work on this run; Space on its screen starts one.".into(),
        }
    }

    /// Experts are being trained, or will be, and nothing has been distilled.
    pub fn is_learning(&self) -> bool {
        self.model.step == 0 && !matches!(self.model.phase, Some(Phase::Distill | Phase::Evaluate))
    }

    /// The panel with the focus.
    pub fn focus(&self) -> Panel {
        let fitting = if self.is_learning() {
            Panel::Curvature
        } else {
            Panel::Loss
        };
        self.chosen.unwrap_or(fitting)
    }

    /// How the chart of a panel is looked at; none for a panel that is no chart.
    pub fn view(&mut self, panel: Panel) -> Option<&mut ChartView> {
        CHARTS
            .iter()
            .position(|p| *p == panel)
            .map(|i| &mut self.views[i])
    }

    /// Reads the latest points again; whether others were read.
    pub fn forget_cursors(&mut self) -> bool {
        self.views
            .iter_mut()
            .filter_map(|v| v.cursor.take())
            .count()
            > 0
    }

    /// The latest pictures that are ready to be shown, and the latest there are.
    pub fn latest_picture(&self) -> (Option<(&Sample, &Picture)>, Option<&Sample>) {
        let samples = &self.model.samples;
        let ready = samples
            .iter()
            .rev()
            .take(8)
            .find_map(|s| Some((s, self.pictures.get(s)?.ok()?)));
        (ready, samples.last())
    }
}

impl Pictures {
    /// The picture of a sample, or why there is none; none while nobody has read it.
    pub fn get(&self, sample: &Sample) -> Option<Result<&Picture, &str>> {
        self.decoded
            .get(&key(sample))
            .map(|r| r.as_ref().map_err(String::as_str))
    }

    /// Whether somebody has to read it; after that it is on its way.
    pub fn ask(&mut self, sample: &Sample) -> bool {
        !self.decoded.contains_key(&key(sample)) && self.asked.insert(key(sample))
    }

    /// Takes what was read.
    pub fn put(&mut self, sample: &Sample, picture: Result<Picture, String>) {
        let key = key(sample);
        self.asked.remove(&key);
        self.bytes += size(&picture);
        if let Some(old) = self.decoded.insert(key.clone(), picture) {
            self.bytes -= size(&old);
        } else {
            self.order.push_back(key);
        }
        while self.bytes > PICTURE_BYTES && self.order.len() > FEWEST_PICTURES {
            let oldest = self.order.pop_front();
            let dropped = oldest.and_then(|key| self.decoded.remove(&key));
            self.bytes -= dropped.as_ref().map_or(0, size);
        }
    }
}

fn key(sample: &Sample) -> (String, u64) {
    (sample.file.clone(), sample.seq)
}

fn size(picture: &Result<Picture, String>) -> usize {
    picture.as_ref().map_or(0, |p| p.rgb.len())
}
