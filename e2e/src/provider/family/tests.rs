use std::time::Duration;

use http::HeaderMap;

use super::{Family, retry_headers, rfc3339};
use crate::provider::behaviour::RetryAfter;

#[test]
fn times_are_rfc_3339() {
    // `date -u -d @N +%FT%TZ`
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
    assert_eq!(rfc3339(1_798_761_599), "2026-12-31T23:59:59Z");
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up() {
    let headers = |after| {
        let mut headers = HeaderMap::new();
        retry_headers(&mut headers, 429, after);
        let text = |name| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        (text("retry-after"), text("retry-after-ms"))
    };
    assert_eq!(headers(RetryAfter::Usual), (Some("1".into()), None));
    assert_eq!(headers(RetryAfter::Wait(Duration::from_millis(1500))), (Some("2".into()), Some("1500".into())));
    assert_eq!(headers(RetryAfter::Never), (None, None));
}

#[test]
fn the_key_is_where_the_familys_clients_put_it() {
    let with = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header value"));
        headers
    };
    let bearer = with("authorization", "bearer k");
    for family in [Family::OpenAi, Family::Anthropic, Family::AzureSpeech] {
        assert_eq!(family.credential(&bearer), Some("k"));
        assert_eq!(family.credential(&with("authorization", "Basic k")), None);
        assert_eq!(family.credential(&with("authorization", "Bearer ")), None);
    }
    assert_eq!(Family::Anthropic.credential(&with("x-api-key", "k")), Some("k"));
    assert_eq!(Family::OpenAi.credential(&with("x-api-key", "k")), None);
    assert_eq!(Family::AzureSpeech.credential(&with("ocp-apim-subscription-key", "k")), Some("k"));
}
