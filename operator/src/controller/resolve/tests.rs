use super::*;
use crate::stores::Mirrored;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

fn feed<T: Mirrored>(mirror: &crate::stores::Mirror<T>, objects: &[Value]) {
    let source = mirror.source(0).unwrap();
    source.apply(Event::Init);
    for object in objects {
        source.apply(Event::InitApply(serde_json::from_value(object.clone()).unwrap()));
    }
    source.apply(Event::InitDone);
}

fn route(name: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "stream-relay.dev/v1alpha1", "kind": "RelayRoute",
        "metadata": {"namespace": "ns", "name": name, "generation": 3},
        "spec": {
            "matches": [{"path": {"prefix": "/v1"}}],
            "backends": [{"name": "b", "provider": "OpenAI", "credential": {"secretRef": {"name": secret, "key": "k"}}}],
        },
    })
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "ns", "name": name}, "data": {"k": "dmFsdWU="}})
}

#[test]
fn takes_the_secrets_that_are_named_and_no_other() {
    let stores = Stores::new(0);
    feed(&stores.routes, &[route("a", "here"), route("b", "gone")]);
    feed(&stores.secrets, &[secret("here"), secret("other")]);
    let resolved = resolve(&stores, &[]);
    let secrets = &resolved.inputs.secrets;
    assert_eq!(secrets.keys().map(ToString::to_string).collect::<Vec<_>>(), ["ns/here"]);
    assert_eq!(secrets[&ObjectId::new("ns", "here")]["k"], b"value");
    assert_eq!(resolved.inputs.routes.len(), 2);
}

#[test]
fn an_object_that_is_not_readable_gets_a_verdict_and_touches_no_other() {
    let stores = Stores::new(0);
    let mut bad = route("bad", "s");
    bad["spec"]["matches"] = json!("none");
    feed(&stores.routes, &[bad, route("good", "s")]);
    let resolved = resolve(&stores, &[]);
    assert_eq!(resolved.inputs.routes.len(), 1);
    let key = ObjectKey { kind: Kind::Route, id: ObjectId::new("ns", "bad") };
    let verdict = &resolved.unreadable[&key];
    assert_eq!(verdict.generation, Some(3));
    let problem = verdict.accepted.as_ref().unwrap_err();
    assert_eq!(problem.reason, reason::INVALID);
    assert!(problem.message.contains("Expected a sequence"), "{}", problem.message);
}

#[test]
fn a_watched_namespace_exists_although_its_labels_may_not_be_read() {
    let stores = Stores::new(2);
    feed(&stores.namespaces, &[json!({"metadata": {"name": "a", "labels": {"team": "x"}}})]);
    let resolved = resolve(&stores, &["a".into(), "b".into()]);
    assert_eq!(resolved.inputs.namespaces["a"]["team"], "x");
    assert!(resolved.inputs.namespaces["b"].is_empty());
}
