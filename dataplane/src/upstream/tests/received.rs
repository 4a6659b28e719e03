//! Request bodies as the listener gets them.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::pending;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

/// The body of a request with this framing, and the client's end of its connection.
pub(crate) async fn received(framing: &str) -> (Incoming, DuplexStream) {
    let (mut client, server) = duplex(4 << 20);
    let (sender, mut bodies) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        sender.send(request.into_body()).unwrap();
        pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
    client.write_all(format!("POST / HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n").as_bytes()).await.unwrap();
    (bodies.recv().await.unwrap(), client)
}
