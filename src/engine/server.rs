//! The engine's end of the socket: it passes commands of this user's processes to the trainer, and
//! its answers back.

use crate::trainer::CommandRequest;
use astill_core::run::command::{Answer, Command, LONGEST_LINE};
use astill_core::run::{RunDir, socket};
use astill_core::{Error, Result};
use crossbeam_channel::{Sender, bounded};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most connections at a time. One more closes the one that has been silent the longest.
const CONNECTIONS: usize = 64;
/// A connection that is silent for this long, or does not read its answer, is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The socket of a run, as long as this lives.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // one that stays is replaced by the next engine of the run
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens for commands to the run's engine and passes them on to `requests`. Only the holder of
/// the run's lock may call this: a socket that exists already was left by a killed engine.
///
/// # Errors
/// The socket cannot be made, or a path is too long for one.
pub fn serve(run: &RunDir, requests: Sender<CommandRequest>) -> Result<Server> {
    let path = socket::path(run, true)?;
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("replace", &path)(e));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(Error::io("listen on", &path))?;
    let server = Server { path };
    std::fs::set_permissions(&server.path, std::fs::Permissions::from_mode(0o600))
        .map_err(Error::io("protect", &server.path))?;
    let thread = std::thread::Builder::new().name("socket".into());
    thread
        .spawn(move || accept(&listener, &requests))
        .map_err(Error::io("start a thread for", &server.path))?;
    Ok(server)
}

/// A client of this engine.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    /// When it connected, or got its last answer; none while the trainer is working on its command.
    silent_since: Mutex<Option<Instant>>,
}

/// All open connections.
#[derive(Debug, Default)]
struct Connections {
    open: Mutex<Vec<Arc<Connection>>>,
}

impl Connections {
    /// Accepts a connection. Where there are too many, the one that has been silent the longest is
    /// closed, so that a program that connects and sends nothing keeps nobody out. Where all are
    /// waiting for the trainer, the stream comes back.
    fn admit(&self, stream: UnixStream) -> std::result::Result<Arc<Connection>, UnixStream> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= CONNECTIONS {
            let silent = open
                .iter()
                .enumerate()
                .filter_map(|(place, c)| Some((c.silent_since()?, place)));
            let Some((_, place)) = silent.min() else {
                return Err(stream);
            };
            let last = open.swap_remove(place);
            turn_away(
                &last.stream,
                "closed: there are too many connections, and this one was idle the longest; \
                 connect again",
            );
            let _ = last.stream.shutdown(Shutdown::Both);
        }
        let connection = Arc::new(Connection {
            stream,
            silent_since: Mutex::new(Some(Instant::now())),
        });
        open.push(Arc::clone(&connection));
        Ok(connection)
    }

    /// Whether a command of this connection may go to the trainer: not if the connection was closed
    /// meanwhile, because its client has been informed.
    fn begin(&self, connection: &Arc<Connection>) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = open.iter().any(|c| Arc::ptr_eq(c, connection));
        if is_open {
            connection.set_silent_since(None);
        }
        is_open
    }

    fn remove(&self, connection: &Arc<Connection>) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|c| !Arc::ptr_eq(c, connection));
    }
}

impl Connection {
    fn silent_since(&self) -> Option<Instant> {
        *self
            .silent_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_silent_since(&self, since: Option<Instant>) {
        *self
            .silent_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }
}

fn accept(listener: &UnixListener, requests: &Sender<CommandRequest>) {
    let connections = Arc::new(Connections::default());
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // out of file descriptors, perhaps: some are freed when other connections end
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !is_same_user(&stream) {
            turn_away(&stream, "this run belongs to another user");
            continue;
        }
        let connection = match connections.admit(stream) {
            Ok(connection) => connection,
            Err(stream) => {
                turn_away(
                    &stream,
                    "too many commands are waiting for the engine; try again when it has answered \
                     them",
                );
                continue;
            }
        };
        let (all, own, requests) = (
            Arc::clone(&connections),
            Arc::clone(&connection),
            requests.clone(),
        );
        let talking = std::thread::Builder::new()
            .name("connection".into())
            .spawn(move || {
                let _ = talk(&own, &all, &requests);
                all.remove(&own);
            });
        // without a thread the connection is closed, which its client notices
        if talking.is_err() {
            connections.remove(&connection);
        }
    }
}

/// Sends a client the reason why it is not served, without waiting for one that does not read.
fn turn_away(stream: &UnixStream, reason: &str) {
    let _ = stream
        .set_nonblocking(true)
        .and_then(|()| reply(stream, &Answer::rejected(reason)));
}

/// Answers line after line until the other end closes, is silent too long, or sends a line that is
/// too long.
fn talk(
    connection: &Arc<Connection>,
    connections: &Connections,
    requests: &Sender<CommandRequest>,
) -> std::io::Result<()> {
    let stream = &connection.stream;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut reader)
            .take(LONGEST_LINE as u64)
            .read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => {}
            Some(_) if line.len() >= LONGEST_LINE => {
                return reply(
                    stream,
                    &Answer::rejected("the line is too long to be a command"),
                );
            }
            // half a command and the end: there is nobody left to answer
            _ => return Ok(()),
        }
        let command = match serde_json::from_slice::<Command>(&line) {
            Ok(command) => command,
            Err(error) => {
                reply(
                    stream,
                    &Answer::rejected(format!("not a valid command: {error}")),
                )?;
                continue;
            }
        };
        if !connections.begin(connection) {
            return Ok(());
        }
        let (answer_in, answer) = bounded(1);
        let sent = requests.send(CommandRequest {
            command,
            answer: Some(answer_in),
        });
        let answer = sent.ok().and_then(|()| answer.recv().ok());
        connection.set_silent_since(Some(Instant::now()));
        match answer {
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

/// Whether the process at the other end runs as the same user as this one (or as root).
fn is_same_user(stream: &UnixStream) -> bool {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: both pointers are to values that live longer than the call, and `size` is that of the
    // first. Not rustix's: its process id cannot be 0, which the kernel reports for a process of
    // another container
    let asked = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    asked == 0 && (peer.uid == socket::user() || peer.uid == 0)
}
