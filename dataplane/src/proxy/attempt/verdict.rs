//! What the result of an attempt means: for its backend's health, and for whether another may follow.

use super::one::{Failure, Got};
use crate::balance::{Complaint, Sign};
use crate::reason::Reason;
use crate::upstream::UpstreamError;
use http::{Method, StatusCode};

/// What came of asking one backend.
pub(super) type Outcome = Result<Got, Failure>;

/// The reason for which another attempt may follow; `None`: this is the answer.
///
/// What was not sent may always go elsewhere. A connection that broke says nothing about what the provider began, so only methods that change
/// nothing go again (RFC 9110, section 9.2.1). A status that the route lists is the provider's own word that it did not serve the request.
pub(super) fn cause(outcome: &Outcome, method: &Method, statuses: &[u16]) -> Option<Reason> {
    match outcome {
        Ok(got) => statuses.contains(&got.response.status().as_u16()).then_some(Reason::UpstreamStatus),
        Err(Failure::Upstream { error, unsent: true }) => Some(error.reason()),
        Err(Failure::Upstream { error: error @ UpstreamError::Reset, .. }) => method.is_safe().then(|| error.reason()),
        Err(Failure::Upstream { .. } | Failure::Request) => None,
    }
}

/// What it tells of the backend; `None`: nothing.
pub(super) fn sign(outcome: &Outcome, complaint: Option<Complaint>) -> Option<Sign> {
    match outcome {
        Err(Failure::Request) => None,
        Err(Failure::Upstream { .. }) => Some(Sign::Ill),
        Ok(_) if complaint == Some(Complaint::Provider) => Some(Sign::Ill),
        Ok(got) => Some(if is_ill(got.response.status()) { Sign::Ill } else { Sign::Well }),
    }
}

/// 500 is not among them: it may speak of one request alone. 529 is Anthropic's "overloaded".
fn is_ill(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504 | 529)
}
