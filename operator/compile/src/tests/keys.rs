//! Whose key it is.

use super::manifests::{digest, inputs, secret, tenant, time, verdict};
use crate::{Compiled, Kind, Problem, Summary, compile};
use relay_crds::{RelayTenant, reason};
use serde_json::json;

fn aged(id: &str, seconds: i64, digits: &[char]) -> RelayTenant {
    let keys: Vec<_> =
        digits.iter().map(|digit| json!({"name": format!("k{digit}"), "sha256": digest(*digit)})).collect();
    let mut tenant = tenant(id, &[("apiKeys", json!(keys))]);
    tenant.metadata.creation_timestamp = Some(time(seconds));
    tenant
}

fn served(compiled: &Compiled) -> Vec<String> {
    compiled.snapshot.tenants.iter().map(|tenant| tenant.id.to_string()).collect()
}

fn refusal(compiled: &Compiled, id: &str) -> Problem {
    verdict(compiled, Kind::Tenant, id).accepted.clone().unwrap_err()
}

#[test]
fn the_older_tenant_keeps_a_key_whatever_the_order() {
    let (old, new) = (aged("z/old", 100, &['a']), aged("a/new", 200, &['b', 'a']));
    for compiled in [compile(&inputs([], [old.clone(), new.clone()])), compile(&inputs([], [new, old]))] {
        assert_eq!(served(&compiled), ["z/old"]);
        let problem = refusal(&compiled, "a/new");
        assert_eq!((problem.reason, problem.field.as_str()), (reason::KEY_CONFLICT, "spec.apiKeys[1].sha256"));
        let summary = &verdict(&compiled, Kind::Tenant, "a/new").summary;
        assert_eq!(summary, &Summary::Tenant { routes: 0, keys: vec![], limited: None });
    }
}

#[test]
fn of_two_tenants_of_one_age_the_lower_id_keeps_the_key() {
    let compiled = compile(&inputs([], [aged("b/a", 100, &['a']), aged("a/z", 100, &['a'])]));
    assert_eq!(served(&compiled), ["a/z"]);
}

#[test]
fn upper_and_lower_case_digits_are_one_key() {
    let upper = json!([{"name": "k", "sha256": digest('A')}]);
    let compiled = compile(&inputs([], [aged("a/a", 0, &['a']), tenant("a/b", &[("apiKeys", upper)])]));
    assert_eq!(served(&compiled), ["a/a"]);
}

#[test]
fn a_refused_tenant_holds_no_key_against_a_younger_one() {
    let tenants = [aged("t/one", 1, &['a']), aged("t/two", 2, &['a', 'b']), aged("t/three", 3, &['b'])];
    assert_eq!(served(&compile(&inputs([], tenants))), ["t/one", "t/three"]);
}

#[test]
fn an_invalid_tenant_holds_no_key() {
    let mut invalid = aged("t/old", 1, &['a']);
    invalid.spec.api_keys[0].name = "Not A Name".into();
    assert_eq!(served(&compile(&inputs([], [invalid, aged("t/young", 2, &['a'])]))), ["t/young"]);
}

#[test]
fn a_suspended_tenant_keeps_its_key() {
    let mut old = aged("t/old", 1, &['a']);
    old.spec.suspended = Some(true);
    assert_eq!(served(&compile(&inputs([], [old, aged("t/young", 2, &['a'])]))), ["t/old"]);
}

#[test]
fn the_winner_is_named_in_its_own_namespace_only() {
    let tenants = [aged("t/old", 1, &['a']), aged("t/young", 2, &['a']), aged("other/young", 3, &['a'])];
    let compiled = compile(&inputs([], tenants));
    let near = refusal(&compiled, "t/young").message;
    assert_eq!(near, "key ka already belongs to RelayTenant t/old, which is older: give this tenant a key of its own");
    let far = refusal(&compiled, "other/young").message;
    assert_eq!(far, "key ka already belongs to another tenant, which is older: give this tenant a key of its own");
    assert!(!near.contains(&digest('a')[..9]));
}

#[test]
fn a_key_from_a_secret_conflicts_with_its_digest() {
    let text = "sk-relay-0123456789abcdef";
    let sha256 = relay_snapshot::shards::sha256_hex(text.as_bytes());
    let old = tenant("t/a", &[("apiKeys", json!([{"name": "k", "sha256": sha256}]))]);
    let young = tenant("t/b", &[("apiKeys", json!([{"name": "k", "secretRef": {"name": "s", "key": "k"}}]))]);
    let mut inputs = inputs([], [young, old]);
    secret(&mut inputs, "t/s", "k", text);
    let compiled = compile(&inputs);
    assert_eq!(served(&compiled), ["t/a"]);
    assert_eq!(refusal(&compiled, "t/b").field, "spec.apiKeys[0].secretRef");
    assert_eq!(verdict(&compiled, Kind::Tenant, "t/b").resolved_refs, Ok(()));
}
