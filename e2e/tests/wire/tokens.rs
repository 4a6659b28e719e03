//! Limits of what is known of a request only from its body and its answer: tokens, characters, streams and budgets; and what each end costs. Each by
//! limits in this process, and in Redis.

use relay_dataplane::limits::{Limiter, RedisOptions};
use relay_e2e::provider::{Provider, script};
use relay_snapshot::{Count, Limits, ModelPattern, RateLimit, Tenant, TokenLimit, Unavailable, Unit};
use serde_json::Value;

use crate::config::{self, daily, simple, tenant};
use crate::house::{CHAT, House, SPEECH, chat, message, not_streamed, speech, wait_for};
use crate::raw::{Answer, End};
use crate::redis::by_both;

/// A house with these limits of tenant `a`, whose chats tell their usage.
async fn house(limits: Limits, limiter: Limiter) -> (House, Provider) {
    let provider = crate::house::provider().await;
    let mut snapshot = simple(provider.addr());
    snapshot.tenants = vec![Tenant { limits, ..tenant("a") }];
    for route in &mut snapshot.routes {
        route.policy.ask_usage = true;
    }
    (House::limited(&snapshot, limiter).await, provider)
}

/// One a day comes back, which is none while a test runs.
const fn once(burst: u32) -> RateLimit {
    RateLimit { amount: 1, per_seconds: 86_400, burst }
}

fn tokens(burst: u32, count: Count) -> Limits {
    Limits { tokens: Some(TokenLimit { rate: once(burst), count }), ..Limits::default() }
}

