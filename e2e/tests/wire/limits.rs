//! The requests limit of a tenant, as clients see it.

use crate::config::{self, KEY, key_of, limited, tenant};
use crate::house::{CHAT, House, MESSAGES, chat, headers, message, provider};
use crate::raw::{Answer, Client};

async fn house_with(tenants: Vec<relay_snapshot::Tenant>) -> (House, relay_e2e::provider::Provider) {
    let provider = provider().await;
    let mut snapshot = config::simple(provider.addr());
    for route in &mut snapshot.routes {
        route.tenants = tenants.iter().map(|tenant| tenant.id.clone()).collect();
    }
    snapshot.tenants = tenants;
    (House::new(&snapshot).await, provider)
}

fn limits(answer: &Answer) -> [Option<&str>; 3] {
    ["limit", "remaining", "reset"].map(|what| answer.header(&format!("x-ratelimit-{what}-requests")))
}

#[tokio::test]
async fn answers_tell_what_is_left_and_the_one_too_many_when_to_come_back() {
    let (house, provider) = house_with(vec![limited("a", 60, 3600, 3)]).await;
    for left in ["2", "1", "0"] {
        let answer = house.chat("fake-ok").await;
        assert_eq!(answer.status, 200);
        let [limit, remaining, reset] = limits(&answer);
        assert_eq!((limit, remaining), (Some("3"), Some(left)));
        assert!(
            reset.is_some_and(|reset| reset.strip_suffix('s').is_some_and(|s| s.parse::<u64>().is_ok())),
            "{reset:?}"
        );
    }
    let denied = house.chat("fake-ok").await;
    assert_eq!((denied.status, denied.header("x-relay-error")), (429, Some("requests_limited")));
    assert_eq!(denied.json()["error"]["type"], "requests");
    assert_eq!(denied.json()["error"]["code"], "requests_limited");
    assert_eq!(limits(&denied)[..2], [Some("3"), Some("0")]);
    let wait: u64 = denied.header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(denied.header("x-should-retry"), None);
    let denied = house.message("fake-ok").await;
    assert_eq!((denied.status, denied.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert_eq!(provider.requests().len(), 3);
    assert_eq!(
        house.ends(5).await,
        ["200 Complete", "200 Complete", "200 Complete", "429 LimitReached", "429 LimitReached"]
    );
    assert_eq!(house.reasons(), ["requests_limited", "requests_limited"]);
    let decisions = house.samples("relay_limit_decisions_total");
    assert_eq!(
        decisions.iter().map(|(labels, count)| (labels["decision"].as_str(), *count)).collect::<Vec<_>>(),
        [("allowed", 3), ("denied", 2)]
    );
}

#[tokio::test]
async fn a_wait_of_hours_is_not_told_but_asked_not_to_retry() {
    for tenant in [limited("a", 1, 86_400, 1), limited("a", 0, 60, 1)] {
        let none = tenant.limits.requests.is_some_and(|limit| limit.amount == 0);
        let (house, _provider) = house_with(vec![tenant]).await;
        if !none {
            assert_eq!(house.chat("fake-ok").await.status, 200);
        }
        let denied = house.chat("fake-ok").await;
        assert_eq!((denied.status, denied.header("retry-after")), (429, None));
        assert_eq!(denied.header("x-should-retry"), Some("false"));
    }
}

#[tokio::test]
async fn tenants_do_not_spend_each_others_limits() {
    let (house, provider) = house_with(vec![limited("a", 1, 3600, 1), limited("b", 1, 3600, 1), tenant("c")]).await;
    let post = async |tenant: &str| {
        Client::request(house.addr, "POST", CHAT, &headers(&key_of(tenant)), chat("fake-ok").as_bytes())
            .await
            .answer()
            .await
    };
    for (tenant, status) in [("a", 200), ("a", 429), ("b", 200), ("b", 429), ("c", 200), ("c", 200)] {
        let answer = post(tenant).await;
        assert_eq!(answer.status, status, "{tenant}");
        assert_eq!(limits(&answer)[0].is_some(), tenant != "c");
    }
    assert_eq!(provider.requests().len(), 4);
}

#[tokio::test]
async fn what_is_refused_before_spends_nothing() {
    let (house, _provider) = house_with(vec![limited("a", 1, 3600, 1)]).await;
    for path in ["/v2", "/nowhere"] {
        assert_eq!(house.post(path, "{}").await.status, 404);
    }
    let too_long = Client::request(house.addr, "POST", CHAT, &headers(KEY), &vec![b' '; (10 << 20) + 1]).await;
    assert_eq!(too_long.answer().await.status, 413);
    assert_eq!(house.chat("fake-ok").await.status, 200);
    assert_eq!(house.chat("fake-ok").await.status, 429);
}

#[tokio::test]
async fn exactly_the_burst_passes_of_many_at_once() {
    let (house, provider) = house_with(vec![limited("a", 5, 86_400, 5)]).await;
    let mut clients = Vec::new();
    for n in 0..60 {
        let (path, body) = if n % 2 == 0 { (CHAT, chat("fake-ok")) } else { (MESSAGES, message("fake-ok")) };
        clients.push(house.open(path, &body).await);
    }
    let mut passed = 0;
    for client in clients {
        passed += usize::from(client.answer().await.status == 200);
    }
    assert_eq!((passed, provider.requests().len()), (5, 5));
}
