//! HTTP/2 to upstreams: many requests on one connection, and what one stream's end means for the others.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::uri::{Authority, Scheme};
use http::{Request, Response};
use http_body_util::BodyExt;
use relay_dataplane::table::Origin;
use relay_dataplane::upstream::{AHEAD, Connector, ConnectorOptions, Room, Target, Upload, Upstreams};
use relay_snapshot::{Backend, Provider};
use tokio::time::timeout;

use crate::config::{self, CREDENTIAL, backend, route};
use crate::house::{CHAT, House, SPEECH, chat, provider, speech};
use crate::raw::{Client, End, LIMIT};
use crate::secure::{Arrived, Manner, Order, Secure, event, finish};

/// A backend with TLS.
pub(crate) fn with_tls(addr: SocketAddr, ca: &str) -> Backend {
    Backend { url: format!("https://{addr}"), ca: Some(ca.to_owned()), ..backend(Provider::OpenAI, addr) }
}

async fn house_of(manner: Manner) -> (House, Secure) {
    let upstream = Secure::start(manner).await;
    let backends = vec![with_tls(upstream.addr, &upstream.ca)];
    (House::new(&config::snapshot(vec![route("r", "/", backends)])).await, upstream)
}

async fn ask(house: &House) -> Client {
    house.open(CHAT, &chat("m")).await
}

#[tokio::test]
async fn a_request_is_as_http_2_has_it() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let client = house.open(CHAT, &chat("m")).await;
    let mut arrived = upstream.next().await;
    let (uri, headers) = (arrived.request.uri().clone(), arrived.request.headers().clone());
    assert_eq!(uri.to_string(), format!("https://{}{CHAT}", upstream.addr));
    assert_eq!(headers["authorization"], format!("Bearer {CREDENTIAL}"));
    assert_eq!(headers["content-length"], chat("m").len().to_string());
    for name in ["host", "connection", "transfer-encoding", "keep-alive", "te", "upgrade"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(arrived.body().await, chat("m").as_bytes());
    finish(arrived.stream("one"));
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.end, answer.chat()), (200, End::Clean, ("one".into(), "[DONE]".into())));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn heads_without_bodies_early_hints_and_trailers_pass() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let headers = crate::house::headers(config::KEY);
    let client = Client::request(house.addr, "GET", "/v1/models?limit=2", &headers, b"").await;
    let mut arrived = upstream.next().await;
    assert_eq!(arrived.request.uri().path_and_query().expect("a path"), "/v1/models?limit=2");
    assert!(!arrived.request.headers().contains_key("content-length"));
    assert!(arrived.request.body().is_end_stream());
    arrived.answer.send_informational(Response::builder().status(103).body(()).expect("a head")).expect("open");
    arrived.answer.send_response(Response::builder().status(204).body(()).expect("a head"), true).expect("open");
    let text = client.whole().await;
    assert!(text.starts_with("HTTP/1.1 204 No Content\r\n") && text.ends_with("\r\n\r\n"), "{text}");

    let client = house.open(SPEECH, &speech("m")).await;
    let mut arrived = upstream.next().await;
    let mut stream = arrived.begin("audio/mpeg");
    stream.send_data("sound".into(), false).expect("open");
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().expect("a value"));
    stream.send_trailers(trailers).expect("open");
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.end), ("sound", End::Clean));
    assert_eq!(house.ends(2).await, ["200 Complete", "204 Complete"]);
}

