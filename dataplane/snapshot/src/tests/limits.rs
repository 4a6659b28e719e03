use super::*;
use serde_json::{Value, json};

/// Limits of every kind.
fn all() -> Limits {
    let budget = Budget {
        name: "month".into(),
        unit: Unit::Characters,
        amount: (1 << 53) - 1,
        per: Calendar::Month,
        time_zone: "Europe/Berlin".into(),
        stops_streams: true,
    };
    Limits {
        requests: Some(RATE),
        tokens: Some(TokenLimit { rate: RateLimit { amount: 1_000_000_000, ..RATE }, count: Count::Output }),
        characters: Some(RateLimit { amount: 0, ..RATE }),
        streams: Some(50),
        budgets: vec![budget],
    }
}

fn set(tenant_limits: Limits, route_limits: Limits, on_unavailable: Unavailable) -> Snapshot {
    Snapshot {
        routes: vec![Route { limits: route_limits, ..route("a", "r", Some("one")) }],
        tenants: vec![Tenant { limits: tenant_limits, on_unavailable, ..tenant("a", "t") }],
    }
}

#[test]
fn all_limits_come_back_as_they_were() {
    for on_unavailable in [Unavailable::Local, Unavailable::Allow, Unavailable::Deny] {
        let snapshot = set(all(), Limits { budgets: vec![], ..all() }, on_unavailable);
        let shards = split(&snapshot).unwrap();
        assert_eq!(assemble(&shards.index(1), texts(&shards)).unwrap(), snapshot);
    }
}

#[test]
fn a_tenant_of_format_1_keeps_its_requests_limit() {
    let old = json!({"id": "a/t", "suspended": true, "requests": {"amount": 5, "perSeconds": 60, "burst": 2}});
    let read: Tenant = serde_json::from_value(old).unwrap();
    let requests = Some(RateLimit { amount: 5, per_seconds: 60, burst: 2 });
    let limits = Limits { requests, ..Limits::default() };
    assert_eq!(read, Tenant { suspended: true, limits, ..Tenant::new(ObjectId::new("a", "t")) });
    let unlimited: Tenant = serde_json::from_value(json!({"id": "a/t", "suspended": false, "cut": false})).unwrap();
    assert_eq!(unlimited, Tenant::new(ObjectId::new("a", "t")));
}

#[test]
fn a_reader_of_format_1_finds_the_requests_limit_where_it_was() {
    let written = serde_json::to_value(tenant("a", "t")).unwrap();
    assert_eq!(written["requests"], json!({"amount": 100, "perSeconds": 60, "burst": 20}));
}

#[test]
fn a_route_of_format_1_has_no_limits_and_reserves_4096_tokens() {
    let mut old = serde_json::to_value(Route { limits: all(), ..route("a", "r", None) }).unwrap();
    let fields = old.as_object_mut().unwrap();
    fields.remove("limits").unwrap();
    for gone in ["maxOutput", "askUsage"] {
        fields["policy"].as_object_mut().unwrap().remove(gone).unwrap();
    }
    let read: Route = serde_json::from_value(old.clone()).unwrap();
    assert_eq!((&read.limits, read.policy.max_output, read.policy.ask_usage), (&Limits::default(), 4096, false));
    old.as_object_mut().unwrap().remove("policy").unwrap();
    assert_eq!(serde_json::from_value::<Route>(old).unwrap().policy, Policy::default());
}

#[test]
fn a_set_with_limits_that_format_1_lacks_is_not_for_its_readers() {
    let none = Limits::default;
    let of = |tenant, route, on_unavailable| split(&set(tenant, route, on_unavailable)).unwrap().index(1).min_reader;
    let requests = Limits { requests: Some(RATE), ..none() };
    assert_eq!(of(requests.clone(), none(), Unavailable::Local), 1);
    assert_eq!(of(requests.clone(), none(), Unavailable::Deny), 2);
    assert_eq!(of(none(), requests, Unavailable::Local), 2);
    let each = [
        Limits { tokens: all().tokens, ..none() },
        Limits { characters: all().characters, ..none() },
        Limits { streams: all().streams, ..none() },
        Limits { budgets: all().budgets, ..none() },
    ];
    for limits in each {
        assert_eq!(of(limits.clone(), none(), Unavailable::Local), 2, "{limits:?}");
    }
}

#[test]
fn a_digest_changes_with_each_limit() {
    let digest = |limits| shards::digest_of_tenant(&Tenant { limits, ..tenant("a", "t") });
    let mut stricter = all();
    stricter.budgets[0].amount = 1;
    assert_ne!(digest(all()), digest(stricter));
    assert_ne!(digest(all()), digest(Limits { streams: None, ..all() }));
}

#[test]
fn a_limit_of_an_unknown_kind_makes_the_set_unreadable() {
    let faulty = |at: &str, value: Value| {
        let mut tenant = serde_json::to_value(Tenant { limits: all(), ..tenant("a", "t") }).unwrap();
        *tenant.pointer_mut(at).unwrap() = value;
        serde_json::from_value::<Tenant>(tenant).is_err()
    };
    assert!(faulty("/tokens/count", json!("Cached")));
    assert!(faulty("/budgets/0/unit", json!("Euros")));
    assert!(faulty("/budgets/0/per", json!("Week")));
    assert!(faulty("/streams", json!(-1)));
    assert!(!faulty("/streams", json!(1)));
}
