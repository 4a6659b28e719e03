//! The same over HTTP/2 without TLS.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use relay_e2e::provider::{Ended, Recorded, script};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{CREDENTIAL, KEY};
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, message, speech, wait_for};
use crate::raw::LIMIT;

pub(crate) struct H2 {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<Result<(), hyper::Error>>,
}

pub(crate) async fn connect(addr: SocketAddr) -> H2 {
    let tcp = TcpStream::connect(addr).await.expect("connects");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.expect("speaks h2c");
    H2 { sender, connection: tokio::spawn(connection) }
}

/// What came of an answer.
pub(crate) struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    pub(crate) whole: bool,
}

impl H2 {
    pub(crate) async fn open(&mut self, path: &str, body: &str) -> http::Response<Incoming> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://relay.example{path}"))
            .header("authorization", format!("Bearer {KEY}"))
            .header("anthropic-version", "2023-06-01")
            .header("content-type", "application/json")
            .header("cookie", "a=b")
            .body(Full::new(Bytes::from(body.to_owned())))
            .expect("a request");
        timeout(LIMIT, self.sender.send_request(request)).await.expect("in time").expect("a head")
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Got {
        let (head, mut body) = self.open(path, body).await.into_parts();
        let mut got = Got { status: head.status, headers: head.headers, body: Vec::new(), whole: true };
        while let Some(frame) = timeout(LIMIT, body.frame()).await.expect("in time") {
            let Ok(frame) = frame else {
                got.whole = false;
                break;
            };
            got.body.extend_from_slice(frame.data_ref().expect("no trailers"));
        }
        got
    }
}

#[tokio::test]
async fn answers_are_those_of_http_1() {
    let (house, provider) = House::simple().await;
    let mut h2 = connect(house.addr).await;
    let got = h2.post(CHAT, &chat("fake-tokens-50")).await;
    let first = house.chat("fake-tokens-50").await;
    assert_eq!((got.status, got.whole), (StatusCode::OK, true));
    let text = String::from_utf8(got.body).expect("UTF-8");
    assert_eq!(text.matches("\n\n").count(), first.text().matches("\n\n").count());
    assert!(text.ends_with("data: [DONE]\n\n"));
    assert_eq!(got.headers["x-relay-revision"], "aaaaaaaaaaaa");
    assert!(got.headers.get("connection").is_none() && got.headers.get("transfer-encoding").is_none());
    let got = h2.post(SPEECH, &speech("fake-bytes-1m")).await;
    assert_eq!((got.whole, script::sha256(&got.body)), (true, script::audio_sha256(1 << 20)));
    let requests = provider.requests();
    let request = &requests[0].request;
    assert_eq!((request.protocol.as_str(), request.header("cookie")), ("h1", None));
    assert_eq!(request.header("host"), Some(provider.addr().to_string().as_str()));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {CREDENTIAL}").as_str()));
    drop(h2);
    assert_eq!(house.ends(3).await, vec!["200 Complete"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_share_one_connection() {
    let (house, _provider) = House::simple().await;
    let h2 = connect(house.addr).await;
    let mut streams = tokio::task::JoinSet::new();
    for n in 0..60 {
        let mut h2 = H2 { sender: h2.sender.clone(), connection: tokio::spawn(async { Ok(()) }) };
        streams.spawn(async move {
            let got = h2.post(SPEECH, &speech(&format!("fake-bytes-{}-gap-1ms", 50_000 + n))).await;
            assert_eq!((got.whole, script::sha256(&got.body)), (true, script::audio_sha256(50_000 + n)));
        });
    }
    while let Some(done) = streams.join_next().await {
        done.expect("a whole answer");
    }
    assert_eq!(house.proxy.metrics.active_connections.get(), 1);
    drop(h2);
    assert_eq!(house.ends(60).await, vec!["200 Complete"; 60]);
}

#[tokio::test]
async fn failures_are_told_by_events_or_by_a_reset_of_the_stream_alone() {
    let (house, _provider) = House::simple().await;
    let mut h2 = connect(house.addr).await;
    let got = h2.post(CHAT, &chat("fake-cut-at-3")).await;
    let text = String::from_utf8(got.body).expect("UTF-8");
    assert!(got.whole && text.contains("upstream_reset") && text.ends_with("\n\n"), "{text}");
    let got = h2.post(MESSAGES, &message("fake-truncated-at-3")).await;
    let text = String::from_utf8(got.body).expect("UTF-8");
    assert!(got.whole && text.contains("event: error\ndata: "), "{text}");
    let got = h2.post(SPEECH, &speech("fake-bytes-64k-cut-at-5")).await;
    assert_eq!((got.status, got.whole), (StatusCode::OK, false));
    let got = h2.post("/nowhere", "{}").await;
    assert_eq!((got.status, got.headers["x-relay-error"].as_bytes()), (StatusCode::NOT_FOUND, b"no_route".as_slice()));
    assert!(h2.post(CHAT, &chat("fake-ok")).await.whole);
    drop(h2);
    assert_eq!(
        house.ends(5).await,
        ["200 Complete", "200 UpstreamError", "200 UpstreamError", "200 UpstreamError", "404 Refused"]
    );
}

#[tokio::test]
async fn a_stream_that_the_client_gives_up_is_cancelled_and_the_others_go_on() {
    let (house, provider) = House::simple().await;
    let mut h2 = connect(house.addr).await;
    let before_head = {
        let mut h2 = H2 { sender: h2.sender.clone(), connection: tokio::spawn(async { Ok(()) }) };
        tokio::spawn(async move { h2.open(CHAT, &chat("fake-slow-first-1h")).await.status() })
    };
    wait_for(&provider, |requests| requests.len() == 1).await;
    let mut mid = h2.open(CHAT, &chat("fake-stall-at-2")).await;
    timeout(LIMIT, mid.body_mut().frame()).await.expect("in time").expect("a frame").expect("data");
    before_head.abort();
    drop(mid);
    let gone = |requests: &[Recorded]| requests.iter().all(|one| one.outcome.ended == Some(Ended::ClientGone));
    wait_for(&provider, gone).await;
    assert!(h2.post(CHAT, &chat("fake-ok")).await.whole);
    drop(h2);
    assert_eq!(house.ends(3).await, ["200 ClientGone", "200 Complete", "499 ClientGone"]);
}

#[tokio::test]
async fn closing_says_goaway_and_lets_streams_finish() {
    let (house, _provider) = House::simple().await;
    let mut h2 = connect(house.addr).await;
    let mut running = h2.open(CHAT, &chat("fake-tokens-60-gap-2ms")).await;
    timeout(LIMIT, running.body_mut().frame()).await.expect("in time").expect("a frame").expect("data");
    house.proxy.drain.closing.cancel();
    // Once the client knows, it may not send more on this connection.
    timeout(LIMIT, async {
        while h2.sender.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a GOAWAY");
    let rest =
        timeout(LIMIT, running.into_body().collect()).await.expect("in time").expect("a whole stream").to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    drop(h2.sender);
    timeout(LIMIT, h2.connection).await.expect("closes").expect("no panic").expect("cleanly");
    timeout(LIMIT, house.accepting).await.expect("the listener ends").expect("without a panic");
}
