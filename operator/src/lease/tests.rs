use super::*;

const T0: Timestamp = Timestamp::constant(1_700_000_000, 0);

fn lease(holder: &str, version: &str) -> Lease {
    let seen = |spec| Lease {
        metadata: ObjectMeta {
            name: Some("relay-operator".into()),
            resource_version: Some(version.into()),
            ..Default::default()
        },
        spec: Some(spec),
    };
    seen(LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_transitions: Some(3),
        acquire_time: Some(MicroTime(T0)),
        ..Default::default()
    })
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn creates_what_is_not_there() {
    assert_eq!(decide("a", None, Instant::now(), &TIMING), Decision::Create);
    let made = held("a", "relay-operator", None, T0, &TIMING);
    let spec = made.spec.unwrap();
    assert_eq!(made.metadata.name.as_deref(), Some("relay-operator"));
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(0)));
}

#[test]
fn waits_while_another_holds_it_and_takes_it_when_it_stood_still_for_its_duration() {
    let start = Instant::now();
    let seen = Seen { lease: lease("b", "7"), since: start };
    assert_eq!(decide("a", Some(&seen), after(start, 14), &TIMING), Decision::Wait);
    assert_eq!(decide("a", Some(&seen), after(start, 15), &TIMING), Decision::Take);
}

#[test]
fn a_renewal_by_the_other_starts_the_wait_anew() {
    let start = Instant::now();
    let seen = Seen::next(None, lease("b", "7"), start);
    let same = Seen::next(Some(seen), lease("b", "7"), after(start, 10));
    assert_eq!(same.since, start);
    let renewed = Seen::next(Some(same), lease("b", "8"), after(start, 10));
    assert_eq!(decide("a", Some(&renewed), after(start, 20), &TIMING), Decision::Wait);
    assert_eq!(decide("a", Some(&renewed), after(start, 25), &TIMING), Decision::Take);
}

#[test]
fn takes_a_released_lease_at_once() {
    let start = Instant::now();
    let free = released(&lease("b", "7"), T0);
    assert_eq!(free.metadata.resource_version.as_deref(), Some("7"), "releasing must not overwrite a newer holder");
    let seen = Seen { lease: free, since: start };
    assert_eq!(decide("a", Some(&seen), start, &TIMING), Decision::Take);
}

#[test]
fn a_restarted_container_renews_its_own() {
    let start = Instant::now();
    let seen = Seen { lease: lease("a", "7"), since: start };
    assert_eq!(decide("a", Some(&seen), start, &TIMING), Decision::Renew);
}

#[test]
fn taking_counts_a_transition_and_renewing_does_not() {
    let later = T0 + Duration::from_mins(1);
    let seen = Seen { lease: lease("b", "7"), since: Instant::now() };
    let taken = held("a", "relay-operator", Some(&seen), later, &TIMING);
    assert_eq!(taken.metadata.resource_version.as_deref(), Some("7"), "another may be faster");
    let spec = taken.spec.clone().unwrap();
    assert_eq!((spec.lease_transitions, spec.acquire_time), (Some(4), Some(MicroTime(later))));

    let seen = Seen { lease: taken, since: Instant::now() };
    let renewed = held("a", "relay-operator", Some(&seen), later + Duration::from_secs(2), &TIMING).spec.unwrap();
    assert_eq!((renewed.lease_transitions, renewed.acquire_time), (Some(4), Some(MicroTime(later))));
    assert_eq!(renewed.renew_time, Some(MicroTime(later + Duration::from_secs(2))));
}
