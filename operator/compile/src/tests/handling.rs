//! What the handling of requests becomes: headers, models, rewrites, formats, waits, retries.

use super::manifests::{compiled_route, route};
use relay_snapshot::{Backend, HeaderRule, Hedge, ModelRewrite, Policy, Retries, Route, Timeouts, WireFormat};
use serde_json::{Value, json};

fn with(changes: &[(&str, Value)]) -> Route {
    compiled_route(route("team-a/x", changes))
}

fn backend(changes: &[(&str, Value)]) -> Backend {
    with(changes).backends.remove(0)
}

fn policy(changes: &[(&str, Value)]) -> Policy {
    with(changes).policy
}

fn rule(name: &str, value: &str) -> HeaderRule {
    HeaderRule { name: name.into(), value: value.into() }
}

fn second() -> Value {
    json!({"name": "second", "provider": "Custom", "url": "https://b.example.com"})
}

#[test]
fn a_route_that_says_nothing_has_the_documented_defaults() {
    let plain = with(&[]);
    assert_eq!(plain.policy, Policy::default());
    assert_eq!(plain.policy.retries, Retries { attempts: 2, statuses: vec![429, 502, 503, 529], budget_percent: 20 });
    let timeouts = Timeouts { connect_ms: 5000, first_byte_ms: 120_000, idle_ms: 120_000, total_ms: 0 };
    assert_eq!((plain.timeouts, plain.matches[0].headers.len()), (timeouts, 0));
    assert_eq!(plain.backends[0], Backend::new("main", relay_snapshot::Provider::Custom, "https://llm.example.com"));
    let empty = [("timeouts", json!({})), ("retries", json!({})), ("format", json!("Auto"))];
    assert_eq!(with(&empty), plain);
}

#[test]
fn every_wait_is_read() {
    let waits = json!({"connect": "250ms", "firstByte": "1s", "idle": "0s", "total": "1h"});
    let expected = Timeouts { connect_ms: 250, first_byte_ms: 1000, idle_ms: 0, total_ms: 3_600_000 };
    assert_eq!(with(&[("timeouts", waits)]).timeouts, expected);
    assert_eq!(policy(&[("keepAlive.interval", json!("15s"))]).keep_alive_ms, 15_000);
}

#[test]
fn the_client_may_leave_and_the_upstream_is_read_on() {
    let drain = |value: Value| policy(&[("onClientGone", value)]).drain_ms;
    assert_eq!(drain(json!({"mode": "Cancel"})), 0);
    assert_eq!(drain(json!({"mode": "Drain"})), 30_000);
    assert_eq!(drain(json!({"mode": "Drain", "limit": "1h"})), 3_600_000);
}

#[test]
fn retries_are_read_one_by_one_and_statuses_are_a_set() {
    let retries = |value: Value| policy(&[("retries", value)]).retries;
    assert_eq!(retries(json!({"attempts": 0})), Retries { attempts: 0, ..Retries::default() });
    assert_eq!(retries(json!({"budgetPercent": 100})), Retries { budget_percent: 100, ..Retries::default() });
    assert_eq!(retries(json!({"statuses": [599, 400]})).statuses, [400, 599]);
    assert!(retries(json!({"statuses": []})).statuses.is_empty());
}

#[test]
fn a_hedge_has_a_cap() {
    let hedge = |value: Value| policy(&[("backends.1", second()), ("hedge", value)]).hedge;
    assert_eq!(hedge(json!({"after": "800ms"})), Some(Hedge { after_ms: 800, max_percent: 5 }));
    assert_eq!(hedge(json!({"after": "1s", "maxPercent": 100})), Some(Hedge { after_ms: 1000, max_percent: 100 }));
}

#[test]
fn every_format_of_the_schema_is_one_of_the_contract() {
    let names = serde_json::to_value(relay_crds::definitions()).unwrap();
    let format =
        &names[0][1]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["format"];
    let names: Vec<&str> = format["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.len() == 11 && names.contains(&"Auto"), "{names:?}");
    for name in names {
        let expected: Option<WireFormat> = serde_json::from_value(json!(name)).ok();
        assert_eq!(policy(&[("format", json!(name))]).format, expected, "{name}");
        assert_eq!(expected.is_none(), name == "Auto");
    }
}

#[test]
fn a_rewrite_loses_the_slash_at_the_end() {
    for (given, kept) in [("/", "/"), ("/v1", "/v1"), ("/v1/", "/v1"), ("/a/b", "/a/b")] {
        assert_eq!(policy(&[("rewrite.prefix", json!(given))]).rewrite_prefix.as_deref(), Some(kept));
    }
}

#[test]
fn matched_headers_are_lower_case_and_in_one_order() {
    let headers = json!([{"name": "X-Tier", "value": "Gold 1"}, {"name": "x-a", "value": "2"}]);
    let other = json!([{"name": "x-a", "value": "2"}, {"name": "x-tier", "value": "Gold 1"}]);
    let one = with(&[("matches.0.headers", headers)]).matches;
    assert_eq!(one[0].headers, [rule("x-a", "2"), rule("x-tier", "Gold 1")]);
    assert_eq!(one, with(&[("matches.0.headers", other)]).matches);
}

#[test]
fn changed_headers_are_lower_case_and_in_one_order() {
    let set = json!([{"name": "X-B", "value": "1"}, {"name": "authorization", "value": "none"}]);
    let backend = backend(&[("backends.0.headers", json!({"set": set, "remove": ["x-Z", "X-A", "x-z"]}))]);
    assert_eq!(backend.set_headers, [rule("authorization", "none"), rule("x-b", "1")]);
    assert_eq!(backend.remove_headers, ["x-a", "x-z"]);
}

#[test]
fn a_model_becomes_another_by_name_or_by_map() {
    assert_eq!(backend(&[("backends.0.model.name", json!("llama"))]).model, ModelRewrite::To("llama".into()));
    let map = backend(&[("backends.0.model.map", json!({"gpt-4o": "my-deployment", "a/b.c": "é"}))]).model;
    let expected = [("a/b.c", "é"), ("gpt-4o", "my-deployment")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    assert_eq!(map, ModelRewrite::Map(expected.into()));
}

#[test]
fn weight_and_priority_are_read() {
    let set = backend(&[("backends.0.weight", json!(0)), ("backends.0.priority", json!(15))]);
    assert_eq!((set.weight, set.priority), (0, 15));
    assert_eq!(backend(&[("backends.0.weight", json!(1_000_000))]).weight, 1_000_000);
}
