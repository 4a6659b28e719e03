use super::*;
use serde_json::{Value, json};

fn pod(more: &Value) -> ProxyPod {
    let mut pod = json!({
        "metadata": {"name": "proxy-1", "uid": "u1"},
        "status": {"phase": "Running", "podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (pointer, value) in more.as_object().into_iter().flatten() {
        let (parent, leaf) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[leaf] = value.clone();
    }
    ProxyPod::mirror(serde_json::from_value(pod).unwrap())
}

#[test]
fn a_running_pod_that_says_so_is_ready() {
    let pod = pod(&json!({}));
    assert!(pod.ready && !pod.terminating);
    assert_eq!(pod.ip, Some("10.0.0.7".parse().unwrap()));
}

#[test]
fn a_pod_on_its_way_out_is_not_ready_whatever_it_says() {
    assert!(!pod(&json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"})).ready);
    assert!(!pod(&json!({"/status/phase": "Failed"})).ready);
}

#[test]
fn a_pod_without_the_condition_is_not_ready() {
    assert!(!pod(&json!({"/status/conditions": []})).ready);
    assert!(!pod(&json!({"/status/conditions": [{"type": "Ready", "status": "False"}]})).ready);
}

#[test]
fn secrets_print_nothing() {
    let secret: Secret = serde_json::from_value(json!({"data": {"key": "c2VjcmV0LXRleHQ="}})).unwrap();
    let data = SecretData::mirror(secret);
    assert_eq!(data.0["key"], b"secret-text");
    assert_eq!(format!("{data:?}"), "SecretData(..)");
}

#[test]
fn versions_compare_as_numbers() {
    let version = |text: &str| version_of(&ObjectMeta { resource_version: Some(text.into()), ..ObjectMeta::default() });
    assert!(version("99") < version("100"));
    assert_eq!(version("opaque"), 0);
}
