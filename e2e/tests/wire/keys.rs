//! Who may call: the tenant's key, from any header that an SDK uses, and never further than the relay.

use crate::config::{self, CREDENTIAL, KEY, backend, key_of, route, tenant};
use crate::house::{CHAT, House, MESSAGES, chat, message, provider};
use crate::raw::{Answer, Client};
use relay_snapshot::KeyDigest;

const JSON: &str = "content-type: application/json\r\nanthropic-version: 2023-06-01\r\n";

async fn with_headers(house: &House, path: &str, headers: &str) -> Answer {
    let body = if path.starts_with(MESSAGES) { message("fake-ok") } else { chat("fake-ok") };
    Client::request(house.addr, "POST", path, &format!("{JSON}{headers}"), body.as_bytes()).await.answer().await
}

/// Refused by the relay, in the shape of the path's API, with the upstream unaware.
fn is_refused(answer: &Answer, status: u16, reason: &str, kind: &str) {
    assert_eq!((answer.status, answer.header("x-relay-error")), (status, Some(reason)));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!((&json["error"]["type"], &json["error"]["code"]), (&kind.into(), &reason.into()), "{json}");
    assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    let id = answer.header("x-request-id").expect("a request id");
    if json["type"] == "error" {
        assert_eq!((json["request_id"].as_str(), answer.header("request-id")), (Some(id), Some(id)));
    }
}

#[tokio::test]
async fn every_header_that_an_sdk_uses_carries_the_key() {
    let names = ["x-api-key", "api-key", "x-goog-api-key", "xi-api-key", "ocp-apim-subscription-key", "X-API-KEY"];
    let mut headers: Vec<String> = names.iter().map(|name| format!("{name}: {KEY}\r\n")).collect();
    headers.extend(["Bearer", "bearer", "BEARER"].map(|scheme| format!("Authorization: {scheme} {KEY}\r\n")));
    // The same key twice is one key.
    headers.push(format!("authorization: Bearer {KEY}\r\nx-api-key: {KEY}\r\n"));
    for header in headers {
        let (house, provider) = House::simple().await;
        for path in [CHAT, MESSAGES] {
            assert_eq!(with_headers(&house, path, &header).await.status, 200, "{header}");
        }
        let requests = provider.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            let all = request.request.headers.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("\n");
            assert!(!all.contains(KEY), "{header}: {all}");
            assert_eq!(all.matches(CREDENTIAL).count(), 1, "{header}: {all}");
        }
    }
}

#[tokio::test]
async fn the_credential_goes_where_the_provider_reads_it() {
    let (house, provider) = House::simple().await;
    with_headers(&house, CHAT, &format!("x-api-key: {KEY}\r\n")).await;
    with_headers(&house, MESSAGES, &format!("authorization: Bearer {KEY}\r\n")).await;
    let requests = provider.requests();
    assert_eq!(requests[0].request.header("authorization"), Some(format!("Bearer {CREDENTIAL}").as_str()));
    assert_eq!(requests[0].request.header("x-api-key"), None);
    assert_eq!(requests[1].request.header("x-api-key"), Some(CREDENTIAL));
    assert_eq!(requests[1].request.header("authorization"), None);
}

#[tokio::test]
async fn no_key_and_unknown_keys_are_401_in_the_shape_of_the_api() {
    let (house, provider) = House::simple().await;
    let missing = ["", "authorization: Bearer \r\n", "authorization: Basic dGVzdA==\r\n", "x-api-key: \r\n"];
    for (path, kind) in
        [(CHAT, "invalid_request_error"), (MESSAGES, "authentication_error"), ("/", "invalid_request_error")]
    {
        for headers in missing {
            is_refused(&with_headers(&house, path, headers).await, 401, "key_missing", kind);
        }
        for headers in ["authorization: Bearer wrong\r\n", "x-api-key: wrong\r\n"] {
            is_refused(&with_headers(&house, path, headers).await, 401, "key_unknown", kind);
        }
    }
    assert!(provider.requests().is_empty());
    assert_eq!(house.ends(18).await, vec!["401 Refused"; 18]);
    let samples = house.samples("relay_requests_total");
    assert!(samples.iter().all(|(labels, _)| labels["tenant"] == "none" && labels["route"] == "none"), "{samples:?}");
}

