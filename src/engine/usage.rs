//! How much of this machine is in use, measured by a thread beside the trainer, which records it now
//! and then. The trainer never waits for it: a GPU or a driver that hangs costs the figures alone.

mod host;
mod machine;

pub use machine::Machine;

use astill_core::run::event::Usage;
use astill_core::{Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::time::{Duration, Instant};

/// How often the machine is asked.
const READ_EVERY: Duration = Duration::from_secs(1);
/// So many answers are kept for the trainer, which may be in a long step; then the oldest is dropped.
const MOST_READINGS: usize = 60;
/// How often they are recorded, at most.
const RECORD_EVERY: Duration = Duration::from_secs(10);

/// Where readings come from.
pub trait Source {
    /// What is in use now.
    fn read(&mut self) -> Usage;
}

/// Measures until it is dropped.
#[derive(Debug)]
pub struct UsageMeter {
    readings: Receiver<Usage>,
    recorded: Option<Instant>,
    /// The thread ends by itself once this is gone; nobody waits for it.
    _done: Sender<()>,
}

impl UsageMeter {
    /// Starts to measure; `source` is made in the thread that asks it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start<S: Source>(source: impl FnOnce() -> S + Send + 'static) -> Result<Self> {
        let (done, is_done) = bounded(0);
        let (send, readings) = bounded(MOST_READINGS);
        let oldest = readings.clone();
        std::thread::Builder::new()
            .name("usage".into())
            .spawn(move || {
                let mut source = source();
                while is_done.recv_timeout(READ_EVERY) == Err(RecvTimeoutError::Timeout) {
                    if send.is_full() {
                        let _ = oldest.try_recv();
                    }
                    // nobody else sends, so that there is room
                    let _ = send.try_send(source.read());
                }
            })
            .map_err(Error::io("start a thread for", "the load of the machine"))?;
        Ok(Self::of(readings, done))
    }

    fn of(readings: Receiver<Usage>, done: Sender<()>) -> Self {
        Self {
            readings,
            recorded: None,
            _done: done,
        }
    }

    /// What is to be recorded at `now`: the readings since the last time, if that is long enough ago.
    pub fn due(&mut self, now: Instant) -> Option<Usage> {
        if self.recorded.is_some_and(|last| now - last < RECORD_EVERY) {
            return None;
        }
        let readings: Vec<Usage> = self.readings.try_iter().collect();
        let usage = Usage::over(&readings)?;
        self.recorded = Some(now);
        Some(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::run::event::HostUsage;

    fn reading(load: f64) -> Usage {
        Usage {
            gpu: None,
            host: HostUsage {
                load: Some(load),
                ..HostUsage::default()
            },
        }
    }

    #[test]
    fn readings_are_recorded_at_once_and_then_every_ten_seconds_as_their_mean() {
        let (send, readings) = bounded(MOST_READINGS);
        let (done, _is_done) = bounded(0);
        let mut meter = UsageMeter::of(readings, done);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(meter.due(at(0)), None, "nothing has been measured");
        send.send(reading(10.)).unwrap();
        assert_eq!(meter.due(at(1)), Some(reading(10.)));
        for load in [20., 40.] {
            send.send(reading(load)).unwrap();
        }
        assert_eq!(meter.due(at(10)), None);
        assert_eq!(meter.due(at(11)), Some(reading(30.)));
        assert_eq!(meter.due(at(60)), None, "a source that hangs");
        drop(send);
        assert_eq!(meter.due(at(99)), None, "a source that is gone");
    }

    #[test]
    fn this_machine_says_how_much_memory_it_has_and_no_more_is_used() {
        let mut machine = Machine::new(tch::Device::Cpu);
        machine.read();
        let usage = machine.read();
        assert_eq!(usage.gpu, None);
        let (used, total) = (usage.host.used_gib, usage.host.total_gib);
        assert!(used > Some(0.) && used <= total, "{usage:?}");
        let load = usage.host.load;
        assert!(load.is_none_or(|l| (0. ..=100.).contains(&l)), "{usage:?}");
    }
}
