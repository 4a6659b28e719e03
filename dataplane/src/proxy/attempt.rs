//! Sends a request to a backend and waits for the first byte of the answer's body.

use super::peek::Peeked;
use super::refusal::Refusal;
use super::respond::Answered;
use super::{Proxy, credentials, headers, too_large};
use crate::exchange::Exchange;
use crate::format::{Family, Format};
use crate::reason::Reason;
use crate::table::{BackendEntry, RouteEntry};
use crate::upstream::{Answer, Failed, RequestBody, Target, UpstreamError};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, Version, request};
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Why there is no answer.
enum Failure {
    /// The request can't be sent on.
    Request(&'static str),
    /// No byte of the body in time.
    Timeout(Duration),
    /// The upstream failed.
    Upstream(UpstreamError),
}

impl Proxy {
    /// Tries the route's backends in turn. A further one is tried only where nothing of the request was sent, since a provider may have begun to
    /// work for what it was sent.
    pub(super) async fn attempt(
        &self,
        route: &RouteEntry,
        head: request::Parts,
        body: &mut Peeked,
        exchange: &mut Exchange,
        family: Family,
    ) -> Result<Answered, Refusal> {
        let fault = Arc::new(OnceLock::new());
        let mut body = Some(body.take(route.body_max, Arc::clone(&fault)));
        let mut failure = Failure::Request("the route has no backend");
        for backend in route.in_turn() {
            let Some(unsent) = body.take() else { break };
            exchange.provider = Some(backend.provider);
            exchange.backend = Some(backend.name.clone());
            match self.try_backend(route, backend, &head, unsent, exchange).await {
                Ok((response, format)) => return Ok(Answered { response, format, idle: route.idle }),
                Err((error, unsent)) => {
                    failure = error;
                    body = unsent;
                }
            }
        }
        if let Some(fault) = fault.get() {
            return Err(Refusal::of_body(*fault, family, too_large(&route.label, route.body_max)));
        }
        let (reason, message) = match failure {
            Failure::Request(message) => (Reason::BadRequest, message.to_owned()),
            Failure::Timeout(limit) => {
                (Reason::FirstByteTimeout, format!("the upstream sent no byte within {limit:?}"))
            }
            Failure::Upstream(error) => {
                tracing::warn!(route = %route.label, request_id = %exchange.request_id, %error, "no answer");
                (error.reason(), upstream_message(&error).to_owned())
            }
        };
        Err(Refusal::new(reason, family, message))
    }

    async fn try_backend(
        &self,
        route: &RouteEntry,
        backend: &BackendEntry,
        head: &request::Parts,
        body: RequestBody,
        exchange: &mut Exchange,
    ) -> Result<(Response<Answer>, Format), (Failure, Option<RequestBody>)> {
        let path = head.uri.path();
        let format = Format::of(backend.provider, path, route.policy.format);
        let Some(uri) = upstream_uri(backend, &head.uri) else {
            return Err((Failure::Request("the path can't be sent on"), None));
        };
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = head.headers.clone();
        headers::to_upstream(request.headers_mut(), backend, format.wants_identity(), &exchange.request_id);
        let target = Target { origin: backend.origin.clone(), ca: backend.ca.clone(), connect: route.connect };
        let exchanged = async {
            let mut response = self.upstreams.send(&target, request).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                // Nobody asked for it, and what follows would be no answer.
                return Err(Failed { error: UpstreamError::Protocol, unsent: None });
            }
            // The head waits for the first byte: until then the client can still be told what went wrong by a status.
            let first = response.body_mut().wait_for_first().await;
            first.map_err(|error| Failed { error, unsent: None })?;
            Ok(response)
        };
        match within(route.first_byte, exchanged).await {
            Some(Ok(response)) => {
                exchange.first_byte();
                Ok((response, format))
            }
            Some(Err(Failed { error, unsent })) => {
                Err((Failure::Upstream(error), unsent.map(|request| request.into_body())))
            }
            None => Err((Failure::Timeout(route.first_byte.unwrap_or_default()), None)),
        }
    }
}

async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        None => Some(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// The client's path behind the backend's base path, with the query less any key.
fn upstream_uri(backend: &BackendEntry, uri: &Uri) -> Option<Uri> {
    let mut target = format!("{}{}", backend.base_path, uri.path());
    if let Some(query) = uri.query().and_then(credentials::without_keys) {
        target.push('?');
        target.push_str(&query);
    }
    target.parse::<PathAndQuery>().ok().map(Uri::from)
}

/// What clients read: not where the upstream is, which is the operator's business and stands in the log.
fn upstream_message(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect { .. } | UpstreamError::Refused { .. } => "no connection to the upstream",
        UpstreamError::Reset => "the upstream closed the connection before it answered",
        UpstreamError::Protocol => "the upstream's answer is not HTTP/1.1",
    }
}
