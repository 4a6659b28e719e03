//! The same over h2c.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use relay_e2e::provider::Ended;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{LIMIT, chat, provider, wait_for};

async fn connect(addr: SocketAddr) -> SendRequest<Full<Bytes>> {
    let tcp = TcpStream::connect(addr).await.expect("connects");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.expect("speaks h2c");
    // A reset of the connection is what some of these tests are about.
    tokio::spawn(async move { connection.await.err() });
    sender
}

async fn post(sender: &mut SendRequest<Full<Bytes>>, model: &str) -> Response<Incoming> {
    let request = Request::post("http://fake/v1/chat/completions")
        .header("authorization", "Bearer k")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(chat(model))))
        .expect("a request");
    sender.send_request(request).await.expect("a head")
}

/// Everything up to the end, and what the end was when it was not clean.
async fn read(mut body: Incoming) -> (Vec<u8>, Option<hyper::Error>) {
    let mut bytes = Vec::new();
    loop {
        match timeout(LIMIT, body.frame()).await.expect("the end comes") {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().expect("no trailers")),
            Some(Err(error)) => return (bytes, Some(error)),
            None => return (bytes, None),
        }
    }
}

#[tokio::test]
async fn a_cut_resets_the_stream_and_leaves_the_connection() {
    let provider = provider().await;
    let mut sender = connect(provider.addr()).await;
    let (half, error) = read(post(&mut sender, "fake-cut").await.into_body()).await;
    assert!(error.is_some());
    assert_eq!(half.windows(2).filter(|two| two == b"\n\n").count(), 1 + 8, "all that came before has arrived");
    assert!(!half.ends_with(b"\n\n"));
    let (whole, error) = read(post(&mut sender, "fake-ok").await.into_body()).await;
    assert!(error.is_none());
    assert!(whole.ends_with(b"data: [DONE]\n\n"));
    assert!(provider.requests().iter().all(|one| one.request.protocol == "h2"));
}

#[tokio::test]
async fn a_reset_takes_the_connection_down() {
    let provider = provider().await;
    let mut sender = connect(provider.addr()).await;
    let (half, error) = read(post(&mut sender, "fake-reset").await.into_body()).await;
    assert!(error.is_some());
    assert_eq!(half.windows(2).filter(|two| two == b"\n\n").count(), 1 + 8);
    timeout(LIMIT, async { while sender.ready().await.is_ok() {} }).await.expect("no more requests");
}

#[tokio::test]
async fn a_stream_that_the_client_gives_up_is_noticed() {
    let provider = provider().await;
    let mut sender = connect(provider.addr()).await;
    let response = post(&mut sender, "fake-stall").await;
    drop(response);
    let requests = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
    assert_eq!((requests[0].outcome.ended, provider.live()), (Some(Ended::ClientGone), 0));
}
