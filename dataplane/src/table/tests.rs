mod entries;
mod precedence;

use super::{Caller, Shown, Table};
use relay_snapshot::{
    Backend, HeaderRule, KeyDigest, Limits, Match, ModelPattern, ObjectId, PathRule, Policy, Provider, Route, Snapshot,
    Tenant, Timeouts,
};
use std::time::UNIX_EPOCH;

/// The key of [`tenant`] by its name.
fn digest_of(key: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes()))
}

fn tenant(name: &str) -> Tenant {
    let keys = vec![KeyDigest { name: "k".into(), sha256: digest_of(&format!("key-of-{name}")), not_after: None }];
    Tenant { keys, ..Tenant::new(ObjectId::new("team", name)) }
}

/// Somebody with a key that has no end.
fn caller<'a>(table: &'a Table, key: &str) -> Option<Caller<'a>> {
    match table.caller(key.as_bytes(), UNIX_EPOCH) {
        Shown::Valid(caller) => Some(caller),
        Shown::Unknown => None,
        Shown::Expired(_) => panic!("expired"),
    }
}

fn backend(name: &str, url: &str) -> Backend {
    Backend::new(name, Provider::OpenAI, url)
}

fn route(name: &str, created: i64, matches: Vec<Match>) -> Route {
    Route {
        id: ObjectId::new("team", name),
        created,
        tenants: vec![ObjectId::new("team", "a")],
        matches,
        backends: vec![backend("b", "http://up")],
        timeouts: Timeouts { first_byte_ms: 0, idle_ms: 0, ..Default::default() },
        body_max: 1000,
        policy: Policy::default(),
        limits: Limits::default(),
        ready: true,
    }
}

fn matching(path: PathRule, methods: &[&str], models: &[&str]) -> Match {
    let pattern = |model: &&str| match model.strip_suffix('*') {
        Some(prefix) => ModelPattern::Prefix(prefix.to_owned()),
        None => ModelPattern::Exact((*model).to_owned()),
    };
    let methods = methods.iter().map(|method| (*method).to_owned()).collect();
    Match { path, methods, models: models.iter().map(pattern).collect(), headers: Vec::new() }
}

/// The match with these headers.
fn with_headers(rule: Match, headers: &[(&str, &str)]) -> Match {
    let rules = headers.iter().map(|(name, value)| HeaderRule { name: (*name).to_owned(), value: (*value).to_owned() });
    Match { headers: rules.collect(), ..rule }
}

fn snapshot(routes: Vec<Route>) -> Snapshot {
    Snapshot { routes, tenants: vec![tenant("a")] }
}
