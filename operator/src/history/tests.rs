use super::*;
use relay_snapshot::{Limits, ObjectId, Policy, Route, Tenant, Timeouts};

fn key(name: &str) -> ObjectKey {
    ObjectKey { kind: Kind::Route, id: ObjectId::new("ns", name) }
}

fn set(objects: &[(&str, u64)]) -> Digests {
    objects.iter().map(|(name, digest)| (key(name), Digest(*digest))).collect()
}

fn since(history: &History, name: &str) -> String {
    history.newest().unwrap().object(&key(name)).unwrap().since.to_string()
}

#[test]
fn an_untouched_object_keeps_the_revision_of_its_own_last_change() {
    let mut history = History::default();
    history.push("r1", set(&[("a", 1), ("b", 1)]));
    history.push("r2", set(&[("a", 1), ("b", 2)]));
    history.push("r3", set(&[("a", 1), ("b", 2), ("c", 1)]));
    assert_eq!(since(&history, "a"), "r1");
    assert_eq!(since(&history, "b"), "r2");
    assert_eq!(since(&history, "c"), "r3");
}

#[test]
fn an_object_that_went_and_came_back_has_changed() {
    let mut history = History::default();
    history.push("r1", set(&[("a", 1)]));
    history.push("r2", set(&[]));
    history.push("r3", set(&[("a", 1), ("b", 1)]));
    assert_eq!(since(&history, "a"), "r3");
}

#[test]
fn an_older_revision_knows_how_objects_stood_in_it() {
    let mut history = History::default();
    history.push("r1", set(&[("a", 1)]));
    history.push("r2", set(&[("a", 2)]));
    assert_eq!(history.of("r1").unwrap().object(&key("a")).unwrap().digest, Digest(1));
    assert_eq!(history.of("r2").unwrap().object(&key("a")).unwrap().digest, Digest(2));
    assert!(history.of("r2").unwrap().object(&key("b")).is_none());
    assert!(history.of("").is_none());
}

#[test]
fn a_set_that_comes_again_is_the_newest_and_stands_once() {
    let mut history = History::default();
    for revision in ["r1", "r2", "r1"] {
        history.push(revision, set(&[("a", u64::from(revision == "r1"))]));
    }
    assert_eq!(&*history.newest().unwrap().revision, "r1");
    assert_eq!(history.0.len(), 2);
    assert_eq!(since(&history, "a"), "r1");
}

