//! What is previewed, and what has been found.

use crate::tui::backend::{Preview, RunRequest, Subject};
use std::collections::HashMap;

/// What could not be measured is asked for again after this, in seconds: a run at work may have ended.
const ASKED_AGAIN: f64 = 30.;

/// The previews of runs that could be started, as far as they are known, and what is to be previewed.
#[derive(Debug, Default)]
pub struct Previews {
    known: HashMap<RunRequest, Preview>,
    /// Of the uppermost screen that wants one.
    wanted: Option<Subject>,
    /// The one that was asked for last, and when, in seconds since 1970.
    asked: Option<Subject>,
    asked_at: f64,
    is_answered: bool,
}

impl Previews {
    /// The latest answer; it may be asked for again meanwhile.
    pub fn get(&self, request: &RunRequest) -> Option<&Preview> {
        self.known.get(request)
    }

    /// Says what is to be previewed, instead of what a screen below wants.
    pub fn want(&mut self, subject: Subject) {
        self.wanted = Some(subject);
    }

    /// Takes an answer.
    pub fn put(&mut self, request: RunRequest, preview: Preview) {
        self.is_answered |= self.asked == Some(Subject::Start(request.clone()));
        self.known.insert(request, preview);
    }

    /// What was found may have changed: it is asked for again.
    pub fn expire(&mut self) {
        self.asked = None;
    }

    /// What is to be asked for now, if that is something else than before, or if nothing was measured
    /// then and that is a while ago.
    pub fn to_ask(&mut self, now: f64) -> Option<Option<Subject>> {
        let wanted = self.wanted.take();
        let is_measured = match &wanted {
            Some(Subject::Start(request)) => {
                let known = self.known.get(request);
                // without data nothing can be measured, however often it is tried
                known.is_none_or(|known| known.not_measured.is_none() || known.data.is_err())
            }
            _ => true,
        };
        let is_old = self.is_answered && now - self.asked_at >= ASKED_AGAIN;
        (wanted != self.asked || (is_old && !is_measured)).then(|| {
            self.asked.clone_from(&wanted);
            (self.asked_at, self.is_answered) = (now, false);
            wanted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_asked_for_again_once_it_was_answered() {
        let request = RunRequest::default();
        let preview = |why: Option<&str>| Preview {
            profile: Err(String::new()),
            data: Ok(String::new()),
            remarks: Vec::new(),
            device: "cpu".into(),
            memory_mib: None,
            seconds: None,
            free_mib: None,
            not_measured: why.map(String::from),
        };
        let mut previews = Previews::default();
        let is_asked = |previews: &mut Previews, now| {
            previews.want(Subject::Start(RunRequest::default()));
            previews.to_ask(now).is_some()
        };
        assert!(is_asked(&mut previews, 100.));
        previews.put(request.clone(), preview(Some("a run is at work")));
        assert!(!is_asked(&mut previews, 100. + ASKED_AGAIN - 1.));
        assert!(is_asked(&mut previews, 100. + ASKED_AGAIN));
        // never twice at once, however long an answer takes
        assert!(!is_asked(&mut previews, 1_000.));
        previews.put(request, preview(None));
        assert!(!is_asked(&mut previews, 2_000.));
    }
}
