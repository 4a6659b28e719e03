//! What a tenant becomes.

use super::manifests::{compiled_tenant, digest, inputs, secret, tenant, verdict};
use crate::{Kind, Summary, compile};
use relay_crds::KeyStatus;
use relay_snapshot::Unavailable;
use serde_json::{Value, json};

#[test]
fn suspension_is_passed_on() {
    assert!(!compiled_tenant(tenant("team-a/x", &[])).suspended);
    assert!(compiled_tenant(tenant("team-a/x", &[("suspended", json!(true))])).suspended);
}

#[test]
fn digests_are_lower_case_and_keys_are_in_the_order_of_their_names() {
    let keys = json!([{"name": "z", "sha256": "AB".repeat(32)}, {"name": "a", "sha256": digest('1')}]);
    let keys = compiled_tenant(tenant("team-a/x", &[("apiKeys", keys)])).keys;
    let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.name.as_str(), key.sha256.as_str())).collect();
    assert_eq!(pairs, [("a", digest('1').as_str()), ("z", "ab".repeat(32).as_str())]);
}

#[test]
fn a_key_from_a_secret_is_the_digest_of_its_trimmed_text() {
    let reference = json!([{"name": "ci", "secretRef": {"name": "keys", "key": "ci"}}]);
    let mut inputs = inputs([], [tenant("team-a/x", &[("apiKeys", reference)])]);
    secret(&mut inputs, "team-a/keys", "ci", "\n  sk-relay-0123456789abcdef \r\n");
    let compiled = compile(&inputs);
    // As sha256sum says of the text without the white space.
    let expected = "a6be1622cb8127639ef79bbb4303ea39b6f675347967a02053327ef9d1720469";
    assert_eq!(compiled.snapshot.tenants[0].keys[0].sha256, expected);
    let status = KeyStatus { name: "ci".into(), id: expected[..8].to_owned(), not_after: None };
    let verdict = verdict(&compiled, Kind::Tenant, "team-a/x");
    assert_eq!(verdict.summary, Summary::Tenant { routes: 0, keys: vec![status], limited: Some(Unavailable::Local) });
    assert_eq!(verdict.resolved_refs, Ok(()));
}

#[test]
fn one_digest_under_two_names_is_one_key() {
    let keys = json!([{"name": "b", "sha256": digest('1')}, {"name": "a", "sha256": digest('1')}]);
    let keys = compiled_tenant(tenant("team-a/x", &[("apiKeys", keys)])).keys;
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_key_ends_when_it_says_and_the_status_shows_it() {
    let keys = json!([{"name": "a", "sha256": digest('1'), "notAfter": "2027-01-31T13:00:00.9+01:00"}, {"name": "b", "sha256": digest('2')}]);
    let compiled = compile(&inputs([], [tenant("team-a/x", &[("apiKeys", keys)])]));
    let ends: Vec<Option<i64>> = compiled.snapshot.tenants[0].keys.iter().map(|key| key.not_after).collect();
    assert_eq!(ends, [Some(1_801_396_800), None]);
    let Summary::Tenant { keys, .. } = &verdict(&compiled, Kind::Tenant, "team-a/x").summary else {
        panic!("a tenant")
    };
    assert_eq!(serde_json::to_value(&keys[0]).unwrap()["notAfter"], "2027-01-31T12:00:00Z");
    assert_eq!(keys[1].not_after, None);
}

#[test]
fn one_digest_under_two_names_ends_with_the_first_end() {
    let key = |name: &str, end: Value| json!({"name": name, "sha256": digest('1'), "notAfter": end});
    let (early, late) = (json!("2027-01-01T00:00:00Z"), json!("2028-01-01T00:00:00Z"));
    for ends in
        [[late.clone(), early.clone()], [early.clone(), late], [Value::Null, early.clone()], [early, Value::Null]]
    {
        let [first, second] = ends;
        let keys = json!([key("b", first), key("a", second)]);
        let keys = compiled_tenant(tenant("team-a/x", &[("apiKeys", keys)])).keys;
        assert_eq!((keys.len(), keys[0].name.as_str(), keys[0].not_after), (1, "b", Some(1_798_761_600)));
    }
}

#[test]
fn what_suspension_does_to_running_streams_is_passed_on() {
    let cut = |value: &str| compiled_tenant(tenant("team-a/x", &[("onSuspend", json!(value))])).cut;
    assert!(cut("Cut") && !cut("Finish") && !compiled_tenant(tenant("team-a/x", &[])).cut);
}
