use crate::shards::{assemble, config_name, shard_of, split};
use crate::*;

mod limits;

const RATE: RateLimit = RateLimit { amount: 100, per_seconds: 60, burst: 20 };

fn route(namespace: &str, name: &str, secret: Option<&str>) -> Route {
    Route {
        id: ObjectId::new(namespace, name),
        created: 7,
        tenants: vec![ObjectId::new(namespace, "t")],
        matches: vec![Match {
            path: PathRule::Prefix("/v1".into()),
            methods: vec![],
            models: vec![],
            headers: Vec::new(),
        }],
        backends: vec![Backend {
            credential: Some(Credential {
                header: "authorization".into(),
                scheme: Some("Bearer".into()),
                secret: secret.map(SecretText::new),
            }),
            ..Backend::new("main", Provider::OpenAI, "https://api.openai.com")
        }],
        timeouts: Timeouts { first_byte_ms: 1, idle_ms: 2, ..Default::default() },
        body_max: 10,
        policy: Policy::default(),
        limits: Limits::default(),
        ready: secret.is_some(),
    }
}

fn tenant(namespace: &str, name: &str) -> Tenant {
    Tenant {
        limits: Limits { requests: Some(RATE), ..Limits::default() },
        keys: vec![KeyDigest { name: "ci".into(), sha256: "ab".repeat(32), not_after: None }],
        ..Tenant::new(ObjectId::new(namespace, name))
    }
}

fn fleet(count: usize) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 0..count {
        snapshot.routes.push(route("a", &format!("r{number:04}"), Some("sk-canary")));
        snapshot.tenants.push(tenant("a", &format!("t{number:04}")));
    }
    snapshot
}

fn texts<'a>(shards: &'a Shards) -> impl Fn(&str) -> Option<&'a str> {
    move |name| shards.configs.get(name).or_else(|| shards.secrets.get(name)).map(String::as_str)
}

#[test]
fn a_set_comes_back_as_it_was() {
    for count in [0, 1, 40] {
        let snapshot = fleet(count);
        let shards = split(&snapshot).unwrap();
        assert_eq!(assemble(&shards.index(1), texts(&shards)).unwrap(), snapshot);
    }
}

#[test]
fn no_secret_and_no_digest_stands_in_a_configmap() {
    let shards = split(&fleet(40)).unwrap();
    for text in shards.configs.values() {
        assert!(!text.contains("sk-canary") && !text.contains(&"ab".repeat(32)));
    }
    assert!(!format!("{:?}", fleet(1)).contains("sk-canary"));
}

#[test]
fn one_change_rewrites_one_shard() {
    let before = split(&fleet(40)).unwrap();
    let mut changed = fleet(40);
    changed.routes[3].body_max = 11;
    let after = split(&changed).unwrap();
    let differing: Vec<_> = before.configs.iter().filter(|(name, text)| after.configs[*name] != **text).collect();
    assert_eq!(differing.len(), 1);
    assert_eq!(*differing[0].0, config_name(shard_of(&changed.routes[3].id)));
    assert_ne!(before.revision, after.revision);
}

#[test]
fn a_set_with_a_foreign_or_missing_shard_is_not_taken() {
    let old = split(&fleet(40)).unwrap();
    let mut changed = fleet(40);
    changed.routes[3].body_max = 11;
    let new = split(&changed).unwrap();
    let mixed = |name: &str| old.configs.get(name).or_else(|| new.secrets.get(name)).map(String::as_str);
    assert!(matches!(assemble(&new.index(2), mixed), Err(AssembleError::Mismatch { .. })));
    let without = |name: &str| texts(&new)(name).filter(|_| name != "relay-secrets-3");
    assert_eq!(assemble(&new.index(2), without), Err(AssembleError::Missing { name: "relay-secrets-3".into() }));
}

#[test]
fn a_set_for_newer_readers_is_not_taken() {
    let mut index = split(&fleet(1)).unwrap().index(1);
    index.min_reader = FORMAT + 1;
    let text = serde_json::to_string(&index).unwrap();
    assert_eq!(Index::parse(&text), Err(AssembleError::TooNew { needed: FORMAT + 1 }));
}

#[test]
fn unknown_fields_are_ignored() {
    let text = r#"{"format":9,"minReader":1,"sequence":3,"revision":"r","shards":{},"later":true}"#;
    assert_eq!(Index::parse(text).unwrap().sequence, 3);
}

#[test]
fn a_parse_error_quotes_nothing_of_the_text() {
    let index = Index {
        shards: [("relay-secrets-0".into(), shards::sha256_hex(b"\"sk-canary\""))].into(),
        ..split(&fleet(0)).unwrap().index(1)
    };
    let error = assemble(&index, |_| Some("\"sk-canary\"")).unwrap_err().to_string();
    assert!(error.contains("relay-secrets-0") && !error.contains("canary"), "{error}");
}

#[test]
fn a_route_whose_secret_did_not_come_is_not_ready() {
    let snapshot = Snapshot { routes: vec![Route { ready: true, ..route("a", "r", None) }], tenants: vec![] };
    let shards = split(&snapshot).unwrap();
    assert!(!assemble(&shards.index(1), texts(&shards)).unwrap().routes[0].ready);
}

#[test]
fn a_digest_changes_with_the_secret_alone() {
    let one = shards::digest_of_route(&route("a", "r", Some("one")));
    assert_ne!(one, shards::digest_of_route(&route("a", "r", Some("two"))));
    assert_eq!(one, shards::digest_of_route(&route("a", "r", Some("one"))));
}
