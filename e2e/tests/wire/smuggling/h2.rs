//! Requests of HTTP/2 that would be others in HTTP/1.1, which most upstreams speak (RFC 9113, section 8.2.1 and 8.3).

use std::net::Ipv4Addr;

use relay_snapshot::Provider;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{HIDDEN, body};
use crate::config::{KEY, backend, route, snapshot};
use crate::frames::{self, Came, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, block, frame};
use crate::house::{CHAT, House, eventually};
use crate::raw::LIMIT;

/// What the relay says to the request on stream 1: its answer, or how it broke it off.
async fn outcome(house: &House, headers: &[(&str, &str)], data: Option<&str>) -> Option<Came> {
    let mut connection = Frames::connect(house.addr).await;
    let end = if data.is_none() { END_STREAM } else { 0 };
    let mut bytes = frame(HEADERS, END_HEADERS | end, 1, &block(headers));
    if let Some(data) = data {
        bytes.extend(frame(DATA, END_STREAM, 1, data.as_bytes()));
    }
    connection.write(&bytes).await;
    loop {
        let came = connection.next().await?;
        if came.kind == GOAWAY || (came.stream == 1 && matches!(came.kind, HEADERS | RST_STREAM)) {
            return Some(came);
        }
    }
}

/// A good request with these headers more, or others in place of those of the same name that begin with a colon.
fn with<'a>(authorization: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![(":method", "POST"), (":scheme", "http"), (":path", CHAT), (":authority", "relay")];
    headers.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    headers.splice(0..0, more.iter().filter(|(name, value)| name.starts_with(':') && *value != "-").copied());
    headers.extend([("authorization", authorization), ("content-type", "application/json")]);
    headers.extend(more.iter().filter(|(name, _)| !name.starts_with(':')));
    headers
}

#[tokio::test]
async fn requests_that_would_be_others_in_http_1_are_refused() {
    let hidden = format!("a\r\n\r\nGET {HIDDEN} HTTP/1.1\r\nhost: relay\r\n\r\n");
    let in_path = format!("/v1/models HTTP/1.1\r\nhost: relay\r\n\r\nGET {HIDDEN}");
    let in_method = format!("GET {HIDDEN} HTTP/1.1\r\n\r\nPOST");
    let payloads: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("CR LF in a value", vec![("x", "a\r\nb: c")]),
        ("a request in a value", vec![("x", &hidden)]),
        ("LF in a value", vec![("x", "a\nb: c")]),
        ("CR in a value", vec![("x", "a\rb")]),
        ("zero in a value", vec![("x", "a\0b")]),
        ("CR LF in a name", vec![("a: b\r\nx", "c")]),
        ("colon in a name", vec![("x: y", "z")]),
        ("space in a name", vec![("x y", "z")]),
        ("capitals in a name", vec![("Transfer-Encoding", "chunked")]),
        ("no name", vec![("", "x")]),
        ("a request in the path", vec![(":path", &in_path)]),
        ("a space in the path", vec![(":path", "/v1/models /v1/hidden")]),
        ("no path", vec![(":path", "")]),
        ("a star for a path", vec![(":method", "GET"), (":path", "*")]),
        ("a path without its slash", vec![(":path", "v1/models")]),
        ("a request in the method", vec![(":method", &in_method)]),
        ("a space in the method", vec![(":method", "POST /v1/hidden")]),
        ("CR LF in the authority", vec![(":authority", "relay\r\nx: y")]),
        ("a user in the authority", vec![(":authority", "user@relay")]),
        ("a path in the authority", vec![(":authority", "relay/x")]),
        ("a space in the authority", vec![(":authority", "relay other")]),
        ("another host", vec![("host", "other")]),
        ("two hosts", vec![("host", "relay"), ("host", "relay")]),
        ("a malformed host alone", vec![(":authority", "-"), ("host", "relay, other")]),
        ("no host at all", vec![(":authority", "-")]),
        ("chunks", vec![("transfer-encoding", "chunked")]),
        ("chunks under a false name", vec![("transfer_encoding", "chunked")]),
        ("a connection header", vec![("connection", "close")]),
        ("keep-alive", vec![("keep-alive", "timeout=5")]),
        ("proxy-connection", vec![("proxy-connection", "close")]),
        ("an upgrade", vec![("upgrade", "websocket")]),
        ("TE of more than trailers", vec![("te", "gzip")]),
        ("a length that is too short", vec![("content-length", "1")]),
        ("a length that is too long", vec![("content-length", "9999")]),
        ("a length of 0", vec![("content-length", "0")]),
        ("two lengths", vec![("content-length", "0"), ("content-length", "5")]),
        ("a length with a sign", vec![("content-length", "+5")]),
        ("a list of lengths", vec![("content-length", "5, 5")]),
        ("an expectation", vec![("expect", "x")]),
        ("an unknown pseudo-header", vec![(":hidden", "x")]),
        ("a pseudo-header of answers", vec![(":status", "200")]),
        ("a tunnel", vec![(":method", "CONNECT"), (":scheme", "-"), (":path", "-")]),
    ];
    let (house, provider) = House::simple().await;
    let (authorization, body) = (format!("Bearer {KEY}"), body());
    for (name, more) in &payloads {
        let came = outcome(&house, &with(&authorization, more), Some(&body)).await;
        let is_answered_well = came.as_ref().is_some_and(|came| came.kind == HEADERS && came.status() == 200);
        assert!(!is_answered_well, "{name}: {came:?}");
        let whole = provider.requests().into_iter().filter(|one| one.outcome.status == Some(200)).count();
        assert_eq!(whole, 0, "{name}: {:?}", provider.requests());
    }
    assert!(payloads.len() >= 40, "{}", payloads.len());
    eventually("all connections end", || house.proxy.metrics.active_connections.get() == 0).await;
}

