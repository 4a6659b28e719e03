use std::sync::Arc;

use super::{Ended, Log, MAX_REQUESTS, MAX_WEIGHT, Received};

fn received(n: u64, body_text: String) -> Received {
    Received {
        n,
        method: "POST".into(),
        path: "/v1/messages".into(),
        query: String::new(),
        protocol: "h1".into(),
        headers: Vec::new(),
        body_bytes: body_text.len(),
        body_sha256: String::new(),
        body_text,
        model: None,
        started_ms: 0,
    }
}

#[test]
fn the_log_forgets_the_oldest_beyond_its_number() {
    let log = Arc::new(Log::new());
    for _ in 0..MAX_REQUESTS + 5 {
        log.begin(received(log.number(), String::new())).end(Ended::Complete);
    }
    let kept = log.requests(0);
    assert_eq!((kept.len(), kept[0].request.n), (MAX_REQUESTS, 6));
    assert_eq!(log.requests(MAX_REQUESTS as u64).len(), 5);
    assert_eq!(log.live(), 0);
}

#[test]
fn the_log_forgets_the_oldest_beyond_its_weight() {
    let log = Arc::new(Log::new());
    let body = "x".repeat(MAX_WEIGHT / 4);
    for _ in 0..10 {
        log.begin(received(log.number(), body.clone())).end(Ended::Complete);
    }
    assert_eq!(log.requests(0).len(), 3);
    log.clear();
    assert!(log.requests(0).is_empty());
    assert_eq!(log.number(), 11);
}

#[test]
fn an_exchange_that_is_dropped_is_a_client_that_went_away() {
    let log = Arc::new(Log::new());
    let exchange = log.begin(received(1, String::new()));
    exchange.sent(7);
    assert_eq!((log.live(), log.requests(0)[0].outcome.ended), (1, None));
    drop(exchange);
    let outcome = &log.requests(0)[0].outcome;
    assert_eq!((outcome.ended, outcome.bytes_sent, outcome.chunks_sent), (Some(Ended::ClientGone), 7, 1));
    assert_eq!(log.live(), 0);
}
