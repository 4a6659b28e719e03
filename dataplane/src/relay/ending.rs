//! How every request ends: one table.

use crate::format::{Framing, Observer};
use crate::reason::{Reason, StreamEnd};
use bytes::Bytes;

/// What stopped the upstream's answer behind its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Its framing said that this is all.
    End,
    /// The connection broke, or ended before the declared length.
    Reset,
    /// It broke HTTP: a bad chunk, a frame that is none.
    Protocol,
    /// It paused longer than the route's idle timeout.
    Idle,
    /// The route's total timeout is over.
    Total,
    /// The proxy shuts down.
    Drained,
    /// The tenant is suspended, and its streams are to end.
    Suspended,
    /// A budget of the tenant's that stops streams is spent.
    Limit,
}

impl Stop {
    /// How the stream ends and why, where it had not come to its own end.
    const fn early(self) -> (StreamEnd, Reason) {
        match self {
            // A clean end raises nothing in any SDK: without its format's end it would pass for the whole.
            Self::End | Self::Protocol => (StreamEnd::UpstreamError, Reason::UpstreamProtocol),
            Self::Reset => (StreamEnd::UpstreamError, Reason::UpstreamReset),
            Self::Idle => (StreamEnd::IdleTimeout, Reason::IdleTimeout),
            Self::Total => (StreamEnd::TotalTimeout, Reason::TotalTimeout),
            Self::Drained => (StreamEnd::Drained, Reason::Draining),
            Self::Suspended => (StreamEnd::Suspended, Reason::TenantSuspended),
            Self::Limit => (StreamEnd::LimitReached, Reason::BudgetSpent),
        }
    }

    /// What a client is told.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::End => "the upstream ended the stream before its end",
            Self::Reset => "the upstream closed the connection before the end of the stream",
            Self::Protocol => "the upstream broke HTTP before the end of the stream",
            Self::Idle => "the upstream sent nothing for longer than the route's idle timeout",
            Self::Total => "the stream took longer than the route's total timeout",
            Self::Drained => "the relay is shutting down and could not wait for the end of the stream; please retry",
            Self::Suspended => "this tenant was suspended, which ends its running streams",
            Self::Limit => "a budget of this tenant is spent, which ends its running streams",
        }
    }
}

/// Everything that decides how a stream ends.
#[derive(Debug)]
pub(super) struct Stopped<'a> {
    /// What stopped it.
    pub(super) stop: Stop,
    /// How it can be cut; [`Framing::Bytes`] too for what is encoded or has a declared length.
    pub(super) framing: Framing,
    /// What was seen of it, to its last byte.
    pub(super) observer: &'a Observer,
    /// What went to the client ends between two events or lines.
    pub(super) at_boundary: bool,
    /// What is held of an unfinished event or line.
    pub(super) tail: Bytes,
    pub(super) request_id: &'a str,
    /// What its client is told; mostly [`Stop::message`].
    pub(super) message: &'a str,
}

/// How a stream ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) end: StreamEnd,
    pub(super) reason: Option<Reason>,
    pub(super) last: Last,
}

/// What the client still gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// These bytes (perhaps none), then the regular end of the framing.
    Clean(Bytes),
    /// The framing breaks off.
    Abort,
}

impl Stopped<'_> {
    /// The table. From top to bottom, the first row that fits:
    ///
    /// | the stream | ends as | the client still gets |
    /// |---|---|---|
    /// | can be cut; the provider said that it failed | `UpstreamError` | what is held, a clean end: a second error would hide the first |
    /// | can be cut; its own end went by | `Complete` | what is held, a clean end: an upstream that broke off behind it gave all there was |
    /// | its framing ended, and its format asks for no more | `Complete`, or `UpstreamError` if it is an error | what is held, a clean end |
    /// | can be cut, here, and its format has words for it | by what stopped it | the format's error event, a clean end |
    /// | all others | by what stopped it | a broken framing |
    pub(super) fn ending(self) -> Ending {
        let Self { stop, framing, observer, .. } = self;
        let can_be_cut = framing != Framing::Bytes;
        let error = observer.seen().error;
        let has_ended = stop == Stop::End;
        let is_over = if can_be_cut { error || observer.is_whole(has_ended) } else { has_ended };
        if is_over {
            let (end, reason) = if error {
                (StreamEnd::UpstreamError, Some(Reason::UpstreamError))
            } else {
                (StreamEnd::Complete, None)
            };
            return Ending { end, reason, last: Last::Clean(self.tail) };
        }
        let (end, reason) = stop.early();
        // Only at a boundary: behind half an event nobody could read it. And clean, since Node loses what an abort follows.
        let told = (can_be_cut && self.at_boundary)
            .then(|| observer.failure_event(reason, self.message, self.request_id))
            .flatten();
        Ending { end, reason: Some(reason), last: told.map_or(Last::Abort, Last::Clean) }
    }
}

/// How a request ends that got an answer of the relay's own.
pub const fn of_refusal(reason: Reason) -> StreamEnd {
    match reason {
        Reason::RequestsLimited
        | Reason::TokensLimited
        | Reason::CharactersLimited
        | Reason::StreamsLimited
        | Reason::BudgetSpent => StreamEnd::LimitReached,
        Reason::UpstreamConnect
        | Reason::UpstreamReset
        | Reason::UpstreamProtocol
        | Reason::UpstreamError
        | Reason::UpstreamStatus => StreamEnd::UpstreamError,
        Reason::FirstByteTimeout => StreamEnd::FirstByteTimeout,
        Reason::IdleTimeout => StreamEnd::IdleTimeout,
        Reason::TotalTimeout => StreamEnd::TotalTimeout,
        Reason::Draining => StreamEnd::Drained,
        Reason::ClientStalled => StreamEnd::ClientGone,
        Reason::BadRequest
        | Reason::ConflictingCredentials
        | Reason::KeyMissing
        | Reason::KeyUnknown
        | Reason::KeyExpired
        | Reason::TenantSuspended
        | Reason::NoRoute
        | Reason::BodyTooLarge
        | Reason::HeadersTooLarge
        | Reason::RequestTooSlow
        | Reason::Overloaded
        | Reason::LimitsUnavailable
        | Reason::RouteNotReady
        | Reason::NoBackend => StreamEnd::Refused,
    }
}
