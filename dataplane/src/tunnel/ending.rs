//! How a session ends: one place that decides what is counted and what the client is told.

use super::frames::{Opcode, Side, close_frame, frame};
use super::session::{Place, Session};
use crate::format::openai_realtime;
use crate::reason::{Reason, StreamEnd};

/// What ended the relaying of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The client's connection ended.
    ClientGone,
    /// The client does not read.
    ClientStalled,
    /// The upstream ended its connection.
    UpstreamEnd,
    /// The upstream's connection broke.
    UpstreamReset,
    /// Nobody sent anything for too long.
    Idle,
    /// It lasted too long.
    Total,
    /// The proxy shuts down.
    Drained,
    /// The tenant was suspended.
    Suspended,
    /// A budget of the tenant's that stops streams is spent.
    Limit,
    /// A Close frame passed, and then nobody closed.
    Lingering,
}

/// How a session ended, and why.
pub(super) type Verdict = (StreamEnd, Option<Reason>);

impl Over {
    /// Decides the end.
    pub(super) fn verdict(self, session: &Session) -> Verdict {
        let failed = session.failed.then_some(Reason::UpstreamError);
        if let Some(close) = session.close {
            return match close.by {
                _ if close.is_normal() && session.open_responses == 0 => (StreamEnd::Complete, failed),
                Side::Client => (StreamEnd::ClientGone, failed),
                Side::Server if close.is_normal() => {
                    (StreamEnd::UpstreamError, failed.or(Some(Reason::UpstreamProtocol)))
                }
                Side::Server => (StreamEnd::UpstreamError, Some(Reason::UpstreamError)),
            };
        }
        match self {
            Self::ClientGone => (StreamEnd::ClientGone, failed),
            Self::ClientStalled => (StreamEnd::ClientGone, Some(Reason::ClientStalled)),
            Self::UpstreamEnd | Self::UpstreamReset if session.ends_in_failure => {
                (StreamEnd::UpstreamError, Some(Reason::UpstreamError))
            }
            Self::UpstreamEnd | Self::Lingering => (StreamEnd::UpstreamError, Some(Reason::UpstreamProtocol)),
            Self::UpstreamReset => (StreamEnd::UpstreamError, Some(Reason::UpstreamReset)),
            Self::Idle => (StreamEnd::IdleTimeout, Some(Reason::IdleTimeout)),
            Self::Total => (StreamEnd::TotalTimeout, Some(Reason::TotalTimeout)),
            Self::Drained => (StreamEnd::Drained, Some(Reason::Draining)),
            Self::Suspended => (StreamEnd::Suspended, Some(Reason::TenantSuspended)),
            Self::Limit => (StreamEnd::LimitReached, Some(Reason::BudgetSpent)),
        }
    }

    /// The frames that tell the client, whose bytes end at `place`; none where nothing may follow.
    /// `message`: what the client reads, in place of the usual words.
    pub(super) fn farewell(self, session: &Session, place: Place, request_id: &str, message: Option<&str>) -> Vec<u8> {
        if place == Place::Inside || session.closed_by_server {
            return Vec::new();
        }
        if let Some(close) = session.close {
            // The answer that the upstream owed to the client's Close frame (RFC 6455, section 5.5.1).
            return close_frame(close.code.filter(|_| close.is_normal()).unwrap_or(1000), "");
        }
        let (_, reason) = self.verdict(session);
        let Some(reason) = reason else { return Vec::new() };
        let mut frames = Vec::new();
        // After the provider's own word a second error would only hide the first.
        if place == Place::Messages && !session.ends_in_failure {
            frames = frame(
                Opcode::Text,
                &openai_realtime::failure_event(reason, message.unwrap_or(self.message()), request_id),
            );
        }
        frames.extend(close_frame(self.code(), reason.name()));
        frames
    }

    /// The status code of the Close frame. Source: RFC 6455, section 7.4.1, and IANA's registry of WebSocket close codes. The drain takes 1012,
    /// "service restart", by which clients may reconnect, and not 1001: client libraries take that for a regular end and raise nothing.
    const fn code(self) -> u16 {
        match self {
            Self::Drained => 1012,
            // "Policy violation": client libraries raise it, and do not take it for a reason to connect again at once.
            Self::Suspended | Self::Limit => 1008,
            _ => 1011,
        }
    }

    /// What a client is told.
    const fn message(self) -> &'static str {
        match self {
            Self::ClientGone | Self::ClientStalled => "the client stopped reading",
            Self::UpstreamEnd | Self::UpstreamReset | Self::Lingering => {
                "the upstream closed the connection before the end of the session"
            }
            Self::Idle => "nothing was sent either way for longer than the route's idle timeout",
            Self::Total => "the session lasted longer than the route's total timeout",
            Self::Drained => {
                "the relay is shutting down and could not wait for the end of the session; please reconnect"
            }
            Self::Suspended => "the tenant was suspended",
            Self::Limit => "a budget of this tenant is spent, which ends its running sessions",
        }
    }
}
