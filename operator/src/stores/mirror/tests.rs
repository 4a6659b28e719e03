use super::super::{NamespaceLabels, Watched};
use super::*;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use proptest::prelude::*;
use relay_crds::RelayRoute;
use serde_json::{Value, json};

type Guarded = DeserializeGuard<RelayRoute>;

fn route(name: &str, generation: i64, more: &Value) -> Guarded {
    let mut object = json!({
        "apiVersion": "stream-relay.dev/v1alpha1", "kind": "RelayRoute",
        "metadata": {"namespace": "ns", "name": name, "uid": name, "generation": generation, "resourceVersion": "1"},
        "spec": {"matches": [{"path": {"prefix": "/v1"}}], "backends": [{"name": "b", "provider": "OpenAI"}]},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn mirror() -> (Mirror<Watched<RelayRoute>>, Arc<Source<Watched<RelayRoute>>>) {
    let mirror = Mirror::new(1);
    let source = mirror.source(0).unwrap();
    (mirror, source)
}

fn names<T: Mirrored>(mirror: &Mirror<T>) -> Vec<String> {
    mirror.state().into_keys().map(|id| id.name).collect()
}

#[test]
fn shows_nothing_of_a_list_that_has_not_ended() {
    let (mirror, source) = mirror();
    source.apply(Event::Init);
    source.apply(Event::InitApply(route("a", 1, &json!({}))));
    assert!(!mirror.listed() && names(&mirror).is_empty());
    assert_eq!(source.apply(Event::InitDone), Change::Matters);
    assert!(mirror.listed());
    assert_eq!(names(&mirror), ["a"]);
}

#[test]
fn an_empty_first_list_matters_and_an_equal_second_one_does_not() {
    let (_, source) = mirror();
    for expected in [Change::Matters, Change::None] {
        source.apply(Event::Init);
        assert_eq!(source.apply(Event::InitDone), expected);
    }
}

#[test]
fn a_list_takes_away_what_it_does_not_name() {
    let (mirror, source) = mirror();
    source.apply(Event::Apply(route("a", 1, &json!({}))));
    source.apply(Event::Apply(route("b", 1, &json!({}))));
    source.apply(Event::Init);
    source.apply(Event::InitApply(route("b", 1, &json!({}))));
    assert_eq!(source.apply(Event::InitDone), Change::Matters);
    assert_eq!(names(&mirror), ["b"]);
}

#[test]
fn a_status_is_a_detail_and_a_spec_matters() {
    let (_, source) = mirror();
    assert_eq!(source.apply(Event::Apply(route("a", 1, &json!({})))), Change::Matters);
    let reported = json!({"status": {"conditions": [], "revision": "r"}});
    assert_eq!(source.apply(Event::Apply(route("a", 1, &reported))), Change::Detail);
    assert_eq!(source.apply(Event::Apply(route("a", 2, &reported))), Change::Matters);
    assert_eq!(source.apply(Event::Delete(route("a", 2, &reported))), Change::Matters);
    assert_eq!(source.apply(Event::Delete(route("a", 2, &reported))), Change::None);
}

#[test]
fn an_object_that_is_not_readable_stands_beside_the_good_ones() {
    let (mirror, source) = mirror();
    source.apply(Event::Init);
    source.apply(Event::InitApply(route("bad", 1, &json!({"spec": {"matches": 5}}))));
    source.apply(Event::InitApply(route("good", 1, &json!({}))));
    source.apply(Event::InitDone);
    let state = mirror.state();
    assert_eq!(state.values().map(|watched| watched.object.is_ok()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(source.apply(Event::Apply(route("bad", 1, &json!({})))), Change::Matters, "readable by now");
}

#[test]
fn a_list_of_one_namespace_leaves_the_others_alone() {
    let mirror: Mirror<NamespaceLabels> = Mirror::new(2);
    let namespace = |name: &str| serde_json::from_value::<Namespace>(json!({"metadata": {"name": name}})).unwrap();
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let source = mirror.source(number).unwrap();
        source.apply(Event::Init);
        source.apply(Event::InitApply(namespace(name)));
        assert!(!mirror.listed());
        source.apply(Event::InitDone);
    }
    assert!(mirror.listed());
    let source = mirror.source(0).unwrap();
    source.apply(Event::Init);
    source.apply(Event::InitDone);
    assert_eq!(names(&mirror), ["b"]);
}

proptest! {
    #[test]
    fn the_order_of_events_of_different_objects_changes_nothing(order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let (shuffled, source) = mirror();
        for number in order {
            source.apply(Event::Apply(route(&format!("r{number}"), 1, &json!({}))));
        }
        let (straight, source) = mirror();
        for number in 0..12 {
            source.apply(Event::Apply(route(&format!("r{number}"), 1, &json!({}))));
        }
        let routes = |mirror: &Mirror<Watched<RelayRoute>>| {
            mirror.state().into_values().map(|watched| watched.object.clone().unwrap()).collect::<Vec<_>>()
        };
        prop_assert_eq!(routes(&shuffled), routes(&straight));
    }
}
