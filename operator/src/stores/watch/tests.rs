use super::*;
use http::{Request, Response};
use http_body_util::Full;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::client::Body;
use std::convert::Infallible;
use std::future::Ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// An API server with one Secret, which the operator may read or not.
#[derive(Clone, Default)]
struct Server {
    lists: Arc<AtomicBool>,
    watches: Arc<AtomicBool>,
}

impl tower_service::Service<Request<Body>> for Server {
    type Response = Response<Full<bytes::Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let allowed = if watch { &self.watches } else { &self.lists };
        let body = match (allowed.load(Ordering::SeqCst), watch) {
            (true, true) => String::new(),
            (true, false) => {
                let secret = serde_json::json!({"metadata": {"namespace": "ns", "name": "s", "resourceVersion": "1"}});
                serde_json::json!({"metadata": {"resourceVersion": "1"}, "items": [secret]}).to_string()
            }
            (false, _) => serde_json::json!({"status": "Failure", "reason": "Forbidden", "message": "no", "code": 403})
                .to_string(),
        };
        let status = if allowed.load(Ordering::SeqCst) { 200 } else { 403 };
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        std::future::ready(Ok(response))
    }
}

/// Follows the Secrets of `server`; gives the times and names of the lists that ended.
async fn lists(server: &Server, denied: Denied, until: usize, each: impl FnMut(usize)) -> Vec<(Duration, Vec<String>)> {
    measured(server, denied, until, &Metrics::new().unwrap(), each).await
}

async fn measured(
    server: &Server,
    denied: Denied,
    until: usize,
    metrics: &Metrics,
    mut each: impl FnMut(usize),
) -> Vec<(Duration, Vec<String>)> {
    let api: Api<Secret> = Api::all(kube::Client::new(server.clone(), "ns"));
    let (start, done) = (Instant::now(), tokio::sync::Notify::new());
    let (mut lists, mut names) = (Vec::new(), Vec::new());
    let handle = |event: Event<Secret>, _| match event {
        Event::Init => names.clear(),
        Event::InitApply(secret) => names.push(secret.name_any()),
        Event::InitDone => {
            lists.push((start.elapsed(), names.clone()));
            each(lists.len());
            if lists.len() == until {
                done.notify_one();
            }
        }
        Event::Apply(_) | Event::Delete(_) => {}
    };
    tokio::select! {
        () = follow(api, watcher::Config::default(), "secrets", denied, metrics, handle) => {}
        () = done.notified() => {}
    }
    lists
}

#[tokio::test(start_paused = true)]
async fn a_denial_from_the_start_is_an_empty_list_once_it_lasts() {
    let lists = lists(&Server::default(), Denied::Empty, 1, |_| {}).await;
    assert!(lists[0].0 >= DENIED_AFTER && lists[0].0 <= DENIED_AFTER + PAUSES.1 && lists[0].1.is_empty(), "{lists:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_denial_that_was_believed_everything_is_listed_again() {
    let server = Server::default();
    let grant = |list| server.lists.store(list == 1, Ordering::SeqCst);
    let lists = lists(&server, Denied::Empty, 2, grant).await;
    let names: Vec<_> = lists.into_iter().map(|(_, names)| names.join(",")).collect();
    assert_eq!(names, ["", "s"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_listed_is_kept_when_the_right_is_lost_and_a_metric_says_so() {
    for denied in [Denied::Empty, Denied::Wait] {
        let server = Server::default();
        server.lists.store(true, Ordering::SeqCst);
        let metrics = Metrics::new().unwrap();
        let stale = metrics.stale_watches.with_label_values(&["secrets"]);
        let mut at_lists = Vec::new();
        let revoke = |list| {
            server.lists.store(list == 2, Ordering::SeqCst);
            at_lists.push(stale.get());
        };
        let grant = async {
            tokio::time::sleep(DENIED_AFTER * 6).await;
            assert_eq!(stale.get(), 1, "{denied:?}");
            server.lists.store(true, Ordering::SeqCst);
        };
        let (lists, ()) = tokio::join!(measured(&server, denied, 2, &metrics, revoke), grant);
        assert!(lists[1].0 >= DENIED_AFTER * 6 && lists[1].1 == ["s"], "no empty list between the two: {lists:?}");
        assert_eq!(at_lists, [0, 0], "{denied:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_only_watching_is_denied_nothing_is_forgotten() {
    let server = Server::default();
    server.lists.store(true, Ordering::SeqCst);
    let lists = lists(&server, Denied::Empty, 4, |_| {}).await;
    assert!(lists.iter().all(|(_, names)| names == &["s"]), "{lists:?}");
    assert!(lists[3].0 >= DENIED_AFTER * 3, "{lists:?}");
}

#[tokio::test(start_paused = true)]
async fn where_everything_depends_on_it_a_denial_is_waited_out() {
    let waited = tokio::time::timeout(DENIED_AFTER * 6, lists(&Server::default(), Denied::Wait, 1, |_| {})).await;
    assert!(waited.is_err());
}

#[test]
fn a_denial_is_believed_only_when_it_lasts() {
    let start = Instant::now();
    let mut health = Health::default();
    assert!(!health.denied(start));
    assert!(!health.denied(start + DENIED_AFTER / 2));
    assert!(health.denied(start + DENIED_AFTER));
    assert!(health.believe());
    assert!(!health.believe());
}

#[test]
fn two_denials_days_apart_are_no_row() {
    let start = Instant::now();
    let mut health = Health::default();
    health.denied(start);
    assert!(!health.denied(start + Duration::from_hours(48)));
}

#[test]
fn a_success_between_two_denials_starts_anew() {
    let start = Instant::now();
    let mut health = Health::default();
    health.denied(start);
    health.denied(start + DENIED_AFTER / 2);
    health.good();
    assert!(!health.denied(start + DENIED_AFTER));
}

#[test]
fn failing_and_working_again_are_told_once() {
    let mut health = Health::default();
    assert!(!health.good());
    assert!(health.bad());
    assert!(!health.bad());
    assert!(health.good());
    assert!(!health.good());
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
