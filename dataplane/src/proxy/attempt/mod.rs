//! Sends a request to a backend, and to further ones as far as the route allows, until the first byte of an answer's body is there.

mod course;
mod expiry;
mod hold;
mod one;
mod race;
mod verdict;

use super::peek::{Model, Peeked};
use super::reading::{self, spoken};
use super::refusal::Refusal;
use super::respond::{self, Answered};
use super::rewrite::PrefixRewrite;
use super::{Proxy, too_large};
use crate::balance::{Complaint, Pick, RETRY_AFTER_MAX, backoff};
use crate::exchange::Exchange;
use crate::format::{Family, Format, characters};
use crate::reason::Reason;
use crate::table::RouteEntry;
use crate::upstream::{RequestBodyError, Sent, Splice, Upload, UpstreamError};
use bytes::Bytes;
use course::{Course, spend};
use expiry::{Bounds, Expired};
use http::request;
use one::{Failure, Tried};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A request on its way to one backend or several.
pub(super) struct Call<'a> {
    route: &'a RouteEntry,
    head: request::Parts,
    family: Family,
    prefix: Option<PrefixRewrite<'a>>,
    /// Looked for only where a backend asks for another.
    model: Option<Model>,
    /// Makes a chat tell its usage, where the route asks for it and the client does not.
    asks_usage: Option<Splice>,
    upload: Upload,
    request_id: String,
    bounds: Bounds,
}

impl Call<'_> {
    /// Whether another attempt could follow.
    fn may_follow(&self, course: &Course<'_>) -> bool {
        let percent = self.route.policy.retries.budget_percent;
        course.left > 0 && self.upload.can_be_sent() && self.route.balance().retries.allows(percent, Instant::now())
    }
}

impl Proxy {
    /// Asks the route's backends, the next one where the one before failed and another attempt is allowed, until there is an answer for the client.
    /// Cancel-safe: dropping it cancels what is under way.
    pub(super) async fn attempt(
        &self,
        route: &RouteEntry,
        prefix: Option<PrefixRewrite<'_>>,
        head: request::Parts,
        body: &mut Peeked,
        exchange: &mut Exchange,
        family: Family,
    ) -> Result<Answered, Refusal> {
        let call = call(route, prefix, head, body, exchange, family).await?;
        exchange.goes_up(body.waited());
        let mut course = Course::begin(route);
        let first = route.balance().pick(&[], Instant::now());
        let Some(mut pick) = first else {
            let message = format!("no backend of route {} takes requests: every weight is 0", route.label);
            return Err(Refusal::new(Reason::NoBackend, family, message));
        };
        // The last answer that was not passed on: it tells a client more than that another backend could not be reached at all.
        let mut answered: Option<Tried> = None;
        loop {
            course.goes_to(pick, exchange);
            let mut tried = tokio::select! {
                biased;
                tried = self.ask_hedged(&call, &mut course, exchange) => tried,
                expired = call.bounds.reached(&call.upload) => return Err(expire(&call, course, expired)),
            };
            course.came_to(tried.index, exchange);
            if let Ok(got) = &tried.outcome {
                course.answered(tried.index, got.response.headers());
            }
            if tried.outcome.is_err()
                && let Some(fault) = call.upload.fault()
            {
                return Err(Refusal::of_body(fault, family, too_large(&route.label, route.body_max)));
            }
            let cause = judge(&call, &mut course, &mut tried).await;
            let further = cause.and_then(|cause| self.further(&call, &mut course, &tried, cause));
            let Some((next, wait)) = further else {
                let last = better(tried, answered);
                course.came_to(last.index, exchange);
                return finish(&call, last, exchange);
            };
            if tried.outcome.is_ok()
                && let Some(Tried { outcome: Ok(before), .. }) = answered.replace(tried)
            {
                spend(before.response.into_body());
            }
            if !wait.is_zero() {
                sleep(wait).await;
            }
            pick = next;
        }
    }

    /// Where the request goes once more, and after which pause; `None`: it does not, and what came is for the client.
    fn further(
        &self,
        call: &Call<'_>,
        course: &mut Course<'_>,
        tried: &Tried,
        cause: Reason,
    ) -> Option<(Pick, Duration)> {
        if !call.may_follow(course) {
            return None;
        }
        let retries = &call.route.policy.retries;
        let now = Instant::now();
        let balance = call.route.balance();
        let pick = balance.pick(course.asked(), now)?;
        let wait = if pick.again { pause(course.wait(pick.index), course.times(pick.index))? } else { Duration::ZERO };
        let in_time = call.bounds.deadline(call.upload.waits()).is_none_or(|deadline| now + wait < deadline);
        if !in_time || !balance.retries.take(retries.budget_percent, now) {
            return None;
        }
        course.left -= 1;
        self.metrics.retries.with_label_values(&[&*call.route.label, cause.name()]).inc();
        let error = if let Err(Failure::Upstream { error, .. }) = &tried.outcome { Some(error) } else { None };
        let error = error.map(tracing::field::display);
        tracing::debug!(route = %call.route.label, request_id = %call.request_id, cause = cause.name(), error, "trying again");
        Some((pick, wait))
    }
}

