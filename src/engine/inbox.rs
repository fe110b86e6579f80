//! The engine's end of the commands that come through files in the run's folder.

use crate::trainer::CommandRequest;
use astill_core::files::atomic::write_atomically;
use astill_core::files::{clock, untrusted};
use astill_core::run::command::{Answer, Command, LONGEST_LINE};
use astill_core::run::{EngineLock, RunDir, inbox, socket};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The most commands that are read at a time; the rest waits for its turn.
const AT_A_TIME: usize = 64;

/// Reads the commands of a run, until it is closed.
#[derive(Debug)]
pub struct Inbox {
    run: RunDir,
    held: Arc<EngineLock>,
    requests: Sender<CommandRequest>,
    /// The file that shows that this engine is there, and when it was touched.
    open: Option<(File, Instant)>,
    /// Its folder was not there when it was looked for last.
    was_missing: bool,
    /// Commands that the trainer has yet to answer.
    waiting: Vec<(String, Receiver<Answer>)>,
}

impl Inbox {
    /// For the commands to the run's engine, which are passed on to `requests`. Those that were left
    /// for an earlier engine are refused.
    pub fn open(run: &RunDir, held: &Arc<EngineLock>, requests: Sender<CommandRequest>) -> Self {
        let mut inbox = Self {
            run: run.clone(),
            held: Arc::clone(held),
            requests,
            open: None,
            was_missing: false,
            waiting: Vec::new(),
        };
        if inbox.is_mine() {
            inbox.remove_left_over();
            inbox.refuse_all();
            inbox.show();
        }
        inbox
    }

    /// Removes what nobody waits for any more: answers, and files that were not finished.
    fn remove_left_over(&self) {
        let folder = inbox::folder(&self.run);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            if inbox::id_of(name).or(inbox::taken_id_of(name)).is_some() {
                continue;
            }
            let modified = entry.metadata().and_then(|found| found.modified());
            let age = modified.and_then(|modified| clock::age(&folder, modified));
            if age.is_ok_and(|age| age > inbox::PATIENCE) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Refuses the commands that no engine has carried out.
    fn refuse_all(&self) {
        for name in self.names() {
            let id = inbox::id_of(&name).or(inbox::taken_id_of(&name));
            let Some(id) = id else { continue };
            let [request, taken, _] = inbox::files(&self.run, id);
            // its sender may take it back at this moment
            let is_taken =
                fs::rename(&request, &taken).is_ok() || taken.is_symlink() || taken.exists();
            if is_taken {
                self.write(
                    id,
                    &Answer::rejected("the engine that it was for has ended"),
                );
                let _ = fs::remove_file(&taken);
            }
        }
    }

    /// The names of the files that are there now.
    fn names(&self) -> Vec<String> {
        let listed = fs::read_dir(inbox::folder(&self.run)).into_iter().flatten();
        let names = listed.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.into_string().ok()).collect()
    }

    /// Reads new commands and writes the answers that there are. Does nothing where the run is not
    /// this engine's any more.
    pub fn tend(&mut self) {
        if !self.is_mine() {
            return;
        }
        self.restore();
        self.show();
        self.write_answers();
        let names = self.names();
        let ids = names.iter().filter_map(|name| inbox::id_of(name));
        for id in ids.take(AT_A_TIME) {
            self.take(id.to_string());
        }
    }

    /// Writes the last answers, once the trainer has ended, and refuses what came too late.
    pub fn close(&mut self) {
        if self.is_mine() {
            self.write_answers();
            // first, so that nobody leaves a command here from now on
            let _ = fs::remove_file(inbox::open_file(&self.run));
            self.refuse_all();
        }
    }

    fn is_mine(&self) -> bool {
        self.held.check().is_ok() && self.run.check_folders().is_ok()
    }

    /// Makes its folder again where that was removed.
    fn restore(&mut self) {
        let folder = inbox::folder(&self.run);
        let is_missing = folder.symlink_metadata().is_err();
        // not the first time: whoever removes a whole run removes its files one after the other
        if is_missing && self.was_missing && fs::create_dir(&folder).is_ok() {
            self.open = None;
        }
        self.was_missing = is_missing;
    }

    /// Shows that an engine is there.
    fn show(&mut self) {
        let path = inbox::open_file(&self.run);
        let is_recent = |(_, at): &(File, Instant)| at.elapsed() < inbox::TOUCHED_EVERY;
        if self.open.as_ref().is_some_and(is_recent) {
            return;
        }
        let options = &mut OpenOptions::new();
        let file = untrusted::open_own(&path, options.write(true).create(true));
        // where this fails, nobody sends anything here
        self.open = file
            .and_then(|file| clock::touch(&file).map(|()| (file, Instant::now())))
            .ok();
    }