#[tokio::test]
async fn a_crowd_shares_one_connection_and_is_answered_in_any_order() {
    const CROWD: usize = 60;
    let (house, mut upstream) = house_of(Manner::default()).await;
    let mut clients = BTreeMap::new();
    for n in 0..CROWD {
        clients.insert(format!("m{n}"), house.open(CHAT, &chat(&format!("m{n}"))).await);
    }
    let mut all = Vec::new();
    for _ in 0..CROWD {
        all.push(upstream.next().await);
    }
    let first = all[0].connection;
    assert!(all.iter().all(|one| one.connection == first), "all at once on one");
    for mut one in all.into_iter().rev() {
        let body: serde_json::Value = serde_json::from_slice(&one.body().await).expect("JSON");
        let model = body["model"].as_str().expect("a model").to_owned();
        finish(one.stream(&model));
        let answer = clients.remove(&model).expect("asked for").answer().await;
        assert_eq!((answer.end, answer.chat().0), (End::Clean, model));
    }
    let before = upstream.accepted();
    for _ in 0..10 {
        let client = ask(&house).await;
        finish(upstream.next().await.stream("again"));
        assert_eq!(client.answer().await.chat().0, "again");
    }
    assert_eq!(upstream.accepted(), before, "nobody connects again");
    assert_eq!(house.proxy.upstreams.idle(), 1);
}

#[tokio::test]
async fn the_upstreams_limit_of_streams_is_kept_and_more_connections_serve_the_rest() {
    let (house, mut upstream) = house_of(Manner { streams: 5, ..Manner::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(ask(&house).await);
    }
    let mut by_connection: BTreeMap<usize, Vec<Arrived>> = BTreeMap::new();
    for _ in 0..20 {
        let arrived = upstream.next().await;
        by_connection.entry(arrived.connection).or_default().push(arrived);
    }
    let streams: Vec<usize> = by_connection.values().map(Vec::len).collect();
    assert_eq!(streams, [5, 5, 5, 5]);
    for mut arrived in by_connection.into_values().flatten() {
        finish(arrived.stream("one"));
    }
    for client in clients {
        assert_eq!(client.answer().await.chat().0, "one");
    }
    assert_eq!(house.ends(20).await, vec!["200 Complete"; 20]);
}

/// The reason by which the relay reset a stream whose answer began.
async fn given_up(stream: &mut SendStream<Bytes>) -> Reason {
    let reset = poll_fn(|cx| stream.poll_reset(cx));
    timeout(LIMIT, reset).await.expect("the relay resets it").expect("the connection lives")
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_stream_and_no_other() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let (mut leaving, mut staying) = (ask(&house).await, ask(&house).await);
    let (mut a, mut b) = (upstream.next().await, upstream.next().await);
    let (mut cancelled, mut other) = (a.stream("same"), b.stream("same"));
    leaving.read_text("same").await;
    staying.read_text("same").await;
    drop(leaving);
    // Either may be the one of the client that left.
    let first_is_cancelled = tokio::select! {
        reason = given_up(&mut cancelled) => { assert_eq!(reason, Reason::CANCEL); true }
        reason = given_up(&mut other) => { assert_eq!(reason, Reason::CANCEL); false }
    };
    finish(if first_is_cancelled { other } else { cancelled });
    assert_eq!(staying.answer().await.end, End::Clean);

    let leaving = ask(&house).await;
    let mut arrived = upstream.next().await;
    drop(leaving);
    assert_eq!(arrived.given_up().await, Reason::CANCEL, "before the head");
    let client = ask(&house).await;
    let mut arrived = upstream.next().await;
    finish(arrived.stream("one"));
    assert_eq!((client.answer().await.end, arrived.connection), (End::Clean, 0));
    assert_eq!(house.ends(4).await, ["200 ClientGone", "200 Complete", "200 Complete", "499 ClientGone"]);
}

#[tokio::test]
async fn a_reset_stream_is_truncated_whatever_its_reason_says_and_the_others_go_on() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let other = ask(&house).await;
    let mut arrived = upstream.next().await;
    let other_stream = arrived.stream("other");
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let mut client = ask(&house).await;
        let mut arrived = upstream.next().await;
        let mut stream = arrived.stream("one");
        client.read_text("one").await;
        stream.send_reset(reason);
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.end), (200, End::Clean), "{reason:?}");
        assert_eq!(answer.last_event().1["error"]["code"], "upstream_reset", "{reason:?}");
    }
    let mut client = house.open(SPEECH, &speech("m")).await;
    let mut arrived = upstream.next().await;
    let mut stream = arrived.begin("audio/mpeg");
    stream.send_data("sound".into(), false).expect("open");
    client.read_text("sound").await;
    stream.send_reset(Reason::NO_ERROR);
    assert_ne!(client.answer().await.end, End::Clean);
    finish(other_stream);
    assert_eq!(other.answer().await.chat(), ("other".into(), "[DONE]".into()));
    let mut ends = vec!["200 Complete"];
    ends.extend(["200 UpstreamError"; 5]);
    assert_eq!(house.ends(6).await, ends);
}

