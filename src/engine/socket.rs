//! The engine's end of the socket: takes commands from this user's processes and gives them the trainer's answers.

use super::control::Request;
use crate::run::command::{Answer, Command, LONGEST_LINE};
use crate::run::{RunDir, socket};
use crate::{Error, Result};
use crossbeam_channel::{Sender, bounded};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// More connections than this at a time are turned away.
const CONNECTIONS: usize = 64;
/// A connection that is silent for this long, or does not take its answer, is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The socket of a run, as long as this lives.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // the next engine of the run replaces what is left
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens for commands to the run's engine and passes them on to `requests`. Only the holder of the run's lock may call this: a
/// socket that is there already is one that a killed engine left.
pub fn serve(run: &RunDir, requests: Sender<Request>) -> Result<Server> {
    let path = socket::path(run, true)?;
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("replace", &path)(e)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(Error::io("listen on", &path))?;
    let server = Server { path };
    std::fs::set_permissions(&server.path, std::fs::Permissions::from_mode(0o600)).map_err(Error::io("protect", &server.path))?;
    let thread = std::thread::Builder::new().name("socket".into());
    thread.spawn(move || accept(&listener, &requests)).map_err(Error::io("start a thread for", &server.path))?;
    Ok(server)
}

fn accept(listener: &UnixListener, requests: &Sender<Request>) {
    let places = Arc::new(());
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // out of file descriptors, say: the connections that there are will end
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let refusal = if !is_same_user(&stream) {
            Some("this run belongs to another user")
        } else if Arc::strong_count(&places) > CONNECTIONS {
            Some("too many connections at a time")
        } else {
            None
        };
        if let Some(reason) = refusal {
            let _ = stream.set_nonblocking(true).and_then(|()| reply(&stream, &Answer::rejected(reason)));
            continue;
        }
        let (place, requests) = (Arc::clone(&places), requests.clone());
        // without a thread the connection is closed, and its other end says so
        let _ = std::thread::Builder::new().name("connection".into()).spawn(move || {
            let _ = talk(&stream, &requests);
            drop(place);
        });
    }
}

/// Answers line after line until the other end closes, is silent too long, or sends a line that is too long.
fn talk(stream: &UnixStream, requests: &Sender<Request>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut reader).take(LONGEST_LINE as u64).read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => {}
            Some(_) if line.len() >= LONGEST_LINE => return reply(stream, &Answer::rejected("the line is too long for a command")),
            // half a command and the end: nobody is there to be told
            _ => return Ok(()),
        }
        let command = match serde_json::from_slice::<Command>(&line) {
            Ok(command) => command,
            Err(error) => {
                reply(stream, &Answer::rejected(format!("not a command: {error}")))?;
                continue;
            }
        };
        let (answer_in, answer) = bounded(1);
        let sent = requests.send(Request { command, answer: Some(answer_in) });
        match sent.ok().and_then(|()| answer.recv().ok()) {
            Some(answer) => reply(stream, &answer)?,
            None => return reply(stream, &Answer::rejected("the run has ended")),
        }
    }
}

fn reply(mut stream: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Whether the process at the other end acts as the user that this one does (or as root).
fn is_same_user(stream: &UnixStream) -> bool {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    let asked = unsafe { libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut size) };
    asked == 0 && (peer.uid == socket::user() || peer.uid == 0)
}
