//! Request bodies as the listener gets them.

use crate::upstream::{Received, RequestBodyError};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::pending;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

/// The body of a request with this framing, and the client's end of its connection.
pub(crate) async fn received(framing: &str) -> (Received, DuplexStream) {
    let (mut client, server) = duplex(4 << 20);
    let (sender, mut bodies) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        sender.send(request.into_body()).unwrap();
        pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
    client.write_all(format!("POST / HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n").as_bytes()).await.unwrap();
    (Received::new(bodies.recv().await.unwrap(), Version::HTTP_11), client)
}

/// The body of a request in HTTP/2, and the client's end of its stream.
async fn received_over_http2() -> (Received, h2::SendStream<Bytes>) {
    let (client, server) = duplex(1 << 16);
    let (sender, mut bodies) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        sender.send(request.into_body()).unwrap();
        pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(server), service));
    let (mut requests, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://relay/").body(()).unwrap();
    let (answer, stream) = requests.send_request(request, false).unwrap();
    tokio::spawn(answer);
    (Received::new(bodies.recv().await.unwrap(), Version::HTTP_2), stream)
}

#[tokio::test]
async fn a_stream_that_its_client_resets_is_no_whole_body() {
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL] {
        let (mut body, mut stream) = received_over_http2().await;
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        stream.send_reset(reason);
        assert_eq!(body.frame().await.unwrap().unwrap_err(), RequestBodyError::Gone, "{reason:?}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_a_whole_body_with_trailers_or_without() {
    for trailers in [false, true] {
        let (mut body, mut stream) = received_over_http2().await;
        stream.send_data(Bytes::from_static(b"whole"), !trailers).unwrap();
        if trailers {
            stream.send_trailers(HeaderMap::new()).unwrap();
        }
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "whole");
        while let Some(frame) = body.frame().await {
            assert!(frame.unwrap().is_trailers());
        }
    }
}
