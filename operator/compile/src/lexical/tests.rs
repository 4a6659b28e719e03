use super::*;

#[test]
fn labels_are_rfc_1123() {
    assert!(["a", "0", "a-b", "a--b"].iter().all(|text| is_label(text)));
    assert!(is_label(&"a".repeat(63)));
    assert!(!["", "-", "-a", "a-", "A", "a.b", "a_b", "é"].iter().any(|text| is_label(text)));
    assert!(!is_label(&"a".repeat(64)));
}

#[test]
fn object_names_are_labels_joined_by_dots() {
    assert!(["a", "a.b", "a-b.c0"].iter().all(|text| is_object_name(text)));
    assert!(is_object_name(&"a".repeat(253)));
    assert!(!["", ".", "..", "a.", ".a", "a..b", "a.-b", "a/b", "a b", "A"].iter().any(|text| is_object_name(text)));
    assert!(!is_object_name(&"a".repeat(254)));
}

#[test]
fn data_keys_and_tokens_are_ascii() {
    assert!(["a", "api-key", "tls.crt", "A_B", "."].iter().all(|text| is_data_key(text)));
    assert!(!["", "a b", "a/b", "é"].iter().any(|text| is_data_key(text)));
    assert!(is_token("x-api-key", 9) && !is_token("x-api-key", 8));
    assert!(!["", "a b", "a:", "a\n", "é"].iter().any(|text| is_token(text, 10)));
}

#[test]
fn label_keys_may_have_a_prefix() {
    assert!(["a", "A_b.c", "example.com/a", "kubernetes.io/metadata.name"].iter().all(|text| is_label_key(text)));
    assert!(!["", "/", "/a", "a/", "a/b/c", "Example.com/a", "-a", "a b"].iter().any(|text| is_label_key(text)));
    assert!(is_label_value("") && is_label_value("A.b_c") && !is_label_value("a/b") && !is_label_value("-"));
}

#[test]
fn lengths_are_counted_in_characters() {
    assert!(has_length("ééé", 3, 3));
    assert!(!has_length("ééé", 4, 6));
    assert!(!has_length("", 1, 2));
}
