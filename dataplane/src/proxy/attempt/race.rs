//! Hedging: a second backend is asked while the first is silent, and the first answer wins.

use super::course::Course;
use super::one::Tried;
use super::{Call, better, verdict};
use crate::balance::Pick;
use crate::exchange::Exchange;
use crate::proxy::Proxy;
use crate::upstream::Waits;
use relay_snapshot::Hedge;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The label value of `relay_retries_total`.
const HEDGE: &str = "hedge";

impl Proxy {
    /// Asks the backend that is next in `course`, and one more where the route hedges. Cancel-safe: dropping it cancels both.
    pub(super) async fn ask_hedged(&self, call: &Call<'_>, course: &mut Course<'_>, exchange: &mut Exchange) -> Tried {
        let index = course.last();
        let Some(hedge) = call.route.policy.hedge else { return self.ask(call, index).await };
        let mut first = pin!(self.ask(call, index));
        let pick = tokio::select! {
            biased;
            tried = &mut first => return tried,
            pick = due(call, course.asked(), hedge) => pick,
        };
        course.goes_to(pick, exchange);
        self.metrics.retries.with_label_values(&[&*call.route.label, HEDGE]).inc();
        let asked = [index, course.last()];
        let mut second = pin!(self.ask(call, course.last()));
        let (tried, other) = tokio::select! {
            biased;
            tried = &mut first => (tried, second),
            tried = &mut second => (tried, first),
        };
        let statuses = &call.route.policy.retries.statuses;
        let wins = tried.outcome.is_ok() && verdict::cause(&tried.outcome, &call.head.method, statuses).is_none();
        if wins || call.upload.fault().is_some() {
            // The other one is cancelled, which says nothing about its backend, now or when a further attempt fails.
            if let Some(loser) = asked.into_iter().find(|index| *index != tried.index) {
                course.report(loser, None);
            }
            return tried;
        }
        course.report(tried.index, verdict::sign(&tried.outcome, None));
        if let Ok(got) = &tried.outcome {
            course.answered(tried.index, got.response.headers());
        }
        let last = other.await;
        if last.outcome.is_err() {
            // Now: it may not be the one that is judged.
            course.report(last.index, verdict::sign(&last.outcome, None));
        }
        better(last, Some(tried).filter(|tried| tried.outcome.is_ok()))
    }
}

/// Waits until a second backend should be asked, which must not have been before; for ever where there is none, or the hedges are spent.
async fn due(call: &Call<'_>, asked: &[usize], hedge: Hedge) -> Pick {
    let after = Duration::from_millis(hedge.after_ms);
    let begun = Instant::now();
    let mut at = begun + after;
    loop {
        sleep_until(at).await;
        // A silence counts from the end of the request's body on.
        at = match call.upload.waits() {
            Waits::Upstream(since) if call.upload.is_over() => since.max(begun) + after,
            _ => Instant::now() + after,
        };
        if at <= Instant::now() {
            break;
        }
    }
    let balance = call.route.balance();
    if call.upload.is_whole()
        && let Some(pick) = balance.pick_other(asked, Instant::now())
        && balance.hedges.take()
    {
        return pick;
    }
    std::future::pending().await
}
