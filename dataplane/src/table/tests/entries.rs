use super::{backend, caller, digest_of, matching, route, snapshot, tenant};
use crate::table::{Chosen, Found, ModelNeed, RouteEntry, Shown, Table};
use http::{HeaderMap, Method};
use relay_snapshot::{Credential, KeyDigest, ObjectId, PathRule, Route, SecretText, Snapshot, Timeouts};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

fn entry(route: Route) -> Arc<RouteEntry> {
    let table = Table::new(&snapshot(vec![route]), "r");
    let caller = caller(&table, "key-of-a").unwrap();
    match caller.tenant.routes.find(&Method::POST, "/", &HeaderMap::new(), ModelNeed::Unknown) {
        Found::Route(Chosen { route, matched: "" }) => Arc::clone(route),
        _ => panic!("a route"),
    }
}

fn root() -> Route {
    route("r", 0, vec![matching(PathRule::Prefix("/".into()), &[], &[])])
}

#[test]
fn a_caller_is_known_by_the_digest_of_its_key_alone() {
    let mut two_keys = tenant("a");
    two_keys.keys.push(KeyDigest { name: "new".into(), sha256: digest_of("another"), not_after: None });
    two_keys.keys.push(KeyDigest { name: "broken".into(), sha256: "xyz".into(), not_after: None });
    let table = Table::new(&Snapshot { routes: vec![], tenants: vec![two_keys, tenant("b")] }, "abc");
    assert_eq!(&*table.revision, "abc");
    for (key, label) in [
        ("key-of-a", Some("team/a")),
        ("another", Some("team/a")),
        ("key-of-b", Some("team/b")),
        ("key-of-c", None),
        ("", None),
    ] {
        let caller = caller(&table, key);
        assert_eq!(caller.as_ref().map(|caller| &*caller.tenant.label), label, "{key}");
        if let Some(caller) = caller {
            assert_eq!(caller.key_id, digest_of(key)[..8]);
        }
    }
    assert!(caller(&table, &digest_of("key-of-a")).is_none(), "a published digest opens nothing");
    assert!(caller(&Table::default(), "").is_none());
}

#[test]
fn a_key_is_refused_from_its_end_on() {
    let mut ending = tenant("a");
    ending.keys[0].not_after = Some(1000);
    let table = Table::new(&Snapshot { routes: vec![], tenants: vec![ending] }, "r");
    let at = |since: Duration| UNIX_EPOCH + since;
    let before_1970 = UNIX_EPOCH.checked_sub(Duration::from_secs(5)).unwrap();
    for now in [before_1970, at(Duration::ZERO), at(Duration::from_millis(999_999))] {
        assert!(matches!(table.caller(b"key-of-a", now), Shown::Valid(_)), "{now:?}");
    }
    for now in [at(Duration::from_secs(1000)), at(Duration::from_secs(u64::from(u32::MAX)))] {
        let Shown::Expired(caller) = table.caller(b"key-of-a", now) else { panic!("valid at {now:?}") };
        assert_eq!((&*caller.tenant.label, caller.key_id.as_str()), ("team/a", &digest_of("key-of-a")[..8]));
    }
    assert!(matches!(table.caller(b"key-of-b", at(Duration::from_secs(2000))), Shown::Unknown));
}

#[test]
fn a_route_is_only_in_the_tables_of_its_tenants() {
    let mut shared = root();
    shared.tenants = vec![ObjectId::new("team", "a"), ObjectId::new("team", "b"), ObjectId::new("team", "gone")];
    let mut own = route("own", 0, vec![matching(PathRule::Exact("/x".into()), &[], &[])]);
    own.tenants = vec![ObjectId::new("team", "b")];
    let table =
        Table::new(&Snapshot { routes: vec![shared, own], tenants: vec![tenant("a"), tenant("b"), tenant("c")] }, "r");
    for (key, label) in [("key-of-a", Some("team/r")), ("key-of-b", Some("team/own")), ("key-of-c", None)] {
        let caller = caller(&table, key).unwrap();
        let found = match caller.tenant.routes.find(&Method::GET, "/x", &HeaderMap::new(), ModelNeed::Unknown) {
            Found::Route(chosen) => Some(&*chosen.route.label),
            _ => None,
        };
        assert_eq!(found, label, "{key}");
    }
}

#[test]
fn urls_give_origin_host_and_base_path() {
    for (url, origin, host, base) in [
        ("https://api.example", "https://api.example", "api.example", ""),
        ("https://api.example/", "https://api.example", "api.example", ""),
        ("http://api.example:81/base/v1/", "http://api.example:81", "api.example:81", "/base/v1"),
        ("http://[::1]:81/x", "http://[::1]:81", "[::1]:81", "/x"),
    ] {
        let mut one = root();
        one.backends = vec![backend("b", url)];
        let entry = entry(one);
        let backend = &entry.backends[0];
        assert_eq!((backend.origin.to_string().as_str(), backend.host.as_bytes()), (origin, host.as_bytes()));
        assert_eq!(backend.base_path, base);
    }
}

fn with_credential(scheme: Option<&str>, header: &str, secret: Option<&str>) -> Arc<RouteEntry> {
    let mut one = root();
    let (scheme, header) = (scheme.map(str::to_owned), header.to_owned());
    one.backends[0].credential = Some(Credential { header, scheme, secret: secret.map(SecretText::new) });
    entry(one)
}

#[test]
fn a_credential_is_one_header_that_no_log_shows() {
    for (scheme, value) in [(Some("Bearer"), "Bearer s"), (None, "s")] {
        let entry = with_credential(scheme, "authorization", Some("s"));
        let (name, header) = entry.backends[0].credential.as_ref().unwrap();
        assert_eq!((name.as_str(), header.as_bytes()), ("authorization", value.as_bytes()));
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}

#[test]
fn what_can_not_be_sent_makes_the_whole_route_unready() {
    assert!(with_credential(None, "x", None).backends.is_empty(), "no secret");
    assert!(with_credential(None, "x", Some("line\nbreak")).backends.is_empty());
    assert!(with_credential(None, "not a name", Some("s")).backends.is_empty());
    let mut bad_url = root();
    bad_url.backends.push(backend("bad", "no url"));
    assert!(entry(bad_url).backends.is_empty());
    let unready = Route { ready: false, ..root() };
    assert!(entry(unready).backends.is_empty());
    assert!(!entry(root()).backends.is_empty());
}

#[test]
fn no_time_is_no_bound() {
    let timed = |first_byte_ms, idle_ms| {
        entry(Route { timeouts: Timeouts { first_byte_ms, idle_ms, ..Default::default() }, ..root() })
    };
    let entry = timed(0, 0);
    assert_eq!((entry.first_byte, entry.idle), (None, None));
    let entry = timed(1500, 1);
    assert_eq!((entry.first_byte, entry.idle), (Some(Duration::from_millis(1500)), Some(Duration::from_millis(1))));
}

#[test]
fn a_model_is_named_where_a_match_names_it_whole() {
    let path = || PathRule::Prefix("/".into());
    let matches = vec![matching(path(), &[], &["gpt-4", "claude-*"]), matching(path(), &[], &[])];
    let entry = Arc::new(RouteEntry::new(&route("r", 0, matches)));
    assert!(entry.names_model("gpt-4"));
    assert!(!entry.names_model("claude-5") && !entry.names_model("claude-*") && !entry.names_model("gpt-4o"));
}
