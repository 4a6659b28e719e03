//! Names, and objects that share one.

use super::manifests::{id, inputs, route, tenant, verdict};
use crate::{Kind, ObjectKey, compile};
use relay_crds::reason;
use serde_json::json;

#[test]
fn an_object_without_a_namespace_is_in_default() {
    let mut homeless = route("x/r", &[]);
    homeless.metadata.namespace = None;
    let compiled = compile(&inputs([homeless], [tenant("default/t", &[])]));
    assert_eq!(compiled.snapshot.routes[0].id, id("default/r"));
    assert_eq!(compiled.snapshot.routes[0].tenants, [id("default/t")]);
}

#[test]
fn names_that_kubernetes_refuses_are_refused() {
    let long = "x".repeat(254);
    for (namespace, name, field) in [
        ("a", "", "metadata.name"),
        ("a", "A", "metadata.name"),
        ("a", "b/c", "metadata.name"),
        ("a", long.as_str(), "metadata.name"),
        ("a.b", "r", "metadata.namespace"),
        ("a/b", "r", "metadata.namespace"),
    ] {
        let mut bad = route("x/x", &[]);
        bad.metadata.namespace = Some(namespace.into());
        bad.metadata.name = Some(name.into());
        let compiled = compile(&inputs([bad], []));
        let verdict = compiled.verdicts.values().next().unwrap();
        assert_eq!(verdict.accepted.as_ref().unwrap_err().field, field, "{namespace} {name}");
        assert!(compiled.snapshot.routes.is_empty());
    }
    let mut nameless = tenant("x/x", &[]);
    nameless.metadata.name = None;
    assert!(compile(&inputs([], [nameless])).snapshot.tenants.is_empty());
}

#[test]
fn two_different_objects_of_one_name_are_both_refused() {
    let other = || route("a/r", &[("matches.0.path", json!({"exact": "/other"}))]);
    for pair in [[route("a/r", &[]), other()], [other(), route("a/r", &[])]] {
        let compiled = compile(&inputs(pair, []));
        assert!(compiled.snapshot.routes.is_empty());
        let problem = verdict(&compiled, Kind::Route, "a/r").accepted.clone().unwrap_err();
        assert_eq!((problem.reason, problem.field.as_str()), (reason::INVALID, "metadata.name"));
    }
}

#[test]
fn one_object_that_is_given_twice_is_one() {
    let compiled = compile(&inputs([route("a/r", &[]), route("a/r", &[])], [tenant("a/r", &[]), tenant("a/r", &[])]));
    assert_eq!((compiled.snapshot.routes.len(), compiled.snapshot.tenants.len()), (1, 1));
    assert_eq!(compiled.verdicts.len(), 2);
}

#[test]
fn kinds_and_keys_are_shown_by_their_names() {
    let key = ObjectKey { kind: Kind::Route, id: id("team-a/openai") };
    assert_eq!(key.to_string(), "RelayRoute team-a/openai");
    assert_eq!(Kind::Tenant.to_string(), "RelayTenant");
}
