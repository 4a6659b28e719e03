use super::*;
use kube::runtime::watcher::Event;
use relay_snapshot::shards::split;
use relay_snapshot::{ObjectId, Snapshot, Tenant};
use serde_json::json;

fn key(name: &str) -> ObjectKey {
    ObjectKey { kind: Kind::Tenant, id: ObjectId::new("ns", name) }
}

/// What is in the cluster when `a` and `b` were written.
fn found() -> (String, BTreeMap<String, String>) {
    let tenant = |name| Tenant::new(ObjectId::new("ns", name));
    let shards = split(&Snapshot { routes: vec![], tenants: vec![tenant("a"), tenant("b")] }).unwrap();
    let index = serde_json::to_string(&shards.index(9)).unwrap();
    let mut texts: BTreeMap<_, _> = shards.configs.into_iter().chain(shards.secrets).collect();
    texts.insert(INDEX_NAME.to_owned(), index);
    (shards.revision, texts)
}

/// Stores with tenant `a`, whose status says this.
fn stores(generation: i64, observed: i64, status: &str, reason: &str) -> Stores {
    let stores = Stores::new(0);
    let condition = json!({
        "type": "Programmed", "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let tenant = json!({
        "apiVersion": "stream-relay.dev/v1alpha1", "kind": "RelayTenant",
        "metadata": {"namespace": "ns", "name": "a", "generation": generation},
        "spec": {"apiKeys": []},
        "status": {"observedGeneration": observed, "revision": "before", "conditions": [condition]},
    });
    stores.tenants.source(0).unwrap().apply(Event::Apply(serde_json::from_value(tenant).unwrap()));
    stores
}

fn since(history: &History, name: &str) -> String {
    history.newest().unwrap().object(&key(name)).unwrap().since.to_string()
}

#[test]
fn begins_with_the_set_in_the_cluster_and_the_revisions_of_the_statuses() {
    let (revision, texts) = found();
    let history = seed(&texts, &stores(1, 1, "True", "Programmed"));
    assert_eq!(*history.newest().unwrap().revision, *revision);
    assert_eq!(since(&history, "a"), "before");
    assert_eq!(since(&history, "b"), revision);
}

#[test]
fn a_status_that_is_not_about_the_object_as_it_is_says_nothing() {
    let (revision, texts) = found();
    assert_eq!(since(&seed(&texts, &stores(2, 1, "True", "Programmed")), "a"), revision);
    assert_eq!(since(&seed(&texts, &stores(1, 1, "Unknown", "Pending")), "a"), revision);
}

#[test]
fn what_makes_no_set_seeds_nothing() {
    let stores = stores(1, 1, "True", "Programmed");
    assert!(seed(&BTreeMap::new(), &stores).newest().is_none());
    let (_, mut texts) = found();
    texts.insert("relay-config-3".into(), "changed".into());
    assert!(seed(&texts, &stores).newest().is_none());
}
