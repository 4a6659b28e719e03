//! Settles on their way to Redis.

use super::plan::Used;
use super::reservation::Open;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Settles that may wait at once. One more is lost.
pub(super) const CAPACITY: usize = 65_536;
/// How long one may wait. Redis remembers a reservation that ran out for ten minutes, so that it still takes one that waited for so long.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);

/// A request that is over.
pub(super) struct Job {
    pub(super) open: Arc<Open>,
    pub(super) used: Used,
    pub(super) since: Instant,
    pub(super) stage: Stage,
}

/// How far a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Redis knows nothing of it.
    New,
    /// It was sent, and no answer came: Redis may have settled it.
    Sent,
    /// Redis answered that it had lost the reservation: it is to be charged, which may be sent again and again.
    Unheld,
}

/// How many of them somebody misses: what is in doubt runs out by itself.
fn missed<'a>(jobs: impl Iterator<Item = &'a Job>) -> usize {
    jobs.filter(|job| !job.open.is_doubtful).count()
}

/// First in, first out.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    filled: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: it is full, and the job is lost.
    #[must_use]
    pub(super) fn push(&self, open: Arc<Open>, used: Used) -> bool {
        let mut jobs = self.lock();
        if jobs.len() >= CAPACITY {
            return false;
        }
        jobs.push_back(Job { open, used, since: Instant::now(), stage: Stage::New });
        drop(jobs);
        self.filled.notify_one();
        true
    }

    /// The first of them, `most` at most.
    pub(super) fn take(&self, most: usize) -> Vec<Job> {
        let mut jobs = self.lock();
        let count = jobs.len().min(most);
        jobs.drain(..count).collect()
    }

    /// Puts back what was taken and could not be done, in its order, and says how many are lost for it: a full queue loses the newest.
    #[must_use]
    pub(super) fn put_back(&self, taken: Vec<Job>) -> usize {
        let mut jobs = self.lock();
        for job in taken.into_iter().rev() {
            jobs.push_front(job);
        }
        let lost = missed(jobs.iter().skip(CAPACITY));
        jobs.truncate(CAPACITY);
        lost
    }

    /// Drops those that waited for longer than [`PATIENCE`], and says how many.
    pub(super) fn expire(&self) -> usize {
        let mut jobs = self.lock();
        let old = jobs.iter().take_while(|job| job.since.elapsed() > PATIENCE).count();
        missed(jobs.drain(..old).collect::<Vec<_>>().iter())
    }

    /// How many would be lost if no more were sent.
    pub(super) fn waiting(&self) -> usize {
        missed(self.lock().iter())
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Waits until something is pushed. Cancel-safe.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}
