use super::*;

#[test]
fn a_denial_is_believed_only_when_it_lasts() {
    let start = Instant::now();
    let mut denials = Denials::default();
    assert!(!denials.lasts(start));
    assert!(!denials.lasts(start + DENIED_AFTER / 2));
    assert!(denials.lasts(start + DENIED_AFTER));
}

#[test]
fn a_success_between_two_denials_starts_anew() {
    let start = Instant::now();
    let mut denials = Denials::default();
    denials.lasts(start);
    assert!(denials.end());
    assert!(!denials.end());
    assert!(!denials.lasts(start + DENIED_AFTER));
}

#[test]
fn pauses_double_to_their_bound() {
    let pauses: Vec<u128> = Pauses(PAUSES.0).take(7).map(|pause| pause.as_millis()).collect();
    assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000]);
}

#[test]
fn only_a_403_is_a_denial() {
    let api = |code, reason| kube::Error::Api(kube::error::Status::failure("no", reason).with_code(code).boxed());
    assert!(forbidden(&watcher::Error::InitialListFailed(api(403, "Forbidden"))));
    assert!(forbidden(&watcher::Error::WatchStartFailed(api(403, "Forbidden"))));
    assert!(!forbidden(&watcher::Error::InitialListFailed(api(404, "NotFound"))));
    assert!(!forbidden(&watcher::Error::NoResourceVersion));
}
