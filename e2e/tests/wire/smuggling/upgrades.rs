//! Bytes behind a request to upgrade, before its answer (the family of CVE-2026-2833), and HTTP/2 asked for in passing.

use super::{HIDDEN, body, hidden, post};
use crate::config::KEY;
use crate::house::{House, eventually, headers};
use crate::raw::Client;

#[tokio::test]
async fn what_stands_behind_a_request_to_upgrade_reaches_nobody() {
    let (house, provider) = House::simple().await;
    let (body, hidden) = (body(), hidden());
    let length = format!("content-length: {}\r\n", body.len());
    let websocket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n";
    let h2c = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let payloads = [
        post(websocket, &hidden),
        post(h2c, &hidden),
        post(h2c, preface),
        post(&format!("{websocket}{length}"), &format!("{body}{hidden}")),
        post(&format!("{h2c}{length}"), &format!("{body}{hidden}")),
        post(&format!("{h2c}{length}"), &format!("{body}{preface}{hidden}")),
        post(&format!("upgrade: h2c\r\n{length}"), &format!("{body}{hidden}")),
        post(
            &format!("connection: upgrade\r\nupgrade: tls/1.2, x\r\n{length}"),
            &format!("{body}\u{16}\u{3}\u{1}{hidden}"),
        ),
        post(&format!("connection: upgrade\r\nupgrade: connect-tcp\r\n{length}"), &format!("{body}{hidden}")),
        post(&format!("{websocket}transfer-encoding: chunked\r\n"), &format!("{}0\r\n\r\n{hidden}", super::chunk())),
    ];
    for bytes in payloads {
        let mut client = Client::connect(house.addr).await;
        client.write(&bytes).await;
        let first = client.next_answer().await;
        assert_ne!(first.status, 101, "{bytes}");
        if first.header("connection") != Some("close") {
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.header("x-relay-error")), (400, Some("bad_request")), "{bytes}");
        }
        assert!(provider.requests().iter().all(|one| one.request.path != HIDDEN), "{bytes}");
        assert!(provider.requests().iter().all(|one| one.request.header("upgrade").is_none()), "{bytes}");
    }
    eventually("all connections end", || house.proxy.metrics.active_connections.get() == 0).await;
}

#[tokio::test]
async fn a_client_that_asks_for_http_2_in_passing_goes_on_with_http_1() {
    let (house, _provider) = House::simple().await;
    let mut client = Client::connect(house.addr).await;
    for _ in 0..3 {
        let lines = format!(
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: \r\ncontent-length: {}\r\n",
            body().len()
        );
        client.write(post(&lines, &body())).await;
        let answer = client.next_answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn frames_and_requests_that_do_not_wait_for_the_tunnel_reach_nobody() {
    let handshake = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n";
    let head = format!("GET /v1/realtime?model=fake-ok HTTP/1.1\r\nhost: relay\r\n{}{handshake}\r\n", headers(KEY));
    for early in [hidden(), "\u{1}\u{1}early".to_owned()] {
        let (house, provider) = House::simple().await;
        let mut client = Client::connect(house.addr).await;
        client.write(format!("{head}{early}")).await;
        // No tunnel, no answer: what came may have been meant for either.
        assert!(client.closes().await);
        eventually("all connections end", || house.proxy.metrics.active_connections.get() == 0).await;
        assert!(provider.requests().iter().all(|one| one.request.path != HIDDEN));
    }
    // The same handshake alone is one.
    let (house, _provider) = House::simple().await;
    let mut client = Client::connect(house.addr).await;
    client.write(&head).await;
    assert!(client.read_text("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
}
