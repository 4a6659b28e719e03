use super::*;
use crate::history::{History, Standing, digests};
use crate::programmed::{Acks, Serving};
use crate::stores::ProxyPod;
use relay_compile::Summary;
use relay_snapshot::{ObjectId, Snapshot, Tenant};

fn key() -> ObjectKey {
    ObjectKey { kind: Kind::Tenant, id: ObjectId::new("ns", "a") }
}

fn verdict(generation: i64) -> Verdict {
    let summary = Summary::Tenant { routes: 0, keys: vec![] };
    Verdict { generation: Some(generation), accepted: Ok(()), resolved_refs: Ok(()), summary }
}

fn history() -> History {
    let tenant = Tenant { id: key().id, suspended: false, requests: None, keys: vec![] };
    History::seeded("r1", digests(&Snapshot { routes: vec![], tenants: vec![tenant] }), |_| None)
}

/// The world with one ready proxy that was asked, or not.
fn sight(asked: bool, settling: bool) -> Sight {
    let pod = ProxyPod { uid: "p".into(), name: "p".into(), ip: None, ready: true, terminating: false };
    let acks = if asked { Acks::from([("p".to_owned(), None)]) } else { Acks::new() };
    let history = history();
    let fleet = Fleet::new([&pod], &acks, &history);
    let desired =
        Desired { verdicts: Arc::default(), history, trouble: None, started: Instant::now(), measured: false };
    Sight { desired: Arc::new(desired), fleet, settling }
}

fn standing() -> Standing {
    history().newest().unwrap().object(&key()).unwrap().clone()
}

fn says(generation: i64, serving: u32, ready: u32, settling: bool) -> Status {
    let (verdict, standing) = (verdict(generation), standing());
    let serving = Serving { ready, serving };
    status(&Facts { verdict: &verdict, standing: Some(&standing), serving, settling, trouble: None }, None, &now())
}

fn found(generation: i64, previous: Option<Status>) -> Found {
    Found { uid: "u".into(), generation: Some(generation), previous }
}

#[test]
fn an_equal_status_is_not_written() {
    let found = found(1, Some(says(1, 1, 1, false)));
    let same = found.previous.clone().unwrap();
    assert!(!differs(&sight(true, false), &found, &verdict(1), &same));
}

#[test]
fn a_new_generation_is_told_as_pending_at_once() {
    let found = found(2, Some(says(1, 1, 1, false)));
    for asked in [true, false] {
        assert!(differs(&sight(asked, true), &found, &verdict(2), &says(2, 0, 1, true)));
    }
}

#[test]
fn a_generation_without_a_verdict_yet_is_left_alone() {
    let found = found(3, Some(says(1, 1, 1, false)));
    assert!(!differs(&sight(true, true), &found, &verdict(2), &says(2, 0, 1, true)));
}

#[test]
fn how_far_a_young_set_got_is_not_told_and_an_old_one_is() {
    let found = found(1, Some(says(1, 0, 3, true)));
    assert!(!differs(&sight(true, true), &found, &verdict(1), &says(1, 2, 3, true)));
    assert!(differs(&sight(true, false), &found, &verdict(1), &says(1, 2, 3, false)));
    assert!(
        differs(&sight(true, true), &found, &verdict(1), &says(1, 3, 3, true)),
        "served everywhere is told at once"
    );
}

#[test]
fn a_new_leader_takes_nothing_back_before_it_asked() {
    let found = found(1, Some(says(1, 1, 1, false)));
    for target in [says(1, 0, 1, true), says(1, 1, 2, false)] {
        assert!(!differs(&sight(false, false), &found, &verdict(1), &target));
        assert!(differs(&sight(true, false), &found, &verdict(1), &target));
    }
}

#[test]
fn a_first_status_is_written() {
    assert!(differs(&sight(false, true), &found(1, None), &verdict(1), &says(1, 0, 1, true)));
}
