use crate::upstream::gate::Gate;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A gate, the waker that goes through it, and the task's waker with its count.
fn gate() -> (Arc<Gate>, Waker, Waker, Arc<Count>) {
    let (gate, count) = (Arc::new(Gate::default()), Arc::new(Count::default()));
    let (through, task) = (Waker::from(Arc::clone(&gate)), Waker::from(Arc::clone(&count)));
    (gate, through, task, count)
}

fn woken(count: &Count) -> usize {
    count.0.load(Ordering::SeqCst)
}

#[test]
fn a_wake_between_polls_goes_to_the_task_once_and_is_noted() {
    let (gate, through, task, count) = gate();
    assert!(!gate.mute(&task));
    assert!(gate.try_unmute());
    through.wake_by_ref();
    through.wake_by_ref();
    assert_eq!(woken(&count), 1);
    assert!(gate.mute(&task), "woken since the last poll");
    assert!(gate.try_unmute());
    assert!(!gate.mute(&task), "and known by now");
}

#[test]
fn a_wake_during_a_poll_stays_with_the_poller() {
    let (gate, through, task, count) = gate();
    gate.mute(&task);
    assert!(!gate.take_hit());
    through.wake_by_ref();
    assert!(!gate.try_unmute(), "the poller may not sleep on it");
    assert!(gate.take_hit());
    assert!(!gate.take_hit());
    assert!(gate.try_unmute());
    assert_eq!(woken(&count), 0);
}

#[test]
fn unmuting_for_good_tells_of_a_wake() {
    let (gate, through, task, count) = gate();
    gate.mute(&task);
    through.wake_by_ref();
    assert!(gate.unmute());
    assert!(!gate.mute(&task), "told once");
    assert!(!gate.unmute());
    assert_eq!(woken(&count), 0);
}

#[test]
fn wakes_go_to_the_task_that_polled_last() {
    let (gate, through, task, first) = gate();
    gate.mute(&task);
    gate.unmute();
    let second = Arc::new(Count::default());
    gate.mute(&Waker::from(Arc::clone(&second)));
    gate.unmute();
    through.wake();
    assert_eq!((woken(&first), woken(&second)), (0, 1));
}

#[test]
fn a_connection_at_rest_keeps_no_task() {
    let (gate, through, task, count) = gate();
    gate.mute(&task);
    gate.unmute();
    drop(task);
    assert_eq!(Arc::strong_count(&count), 2);
    gate.forget();
    assert_eq!(Arc::strong_count(&count), 1);
    through.wake();
    assert!(gate.mute(Waker::noop()), "what came meanwhile is noted");
}

/// The sleeper polls whenever it was woken; the waker of the other thread must not get lost, or this never ends.
#[test]
fn no_wake_is_lost_between_threads() {
    const ROUNDS: usize = 20_000;
    let gate = Arc::new(Gate::default());
    let (sent, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let waking = {
        let (through, sent, done) = (Waker::from(Arc::clone(&gate)), Arc::clone(&sent), Arc::clone(&done));
        std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                sent.store(round, Ordering::Release);
                through.wake_by_ref();
                while done.load(Ordering::Acquire) < round {
                    std::thread::yield_now();
                }
            }
        })
    };
    let mut seen = 0;
    let sleep = std::future::poll_fn(|cx| {
        let mut due = gate.mute(cx.waker());
        loop {
            if due {
                seen = sent.load(Ordering::Acquire);
                done.store(seen, Ordering::Release);
            }
            if seen == ROUNDS {
                gate.unmute();
                return std::task::Poll::Ready(());
            }
            due = gate.take_hit();
            if !due && gate.try_unmute() {
                return std::task::Poll::Pending;
            }
        }
    });
    futures::executor::block_on(sleep);
    waking.join().unwrap();
}
