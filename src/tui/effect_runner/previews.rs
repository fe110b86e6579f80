//! Previews in a thread of their own: one at a time, only once the cursor has rested, and always for
//! what was asked for last. So holding a key over a long list starts nothing but the last one.

use crate::tui::backend::{Backend, Subject};
use crate::tui::message::Message;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// How long the cursor rests on a row before its preview is worked out.
pub const REST: Duration = Duration::from_millis(150);

/// What is asked for: none if no preview is wanted any more.
pub type Asked = Option<Subject>;

/// Works out what is asked for through the returned channel, in the calling closure's thread.
pub fn channel_and_worker<B: Backend>(
    backend: Arc<B>,
    messages: UnboundedSender<Message>,
    rest: Duration,
) -> (Sender<Asked>, impl FnOnce() + Send + 'static) {
    let (asks, asked) = channel();
    let work = move || {
        let mut next = asked.recv().ok();
        while let Some(ask) = next.take() {
            next = match settled(ask, &asked, rest) {
                Some(Some(subject)) => match work_out(&*backend, subject, &asked, &messages) {
                    Some(newer) => Some(newer),
                    None => asked.recv().ok(),
                },
                Some(None) => asked.recv().ok(),
                None => None,
            };
        }
    };
    (asks, work)
}

/// What is still asked for after a rest; none once nobody asks any more.
fn settled(mut ask: Asked, asked: &Receiver<Asked>, rest: Duration) -> Option<Asked> {
    loop {
        match asked.recv_timeout(rest) {
            Ok(newer) => ask = newer,
            Err(RecvTimeoutError::Timeout) => return Some(ask),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Works out a preview, and reports it unless something newer is asked for meanwhile: then that.
fn work_out<B: Backend>(
    backend: &B,
    subject: Subject,
    asked: &Receiver<Asked>,
    messages: &UnboundedSender<Message>,
) -> Option<Asked> {
    let newer = std::cell::RefCell::new(None);
    let is_outdated = || match asked.try_recv() {
        Ok(ask) => {
            newer.replace(Some(ask));
            true
        }
        Err(TryRecvError::Empty) => newer.borrow().is_some(),
        Err(TryRecvError::Disconnected) => true,
    };
    let work = || match subject {
        Subject::Start(request) => {
            let preview = backend.preview(&request, &is_outdated);
            let message = |found| Message::Previewed(request, Box::new(found));
            preview.map(message).into_iter().collect()
        }
        Subject::Run(run, _) => {
            let profile = backend.profile(&run).map_err(|e| e.to_string());
            let glance = backend.glance(&run);
            vec![
                Message::Profile(run.clone(), profile.map(Box::new)),
                Message::Glanced(run, Arc::new(glance)),
            ]
        }
    };
    let panicked = |_| vec![Message::Panicked("a background task".into())];
    let found: Vec<Message> = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked);
    for message in found {
        // the receiver is gone once the app has ended
        let _ = messages.send(message);
    }
    newer.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::backend::RunRequest;
    use crate::tui::tests::stage::Fake;
    use std::sync::atomic::Ordering;
    use tokio::sync::mpsc::unbounded_channel;

    fn request(n: usize) -> Subject {
        Subject::Start(RunRequest {
            reference: format!("profile-{n}"),
            ..RunRequest::default()
        })
    }

    /// The references of the previews that were reported.
    fn reported(messages: &mut tokio::sync::mpsc::UnboundedReceiver<Message>) -> Vec<String> {
        let mut found = Vec::new();
        while let Ok(message) = messages.try_recv() {
            if let Message::Previewed(request, _) = message {
                found.push(request.reference);
            }
        }
        found
    }

    #[test]
    fn a_hundred_profiles_are_passed_with_one_check_at_a_time() {
        // every check lasts until it is outdated, only that of the last one ends by itself
        let fake = Arc::new(Fake {
            lasting: Some("profile-99".into()),
            ..Fake::default()
        });
        let (messages, mut received) = unbounded_channel();
        let (asks, work) = channel_and_worker(fake.clone(), messages, Duration::ZERO);
        let worker = std::thread::spawn(work);
        for n in 0..100 {
            asks.send(Some(request(n))).unwrap();
            // without any rest, so that many of them are begun
            std::thread::yield_now();
        }
        let answered = received.blocking_recv();
        assert!(
            matches!(&answered, Some(Message::Previewed(r, _)) if r.reference == "profile-99"),
            "{answered:?}"
        );
        drop(asks);
        worker.join().unwrap();
        assert_eq!(fake.most_checks.load(Ordering::SeqCst), 1);
        assert_eq!(reported(&mut received), Vec::<String>::new());
    }

    #[test]
    fn a_cursor_that_moves_on_starts_nothing() {
        let fake = Arc::new(Fake::default());
        let (messages, mut received) = unbounded_channel();
        let patient = Duration::from_secs(3600);
        let (asks, work) = channel_and_worker(fake.clone(), messages, patient);
        for n in 0..100 {
            asks.send(Some(request(n))).unwrap();
        }
        drop(asks);
        work();
        assert_eq!(fake.checks.load(Ordering::SeqCst), 0);
        assert_eq!(reported(&mut received), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_wanted_any_more_is_given_up() {
        let fake = Arc::new(Fake {
            lasting: Some("another".into()),
            ..Fake::default()
        });
        let (messages, mut received) = unbounded_channel();
        let (asks, work) = channel_and_worker(fake.clone(), messages, Duration::ZERO);
        asks.send(Some(request(1))).unwrap();
        let worker = std::thread::spawn(work);
        // once it has begun
        while fake.checks.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        asks.send(None).unwrap();
        drop(asks);
        worker.join().unwrap();
        assert_eq!(reported(&mut received), Vec::<String>::new());
    }
}
