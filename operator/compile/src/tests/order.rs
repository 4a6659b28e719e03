//! The result is a function of the set of objects, and there is one for every set.

use super::manifests::{digest, id, inputs, labels, route, tenant, time};
use crate::{Inputs, compile};
use proptest::prelude::*;
use relay_crds::{RelayRoute, RelayTenant};
use relay_snapshot::shards::split;
use serde_json::json;
use std::sync::Arc;

const NAMESPACES: [&str; 3] = ["team-a", "team-b", "team-c"];
const CONSENTS: [&str; 4] = [
    "{}",
    r#"{"from":"All"}"#,
    r#"{"from":"Selector","selector":{"matchLabels":{"tier":"gold"}}}"#,
    // A fault, so that refused objects are part of every mix.
    r#"{"from":"Selector"}"#,
];

fn consent() -> impl Strategy<Value = serde_json::Value> {
    proptest::sample::select(&CONSENTS[..]).prop_map(|text| serde_json::from_str(text).unwrap())
}

fn ids() -> impl Strategy<Value = String> {
    (proptest::sample::select(&NAMESPACES[..]), "[a-d]").prop_map(|(namespace, name)| format!("{namespace}/{name}"))
}

fn routes() -> impl Strategy<Value = RelayRoute> {
    (ids(), consent(), 0..4i64, "[a-c]").prop_map(|(id, consent, age, secret)| {
        let credential = json!({"secretRef": {"name": secret, "key": "k"}, "header": "x-key"});
        let mut route = route(&id, &[("tenants.namespaces", consent), ("backends.0.credential", credential)]);
        route.metadata.creation_timestamp = Some(time(age));
        route
    })
}

fn tenants() -> impl Strategy<Value = RelayTenant> {
    (ids(), consent(), 0..4i64, proptest::collection::vec("[a-f]", 1..3)).prop_map(|(id, consent, age, digits)| {
        let keys = digits.iter().enumerate().map(
            |(index, digit)| json!({"name": format!("k{index}"), "sha256": digest(digit.chars().next().unwrap())}),
        );
        let keys: Vec<_> = keys.collect();
        let mut tenant = tenant(&id, &[("apiKeys", json!(keys)), ("allowedRoutes.namespaces", consent)]);
        tenant.metadata.creation_timestamp = Some(time(age));
        tenant
    })
}

type Fleet = (Vec<Arc<RelayRoute>>, Vec<Arc<RelayTenant>>);

fn fleet() -> impl Strategy<Value = (Fleet, Fleet)> {
    let routes = proptest::collection::vec(routes().prop_map(Arc::new), 0..12);
    let tenants = proptest::collection::vec(tenants().prop_map(Arc::new), 0..12);
    (routes, tenants).prop_flat_map(|fleet| {
        let shuffled = (Just(fleet.0.clone()).prop_shuffle(), Just(fleet.1.clone()).prop_shuffle());
        (Just(fleet), shuffled)
    })
}

fn inputs_of((routes, tenants): Fleet) -> Inputs {
    let mut inputs = Inputs { routes, tenants, ..inputs([], []) };
    inputs.namespaces.insert("team-a".into(), labels([("tier", "gold")]));
    inputs.secrets.insert(id("team-a/a"), [("k".to_owned(), b"sk-one".to_vec())].into());
    inputs.secrets.insert(id("team-b/a"), [("other".to_owned(), b"sk-two".to_vec())].into());
    inputs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_inputs_changes_nothing((fleet, shuffled) in fleet()) {
        let (one, other) = (compile(&inputs_of(fleet)), compile(&inputs_of(shuffled)));
        prop_assert_eq!(&one, &other);
        let revision = |compiled: &crate::Compiled| split(&compiled.snapshot).unwrap().revision;
        prop_assert_eq!(revision(&one), revision(&other));
    }

    #[test]
    fn a_snapshot_is_sorted_complete_and_without_two_owners_of_a_key((fleet, _) in fleet()) {
        let compiled = compile(&inputs_of(fleet));
        let snapshot = &compiled.snapshot;
        prop_assert!(snapshot.routes.is_sorted_by(|a, b| a.id < b.id));
        prop_assert!(snapshot.tenants.is_sorted_by(|a, b| a.id < b.id));
        let accepted = compiled.verdicts.values().filter(|verdict| verdict.accepted.is_ok()).count();
        prop_assert_eq!(accepted, snapshot.routes.len() + snapshot.tenants.len());
        let mut digests: Vec<&str> =
            snapshot.tenants.iter().flat_map(|tenant| tenant.keys.iter().map(|key| key.sha256.as_str())).collect();
        let all = digests.len();
        digests.sort_unstable();
        digests.dedup();
        prop_assert_eq!(digests.len(), all);
        for route in &snapshot.routes {
            prop_assert!(route.tenants.is_sorted_by(|a, b| a < b));
            prop_assert!(route.tenants.iter().all(|id| snapshot.tenants.iter().any(|tenant| &tenant.id == id)));
            prop_assert_eq!(route.ready, route.backends.iter().all(|b| b.credential.as_ref().is_none_or(|c| c.secret.is_some())));
        }
    }

    #[test]
    fn no_text_makes_it_panic(path in ".{0,40}", url in "https?://.{0,40}", model in ".{0,10}", name in ".{0,10}", wait in ".{0,8}") {
        let raw = route("a/r", &[
            ("matches.0.path", json!({"prefix": path})),
            ("matches.0.models", json!([model])),
            ("backends.0", json!({"name": name, "provider": "Custom", "url": url, "allowPlaintext": true})),
            ("timeouts.idle", json!(wait)),
        ]);
        let compiled = compile(&inputs([raw], []));
        prop_assert_eq!(compiled.verdicts.len(), 1);
        for route in &compiled.snapshot.routes {
            let url: Result<http::Uri, _> = route.backends[0].url.parse();
            prop_assert!(url.is_ok_and(|url| url.host().is_some() && url.query().is_none()));
        }
    }
}