#[tokio::test]
async fn what_agrees_is_served() {
    let (house, provider) = House::simple().await;
    let (authorization, body) = (format!("Bearer {KEY}"), body());
    let length = body.len().to_string();
    for more in [
        vec![],
        vec![("host", "relay")],
        vec![("host", "RELAY:80")],
        vec![(":authority", "-"), ("host", "relay")],
        vec![("content-length", length.as_str())],
        vec![("te", "trailers")],
        vec![("expect", "100-continue")],
    ] {
        let came = outcome(&house, &with(&authorization, &more), Some(&body)).await.expect("an answer");
        assert_eq!((came.kind, came.status()), (HEADERS, 200), "{more:?}");
    }
    let last = provider.requests().pop().expect("requests");
    assert_eq!((last.request.header("te"), last.request.header("expect")), (None, None));
}

#[tokio::test]
async fn half_a_body_does_not_go_up_as_a_whole_one() {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let backend = backend(Provider::OpenAI, upstream.local_addr().expect("an address"));
    let house = House::new(&snapshot(vec![route("r", "/", vec![backend])])).await;
    let authorization = format!("Bearer {KEY}");
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL] {
        let mut connection = Frames::connect(house.addr).await;
        let head = frame(HEADERS, END_HEADERS, 1, &block(&with(&authorization, &[])));
        connection.write(&[head, frame(DATA, 0, 1, b"the first half")].concat()).await;
        let (mut tcp, _) = timeout(LIMIT, upstream.accept()).await.expect("in time").expect("a connection");
        let mut came = Vec::new();
        while !String::from_utf8_lossy(&came).contains("the first half\r\n") {
            let read = timeout(LIMIT, tcp.read_buf(&mut came)).await.expect("in time").expect("bytes");
            assert!(read > 0, "{}", String::from_utf8_lossy(&came));
        }
        connection.write(&frame(RST_STREAM, 0, 1, &u32::from(reason).to_be_bytes())).await;
        // Closed or reset: what counts is that it never got the last chunk.
        let _ = timeout(LIMIT, tcp.read_to_end(&mut came)).await.expect("in time");
        let came = String::from_utf8_lossy(&came);
        assert!(came.ends_with("the first half\r\n"), "{reason:?}: {came}");
    }
}

#[tokio::test]
async fn two_pseudo_headers_of_a_kind_are_refused() {
    let (house, provider) = House::simple().await;
    let (authorization, body) = (format!("Bearer {KEY}"), body());
    for (name, value) in [(":path", HIDDEN), (":authority", "other"), (":method", "GET"), (":scheme", "https")] {
        let mut headers = with(&authorization, &[]);
        headers.insert(0, (name, value));
        let came = outcome(&house, &headers, Some(&body)).await;
        assert!(
            came.as_ref().is_none_or(|came| came.kind != frames::HEADERS || came.status() == 400),
            "{name}: {came:?}"
        );
        // Behind the others it is not allowed either.
        let mut headers = with(&authorization, &[]);
        headers.push((name, value));
        let came = outcome(&house, &headers, Some(&body)).await;
        assert!(
            came.as_ref().is_none_or(|came| came.kind != frames::HEADERS || came.status() == 400),
            "{name}: {came:?}"
        );
    }
    assert!(provider.requests().is_empty());
}