#[tokio::test]
async fn a_key_in_the_url_is_none() {
    let (house, provider) = House::simple().await;
    let answer = with_headers(&house, &format!("{CHAT}?key={KEY}&api_key={KEY}"), "").await;
    is_refused(&answer, 401, "key_missing", "invalid_request_error");
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn two_different_keys_are_one_too_many() {
    let (house, provider) = House::simple().await;
    for other in ["x-api-key: other", "api-key: other", "authorization: Bearer other"] {
        let headers = format!("authorization: Bearer {KEY}\r\n{other}\r\n");
        is_refused(
            &with_headers(&house, CHAT, &headers).await,
            400,
            "conflicting_credentials",
            "invalid_request_error",
        );
        is_refused(
            &with_headers(&house, MESSAGES, &headers).await,
            400,
            "conflicting_credentials",
            "invalid_request_error",
        );
    }
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn a_suspended_tenant_is_403() {
    let provider = provider().await;
    let mut snapshot = config::simple(provider.addr());
    snapshot.tenants[0].suspended = true;
    let house = House::new(&snapshot).await;
    is_refused(&house.chat("fake-ok").await, 403, "tenant_suspended", "invalid_request_error");
    is_refused(&house.message("fake-ok").await, 403, "tenant_suspended", "permission_error");
    assert!(provider.requests().is_empty());
    assert_eq!(house.ends(2).await, vec!["403 Refused"; 2]);
    assert_eq!(house.samples("relay_requests_total")[0].0["tenant"], "team/a");
}

#[tokio::test]
async fn a_key_past_its_end_is_401_and_the_tenants_other_keys_serve_on() {
    let provider = provider().await;
    let mut snapshot = config::simple(provider.addr());
    // Years 2001 and 2286.
    snapshot.tenants[0].keys[0].not_after = Some(1_000_000_000);
    let next = KeyDigest { name: "next".into(), not_after: Some(10_000_000_000), ..tenant("next").keys.remove(0) };
    snapshot.tenants[0].keys.push(next);
    let house = House::new(&snapshot).await;
    is_refused(&house.chat("fake-ok").await, 401, "key_expired", "invalid_request_error");
    is_refused(&house.message("fake-ok").await, 401, "key_expired", "authentication_error");
    assert!(provider.requests().is_empty());
    assert_eq!(house.ends(2).await, vec!["401 Refused"; 2]);
    assert_eq!(house.samples("relay_requests_total")[0].0["tenant"], "team/a");
    let answer = with_headers(&house, CHAT, &format!("x-api-key: {}\r\n", key_of("next"))).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn no_route_is_404() {
    let provider = provider().await;
    let house = House::new(&config::snapshot(vec![route(
        "r",
        "/v1/chat",
        vec![backend(relay_snapshot::Provider::OpenAI, provider.addr())],
    )]))
    .await;
    is_refused(
        &with_headers(&house, "/v2", &format!("x-api-key: {KEY}\r\n")).await,
        404,
        "no_route",
        "invalid_request_error",
    );
    is_refused(&house.message("fake-ok").await, 404, "no_route", "not_found_error");
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn a_refusal_is_read_also_by_who_is_still_sending() {
    let (house, _provider) = House::simple().await;
    let body = vec![b'x'; 30 << 20];
    for _ in 0..5 {
        let client = Client::request(house.addr, "POST", CHAT, "content-type: application/json\r\n", &body).await;
        is_refused(&client.answer().await, 401, "key_missing", "invalid_request_error");
    }
}

#[tokio::test]
async fn two_tenants_own_the_same_path() {
    let (mine, theirs) = (crate::house::named("mine").await, crate::house::named("theirs").await);
    let own = |name: &str, addr| {
        let mut route = route(name, "/v1", vec![backend(relay_snapshot::Provider::OpenAI, addr)]);
        route.tenants = vec![tenant(name).id];
        route
    };
    let mut snapshot = config::snapshot(vec![own("a", mine.addr()), own("b", theirs.addr())]);
    snapshot.tenants.push(tenant("b"));
    snapshot.tenants.push(tenant("c"));
    let house = House::new(&snapshot).await;
    for (name, identity) in [("a", Some("mine")), ("b", Some("theirs")), ("c", None)] {
        let answer = with_headers(&house, CHAT, &format!("x-api-key: {}\r\n", key_of(name))).await;
        assert_eq!(answer.header("x-fake-identity"), identity, "{name}");
        if identity.is_none() {
            is_refused(&answer, 404, "no_route", "invalid_request_error");
        }
    }
    assert_eq!((mine.requests().len(), theirs.requests().len()), (1, 1));
}
