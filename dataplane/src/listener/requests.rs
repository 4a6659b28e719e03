//! From a connection to the proxy: what is checked of every request first, and how many are under way.

use super::Shared;
use super::semantics;
use super::strict::{Link, Violation};
use crate::proxy::Turned;
use crate::reason::Reason;
use crate::relay::{Aborted, AnswerBody};
use crate::upstream::discard;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::watch;

/// The requests of one connection.
pub(super) struct Requests {
    shared: Arc<Shared>,
    over: Over,
}

/// What the connection speaks.
#[derive(Clone)]
enum Over {
    Http1(Arc<Link>),
    Http2(Arc<watch::Sender<Load>>),
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Requests under way.
    pub(super) active: u32,
    /// Requests so far.
    pub(super) begun: u64,
}

impl Requests {
    pub(super) fn over_http1(shared: &Arc<Shared>, link: Arc<Link>) -> Self {
        Self { shared: Arc::clone(shared), over: Over::Http1(link) }
    }

    pub(super) fn over_http2(shared: &Arc<Shared>, load: Arc<watch::Sender<Load>>) -> Self {
        Self { shared: Arc::clone(shared), over: Over::Http2(load) }
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Counted>;
    type Error = Infallible;
    // Boxed: the connection would keep room for it as long as the answer streams.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        match self.over.clone() {
            Over::Http1(link) => Box::pin(async move { Ok(http1(&shared, &link, request).await) }),
            Over::Http2(load) => {
                let place = shared.under_way.enter(Some(load));
                Box::pin(async move { Ok(http2(&shared, place, request).await) })
            }
        }
    }
}

async fn http1(shared: &Shared, link: &Link, request: Request<Incoming>) -> Response<Counted> {
    if let Some(refused) = link.refused(&request) {
        let turned = turned(refused.violation);
        return Counted::wrap(shared.proxy.turn_away(&refused.method, &refused.path, request.headers(), turned), None);
    }
    let asks = request.version() == Version::HTTP_11 && request.headers().contains_key(UPGRADE);
    let mut place = Some(shared.under_way.enter(None));
    let mut response = match place.as_ref().filter(|place| place.is_over(shared)) {
        Some(_) => overloaded(shared, request),
        None => Arc::clone(&shared.proxy).serve(request, shared.options.write_stall).await,
    };
    let status = response.status();
    if asks {
        place = place.and_then(|place| link.answered(status, place));
    }
    // From the first stage of the drain on, so that no client reuses a connection that is about to close.
    let closes = link.is_broken() || shared.proxy.drain.unready.is_cancelled();
    if closes && status != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Counted::wrap(response, place)
}

async fn http2(shared: &Shared, place: Place, request: Request<Incoming>) -> Response<Counted> {
    if let Err(violation) = semantics::check(&request) {
        return Counted::wrap(refuse(shared, request, turned(violation)), Some(place));
    }
    let response = if place.is_over(shared) {
        overloaded(shared, request)
    } else {
        Arc::clone(&shared.proxy).serve(request, shared.options.write_stall).await
    };
    Counted::wrap(response, Some(place))
}

fn turned(violation: Violation) -> Turned {
    Turned { reason: violation.reason(), status: violation.status(), message: violation.to_string() }
}

fn overloaded(shared: &Shared, request: Request<Incoming>) -> Response<AnswerBody> {
    let message = "the relay has as many requests under way as it can take; please retry".to_owned();
    refuse(shared, request, Turned { reason: Reason::Overloaded, status: None, message })
}

fn refuse(shared: &Shared, request: Request<Incoming>, turned: Turned) -> Response<AnswerBody> {
    let (head, body) = request.into_parts();
    // Reading it would ask a client to send it that waits for the word.
    if !head.headers.contains_key(EXPECT) {
        discard(body);
    }
    shared.proxy.turn_away(&head.method, head.uri.path(), &head.headers, turned)
}

/// How many requests are under way, over all connections.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    pub(super) fn enter(&self, load: Option<Arc<watch::Sender<Load>>>) -> Place {
        if let Some(load) = &load {
            load.send_modify(|load| *load = Load { active: load.active + 1, begun: load.begun + 1 });
        }
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Place { number, all: Arc::clone(&self.0), load }
    }
}

/// One request that is under way, as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    /// How many there were with it when it came.
    number: usize,
    all: Arc<AtomicUsize>,
    load: Option<Arc<watch::Sender<Load>>>,
}

impl Place {
    fn is_over(&self, shared: &Shared) -> bool {
        self.number > shared.options.capacity.requests
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(load) = &self.load {
            load.send_modify(|load| load.active -= 1);
        }
    }
}

/// An answer's body; its request is under way until the body is dropped. One that the relay made whole holds nothing any more, whenever its client
/// takes it.
pub(super) struct Counted {
    body: AnswerBody,
    _place: Option<Place>,
}

impl Counted {
    fn wrap(response: Response<AnswerBody>, place: Option<Place>) -> Response<Self> {
        response.map(|body| {
            let place = place.filter(|_| !matches!(body, AnswerBody::Whole(_)));
            Self { body, _place: place }
        })
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
