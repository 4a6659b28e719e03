//! Answers that the relay makes itself, in the shape of the API that the client speaks.

use super::headers;
use crate::exchange::Exchange;
use crate::format::Family;
use crate::limits::Decision;
use crate::reason::{Reason, StreamEnd};
use crate::relay::{AnswerBody, of_refusal};
use crate::upstream::RequestBodyError;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response};

/// Why a request gets no answer of an upstream.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: Reason,
    family: Family,
    message: String,
    decision: Option<Decision>,
    client_gone: bool,
    under_way: bool,
}

impl Refusal {
    pub(super) fn new(reason: Reason, family: Family, message: String) -> Self {
        Self { reason, family, message, decision: None, client_gone: false, under_way: false }
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
    pub(super) fn limited(mut self, decision: Decision) -> Self {
        self.decision = Some(decision);
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
        exchange.reason = Some(self.reason);
        exchange.code = Some(self.reason.status().as_u16());
        exchange.saw(body.len());
        let mut response = Response::new(AnswerBody::Whole(Some(body)));
        *response.status_mut() = self.reason.status();
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
        if let Some(decision) = &self.decision {
            headers::add_limits(response, Some(decision));
            headers::add_retry(response, decision);
        }
    }
}
