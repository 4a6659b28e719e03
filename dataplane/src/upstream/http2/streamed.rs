//! One request on a stream, and its answer.

use super::connection::Place;
use super::sending::Sending;
use crate::table::Origin;
use crate::upstream::{RequestBody, UpstreamError};
use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Uri};
use http::{Method, Request, Version, request, response};
use http_body::{Body, Frame};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Header fields that speak of a connection of HTTP/1.1, which RFC 9113, section 8.2.2, forbids, and `host`, whose place `:authority` takes.
static CONNECTION_FIELDS: [HeaderName; 7] = [
    header::HOST,
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// An exchange that failed before its answer's head.
pub(in crate::upstream) enum Undone {
    /// The connection takes no more streams, and did nothing of this one: another connection may serve.
    Moved(Box<Request<RequestBody>>),
    /// The other side refused this stream and did nothing of it.
    Refused(Box<Request<RequestBody>>),
    /// The other side wants it over HTTP/1.1 (RFC 9113, section 7: `HTTP_1_1_REQUIRED`).
    Older(Box<Request<RequestBody>>),
    /// It may have begun.
    Failed(UpstreamError),
}

/// Sends a request and waits for the head of its answer. Cancel-safe: dropping it resets the stream.
pub(in crate::upstream) async fn send(
    mut place: Place,
    origin: &Origin,
    request: Request<RequestBody>,
) -> Result<(response::Parts, Streamed), Undone> {
    let (parts, body) = request.into_parts();
    let head = match head(origin, &parts, &body) {
        Ok(head) => head,
        Err(_invalid) => return Err(Undone::Failed(UpstreamError::Protocol)),
    };
    let has_no_body = body.is_end_stream();
    let opened = poll_fn(|cx| place.sender.poll_ready(cx)).await;
    let opened = opened.and_then(|()| place.sender.send_request(head, has_no_body));
    let (mut answer, stream) = match opened {
        Ok(opened) => opened,
        // Nothing was sent, whatever the reason.
        Err(_closed) => return Err(Undone::Moved(Box::new(Request::from_parts(parts, body)))),
    };
    let mut sending = Sending::new(stream, body);
    let answered = poll_fn(|cx| {
        // Whether it is sent or not, the answer tells how the exchange goes on.
        let _ = sending.poll(cx);
        Pin::new(&mut answer).poll(cx)
    })
    .await;
    match answered {
        Ok(response) => {
            place.answered();
            sending.keep_nothing();
            let (head, body) = response.into_parts();
            Ok((head, Streamed { body, alive: Some((sending, place)), has_data: true }))
        }
        Err(error) => Err(undone(&error, parts, sending.into_body())),
    }
}

/// RFC 9113, section 8.7: a refused stream, and one behind the last of a GOAWAY, was not processed.
fn undone(error: &h2::Error, parts: request::Parts, body: Option<RequestBody>) -> Undone {
    let Some(body) = body.filter(|_| error.is_remote()) else { return Undone::Failed(UpstreamError::of(error)) };
    let request = Box::new(Request::from_parts(parts, body));
    match error.reason() {
        _ if error.is_go_away() => Undone::Moved(request),
        Some(Reason::REFUSED_STREAM) => Undone::Refused(request),
        Some(Reason::HTTP_1_1_REQUIRED) => Undone::Older(request),
        _ => Undone::Failed(UpstreamError::of(error)),
    }
}

/// The head as HTTP/2 has it (RFC 9113, section 8.3.1).
fn head(origin: &Origin, parts: &request::Parts, body: &RequestBody) -> Result<Request<()>, http::Error> {
    let host = parts.headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder()
        .scheme(origin.scheme.clone())
        .authority(host.unwrap_or_else(|| origin.authority.clone()))
        .path_and_query(path)
        .build()?;
    let mut head = Request::new(());
    *head.method_mut() = parts.method.clone();
    *head.uri_mut() = uri;
    *head.version_mut() = Version::HTTP_2;
    *head.headers_mut() = fields(&parts.method, &parts.headers, body);
    Ok(head)
}

fn fields(method: &Method, given: &HeaderMap, body: &RequestBody) -> HeaderMap {
    let mut fields = given.clone();
    for name in &CONNECTION_FIELDS {
        fields.remove(name);
    }
    // As HTTP/1.1 has it: a method that means a body tells that there is none, too.
    let has_body = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || has_body) {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    fields
}

/// An answer's body on its stream. Dropped before its end, it resets the stream (CANCEL).
pub(in crate::upstream) struct Streamed {
    body: RecvStream,
    /// The rest of the request, and the place on the connection, until the answer is over.
    alive: Option<(Sending, Place)>,
    /// What is left are trailers, otherwise.
    has_data: bool,
}

impl Streamed {
    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        self.alive.is_none() || self.body.is_end_stream()
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let Some((sending, _)) = &mut self.alive else { return Poll::Ready(None) };
        // An answer may begin before its request is whole.
        let _ = sending.poll(cx);
        let frame = ready!(self.poll_next(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.alive = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| UpstreamError::of(&error))))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        while self.has_data {
            match ready!(self.body.poll_data(cx)) {
                // Empty frames say nothing.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    // Whoever takes it holds on to little; the next piece is asked for when this one is on its way.
                    let released = self.body.flow_control().release_capacity(bytes.len());
                    return Poll::Ready(Some(released.map(|()| Frame::data(bytes))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.has_data = false,
            }
        }
        let trailers = ready!(self.body.poll_trailers(cx));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }
}
