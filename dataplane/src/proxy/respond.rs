//! Makes an upstream's answer the client's.

use super::headers;
use crate::drain::Cut;
use crate::exchange::{Exchange, Kind};
use crate::format::Format;
use crate::reason::Reason;
use crate::relay::{AnswerBody, Guarded, Relayed};
use crate::upstream::Answer;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::Body;
use std::time::Duration;

/// An answer whose first byte is there.
pub(super) struct Answered {
    pub(super) response: Response<Answer>,
    pub(super) format: Format,
    pub(super) idle: Option<Duration>,
}

/// Status, headers and body pass unchanged, but for what speaks of one connection or of the provider's account.
pub(super) fn relayed(answered: Answered, mut exchange: Exchange, cut: Cut) -> Response<AnswerBody> {
    let Answered { response, format, idle } = answered;
    let (mut head, body) = response.into_parts();
    exchange.code = Some(head.status.as_u16());
    exchange.goes_out();
    exchange.kind = head.headers.get(CONTENT_TYPE).map_or(Kind::Binary, |value| Kind::of(value.as_bytes()));
    if head.status == StatusCode::TOO_MANY_REQUESTS || head.status.is_server_error() {
        exchange.reason = Some(Reason::UpstreamStatus);
    }
    // An answer without a body, such as that to HEAD, has no place for an event either; and what is no success ends without the format's end.
    let is_stream = exchange.kind == Kind::Sse && head.status.is_success() && !body.is_end_stream();
    let as_events = is_stream && can_be_cut(&head.headers);
    headers::to_client(&mut head.headers, &exchange.request_id);
    // The version is that of the client's connection.
    head.version = Version::HTTP_11;
    let source = Guarded::new(body, idle, cut);
    let relayed = Relayed::new(source, format, as_events, exchange);
    Response::from_parts(head, AnswerBody::Relayed(Box::new(relayed)))
}

/// An encoded body can't be looked into, and one of declared length has no place for an event of the relay's.
fn can_be_cut(headers: &HeaderMap) -> bool {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|value| value.as_bytes() != b"identity");
    !encoded && !headers.contains_key(CONTENT_LENGTH)
}