fn with_most(body: &str, most: u64) -> String {
    body.replacen('{', &format!(r#"{{"max_tokens":{most},"#), 1)
}

/// What the strings of a JSON text weigh, by the rules as they are told: a token for 4 ASCII characters, one for each other one.
fn weight(json: &str) -> u64 {
    fn quarters(value: &Value) -> u64 {
        match value {
            Value::String(text) => text.chars().map(|c| if c.is_ascii() { 1 } else { 4 }).sum(),
            Value::Array(values) => values.iter().map(quarters).sum(),
            Value::Object(members) => members.values().map(quarters).sum(),
            _ => 0,
        }
    }
    quarters(&serde_json::from_str(json).expect("JSON")).div_ceil(4)
}

fn left(answer: &Answer) -> Option<u64> {
    answer.header("x-ratelimit-remaining-tokens")?.parse().ok()
}

/// What a request that asks for nothing sees that is left of the tokens.
async fn left_now(house: &House) -> u64 {
    let answer = house.post(CHAT, r#"{"max_tokens":0,"stream":false}"#).await;
    assert_eq!(answer.status, 400);
    left(&answer).expect("a limit of tokens")
}

/// The same, when all that is over is settled.
async fn left_of(house: &House, expected: u64) {
    let mut left = left_now(house).await;
    for _ in 0..10_000 {
        if left == expected {
            break;
        }
        left = left_now(house).await;
    }
    assert_eq!(left, expected);
}

#[tokio::test]
async fn what_is_asked_for_is_reserved_and_what_was_not_used_is_given_back() {
    by_both(async |limiter| {
        let (house, provider) = house(tokens(1_000, Count::Total), limiter).await;
        let body = with_most(&chat("fake-tokens-9"), 100);
        let answer = house.post(CHAT, &body).await;
        assert_eq!((answer.status, answer.header("x-relay-limits-mode")), (200, Some("shared")));
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("1000"));
        assert_eq!(left(&answer), Some(1_000 - 100 - weight(&body)));
        left_of(&house, 1_000 - 3 - 9).await;

        let refused = house.post(CHAT, &with_most(&chat("fake-tokens-9"), 995)).await;
        assert_eq!((refused.status, refused.header("x-relay-error")), (429, Some("tokens_limited")));
        let error = &refused.json()["error"];
        assert_eq!((&error["type"], &error["code"]), (&"tokens".into(), &"tokens_limited".into()));
        let message = error["message"].as_str().expect("a message");
        let asked = 995 + weight(&with_most(&chat("fake-tokens-9"), 995));
        for part in ["limit tokens", "team/a", &asked.to_string(), "988 of 1000", "max_tokens"] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert_eq!((refused.header("retry-after"), refused.header("x-should-retry")), (None, Some("false")));
        assert_eq!(provider.requests().iter().filter(|one| one.outcome.status == Some(200)).count(), 1);
        let denied = house
            .samples("relay_limit_decisions_total")
            .into_iter()
            .filter(|(labels, _)| labels["decision"] == "denied");
        assert_eq!(
            denied.map(|(labels, count)| (labels["limit"].clone(), count)).collect::<Vec<_>>(),
            [("tokens".to_owned(), 1)]
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_that_names_no_maximum_reserves_that_of_its_route() {
    let (house, _provider) = house(tokens(10_000, Count::Output), Limiter::memory()).await;
    assert_eq!(left(&house.chat("fake-tokens-9").await), Some(10_000 - 4_096));
    left_of(&house, 10_000 - 9).await;
}

#[tokio::test]
async fn over_use_is_a_debt_that_the_next_request_meets() {
    by_both(async |limiter| {
        let (house, _provider) = house(tokens(100, Count::Output), limiter).await;
        // Thoughts are beyond what the request allows.
        let answer = house.post(CHAT, &with_most(&chat("fake-tokens-9-reasoning-200"), 50)).await;
        assert_eq!(left(&answer), Some(50));
        left_of(&house, 0).await;
        let refused = house.post(CHAT, &with_most(&chat("fake-tokens-9"), 1)).await;
        assert_eq!(refused.header("x-relay-error"), Some("tokens_limited"));
    })
    .await;
}

/// What each end costs: the model, whether the client hangs up, and what is charged.
#[tokio::test]
async fn every_end_is_settled_with_what_is_known_of_it() {
    const BURST: u32 = 1_000_000;
    by_both(async |limiter| {
        let (house, provider) = house(tokens(BURST, Count::Total), limiter).await;
        let all = u64::from(BURST);
        let mut spent = 0;
        for (model, input, output) in [
            ("fake-tokens-9", Some(3), Some(9)),
            ("fake-tokens-9-reasoning-20-cached-2", Some(3), Some(29)),
            ("fake-tokens-9-usage-never", None, None),
            ("fake-tokens-9-truncated-at-4", None, None),
            ("fake-tokens-9-cut-at-4", None, None),
            ("fake-tokens-9-error-midway-at-4", None, None),
            ("fake-tokens-9-gzip", Some(0), Some(0)),
            ("fake-error-first", Some(0), Some(0)),
            ("fake-503", Some(0), Some(0)),
            ("fake-429", Some(0), Some(0)),
        ] {
            let body = chat(model);
            let answer = house.post(CHAT, &body).await;
            let shown = if answer.status == 200 { answer.chat_quarters() } else { 0 };
            if model.ends_with("gzip") {
                // Nobody looks into it: its bytes are taken for text.
                spent += weight(&body) + (answer.body.len() as u64).div_ceil(4);
            } else {
                spent += input.unwrap_or(weight(&body)) + output.unwrap_or(shown.div_ceil(4));
            }
            left_of(&house, all - spent).await;
        }
        // Anthropic tells the input at once, and the output at the end.
        assert_eq!(house.message("fake-tokens-9").await.end, End::Clean);
        spent += 3 + 9;
        left_of(&house, all - spent).await;
        // A client that leaves pays for what it was sent.
        let mut client = house.open(CHAT, &chat("fake-tokens-1000-stall-1h-at-5")).await;
        let text = client.read_text(&format!("{}\"", script::token(4))).await;
        assert!(text.contains("200 OK"));
        drop(client);
        spent += weight(&chat("fake-tokens-1000-stall-1h-at-5")) + quarters(&script::text(5)).div_ceil(4);
        left_of(&house, all - spent).await;
        // One that leaves before the answer, for its prompt: the provider may have begun.
        let client = house.open(CHAT, &chat("fake-slow-first-1h")).await;
        let last = provider.requests().len();
        wait_for(&provider, |requests| requests.iter().any(|one| one.request.body_text.contains("slow-first"))).await;
        assert!(last > 0);
        drop(client);
        spent += weight(&chat("fake-slow-first-1h"));
        left_of(&house, all - spent).await;
    })
    .await;
}

#[tokio::test]
async fn a_route_that_reads_on_settles_the_truth_of_a_client_that_left() {
    by_both(async |limiter| {
        let provider = crate::house::provider().await;
        let mut snapshot = simple(provider.addr());
        snapshot.tenants = vec![Tenant { limits: tokens(10_000, Count::Total), ..tenant("a") }];
        snapshot.routes[0].policy.ask_usage = true;
        snapshot.routes[0].policy.drain_ms = 60_000;
        let house = House::limited(&snapshot, limiter).await;
        let mut client = house.open(CHAT, &chat("fake-tokens-300-stall-300ms-at-5")).await;
        client.read_text(&format!("{}\"", script::token(4))).await;
        drop(client);
        left_of(&house, 10_000 - 3 - 300).await;
        assert_eq!(house.samples("relay_tokens_total").len(), 2);
        assert!(house.samples("relay_tokens_total").iter().all(|(labels, _)| labels["estimated"] == "false"));
    })
    .await;
}

fn quarters(text: &str) -> u64 {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 4 }).sum()
}

impl Answer {
    /// What the text weighs that a client shows, in quarters of a token.
    fn chat_quarters(&self) -> u64 {
        if self.header("content-encoding").is_some() { 0 } else { quarters(&self.chat().0) }
    }
}

#[tokio::test]
async fn what_never_reached_a_provider_costs_nothing() {
    let provider = crate::house::provider().await;
    let mut snapshot = simple(provider.addr());
    snapshot.tenants = vec![Tenant { limits: tokens(1_000, Count::Total), ..tenant("a") }];
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut route = config::route("dead", "/v1/dead", vec![config::backend(relay_snapshot::Provider::OpenAI, dead)]);
    route.policy.format = Some(relay_snapshot::WireFormat::OpenAIChat);
    snapshot.routes.push(route);
    let house = House::limited(&snapshot, Limiter::memory()).await;
    let answer = house.post("/v1/dead", &with_most(&chat("fake-ok"), 100)).await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_connect")));
    left_of(&house, 1_000).await;
}

#[tokio::test]
async fn estimates_are_marked_in_the_metrics_and_models_are_those_that_the_route_names() {
    let provider = crate::house::provider().await;
    let mut snapshot = simple(provider.addr());
    let models = ["fake-tokens-9", "fake-tokens-8"].map(|name| ModelPattern::Exact(name.to_owned()));
    snapshot.routes[0].matches[0].models = models.to_vec();
    snapshot.routes[0].matches.push(config::matching(relay_snapshot::PathRule::Prefix("/v1".to_owned()), &["fake-*"]));
    let house = House::new(&snapshot).await;
    for model in ["fake-tokens-9", "fake-tokens-7"] {
        assert_eq!(house.chat(model).await.status, 200);
    }
    assert_eq!(house.post(CHAT, &not_streamed(&chat("fake-tokens-8"))).await.status, 200);
    house.ends(3).await;
    let mut samples: Vec<(String, String, String, u64)> = house
        .samples("relay_tokens_total")
        .into_iter()
        .map(|(labels, value)| {
            assert_eq!((labels["route"].as_str(), labels["tenant"].as_str()), ("team/openai", "team/a"));
            (labels["model"].clone(), labels["direction"].clone(), labels["estimated"].clone(), value)
        })
        .collect();
    samples.sort();
    let text = |n: usize| quarters(&script::text(n)).div_ceil(4);
    let expected = [
        ("fake-tokens-8", "input", "false", 3),
        ("fake-tokens-8", "output", "false", 8),
        ("fake-tokens-9", "input", "true", weight(&chat("fake-tokens-9"))),
        ("fake-tokens-9", "output", "true", text(9)),
        ("other", "input", "true", weight(&chat("fake-tokens-7"))),
        ("other", "output", "true", text(7)),
    ];
    assert_eq!(samples, expected.map(|(a, b, c, n)| (a.to_owned(), b.to_owned(), c.to_owned(), n)));
}

#[tokio::test]
async fn characters_are_limited_by_what_the_request_asks_for() {
    by_both(async |limiter| {
        let limits = Limits { characters: Some(once(10)), ..Limits::default() };
        let (house, provider) = house(limits, limiter).await;
        assert_eq!(house.post(SPEECH, &speech("fake-bytes-4k")).await.status, 200);
        let refused = house.post(SPEECH, &speech("fake-bytes-4k")).await;
        assert_eq!((refused.status, refused.header("x-relay-error")), (429, Some("characters_limited")));
        assert!(refused.text().contains("6 characters, and 4 of 10 are left"), "{}", refused.text());
        assert_eq!(house.post(SPEECH, &speech("fake-bytes-4k").replace("Hello.", "Hey.")).await.status, 200);
        // Chats have none.
        assert_eq!(house.chat("fake-ok").await.status, 200);
        assert_eq!(provider.requests().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn so_many_streams_run_at_once_and_a_place_is_free_when_one_ends() {
    by_both(async |limiter| {
        let limits = Limits { streams: Some(1), ..Limits::default() };
        let (house, _provider) = house(limits, limiter).await;
        let mut running = house.open(CHAT, &chat("fake-tokens-9-stall-1h-at-5")).await;
        running.read_text(&format!("{}\"", script::token(4))).await;
        let refused = house.chat("fake-ok").await;
        assert_eq!((refused.status, refused.header("x-relay-error")), (429, Some("streams_limited")));
        assert_eq!((refused.header("retry-after"), refused.header("x-should-retry")), (Some("1"), None));
        assert!(refused.text().contains("1 requests are in flight"), "{}", refused.text());
        drop(running);
        let mut status = 0;
        for _ in 0..10_000 {
            status = house.chat("fake-ok").await.status;
            if status == 200 {
                break;
            }
        }
        assert_eq!(status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_budget_refuses_what_asks_for_more_than_is_left() {
    by_both(async |limiter| {
        let limits = Limits { budgets: vec![daily(Unit::Tokens, 150)], ..Limits::default() };
        let (house, _provider) = house(limits, limiter).await;
        assert_eq!(house.post(CHAT, &with_most(&chat("fake-tokens-9"), 100)).await.status, 200);
        left_of(&house, 150 - 12).await;
        let refused = house.post(CHAT, &with_most(&chat("fake-tokens-9"), 200)).await;
        assert_eq!((refused.status, refused.header("x-relay-error")), (429, Some("budget_spent")));
        assert_eq!(refused.json()["error"]["type"], "insufficient_quota");
        let text = refused.text();
        assert!(text.contains("limit budget/daily of tenant team/a") && text.contains("138 of 150"), "{text}");
        // Within the last minute of the day the wait is told.
        assert!(refused.header("x-should-retry") == Some("false") || refused.header("retry-after").is_some());
        let refused = house.post("/v1/messages", &message("fake-ok")).await;
        assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    })
    .await;
}

#[tokio::test]
async fn limits_of_a_route_are_each_tenants_own() {
    let provider = crate::house::provider().await;
    let mut snapshot = simple(provider.addr());
    snapshot.tenants = vec![tenant("a"), tenant("b")];
    snapshot.routes[0].tenants = snapshot.tenants.iter().map(|tenant| tenant.id.clone()).collect();
    snapshot.routes[0].limits = Limits { requests: Some(once(1)), ..Limits::default() };
    let house = House::limited(&snapshot, Limiter::memory()).await;
    assert_eq!(house.chat("fake-ok").await.status, 200);
    let refused = house.chat("fake-ok").await;
    assert_eq!(refused.header("x-relay-error"), Some("requests_limited"));
    assert!(refused.text().contains("limit team/openai:requests of tenant team/a"), "{}", refused.text());
    // Another route, and another tenant.
    assert_eq!(house.message("fake-ok").await.status, 200);
    let headers = crate::house::headers(&config::key_of("b"));
    let other = crate::raw::Client::request(house.addr, "POST", CHAT, &headers, chat("fake-ok").as_bytes()).await;
    assert_eq!(other.answer().await.status, 200);
}

#[tokio::test]
async fn without_redis_the_tenants_policy_decides() {
    for (policy, status, mode) in [
        (Unavailable::Local, 200, Some("local")),
        (Unavailable::Allow, 200, Some("allow")),
        (Unavailable::Deny, 503, None),
    ] {
        let provider = crate::house::provider().await;
        let mut snapshot = simple(provider.addr());
        let limits = tokens(100_000, Count::Total);
        snapshot.tenants = vec![Tenant { limits, on_unavailable: policy, ..tenant("a") }];
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let options = RedisOptions::new(format!("redis://{nobody}"));
        let house = House::limited(&snapshot, Limiter::redis(&options).expect("options")).await;
        let answer = house.chat("fake-tokens-9").await;
        assert_eq!((answer.status, answer.header("x-relay-limits-mode")), (status, mode), "{policy:?}");
        if policy == Unavailable::Deny {
            assert_eq!(answer.header("x-relay-error"), Some("limits_unavailable"));
            assert_eq!(answer.header("retry-after"), Some("1"));
            house.ended(503, "Refused", Some("limits_unavailable")).await;
        }
    }
}
