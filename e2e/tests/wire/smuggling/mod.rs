//! Requests that two readers could take for different ones. Each payload carries a further request with a good key, hidden where a lenient reader
//! would find it: the provider never sees it, whatever else happens.

mod chunks;
mod codings;
mod h2;
mod hosts;
mod legal;
mod lengths;
mod lines;
mod pipelines;
mod upgrades;

use crate::config::KEY;
use crate::house::{CHAT, House, chat, eventually, headers, not_streamed};
use crate::raw::{Client, End};
use relay_e2e::provider::Provider;
use std::collections::BTreeSet;

/// Bytes of one connection, and what must come of them.
pub(super) struct Payload {
    name: String,
    bytes: Vec<u8>,
    wanted: Wanted,
}

/// What must come of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One answer with this status and a close; no provider answered anything.
    Refused(u16),
    /// The first request is answered well, then one more answer with this status and a close.
    Behind(u16),
    /// So many good answers, the last with a close: each request was sent as one.
    Legal(usize),
}

/// The path of the hidden request.
const HIDDEN: &str = "/v1/hidden";

/// The hidden request.
fn hidden() -> String {
    format!("GET {HIDDEN} HTTP/1.1\r\nhost: relay\r\n{}\r\n", headers(KEY))
}

/// The body of a good request.
fn body() -> String {
    not_streamed(&chat("fake-tokens-1"))
}

/// The same in one chunk, without the last.
fn chunk() -> String {
    let body = body();
    format!("{:x}\r\n{body}\r\n", body.len())
}

/// A good request but for these lines, and what comes behind its head.
fn post(lines: &str, rest: &str) -> String {
    format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{}{lines}\r\n{rest}", headers(KEY))
}

/// A good request.
fn good() -> String {
    post(&format!("content-length: {}\r\n", body().len()), &body())
}

/// A good request that is its connection's last.
fn last() -> String {
    post(&format!("connection: close\r\ncontent-length: {}\r\n", body().len()), &body())
}

fn payload(family: &str, name: &str, bytes: impl Into<Vec<u8>>, wanted: Wanted) -> Payload {
    Payload { name: format!("{family}: {name}"), bytes: bytes.into(), wanted }
}

/// Refused with 400 because of these header lines; the hidden request stands behind a body that is framed both ways.
fn refused_for(family: &str, lines: &[(&str, &str)]) -> Vec<Payload> {
    let rest = format!("0\r\n\r\n{}", hidden());
    lines.iter().map(|(name, line)| payload(family, name, post(line, &rest), Wanted::Refused(400))).collect()
}

async fn sent(house: &House, provider: &Provider, payload: &Payload) {
    let before = answered(provider);
    let mut client = Client::connect(house.addr).await;
    client.write(&payload.bytes).await;
    let name = &payload.name;
    let good = match payload.wanted {
        Wanted::Refused(_) => 0,
        Wanted::Behind(_) => 1,
        Wanted::Legal(answers) => answers - 1,
    };
    for _ in 0..good {
        let answer = client.next_answer().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let answer = client.answer().await;
    let (status, answers) = match payload.wanted {
        Wanted::Refused(status) => (status, 0),
        Wanted::Behind(status) => (status, 1),
        Wanted::Legal(answers) => (200, answers),
    };
    assert_eq!((answer.status, answer.end), (status, End::Clean), "{name}: {}", answer.text());
    if status != 200 {
        assert_eq!(answer.header("x-relay-error"), Some("bad_request"), "{name}");
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
    }
    assert_eq!(answered(provider) - before, answers, "{name}: {:?}", provider.requests());
    assert!(provider.requests().iter().all(|one| one.request.path != HIDDEN), "{name}: it was seen");
}

/// How many requests the provider took for whole.
fn answered(provider: &Provider) -> usize {
    provider.requests().iter().filter(|one| one.outcome.status.is_some_and(|status| status < 400)).count()
}

async fn all_sent(payloads: &[Payload], at_least: usize) {
    let names: BTreeSet<&str> = payloads.iter().map(|payload| payload.name.as_str()).collect();
    assert_eq!(names.len(), payloads.len(), "each has a name of its own");
    assert!(payloads.len() >= at_least, "{} payloads", payloads.len());
    let (house, provider) = House::simple().await;
    for payload in payloads {
        sent(&house, &provider, payload).await;
    }
    // No connection was left in a state in which it would wait for more.
    eventually("all connections end", || house.proxy.metrics.active_connections.get() == 0).await;
    assert_eq!(house.chat("fake-ok").await.status, 200, "and the relay goes on");
}

#[tokio::test]
async fn lengths_of_requests() {
    all_sent(&lengths::payloads(), 35).await;
}

#[tokio::test]
async fn codings_of_requests() {
    all_sent(&codings::payloads(), 35).await;
}

#[tokio::test]
async fn chunks_and_trailers() {
    all_sent(&chunks::payloads(), 45).await;
}

#[tokio::test]
async fn line_ends_and_header_lines() {
    all_sent(&lines::payloads(), 35).await;
}

#[tokio::test]
async fn hosts_and_targets() {
    all_sent(&hosts::payloads(), 35).await;
}

#[tokio::test]
async fn requests_behind_each_other() {
    all_sent(&pipelines::payloads(), 15).await;
}

#[tokio::test]
async fn what_looks_odd_and_is_legal() {
    all_sent(&legal::payloads(), 18).await;
}
