//! How long an answer asks to wait.

use http::HeaderMap;
use http::header::{HeaderName, RETRY_AFTER};
use std::time::{Duration, SystemTime};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// `retry-after-ms`, else `retry-after` in seconds (also with a fraction, which some providers send) or as a date (RFC 9110, section 10.2.3).
/// A date that is over is no wait. `None`: not told, or not readable.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit: f64| {
        let amount: f64 = text.parse().ok()?;
        Duration::try_from_secs_f64(amount * unit).ok()
    };
    if let Some(wait) = text(&RETRY_AFTER_MS).and_then(|text| number(text, 1e-3)) {
        return Some(wait);
    }
    let value = text(&RETRY_AFTER)?;
    number(value, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    })
}