    /// Passes a command on to the trainer.
    fn take(&mut self, id: String) {
        let [request, taken, _] = inbox::files(&self.run, &id);
        // from here on its sender cannot take it back
        if fs::rename(&request, &taken).is_err() {
            return;
        }
        let read = read(&taken);
        let _ = fs::remove_file(&taken);
        let refusal = match read {
            Ok(command) => {
                let (answer, answered) = bounded(1);
                let request = CommandRequest {
                    command,
                    answer: Some(answer),
                };
                if self.requests.send(request).is_ok() {
                    self.waiting.push((id, answered));
                    return;
                }
                "the engine has ended".into()
            }
            Err(problem) => problem.to_string(),
        };
        self.write(&id, &Answer::rejected(refusal));
    }

    fn write_answers(&mut self) {
        for (id, answered) in std::mem::take(&mut self.waiting) {
            match answered.try_recv() {
                Ok(answer) => self.write(&id, &answer),
                Err(TryRecvError::Empty) => self.waiting.push((id, answered)),
                Err(TryRecvError::Disconnected) => {
                    self.write(
                        &id,
                        &Answer::rejected("the engine ended before it answered"),
                    );
                }
            }
        }
    }

    fn write(&self, id: &str, answer: &Answer) {
        let [.., path] = inbox::files(&self.run, id);
        // it is in the run's events, too
        let _ = write_atomically(&path, serde_json::json!(answer).to_string().as_bytes());
    }
}

