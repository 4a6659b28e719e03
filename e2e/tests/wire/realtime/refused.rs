//! What does not become a session.

use relay_snapshot::Snapshot;
use tokio_tungstenite::tungstenite::Error;

use super::talk::{HANDSHAKE, PATH, Talk, bearer, dial};
use crate::config::{self, KEY};
use crate::house::House;
use crate::raw::Client;
use crate::stub::{Stub, Then};

#[tokio::test]
async fn what_is_no_handshake_or_has_no_route_is_refused_and_reaches_nobody() {
    let good = HANDSHAKE;
    let path = format!("{PATH}m");
    let key = format!("authorization: Bearer {KEY}\r\n");
    for (path, headers, status, code) in [
        (&*path, good.to_owned(), 401, "key_missing"),
        (&path, format!("{good}sec-websocket-protocol: openai-insecure-api-key.wrong\r\n"), 401, "key_unknown"),
        (
            &path,
            format!("{good}{key}sec-websocket-protocol: openai-insecure-api-key.wrong\r\n"),
            400,
            "conflicting_credentials",
        ),
        (&path, key.clone() + &good.replace("13", "8"), 400, "bad_request"),
        (&path, key.clone() + &good.replace("dGhl", ""), 400, "bad_request"),
        (&path, key.clone() + good + "content-length: 3\r\n", 400, "bad_request"),
        (&path, key.clone() + good + "transfer-encoding: chunked\r\n", 400, "bad_request"),
        ("/v1/chat/completions", key.clone() + good, 400, "bad_request"),
        ("/v1/messages", key.clone() + good, 400, "bad_request"),
        ("/nowhere", key.clone() + good, 404, "no_route"),
    ] {
        let (house, provider) = House::simple().await;
        let mut client = Client::connect(house.addr).await;
        client.send("GET", path, &headers, b"").await;
        let body = if headers.contains("chunked") { "1\r\na\r\n0\r\n\r\n" } else { "abc" };
        client.write(if headers.contains("-length") || headers.contains("chunked") { body } else { "" }).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (status, Some(code)), "{path} {headers}");
        assert_eq!(answer.header("sec-websocket-version"), (status == 400).then_some("13"));
        assert_eq!(provider.requests().len(), 0);
    }
}

#[tokio::test]
async fn other_upgrades_are_ignored() {
    let (house, provider) = House::simple().await;
    let headers = crate::house::headers(KEY) + "connection: upgrade\r\nupgrade: h2c\r\nsec-websocket-protocol: x\r\n";
    let mut client = Client::connect(house.addr).await;
    client.send("POST", crate::house::CHAT, &headers, crate::house::chat("fake-ok").as_bytes()).await;
    assert_eq!(client.next_answer().await.status, 200);
    let up = &provider.requests()[0].request;
    assert_eq!((up.header("upgrade"), up.header("sec-websocket-protocol")), (None, None));
}

#[tokio::test]
async fn an_answer_other_than_101_passes_and_nothing_behind_the_handshake_goes_up() {
    for (model, status) in [("fake-403", 403), ("fake-429", 429), ("fake-nonsense", 404)] {
        let (house, provider) = House::simple().await;
        let mut client = Client::connect(house.addr).await;
        let behind = format!("GET /v1/models HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {KEY}\r\n\r\n");
        client
            .write(format!(
                "GET {PATH}{model} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {KEY}\r\n{HANDSHAKE}\r\n{behind}"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
        assert!(answer.json()["error"]["message"].is_string());
        assert_eq!(house.ends(1).await, [format!("{status} Complete")]);
        assert_eq!(provider.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_101_that_does_not_answer_the_handshake_is_a_broken_upstream() {
    let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let good = format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n{accept}");
    for answer in [
        good.replace("s3pP", "s3pQ"),
        good.replace(accept, ""),
        good.replace("upgrade: websocket", "upgrade: h2c"),
        format!("{good}sec-websocket-extensions: permessage-deflate\r\n"),
    ] {
        let stub = Stub::answering(format!("{answer}\r\n"), Then::Stay).await;
        let house = House::new(&config::simple(stub.addr)).await;
        let refused = dial(&house, &format!("{PATH}m"), &bearer()).await;
        let Err(error) = refused else { unreachable!("a session with {answer}") };
        assert!(matches!(&*error, Error::Http(answer) if answer.status() == 502), "{error:?}");
        house.ended(502, "UpstreamError", Some("upstream_protocol")).await;
    }
}

#[tokio::test]
async fn sessions_count_towards_the_requests_limit() {
    let provider = crate::house::provider().await;
    let snapshot = Snapshot { tenants: vec![config::limited("a", 1, 86_400, 1)], ..config::simple(provider.addr()) };
    let house = House::new(&snapshot).await;
    let talk = Talk::to(&house, "fake-ok").await;
    assert_eq!(talk.answer.headers()["x-ratelimit-remaining-requests"], "0");
    let refused = dial(&house, &format!("{PATH}fake-ok"), &bearer()).await.err().expect("refused");
    assert!(matches!(&*refused, Error::Http(answer) if answer.status() == 429), "{refused:?}");
    drop(talk);
    assert_eq!(house.ends(2).await, ["101 ClientGone", "429 LimitReached"]);
}
