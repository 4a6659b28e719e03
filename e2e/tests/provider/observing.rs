//! The log, the clock, the life of the provider.

use std::time::Duration;

use relay_e2e::provider::{Config, Ended, Provider, script};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{End, LIMIT, OPENAI, chat, get, open, post, provider, send, stream, wait_for};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_client_that_leaves_is_noticed_while_the_stream_is_silent() {
    let provider = provider().await;
    let mut client = open(provider.addr(), "POST", CHAT, OPENAI, &chat("fake-stall-1h")).await;
    wait_for(&provider, |requests| requests.iter().any(|one| one.outcome.chunks_sent == 9)).await;
    let mut bytes = [0; 512];
    let read = timeout(LIMIT, client.read(&mut bytes)).await.expect("no wait").expect("bytes");
    assert!(bytes[..read].starts_with(b"HTTP/1.1 200"));
    assert_eq!(provider.live(), 1);
    drop(client);
    let requests = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
    assert_eq!((requests[0].outcome.ended, provider.live()), (Some(Ended::ClientGone), 0));
    assert!(requests[0].outcome.ended_ms >= requests[0].outcome.last_byte_ms);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_noticed() {
    let provider = provider().await;
    let client = open(provider.addr(), "POST", CHAT, OPENAI, &chat("fake-slow-first-1h")).await;
    wait_for(&provider, |requests| requests.len() == 1).await;
    drop(client);
    let requests = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
    let outcome = &requests[0].outcome;
    assert_eq!((outcome.ended, outcome.status, outcome.bytes_sent), (Some(Ended::ClientGone), None, 0));
}

#[tokio::test]
async fn a_request_is_recorded_as_it_came() {
    let provider = provider().await;
    let body = chat("gpt-4o");
    let answer = post(provider.addr(), &format!("{CHAT}?a=1"), OPENAI, &body).await;
    let requests = wait_for(&provider, |requests| requests[0].outcome.ended == Some(Ended::Complete)).await;
    let (request, outcome) = (&requests[0].request, &requests[0].outcome);
    assert_eq!(
        (request.n, request.method.as_str(), request.path.as_str(), request.query.as_str()),
        (1, "POST", CHAT, "a=1")
    );
    assert_eq!((request.protocol.as_str(), request.model.as_deref()), ("h1", Some("gpt-4o")));
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "connection", "authorization", "content-type", "content-length"]);
    assert_eq!(request.header("authorization"), Some("Bearer k"));
    assert_eq!((request.body_text.as_str(), &request.body_sha256), (body.as_str(), &script::sha256(body.as_bytes())));
    assert_eq!((outcome.status, outcome.bytes_sent), (Some(200), answer.body().len() as u64));
}

#[tokio::test]
async fn the_log_is_read_and_emptied_over_http() {
    let provider = provider().await;
    let addr = provider.addr();
    stream(&provider, "fake-tokens-1").await;
    stream(&provider, "fake-tokens-2").await;
    wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    let list = get(addr, "/_fake/requests?after=1").await.json();
    assert_eq!((list.as_array().map(Vec::len), &list[0]["model"]), (Some(1), &json!("fake-tokens-2")));
    assert_eq!((&list[0]["n"], &list[0]["ended"], &list[0]["protocol"]), (&json!(2), &json!("complete"), &json!("h1")));
    assert_eq!(get(addr, "/_fake/requests?after=x").await.status, 400);
    assert_eq!(get(addr, "/_fake/live").await.json(), json!({"live": 0}));
    assert_eq!(get(addr, "/_fake/health").await.status, 200);
    assert_eq!(get(addr, "/_fake/script?tokens=7").await.text(), script::text(7));
    assert_eq!(get(addr, "/_fake/audio-sha256?bytes=70000").await.text(), script::audio_sha256(70_000));
    assert_eq!(get(addr, "/_fake/audio-sha256").await.status, 400);
    assert_eq!(send(addr, "DELETE", "/_fake/requests", "", "").await.status, 200);
    assert!(provider.requests().is_empty());
    stream(&provider, "fake-ok").await;
    assert_eq!(provider.requests()[0].request.n, 3, "numbers go on");
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_moves_the_gaps() {
    let provider = provider().await;
    let answer = stream(&provider, "fake-slow-first-60s-slow-body-60s-gap-1h-tokens-3").await;
    assert_eq!((answer.end, answer.chunks.len()), (End::Clean, 6));
    let requests = provider.wait_for(|requests| requests[0].outcome.ended.is_some()).await;
    let (started, outcome) = (requests[0].request.started_ms, &requests[0].outcome);
    let after = |time: Option<u64>| Duration::from_millis(time.expect("happened") - started).as_secs();
    assert_eq!((after(outcome.head_ms), after(outcome.first_byte_ms)), (60, 120));
    assert_eq!(after(outcome.ended_ms), 120 + 2 * 3600);
}

#[tokio::test]
async fn stop_lets_a_stream_end_and_closes_the_port() {
    let provider = provider().await;
    let addr = provider.addr();
    let mut client = open(addr, "POST", CHAT, OPENAI, &chat("fake-tokens-3-gap-50ms")).await;
    wait_for(&provider, |requests| requests.iter().any(|one| one.outcome.chunks_sent > 0)).await;
    timeout(LIMIT, provider.stop()).await.expect("stops by itself");
    let mut text = String::new();
    client.read_to_string(&mut text).await.expect("an answer");
    assert!(text.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{text}");
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn stop_closes_what_outlives_the_grace() {
    let provider = Provider::start(Config { grace: Duration::ZERO, ..Config::default() }).await.expect("a free port");
    let mut client = open(provider.addr(), "POST", CHAT, OPENAI, &chat("fake-stall")).await;
    wait_for(&provider, |requests| requests.iter().any(|one| one.outcome.chunks_sent > 0)).await;
    timeout(LIMIT, provider.stop()).await.expect("does not wait for the stall");
    let mut bytes = Vec::new();
    timeout(LIMIT, client.read_to_end(&mut bytes)).await.expect("closed").expect("by a FIN");
    assert!(!bytes.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn dropping_the_provider_closes_its_connections() {
    let provider = provider().await;
    let mut client = open(provider.addr(), "POST", CHAT, OPENAI, &chat("fake-stall")).await;
    wait_for(&provider, |requests| requests.iter().any(|one| one.outcome.chunks_sent > 0)).await;
    drop(provider);
    let mut bytes = Vec::new();
    timeout(LIMIT, client.read_to_end(&mut bytes)).await.expect("closed").expect("by a FIN");
    assert!(!bytes.ends_with(b"0\r\n\r\n"));
}
