//! Every interleaving of the gate's protocol, explored by loom.

/// Loom's parts, in the place of those that the gate is made of otherwise.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU8, Ordering};
    use std::task::Waker;

    #[derive(Default)]
    pub(super) struct AtomicWaker(loom::future::AtomicWaker);

    impl AtomicWaker {
        pub(super) fn register(&self, waker: &Waker) {
            self.0.register_by_ref(waker);
        }

        pub(super) fn wake(&self) {
            self.0.wake();
        }

        pub(super) fn take(&self) -> Option<Waker> {
            self.0.take_waker()
        }
    }
}

#[expect(clippy::duplicate_mod, reason = "the gate itself, over the parts of loom")]
#[path = "../gate.rs"]
mod gate;

use gate::Gate;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;
use std::task::{Poll, Waker};

/// How often a thread may be stopped in the middle, in one way of things to go. Without a bound the ways are too many to try; what two threads do wrong
/// shows with few (Musuvathi and Qadeer, PLDI 2007).
const PREEMPTIONS: usize = 3;

/// Explores a model, and tells in how many ways it can go.
fn explore(model: impl Fn() + Sync + Send + 'static) -> usize {
    let ways = Arc::new(Count::new(0));
    let count = Arc::clone(&ways);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    ways.load(std::sync::atomic::Ordering::Relaxed)
}

/// A connection, as far as the gate goes: the other side writes and wakes; the poller reads when it is due, as `Driver::drive` has it.
async fn read_until(gate: &Gate, written: &AtomicUsize, enough: usize) {
    let mut seen = 0;
    poll_fn(|cx| {
        let mut due = gate.mute(cx.waker()) || seen == 0;
        loop {
            if seen == enough {
                gate.unmute();
                return Poll::Ready(());
            }
            due |= gate.take_hit();
            if !due && gate.try_unmute() {
                return Poll::Pending;
            }
            due = false;
            gate.take_hit();
            seen = written.load(Ordering::Acquire);
        }
    })
    .await;
}

fn write(through: &Waker, written: &AtomicUsize) {
    written.fetch_add(1, Ordering::Release);
    through.wake_by_ref();
}

#[test]
fn no_interleaving_loses_a_wake() {
    let ways = explore(|| {
        let (gate, written) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
        let (through, wrote) = (Waker::from(Arc::clone(&gate)), Arc::clone(&written));
        let other = loom::thread::spawn(move || {
            write(&through, &wrote);
            write(&through, &wrote);
        });
        // A lost wake would leave this asleep for ever, which loom reports.
        loom::future::block_on(read_until(&gate, &written, 2));
        other.join().unwrap();
    });
    assert!(ways > 1_000, "{ways}");
}

#[test]
fn no_interleaving_of_two_writers_loses_a_wake() {
    let ways = explore(|| {
        let (gate, written) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (through, wrote) = (Waker::from(Arc::clone(&gate)), Arc::clone(&written));
                loom::thread::spawn(move || write(&through, &wrote))
            })
            .collect();
        loom::future::block_on(read_until(&gate, &written, 2));
        for writer in writers {
            writer.join().unwrap();
        }
    });
    assert!(ways > 10_000, "{ways}");
}

#[test]
fn a_wake_beside_the_return_to_the_pool_is_known_at_the_next_request() {
    let ways = explore(|| {
        let gate = Arc::new(Gate::default());
        let through = Waker::from(Arc::clone(&gate));
        gate.mute(Waker::noop());
        let closed = loom::thread::spawn(move || through.wake());
        let during = gate.unmute();
        gate.forget();
        closed.join().unwrap();
        assert!(during || gate.mute(Waker::noop()), "neither the last poll nor the next knows");
    });
    assert!(ways > 1, "{ways}");
}
