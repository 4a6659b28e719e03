use std::time::Duration;

use http::HeaderMap;

use super::retry_headers;
use crate::provider::behaviour::RetryAfter;

#[test]
fn retry_after_is_in_whole_seconds_rounded_up_or_a_date() {
    let headers = |after| {
        let mut headers = HeaderMap::new();
        retry_headers(&mut headers, 429, after, 951_827_690);
        let text = |name| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        (text("retry-after"), text("retry-after-ms"))
    };
    assert_eq!(headers(RetryAfter::Usual), (Some("1".into()), None));
    assert_eq!(headers(RetryAfter::Wait(Duration::from_millis(1500))), (Some("2".into()), Some("1500".into())));
    assert_eq!(headers(RetryAfter::Never), (None, None));
    let date = Some("Tue, 29 Feb 2000 12:34:56 GMT".into());
    assert_eq!(headers(RetryAfter::Date(Duration::from_secs(6))), (date, None));
}