/// The command in a file of this user or of root.
fn read(path: &Path) -> io::Result<Command> {
    let file = untrusted::open_own(path, &mut OpenOptions::new())?;
    let owner = file.metadata()?.uid();
    if ![socket::user(), 0].contains(&owner) {
        return Err(io::Error::other(format!(
            "the command comes from the user {owner}, and only the user {} and root can send some",
            socket::user()
        )));
    }
    let mut text = String::new();
    let length = file
        .take(LONGEST_LINE as u64 + 1)
        .read_to_string(&mut text)?;
    if length > LONGEST_LINE {
        return Err(io::Error::other(format!(
            "the command has more than {LONGEST_LINE} bytes"
        )));
    }
    serde_json::from_str(&text).map_err(|e| io::Error::other(format!("not a command: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use astill_core::{Error, Result};
    use std::os::unix::fs::chown;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A run whose engine takes every command.
    struct Engine {
        runs: tempfile::TempDir,
        run: RunDir,
        inbox: Inbox,
        requests: Receiver<CommandRequest>,
    }

    impl Engine {
        fn new() -> Result<Self> {
            let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
            let (run, lock) = RunDir::create(runs.path(), "p", None, "")?;
            let (sender, requests) = crossbeam_channel::unbounded();
            let inbox = Inbox::open(&run, &Arc::new(lock), sender);
            Ok(Self {
                runs,
                run,
                inbox,
                requests,
            })
        }

        /// Reads and answers as long as `is_open`.
        fn serve(&mut self, is_open: impl Fn() -> bool) -> Vec<Command> {
            let mut taken = Vec::new();
            while is_open() {
                self.inbox.tend();
                for request in self.requests.try_iter() {
                    taken.push(request.command.clone());
                    accept(request);
                }
                std::thread::yield_now();
            }
            taken
        }

        fn leave(&self, id: &str, text: &str) -> Result<[std::path::PathBuf; 3]> {
            let files = inbox::files(&self.run, id);
            fs::write(&files[0], text).map_err(Error::io("write", &files[0]))?;
            Ok(files)
        }

        /// What is answered to a file.
        fn answer(&mut self, path: &Path) -> Result<Answer> {
            self.inbox.tend();
            let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
            serde_json::from_str(&text).map_err(|e| Error::file(path, e.to_string()))
        }
    }

    fn accept(request: CommandRequest) {
        if let Some(client) = request.answer {
            let _ = client.send(Answer::accepted());
        }
    }

    #[test]
    fn several_that_steer_at_once_are_all_answered() -> Result<()> {
        let mut engine = Engine::new()?;
        engine.inbox.tend();
        assert!(inbox::is_read(&engine.run));
        let clients: Vec<_> = (0..4)
            .map(|step| {
                let run = engine.run.clone();
                let command = Command::RollBack { step };
                std::thread::spawn(move || inbox::send(&run, &command, PATIENCE))
            })
            .collect();
        let is_open = || clients.iter().any(|client| !client.is_finished());
        let mut taken = engine.serve(is_open);
        for client in clients {
            let answer = client.join().map_err(|_| Error::Interrupted)??;
            assert!(answer.is_accepted());
        }
        taken.sort_by_key(ToString::to_string);
        assert_eq!(taken, [0, 1, 2, 3].map(|step| Command::RollBack { step }));
        engine.inbox.close();
        assert!(!inbox::is_read(&engine.run));
        let folder = inbox::folder(&engine.run);
        assert_eq!(fs::read_dir(folder).into_iter().flatten().count(), 0);
        Ok(())
    }

    #[test]
    fn the_last_answer_is_written_when_the_trainer_has_ended() -> Result<()> {
        let mut engine = Engine::new()?;
        let [_, taken, path] = engine.leave("a", r#"{"command":"pause"}"#)?;
        engine.inbox.tend();
        assert!(
            !path.exists() && !taken.exists(),
            "it waits for the trainer"
        );
        for request in engine.requests.try_iter() {
            accept(request);
        }
        engine.inbox.close();
        assert!(engine.answer(&path)?.is_accepted());
        Ok(())
    }

    #[test]
    fn what_is_not_a_command_of_this_user_is_refused() -> Result<()> {
        let mut engine = Engine::new()?;
        let long = " ".repeat(LONGEST_LINE + 1);
        for text in ["", "{", r#"{"command":"explode"}"#, &long] {
            let [.., path] = engine.leave("a", text)?;
            assert!(!engine.answer(&path)?.is_accepted(), "{text}");
        }
        // behind a link could be any file of the user
        let [request, _, path] = engine.leave("a", "")?;
        let secret = engine.runs.path().join("secret");
        let failed = || Error::io("write", &secret);
        fs::write(&secret, r#"{"command":"pause"}"#).map_err(failed())?;
        fs::remove_file(&request).map_err(failed())?;
        std::os::unix::fs::symlink(&secret, &request).map_err(failed())?;
        assert!(!engine.answer(&path)?.is_accepted() && secret.exists());
        if socket::user() == 0 {
            let [request, _, path] = engine.leave("b", r#"{"command":"pause"}"#)?;
            chown(&request, Some(4242), None).map_err(failed())?;
            let answer = engine.answer(&path)?;
            assert!(answer.reason.is_some_and(|why| why.contains("user 4242")));
        }
        assert!(engine.requests.is_empty());
        Ok(())
    }

    #[test]
    fn what_was_left_for_an_earlier_engine_is_refused_and_answers_stay_for_those_who_wait()
    -> Result<()> {
        let mut engine = Engine::new()?;
        let stop = r#"{"command":"stop","reason":"old"}"#;
        let [.., left] = engine.leave("a", stop)?;
        let [request, taken, half_read] = engine.leave("b", stop)?;
        fs::rename(request, taken).map_err(Error::io("rename", "b"))?;
        let folder = inbox::folder(&engine.run);
        let (answered, forgotten) = (folder.join("c.answer"), folder.join("d.answer"));
        for path in [&answered, &forgotten] {
            fs::write(path, "{}").map_err(Error::io("write", path))?;
        }
        let long_ago = std::time::SystemTime::now() - 2 * inbox::PATIENCE;
        File::options()
            .write(true)
            .open(&forgotten)
            .and_then(|file| file.set_modified(long_ago))
            .map_err(Error::io("touch", &forgotten))?;
        let (run, held) = (engine.run.clone(), Arc::clone(&engine.inbox.held));
        let mut next = Inbox::open(&run, &held, engine.inbox.requests.clone());
        next.tend();
        assert!(engine.requests.is_empty(), "nothing is carried out");
        for path in [left, half_read] {
            let answer = engine.answer(&path)?;
            assert!(answer.reason.is_some_and(|why| why.contains("has ended")));
        }
        assert!(answered.exists() && !forgotten.exists());
        Ok(())
    }

    #[test]
    fn what_comes_too_late_is_refused() -> Result<()> {
        let mut engine = Engine::new()?;
        engine.inbox.tend();
        let [request, _, path] = engine.leave("a", r#"{"command":"pause"}"#)?;
        engine.inbox.close();
        assert!(!request.exists() && engine.requests.is_empty());
        assert!(!engine.answer(&path)?.is_accepted());
        Ok(())
    }
}
