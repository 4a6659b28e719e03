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
    (ids(), consent(), 0..4i64, "[a-c]", "[a-c]").prop_map(|(id, consent, age, secret, ca)| {
        let credential = json!({"secretRef": {"name": secret, "key": "k"}, "header": "x-key"});
        let mut changes = vec![("tenants.namespaces", consent), ("backends.0.credential", credential)];
        if ca != "c" {
            changes.push(("backends.0.tls.caRef", json!({"name": ca})));
        }
        let mut route = route(&id, &changes);
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
    let ca = include_bytes!("certificates/one.pem").to_vec();
    inputs.secrets.insert(id("team-a/a"), [("k".to_owned(), b"sk-one".to_vec()), ("ca.crt".to_owned(), ca)].into());
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
        let compiled = compile(&inputs_of(fleet.clone()));
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
            // Whether the Secrets of team-a, the only ones that are usable, are those that it names.
            let named = |name: &str| name == "a" && route.id.namespace == "team-a";
            let inputs = inputs_of(fleet.clone());
            let raw = inputs.routes.iter().find(|raw| crate::identity::id_of(&raw.metadata) == route.id).unwrap();
            let backend = &raw.spec.backends[0];
            let key = backend.credential.as_ref().is_none_or(|credential| named(&credential.secret_ref.name));
            let ca = backend.tls.as_ref().is_none_or(|tls| named(&tls.ca_ref.name));
            prop_assert_eq!(route.ready, key && ca);
            prop_assert_eq!(route.backends[0].ca.is_some(), ca && backend.tls.is_some());
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

    #[test]
    fn no_text_in_any_field_makes_it_panic(text in ".{0,40}", value in "[ -~]{0,8}") {
        let text = || json!(text);
        for change in [
            ("matches.0.headers", json!([{"name": text(), "value": value}])),
            ("matches.0.headers", json!([{"name": "x", "value": text()}])),
            ("rewrite.prefix", text()),
            ("backends.0.model", json!({"name": text()})),
            ("backends.0.model", json!({"map": {text().as_str().unwrap(): value}})),
            ("backends.0.headers", json!({"set": [{"name": value, "value": text()}]})),
            ("backends.0.headers", json!({"remove": [text()]})),
            ("backends.0.tls.caRef", json!({"name": text(), "key": value})),
            ("keepAlive.interval", text()),
            ("onClientGone", json!({"mode": "Drain", "limit": text()})),
        ] {
            let compiled = compile(&inputs([route("a/r", std::slice::from_ref(&change))], []));
            prop_assert_eq!(compiled.verdicts.len(), 1);
            for backend in compiled.snapshot.routes.iter().flat_map(|route| &route.backends) {
                let mut rules = backend.set_headers.iter();
                prop_assert!(rules.all(|rule| http::HeaderName::from_bytes(rule.name.as_bytes()).is_ok()));
                let mut rules = backend.set_headers.iter();
                prop_assert!(rules.all(|rule| http::HeaderValue::from_str(&rule.value).is_ok()));
                prop_assert!(backend.remove_headers.iter().all(|name| http::HeaderName::from_bytes(name.as_bytes()).is_ok()));
            }
        }
    }
}
