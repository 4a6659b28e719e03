//! Secrets that are there, that are not, and that are not usable.

use super::manifests::{id, inputs, route, secret, tenant, verdict};
use crate::{Inputs, Kind, Problem, compile, referenced_secrets};
use relay_crds::{RelayRoute, RelayTenant, reason};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn reference(name: &str) -> Value {
    json!({"secretRef": {"name": name, "key": "api-key"}})
}

fn openai(id: &str, secret: &str) -> RelayRoute {
    route(id, &[("backends.0", json!({"name": "main", "provider": "OpenAI", "credential": reference(secret)}))])
}

fn keyed(id: &str, secret: &str) -> RelayTenant {
    tenant(id, &[("apiKeys.1", json!({"name": "second", "secretRef": {"name": secret, "key": "api-key"}}))])
}

fn refs(inputs: &Inputs, kind: Kind) -> Result<(), Problem> {
    verdict(&compile(inputs), kind, "team-a/x").resolved_refs.clone()
}

#[test]
fn a_found_credential_makes_the_route_ready() {
    let mut inputs = inputs([openai("team-a/x", "s")], []);
    secret(&mut inputs, "team-a/s", "api-key", " sk-provider\n");
    let compiled = compile(&inputs);
    let route = &compiled.snapshot.routes[0];
    assert!(route.ready);
    assert_eq!(route.backends[0].credential.as_ref().unwrap().secret.as_ref().unwrap().expose(), "sk-provider");
    assert_eq!(verdict(&compiled, Kind::Route, "team-a/x").resolved_refs, Ok(()));
}

#[test]
fn a_route_without_credentials_is_ready() {
    assert!(compile(&inputs([route("team-a/x", &[])], [])).snapshot.routes[0].ready);
}

#[test]
fn a_missing_secret_leaves_the_route_in_its_place_but_not_ready() {
    let compiled = compile(&inputs([openai("team-a/x", "s")], [tenant("team-a/t", &[])]));
    let route = &compiled.snapshot.routes[0];
    assert!(!route.ready);
    assert_eq!(route.backends[0].credential.as_ref().unwrap().secret, None);
    assert_eq!(route.tenants, [id("team-a/t")]);
    let verdict = verdict(&compiled, Kind::Route, "team-a/x");
    assert_eq!(verdict.accepted, Ok(()));
    let problem = verdict.resolved_refs.clone().unwrap_err();
    assert_eq!(problem.reason, reason::SECRET_NOT_FOUND);
    assert_eq!(problem.field, "spec.backends[0].credential.secretRef.name");
    assert!(problem.message.contains("no Secret s in namespace team-a"), "{}", problem.message);
}

