use super::*;

#[test]
fn ports_are_1_to_65535() {
    assert!(["", ":1", ":443", ":65535"].iter().all(|text| is_port(text)));
    assert!(![":", ":0", ":00443", ":65536", ":+1", ":-1", ":x", "443", ":4 3"].iter().any(|text| is_port(text)));
}

#[test]
fn the_hosts_of_base_urls_are_names_or_addresses() {
    assert!(
        ["https://a", "https://a.b:1", "http://10.0.0.1/x", "https://[::1]", "https://[2001:db8::1]:8443/x"]
            .iter()
            .all(|url| is_base_url(url))
    );
    assert!(
        !["https://", "https://:443", "https://[]", "https://[::1]x", "https://[g::1]", "x", ""]
            .iter()
            .any(|url| is_base_url(url))
    );
}
