//! The engine's end of the socket: it passes commands of this user's processes to the trainer, and
//! its answers back.

use crate::trainer::CommandRequest;
use astill_core::run::command::{Answer, Command, LONGEST_LINE};
use astill_core::run::socket::TURNED_AWAY;
use astill_core::run::{EngineLock, RunDir, socket};
use astill_core::{Error, Result};
use crossbeam_channel::{Sender, bounded};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most connections at a time. One more closes the one that has been silent the longest.
const CONNECTIONS: usize = 64;
/// A connection that is silent for this long, or does not read its answer, is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The sockets of a run, as long as this lives: one in the run's folder, which is found from every
/// container, user and name of the folder, and one in /tmp, for file systems that know no sockets.
#[derive(Debug)]
pub struct Server {
    run: RunDir,
    held: Arc<EngineLock>,
    requests: Sender<CommandRequest>,
    connections: Arc<Connections>,
    beside: Option<Bound>,
    in_tmp: Option<Bound>,
}

/// A socket that clients of this engine connect to.
#[derive(Debug)]
struct Bound {
    path: PathBuf,
    /// Device and inode, to tell it from another in its place.
    id: (u64, u64),
    listener: Arc<UnixListener>,
    is_closed: Arc<AtomicBool>,
}

impl Server {
    /// Listens for commands to the run's engine and passes them on to `requests`. A socket that
    /// exists already was left by a killed engine, because this one holds the run's lock. Also why
    /// nobody can reach the engine, if neither socket could be made.
    pub fn start(
        run: &RunDir,
        held: &Arc<EngineLock>,
        requests: Sender<CommandRequest>,
    ) -> (Self, Option<String>) {
        let mut server = Self {
            run: run.clone(),
            held: Arc::clone(held),
            requests,
            connections: Arc::default(),
            beside: None,
            in_tmp: None,
        };
        let problem = server.tend().err().map(|[beside, in_tmp]| {
            format!(
                "this engine can make no socket: {beside}; {in_tmp}. Commands go through files in the \
                 run's folder meanwhile, and their answers take about a second; it tries again every \
                 few seconds"
            )
        });
        (server, problem)
    }

    /// Makes the sockets that are not there: clean-up programs empty /tmp, and a run that was
    /// renamed has another name there. Does nothing where the run is not this engine's any more.
    ///
    /// # Errors
    /// Neither socket could be made; why, of both.
    pub fn tend(&mut self) -> std::result::Result<(), [Error; 2]> {
        if self.held.check().is_err() {
            return Ok(());
        }
        let (beside, in_tmp) = (self.beside.take(), self.in_tmp.take());
        let beside = self.keep(socket::beside(&self.run), beside);
        let in_tmp = socket::path(&self.run, true).and_then(|path| self.keep(path, in_tmp));
        match (beside, in_tmp) {
            (Err(beside), Err(in_tmp)) => Err([self.held.named(beside), in_tmp]),
            (beside, in_tmp) => {
                (self.beside, self.in_tmp) = (beside.ok(), in_tmp.ok());
                Ok(())
            }
        }
    }

    /// The socket at `path`: the one that is there already, or a new one.
    fn keep(&self, path: PathBuf, bound: Option<Bound>) -> Result<Bound> {
        match bound.filter(|bound| bound.path == path && bound.is_there()) {
            Some(bound) => Ok(bound),
            None => self.bind(path),
        }
    }

    fn bind(&self, path: PathBuf) -> Result<Bound> {
        if UnixStream::connect(&path).is_ok() {
            let taken = std::io::Error::new(ErrorKind::AddrInUse, "another engine listens there");
            return Err(Error::io("listen on", &path)(taken));
        }
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("replace", &path)(e));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(Error::io("listen on", &path))?;
        let id = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| path.symlink_metadata())
            .map(|found| (found.dev(), found.ino()))
            .map_err(Error::io("protect", &path))?;
        let bound = Bound {
            path,
            id,
            listener: Arc::new(listener),
            is_closed: Arc::default(),
        };
        let (listener, is_closed) = (Arc::clone(&bound.listener), Arc::clone(&bound.is_closed));
        let (connections, requests) = (Arc::clone(&self.connections), self.requests.clone());
        let thread = std::thread::Builder::new().name("socket".into());
        thread
            .spawn(move || accept(&listener, &is_closed, &connections, &requests))
            .map_err(Error::io("start a thread for", &bound.path))?;
        Ok(bound)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.held.check().is_err() {
            // what is there now belongs to another engine
            for bound in [&mut self.beside, &mut self.in_tmp].into_iter().flatten() {
                bound.path.clear();
            }
        }
        // before the lock is given up
        (self.beside, self.in_tmp) = (None, None);
    }
}

impl Bound {
    /// Whether the path still leads to this socket.
    fn is_there(&self) -> bool {
        let found = self.path.symlink_metadata();
        found.is_ok_and(|found| (found.dev(), found.ino()) == self.id)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::SeqCst);
        // wakes the thread that accepts connections
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        if self.is_there() {
            // one that stays is replaced by the next engine of the run
            let _ = std::fs::remove_file(&self.path);
        }
    }
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
                &format!("{TURNED_AWAY}, and this one was idle the longest; connect again"),
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

fn accept(
    listener: &UnixListener,
    is_closed: &AtomicBool,
    connections: &Arc<Connections>,
    requests: &Sender<CommandRequest>,
) {
    for stream in listener.incoming() {
        if is_closed.load(Ordering::SeqCst) {
            return;
        }
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
            Arc::clone(connections),
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
