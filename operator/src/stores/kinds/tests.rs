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
fn of_a_value_no_more_is_kept_than_shows_that_it_is_too_long_for_a_key() {
    let long = |text: String| shortened(text.into_bytes());
    let key = "k".repeat(KEY_MAX_BYTES);
    assert_eq!(long("short\n".into()), b"short\n");
    assert_eq!(long(format!("  {key}\n\n")), key.as_bytes(), "white space around a key does not count");
    for more in ["k", "kk", "\nk", &"k".repeat(1 << 20)] {
        let kept = long(format!("{key}{more}"));
        assert_eq!(kept.len(), KEY_MAX_BYTES + 1);
        assert!(kept.trim_ascii().len() > KEY_MAX_BYTES && kept.capacity() < 2 * KEY_MAX_BYTES);
    }
}

#[test]
fn certificates_are_kept_whole_as_far_as_they_may_go() {
    let begin = "-----BEGIN CERTIFICATE-----\n";
    for whole in [
        format!("{begin}{}", "a".repeat(KEY_MAX_BYTES)),
        format!("{}{begin}{}", "a".repeat(KEY_MAX_BYTES), "b".repeat(KEY_MAX_BYTES)),
        format!("{begin}{}", "a".repeat(CA_MAX_BYTES - begin.len())),
    ] {
        assert_eq!(shortened(format!("\n{whole}\n").into_bytes()), whole.as_bytes());
    }
    let kept = shortened(format!("{begin}{}\nb", "a".repeat(CA_MAX_BYTES - begin.len())).into_bytes());
    assert!(kept.len() == CA_MAX_BYTES + 1 && kept.trim_ascii().len() > CA_MAX_BYTES);
}

#[test]
fn versions_compare_as_numbers() {
    let version = |text: &str| version_of(&ObjectMeta { resource_version: Some(text.into()), ..ObjectMeta::default() });
    assert!(version("99") < version("100"));
    assert_eq!(version("opaque"), 0);
}
