use super::*;
use futures::FutureExt;
use serde_json::json;

fn object(name: &str, version: u64, text: &str) -> ConfigMap {
    let key = if name == INDEX_NAME { INDEX_KEY } else { SHARD_KEY };
    serde_json::from_value(json!({
        "metadata": {"name": name, "resourceVersion": version.to_string(), "labels": {CONFIG_LABEL: label_of(name)}},
        "data": {key: text},
    }))
    .unwrap()
}

fn woken(written: &Written) -> bool {
    written.changed.notified().now_or_never().is_some()
}

fn see(written: &Written, event: Event<ConfigMap>) {
    written.apply("relay-config-0", &mut true, event);
}

#[test]
fn all_33_objects_are_looked_for_before_anything_is_known() {
    let written = Written::new();
    let names: Vec<String> = std::iter::once(INDEX_NAME.to_owned())
        .chain((0..SHARDS).map(config_name))
        .chain((0..SHARDS).map(secrets_name))
        .collect();
    for name in &names {
        assert!(!written.listed());
        let mut met = false;
        written.apply::<ConfigMap>(name, &mut met, Event::Init);
        written.apply::<ConfigMap>(name, &mut met, Event::InitDone);
    }
    assert!(written.listed() && written.known().is_empty());
}

#[test]
fn an_own_write_is_no_surprise_whichever_way_it_is_seen_first() {
    let written = Written::new();
    written.expect("relay-config-0", "new");
    see(&written, Event::Apply(object("relay-config-0", 7, "new")));
    written.wrote("relay-config-0", "new", 7);
    assert!(!woken(&written), "event first");
    written.expect("relay-config-0", "newer");
    written.wrote("relay-config-0", "newer", 8);
    see(&written, Event::Apply(object("relay-config-0", 8, "newer")));
    assert!(!woken(&written), "answer first");
}

#[test]
fn a_late_event_does_not_hide_a_newer_write() {
    let written = Written::new();
    written.expect("relay-config-0", "new");
    written.wrote("relay-config-0", "new", 10);
    see(&written, Event::Apply(object("relay-config-0", 9, "old")));
    assert_eq!(written.known()["relay-config-0"].hash, sha256_hex(b"new"));
    assert!(!woken(&written));
}

#[test]
fn a_change_by_another_hand_wakes() {
    let written = Written::new();
    written.expect("relay-config-0", "mine");
    written.wrote("relay-config-0", "mine", 7);
    see(&written, Event::Apply(object("relay-config-0", 8, "theirs")));
    assert!(woken(&written));
    assert_eq!(written.known()["relay-config-0"].hash, sha256_hex(b"theirs"));

    written.wrote("relay-config-0", "mine", 9);
    let mut stripped = object("relay-config-0", 10, "mine");
    stripped.metadata.labels = None;
    see(&written, Event::Apply(stripped));
    assert!(woken(&written), "the label is gone");

    see(&written, Event::Delete(object("relay-config-0", 11, "mine")));
    assert!(woken(&written) && written.known().is_empty());
}

#[test]
fn an_object_that_a_new_list_does_not_have_is_gone() {
    let written = Written::new();
    written.wrote("relay-config-0", "mine", 7);
    let mut met = true;
    written.apply::<ConfigMap>("relay-config-0", &mut met, Event::Init);
    written.apply::<ConfigMap>("relay-config-0", &mut met, Event::InitDone);
    assert!(woken(&written) && written.known().is_empty());
}

#[test]
fn the_texts_that_were_found_are_given_once() {
    let written = Written::new();
    see(&written, Event::InitApply(object("relay-config-0", 7, "found")));
    assert_eq!(written.take_found()["relay-config-0"], "found");
    see(&written, Event::Apply(object("relay-config-0", 8, "later")));
    assert!(written.take_found().is_empty());
}

#[test]
fn the_index_is_read() {
    let written = Written::new();
    let index = Index { format: 1, min_reader: 1, sequence: 5, revision: "abc".into(), shards: BTreeMap::new() };
    written.wrote(INDEX_NAME, &serde_json::to_string(&index).unwrap(), 7);
    assert_eq!(written.known()[INDEX_NAME].index, Some(index));
    written.wrote(INDEX_NAME, "{", 8);
    assert_eq!(written.known()[INDEX_NAME].index, None);
}
