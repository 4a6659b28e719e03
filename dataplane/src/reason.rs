//! Why the relay refused or ended a request: one enum for status code, metric label, log field, header and body.

use http::StatusCode;

/// A reason. Its [`name`](Reason::name) is what users read everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request can't be read as HTTP or as what its route needs.
    BadRequest,
    /// Two headers carry different keys.
    ConflictingCredentials,
    /// No header carries a key.
    KeyMissing,
    /// No tenant has this key.
    KeyUnknown,
    /// The key's `notAfter` is over.
    KeyExpired,
    /// The tenant is suspended.
    TenantSuspended,
    /// No route of the tenant matches.
    NoRoute,
    /// The request body is longer than the route allows.
    BodyTooLarge,
    /// The request's head is longer than the listener allows.
    HeadersTooLarge,
    /// The request's head did not come in time, its client paused too long in its body, or the body that had to be looked into did not come in time.
    RequestTooSlow,
    /// The relay has no room for another request.
    Overloaded,
    /// A requests limit of the tenant or of its route.
    RequestsLimited,
    /// A tokens limit of the tenant or of its route.
    TokensLimited,
    /// A characters limit of the tenant or of its route.
    CharactersLimited,
    /// A limit of requests in flight, of the tenant or of its route.
    StreamsLimited,
    /// A budget of the tenant is spent, or the request asks for more than is left.
    BudgetSpent,
    /// Redis does not answer, and the tenant would rather have no answers than limits that may be wrong.
    LimitsUnavailable,
    /// A reference of the route is not resolved.
    RouteNotReady,
    /// Every backend of the route has weight 0.
    NoBackend,
    /// No connection to any backend.
    UpstreamConnect,
    /// The upstream's connection broke.
    UpstreamReset,
    /// The upstream broke HTTP, or ended a stream without its format's end.
    UpstreamProtocol,
    /// The upstream reported an error inside a stream. Never made by the relay: label only.
    UpstreamError,
    /// The upstream answered 429 or 5xx. Never made by the relay: label only.
    UpstreamStatus,
    /// No byte of the answer's body in time.
    FirstByteTimeout,
    /// A pause inside the answer's body was too long.
    IdleTimeout,
    /// The answer took longer than the route allows.
    TotalTimeout,
    /// The client stopped reading. Nobody is told: label only.
    ClientStalled,
    /// The proxy is shutting down.
    Draining,
}

impl Reason {
    /// The word for labels, logs, `x-relay-error` and error bodies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::ConflictingCredentials => "conflicting_credentials",
            Self::KeyMissing => "key_missing",
            Self::KeyUnknown => "key_unknown",
            Self::KeyExpired => "key_expired",
            Self::TenantSuspended => "tenant_suspended",
            Self::NoRoute => "no_route",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RequestTooSlow => "request_too_slow",
            Self::Overloaded => "overloaded",
            Self::RequestsLimited => "requests_limited",
            Self::TokensLimited => "tokens_limited",
            Self::CharactersLimited => "characters_limited",
            Self::StreamsLimited => "streams_limited",
            Self::BudgetSpent => "budget_spent",
            Self::LimitsUnavailable => "limits_unavailable",
            Self::RouteNotReady => "route_not_ready",
            Self::NoBackend => "no_backend",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamReset => "upstream_reset",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamStatus => "upstream_status",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::ClientStalled => "client_stalled",
            Self::Draining => "draining",
        }
    }

    /// The status of an answer that the relay makes for this reason.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::ConflictingCredentials => StatusCode::BAD_REQUEST,
            Self::KeyMissing | Self::KeyUnknown | Self::KeyExpired => StatusCode::UNAUTHORIZED,
            Self::TenantSuspended => StatusCode::FORBIDDEN,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RequestsLimited
            | Self::TokensLimited
            | Self::CharactersLimited
            | Self::StreamsLimited
            | Self::BudgetSpent => StatusCode::TOO_MANY_REQUESTS,
            Self::RequestTooSlow | Self::ClientStalled => StatusCode::REQUEST_TIMEOUT,
            Self::RouteNotReady | Self::NoBackend | Self::Draining | Self::Overloaded | Self::LimitsUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::UpstreamConnect
            | Self::UpstreamReset
            | Self::UpstreamProtocol
            | Self::UpstreamError
            | Self::UpstreamStatus => StatusCode::BAD_GATEWAY,
            Self::FirstByteTimeout | Self::IdleTimeout | Self::TotalTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// How a request ended; decided exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// The whole answer went to the client.
    Complete,
    /// The relay refused it before an upstream answered.
    Refused,
    /// A limit refused it, or a budget ended it.
    LimitReached,
    /// The client went away first.
    ClientGone,
    /// The upstream failed: unreachable, broken off, or without its format's end.
    UpstreamError,
    /// No byte of the answer's body in time.
    FirstByteTimeout,
    /// A pause inside the answer's body was too long.
    IdleTimeout,
    /// The answer took longer than the route allows.
    TotalTimeout,
    /// The proxy shut down before the stream's end.
    Drained,
    /// The tenant was suspended, and its running streams were ended.
    Suspended,
}

impl StreamEnd {
    /// The label value of metrics and the log field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::Refused => "Refused",
            Self::LimitReached => "LimitReached",
            Self::ClientGone => "ClientGone",
            Self::UpstreamError => "UpstreamError",
            Self::FirstByteTimeout => "FirstByteTimeout",
            Self::IdleTimeout => "IdleTimeout",
            Self::TotalTimeout => "TotalTimeout",
            Self::Drained => "Drained",
            Self::Suspended => "Suspended",
        }
    }
}
