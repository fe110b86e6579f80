//! The engines of an ablation: one after the other, each in this process's foreground, and what
//! signals do to them.

use crate::engine_process::{Local, PATIENCE};
use astill_core::ablation::AblationFolder;
use astill_core::cli::DeviceChoice;
use astill_core::console::to_stderr;
use astill_core::run::command::Command as Request;
use astill_core::run::list::{RunState, summary};
use astill_core::run::{RunDir, reach};
use astill_core::signals::{Asked, ONE_REQUEST, engine_signals};
use astill_core::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::SIGTERM;
use signal_hook::low_level;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often to check whether an engine that something else started has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Exit statuses from here on are 128 and a signal.
const BY_SIGNAL: i32 = 128;

/// How a run of an ablation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    Done,
    Failed,
    /// It was asked to stop and can be resumed; the exit status that follows.
    Stopped(u8),
}

/// What starts engines for the runs in an ablation's folder.
pub struct Engines<'a> {
    local: Local,
    device: &'a DeviceChoice,
    shared: Arc<Mutex<Shared>>,
}

/// What the thread that waits for signals shares.
#[derive(Debug, Default)]
struct Shared {
    /// The first signal that asked to stop.
    caught: Option<i32>,
    /// The engine that is running as a child.
    child: Option<Pid>,
}

impl<'a> Engines<'a> {
    /// For runs in `folder`. From here on a signal stops the engine that is running, after a
    /// checkpoint; a second one stops it at once.
    ///
    /// # Errors
    /// The system refuses to catch signals.
    pub fn new(local: &Local, folder: &Path, device: &'a DeviceChoice) -> Result<Self> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let mut signals = engine_signals()?;
        let seen = shared.clone();
        let listen = move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                let asked = Asked::by(signal);
                let mut shared = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if asked != Asked::Checkpoint {
                    shared.caught.get_or_insert(signal);
                }
                let is_again = || first.is_some_and(|t| t.elapsed() >= ONE_REQUEST);
                match shared.child {
                    // it takes a second signal as a wish to stop at once
                    Some(child) => pass_on(child, signal),
                    None if asked == Asked::Stop && is_again() => {
                        low_level::exit(BY_SIGNAL + signal)
                    }
                    None => {}
                }
                if asked == Asked::Stop {
                    first.get_or_insert_with(Instant::now);
                }
            }
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(listen)
            .map_err(Error::io("start a thread for", "signals"))?;
        Ok(Self {
            local: Local {
                answers: Default::default(),
                profiles: Default::default(),
                runs: folder.to_path_buf(),
                data: local.data.clone(),
                known: Arc::default(),
                known_ablations: Arc::default(),
            },
            device,
            shared,
        })
    }

    /// Does the run `name`, or what is left of it, and waits for its end.
    ///
    /// # Errors
    /// Its engine cannot be started or refuses to work, or may be on another machine.
    pub fn run(&self, folder: &AblationFolder, name: &str) -> Result<RunEnd> {
        let run = folder.run(name);
        loop {
            if let Some(signal) = self.signal() {
                return Ok(RunEnd::Stopped(status_of(signal)));
            }
            if RunDir::open(run.path()).is_none() {
                return self.start(folder, name);
            }
            let found = summary(run.clone());
            match found.state {
                RunState::Done => return Ok(RunEnd::Done),
                RunState::Running | RunState::Paused | RunState::Waiting => self.wait_for(&run),
                RunState::Elsewhere => {
                    return Err(Error::Usage(format!(
                        "the run {name}: {}; if it is gone, finish this run first with `astill resume {}`",
                        found.doubt(),
                        run.reference()
                    )));
                }
                RunState::Stopped | RunState::Failed | RunState::Dead => return self.resume(&run),
            }
        }
    }

    fn start(&self, folder: &AblationFolder, name: &str) -> Result<RunEnd> {
        let mut command = self.local.command("run")?;
        command
            .arg(folder.profile(name))
            .args(["--headless", "--unattended", "--name", name])
            .args(["--device", &self.device.to_string()]);
        self.follow(&mut command)
    }

    fn resume(&self, run: &RunDir) -> Result<RunEnd> {
        let mut command = self.local.command("resume")?;
        self.follow(command.arg(run.path()).args(["--headless", "--unattended"]))
    }

    /// Runs an engine to its end, as a child that reports on this terminal.
    fn follow(&self, command: &mut Command) -> Result<RunEnd> {
        let program = command.get_program().to_os_string();
        // the table of a single run is a report here, not the result
        let mut child = command
            .stdout(std::io::stderr())
            .spawn()
            .map_err(Error::io("start", &program))?;
        self.watch(&child);
        let status = child.wait();
        self.shared().child = None;
        self.end_of(status.map_err(Error::io("wait for", &program))?)
    }

    /// From here on signals reach the child, also one that came before it was there.
    fn watch(&self, child: &Child) {
        let mut shared = self.shared();
        shared.child = Some(Pid::from_child(child));
        if let (Some(child), Some(signal)) = (shared.child, shared.caught) {
            pass_on(child, signal);
        }
    }

    fn end_of(&self, status: ExitStatus) -> Result<RunEnd> {
        let signalled = status.signal().map(|signal| BY_SIGNAL + signal);
        let code = status.code().or(signalled).unwrap_or(1);
        Ok(match (code, self.signal()) {
            (0, _) => RunEnd::Done,
            (2, _) => {
                return Err(Error::Usage(
                    "the engine refused this run, for the reason above; the runs before it are kept, and the \
                     same command goes on with them once that is mended"
                        .into(),
                ));
            }
            (_, Some(signal)) => RunEnd::Stopped(status_of(signal)),
            // somebody else has stopped it, in the app for example
            (code, None) if code > BY_SIGNAL && signalled.is_none() => {
                RunEnd::Stopped(code.try_into().unwrap_or(1))
            }
            (_, None) => RunEnd::Failed,
        })
    }

    /// Waits for the end of an engine that something else has started. A signal stops it too.
    fn wait_for(&self, run: &RunDir) {
        to_stderr(format!(
            "{} already has an engine; waiting until it ends",
            run.name()
        ));
        let mut is_told = false;
        while run.has_engine() {
            if let (Some(signal), false) = (self.signal(), is_told) {
                is_told = true;
                let reason = low_level::signal_name(signal).unwrap_or("signal");
                let stop = Request::Stop {
                    reason: reason.into(),
                };
                if let Err(error) = reach::send(run, &stop, PATIENCE, &|text| to_stderr(text)) {
                    to_stderr(format!("astill: {error}"));
                    return;
                }
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn signal(&self) -> Option<i32> {
        self.shared().caught
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a signal to a child; one that has ended meanwhile needs none.
fn pass_on(child: Pid, signal: i32) {
    let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
    let _ = kill_process(child, signal);
}

/// The exit status after a signal.
fn status_of(signal: i32) -> u8 {
    (BY_SIGNAL + signal)
        .try_into()
        .unwrap_or(BY_SIGNAL as u8 + SIGTERM as u8)
}
