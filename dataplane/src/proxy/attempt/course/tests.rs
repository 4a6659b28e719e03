use super::Course;
use crate::exchange::Exchange;
use crate::metrics::Metrics;
use crate::table::{RouteEntry, Table};
use http::Method;
use relay_snapshot::{Backend, Limits, ObjectId, Policy, Provider, Route, Snapshot, Timeouts};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, advance};

const BOUND: Duration = Duration::from_mins(1);

/// A route of two backends, the first preferred.
fn route() -> Arc<RouteEntry> {
    let backend =
        |name: &str, priority| Backend { priority, ..Backend::new(name, Provider::OpenAI, format!("http://{name}")) };
    let route = Route {
        id: ObjectId::new("team", "r"),
        created: 0,
        tenants: Vec::new(),
        matches: Vec::new(),
        backends: vec![backend("first", 0), backend("second", 1)],
        timeouts: Timeouts::default(),
        body_max: 1000,
        policy: Policy::default(),
        limits: Limits::default(),
        ready: true,
    };
    Arc::clone(&Table::new(&Snapshot { routes: vec![route], tenants: Vec::new() }, "r").routes()[0])
}

/// Which of both is well behind requests that ran into the bound, where the second was asked `late` behind the first.
async fn well_behind_silence(late: Duration) -> (bool, bool) {
    let route = route();
    let metrics = Arc::new(Metrics::new().unwrap());
    for _ in 0..5 {
        let mut exchange = Exchange::begin(Arc::clone(&metrics), "id".to_owned(), Method::POST, "/".to_owned());
        let mut course = Course::begin(&route);
        course.goes_to(route.balance().pick(&[], Instant::now()).unwrap(), &mut exchange);
        advance(late).await;
        course.goes_to(route.balance().pick_other(course.asked(), Instant::now()).unwrap(), &mut exchange);
        advance(BOUND.saturating_sub(late)).await;
        course.report_silent(BOUND);
    }
    (route.balance().is_well(0), route.balance().is_well(1))
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_was_asked_a_moment_ago_is_not_ill_for_the_silence_of_another() {
    assert_eq!(well_behind_silence(Duration::from_secs(59)).await, (false, true));
    assert_eq!(well_behind_silence(BOUND / 2 + Duration::from_millis(1)).await, (false, true));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_had_half_of_the_time_is_ill_too() {
    assert_eq!(well_behind_silence(BOUND / 2).await, (false, false));
    assert_eq!(well_behind_silence(Duration::from_secs(2)).await, (false, false));
}