async fn call<'a>(
    route: &'a RouteEntry,
    prefix: Option<PrefixRewrite<'a>>,
    head: request::Parts,
    body: &mut Peeked,
    exchange: &mut Exchange,
    family: Family,
) -> Result<Call<'a>, Refusal> {
    let refuse = |error| Refusal::of_body(error, family, too_large(&route.label, route.body_max));
    let mut model = None;
    if route.backends.iter().any(|backend| !backend.model.is_none()) {
        let found = body.find_model(&head.headers, route.body_max).await.map_err(refuse)?.clone();
        exchange.model = exchange.model.take().or_else(|| found.name.clone());
        model = Some(found);
    }
    let readable = respond::is_readable(&head.headers);
    let format = spoken(route, prefix, head.uri.path()).map(|(format, _)| format);
    if let Some(format) = format.filter(|format| readable && format.counts_requests())
        && exchange.cost.characters == 0
    {
        let text = body.read_whole(route.body_max).await.map_err(refuse)?;
        exchange.cost.characters = characters::of_request(format, text).unwrap_or_default();
    }
    let mut asks_usage = None;
    if let Some(format) = format.filter(|_| route.policy.ask_usage && readable) {
        let exchanged = body.try_whole(route.body_max).await.map_err(refuse)?.and_then(|text| format.ask_usage(text));
        asks_usage = exchanged.map(|(range, with)| Splice { range, with: Bytes::from_static(with.as_bytes()) });
    }
    let keeps = route.policy.retries.attempts > 0 || route.policy.hedge.is_some();
    let sent = Arc::new(Sent::default());
    let is_weighed = exchange.cost.prompt.is_none() && format.is_some_and(Format::is_prompt);
    let weighed = is_weighed.then(|| reading::content(&head.headers));
    exchange.cost.sent = Some(Arc::clone(&sent));
    Ok(Call {
        route,
        head,
        family,
        prefix,
        model,
        asks_usage,
        upload: body.take(route.body_max, keeps).told_to(sent, weighed),
        request_id: exchange.request_id.clone(),
        bounds: Bounds { first_byte: route.first_byte, total: exchange.deadline(route.total).at() },
    })
}

/// The reason for which the request may go once more; `None`: what came is for the client. Tells the backend's health.
async fn judge(call: &Call<'_>, course: &mut Course<'_>, tried: &mut Tried) -> Option<Reason> {
    let mut cause = verdict::cause(&tried.outcome, &call.head.method, &call.route.policy.retries.statuses);
    let mut complaint = None;
    if let (None, Ok(got)) = (cause, &mut tried.outcome) {
        let may_follow = call.may_follow(course);
        complaint = hold::error_before_content(got, may_follow, call.bounds.total).await;
        let may_help = may_follow && complaint.is_some_and(|complaint| complaint != Complaint::Request);
        cause = may_help.then_some(Reason::UpstreamError);
    }
    course.report(tried.index, verdict::sign(&tried.outcome, complaint));
    cause
}

/// The pause before the same backend, which `asked` for so long, is asked again; `None`: that is longer than the relay waits.
fn pause(asked: Duration, times: u32) -> Option<Duration> {
    (asked <= RETRY_AFTER_MAX).then(|| asked.max(backoff(times, rand::random())))
}

/// What the client is given of the last attempt and of the last answer before it.
fn better(last: Tried, answered: Option<Tried>) -> Tried {
    match (&last.outcome, answered) {
        (Err(Failure::Upstream { .. }), Some(before)) => before,
        (_, Some(Tried { outcome: Ok(before), .. })) => {
            spend(before.response.into_body());
            last
        }
        (_, _) => last,
    }
}

/// Gives the client what came.
fn finish(call: &Call<'_>, tried: Tried, exchange: &mut Exchange) -> Result<Answered, Refusal> {
    let refuse = |reason, message: &str| Err(Refusal::new(reason, call.family, message.to_owned()));
    match tried.outcome {
        Ok(got) => {
            exchange.first_byte();
            Ok(Answered {
                response: got.response,
                format: got.format,
                bounds: respond::Bounds::of(call.route, exchange),
                asked_usage: got.asked_usage,
                switched: got.switched,
            })
        }
        Err(Failure::Request) => refuse(Reason::BadRequest, "the path can't be sent on"),
        Err(Failure::Upstream { error, .. }) => {
            tracing::warn!(route = %call.route.label, request_id = %call.request_id, %error, "no answer");
            refuse(error.reason(), upstream_message(&error))
        }
    }
}

/// No answer in time. The backends that said nothing for most of it are to blame, unless the client was the slow one.
fn expire(call: &Call<'_>, mut course: Course<'_>, expired: Expired) -> Refusal {
    let family = call.family;
    match expired {
        Expired::Upload => {
            let too_large = too_large(&call.route.label, call.route.body_max);
            Refusal::of_body(RequestBodyError::TooSlow, family, too_large)
        }
        Expired::FirstByte(bound) => {
            course.report_silent(bound);
            let message = format!("the upstream sent no byte within {bound:?}");
            Refusal::new(Reason::FirstByteTimeout, family, message)
        }
        Expired::Total => {
            let message = "the upstream sent no byte within the route's total time".to_owned();
            Refusal::new(Reason::TotalTimeout, family, message)
        }
    }
}

/// What clients read: not where the upstream is, which is the operator's business and stands in the log.
fn upstream_message(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect { .. } | UpstreamError::Refused { .. } => "no connection to the upstream",
        UpstreamError::Reset => "the upstream closed the connection before it answered",
        UpstreamError::Protocol => "the upstream's answer is not HTTP",
    }
}
