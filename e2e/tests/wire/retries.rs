//! Further attempts, before the first byte to the client and never after it.

use std::net::SocketAddr;
use std::time::Duration;

use relay_dataplane::balance;
use relay_e2e::provider::{Provider as Fake, script};
use relay_snapshot::{Backend, ModelRewrite, Policy, Provider, Route};
use tokio::time::{Instant, advance, pause, resume};

use crate::config::{self, KEY, backend, retrying, route};
use crate::house::{CHAT, House, MESSAGES, chat, headers, message, provider};
use crate::raw::{Client, End};
use crate::stub::{Stub, Then};

/// An answer of an upstream that is no stream.
fn plain(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// A stream of events in one chunk.
fn events(text: &str) -> String {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{text}\r\n0\r\n\r\n", text.len())
}

/// A route that tries these in their order, each only where the ones before it failed.
fn in_order(attempts: u32, backends: Vec<Backend>) -> Route {
    let numbered = (0_u32..).zip(backends);
    let backends = numbered.map(|(priority, backend)| Backend { priority, ..backend }).collect();
    Route { policy: Policy { retries: retrying(attempts), ..Policy::default() }, ..route("r", "/", backends) }
}

async fn house(route: Route) -> House {
    House::new(&config::snapshot(vec![route])).await
}

fn openai(addr: SocketAddr) -> Backend {
    backend(Provider::OpenAI, addr)
}

/// A backend of the fake provider that always behaves in one way.
fn behaving(provider: &Fake, name: &str, kind: Provider, model: &str) -> Backend {
    Backend { name: name.to_owned(), model: ModelRewrite::To(model.to_owned()), ..backend(kind, provider.addr()) }
}

#[tokio::test]
async fn a_status_of_the_list_goes_to_the_next_backend_with_the_same_bytes() {
    for chunked in [false, true] {
        let (broken, alive) = (Stub::answering(plain(503, "", "{}"), Then::Stay).await, provider().await);
        let house = house(in_order(1, vec![openai(broken.addr), openai(alive.addr())])).await;
        let body = chat("fake-ok").replace("one", &"word ".repeat(20_000));
        let mut client = Client::connect(house.addr).await;
        let headers = format!("{}connection: close\r\n", headers(KEY));
        if chunked {
            let head = format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{headers}transfer-encoding: chunked\r\n\r\n");
            client.write(head).await;
            for piece in body.as_bytes().chunks(30_000) {
                client.write([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
            }
            client.write("0\r\n\r\n").await;
        } else {
            client.send("POST", CHAT, &headers, body.as_bytes()).await;
        }
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.chat().0), (200, script::text(16)));
        assert_eq!(alive.requests().len(), 1);
        assert_eq!(alive.requests()[0].request.body_sha256, script::sha256(body.as_bytes()));
        house.ended(200, "Complete", None).await;
        assert_eq!(house.retries(), ["upstream_status"]);
    }
}

#[tokio::test]
async fn where_there_is_no_other_the_same_backend_is_asked_again() {
    let stub =
        Stub::in_turn([plain(503, "", "{}"), plain(529, "", "{}"), plain(200, "", "{\"a\":1}")], Then::Stay).await;
    let house = house(in_order(2, vec![openai(stub.addr)])).await;
    let answer = house.chat("m").await;
    assert_eq!((answer.status, answer.text()), (200, "{\"a\":1}"));
    let seen = stub.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| *request == seen[0]), "the same request each time: {seen:?}");
    assert_eq!(house.retries(), ["upstream_status"; 2]);
}

#[tokio::test]
async fn the_last_answer_passes_as_it_is() {
    let answers =
        ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"].map(|body| plain(503, "x-odd: yes\r\nretry-after: 1\r\n", body));
    let (a, b, c) = (&answers[0], &answers[1], &answers[2]);
    let stubs = [
        Stub::answering(a.as_str(), Then::Stay).await,
        Stub::answering(b.as_str(), Then::Stay).await,
        Stub::answering(c.as_str(), Then::Stay).await,
    ];
    let house = house(in_order(2, stubs.iter().map(|stub| openai(stub.addr)).collect())).await;
    let answer = house.chat("m").await;
    assert_eq!((answer.status, answer.text()), (503, "{\"n\":3}"));
    assert_eq!((answer.header("x-odd"), answer.header("retry-after")), (Some("yes"), Some("1")));
    assert_eq!(answer.header("x-relay-error"), None, "it is the provider's");
    assert!(stubs.iter().all(|stub| stub.seen().len() == 1));
    house.ended(503, "Complete", Some("upstream_status")).await;
}

