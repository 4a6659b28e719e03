//! Which tenants a route serves.

use super::manifests::{id, inputs, labels, route, tenant, verdict};
use crate::{Inputs, Kind, Summary, compile};
use relay_snapshot::Unavailable;
use serde_json::{Value, json};

fn from(consent: &str) -> Value {
    json!({"from": consent})
}

fn by_label(key: &str, value: &str) -> Value {
    json!({"from": "Selector", "selector": {"matchLabels": {key: value}}})
}

/// Whether a route of team-a serves a tenant of `home` with these two consents.
fn serves(home: &str, route_consent: &Value, tenant_consent: &Value) -> bool {
    let route = route("team-a/r", &[("tenants.namespaces", route_consent.clone())]);
    let tenant = tenant(&format!("{home}/t"), &[("allowedRoutes.namespaces", tenant_consent.clone())]);
    let mut inputs = inputs([route], [tenant]);
    inputs.namespaces.insert("team-a".into(), labels([("tier", "gold")]));
    inputs.namespaces.insert("team-b".into(), labels([("tier", "silver")]));
    let compiled = compile(&inputs);
    let listed = compiled.snapshot.routes[0].tenants == [id(&format!("{home}/t"))];
    let summary = &verdict(&compiled, Kind::Tenant, &format!("{home}/t")).summary;
    assert_eq!(
        summary,
        &Summary::Tenant { routes: u32::from(listed), keys: keys_of(summary), limited: Some(Unavailable::Local) }
    );
    listed
}

fn keys_of(summary: &Summary) -> Vec<relay_crds::KeyStatus> {
    match summary {
        Summary::Tenant { keys, .. } => keys.clone(),
        Summary::Route { .. } => Vec::new(),
    }
}

#[test]
fn within_a_namespace_nothing_needs_to_be_said() {
    assert!(serves("team-a", &json!({}), &json!({})));
    let compiled = compile(&inputs([route("team-a/r", &[])], [tenant("team-a/t", &[])]));
    assert_eq!(compiled.snapshot.routes[0].tenants, [id("team-a/t")]);
}

#[test]
fn across_namespaces_both_sides_must_consent() {
    let (same, all) = (from("Same"), from("All"));
    for (route, tenant, expected) in
        [(&all, &all, true), (&all, &same, false), (&same, &all, false), (&same, &same, false)]
    {
        assert_eq!(serves("team-b", route, tenant), expected, "{route} {tenant}");
        assert!(serves("team-a", route, tenant), "{route} {tenant}");
    }
}

#[test]
fn a_selector_names_namespaces_by_their_labels() {
    let all = from("All");
    assert!(serves("team-b", &by_label("tier", "silver"), &all));
    assert!(!serves("team-b", &by_label("tier", "gold"), &all));
    assert!(serves("team-b", &all, &by_label("tier", "gold")));
    assert!(!serves("team-b", &all, &by_label("tier", "silver")));
    let everywhere = json!({"from": "Selector", "selector": {}});
    assert!(serves("team-b", &everywhere, &everywhere));
}

#[test]
fn a_selector_that_leaves_out_the_own_namespace_leaves_it_out() {
    assert!(!serves("team-a", &by_label("tier", "silver"), &json!({})));
}

#[test]
fn every_namespace_has_its_name_as_label() {
    let name = |name: &str| by_label("kubernetes.io/metadata.name", name);
    assert!(serves("team-b", &name("team-b"), &name("team-a")));
    assert!(serves("team-unknown", &name("team-unknown"), &from("All")));
    assert!(!serves("team-unknown", &by_label("tier", "gold"), &from("All")));
    assert!(!serves("team-b", &name("team-a"), &from("All")));
}

#[test]
fn a_name_label_can_not_be_borrowed() {
    let route = route("team-a/r", &[("tenants.namespaces", by_label("kubernetes.io/metadata.name", "trusted"))]);
    let tenant = tenant("team-b/t", &[("allowedRoutes.namespaces", from("All"))]);
    let mut inputs = inputs([route], [tenant]);
    inputs.namespaces.insert("team-b".into(), labels([("kubernetes.io/metadata.name", "trusted")]));
    assert!(compile(&inputs).snapshot.routes[0].tenants.is_empty());
}

fn selected(selector: Value) -> Inputs {
    let mut paying = tenant("team-a/paying", &[]);
    paying.metadata.labels = Some(labels([("plan", "paid")]));
    let other = json!([{"name": "k", "sha256": super::manifests::digest('b')}]);
    let free = tenant("team-a/free", &[("apiKeys", other)]);
    inputs([route("team-a/r", &[("tenants.selector", selector)])], [paying, free])
}

#[test]
fn a_route_may_choose_tenants_by_their_labels() {
    let tenants = |selector| compile(&selected(selector)).snapshot.routes[0].tenants.clone();
    assert_eq!(tenants(json!({"matchLabels": {"plan": "paid"}})), [id("team-a/paying")]);
    assert_eq!(tenants(json!({})), [id("team-a/free"), id("team-a/paying")]);
    assert_eq!(
        tenants(json!({"matchExpressions": [{"key": "plan", "operator": "DoesNotExist"}]})),
        [id("team-a/free")]
    );
}

#[test]
fn a_tenant_counts_the_accepted_routes_that_serve_it() {
    let routes = [
        route("team-a/a", &[]),
        route("team-a/b", &[]),
        route("team-a/bad", &[("matches", json!([]))]),
        route("team-b/far", &[]),
    ];
    let compiled = compile(&inputs(routes, [tenant("team-a/t", &[])]));
    let summary = &verdict(&compiled, Kind::Tenant, "team-a/t").summary;
    assert!(matches!(summary, Summary::Tenant { routes: 2, .. }), "{summary:?}");
}

#[test]
fn a_refused_tenant_is_served_by_no_route() {
    let compiled = compile(&inputs([route("team-a/r", &[])], [tenant("team-a/t", &[("apiKeys", json!([]))])]));
    assert!(compiled.snapshot.routes[0].tenants.is_empty());
}
