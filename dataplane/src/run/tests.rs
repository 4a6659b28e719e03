use super::Signals;
use rustix::process::{Signal, getpid, kill_process};

#[tokio::test]
async fn a_signal_that_comes_before_anybody_waits_is_not_lost() {
    let mut signals = Signals::new().unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(signals.next().await, "SIGTERM");
    kill_process(getpid(), Signal::INT).unwrap();
    assert_eq!(signals.next().await, "SIGINT");
}
