use super::*;
use std::sync::Arc;
use tokio::time::sleep;

/// Waits for a burst that changes every `every`, `times` times; gives the time from the first change to the reaction.
async fn reaction(every: Duration, times: u32) -> Duration {
    let changes = Arc::new(Notify::new());
    let burst = Arc::clone(&changes);
    tokio::spawn(async move {
        for _ in 0..times {
            burst.notify_one();
            sleep(every).await;
        }
    });
    let start = Instant::now();
    settle(&changes).await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_single_change_waits_for_quiet_alone() {
    assert_eq!(reaction(Duration::from_secs(1), 1).await, QUIET);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_reaction() {
    assert_eq!(reaction(Duration::from_millis(3), 5).await, Duration::from_millis(4 * 3) + QUIET);
}

#[tokio::test(start_paused = true)]
async fn an_endless_burst_is_cut() {
    let taken = reaction(Duration::from_millis(2), 1000).await;
    assert!(taken >= LONGEST && taken <= LONGEST + Duration::from_millis(2), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_before_the_wait_counts() {
    let changes = Notify::new();
    changes.notify_one();
    settle(&changes).await;
}