#[tokio::test]
async fn a_lost_connection_ends_all_its_streams_with_the_error_event() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let mut clients = vec![ask(&house).await, ask(&house).await];
    let (mut a, mut b) = (upstream.next().await, upstream.next().await);
    let _streams = (a.stream("one"), b.stream("one"));
    for client in &mut clients {
        client.read_text("one").await;
    }
    a.order(Order::Cut).await;
    for client in clients {
        let answer = client.answer().await;
        assert_eq!((answer.end, &answer.last_event().1["error"]["code"]), (End::Clean, &"upstream_reset".into()));
    }
    let client = ask(&house).await;
    finish(upstream.next().await.stream("two"));
    assert_eq!(client.answer().await.chat().0, "two", "the next request connects anew");
    assert_eq!(house.ends(3).await, ["200 Complete", "200 UpstreamError", "200 UpstreamError"]);
}

#[tokio::test]
async fn a_connection_that_answers_no_ping_is_given_up_within_40_seconds() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let mut client = ask(&house).await;
    let mut arrived = upstream.next().await;
    let _stream = arrived.stream("one");
    client.read_text("one").await;
    arrived.order(Order::Freeze).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert_eq!(client.read_to_end().await, None);
    let waited = began.elapsed().as_secs();
    assert!((20..=41).contains(&waited), "{waited} s");
    assert_eq!(client.answer().await.last_event().1["error"]["code"], "upstream_reset");
}

#[tokio::test]
async fn a_live_connection_outlives_pings() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let mut client = ask(&house).await;
    let mut arrived = upstream.next().await;
    let stream = arrived.stream("one");
    client.read_text("one").await;
    tokio::time::pause();
    tokio::time::sleep(std::time::Duration::from_mins(10)).await;
    tokio::time::resume();
    finish(stream);
    assert_eq!(client.answer().await.chat(), ("one".into(), "[DONE]".into()));
}

#[tokio::test]
async fn goodbye_lets_running_streams_finish_and_sends_new_ones_elsewhere() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let running = ask(&house).await;
    let mut first = upstream.next().await;
    let stream = first.stream("one");
    first.order(Order::SayGoodbye).await;
    // Until the relay has read the goodbye, the connection serves on.
    let look = async {
        loop {
            let client = ask(&house).await;
            let mut arrived = upstream.next().await;
            finish(arrived.stream("two"));
            assert_eq!(client.answer().await.chat().0, "two");
            if arrived.connection != first.connection {
                return;
            }
        }
    };
    timeout(LIMIT, look).await.expect("another connection");
    finish(stream);
    assert_eq!(running.answer().await.chat(), ("one".into(), "[DONE]".into()));
    assert!(house.reasons().is_empty());
}

