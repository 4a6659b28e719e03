use super::*;
use crate::history::{Digests, digests};
use proptest::prelude::*;
use relay_compile::Kind;
use relay_snapshot::{ObjectId, Snapshot, Tenant};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn key(name: &str) -> ObjectKey {
    ObjectKey { kind: Kind::Tenant, id: ObjectId::new("ns", name) }
}

/// Digests of tenants that differ by `forms`.
fn set(forms: &[(&str, u32)]) -> Digests {
    let tenant = |(name, form): &(&str, u32)| Tenant {
        limits: relay_snapshot::Limits { streams: Some(*form), ..Default::default() },
        ..Tenant::new(ObjectId::new("ns", *name))
    };
    digests(&Snapshot { routes: vec![], tenants: forms.iter().map(tenant).collect() })
}

fn pod(uid: &str, ready: bool) -> ProxyPod {
    ProxyPod { uid: uid.into(), name: uid.into(), ip: None, ready, terminating: false }
}

fn ack(revision: &str) -> Ack {
    Ack { revision: revision.to_owned(), apart: None }
}

fn acks(of: &[(&str, Option<&str>)]) -> Acks {
    of.iter().map(|(uid, revision)| ((*uid).to_owned(), revision.map(ack))).collect()
}

fn history() -> History {
    let mut history = History::default();
    history.push("r1", set(&[("a", 1), ("b", 1)]));
    history.push("r2", set(&[("a", 1), ("b", 2)]));
    history
}

fn serving(pods: &[ProxyPod], acks: &Acks, name: &str) -> Serving {
    let history = history();
    let digest = history.newest().unwrap().object(&key(name)).unwrap().digest;
    Fleet::new(pods, acks, &history).serving(&key(name), digest)
}

#[test]
fn a_proxy_at_an_older_revision_serves_what_did_not_change_since() {
    let pods = [pod("p", true), pod("q", true)];
    let acks = acks(&[("p", Some("r2")), ("q", Some("r1"))]);
    assert!(serving(&pods, &acks, "a").everywhere());
    let b = serving(&pods, &acks, "b");
    assert_eq!((b.serving, b.ready, b.everywhere()), (1, 2, false));
}

#[test]
fn without_a_ready_proxy_nothing_is_served_everywhere() {
    let acks = acks(&[("p", Some("r2"))]);
    assert!(!serving(&[], &acks, "a").everywhere());
    assert!(!serving(&[pod("p", false)], &acks, "a").everywhere());
}

#[test]
fn a_ready_proxy_that_said_nothing_does_not_serve() {
    let pods = [pod("p", true), pod("q", true)];
    for silent in [acks(&[("p", Some("r2"))]), acks(&[("p", Some("r2")), ("q", None)])] {
        assert_eq!(serving(&pods, &silent, "a"), Serving { ready: 2, serving: 1 });
    }
}

#[test]
fn an_unknown_or_empty_revision_is_none() {
    let pods = [pod("p", true)];
    for revision in ["", "r0", "unwritten"] {
        assert_eq!(serving(&pods, &acks(&[("p", Some(revision))]), "a").serving, 0, "{revision}");
    }
}

#[test]
fn a_pod_that_is_not_ready_does_not_count() {
    let pods = [pod("p", true), pod("q", false)];
    assert!(serving(&pods, &acks(&[("p", Some("r2"))]), "b").everywhere());
}

#[test]
fn silence_of_a_proxy_that_was_not_asked_is_told_apart() {
    let fleet = |acks: &Acks| Fleet::new(&[pod("p", true), pod("q", false)], acks, &history());
    assert!(!fleet(&acks(&[])).asked());
    assert!(fleet(&acks(&[("p", None)])).asked());
    assert!(fleet(&acks(&[("p", Some("r1"))])).asked());
}

#[test]
fn proxies_that_do_not_share_the_limits_are_counted_among_the_ready() {
    let alone = |reason: &str| Some(Ack { apart: Some(reason.to_owned()), ..ack("r2") });
    let said = Acks::from([
        ("p".to_owned(), alone("Redis is away")),
        ("q".to_owned(), Some(ack("r2"))),
        ("r".to_owned(), None),
        ("s".to_owned(), alone("Redis is away")),
    ]);
    let pods = [pod("p", true), pod("q", true), pod("r", true), pod("s", false), pod("t", true)];
    let fleet = Fleet::new(&pods, &said, &history());
    assert_eq!(fleet.apart(), Some(&Apart { count: 1, ready: 4, reason: "Redis is away".to_owned() }));
    assert_eq!(Fleet::new(&pods[1..], &said, &history()).apart(), None);
}

#[test]
fn all_are_at_a_revision_when_each_of_them_says_so() {
    let pods = [pod("p", true), pod("q", true)];
    let at = |acks: &Acks| Fleet::new(&pods, acks, &history()).all_at("r2");
    assert!(at(&acks(&[("p", Some("r2")), ("q", Some("r2"))])));
    assert!(!at(&acks(&[("p", Some("r2")), ("q", Some("r1"))])));
    assert!(!at(&acks(&[("p", Some("r2"))])));
    assert!(!Fleet::default().all_at("r2"));
}

proptest! {
    /// The promise of `Programmed=True`, against a model that knows what each proxy really serves.
    #[test]
    fn never_everywhere_while_a_ready_proxy_serves_another_form(
        sets in prop::collection::vec(prop::array::uniform3(0..3_u32), 1..80),
        pods in prop::collection::vec((any::<bool>(), prop::option::of(0..80_usize)), 0..5),
    ) {
        let forms = |set: &[u32; 3]| NAMES.into_iter().zip(*set).collect::<Vec<_>>();
        let mut history = History::default();
        for (number, set_of) in sets.iter().enumerate() {
            history.push(&format!("r{number}"), set(&forms(set_of)));
        }
        let proxies: Vec<_> = (0..pods.len()).map(|number| pod(&number.to_string(), pods[number].0)).collect();
        let serves = |number: usize| pods[number].1.filter(|revision| *revision < sets.len());
        let acks: Acks =
            (0..pods.len()).filter_map(|n| Some((n.to_string(), Some(ack(&format!("r{}", serves(n)?)))))).collect();
        let fleet = Fleet::new(&proxies, &acks, &history);
        let wanted = sets.last().unwrap();
        for (at, name) in NAMES.into_iter().enumerate() {
            let digest = history.newest().unwrap().object(&key(name)).unwrap().digest;
            let truly = |n: usize| serves(n).is_some_and(|revision| sets[revision][at] == wanted[at]);
            let ready: Vec<usize> = (0..pods.len()).filter(|n| pods[*n].0).collect();
            let serving = fleet.serving(&key(name), digest);
            prop_assert_eq!(serving.ready as usize, ready.len());
            if serving.everywhere() {
                prop_assert!(!ready.is_empty() && ready.iter().all(|n| truly(*n)), "{name} is not served everywhere");
            }
            prop_assert_eq!(serving.serving as usize, ready.iter().filter(|n| truly(**n)).count());
        }
    }
}
