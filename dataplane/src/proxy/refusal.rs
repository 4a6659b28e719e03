//! Answers that the relay makes itself, in the shape of the API that the client speaks.

use super::admit::Told;
use super::{Proxy, headers, request_id};
use crate::exchange::Exchange;
use crate::format::Family;
use crate::reason::{Reason, StreamEnd};
use crate::relay::{AnswerBody, of_refusal};
use crate::upstream::RequestBodyError;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Why a request gets no answer of an upstream.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: Reason,
    family: Family,
    message: String,
    /// By a limit: how they stand, and how long to wait.
    limited: Option<(Told, Option<Duration>)>,
    client_gone: bool,
    under_way: bool,
    status: Option<StatusCode>,
}

/// Why the listener turns a request away before anybody looks at whose it is.
#[derive(Debug)]
pub struct Turned {
    /// The reason.
    pub reason: Reason,
    /// The status, where it is not the reason's own.
    pub status: Option<StatusCode>,
    /// What the client reads.
    pub message: String,
}

impl Proxy {
    /// The answer to a request that the listener turns away, in the shape of the API that its path belongs to; counted and logged like any other.
    pub fn turn_away(&self, method: &Method, path: &str, headers: &HeaderMap, turned: Turned) -> Response<AnswerBody> {
        let id = request_id::of(headers);
        let exchange = Exchange::begin(Arc::clone(&self.metrics), id, method.clone(), path.to_owned());
        let mut refusal = Refusal::new(turned.reason, Family::of_path(path), turned.message);
        refusal.status = turned.status;
        let mut response = refusal.into_response(exchange);
        headers::add_revision(response.headers_mut(), &self.serving.table().revision);
        response
    }
}

impl Refusal {
    pub(super) fn new(reason: Reason, family: Family, message: String) -> Self {
        Self { reason, family, message, limited: None, client_gone: false, under_way: false, status: None }
    }

    /// Of a request whose body can't be read.
    pub(super) fn of_body(error: RequestBodyError, family: Family, too_large: String) -> Self {
        match error {
            RequestBodyError::TooLarge => Self::new(Reason::BodyTooLarge, family, too_large),
            RequestBodyError::TooSlow => Self::new(Reason::RequestTooSlow, family, error.to_string()),
            RequestBodyError::NoRoom => Self::new(Reason::Overloaded, family, error.to_string()),
            RequestBodyError::Ambiguous | RequestBodyError::Malformed | RequestBodyError::Gone => {
                let client_gone = error == RequestBodyError::Gone;
                Self { client_gone, ..Self::new(Reason::BadRequest, family, error.to_string()) }
            }
        }
    }

    /// By a limit: the answer tells when to come back.
    pub(super) fn limited(mut self, told: Told, retry_after: Option<Duration>) -> Self {
        self.limited = Some((told, retry_after));
        self
    }

    /// Of a request that an upstream may have seen: its tenant was suspended meanwhile.
    pub(super) fn under_way(mut self) -> Self {
        self.under_way = true;
        self
    }

    fn end(&self) -> StreamEnd {
        match self.reason {
            Reason::TenantSuspended if self.under_way => StreamEnd::Suspended,
            reason => of_refusal(reason),
        }
    }

    pub(super) fn into_response(self, mut exchange: Exchange) -> Response<AnswerBody> {
        if self.client_gone {
            // Nobody reads this answer.
            exchange.end(StreamEnd::ClientGone);
        }
        let end = self.end();
        let body = self.family.error_body(self.reason, &self.message, &exchange.request_id);
        let status = self.status.unwrap_or(self.reason.status());
        exchange.reason = Some(self.reason);
        exchange.code = Some(status.as_u16());
        exchange.saw(body.len());
        let mut response = Response::new(AnswerBody::Whole(Some(body)));
        *response.status_mut() = status;
        self.fill(response.headers_mut(), &exchange.request_id);
        exchange.end(end);
        response
    }

    fn fill(&self, response: &mut HeaderMap, request_id: &str) {
        response.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers::add_error(response, self.reason);
        headers::add_request_id(response, request_id);
        if self.family == Family::Anthropic
            && let Ok(id) = HeaderValue::from_str(request_id)
        {
            response.insert(HeaderName::from_static("request-id"), id);
        }
        if matches!(self.reason, Reason::Overloaded | Reason::LimitsUnavailable) {
            // Soon: another proxy may have room at once, and this one has as soon as a stream ends; Redis is asked again ten times a second.
            response.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some((told, retry_after)) = &self.limited {
            headers::add_limits(response, Some(told));
            headers::add_retry(response, *retry_after);
        }
    }
}
