//! Objects for the tests, and what was said of them.

use crate::{Compiled, Inputs, Kind, ObjectKey, Verdict, compile};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use relay_crds::{RelayRoute, RelayTenant};
use relay_snapshot::{ObjectId, Route, Tenant};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A digest that a test can tell from another.
pub(super) fn digest(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The spec of a route without faults, with every field that faults are put into.
pub(super) fn route_spec() -> Value {
    json!({
        "matches": [{"path": {"prefix": "/v1"}}],
        "backends": [{"name": "main", "provider": "Custom", "url": "https://llm.example.com"}],
    })
}

/// The spec of a tenant without faults.
pub(super) fn tenant_spec() -> Value {
    json!({"apiKeys": [{"name": "ci", "sha256": digest('a')}]})
}

/// Sets the value at a path such as `backends.0.url`, or adds it; null removes it.
pub(super) fn set(spec: &mut Value, path: &str, value: Value) {
    let (parent, leaf) = path.rsplit_once('.').map_or((None, path), |(parent, leaf)| (Some(parent), leaf));
    let mut at = spec;
    for step in parent.into_iter().flat_map(|parent| parent.split('.')) {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
        if at.is_null() {
            *at = json!({});
        }
    }
    match (value.is_null(), leaf.parse::<usize>()) {
        (true, _) => drop(at.as_object_mut().unwrap().remove(leaf)),
        (false, Ok(index)) if index == at.as_array().unwrap().len() => at.as_array_mut().unwrap().push(value),
        (false, Ok(index)) => at[index] = value,
        (false, Err(_)) => at[leaf] = value,
    }
}

pub(super) fn spec_with(mut spec: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        set(&mut spec, path, value.clone());
    }
    spec
}

pub(super) fn route_of(id: &str, spec: Value) -> RelayRoute {
    let (namespace, name) = id.split_once('/').unwrap();
    let mut route = RelayRoute::new(name, serde_json::from_value(spec).unwrap());
    route.metadata.namespace = Some(namespace.to_owned());
    route
}

pub(super) fn tenant_of(id: &str, spec: Value) -> RelayTenant {
    let (namespace, name) = id.split_once('/').unwrap();
    let mut tenant = RelayTenant::new(name, serde_json::from_value(spec).unwrap());
    tenant.metadata.namespace = Some(namespace.to_owned());
    tenant
}

pub(super) fn route(id: &str, changes: &[(&str, Value)]) -> RelayRoute {
    route_of(id, spec_with(route_spec(), changes))
}

pub(super) fn tenant(id: &str, changes: &[(&str, Value)]) -> RelayTenant {
    tenant_of(id, spec_with(tenant_spec(), changes))
}

pub(super) fn time(seconds: i64) -> Time {
    Time(Timestamp::from_second(seconds).unwrap())
}

pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn id(text: &str) -> ObjectId {
    text.parse().unwrap()
}

pub(super) fn inputs<const R: usize, const T: usize>(routes: [RelayRoute; R], tenants: [RelayTenant; T]) -> Inputs {
    Inputs {
        routes: routes.into_iter().map(Arc::new).collect(),
        tenants: tenants.into_iter().map(Arc::new).collect(),
        ..Inputs::default()
    }
}

pub(super) fn secret(inputs: &mut Inputs, name: &str, key: &str, value: &str) {
    inputs.secrets.entry(id(name)).or_default().insert(key.to_owned(), value.as_bytes().to_vec());
}

pub(super) fn verdict<'a>(compiled: &'a Compiled, kind: Kind, name: &str) -> &'a Verdict {
    compiled.verdicts.get(&ObjectKey { kind, id: id(name) }).unwrap()
}

/// The one route of a compilation that accepts it.
pub(super) fn compiled_route(raw: RelayRoute) -> Route {
    let compiled = compile(&inputs([raw], []));
    assert!(compiled.verdicts.values().all(|verdict| verdict.accepted.is_ok()), "{:?}", compiled.verdicts);
    compiled.snapshot.routes.into_iter().next().unwrap()
}

/// The one tenant of a compilation that accepts it.
pub(super) fn compiled_tenant(raw: RelayTenant) -> Tenant {
    let compiled = compile(&inputs([], [raw]));
    assert!(compiled.verdicts.values().all(|verdict| verdict.accepted.is_ok()), "{:?}", compiled.verdicts);
    compiled.snapshot.tenants.into_iter().next().unwrap()
}
