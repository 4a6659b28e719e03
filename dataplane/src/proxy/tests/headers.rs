use crate::limits::{LineUnit, Mode, Standing};
use crate::proxy::admit::Told;
use crate::proxy::headers::{add_limits, add_request_id, add_retry, to_client, to_upstream};
use crate::table::{Chosen, Found, ModelNeed, Shown, Table};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use relay_snapshot::{
    Backend, Count, Credential, KeyDigest, Limits, Match, ObjectId, PathRule, Policy, Provider, Route, SecretText,
    Snapshot, Tenant, Timeouts,
};
use std::time::{Duration, SystemTime};

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

/// The headers that go to a backend with this credential.
fn sent(given: &[(&'static str, &'static str)], credential: Option<(&str, &str)>, identity: bool) -> Vec<String> {
    let id = ObjectId::new("n", "x");
    let credential = credential.map(|(header, secret)| Credential {
        header: header.into(),
        scheme: None,
        secret: Some(SecretText::new(secret)),
    });
    let route = Route {
        id: id.clone(),
        created: 0,
        tenants: vec![id.clone()],
        matches: vec![Match {
            path: PathRule::Prefix("/".into()),
            methods: vec![],
            models: vec![],
            headers: Vec::new(),
        }],
        backends: vec![Backend { credential, ..Backend::new("b", Provider::Custom, "http://up.example:81/x") }],
        timeouts: Timeouts { first_byte_ms: 0, idle_ms: 0, ..Default::default() },
        body_max: 1,
        policy: Policy::default(),
        limits: Limits::default(),
        ready: true,
    };
    // The digest of "k".
    let sha256 = "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a".to_owned();
    let tenant = Tenant { keys: vec![KeyDigest { name: "k".into(), sha256, not_after: None }], ..Tenant::new(id) };
    let table = Table::new(&Snapshot { routes: vec![route], tenants: vec![tenant] }, "r");
    let Shown::Valid(caller) = table.caller(b"k", SystemTime::now()) else { panic!("a caller") };
    let routes = &caller.tenant.routes;
    let Found::Route(Chosen { route, .. }) = routes.find(&Method::POST, "/", &HeaderMap::new(), ModelNeed::Unknown)
    else {
        panic!("a route")
    };
    let mut headers = headers(given);
    to_upstream(&mut headers, &route.backends[0], identity, "id-1");
    lines(&headers)
}

#[test]
fn the_host_the_request_id_and_the_credential_are_the_relays() {
    let given =
        [("host", "relay"), ("x-request-id", "other"), ("x-secret", "mine"), ("x-secret", "twice"), ("accept", "*/*")];
    let expected = ["accept: */*", "host: up.example:81", "x-request-id: id-1", "x-secret: s"];
    assert_eq!(sent(&given, Some(("x-secret", "s")), false), expected);
}

#[test]
fn what_a_connection_header_names_is_dropped_but_not_what_the_relay_adds() {
    let given = [
        ("connection", "x-a , X-B,x-secret, host, ,close"),
        ("connection", "x-c"),
        ("x-a", "1"),
        ("x-b", "1"),
        ("x-c", "1"),
        ("x-d", "1"),
    ];
    assert_eq!(
        sent(&given, Some(("x-secret", "s")), false),
        ["host: up.example:81", "x-d: 1", "x-request-id: id-1", "x-secret: s"]
    );
}

#[test]
fn only_formats_that_are_looked_into_ask_for_identity() {
    let given = [("accept-encoding", "gzip"), ("accept-encoding", "br")];
    assert_eq!(sent(&given, None, true)[0], "accept-encoding: identity");
    assert_eq!(sent(&given, None, false)[..2], ["accept-encoding: br", "accept-encoding: gzip"]);
    assert_eq!(sent(&[], None, true)[0], "accept-encoding: identity");
}

#[test]
fn the_length_is_told_by_the_body() {
    assert_eq!(
        sent(&[("content-length", "5"), ("transfer-encoding", "chunked")], None, false),
        ["host: up.example:81", "x-request-id: id-1"]
    );
}

#[test]
fn the_providers_account_and_spoofed_words_of_the_relay_do_not_come_back() {
    let mut given = headers(&[
        ("x-ratelimit-limit-requests", "1"),
        ("anthropic-ratelimit-tokens-reset", "1"),
        ("openai-organization", "o"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("x-relay-error", "x"),
        ("retry-after", "3"),
        ("request-id", "req_1"),
        ("x-kept", "1"),
    ]);
    to_client(&mut given, "id-1");
    assert_eq!(lines(&given), ["request-id: req_1", "retry-after: 3", "x-kept: 1", "x-request-id: id-1"]);
}

#[test]
fn a_request_id_that_is_there_stays() {
    let mut given = headers(&[("x-request-id", "req_1")]);
    add_request_id(&mut given, "id-1");
    assert_eq!(lines(&given), ["x-request-id: req_1"]);
}

fn standing(key: &str, unit: LineUnit, limit: u64, remaining: u64, millis: u64) -> Standing {
    Standing { key: key.into(), unit, budget: false, limit, remaining, reset: Duration::from_millis(millis) }
}

#[test]
fn the_tightest_limit_of_each_unit_is_told_in_whole_seconds_that_are_not_too_short() {
    let total = LineUnit::Tokens(Count::Total);
    let standings = vec![
        standing("requests", LineUnit::Requests, 20, 7, 1_500),
        standing("a/b:requests", LineUnit::Requests, 500, 6, 60_000),
        standing("tokens", total, 10_000, 900, 0),
        standing("budget/daily", LineUnit::Tokens(Count::Input), 1_000_000, 901, 86_400_000),
        standing("characters", LineUnit::Characters, 5, 5, 1),
        standing("streams", LineUnit::Streams, 3, 1, 1),
    ];
    let mut told = HeaderMap::new();
    add_limits(&mut told, Some(&Told { standings, mode: Mode::Local }));
    assert_eq!(
        lines(&told),
        [
            "x-ratelimit-limit-requests: 500",
            "x-ratelimit-limit-tokens: 10000",
            "x-ratelimit-remaining-requests: 6",
            "x-ratelimit-remaining-tokens: 900",
            "x-ratelimit-reset-requests: 60s",
            "x-ratelimit-reset-tokens: 0s",
            "x-relay-limits-mode: local",
        ]
    );
    let mut told = HeaderMap::new();
    add_limits(&mut told, Some(&Told { standings: Vec::new(), mode: Mode::Allow }));
    assert_eq!(lines(&told), ["x-relay-limits-mode: allow"]);
    let mut told = HeaderMap::new();
    add_limits(&mut told, None);
    assert!(told.is_empty());
}

#[test]
fn a_wait_is_told_up_to_a_minute() {
    for (wait, line) in [
        (Some(Duration::from_millis(1)), "retry-after: 1"),
        (Some(Duration::ZERO), "retry-after: 1"),
        (Some(Duration::from_millis(1001)), "retry-after: 2"),
        (Some(Duration::from_mins(1)), "retry-after: 60"),
        (Some(Duration::from_millis(60_001)), "x-should-retry: false"),
        (Some(Duration::from_hours(24)), "x-should-retry: false"),
        (None, "x-should-retry: false"),
    ] {
        let mut told = HeaderMap::new();
        add_retry(&mut told, wait);
        assert_eq!(lines(&told), [line], "{wait:?}");
    }
}
