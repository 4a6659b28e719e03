//! How long the attempts at a request may take together.

#[cfg(test)]
mod tests;

use crate::upstream::{Upload, Waits};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The longest pause of a client that sends its body.
pub(super) const UPLOAD_IDLE: Duration = Duration::from_secs(30);

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// The first byte of an answer.
    FirstByte(Duration),
    /// The next piece of the request's body.
    Upload,
    /// The whole answer.
    Total,
}

/// The bounds of one request, whatever number of attempts it takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    /// From the end of the request's body, or from the last piece of it that an upstream took.
    pub(super) first_byte: Option<Duration>,
    /// For the whole answer.
    pub(super) total: Option<Instant>,
}

impl Bounds {
    /// When the attempts must be over, as far as is known now.
    pub(super) fn deadline(&self, waits: Waits) -> Option<Instant> {
        let (deadline, _) = self.next(waits)?;
        Some(deadline)
    }

    fn next(&self, waits: Waits) -> Option<(Instant, Expired)> {
        let awaited = match waits {
            Waits::Client(since) => Some((since + UPLOAD_IDLE, Expired::Upload)),
            Waits::Upstream(since) => self.first_byte.map(|bound| (since + bound, Expired::FirstByte(bound))),
        };
        let total = self.total.map(|at| (at, Expired::Total));
        awaited.into_iter().chain(total).min_by_key(|(at, _)| *at)
    }

    /// Waits until a bound is reached. Cancel-safe.
    ///
    /// Who is waited for changes without a word, so it is looked at again whenever a bound of the other would be the first to be reached: no bound is
    /// missed, and an upload costs a look now and then instead of a wake-up for each piece.
    pub(super) async fn reached(&self, upload: &Upload) -> Expired {
        loop {
            let now = Instant::now();
            let waits = upload.waits();
            let next = self.next(waits);
            if let Some((at, expired)) = next
                && at <= now
            {
                return expired;
            }
            let other = match waits {
                Waits::Client(_) => self.first_byte.map(|bound| now + bound),
                Waits::Upstream(_) if upload.is_over() => None,
                Waits::Upstream(_) => Some(now + UPLOAD_IDLE),
            };
            match next.map(|(at, _)| at).into_iter().chain(other).min() {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }
}
