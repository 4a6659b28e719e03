//! Makes an upstream's answer the client's.

use super::headers;
use crate::drain::{Cut, Drain};
use crate::exchange::{self, Exchange, Kind};
use crate::format::{Format, Framing, characters};
use crate::reason::Reason;
use crate::relay::{AnswerBody, Cuts, Deadline, Guarded, Manner, Relayed};
use crate::table::RouteEntry;
use crate::upstream::{Answer, Switched};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::Body;
use std::time::Duration;

/// An answer whose first byte is there.
pub(super) struct Answered {
    pub(super) response: Response<Answer>,
    pub(super) format: Format,
    pub(super) bounds: Bounds,
    /// It was asked for usage where its client had not.
    pub(super) asked_usage: bool,
    /// The connection behind a 101 that was asked for.
    pub(super) switched: Option<Box<Switched>>,
}

/// What the route says of the time behind the first byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) idle: Option<Duration>,
    pub(super) deadline: Deadline,
    keep_alive: Option<Duration>,
    read_on: Option<Duration>,
}

impl Bounds {
    /// Of a request of this route.
    pub(super) fn of(route: &RouteEntry, exchange: &Exchange) -> Self {
        let some = |ms: u64| (ms > 0).then(|| Duration::from_millis(ms));
        Self {
            idle: route.idle,
            deadline: exchange.deadline(route.total),
            keep_alive: some(route.policy.keep_alive_ms),
            read_on: some(route.policy.drain_ms),
        }
    }
}

/// Status, headers and body pass unchanged, but for what speaks of one connection or of the provider's account.
pub(super) fn relayed(answered: Answered, mut exchange: Exchange, drain: &Drain, tenant: &Cut) -> Response<AnswerBody> {
    let Answered { response, format, bounds, asked_usage, .. } = answered;
    let (mut head, body) = response.into_parts();
    exchange.code = Some(head.status.as_u16());
    exchange.goes_out();
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    exchange.kind = Kind::of(content_type);
    exchange.cost.answered =
        if head.status.is_success() { exchange::Answered::Well } else { exchange::Answered::Badly };
    if let Some(told) = characters::of_answer(format, &head.headers) {
        exchange.cost.characters = told;
    }
    if head.status == StatusCode::TOO_MANY_REQUESTS || head.status.is_server_error() {
        exchange.reason = Some(Reason::UpstreamStatus);
    }
    let readable = is_readable(&head.headers) && head.status.is_success();
    // An answer without a body, such as that to HEAD, has no place for an event; nor has one of declared length; and what is no success ends
    // without the format's end.
    let can_be_cut = readable && !head.headers.contains_key(CONTENT_LENGTH) && !body.is_end_stream();
    let framing = if can_be_cut { format.framing(content_type) } else { Framing::Bytes };
    headers::to_client(&mut head.headers, &exchange.request_id);
    // The version is that of the client's connection.
    head.version = Version::HTTP_11;
    let is_json = exchange.kind == Kind::Json;
    // A whole answer is no stream: what it cost is spent when its first byte comes.
    let limit = exchange.stop().filter(|_| !is_json);
    let source = Guarded::new(body, bounds.idle, bounds.deadline, Cuts::new(drain, tenant, limit));
    let Bounds { keep_alive, read_on, .. } = bounds;
    let manner = Manner { format, framing, readable, is_json, asked_usage, keep_alive, read_on };
    Response::from_parts(head, AnswerBody::Relayed(Relayed::new(source, manner, exchange)))
}

/// An encoded body can't be looked into.
pub(super) fn is_readable(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_none_or(|value| value.as_bytes() == b"identity")
}
