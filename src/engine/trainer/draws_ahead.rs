//! The draws of the next segment, made by another thread while a GPU computes this one: the random
//! numbers of a perturbation alone take the CPU milliseconds.

use crate::distill::iteration::{Draw, DrawSizes, Segment, Settings};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// What a draw depends on, and so is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawRequest {
    pub settings: Settings,
    pub sizes: DrawSizes,
    pub segment: Segment,
}

impl DrawRequest {
    /// Makes the draw.
    pub fn draw(&self) -> Draw {
        Draw::new(&self.settings, self.sizes, self.segment)
    }

    /// That of the segment after this one.
    fn next(&self) -> Self {
        let Segment {
            seed,
            iteration,
            number,
        } = self.segment;
        let segment = match number + 1 < self.settings.segments as u64 {
            true => Segment {
                seed,
                iteration,
                number: number + 1,
            },
            false => Segment::first(seed, iteration + 1),
        };
        Self {
            segment,
            ..self.clone()
        }
    }
}

/// A draw that another thread makes.
#[derive(Debug)]
struct Begun {
    request: DrawRequest,
    thread: JoinHandle<Draw>,
}

/// Makes one draw ahead.
#[derive(Debug, Default)]
pub struct DrawsAhead(Mutex<Option<Begun>>);

impl DrawsAhead {
    /// The draw for `request`, and begins that of the next segment. One made ahead for another request,
    /// such as with settings that have been changed since, is dropped.
    pub fn take(&self, request: &DrawRequest) -> Draw {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = begun
            .take()
            .filter(|begun| begun.request == *request)
            .and_then(|begun| begun.thread.join().ok());
        let next = request.next();
        let ordered = next.clone();
        let thread = Builder::new().name("draws".into());
        // where no thread can be started, the next draw is made when it is needed
        *begun = thread
            .spawn(move || ordered.draw())
            .ok()
            .map(|thread| Begun {
                request: next,
                thread,
            });
        ahead.unwrap_or_else(|| request.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::iteration::Starts;
    use astill_core::profile::AugmentFamily;

    fn request(iteration: u64, syn_steps: usize) -> DrawRequest {
        DrawRequest {
            settings: Settings {
                syn_steps,
                starts: Starts::before(3),
                augment: AugmentFamily::ALL.to_vec(),
                perturbation: 1.,
                segments: 2,
                ..Settings::plain()
            },
            sizes: DrawSizes {
                parameters: 10,
                experts: 3,
                images: 4,
                side: 8,
            },
            segment: Segment::first(7, iteration),
        }
    }

    #[test]
    fn a_draw_made_ahead_is_the_one_that_would_be_made_now() {
        let ahead = DrawsAhead::default();
        let first = request(0, 2);
        let changed = request(1, 5);
        for wanted in [first.clone(), first.next(), first.next().next(), changed] {
            let (got, want) = (ahead.take(&wanted), wanted.draw());
            assert_eq!((got.noise, got.expert), (want.noise, want.expert));
            assert_eq!(got.steps.len(), wanted.settings.syn_steps);
            for (got, want) in got.steps.iter().zip(&want.steps) {
                assert_eq!(got.rows, want.rows);
            }
        }
        assert_eq!(first.next().segment.number, 1);
        assert_eq!(first.next().next().segment, Segment::first(7, 1));
    }
}
