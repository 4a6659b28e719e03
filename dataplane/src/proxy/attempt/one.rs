//! One request to one backend, up to the first byte of the answer's body.

use super::Call;
use crate::format::Format;
use crate::proxy::{Proxy, headers, query, rewrite};
use crate::table::BackendEntry;
use crate::tunnel::Handshake;
use crate::upstream::{Answer, Failed, RequestBody, Splice, Switched, Target, UpstreamError};
use http::{Request, Response, StatusCode, Version};

/// Why a backend gave no answer.
pub(super) enum Failure {
    /// The request can't be sent on.
    Request,
    /// The upstream failed.
    Upstream {
        /// Why.
        error: UpstreamError,
        /// Nothing of the request was sent.
        unsent: bool,
    },
}

/// An answer whose first byte is there.
pub(super) struct Got {
    pub(super) response: Response<Answer>,
    pub(super) format: Format,
    /// It was asked for usage where its client had not.
    pub(super) asked_usage: bool,
    /// The connection behind a 101 that answers the request's handshake.
    pub(super) switched: Option<Box<Switched>>,
}

/// What came of one backend.
pub(super) struct Tried {
    /// Place among the route's backends.
    pub(super) index: usize,
    pub(super) outcome: Result<Got, Failure>,
}

impl Proxy {
    /// Asks one backend. Without bound of its own. Cancel-safe: dropping it cancels the request.
    pub(super) async fn ask(&self, call: &Call<'_>, index: usize) -> Tried {
        let outcome = match call.route.backends.get(index) {
            Some(backend) => self.ask_backend(call, backend).await,
            None => Err(Failure::Request),
        };
        Tried { index, outcome }
    }

    async fn ask_backend(&self, call: &Call<'_>, backend: &BackendEntry) -> Result<Got, Failure> {
        let path = rewrite::path(backend, call.head.uri.path(), call.prefix);
        let format = Format::of(backend.provider, &path, call.route.policy.format);
        let asks_usage = call.asks_usage.as_ref().filter(|_| format == Format::OpenAIChat);
        let request = request(call, backend, &path, format, asks_usage).ok_or(Failure::Request)?;
        let asked_usage = asks_usage.is_some();
        let target = Target { origin: backend.origin.clone(), ca: backend.ca.clone(), connect: call.route.connect };
        let failed = |error| Failure::Upstream { error, unsent: false };
        let handshake = call.head.extensions.get::<Handshake>();
        let sent = match handshake {
            None => self.upstreams.send(&target, request).await.map(|response| (response, None)),
            Some(_) => self.upstreams.upgrade(&target, request).await,
        };
        let (mut response, switched) = match sent {
            Ok(sent) => sent,
            Err(Failed { error, unsent }) => return Err(Failure::Upstream { error, unsent: unsent.is_some() }),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Where nobody asked for it, what follows would be no answer.
            let is_asked_for = handshake.is_some_and(|handshake| handshake.check(response.headers()).is_ok());
            return if is_asked_for {
                Ok(Got { response, format, asked_usage, switched })
            } else {
                Err(failed(UpstreamError::Protocol))
            };
        }
        // The head waits for the first byte: until then the client can still be told what went wrong by a status.
        response.body_mut().wait_for_first().await.map_err(failed)?;
        Ok(Got { response, format, asked_usage, switched: None })
    }
}

fn request(
    call: &Call<'_>,
    backend: &BackendEntry,
    path: &str,
    format: Format,
    asks_usage: Option<&Splice>,
) -> Option<Request<RequestBody>> {
    let handshake = call.head.extensions.get::<Handshake>();
    let renamed = handshake.and_then(|_| query::renamed(call.head.uri.query()?, &backend.model));
    let uri = rewrite::uri(backend, path, renamed.as_deref().or(call.head.uri.query()))?;
    let splice = call.model.as_ref().filter(|_| !rewrite::is_in_path(backend.provider, path));
    let model = splice.and_then(|model| rewrite::body(backend, model));
    let mut request = Request::new(call.upload.body(model.into_iter().chain(asks_usage.cloned())));
    *request.method_mut() = call.head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = call.head.headers.clone();
    headers::to_upstream(request.headers_mut(), backend, format.wants_identity(), &call.request_id);
    if let Some(handshake) = handshake {
        handshake.put(request.headers_mut());
    }
    Some(request)
}
