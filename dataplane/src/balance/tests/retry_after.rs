use crate::balance::{backoff, retry_after};
use http::HeaderMap;
use std::time::{Duration, SystemTime};

fn asked(headers: &[(&'static str, &str)]) -> Option<Duration> {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    // Sun, 06 Nov 1994 08:49:37 GMT, the date in RFC 9110.
    retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
}

#[test]
fn seconds_dates_and_milliseconds_are_read() {
    for (headers, millis) in [
        (vec![("retry-after", "1")], Some(1000)),
        (vec![("retry-after", " 0 ")], Some(0)),
        (vec![("retry-after", "1.5")], Some(1500)),
        (vec![("retry-after-ms", "250")], Some(250)),
        (vec![("retry-after", "9"), ("retry-after-ms", "250")], Some(250)),
        (vec![("retry-after", "2"), ("retry-after-ms", "soon")], Some(2000)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")], Some(3000)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0)),
    ] {
        assert_eq!(asked(&headers), millis.map(Duration::from_millis), "{headers:?}");
    }
}

#[test]
fn what_is_no_time_is_none() {
    for value in ["", "soon", "-1", "NaN", "inf", "1e300", "Sun, 06 Nov"] {
        assert_eq!(asked(&[("retry-after", value)]), None, "{value}");
        assert_eq!(asked(&[("retry-after-ms", value)]), None, "{value}");
    }
    assert_eq!(asked(&[]), None);
}

#[test]
fn the_backoff_doubles_up_to_its_bound_and_jitter_halves_it_at_most() {
    let waits: Vec<u128> = (1..=7).map(|number| backoff(number, 0.0).as_millis()).collect();
    assert_eq!(waits, [25, 50, 100, 200, 400, 400, 400]);
    assert_eq!(backoff(2, 1.0), Duration::from_millis(25));
    assert_eq!(backoff(u32::MAX, 0.0), Duration::from_millis(400));
}
