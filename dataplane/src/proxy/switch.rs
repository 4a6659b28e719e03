//! Requests that ask for a WebSocket: a backend of the route is asked for one, and the two become a tunnel.

use super::attempt::{upstream_message, upstream_uri, within};
use super::refusal::Refusal;
use super::respond::{Answered, Bounds};
use super::{Proxy, headers, query};
use crate::drain::{Cut, Drain};
use crate::exchange::Exchange;
use crate::format::{Family, Format};
use crate::reason::Reason;
use crate::relay::AnswerBody;
use crate::table::{BackendEntry, RouteEntry};
use crate::tunnel::{Handshake, Tunnel};
use crate::upstream::{Failed, RequestBody, Target, Upgrade, UpstreamError};
use http::{Request, Response, StatusCode, Version, request, response};
use hyper::upgrade::OnUpgrade;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What comes of a request.
pub(super) enum Outcome {
    /// An answer of an upstream.
    Answered(Box<Answered>),
    /// An upstream agreed to a WebSocket.
    Switched(Box<Switching>),
}

/// The client's 101, and the tunnel behind it.
pub(super) struct Switching {
    head: response::Parts,
    tunnel: Tunnel,
}

impl Switching {
    /// The tunnel runs as soon as the 101 is written. `tenant` ends it with its tenant.
    pub(super) fn into_response(self, exchange: Exchange, drain: &Drain, tenant: Cut) -> Response<AnswerBody> {
        self.tunnel.start(exchange, drain, tenant);
        Response::from_parts(self.head, AnswerBody::Whole(None))
    }
}

/// Why no backend answered.
enum Failure {
    /// The request can't be sent on.
    Request(&'static str),
    /// No head in time.
    Timeout(Duration),
    /// The upstream failed.
    Upstream(UpstreamError),
}

/// The handshake of a request that asks for a WebSocket, where its route has those and nothing is wrong with it.
pub(super) fn handshake(route: &RouteEntry, head: &request::Parts, family: Family) -> Result<Handshake, Refusal> {
    let refuse = |message| Refusal::new(Reason::BadRequest, family, message);
    if !route.backends.iter().any(|backend| format_of(route, backend, head).allows_upgrade()) {
        let path = head.uri.path();
        let message = format!("route {} has no WebSocket at {path}: send the request without Upgrade", route.label);
        return Err(refuse(message));
    }
    Handshake::of(&head.headers).map_err(|error| refuse(error.to_string()))
}

fn format_of(route: &RouteEntry, backend: &BackendEntry, head: &request::Parts) -> Format {
    Format::of(backend.provider, head.uri.path(), route.policy.format)
}

impl Proxy {
    /// Asks the route's backends in turn. A further one is asked only where nothing was sent to the one before.
    pub(super) async fn switch(
        &self,
        route: &RouteEntry,
        mut head: request::Parts,
        handshake: &Handshake,
        exchange: &mut Exchange,
        family: Family,
    ) -> Result<Outcome, Refusal> {
        let Some(client) = head.extensions.remove::<OnUpgrade>() else {
            let message = "this connection can't become a WebSocket".to_owned();
            return Err(Refusal::new(Reason::BadRequest, family, message));
        };
        let mut failure = Failure::Request("the route has no backend with a WebSocket");
        for backend in route.in_turn().filter(|backend| format_of(route, backend, &head).allows_upgrade()) {
            exchange.provider = Some(backend.provider);
            exchange.backend = Some(backend.name.clone());
            match self.ask(route, backend, &head, handshake, exchange).await {
                Ok(Upgrade::Refused(response)) => {
                    let format = format_of(route, backend, &head);
                    let bounds = Bounds::of(route, exchange);
                    let answered = Answered { response: *response, format, bounds };
                    return Ok(Outcome::Answered(Box::new(answered)));
                }
                Ok(Upgrade::Switched(answer, upstream)) => {
                    let head = accepted(&answer, handshake, &exchange.request_id);
                    let deadline = exchange.deadline(route.total);
                    let tunnel = Tunnel { client, upstream: *upstream, idle: route.idle, deadline };
                    return Ok(Outcome::Switched(Box::new(Switching { head, tunnel })));
                }
                Err((error, is_unsent)) => {
                    failure = error;
                    if !is_unsent {
                        break;
                    }
                }
            }
        }
        Err(failure.into_refusal(route, exchange, family))
    }

    /// Sends the handshake and waits for its answer: a 101 that is one, or the first byte of another.
    async fn ask(
        &self,
        route: &RouteEntry,
        backend: &BackendEntry,
        head: &request::Parts,
        handshake: &Handshake,
        exchange: &mut Exchange,
    ) -> Result<Upgrade, (Failure, bool)> {
        let uri = query::with_model(&head.uri, &backend.model);
        let Some(uri) = upstream_uri(backend, &uri) else {
            return Err((Failure::Request("the path can't be sent on"), false));
        };
        let mut request = Request::new(RequestBody::new(VecDeque::new(), None, 0, Arc::new(OnceLock::new())));
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = head.headers.clone();
        headers::to_upstream(request.headers_mut(), backend, true, &exchange.request_id);
        handshake.put(request.headers_mut());
        let target = Target { origin: backend.origin.clone(), ca: backend.ca.clone(), connect: route.connect };
        let asked = async {
            let mut upgrade = self.upstreams.upgrade(&target, request).await?;
            let failed = |error| Failed { error, unsent: None };
            match &mut upgrade {
                Upgrade::Switched(answer, _) => {
                    handshake.check(&answer.headers).map_err(|_| failed(UpstreamError::Protocol))?;
                }
                Upgrade::Refused(answer) => answer.body_mut().wait_for_first().await.map_err(failed)?,
            }
            Ok(upgrade)
        };
        match within(route.first_byte, asked).await {
            Some(Ok(upgrade)) => {
                exchange.first_byte();
                Ok(upgrade)
            }
            Some(Err(Failed { error, unsent })) => Err((Failure::Upstream(error), unsent.is_some())),
            None => Err((Failure::Timeout(route.first_byte.unwrap_or_default()), false)),
        }
    }
}

/// The head of the client's 101.
fn accepted(answer: &response::Parts, handshake: &Handshake, request_id: &str) -> response::Parts {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = StatusCode::SWITCHING_PROTOCOLS;
    head.headers = answer.headers.clone();
    headers::to_client(&mut head.headers, request_id);
    handshake.accept_into(&mut head.headers, &answer.headers);
    head
}

impl Failure {
    fn into_refusal(self, route: &RouteEntry, exchange: &Exchange, family: Family) -> Refusal {
        let (reason, message) = match self {
            Self::Request(message) => (Reason::BadRequest, message.to_owned()),
            Self::Timeout(limit) => {
                (Reason::FirstByteTimeout, format!("the upstream did not answer the handshake within {limit:?}"))
            }
            Self::Upstream(error) => {
                tracing::warn!(route = %route.label, request_id = %exchange.request_id, %error, "no answer");
                (error.reason(), upstream_message(&error).to_owned())
            }
        };
        Refusal::new(reason, family, message)
    }
}
