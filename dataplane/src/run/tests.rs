use super::{Signals, StartError, drain_on_signal};
use crate::drain::Drain;
use crate::limits::Limiter;
use rustix::process::{Signal, getpid, kill_process};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_signal_that_comes_before_anybody_waits_is_not_lost() {
    let mut signals = Signals::new().unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(signals.next().await, "SIGTERM");
    kill_process(getpid(), Signal::INT).unwrap();
    assert_eq!(signals.next().await, "SIGINT");
}

#[tokio::test]
async fn a_panic_where_connections_are_accepted_ends_the_program_with_an_error() {
    let accepting = tokio::spawn(async { panic!("as a test does") });
    let hour = Duration::from_hours(1);
    let (drain, limiter) = (Drain::default(), Limiter::memory());
    let ended = drain_on_signal(Signals::new().unwrap(), &drain, hour, hour, accepting, &limiter);
    let ended = timeout(Duration::from_secs(10), ended).await.expect("at once");
    assert!(matches!(ended, Err(StartError::Accepting)), "{ended:?}");
}
