//! A connection to the port for workers, from its greeting to its end.

use super::pace::Pace;
use super::{Content, POLL_INTERVAL, Shared, Task};
use crate::distill::iteration::{Segment, Start};
use crate::trainer::segment::Solved;
use crate::wire::{self, FromWorker, Greeting, ToWorker, Until};
use astill_core::{Error, Result};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Tensor;

/// How long a new connection may take to introduce itself.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_WORKERS: u64 = 1024;
/// What an answer may have besides its gradients, in bytes.
const BESIDES_GRADIENTS: u64 = 1 << 20;

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
    if let Err(error) = welcome(shared, &mut stream, &greeting) {
        shared.report_change(name, 0, 0, Some(error.to_string()));
        return;
    }
    shared.report_change(name, 1, 0, None);
    let mut solved = 0;
    let ended = hand_out(shared, &mut stream, &mut solved);
    shared.report_change(name, -1, solved, ended.err().map(|error| error.to_string()));
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
        FromWorker::Solved { .. } => Err(unexpected("a segment that it was not given")),
    }
}

/// Says why a worker cannot help.
fn refuse<T>(stream: &mut TcpStream, why: String) -> Result<T> {
    wire::send(stream, &ToWorker::Refused(why.clone()), &[])?;
    Err(Error::Usage(why))
}

/// Gives a worker one segment after the other, until the run ends.
fn hand_out(shared: &Shared, stream: &mut TcpStream, solved: &mut u64) -> Result<()> {
    let (mut sent, mut pace) = (0, Pace::default());
    while let Some(task) = shared.take(&pace) {
        let begin = Instant::now();
        let answer = send_set(stream, &task, &mut sent)
            .and_then(|()| solve(stream, &task, shared.welcome.experts.len() as u64));
        if answer.is_ok() {
            *solved += 1;
            pace.take(task.job, begin.elapsed());
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

/// Has a worker compute a segment of a run with so many experts.
fn solve(stream: &mut TcpStream, task: &Task, experts: u64) -> Result<Solved> {
    let content = &task.content;
    let segment = Segment {
        seed: content.seed,
        iteration: content.iteration,
        number: task.number,
    };
    let settings = content.settings.clone();
    wire::send(stream, &ToWorker::Segment { segment, settings }, &[])?;
    let set = content.set.as_ref().map_or(0, Vec::len) as u64;
    let (message, mut tensors) = wire::receive::<FromWorker>(stream, 2 * set + BESIDES_GRADIENTS)?;
    match message {
        FromWorker::Solved { record } => {
            let outcome = wire::outcome(&mut tensors)?;
            let solved = Solved { record, outcome };
            check(
                &solved,
                content,
                Start::draw(&content.settings, segment, experts),
            )?;
            Ok(solved)
        }
        FromWorker::Failed(why) => Err(Error::Network(why)),
        FromWorker::Ready => Err(unexpected("that it is ready")),
    }
}

/// Checks that an answer is of the segment that was given: what does not fit would end the run where
/// the mean is taken.
fn check(solved: &Solved, content: &Content, start: Start) -> Result<()> {
    let Solved { record, outcome } = solved;
    let form = |tensor: &Tensor| (tensor.size(), tensor.kind());
    let gradient = form(&outcome.gradient);
    if gradient != content.images {
        let (found, wanted) = (gradient, &content.images);
        return Err(unexpected(&format!(
            "a gradient of the form {found:?}, where the images have {wanted:?}"
        )));
    }
    let labels = outcome.label_gradient.as_ref().map(form);
    if labels != content.labels {
        let (found, wanted) = (labels, &content.labels);
        return Err(unexpected(&format!(
            "a gradient of labels of the form {found:?}, where the labels have {wanted:?}"
        )));
    }
    let found = Start {
        expert: record.expert,
        mirrored: record.mirrored,
        epoch: record.start_epoch as usize,
        part: record.start_part as usize,
    };
    match found == start {
        true => Ok(()),
        false => Err(unexpected(&format!("{found:?}, where {start:?} was drawn"))),
    }
}

fn unexpected(what: &str) -> Error {
    Error::Network(format!("it answered {what}"))
}
