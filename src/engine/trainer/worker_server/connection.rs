//! A connection to the port for workers, from its greeting to its end.

use super::job::{Answer, unexpected};
use super::pace::Pace;
use super::{POLL_INTERVAL, Shared, Task};
use crate::trainer::segment::Solved;
use crate::wire::{self, FromWorker, Greeting, ToWorker, Until};
use astill_core::{Error, Result};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a new connection may take to introduce itself.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_WORKERS: u64 = 1024;
/// What an answer may have besides its tensors, in bytes.
const BESIDES_TENSORS: u64 = 1 << 20;

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub segments: u64,
    pub networks: u64,
}

/// Serves whoever connects, each in a thread of its own.
pub fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        if shared.lock().is_closing {
            return;
        }
        let admitted = stream.and_then(|stream| Ok((shared.admit(&stream)?, stream)));
        let Ok((number, stream)) = admitted else {
            // there are too many open files, for example
            std::thread::sleep(POLL_INTERVAL);
            continue;
        };
        let own = Arc::clone(shared);
        let serve = move || {
            serve(&own, stream, number);
            own.lock().remove_stranger(number);
        };
        let begun = std::thread::Builder::new()
            .name("worker".into())
            .spawn(serve);
        if begun.is_err() {
            shared.lock().remove_stranger(number);
        }
    }
}

/// One worker, from its greeting to its end.
fn serve(shared: &Shared, mut stream: TcpStream, number: u64) {
    // a stranger is not worth a message
    let Ok(greeting) = greet(shared, &mut stream) else {
        return;
    };
    shared.lock().remove_stranger(number);
    let name = &greeting.name;
    let nothing = Counts::default();
    if let Err(error) = welcome(shared, &mut stream, &greeting) {
        shared.report_change(name, 0, nothing, Some(error.to_string()));
        return;
    }
    shared.report_change(name, 1, nothing, None);
    let mut done = nothing;
    let ended = hand_out(shared, &mut stream, &mut done);
    shared.report_change(name, -1, done, ended.err().map(|error| error.to_string()));
}

/// What a worker says first; its token shows that it may be one.
fn greet(shared: &Shared, stream: &mut TcpStream) -> Result<Greeting> {
    wire::prepare(stream)?;
    let mut until = Until {
        stream,
        end: Instant::now() + GREETING_TIMEOUT,
    };
    let (greeting, _) = wire::receive::<Greeting>(&mut until, wire::LONGEST_GREETING)?;
    stream.set_read_timeout(None).map_err(wire::lost)?;
    match greeting.token == shared.token {
        true => Ok(greeting),
        false => refuse(stream, "this is not the token in the run's folder".into()),
    }
}

/// Tells a worker what to compute with, and waits until it is ready.
fn welcome(shared: &Shared, stream: &mut TcpStream, greeting: &Greeting) -> Result<()> {
    let (own, other) = (env!("CARGO_PKG_VERSION"), &greeting.version);
    if other != own {
        return refuse(
            stream,
            format!("its version is {other}, and the engine's {own}"),
        );
    }
    if shared.lock().workers >= MOST_WORKERS {
        return refuse(stream, format!("there are {MOST_WORKERS} workers already"));
    }
    wire::send(stream, &ToWorker::Welcome(shared.welcome.clone()), &[])?;
    match wire::receive(stream, wire::LONGEST_GREETING)?.0 {
        FromWorker::Ready => Ok(()),
        FromWorker::Failed(why) => Err(Error::Usage(why)),
        FromWorker::Solved { .. } | FromWorker::Trained => {
            Err(unexpected("a task that it was not given"))
        }
    }
}

/// Says why a worker cannot help.
fn refuse<T>(stream: &mut TcpStream, why: String) -> Result<T> {
    wire::send(stream, &ToWorker::Refused(why.clone()), &[])?;
    Err(Error::Usage(why))
}

/// Gives a worker one task after the other, until the run ends.
fn hand_out(shared: &Shared, stream: &mut TcpStream, done: &mut Counts) -> Result<()> {
    let (mut sent, mut paces) = (0, <[Pace; _]>::default());
    while let Some(task) = shared.take(&paces) {
        let begin = Instant::now();
        let answer = send_set(stream, &task, &mut sent)
            .and_then(|()| compute(stream, &task, shared.welcome.experts.len() as u64));
        if let Ok(answer) = &answer {
            match answer {
                Answer::Segment(_) => done.segments += 1,
                Answer::Network(_) => done.networks += 1,
            }
            paces[task.content.job.kind()].take(task.round, begin.elapsed());
        }
        shared.put(&task, answer)?;
    }
    wire::send(stream, &ToWorker::End, &[])
}

/// Sends images and labels, unless the worker has those of this job.
fn send_set(stream: &mut TcpStream, task: &Task, sent: &mut u64) -> Result<()> {
    if *sent != task.job {
        let set = task.content.set.as_deref().unwrap_or_default();
        stream.write_all(set).map_err(wire::lost)?;
        *sent = task.job;
    }
    Ok(())
}

/// Has a worker compute a task of a run with so many experts.
fn compute(stream: &mut TcpStream, task: &Task, experts: u64) -> Result<Answer> {
    let (job, number) = (&task.content.job, task.number);
    wire::send(stream, &job.message(number), &[])?;
    let longest = job.bytes() + BESIDES_TENSORS;
    let (message, mut tensors) = wire::receive::<FromWorker>(stream, longest)?;
    let answer = match message {
        FromWorker::Solved { record } => {
            let outcome = wire::outcome(&mut tensors)?;
            Answer::Segment(Solved { record, outcome })
        }
        FromWorker::Trained => Answer::Network(wire::weights(&mut tensors)?),
        FromWorker::Failed(why) => return Err(Error::Network(why)),
        FromWorker::Ready => return Err(unexpected("that it is ready")),
    };
    job.check(number, &answer, experts)?;
    Ok(answer)
}