#[test]
fn one_unresolved_backend_keeps_the_whole_route_from_being_ready() {
    let second = json!({"name": "second", "provider": "Anthropic", "credential": reference("absent")});
    let mut route = openai("team-a/x", "s");
    route.spec.backends.push(serde_json::from_value(second).unwrap());
    let mut inputs = inputs([route], []);
    secret(&mut inputs, "team-a/s", "api-key", "sk-provider");
    assert_eq!(refs(&inputs, Kind::Route).unwrap_err().field, "spec.backends[1].credential.secretRef.name");
    let route = compile(&inputs).snapshot.routes.remove(0);
    assert!(!route.ready);
    let secrets = route.backends.iter().map(|backend| backend.credential.as_ref().unwrap().secret.is_some());
    assert_eq!(secrets.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_secret_of_another_namespace_is_not_seen() {
    let mut inputs = inputs([openai("team-a/x", "s")], [keyed("team-a/x", "s")]);
    secret(&mut inputs, "team-b/s", "api-key", "sk-provider-0123456789");
    assert_eq!(refs(&inputs, Kind::Route).unwrap_err().reason, reason::SECRET_NOT_FOUND);
    assert_eq!(refs(&inputs, Kind::Tenant).unwrap_err().reason, reason::SECRET_NOT_FOUND);
}

#[test]
fn a_missing_key_is_told_apart_from_a_missing_secret() {
    let mut inputs = inputs([openai("team-a/x", "s")], [keyed("team-a/x", "s")]);
    secret(&mut inputs, "team-a/s", "other", "sk-provider-0123456789");
    for (kind, field) in
        [(Kind::Route, "spec.backends[0].credential.secretRef.key"), (Kind::Tenant, "spec.apiKeys[1].secretRef.key")]
    {
        let problem = refs(&inputs, kind).unwrap_err();
        assert_eq!((problem.reason, problem.field.as_str()), (reason::SECRET_KEY_MISSING, field));
        assert_eq!(problem.message, "Secret s has no key api-key: add it, or name a key that the Secret has");
    }
}

#[test]
fn unusable_values_are_refused_and_not_repeated() {
    let long = "Zx9".repeat(3000);
    for value in [
        "",
        " \n\t",
        "Zx9 Zx9 Zx9 Zx9 Zx9 Zx9",
        "Zx9Zx9Zx9Zx9Zx9Zx9Zx9\u{0}",
        "Zx9Zx9Zx9Zx9Zx9Zx9Zx9é",
        "Zx9\r\nx-evil: 1",
        &long,
    ] {
        let mut inputs = inputs([openai("team-a/x", "s")], [keyed("team-a/x", "s")]);
        secret(&mut inputs, "team-a/s", "api-key", value);
        for kind in [Kind::Route, Kind::Tenant] {
            let problem = refs(&inputs, kind).unwrap_err();
            assert_eq!(problem.reason, reason::INVALID_KEY, "{value:?}");
            assert!(!format!("{problem:?}").contains("Zx9"), "{problem:?}");
        }
    }
    let mut inputs = inputs([openai("team-a/x", "s")], []);
    inputs.secrets.entry(id("team-a/s")).or_default().insert("api-key".into(), vec![0xff, 0xfe]);
    assert_eq!(refs(&inputs, Kind::Route).unwrap_err().reason, reason::INVALID_KEY);
}

#[test]
fn a_tenants_key_has_at_least_20_bytes() {
    let mut inputs = inputs([], [keyed("team-a/x", "s")]);
    secret(&mut inputs, "team-a/s", "api-key", "0123456789012345678\n");
    let problem = refs(&inputs, Kind::Tenant).unwrap_err();
    assert_eq!((problem.reason, problem.field.as_str()), (reason::INVALID_KEY, "spec.apiKeys[1].secretRef.key"));
    assert!(!problem.message.contains("0123456789"));
    secret(&mut inputs, "team-a/s", "api-key", "01234567890123456789");
    assert_eq!(refs(&inputs, Kind::Tenant), Ok(()));
}

#[test]
fn a_tenant_keeps_the_keys_that_are_resolved() {
    let compiled = compile(&inputs([], [keyed("team-a/x", "absent")]));
    assert_eq!(compiled.snapshot.tenants[0].keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["ci"]);
    let only = tenant("team-a/x", &[("apiKeys", json!([{"name": "k", "secretRef": {"name": "absent", "key": "k"}}]))]);
    let compiled = compile(&inputs([], [only]));
    assert!(compiled.snapshot.tenants[0].keys.is_empty());
    assert_eq!(verdict(&compiled, Kind::Tenant, "team-a/x").accepted, Ok(()));
}

#[test]
fn references_are_judged_for_refused_objects_too() {
    let mut bad = openai("team-a/x", "s");
    bad.spec.matches.clear();
    let inputs = inputs([bad], []);
    assert_eq!(refs(&inputs, Kind::Route).unwrap_err().reason, reason::SECRET_NOT_FOUND);
}

#[test]
fn the_secrets_to_read_are_those_of_the_objects_namespaces() {
    let mut homeless = openai("x/c", "third");
    homeless.metadata.namespace = None;
    let inputs =
        inputs([openai("team-a/a", "first"), openai("team-b/b", "first"), homeless], [keyed("team-a/t", "second")]);
    let expected = ["default/third", "team-a/first", "team-a/second", "team-b/first"];
    let found = referenced_secrets(&inputs.routes, &inputs.tenants);
    assert_eq!(found, expected.iter().map(|text| id(text)).collect::<BTreeSet<_>>());
}

#[test]
fn a_name_that_could_lead_elsewhere_is_never_read() {
    let inputs =
        inputs([openai("team-a/a", "../../kube-system/secrets/x"), openai("team-a/b", "")], [keyed("team-a/t", "a?b")]);
    assert_eq!(referenced_secrets(&inputs.routes, &inputs.tenants), BTreeSet::new());
}

#[test]
fn debug_of_the_inputs_shows_no_secret() {
    let mut inputs = inputs([openai("team-a/x", "s")], []);
    secret(&mut inputs, "team-a/s", "api-key", "sk-provider");
    let shown = format!("{inputs:?} {:?}", compile(&inputs));
    assert!(!shown.contains("sk-provider") && !shown.contains("115, 107, 45"), "{shown}");
}
