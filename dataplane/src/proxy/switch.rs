//! Requests that ask for a WebSocket: what they must be, and the tunnel that their answer begins.

use super::headers;
use super::refusal::Refusal;
use super::respond::Answered;
use super::rewrite::{self, PrefixRewrite};
use crate::drain::{Cut, Drain};
use crate::exchange::Exchange;
use crate::format::{Family, Format};
use crate::reason::Reason;
use crate::relay::AnswerBody;
use crate::table::{BackendEntry, RouteEntry};
use crate::tunnel::{self, Handshake, Tunnel};
use http::{Response, Version, request, response};
use hyper::upgrade::OnUpgrade;
use std::time::Duration;

/// What comes of a request.
pub(super) enum Outcome {
    /// An answer of an upstream.
    Answered(Box<Answered>),
    /// An upstream agreed to a WebSocket.
    Switched(Box<Switching>),
}

/// A client that asks for a WebSocket.
pub(super) struct Asked {
    client: OnUpgrade,
    handshake: Handshake,
}

/// The client's 101, and the tunnel behind it.
pub(super) struct Switching {
    head: response::Parts,
    tunnel: Tunnel,
}

impl Switching {
    /// The tunnel runs as soon as the 101 is written. `tenant` ends it with its tenant, `write_stall` with a client that does not read.
    pub(super) fn into_response(
        self,
        exchange: Exchange,
        drain: &Drain,
        tenant: Cut,
        write_stall: Duration,
    ) -> Response<AnswerBody> {
        self.tunnel.start(exchange, drain, tenant, write_stall);
        Response::from_parts(self.head, AnswerBody::Whole(None))
    }
}

/// Whether a request asks for a WebSocket: where its route has those, and nothing is wrong with the handshake, which then goes with its head.
pub(super) fn asked(
    route: &RouteEntry,
    prefix: Option<PrefixRewrite<'_>>,
    head: &mut request::Parts,
    family: Family,
) -> Result<Option<Asked>, Refusal> {
    if !tunnel::is_asked_for(head) {
        return Ok(None);
    }
    let refuse = |message| Refusal::new(Reason::BadRequest, family, message);
    let path = head.uri.path();
    let format = |backend: &BackendEntry| {
        Format::of(backend.provider, &rewrite::path(backend, path, prefix), route.policy.format)
    };
    if !route.backends.iter().all(|backend| format(backend).allows_upgrade()) {
        let message = format!("route {} has no WebSocket at {path}: send the request without Upgrade", route.label);
        return Err(refuse(message));
    }
    let handshake = Handshake::of(&head.headers).map_err(|error| refuse(error.to_string()))?;
    let client = head.extensions.remove::<OnUpgrade>();
    let client = client.ok_or_else(|| refuse("this connection can't become a WebSocket".to_owned()))?;
    head.extensions.insert(handshake.clone());
    Ok(Some(Asked { client, handshake }))
}

/// What the answer is to the client.
pub(super) fn outcome(mut answered: Answered, asked: Option<Asked>, request_id: &str) -> Outcome {
    let (Some(upstream), Some(Asked { client, handshake })) = (answered.switched.take(), asked) else {
        return Outcome::Answered(Box::new(answered));
    };
    let (mut head, _) = answered.response.into_parts();
    let answer = head.headers.clone();
    headers::to_client(&mut head.headers, request_id);
    handshake.accept_into(&mut head.headers, &answer);
    // The version is that of the client's connection.
    head.version = Version::HTTP_11;
    let bounds = answered.bounds;
    let tunnel = Tunnel { client, upstream: *upstream, idle: bounds.idle, deadline: bounds.deadline };
    Outcome::Switched(Box::new(Switching { head, tunnel }))
}
