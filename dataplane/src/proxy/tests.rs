mod credentials;
mod headers;
mod model;
mod query;
mod request_id;

use super::has_dot_segments;

#[test]
fn dot_segments_are_seen_in_every_disguise() {
    let disguises = [
        "/..",
        "/v1/..",
        "/v1/../x",
        "/v1/./x",
        "/.",
        "/v1/%2e%2E/x",
        "/v1/.%2e",
        "/v1/%2e",
        "/v1/..%2fx",
        "/v1/x%2f..",
        "/v1/x%2F..%2Fy",
        "/v1\\..\\x",
        "/v1/x%5c..",
        "/v1/..%5Cx",
        "/v1/..;x/y",
        "..",
        "/v1/..;",
    ];
    for path in disguises {
        assert!(has_dot_segments(path), "{path}");
    }
    for path in [
        "/",
        "",
        "*",
        "/v1/chat",
        "/v1/...",
        "/v1/..x",
        "/v1/x..",
        "/v1.1/a.b",
        "/.well-known/x",
        "/v1/%20",
        "/v1//x",
        "/v1/a;b=..",
    ] {
        assert!(!has_dot_segments(path), "{path}");
    }
}