#[tokio::test]
async fn a_status_that_is_not_listed_is_an_answer() {
    for status in [400, 404, 500] {
        let (stub, alive) = (Stub::answering(plain(status, "", "{}"), Then::Stay).await, provider().await);
        let house = house(in_order(2, vec![openai(stub.addr), openai(alive.addr())])).await;
        assert_eq!(house.chat("fake-ok").await.status, status);
        assert!(alive.requests().is_empty() && house.retries().is_empty());
    }
}

#[tokio::test]
async fn nothing_is_tried_again_behind_the_first_byte() {
    let provider = provider().await;
    for model in ["fake-cut-at-2", "fake-error-midway-at-2", "fake-truncated-at-2"] {
        let backends = vec![
            behaving(&provider, "broken", Provider::OpenAI, model),
            behaving(&provider, "alive", Provider::OpenAI, "fake-ok"),
        ];
        let house = house(in_order(2, backends)).await;
        let before = provider.requests().len();
        let answer = house.chat("m").await;
        assert_eq!((answer.status, answer.chat().0), (200, script::text(2)), "{model}");
        assert_eq!(provider.requests().len(), before + 1);
        assert!(house.retries().is_empty());
    }
}

#[tokio::test]
async fn a_broken_connection_goes_again_only_for_methods_that_change_nothing() {
    for (method, again) in [("GET", true), ("HEAD", true), ("POST", false), ("DELETE", false), ("PUT", false)] {
        let (broken, alive) =
            (Stub::answering("", Then::Close).await, Stub::answering(plain(200, "", ""), Then::Stay).await);
        let house = house(in_order(2, vec![openai(broken.addr), openai(alive.addr)])).await;
        let body: &[u8] = if matches!(method, "POST" | "PUT") { b"{}" } else { b"" };
        let answer = Client::request(house.addr, method, "/v1/files", &headers(KEY), body).await.answer().await;
        let expected = if again { (200, None) } else { (502, Some("upstream_reset")) };
        assert_eq!((answer.status, answer.header("x-relay-error")), expected, "{method}");
        assert_eq!((broken.seen().len(), alive.seen().len()), (1, usize::from(again)), "{method}");
        assert_eq!(house.retries().len(), usize::from(again));
    }
}

#[tokio::test]
async fn a_body_too_long_to_keep_is_sent_once() {
    let (broken, alive) = (Stub::answering(plain(503, "", "{}"), Then::Stay).await, provider().await);
    let house = house(in_order(2, vec![openai(broken.addr), openai(alive.addr())])).await;
    let body = chat("fake-ok").replace("one", &"x".repeat(2 << 20));
    assert_eq!(house.post(CHAT, &body).await.status, 503);
    assert!(alive.requests().is_empty());
    assert_eq!(house.post(CHAT, &chat("fake-ok")).await.status, 200);
}

#[tokio::test]
async fn a_spent_budget_leaves_one_attempt() {
    let (broken, alive) = (Stub::answering(plain(503, "", "{}"), Then::Stay).await, provider().await);
    let house = house(in_order(2, vec![openai(broken.addr), openai(alive.addr())])).await;
    let table = house.proxy.serving.table();
    let budget = &table.routes()[0].balance().retries;
    while budget.take(20, Instant::now()) {}
    assert_eq!(house.chat("fake-ok").await.status, 503);
    assert!(alive.requests().is_empty());
    // As long as the window, and the retries come back.
    pause();
    advance(Duration::from_secs(10)).await;
    resume();
    assert_eq!(house.chat("fake-ok").await.status, 200);
}

