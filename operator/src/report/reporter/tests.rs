use super::*;
use crate::history::{History, Standing, digests};
use crate::programmed::{Ack, Acks, Serving};
use crate::sharing::{APPEARS, Apart};
use crate::stores::ProxyPod;
use relay_compile::Summary;
use relay_snapshot::{ObjectId, Snapshot, Tenant};

fn key() -> ObjectKey {
    ObjectKey { kind: Kind::Tenant, id: ObjectId::new("ns", "a") }
}

fn verdict(generation: i64) -> Verdict {
    let summary = Summary::Tenant { routes: 0, keys: vec![], limited: None };
    Verdict { generation: Some(generation), accepted: Ok(()), resolved_refs: Ok(()), summary }
}

fn history() -> History {
    let tenant = Tenant::new(key().id);
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
    Sight { desired: Arc::new(desired), fleet, settling, sharing: Told::Shared }
}

fn standing() -> Standing {
    history().newest().unwrap().object(&key()).unwrap().clone()
}

fn says(generation: i64, serving: u32, ready: u32, settling: bool) -> Status {
    let (verdict, standing) = (verdict(generation), standing());
    let serving = Serving { ready, serving };
    let (standing, sharing) = (Some(&standing), &Told::Shared);
    status(&Facts { verdict: &verdict, standing, serving, settling, trouble: None, sharing }, None, &now())
}

fn found(generation: i64, previous: Option<Status>) -> Found {
    Found { uid: "u".into(), generation: Some(generation), previous, lost: None }
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

#[tokio::test(start_paused = true)]
async fn a_status_that_another_wrote_over_is_put_right_after_a_while_and_news_at_once() {
    let own = says(1, 1, 1, false);
    let at = Instant::now();
    let mut found = found(1, Some(says(1, 0, 3, false)));
    found.lost = Some((own.clone(), at));
    // The other's conditions differ, so that the own ones get a new time.
    let Status::Tenant(mut again) = own.clone() else { panic!() };
    again.conditions[2].last_transition_time = Time(Timestamp::UNIX_EPOCH);
    let again = Status::Tenant(again);
    assert_ne!(again, own);
    assert_eq!(found.held_until(&again), Some(at + REPAIR_EVERY));
    assert_eq!(found.held_until(&says(1, 1, 2, false)), None, "another count is news");
    assert_eq!(found.held_until(&says(2, 1, 1, false)), None, "another generation is news");
    tokio::time::advance(REPAIR_EVERY).await;
    assert_eq!(found.held_until(&again), None);
}

#[tokio::test(start_paused = true)]
async fn only_a_foreign_status_above_the_own_one_counts_as_written_over() {
    let reporter = reporter();
    let (ours, theirs) = (says(1, 1, 1, false), says(1, 0, 3, false));
    let own = Own { uid: "u".into(), version: 5, status: ours.clone(), at: Instant::now() };
    reporter.own().insert(key(), own);
    let lost = |version: u64, uid: &str, stored: &Status| {
        let watched = watched(version, uid);
        reporter.found(&key(), &watched, |_| Some(stored.clone())).lost.is_some()
    };
    assert!(lost(6, "u", &theirs));
    assert!(!lost(6, "u", &ours), "a change of something else");
    assert!(!lost(4, "u", &theirs), "what was there before the own write");
    assert!(!lost(6, "v", &theirs), "another object of the name");
}

/// The world with so many proxies, the first of which were asked and say so of the limits.
fn sight_of(proxies: usize, said: &[Option<&str>]) -> Sight {
    let name = |number: usize| format!("p{number}");
    let pod = |number| ProxyPod { uid: name(number), name: name(number), ip: None, ready: true, terminating: false };
    let pods: Vec<ProxyPod> = (0..proxies).map(pod).collect();
    let ack = |apart: Option<&str>| Some(Ack { revision: "r1".into(), apart: apart.map(str::to_owned) });
    let acks = said.iter().enumerate().map(|(number, said)| (name(number), ack(*said)));
    Sight { fleet: Fleet::new(&pods, &acks.collect(), &history()), ..sight(true, false) }
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_the_shared_limits_is_told_after_a_while_and_looked_at_by_then() {
    let reporter = reporter();
    let mut unasked = sight_of(2, &[Some("away")]);
    assert_eq!(reporter.share(&mut unasked), None);
    assert_eq!(unasked.sharing, Told::Shared, "as the look found it");
    assert_eq!(*reporter.sharing().told(), Told::Before);
    let mut fine = sight_of(2, &[None, None]);
    assert_eq!(reporter.share(&mut fine), None);
    let mut lost = sight_of(2, &[Some("away"), None]);
    let due = reporter.share(&mut lost).unwrap();
    assert_eq!((due - Instant::now(), &lost.sharing), (APPEARS, &Told::Shared));
    tokio::time::advance(APPEARS).await;
    assert_eq!(reporter.share(&mut lost), None);
    assert_eq!(lost.sharing, Told::Apart(Apart { count: 1, ready: 2, reason: "away".into() }));
    assert_eq!(reporter.look(Arc::clone(&lost.desired)).sharing, lost.sharing, "writes say what the pass said");
}

fn watched(version: u64, uid: &str) -> Watched<RelayTenant> {
    use crate::stores::Mirrored;
    let tenant = serde_json::json!({
        "apiVersion": "stream-relay.dev/v1alpha1", "kind": "RelayTenant", "spec": {"apiKeys": []},
        "metadata": {"namespace": "ns", "name": "a", "uid": uid, "generation": 1, "resourceVersion": version.to_string()},
    });
    Watched::mirror(serde_json::from_value(tenant).unwrap())
}

fn reporter() -> Reporter {
    Reporter::new(Client::new(Nobody, "ns"), Arc::new(Stores::new(0)), Arc::default(), Metrics::new().unwrap())
}

/// An API server that is not asked.
#[derive(Clone)]
struct Nobody;

impl tower_service::Service<http::Request<kube::client::Body>> for Nobody {
    type Response = http::Response<http_body_util::Empty<bytes::Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Pending
    }

    fn call(&mut self, _: http::Request<kube::client::Body>) -> Self::Future {
        std::future::pending()
    }
}