fn pushed(history: &mut History, numbers: std::ops::Range<usize>, objects: usize) {
    for number in numbers {
        let all = (0..objects).map(|object| (key(&object.to_string()), Digest(number as u64))).collect();
        history.push(&format!("r{number}"), all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_forgotten_when_there_are_enough_later_ones_and_it_is_long_out_of_use() {
    let mut history = History::default();
    pushed(&mut history, 0..1, 1);
    tokio::time::advance(REMEMBERED * 2).await;
    pushed(&mut history, 1..REVISIONS + 10, 1);
    assert!(history.of("r0").is_some(), "it was the newest a moment ago");
    tokio::time::advance(REMEMBERED).await;
    pushed(&mut history, REVISIONS + 10..REVISIONS + 11, 1);
    assert_eq!(history.0.len(), REVISIONS);
    assert!(history.of("r10").is_none());
    assert!(history.of("r11").is_some());
}

#[tokio::test(start_paused = true)]
async fn revisions_that_few_followed_are_kept_however_old_they_are() {
    let mut history = History::default();
    pushed(&mut history, 0..1, 1);
    tokio::time::advance(REMEMBERED * 100).await;
    pushed(&mut history, 1..REVISIONS, 1);
    assert!(history.of("r0").is_some());
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_all_the_time_do_not_fill_the_memory() {
    let mut history = History::default();
    pushed(&mut history, 0..REVISIONS_MAX + 5, 1);
    assert_eq!(history.0.len(), REVISIONS_MAX);
    let mut history = History::default();
    let large = OBJECTS_MAX / 100;
    pushed(&mut history, 0..110, large);
    assert_eq!(history.0.len(), 100);
    assert!(history.of("r9").is_none() && history.of("r10").is_some());
}

#[test]
fn a_seed_keeps_what_the_statuses_say_about_untouched_objects() {
    let known = |key: &ObjectKey| (key.id.name == "a").then(|| "r0".to_owned());
    let mut history = History::seeded("r5", set(&[("a", 1), ("b", 1)]), known);
    assert_eq!((since(&history, "a"), since(&history, "b")), ("r0".into(), "r5".into()));
    history.push("r6", set(&[("a", 1), ("b", 2)]));
    assert_eq!((since(&history, "a"), since(&history, "b")), ("r0".into(), "r6".into()));
}

#[test]
fn digests_differ_by_what_is_secret_too() {
    let route = relay_snapshot::Route {
        id: ObjectId::new("ns", "a"),
        created: 0,
        tenants: vec![],
        matches: vec![],
        backends: vec![relay_snapshot::Backend {
            credential: Some(relay_snapshot::Credential {
                header: "authorization".into(),
                scheme: None,
                secret: Some(relay_snapshot::SecretText::new("one")),
            }),
            ..relay_snapshot::Backend::new("b", relay_snapshot::Provider::OpenAI, "https://h")
        }],
        timeouts: relay_snapshot::Timeouts { first_byte_ms: 1, idle_ms: 1, ..Default::default() },
        body_max: 1,
        policy: relay_snapshot::Policy::default(),
        limits: relay_snapshot::Limits::default(),
        ready: true,
    };
    let mut rotated = route.clone();
    rotated.backends[0].credential.as_mut().unwrap().secret = Some(relay_snapshot::SecretText::new("two"));
    let of = |route| digests(&Snapshot { routes: vec![route], tenants: vec![] });
    assert_eq!(of(route.clone()), of(route.clone()));
    assert_ne!(of(route), of(rotated));
}

#[test]
fn a_set_that_can_not_be_written_is_wanted_and_leaves_no_trace() {
    let mut history = History::default();
    history.push("r1", set(&[("a", 1), ("b", 1)]));
    history.push_unwritten(set(&[("a", 2), ("b", 1)]));
    history.push_unwritten(set(&[("a", 3), ("b", 1)]));
    assert_eq!(history.newest().unwrap().object(&key("a")).unwrap().digest, Digest(3));
    assert_eq!(since(&history, "b"), "r1");
    assert!(history.of(UNWRITTEN).is_none(), "no proxy can serve it");
    history.push("r2", set(&[("a", 3), ("b", 1)]));
    assert_eq!((since(&history, "a"), since(&history, "b")), ("r2".into(), "r1".into()));
    assert_eq!(history.0.len(), 2);
}

#[test]
fn a_tenant_has_changed_where_other_routes_serve_it() {
    let (team, other) = (ObjectId::new("ns", "team"), ObjectId::new("ns", "other"));
    let snapshot = |served: &[&ObjectId]| {
        let route = Route { tenants: served.iter().map(|id| (*id).clone()).collect(), ..route("chat") };
        Snapshot { routes: vec![route], tenants: vec![Tenant::new(other.clone()), Tenant::new(team.clone())] }
    };
    let tenant = |id: &ObjectId| ObjectKey { kind: Kind::Tenant, id: id.clone() };
    let (one, both) = (digests(&snapshot(&[&other])), digests(&snapshot(&[&other, &team])));
    assert_ne!(one[&tenant(&team)], both[&tenant(&team)]);
    assert_eq!(one[&tenant(&other)], both[&tenant(&other)]);
    assert_eq!(both, digests(&snapshot(&[&other, &team])));
}

fn route(name: &str) -> Route {
    Route {
        id: ObjectId::new("ns", name),
        created: 0,
        tenants: Vec::new(),
        matches: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        body_max: 1,
        policy: Policy::default(),
        limits: Limits::default(),
        ready: true,
    }
}