#[tokio::test]
async fn no_further_attempt_without_a_budget_or_a_number() {
    let (broken, alive) = (Stub::answering(plain(503, "", "{}"), Then::Stay).await, provider().await);
    for (attempts, percent) in [(0, 20), (2, 0)] {
        let mut route = in_order(attempts, vec![openai(broken.addr), openai(alive.addr())]);
        route.policy.retries.budget_percent = percent;
        assert_eq!(house(route).await.chat("fake-ok").await.status, 503);
        assert!(alive.requests().is_empty());
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_and_a_long_one_is_passed_on() {
    let stub = Stub::in_turn([plain(429, "retry-after: 1\r\n", "{}"), plain(200, "", "{}")], Then::Stay).await;
    let patient = house(in_order(1, vec![openai(stub.addr)])).await;
    let begun = std::time::Instant::now();
    assert_eq!(patient.chat("m").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());

    for after in ["retry-after: 30\r\n", "retry-after-ms: 2001\r\n", "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n"] {
        let stub = Stub::answering(plain(429, after, "{}"), Then::Stay).await;
        let house = house(in_order(2, vec![openai(stub.addr)])).await;
        let answer = house.chat("m").await;
        assert_eq!((answer.status, stub.seen().len()), (429, 1), "{after}");
        let name = after.split(':').next().expect("a name");
        assert!(after.contains(answer.header(name).expect("the header")));
    }
}

#[tokio::test]
async fn another_backend_is_not_waited_for() {
    let limited = Stub::answering(plain(429, "retry-after: 3600\r\n", "{}"), Then::Stay).await;
    let alive = provider().await;
    let house = house(in_order(1, vec![openai(limited.addr), openai(alive.addr())])).await;
    assert_eq!(house.chat("fake-ok").await.status, 200);
}

#[tokio::test]
async fn an_answer_tells_more_than_that_the_next_backend_could_not_be_reached() {
    let limited = Stub::answering(plain(429, "retry-after: 30\r\n", "{\"a\":1}"), Then::Stay).await;
    // Bound and closed: nobody listens there.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let house = house(in_order(1, vec![openai(limited.addr), openai(nobody)])).await;
    let answer = house.chat("m").await;
    assert_eq!((answer.status, answer.header("retry-after"), answer.text()), (429, Some("30"), "{\"a\":1}"));
}

#[tokio::test]
async fn what_a_backend_asked_for_still_counts_when_another_failed_behind_it() {
    let limited = [plain(429, "retry-after: 30\r\n", "{}"), plain(200, "", "{}")];
    let (limited, broken) =
        (Stub::in_turn(limited, Then::Stay).await, Stub::answering(plain(503, "", "{}"), Then::Stay).await);
    let house = house(in_order(2, vec![openai(limited.addr), openai(broken.addr)])).await;
    assert_eq!(house.chat("m").await.status, 503);
    assert_eq!((limited.seen().len(), broken.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_route_whose_weights_are_all_0_has_no_backend() {
    let alive = provider().await;
    let house = house(route("r", "/", vec![Backend { weight: 0, ..openai(alive.addr()) }])).await;
    let answer = house.chat("fake-ok").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (503, Some("no_backend")));
    house.ended(503, "Refused", Some("no_backend")).await;
}

#[tokio::test]
async fn a_backend_that_fails_five_times_is_passed_over_until_a_probe_finds_it_well() {
    let stub = Stub::in_turn(
        std::iter::repeat_n(plain(503, "", "{}"), 5).chain([plain(200, "", "{\"from\":\"stub\"}")]),
        Then::Stay,
    )
    .await;
    let alive = provider().await;
    let house = house(in_order(1, vec![openai(stub.addr), openai(alive.addr())])).await;
    let healthy = || {
        balance::publish(house.proxy.serving.table().routes(), &house.proxy.metrics);
        house.samples("relay_upstream_healthy").len()
    };
    for n in 1..=8 {
        assert_eq!(healthy(), if n <= 5 { 2 } else { 1 }, "before request {n}");
        assert_eq!(house.chat("fake-tokens-1").await.chat().0, script::text(1));
    }
    assert_eq!((stub.seen().len(), alive.requests().len()), (5, 8));
    assert_eq!(house.retries().len(), 5);

    pause();
    advance(Duration::from_secs(7)).await;
    resume();
    for _ in 0..2 {
        assert_eq!(house.chat("m").await.text(), "{\"from\":\"stub\"}");
    }
    assert_eq!((healthy(), alive.requests().len()), (2, 8));
}

#[tokio::test]
async fn a_single_backend_is_asked_however_often_it_failed() {
    let stub =
        Stub::in_turn(std::iter::repeat_n(plain(503, "", "{}"), 20).chain([plain(200, "", "{}")]), Then::Stay).await;
    let house = house(in_order(0, vec![openai(stub.addr)])).await;
    for n in 1..=21 {
        assert_eq!(house.chat("m").await.status, if n <= 20 { 503 } else { 200 });
    }
}

#[tokio::test]
async fn an_error_in_place_of_a_stream_is_tried_again() {
    let provider = provider().await;
    for (kind, path, body) in [(Provider::OpenAI, CHAT, chat("m")), (Provider::Anthropic, MESSAGES, message("m"))] {
        let backends = vec![
            behaving(&provider, "broken", kind, "fake-error-first"),
            behaving(&provider, "alive", kind, "fake-tokens-3"),
        ];
        let direct = house(in_order(0, vec![backends[1].clone()])).await.post(path, &body).await;
        let house = house(in_order(1, backends)).await;
        let answer = house.post(path, &body).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        assert!(!answer.text().contains("error"), "{}", answer.text());
        assert_eq!(answer.text().matches("\n\n").count(), direct.text().matches("\n\n").count());
        assert_eq!(house.retries(), ["upstream_error"]);
        house.ended(200, "Complete", None).await;
    }
}

#[tokio::test]
async fn where_no_attempt_is_left_the_error_event_passes_as_it_came() {
    let text = ": wait\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"M\"}}\n\n";
    for attempts in [0, 1] {
        let stub = Stub::answering(events(text), Then::Stay).await;
        let house = house(in_order(attempts, vec![backend(Provider::Anthropic, stub.addr)])).await;
        let answer = house.message("m").await;
        assert_eq!((answer.status, answer.text(), answer.end), (200, text, End::Clean));
        assert_eq!(stub.seen().len(), 1 + attempts as usize);
        house.ended(200, "UpstreamError", Some("upstream_error")).await;
    }
}

#[tokio::test]
async fn a_backend_that_fails_inside_its_answers_is_passed_over_also_where_nothing_may_follow() {
    let text =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"M\"}}\n\n";
    let (stub, alive) = (Stub::answering(events(text), Then::Stay).await, provider().await);
    let backends = vec![backend(Provider::Anthropic, stub.addr), backend(Provider::Anthropic, alive.addr())];
    let house = house(in_order(0, backends)).await;
    for n in 1..=6 {
        assert_eq!(house.message("fake-tokens-1").await.text().contains("overloaded_error"), n <= 5, "{n}");
    }
    assert_eq!((stub.seen().len(), alive.requests().len()), (5, 1));
}

#[tokio::test]
async fn an_error_of_the_request_itself_is_not_tried_again() {
    let text =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"M\"}}\n\n";
    let stub = Stub::answering(events(text), Then::Stay).await;
    let house = house(in_order(2, vec![backend(Provider::Anthropic, stub.addr)])).await;
    assert_eq!(house.message("m").await.text(), text);
    assert_eq!((stub.seen().len(), house.retries().len()), (1, 0));
}

#[tokio::test]
async fn a_stream_that_only_pings_flows_after_the_hold() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let stub = Stub::answering(format!("{head}8\r\n: ping\n\n\r\n"), Then::Stay).await;
    let house = house(in_order(2, vec![openai(stub.addr)])).await;
    let mut client = house.open(CHAT, &chat("m")).await;
    client.read_text(": ping\n\n").await;
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn what_is_held_loses_no_byte() {
    let provider = provider().await;
    for model in
        ["fake-comments-crlf", "fake-bom-comments", "fake-bytewise-tokens-2", "fake-big-event-at-0", "fake-gzip"]
    {
        for (kind, path, body) in
            [(Provider::OpenAI, CHAT, chat(model)), (Provider::Anthropic, MESSAGES, message(model))]
        {
            let plain = house(in_order(0, vec![backend(kind, provider.addr())])).await.post(path, &body).await;
            let held = house(in_order(2, vec![backend(kind, provider.addr())])).await.post(path, &body).await;
            // Ids differ from request to request, their lengths do not.
            assert_eq!((held.status, held.end, held.body.len()), (200, End::Clean, plain.body.len()), "{model} {path}");
            let differ = held.body.iter().zip(&plain.body).filter(|(a, b)| a != b).count();
            assert!(kind == Provider::OpenAI || differ < 200, "{model}: {differ}");
        }
    }
}

#[tokio::test]
async fn the_total_time_bounds_all_attempts() {
    let provider = provider().await;
    let mut slow = in_order(2, vec![behaving(&provider, "slow", Provider::OpenAI, "fake-slow-first-1h")]);
    slow.timeouts.total_ms = 100;
    let house = house(slow).await;
    let answer = house.chat("m").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (504, Some("total_timeout")));
    house.ended(504, "TotalTimeout", Some("total_timeout")).await;
}

#[tokio::test]
async fn a_slow_upload_takes_nothing_from_the_time_for_the_first_byte() {
    let provider = provider().await;
    let mut target = in_order(2, vec![openai(provider.addr())]);
    target.timeouts.first_byte_ms = 300;
    let house = house(target).await;
    let body = chat("fake-tokens-2");
    let (begin, end) = body.as_bytes().split_at(10);
    let mut slow = Client::connect(house.addr).await;
    let (headers, length) = (headers(KEY), body.len());
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    slow.write([head.as_bytes(), begin].concat()).await;
    // As long as another request takes to run into the bound, and once more.
    for _ in 0..2 {
        assert_eq!(house.chat("fake-slow-first-1h").await.status, 504);
    }
    slow.write(end).await;
    let answer = slow.answer().await;
    assert_eq!((answer.status, answer.chat().0), (200, script::text(2)));
}