#[tokio::test]
async fn what_the_upstream_says_it_did_not_do_goes_out_again_whole_on_another_connection() {
    let (house, mut upstream) = house_of(Manner { disowns_first: true, ..Manner::default() }).await;
    let body = chat("m").replace("one two three", &"word ".repeat(2_000));
    let client = house.open(CHAT, &body).await;
    let mut arrived = upstream.next().await;
    assert_eq!(arrived.body().await, body.as_bytes());
    finish(arrived.stream("one"));
    assert_eq!(client.answer().await.chat().0, "one");
    assert_eq!((arrived.connection, upstream.accepted()), (1, 2));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn a_refused_stream_may_go_to_another_backend_with_its_whole_body() {
    let mut refusing = Secure::start(Manner::default()).await;
    let other = provider().await;
    let backends = vec![with_tls(refusing.addr, &refusing.ca), backend(Provider::OpenAI, other.addr())];
    let mut route = route("r", "/", backends);
    route.policy.retries = config::retrying(1);
    let house = House::new(&config::snapshot(vec![route])).await;
    let client = ask(&house).await;
    let mut arrived = refusing.next().await;
    assert_eq!(arrived.body().await, chat("m").as_bytes());
    arrived.answer.send_reset(Reason::REFUSED_STREAM);
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(other.requests()[0].request.body_sha256, relay_e2e::provider::script::sha256(chat("m").as_bytes()));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn a_stream_that_fails_before_its_head_is_not_sent_again() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR] {
        let (house, mut upstream) = house_of(Manner::default()).await;
        let client = ask(&house).await;
        upstream.next().await.answer.send_reset(reason);
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_reset")), "{reason:?}");
        house.ended(502, "UpstreamError", Some("upstream_reset")).await;
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_is_whole() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let mut client = Client::connect(house.addr).await;
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n{}", crate::house::headers(config::KEY));
    client.write(format!("{head}content-length: 10\r\n\r\n01234")).await;
    let mut arrived = upstream.next().await;
    let mut stream = arrived.stream("early");
    client.read_text("early").await;
    client.write("56789").await;
    assert_eq!(arrived.body().await, b"0123456789");
    stream.send_data(event("late"), false).expect("open");
    finish(stream);
    assert_eq!(client.answer().await.chat().0, "earlylate");
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_its_request_resets_the_stream() {
    let (house, mut upstream) = house_of(Manner::default()).await;
    let mut client = Client::connect(house.addr).await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{}", crate::house::headers(config::KEY));
    client.write(format!("{head}content-length: 10\r\n\r\n01234")).await;
    let mut arrived = upstream.next().await;
    drop(client);
    let mut part = Some(Ok(Bytes::new()));
    while let Some(Ok(_)) = part {
        part = timeout(LIMIT, arrived.request.body_mut().data()).await.expect("in time");
    }
    assert!(part.is_some(), "half a request must not look like a whole one");
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_stop_the_others_of_their_connection() {
    const WINDOW: usize = AHEAD;
    let mut upstream = Secure::start(Manner::default()).await;
    let options = ConnectorOptions { allow: vec!["127.0.0.1".parse().expect("a range")], ..Default::default() };
    let upstreams = Arc::new(Upstreams::new(Connector::new(options)));
    let authority = Authority::try_from(upstream.addr.to_string()).expect("an authority");
    let origin = Origin { scheme: Scheme::HTTPS, authority };
    let target = Target { origin, ca: Some(upstream.ca.as_str().into()), connect: None };
    let ask_one = || {
        let (upstreams, target) = (Arc::clone(&upstreams), target.clone());
        let body = Upload::new(Bytes::new(), None, 0, Room::default(), false, false).body(None);
        tokio::spawn(async move { upstreams.send(&target, Request::new(body)).await.map_err(|failed| failed.error) })
    };
    let mut unread = Vec::new();
    for _ in 0..20 {
        let asked = ask_one();
        let mut stream = upstream.next().await.begin("audio/mpeg");
        let mut sent = 0;
        while sent < WINDOW {
            stream.reserve_capacity(WINDOW - sent);
            let room = timeout(LIMIT, poll_fn(|cx| stream.poll_capacity(cx))).await.expect("there is room");
            let room = room.expect("open").expect("open").min(WINDOW - sent);
            stream.send_data(vec![0; room].into(), false).expect("open");
            sent += room;
        }
        unread.push((asked.await.expect("no panic").expect("an answer"), stream));
    }
    let asked = ask_one();
    let mut stream = upstream.next().await.begin("audio/mpeg");
    stream.send_data("heard".into(), true).expect("open");
    let answer = timeout(LIMIT, asked).await.expect("in time").expect("no panic").expect("an answer");
    assert_eq!(answer.into_body().collect().await.expect("whole").to_bytes(), "heard");
    // Reading goes on where it stopped, and makes room again.
    let (answer, mut stream) = unread.pop().expect("twenty");
    stream.send_data(vec![1; WINDOW].into(), true).expect("open");
    assert_eq!(answer.into_body().collect().await.expect("whole").to_bytes().len(), 2 * WINDOW);
}
