use crate::proxy::request_id::of;
use http::{HeaderMap, HeaderValue};

fn with(id: &str) -> String {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_bytes(id.as_bytes()).unwrap());
    of(&headers)
}

#[test]
fn a_sane_one_is_kept() {
    let longest = "a".repeat(128);
    for id in ["a", "0b5f-9_Z.1", longest.as_str()] {
        assert_eq!(with(id), id);
    }
}

#[test]
fn any_other_is_made_anew_each_time() {
    let too_long = "a".repeat(129);
    for id in ["", " ", "a b", "a\tb", "ä", "a,b", "a/b", "a\"b", "{a}", too_long.as_str()] {
        let (first, second) = (with(id), with(id));
        assert_ne!(first, second);
        assert!(first.len() == 32 && first.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{first}");
    }
    assert_eq!(of(&HeaderMap::new()).len(), 32);
}
