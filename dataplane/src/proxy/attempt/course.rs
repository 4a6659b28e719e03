//! Which backends a request was sent to so far.

#[cfg(test)]
mod tests;

use crate::balance::{Pick, Sign, Ticket, retry_after};
use crate::exchange::Exchange;
use crate::table::RouteEntry;
use crate::upstream::Answer;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout};

/// The attempts at one request. Dropped, it says nothing about those that are under way.
pub(super) struct Course<'a> {
    route: &'a RouteEntry,
    /// In order.
    asked: Vec<usize>,
    /// Of those that have not answered yet.
    open: Vec<Open>,
    /// How long each of those that answered asked to be left alone, and since when.
    waits: Vec<(usize, Instant, Duration)>,
    /// So many further attempts may follow.
    pub(super) left: u32,
}

/// An attempt under way.
struct Open {
    index: usize,
    ticket: Ticket,
    since: Instant,
}

impl<'a> Course<'a> {
    /// A request of the route begins; it counts towards what may be retried and hedged.
    pub(super) fn begin(route: &'a RouteEntry) -> Self {
        let balance = route.balance();
        balance.retries.request(Instant::now());
        if let Some(hedge) = &route.policy.hedge {
            balance.hedges.request(hedge.max_percent);
        }
        let left = route.policy.retries.attempts;
        Self { route, asked: Vec::new(), open: Vec::new(), waits: Vec::new(), left }
    }

    /// The request goes to this backend now.
    pub(super) fn goes_to(&mut self, pick: Pick, exchange: &mut Exchange) {
        exchange.attempts += 1;
        self.asked.push(pick.index);
        self.open.push(Open { index: pick.index, ticket: pick.ticket, since: Instant::now() });
        self.came_to(pick.index, exchange);
    }

    /// The request is with this backend, as metrics and the log tell it.
    pub(super) fn came_to(&self, index: usize, exchange: &mut Exchange) {
        if let Some(backend) = self.route.backends.get(index) {
            exchange.provider = Some(backend.provider);
            exchange.backend = Some(backend.name.clone());
        }
    }

    /// Those that were asked, in order.
    pub(super) fn asked(&self) -> &[usize] {
        &self.asked
    }

    /// The one that was asked last.
    pub(super) fn last(&self) -> usize {
        self.asked.last().copied().unwrap_or_default()
    }

    /// How often this one was asked.
    pub(super) fn times(&self, index: usize) -> u32 {
        u32::try_from(self.asked.iter().filter(|asked| **asked == index).count()).unwrap_or(u32::MAX)
    }

    /// This backend answered; `retry-after` may ask to leave it alone.
    pub(super) fn answered(&mut self, index: usize, headers: &HeaderMap) {
        let wait = retry_after(headers, SystemTime::now()).unwrap_or_default();
        self.waits.retain(|(known, ..)| *known != index);
        self.waits.push((index, Instant::now(), wait));
    }

    /// How much is left of that, also where others were asked meanwhile.
    pub(super) fn wait(&self, index: usize) -> Duration {
        let known = self.waits.iter().find(|(known, ..)| *known == index);
        known.map_or(Duration::ZERO, |(_, since, wait)| wait.saturating_sub(since.elapsed()))
    }

    /// The attempt at this backend is over; `None`: it says nothing about it.
    pub(super) fn report(&mut self, index: usize, sign: Option<Sign>) {
        let Some(at) = self.open.iter().position(|open| open.index == index) else { return };
        let Open { ticket, .. } = self.open.swap_remove(at);
        let Some(sign) = sign else { return };
        if !ticket.report(sign) {
            return;
        }
        let backend = self.route.backends.get(index).map(|backend| backend.name.as_str());
        match sign {
            Sign::Ill => {
                tracing::warn!(route = %self.route.label, backend, "backend failed too often and is passed over");
            }
            Sign::Well => tracing::info!(route = %self.route.label, backend, "backend answers again"),
        }
    }

    /// The bound for the first byte is over: ill are the backends that were silent for at least half of it. A retry or a hedge that began later had
    /// no fair chance, and says nothing.
    pub(super) fn report_silent(&mut self, bound: Duration) {
        while let Some(Open { index, since, .. }) = self.open.first() {
            let (index, had_time) = (*index, since.elapsed() >= bound / 2);
            self.report(index, had_time.then_some(Sign::Ill));
        }
    }
}

/// How long, and how much, is read of an answer that is not passed on, so that its connection can serve again.
const SPEND_TIME: Duration = Duration::from_secs(1);
const SPEND_BYTES: usize = 64 << 10;

/// Reads an answer on, within bounds, that nobody waits for.
pub(super) fn spend(mut answer: Answer) {
    tokio::spawn(timeout(SPEND_TIME, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = answer.frame().await
            && read < SPEND_BYTES
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }));
}
