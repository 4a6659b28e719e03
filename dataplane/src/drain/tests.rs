use crate::drain::Cut;
use futures::FutureExt;
use futures::task::noop_waker_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn everybody_who_watches_is_woken_once() {
    let cut = Cut::default();
    let mut watches: Vec<_> = (0..3).map(|_| (cut.watch(), counted())).collect();
    for (watch, (_, waker)) in &mut watches {
        assert!(!watch.has_begun(&Context::from_waker(waker), false));
    }
    cut.clone().cancel();
    cut.cancel();
    for (watch, (count, waker)) in &mut watches {
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(watch.has_begun(&Context::from_waker(waker), true));
    }
}

#[test]
fn the_last_waker_counts_and_a_dropped_watch_is_not_woken() {
    let cut = Cut::default();
    let ((old, old_waker), (new, new_waker), (gone, gone_waker)) = (counted(), counted(), counted());
    let mut watch = cut.watch();
    watch.has_begun(&Context::from_waker(&old_waker), false);
    watch.has_begun(&Context::from_waker(&new_waker), false);
    let mut dropped = cut.watch();
    dropped.has_begun(&Context::from_waker(&gone_waker), false);
    drop(dropped);
    cut.cancel();
    let woken = [old, new, gone].map(|count| count.0.load(Ordering::SeqCst));
    assert_eq!(woken, [0, 1, 0]);
}

#[test]
fn a_watch_that_comes_too_late_sees_it_and_takes_no_place() {
    let cut = Cut::default();
    cut.cancel();
    assert!(cut.watch().has_begun(&Context::from_waker(noop_waker_ref()), false));
    assert!(cut.cancelled().now_or_never().is_some());
    assert_eq!(cut.0.with(|watchers| watchers.seats.len()), 0);
}

#[test]
fn places_are_given_to_the_next() {
    let cut = Cut::default();
    for _ in 0..100 {
        let (mut one, mut two) = (cut.watch(), cut.watch());
        one.has_begun(&Context::from_waker(noop_waker_ref()), false);
        two.has_begun(&Context::from_waker(noop_waker_ref()), false);
    }
    assert_eq!(cut.0.with(|watchers| (watchers.seats.len(), watchers.free.len())), (2, 2));
}

#[tokio::test]
async fn waiting_ends_when_it_begins() {
    let cut = Cut::default();
    let waiting = tokio::spawn({
        let cut = cut.clone();
        async move { cut.cancelled().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    cut.cancel();
    waiting.await.expect("it ends");
}
